/* SPDX-License-Identifier: MIT */
#include "flow/container.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "flow/registry.h"
#include "os/os.h"

#define DEPTH_MAX 4u
#define LAYERS_MAX 1024u
#define CONFIG_MAX_BYTES (8u << 20)
#define HEX_AT 7u /* of "sha256:HEX" */

struct container {
	struct arena arena;
	struct oci_policy policy;
	struct oci_client *client;
	struct oci_progress *progress;
	struct oci_ref ref;
	const char *origin;
	struct oci_manifest manifest;
	char top[OCI_DIGEST_TEXT]; /* of what the reference itself leads to: perhaps an index */
	struct list blobs;         /* struct oci_descriptor: configuration, then layers */
	uint64_t bytes;
	char *layout;
	int dir; /* the layout, locked; -1 */
};

bool container_may_be_ref(const char *text)
{
	AUTO(arena) struct arena a = {0};
	struct oci_ref ref;

	return text[0] != '/' && text[0] != '.' && !oci_ref_parse(text, &a, &ref, NULL);
}

/* ---- what it is -------------------------------------------------------------------------- */

static bool is_for_us(const struct oci_descriptor *d)
{
	if (!d->architecture[0] && !d->os[0])
		return true;
	return !strcmp(d->architecture, "amd64") && !strcmp(d->os, "linux");
}

/* Get a manifest, and of an index the one for linux/amd64. */
static int get_manifest(struct container *c, struct oci_outline *outline, struct err *e)
{
	const char *reference = oci_ref_manifest(&c->ref);

	for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
		const struct oci_descriptor *ours = NULL;
		int r = oci_manifest_get(c->client, reference, &c->manifest, e);

		if (!r)
			r = oci_manifest_outline(buf_span(&c->manifest.bytes), &c->arena, outline,
			                         e);
		if (!r && !depth)
			memcpy(c->top, c->manifest.digest, sizeof(c->top));
		if (r || !outline->is_index)
			return r;
		LIST_EACH(&outline->layers, const struct oci_descriptor, d)
			if (!ours && is_for_us(d))
				ours = d;
		if (!ours)
			return err_say(e, -ENOENT, "there is no image for linux/amd64 in it");
		if (!strcmp(ours->artifact_type, FLOW_SNAPSHOT_TYPE))
			return err_say(e, -EMEDIUMTYPE, "it is a snapshot, not a container image");
		reference = ours->digest;
	}
	return err_say(e, -EBADMSG, "its indexes lead to indexes only");
}

static int take_blob(struct container *c, const struct oci_descriptor *d, struct err *e)
{
	/* One layer may stand in an image several times. */
	LIST_EACH(&c->blobs, const struct oci_descriptor, known)
		if (!strcmp(known->digest, d->digest))
			return 0;
	if (__builtin_add_overflow(c->bytes, d->bytes, &c->bytes))
		return err_say(e, -EBADMSG, "its sizes make no sense");
	*LIST_ADD(&c->blobs, &c->arena, struct oci_descriptor) = *d;
	return 0;
}

static int take_blobs(struct container *c, const struct oci_outline *outline, struct err *e)
{
	int r;

	if (!strcmp(outline->artifact_type, FLOW_SNAPSHOT_TYPE))
		return err_say(e, -EMEDIUMTYPE, "it is a snapshot, not a container image");
	if (!outline->config.digest || outline->config.bytes > CONFIG_MAX_BYTES ||
	    outline->layers.count > LAYERS_MAX ||
	    (!text_ends(outline->config.media, ".image.config.v1+json") &&
	     !text_ends(outline->config.media, ".container.image.v1+json")))
		return err_say(e, -EBADMSG, "it is no container image but %.80s",
		               outline->artifact_type[0] ? outline->artifact_type
		                                         : "something else");
	r = take_blob(c, &outline->config, e);
	LIST_EACH(&outline->layers, const struct oci_descriptor, d)
		if (!r)
			r = take_blob(c, d, e);
	return r;
}

