/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle needs=root unprivileged=no */
/* A process whose children will live in another time namespace. */
#include "zoo.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

static ino_t number(const char *file)
{
	struct stat st;

	must(stat(file, &st));
	return st.st_ino;
}

int main(int argc, char **argv)
{
	ino_t childrens;

	zoo_init(argc, argv);
	if (unshare(CLONE_NEWTIME))
		zoo_skip("unshare: %s", strerror(errno));
	childrens = number("/proc/self/ns/time_for_children");
	check(number("/proc/self/ns/time") != childrens, "it is in that one itself");

	zoo_snapshot_here();
	zoo_spoil(childrens++);
	check_eq(number("/proc/self/ns/time_for_children"), childrens);
	check(number("/proc/self/ns/time") != childrens, "it is in that one itself");
	zoo_pass();
}
