/* SPDX-License-Identifier: MIT */
/*
 * A child in a namespace of its own. A program says which: NAMESPACE is its file in /proc/self/ns,
 * FLAG what unshare(2) calls it, INSIDE what the child does there, if anything.
 */
#include <sys/mount.h>

#include "zoo.h"

#ifndef INSIDE
#define INSIDE
#endif

static ino_t own_namespace(void)
{
	struct stat st;

	must(stat("/proc/self/ns/" NAMESPACE, &st));
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

		if (unshare(FLAG))
			zoo_skip("unshare: %s", strerror(errno));
		INSIDE;
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
