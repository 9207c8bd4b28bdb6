/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* signalfd: mask, flags, and a pending signal that is read with its value. */
#include "zoo.h"

#include <sys/signalfd.h>

int main(int argc, char **argv)
{
	struct signalfd_siginfo info;
	sigset_t mask;
	int fd, other;

	zoo_init(argc, argv);
	sigemptyset(&mask);
	sigaddset(&mask, SIGRTMIN + 1);
	sigaddset(&mask, SIGHUP);
	must(sigprocmask(SIG_BLOCK, &mask, NULL));
	fd = must(signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC));
	sigemptyset(&mask);
	sigaddset(&mask, SIGALRM);
	must(sigprocmask(SIG_BLOCK, &mask, NULL));
	other = must(signalfd(-1, &mask, 0));
	must(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 1234}));

	zoo_snapshot_here();
	zoo_spoil(must(signalfd(fd, &mask, 0)));
	zoo_spoil(must(read(fd, &info, sizeof(info))));
	zoo_spoil(must(dup2(fd, other)));
	check_eq(read(fd, &info, sizeof(info)), sizeof(info));
	check_eq(info.ssi_signo, SIGRTMIN + 1);
	check_eq(info.ssi_int, 1234);
	check_eq(info.ssi_pid, getpid());
	check_eq(info.ssi_code, SI_QUEUE);
	must_refuse(read(fd, &info, sizeof(info)), EAGAIN);
	must(raise(SIGALRM));
	must_refuse(read(fd, &info, sizeof(info)), EAGAIN);
	check(zoo_readable(other, 5), "SIGALRM does not make the other ready");
	check_eq(read(other, &info, sizeof(info)), sizeof(info));
	check_eq(info.ssi_signo, SIGALRM);
	must(raise(SIGHUP));
	check_eq(read(fd, &info, sizeof(info)), sizeof(info));
	check_eq(info.ssi_signo, SIGHUP);
	check_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	zoo_pass();
}
