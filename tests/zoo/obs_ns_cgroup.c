/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle needs=root unprivileged=no */
/* A child in a cgroup namespace of its own. */
#include "zoo.h"

static ino_t own_namespace(void)
{
	struct stat st;

	must(stat("/proc/self/ns/cgroup", &st));
	return st.st_ino;
}

int main(int argc, char **argv)
{
	ino_t parents;
	struct zoo_gate gate;
	pid_t child;

	zoo_init(argc, argv);
	parents = own_namespace();
	zoo_gate_make(&gate);
	child = must(fork());
	if (!child) {
		ino_t own;

		if (unshare(CLONE_NEWCGROUP))
			zoo_skip("unshare: %s", strerror(errno));
		own = own_namespace();
		zoo_gate_pass(&gate);
		zoo_await_go();
		zoo_spoil(own = parents);
		check(own_namespace() == own && own != parents, "it is in another namespace now");
		exit(0);
	}
	zoo_gate_wait(&gate, 1);

	zoo_snapshot_here();
	zoo_finish_child(child);
	check(own_namespace() == parents, "the parent is in another namespace");
	zoo_pass();
}
