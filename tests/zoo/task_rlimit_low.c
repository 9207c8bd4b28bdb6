/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Limits that are already exceeded: fewer descriptors than are open, more locked than allowed. */
#include "zoo.h"

#include <sys/resource.h>

int main(int argc, char **argv)
{
	struct rlimit files = {4, 4}, size = {0, 0}, now;
	int fd;

	zoo_init(argc, argv);
	zoo_hold_result();
	fd = must(fcntl(0, F_DUPFD, 200));
	uint8_t *m = must(
		mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	zoo_fill(m, PAGE, 1);
	must(mlock(m, 2 * PAGE));
	must(setrlimit(RLIMIT_NOFILE, &files));
	must(setrlimit(RLIMIT_SIGPENDING, &size));
	must(setrlimit(RLIMIT_NPROC, &size));
	must(setrlimit(RLIMIT_MEMLOCK, &size));

	zoo_snapshot_here();
	zoo_spoil(m[1]++);
	zoo_spoil(close(fd));
	must(getrlimit(RLIMIT_NOFILE, &now));
	check_eq(now.rlim_cur, 4);
	check(zoo_vma_has(m, "lo"), "it is not locked any more");
	check_eq(fcntl(fd, F_GETFD), 0);
	check_eq(zoo_first_wrong(m, PAGE, 1), -1);
	must_refuse(dup2(0, 5), EBADF);
	zoo_pass();
}
