/* SPDX-License-Identifier: MIT */
/* zoo: expect=either */
/* A child in strict seccomp mode: strict again after a restore, or refused. */
#include "zoo.h"

#include <linux/seccomp.h>
#include <sys/prctl.h>

int main(int argc, char **argv)
{
	int to[2], from[2], status;
	pid_t child;
	char c = 'x';

	zoo_init(argc, argv);
	must(pipe(to));
	must(pipe(from));
	child = must(fork());
	if (!child) {
		if (zoo_spoiled != 1)
			must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
		/* read, write, _exit alone are allowed. */
		syscall(SYS_write, from[1], &c, 1);
		syscall(SYS_read, to[0], &c, 1);
		syscall(SYS_getpid);
		syscall(SYS_exit, 0);
	}
	check_eq(read(from[0], &c, 1), 1);

	zoo_snapshot_here();
	zoo_spoil(c = 'y');
	must(write(to[1], &c, 1));
	check_eq(waitpid(child, &status, 0), child);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status 0x%x: getpid was allowed",
	      status);
	zoo_pass();
}
