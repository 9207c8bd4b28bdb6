/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore unprivileged=obstacle */
/* inotify: watches with their descriptors' numbers (with gaps) and masks; nothing queued. */
#include "zoo.h"

#include <sys/inotify.h>

/* The next event; its name is left in @name. */
static int next(int fd, int *wd, char *name)
{
	char space[sizeof(struct inotify_event) + NAME_MAX + 1]
		__attribute__((aligned(__alignof__(struct inotify_event))));
	struct inotify_event *e = (void *)space;

	if (read(fd, space, sizeof(space)) <= 0)
		return 0;
	*wd = e->wd;
	strcpy(name, e->len ? e->name : "");
	return (int)e->mask;
}

int main(int argc, char **argv)
{
	int fd, wd, file, dir, other;
	char path[PATH_MAX], name[NAME_MAX + 1];

	zoo_init(argc, argv);
	strcpy(path, zoo_beside("dir"));
	if (mkdir(path, 0700) && errno != EEXIST)
		zoo_fail("mkdir: %s", strerror(errno));
	close(must(creat(zoo_beside("file"), 0600)));
	close(must(creat(zoo_beside("other"), 0600)));
	fd = must(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
	other = must(
		inotify_add_watch(fd, zoo_beside("other"), IN_ALL_EVENTS)); /* 1: removed again */
	file = must(inotify_add_watch(fd, zoo_beside("file"), IN_ATTRIB | IN_MODIFY));
	must(inotify_rm_watch(fd, other));
	dir = must(inotify_add_watch(fd, path, IN_CREATE | IN_ONLYDIR | IN_EXCL_UNLINK));
	while (next(fd, &wd, name))
		;

	zoo_snapshot_here();
	zoo_spoil(must(inotify_rm_watch(fd, file)));
	zoo_spoil(must(inotify_add_watch(fd, path, IN_DELETE)));
	zoo_spoil(must(chmod(zoo_beside("file"), 0611)));
	check_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	must_refuse(read(fd, name, sizeof(name)), EAGAIN);
	must(chmod(zoo_beside("file"), 0600));
	check_eq(next(fd, &wd, name), IN_ATTRIB);
	check_eq(wd, file);
	close(must(open(zoo_beside("file"), O_RDONLY))); /* not in its mask */
	strcat(path, "/new");
	unlink(path);
	close(must(creat(path, 0600)));
	check_eq(next(fd, &wd, name), IN_CREATE);
	check_eq(wd, dir);
	check_text(name, "new");
	check_eq(next(fd, &wd, name), 0);
	check_eq(inotify_add_watch(fd, zoo_beside("file"), IN_ATTRIB), file);
	check(must(inotify_add_watch(fd, zoo_beside("other"), IN_ATTRIB)) > dir,
	      "a number came twice");
	zoo_pass();
}
