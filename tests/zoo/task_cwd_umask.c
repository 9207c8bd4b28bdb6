/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Working directory and umask, of each process. */
#include "zoo.h"

static void check_here(const char *cwd, mode_t mask)
{
	char now[PATH_MAX];

	check_text(getcwd(now, sizeof(now)), cwd);
	check_eq(umask(mask), mask);
}

int main(int argc, char **argv)
{
	char dir[PATH_MAX];
	struct zoo_gate gate;
	pid_t child;

	zoo_init(argc, argv);
	zoo_gate_make(&gate);
	child = must(fork());
	if (!child) {
		must(chdir("/usr/bin"));
		umask(0177);
		zoo_gate_pass(&gate);
		zoo_await_go();
		zoo_spoil(umask(0));
		check_here("/usr/bin", 0177);
		exit(0);
	}
	zoo_gate_wait(&gate, 1);
	strcpy(dir, zoo_beside("here with space"));
	if (mkdir(dir, 0700) && errno != EEXIST)
		zoo_fail("mkdir: %s", strerror(errno));
	must(chdir(dir));
	umask(0);

	zoo_snapshot_here();
	zoo_spoil(must(chdir("/")));
	check_here(dir, 0);
	zoo_finish_child(child);
	zoo_pass();
}
