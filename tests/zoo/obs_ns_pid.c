/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle needs=root unprivileged=no */
/* A child in a pid namespace of its own, as its first process. */
#include "zoo.h"

int main(int argc, char **argv)
{
	struct zoo_gate gate;
	pid_t child;

	zoo_init(argc, argv);
	must(unshare(CLONE_NEWPID));
	zoo_gate_make(&gate);
	child = must(fork());
	if (!child) {
		sigset_t go;

		zoo_gate_pass(&gate);
		sigemptyset(&go);
		sigaddset(&go, SIGUSR1);
		sigwaitinfo(&go, NULL);
		zoo_spoil(_exit(1));
		_exit(getpid() == 1 ? 0 : 1);
	}
	zoo_gate_wait(&gate, 1);

	zoo_snapshot_here();
	zoo_finish_child(child);
	zoo_pass();
}
