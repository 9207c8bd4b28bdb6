/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "os/os.h"
#include "p9/p9-int.h"

#define WALK_MAX 16u
#define IO_HEADER_BYTES (P9_HEADER_BYTES + 4u)
#define STATFS_MAGIC 0x01021997u

static int get_fid(struct p9_server *s, struct p9_in *in, struct fid **out)
{
	*out = fid_find(s, (uint32_t)p9_get(in, 4));
	if (in->bad)
		return -EPROTO;
	if (!*out)
		return -EBADF;
	return (*out)->is_stale ? -ESTALE : 0;
}

/* How many bytes of content an answer may carry. */
static uint32_t room_for(const struct p9_server *s, const struct p9_out *out, uint32_t asked)
{
	size_t room = MIN(out->room, s->message_max);

	return room <= IO_HEADER_BYTES ? 0 : (uint32_t)MIN(asked, room - IO_HEADER_BYTES);
}

/* ---- the session ------------------------------------------------------------------------ */

int answer_version(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	uint32_t asked = (uint32_t)p9_get(in, 4);
	char version[32];
	bool known;

	p9_get_text(in, version, sizeof(version));
	if (in->bad || asked < 4096)
		return -EPROTO;
	known = !strcmp(version, "9P2000.L");
	fid_remove_all(s);
	s->message_max = MIN(asked, P9_MESSAGE_MAX);
	p9_put(out, s->message_max, 4);
	p9_put_text(out, known ? version : "unknown", strlen(known ? version : "unknown"));
	return 0;
}

int answer_attach(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	uint32_t number = (uint32_t)p9_get(in, 4);
	struct p9_qid qid;
	struct stat st;
	struct fid *f;
	int r;

	/* The rest says who the user is; all users of a guest are one to the host. */
	if (in->bad)
		return -EPROTO;
	r = fid_add(s, number, EXPORT_NONE, "", &f);
	if (r)
		return r;
	r = stat_fid(s, f, &st);
	qid = qid_of(EXPORT_NONE, &st);
	p9_put_qid(out, &qid);
	return r;
}

/* Replies are in order, so that what could be flushed has been answered already. */
int answer_flush(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	return 0;
}

int answer_clunk(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct fid *f;
	int r = get_fid(s, in, &f);

	/* A fid whose file is gone can still be given up. */
	if (r && r != -ESTALE)
		return r;
	fid_remove(s, f);
	return 0;
}

/* ---- names ------------------------------------------------------------------------------ */

/* One step: @export and @path become those of @name in them. */
static int step(struct p9_server *s, int *export, char path[P9_PATH_MAX], const char *name,
                struct stat *st)
{
	char next[P9_PATH_MAX];
	int r;

	if (!strcmp(name, "..")) {
		char *slash = strrchr(path, '/');

		if (!*path)
			*export = EXPORT_NONE;
		*(slash ? slash : path) = '\0';
		return stat_path(s, *export, path, st);
	}
	if (!name_is_valid(name))
		return -ENOENT;
	if (*export == EXPORT_NONE) {
		for (int i = 0; i < s->n_exports; i++) {
			if (strcmp(s->export[i].name, name))
				continue;
			*export = i;
			return stat_path(s, i, "", st);
		}
		return -ENOENT;
	}
	r = path_join(next, path, name);
	if (!r)
		r = stat_path(s, *export, next, st);
	if (!r)
		path_copy(path, next);
	return r;
}

int answer_walk(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct fid *f, *to;
	uint32_t number;
	unsigned n, done = 0;
	char path[P9_PATH_MAX], name[P9_NAME_MAX + 1];
	struct p9_qid qids[WALK_MAX];
	int export, r = get_fid(s, in, &f);

	if (r)
		return r;
	number = (uint32_t)p9_get(in, 4);
	n = (unsigned)p9_get(in, 2);
	if (in->bad || n > WALK_MAX)
		return -EPROTO;
	if (number != f->number && fid_find(s, number))
		return -EEXIST;
	if (number == f->number && f->is_open)
		return -EBUSY;
	export = f->export;
	path_copy(path, f->path);
	for (; done < n; done++) {
		struct stat st;

		p9_get_text(in, name, sizeof(name));
		if (in->bad)
			return -EPROTO;
		r = step(s, &export, path, name, &st);
		if (r)
			break;
		qids[done] = qid_of(export, &st);
	}
	if (n && !done)
		return r;
	p9_put(out, done, 2);
	for (unsigned i = 0; i < done; i++)
		p9_put_qid(out, &qids[i]);
	/* Half-way is an answer, but makes no fid. */
	if (done < n)
		return 0;
	if (number == f->number) {
		f->export = export;
		return fid_set_path(f, path);
	}
	return fid_add(s, number, export, path, &to);
}

