/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* A private mapping of a file: changed pages are ours, the others are the file's. */
#include "zoo.h"

#define PAGES 8ul

int main(int argc, char **argv)
{
	uint8_t fresh[PAGE], *m;
	int fd;

	zoo_init(argc, argv);
	fd = must(open(zoo_beside("data"), O_RDWR | O_CREAT | O_TRUNC, 0600));
	for (uint32_t i = 0; i < PAGES; i++) {
		zoo_fill(fresh, PAGE, i);
		must(write(fd, fresh, PAGE));
	}
	m = must(mmap(NULL, (PAGES - 2) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 2 * PAGE));
	close(fd);
	zoo_fill(m + PAGE, PAGE, 100);
	memset(m + 3 * PAGE, 0, PAGE); /* a changed page that is all zero is still changed */
	must(mprotect(m + 3 * PAGE, PAGE, PROT_READ));

	zoo_snapshot_here();
	zoo_spoil(m[PAGE] ^= 1);
	zoo_spoil(must(mmap(m, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)));
	check_eq(zoo_first_wrong(m, PAGE, 2), -1);
	check_eq(zoo_first_wrong(m + PAGE, PAGE, 100), -1);
	check_eq(zoo_first_wrong(m + 2 * PAGE, PAGE, 4), -1);
	for (size_t i = 0; i < PAGE; i++)
		check(!m[3 * PAGE + i], "byte %zu of the zeroed page came from the file", i);
	check(strstr(zoo_smaps(m + 3 * PAGE), " r--p "), "page 3 must be read only");
	check_eq(zoo_first_wrong(m + 4 * PAGE, PAGE, 6), -1);
	/* The file and the mapping still belong together: an untouched page follows the file. */
	fd = must(open(zoo_beside("data"), O_RDWR));
	must(pwrite(fd, "written", 7, 7 * PAGE));
	check(!memcmp(m + 5 * PAGE, "written", 7), "an untouched page no longer is the file's");
	must(pwrite(fd, "written", 7, 3 * PAGE));
	check_eq(zoo_first_wrong(m + PAGE, PAGE, 100), -1);
	check(strstr(zoo_smaps(m), ".data"), "the mapping lost its path");
	zoo_pass();
}
