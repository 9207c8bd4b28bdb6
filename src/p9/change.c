/* SPDX-License-Identifier: MIT */
/* Messages that change a directory: always a directory's descriptor and one name in it. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "os/os.h"
#include "p9/p9-int.h"

/* A name in a directory that may be changed. */
struct spot {
	struct fid *fid; /* of the directory */
	struct p9_export *export;
	char name[P9_NAME_MAX + 1];
	char path[P9_PATH_MAX]; /* of what has, or will have, the name */
	int dir;
};

static void auto_spot(struct spot *s)
{
	os_close(&s->dir);
}

static int find_spot(struct p9_server *s, struct fid *f, struct spot *out)
{
	int r;

	if (!f)
		return -EBADF;
	out->fid = f;
	r = export_of(s, f, true, &out->export);
	if (!r && !name_is_valid(out->name))
		r = strcmp(out->name, ".") && strcmp(out->name, "..") ? -EINVAL : -EEXIST;
	if (!r)
		r = path_join(out->path, f->path, out->name);
	if (r)
		return r;
	out->dir = open_below(out->export, f->path, O_PATH | O_DIRECTORY, 0);
	return out->dir < 0 ? out->dir : 0;
}

/* fid[4] name[s], the beginning of most messages here. */
static int get_spot(struct p9_server *s, struct p9_in *in, struct spot *out)
{
	struct fid *f = fid_find(s, (uint32_t)p9_get(in, 4));

	p9_get_text(in, out->name, sizeof(out->name));
	return in->bad ? -EPROTO : find_spot(s, f, out);
}

static int put_qid_at(struct p9_server *s, const struct spot *at, struct p9_out *out)
{
	int export = (int)(at->export - s->export), r;
	struct p9_qid qid;
	struct stat st;

	r = stat_path(s, export, at->path, &st);
	if (r)
		return r;
	qid = qid_of(export, &st);
	p9_put_qid(out, &qid);
	return 0;
}

/* The directory's fid becomes that of the new file. */
int change_create(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	static const uint32_t kept = O_ACCMODE | O_EXCL | O_TRUNC | O_SYNC | O_DSYNC;
	AUTO(spot) struct spot at = {.dir = -1};
	struct stat st;
	uint32_t flags, mode;
	int r = get_spot(s, in, &at), fd;

	flags = (uint32_t)p9_get(in, 4);
	mode = (uint32_t)p9_get(in, 4);
	if (in->bad)
		return -EPROTO;
	if (r)
		return r;
	if (at.fid->is_open)
		return -EBUSY;
	if (s->n_open == P9_OPEN_MAX)
		return -ENFILE;
	fd = open_below(at.export, at.path, (int)(flags & kept) | O_CREAT | O_NONBLOCK,
	                mode & 07777);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return -ENXIO;
	}
	fid_set_path(at.fid, at.path);
	at.fid->fd = fd;
	at.fid->is_open = true;
	at.fid->flags = flags & (uint32_t)(O_ACCMODE | O_SYNC | O_DSYNC);
	at.fid->device = st.st_dev;
	at.fid->inode = st.st_ino;
	s->n_open++;
	r = put_qid_at(s, &at, out);
	p9_put(out, 0, 4);
	return r;
}

int change_symlink(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	AUTO(spot) struct spot at = {.dir = -1};
	char target[P9_PATH_MAX];
	int r = get_spot(s, in, &at);

	p9_get_text(in, target, sizeof(target));
	if (in->bad)
		return -EPROTO;
	if (!r && symlinkat(target, at.dir, at.name))
		r = -errno;
	return r ? r : put_qid_at(s, &at, out);
}

int change_mknod(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	AUTO(spot) struct spot at = {.dir = -1};
	int r = get_spot(s, in, &at);
	uint32_t mode = (uint32_t)p9_get(in, 4);

	if (in->bad)
		return -EPROTO;
	/* Pipes and sockets are names only; a device would be one of the host's. */
	if (!r && !S_ISFIFO(mode) && !S_ISSOCK(mode) && !S_ISREG(mode))
		r = -EPERM;
	if (!r && mknodat(at.dir, at.name, mode & (S_IFMT | 07777), 0))
		r = -errno;
	return r ? r : put_qid_at(s, &at, out);
}

