/* SPDX-License-Identifier: MIT */
#include "rootfs/rootfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "os/os.h"
#include "rootfs/layout.h"

enum image_kind { KIND_UNKNOWN, KIND_LAYOUT, KIND_ARCHIVE, KIND_ROOT };

/* What the user has named, taken apart and opened. */
struct image {
	enum image_kind kind;
	char *path;
	const char *tag; /* of a layout; within @path's allocation */
	int fd;
	bool is_dir;
	uint64_t bytes;
};

static void image_finish(struct image *i)
{
	free(i->path);
	os_close(&i->fd);
}

static void take_prefix(struct image *i, const char *name)
{
	static const struct {
		const char *prefix;
		enum image_kind kind;
	} known[] = {
		{"oci:", KIND_LAYOUT},
		{"oci-archive:", KIND_ARCHIVE},
		{"docker-archive:", KIND_ARCHIVE},
		{"rootfs:", KIND_ROOT},
	};

	for (size_t n = 0; n < ARRAY_LEN(known); n++) {
		if (text_starts(name, known[n].prefix)) {
			i->kind = known[n].kind;
			name += strlen(known[n].prefix);
			break;
		}
	}
	i->path = xstrdup(name);
}

static int open_path(struct image *i, struct err *e)
{
	char *colon = strrchr(i->path, ':');
	struct stat st;

	i->fd = open(i->path, O_RDONLY | O_CLOEXEC);
	/* Only then is what follows a colon a tag: names of directories may have one. */
	if (i->fd < 0 && errno == ENOENT && colon &&
	    (i->kind == KIND_LAYOUT || i->kind == KIND_UNKNOWN)) {
		*colon = '\0';
		i->fd = open(i->path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
		if (i->fd < 0)
			*colon = ':';
		else
			i->tag = colon + 1;
	}
	if (i->fd < 0 || fstat(i->fd, &st))
		return err_set(e, -errno, "image %s", i->path);
	i->is_dir = S_ISDIR(st.st_mode);
	i->bytes = (uint64_t)st.st_size;
	if (!i->is_dir && !S_ISREG(st.st_mode))
		return err_say(e, -EINVAL, "image %s: neither a directory nor a file", i->path);
	return 0;
}

bool rootfs_is_here(const char *image)
{
	struct image i = {.fd = -1};
	bool is_here;

	take_prefix(&i, image);
	is_here = i.kind != KIND_UNKNOWN || !open_path(&i, NULL);
	image_finish(&i);
	return is_here;
}

/* ---- kinds that were not said ----------------------------------------------------------- */

static int look_for_index(void *arg, struct archive_member *m, const struct tree_item *item,
                          struct err *e)
{
	const char *name = item->path + (text_starts(item->path, "./") ? 2 : 0);
	bool *is_image = arg;

	*is_image |= S_ISREG(item->inode.mode) &&
	             (!strcmp(name, "manifest.json") || !strcmp(name, "oci-layout"));
	/* Everything of a root tree has to be looked at; an image says it near an end. */
	return 0;
}

static int find_kind(struct image *i, struct err *e)
{
	bool is_image = false;
	int r;

	if (i->is_dir) {
		i->kind = !faccessat(i->fd, "oci-layout", F_OK, 0) ? KIND_LAYOUT : KIND_ROOT;
		return 0;
	}
	r = archive_each((struct stretch){i->fd, 0, i->bytes}, NULL, look_for_index, &is_image, e);
	i->kind = is_image ? KIND_ARCHIVE : KIND_ROOT;
	return r;
}

/* ---- filling the tree ------------------------------------------------------------------- */

struct building {
	struct tree tree;
	struct spool spool;
	const struct rootfs_options *options;
	struct arena *arena;
	struct rootfs_report *report;
};

static void say(struct building *b, const char *step, uint64_t done, uint64_t total)
{
	if (b->options && b->options->progress)
		b->options->progress(b->options->arg, step, done, total);
}

static int apply_all(struct building *b, struct image_files *blobs, const struct image_parts *parts,
                     struct err *e)
{
	unsigned number = 0;

	b->report->config = parts->config;
	b->report->layers = (unsigned)parts->layers.count;
	LIST_EACH(&parts->layers, const struct image_layer, layer) {
		AUTO(fd) int fd = -1;
		struct stretch in;
		int r = image_file_open(blobs, layer->name, &fd, &in, e);

		say(b, "layer", ++number, parts->layers.count);
		if (!r)
			r = layer_apply(&b->tree, &b->spool, number, in, layer->digest, e);
		if (r)
			return err_wrap(e, r, "layer %u of %zu", number, parts->layers.count);
	}
	return 0;
}

static int from_image(struct building *b, const struct image *i, struct err *e)
{
	struct image_parts parts;
	struct image_files blobs;
	int r = i->is_dir ? image_files_of_dir(&blobs, i->fd, e)
	                  : image_files_of_archive(&blobs, (struct stretch){i->fd, 0, i->bytes}, e);

	if (r)
		return r;
	/* An archive of today's docker save is both; its index has digests. */
	if (image_files_have(&blobs, "index.json")) {
		b->report->source = "OCI layout";
		r = layout_read(&blobs, i->tag, b->arena, &parts, e);
	} else {
		b->report->source = "docker archive";
		r = docker_read(&blobs, b->arena, &parts, e);
	}
	if (!r)
		r = apply_all(b, &blobs, &parts, e);
	image_files_finish(&blobs);
	return r;
}

static int from_root(struct building *b, const struct image *i, struct err *e)
{
	b->report->source = "root tree";
	b->report->layers = 1;
	say(b, "layer", 1, 1);
	if (i->is_dir)
		return layer_from_dir(&b->tree, &b->spool, i->fd, e);
	return layer_apply(&b->tree, &b->spool, 1, (struct stretch){i->fd, 0, i->bytes}, NULL, e);
}

static int fill(struct building *b, struct image *i, struct err *e)
{
	int r = open_path(i, e);

	if (!r && i->kind == KIND_UNKNOWN)
		r = find_kind(i, e);
	if (r)
		return r;
	if (i->kind == KIND_LAYOUT && !i->is_dir)
		i->kind = KIND_ARCHIVE;
	if (i->kind == KIND_ARCHIVE && i->is_dir)
		return err_say(e, -EINVAL, "image %s: a directory, not an archive", i->path);
	r = i->kind == KIND_ROOT ? from_root(b, i, e) : from_image(b, i, e);
	return r ? err_wrap(e, r, "image %s", i->path) : 0;
}

int rootfs_build(const char *image, int out, const struct rootfs_options *options, struct arena *a,
                 struct rootfs_report *report, struct err *e)
{
	struct building b = {.options = options, .arena = a, .report = report};
	char digest[OCI_DIGEST_TEXT];
	struct image i = {.fd = -1};
	int r = spool_open(&b.spool, e);

	*report = (struct rootfs_report){0};
	if (r)
		return r;
	tree_init(&b.tree);
	take_prefix(&i, image);
	r = fill(&b, &i, e);
	if (!r) {
		tree_finish(&b.tree);
		report->inodes = b.tree.n_inodes;
		say(&b, "disk", 0, 1);
		r = erofs_write(&b.tree, b.spool.fd, out, &report->disk_bytes, e);
	}
	if (!r) {
		r = stretch_digest((struct stretch){out, 0, report->disk_bytes}, digest);
		if (r)
			err_set(e, r, "reading the disk");
		else
			strcpy(report->disk_digest, digest + strlen("sha256:"));
	}
	image_finish(&i);
	tree_finish_memory(&b.tree);
	os_close(&b.spool.fd);
	return r;
}

/* ---- stamps ------------------------------------------------------------------------------ */

#define STAMP_DEPTH_MAX 512u

/* Any change of a file changes its ctime, which nobody can set. */
static void add_stamp(const char *name, const struct stat *st, struct buf *out)
{
	buf_printf(out, "%s %llx %llx %o %llx.%lx\n", name, (unsigned long long)st->st_ino,
	           (unsigned long long)st->st_size, st->st_mode,
	           (unsigned long long)st->st_ctim.tv_sec, (unsigned long)st->st_ctim.tv_nsec);
}

/* Takes @dir. In the order of the directory, which stays the same as long as nothing changes. */
static int stamp_tree(int dir, dev_t device, unsigned depth, struct buf *out, struct err *e)
{
	DIR *d = fdopendir(dir);
	struct dirent *entry;
	int r = 0;

	if (!d || depth > STAMP_DEPTH_MAX) {
		r = err_set(e, d ? -ELOOP : -errno, "a folder of the root tree");
		d ? (void)closedir(d) : (void)close(dir);
		return r;
	}
	while (!r && (entry = readdir(d))) {
		struct stat st;
		int sub;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue; /* gone since: that is told by its folder's time */
		add_stamp(entry->d_name, &st, out);
		if (!S_ISDIR(st.st_mode) || st.st_dev != device)
			continue;
		sub = openat(dirfd(d), entry->d_name,
		             O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = sub < 0 ? err_set(e, -errno, "%s in the root tree", entry->d_name)
		            : stamp_tree(sub, device, depth + 1, out, e);
	}
	closedir(d);
	return r;
}

static int stamp_files(const struct image *i, struct arena *a, const char **stamp, struct err *e)
{
	AUTO(buf) struct buf text = {0};
	char digest[OCI_DIGEST_TEXT];
	struct stat st;
	int r = fstat(i->fd, &st) ? -errno : 0, dir;

	if (r)
		return err_set(e, r, "image %s", i->path);
	add_stamp("", &st, &text);
	if (i->is_dir) {
		dir = openat(i->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = dir < 0 ? err_set(e, -errno, "image %s", i->path)
		            : stamp_tree(dir, st.st_dev, 0, &text, e);
	}
	if (!r)
		r = oci_digest_of(buf_span(&text), digest, e);
	if (!r)
		*stamp = arena_printf(a, "files:%s", digest);
	return r;
}

static int stamp_layout(const struct image *i, struct arena *a, const char **stamp, struct err *e)
{
	struct image_parts parts;
	struct image_files blobs;
	int r = image_files_of_dir(&blobs, i->fd, e);

	if (r)
		return r;
	r = layout_read(&blobs, i->tag, a, &parts, e);
	image_files_finish(&blobs);
	if (!r)
		*stamp = parts.config.digest;
	return r ? err_wrap(e, r, "image %s", i->path) : 0;
}

int rootfs_stamp(const char *image, struct arena *a, const char **source, const char **stamp,
                 struct err *e)
{
	struct image i = {.fd = -1};
	char *path = NULL;
	bool layout;
	int r;

	take_prefix(&i, image);
	r = open_path(&i, e);
	if (!r) {
		path = realpath(i.path, NULL);
		if (!path)
			r = err_set(e, -errno, "image %s", i.path);
	}
	if (!r) {
		layout = i.is_dir && i.kind != KIND_ROOT && !faccessat(i.fd, "oci-layout", F_OK, 0);
		*source = arena_printf(a, "%s:%s%s%s",
		                       layout     ? "oci"
		                       : i.is_dir ? "rootfs"
		                                  : "file",
		                       path, i.tag ? ":" : "", i.tag ? i.tag : "");
		r = layout ? stamp_layout(&i, a, stamp, e) : stamp_files(&i, a, stamp, e);
	}
	free(path);
	image_finish(&i);
	return r;
}
