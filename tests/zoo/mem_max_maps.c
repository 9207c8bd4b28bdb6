/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle hidden=yes */
/* As many mappings as there may be: there is no room to be asked in, and nothing may be lost. */
#include "zoo.h"

int main(int argc, char **argv)
{
	const size_t room = 1 << 20;
	uint8_t *all, *data;
	size_t n = 0;

	zoo_init(argc, argv);
	/* The one that a snapshot could borrow, were it not for the obstacle. */
	data = must(
		mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	zoo_fill(data, 64 * PAGE, 3);
	all = must(mmap(NULL, room * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
	                -1, 0));
	while (!mprotect(all + 2 * n * PAGE, PAGE, PROT_READ))
		if (2 * ++n == room)
			zoo_skip("vm.max_map_count is very high");
	check_eq(errno, ENOMEM);

	zoo_snapshot_here();
	zoo_spoil(data[5]++);
	zoo_spoil(must(munmap(all + 20 * PAGE, PAGE)));
	check_eq(zoo_first_wrong(data, 64 * PAGE, 3), -1);
	must(munmap(all + room / 2 * PAGE, room / 2 * PAGE)); /* room to look */
	check(zoo_vma_has(all + 20 * PAGE, "rd"), "a mapping is gone");
	zoo_pass();
}
