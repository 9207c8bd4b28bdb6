/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore needs=root unprivileged=no */
/* A child below a chroot, with a file of it open. */
#include "zoo.h"

int main(int argc, char **argv)
{
	char dir[PATH_MAX], path[PATH_MAX], link[PATH_MAX] = "", inside[PATH_MAX + 8];
	struct zoo_gate gate;
	pid_t child;
	int fd;

	zoo_init(argc, argv);
	zoo_hold_result();
	strcpy(dir, zoo_beside("root"));
	if (mkdir(dir, 0755) && errno != EEXIST)
		zoo_fail("mkdir: %s", strerror(errno));
	zoo_gate_make(&gate);
	child = must(fork());
	if (!child) {
		char c;

		must(chroot(dir));
		must(chdir("/"));
		fd = must(open("/file", O_RDWR | O_CREAT | O_TRUNC, 0600));
		must(write(fd, "ab", 2));
		must(lseek(fd, 1, SEEK_SET));
		zoo_gate_pass(&gate);
		zoo_await_go();
		zoo_spoil(must(lseek(fd, 0, SEEK_SET)));
		check_eq(read(fd, &c, 1), 1);
		check_eq(c, 'b');
		check(access("/proc", F_OK), "the root is the host's");
		check_eq(access("/file", F_OK), 0);
		_exit(0);
	}
	zoo_gate_wait(&gate, 1);

	zoo_snapshot_here();
	zoo_spoil(strcat(dir, "/"));
	snprintf(path, sizeof(path), "/proc/%d/root", child);
	must(readlink(path, link, sizeof(link) - 1));
	check_text(link, dir);
	snprintf(inside, sizeof(inside), "%s/file", dir);
	check_eq(access(inside, F_OK), 0);
	zoo_finish_child(child);
	zoo_pass();
}
