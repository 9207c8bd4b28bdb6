/* SPDX-License-Identifier: MIT */
/*
 * Snapshots that have been begun to be used and have not all arrived: partial/HEX.coming, where
 * HEX is the manifest's digest, says what it will be called and where it is from, and holds the
 * manifest. Who is bringing it has a shared lock on the file. It goes when the snapshot gets its
 * name. Nothing is believed because of it: it is for those who look at the store.
 */
#include "store/parts.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define SUFFIX ".coming"

struct coming_rec {
	const char *name;
	const char *origin;
	struct span manifest;
};

static const struct field coming_fields[] = {
	FIELD(struct coming_rec, name, 1, STORE_NAME_MAX, "what it will be called"),
	FIELD(struct coming_rec, origin, 2, STORE_ORIGIN_MAX, "where it comes from"),
	FIELD(struct coming_rec, manifest, 3, MANIFEST_MAX_BYTES, "its manifest"),
};
static const struct rec_type coming_type =
	REC_TYPE(coming_rec, coming_fields, .doc = "has not all arrived");

/* ---- writing ----------------------------------------------------------------------------- */

int store_import_note(struct store_import *x, const char *name, const char *origin, struct err *e)
{
	const struct coming_rec rec = {name, origin, buf_span(&x->bytes)};
	AUTO(text) char *path = xprintf("%s" SUFFIX, x->parcel.digest + DIGEST_HEX_AT);
	AUTO(text) char *fresh = xprintf("%s.new.%d", path, (int)getpid());
	AUTO(buf) struct buf bytes = {0};
	AUTO(fd) int fd = -1;
	int r;

	rec_encode(&bytes, &coming_type, &rec);
	fd = openat(x->partial_fd, fresh, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
	            0600);
	if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) < 0)
		return err_set(e, -errno, "store: partial/%s", fresh);
	r = write_all(fd, bytes.data, bytes.len, e, path);
	if (!r && renameat(x->partial_fd, fresh, x->partial_fd, path) < 0)
		r = err_set(e, -errno, "store: partial/%s", path);
	if (!r)
		x->note_fd = take_fd(&fd);
	return r;
}

bool store_import_is_wanted(const struct store_import *x)
{
	struct stat st;

	return x->note_fd < 0 || fstat(x->note_fd, &st) < 0 || st.st_nlink;
}

/* What another snapshot is bringing as well stays. */
static void remove_part(int dir, const char *digest, const char *suffix)
{
	AUTO(text) char *path = xprintf("%s%s", digest + DIGEST_HEX_AT, suffix);
	AUTO(fd) int fd = openat(dir, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		unlinkat(dir, path, 0);
}

void import_forget_note(struct store_import *x)
{
	AUTO(text) char *path = xprintf("%s" SUFFIX, x->parcel.digest + DIGEST_HEX_AT);

	if (x->note_fd >= 0) {
		unlinkat(x->partial_fd, path, 0);
		return;
	}
	/* What a start has left, which is over. */
	remove_part(x->partial_fd, x->parcel.digest, SUFFIX);
	LIST_EACH(&x->parcel.blobs, const struct store_parcel_blob, b) {
		remove_part(x->partial_fd, b->digest, ".frames");
		remove_part(x->partial_fd, b->digest, ".map");
	}
}

/* ---- looking ----------------------------------------------------------------------------- */

/* Bytes of a blob that are here: in its place, or in what was fetched so far of it. */
static uint64_t bytes_here(struct store *s, int dir, const struct blob *blob)
{
	static const char *const suffixes[] = {"", ".frames"};
	AUTO(fd) int whole = -1;
	uint64_t sum = 0;
	char digest[72];

	if (!blob_open(s, blob, &whole, NULL))
		return blob->bytes;
	digest_text(digest, blob->digest);
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		AUTO(text) char *path = xprintf("%s%s", digest + DIGEST_HEX_AT, suffixes[i]);
		struct stat st;

		if (!fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW))
			sum += MIN((uint64_t)st.st_blocks * 512, (uint64_t)st.st_size);
	}
	return MIN(sum, blob->bytes);
}

