/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Shared anonymous memory that two siblings have from a parent that no longer maps it itself. */
#include "zoo.h"

int main(int argc, char **argv)
{
	struct zoo_gate gate;
	pid_t child[2];
	uint32_t *m;

	zoo_init(argc, argv);
	m = must(mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	m[1] = 77;
	zoo_gate_make(&gate);
	for (int i = 0; i < 2; i++) {
		child[i] = must(fork());
		if (child[i])
			continue;
		if (i)
			must(munmap(m + 1024, 2 * PAGE)); /* one maps only a part */
		zoo_gate_pass(&gate);
		zoo_await_go();
		zoo_spoil(m[1] = 78);
		check_eq(m[1], 77);
		if (i == 0) {
			m[0] = 4711;
			zoo_spoil(m[0] = 0);
		} else {
			check_eq(m[0], 4711);
		}
		exit(0);
	}
	must(munmap(m, 3 * PAGE));
	zoo_gate_wait(&gate, 2);

	zoo_snapshot_here();
	zoo_finish_child(child[0]);
	zoo_finish_child(child[1]);
	zoo_pass();
}