/* A signature of the index vouches for all that it leads to by digests. */
static int verify(struct container *c, const struct container_source *what, struct err *e)
{
	const struct list keys = oci_signers(&c->policy, &c->ref, &what->verify);
	int r = keys.count ? oci_verify(c->client, &keys, c->manifest.digest, e) : 0;

	if (r == -EKEYREJECTED && strcmp(c->top, c->manifest.digest))
		r = oci_verify(c->client, &keys, c->top, e);
	return r;
}

static int open_source(struct container *c, const struct container_source *what, struct err *e)
{
	const struct oci_options options = {
		.policy = &c->policy, .progress = what->progress, .insecure = what->insecure};
	struct oci_outline outline;
	char is[16], may[16];
	int r = oci_ref_parse(what->ref, &c->arena, &c->ref, e);

	if (!r)
		r = oci_policy_load(&c->policy, e);
	if (!r)
		r = oci_client_open(&c->ref, &options, &c->client, e);
	if (r)
		return r;
	c->origin = oci_ref_text(&c->ref, &c->arena);
	c->progress = what->progress;
	r = get_manifest(c, &outline, e);
	if (!r)
		r = take_blobs(c, &outline, e);
	if (!r)
		r = verify(c, what, e);
	if (!r && what->limit && c->bytes > what->limit)
		r = err_say(e, -EFBIG, "it has %s, and the limit is %s (--limit)",
		            text_of_bytes(is, c->bytes), text_of_bytes(may, what->limit));
	return r ? err_wrap(e, r, "%s", c->origin) : 0;
}

int container_open(const struct container_source *what, struct container **out, struct err *e)
{
	struct container *c = xalloc(sizeof(*c));
	int r;

	c->dir = -1;
	r = open_source(c, what, e);
	if (r) {
		container_close(c);
		return r;
	}
	*out = c;
	return 0;
}

void container_close(struct container *c)
{
	if (!c)
		return;
	os_close(&c->dir);
	free(c->layout);
	oci_client_close(c->client);
	oci_manifest_finish(&c->manifest);
	oci_policy_finish(&c->policy);
	arena_finish(&c->arena);
	free(c);
}

const char *container_origin(const struct container *c)
{
	return c->origin;
}

const char *container_digest(const struct container *c)
{
	return c->manifest.digest;
}

uint64_t container_bytes(const struct container *c)
{
	return c->bytes;
}

unsigned container_layers(const struct container *c)
{
	return (unsigned)c->blobs.count - 1;
}

/* ---- its layout -------------------------------------------------------------------------- */

static char *images_dir(struct store *store)
{
	return xprintf("%s/images", store_root(store));
}

