/* SPDX-License-Identifier: MIT */
/*
 * Terminals. Both directions.
 *
 *	internal	a pty whose master is in the tree: a fresh pty with the same settings, and
 *			with the same number if it is free; if not the caller is told
 *	external	the master is elsewhere (a terminal emulator, sshd), or it is a console or
 *			a serial line: the caller's terminal takes its place, or a fresh pty whose
 *			master is kept by a process of ours (tty-holder.c)
 *	hung up		a slave whose master is gone: a fresh one, whose master is closed
 *
 * A controlling terminal is taken by the leader of a session and inherited by fork; so the
 * leader gets it when its session is founded, before it has children, and children that had
 * given it up give it up again.
 *
 * What the kernel tells nobody is not restored: output that was stopped with Ctrl-S.
 */
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "kinds/tty-queue.h"

#define PTS_MAJOR 136 /* and the seven behind it */
#define PTS_MAX 4096  /* how many ptys are taken to reach a number */
#define VIA_CTTY 2    /* file_rec.end: opened as /dev/tty */

/* The kernel's numbers of terminals, as stat and TIOCGDEV give them (new_encode_dev()). */
static unsigned major_of(uint32_t dev)
{
	return (dev & 0xfff00) >> 8;
}

static unsigned minor_of(uint32_t dev)
{
	return (dev & 0xff) | ((dev >> 12) & 0xfff00);
}

static bool is_pts(uint32_t dev)
{
	return major_of(dev) >= PTS_MAJOR && major_of(dev) < PTS_MAJOR + 8;
}

/* ---- dump ------------------------------------------------------------------------------ */

static bool tty_claims(const struct fd_view *v)
{
	unsigned m = major(v->st.st_rdev);
	struct termios2 t;

	if (!S_ISCHR(v->st.st_mode) || v->info.flags & O_PATH)
		return false;
	return (m >= 2 && m <= 5) || (m >= PTS_MAJOR && m < PTS_MAJOR + 8) ||
	       ioctl(v->local, TCGETS2, &t) == 0;
}

static const char *path_of(struct dump *d, uint32_t dev)
{
	const char *target;
	char link[48];

	if (is_pts(dev))
		return arena_printf(&d->arena, "/dev/pts/%u",
		                    (major_of(dev) - PTS_MAJOR) * 256 + minor_of(dev));
	snprintf(link, sizeof(link), "/sys/dev/char/%u:%u", major_of(dev), minor_of(dev));
	if (os_readlink_at(AT_FDCWD, link, &d->arena, &target) < 0)
		return arena_printf(&d->arena, "terminal %u:%u", major_of(dev), minor_of(dev));
	return arena_printf(&d->arena, "/dev/%s", strrchr(target, '/') + 1);
}

/* @local: any side of it, -1: nobody has it open. */
static void dump_settings(struct dump *d, pid_t pid, int local, struct tty_rec *t)
{
	struct termios2 termios;
	struct winsize size;
	struct stat st;
	int number;

	if (stat(t->path, &st) == 0) {
		t->slave_mode = st.st_mode;
		t->slave_uid = st.st_uid;
		t->slave_gid = st.st_gid;
	}
	if (local < 0)
		return;
	if (ioctl(local, TCGETS2, &termios) == 0)
		t->termios =
			SPAN(arena_copy(&d->arena, &termios, sizeof(termios)), sizeof(termios));
	if (ioctl(local, TIOCGWINSZ, &size) == 0) {
		t->rows = size.ws_row;
		t->cols = size.ws_col;
		t->xpixel = size.ws_xpixel;
		t->ypixel = size.ws_ypixel;
	}
	if (ioctl(local, TIOCGETD, &number) == 0 && number != N_TTY)
		dump_obstacle(d, pid,
		              "the terminal %s has line discipline %d (a network or serial "
		              "protocol)",
		              t->path, number);
}

