/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* A shared mapping of a file: writes go to the file, before and after. */
#include "zoo.h"

int main(int argc, char **argv)
{
	uint8_t *m, *read_only, page[PAGE];
	int fd;

	zoo_init(argc, argv);
	fd = must(open(zoo_beside("data"), O_RDWR | O_CREAT | O_TRUNC, 0600));
	must_zero(ftruncate(fd, 5 * PAGE));
	m = must(mmap(NULL, 5 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	zoo_fill(m, 5 * PAGE, 9);
	close(fd);
	fd = must(open(zoo_beside("data"), O_RDONLY));
	read_only = must(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, PAGE));

	zoo_snapshot_here();
	zoo_spoil(must(mmap(m, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0)));
	zoo_spoil(m[PAGE]++);
	check_eq(zoo_first_wrong(m, 5 * PAGE, 9), -1);
	m[7] = 'Q';
	check_eq(pread(fd, page, PAGE, 0), PAGE);
	check_eq(page[7], 'Q');
	m[PAGE + 1] = 'R';
	check_eq(read_only[1], 'R');
	must_refuse(mprotect(read_only, PAGE, PROT_READ | PROT_WRITE), EACCES);
	zoo_pass();
}
