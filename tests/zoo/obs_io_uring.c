/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle */
/* io_uring. */
#include "zoo.h"

#include <linux/io_uring.h>

int main(int argc, char **argv)
{
	struct io_uring_params p = {0};
	int fd;

	zoo_init(argc, argv);
	fd = (int)syscall(SYS_io_uring_setup, 4, &p);
	if (fd < 0)
		zoo_skip("io_uring_setup: %s", strerror(errno));
	uint32_t *ring = must(mmap(NULL, p.sq_off.array + 4 * p.sq_entries, PROT_READ | PROT_WRITE,
	                           MAP_SHARED, fd, IORING_OFF_SQ_RING));

	zoo_snapshot_here();
	zoo_spoil(close(fd));
	check_eq(ring[p.sq_off.ring_entries / 4], p.sq_entries);
	check_eq(syscall(SYS_io_uring_enter, fd, 0, 0, 0, NULL, 0), 0);
	zoo_pass();
}
