/* SPDX-License-Identifier: MIT */
/*
 * Snapshots that leave for another store, or come from one.
 *
 * What an import has not finished lies in partial/, a file a blob, named by the blob's digest and
 * grown from its beginning; its length says how much has arrived. The importer holds a flock on
 * each, so that two imports of one blob take turns, and gc knows what nobody works on. Locks are
 * taken in the order of digests, so that two imports cannot wait for each other.
 *
 * partial/ is not tmp/: what is in it is worth keeping when its writer dies. And it is not
 * blobs/: there a blob is whole. The commit of an import is that of a writer (writer.c), but a
 * failure after blobs were moved leaves them where they are: each is whole, the next import finds
 * it there, and gc removes what nobody came back for.
 */
#include "store/parts.h"

#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define PARTS_MAX STORE_PARCEL_BLOBS_MAX
static_assert(PARTS_MAX >= 4 + BLOBS_MAX, "manifest, config, state, table, pages");

static struct store_parcel_blob parcel_blob(enum store_blob_role role, const struct blob *blob)
{
	struct store_parcel_blob out = {.role = role, .bytes = blob->bytes, .fd = -1};

	digest_text(out.digest, blob->digest);
	return out;
}

static void add_blob(struct list *blobs, struct arena *a, enum store_blob_role role,
                     const struct blob *blob)
{
	struct store_parcel_blob b = parcel_blob(role, blob);

	LIST_EACH(blobs, const struct store_parcel_blob, it)
		if (!strcmp(it->digest, b.digest))
			return;
	*LIST_ADD(blobs, a, struct store_parcel_blob) = b;
}

/* In the order in which they are of use: what is needed first comes first. */
static void list_blobs_of(const struct manifest *m, struct arena *a, struct list *out)
{
	add_blob(out, a, STORE_CONFIG, &m->config);
	add_blob(out, a, STORE_TABLE, &m->table);
	add_blob(out, a, STORE_STATE, &m->state);
	for (size_t i = 0; i < m->n_pages; i++)
		add_blob(out, a, STORE_PAGES, &m->pages[i]);
}

static void parcel_finish(struct store_parcel *p)
{
	LIST_EACH(&p->blobs, struct store_parcel_blob, b)
		os_close(&b->fd);
}

static struct blob blob_of_parcel(const struct store_parcel_blob *b)
{
	struct blob blob = {.bytes = b->bytes};
	int r = digest_parse(blob.digest, b->digest);

	assert(!r); /* we printed it */
	return blob;
}

/* ---- leaving --------------------------------------------------------------------------- */

struct store_export {
	struct arena arena;
	struct buf manifest;
	struct head head;
	struct store_meta meta;
	struct store_parcel parcel;
};

static int export_open(struct store_export *x, struct store *s, const char *name, struct err *e)
{
	AUTO(index) struct index index = {0};
	AUTO(fd) int lock = -1;
	const struct entry *entry;
	int r = store_settle(s, name, e);

	if (!r)
		r = store_lock(s, LOCK_SH, &lock, e);
	if (!r)
		r = index_read(s, &x->arena, &index, e);
	if (!r)
		r = index_find(&index, name, &entry, e);
	if (r < 0)
		return r;
	r = head_read(s, entry, &x->arena, &x->head, &x->meta, e);
	if (!r)
		r = blob_read(s, &entry->manifest, MANIFEST_MAX_BYTES, &x->manifest, e);
	if (r < 0)
		return err_wrap(e, r, "snapshot %s", name);
	x->parcel.manifest = buf_span(&x->manifest);
	digest_text(x->parcel.digest, entry->manifest.digest);
	list_blobs_of(&x->head.manifest, &x->arena, &x->parcel.blobs);
	LIST_EACH(&x->parcel.blobs, struct store_parcel_blob, b) {
		struct blob blob = blob_of_parcel(b);

		r = blob_open(s, &blob, &b->fd, e);
		if (r < 0)
			return err_wrap(e, r, "snapshot %s", name);
	}
	return 0;
}

int store_export_open(struct store *s, const char *name, struct store_export **out, struct err *e)
{
	struct store_export *x = xalloc(sizeof(*x));
	int r = export_open(x, s, name, e);

	if (r < 0) {
		store_export_close(x);
		return r;
	}
	*out = x;
	return 0;
}

