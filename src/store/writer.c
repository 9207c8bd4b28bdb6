/* SPDX-License-Identifier: MIT */
/*
 * One snapshot from begin to commit.
 *
 * What is durable when: everything is first written in tmp/ID/, which nobody reads. Commit
 *
 *	1. ends the page blobs, writes table, state, config and manifest, and then syncs them all;
 *	2. takes the lock, reads index.json and writes the next one in tmp/ID/;
 *	3. renames the blobs into blobs/sha256/, those without a digest into blobs/sealed/;
 *	4. syncs the next index.json and the folder of the blobs;
 *	5. renames the next index.json over the old one and syncs the root.
 *
 * A crash before 5 leaves the old index, to which the new blobs are nothing; after it, the new
 * one, all of whose blobs are durable. What needs room on the disk comes before 3, so a full
 * disk undoes by removing tmp/ID/. Syncing comes after writing, each time for all at once, because
 * what costs is not the bytes but each wait for the file system's journal. The flock on tmp/ID/
 * says that its writer lives, and goes with the process: what a dead one left is known to gc by
 * that.
 */
#include "store/parts.h"

#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

struct store_writer {
	struct store *store;
	struct store_options options;
	char kind[17];
	uint8_t id[ID_BYTES];
	char id_text[ID_TEXT_BYTES];
	uint8_t key[STORE_KEY_BYTES];
	int dir_fd; /* tmp/ID, locked */
	struct packer *packer;
	struct arena arena;
	bool used;      /* commit was tried */
	bool unsettled; /* it left page blobs without a digest */
};

/* A blob that lies in tmp/ID and waits for its place. */
struct fresh {
	const char *name;
	struct blob blob;
	int fd;     /* to be synced; -1: not written */
	bool moved; /* to a place where no blob was */
};

