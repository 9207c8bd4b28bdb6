/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* A thousand descriptors over a few kinds, with gaps between. */
#include "zoo.h"

#include <sys/eventfd.h>

#define COUNT 1000

int main(int argc, char **argv)
{
	uint64_t v;
	int fds[COUNT];

	zoo_init(argc, argv);
	for (int i = 0; i < COUNT; i++) {
		int fd = i % 3 == 0   ? must(open("/proc/version", O_RDONLY))
		         : i % 3 == 1 ? must(eventfd((unsigned int)i, EFD_NONBLOCK))
		                      : must(open(zoo_beside("data"), O_RDWR | O_CREAT, 0600));

		if (i % 3 == 2)
			must(lseek(fd, i, SEEK_SET));
		fds[i] = must(fcntl(fd, F_DUPFD, 10 + i * 2));
		close(fd);
	}

	zoo_snapshot_here();
	zoo_spoil(must(lseek(fds[500], 1, SEEK_SET)));
	zoo_spoil(must(close(fds[999])));
	zoo_spoil(must(read(fds[301], &v, 8)));
	for (int i = 0; i < COUNT; i++) {
		if (i % 3 == 2)
			check_eq(lseek(fds[i], 0, SEEK_CUR), i);
		if (i % 3 == 1) {
			check_eq(read(fds[i], &v, 8), 8);
			check_eq(v, i);
		}
		check_eq(fcntl(fds[i], F_GETFD), 0);
	}
	zoo_pass();
}
