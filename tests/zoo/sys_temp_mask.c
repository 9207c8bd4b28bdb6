/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/*
 * A temporary signal mask (ppoll, pselect, epoll_pwait, sigsuspend): in force while the call waits,
 * the thread's own again when it returns, and a signal that only the temporary mask lets in is
 * delivered once and ends the call with EINTR.
 */
#include "waiters.h"

#include <sys/epoll.h>

/* All but SIGUSR2, as the kernel has it: libc would leave two out of its own. */
#define TEMPORARY (~(1ull << (SIGUSR2 - 1) | 1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1)))

enum { PPOLL, PSELECT, EPOLL, SUSPEND, COUNT };

static const long number[COUNT] = {SYS_ppoll, SYS_pselect6, SYS_epoll_pwait, SYS_rt_sigsuspend};
static volatile int delivered;
static int quiet[2], epoll;

static void count(int sig)
{
	(void)sig;
	__atomic_add_fetch(&delivered, 1, __ATOMIC_SEQ_CST);
}

static long wait_in(long which)
{
	struct pollfd p = {.fd = quiet[0], .events = POLLIN};
	sigset_t own, now;
	uint64_t temporary = TEMPORARY;
	struct epoll_event e;
	long r;

	sigemptyset(&own);
	sigaddset(&own, SIGUSR1);
	sigaddset(&own, SIGUSR2);
	sigaddset(&own, SIGRTMIN + (int)which);
	must_zero(pthread_sigmask(SIG_SETMASK, &own, NULL));
	switch (which) {
	case PPOLL:
		r = syscall(SYS_ppoll, &p, 1, NULL, &temporary, 8);
		break;
	case PSELECT:
		r = syscall(SYS_pselect6, 0, NULL, NULL, NULL, NULL,
		            (uint64_t[2]){(uintptr_t)&temporary, 8});
		break;
	case EPOLL:
		r = syscall(SYS_epoll_pwait, epoll, &e, 1, -1, &temporary, 8);
		break;
	default:
		r = syscall(SYS_rt_sigsuspend, &temporary, 8);
	}
	check(r == -1 && errno == EINTR, "case %ld: %ld (%s)", which, r, strerror(errno));
	must_zero(pthread_sigmask(SIG_BLOCK, NULL, &now));
	zoo_spoil(sigaddset(&now, SIGHUP));
	for (int sig = 1; sig < 65; sig++)
		check(sigismember(&now, sig) == sigismember(&own, sig), "case %ld: signal %d",
		      which, sig);
	return r;
}

int main(int argc, char **argv)
{
	sigset_t set;

	zoo_init(argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	must(sigaction(SIGUSR2, &(struct sigaction){.sa_handler = count}, NULL));
	must(pipe(quiet));
	epoll = must(epoll_create1(0));
	waiters_start(COUNT, number, wait_in);

	zoo_snapshot_here();
	for (int i = 0; i < COUNT; i++) {
		char want[20];

		zoo_await_syscall(waiters[i].tid, number[i]);
		snprintf(want, sizeof(want), "%016llx", TEMPORARY);
		check_text(zoo_status(waiters[i].tid, "SigBlk"), want);
	}
	zoo_spoil(raise(SIGUSR2); sigsuspend(&(sigset_t){{0}}));
	for (int i = 0; i < COUNT; i++) {
		must_zero(pthread_kill(waiters[i].thread, SIGUSR2));
		must_zero(pthread_join(waiters[i].thread, NULL));
		check_eq(delivered, i + 1);
	}
	zoo_pass();
}
