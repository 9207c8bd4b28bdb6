/* SPDX-License-Identifier: MIT */
/*
 * A layer says what it removes by names (image-spec, layer.md): ".wh.NAME" removes NAME as lower
 * layers have left it, ".wh..wh..opq" all that they have put into its directory. Both may come
 * before or after what the layer itself puts there, which stays.
 */
#include "rootfs/layers.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "os/os.h"

#define WHITEOUT ".wh."
#define WHITEOUT_META ".wh..wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"

int spool_open(struct spool *s, struct err *e)
{
	s->end = 0;
	s->fd = os_open_temporary();
	return s->fd < 0 ? err_set(e, s->fd, "a spool file in TMPDIR") : 0;
}

/* ---- from an archive -------------------------------------------------------------------- */

struct applying {
	struct tree *tree;
	struct spool *spool;
	unsigned number;
};

static int apply_whiteout(struct applying *to, const char *path, const char *name, struct err *e)
{
	AUTO(text) char *dir = xprintf("%.*s", (int)(name - path), path);
	AUTO(text) char *victim = xprintf("%s%s", dir, name + strlen(WHITEOUT));

	if (!strcmp(name, WHITEOUT_OPAQUE))
		return tree_opaque(to->tree, to->number, *dir ? dir : "/", e);
	/* Others of this kind are notes that an old storage driver made for itself. */
	if (text_starts(name, WHITEOUT_META))
		return 0;
	if (!name[strlen(WHITEOUT)])
		return err_say(e, -EBADMSG, "a whiteout in it names nothing");
	return tree_whiteout(to->tree, to->number, victim, e);
}

static int apply_member(void *arg, struct archive_member *m, const struct tree_item *member,
                        struct err *e)
{
	const char *slash = strrchr(member->path, '/'), *name = slash ? slash + 1 : member->path;
	struct applying *to = arg;
	struct tree_item item = *member;
	int r = tree_path_check(member->path, e);

	if (r)
		return r;
	if (text_starts(name, WHITEOUT))
		return apply_whiteout(to, member->path, name, e);
	if (S_ISREG(item.inode.mode) && !item.hardlink) {
		item.inode.data_at = to->spool->end;
		r = archive_spool(m, member, to->spool->fd, &to->spool->end, e);
	}
	return r ? r : tree_add(to->tree, to->number, &item, e);
}

int layer_apply(struct tree *t, struct spool *s, unsigned number, struct stretch in,
                const char *digest, struct err *e)
{
	struct applying to = {t, s, number};

	return archive_each(in, digest, apply_member, &to, e);
}

/* ---- from a directory ------------------------------------------------------------------- */

/* Files with several names, so that they are found again. */
struct known {
	dev_t device;
	ino_t inode;
	const char *path;
};

struct walking {
	struct tree *tree;
	struct spool *spool;
	dev_t device;
	uid_t uid;
	gid_t gid;
	struct arena arena;
	struct list known; /* struct known, sorted by inode */
	struct err *e;
};

static int copy_in(struct walking *w, int fd, struct tree_inode *i)
{
	uint8_t *buffer = xalloc(1 << 18);
	uint64_t at = 0;
	ssize_t n = 1;
	int r = 0;

	i->data_at = w->spool->end;
	/* Holes are skipped; a file that shrinks meanwhile ends in zeros. */
	while (!r && n > 0 && at < i->bytes) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA);

		if (data < 0)
			break;
		at = (uint64_t)data;
		if (at >= i->bytes)
			break;
		n = pread(fd, buffer, (size_t)MIN(i->bytes - at, 1 << 18), data);
		if (n < 0)
			r = -errno;
		else
			r = os_pwrite_all(w->spool->fd, buffer, (size_t)n, w->spool->end + at);
		at += (uint64_t)MAX(n, 0);
	}
	free(buffer);
	w->spool->end += i->bytes;
	if (!r && ftruncate(w->spool->fd, (off_t)w->spool->end))
		r = -errno;
	return r;
}

/* The name under which a file was met before; notes this one if it is the first. */
static const char *met_before(struct walking *w, const struct stat *st, const char *path)
{
	size_t low = 0, high = w->known.count;

	if (S_ISDIR(st->st_mode) || st->st_nlink < 2)
		return NULL;
	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct known *k = LIST_AT(&w->known, struct known, middle);

		if (k->inode == st->st_ino && k->device == st->st_dev)
			return k->path;
		if (k->inode < st->st_ino)
			low = middle + 1;
		else
			high = middle;
	}
	LIST_ADD(&w->known, &w->arena, struct known);
	memmove(LIST_AT(&w->known, struct known, low + 1), LIST_AT(&w->known, struct known, low),
	        (w->known.count - 1 - low) * sizeof(struct known));
	*LIST_AT(&w->known, struct known, low) =
		(struct known){st->st_dev, st->st_ino, arena_text(&w->arena, path)};
	return NULL;
}