int change_mkdir(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	AUTO(spot) struct spot at = {.dir = -1};
	int r = get_spot(s, in, &at);
	uint32_t mode = (uint32_t)p9_get(in, 4);

	if (in->bad)
		return -EPROTO;
	if (!r && mkdirat(at.dir, at.name, mode & 07777))
		r = -errno;
	return r ? r : put_qid_at(s, &at, out);
}

/* dfid[4] fid[4] name[s]: another name for what @fid names. */
int change_link(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	AUTO(spot) struct spot at = {.dir = -1};
	AUTO(fd) int from = -1;
	struct fid *dir = fid_find(s, (uint32_t)p9_get(in, 4));
	struct fid *f = fid_find(s, (uint32_t)p9_get(in, 4));
	char parent[P9_PATH_MAX], *slash;
	int r;

	p9_get_text(in, at.name, sizeof(at.name));
	if (in->bad)
		return -EPROTO;
	r = find_spot(s, dir, &at);
	if (r)
		return r;
	if (!f || f->is_stale)
		return f ? -ESTALE : -EBADF;
	if (f->export != dir->export || !*f->path)
		return -EXDEV;
	path_copy(parent, f->path);
	slash = strrchr(parent, '/');
	*(slash ? slash : parent) = '\0';
	from = open_below(at.export, parent, O_PATH | O_DIRECTORY, 0);
	if (from < 0)
		return from;
	return linkat(from, f->path + (slash ? slash - parent + 1 : 0), at.dir, at.name, 0) ? -errno
	                                                                                    : 0;
}

static int rename_spot(struct p9_server *s, struct spot *from, struct spot *to)
{
	if (from->export != to->export)
		return -EXDEV;
	if (renameat(from->dir, from->name, to->dir, to->name))
		return -errno;
	fids_renamed(s, (int)(from->export - s->export), from->path, to->path);
	return 0;
}

/* The parts of a fid's path are names that fit. */
static void name_copy(char out[P9_NAME_MAX + 1], const char *name)
{
	size_t len = strlen(name);

	assert(len <= P9_NAME_MAX);
	memcpy(out, name, len + 1);
}

/* Where a fid's own name stands. */
static int spot_of(struct p9_server *s, struct fid *f, struct spot *out)
{
	char parent[P9_PATH_MAX], *slash;
	int r;

	if (!f)
		return -EBADF;
	r = export_of(s, f, true, &out->export);
	if (r)
		return r;
	if (!*f->path)
		return -EBUSY;
	path_copy(parent, f->path);
	path_copy(out->path, f->path);
	slash = strrchr(parent, '/');
	name_copy(out->name, slash ? slash + 1 : parent);
	*(slash ? slash : parent) = '\0';
	out->fid = f;
	out->dir = open_below(out->export, parent, O_PATH | O_DIRECTORY, 0);
	return out->dir < 0 ? out->dir : 0;
}

int change_rename(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	AUTO(spot) struct spot from = {.dir = -1};
	AUTO(spot) struct spot to = {.dir = -1};
	struct fid *f = fid_find(s, (uint32_t)p9_get(in, 4));
	int r = get_spot(s, in, &to);

	if (!r)
		r = spot_of(s, f, &from);
	return r ? r : rename_spot(s, &from, &to);
}

int change_renameat(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	AUTO(spot) struct spot from = {.dir = -1};
	AUTO(spot) struct spot to = {.dir = -1};
	int r = get_spot(s, in, &from);

	if (!r)
		r = get_spot(s, in, &to);
	return r ? r : rename_spot(s, &from, &to);
}

int change_unlinkat(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	AUTO(spot) struct spot at = {.dir = -1};
	int r = get_spot(s, in, &at);
	uint32_t flags = (uint32_t)p9_get(in, 4);

	if (in->bad)
		return -EPROTO;
	if (!r && unlinkat(at.dir, at.name, (int)flags & AT_REMOVEDIR))
		r = -errno;
	return r;
}

/* The fid is gone afterwards, whether the file could be removed or not. */
int change_remove(struct p9_server *s, struct p9_in *in, struct p9_out *out)
{
	AUTO(spot) struct spot at = {.dir = -1};
	struct fid *f = fid_find(s, (uint32_t)p9_get(in, 4));
	struct stat st;
	int r = in->bad ? -EPROTO : spot_of(s, f, &at);

	if (!r)
		r = stat_fid(s, f, &st);
	if (!r && unlinkat(at.dir, at.name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0))
		r = -errno;
	if (f)
		fid_remove(s, f);
	return r;
}
