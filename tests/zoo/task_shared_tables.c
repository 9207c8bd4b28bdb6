/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Children that share only the descriptor table (CLONE_FILES), or only directories and umask
 * (CLONE_FS). */
#include "zoo.h"

#include <linux/sched.h> /* struct clone_args */

static pid_t clone_with(uint64_t flags)
{
	struct clone_args a = {.flags = flags, .exit_signal = SIGCHLD};

	return must((pid_t)syscall(SYS_clone3, &a, sizeof(a)));
}

int main(int argc, char **argv)
{
	struct zoo_gate gate;
	char cwd[PATH_MAX];
	pid_t files, fs;

	zoo_init(argc, argv);
	zoo_gate_make(&gate);
	fs = clone_with(CLONE_FS);
	if (!fs) {
		zoo_gate_pass(&gate);
		zoo_await_go();
		zoo_spoil(must(unshare(CLONE_FS)));
		must(chdir("/usr"));
		umask(0157);
		must(dup2(0, 61));
		exit(0);
	}
	zoo_gate_wait(&gate, 1);
	files = clone_with(CLONE_FILES);
	if (!files) {
		zoo_await_go();
		zoo_spoil(must(unshare(CLONE_FILES)));
		must(dup2(0, 60));
		must(chdir("/proc"));
		umask(0);
		exit(0);
	}

	zoo_snapshot_here();
	zoo_finish_child(fs);
	zoo_finish_child(files);
	check_eq(fcntl(60, F_GETFD), 0);
	check_text(getcwd(cwd, sizeof(cwd)), "/usr");
	check_eq(umask(0), 0157);
	check(fcntl(61, F_GETFD) < 0, "the table of the CLONE_FS child became ours");
	zoo_pass();
}
