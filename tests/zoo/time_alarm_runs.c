/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* A one-shot and an interval timer that run across the stop and deliver their signals afterwards.
 */
#include "zoo.h"

#include <sys/time.h>

static volatile int alarms, ticks;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (sig == SIGALRM)
		alarms++;
	else if (info->si_code == SI_TIMER)
		ticks++;
}

int main(int argc, char **argv)
{
	struct sigaction a = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
	double start, until;
	timer_t id;
	int before;

	zoo_init(argc, argv);
	must(sigaction(SIGALRM, &a, NULL));
	must(sigaction(SIGRTMIN, &a, NULL));
	must(timer_create(CLOCK_MONOTONIC, &ev, &id));
	must(timer_settime(id, 0, &(struct itimerspec){{0, 20000000}, {0, 20000000}}, NULL));
	start = zoo_now(CLOCK_MONOTONIC);
	must(setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 700000}}, NULL));

	zoo_snapshot_here();
	before = ticks;
	zoo_spoil(alarms = 1);
	zoo_spoil(must(setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL)));
	zoo_spoil(must(timer_delete(id)));
	until = zoo_now(CLOCK_MONOTONIC) + 5;
	while ((!alarms || ticks < before + 5) && zoo_now(CLOCK_MONOTONIC) < until)
		nanosleep(&(struct timespec){5, 0}, NULL); /* ended by the signals awaited */
	check_eq(alarms, 1);
	check(zoo_now(CLOCK_MONOTONIC) - start > 0.699, "the alarm came too early");
	check(ticks >= before + 5, "%d ticks before, %d after", before, ticks);
	zoo_pass();
}