int answer_readlink(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	char target[P9_PATH_MAX];
	struct p9_export *x;
	AUTO(fd) int fd = -1;
	struct fid *f;
	ssize_t n;
	int r = get_fid(s, in, &f);

	if (!r)
		r = export_of(s, f, false, &x);
	if (r)
		return r;
	fd = open_below(x, f->path, O_PATH, 0);
	if (fd < 0)
		return fd;
	n = readlinkat(fd, "", target, sizeof(target));
	if (n < 0)
		return errno == ENOENT ? -EINVAL : -errno;
	p9_put_text(out, target, (size_t)n);
	return 0;
}

/* ---- open files ------------------------------------------------------------------------- */

int answer_lopen(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_qid qid;
	struct stat st;
	struct fid *f;
	uint32_t flags;
	int r = get_fid(s, in, &f);

	flags = (uint32_t)p9_get(in, 4);
	if (!r && (in->bad || f->is_open))
		r = in->bad ? -EPROTO : -EBUSY;
	if (!r)
		r = fid_open(s, f, flags);
	if (!r)
		r = stat_fid(s, f, &st);
	if (r)
		return r;
	qid = qid_of(f->export, &st);
	p9_put_qid(out, &qid);
	p9_put(out, 0, 4); /* as much at once as a message holds */
	return 0;
}

/* What reads of files and of directories ask for. */
static int get_reading(struct p9_server *s, struct p9_in *in, const struct p9_out *out,
                       struct fid **f, uint64_t *offset, uint32_t *count)
{
	int r = get_fid(s, in, f);

	*offset = p9_get(in, 8);
	*count = room_for(s, out, (uint32_t)p9_get(in, 4));
	if (in->bad)
		return -EPROTO;
	return r || (*f)->is_open ? r : -EBADF;
}

/* The count in front of @n bytes, which was not known when they were put there. */
static void set_count(uint8_t *at, size_t n)
{
	for (unsigned i = 0; i < 4; i++)
		at[i] = (uint8_t)(n >> (8 * i));
}

int answer_read(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_export *x;
	uint64_t offset;
	uint32_t count;
	uint8_t *at;
	struct fid *f;
	ssize_t n = 0;
	int r = get_reading(s, in, out, &f, &offset, &count);

	if (!r && f->export == EXPORT_NONE)
		r = -EISDIR;
	if (r)
		return r;
	p9_put(out, 0, 4);
	at = p9_extend(out, count);
	if (!at)
		return -EMSGSIZE;
	x = &s->export[f->export];
	if (f->fd >= 0) {
		if (offset > (uint64_t)INT64_MAX - count)
			return -EINVAL;
		n = pread(f->fd, at, count, (off_t)offset);
	} else if (offset < x->data.len) {
		n = (ssize_t)MIN(count, x->data.len - offset);
		memcpy(at, x->data.data + offset, (size_t)n);
		if (x->once && offset + (size_t)n == x->data.len) {
			explicit_bzero(x->data.data, x->data.len);
			x->data.len = 0;
		}
	}
	if (n < 0)
		return -errno;
	out->len -= count - (size_t)n;
	set_count(at - 4, (size_t)n);
	return 0;
}

int answer_write(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct span data;
	uint64_t offset;
	struct fid *f;
	ssize_t n;
	int r = get_fid(s, in, &f);

	offset = p9_get(in, 8);
	data = p9_get_bytes(in, (size_t)p9_get(in, 4));
	if (in->bad)
		return -EPROTO;
	if (!r && f->fd < 0)
		r = -EBADF;
	if (r)
		return r;
	if (offset > (uint64_t)INT64_MAX - data.len)
		return -EFBIG;
	n = pwrite(f->fd, data.data, data.len, (off_t)offset);
	if (n < 0)
		return -errno;
	p9_put(out, (uint64_t)n, 4);
	return 0;
}

int answer_fsync(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct fid *f;
	bool data_only;
	int r = get_fid(s, in, &f);

	data_only = p9_get(in, 4);
	if (!r && f->fd >= 0 && (data_only ? fdatasync(f->fd) : fsync(f->fd)))
		r = -errno;
	return r;
}

/* ---- directories ------------------------------------------------------------------------ */

