/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle */
/* A Landlock rule set that is still being written. */
#include "zoo.h"

#include <linux/landlock.h>

int main(int argc, char **argv)
{
	struct landlock_ruleset_attr attr = {.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_DIR};
	struct landlock_path_beneath_attr below = {.allowed_access = LANDLOCK_ACCESS_FS_MAKE_DIR};
	int fd;

	zoo_init(argc, argv);
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (fd < 0)
		zoo_skip("landlock: %s", strerror(errno));
	below.parent_fd = must(open("/tmp", O_PATH));

	zoo_snapshot_here();
	zoo_spoil(must(dup2(0, fd)));
	must(syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &below, 0));
	zoo_pass();
}
