/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle needs=root unprivileged=no */
/* fanotify. */
#include "zoo.h"

#include <sys/fanotify.h>

int main(int argc, char **argv)
{
	struct fanotify_event_metadata e;
	int fd;

	zoo_init(argc, argv);
	close(must(creat(zoo_beside("f"), 0600)));
	fd = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY);
	if (fd < 0)
		zoo_skip("fanotify_init: %s", strerror(errno));
	must(fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, zoo_beside("f")));

	zoo_snapshot_here();
	zoo_spoil(must(fanotify_mark(fd, FAN_MARK_REMOVE, FAN_OPEN, AT_FDCWD, zoo_beside("f"))));
	close(must(open(zoo_beside("f"), O_RDONLY)));
	check_eq(read(fd, &e, sizeof(e)), sizeof(e));
	check_eq(e.pid, getpid());
	zoo_pass();
}
