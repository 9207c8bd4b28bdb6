/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/*
 * A signal arrives together with the stop: a read that a handler with SA_RESTART interrupts is
 * restarted, one without it gives EINTR. Each exactly as without a snapshot.
 */
#include "zoo.h"

#include <pthread.h>

static volatile pid_t tids[2];
static volatile int handled[2];
static int pipes[2][2];
static long result[2];
static int error[2];
static char got[2];

static void with_restart(int sig)
{
	handled[0] += sig == SIGUSR2;
}

static void without(int sig)
{
	handled[1] += sig == SIGHUP;
}

static void *reader(void *arg)
{
	long i = (long)arg;

	tids[i] = zoo_tid();
	errno = 0;
	result[i] = syscall(SYS_read, pipes[i][0], &got[i], 1);
	error[i] = errno;
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[2];

	zoo_init(argc, argv);
	must(sigaction(SIGUSR2,
	               &(struct sigaction){.sa_handler = with_restart, .sa_flags = SA_RESTART},
	               NULL));
	must(sigaction(SIGHUP, &(struct sigaction){.sa_handler = without}, NULL));
	for (long i = 0; i < 2; i++) {
		must(pipe(pipes[i]));
		must_zero(pthread_create(&t[i], NULL, reader, (void *)i));
		while (!tids[i])
			sched_yield();
		zoo_await_syscall(tids[i], SYS_read);
	}

	zoo_snapshot_here();
	must_zero(pthread_kill(t[0], SIGUSR2));
	must_zero(pthread_kill(t[1], SIGHUP));
	must_zero(pthread_join(t[1], NULL));
	while (!handled[0])
		sched_yield();
	zoo_await_syscall(tids[0], SYS_read);
	zoo_spoil(must(write(pipes[0][1], "X", 1)));
	must(write(pipes[0][1], "R", 1));
	must_zero(pthread_join(t[0], NULL));
	zoo_spoil(handled[0]++);
	check(result[0] == 1 && got[0] == 'R', "restarted read: %ld (%s)", result[0],
	      strerror(error[0]));
	check(result[1] == -1 && error[1] == EINTR, "interrupted read: %ld (%s)", result[1],
	      strerror(error[1]));
	check_eq(handled[0], 1);
	zoo_pass();
}