static bool put_entry(struct p9_out *out, size_t limit, const struct p9_qid *qid, uint64_t next,
                      uint8_t type, const char *name)
{
	if (out->len + P9_QID_BYTES + 8 + 1 + 2 + strlen(name) > limit)
		return false;
	p9_put_qid(out, qid);
	p9_put(out, next, 8);
	p9_put(out, type, 1);
	p9_put_text(out, name, strlen(name));
	return true;
}

static void list_exports(struct p9_server *s, uint64_t offset, struct p9_out *out, size_t limit)
{
	for (uint64_t i = offset; i < (uint64_t)s->n_exports; i++) {
		struct p9_qid qid;
		struct stat st;

		if (stat_path(s, (int)i, "", &st))
			continue;
		qid = qid_of((int)i, &st);
		if (!put_entry(out, limit, &qid, i + 1, (uint8_t)IFTODT(st.st_mode),
		               s->export[i].name))
			return;
	}
}

struct host_entry {
	uint64_t inode;
	int64_t next;
	uint16_t bytes;
	uint8_t type;
	char name[];
};

static int list_host(struct p9_server *s, struct fid *f, uint64_t offset, struct p9_out *out,
                     size_t limit)
{
	long n;

	if (offset > INT64_MAX || lseek(f->fd, (off_t)offset, SEEK_SET) < 0)
		return -EINVAL;
	n = syscall(SYS_getdents64, f->fd, s->scratch, MIN(limit, P9_MESSAGE_MAX));
	if (n < 0)
		return -errno;
	for (long at = 0; at < n;) {
		const struct host_entry *entry = (const void *)(s->scratch + at);
		struct stat st = {.st_ino = entry->inode,
		                  .st_dev = f->device,
		                  .st_mode = (mode_t)DTTOIF(entry->type)};
		struct p9_qid qid = qid_of(f->export, &st);

		if (!put_entry(out, limit, &qid, (uint64_t)entry->next, entry->type, entry->name))
			break;
		at += entry->bytes;
	}
	return 0;
}

int answer_readdir(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	size_t header = out->len;
	uint64_t offset;
	uint32_t count;
	struct fid *f;
	int r = get_reading(s, in, out, &f, &offset, &count);

	if (r)
		return r;
	p9_put(out, 0, 4);
	if (f->export == EXPORT_NONE)
		list_exports(s, offset, out, header + 4 + count);
	else
		r = f->fd < 0 ? -ENOTDIR : list_host(s, f, offset, out, header + 4 + count);
	if (r || out->full)
		return r ? r : -EMSGSIZE;
	set_count(out->data + header, out->len - header - 4);
	return 0;
}

/* ---- attributes ------------------------------------------------------------------------- */

#define GETATTR_BASIC 0x7ffull

static void put_time(struct p9_out *out, const struct timespec *t)
{
	p9_put(out, (uint64_t)t->tv_sec, 8);
	p9_put(out, (uint64_t)t->tv_nsec, 8);
}

int answer_getattr(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	static const struct timespec none;
	struct p9_qid qid;
	struct stat st;
	struct fid *f;
	int r = get_fid(s, in, &f);

	if (!r)
		r = stat_fid(s, f, &st);
	if (r)
		return r;
	qid = qid_of(f->export, &st);
	p9_put(out, GETATTR_BASIC, 8);
	p9_put_qid(out, &qid);
	p9_put(out, st.st_mode, 4);
	p9_put(out, st.st_uid, 4);
	p9_put(out, st.st_gid, 4);
	p9_put(out, st.st_nlink, 8);
	p9_put(out, st.st_rdev, 8);
	p9_put(out, (uint64_t)st.st_size, 8);
	p9_put(out, (uint64_t)st.st_blksize, 8);
	p9_put(out, (uint64_t)st.st_blocks, 8);
	put_time(out, &st.st_atim);
	put_time(out, &st.st_mtim);
	put_time(out, &st.st_ctim);
	put_time(out, &none); /* birth */
	p9_put(out, 0, 8);    /* generation */
	p9_put(out, 0, 8);    /* data version */
	return 0;
}

enum setattr_valid {
	SET_MODE = 1,
	SET_UID = 2,
	SET_GID = 4,
	SET_SIZE = 8,
	SET_ATIME = 16,
	SET_MTIME = 32,
	SET_ATIME_TO = 128,
	SET_MTIME_TO = 256,
};

struct wanted {
	uint32_t valid, mode, uid, gid;
	uint64_t size;
	struct timespec time[2];
};

/*
 * Everything is done to an open file, nothing by name: of all that a machine may ask of its host,
 * changing modes and owners by name could not be confined to the share.
 */
