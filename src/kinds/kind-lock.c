/* SPDX-License-Identifier: MIT */
/*
 * File locks, the restore half: dump-fd.c finds them in fdinfo.
 *
 * A flock and an OFD lock belong to the description, and so can be taken through our descriptor
 * of it. A POSIX lock belongs to the process (its descriptor table, in truth), and is lost when
 * that process closes any descriptor of the file: it is taken last, inside of its owner.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include "kinds/kinds.h"

static struct flock range_of(const struct lock_rec *l)
{
	return (struct flock){
		.l_type = l->write ? F_WRLCK : F_RDLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)l->start,
		.l_len = l->end == UINT64_MAX ? 0 : (off_t)(l->end - l->start + 1),
	};
}

static const char *path_of(const struct restore *r, const struct lock_rec *l)
{
	const struct file_rec *f = LIST_AT(&r->image->files, struct file_rec, l->file - 1);

	return f->inode ? LIST_AT(&r->image->inodes, struct inode_rec, f->inode - 1)->path : "?";
}

/* Somebody took the lock while the program was away: say who, where the kernel tells. */
static int refuse(struct restore *r, const struct lock_rec *l, int code, struct err *e)
{
	struct flock other = range_of(l);
	int fd = r->files[l->file - 1];

	if (code != -EAGAIN && code != -EACCES)
		return err_set(e, code, "the lock on %s", path_of(r, l));
	if (l->kind != LOCK_FLOCK && fcntl(fd, F_GETLK, &other) == 0 && other.l_type != F_UNLCK &&
	    other.l_pid > 0)
		return err_say(e, OBSTACLE, "the lock that it had on %s is held by process %d now",
		               path_of(r, l), other.l_pid);
	return err_say(e, OBSTACLE, "the lock that it had on %s is held by somebody else now",
	               path_of(r, l));
}

static int lock_description(struct restore *r, const struct lock_rec *l, struct err *e)
{
	struct flock range = range_of(l);
	int fd = r->files[l->file - 1];
	int ret = l->kind == LOCK_FLOCK ? flock(fd, (l->write ? LOCK_EX : LOCK_SH) | LOCK_NB)
	                                : fcntl(fd, F_OFD_SETLK, &range);

	return ret < 0 ? refuse(r, l, -errno, e) : 0;
}

/* The number of a description in a task's table. -1: it has none. */
static int64_t number_in(const struct restore *r, const struct rtask *t, uint32_t file)
{
	const struct thread_rec *th = LIST_AT(&t->rec->threads, struct thread_rec, 0);

	LIST_EACH(&LIST_AT(&r->image->tables, struct table_rec, th->table - 1)->fds, struct fd_rec,
	          fd)
		if (fd->file == file)
			return fd->fd;
	return -1;
}

static int lock_process(struct restore *r, const struct lock_rec *l, struct err *e)
{
	struct rtask *t = restore_find(r, (uint32_t)l->pid);
	struct flock range = range_of(l);
	struct remote in;
	int64_t fd, result = 0;
	int ret;

	if (!t || t->rec->state == TASK_ZOMBIE)
		return err_say(e, -EBADMSG, "a lock is owned by process %d, which is not there",
		               l->pid);
	fd = number_in(r, t, l->file);
	if (fd < 0)
		return err_say(e, -EBADMSG, "process %d has a lock on a file that it has not open",
		               l->pid);
	ret = remote_begin(&in, &t->threads[0].tracee, &r->place, e);
	if (ret < 0)
		return ret;
	remote_queue(&in, SYS_fcntl, 3, U(fd), U(F_SETLK), remote_in(&in, &range, sizeof(range)));
	ret = remote_run(&in, e);
	if (!ret)
		result = remote_result(&in, 0);
	ret = remote_close(&in, ret, e);
	if (ret < 0)
		return ret;
	return result < 0 ? refuse(r, l, (int)result, e) : 0;
}

int restore_locks(struct restore *r, struct err *e)
{
	LIST_EACH(&r->image->locks, struct lock_rec, l) {
		int ret = l->kind == LOCK_POSIX ? lock_process(r, l, e) : lock_description(r, l, e);

		if (ret < 0)
			return ret;
	}
	return 0;
}
