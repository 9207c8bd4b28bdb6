/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables, and the open file descriptions behind them. Every description stands in
 * the image once, however many descriptors in however many tasks are of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>

#include "engine/engine-int.h"
#include "sockets/sockets.h"

#define PIDFD_THREAD O_EXCL /* Linux 6.9 */

/* Descriptions of one inode: only these can be the same. */
struct file_set {
	uint64_t dev, ino;
	struct kset set;
};

/* Where a description was seen first. */
struct file_user {
	struct dtask *task;
	pid_t tid;
	int fd;
	const struct kind *kind; /* NULL if none claims it */
};

const struct kind *const kinds[] = {
	&kind_eventfd, &kind_timerfd, &kind_signalfd, &kind_epoll,  &kind_inotify,
	&kind_pidfd,   &kind_pipe,    &kind_fifo,     &kind_socket, &kind_tty,
	&kind_proc,    &kind_device,  &kind_inode,
};
const size_t n_kinds = ARRAY_LEN(kinds);

static struct kset *set_for(struct dump *d, const struct stat *st)
{
	struct file_set *set;

	LIST_EACH(&d->file_sets, struct file_set, known)
		if (known->ino == st->st_ino && known->dev == st->st_dev)
			return &known->set;
	set = LIST_ADD(&d->file_sets, &d->arena, struct file_set);
	set->dev = st->st_dev;
	set->ino = st->st_ino;
	set->set.type = KCMP_FILE;
	return &set->set;
}

static int view_open(struct dump *d, struct dtask *t, pid_t tid, int fd, struct fd_view *v,
                     struct err *e)
{
	AUTO(buf) struct buf text = {0};
	AUTO(fd) int thread = -1;
	char path[64];
	int r;

	*v = (struct fd_view){.task = t, .tid = tid, .fd = fd, .local = -1};
	if (tid != t->pid) {
		thread = os_pidfd_open(tid, PIDFD_THREAD);
		if (thread < 0)
			return err_set(e, thread, "thread %d has descriptors of its own: pidfd",
			               tid);
	}
	v->local = os_pidfd_getfd(thread >= 0 ? thread : t->pidfd, fd);
	if (v->local < 0)
		return err_set(e, v->local, "descriptor %d: pidfd_getfd", fd);
	snprintf(path, sizeof(path), "task/%d/fd/%d", tid, fd);
	r = os_readlink_at(t->proc, path, &d->arena, &v->link);
	if (!r && fstat(v->local, &v->st) < 0)
		r = -errno;
	if (!r) {
		snprintf(path, sizeof(path), "task/%d/fdinfo/%d", tid, fd);
		r = os_read_file_at(t->proc, path, &text);
	}
	if (!r)
		r = proc_parse_fdinfo(buf_span(&text), &d->arena, &v->info, e);
	if (r < 0) {
		os_close(&v->local);
		return r == -EBADMSG ? r : err_set(e, r, "descriptor %d", fd);
	}
	return 0;
}

static const struct kind *kind_of(const struct fd_view *v)
{
	for (size_t i = 0; i < n_kinds; i++)
		if (kinds[i]->claims(v))
			return kinds[i];
	return NULL;
}

