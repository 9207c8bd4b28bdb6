/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Pending signals whose siginfo comes from the kernel: a fault's address, a timer's id, a child's
 * end. */
#include "zoo.h"

int main(int argc, char **argv)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1};
	struct timespec none = {0};
	sigset_t set;
	siginfo_t i;
	pid_t child;
	timer_t id;
	int p[2];

	zoo_init(argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGIO);
	sigaddset(&set, SIGRTMIN + 2);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	ev.sigev_value.sival_ptr = &set;
	must(timer_create(CLOCK_MONOTONIC, &ev, &id));
	must(timer_settime(id, 0, &(struct itimerspec){.it_value.tv_nsec = 1}, NULL));
	child = must(fork());
	if (!child)
		_exit(11);
	must(waitid(P_PID, (id_t)child, &i, WEXITED | WNOWAIT));
	/* A descriptor's event, with the descriptor's number. */
	must(pipe(p));
	must(fcntl(p[0], F_SETSIG, SIGRTMIN + 2));
	must(fcntl(p[0], F_SETOWN, getpid()));
	must(fcntl(p[0], F_SETFL, O_ASYNC));
	must(write(p[1], "x", 1));

	zoo_snapshot_here();
	zoo_spoil(sigtimedwait(&set, NULL, &none));
	zoo_spoil(must(raise(SIGRTMIN + 1)));
	memset(&i, 0, sizeof(i));
	check_eq(sigtimedwait(&set, &i, &none), SIGCHLD);
	check_eq(i.si_code, CLD_EXITED);
	check_eq(i.si_pid, child);
	check_eq(i.si_status, 11);
	memset(&i, 0, sizeof(i));
	check_eq(sigtimedwait(&set, &i, &none), SIGRTMIN + 1);
	check_eq(i.si_code, SI_TIMER);
	check(i.si_ptr == &set, "the timer's value was lost");
	check_eq(i.si_overrun, 0);
	memset(&i, 0, sizeof(i));
	check_eq(sigtimedwait(&set, &i, &none), SIGRTMIN + 2);
	check_eq(i.si_code, POLL_IN);
	check_eq(i.si_fd, p[0]);
	check_eq(sigtimedwait(&set, &i, &none), -1);
	zoo_pass();
}
