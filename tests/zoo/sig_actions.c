/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Signal actions of every signal: handler, flags, mask, restorer, SIG_IGN and SIG_DFL. */
#include "zoo.h"

static volatile int last;

static void one(int sig)
{
	last = sig;
}

static void two(int sig, siginfo_t *info, void *context)
{
	(void)info, (void)context;
	last = -sig;
}

static struct kernel_action {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
} want[65], got;

static void expected(int sig, struct sigaction *a)
{
	memset(a, 0, sizeof(*a));
	sigemptyset(&a->sa_mask);
	switch (sig % 6) {
	case 0:
		a->sa_handler = one;
		a->sa_flags = SA_RESTART;
		break;
	case 1:
		a->sa_sigaction = two;
		a->sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
		sigaddset(&a->sa_mask, SIGRTMAX);
		sigaddset(&a->sa_mask, 1 + sig % 30);
		break;
	case 2:
		a->sa_handler = SIG_IGN;
		break;
	case 3:
		a->sa_handler = one;
		a->sa_flags = SA_NOCLDSTOP | SA_NOCLDWAIT;
		sigfillset(&a->sa_mask);
		break;
	case 4:
		a->sa_handler = one;
		a->sa_flags = (int)SA_RESETHAND;
		break;
	default:
		a->sa_handler = SIG_DFL;
	}
}

int main(int argc, char **argv)
{
	struct sigaction a;

	zoo_init(argc, argv);
	for (int sig = 1; sig <= 64; sig++) {
		/* 32 and 33 are libc's own; USR1 is the go signal. */
		if (sig == SIGKILL || sig == SIGSTOP || sig == 32 || sig == 33 || sig == SIGUSR1)
			continue;
		expected(sig, &a);
		must(sigaction(sig, &a, NULL));
	}
	for (int sig = 1; sig <= 64; sig++)
		must(syscall(SYS_rt_sigaction, sig, NULL, &want[sig], 8));

	zoo_snapshot_here();
	zoo_spoil(signal(SIGHUP, SIG_DFL));
	zoo_spoil(expected(7, &a); sigdelset(&a.sa_mask, SIGRTMAX); sigaction(7, &a, NULL));
	zoo_spoil(expected(64, &a); a.sa_flags ^= SA_RESTART; sigaction(64, &a, NULL));
	zoo_spoil(signal(SIGUSR1, SIG_IGN));
	for (int sig = 1; sig <= 64; sig++) {
		must(syscall(SYS_rt_sigaction, sig, NULL, &got, 8));
		check(!memcmp(&got, &want[sig], sizeof(got)),
		      "signal %d: handler %p flags %lx mask %llx, want %p %lx %llx", sig,
		      got.handler, got.flags, (unsigned long long)got.mask, want[sig].handler,
		      want[sig].flags, (unsigned long long)want[sig].mask);
	}
	raise(SIGALRM); /* 14 % 6 == 2: ignored */
	check_eq(last, 0);
	raise(SIGFPE); /* 8: ignored; 7 is two() */
	raise(SIGBUS);
	check_eq(last, -SIGBUS);
	raise(SIGILL); /* 4: once, then the default */
	check_eq(last, SIGILL);
	must(syscall(SYS_rt_sigaction, SIGILL, NULL, &got, 8));
	check(got.handler == SIG_DFL, "SA_RESETHAND had no effect");
	zoo_pass();
}
