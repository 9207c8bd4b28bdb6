/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* MAP_DROPPABLE memory: the kind stays; the content may come back or be zero, page by page. */
#include "zoo.h"

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif

int main(int argc, char **argv)
{
	uint8_t *m;

	zoo_init(argc, argv);
	m = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		zoo_skip("this kernel has no MAP_DROPPABLE");
	for (uint32_t i = 0; i < 4; i++)
		zoo_fill(m + i * PAGE, PAGE, i);

	zoo_snapshot_here();
	zoo_spoil(must(mmap(m, 4 * PAGE, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)));
	zoo_spoil(m[PAGE] = 77; m[PAGE + 1] = 78);
	check(zoo_vma_has(m, "dp"), "the area lost MAP_DROPPABLE: %s", zoo_smaps(m));
	for (uint32_t i = 0; i < 4; i++) {
		bool zero = true;

		for (size_t j = 0; j < PAGE; j++)
			zero = zero && !m[i * PAGE + j];
		check(zero || zoo_first_wrong(m + i * PAGE, PAGE, i) == -1,
		      "page %u is neither what it was nor zero", i);
	}
	memset(m, 1, 4 * PAGE);
	zoo_pass();
}