static void take_xattrs(struct walking *w, int fd, struct arena *a, struct tree_inode *i)
{
	char names[4096], path[64];
	ssize_t n;

	/* Through /proc: the descriptor may be one that only names the file. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = listxattr(path, names, sizeof(names));
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1) {
		uint8_t *value = arena_alloc(a, TREE_XATTR_BYTES_MAX);
		ssize_t len = getxattr(path, names + at, value, TREE_XATTR_BYTES_MAX);

		if (len >= 0 && strcmp(names + at, "security.selinux"))
			*LIST_ADD(&i->xattrs, a, struct tree_xattr) = (struct tree_xattr){
				arena_text(a, names + at), SPAN(value, (size_t)len)};
	}
}

static int walk_dir(struct walking *w, int dir, const char *prefix);

static int take_one(struct walking *w, int dir, const char *prefix, const char *name)
{
	AUTO(arena) struct arena a = {0};
	char *path = arena_printf(&a, "%s%s", prefix, name);
	AUTO(fd) int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct tree_item item = {.path = path};
	struct tree_inode *i = &item.inode;
	char target[TREE_PATH_MAX];
	struct stat st;
	int r = 0;

	if (fd < 0 || fstat(fd, &st))
		return err_set(w->e, -errno, "%s", path);
	if (S_ISSOCK(st.st_mode))
		return 0;
	*i = (struct tree_inode){
		.mode = st.st_mode,
		.uid = st.st_uid == w->uid ? 0 : st.st_uid,
		.gid = st.st_gid == w->gid ? 0 : st.st_gid,
		.major = major(st.st_rdev),
		.minor = minor(st.st_rdev),
		.mtime_s = st.st_mtim.tv_sec,
		.mtime_ns = (uint32_t)st.st_mtim.tv_nsec,
	};
	item.hardlink = met_before(w, &st, path);
	if (item.hardlink)
		return tree_add(w->tree, 1, &item, w->e);
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlinkat(fd, "", target, sizeof(target) - 1);

		target[MAX(n, 0)] = '\0';
		i->target = target;
		r = n > 0 ? 0 : -EIO;
	} else {
		take_xattrs(w, fd, &a, i);
	}
	if (!r && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
		AUTO(fd)
		int file = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

		if (file < 0)
			return err_set(w->e, -errno, "%s", path);
		if (S_ISREG(st.st_mode)) {
			i->bytes = (uint64_t)st.st_size;
			r = copy_in(w, file, i);
		} else if ((r = tree_add(w->tree, 1, &item, w->e)) || st.st_dev != w->device) {
			return r;
		} else {
			AUTO(text) char *below = xprintf("%s/", path);

			return walk_dir(w, file, below);
		}
	}
	return r ? err_set(w->e, r, "%s", path) : tree_add(w->tree, 1, &item, w->e);
}

static int walk_dir(struct walking *w, int dir, const char *prefix)
{
	int copy = fcntl(dir, F_DUPFD_CLOEXEC, 0), r = tree_path_check(prefix, w->e);
	struct dirent *entry;
	DIR *d;

	if (r) {
		os_close(&copy);
		return r;
	}
	d = copy < 0 ? NULL : fdopendir(copy);
	if (!d)
		return err_set(w->e, -errno, "%s", *prefix ? prefix : "/");
	while (!r && (entry = readdir(d)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			r = take_one(w, dir, prefix, entry->d_name);
	closedir(d);
	return r;
}

int layer_from_dir(struct tree *t, struct spool *s, int dir, struct err *e)
{
	struct walking w = {.tree = t, .spool = s, .uid = geteuid(), .gid = getegid(), .e = e};
	struct stat st;
	int r;

	if (fstat(dir, &st))
		return err_set(e, -errno, "root tree");
	w.device = st.st_dev;
	/* What root owns is root's already: number 0 stays 0. */
	t->root->mode = st.st_mode;
	t->root->mtime_s = st.st_mtim.tv_sec;
	t->root->mtime_ns = (uint32_t)st.st_mtim.tv_nsec;
	r = walk_dir(&w, dir, "");
	arena_finish(&w.arena);
	return r;
}
