/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/*
 * SIGTRAP, which a breakpoint raises too, pending for a thread that is not the first one: ignored in
 * the first process, with a handler in its child.
 */
#include "second-thread.h"

static sigset_t set;
static volatile sig_atomic_t handled;

static void count(int sig)
{
	handled = sig;
}

static void send(int sig, int value)
{
	siginfo_t i = {.si_signo = sig, .si_code = SI_QUEUE};

	i.si_pid = getpid();
	i.si_uid = getuid();
	i.si_int = value;
	must(syscall(SYS_rt_tgsigqueueinfo, getpid(), zoo_tid(), sig, &i));
}

static void take(int want_sig, int want_value)
{
	siginfo_t i = {0};
	int sig = sigtimedwait(&set, &i, &(struct timespec){0, 0});

	check_eq(sig, want_sig);
	check(sig < 0 || (i.si_code == SI_QUEUE && i.si_int == want_value),
	      "code %d, value %d, want %d", i.si_code, i.si_int, want_value);
}

static void send_both(void)
{
	send(SIGUSR2, getpid());
	send(SIGTRAP, getpid() + 1);
}

static void take_both(void)
{
	zoo_spoil(sigtimedwait(&set, NULL, &(struct timespec){0, 0}));
	take(SIGTRAP, getpid() + 1);
	take(SIGUSR2, getpid());
	take(-1, 0);
}

static void verify_handler(void)
{
	struct sigaction now;

	must(sigaction(SIGTRAP, NULL, &now));
	check(now.sa_handler == count, "SIGTRAP has another handler");
	check(!handled, "the handler has run already");
	zoo_spoil(sigtimedwait(&set, NULL, &(struct timespec){0, 0}));
	must_zero(pthread_sigmask(SIG_UNBLOCK, &set, NULL));
	check_eq(handled, SIGTRAP);
}

int main(int argc, char **argv)
{
	struct sigaction act = {.sa_handler = SIG_IGN}, now;
	struct zoo_gate gate;
	pid_t child;

	zoo_init(argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGTRAP);
	sigaddset(&set, SIGUSR2);
	must(sigprocmask(SIG_BLOCK, &set, NULL)); /* what is blocked is kept, ignored or not */
	must(sigaction(SIGUSR2, &act, NULL));
	zoo_gate_make(&gate);
	child = must(fork());
	act.sa_handler = child ? SIG_IGN : count;
	must(sigaction(SIGTRAP, &act, NULL));
	second_start(send_both, child ? take_both : verify_handler);
	if (!child) {
		zoo_gate_pass(&gate);
		zoo_await_go();
		second_finish();
		_exit(0);
	}
	zoo_gate_wait(&gate, 1);

	zoo_snapshot_here();
	zoo_spoil(signal(SIGTRAP, SIG_DFL));
	must(sigaction(SIGTRAP, NULL, &now));
	check(now.sa_handler == SIG_IGN, "SIGTRAP is not ignored any more");
	second_finish();
	take(-1, 0);
	zoo_finish_child(child);
	zoo_pass();
}
