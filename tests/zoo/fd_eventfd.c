/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* eventfd: counter, EFD_SEMAPHORE, flags; one at its limit. */
#include "zoo.h"

#include <sys/eventfd.h>

int main(int argc, char **argv)
{
	int plain, semaphore, full;
	uint64_t v;

	zoo_init(argc, argv);
	plain = must(eventfd(7, EFD_CLOEXEC));
	semaphore = must(eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK));
	full = must(eventfd(0, EFD_NONBLOCK));
	v = UINT64_MAX - 1;
	must(write(full, &v, 8));

	zoo_snapshot_here();
	zoo_spoil(v = 1; must(write(plain, &v, 8)));
	zoo_spoil(must(read(semaphore, &v, 8)));
	zoo_spoil(must(dup3(must(eventfd(3, EFD_NONBLOCK)), semaphore, 0)));
	check_eq(must(fcntl(plain, F_GETFL)) & O_NONBLOCK, 0);
	check_eq(fcntl(plain, F_GETFD), FD_CLOEXEC);
	check_eq(read(plain, &v, 8), 8);
	check_eq(v, 7);
	for (int i = 0; i < 3; i++) {
		check_eq(read(semaphore, &v, 8), 8);
		check_eq(v, 1);
	}
	must_refuse(read(semaphore, &v, 8), EAGAIN);
	v = 1;
	must_refuse(write(full, &v, 8), EAGAIN);
	check_eq(read(full, &v, 8), 8);
	check_eq(v, UINT64_MAX - 1);
	zoo_pass();
}
