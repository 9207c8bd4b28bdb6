/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/*
 * POSIX timers with their ids and gaps between them: notification by signal, to a thread, none at
 * all; clocks; armed relative and absolute; intervals; overruns of a blocked signal.
 */
#include "zoo.h"

#include <pthread.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static pthread_barrier_t barrier;
static volatile pid_t other;

static void *thread(void *unused)
{
	struct timespec most = {5, 0};
	sigset_t set;
	siginfo_t i;

	other = zoo_tid();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 4);
	check_eq(sigtimedwait(&set, &i, &most), SIGRTMIN + 4); /* came to this thread */
	check_eq(i.si_int, 444);
	return NULL;
}

static int make(clockid_t clock, int notify, int sig, int value, pid_t tid)
{
	struct sigevent ev = {
		.sigev_notify = notify, .sigev_signo = sig, .sigev_value.sival_int = value};
	int id;

	if (tid)
		ev.sigev_notify_thread_id = tid;
	must(syscall(SYS_timer_create, clock, &ev, &id));
	return id;
}

static void set(int id, int flags, time_t s, long ns, time_t every_s, long every_ns)
{
	struct itimerspec t = {{every_s, every_ns}, {s, ns}};

	must(syscall(SYS_timer_settime, id, flags, &t, NULL));
}

static struct itimerspec get(int id)
{
	struct itimerspec t;

	must(syscall(SYS_timer_gettime, id, &t));
	return t;
}

int main(int argc, char **argv)
{
	int id[7], next;
	struct itimerspec v;
	sigset_t mask;
	pthread_t t;
	siginfo_t i;

	zoo_init(argc, argv);
	sigfillset(&mask);
	must(sigprocmask(SIG_BLOCK, &mask, NULL));
	pthread_barrier_init(&barrier, NULL, 2);
	must_zero(pthread_create(&t, NULL, thread, NULL));
	pthread_barrier_wait(&barrier);
	for (int k = 0; k < 30; k++) /* ids that are gone again */
		must(syscall(SYS_timer_delete, make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, 0)));
	id[0] = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 1, 11, 0);
	set(id[0], 0, 4000, 0, 33, 44);
	id[1] = make(CLOCK_REALTIME, SIGEV_SIGNAL, SIGRTMIN + 2, 22, 0);
	set(id[1], TIMER_ABSTIME, (time_t)zoo_now(CLOCK_REALTIME) + 5000, 0, 0, 0);
	id[2] = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, 0);
	id[3] = make(CLOCK_BOOTTIME, SIGEV_NONE, 0, 0, 0);
	set(id[3], 0, 6000, 0, 0, 0);
	must(syscall(SYS_timer_delete, id[2]));
	id[4] = make(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGRTMIN + 4, 444, other);
	id[5] = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 5, 55, 0);
	set(id[5], 0, 0, 1, 0, 1000000);
	id[6] = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 7, 77, 0); /* not armed */

	zoo_snapshot_here();
	zoo_spoil(set(id[0], 0, 4000, 0, 33, 45));
	zoo_spoil(must(syscall(SYS_timer_delete, id[1])));
	zoo_spoil(make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, 0));
	zoo_spoil(set(id[6], 0, 0, 1, 0, 0));
	zoo_spoil(set(id[5], 0, 0, 0, 0, 0));
	zoo_spoil(must(syscall(SYS_timer_delete, id[4]));
	          make(CLOCK_MONOTONIC, SIGEV_SIGNAL, 40, 4, 0));
	v = get(id[0]);
	check(v.it_value.tv_sec <= 4000 && v.it_value.tv_sec > 3900, "%ld s",
	      (long)v.it_value.tv_sec);
	check_eq(v.it_interval.tv_sec, 33);
	check_eq(v.it_interval.tv_nsec, 44);
	v = get(id[1]);
	check(v.it_value.tv_sec <= 5000 && v.it_value.tv_sec > 4900, "%ld s",
	      (long)v.it_value.tv_sec);
	must_refuse(syscall(SYS_timer_gettime, id[2], &v), EINVAL);
	v = get(id[3]);
	check(v.it_value.tv_sec <= 6000 && v.it_value.tv_sec > 5900, "%ld s",
	      (long)v.it_value.tv_sec);
	v = get(id[6]);
	check_eq(v.it_value.tv_sec | v.it_value.tv_nsec, 0);
	set(id[4], 0, 0, 1, 0, 0);
	pthread_barrier_wait(&barrier);
	must_zero(pthread_join(t, NULL));
	sigemptyset(&mask);
	sigaddset(&mask, SIGRTMIN + 5);
	check_eq(sigtimedwait(&mask, &i, &(struct timespec){5, 0}), SIGRTMIN + 5);
	check_eq(i.si_code, SI_TIMER);
	check_eq(i.si_int, 55);
	sigemptyset(&mask);
	sigaddset(&mask, SIGRTMIN + 7);
	check_eq(sigtimedwait(&mask, &i, &(struct timespec){0, 0}), -1);
	set(id[6], 0, 0, 1, 0, 0);
	check_eq(sigtimedwait(&mask, &i, &(struct timespec){5, 0}), SIGRTMIN + 7);
	check_eq(i.si_int, 77);
	next = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, 0);
	check_eq(next, id[6] + 1); /* the kernel's counter goes on behind the last one */
	zoo_pass();
}
