/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle needs=root unprivileged=no */
/* A userfaultfd with a registered range. */
#include "zoo.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

int main(int argc, char **argv)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range;
	uint8_t *m, page[PAGE];
	struct uffdio_copy copy;
	int fd;

	zoo_init(argc, argv);
	fd = (int)syscall(SYS_userfaultfd, O_NONBLOCK);
	if (fd < 0)
		zoo_skip("userfaultfd: %s", strerror(errno));
	must(ioctl(fd, UFFDIO_API, &api));
	m = must(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	range = (struct uffdio_register){.range = {(uintptr_t)m, 4 * PAGE},
	                                 .mode = UFFDIO_REGISTER_MODE_MISSING};
	must(ioctl(fd, UFFDIO_REGISTER, &range));

	zoo_snapshot_here();
	zoo_spoil(must(ioctl(fd, UFFDIO_UNREGISTER, &range.range)));
	check(zoo_vma_has(m, "um"), "the range is not registered any more");
	zoo_fill(page, PAGE, 1);
	copy = (struct uffdio_copy){.dst = (uintptr_t)m, .src = (uintptr_t)page, .len = PAGE};
	must(ioctl(fd, UFFDIO_COPY, &copy));
	check_eq(zoo_first_wrong(m, PAGE, 1), -1);
	zoo_pass();
}
