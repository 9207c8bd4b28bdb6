/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/*
 * SIGTRAP, which a breakpoint raises too: ignored, and pending with its siginfo, for the process
 * and for a thread.
 */
#include "zoo.h"

static void queue(pid_t tid, int value)
{
	siginfo_t i = {.si_signo = SIGTRAP, .si_code = SI_QUEUE};

	i.si_pid = getpid();
	i.si_uid = getuid();
	i.si_int = value;
	if (tid)
		must(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, SIGTRAP, &i));
	else
		must(syscall(SYS_rt_sigqueueinfo, getpid(), SIGTRAP, &i));
}

static void take(const sigset_t *set, int want_value)
{
	siginfo_t i = {0};
	int sig = sigtimedwait(set, &i, &(struct timespec){0, 0});

	check(sig == (want_value ? SIGTRAP : -1), "signal %d", sig);
	check(sig < 0 || (i.si_code == SI_QUEUE && i.si_int == want_value),
	      "code %d, value %d, want %d", i.si_code, i.si_int, want_value);
}

int main(int argc, char **argv)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, now;
	sigset_t set;

	zoo_init(argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGTRAP);
	must(sigaction(SIGTRAP, &ignore, NULL));
	must(sigprocmask(SIG_BLOCK, &set, NULL)); /* what is blocked is kept, ignored or not */
	queue(0, 1);
	queue(zoo_tid(), 2);

	zoo_snapshot_here();
	zoo_spoil(signal(SIGTRAP, SIG_DFL));
	zoo_spoil(sigtimedwait(&set, NULL, &(struct timespec){0, 0}));
	must(sigaction(SIGTRAP, NULL, &now));
	check(now.sa_handler == SIG_IGN, "SIGTRAP is not ignored any more");
	take(&set, 2);
	take(&set, 1);
	take(&set, 0);
	zoo_pass();
}
