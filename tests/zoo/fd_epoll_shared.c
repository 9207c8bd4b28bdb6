/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* One epoll description in two processes, with a pipe among its targets that only one still holds.
 */
#include "zoo.h"

#include <sys/epoll.h>

int main(int argc, char **argv)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = 42};
	struct zoo_gate gate;
	int ep, p[2];
	pid_t child;

	zoo_init(argc, argv);
	ep = must(epoll_create1(0));
	must(pipe(p));
	must(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e));
	zoo_gate_make(&gate);
	child = must(fork());
	if (!child) {
		close(p[1]);
		zoo_gate_pass(&gate);
		zoo_await_go();
		zoo_spoil(must(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL)));
		zoo_spoil(close(ep); ep = must(epoll_create1(0)));
		memset(&e, 0, sizeof(e));
		check_eq(epoll_wait(ep, &e, 1, 5000), 1);
		check_eq(e.data.u64, 42);
		e.data.u64 = 43;
		must(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &e));
		exit(0);
	}
	zoo_gate_wait(&gate, 1);
	close(p[0]);

	zoo_snapshot_here();
	must(write(p[1], "x", 1));
	check_eq(epoll_wait(ep, &e, 1, 5000), 1);
	check_eq(e.data.u64, 42);
	must(kill(child, SIGUSR1));
	check_eq(waitpid(child, &(int){0}, 0), child);
	/* The child changed the shared set and was the last to hold the read end. */
	check_eq(epoll_wait(ep, &e, 1, 0), 0);
	signal(SIGPIPE, SIG_IGN);
	must_refuse(write(p[1], "x", 1), EPIPE);
	zoo_pass();
}
