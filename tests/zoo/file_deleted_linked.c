/* SPDX-License-Identifier: MIT */
/* zoo: expect=either hidden=yes */
/* A file whose opened name is gone while another hard link exists: writes must reach that link. */
#include "zoo.h"

int main(int argc, char **argv)
{
	char other[PATH_MAX + 16], text[16] = "";
	struct stat a, b;
	int fd;

	zoo_init(argc, argv);
	snprintf(other, sizeof(other), "%s.other", zoo_path);
	fd = must(open(zoo_beside("first"), O_RDWR | O_CREAT | O_TRUNC, 0600));
	must(write(fd, "0123456789", 10));
	unlink(other);
	must(link(zoo_beside("first"), other));
	must(unlink(zoo_beside("first")));

	zoo_snapshot_here();
	zoo_spoil(must(unlink(other)); close(must(creat(other, 0600))));
	zoo_spoil(must(lseek(fd, 0, SEEK_SET)));
	check_eq(lseek(fd, 0, SEEK_CUR), 10);
	must(write(fd, "after", 5));
	must(fstat(fd, &a));
	must(stat(other, &b));
	check(a.st_ino == b.st_ino && a.st_dev == b.st_dev, "the descriptor is of another file");
	check_eq(a.st_nlink, 1);
	check(zoo_read_file(other, text, sizeof(text)) == 15 && !strcmp(text, "0123456789after"),
	      "%s", text);
	check(access(zoo_beside("first"), F_OK), "the deleted name is back");
	zoo_pass();
}
