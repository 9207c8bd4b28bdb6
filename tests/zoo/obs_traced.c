/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle */
/* A process that is traced by somebody outside the tree: by a child's child that left it. */
#include "zoo.h"

#include <sys/ptrace.h>

int main(int argc, char **argv)
{
	struct zoo_gate gate;
	pid_t tracer, tracee = getpid(), started;

	zoo_init(argc, argv);
	zoo_gate_make(&gate);
	started = must(fork());
	if (!started) {
		tracer = fork();
		if (!tracer) {
			setsid();
			must(ptrace(PTRACE_SEIZE, tracee, NULL, NULL));
			zoo_gate_pass(&gate);
			/* Hand on whatever stops it, until it ends. */
			for (int status;
			     waitpid(tracee, &status, __WALL) == tracee && WIFSTOPPED(status);)
				ptrace(PTRACE_CONT, tracee, NULL,
				       (void *)(long)(status >> 16 ? 0 : WSTOPSIG(status)));
			_exit(0);
		}
		_exit(0);
	}
	check_eq(waitpid(started, NULL, 0), started);
	zoo_gate_wait(&gate, 1);

	zoo_snapshot_here();
	zoo_spoil(kill(atoi(zoo_status(getpid(), "TracerPid")), SIGKILL);
	          while (atoi(zoo_status(getpid(), "TracerPid"))) sched_yield());
	check(atoi(zoo_status(getpid(), "TracerPid")) > 0, "the tracer was thrown off");
	zoo_pass();
}
