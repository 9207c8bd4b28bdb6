/* SPDX-License-Identifier: MIT */
/* What concerns the store as a whole: list, rm, verify, gc. */
#include "store/parts.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/* ---- list ------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct store_meta *)a)->name, ((const struct store_meta *)b)->name);
}

int store_list(struct store *s, struct arena *a, struct list *out, struct err *e)
{
	AUTO(index) struct index x = {0};
	AUTO(fd) int lock = -1;
	struct list found = {0};
	int r = store_lock(s, LOCK_SH, &lock, e);

	if (!r)
		r = index_read(s, a, &x, e);
	if (r < 0)
		return r;
	LIST_EACH(&x.entries, const struct entry, entry) {
		struct store_meta *meta;
		struct err why = {0};
		struct head head;

		if (!entry->ours)
			continue;
		meta = LIST_ADD(&found, a, struct store_meta);
		r = head_read(s, entry, a, &head, meta, &why);
		if (r < 0)
			*meta = (struct store_meta){
				.name = entry->name ? entry->name : "",
				.damage = r,
				.damage_text = arena_text(a, why.text),
			};
	}
	if (found.count)
		qsort(found.items, found.count, sizeof(struct store_meta), by_name);
	*out = found;
	return 0;
}

int store_has(struct store *s, const char *name, bool *out, struct err *e)
{
	AUTO(arena) struct arena a = {0};
	AUTO(index) struct index x = {0};
	const struct entry *entry;
	int r = index_read(s, &a, &x, e);

	if (!r)
		*out = index_find(&x, name, &entry, NULL) != -ENOENT;
	return r;
}

/* ---- verify ---------------------------------------------------------------------------- */

static int verify_one(struct store *s, const char *name, struct store_report *report, struct err *e)
{
	AUTO(store_reader) struct store_reader *reader = NULL;
	int r = store_reader_open(s, name, &reader, e);

	return r < 0 ? r : reader_verify(reader, report, e);
}

int store_verify(struct store *s, const char *name, struct store_report *report, struct err *e)
{
	AUTO(arena) struct arena a = {0};
	AUTO(index) struct index x = {0};
	struct store_report sum = {0};
	struct err first = {0};
	int r;

	if (name) {
		r = verify_one(s, name, &sum, e);
		*report = sum;
		return r;
	}
	/* The lock is not kept, so that verifying keeps nobody from committing. */
	r = index_read(s, &a, &x, e);
	if (r < 0)
		return r;
	LIST_EACH(&x.entries, const struct entry, it) {
		struct err why = {0};

		if (!it->ours)
			continue;
		if (!it->name)
			r = err_say(&why, -EBADMSG,
			            "index.json has a snapshot whose name is not one");
		else
			r = verify_one(s, it->name, &sum, &why);
		/* -ENOENT: removed since we looked. */
		if (r < 0 && r != -ENOENT && !first.code)
			first = why;
	}
	*report = sum;
	if (first.code && e)
		*e = first;
	return first.code;
}

/* ---- what leads where ------------------------------------------------------------------ */

static bool has_digest(const struct list *digests, const uint8_t digest[DIGEST_BYTES])
{
	for (size_t i = 0; i < digests->count; i++)
		if (!memcmp((const uint8_t *)digests->items + i * DIGEST_BYTES, digest,
		            DIGEST_BYTES))
			return true;
	return false;
}

/* Adds what @manifest leads to, and what the manifests in it lead to. */
static int mark_manifest(struct store *s, const struct blob *manifest, struct arena *a,
                         struct list *digests, struct err *e)
{
	struct list todo = {0};

	*LIST_ADD(&todo, a, struct blob) = *manifest;
	memcpy(list_add(digests, a, DIGEST_BYTES), manifest->digest, DIGEST_BYTES);
	for (size_t i = 0; i < todo.count; i++) {
		AUTO(buf) struct buf text = {0};
		struct blob blob = *LIST_AT(&todo, struct blob, i);
		int r = blob_read(s, &blob, MANIFEST_MAX_BYTES, &text, e);

		if (!r)
			r = json_children(buf_span(&text), a, digests, &todo, e);
		if (r < 0)
			return r;
	}
	return 0;
}

