/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* O_PATH descriptors: of a file, of a directory, of a symbolic link itself. */
#include "zoo.h"

int main(int argc, char **argv)
{
	int file, dir, link;
	char text[PATH_MAX] = "";
	struct stat st;

	zoo_init(argc, argv);
	close(must(creat(zoo_beside("f"), 0600)));
	unlink(zoo_beside("l"));
	must(symlink("/nowhere/at/all", zoo_beside("l")));
	file = must(open(zoo_beside("f"), O_PATH | O_CLOEXEC));
	dir = must(open("/proc", O_PATH | O_DIRECTORY));
	link = must(open(zoo_beside("l"), O_PATH | O_NOFOLLOW));

	zoo_snapshot_here();
	zoo_spoil(must(dup2(dir, file)));
	zoo_spoil(must(dup2(file, link)));
	zoo_spoil(close(dir); dir = must(open("/proc", O_RDONLY)));
	check(must(fcntl(file, F_GETFL)) & O_PATH, "not O_PATH any more");
	check(must(fcntl(dir, F_GETFL)) & O_PATH, "not O_PATH any more");
	check_eq(fcntl(file, F_GETFD), FD_CLOEXEC);
	must_refuse(read(file, text, 1), EBADF);
	must(fstat(file, &st));
	check(S_ISREG(st.st_mode), "mode %o", st.st_mode);
	close(must(openat(dir, "self/status", O_RDONLY)));
	must(readlinkat(link, "", text, sizeof(text) - 1));
	check_text(text, "/nowhere/at/all");
	zoo_pass();
}
