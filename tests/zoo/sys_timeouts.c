/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/*
 * Waits with a timeout that a stop falls into, one thread each: they end by their timeout, not
 * before it, with "timed out" and never with EINTR.
 */
#include "waiters.h"

#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>

enum { POLL, PPOLL, SELECT, PSELECT, EPOLL, FUTEX, FUTEX_ABS, SIGWAIT, RECV, COUNT };

static const long number[COUNT] = {SYS_poll,     SYS_ppoll,           SYS_select,
                                   SYS_pselect6, SYS_epoll_pwait,     SYS_futex,
                                   SYS_futex,    SYS_rt_sigtimedwait, SYS_recvfrom};
static int quiet[2], sockets[2], epoll;
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

int main(int argc, char **argv)
{
	struct epoll_event e = {.events = EPOLLIN};
	struct timeval limit = {1, 200000};
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
	waiters_start(COUNT, number, wait_in);

	zoo_snapshot_here();
	zoo_spoil(must(write(quiet[1], "x", 1)));
	zoo_spoil(word = 1; must(syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0)));
	waiters_join();
	zoo_spoil(waiters[EPOLL].took = 1.1);
	for (int i = 0; i < COUNT; i++) {
		const struct waiter *w = &waiters[i];
		bool zero = i <= EPOLL;

		check(w->result == (zero ? 0 : -1), "case %d: %ld (%s)", i, w->result,
		      strerror(w->error));
		check(zero || w->error == (i == FUTEX || i == FUTEX_ABS ? ETIMEDOUT : EAGAIN),
		      "case %d: %s", i, strerror(w->error));
		check(w->took > 1.198, "case %d took only %f s", i, w->took);
		check(w->took < 60, "case %d took %f s", i, w->took);
	}
	zoo_pass();
}
