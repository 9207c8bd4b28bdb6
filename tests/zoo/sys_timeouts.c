/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/*
 * Waits with a timeout that a stop falls into, one thread each: they end by their timeout, not
 * before it, with "timed out" and never with EINTR.
 */
#include "zoo.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>

enum { POLL, PPOLL, SELECT, PSELECT, EPOLL, FUTEX, FUTEX_ABS, SIGWAIT, RECV, COUNT };

static const long number[COUNT] = {SYS_poll,     SYS_ppoll,           SYS_select,
                                   SYS_pselect6, SYS_epoll_pwait,     SYS_futex,
                                   SYS_futex,    SYS_rt_sigtimedwait, SYS_recvfrom};
static volatile pid_t tids[COUNT];
static long result[COUNT];
static int error[COUNT], quiet[2], sockets[2], epoll;
static double took[COUNT];
static uint32_t word;

static long wait_in(long which)
{
	struct timespec t = {1, 200000000}, until;
	struct timeval tv = {1, 200000};
	struct pollfd p = {.fd = quiet[0], .events = POLLIN};
	struct epoll_event e;
	sigset_t set, mask;
	fd_set fds;
	char c;

	FD_ZERO(&fds);
	FD_SET(quiet[0], &fds);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 5);
	sigfillset(&mask); /* the go signal is for the main thread */
	switch (which) {
	case POLL:
		return syscall(SYS_poll, &p, 1, 1200);
	case PPOLL:
		return syscall(SYS_ppoll, &p, 1, &t, &mask, 8);
	case SELECT:
		return syscall(SYS_select, quiet[0] + 1, &fds, NULL, NULL, &tv);
	case PSELECT:
		return syscall(SYS_pselect6, quiet[0] + 1, &fds, NULL, NULL, &t,
		               (uint64_t[2]){(uintptr_t)&mask, 8});
	case EPOLL:
		return syscall(SYS_epoll_pwait, epoll, &e, 1, 1200, &mask, 8);
	case FUTEX:
		return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0);
	case FUTEX_ABS:
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += 1 + (until.tv_nsec + t.tv_nsec) / 1000000000;
		until.tv_nsec = (until.tv_nsec + t.tv_nsec) % 1000000000;
		return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, &until, NULL, ~0u);
	case SIGWAIT:
		return syscall(SYS_rt_sigtimedwait, &set, NULL, &t, 8);
	default:
		return syscall(SYS_recvfrom, sockets[0], &c, 1, 0, NULL, NULL);
	}
}

static void *waiter(void *arg)
{
	long which = (long)arg;
	double from = zoo_now(CLOCK_MONOTONIC);

	tids[which] = zoo_tid();
	errno = 0;
	result[which] = wait_in(which);
	error[which] = errno;
	took[which] = zoo_now(CLOCK_MONOTONIC) - from;
	return NULL;
}

int main(int argc, char **argv)
{
	struct epoll_event e = {.events = EPOLLIN};
	struct timeval limit = {1, 200000};
	pthread_t t[COUNT];
	sigset_t set;

	zoo_init(argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 5);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	must(pipe(quiet));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	must(setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
	epoll = must(epoll_create1(0));
	must(epoll_ctl(epoll, EPOLL_CTL_ADD, quiet[0], &e));
	for (long i = 0; i < COUNT; i++)
		must_zero(pthread_create(&t[i], NULL, waiter, (void *)i));
	for (int i = 0; i < COUNT; i++) {
		while (!tids[i])
			sched_yield();
		zoo_await_syscall(tids[i], number[i]);
	}

	zoo_snapshot_here();
	zoo_spoil(must(write(quiet[1], "x", 1)));
	zoo_spoil(word = 1; must(syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0)));
	for (int i = 0; i < COUNT; i++)
		must_zero(pthread_join(t[i], NULL));
	zoo_spoil(took[EPOLL] = 1.1);
	for (int i = 0; i < COUNT; i++) {
		bool zero = i <= EPOLL;

		check(result[i] == (zero ? 0 : -1), "case %d: %ld (%s)", i, result[i],
		      strerror(error[i]));
		check(zero || error[i] == (i == FUTEX || i == FUTEX_ABS ? ETIMEDOUT : EAGAIN),
		      "case %d: %s", i, strerror(error[i]));
		check(took[i] > 1.198, "case %d took only %f s", i, took[i]);
		check(took[i] < 60, "case %d took %f s", i, took[i]);
	}
	zoo_pass();
}
