/* SPDX-License-Identifier: MIT */
/*
 * epoll. Both directions.
 *
 * A watch is of a description and remembers the number that the description had when it was
 * added; the number may be somebody else's by now. kcmp(2) tells which description it is. The
 * watch is added again inside of a task, under the same number, which is borrowed for that if
 * it is taken: adding it there and not here matters for a signalfd, which reports the signals
 * of the task that added it.
 *
 * A one-shot watch that has fired is spent: it reports nothing until it is armed again, not even
 * errors. Such a state cannot be set, only reached; so it is armed, and fires into our hands.
 *
 * An edge-triggered watch whose edge was taken already reports once more after a restore if its
 * file is still ready. That is what epoll(7) allows at any time; a lost edge is not.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kinds/kinds.h"
#include "os/abi.h"

#define ANY_EVENT (EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP)
/* Bits that say how to report, not what. */
#define MODE_BITS (EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE | EPOLLWAKEUP)

/* ---- dump ------------------------------------------------------------------------------ */

static bool epoll_claims(const struct fd_view *v)
{
	return text_starts(v->link, "anon_inode:[eventpoll]");
}

static int epoll_dump(struct dump *d, const struct fd_view *v, struct file_rec *f, struct err *e)
{
	struct epoll_params params = {0};

	f->pos = 0;
	if (ioctl(v->local, EPIOCGPARAMS, &params) == 0 &&
	    (params.busy_poll_usecs || params.busy_poll_budget || params.prefer_busy_poll))
		dump_obstacle(d, v->task->pid,
		              "descriptor %d is an epoll that polls network devices busily "
		              "(EPIOCSPARAMS), which is not restored",
		              v->fd);
	return 0;
}

/* Is this descriptor of a task what the watch is of? Return: 1, 0, negative errno. */
static int is_target(pid_t tid, uint64_t fd, const struct kcmp_epoll_slot *slot)
{
	int r = os_kcmp(tid, getpid(), KCMP_EPOLL_TFD, (unsigned long)fd, (unsigned long)slot);

	return r < 0 ? r : !r;
}

static const struct table_rec *table_of(const struct dump *d, const struct thread_rec *th)
{
	return LIST_AT(&d->image.tables, struct table_rec, th->table - 1);
}

/*
 * The description in one table; only under its own number, if that is given.
 * Return: its id; 0: not there; negative errno.
 */
static int find_in(const struct dump *d, const struct thread_rec *th, int number,
                   const struct kcmp_epoll_slot *slot)
{
	LIST_EACH(&table_of(d, th)->fds, struct fd_rec, fd) {
		int r;

		if (number >= 0 && fd->fd != (uint32_t)number)
			continue;
		r = is_target((pid_t)th->tid, fd->fd, slot);
		if (r)
			return r < 0 ? r : (int)fd->file;
	}
	return 0;
}

static int find_target(struct dump *d, const struct fd_view *v, const struct kcmp_epoll_slot *slot)
{
	/* Where it was surely added from, if nothing was closed since. */
	LIST_EACH(&d->image.tasks, struct task_rec, t) {
		LIST_EACH(&t->threads, struct thread_rec, th) {
			int r = th->tid == (uint32_t)v->tid ? find_in(d, th, (int)slot->tfd, slot)
			                                    : 0;

			if (r)
				return r;
		}
	}
	/* Under any number, in any table; those that threads share are looked through once. */
	LIST_EACH(&d->image.tasks, struct task_rec, t) {
		uint32_t last = 0;

		LIST_EACH(&t->threads, struct thread_rec, th) {
			int r = th->table != last ? find_in(d, th, -1, slot) : 0;

			last = th->table;
			if (r)
				return r;
		}
	}
	return 0;
}

static int epoll_dump_late(struct dump *d, const struct fd_view *v, struct file_rec *f,
                           struct err *e)
{
	const struct list *seen = &v->info.epoll;

	for (size_t i = 0; i < seen->count; i++) {
		const struct proc_epoll_target *t = LIST_AT(seen, struct proc_epoll_target, i);
		struct kcmp_epoll_slot slot = {.efd = (uint32_t)v->local, .tfd = (uint32_t)t->fd};
		int file;

		/* Several watches can have one number: fdinfo and kcmp have the same order. */
		for (size_t n = 0; n < i; n++)
			slot.toff += LIST_AT(seen, struct proc_epoll_target, n)->fd == t->fd;
		file = find_target(d, v, &slot);
		if (file < 0)
			return err_set(e, file, "epoll: what it watches as descriptor %d", t->fd);
		if (!file) {
			dump_obstacle(
				d, v->task->pid,
				"descriptor %d is an epoll that watches a file (added as "
				"descriptor %d) which no process of the tree has open any more",
				v->fd, t->fd);
			continue;
		}
		*LIST_ADD(&f->epoll.targets, &d->arena, struct epoll_target_rec) =
			(struct epoll_target_rec){
				.fd = (uint32_t)t->fd,
				.file = (uint32_t)file,
				.events = t->events,
				.data = t->data,
			};
	}
	return 0;
}

/* ---- restore --------------------------------------------------------------------------- */

static int epoll_restore(struct restore *r, const struct file_rec *f, int *out, struct err *e)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		return err_set(e, -errno, "epoll");
	*out = fd;
	return 0;
}

static bool is_spent(const struct epoll_target_rec *t)
{
	return t->events & EPOLLONESHOT && !(t->events & ~MODE_BITS);
}

static const struct table_rec *table_in(const struct restore *r, const struct remote *in)
{
	for (size_t i = 0; i < r->n_tasks; i++)
		for (size_t n = 0; n < r->tasks[i].n_threads; n++) {
			const struct rthread *th = &r->tasks[i].threads[n];

			if (&th->tracee == in->t)
				return LIST_AT(&r->image->tables, struct table_rec,
				               th->rec->table - 1);
		}
	return NULL;
}

