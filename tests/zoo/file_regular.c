/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Regular files: offset, access mode, status flags, close-on-exec, the descriptor's own number. */
#include "zoo.h"

static const struct {
	int flags, number, cloexec;
	off_t offset;
} files[] = {
	{O_RDONLY, 10, 0, 5},
	{O_WRONLY, 12, FD_CLOEXEC, 17},
	{O_RDWR | O_APPEND, 600, 0, 3},
	{O_RDWR | O_NONBLOCK | O_NOATIME, 33, 0, 100000000000},
	{O_RDWR | O_DSYNC, 34, FD_CLOEXEC, 0},
	{O_RDWR | O_SYNC | O_DIRECT, 35, 0, 4096},
};

int main(int argc, char **argv)
{
	const int settable = O_APPEND | O_NONBLOCK | O_NOATIME | O_DIRECT;
	char c;

	zoo_init(argc, argv);
	zoo_hold_result();
	for (size_t i = 0; i < ZOO_LEN(files); i++) {
		int fd = must(open(zoo_beside("data"), O_CREAT | files[i].flags, 0644));

		must(dup3(fd, files[i].number, files[i].cloexec ? O_CLOEXEC : 0));
		close(fd);
		must(lseek(files[i].number, files[i].offset, SEEK_SET));
	}
	must(pwrite(12, "abcdefghij", 10, 0));

	zoo_snapshot_here();
	zoo_spoil(must(lseek(10, 6, SEEK_SET)));
	zoo_spoil(must(fcntl(600, F_SETFL, 0)));
	zoo_spoil(must(fcntl(12, F_SETFD, 0)));
	zoo_spoil(must(dup2(12, 10)));
	zoo_spoil(must(close(35)));
	zoo_spoil(must(dup(1)));
	for (size_t i = 0; i < ZOO_LEN(files); i++) {
		int got = must(fcntl(files[i].number, F_GETFL));

		check_eq(got & (settable | O_ACCMODE), files[i].flags & (settable | O_ACCMODE));
		check_eq(got & O_SYNC, files[i].flags & O_SYNC);
		check_eq(fcntl(files[i].number, F_GETFD), files[i].cloexec);
		check_eq(lseek(files[i].number, 0, SEEK_CUR), files[i].offset);
	}
	for (int fd = 3; fd < 700; fd++) {
		bool ours = fd == zoo_held;

		for (size_t i = 0; i < ZOO_LEN(files); i++)
			ours |= fd == files[i].number;
		check((fcntl(fd, F_GETFD) >= 0) == ours, "descriptor %d", fd);
	}
	must(read(10, &c, 1));
	check_eq(c, 'f');
	must(write(600, "END", 3));
	check_eq(lseek(600, 0, SEEK_CUR), 13); /* O_APPEND moved it to the end */
	must_refuse(write(10, "x", 1), EBADF);
	zoo_pass();
}