static int set_attributes(int fd, const struct wanted *w)
{
	uint32_t uid = w->valid & SET_UID ? w->uid : UINT32_MAX;
	uint32_t gid = w->valid & SET_GID ? w->gid : UINT32_MAX;
	struct timespec times[2];

	if (w->valid & (SET_UID | SET_GID) && fchown(fd, uid, gid))
		return -errno;
	if (w->valid & SET_MODE && fchmod(fd, w->mode & 07777))
		return -errno;
	if (w->valid & SET_SIZE && (w->size > INT64_MAX || ftruncate(fd, (off_t)w->size)))
		return w->size > INT64_MAX ? -EFBIG : -errno;
	if (!(w->valid & (SET_ATIME | SET_MTIME)))
		return 0;
	for (unsigned i = 0; i < 2; i++) {
		times[i] = (struct timespec){.tv_nsec = UTIME_OMIT};
		if (w->valid & (i ? SET_MTIME : SET_ATIME))
			times[i].tv_nsec = UTIME_NOW;
		if (w->valid & (i ? SET_MTIME_TO : SET_ATIME_TO))
			times[i] = w->time[i];
	}
	return futimens(fd, times) ? -errno : 0;
}

int answer_setattr(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct p9_export *x;
	AUTO(fd) int fd = -1;
	struct wanted w;
	struct stat st;
	struct fid *f;
	int r = get_fid(s, in, &f);

	w.valid = (uint32_t)p9_get(in, 4);
	w.mode = (uint32_t)p9_get(in, 4);
	w.uid = (uint32_t)p9_get(in, 4);
	w.gid = (uint32_t)p9_get(in, 4);
	w.size = p9_get(in, 8);
	for (unsigned i = 0; i < 2; i++) {
		w.time[i].tv_sec = (time_t)p9_get(in, 8);
		w.time[i].tv_nsec = (long)p9_get(in, 8);
	}
	if (in->bad)
		return -EPROTO;
	if (!r)
		r = export_of(s, f, true, &x);
	if (!r)
		r = stat_fid(s, f, &st);
	if (r)
		return r;
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return -EPERM;
	if (f->fd >= 0 && ((f->flags & O_ACCMODE) != O_RDONLY || !(w.valid & SET_SIZE)))
		return set_attributes(f->fd, &w);
	fd = open_below(x, f->path, (w.valid & SET_SIZE ? O_WRONLY : O_RDONLY) | O_NONBLOCK, 0);
	/* What may not be read may still be written. */
	if (fd == -EACCES)
		fd = open_below(x, f->path, O_WRONLY | O_NONBLOCK, 0);
	return fd < 0 ? fd : set_attributes(fd, &w);
}

int answer_statfs(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct statfs st = {.f_bsize = 4096};
	struct fid *f;
	int r = get_fid(s, in, &f);

	if (r)
		return r;
	if (f->export != EXPORT_NONE && s->export[f->export].dir >= 0 &&
	    fstatfs(s->export[f->export].dir, &st))
		return -errno;
	p9_put(out, STATFS_MAGIC, 4);
	p9_put(out, (uint64_t)st.f_bsize, 4);
	p9_put(out, st.f_blocks, 8);
	p9_put(out, st.f_bfree, 8);
	p9_put(out, st.f_bavail, 8);
	p9_put(out, st.f_files, 8);
	p9_put(out, st.f_ffree, 8);
	p9_put(out, 0, 8); /* identifier */
	p9_put(out, P9_NAME_MAX, 4);
	return 0;
}

/* ---- locks ------------------------------------------------------------------------------ */

/*
 * The guest's kernel keeps the locks of its own programs. They do not reach the host: a lock that
 * another machine or the host holds could not be waited for here, nor kept over a snapshot.
 */
int answer_lock(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	struct fid *f;
	int r = get_fid(s, in, &f);

	p9_put(out, 0, 1); /* granted */
	return r;
}

int answer_getlock(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	uint64_t start, length;
	uint32_t owner;
	char client[P9_NAME_MAX + 1];
	struct fid *f;
	int r = get_fid(s, in, &f);

	p9_get(in, 1);
	start = p9_get(in, 8);
	length = p9_get(in, 8);
	owner = (uint32_t)p9_get(in, 4);
	p9_get_text(in, client, sizeof(client));
	if (in->bad)
		return -EPROTO;
	p9_put(out, F_UNLCK, 1);
	p9_put(out, start, 8);
	p9_put(out, length, 8);
	p9_put(out, owner, 4);
	p9_put_text(out, client, strlen(client));
	return r;
}
