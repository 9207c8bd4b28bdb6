/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Files of the namespaces that the program is in: they are those that it is in afterwards. */
#include "zoo.h"

static const char *const names[] = {"net", "uts", "pid", "mnt"};

static void must_be_ours(int fd, const char *name)
{
	char path[64];
	struct stat its, ours;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	must(fstat(fd, &its));
	must(stat(path, &ours));
	check(its.st_ino == ours.st_ino && its.st_dev == ours.st_dev, "%s: another one", name);
}

int main(int argc, char **argv)
{
	int fds[ZOO_LEN(names)];

	zoo_init(argc, argv);
	for (size_t i = 0; i < ZOO_LEN(names); i++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		fds[i] = must(open(path, O_RDONLY | O_CLOEXEC));
	}

	zoo_snapshot_here();
	zoo_spoil(must(dup2(fds[0], fds[1])));
	for (size_t i = 0; i < ZOO_LEN(names); i++)
		must_be_ours(fds[i], names[i]);
	check_eq(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	zoo_pass();
}
