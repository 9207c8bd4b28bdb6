/* SPDX-License-Identifier: MIT */
/*
 * Pipes and FIFOs. Their bytes are copied with tee(2), which leaves them in the pipe: a dump
 * that fails half-way must not have changed the process it was looking at.
 *
 * A pipe whose other end is held by somebody outside of the tree is an obstacle; one whose
 * other end is closed comes back with it closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kinds/kinds.h"

#define KERNEL_O_LARGEFILE 0100000 /* glibc says 0 on x86-64 */

/* ---- dump ------------------------------------------------------------------------------ */

static bool pipe_claims(const struct fd_view *v)
{
	return S_ISFIFO(v->st.st_mode) && text_starts(v->link, "pipe:");
}

static bool fifo_claims(const struct fd_view *v)
{
	return S_ISFIFO(v->st.st_mode) && v->link[0] == '/' && !(v->info.flags & O_PATH);
}

/* A reading end of the same pipe, whatever end @local is. */
static int open_reader(int local)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", local);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* @direct: reads give one packet each. */
static int read_copy(struct dump *d, struct pipe_rec *p, int reader, int copy[2], bool direct,
                     struct err *e)
{
	AUTO(buf) struct buf data = {0};
	ssize_t n = tee(reader, copy[1], INT32_MAX, SPLICE_F_NONBLOCK);

	if (n < 0 && errno != EAGAIN)
		return err_set(e, -errno, "pipe: tee");
	while (n > 0) {
		ssize_t got = read(copy[0], buf_extend(&data, PAGE_BYTES), PAGE_BYTES);

		if (got <= 0)
			return err_set(e, got ? -errno : -EIO, "pipe: its bytes");
		data.len -= PAGE_BYTES - (size_t)got;
		if (direct)
			*LIST_ADD(&p->sizes, &d->arena, uint64_t) = (uint64_t)got;
		n -= got;
	}
	p->data = SPAN(arena_copy(&d->arena, data.data, data.len), data.len);
	return 0;
}

static int copy_bytes(struct dump *d, const struct fd_view *v, struct pipe_rec *p, bool direct,
                      struct err *e)
{
	AUTO(fd) int reader = open_reader(v->local), in = -1, out = -1;
	int ends[2], queued = 0, r;

	if (reader < 0)
		return err_set(e, reader, "pipe: a reading end");
	if (ioctl(reader, FIONREAD, &queued) == 0 && !queued)
		return 0;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK | (direct ? O_DIRECT : 0)) < 0)
		return err_set(e, -errno, "pipe");
	in = ends[0];
	out = ends[1];
	if (fcntl(out, F_SETPIPE_SZ, (int)p->capacity) < 0)
		return err_set(e, -errno, "pipe: a copy of %u bytes capacity", p->capacity);
	r = read_copy(d, p, reader, ends, direct, e);
	if (!r && p->data.len != (size_t)queued)
		return err_say(e, -EIO, "pipe: %d bytes are queued, %zu could be copied", queued,
		               p->data.len);
	return r;
}

static uint32_t pipe_find(struct dump *d, uint64_t dev, uint64_t ino)
{
	LIST_EACH(&d->pipe_keys, struct object_key, key)
		if (key->ino == ino && key->dev == dev)
			return key->id;
	return 0;
}

static int pipe_dump(struct dump *d, const struct fd_view *v, struct file_rec *f, struct err *e)
{
	struct pipe_rec *p;
	int mode = (int)f->flags & O_ACCMODE, capacity, inode = 0;

	f->end = mode == O_RDONLY ? 0 : mode == O_WRONLY ? 1 : 2;
	f->pos = 0;
	f->object = pipe_find(d, v->st.st_dev, v->st.st_ino);
	if (f->object)
		return 0;
	if (v->link[0] == '/') {
		inode = dump_inode(d, v->task->pid, v->local, v->link, e);
		if (inode <= 0)
			return inode;
	}
	capacity = fcntl(v->local, F_GETPIPE_SZ);
	if (capacity < 0)
		return err_set(e, -errno, "pipe: capacity");
	f->object = (uint32_t)d->image.pipes.count + 1;
	*LIST_ADD(&d->pipe_keys, &d->arena, struct object_key) =
		(struct object_key){v->st.st_dev, v->st.st_ino, f->object};
	p = LIST_ADD(&d->image.pipes, &d->arena, struct pipe_rec);
	p->id = f->object;
	p->inode = (uint32_t)inode;
	p->capacity = (uint32_t)capacity;
	return 0;
}

/* Bytes are read once it is known whether one of the writers sends packets. */
static int pipe_dump_late(struct dump *d, const struct fd_view *v, struct file_rec *f,
                          struct err *e)
{
	struct pipe_rec *p;
	bool direct = false, ends[2] = {false, false};
	pid_t holder;

