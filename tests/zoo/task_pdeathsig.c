/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* PR_SET_PDEATHSIG of a child: not fired by the snapshot or the restore, and still fired by the
 * parent's end. */
#include "zoo.h"

#include <sys/prctl.h>

static volatile int fired;

static void on_death(int sig)
{
	fired = sig;
}

int main(int argc, char **argv)
{
	struct zoo_gate gate;
	pid_t parent, child, *shared;
	int status;

	zoo_init(argc, argv);
	shared = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	must(sigaction(SIGUSR2, &(struct sigaction){.sa_handler = on_death}, NULL));
	/* The first process too: its parent, the starter, goes away as well. */
	must(prctl(PR_SET_PDEATHSIG, SIGUSR2));
	zoo_gate_make(&gate);
	parent = must(fork());
	if (!parent) {
		child = must(fork());
		if (!child) {
			struct timespec most = {zoo_spoiled ? 1 : 60, 0};
			sigset_t go;

			must(prctl(PR_SET_PDEATHSIG, SIGUSR1));
			zoo_gate_pass(&gate);
			zoo_spoil(must(prctl(PR_SET_PDEATHSIG, 0)));
			sigemptyset(&go);
			sigaddset(&go, SIGUSR1);
			while (sigtimedwait(&go, NULL, &most) != SIGUSR1)
				if (errno != EINTR)
					_exit(1);
			_exit(0);
		}
		shared[0] = child;
		zoo_gate_pass(&gate);
		zoo_await_go();
		_exit(0); /* this is the child's signal */
	}
	zoo_gate_wait(&gate, 2);

	zoo_snapshot_here();
	check(!waitpid(shared[0], NULL, WNOHANG) || errno == ECHILD, "the child ended early");
	must(kill(shared[0], 0));
	zoo_finish_child(parent);
	check_eq(waitpid(shared[0], &status, 0), shared[0]);
	check_eq(status, 0);
	check_eq(fired, 0);
	zoo_pass();
}
