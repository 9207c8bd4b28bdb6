/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* A session below us on a pty of ours: its controlling terminal, /dev/tty, foreground group, ^C and
 * hangup. */
#include "zoo.h"

#include <sys/ioctl.h>
#include <termios.h>

static volatile int interrupted;

static void on_signal(int sig)
{
	interrupted = sig;
}

/* The shell's part: leader of a session on the terminal, with a job in the foreground. */
static void leader(const char *name, struct zoo_gate *gate)
{
	int slave, tty, status;
	pid_t job;

	must(setsid());
	slave = must(open(name, O_RDWR)); /* becomes the controlling terminal */
	tty = must(open("/dev/tty", O_RDWR));
	signal(SIGTTOU, SIG_IGN);
	job = must(fork());
	if (!job) {
		sigset_t all_but_int;

		must(setpgid(0, 0));
		must(sigaction(SIGINT, &(struct sigaction){.sa_handler = on_signal}, NULL));
		sigfillset(&all_but_int);
		sigdelset(&all_but_int, SIGINT);
		must(tcsetpgrp(tty, getpgrp()));
		zoo_gate_pass(gate);
		sigsuspend(&all_but_int);
		if (tcgetpgrp(slave) != getpgrp())
			_exit(1);
		_exit(interrupted == SIGINT ? 0 : 2);
	}
	zoo_gate_pass(gate);
	zoo_await_go();
	zoo_spoil(must(tcsetpgrp(slave, getpgrp())));
	zoo_spoil(must(ioctl(tty, TIOCNOTTY)));
	check_eq(tcgetsid(slave), getpid());
	check_eq(tcgetpgrp(tty), job);
	must(write(tty, "type", 4)); /* the other side now types ^C */
	check_eq(waitpid(job, &status, 0), job);
	check_eq(status, 0);
	must(tcsetpgrp(tty, getpgrp()));
	close(must(open("/dev/tty", O_RDWR)));
	signal(SIGHUP, SIG_IGN);
	_exit(0);
}

int main(int argc, char **argv)
{
	struct zoo_gate gate;
	char name[64], text[8];
	int master, status;
	pid_t child;

	zoo_init(argc, argv);
	master = must(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
	must(grantpt(master));
	must(unlockpt(master));
	must_zero(ptsname_r(master, name, sizeof(name)));
	zoo_gate_make(&gate);
	child = must(fork());
	if (!child)
		leader(name, &gate);
	zoo_gate_wait(&gate, 2);

	zoo_snapshot_here();
	zoo_spoil(must(kill(child, SIGKILL)));
	must(kill(child, SIGUSR1));
	check(zoo_readable(master, 10), "the leader does not write");
	check_eq(read(master, text, 8), 4);
	must(write(master, "\003", 1));
	check_eq(waitpid(child, &status, 0), child);
	check_eq(status, 0);
	zoo_pass();
}
