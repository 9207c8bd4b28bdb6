/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* F_SETOWN, F_SETOWN_EX, F_SETSIG and O_ASYNC: the signal comes, with its number, to its owner. */
#include "zoo.h"

int main(int argc, char **argv)
{
	struct f_owner_ex owner;
	int a[2], b[2];
	sigset_t set;
	siginfo_t i;

	zoo_init(argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 4);
	sigaddset(&set, SIGIO);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	must(pipe(a));
	must(pipe(b));
	must(fcntl(a[0], F_SETOWN, -getpgrp()));
	owner = (struct f_owner_ex){F_OWNER_TID, zoo_tid()};
	must(fcntl(b[0], F_SETOWN_EX, &owner));
	must(fcntl(b[0], F_SETSIG, SIGRTMIN + 4));
	must(fcntl(b[0], F_SETFL, O_ASYNC | O_NONBLOCK));

	zoo_snapshot_here();
	zoo_spoil(must(fcntl(a[0], F_SETOWN, getpid())));
	zoo_spoil(must(fcntl(b[0], F_SETSIG, 0)));
	zoo_spoil(must(fcntl(b[0], F_SETFL, O_NONBLOCK)));
	check_eq(fcntl(a[0], F_GETOWN), -getpgrp());
	check_eq(must(fcntl(a[0], F_GETFL)) & O_ASYNC, 0);
	must(fcntl(b[0], F_GETOWN_EX, &owner));
	check_eq(owner.type, F_OWNER_TID);
	check_eq(owner.pid, zoo_tid());
	check_eq(fcntl(b[0], F_GETSIG), SIGRTMIN + 4);
	check_eq(must(fcntl(b[0], F_GETFL)) & (O_ASYNC | O_NONBLOCK), O_ASYNC | O_NONBLOCK);
	check_eq(sigtimedwait(&set, &i, &(struct timespec){0, 0}), -1);
	must(write(b[1], "x", 1));
	check_eq(sigtimedwait(&set, &i, &(struct timespec){5, 0}), SIGRTMIN + 4);
	check_eq(i.si_fd, b[0]);
	zoo_pass();
}
