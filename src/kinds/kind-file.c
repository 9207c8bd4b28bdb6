/* SPDX-License-Identifier: MIT */
/* Descriptions of files, directories and stateless devices: an inode, flags and an offset. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "kinds/kinds.h"

#define SECRETMEM_MAGIC 0x5345434d /* linux/magic.h */
#define MQUEUE_MAGIC 0x19800202    /* ipc/mqueue.c */
#define NSFS_MAGIC 0x6e736673      /* linux/magic.h */

static bool inode_claims(const struct fd_view *v)
{
	struct statfs fs;

	/* Regular files in name only. */
	if (fstatfs(v->local, &fs) == 0 &&
	    (fs.f_type == SECRETMEM_MAGIC || fs.f_type == MQUEUE_MAGIC))
		return false;
	return S_ISREG(v->st.st_mode) || S_ISDIR(v->st.st_mode) ||
	       (v->info.flags & O_PATH && v->link[0] == '/');
}

static int inode_dump(struct dump *d, const struct fd_view *v, struct file_rec *f, struct err *e)
{
	int r = dump_inode(d, v->task->pid, v->local, v->link, e);

	if (r < 0)
		return r;
	f->inode = (uint32_t)r;
	return 0;
}

static int inode_restore(struct restore *r, const struct file_rec *f, int *out, struct err *e)
{
	AUTO(fd) int fd = -1;
	int ret = restore_inode_open(r, f->inode, (int)f->flags, &fd, e);

	if (ret < 0)
		return ret;
	if (f->pos && !(f->flags & O_PATH) && lseek(fd, (off_t)f->pos, SEEK_SET) < 0)
		return err_set(e, -errno, "offset %llu", (unsigned long long)f->pos);
	*out = take_fd(&fd);
	return 0;
}

const struct kind kind_inode = {
	.name = "file",
	.kind = FILE_INODE,
	.claims = inode_claims,
	.dump = inode_dump,
	.restore = inode_restore,
};

/* Devices that keep nothing for the one who opened them (Documentation/admin-guide/devices.txt). */
static bool device_claims(const struct fd_view *v)
{
	static const struct {
		unsigned major, minor;
	} stateless[] = {
		{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, /* null zero full random urandom */
	};

	if (!S_ISCHR(v->st.st_mode))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(stateless); i++)
		if (v->st.st_rdev == makedev(stateless[i].major, stateless[i].minor))
			return true;
	return false;
}

const struct kind kind_device = {
	.name = "device",
	.kind = FILE_DEVICE,
	.claims = device_claims,
	.dump = inode_dump,
	.restore = inode_restore,
};

/*
 * A namespace is a file of /proc too, but shows as "net:[4026531840]"; the ones that the task is in
 * itself are its file /proc/PID/ns/net.
 *
 * A file under /proc/PID of a task in the tree is opened again at that task; other files of
 * /proc and /sys are found by name, without a check of size and time, which mean nothing there.
 */
static bool proc_claims(const struct fd_view *v)
{
	struct statfs fs;

	return text_starts(v->link, "/proc/") ||
	       (fstatfs(v->local, &fs) == 0 && fs.f_type == NSFS_MAGIC);
}

static int namespace_dump(struct dump *d, const struct fd_view *v, struct file_rec *f)
{
	const char *name = arena_printf(&d->arena, "ns/%.*s", (int)strcspn(v->link, ":"), v->link);
	struct stat own;

	if (fstatat(v->task->proc, name, &own, 0) < 0 || own.st_ino != v->st.st_ino ||
	    own.st_dev != v->st.st_dev)
		dump_obstacle(d, v->task->pid,
		              "descriptor %d is a namespace that the process is not in (%s)", v->fd,
		              v->link);
	f->path = arena_printf(&d->arena, "%d/%s", v->task->pid, name);
	return 0;
}

static int proc_dump(struct dump *d, const struct fd_view *v, struct file_rec *f, struct err *e)
{
	uint64_t pid = 0;
	char number[16] = "";
	const char *rest = v->link + strlen("/proc/");
	size_t digits = strspn(rest, "0123456789");

	if (v->link[0] != '/')
		return namespace_dump(d, v, f);
	if (text_ends(v->link, " (deleted)")) {
		dump_obstacle(d, v->task->pid, "descriptor %d is of a process that has ended (%s)",
		              v->fd, v->link);
		return 0;
	}
	if (digits && digits < sizeof(number)) {
		memcpy(number, rest, digits);
		if (!text_to_u64(number, 10, INT32_MAX, &pid) && !dump_find(d, (pid_t)pid))
			dump_obstacle(d, v->task->pid,
			              "descriptor %d is of a process outside of the tree (%s)",
			              v->fd, v->link);
	}
	f->path = arena_text(&d->arena, rest);
	return 0;
}

static int proc_restore(struct restore *r, const struct file_rec *f, int *out, struct err *e)
{
	AUTO(fd) int fd = -1;
	AUTO(text) char *path = NULL;
	size_t digits = strspn(f->path, "0123456789");

	if (r->options->pidns)
		path = xprintf("/proc/%d/root/proc/%s", r->init.tid, f->path);
	else if (digits)
		path = xprintf("/proc/%d%s",
		               restore_pid_here(r, (uint32_t)strtoul(f->path, NULL, 10)),
		               f->path + digits);
	else
		path = xprintf("/proc/%s", f->path);
	if (strstr(path, "/../"))
		return err_say(e, -EBADMSG, "a path leaves /proc: %s", path);
	fd = open(path, (int)f->flags & ~(O_CREAT | O_EXCL | O_TRUNC));
	if (fd < 0)
		return err_set(e, -errno, "%s", path);
	if (f->pos && lseek(fd, (off_t)f->pos, SEEK_SET) < 0)
		return err_set(e, -errno, "%s: offset", path);
	*out = take_fd(&fd);
	return 0;
}

const struct kind kind_proc = {
	.name = "proc",
	.kind = FILE_PROC,
	.claims = proc_claims,
	.dump = proc_dump,
	.restore = proc_restore,
};
