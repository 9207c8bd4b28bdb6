/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* PR_SET_MDWE: no mapping may become executable that was writable; the attribute survives. */
#include "zoo.h"

#include <sys/prctl.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif

int main(int argc, char **argv)
{
	uint8_t *m, *x;
	pid_t child;

	zoo_init(argc, argv);
	m = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	x = must(mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	if (prctl(PR_SET_MDWE, 1ul, 0ul, 0ul, 0ul))
		zoo_skip("no PR_SET_MDWE");
	m[5] = 5;

	zoo_snapshot_here();
	zoo_spoil(m[5] = 6);
	check_eq(prctl(PR_GET_MDWE, 0ul, 0ul, 0ul, 0ul), 1);
	must_refuse(mprotect(m, PAGE, PROT_READ | PROT_EXEC), EACCES);
	must_refuse(mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
	                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
	            EACCES);
	check(strstr(zoo_smaps(x), " r-xp "), "an executable page lost its right");
	check_eq(m[5], 5);
	child = must(fork());
	if (!child)
		_exit(prctl(PR_GET_MDWE, 0ul, 0ul, 0ul, 0ul) == 1 ? 0 : 1);
	zoo_finish_child(child);
	zoo_pass();
}
