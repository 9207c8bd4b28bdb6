/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Pages that parent and children share copy-on-write: everybody's own content is right, later
 * writes are private. */
#include "zoo.h"

#define PAGES 256ul

int main(int argc, char **argv)
{
	struct zoo_gate gate;
	pid_t child[3];
	uint8_t *m;

	zoo_init(argc, argv);
	m = must(mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	              0));
	for (uint32_t i = 0; i < PAGES; i++)
		zoo_fill(m + i * PAGE, PAGE, i);
	zoo_gate_make(&gate);
	for (uint32_t c = 0; c < ZOO_LEN(child); c++) {
		child[c] = must(fork());
		if (child[c])
			continue;
		for (uint32_t i = c; i < PAGES; i += 7)
			zoo_fill(m + i * PAGE, PAGE, 1000 * (c + 1) + i);
		zoo_gate_pass(&gate);
		zoo_await_go();
		zoo_spoil(m[c * PAGE] ^= 1);
		for (uint32_t i = 0; i < PAGES; i++)
			check_eq(zoo_first_wrong(m + i * PAGE, PAGE,
			                         i % 7 == c ? 1000 * (c + 1) + i : i),
			         -1);
		memset(m, (int)c, PAGES * PAGE);
		exit(0);
	}
	zoo_gate_wait(&gate, 3);

	zoo_snapshot_here();
	for (size_t c = 0; c < ZOO_LEN(child); c++)
		zoo_finish_child(child[c]);
	zoo_spoil(m[9 * PAGE] ^= 1);
	for (uint32_t i = 0; i < PAGES; i++)
		check_eq(zoo_first_wrong(m + i * PAGE, PAGE, i), -1);
	zoo_pass();
}
