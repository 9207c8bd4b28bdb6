/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore unprivileged=obstacle */
/* memfd: name, content, size, seals, and that a mapping and the descriptor are one file. */
#include "zoo.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif

int main(int argc, char **argv)
{
	char link[100] = "", path[64];
	uint8_t *m, *private;
	int fd, sealed, closed;
	struct stat st;

	zoo_init(argc, argv);
	fd = must(memfd_create("zoo memory", MFD_ALLOW_SEALING | MFD_CLOEXEC));
	must_zero(ftruncate(fd, 5 * PAGE + 100));
	m = must(mmap(NULL, 5 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	zoo_fill(m, 3 * PAGE, 1);
	private = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, PAGE));
	private[0] = 0xee;
	must(lseek(fd, 123, SEEK_SET));
	sealed = must(memfd_create("sealed", MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL));
	must(write(sealed, "constant", 8));
	must(fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL));
	closed = must(memfd_create("mapped only", 0));
	must_zero(ftruncate(closed, PAGE));
	uint8_t *lone = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, closed, 0));
	zoo_fill(lone, PAGE, 2);
	must(close(closed));

	zoo_snapshot_here();
	zoo_spoil(m[PAGE] ^= 1);
	zoo_spoil(must_zero(ftruncate(fd, 5 * PAGE)));
	zoo_spoil(lone[9]++);
	check_eq(lseek(fd, 0, SEEK_CUR), 123);
	must(fstat(fd, &st));
	check_eq(st.st_size, 5 * PAGE + 100);
	check_eq(zoo_first_wrong(m, 3 * PAGE, 1), -1);
	check_eq(private[0], 0xee);
	must(pwrite(fd, "!", 1, 4 * PAGE));
	check_eq(m[4 * PAGE], '!');
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	must(readlink(path, link, sizeof(link) - 1));
	check_text(link, "/memfd:zoo memory (deleted)");
	check_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	check_eq(fcntl(fd, F_GET_SEALS), 0);
	check_eq(fcntl(sealed, F_GETFD), 0);
	check_eq(fcntl(sealed, F_GET_SEALS),
	         F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL | F_SEAL_EXEC);
	must_refuse(pwrite(sealed, "x", 1, 0), EPERM);
	check_eq(pread(sealed, link, 100, 0), 8);
	check(!memcmp(link, "constant", 8), "content of the sealed file");
	check_eq(zoo_first_wrong(lone, PAGE, 2), -1);
	zoo_pass();
}
