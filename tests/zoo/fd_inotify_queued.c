/* SPDX-License-Identifier: MIT */
/* zoo: expect=either hidden=yes */
/* inotify with events that nobody has read yet: they are kept, or the snapshot is refused. */
#include "zoo.h"

#include <sys/inotify.h>

int main(int argc, char **argv)
{
	struct inotify_event e[4];
	int fd, wd;

	zoo_init(argc, argv);
	close(must(creat(zoo_beside("file"), 0600)));
	fd = must(inotify_init1(IN_NONBLOCK));
	wd = must(inotify_add_watch(fd, zoo_beside("file"), IN_ATTRIB | IN_OPEN));
	must(chmod(zoo_beside("file"), 0640));
	close(must(open(zoo_beside("file"), O_RDONLY)));

	zoo_snapshot_here();
	zoo_spoil(must(read(fd, e, sizeof(e))));
	check_eq(read(fd, e, sizeof(e)), 2 * sizeof(e[0]));
	check_eq(e[0].wd, wd);
	check_eq(e[0].mask, IN_ATTRIB);
	check_eq(e[1].mask, IN_OPEN);
	zoo_pass();
}
