/* SPDX-License-Identifier: MIT */
/* zoo: expect=either hidden=yes */
/* A working directory that was removed, and a descriptor of a removed directory. */
#include "zoo.h"

int main(int argc, char **argv)
{
	char link[PATH_MAX] = "";
	struct stat st;
	int fd;

	zoo_init(argc, argv);
	rmdir(zoo_beside("gone"));
	must(mkdir(zoo_beside("gone"), 0700));
	must(chdir(zoo_beside("gone")));
	fd = must(open(".", O_RDONLY | O_DIRECTORY));
	must(rmdir(zoo_beside("gone")));

	zoo_snapshot_here();
	zoo_spoil(must(chdir("/")));
	must_refuse(creat("x", 0600), ENOENT);
	must(readlink("/proc/self/cwd", link, sizeof(link) - 1));
	check(strstr(link, " (deleted)"), "cwd is %s", link);
	must(fstat(fd, &st));
	check_eq(st.st_nlink, 0);
	check(access(zoo_beside("gone"), F_OK), "the removed directory is back");
	zoo_pass();
}
