/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Interval timers: real, virtual and profiling, with their intervals; and that they fire. */
#include "zoo.h"

#include <sys/time.h>

static volatile int fired;

static void on_alarm(int sig)
{
	fired += sig == SIGALRM;
}

int main(int argc, char **argv)
{
	struct itimerval real = {{77, 5000}, {3000, 0}}, cpu = {{9, 0}, {500, 0}},
			 prof = {{0, 0}, {600, 0}}, now;
	double until;

	zoo_init(argc, argv);
	must(sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, NULL));
	must(setitimer(ITIMER_REAL, &real, NULL));
	must(setitimer(ITIMER_VIRTUAL, &cpu, NULL));
	must(setitimer(ITIMER_PROF, &prof, NULL));

	zoo_snapshot_here();
	zoo_spoil(must(setitimer(ITIMER_REAL, &cpu, NULL)));
	zoo_spoil(must(setitimer(ITIMER_VIRTUAL, &prof, NULL)));
	zoo_spoil(must(setitimer(ITIMER_PROF, &(struct itimerval){{0, 0}, {0, 0}}, NULL)));
	must(getitimer(ITIMER_REAL, &now));
	check(now.it_value.tv_sec <= 3000 && now.it_value.tv_sec > 2900, "real: %ld s",
	      now.it_value.tv_sec);
	check_eq(now.it_interval.tv_sec, 77);
	check_eq(now.it_interval.tv_usec, 5000);
	must(getitimer(ITIMER_VIRTUAL, &now));
	check(now.it_value.tv_sec <= 500 && now.it_value.tv_sec > 480, "virtual: %ld s",
	      now.it_value.tv_sec);
	check_eq(now.it_interval.tv_sec, 9);
	must(getitimer(ITIMER_PROF, &now));
	check(now.it_value.tv_sec <= 600 && now.it_value.tv_sec > 580, "prof: %ld s",
	      now.it_value.tv_sec);
	check_eq(now.it_interval.tv_sec, 0);
	real.it_value = (struct timeval){0, 10000};
	real.it_interval = (struct timeval){0, 10000};
	must(setitimer(ITIMER_REAL, &real, NULL));
	until = zoo_now(CLOCK_MONOTONIC) + 10;
	while (fired < 3 && zoo_now(CLOCK_MONOTONIC) < until)
		pause();
	check(fired >= 3, "the timer fired %d times", fired);
	zoo_pass();
}
