/* SPDX-License-Identifier: MIT */
/*
 * The process that stands behind a fresh terminal when the one that a program had is not there:
 * it keeps the master of the pty, and either throws away what the program writes, or carries it
 * to and from the caller's terminal.
 *
 * It ends when nobody can use the terminal any more: all slaves are closed and the session that
 * it controls, if there is one, has lost its leader. A program that closes all of its
 * descriptors of the terminal keeps it as its controlling one; to see the end of that without
 * being woken all the time by a master that says "hung up", a slave is kept open meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "kinds/kinds.h"

struct holder {
	int master;
	int terminal; /* the caller's, -1: output is thrown away */
	int resized;  /* signalfd of SIGWINCH, with a terminal */
	int slave;    /* kept open for a session without descriptors, else -1 */
	int leader;   /* pidfd of that session's leader, else -1 */
};

/* Bytes from one side to the other. Return: false at the end of @from. */
static bool carry(int from, int to)
{
	char bytes[4096];
	ssize_t n = read(from, bytes, sizeof(bytes));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (n <= 0)
		return false;
	/* A terminal that went away is no reason to stop the program. */
	if (to >= 0 && os_write_all(to, bytes, (size_t)n) < 0)
		return true;
	return true;
}

static void take_size(const struct holder *h)
{
	struct signalfd_siginfo info;
	struct winsize size;

	if (read(h->resized, &info, sizeof(info)) < 0)
		return;
	if (ioctl(h->terminal, TIOCGWINSZ, &size) == 0)
		ioctl(h->master, TIOCSWINSZ, &size);
}

/* All slaves are closed. Return: true if the terminal still controls a session. */
static bool await_leader(struct holder *h)
{
	pid_t sid;

	if (ioctl(h->master, TIOCGSID, &sid) < 0)
		return false;
	h->leader = os_pidfd_open(sid, 0);
	if (h->leader < 0)
		return false;
	h->slave = ioctl(h->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	return h->slave >= 0;
}

static void hold(struct holder *h)
{
	for (;;) {
		struct pollfd fds[] = {
			{.fd = h->master, .events = POLLIN},
			{.fd = h->terminal, .events = POLLIN},
			{.fd = h->resized, .events = POLLIN},
			{.fd = h->leader, .events = POLLIN},
		};

		if (poll(fds, ARRAY_LEN(fds), -1) < 0) {
			if (errno == EINTR)
				continue;
			return;
		}
		if (fds[2].revents & POLLIN)
			take_size(h);
		if (fds[1].revents && !carry(h->terminal, h->master)) {
			os_close(&h->terminal);
			os_close(&h->resized);
		}
		if (fds[3].revents) {
			os_close(&h->leader);
			os_close(&h->slave);
		}
		/* What was written before the last one closed comes first. */
		if (fds[0].revents & POLLIN)
			carry(h->master, h->terminal);
		else if (fds[0].revents && !await_leader(h))
			return;
	}
}

/* Only what it needs stays open: a copy of anything else would keep it alive. */
static int keep_only(int *master, int *terminal)
{
	int null = open("/dev/null", O_RDWR), top;

	/* Out of the way of the places that they go to. */
	*master = fcntl(*master, F_DUPFD, 16);
	if (*terminal >= 0)
		*terminal = fcntl(*terminal, F_DUPFD, 16);
	for (int i = 0; i < 3; i++)
		if (null < 0 || dup2(null, i) < 0)
			return -errno;
	*master = dup2(*master, 3);
	top = 4;
	if (*terminal >= 0) {
		*terminal = dup2(*terminal, 4);
		top = 5;
	}
	return close_range((unsigned)top, ~0u, 0) < 0 ? -errno : 0;
}

static void run_holder(int master, int terminal)
{
	struct holder h = {master, terminal, -1, -1, -1};
	struct termios saved, raw;
	sigset_t set;

	prctl(PR_SET_NAME, "wslx-tty");
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	sigemptyset(&set);
	if (terminal >= 0)
		sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_SETMASK, &set, NULL);
	if (keep_only(&h.master, &h.terminal) < 0)
		_exit(1);
	if (h.terminal < 0) {
		setsid();
	} else {
		h.resized = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
		tcgetattr(h.terminal, &saved);
		raw = saved;
		cfmakeraw(&raw);
		tcsetattr(h.terminal, TCSADRAIN, &raw);
	}
	terminal = h.terminal;
	hold(&h);
	if (terminal >= 0)
		tcsetattr(terminal, TCSADRAIN, &saved);
	_exit(0);
}

int tty_hold(int master, int terminal, pid_t *holder, struct err *e)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return err_set(e, -errno, "a process that keeps the terminal");
	if (!child && terminal >= 0)
		run_holder(master, terminal);
	if (!child) {
		/* Nobody waits for it: init does, when it ends. */
		child = fork();
		if (!child)
			run_holder(master, -1);
		_exit(child < 0);
	}
	if (terminal >= 0) {
		*holder = child;
		return 0;
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return err_set(e, -errno, "a process that keeps the terminal");
	return status ? err_set(e, -EAGAIN, "a process that keeps the terminal") : 0;
}