static struct tty_rec *tty_add(struct dump *d, uint32_t dev)
{
	uint32_t id = (uint32_t)d->image.ttys.count + 1;
	struct tty_rec *t = LIST_ADD(&d->image.ttys, &d->arena, struct tty_rec);

	t->id = id;
	t->rdev = dev;
	t->path = "";
	/* A hung-up one is nobody's any more: its number may be another one's by now. */
	if (!dev)
		return t;
	t->path = path_of(d, dev);
	if (is_pts(dev))
		t->index = (major_of(dev) - PTS_MAJOR) * 256 + minor_of(dev);
	*LIST_ADD(&d->tty_keys, &d->arena, struct object_key) =
		(struct object_key){.ino = dev, .id = id};
	return t;
}

static struct tty_rec *tty_find(struct dump *d, uint32_t dev)
{
	LIST_EACH(&d->tty_keys, struct object_key, key)
		if (key->ino == dev)
			return LIST_AT(&d->image.ttys, struct tty_rec, key->id - 1);
	return NULL;
}

static void dump_master(const struct fd_view *v, struct tty_rec *t)
{
	struct pollfd p = {.fd = v->local};
	int on = 0;

	t->packet_mode = ioctl(v->local, TIOCGPKT, &on) == 0 && on;
	t->locked = ioctl(v->local, TIOCGPTLCK, &on) == 0 && on;
	t->slave_closed = poll(&p, 1, 0) > 0 && p.revents & POLLHUP;
}

static int tty_dump(struct dump *d, const struct fd_view *v, struct file_rec *f, struct err *e)
{
	bool master = v->info.tty_index >= 0;
	struct tty_rec *t;
	uint32_t dev = 0;
	int on = 0;

	f->pos = 0;
	f->end = master ? 1 : v->st.st_rdev == makedev(5, 0) ? VIA_CTTY : 0;
	if (ioctl(v->local, TIOCGDEV, &dev) < 0) {
		if (errno != EIO || master)
			return err_set(e, -errno, "terminal: TIOCGDEV");
		t = tty_add(d, 0);
		t->hung_up = true;
		f->object = t->id;
		return 0;
	}
	t = tty_find(d, dev);
	if (!t) {
		t = tty_add(d, dev);
		dump_settings(d, v->task->pid, v->local, t);
	}
	if (master)
		dump_master(v, t);
	else
		t->exclusive = ioctl(v->local, TIOCGEXCL, &on) == 0 && on;
	f->object = t->id;
	return 0;
}

static bool has_side(const struct dump *d, uint32_t tty, bool master)
{
	LIST_EACH(&d->image.files, struct file_rec, f)
		if (f->kind == FILE_TTY && f->object == tty && (f->end == 1) == master)
			return true;
	return false;
}

/* How much there is to read, without what is on its way. */
static int waiting(int fd)
{
	int n = 0;

	return fd < 0 || ioctl(fd, FIONREAD, &n) < 0 ? 0 : n;
}

static int dump_queue(struct dump *d, const struct fd_view *v, struct tty_rec *t, struct err *e)
{
	struct pollfd p = {.fd = v->local, .events = POLLIN | POLLPRI};
	bool has_slave = has_side(d, t->id, false);
	struct tty_queue q = {0};
	int r;

	/* Asking brings what is on its way to where it is counted. */
	if (poll(&p, 1, 0) > 0 && p.revents & POLLPRI) {
		dump_obstacle(
			d, v->task->pid,
			"descriptor %d is a terminal's master in packet mode with news that the "
			"program has not read yet: let it read them first",
			v->fd);
		return 0;
	}
	if (waiting(v->local) >= TTY_QUEUE_MAX) {
		dump_obstacle(
			d, v->task->pid,
			"descriptor %d is the master of a pseudo terminal (%s) that is full of "
			"output: let the program read it first",
			v->fd, t->path);
		return 0;
	}
	r = tty_queue_look(v->local, has_slave, &q);
	if (r == -EFBIG) {
		dump_obstacle(
			d, v->task->pid,
			"descriptor %d is the master of a pseudo terminal (%s) that is full of "
			"input: let the program on it read that first",
			v->fd, t->path);
		return 0;
	}
	if (r < 0)
		return err_set(e, r, "%s: what waits to be read", t->path);
	t->to_slave = SPAN(arena_copy(&d->arena, q.to_slave, q.n_slave), q.n_slave);
	t->to_master = SPAN(arena_copy(&d->arena, q.to_master, q.n_master), q.n_master);
	for (size_t i = 0; i < q.n_ends; i++)
		*LIST_ADD(&t->line_ends, &d->arena, uint64_t) = q.ends[i];
	return 0;
}

