/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* One description behind many descriptors (dup, fork), two descriptions of one file: exactly as
 * they were. */
#include "zoo.h"

int main(int argc, char **argv)
{
	struct zoo_gate gate;
	int fd, twin, again;
	pid_t child;

	zoo_init(argc, argv);
	zoo_hold_result();
	fd = must(open(zoo_beside("data"), O_RDWR | O_CREAT | O_TRUNC, 0600));
	must(write(fd, "0123456789", 10));
	twin = must(fcntl(fd, F_DUPFD_CLOEXEC, 50));
	again = must(open(zoo_beside("data"), O_RDWR));
	must(lseek(fd, 1, SEEK_SET));
	must(lseek(again, 2, SEEK_SET));
	zoo_gate_make(&gate);
	child = must(fork());
	if (!child) {
		close(fd); /* the child has it under the other numbers only */
		must(dup2(again, 70));
		zoo_gate_pass(&gate);
		zoo_await_go();
		zoo_spoil(dup2(open(zoo_beside("data"), O_RDWR), twin));
		zoo_spoil(dup2(open(zoo_beside("data"), O_RDWR), 70));
		check_eq(lseek(twin, 0, SEEK_CUR), 5);
		must(lseek(twin, 7, SEEK_SET));
		must(lseek(70, 8, SEEK_SET));
		check_eq(lseek(again, 0, SEEK_CUR), 8);
		check(fcntl(fd, F_GETFD) < 0, "a descriptor that the child had closed");
		exit(0);
	}
	zoo_gate_wait(&gate, 1);

	zoo_snapshot_here();
	zoo_spoil(dup2(must(open(zoo_beside("data"), O_RDWR)), twin));
	zoo_spoil(dup2(fd, again));
	check_eq(lseek(fd, 0, SEEK_CUR), 1);
	check_eq(lseek(again, 0, SEEK_CUR), 2);
	must(lseek(twin, 5, SEEK_SET));
	check_eq(lseek(fd, 0, SEEK_CUR), 5);
	check_eq(lseek(again, 0, SEEK_CUR), 2);
	must(fcntl(fd, F_SETFL, O_APPEND));
	check(must(fcntl(twin, F_GETFL)) & O_APPEND, "flags are not shared");
	check_eq(fcntl(fd, F_GETFD), 0);
	check_eq(fcntl(twin, F_GETFD), FD_CLOEXEC);
	check(fcntl(70, F_GETFD) < 0, "a descriptor that only the child has");
	zoo_finish_child(child);
	check_eq(lseek(fd, 0, SEEK_CUR), 7);
	check_eq(lseek(again, 0, SEEK_CUR), 8);
	zoo_pass();
}
