/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/*
 * Processes that share their memory (CLONE_VM without CLONE_THREAD), one with CLONE_VFORK's looks
 * and all of CLONE_FILES, CLONE_FS and CLONE_SIGHAND, and the word that the kernel clears and wakes
 * when such a process ends (clear_child_tid).
 */
#include "zoo.h"

#include <linux/futex.h>

static char stack[2][65536] __attribute__((aligned(64)));
static volatile uint32_t word[2] = {7, 7}, seen, go;

/* Shares our memory and with it libc's own: so nothing but plain system calls here. */
static int child(void *arg)
{
	long i = (long)arg;

	syscall(SYS_set_tid_address, &word[i]);
	__atomic_add_fetch(&seen, 1, __ATOMIC_SEQ_CST);
	while (!go)
		syscall(SYS_futex, &go, FUTEX_WAIT, 0, NULL, NULL, 0);
	if (i == 1) {
		syscall(SYS_close, 90);
		syscall(SYS_chdir, "/proc");
		syscall(SYS_umask, 0123);
	}
	zoo_spoil(syscall(SYS_set_tid_address, NULL));
	__atomic_add_fetch(&seen, 16, __ATOMIC_SEQ_CST);
	syscall(SYS_exit, 0);
	return 0;
}

int main(int argc, char **argv)
{
	static const int flags[] = {CLONE_VM | SIGCHLD,
	                            CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND | SIGCHLD};
	char cwd[PATH_MAX];
	pid_t pid[2];

	zoo_init(argc, argv);
	must(dup2(must(open("/dev/null", O_RDONLY)), 90));
	for (long i = 0; i < 2; i++)
		pid[i] = must(clone(child, stack[i] + sizeof(stack[i]), flags[i], (void *)i));
	while (seen != 2)
		sched_yield();
	zoo_await_syscall(pid[0], SYS_futex);
	zoo_await_syscall(pid[1], SYS_futex);

	zoo_snapshot_here();
	zoo_spoil(must(unshare(CLONE_FILES)));
	zoo_spoil(must(unshare(CLONE_FS)));
	go = 1;
	must(syscall(SYS_futex, &go, FUTEX_WAKE, 2, NULL, NULL, 0));
	for (int i = 0; i < 2; i++) {
		while (word[i] == 7) {
			struct timespec most = {5, 0};

			if (syscall(SYS_futex, &word[i], FUTEX_WAIT, 7, &most, NULL, 0) &&
			    errno == ETIMEDOUT)
				zoo_fail("the word of child %d was not cleared", i);
		}
		check_eq(word[i], 0);
		check_eq(waitpid(pid[i], NULL, 0), pid[i]);
	}
	check_eq(seen, 2 + 32);
	check(fcntl(90, F_GETFD) < 0, "the descriptor table is not shared");
	check_text(getcwd(cwd, sizeof(cwd)), "/proc");
	check_eq(umask(0), 0123);
	zoo_pass();
}
