/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Areas of several MiB with huge pages asked for: the content is right, at the edges too. */
#include "zoo.h"

#define BYTES (8ul << 20)

int main(int argc, char **argv)
{
	uint8_t *m;

	zoo_init(argc, argv);
	m = must(mmap(NULL, BYTES + (2 << 20), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	              -1, 0));
	m = (uint8_t *)(((uintptr_t)m + (2 << 20) - 1) & ~((2ul << 20) - 1));
	must(madvise(m, BYTES, MADV_HUGEPAGE));
	zoo_fill(m, BYTES, 1);
	must(madvise(m + (3 << 20), 5 * PAGE, MADV_DONTNEED)); /* a hole in one */
	must(mprotect(m + (5 << 20), PAGE, PROT_READ));

	zoo_snapshot_here();
	zoo_spoil(m[(6 << 20) + 1] ^= 1);
	zoo_spoil(m[(3 << 20) + 1] = 1);
	check(zoo_vma_has(m, "hg"), "MADV_HUGEPAGE was lost");
	for (size_t i = 0; i < 5 * PAGE; i++)
		check(!m[(3 << 20) + i], "byte %zu of the hole is not zero", i);
	for (size_t i = 0; i < BYTES; i++) {
		uint32_t x = (uint32_t)(i * 2654435761u) ^ 1 * 0x9e3779b9u;

		if (i < (3 << 20) || i >= (3 << 20) + 5 * PAGE)
			check(m[i] == (uint8_t)(x >> 24 ^ x >> 11), "byte %zu is wrong", i);
	}
	zoo_pass();
}
