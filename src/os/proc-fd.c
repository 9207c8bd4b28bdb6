/* SPDX-License-Identifier: MIT */
/* /proc/PID/fdinfo/N: what an open file is, beyond what its link says. */
#include "os/proc.h"

#include "os/cursor.h"

#define NS_PER_S INT64_C(1000000000)

/* "(seconds, nanoseconds)" */
static bool parse_time(struct cursor *c, int64_t *out)
{
	int64_t seconds, ns;

	if (!cursor_char(c, '(') || !cursor_i64(c, &seconds) || !cursor_text(c, ", ") ||
	    !cursor_i64(c, &ns) || !cursor_char(c, ')') || ns < 0 || ns >= NS_PER_S)
		return false;
	return !__builtin_mul_overflow(seconds, NS_PER_S, &seconds) &&
	       !__builtin_add_overflow(seconds, ns, out);
}

/* "tfd:        4 events:       19 data: ...  pos:0 ino:414 sdev:10", all but tfd, pos in hex. */
static bool parse_epoll(struct cursor *c, struct proc_epoll_target *t)
{
	bool sane = cursor_i32(c, &t->fd) && cursor_text(c, " events:") && cursor_blanks(c) &&
	            cursor_u32(c, 16, &t->events) && cursor_text(c, " data:") && cursor_blanks(c) &&
	            cursor_u64(c, 16, UINT64_MAX, &t->data);

	if (!sane)
		return false;
	/* What identifies the file is there since Linux 4.13. */
	cursor_blanks(c);
	if (cursor_done(c))
		return true;
	return cursor_text(c, "pos:") && cursor_u64(c, 10, UINT64_MAX, &t->pos) &&
	       cursor_text(c, " ino:") && cursor_u64(c, 16, UINT64_MAX, &t->inode) &&
	       cursor_text(c, " sdev:") && cursor_u64(c, 16, UINT64_MAX, &t->device);
}

static bool parse_handle(struct cursor *c, uint32_t bytes, struct arena *a, struct span *out)
{
	uint8_t *handle;

	/* MAX_HANDLE_SZ of the kernel is 128. */
	if (bytes > 128 || cursor_left(c) < 2 * (size_t)bytes)
		return false;
	handle = arena_alloc(a, bytes);
	for (uint32_t i = 0; i < bytes; i++) {
		unsigned high = cursor_digit(c->at[0]), low = cursor_digit(c->at[1]);

		if (high > 15 || low > 15)
			return false;
		handle[i] = (uint8_t)(high << 4 | low);
		c->at += 2;
	}
	*out = SPAN(handle, bytes);
	return true;
}

/*
 * "inotify wd:c ino:1 sdev:6 mask:100 ignored_mask:0 fhandle-bytes:c fhandle-type:1 f_handle:.."
 * Every number is hexadecimal, the watch descriptor too (proc(5) says decimal; inotify_fdinfo()
 * in fs/notify/fdinfo.c prints %x). File systems without handles leave out the last three.
 */
static bool parse_inotify(struct cursor *c, struct arena *a, struct proc_inotify_watch *w)
{
	uint32_t wd, ignored, bytes, type;

	if (!cursor_u32(c, 16, &wd) || wd > INT32_MAX || !cursor_text(c, " ino:") ||
	    !cursor_u64(c, 16, UINT64_MAX, &w->inode) || !cursor_text(c, " sdev:") ||
	    !cursor_u32(c, 16, &w->device) || !cursor_text(c, " mask:") ||
	    !cursor_u32(c, 16, &w->mask) || !cursor_text(c, " ignored_mask:") ||
	    !cursor_u32(c, 16, &ignored))
		return false;
	w->wd = (int32_t)wd;
	cursor_blanks(c);
	if (cursor_done(c))
		return true;
	if (!cursor_text(c, "fhandle-bytes:") || !cursor_u32(c, 16, &bytes) ||
	    !cursor_text(c, " fhandle-type:") || !cursor_u32(c, 16, &type) || type > UINT8_MAX ||
	    !cursor_text(c, " f_handle:") || !parse_handle(c, bytes, a, &w->handle))
		return false;
	w->handle_type = (uint8_t)type;
	return true;
}

