/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Stateless devices: null, zero, full, random, urandom. */
#include "zoo.h"

int main(int argc, char **argv)
{
	int null, zero, full, random, urandom;
	uint8_t a[32], b[32];

	zoo_init(argc, argv);
	null = must(open("/dev/null", O_WRONLY | O_CLOEXEC));
	zero = must(open("/dev/zero", O_RDWR));
	full = must(open("/dev/full", O_RDWR));
	random = must(open("/dev/random", O_RDONLY | O_NONBLOCK));
	urandom = must(open("/dev/urandom", O_RDONLY));
	uint8_t *m = must(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0));
	uint8_t *s = must(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, zero, 0));
	zoo_fill(m, PAGE, 1);
	zoo_fill(s, PAGE, 2);

	zoo_snapshot_here();
	zoo_spoil(must(dup2(zero, full)));
	zoo_spoil(must(dup2(zero, urandom)));
	zoo_spoil(must(dup2(full, null)));
	zoo_spoil(s[0]++);
	check_eq(write(null, "x", 1), 1);
	must_refuse(read(null, a, 1), EBADF);
	check_eq(fcntl(null, F_GETFD), FD_CLOEXEC);
	memset(a, 1, sizeof(a));
	check_eq(read(zero, a, sizeof(a)), sizeof(a));
	memset(b, 0, sizeof(b));
	check(!memcmp(a, b, sizeof(a)), "/dev/zero");
	must_refuse(write(full, "x", 1), ENOSPC);
	check_eq(read(random, a, sizeof(a)), sizeof(a));
	check_eq(read(urandom, b, sizeof(b)), sizeof(b));
	check(memcmp(a, b, sizeof(a)), "random bytes repeat");
	memset(a, 0, sizeof(a));
	check(memcmp(a, b, sizeof(a)), "random bytes are zero");
	check(must(fcntl(random, F_GETFL)) & O_NONBLOCK, "O_NONBLOCK was lost");
	check_eq(zoo_first_wrong(m, PAGE, 1), -1);
	check_eq(zoo_first_wrong(s, PAGE, 2), -1);
	check_eq(m[PAGE] | s[PAGE], 0);
	zoo_pass();
}
