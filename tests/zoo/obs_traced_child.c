/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle */
/* A child that its parent traces. */
#include "zoo.h"

#include <sys/ptrace.h>

int main(int argc, char **argv)
{
	pid_t child;
	int status;

	zoo_init(argc, argv);
	child = must(fork());
	if (!child) {
		must(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
		raise(SIGSTOP);
		_exit(3);
	}
	check_eq(waitpid(child, &status, 0), child);
	check(WIFSTOPPED(status), "status 0x%x", status);

	zoo_snapshot_here();
	zoo_spoil(must(ptrace(PTRACE_DETACH, child, NULL, (void *)SIGSTOP)));
	check_eq(atoi(zoo_status(child, "TracerPid")), getpid());
	must(ptrace(PTRACE_CONT, child, NULL, NULL));
	check_eq(waitpid(child, &status, 0), child);
	check_eq(WEXITSTATUS(status), 3);
	zoo_pass();
}
