/* SPDX-License-Identifier: MIT */
/* Threads that wait in system calls over a snapshot, a call each. */
#ifndef WSLX_ZOO_WAITERS_H
#define WSLX_ZOO_WAITERS_H

#include "zoo.h"

#include <pthread.h>

#define WAITERS_MAX 16

struct waiter {
	pthread_t thread;
	volatile pid_t tid;
	long result; /* of its call, */
	int error;   /* with errno, */
	double took; /* and in how many seconds */
};

static struct waiter waiters[WAITERS_MAX];
static int n_waiters;
static const long *waiters_number;
static long (*waiters_wait)(long which);

static void *waiter_main(void *arg)
{
	long which = (long)arg;
	struct waiter *w = &waiters[which];
	double from = zoo_now(CLOCK_MONOTONIC);

	w->tid = zoo_tid();
	errno = 0;
	w->result = waiters_wait(which);
	w->error = errno;
	w->took = zoo_now(CLOCK_MONOTONIC) - from;
	return NULL;
}

/* Each waits, in its call, when this returns; also after a snapshot, if none came back early. */
static void waiters_await(void)
{
	for (int i = 0; i < n_waiters; i++) {
		while (!waiters[i].tid)
			sched_yield();
		zoo_await_syscall(waiters[i].tid, waiters_number[i]);
	}
}

/* @wait makes the call whose number is number[which]. */
static void waiters_start(int n, const long *number, long (*wait)(long which))
{
	n_waiters = n;
	waiters_number = number;
	waiters_wait = wait;
	for (long i = 0; i < n; i++)
		must_zero(pthread_create(&waiters[i].thread, NULL, waiter_main, (void *)i));
	waiters_await();
}

static ZOO_UNUSED void waiters_join(void)
{
	for (int i = 0; i < n_waiters; i++)
		must_zero(pthread_join(waiters[i].thread, NULL));
}

#endif
