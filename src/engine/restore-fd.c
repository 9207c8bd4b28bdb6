/* SPDX-License-Identifier: MIT */
/*
 * Descriptions are made here, in our own table, and go into the tasks through one socket that
 * every stub was born with. A message brings descriptors that land on the lowest free numbers;
 * since a table is filled in ascending order, none lands above its own number, and moving them
 * from the last to the first never hits one that still waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "engine/engine-int.h"

#define FLAGS_SETTABLE (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME)

static const struct kind *kind_for(uint8_t kind)
{
	for (size_t i = 0; i < n_kinds; i++)
		if (kinds[i]->kind == kind)
			return kinds[i];
	return NULL;
}

static int set_flags(struct restore *r, const struct file_rec *f, int fd, struct err *e)
{
	struct f_owner_ex owner = {.type = f->owner_type, .pid = f->owner};

	if (f->flags & O_PATH)
		return 0;
	if (fcntl(fd, F_SETFL, (int)f->flags & FLAGS_SETTABLE) < 0 && f->flags & FLAGS_SETTABLE)
		return err_set(e, -errno, "flags 0%o", f->flags);
	if (f->owner_signal && fcntl(fd, F_SETSIG, (int)f->owner_signal) < 0)
		return err_set(e, -errno, "F_SETSIG");
	if (!f->owner)
		return 0;
	if (restore_pid_here(r, (uint32_t)f->owner))
		owner.pid = restore_pid_here(r, (uint32_t)f->owner);
	if (fcntl(fd, F_SETOWN_EX, &owner) < 0)
		return err_set(e, -errno, "F_SETOWN");
	return 0;
}

int restore_files_open(struct restore *r, struct err *e)
{
	LIST_EACH(&r->image->files, struct file_rec, f) {
		const struct kind *kind = kind_for(f->kind);
		int *fd = &r->files[f->id - 1];
		int ret;

		if (!kind)
			return err_say(e, -EBADMSG, "file %u is of an unknown kind", f->id);
		ret = kind->restore(r, f, fd, e);
		if (!ret)
			ret = set_flags(r, f, *fd, e);
		if (ret < 0)
			return err_wrap(e, ret, "%s %u", kind->name, f->id);
	}
	/* The originals go: an end that nobody has in the image must not stay open with us. */
	for (size_t i = 0; i < 2 * r->image->pipes.count; i++)
		os_close(&r->pipe_fds[i]);
	return 0;
}

/* ---- tables ------------------------------------------------------------------------------ */

static int place(struct remote *in, const struct fd_rec *fds, const int *there, size_t n,
                 struct err *e)
{
	size_t calls[2 * SEND_FDS_MAX], n_calls = 0;
	int ret;

	for (size_t i = n; i--;) {
		uint32_t at = fds[i].fd;

		if ((uint32_t)there[i] != at) {
			calls[n_calls++] = REMOTE_QUEUE(in, SYS_dup3, U(there[i]), U(at),
			                                U(fds[i].cloexec ? O_CLOEXEC : 0));
			calls[n_calls++] = REMOTE_QUEUE(in, SYS_close, U(there[i]));
		} else if (fds[i].cloexec) {
			calls[n_calls++] =
				REMOTE_QUEUE(in, SYS_fcntl, U(at), U(F_SETFD), U(FD_CLOEXEC));
		}
	}
	ret = remote_run(in, e);
	for (size_t i = 0; !ret && i < n_calls; i++)
		if (remote_result(in, calls[i]) < 0)
			ret = err_set(e, (int)remote_result(in, calls[i]),
			              "putting descriptors in their places");
	return ret;
}

static int fill_table(struct restore *r, struct remote *in, const struct table_rec *table,
                      struct err *e)
{
	for (size_t done = 0; done < table->fds.count;) {
		const struct fd_rec *fds = LIST_AT(&table->fds, struct fd_rec, done);
		size_t n = MIN(table->fds.count - done, (size_t)SEND_FDS_MAX);
		int local[SEND_FDS_MAX], there[SEND_FDS_MAX], ret;

		for (size_t i = 0; i < n; i++)
			local[i] = r->files[fds[i].file - 1];
		ret = restore_send_fds(r, in, local, n, there, e);
		if (!ret)
			ret = place(in, fds, there, n, e);
		if (ret < 0)
			return ret;
		done += n;
	}
	return 0;
}

struct fill {
	struct restore *r;
	const struct table_rec *table;
};

static int act_fill(struct remote *in, void *arg, struct err *e)
{
	const struct fill *fill = arg;

	return fill_table(fill->r, in, fill->table, e);
}

/* The first thread of each table fills it. */
static struct rthread *thread_of_table(struct restore *r, uint32_t table)
{
	for (size_t i = 0; i < r->n_tasks; i++)
		for (size_t n = 0; n < r->tasks[i].n_threads; n++)
			if (r->tasks[i].threads[n].rec &&
			    r->tasks[i].threads[n].rec->table == table)
				return &r->tasks[i].threads[n];
	return NULL;
}

int restore_tables(struct restore *r, struct err *e)
{
	LIST_EACH(&r->image->tables, struct table_rec, table) {
		struct rthread *th = thread_of_table(r, table->id);
		struct fill fill = {r, table};
		int ret = th ? remote_with(&th->tracee, &r->place, act_fill, &fill, e) : 0;

		if (ret < 0)
			return err_wrap(e, ret, "descriptors of task %d",
			                th ? (int)th->rec->tid : 0);
	}
	return 0;
}

/* ---- what needs the descriptors in place -------------------------------------------------- */

struct late {
	struct restore *r;
	const struct kind *kind;
	const struct file_rec *file;
	int at;
};

static int act_late(struct remote *in, void *arg, struct err *e)
{
	const struct late *late = arg;
	int ret = 0;

	if (late->kind->restore_late)
		ret = late->kind->restore_late(late->r, in, late->file, late->at, e);

	if (ret < 0 || !(late->file->flags & O_ASYNC))
		return ret;
	/* The kernel notes the number under which this was asked for (si_fd). */
	REMOTE_QUEUE(in, SYS_fcntl, U(late->at), U(F_SETFL),
	             U(late->file->flags & (FLAGS_SETTABLE | O_ASYNC)));
	return remote_run(in, e);
}

int restore_files_late(struct restore *r, struct err *e)
{
	bool *done = ARENA_ARRAY(&r->arena, bool, r->image->files.count + 1);

	LIST_EACH(&r->image->tables, struct table_rec, table) {
		struct rthread *th = thread_of_table(r, table->id);

		LIST_EACH(&table->fds, struct fd_rec, fd) {
			struct late late = {
				.r = r,
				.file = LIST_AT(&r->image->files, struct file_rec, fd->file - 1),
				.at = (int)fd->fd};
			int ret;

			late.kind = kind_for(late.file->kind);
			if (!th || done[fd->file] ||
			    (!late.kind->restore_late && !(late.file->flags & O_ASYNC)))
				continue;
			done[fd->file] = true;
			ret = remote_with(&th->tracee, &r->place, act_late, &late, e);
			if (ret < 0)
				return err_wrap(e, ret, "%s at descriptor %u", late.kind->name,
				                fd->fd);
		}
	}
	return 0;
}
