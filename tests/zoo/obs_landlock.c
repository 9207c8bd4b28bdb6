/* SPDX-License-Identifier: MIT */
/* zoo: expect=either hidden=yes */
/* A process confined by Landlock: confined again after a restore, or refused; never set free. */
#include "zoo.h"

#include <linux/landlock.h>
#include <sys/prctl.h>

int main(int argc, char **argv)
{
	struct landlock_ruleset_attr attr = {.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_DIR};
	struct zoo_gate gate;
	pid_t child;
	int fd;

	zoo_init(argc, argv);
	zoo_gate_make(&gate);
	child = must(fork());
	if (!child) {
		fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
		if (fd < 0)
			zoo_skip("landlock: %s", strerror(errno));
		must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		must(syscall(SYS_landlock_restrict_self, fd, 0));
		close(fd);
		zoo_gate_pass(&gate);
		zoo_await_go();
		rmdir(zoo_beside("dir"));
		zoo_spoil(_exit(1));
		must_refuse(mkdir(zoo_beside("dir"), 0700), EACCES);
		_exit(0);
	}
	zoo_gate_wait(&gate, 1);

	zoo_snapshot_here();
	zoo_finish_child(child);
	must(mkdir(zoo_beside("dir"), 0700)); /* the parent is free */
	zoo_pass();
}
