/* SPDX-License-Identifier: MIT */
/* zoo: expect=either skip=pidns,user */
/* A pidfd of a child that was already waited for: it must stay a pidfd of nobody. */
#include "zoo.h"

int main(int argc, char **argv)
{
	pid_t child;
	int fd;

	zoo_init(argc, argv);
	child = must(fork());
	if (!child)
		_exit(0);
	fd = must((int)syscall(SYS_pidfd_open, child, 0));
	waitpid(child, NULL, 0);

	zoo_snapshot_here();
	zoo_spoil(dup2((int)syscall(SYS_pidfd_open, getpid(), 0), fd));
	must_refuse(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), ESRCH);
	check(zoo_readable(fd, 0), "a dead process's pidfd must be readable");
	zoo_pass();
}
