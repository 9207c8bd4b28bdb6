/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore needs=root unprivileged=no */
/* mlockall(): the mappings of now, and of the future (mm->def_flags). */
#include "zoo.h"

int main(int argc, char **argv)
{
	uint8_t *now, *later;

	zoo_init(argc, argv);
	must(mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT));
	now = must(
		mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	now[0] = 1;

	zoo_snapshot_here();
	zoo_spoil(must(munlockall()));
	zoo_spoil(must(mlockall(MCL_CURRENT | MCL_FUTURE)));
	check(zoo_vma_has(now, "lo"), "a mapping is not locked any more");
	check(zoo_vma_has(argv[0], "lo"), "the stack is not locked any more");
	check_eq(zoo_resident(now, 3 * PAGE), 1);
	later = must(
		mmap(NULL, 5 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	check(zoo_vma_has(later, "lo"), "MCL_FUTURE was lost");
	check_eq(zoo_resident(later, 5 * PAGE), 0); /* MCL_ONFAULT */
	zoo_pass();
}