static int tty_dump_late(struct dump *d, const struct fd_view *v, struct file_rec *f, struct err *e)
{
	struct tty_rec *t = LIST_AT(&d->image.ttys, struct tty_rec, f->object - 1);
	pid_t holder;
	int r = 0;

	if (t->hung_up)
		return 0;
	t->external = !has_side(d, t->id, true);
	if (t->external)
		return 0; /* what is typed there is not the program's yet */
	if (f->end == 1)
		r = dump_queue(d, v, t, e);
	if (r < 0)
		return r;
	if (f->end == 1 && waiting(v->local) && !tty_queue_allowed())
		dump_obstacle(d, v->task->pid,
		              "descriptor %d is the master of a pseudo terminal (%s) with %d bytes "
		              "of output that were not read yet: copying them needs CAP_SYS_ADMIN",
		              v->fd, t->path, waiting(v->local));
	holder = f->end == 1 ? dump_outside_holder(d, t->path) : 0;
	if (holder)
		dump_obstacle(
			d, v->task->pid,
			"descriptor %d is the master of a pseudo terminal (%s) that process %d "
			"uses, outside of the tree: snapshot a parent of both",
			v->fd, t->path, holder);
	return 0;
}

int dump_ttys_late(struct dump *d, struct err *e)
{
	for (size_t i = 0; i < d->n_tasks; i++) {
		const struct dtask *task = d->tasks[i];
		struct task_rec *rec = LIST_AT(&d->image.tasks, struct task_rec, i);
		uint32_t dev = (uint32_t)task->stat.tty_nr;
		struct tty_rec *t;

		if (task->zombie || !dev)
			continue;
		t = tty_find(d, dev);
		if (!t) {
			AUTO(fd) int local = -1;

			t = tty_add(d, dev);
			t->external = true;
			local = open(t->path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
			dump_settings(d, task->pid, local, t);
		}
		t->session = task->stat.session;
		t->foreground = MAX(task->stat.tpgid, 0);
		rec->tty = t->id;
	}
	return 0;
}

/* ---- restore: making one ----------------------------------------------------------------- */

static struct tty_rec *tty_rec_of(const struct restore *r, uint32_t id)
{
	return LIST_AT(&r->image->ttys, struct tty_rec, id - 1);
}

/* Is the leader of the session that it controls in the tree? */
static bool has_leader(struct restore *r, const struct tty_rec *t)
{
	const struct rtask *leader = t->session > 0 ? restore_find(r, (uint32_t)t->session) : NULL;

	return leader && leader->rec->sid == leader->rec->pid;
}

/* The caller's terminal itself, without a pty between. */
static bool is_callers(struct restore *r, const struct tty_rec *t)
{
	return t->external && r->options->tty >= 0 && !has_leader(r, t);
}

/* A master with a certain number, if it is free: the lowest free one is given each time. */
static int open_master(int flags, uint32_t index)
{
	int taken[PTS_MAX], n = 0, best = -1, got;

	do {
		int fd = open("/dev/ptmx", flags | O_NOCTTY | O_CLOEXEC);

		if (fd < 0 || ioctl(fd, TIOCGPTN, &got) < 0) {
			if (fd < 0 && best < 0)
				best = -errno;
			os_close(&fd);
			break;
		}
		if (best < 0 || got == (int)index) {
			if (best >= 0)
				taken[n++] = best;
			best = fd;
		} else {
			taken[n++] = fd;
		}
	} while (got < (int)index && n < PTS_MAX - 1);
	while (n)
		close(taken[--n]);
	return best;
}

static int master_flags(const struct restore *r, uint32_t id)
{
	LIST_EACH(&r->image->files, struct file_rec, f)
		if (f->kind == FILE_TTY && f->object == id && f->end == 1)
			return (int)f->flags & O_ACCMODE;
	return O_RDWR;
}

static int apply_settings(const struct tty_rec *t, int fd, bool size_too, struct err *e)
{
	struct winsize size = {(unsigned short)t->rows, (unsigned short)t->cols,
	                       (unsigned short)t->xpixel, (unsigned short)t->ypixel};

	if (t->termios.len == sizeof(struct termios2) && ioctl(fd, TCSETS2, t->termios.data) < 0)
		return err_set(e, -errno, "terminal %s: settings", t->path);
	if (size_too && ioctl(fd, TIOCSWINSZ, &size) < 0)
		return err_set(e, -errno, "terminal %s: size", t->path);
	return 0;
}

static int set_node(const struct tty_rec *t, int master, struct err *e)
{
	char path[32];
	int index;

	if (!t->slave_mode)
		return 0;
	if (ioctl(master, TIOCGPTN, &index) < 0)
		return err_set(e, -errno, "terminal: number");
	snprintf(path, sizeof(path), "/dev/pts/%d", index);
	if (chown(path, t->slave_uid, t->slave_gid) < 0 && errno != EPERM)
		return err_set(e, -errno, "%s: owner", path);
	if (chmod(path, t->slave_mode & 07777) < 0)
		return err_set(e, -errno, "%s: mode", path);
	return 0;
}

/* The pty in the place of @id: its master is in tty_masters afterwards. */
static int make_pty(struct restore *r, uint32_t id, struct err *e)
{
	const struct tty_rec *t = tty_rec_of(r, id);
	AUTO(fd) int master = -1;
	int off = 0, on = 1, number = 0, ret;

	if (r->tty_masters[id - 1] >= 0)
		return 0;
	master = open_master(master_flags(r, id), is_pts((uint32_t)t->rdev) ? t->index : 0);
	if (master < 0)
		return err_set(e, master, "a pseudo terminal");
	if (ioctl(master, TIOCSPTLCK, &off) < 0)
		return err_set(e, -errno, "pseudo terminal: unlock");
	ret = apply_settings(t, master, true, e);
	if (!ret && !t->external)
		ret = set_node(t, master, e);
	if (ret < 0)
		return ret;
	if (t->packet_mode && ioctl(master, TIOCPKT, &on) < 0)
		return err_set(e, -errno, "pseudo terminal: packet mode");
	if (!t->external && ioctl(master, TIOCGPTN, &number) == 0 && number != (int)t->index)
		restore_note(r,
		             "the pseudo terminal %s is /dev/pts/%d now, because somebody else has "
		             "that number: a program that remembers the name opens theirs",
		             t->path, number);
	r->tty_masters[id - 1] = take_fd(&master);
	return 0;
}

static int open_slave(int master, int flags, struct err *e)
{
	int fd = ioctl(master, TIOCGPTPEER, flags | O_NOCTTY | O_CLOEXEC);

	return fd < 0 ? err_set(e, -errno, "pseudo terminal: slave") : fd;
}

/* Some descriptor of it, for what is asked of the terminal and not of the description. */
static int any_slave(struct restore *r, uint32_t id, struct err *e)
{
	int *fd = &r->tty_slaves[id - 1], ret;

	if (*fd >= 0)
		return *fd;
	if (is_callers(r, tty_rec_of(r, id))) {
		*fd = fcntl(r->options->tty, F_DUPFD_CLOEXEC, 0);
		return *fd < 0 ? err_set(e, -errno, "your terminal") : *fd;
	}
	ret = make_pty(r, id, e);
	if (!ret)
		ret = open_slave(r->tty_masters[id - 1], O_RDWR, e);
	if (ret >= 0)
		*fd = ret;
	return ret;
}

/* ---- restore: descriptions ---------------------------------------------------------------- */

static int restore_hung_up(const struct file_rec *f, int *out, struct err *e)
{
	AUTO(fd) int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	int off = 0, fd;

	if (master < 0 || ioctl(master, TIOCSPTLCK, &off) < 0)
		return err_set(e, -errno, "a pseudo terminal");
	fd = open_slave(master, (int)f->flags & O_ACCMODE, e);
	if (fd < 0)
		return fd;
	*out = fd;
	return 0; /* closing the master hangs it up */
}

/* /dev/tty names the terminal of whoever opens it: a task that has it opens it for us. */
static int open_via_ctty(struct restore *r, const struct file_rec *f, int *out, struct err *e)
{
	static const char path[] = "/dev/tty";
	AUTO(fd) int pidfd = -1;
	struct rtask *t = NULL;
	struct remote in;
	int64_t there = -1, ignored;
	int ret;

	for (size_t i = 0; !t && i < r->n_tasks; i++)
		if (r->tasks[i].rec->tty == f->object)
			t = &r->tasks[i];
	if (!t)
		return -ENXIO;
	pidfd = os_pidfd_open(t->pid, 0);
	ret = remote_begin(&in, &t->threads[0].tracee, &r->place, e);
	if (ret < 0)
		return ret;
	REMOTE_QUEUE(&in, SYS_open, remote_in(&in, path, sizeof(path)), U(f->flags & O_ACCMODE),
	             U(0));
	ret = remote_run(&in, e);
	if (!ret) {
		there = remote_result(&in, 0);
		*out = there < 0 ? (int)there : os_pidfd_getfd(pidfd, (int)there);
		if (there >= 0)
			ret = REMOTE_CALL(&in, &ignored, e, SYS_close, U(there));
	}
	ret = remote_close(&in, ret, e);
	if (!ret && *out < 0) {
		ret = *out;
		*out = -1;
	}
	return ret;
}

static int tty_restore(struct restore *r, const struct file_rec *f, int *out, struct err *e)
{
	const struct tty_rec *t = tty_rec_of(r, f->object);
	int mode = (int)f->flags & O_ACCMODE, ret;
	char path[32];

	if (t->hung_up)
		return restore_hung_up(f, out, e);
	if (f->end == 1) {
		ret = make_pty(r, f->object, e);
		if (ret < 0)
			return ret;
		*out = fcntl(r->tty_masters[f->object - 1], F_DUPFD_CLOEXEC, 0);
		return *out < 0 ? err_set(e, -errno, "pseudo terminal") : 0;
	}
	if (f->end == VIA_CTTY) {
		ret = open_via_ctty(r, f, out, NULL);
		if (!ret)
			return 0;
		/* Nobody has it as controlling terminal any more: the terminal is the same. */
	}
	if (is_callers(r, t)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", r->options->tty);
		*out = open(path, mode | O_NOCTTY | O_CLOEXEC);
		/* It may be another user's, who lent it to us (su). */
		if (*out < 0)
			*out = fcntl(r->options->tty, F_DUPFD_CLOEXEC, 0);
		return *out < 0 ? err_set(e, -errno, "your terminal") : 0;
	}
	ret = make_pty(r, f->object, e);
	if (!ret)
		ret = open_slave(r->tty_masters[f->object - 1], mode, e);
	if (ret < 0)
		return ret;
	*out = ret;
	return 0;
}

/* ---- restore: sessions --------------------------------------------------------------------- */

/* One ioctl(2) on a terminal inside of a task. Return: what it returned, or negative errno. */
static int ioctl_in(struct restore *r, struct tracee *t, int fd, unsigned request,
                    const uint32_t *arg, struct err *e)
{
	struct remote in;
	size_t call;
	int there, ret, result = 0;

	ret = remote_begin(&in, t, &r->place, e);
	if (ret < 0)
		return ret;
	ret = restore_send_fds(r, &in, &fd, 1, &there, e);
	if (!ret) {
		call = REMOTE_QUEUE(&in, SYS_ioctl, U(there), U(request),
		                    arg ? remote_in(&in, arg, sizeof(*arg)) : U(0));
		REMOTE_QUEUE(&in, SYS_close, U(there));
		ret = remote_run(&in, e);
		if (!ret)
			result = (int)remote_result(&in, call);
	}
	ret = remote_close(&in, ret, e);
	return ret ? ret : result;
}

int restore_session_tty(struct restore *r, struct tracee *leader, uint32_t sid, struct err *e)
{
	LIST_EACH(&r->image->ttys, struct tty_rec, t) {
		int fd, ret;

		if (t->session <= 0 || (uint32_t)t->session != sid || is_callers(r, t))
			continue;
		fd = any_slave(r, t->id, e);
		if (fd < 0)
			return fd;
		ret = ioctl_in(r, leader, fd, TIOCSCTTY, NULL, e);
		if (ret < 0)
			return err_set(e, ret, "session %u: its controlling terminal", sid);
	}
	return 0;
}

/* The process group of the tree that has this number now; 0: it is not in the tree. */
static uint32_t group_now(struct restore *r, int32_t pgid)
{
	const struct task_rec *root = r->tasks[0].rec;

	if (pgid <= 0)
		return 0;
	/* A group from outside got the number of the root. */
	if ((uint32_t)pgid == root->pgid && !restore_find(r, root->pgid))
		return root->pid;
	LIST_EACH(&r->image->tasks, struct task_rec, t)
		if (t->pgid == (uint32_t)pgid)
			return t->pgid;
	return 0;
}

/* The caller's terminal goes to the program's group, as a shell does it. */
static int restore_callers(struct restore *r, const struct tty_rec *t, struct err *e)
{
	uint32_t group = group_now(r, t->foreground);
	pid_t here = group ? restore_pid_here(r, group) : 0;
	sigset_t ttou, old;
	int ret = apply_settings(t, r->options->tty, false, e);

	if (ret < 0 || !here)
		return ret;
	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	sigprocmask(SIG_BLOCK, &ttou, &old);
	/* ENOTTY: it is not our controlling terminal, and so nobody's foreground is ours to set. */
	if (ioctl(r->options->tty, TIOCSPGRP, &here) < 0 && errno != ENOTTY)
		ret = err_set(e, -errno, "your terminal: foreground group");
	sigprocmask(SIG_SETMASK, &old, NULL);
	return ret;
}

/* The leader's descendants inherited its terminal: those that had given it up do so again. */
static int restore_members(struct restore *r, const struct tty_rec *t, int fd, struct err *e)
{
	for (size_t i = 0; i < r->n_tasks; i++) {
		const struct task_rec *rec = r->tasks[i].rec;
		int ret;

		if (rec->sid != (uint32_t)t->session || rec->tty || rec->state == TASK_ZOMBIE)
			continue;
		ret = ioctl_in(r, &r->tasks[i].threads[0].tracee, fd, TIOCNOTTY, NULL, e);
		if (ret < 0 && ret != -ENOTTY)
			return err_set(e, ret, "process %u: giving up its terminal", rec->pid);
	}
	return 0;
}

static int restore_session(struct restore *r, const struct tty_rec *t, struct err *e)
{
	const struct rtask *leader = restore_find(r, (uint32_t)t->session);
	uint32_t group = group_now(r, t->foreground);
	int fd, ret;

	/* A session from outside was founded again by the root. */
	if (!leader && r->root_founded && (uint32_t)t->session == r->tasks[0].rec->sid)
		leader = &r->tasks[0];
	if (!leader)
		return 0;
	fd = any_slave(r, t->id, e);
	if (fd < 0)
		return fd;
	ret = restore_members(r, t, fd, e);
	if (ret < 0 || !group)
		return ret;
	ret = ioctl_in(r, &leader->threads[0].tracee, fd, TIOCSPGRP, &group, e);
	return ret < 0 ? err_set(e, ret, "session %d: foreground group %u", t->session, group) : 0;
}

static int restore_queue(struct restore *r, const struct tty_rec *t, struct err *e)
{
	bool slave =
		t->to_slave.len || t->line_ends.count || (t->to_master.len && !tty_queue_allowed());
	struct tty_queue q = {.n_slave = t->to_slave.len,
	                      .n_master = t->to_master.len,
	                      .n_ends = t->line_ends.count};
	uint64_t last = 0;
	int fd = slave ? any_slave(r, t->id, e) : -1, ret;

	if (slave && fd < 0)
		return fd;
	if (q.n_slave > TTY_QUEUE_MAX || q.n_master > TTY_QUEUE_MAX || q.n_ends > TTY_QUEUE_MAX)
		return err_say(e, -EBADMSG, "terminal %s: more waits than it can hold", t->path);
	span_copy(q.to_slave, t->to_slave);
	span_copy(q.to_master, t->to_master);
	for (size_t i = 0; i < q.n_ends; i++) {
		q.ends[i] = *LIST_AT(&t->line_ends, uint64_t, i);
		if (q.ends[i] / 2 < last || q.ends[i] / 2 > q.n_slave)
			return err_say(e, -EBADMSG, "terminal %s: its lines are out of order",
			               t->path);
		last = q.ends[i] / 2;
	}
	ret = tty_queue_put(&q, r->tty_masters[t->id - 1], fd);
	return ret < 0 ? err_set(e, ret, "terminal %s: what waits to be read", t->path) : 0;
}

static int restore_tty(struct restore *r, const struct tty_rec *t, struct err *e)
{
	int *master = &r->tty_masters[t->id - 1], on = 1, ret = 0;
	struct winsize size;

	if (is_callers(r, t))
		return restore_callers(r, t, e);
	if (t->session > 0)
		ret = restore_session(r, t, e);
	if (ret < 0 || *master < 0)
		return ret;
	if (!t->external)
		ret = restore_queue(r, t, e);
	if (ret < 0)
		return ret;
	if (t->slave_closed) {
		ret = any_slave(r, t->id, e);
		if (ret < 0)
			return ret;
	}
	if (t->exclusive &&
	    (any_slave(r, t->id, e) < 0 || ioctl(r->tty_slaves[t->id - 1], TIOCEXCL) < 0))
		return err_set(e, -errno, "terminal %s: exclusive use", t->path);
	if (t->locked && ioctl(*master, TIOCSPTLCK, &on) < 0)
		return err_set(e, -errno, "terminal %s: lock", t->path);
	if (!t->external)
		return 0;
	/* The caller's terminal is behind one of them, which has its size then. */
	restore_use_all_cpus(r);
	if (r->options->tty < 0 || r->tty_holder) {
		ret = tty_hold(*master, -1, NULL, e);
	} else {
		if (ioctl(r->options->tty, TIOCGWINSZ, &size) == 0)
			ioctl(*master, TIOCSWINSZ, &size);
		ret = tty_hold(*master, r->options->tty, &r->tty_holder, e);
	}
	restore_use_one_cpu(r);
	return ret;
}

int restore_ttys(struct restore *r, struct err *e)
{
	LIST_EACH(&r->image->ttys, struct tty_rec, t) {
		int ret = t->hung_up ? 0 : restore_tty(r, t, e);

		if (ret < 0)
			return ret;
	}
	return 0;
}

const struct kind kind_tty = {
	.name = "terminal",
	.kind = FILE_TTY,
	.claims = tty_claims,
	.dump = tty_dump,
	.dump_late = tty_dump_late,
	.restore = tty_restore,
};