/* "1: FLOCK  ADVISORY  WRITE 6169 fe:00:10952929 0 EOF" */
static bool parse_lock(struct cursor *c, struct proc_lock *l)
{
	struct cursor kind, strength, access, place;
	uint64_t number;

	if (!cursor_u64(c, 10, UINT64_MAX, &number) || !cursor_text(c, ": ") ||
	    !cursor_word(c, &kind) || !cursor_blanks(c) || !cursor_word(c, &strength) ||
	    !cursor_blanks(c) || !cursor_word(c, &access) || !cursor_blanks(c) ||
	    !cursor_i32(c, &l->pid) || !cursor_blanks(c) || !cursor_word(c, &place) ||
	    !cursor_blanks(c) || !cursor_u64(c, 10, UINT64_MAX, &l->start) || !cursor_blanks(c))
		return false;
	if (cursor_is(kind, "FLOCK"))
		l->kind = 'F';
	else if (cursor_is(kind, "POSIX") || cursor_is(kind, "ACCESS"))
		l->kind = 'P';
	else if (cursor_is(kind, "OFDLCK"))
		l->kind = 'O';
	else if (cursor_is(kind, "LEASE") || cursor_is(kind, "DELEG"))
		l->kind = 'L';
	else
		return false;
	l->write = cursor_is(access, "WRITE") || cursor_is(access, "RW");
	if (cursor_text(c, "EOF")) {
		l->end = UINT64_MAX;
		return true;
	}
	return cursor_u64(c, 10, UINT64_MAX, &l->end);
}

static bool parse_bool(struct cursor *c, bool *out)
{
	uint64_t value;

	if (!cursor_u64(c, 10, 1, &value))
		return false;
	*out = value;
	return true;
}

/* One line; @c stands behind the blanks that follow the key. */
static bool parse_line(struct cursor key, struct cursor *c, struct arena *a, struct proc_fdinfo *f)
{
	if (cursor_is(key, "pos"))
		return cursor_i64(c, &f->pos);
	if (cursor_is(key, "flags"))
		return cursor_u32(c, 8, &f->flags);
	if (cursor_is(key, "mnt_id"))
		return cursor_i32(c, &f->mount_id);
	if (cursor_is(key, "ino"))
		return cursor_u64(c, 10, UINT64_MAX, &f->inode);
	if (cursor_is(key, "eventfd-count")) {
		f->has_eventfd = true;
		return cursor_u64(c, 16, UINT64_MAX, &f->eventfd_count);
	}
	if (cursor_is(key, "eventfd-semaphore"))
		return parse_bool(c, &f->eventfd_semaphore);
	if (cursor_is(key, "sigmask")) {
		f->has_signalfd = true;
		return cursor_u64(c, 16, UINT64_MAX, &f->signalfd_mask);
	}
	if (cursor_is(key, "clockid")) {
		f->has_timerfd = true;
		return cursor_i32(c, &f->timerfd_clock);
	}
	if (cursor_is(key, "ticks"))
		return cursor_u64(c, 10, UINT64_MAX, &f->timerfd_ticks);
	if (cursor_is(key, "settime flags")) {
		uint64_t flags;

		if (!cursor_u64(c, 8, INT32_MAX, &flags))
			return false;
		f->timerfd_flags = (int32_t)flags;
		return true;
	}
	if (cursor_is(key, "it_value"))
		return parse_time(c, &f->timerfd_value_ns);
	if (cursor_is(key, "it_interval"))
		return parse_time(c, &f->timerfd_interval_ns);
	if (cursor_is(key, "Pid")) {
		f->has_pidfd = true;
		return cursor_i32(c, &f->pidfd_pid);
	}
	if (cursor_is(key, "tty-index"))
		return cursor_i32(c, &f->tty_index);
	if (cursor_is(key, "scm_fds"))
		return cursor_u32(c, 10, &f->scm_fds);
	if (cursor_is(key, "tfd")) {
		struct proc_epoll_target t = {0};

		f->has_epoll = true;
		if (!parse_epoll(c, &t))
			return false;
		*LIST_ADD(&f->epoll, a, struct proc_epoll_target) = t;
		return true;
	}
	if (cursor_is(key, "inotify wd")) {
		struct proc_inotify_watch w = {0};

		f->has_inotify = true;
		if (!parse_inotify(c, a, &w))
			return false;
		*LIST_ADD(&f->inotify, a, struct proc_inotify_watch) = w;
		return true;
	}
	if (cursor_is(key, "lock")) {
		struct proc_lock l = {0};

		if (!parse_lock(c, &l))
			return false;
		*LIST_ADD(&f->locks, a, struct proc_lock) = l;
		return true;
	}
	if (cursor_text(&key, "fanotify "))
		f->has_fanotify = true;
	c->at = c->end; /* drivers add lines of their own */
	return true;
}

int proc_parse_fdinfo(struct span text, struct arena *a, struct proc_fdinfo *out, struct err *e)
{
	struct proc_fdinfo f = {.tty_index = -1};
	struct cursor c = cursor_of(text), line;

	while (cursor_line(&c, &line)) {
		struct cursor value = line, key = cursor_until(&value, ':');

		cursor_blanks(&value);
		if (!parse_line(key, &value, a, &f) || !cursor_blanks(&value) ||
		    !cursor_done(&value))
			return cursor_refuse(e, "fdinfo", line);
	}
	*out = f;
	return 0;
}