static int make_dir(struct store_writer *w, struct err *e)
{
	AUTO(fd) int lock = -1;
	/* gc takes this lock exclusively, so it sees the folder with its flock or not at all. */
	int r = store_lock(w->store, LOCK_SH, &lock, e);

	if (r < 0)
		return r;
	if (mkdirat(w->store->tmp_fd, w->id_text, 0700) < 0)
		return err_set(e, -errno, "store: making a folder in tmp");
	w->dir_fd = openat(w->store->tmp_fd, w->id_text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->dir_fd < 0 || flock(w->dir_fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, -errno, "store: locking a folder in tmp");
	return 0;
}

int store_writer_begin(struct store *s, const char *kind, const struct store_options *options,
                       struct store_writer **out, struct err *e)
{
	struct store_writer *w;
	int r;

	FAULT_STEP("store-writer-begin", e);
	assert(kind[0] && strlen(kind) < sizeof(w->kind));
	w = xalloc(sizeof(*w));
	w->store = s;
	w->dir_fd = -1;
	strcpy(w->kind, kind);
	if (options)
		w->options = *options;
	if (w->options.is_public) {
		if (w->options.compression != STORE_COMPRESS_DENSE)
			w->options.compression = STORE_COMPRESS_SMALL;
		w->options.unsettled_bytes = 0; /* its digests are all that says what it is */
	}
	r = random_bytes(w->id, sizeof(w->id), e);
	if (!r)
		r = random_bytes(w->key, sizeof(w->key), e);
	text_hex(w->id_text, w->id, ID_BYTES);
	if (!r)
		r = make_dir(w, e);
	if (!r)
		r = packer_create(w->dir_fd, w->key, w->id, &w->options, &w->packer, e);
	if (r < 0) {
		store_writer_close(w);
		return r;
	}
	*out = w;
	return 0;
}

struct page_sink *store_writer_sink(struct store_writer *w)
{
	return packer_sink(w->packer);
}

static int write_blob(struct store_writer *w, struct span data, struct fresh *out, struct err *e)
{
	AUTO(fd) int fd = -1;
	int r = digest_of(data, out->blob.digest, e);

	if (r < 0)
		return r;
	out->blob.bytes = data.len;
	FAULT_STEP("store-blob-write", e);
	fd = openat(w->dir_fd, out->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, -errno, "store: making the blob of the %s", out->name);
	r = write_all(fd, data.data, data.len, e, out->name);
	if (r < 0)
		return r;
	push_file(fd, 0);
	out->fd = take_fd(&fd);
	return 0;
}

static int seal_blob(struct store_writer *w, enum seal_kind kind, struct span plain,
                     struct fresh *out, struct err *e)
{
	AUTO(sealer) struct sealer sealer = {0};
	AUTO(buf) struct buf sealed = {0};
	int r = w->options.is_public ? 0 : sealer_init(&sealer, w->key, w->id, e);

	if (!r)
		r = pack_blob(w->options.is_public ? NULL : &sealer, kind, plain, &sealed, e);
	return r < 0 ? r : write_blob(w, buf_span(&sealed), out, e);
}

enum { STATE, TABLE, CONFIG, MANIFEST, PAGES };

/* @fresh gets the blobs, @n how many there are. */
static int write_blobs(struct store_writer *w, struct span state, const struct store_meta *meta,
                       struct fresh *fresh, size_t *n, struct err *e)
{
	AUTO(buf) struct buf table_bytes = {0}, config_bytes = {0}, manifest_text = {0};
	struct packed *packed = ARENA_NEW(&w->arena, struct packed);
	struct config_rec config = {.version = CONFIG_VERSION, .kind = w->kind};
	struct manifest manifest = {0};
	struct table_rec table;
	int r = packer_end(w->packer, &w->arena, packed, e);

	if (r < 0)
		return r;
	table = (struct table_rec){
		.pages = packed->pages, .frame_pages = FRAME_PAGES, .frames = packed->frames};
	rec_encode(&table_bytes, &table_type, &table);
	r = seal_blob(w, SEAL_TABLE, buf_span(&table_bytes), &fresh[TABLE], e);
	if (!r)
		r = seal_blob(w, SEAL_STATE, state, &fresh[STATE], e);
	if (!r && !w->options.is_public)
		r = key_wrap(&w->store->keys, w->id, w->key, config.wrapped_key, e);
	if (r < 0)
		return r;

	memcpy(config.id, w->id, ID_BYTES);
	if (w->options.is_public)
		config.seal = CONFIG_PUBLIC;
	else
		memcpy(config.key_id, w->store->keys.id, KEY_ID_BYTES);
	config.created_ns =
		meta && meta->created_ns ? meta->created_ns : os_clock_ns(CLOCK_REALTIME);
	config.pages = packed->pages;
	config.stored_pages = packed->stored_pages;
	config.state_bytes = state.len;
	config.table_bytes = table_bytes.len;
	if (meta)
		config.labels = (struct list){.items = (void *)(uintptr_t)meta->labels,
		                              .count = meta->n_labels};
	rec_encode(&config_bytes, &config_type, &config);
	r = write_blob(w, buf_span(&config_bytes), &fresh[CONFIG], e);
	if (r < 0)
		return r;

	manifest.state = fresh[STATE].blob;
	manifest.table = fresh[TABLE].blob;
	manifest.config = fresh[CONFIG].blob;
	for (size_t i = 0; i < packed->n_blobs; i++) {
		fresh[PAGES + i] = (struct fresh){.name = packed->blobs[i].name,
		                                  .blob = packed->blobs[i].blob,
		                                  .fd = packed->blobs[i].fd};
		manifest.pages[manifest.n_pages++] = packed->blobs[i].blob;
		w->unsettled |= packed->blobs[i].blob.unsettled;
	}
	manifest_print(&manifest_text, &manifest, &config);
	*n = PAGES + packed->n_blobs;
	return write_blob(w, buf_span(&manifest_text), &fresh[MANIFEST], e);
}

static int sync_blobs(const struct fresh *fresh, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		FAULT_STEP("store-blob-sync", e);
		if (fdatasync(fresh[i].fd) < 0)
			return err_set(e, -errno, "store: syncing the %s", fresh[i].name);
	}
	return 0;
}

static int move_blobs(struct store_writer *w, struct fresh *fresh, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		int folder = blob_folder(w->store, &fresh[i].blob);
		char digest[72];

		FAULT_STEP("store-blob-rename", e);
		blob_text(digest, &fresh[i].blob);
		/* A public blob may be another snapshot's too, and is then not ours to undo. */
		fresh[i].moved = faccessat(folder, digest + DIGEST_HEX_AT, F_OK, 0) < 0;
		if (renameat(w->dir_fd, fresh[i].name, folder, digest + DIGEST_HEX_AT) < 0) {
			fresh[i].moved = false;
			return err_set(e, -errno, "store: putting a blob in its place");
		}
	}
	return 0;
}

static void unmove_blobs(struct store_writer *w, const struct fresh *fresh, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char digest[72];

		blob_text(digest, &fresh[i].blob);
		if (fresh[i].moved)
			unlinkat(blob_folder(w->store, &fresh[i].blob), digest + DIGEST_HEX_AT, 0);
	}
}

