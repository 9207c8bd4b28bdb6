/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* POSIX record locks of two processes on one file, and open-file-description locks. */
#include "zoo.h"

static int set(int fd, int command, short type, off_t start, off_t len)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

	return fcntl(fd, command, &l);
}

static struct flock who(int fd, int command, off_t start)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = 1};

	must(fcntl(fd, command, &l));
	return l;
}

int main(int argc, char **argv)
{
	struct zoo_gate gate;
	pid_t child, parent = getpid();
	struct flock l;
	int fd, ofd;

	zoo_init(argc, argv);
	fd = must(open(zoo_beside("f"), O_RDWR | O_CREAT, 0600));
	must(set(fd, F_SETLK, F_WRLCK, 10, 5));
	must(set(fd, F_SETLK, F_RDLCK, 100, 0)); /* to the end, wherever that is */
	zoo_gate_make(&gate);
	child = must(fork());
	if (!child) {
		must(set(fd, F_SETLK, F_WRLCK, 50, 10));
		zoo_gate_pass(&gate);
		zoo_await_go();
		zoo_spoil(must(set(fd, F_SETLK, F_UNLCK, 50, 10)); _exit(5));
		l = who(fd, F_GETLK, 12);
		check_eq(l.l_type, F_WRLCK);
		check_eq(l.l_pid, parent);
		check_eq(l.l_start, 10);
		check_eq(l.l_len, 5);
		must_refuse(set(fd, F_SETLK, F_RDLCK, 14, 1), EAGAIN);
		must(set(fd, F_SETLK, F_RDLCK, 15, 1));
		l = who(fd, F_GETLK, 1000000);
		check_eq(l.l_type, F_RDLCK);
		check_eq(l.l_start, 100);
		check_eq(l.l_len, 0);
		l = who(fd, F_GETLK, 61);
		check_eq(l.l_type, F_UNLCK);
		_exit(0);
	}
	zoo_gate_wait(&gate, 1);
	ofd = must(open(zoo_beside("g"), O_RDWR | O_CREAT, 0600));
	must(set(ofd, F_OFD_SETLK, F_WRLCK, 5, 3));

	zoo_snapshot_here();
	zoo_spoil(must(set(fd, F_SETLK, F_UNLCK, 0, 0)));
	zoo_spoil(must(set(ofd, F_OFD_SETLK, F_UNLCK, 7, 1)));
	l = who(fd, F_GETLK, 55);
	check_eq(l.l_type, F_WRLCK);
	check_eq(l.l_pid, child);
	check_eq(l.l_len, 10);
	l = who(fd, F_GETLK, 60);
	check_eq(l.l_type, F_UNLCK);
	zoo_finish_child(child);
	l = who(fd, F_GETLK, 55);
	check_eq(l.l_type, F_UNLCK);
	int probe = must(open(zoo_beside("g"), O_RDWR));
	must_refuse(set(probe, F_OFD_SETLK, F_RDLCK, 7, 1), EAGAIN);
	must(set(probe, F_OFD_SETLK, F_RDLCK, 8, 1));
	l = who(probe, F_OFD_GETLK, 6);
	check_eq(l.l_pid, -1);
	check_eq(l.l_start, 5);
	close(ofd);
	must(set(probe, F_OFD_SETLK, F_WRLCK, 5, 3));
	zoo_pass();
}
