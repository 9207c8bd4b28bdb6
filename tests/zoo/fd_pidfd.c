/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* pidfds: of the process itself, of a child, and of a child that is a zombie. */
#include "zoo.h"

static long pidfd_signal(int fd, int sig)
{
	return syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0);
}

static int pid_of(int fd)
{
	char path[64], text[512], *line;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	must(zoo_read_file(path, text, sizeof(text)));
	line = strstr(text, "Pid:");
	return line ? atoi(line + 4) : -2;
}

int main(int argc, char **argv)
{
	int self, child_fd, zombie_fd;
	pid_t child, zombie;
	siginfo_t info;

	zoo_init(argc, argv);
	child = must(fork());
	if (!child) {
		zoo_await_go();
		_exit(7);
	}
	zombie = must(fork());
	if (!zombie)
		_exit(9);
	must(waitid(P_PID, (id_t)zombie, &info, WEXITED | WNOWAIT));
	self = must((int)syscall(SYS_pidfd_open, getpid(), 0));
	child_fd = must((int)syscall(SYS_pidfd_open, child, O_NONBLOCK));
	zombie_fd = must((int)syscall(SYS_pidfd_open, zombie, 0));

	zoo_snapshot_here();
	zoo_spoil(must(dup2(self, child_fd)));
	zoo_spoil(must(fcntl(child_fd, F_SETFL, 0)));
	zoo_spoil(waitpid(zombie, NULL, 0));
	check_eq(pid_of(self), getpid());
	check_eq(pid_of(child_fd), child);
	check_eq(pid_of(zombie_fd), zombie);
	check(must(fcntl(child_fd, F_GETFL)) & O_NONBLOCK, "O_NONBLOCK was lost");
	must(pidfd_signal(self, 0));
	check(!zoo_readable(child_fd, 0), "the child's pidfd says that it ended");
	check(zoo_readable(zombie_fd, 0), "the zombie's pidfd says that it lives");
	must(pidfd_signal(child_fd, SIGUSR1));
	check(zoo_readable(child_fd, 5), "no end of the child seen");
	must(waitid(P_PIDFD, (id_t)child_fd, &info, WEXITED));
	check_eq(info.si_status, 7);
	must(waitid(P_PIDFD, (id_t)zombie_fd, &info, WEXITED));
	check_eq(info.si_status, 9);
	zoo_pass();
}