void blobs_of_entry(struct store *s, const struct entry *entry, struct arena *a,
                    struct list *digests)
{
	/* Of a damaged snapshot only what can be found is; gc finds the rest. */
	(void)!mark_manifest(s, &entry->manifest, a, digests, NULL);
}

/* Everything that index.json leads to, of other tools too. */
static int mark_all(struct store *s, struct arena *a, struct list *digests, struct err *e)
{
	AUTO(buf) struct buf text = {0};
	struct list manifests = {0};
	int r = read_file(s->root_fd, "index.json", INDEX_MAX_BYTES, &text, e);

	if (r == -ENOENT)
		r = err_say(e, -EBADMSG, "%s/index.json is missing", s->root);
	if (!r)
		r = json_children(buf_span(&text), a, digests, &manifests, e);
	for (size_t i = 0; !r && i < manifests.count; i++)
		r = mark_manifest(s, LIST_AT(&manifests, struct blob, i), a, digests, e);
	return r;
}

static int remove_blob(int folder, const char *hex, struct store_report *report, struct err *e)
{
	struct stat st;

	if (fstatat(folder, hex, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_set(e, -errno, "store: blob %s", hex);
	FAULT_STEP("store-blob-unlink", e);
	if (unlinkat(folder, hex, 0) < 0)
		return err_set(e, -errno, "store: removing blob %s", hex);
	if (report && st.st_nlink == 1) {
		report->blobs++;
		report->bytes += (uint64_t)st.st_size;
	}
	return 0;
}

static int list_blobs(int folder, struct arena *a, struct list *out, struct err *e)
{
	int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *it;

	if (!dir)
		return err_set(e, -errno, "store: reading its blobs");
	while ((it = readdir(dir))) {
		char text[72] = ALGORITHM_SHA256;
		uint8_t digest[DIGEST_BYTES];

		/* A name that is no digest is not ours to judge. */
		if (strlen(it->d_name) != 2 * DIGEST_BYTES)
			continue;
		strcpy(text + DIGEST_HEX_AT, it->d_name);
		if (!digest_parse(digest, text))
			memcpy(list_add(out, a, DIGEST_BYTES), digest, DIGEST_BYTES);
	}
	closedir(dir);
	return 0;
}

int sweep_blobs(struct store *s, const struct list *candidates, struct store_report *report,
                struct err *e)
{
	AUTO(arena) struct arena a = {0};
	struct list wanted = {0}, all = {0};
	int r = mark_all(s, &a, &wanted, e);

	if (r < 0)
		return err_wrap(e, r, "nothing was removed, for it could be still needed");
	if (!candidates) {
		r = list_blobs(s->blobs_fd, &a, &all, e);
		if (!r)
			r = list_blobs(s->sealed_fd, &a, &all, e);
		candidates = &all;
	}
	for (size_t i = 0; !r && i < candidates->count; i++) {
		const uint8_t *digest = (const uint8_t *)candidates->items + i * DIGEST_BYTES;
		char text[72];

		digest_text(text, digest);
		if (has_digest(&wanted, digest))
			continue;
		r = remove_blob(s->blobs_fd, text + DIGEST_HEX_AT, report, e);
		if (!r)
			r = remove_blob(s->sealed_fd, text + DIGEST_HEX_AT, report, e);
	}
	return r;
}

/* ---- rm and gc ------------------------------------------------------------------------- */

int store_remove(struct store *s, const char *name, struct err *e)
{
	AUTO(arena) struct arena a = {0};
	AUTO(index) struct index x = {0};
	struct list blobs = {0};
	AUTO(fd) int lock = -1, index_fd = -1;
	bool found = false;
	int r = store_lock(s, LOCK_EX, &lock, e);

	if (!r)
		r = index_read(s, &a, &x, e);
	if (r < 0)
		return r;
	LIST_EACH(&x.entries, const struct entry, it) {
		if (!it->name || !it->ours || strcmp(it->name, name))
			continue;
		blobs_of_entry(s, it, &a, &blobs);
		found = true;
	}
	if (!found)
		return err_say(e, -ENOENT, "there is no snapshot %s", name);
	index_drop(&x, name);
	unlinkat(s->tmp_fd, "index.json", 0); /* left by one that died here */
	r = index_prepare(&x, s->tmp_fd, &index_fd, e);
	if (!r)
		r = index_sync(index_fd, e);
	if (!r)
		r = index_publish(s, s->tmp_fd, e);
	if (r < 0)
		return r;
	LIST_EACH(&x.entries, const struct entry, it)
		if (it->name && it->ours && !strcmp(it->name, name))
			mark_forget(s, it);
	/* The name is gone, which is what was asked; a blob that stays is for gc. */
	(void)!sweep_blobs(s, &blobs, NULL, NULL);
	return 0;
}

/*
 * Folders of dead writers, and files of ours that were to be renamed. A writer that ends takes its
 * folder away without our lock, at any moment of this.
 */
static int sweep_tmp(struct store *s, struct store_report *report, struct err *e)
{
	int copy = openat(s->tmp_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *it;
	int r = 0;

	if (!dir)
		return err_set(e, -errno, "store: reading tmp");
	while (!r && (it = readdir(dir))) {
		AUTO(fd) int fd = -1;

		if (!strcmp(it->d_name, ".") || !strcmp(it->d_name, ".."))
			continue;
		if (fault_point("store-gc-leftover") == FAULT_FAIL) {
			r = err_set(e, -EIO, "store: fault point store-gc-leftover");
			break;
		}
		fd = openat(s->tmp_fd, it->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 && errno == ENOTDIR)
			r = unlinkat(s->tmp_fd, it->d_name, 0) < 0
			            ? err_set(e, -errno, "store: removing tmp/%s", it->d_name)
			            : 0;
		else if (fd < 0)
			r = errno == ENOENT
			            ? 0
			            : err_set(e, -errno, "store: opening tmp/%s", it->d_name);
		else if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			r = remove_leftover(s, it->d_name, fd, report, e);
	}
	closedir(dir);
	return r;
}

/* What imports did not finish, and nobody works on now. */
static int sweep_partial(struct store *s, struct store_report *report, struct err *e)
{
	int fd = openat(s->root_fd, "partial", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *it;
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : err_set(e, -errno, "store: reading partial");
	while (!r && (it = readdir(dir))) {
		AUTO(fd) int part = -1;
		struct stat st;

		if (!strcmp(it->d_name, ".") || !strcmp(it->d_name, ".."))
			continue;
		part = openat(fd, it->d_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (part < 0 || flock(part, LOCK_EX | LOCK_NB) < 0 || fstat(part, &st) < 0)
			continue;
		if (!st.st_nlink)
			continue; /* its import has ended since we opened it */
		if (unlinkat(fd, it->d_name, 0) < 0)
			r = err_set(e, -errno, "store: removing partial/%s", it->d_name);
		else
			report->bytes += (uint64_t)st.st_blocks * 512;
	}
	closedir(dir);
	return r;
}

/* Keys that were never linked to their name. */
static int sweep_keys(struct store *s, struct err *e)
{
	int copy = openat(s->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *it;
	int r = 0;

	if (!dir)
		return err_set(e, -errno, "store: reading its root");
	while (!r && (it = readdir(dir)))
		if (text_starts(it->d_name, KEY_NEW_PREFIX) &&
		    unlinkat(s->root_fd, it->d_name, 0) < 0)
			r = err_set(e, -errno, "store: removing %s", it->d_name);
	closedir(dir);
	return r;
}

int store_gc(struct store *s, struct store_report *report, struct err *e)
{
	struct store_report sum = {0};
	AUTO(fd) int lock = -1;
	struct err unsettled = {0};
	int r = store_settle(s, NULL, &unsettled), settled = r;

	/* What cannot be settled is damaged, and that keeps nobody from removing other things. */
	r = store_lock(s, LOCK_EX, &lock, e);
	if (!r)
		r = sweep_tmp(s, &sum, e);
	if (!r)
		r = sweep_keys(s, e);
	if (!r)
		r = sweep_partial(s, &sum, e);
	if (!r)
		r = sweep_blobs(s, NULL, &sum, e);
	if (!r)
		r = mark_sweep(s, e);
	*report = sum;
	if (!r && settled < 0) {
		if (e)
			*e = unsettled;
		r = settled;
	}
	return r;
}
