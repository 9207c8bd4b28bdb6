/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Two thousand small mappings with different rights, none merged, none lost. */
#include "zoo.h"

#define AREAS 2000ul

static int count_maps(void)
{
	FILE *f = must(fopen("/proc/self/maps", "re"));
	int lines = 0, c;

	while ((c = getc(f)) != EOF)
		lines += c == '\n';
	fclose(f);
	return lines;
}

int main(int argc, char **argv)
{
	uint8_t *m;
	int before;

	zoo_init(argc, argv);
	m = must(mmap(NULL, AREAS * 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	              -1, 0));
	for (size_t i = 0; i < AREAS; i++) {
		zoo_fill(m + i * 2 * PAGE, PAGE, (uint32_t)i);
		must(mprotect(m + i * 2 * PAGE, PAGE, i % 2 ? PROT_READ : PROT_READ | PROT_EXEC));
		if (i % 5 == 0)
			must(munmap(m + i * 2 * PAGE + PAGE, PAGE));
	}
	count_maps();
	before = count_maps();

	zoo_snapshot_here();
	zoo_spoil(must(mprotect(m + 1000 * 2 * PAGE, PAGE, PROT_READ | PROT_WRITE)));
	zoo_spoil(must(munmap(m + 777 * 2 * PAGE + PAGE, PAGE)));
	zoo_spoil(must(mmap(NULL, PAGE, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)));
	check_eq(count_maps(), before);
	for (size_t i = 0; i < AREAS; i++) {
		const char *text;

		check_eq(zoo_first_wrong(m + i * 2 * PAGE, PAGE, (uint32_t)i), -1);
		if (i % 50)
			continue;
		text = zoo_smaps(m + i * 2 * PAGE);
		check(strstr(text, i % 2 ? " r--p " : " r-xp "), "area %zu: %s", i, text);
	}
	for (size_t i = 0; i < AREAS; i++) {
		unsigned char in;
		int r = mincore(m + i * 2 * PAGE + PAGE, PAGE, &in);

		check(!!r == (i % 5 == 0), "the hole after area %zu", i);
	}
	zoo_pass();
}
