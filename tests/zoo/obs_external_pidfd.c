/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle */
/* A pidfd of a process that is not part of the tree (the first process of the machine). */
#include "zoo.h"

int main(int argc, char **argv)
{
	char text[512];
	char path[64];
	int fd;

	zoo_init(argc, argv);
	fd = must((int)syscall(SYS_pidfd_open, 1, 0));

	zoo_snapshot_here();
	zoo_spoil(must(dup2((int)syscall(SYS_pidfd_open, getpid(), 0), fd)));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	must(zoo_read_file(path, text, sizeof(text)));
	check(strstr(text, "Pid:\t1\n"), "%s", text);
	zoo_pass();
}
