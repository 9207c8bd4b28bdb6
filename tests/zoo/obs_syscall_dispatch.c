/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle hidden=yes */
/* System calls that the program handles itself (PR_SET_SYSCALL_USER_DISPATCH): it is not asked. */
#include "zoo.h"

#include <linux/prctl.h>
#include <sys/prctl.h>

static volatile char selector = SYSCALL_DISPATCH_FILTER_ALLOW;
static volatile int handled;

static void on_sys(int sig, siginfo_t *info, void *context)
{
	selector = SYSCALL_DISPATCH_FILTER_ALLOW;
	handled = info->si_syscall;
}

int main(int argc, char **argv)
{
	zoo_init(argc, argv);
	must(sigaction(SIGSYS, &(struct sigaction){.sa_sigaction = on_sys, .sa_flags = SA_SIGINFO},
	               NULL));
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector))
		zoo_skip("PR_SET_SYSCALL_USER_DISPATCH: %s", strerror(errno));

	zoo_snapshot_here();
	zoo_spoil(must(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0)));
	check_eq(handled, 0);
	selector = SYSCALL_DISPATCH_FILTER_BLOCK;
	syscall(SYS_getpgrp);
	selector = SYSCALL_DISPATCH_FILTER_ALLOW;
	check_eq(handled, SYS_getpgrp);
	zoo_pass();
}
