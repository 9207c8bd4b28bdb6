/* SPDX-License-Identifier: MIT */
/*
 * inotify. Both directions.
 *
 * fdinfo shows a watch's number, its mask and the file handle of what is watched, from which the
 * path is found. Numbers are given in ascending order and never twice, so a gap is crossed by
 * adding a watch and removing it again. Watches are added when everything else stands, and what
 * they reported about our own work is thrown away: nothing was queued when the dump was made.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

#include "kinds/kinds.h"

/* Crossing a gap costs some microseconds a number. */
#define WD_MAX 65536

/* ---- dump ------------------------------------------------------------------------------ */

static bool inotify_claims(const struct fd_view *v)
{
	return text_starts(v->link, "anon_inode:inotify") ||
	       text_starts(v->link, "anon_inode:[inotify]");
}

/* As the kernel prints its own dev_t: 12 bits major, 20 bits minor. */
static bool is_device(const struct proc_mount *m, uint32_t device)
{
	return m->dev_major == device >> 20 && m->dev_minor == (device & 0xfffff);
}

/* Open what a handle stands for, through any mount of its file system. */
static int open_handle(const struct list *mounts, const struct proc_inotify_watch *w)
{
	union {
		struct file_handle head;
		uint8_t room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} handle = {
		.head = {.handle_bytes = (unsigned)w->handle.len, .handle_type = w->handle_type}};
	int last = -ENODEV;

	if (!w->handle.len || w->handle.len > MAX_HANDLE_SZ)
		return -EOPNOTSUPP;
	memcpy(handle.head.f_handle, w->handle.data, w->handle.len);
	LIST_EACH(mounts, struct proc_mount, m) {
		AUTO(fd) int mount = -1;
		int fd;

		if (!is_device(m, w->device))
			continue;
		mount = open(m->point, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (mount < 0)
			continue;
		fd = open_by_handle_at(mount, &handle.head, O_PATH | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		last = -errno;
	}
	return last;
}

static int dump_watch(struct dump *d, const struct fd_view *v, const struct list *mounts,
                      const struct proc_inotify_watch *w, struct file_rec *f, struct err *e)
{
	AUTO(fd) int fd = open_handle(mounts, w);
	const char *path = "";
	struct stat st, now;
	char self[32];
	int inode;

	if (w->wd > WD_MAX) {
		dump_obstacle(d, v->task->pid,
		              "descriptor %d has an inotify watch numbered %d: numbers over %d "
		              "cannot be reached again",
		              v->fd, w->wd, WD_MAX);
		return 0;
	}
	if (fd < 0) {
		dump_obstacle(d, v->task->pid,
		              "descriptor %d has an inotify watch (%d) on inode %" PRIu64
		              ", whose path cannot be found: %s",
		              v->fd, w->wd, w->inode,
		              fd == -EPERM ? "that needs CAP_DAC_READ_SEARCH" : strerror(-fd));
		return 0;
	}
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	inode = os_readlink_at(AT_FDCWD, self, &d->arena, &path);
	if (inode < 0 || fstat(fd, &st) < 0)
		return err_set(e, inode < 0 ? inode : -errno, "inotify: watch %d", w->wd);
	/* A file whose name nobody used since it was found again by its handle has none. */
	if (st.st_nlink && !text_ends(path, " (deleted)") &&
	    (stat(path, &now) < 0 || now.st_ino != st.st_ino || now.st_dev != st.st_dev)) {
		dump_obstacle(d, v->task->pid,
		              "descriptor %d has an inotify watch (%d) on inode %" PRIu64
		              ", which is not found under the path %s",
		              v->fd, w->wd, w->inode, path);
		return 0;
	}
	if (S_ISDIR(st.st_mode) && text_ends(path, " (deleted)")) {
		dump_obstacle(
			d, v->task->pid,
			"descriptor %d has an inotify watch on a directory that was deleted: %s",
			v->fd, path);
		return 0;
	}
	inode = dump_inode(d, v->task->pid, fd, path, e);
	if (inode <= 0)
		return inode;
	*LIST_ADD(&f->inotify.watches, &d->arena, struct watch_rec) = (struct watch_rec){
		.wd = (uint32_t)w->wd, .mask = w->mask, .inode = (uint32_t)inode};
	return 0;
}

static int compare_watches(const void *a, const void *b)
{
	const struct watch_rec *left = a, *right = b;

	return left->wd < right->wd ? -1 : left->wd > right->wd;
}

static int inotify_dump(struct dump *d, const struct fd_view *v, struct file_rec *f, struct err *e)
{
	AUTO(buf) struct buf text = {0};
	struct list mounts = {0};
	int queued = 0, r;

	f->pos = 0;
	if (ioctl(v->local, FIONREAD, &queued) < 0)
		return err_set(e, -errno, "inotify: FIONREAD");
	if (queued)
		dump_obstacle(
			d, v->task->pid,
			"descriptor %d has %d bytes of inotify events that were not read yet: "
			"let the program read them first",
			v->fd, queued);
	r = os_read_file_at(AT_FDCWD, "/proc/self/mountinfo", &text);
	if (r < 0)
		return err_set(e, r, "mountinfo");
	r = proc_parse_mountinfo(buf_span(&text), &d->arena, &mounts, e);
	LIST_EACH(&v->info.inotify, struct proc_inotify_watch, w)
		if (!r)
			r = dump_watch(d, v, &mounts, w, f, e);
	if (!r && f->inotify.watches.count)
		qsort(f->inotify.watches.items, f->inotify.watches.count, sizeof(struct watch_rec),
		      compare_watches);
	return r;
}

/* ---- restore --------------------------------------------------------------------------- */

static int inotify_restore(struct restore *r, const struct file_rec *f, int *out, struct err *e)
{
	int fd = inotify_init1(IN_CLOEXEC);

	if (fd < 0)
		return err_set(e, -errno, "inotify");
	*out = fd;
	return 0;
}

static int drain(int fd, struct err *e)
{
	char events[65536];
	int queued = 0;

	while (ioctl(fd, FIONREAD, &queued) == 0 && queued)
		if (read(fd, events, sizeof(events)) < 0 && errno != EINTR)
			return err_set(e, -errno, "inotify: our own events");
	return 0;
}

static int add_watch(struct restore *r, int fd, const struct watch_rec *w, struct err *e)
{
	AUTO(fd) int inode = -1;
	char path[32];
	int ret = restore_inode_open(r, w->inode, O_PATH, &inode, e);
	uint32_t tries = 0;

	if (ret < 0)
		return ret;
	if (w->wd > WD_MAX)
		return err_say(e, -EBADMSG, "inotify: watch number %u is too large", w->wd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", inode);
	for (;;) {
		int wd = inotify_add_watch(fd, path, w->mask);

		if (wd < 0)
			return err_set(
				e, -errno, "inotify: watch %u on %s", w->wd,
				LIST_AT(&r->image->inodes, struct inode_rec, w->inode - 1)->path);
		if ((uint32_t)wd == w->wd)
			return 0;
		/* Numbers ascend: one that is past ours, or a file that is watched twice. */
		if ((uint32_t)wd > w->wd)
			return err_say(e, -EBADMSG, "inotify: watch %u cannot be had (got %d)",
			               w->wd, wd);
		if (inotify_rm_watch(fd, wd) < 0)
			return err_set(e, -errno, "inotify: watch %d", wd);
		if (!(++tries % 1024)) {
			ret = drain(fd, e);
			if (ret < 0)
				return ret;
		}
	}
}

static int inotify_restore_late(struct restore *r, struct remote *in, const struct file_rec *f,
                                int at, struct err *e)
{
	int fd = r->files[f->id - 1], ret = 0;

	LIST_EACH(&f->inotify.watches, struct watch_rec, w)
		if (!ret)
			ret = add_watch(r, fd, w, e);
	return ret ? ret : drain(fd, e);
}

const struct kind kind_inotify = {
	.name = "inotify",
	.kind = FILE_INOTIFY,
	.claims = inotify_claims,
	.dump = inotify_dump,
	.restore = inotify_restore,
	.restore_late = inotify_restore_late,
};