/* The description under a number of a table; 0: none. The table is in ascending order. */
static uint32_t file_at(const struct table_rec *table, uint32_t number)
{
	size_t low = 0, high = table ? table->fds.count : 0;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct fd_rec *fd = LIST_AT(&table->fds, struct fd_rec, mid);

		if (fd->fd == number)
			return fd->file;
		if (fd->fd < number)
			low = mid + 1;
		else
			high = mid;
	}
	return 0;
}

/* Run what is queued; all of it must succeed. */
static int run(struct remote *in, struct err *e)
{
	size_t n = in->n_calls;
	int ret = remote_run(in, e);

	for (size_t i = 0; !ret && i < n; i++)
		if (remote_result(in, i) < 0)
			ret = err_set(e, (int)remote_result(in, i), "epoll: a watch");
	return ret;
}

static void queue_add(struct remote *in, int epoll, const struct epoll_target_rec *t,
                      uint32_t events)
{
	struct epoll_event event = {.events = events, .data.u64 = t->data};

	REMOTE_QUEUE(in, SYS_epoll_ctl, U(epoll), U(EPOLL_CTL_ADD), U(t->fd),
	             remote_in(in, &event, sizeof(event)));
}

/* The number is another file's in this task, or nobody's: it is the target's for a moment. */
static int add_as(struct restore *r, struct remote *in, int epoll, const struct epoll_target_rec *t,
                  uint32_t events, struct err *e)
{
	int64_t flags, saved = -1, done;
	int there = -1, ret;

	ret = REMOTE_CALL(in, &flags, e, SYS_fcntl, U(t->fd), U(F_GETFD), U(0));
	if (!ret && flags >= 0)
		ret = REMOTE_CALL(in, &saved, e, SYS_fcntl, U(t->fd), U(F_DUPFD_CLOEXEC), U(0));
	if (ret < 0)
		return ret;
	if (flags >= 0 && saved < 0)
		return err_set(e, (int)saved, "epoll: a copy of descriptor %u", t->fd);
	ret = restore_send_fds(r, in, &r->files[t->file - 1], 1, &there, e);
	if (ret < 0)
		return ret;
	if ((uint32_t)there != t->fd) {
		REMOTE_QUEUE(in, SYS_dup3, U(there), U(t->fd), U(O_CLOEXEC));
		REMOTE_QUEUE(in, SYS_close, U(there));
	}
	queue_add(in, epoll, t, events);
	ret = run(in, e);
	if (ret < 0)
		return ret;
	if (saved < 0)
		return REMOTE_CALL(in, &done, e, SYS_close, U(t->fd));
	REMOTE_QUEUE(in, SYS_dup3, U(saved), U(t->fd), U(flags & FD_CLOEXEC ? O_CLOEXEC : 0));
	REMOTE_QUEUE(in, SYS_close, U(saved));
	return run(in, e);
}

static int add(struct restore *r, struct remote *in, int epoll, const struct table_rec *table,
               const struct epoll_target_rec *t, uint32_t events, struct err *e)
{
	int ret = 0;

	if (file_at(table, t->fd) != t->file) {
		ret = run(in, e);
		return ret ? ret : add_as(r, in, epoll, t, events, e);
	}
	if (!remote_has_room(in, 1, sizeof(struct epoll_event)))
		ret = run(in, e);
	queue_add(in, epoll, t, events);
	return ret;
}

/*
 * Let the one watch that can fire do so. The reading end of an empty pipe is never ready
 * without a partner and is helped with a byte. A file that is not ready at all stays armed for
 * errors alone, which timers, signals and processes do not have.
 */
static int spend(struct restore *r, int epoll, const struct epoll_target_rec *t, struct err *e)
{
	const struct file_rec *f = LIST_AT(&r->image->files, struct file_rec, t->file - 1);
	AUTO(fd) int read_end = -1, write_end = -1;
	struct epoll_event event;
	char path[32], byte = 0;

	if (epoll_wait(epoll, &event, 1, 0) > 0 || (f->kind != FILE_PIPE && f->kind != FILE_FIFO))
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", r->files[t->file - 1]);
	read_end = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	write_end = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (read_end < 0 || write_end < 0 || write(write_end, &byte, 1) != 1 ||
	    epoll_wait(epoll, &event, 1, 0) < 0 || read(read_end, &byte, 1) != 1)
		return err_set(e, -errno, "epoll: a watch that has fired, on a pipe");
	return 0;
}

static int epoll_restore_late(struct restore *r, struct remote *in, const struct file_rec *f,
                              int at, struct err *e)
{
	const struct table_rec *table = table_in(r, in);
	int ret = 0;

	/* The spent ones first and one by one: nothing else can fire then. */
	LIST_EACH(&f->epoll.targets, struct epoll_target_rec, t) {
		if (ret < 0 || !is_spent(t))
			continue;
		ret = add(r, in, at, table, t, t->events | ANY_EVENT, e);
		if (!ret)
			ret = run(in, e);
		if (!ret)
			ret = spend(r, r->files[f->id - 1], t, e);
	}
	LIST_EACH(&f->epoll.targets, struct epoll_target_rec, t)
		if (!ret && !is_spent(t))
			ret = add(r, in, at, table, t, t->events, e);
	return ret ? ret : run(in, e);
}

const struct kind kind_epoll = {
	.name = "epoll",
	.kind = FILE_EPOLL,
	.claims = epoll_claims,
	.dump = epoll_dump,
	.dump_late = epoll_dump_late,
	.restore = epoll_restore,
	.restore_late = epoll_restore_late,
};
