/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Private anonymous memory: pages with content, pages never touched, pages only read. */
#include "zoo.h"

#define PAGES 600ul

static bool resident(const void *page)
{
	unsigned char in = 0;

	must(mincore((void *)(uintptr_t)page, PAGE, &in));
	return in & 1;
}

int main(int argc, char **argv)
{
	static const uint8_t zeros[PAGE];
	uint8_t *m;

	zoo_init(argc, argv);
	zoo_hold_result();
	m = must(mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	              0));
	for (size_t i = 0; i < PAGES; i += 3)
		zoo_fill(m + i * PAGE, PAGE, (uint32_t)i);
	check_eq(*(volatile uint8_t *)(m + PAGE), 0);
	must(mprotect(m, PAGE, PROT_READ));
	must(mprotect(m + 3 * PAGE, PAGE, PROT_NONE));
	must(mprotect(m + 6 * PAGE, PAGE, PROT_READ | PROT_EXEC));
	must(munmap(m + 9 * PAGE, PAGE));

	zoo_snapshot_here();
	zoo_spoil(m[300 * PAGE + 5] ^= 1);
	zoo_spoil(m[301 * PAGE] = 1);
	zoo_spoil(mprotect(m + 3 * PAGE, PAGE, PROT_READ));
	zoo_spoil(mprotect(m, PAGE, PROT_READ | PROT_WRITE));

	for (size_t i = 0; i < PAGES; i++) {
		char *text;

		if (i == 9) {
			must_refuse(mincore(m + i * PAGE, PAGE, (unsigned char[1]){0}), ENOMEM);
			continue;
		}
		if (i == 3) {
			text = strstr(zoo_smaps(m + i * PAGE), " ---p ");
			check(text, "page 3 must be without rights");
			must(mprotect(m + i * PAGE, PAGE, PROT_READ));
		}
		if (i == 0)
			check(strstr(zoo_smaps(m), " r--p "), "page 0 must be read only");
		if (i == 6)
			check(strstr(zoo_smaps(m + 6 * PAGE), " r-xp "), "page 6 must be r-x");
		if (i % 3 == 0)
			check_eq(zoo_first_wrong(m + i * PAGE, PAGE, (uint32_t)i), -1);
		else
			check(!memcmp(m + i * PAGE, zeros, PAGE), "page %zu is not zero", i);
	}
	check(resident(m), "page 0 is gone");
	zoo_pass();
}
