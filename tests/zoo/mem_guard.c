/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Guard pages (MADV_GUARD_INSTALL): touching one is still a fault, its neighbours are intact. */
#include "zoo.h"

#include <setjmp.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

static sigjmp_buf back;

static void on_fault(int sig)
{
	siglongjmp(back, sig);
}

static bool faults(const uint8_t *p)
{
	if (sigsetjmp(back, 1))
		return true;
	(void)*(const volatile uint8_t *)p;
	return false;
}

int main(int argc, char **argv)
{
	const size_t pages = 16;
	uint8_t *m;

	zoo_init(argc, argv);
	signal(SIGSEGV, on_fault);
	m = must(mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	              0));
	zoo_fill(m, pages * PAGE, 8);
	if (madvise(m, PAGE, MADV_GUARD_INSTALL))
		zoo_skip("this kernel has no guard pages");
	must(madvise(m + 5 * PAGE, 2 * PAGE, MADV_GUARD_INSTALL));
	check(faults(m + 5 * PAGE), "a guard page can be read");

	zoo_snapshot_here();
	zoo_spoil(must(madvise(m + 6 * PAGE, PAGE, MADV_GUARD_INSTALL + 1)));
	zoo_spoil(m[7 * PAGE]++);
	for (size_t i = 0; i < pages; i++) {
		bool guard = i == 0 || i == 5 || i == 6;

		check(faults(m + i * PAGE) == guard, "page %zu: guard is to be %d", i, guard);
		if (!guard)
			for (size_t j = 0; j < PAGE; j++) {
				uint32_t k = (uint32_t)(i * PAGE + j);
				uint32_t x = (k * 2654435761u) ^ 8 * 0x9e3779b9u;

				check_eq(m[k], (uint8_t)(x >> 24 ^ x >> 11));
			}
	}
	must(madvise(m, PAGE, MADV_GUARD_INSTALL + 1));
	check(!faults(m), "a guard page cannot be removed");
	zoo_pass();
}
