/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle */
/* Secret memory: the kernel lets nobody else read it, so nobody can dump it. */
#include "zoo.h"

int main(int argc, char **argv)
{
	uint8_t *m;
	int fd;

	zoo_init(argc, argv);
	fd = (int)syscall(SYS_memfd_secret, 0);
	if (fd < 0)
		zoo_skip("memfd_secret: %s", strerror(errno));
	must_zero(ftruncate(fd, 2 * PAGE));
	m = must(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	zoo_fill(m, 2 * PAGE, 1);

	zoo_snapshot_here();
	zoo_spoil(m[PAGE]++);
	check_eq(zoo_first_wrong(m, 2 * PAGE, 1), -1);
	zoo_pass();
}
