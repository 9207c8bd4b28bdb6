/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* mlock, mlock2(MLOCK_ONFAULT), and mlockall(MCL_FUTURE) for mappings to come. */
#include "zoo.h"

int main(int argc, char **argv)
{
	uint8_t *locked, *on_fault, *plain, *later;
	long before, after;

	zoo_init(argc, argv);
	plain = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	locked = must(
		mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	must(mlock(locked, 2 * PAGE));
	zoo_fill(locked, 4 * PAGE, 1);
	on_fault = must(
		mmap(NULL, 9 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	must(mlock2(on_fault, 9 * PAGE, MLOCK_ONFAULT));
	on_fault[PAGE] = 5;
	before = atol(zoo_status(getpid(), "VmLck"));

	zoo_snapshot_here();
	zoo_spoil(must(munlock(locked, PAGE)));
	zoo_spoil(must(mlock2(on_fault, PAGE, 0)));
	check(zoo_vma_has(locked, "lo"), "page 0 is not locked");
	check(zoo_vma_has(locked + PAGE, "lo"), "page 1 is not locked");
	check(!zoo_vma_has(locked + 2 * PAGE, "lo"), "page 2 is locked");
	check(!zoo_vma_has(plain, "lo"), "a plain page is locked");
	check(zoo_vma_has(on_fault, "lo"), "the on-fault area is not locked");
	check_eq(zoo_resident(on_fault, 9 * PAGE), 1); /* the others are locked when they come */
	check_eq(zoo_first_wrong(locked, 4 * PAGE, 1), -1);
	check_eq(on_fault[PAGE], 5);
	after = atol(zoo_status(getpid(), "VmLck"));
	check_eq(after, before);
	later = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	check(!zoo_vma_has(later, "lo"), "new mappings are locked");
	zoo_pass();
}
