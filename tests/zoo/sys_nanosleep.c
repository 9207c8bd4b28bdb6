/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/*
 * Sleeps that a stop falls into: relative (restarted by the kernel with the time that is left),
 * absolute, and one that a handler interrupts afterwards and that must then say what was left.
 */
#include "zoo.h"

#include <pthread.h>

enum { RELATIVE, ABSOLUTE, LONG, CASES };

static volatile pid_t tids[CASES];
static int result[CASES], error[CASES];
static double took[CASES];
static struct timespec left;

static void nothing(int sig)
{
	(void)sig;
}

static void *sleeper(void *arg)
{
	long which = (long)arg;
	double from = zoo_now(CLOCK_MONOTONIC), until = from + 1.5;
	struct timespec t = {1, 500000000}, rest;

	tids[which] = zoo_tid();
	errno = 0;
	if (which == RELATIVE)
		result[which] = (int)syscall(SYS_nanosleep, &t, &rest);
	if (which == ABSOLUTE) {
		t.tv_sec = (time_t)until;
		t.tv_nsec = (long)((until - (double)t.tv_sec) * 1e9);
		result[which] =
			(int)syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
	}
	if (which == LONG) {
		t.tv_sec = 1000;
		result[which] = (int)syscall(SYS_clock_nanosleep, CLOCK_BOOTTIME, 0, &t, &left);
	}
	error[which] = errno;
	took[which] = zoo_now(CLOCK_MONOTONIC) - from;
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[CASES];

	zoo_init(argc, argv);
	sigaction(SIGUSR2, &(struct sigaction){.sa_handler = nothing}, NULL);
	for (long i = 0; i < CASES; i++)
		must_zero(pthread_create(&t[i], NULL, sleeper, (void *)i));
	for (int i = 0; i < CASES; i++) {
		while (!tids[i])
			sched_yield();
		zoo_await_syscall(tids[i], i == RELATIVE ? SYS_nanosleep : SYS_clock_nanosleep);
	}

	zoo_snapshot_here();
	zoo_spoil(pthread_kill(t[RELATIVE], SIGUSR2));
	zoo_spoil(pthread_kill(t[ABSOLUTE], SIGUSR2));
	must_zero(pthread_kill(t[LONG], SIGUSR2));
	for (int i = 0; i < CASES; i++)
		must_zero(pthread_join(t[i], NULL));
	zoo_spoil(left.tv_sec += 60);
	for (int i = 0; i < 2; i++) {
		check(!result[i], "sleep %d: %s", i, strerror(error[i]));
		check(took[i] > 1.499, "sleep %d took %f s of 1.5", i, took[i]);
		check(took[i] < 60, "sleep %d took %f s of 1.5", i, took[i]);
	}
	check_eq(result[LONG], -1);
	check_eq(error[LONG], EINTR);
	check(left.tv_sec <= 1000 && (double)left.tv_sec > 1000 - took[LONG] - 2,
	      "%ld s left after %f of 1000", (long)left.tv_sec, took[LONG]);
	zoo_pass();
}
