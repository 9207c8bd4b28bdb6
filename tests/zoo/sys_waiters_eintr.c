/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore unprivileged=obstacle skip=kill */
/*
 * Waits that the kernel does not restart: after SIGSTOP and SIGCONT they give EINTR without any
 * handler. A snapshot is not such a stop: each goes on until its own event comes. (Only a wslx that
 * is killed in the middle cannot see to that.)
 */
#include "waiters.h"

#include <sys/epoll.h>
#include <sys/inotify.h>

enum { EPOLL, EPOLL_MASKED, SIGWAIT, INOTIFY, COUNT };

static const long number[COUNT] = {SYS_epoll_wait, SYS_epoll_pwait, SYS_rt_sigtimedwait, SYS_read};
static int epolls[2], pipes[2][2], watcher;

static long wait_in(long which)
{
	struct inotify_event event;
	struct epoll_event e;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 2);
	switch (which) {
	case EPOLL:
		return syscall(SYS_epoll_wait, epolls[0], &e, 1, -1);
	case EPOLL_MASKED:
		sigfillset(&set);
		return syscall(SYS_epoll_pwait, epolls[1], &e, 1, -1, &set, 8);
	case SIGWAIT:
		return syscall(SYS_rt_sigtimedwait, &set, NULL, NULL, 8);
	default:
		return syscall(SYS_read, watcher, &event, sizeof(event));
	}
}

int main(int argc, char **argv)
{
	static const long want[COUNT] = {1, 1, 0, sizeof(struct inotify_event)};
	struct epoll_event e = {.events = EPOLLIN};
	sigset_t set;

	zoo_init(argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 2);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	for (int i = 0; i < 2; i++) {
		must(pipe(pipes[i]));
		epolls[i] = must(epoll_create1(0));
		must(epoll_ctl(epolls[i], EPOLL_CTL_ADD, pipes[i][0], &e));
	}
	close(must(creat(zoo_beside("file"), 0600)));
	watcher = must(inotify_init1(0));
	must(inotify_add_watch(watcher, zoo_beside("file"), IN_ATTRIB));
	waiters_start(COUNT, number, wait_in);

	zoo_snapshot_here();
	for (int i = 0; i < 2; i++)
		must(write(pipes[i][1], "x", 1));
	must_zero(pthread_kill(waiters[SIGWAIT].thread, SIGRTMIN + 2));
	must(chmod(zoo_beside("file"), 0640));
	waiters_join();
	zoo_spoil(waiters[EPOLL].result = -1);
	for (int i = 0; i < COUNT; i++)
		check(waiters[i].result == (i == SIGWAIT ? SIGRTMIN + 2 : want[i]),
		      "case %d: %ld (%s)", i, waiters[i].result, strerror(waiters[i].error));
	zoo_pass();
}
