/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Shared anonymous memory stays shared between parent and child, at different addresses too. */
#include "zoo.h"

#define BYTES (40 * PAGE)

int main(int argc, char **argv)
{
	struct zoo_gate gate;
	volatile uint32_t *word;
	uint8_t *m;
	pid_t child;

	zoo_init(argc, argv);
	m = must(mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	zoo_fill(m + PAGE, BYTES - 2 * PAGE, 1);
	zoo_gate_make(&gate);
	child = must(fork());
	if (!child) {
		uint8_t *other = must(mremap(m, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
		                             (void *)0x600000000000));

		zoo_gate_pass(&gate);
		zoo_await_go();
		zoo_spoil(other[2 * PAGE] ^= 1);
		check_eq(zoo_first_wrong(other + PAGE, BYTES - 2 * PAGE, 1), -1);
		word = (volatile uint32_t *)other;
		zoo_spoil(exit(0));
		check_eq(*word, 0x1234);
		*word = 0x5678;
		exit(0);
	}
	zoo_gate_wait(&gate, 1);

	zoo_snapshot_here();
	check_eq(zoo_first_wrong(m + PAGE, BYTES - 2 * PAGE, 1), -1);
	word = (volatile uint32_t *)m;
	*word = 0x1234;
	zoo_finish_child(child);
	check_eq(*word, 0x5678);
	zoo_pass();
}