const struct store_parcel *store_export_parcel(const struct store_export *x)
{
	return &x->parcel;
}

const struct store_meta *store_export_meta(const struct store_export *x)
{
	return &x->meta;
}

void store_export_close(struct store_export *x)
{
	if (!x)
		return;
	parcel_finish(&x->parcel);
	buf_finish(&x->manifest);
	arena_finish(&x->arena);
	free(x);
}

/* ---- uploads --------------------------------------------------------------------------- */

static char *upload_path(const char *key)
{
	return xprintf("partial/%s.upload", key);
}

char *store_upload_load(struct store *s, const char *key)
{
	AUTO(text) char *path = upload_path(key);
	AUTO(buf) struct buf text = {0};

	if (read_file(s->root_fd, path, 65536, &text, NULL) < 0 || !text.len)
		return NULL;
	return xstrdup(buf_text(&text));
}

void store_upload_save(struct store *s, const char *key, const char *location)
{
	AUTO(text) char *path = upload_path(key);
	AUTO(fd) int fd = -1;

	if (!location) {
		unlinkat(s->root_fd, path, 0);
		return;
	}
	mkdirat(s->root_fd, "partial", 0700);
	fd = openat(s->root_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0)
		(void)!os_write_all(fd, location, strlen(location));
}

/* ---- coming: files in partial/ ---------------------------------------------------------- */

/* Whether a blob is here, whole. A damaged one is not, and gives way at the commit. */
static bool blob_is_here(struct store *s, const struct blob *blob)
{
	AUTO(fd) int fd = -1;

	return blob_open(s, blob, &fd, NULL) == 0 && blob_verify(fd, blob, NULL) == 0;
}

