/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* The heap: its content, the break, and that it can grow and shrink. */
#include "zoo.h"

int main(int argc, char **argv)
{
	uint8_t *old, *end;

	zoo_init(argc, argv);
	old = must(sbrk(20 * PAGE + 123));
	zoo_fill(old, 20 * PAGE + 123, 6);
	end = must(sbrk(0));

	zoo_snapshot_here();
	zoo_spoil(must(sbrk(16)));
	zoo_spoil(old[3 * PAGE] ^= 1);
	check(must(sbrk(0)) == end, "the break moved");
	check_eq(zoo_first_wrong(old, 20 * PAGE + 123, 6), -1);
	check(must(sbrk(30 * PAGE)) == end, "the heap cannot grow where it was");
	memset(end, 1, 30 * PAGE);
	must(brk(old + PAGE));
	check(must(sbrk(0)) == old + PAGE, "the heap cannot shrink");
	check_eq(zoo_first_wrong(old, PAGE, 6), -1);
	check(strstr(zoo_smaps(old), "[heap]"), "the heap is not known as heap");
	free(must(malloc(1 << 20)));
	zoo_pass();
}
