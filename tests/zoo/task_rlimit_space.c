/* SPDX-License-Identifier: MIT */
/* zoo: expect=either */
/* Less address space and data allowed than is mapped already: nothing more can be mapped, by
 * nobody. */
#include "zoo.h"

#include <sys/resource.h>

int main(int argc, char **argv)
{
	struct rlimit space = {1 << 20, 1 << 20}, now;
	uint8_t *m;

	zoo_init(argc, argv);
	m = must(mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	zoo_fill(m, PAGE, 1);
	must(setrlimit(RLIMIT_AS, &space));
	must(setrlimit(RLIMIT_DATA, &space));

	zoo_snapshot_here();
	zoo_spoil(m[1]++);
	must(getrlimit(RLIMIT_AS, &now));
	check_eq(now.rlim_max, 1 << 20);
	must(getrlimit(RLIMIT_DATA, &now));
	check_eq(now.rlim_cur, 1 << 20);
	check_eq(zoo_first_wrong(m, PAGE, 1), -1);
	must_refuse(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
	zoo_pass();
}