	if (!f->object)
		return 0;
	LIST_EACH(&d->image.files, struct file_rec, other) {
		if (other->object != f->object ||
		    (other->kind != FILE_PIPE && other->kind != FILE_FIFO))
			continue;
		/* Done once, at a description that can tell most: a writing one if there is any. */
		if (f->end == 0 ? other->end != 0 : other->end != 0 && other->id < f->id)
			return 0;
		if (other->id < f->id && other->end == f->end)
			return 0;
		direct |= (other->flags & O_DIRECT) != 0;
		ends[0] |= other->end != 1;
		ends[1] |= other->end != 0;
	}
	holder = ends[0] && ends[1] ? 0 : dump_outside_holder(d, v->link);
	if (holder) {
		dump_obstacle(d, v->task->pid,
		              "descriptor %d is a pipe (%s) whose other end is held by process %d, "
		              "outside of the tree: snapshot a parent of both, or use a file",
		              v->fd, v->link, holder);
		return 0;
	}
	p = LIST_AT(&d->image.pipes, struct pipe_rec, f->object - 1);
	if (f->end != 0)
		p->full = poll(&(struct pollfd){.fd = v->local, .events = POLLOUT}, 1, 0) == 0;
	return copy_bytes(d, v, p, direct, e);
}

/* ---- restore --------------------------------------------------------------------------- */

/*
 * A pipe has a slot a page and is full when all are taken, however little they hold. Pages that
 * are spliced in take one each: the bytes are spread over as many as there are.
 */
static int fill_slots(const struct pipe_rec *p, int end, struct err *e)
{
	AUTO(fd) int file = memfd_create("pipe", MFD_CLOEXEC);
	size_t slots = p->capacity / PAGE_BYTES, done = 0;
	off_t page = 0;

	if (file < 0)
		return err_set(e, -errno, "pipe: memfd");
	if (p->data.len < slots)
		return err_say(e, -EBADMSG, "pipe %u: full with fewer bytes than slots", p->id);
	for (size_t i = 0; i < slots; i++, page += PAGE_BYTES) {
		size_t len = (p->data.len - done) / (slots - i);
		loff_t from = page;
		int ret = os_pwrite_all(file, p->data.data + done, len, (uint64_t)page);

		if (ret < 0)
			return err_set(e, ret, "pipe: its bytes");
		if (splice(file, &from, end, NULL, len, SPLICE_F_NONBLOCK) != (ssize_t)len)
			return err_set(e, errno ? -errno : -EIO, "pipe: filling its slots");
		done += len;
	}
	return 0;
}

/* Both ends of the pipe, with its bytes; the same for all descriptions of it. */
static int pipe_make(struct restore *r, const struct pipe_rec *p, struct err *e)
{
	int *ends = &r->pipe_fds[2 * (size_t)(p->id - 1)];
	const uint8_t *at = p->data.data;
	int ret;

	if (ends[0] >= 0)
		return 0;
	if (p->inode) {
		/* Opened for both, which does not wait for a partner. */
		ret = restore_inode_open(r, p->inode, O_RDWR, &ends[0], e);
		if (ret < 0)
			return ret;
		ends[1] = fcntl(ends[0], F_DUPFD_CLOEXEC, 0);
	} else if (pipe2(ends, O_CLOEXEC | (p->sizes.count ? O_DIRECT : 0)) < 0) {
		return err_set(e, -errno, "pipe");
	}
	if (fcntl(ends[1], F_SETPIPE_SZ, (int)p->capacity) < 0)
		return err_set(e, -errno, "pipe: capacity of %u bytes", p->capacity);
	for (size_t i = 0; i < p->sizes.count; i++) {
		uint64_t size = *LIST_AT(&p->sizes, uint64_t, i);

		if (write(ends[1], at, size) != (ssize_t)size)
			return err_set(e, -EIO, "pipe: a packet of %" PRIu64 " bytes", size);
		at += size;
	}
	if (!p->sizes.count && p->full && p->data.len < p->capacity)
		return fill_slots(p, ends[1], e);
	if (!p->sizes.count && p->data.len) {
		/* More than it holds must not make us wait for ever. */
		fcntl(ends[1], F_SETFL, O_NONBLOCK);
		ret = os_write_all(ends[1], p->data.data, p->data.len);
		if (ret < 0)
			return err_set(e, ret, "pipe: its %zu bytes", p->data.len);
	}
	return 0;
}

static int pipe_restore(struct restore *r, const struct file_rec *f, int *out, struct err *e)
{
	const struct pipe_rec *p = LIST_AT(&r->image->pipes, struct pipe_rec, f->object - 1);
	char path[32];
	int ret = pipe_make(r, p, e), fd, end;

	if (ret < 0)
		return ret;
	end = r->pipe_fds[2 * (p->id - 1) + (f->end == 1)];
	/* What pipe(2) made; other descriptions of an end were opened, which sets a flag. */
	if (!p->inode && !(f->flags & KERNEL_O_LARGEFILE)) {
		*out = fcntl(end, F_DUPFD_CLOEXEC, 0);
		return *out < 0 ? err_set(e, -errno, "pipe %u", p->id) : 0;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", end);
	fd = open(path, (f->end == 0 ? O_RDONLY : f->end == 1 ? O_WRONLY : O_RDWR) | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, -errno, "pipe %u", p->id);
	*out = fd;
	return 0;
}

const struct kind kind_pipe = {
	.name = "pipe",
	.kind = FILE_PIPE,
	.claims = pipe_claims,
	.dump = pipe_dump,
	.dump_late = pipe_dump_late,
	.restore = pipe_restore,
};

const struct kind kind_fifo = {
	.name = "fifo",
	.kind = FILE_FIFO,
	.claims = fifo_claims,
	.dump = pipe_dump,
	.dump_late = pipe_dump_late,
	.restore = pipe_restore,
};
