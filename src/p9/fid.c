/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/os.h"
#include "p9/p9-int.h"

/* ---- fids ------------------------------------------------------------------------------- */

static size_t place_of(const struct p9_server *s, uint32_t number)
{
	size_t low = 0, high = s->n_fids;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (s->fids[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct fid *fid_find(struct p9_server *s, uint32_t number)
{
	size_t at = place_of(s, number);

	return at < s->n_fids && s->fids[at].number == number ? &s->fids[at] : NULL;
}

int fid_add(struct p9_server *s, uint32_t number, int export, const char *path, struct fid **out)
{
	size_t at = place_of(s, number);

	if (fid_find(s, number))
		return -EEXIST;
	if (s->n_fids == P9_FIDS_MAX || number == P9_NO_FID)
		return -EMFILE;
	if (s->n_fids == s->fids_cap) {
		s->fids_cap = MAX(2 * s->fids_cap, 16);
		s->fids = xrealloc(s->fids, s->fids_cap * sizeof(*s->fids));
	}
	memmove(s->fids + at + 1, s->fids + at, (s->n_fids - at) * sizeof(*s->fids));
	s->n_fids++;
	s->fids[at] =
		(struct fid){.number = number, .export = export, .path = xstrdup(path), .fd = -1};
	*out = &s->fids[at];
	return 0;
}

static void fid_finish(struct p9_server *s, struct fid *f)
{
	s->n_open -= f->is_open;
	os_close(&f->fd);
	free(f->path);
}

void fid_remove(struct p9_server *s, struct fid *f)
{
	size_t at = (size_t)(f - s->fids);

	fid_finish(s, f);
	memmove(s->fids + at, s->fids + at + 1, (s->n_fids - at - 1) * sizeof(*s->fids));
	s->n_fids--;
}

void fid_remove_all(struct p9_server *s)
{
	for (size_t i = 0; i < s->n_fids; i++)
		fid_finish(s, &s->fids[i]);
	s->n_fids = 0;
}

int fid_set_path(struct fid *f, const char *path)
{
	char *copy = xstrdup(path);

	free(f->path);
	f->path = copy;
	return 0;
}

void fids_renamed(struct p9_server *s, int export, const char *from, const char *to)
{
	size_t len = strlen(from);

	for (size_t i = 0; i < s->n_fids; i++) {
		struct fid *f = &s->fids[i];

		if (f->export == export && !strncmp(f->path, from, len) &&
		    (!f->path[len] || f->path[len] == '/')) {
			AUTO(text) char *moved = xprintf("%s%s", to, f->path + len);

			if (strlen(moved) < P9_PATH_MAX)
				fid_set_path(f, moved);
			else
				f->is_stale = true;
		}
	}
}

/* ---- names ------------------------------------------------------------------------------ */

bool name_is_valid(const char *name)
{
	return *name && strlen(name) <= P9_NAME_MAX && !strchr(name, '/') && strcmp(name, ".") &&
	       strcmp(name, "..");
}

void path_copy(char out[P9_PATH_MAX], const char *from)
{
	size_t len = strlen(from);

	assert(len < P9_PATH_MAX);
	memcpy(out, from, len + 1);
}

int path_join(char out[P9_PATH_MAX], const char *dir, const char *name)
{
	int n = snprintf(out, P9_PATH_MAX, "%s%s%s", dir, *dir ? "/" : "", name);

	return n < 0 || n >= (int)P9_PATH_MAX ? -ENAMETOOLONG : 0;
}

int open_below(const struct p9_export *x, const char *path, int flags, unsigned mode)
{
	/* O_PATH goes with few other flags. */
	int kept = flags & O_PATH ? flags & (O_PATH | O_DIRECTORY) : flags | O_NOCTTY;
	struct open_how how = {
		.flags = (unsigned)(kept | O_NOFOLLOW | O_CLOEXEC),
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, x->dir, *path ? path : ".", &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

int export_of(struct p9_server *s, const struct fid *f, bool to_change, struct p9_export **out)
{
	if (f->is_stale)
		return -ESTALE;
	if (f->export == EXPORT_NONE || s->export[f->export].dir < 0)
		return to_change ? -EROFS : -EPERM;
	if (to_change && s->export[f->export].read_only)
		return -EROFS;
	*out = &s->export[f->export];
	return 0;
}

/* The directory of exports, and files of ours, as if they were files of the host. */
static void stat_ours(const struct p9_server *s, int export, struct stat *out)
{
	*out = (struct stat){.st_ino = (ino_t)(export + 2), .st_nlink = 1, .st_blksize = 4096};
	if (export == EXPORT_NONE) {
		out->st_mode = S_IFDIR | 0555;
		out->st_nlink = 2;
		return;
	}
	out->st_mode = S_IFREG | 0400;
	out->st_size = (off_t)s->export[export].data.len;
	out->st_blocks = (out->st_size + 511) / 512;
}

int stat_path(struct p9_server *s, int export, const char *path, struct stat *out)
{
	AUTO(fd) int fd = -1;

	if (export == EXPORT_NONE || s->export[export].dir < 0) {
		if (*path)
			return -ENOENT;
		stat_ours(s, export, out);
		return 0;
	}
	fd = open_below(&s->export[export], path, O_PATH, 0);
	if (fd < 0)
		return fd;
	return fstat(fd, out) ? -errno : 0;
}

int stat_fid(struct p9_server *s, const struct fid *f, struct stat *out)
{
	if (f->is_stale)
		return -ESTALE;
	if (f->fd >= 0)
		return fstat(f->fd, out) ? -errno : 0;
	return stat_path(s, f->export, f->path, out);
}

struct p9_qid qid_of(int export, const struct stat *st)
{
	uint64_t space = export == EXPORT_NONE ? 0 : (uint64_t) export + 1;

	/* Inode numbers are unique within a file system, and an export may hold several. */
	return (struct p9_qid){
		.type = S_ISDIR(st->st_mode)   ? P9_QT_DIR
	                : S_ISLNK(st->st_mode) ? P9_QT_LINK
	                                       : P9_QT_FILE,
		.version = (uint32_t)st->st_mtim.tv_nsec ^ (uint32_t)(st->st_mtim.tv_sec << 8),
		.path = st->st_ino ^ space << 56 ^ (uint64_t)st->st_dev << 40,
	};
}

/* ---- open files ------------------------------------------------------------------------- */

int fid_open(struct p9_server *s, struct fid *f, uint32_t flags)
{
	static const int kept = O_ACCMODE | O_TRUNC | O_SYNC | O_DSYNC | O_DIRECTORY;
	int how = (int)flags & kept, fd;
	struct p9_export *x;
	struct stat st;
	int r = stat_fid(s, f, &st);

	if (r)
		return r;
	if (s->n_open == P9_OPEN_MAX)
		return -ENFILE;
	/* A guest opens its own devices and pipes; those of the host are not for it. */
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return S_ISLNK(st.st_mode) ? -ELOOP : -ENXIO;
	if (f->export != EXPORT_NONE && s->export[f->export].dir >= 0) {
		bool changes = (how & O_ACCMODE) != O_RDONLY || (how & O_TRUNC);

		r = export_of(s, f, changes, &x);
		if (r)
			return r;
		/* Not waiting, should it have become a pipe since. */
		fd = open_below(x, f->path, how | O_NONBLOCK, 0);
		if (fd < 0)
			return fd;
		if (fstat(fd, &st) || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))) {
			close(fd);
			return -ENXIO;
		}
		f->fd = fd;
	} else if ((how & O_ACCMODE) != O_RDONLY) {
		return -EROFS;
	}
	f->is_open = true;
	f->flags = flags & (uint32_t)(O_ACCMODE | O_SYNC | O_DSYNC | O_DIRECTORY);
	f->device = st.st_dev;
	f->inode = st.st_ino;
	s->n_open++;
	return 0;
}