/* The folder, locked, and still the one of that name. Return: its descriptor. */
static int lock_dir(const char *path, int how)
{
	for (;;) {
		AUTO(fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		struct stat ours, its;

		if (fd < 0)
			return -errno;
		while (flock(fd, how))
			if (errno != EINTR)
				return -errno;
		/* Whoever had it before us may have removed it. */
		if (fstat(fd, &ours) || lstat(path, &its))
			return -ENOENT;
		if (ours.st_ino == its.st_ino && ours.st_dev == its.st_dev)
			return take_fd(&fd);
	}
}

static int write_file(int dir, const char *name, struct span data, struct err *e)
{
	AUTO(fd)
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : os_write_all(fd, data.data, data.len);

	return r ? err_set(e, r, "%s in an image's folder", name) : 0;
}

static const char *blob_path(struct container *c, const char *digest)
{
	return arena_printf(&c->arena, "blobs/sha256/%s", digest + HEX_AT);
}

/* Everything of a layout but its blobs. Written again by each try: it is small. */
static int write_frame(struct container *c, struct err *e)
{
	static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	AUTO(buf) struct buf index = {0};
	int r;

	buf_add_text(&index, "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":");
	text_add_json_string(&index, c->manifest.media, strlen(c->manifest.media));
	buf_printf(&index, ",\"digest\":\"%s\",\"size\":%zu}]}", c->manifest.digest,
	           c->manifest.bytes.len);
	r = write_file(c->dir, "oci-layout", span_of_text(layout), e);
	if (!r)
		r = write_file(c->dir, blob_path(c, c->manifest.digest),
		               buf_span(&c->manifest.bytes), e);
	return r ? r : write_file(c->dir, "index.json", buf_span(&index), e);
}

static int count_missing(struct container *c, uint64_t *missing, struct err *e)
{
	uint64_t sum = c->bytes, room;
	char needed[16], there[16];
	struct statvfs fs;

	LIST_EACH(&c->blobs, const struct oci_descriptor, d) {
		struct stat st;

		if (!fstatat(c->dir, blob_path(c, d->digest), &st, AT_SYMLINK_NOFOLLOW))
			sum -= MIN((uint64_t)st.st_size, d->bytes);
	}
	if (fstatvfs(c->dir, &fs))
		return err_set(e, -errno, "%s", c->layout);
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (sum > room)
		return err_say(e, -ENOSPC, "%s are still to come, and there is room for %s in %s",
		               text_of_bytes(needed, sum), text_of_bytes(there, room), c->layout);
	*missing = sum;
	return 0;
}

int container_begin(struct container *c, struct store *store, uint64_t *missing, struct err *e)
{
	AUTO(text) char *dir = images_dir(store);
	AUTO(text) char *blobs = NULL;
	int r;

	c->layout = xprintf("%s/%s", dir, c->manifest.digest + HEX_AT);
	blobs = xprintf("%s/blobs/sha256", c->layout);
	/* Between the two steps whoever had it before may remove it. */
	do {
		r = os_make_dirs(blobs, 0700);
		if (!r)
			r = lock_dir(c->layout, LOCK_EX);
	} while (r == -ENOENT);
	if (r < 0)
		return err_set(e, r, "%s", c->layout);
	c->dir = r;
	r = os_make_dirs(blobs, 0700);
	if (r)
		return err_set(e, r, "%s", blobs);
	r = write_frame(c, e);
	return r ? r : count_missing(c, missing, e);
}

int container_fetch(struct container *c, struct err *e)
{
	assert(c->dir >= 0);
	LIST_EACH(&c->blobs, const struct oci_descriptor, d) {
		AUTO(fd)
		int fd = openat(c->dir, blob_path(c, d->digest),
		                O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		int r = fd < 0 ? err_set(e, -errno, "%s", c->layout)
		               : oci_blob_pull(c->client, d->digest, d->bytes, fd, e);

		if (r)
			return err_wrap(e, r, "%s", c->origin);
	}
	return 0;
}

const char *container_layout(const struct container *c)
{
	return c->layout;
}

/* ---- the end of a layout ----------------------------------------------------------------- */

/* Files in a folder, then the folder. What cannot be removed is left to the next sweep. */
static void remove_folder(int parent, const char *name, uint64_t *freed)
{
	AUTO(fd) int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		struct stat st;

		if (!fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
		    !unlinkat(fd, entry->d_name, 0))
			*freed += (uint64_t)st.st_blocks * 512;
	}
	if (d)
		closedir(d);
	else
		os_close(&copy);
	unlinkat(parent, name, AT_REMOVEDIR);
}

/* @dir: the layout, locked */
static void remove_layout(int dir, const char *path, uint64_t *freed)
{
	AUTO(fd) int blobs = openat(dir, "blobs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (blobs >= 0)
		remove_folder(blobs, "sha256", freed);
	unlinkat(dir, "blobs", AT_REMOVEDIR);
	remove_folder(AT_FDCWD, path, freed);
}

void container_drop(struct container *c)
{
	uint64_t freed = 0;

	if (c->dir >= 0)
		remove_layout(c->dir, c->layout, &freed);
	os_close(&c->dir);
}

int flow_sweep_images(struct store *store, uint64_t *freed, struct err *e)
{
	AUTO(text) char *path = images_dir(store);
	struct dirent *entry;
	DIR *d = opendir(path);

	if (!d)
		return errno == ENOENT ? 0 : err_set(e, -errno, "%s", path);
	while ((entry = readdir(d))) {
		AUTO(text) char *one = xprintf("%s/%s", path, entry->d_name);
		AUTO(fd) int fd = -1;

		if (entry->d_name[0] == '.')
			continue;
		fd = lock_dir(one, LOCK_EX | LOCK_NB);
		if (fd >= 0)
			remove_layout(fd, one, freed);
	}
	closedir(d);
	return 0;
}