/* Steps 2 to 5. */
static int publish(struct store_writer *w, const char *name, struct fresh *fresh, size_t n,
                   struct err *e)
{
	struct store *s = w->store;
	struct entry entry = {
		.name = name, .manifest = fresh[MANIFEST].blob, .unsettled = w->unsettled};
	const struct entry *old = NULL;
	AUTO(fd) int lock = -1, index_fd = -1;
	AUTO(index) struct index x = {0};
	struct list old_blobs = {0};
	int r = store_lock(s, LOCK_EX, &lock, e);

	if (!r)
		r = index_read(s, &w->arena, &x, e);
	if (r < 0)
		return r;
	r = index_find(&x, name, &old, NULL);
	if (r != -ENOENT && !w->options.replace)
		return index_taken(name, e);
	LIST_EACH(&x.entries, const struct entry, it)
		if (it->name && !strcmp(it->name, name))
			blobs_of_entry(s, it, &w->arena, &old_blobs);
	index_drop(&x, name);

	if (x.generation == GENERATION_MAX)
		return err_say(e, -EBADMSG, "index.json has counted more commits than there were");
	entry.generation = x.generation + 1;
	r = entry_seal(&s->keys, &entry, e);
	if (r < 0)
		return r;
	index_add(&x, &entry);
	r = index_prepare(&x, w->dir_fd, &index_fd, e);
	if (!r)
		r = move_blobs(w, fresh, n, e);
	if (!r)
		r = index_sync(index_fd, e);
	if (!r)
		r = sync_dir(s->blobs_fd, "store-blobs-dir-sync", e);
	if (!r && w->unsettled)
		r = sync_dir(s->sealed_fd, "store-blobs-dir-sync", e);
	if (!r)
		r = index_publish(s, w->dir_fd, e);
	if (r < 0) {
		/* Once the new index is in place its blobs must stay. */
		if (faccessat(w->dir_fd, "index.json", F_OK, 0) == 0)
			unmove_blobs(w, fresh, n);
		return r;
	}
	LIST_EACH(&x.entries, const struct entry, it)
		if (it->name && !strcmp(it->name, name))
			mark_forget(s, it);
	/* The snapshot is safe; what this cannot remove of the old one is for gc. */
	if (old_blobs.count)
		(void)!sweep_blobs(s, &old_blobs, NULL, NULL);
	return 0;
}

static int check_request(const char *name, struct span state, const struct store_meta *meta,
                         struct err *e)
{
	if (state.len > STATE_MAX_BYTES)
		return err_say(e, -EFBIG, "store: a state of more than %lu bytes",
		               (unsigned long)STATE_MAX_BYTES);
	if (meta && meta->n_labels > STORE_LABELS_MAX)
		return err_say(e, -EINVAL, "store: more than %d labels", STORE_LABELS_MAX);
	for (size_t i = 0; meta && i < meta->n_labels; i++)
		if (strlen(meta->labels[i].key) > STORE_LABEL_KEY_MAX ||
		    strlen(meta->labels[i].value) > STORE_LABEL_VALUE_MAX)
			return err_say(e, -EINVAL, "store: the label %.40s is too long",
			               meta->labels[i].key);
	return store_name_check(name, e);
}

int store_writer_commit(struct store_writer *w, const char *name, struct span state,
                        const struct store_meta *meta, struct err *e)
{
	struct fresh fresh[PAGES + BLOBS_MAX] = {
		[STATE] = {.name = "state", .fd = -1},
		[TABLE] = {.name = "table", .fd = -1},
		[CONFIG] = {.name = "config", .fd = -1},
		[MANIFEST] = {.name = "manifest", .fd = -1},
	};
	size_t n = 0;
	int r;

	assert(!w->used);
	w->used = true;
	r = check_request(name, state, meta, e);
	if (!r)
		r = write_blobs(w, state, meta, fresh, &n, e);
	if (!r)
		r = sync_blobs(fresh, n, e);
	if (!r)
		r = publish(w, name, fresh, n, e);
	for (size_t i = 0; i < PAGES; i++) /* the others are the packer's */
		os_close(&fresh[i].fd);
	return r;
}

bool store_writer_left_unsettled(const struct store_writer *w)
{
	return w->unsettled;
}

void store_writer_close(struct store_writer *w)
{
	if (!w)
		return;
	packer_destroy(w->packer);
	if (w->dir_fd >= 0) {
		if (fault_point("store-writer-end") == FAULT_NONE)
			(void)!remove_leftover(w->store, w->id_text, w->dir_fd, NULL, NULL);
		close(w->dir_fd);
	}
	arena_finish(&w->arena);
	secret_forget(w->key, sizeof(w->key));
	free(w);
}
