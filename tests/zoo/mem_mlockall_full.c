/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* mlockall(MCL_FUTURE) in a program that may map nothing more at the moment. */
#include "zoo.h"

#include <sys/resource.h>

int main(int argc, char **argv)
{
	struct rlimit was, full, locked;
	uint8_t *later;

	zoo_init(argc, argv);
	must(mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	must(mlockall(MCL_FUTURE));
	must(getrlimit(RLIMIT_MEMLOCK, &locked));
	must(getrlimit(RLIMIT_AS, &was));
	full = was;
	full.rlim_cur = PAGE;
	must(setrlimit(RLIMIT_AS, &full));

	zoo_snapshot_here();
	zoo_spoil(must(munlockall()));
	must(setrlimit(RLIMIT_AS, &was));
	must(getrlimit(RLIMIT_MEMLOCK, &full));
	check_eq(full.rlim_cur, locked.rlim_cur);
	later = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	check(zoo_vma_has(later, "lo"), "MCL_FUTURE was lost");
	zoo_pass();
}
