/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Four generations below the first: ids, parents, groups and sessions of each, and who waits for
 * whom. */
#include "zoo.h"

#define DEPTH 4
#define WIDTH 2

/* Grow the part of the tree below a process of this depth. Returns the number of its processes. */
static int grow(int depth, pid_t parent, struct zoo_gate *gate)
{
	pid_t child[WIDTH], me = getpid(), group, session;
	int below = 1, status;

	if (depth == 2)
		must(setpgid(0, 0));
	if (depth == 3)
		must(setsid());
	for (int i = 0; depth < DEPTH && i < WIDTH; i++) {
		child[i] = must(fork());
		if (!child[i])
			_exit(grow(depth + 1, me, gate));
	}
	group = getpgrp();
	session = getsid(0);
	if (depth) {
		zoo_gate_pass(gate);
		zoo_await_go();
	} else {
		zoo_gate_wait(gate, 30);
		zoo_snapshot_here();
	}
	if (depth == 4)
		zoo_spoil(must(setpgid(0, 0)));
	if (depth == 2)
		zoo_spoil(must(setsid()));
	check_eq(getpid(), me);
	if (depth) /* the first one's parent is whoever restored it */
		check_eq(getppid(), parent);
	check_eq(getpgrp(), group);
	check_eq(getsid(0), session);
	for (int i = 0; depth < DEPTH && i < WIDTH; i++) {
		must(kill(child[i], SIGUSR1));
		check_eq(waitpid(child[i], &status, 0), child[i]);
		check(WIFEXITED(status) && WEXITSTATUS(status), "child %d: 0x%x", child[i], status);
		below += WEXITSTATUS(status);
	}
	must_refuse(wait(NULL), ECHILD);
	return below;
}

int main(int argc, char **argv)
{
	struct zoo_gate gate;

	zoo_init(argc, argv);
	zoo_gate_make(&gate);
	check_eq(grow(0, getppid(), &gate), 31);
	zoo_pass();
}
