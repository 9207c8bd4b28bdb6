/* SPDX-License-Identifier: MIT */
/* zoo: expect=either */
/* A file lease: restored, or refused by name. */
#include "zoo.h"

int main(int argc, char **argv)
{
	sigset_t set;
	int fd;

	zoo_init(argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	fd = must(open(zoo_beside("f"), O_RDONLY | O_CREAT, 0600));
	must(fcntl(fd, F_SETLEASE, F_RDLCK));

	zoo_snapshot_here();
	zoo_spoil(must(fcntl(fd, F_SETLEASE, F_UNLCK)));
	check_eq(fcntl(fd, F_GETLEASE), F_RDLCK);
	must_refuse(open(zoo_beside("f"), O_WRONLY | O_NONBLOCK), EWOULDBLOCK);
	check_eq(sigtimedwait(&set, NULL, &(struct timespec){5, 0}), SIGIO);
	zoo_pass();
}
