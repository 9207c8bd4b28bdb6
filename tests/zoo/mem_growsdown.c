/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* MAP_GROWSDOWN and MAP_NORESERVE areas. */
#include "zoo.h"

int main(int argc, char **argv)
{
	uint8_t *grows, *lazy;

	zoo_init(argc, argv);
	/* Room below, so that nothing is in the way of growth. */
	grows = must(mmap(NULL, 512 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	must(munmap(grows, 512 * PAGE));
	grows = must(mmap(grows + 500 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
	                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1,
	                  0));
	zoo_fill(grows, 4 * PAGE, 1);
	lazy = must(mmap(NULL, 1ul << 36, PROT_READ | PROT_WRITE,
	                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	zoo_fill(lazy + (1ul << 35), 2 * PAGE, 2);

	zoo_snapshot_here();
	zoo_spoil(grows[PAGE] ^= 1);
	zoo_spoil(must(madvise(lazy + (1ul << 35), PAGE, MADV_DONTNEED)));
	zoo_spoil(
		must(mmap(grows, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)));
	check_eq(zoo_first_wrong(grows, 4 * PAGE, 1), -1);
	check(zoo_vma_has(grows, "gd"), "the area lost MAP_GROWSDOWN");
	*(grows - 2 * PAGE) = 1; /* a fault below extends it */
	check(zoo_vma_has(lazy, "nr"), "the area lost MAP_NORESERVE");
	check_eq(zoo_first_wrong(lazy + (1ul << 35), 2 * PAGE, 2), -1);
	check_eq(lazy[(1ul << 36) - 1], 0);
	zoo_pass();
}
