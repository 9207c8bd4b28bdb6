/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* O_TMPFILE: a file that never had a name, and may still be given one. */
#include "zoo.h"

int main(int argc, char **argv)
{
	char dir[PATH_MAX], path[64], text[32] = "";
	int fd;

	zoo_init(argc, argv);
	strcpy(dir, zoo_beside("x"));
	*strrchr(dir, '/') = 0;
	fd = must(open(dir, O_TMPFILE | O_RDWR, 0604));
	must(write(fd, "never named", 11));
	must(lseek(fd, 6, SEEK_SET));

	zoo_snapshot_here();
	zoo_spoil(must(lseek(fd, 5, SEEK_SET)));
	zoo_spoil(must(fchmod(fd, 0600)));
	check_eq(read(fd, text, 20), 5);
	check_text(text, "named");
	struct stat st;
	must(fstat(fd, &st));
	check_eq(st.st_mode & 07777, 0604);
	check_eq(st.st_nlink, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, path, AT_FDCWD, zoo_beside("named"), AT_SYMLINK_FOLLOW)) {
		/* A copy on another filesystem cannot be linked here, which O_EXCL files cannot
		 * either. */
		check(errno == EXDEV || errno == ENOENT, "linkat: %s", strerror(errno));
	} else {
		check_eq(zoo_read_file(zoo_beside("named"), text, sizeof(text)), 11);
	}
	zoo_pass();
}
