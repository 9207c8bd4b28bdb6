/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* A grandchild that was handed to a subreaper stays its child; the attribute works after the
 * restore too. */
#include "zoo.h"

#include <sys/prctl.h>

int main(int argc, char **argv)
{
	pid_t middle, grandchild, *shared;
	struct zoo_gate gate;
	int is = 0;

	zoo_init(argc, argv);
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	shared = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	zoo_gate_make(&gate);
	middle = must(fork());
	if (!middle) {
		grandchild = must(fork());
		if (!grandchild) {
			zoo_gate_pass(&gate);
			zoo_await_go();
			check_eq(getppid(), shared[1]);
			_exit(0);
		}
		shared[0] = grandchild;
		_exit(0);
	}
	shared[1] = getpid();
	zoo_gate_wait(&gate, 1);
	check_eq(waitpid(middle, NULL, 0), middle);

	zoo_snapshot_here();
	zoo_spoil(must(prctl(PR_SET_CHILD_SUBREAPER, 0)));
	zoo_spoil(shared[1] = 1);
	must(prctl(PR_GET_CHILD_SUBREAPER, &is));
	check_eq(is, 1);
	zoo_finish_child(shared[0]);
	middle = must(fork());
	if (!middle) {
		grandchild = must(fork());
		if (grandchild)
			shared[0] = grandchild;
		_exit(0);
	}
	check_eq(waitpid(middle, NULL, 0), middle);
	check_eq(waitpid(shared[0], NULL, 0), shared[0]);
	zoo_pass();
}
