/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle hidden=yes */
/* A directory that is watched with F_NOTIFY. */
#include "zoo.h"

int main(int argc, char **argv)
{
	char dir[PATH_MAX + 8];
	sigset_t told;
	siginfo_t info;
	int fd;

	zoo_init(argc, argv);
	snprintf(dir, sizeof(dir), "%s.dir", zoo_path);
	must(mkdir(dir, 0755));
	sigemptyset(&told);
	sigaddset(&told, SIGRTMIN);
	must(sigprocmask(SIG_BLOCK, &told, NULL));
	fd = must(open(dir, O_RDONLY | O_DIRECTORY));
	must(fcntl(fd, F_SETSIG, SIGRTMIN));
	if (fcntl(fd, F_NOTIFY, DN_CREATE | DN_MULTISHOT))
		zoo_skip("F_NOTIFY: %s", strerror(errno));

	zoo_snapshot_here();
	zoo_spoil(must(fcntl(fd, F_NOTIFY, 0)));
	close(must(openat(fd, "new", O_WRONLY | O_CREAT, 0644)));
	check_eq(sigtimedwait(&told, &info, &(struct timespec){5, 0}), SIGRTMIN);
	check_eq(info.si_fd, fd);
	zoo_pass();
}
