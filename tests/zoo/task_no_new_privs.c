/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* no_new_privs of an ordinary process. */
#include "zoo.h"

#include <sys/prctl.h>

int main(int argc, char **argv)
{
	pid_t child;
	struct zoo_gate gate;

	zoo_init(argc, argv);
	zoo_gate_make(&gate);
	child = must(fork());
	if (!child) {
		must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		zoo_gate_pass(&gate);
		zoo_await_go();
		zoo_spoil(_exit(1));
		check_eq(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
		_exit(0);
	}
	zoo_gate_wait(&gate, 1);
	int before = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);

	zoo_snapshot_here();
	zoo_finish_child(child);
	check_eq(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), before);
	zoo_pass();
}
