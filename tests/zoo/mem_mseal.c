/* SPDX-License-Identifier: MIT */
/* zoo: expect=either */
/* Sealed mappings: sealed again after a restore, or the snapshot is refused. */
#include "zoo.h"

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

int main(int argc, char **argv)
{
	uint8_t *m;

	zoo_init(argc, argv);
	m = must(mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	zoo_fill(m, 3 * PAGE, 1);
	must(mprotect(m + PAGE, PAGE, PROT_READ));
	if (syscall(SYS_mseal, m + PAGE, PAGE, 0))
		zoo_skip("no mseal: %s", strerror(errno));

	zoo_snapshot_here();
	zoo_spoil(m = must(mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
	zoo_spoil(m[0]++);
	check_eq(zoo_first_wrong(m, 3 * PAGE, 1), -1);
	must_refuse(mprotect(m + PAGE, PAGE, PROT_READ | PROT_WRITE), EPERM);
	must_refuse(munmap(m + PAGE, PAGE), EPERM);
	must(mprotect(m, PAGE, PROT_READ));
	zoo_pass();
}