static void blobs_of(const struct manifest *m, struct blob out[3 + BLOBS_MAX], size_t *n)
{
	out[0] = m->config;
	out[1] = m->state;
	out[2] = m->table;
	*n = 3;
	for (size_t i = 0; i < m->n_pages; i++)
		out[(*n)++] = m->pages[i];
}

/* Return: 0; anything else for what is no note of ours. */
static int read_note(struct store *s, int dir, const char *file, struct arena *a,
                     struct store_partial *out, struct manifest *manifest)
{
	struct blob blobs[3 + BLOBS_MAX];
	AUTO(buf) struct buf bytes = {0};
	uint8_t digest[DIGEST_BYTES];
	AUTO(fd) int fd = -1;
	struct coming_rec rec;
	char text[72];
	size_t n;
	int r = read_file(dir, file, MANIFEST_MAX_BYTES + 4096, &bytes, NULL);

	if (!r)
		r = rec_decode(SPAN(arena_copy(a, bytes.data, bytes.len), bytes.len), &coming_type,
		               a, &rec, NULL);
	if (!r)
		r = digest_of(rec.manifest, digest, NULL);
	if (r)
		return r;
	digest_text(text, digest);
	if (!rec.name || !rec.origin || !text_starts(file, text + DIGEST_HEX_AT) ||
	    store_name_check(rec.name, NULL) || manifest_parse(rec.manifest, manifest, NULL))
		return -EBADMSG;
	*out = (struct store_partial){
		.name = rec.name, .origin = rec.origin, .digest = arena_text(a, text)};
	blobs_of(manifest, blobs, &n);
	for (size_t i = 0; i < n; i++) {
		out->bytes += blobs[i].bytes;
		out->here_bytes += bytes_here(s, dir, &blobs[i]);
	}
	fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	out->arrives = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct store_partial *)a)->name,
	              ((const struct store_partial *)b)->name);
}

/* @out gains those called @name; NULL: all. */
static int look(struct store *s, const char *name, struct arena *a, struct list *out, int *dir_fd,
                struct err *e)
{
	int fd = openat(s->root_fd, "partial", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir;
	struct dirent *it;

	if (fd < 0)
		return errno == ENOENT ? 0
		                       : err_set(e, -errno, "store: opening the folder partial");
	if (dir_fd)
		*dir_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	dir = fdopendir(fd);
	while (dir && (it = readdir(dir))) {
		struct store_partial partial;
		struct manifest manifest;

		if (text_ends(it->d_name, SUFFIX) &&
		    !read_note(s, fd, it->d_name, a, &partial, &manifest) &&
		    (!name || !strcmp(name, partial.name)))
			*LIST_ADD(out, a, struct store_partial) = partial;
	}
	if (dir)
		closedir(dir);
	return 0;
}

int store_partials(struct store *s, struct arena *a, struct list *out, struct err *e)
{
	int r = look(s, NULL, a, out, NULL, e);

	if (!r && out->count)
		qsort(out->items, out->count, sizeof(struct store_partial), by_name);
	return r;
}

/* ---- removing ---------------------------------------------------------------------------- */

/* Whoever is bringing one notices that its note is gone, and leaves its parts to gc. */

int store_remove_partial(struct store *s, const char *name, struct err *e)
{
	static const char *const suffixes[] = {"", ".frames", ".map"};
	AUTO(arena) struct arena a = {0};
	struct list found = {0};
	AUTO(fd) int dir = -1;
	int r = look(s, name, &a, &found, &dir, e);

	if (!r && !found.count)
		r = -ENOENT;
	if (r)
		return r;
	LIST_EACH(&found, const struct store_partial, p) {
		AUTO(text) char *file = xprintf("%s" SUFFIX, p->digest + DIGEST_HEX_AT);
		struct blob blobs[3 + BLOBS_MAX];
		struct store_partial partial;
		struct manifest manifest;
		size_t n = 0;

		if (!read_note(s, dir, file, &a, &partial, &manifest))
			blobs_of(&manifest, blobs, &n);
		for (size_t i = 0; i < n * ARRAY_LEN(suffixes); i++) {
			char digest[72];

			digest_text(digest, blobs[i / ARRAY_LEN(suffixes)].digest);
			remove_part(dir, digest, suffixes[i % ARRAY_LEN(suffixes)]);
		}
		unlinkat(dir, file, 0);
	}
	return 0;
}