static int open_locked(struct store_import *x, const char *name, int *out_fd, struct err *e)
{
	for (;;) {
		AUTO(fd)
		int fd = openat(x->partial_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
		                0600);
		struct stat st, named;

		if (fd < 0)
			return err_set(e, -errno, "store: opening partial/%s", name);
		while (flock(fd, LOCK_EX) < 0)
			if (errno != EINTR)
				return err_set(e, -errno, "store: locking partial/%s", name);
		if (fstat(fd, &st) < 0)
			return err_set(e, -errno, "store: partial/%s", name);
		/* While we waited it may have become a blob, which is not ours to write, or been swept. */
		if (fstatat(x->partial_fd, name, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
		    named.st_ino != st.st_ino)
			continue;
		*out_fd = take_fd(&fd);
		return 0;
	}
}

static int open_part(struct store_import *x, struct store_parcel_blob *b, struct err *e)
{
	struct blob blob = blob_of_parcel(b);
	AUTO(fd) int fd = -1;
	struct stat st;
	int r;

	FAULT_STEP("store-import-open", e);
	if (blob_is_here(x->store, &blob))
		return 0;
	r = open_locked(x, b->digest + DIGEST_HEX_AT, &fd, e);
	if (r < 0)
		return r;
	if (blob_is_here(x->store, &blob)) {
		unlinkat(x->partial_fd, b->digest + DIGEST_HEX_AT, 0);
		return 0;
	}
	if (fstat(fd, &st) < 0 || ((uint64_t)st.st_size > b->bytes && ftruncate(fd, 0) < 0))
		return err_set(e, -errno, "store: partial/%s", b->digest + DIGEST_HEX_AT);
	b->fd = take_fd(&fd);
	return 0;
}

static int by_digest(const void *a, const void *b)
{
	const struct store_parcel_blob *const *x = a, *const *y = b;

	return strcmp((*x)->digest, (*y)->digest);
}

static int open_parts(struct store_import *x, struct err *e)
{
	struct store_parcel_blob *order[PARTS_MAX] = {NULL};
	size_t n = 0;
	int r = 0;

	LIST_EACH(&x->parcel.blobs, struct store_parcel_blob, b)
		order[n++] = b;
	qsort(order, n, sizeof(order[0]), by_digest);
	for (size_t i = 0; !r && i < n; i++)
		r = open_part(x, order[i], e);
	return r;
}

static int open_partial_dir(struct store_import *x, struct err *e)
{
	int root = x->store->root_fd;

	if (mkdirat(root, "partial", 0700) < 0 && errno != EEXIST)
		return err_set(e, -errno, "store: making the folder partial");
	x->partial_fd = openat(root, "partial", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return x->partial_fd < 0 ? err_set(e, -errno, "store: opening the folder partial") : 0;
}

int store_import_begin(struct store *s, struct span manifest, struct store_import **out,
                       struct err *e)
{
	struct store_import *x = xalloc(sizeof(*x));
	int r;

	x->store = s;
	x->partial_fd = x->note_fd = -1;
	buf_add(&x->bytes, manifest.data, manifest.len);
	x->parcel.manifest = buf_span(&x->bytes);
	x->self.bytes = manifest.len;
	r = manifest.len > MANIFEST_MAX_BYTES
	            ? err_say(e, -EBADMSG, "manifest: larger than %u bytes", MANIFEST_MAX_BYTES)
	            : digest_of(manifest, x->self.digest, e);
	if (!r)
		r = manifest_parse(manifest, &x->manifest, e);
	for (size_t i = 0; !r && i < x->manifest.n_pages; i++)
		if (x->manifest.pages[i].unsettled)
			r = err_say(e, -EBADMSG, "manifest: page blob %zu has no digest", i);
	if (!r)
		r = open_partial_dir(x, e);
	if (!r) {
		digest_text(x->parcel.digest, x->self.digest);
		list_blobs_of(&x->manifest, &x->arena, &x->parcel.blobs);
		r = open_parts(x, e);
	}
	if (r < 0) {
		store_import_close(x);
		return r;
	}
	*out = x;
	return 0;
}

const struct store_parcel *store_import_parcel(const struct store_import *x)
{
	return &x->parcel;
}

static uint64_t frames_bytes(const struct store_import *x, const char *digest)
{
	AUTO(text) char *frames = xprintf("%s.frames", digest + DIGEST_HEX_AT);
	struct stat st;

	return fstatat(x->partial_fd, frames, &st, AT_SYMLINK_NOFOLLOW)
	               ? 0
	               : MIN((uint64_t)st.st_blocks * 512, (uint64_t)st.st_size);
}

bool store_import_has_frames(const struct store_import *x, const char *digest)
{
	return frames_bytes(x, digest) > 0;
}

int store_import_room(const struct store_import *x, uint64_t *missing, struct err *e)
{
	struct statvfs fs;
	uint64_t sum = 0, room;

	LIST_EACH(&x->parcel.blobs, const struct store_parcel_blob, b) {
		struct stat st;
		uint64_t here;

		if (b->fd < 0)
			continue;
		if (fstat(b->fd, &st) < 0)
			return err_set(e, -errno, "store: partial/%s", b->digest + DIGEST_HEX_AT);
		here = MIN(MAX((uint64_t)st.st_size, frames_bytes(x, b->digest)), b->bytes);
		if (__builtin_add_overflow(sum, b->bytes - here, &sum))
			return err_say(e, -EBADMSG, "manifest: its sizes make no sense");
	}
	if (fstatvfs(x->store->root_fd, &fs) < 0)
		return err_set(e, -errno, "store: %s", x->store->root);
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (sum > room) {
		char needed[16], there[16];

		return err_say(e, -ENOSPC, "%s are still to come, and there is room for %s in %s",
		               text_of_bytes(needed, sum), text_of_bytes(there, room),
		               x->store->root);
	}
	*missing = sum;
	return 0;
}

/* A small blob of the parcel, wherever it is. */
static int read_part(struct store_import *x, const struct blob *blob, uint64_t max, struct buf *out,
                     struct err *e)
{
	uint8_t digest[DIGEST_BYTES];
	char name[72];
	int r;

	digest_text(name, blob->digest);
	LIST_EACH(&x->parcel.blobs, const struct store_parcel_blob, b) {
		if (strcmp(b->digest, name) || b->fd < 0)
			continue;
		if (blob->bytes > max)
			return err_say(e, -EBADMSG, "blob %s is larger than anything we write",
			               name);
		r = read_at(b->fd, buf_extend(out, (size_t)blob->bytes + 1), (size_t)blob->bytes, 0,
		            e, name);
		out->len = (size_t)blob->bytes;
		if (!r)
			r = digest_of(buf_span(out), digest, e);
		if (!r && memcmp(digest, blob->digest, DIGEST_BYTES))
			r = err_say(e, -EBADMSG, "blob %s does not have its digest", name);
		return r;
	}
	return blob_read(x->store, blob, max, out, e);
}

int import_read_config(struct store_import *x, struct arena *a, struct config_rec *out,
                       struct err *e)
{
	AUTO(buf) struct buf bytes = {0};
	int r = read_part(x, &x->manifest.config, CONFIG_MAX_BYTES, &bytes, e);

	return r < 0 ? r : config_parse(buf_span(&bytes), a, out, e);
}

int import_read_blob(struct store_import *x, const struct blob *blob, struct buf *out,
                     struct err *e)
{
	return read_part(x, blob, TABLE_MAX_BYTES, out, e);
}

int store_import_check(struct store_import *x, struct err *e)
{
	AUTO(arena) struct arena a = {0};
	struct config_rec config;
	int r = import_read_config(x, &a, &config, e);

	if (r < 0)
		return r;
	if (config.seal == CONFIG_SEALED && memcmp(config.key_id, x->store->keys.id, KEY_ID_BYTES))
		return err_say(e, -ENOKEY,
		               "it is sealed with the key of another store, so nothing in it "
		               "could be read here: have it published again as a public one "
		               "(wslx copy --public), or use a store that has that key");
	return 0;
}

/* ---- coming: commit -------------------------------------------------------------------- */

static int put_manifest(struct store_import *x, int *out_fd, struct err *e)
{
	AUTO(fd) int fd = -1;
	int r = open_locked(x, x->parcel.digest + DIGEST_HEX_AT, &fd, e);

	if (r < 0)
		return r;
	if (ftruncate(fd, 0) < 0)
		return err_set(e, -errno, "store: the manifest");
	r = write_all(fd, x->bytes.data, x->bytes.len, e, "the manifest");
	if (!r)
		*out_fd = take_fd(&fd);
	return r;
}

static int sync_part(int fd, uint64_t bytes, struct err *e)
{
	struct stat st;

	FAULT_STEP("store-import-sync", e);
	if (fstat(fd, &st) < 0 || fdatasync(fd) < 0)
		return err_set(e, -errno, "store: syncing a blob");
	assert((uint64_t)st.st_size == bytes); /* the caller said so */
	return 0;
}

static int move_part(struct store_import *x, const char *digest, struct err *e)
{
	FAULT_STEP("store-import-rename", e);
	if (renameat(x->partial_fd, digest + DIGEST_HEX_AT, x->store->blobs_fd,
	             digest + DIGEST_HEX_AT) < 0)
		return err_set(e, -errno, "store: putting a blob in its place");
	return 0;
}

static int move_parts(struct store_import *x, struct err *e)
{
	int r = move_part(x, x->parcel.digest, e);

	LIST_EACH(&x->parcel.blobs, const struct store_parcel_blob, b) {
		if (!r && b->fd >= 0)
			r = move_part(x, b->digest, e);
	}
	return r;
}

/* What was here when the import began may have been removed since; the lock is held now. */
static int check_here(struct store_import *x, struct err *e)
{
	LIST_EACH(&x->parcel.blobs, const struct store_parcel_blob, b) {
		struct blob blob = blob_of_parcel(b);
		AUTO(fd) int fd = -1;

		if (b->fd < 0 && blob_open(x->store, &blob, &fd, NULL) < 0)
			return err_say(e, -ESTALE,
			               "blob %s was removed while the others arrived: try again",
			               b->digest);
	}
	return 0;
}

static int may_replace(const struct index *index, const struct store_import_options *o,
                       struct err *e)
{
	const struct entry *old;
	int r = index_find(index, o->name, &old, NULL);

	if (r == -ENOENT || o->replace)
		return 0;
	if (!r && o->update && o->origin[0] && !strcmp(old->origin, o->origin))
		return 0;
	return index_taken(o->name, e);
}

static int publish(struct store_import *x, const struct store_import_options *o, struct err *e)
{
	struct store *s = x->store;
	struct entry entry = {.name = o->name, .manifest = x->self, .origin = o->origin};
	AUTO(fd) int lock = -1, index_fd = -1;
	AUTO(index) struct index index = {0};
	struct list old_blobs = {0};
	int r = store_lock(s, LOCK_EX, &lock, e);

	if (!r)
		r = check_here(x, e);
	if (!r)
		r = index_read(s, &x->arena, &index, e);
	if (!r)
		r = may_replace(&index, o, e);
	if (r < 0)
		return r;
	LIST_EACH(&index.entries, const struct entry, it)
		if (it->name && !strcmp(it->name, o->name))
			blobs_of_entry(s, it, &x->arena, &old_blobs);
	index_drop(&index, o->name);
	if (index.generation == GENERATION_MAX)
		return err_say(e, -EBADMSG, "index.json has counted more commits than there were");
	entry.generation = index.generation + 1;
	r = entry_seal(&s->keys, &entry, e);
	if (r < 0)
		return r;
	index_add(&index, &entry);
	unlinkat(s->tmp_fd, "index.json", 0); /* left by one that died here */
	r = index_prepare(&index, s->tmp_fd, &index_fd, e);
	if (!r)
		r = move_parts(x, e);
	if (!r)
		r = index_sync(index_fd, e);
	if (!r)
		r = sync_dir(s->blobs_fd, "store-blobs-dir-sync", e);
	if (!r)
		r = index_publish(s, s->tmp_fd, e);
	LIST_EACH(&index.entries, const struct entry, it)
		if (!r && it->name && !strcmp(it->name, o->name))
			mark_forget(s, it);
	if (!r)
		import_forget_note(x);
	/* The snapshot is safe; what this cannot remove of the old one is for gc. */
	if (!r && old_blobs.count)
		(void)!sweep_blobs(s, &old_blobs, NULL, NULL);
	return r;
}

int store_import_commit(struct store_import *x, const struct store_import_options *options,
                        struct err *e)
{
	AUTO(fd) int manifest_fd = -1;
	int r = store_name_check(options->name, e);

	if (!r && strlen(options->origin) > STORE_ORIGIN_MAX)
		r = err_say(e, -EINVAL, "store: an origin of more than %d bytes", STORE_ORIGIN_MAX);
	if (!r)
		r = put_manifest(x, &manifest_fd, e);
	if (!r)
		r = sync_part(manifest_fd, x->bytes.len, e);
	LIST_EACH(&x->parcel.blobs, const struct store_parcel_blob, b) {
		if (!r && b->fd >= 0)
			r = sync_part(b->fd, b->bytes, e);
	}
	return r < 0 ? r : publish(x, options, e);
}

void store_import_close(struct store_import *x)
{
	if (!x)
		return;
	parcel_finish(&x->parcel);
	os_close(&x->note_fd);
	os_close(&x->partial_fd);
	buf_finish(&x->bytes);
	arena_finish(&x->arena);
	free(x);
}

/* ---- copies ---------------------------------------------------------------------------- */

struct copy {
	struct page_reader reader; /* first, so that the reader is the copy */
	struct page_source *from;
};

static int read_copied(const struct page_reader *from, const struct stretch *what, size_t n,
                       uint8_t *to, struct err *e)
{
	struct page_source *source = ((const struct copy *)from)->from;
	int r = 0;

	for (size_t i = 0; !r && i < n; i++) {
		r = source->read(source, what[i].at / PAGE_BYTES, what[i].pages, to, e);
		to += what[i].pages * PAGE_BYTES;
	}
	return r;
}

static int copy_pages(struct page_source *from, struct page_sink *to, struct err *e)
{
	const struct copy copy = {{read_copied}, from};
	int r = to->fetch(to, &copy.reader, (struct stretch){0, from->n_pages}, e);
	int drained = to->drain(to, r < 0 ? NULL : e);

	return r < 0 ? r : drained;
}

int store_copy(struct store *s, const char *from, const char *to,
               const struct store_options *options, struct err *e)
{
	AUTO(store_reader) struct store_reader *reader = NULL;
	AUTO(store_writer) struct store_writer *writer = NULL;
	int r = store_name_check(to, e);

	if (!r)
		r = store_reader_open(s, from, &reader, e);
	if (!r)
		r = store_writer_begin(s, store_reader_meta(reader)->kind, options, &writer, e);
	if (!r)
		r = copy_pages(store_reader_source(reader), store_writer_sink(writer), e);
	return r < 0 ? r
	             : store_writer_commit(writer, to, store_reader_state(reader),
	                                   store_reader_meta(reader), e);
}