/* What is not claimed: said by name, with what would help. */
static const char *unclaimed(const char *link)
{
	static const struct {
		const char *prefix, *what;
	} names[] = {
		{"anon_inode:[io_uring]",
	         "an io_uring, whose requests are inside of the kernel: have the program do "
	         "without (MariaDB: innodb_use_native_aio=OFF, Node.js: "
	         "UV_USE_IO_URING=0)"},
		{"anon_inode:[userfaultfd]", "a userfaultfd"},
		{"anon_inode:[perf_event]", "a performance counter"},
		{"anon_inode:bpf", "a BPF object"},
		{"anon_inode:[fanotify]", "a fanotify group"},
		{"anon_inode:[landlock-ruleset]", "a Landlock ruleset"},
		{"anon_inode:seccomp notify", "a seccomp listener"},
		{"anon_inode:kvm", "a virtual machine of KVM: snapshot it with its own tool"},
		{"anon_inode:[fscontext]", "a file system that is being set up"},
		{"anon_inode:[mount", "a mount"},
		{"/secretmem", "secret memory, which nobody else may read"},
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (text_starts(link, names[i].prefix))
			return names[i].what;
	return NULL;
}

static int dump_owner(struct dump *d, const struct fd_view *v, struct file_rec *f)
{
	struct f_owner_ex owner = {0};
	int sig = fcntl(v->local, F_GETSIG);

	if (sig > 0)
		f->owner_signal = (uint32_t)sig;
	if (fcntl(v->local, F_GETOWN_EX, &owner) < 0 || !owner.pid)
		return 0;
	/* Nothing else gives a directory an owner, and what is watched is told nowhere. */
	if (S_ISDIR(v->st.st_mode)) {
		dump_obstacle(
			d, v->task->pid,
			"descriptor %d is a directory that is watched with F_NOTIFY: inotify can "
			"be snapshotted",
			v->fd);
		return 0;
	}
	f->owner = owner.pid;
	f->owner_type = (uint32_t)owner.type;
	if (owner.type == F_OWNER_PID && !dump_find(d, owner.pid))
		dump_obstacle(
			d, v->task->pid,
			"descriptor %d signals process %d (F_SETOWN), which is outside of the "
			"tree",
			v->fd, owner.pid);
	return 0;
}

static void dump_locks(struct dump *d, const struct fd_view *v, uint32_t file)
{
	LIST_EACH(&v->info.locks, struct proc_lock, lock) {
		struct lock_rec rec = {
			.write = lock->write, .file = file, .start = lock->start, .end = lock->end};
		bool known = false;

		switch (lock->kind) {
		case 'F':
			rec.kind = LOCK_FLOCK;
			break;
		case 'O':
			rec.kind = LOCK_OFD;
			break;
		case 'P': {
			int mode = (int)v->info.flags & O_ACCMODE;

			/* Shown at every descriptor of the file; taken again through one that may. */
			rec.kind = LOCK_POSIX;
			rec.pid = v->task->pid;
			known = mode != O_RDWR && mode != (lock->write ? O_WRONLY : O_RDONLY);
			break;
		}
		default:
			dump_obstacle(d, v->task->pid,
			              "descriptor %d (%s) has a lease on its file (F_SETLEASE)",
			              v->fd, v->link);
			continue;
		}
		LIST_EACH(&d->image.locks, struct lock_rec, other) {
			const struct file_rec *a =
				LIST_AT(&d->image.files, struct file_rec, other->file - 1);
			const struct file_rec *b =
				LIST_AT(&d->image.files, struct file_rec, file - 1);

			known |= other->kind == rec.kind && other->pid == rec.pid &&
			         other->start == rec.start && other->end == rec.end &&
			         (rec.kind == LOCK_POSIX ? a->inode == b->inode : a == b);
		}
		if (!known)
			*LIST_ADD(&d->image.locks, &d->arena, struct lock_rec) = rec;
	}
}

static int dump_file(struct dump *d, const struct fd_view *v, uint32_t id, struct err *e)
{
	struct file_rec f = {.id = id};
	struct file_user user = {.task = v->task, .tid = v->tid, .fd = v->fd, .kind = kind_of(v)};
	int flags = fcntl(v->local, F_GETFL);
	int r = 0;

	f.flags = flags < 0 ? v->info.flags & ~(uint32_t)O_CLOEXEC : (uint32_t)flags;
	f.pos = (uint64_t)MAX(v->info.pos, (int64_t)0);
	if (user.kind) {
		f.kind = user.kind->kind;
		r = user.kind->dump(d, v, &f, e);
		if (!r && !(f.flags & O_PATH))
			r = dump_owner(d, v, &f);
	} else {
		const char *what = unclaimed(v->link);

		dump_obstacle(d, v->task->pid, "descriptor %d is %s (%s)", v->fd,
		              what ? what : "of a kind that wslx does not know", v->link);
	}
	if (r < 0)
		return err_wrap(e, r, "descriptor %d (%s)", v->fd, v->link);
	*LIST_ADD(&d->image.files, &d->arena, struct file_rec) = f;
	*LIST_ADD(&d->file_users, &d->arena, struct file_user) = user;
	dump_locks(d, v, id);
	return 0;
}

int dump_table(struct dump *d, struct dtask *t, pid_t tid, struct table_rec *table, struct err *e)
{
	struct list numbers = {0};
	char path[64];
	int r;

	snprintf(path, sizeof(path), "task/%d/fd", tid);
	r = os_list_numbers_at(t->proc, path, &d->arena, &numbers);
	if (r < 0)
		return err_set(e, r, "descriptors");
	LIST_EACH(&numbers, uint64_t, number) {
		struct fd_rec rec = {.fd = (uint32_t)*number};
		struct fd_view v;

		r = view_open(d, t, tid, (int)*number, &v, e);
		if (r < 0)
			return r;
		rec.cloexec = v.info.flags & O_CLOEXEC;
		r = kset_find(set_for(d, &v.st), tid, (unsigned long)v.fd,
		              (uint32_t)d->image.files.count + 1, &rec.file, e);
		if (r > 0)
			r = dump_file(d, &v, rec.file, e);
		else if (!r)
			dump_locks(d, &v, rec.file);
		os_close(&v.local);
		if (r < 0)
			return r;
		*LIST_ADD(&table->fds, &d->arena, struct fd_rec) = rec;
	}
	return 0;
}

/* A local descriptor for a description that was dumped; the caller closes it. */
static int open_again(struct dump *d, uint32_t file, struct fd_view *v, struct err *e)
{
	const struct file_user *user = LIST_AT(&d->file_users, struct file_user, file - 1);

	return view_open(d, user->task, user->tid, user->fd, v, e);
}

int dump_files_late(struct dump *d, struct err *e)
{
	for (uint32_t id = 1; id <= d->image.files.count; id++) {
		const struct file_user *user = LIST_AT(&d->file_users, struct file_user, id - 1);
		struct fd_view v;
		int r;

		if (!user->kind || !user->kind->dump_late)
			continue;
		r = open_again(d, id, &v, e);
		if (r < 0)
			return r;
		r = user->kind->dump_late(d, &v, LIST_AT(&d->image.files, struct file_rec, id - 1),
		                          e);
		os_close(&v.local);
		if (r < 0)
			return err_wrap(e, r, "descriptor %d (%s)", v.fd, v.link);
	}
	return 0;
}

void dump_files_free(struct dump *d)
{
	LIST_EACH(&d->file_sets, struct file_set, set)
		free(set->set.items);
	dump_inodes_free(d);
}
