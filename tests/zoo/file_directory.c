/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* A directory in the middle of readdir: each name comes exactly once. */
#include "zoo.h"

#include <dirent.h>

#define FILES 300

int main(int argc, char **argv)
{
	char dir[PATH_MAX], seen[FILES] = {0};
	struct dirent *d;
	int fd, n, first = 0, before = 0;
	long at;
	struct {
		uint64_t ino;
		int64_t off;
		uint16_t len;
		uint8_t type;
		char name[];
	} * raw;
	char block[1024];

	zoo_init(argc, argv);
	strcpy(dir, zoo_beside("dir"));
	if (mkdir(dir, 0700) && errno != EEXIST)
		zoo_fail("mkdir: %s", strerror(errno));
	fd = must(open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	for (int i = 0; i < FILES; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		close(must(openat(fd, name, O_CREAT | O_WRONLY, 0600)));
	}
	/* The raw call, so that the position is the kernel's and not libc's buffer. */
	for (int rounds = 0; rounds < 3; rounds++) {
		at = must(syscall(SYS_getdents64, fd, block, sizeof(block)));
		for (long i = 0; i < at; i += raw->len) {
			raw = (void *)(block + i);
			if (sscanf(raw->name, "f%d", &n) == 1)
				seen[n]++, before++;
		}
	}
	first = before;

	zoo_snapshot_here();
	zoo_spoil(must(lseek(fd, 0, SEEK_SET)));
	zoo_spoil(must(lseek(fd, 0, SEEK_END)));
	check(first > 0 && first < FILES, "%d names before", first);
	while ((at = must(syscall(SYS_getdents64, fd, block, sizeof(block)))) > 0)
		for (long i = 0; i < at; i += raw->len) {
			raw = (void *)(block + i);
			if (sscanf(raw->name, "f%d", &n) == 1)
				seen[n]++;
		}
	for (int i = 0; i < FILES; i++)
		check(seen[i] == 1, "f%d came %d times", i, seen[i]);
	check_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	DIR *all = must(fdopendir(fd));
	rewinddir(all);
	for (n = 0; (d = readdir(all));)
		n++;
	check_eq(n, FILES + 2);
	zoo_pass();
}
