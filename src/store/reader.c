/* SPDX-License-Identifier: MIT */
/*
 * One snapshot from name to pages.
 *
 * What is believed, and why, in this order: the entry of index.json, as far as its seal under
 * the store's key covers it; the manifest, config, state and table, by the digests that follow
 * from there, the last two also by their seals; a frame, by its seal when it is read. Each is
 * checked before a parser sees it.
 *
 * Pages are read by any number of threads. A thread borrows an opener (cipher context and
 * buffers) for one frame; a request for a whole frame is opened straight into the caller's
 * memory, a smaller one goes by a small cache of whole frames, so that neighbouring faults cost
 * one.
 */
#include "store/parts.h"

#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <zstd.h>

#define CACHE_FRAMES 16

/* What it takes to open a frame. */
struct opener {
	struct opener *next;
	struct sealer sealer;
	ZSTD_DCtx *zstd;
	uint8_t sealed[FRAME_BYTES + SEAL_TAG_BYTES];
	uint8_t squeezed[FRAME_BYTES];
};

struct cached {
	uint64_t frame;
	uint64_t used;  /* clock of the last use; 0: nothing here */
	uint8_t *pages; /* FRAME_BYTES */
};

struct store_reader {
	struct page_source source; /* first, so that the source is the reader */
	struct store *store;
	struct arena arena;
	struct head head;
	struct store_meta meta;
	struct buf state;
	struct table_rec table;
	uint64_t *offsets; /* of each frame, in its blob */
	int blob_fds[BLOBS_MAX];
	struct lazy *lazy; /* instead of blob_fds, where frames may be missing */
	uint8_t key[STORE_KEY_BYTES];

	pthread_mutex_t lock; /* of what follows */
	struct opener *openers;
	struct cached cache[CACHE_FRAMES];
	uint64_t clock;
};

/* ---- head ------------------------------------------------------------------------------ */

static void fill_meta(struct store_meta *meta, const struct head *head, const char *name,
                      const struct blob *manifest, struct arena *a)
{
	const struct manifest *m = &head->manifest;
	const struct config_rec *c = &head->config;
	char digest[72];

	digest_text(digest, manifest->digest);
	*meta = (struct store_meta){
		.created_ns = c->created_ns,
		.labels = c->labels.items,
		.n_labels = c->labels.count,
		.name = arena_text(a, name ? name : digest),
		.kind = c->kind,
		.digest = arena_text(a, digest),
		.origin = "",
		.is_public = c->seal == CONFIG_PUBLIC,
		.pages = c->pages,
		.stored_pages = c->stored_pages,
		.stored_bytes = manifest->bytes + m->config.bytes + m->state.bytes + m->table.bytes,
	};
	text_hex(meta->id, c->id, ID_BYTES);
	for (size_t i = 0; i < m->n_pages; i++)
		meta->stored_bytes += m->pages[i].bytes;
}

int head_read(struct store *s, const struct entry *entry, struct arena *a, struct head *head,
              struct store_meta *meta, struct err *e)
{
	AUTO(buf) struct buf bytes = {0};
	struct manifest *m = &head->manifest;
	struct config_rec *c = &head->config;
	int r = entry_check(&s->keys, entry, e);

	if (!r)
		r = blob_read(s, &entry->manifest, MANIFEST_MAX_BYTES, &bytes, e);
	if (!r)
		r = manifest_parse(buf_span(&bytes), m, e);
	if (!r)
		r = blob_read(s, &m->config, CONFIG_MAX_BYTES, &bytes, e);
	if (!r)
		r = config_parse(buf_span(&bytes), a, c, e);
	if (r < 0)
		return r;
	if (c->seal == CONFIG_SEALED && memcmp(c->key_id, s->keys.id, KEY_ID_BYTES))
		return err_say(e, -EBADMSG, "it was sealed with the key of another store");

	fill_meta(meta, head, entry->name, &entry->manifest, a);
	meta->generation = entry->generation;
	meta->origin = arena_text(a, entry->origin);
	return 0;
}

const char *store_meta_label(const struct store_meta *meta, const char *key)
{
	for (size_t i = 0; i < meta->n_labels; i++)
		if (!strcmp(meta->labels[i].key, key))
			return meta->labels[i].value;
	return NULL;
}

/* ---- frames ---------------------------------------------------------------------------- */

static void opener_destroy(struct opener *o)
{
	sealer_finish(&o->sealer);
	ZSTD_freeDCtx(o->zstd);
	free(o);
}

static struct opener *borrow_opener(struct store_reader *r, struct err *e)
{
	struct opener *o;

	pthread_mutex_lock(&r->lock);
	o = r->openers;
	if (o)
		r->openers = o->next;
	pthread_mutex_unlock(&r->lock);
	if (o)
		return o;
	o = xalloc(sizeof(*o));
	o->zstd = ZSTD_createDCtx();
	if (o->zstd && (r->head.config.seal == CONFIG_PUBLIC ||
	                !sealer_init(&o->sealer, r->key, r->head.config.id, e)))
		return o;
	err_say(e, -ENOMEM, "store: no memory to open a frame");
	opener_destroy(o);
	return NULL;
}

static void return_opener(struct store_reader *r, struct opener *o)
{
	pthread_mutex_lock(&r->lock);
	o->next = r->openers;
	r->openers = o;
	pthread_mutex_unlock(&r->lock);
}

static size_t pages_of_frame(const struct store_reader *r, uint64_t frame)
{
	return (size_t)MIN(FRAME_PAGES, r->table.pages - frame * FRAME_PAGES);
}

/* Pages that were moved together go where they belong; last first, as none moves down. */
static void spread_pages(uint8_t *pages, uint32_t present, size_t n)
{
	size_t from = (size_t)__builtin_popcount(present);

	for (size_t i = n; i--;) {
		uint8_t *to = pages + i * PAGE_BYTES;

		if (!(present >> i & 1)) {
			memset(to, 0, PAGE_BYTES);
			continue;
		}
		if (--from != i)
			memcpy(to, pages + from * PAGE_BYTES, PAGE_BYTES);
	}
}

/*
 * Authenticates the frame in o->sealed. What it holds is then at @data; pages that are stored as
 * they are are in @out already.
 */
static int unprotect_frame(struct store_reader *r, struct opener *o, uint64_t frame, uint8_t *out,
                           struct span *data, struct err *e)
{
	const struct frame_rec *f = LIST_AT(&r->table.frames, struct frame_rec, frame);
	uint8_t *to = f->codec == FRAME_RAW ? out : o->squeezed;
	uint8_t digest[DIGEST_BYTES];
	int ret;

	if (r->head.config.seal == CONFIG_SEALED) {
		*data = SPAN(to, f->bytes - SEAL_TAG_BYTES);
		return sealer_open(&o->sealer, SEAL_PAGES, frame, o->sealed, f->bytes, to) < 0
		               ? err_say(e, -EBADMSG, "its seal is broken")
		               : 0;
	}
	*data = SPAN(o->sealed, f->bytes);
	ret = r->lazy ? 0 : digest_of(*data, digest, e);
	if (!ret && !r->lazy && memcmp(digest, f->digest, DIGEST_BYTES))
		ret = err_say(e, -EBADMSG, "it does not have its digest");
	if (!ret && f->codec == FRAME_RAW)
		memcpy(out, data->data, data->len);
	return ret;
}

/* The pages of a trimmed frame, moved together. Return: -EBADMSG if it does not hold @n. */
static int untrim_pages(const uint8_t *in, size_t len, size_t n, uint8_t *out)
{
	const uint8_t *from = in + TRIM_HEAD_BYTES;

	if (len < TRIM_HEAD_BYTES)
		return -EBADMSG;
	len -= TRIM_HEAD_BYTES;
	for (size_t i = 0; i < n; i++) {
		size_t bytes = (in[i] + 1u) * TRIM_UNIT_BYTES;

		if (bytes > len)
			return -EBADMSG;
		memcpy(out, from, bytes);
		memset(out + bytes, 0, PAGE_BYTES - bytes);
		from += bytes;
		len -= bytes;
		out += PAGE_BYTES;
	}
	return len ? -EBADMSG : 0;
}

/* The content of a frame, opened, as pages that stand together. */
static int unpack_frame(struct opener *o, const struct frame_rec *f, struct span data, size_t n,
                        uint8_t *out, struct err *e)
{
	size_t plain = n * PAGE_BYTES;

	switch (f->codec) {
	case FRAME_ZSTD:
		if (ZSTD_decompressDCtx(o->zstd, out, plain, data.data, data.len) != plain)
			return err_say(e, -EBADMSG, "it does not hold %zu bytes of zstd", plain);
		return 0;
	case FRAME_TRIMMED:
		if (untrim_pages(data.data, data.len, n, out) < 0)
			return err_say(e, -EBADMSG, "it does not hold %zu trimmed pages", n);
		return 0;
	default:
		return 0; /* opened to where it belongs */
	}
}

/* All pages of a frame. Nothing but zeros is in @out if its seal is broken. */
static int open_frame(struct store_reader *r, uint64_t frame, uint8_t *out, struct err *e)
{
	const struct frame_rec *f = LIST_AT(&r->table.frames, struct frame_rec, frame);
	size_t n = pages_of_frame(r, frame);
	struct span data;
	struct opener *o;
	int ret;

	if (!f->present) {
		memset(out, 0, n * PAGE_BYTES);
		return 0;
	}
	o = borrow_opener(r, e);
	if (!o)
		return -ENOMEM;
	ret = r->lazy ? lazy_read(r->lazy, frame, o->sealed, e)
	              : read_at(r->blob_fds[f->blob], o->sealed, f->bytes, r->offsets[frame], e,
	                        "a page blob");
	if (!ret)
		ret = unprotect_frame(r, o, frame, out, &data, e);
	if (!ret) {
		ret = unpack_frame(o, f, data, (size_t)__builtin_popcount(f->present), out, e);
		if (ret < 0)
			memset(out, 0, n * PAGE_BYTES);
	}
	return_opener(r, o);
	if (ret < 0)
		return err_wrap(e, ret, "snapshot %s: frame %llu", r->meta.name,
		                (unsigned long long)frame);
	if (f->present != (uint32_t)((1ull << n) - 1))
		spread_pages(out, f->present, n);
	return 0;
}

static bool copy_cached(struct store_reader *r, uint64_t frame, size_t first, size_t pages,
                        uint8_t *out)
{
	bool found = false;

	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < CACHE_FRAMES && !found; i++) {
		struct cached *c = &r->cache[i];

		if (!c->used || c->frame != frame)
			continue;
		memcpy(out, c->pages + first * PAGE_BYTES, pages * PAGE_BYTES);
		c->used = ++r->clock;
		found = true;
	}
	pthread_mutex_unlock(&r->lock);
	return found;
}

/* Takes over @pages, in exchange for what was used longest ago. */
static uint8_t *put_cached(struct store_reader *r, uint64_t frame, uint8_t *pages)
{
	struct cached *oldest = &r->cache[0];
	uint8_t *before;

	pthread_mutex_lock(&r->lock);
	for (size_t i = 1; i < CACHE_FRAMES; i++)
		if (r->cache[i].used < oldest->used)
			oldest = &r->cache[i];
	before = oldest->pages;
	*oldest = (struct cached){.frame = frame, .used = ++r->clock, .pages = pages};
	pthread_mutex_unlock(&r->lock);
	return before;
}

static int read_part(struct store_reader *r, uint64_t frame, size_t first, size_t pages,
                     uint8_t *out, struct err *e)
{
	uint8_t *whole;
	int ret;

	if (copy_cached(r, frame, first, pages, out))
		return 0;
	whole = xalloc(FRAME_BYTES);
	ret = open_frame(r, frame, whole, e);
	if (!ret) {
		memcpy(out, whole + first * PAGE_BYTES, pages * PAGE_BYTES);
		whole = put_cached(r, frame, whole);
	}
	free(whole);
	return ret;
}

static int reader_read(struct page_source *source, uint64_t first, size_t pages, uint8_t *out,
                       struct err *e)
{
	struct store_reader *r = (struct store_reader *)source;

	if (first > r->table.pages || pages > r->table.pages - first)
		return err_say(e, -EINVAL, "snapshot %s: there are no pages %llu to %llu",
		               r->meta.name, (unsigned long long)first,
		               (unsigned long long)(first + pages));
	while (pages) {
		uint64_t frame = first / FRAME_PAGES;
		size_t skip = (size_t)(first % FRAME_PAGES);
		size_t n = MIN(pages, pages_of_frame(r, frame) - skip);
		int ret = n == pages_of_frame(r, frame) ? open_frame(r, frame, out, e)
		                                        : read_part(r, frame, skip, n, out, e);

		if (ret < 0)
			return ret;
		first += n;
		pages -= n;
		out += n * PAGE_BYTES;
	}
	return 0;
}

static bool reader_is_zero(struct page_source *source, uint64_t first, size_t pages)
{
	struct store_reader *r = (struct store_reader *)source;

	for (; pages && first < r->table.pages; first++, pages--) {
		const struct frame_rec *f =
			LIST_AT(&r->table.frames, struct frame_rec, first / FRAME_PAGES);

		if (f->present >> first % FRAME_PAGES & 1)
			return false;
	}
	return !pages;
}

/* ---- verify ---------------------------------------------------------------------------- */

int blob_verify(int fd, const struct blob *blob, struct err *e)
{
	uint8_t digest[DIGEST_BYTES];
	char name[72];
	int ret = hash_file(fd, blob->bytes, false, digest, e);

	digest_text(name, blob->digest);
	if (!ret && memcmp(digest, blob->digest, DIGEST_BYTES))
		ret = err_say(e, -EBADMSG, "blob %s does not have its digest", name);
	return ret;
}

int reader_verify(struct store_reader *r, struct store_report *report, struct err *e)
{
	const struct manifest *m = &r->head.manifest;
	AUTO(buf) struct buf pages = {0};
	int ret = 0;

	buf_reserve(&pages, FRAME_BYTES);
	/* All other blobs were compared with their digests when they were read. */
	for (size_t i = 0; !ret && i < m->n_pages; i++)
		if (!m->pages[i].unsettled)
			ret = blob_verify(r->blob_fds[i], &m->pages[i], e);
	if (ret < 0)
		return err_wrap(e, ret, "snapshot %s", r->meta.name);
	for (uint64_t frame = 0; frame < r->table.frames.count; frame++) {
		ret = open_frame(r, frame, pages.data, e);
		if (ret < 0)
			return ret;
		report->frames++;
	}
	report->snapshots++;
	report->blobs += 4 + m->n_pages;
	report->bytes += r->meta.stored_bytes;
	return 0;
}

/* ---- open and close -------------------------------------------------------------------- */

static int read_sealed(struct store_reader *r, struct sealer *sealer, enum seal_kind kind,
                       const struct blob *blob, uint64_t plain_bytes, struct buf *out,
                       struct err *e)
{
	AUTO(buf) struct buf sealed = {0};
	bool is_public = r->head.config.seal == CONFIG_PUBLIC;
	int ret = blob_read(r->store, blob, TABLE_MAX_BYTES, &sealed, e);

	if (!ret)
		ret = unpack_blob(is_public ? NULL : sealer, kind, buf_span(&sealed), plain_bytes,
		                  out, e);
	return ret < 0 ? err_wrap(e, ret, "%s", kind == SEAL_STATE ? "state" : "frame table") : 0;
}

static int read_content(struct store_reader *r, struct err *e)
{
	const struct manifest *m = &r->head.manifest;
	const struct config_rec *c = &r->head.config;
	AUTO(sealer) struct sealer sealer = {0};
	AUTO(buf) struct buf table = {0};
	uint64_t sizes[BLOBS_MAX];
	int ret = 0;

	if (c->seal == CONFIG_SEALED)
		ret = key_unwrap(&r->store->keys, c->id, c->wrapped_key, r->key, e);
	if (!ret && c->seal == CONFIG_SEALED)
		ret = sealer_init(&sealer, r->key, c->id, e);
	if (!ret)
		ret = read_sealed(r, &sealer, SEAL_STATE, &m->state, c->state_bytes, &r->state, e);
	if (!ret)
		ret = read_sealed(r, &sealer, SEAL_TABLE, &m->table, c->table_bytes, &table, e);
	for (size_t i = 0; !ret && i < m->n_pages; i++) {
		sizes[i] = m->pages[i].bytes;
		ret = blob_open(r->store, &m->pages[i], &r->blob_fds[i], e);
	}
	if (!ret)
		ret = table_parse(buf_span(&table), c->seal, sizes, m->n_pages, &r->arena,
		                  &r->table, &r->offsets, e);
	if (!ret && r->table.pages != c->pages)
		ret = err_say(e, -EBADMSG, "frame table: it is that of another snapshot");
	return ret;
}

static int open_entry(struct store_reader *r, const char *name, struct err *e)
{
	AUTO(index) struct index x = {0};
	const struct entry *entry;
	AUTO(fd) int lock = -1;
	int ret = store_lock(r->store, LOCK_SH, &lock, e);

	if (!ret)
		ret = index_read(r->store, &r->arena, &x, e);
	if (!ret)
		ret = index_find(&x, name, &entry, e);
	if (ret < 0)
		return ret;
	ret = head_read(r->store, entry, &r->arena, &r->head, &r->meta, e);
	if (!ret)
		ret = read_content(r, e);
	return ret < 0 ? err_wrap(e, ret, "snapshot %s", name) : 0;
}

/* Of one that is not there: whether it is on its way. */
static int explain_absence(struct store *s, const char *name, struct err *e)
{
	AUTO(arena) struct arena a = {0};
	struct list partials = {0};

	if (e && !store_partials(s, &a, &partials, NULL))
		LIST_EACH(&partials, const struct store_partial, p) {
			char here[16], all[16];

			if (strcmp(p->name, name))
				continue;
			*e = (struct err){.code = 0};
			return err_say(e, -ENOENT,
			               "of the snapshot %s only %s of %s have arrived; wslx run %s "
			               "goes on with it, and wslx pull %s fetches it",
			               name, text_of_bytes(here, p->here_bytes),
			               text_of_bytes(all, p->bytes), p->origin, p->origin);
		}
	return -ENOENT;
}

static struct store_reader *reader_create(struct store *s)
{
	struct store_reader *r = xalloc(sizeof(*r));

	r->store = s;
	r->source.read = reader_read;
	r->source.is_zero = reader_is_zero;
	pthread_mutex_init(&r->lock, NULL);
	for (size_t i = 0; i < BLOBS_MAX; i++)
		r->blob_fds[i] = -1;
	return r;
}

int store_reader_open(struct store *s, const char *name, struct store_reader **out, struct err *e)
{
	struct store_reader *r = reader_create(s);
	int ret = open_entry(r, name, e);

	if (ret < 0) {
		store_reader_close(r);
		return ret == -ENOENT ? explain_absence(s, name, e) : ret;
	}
	r->source.n_pages = r->table.pages;
	*out = r;
	return 0;
}

/* ---- of an import ---------------------------------------------------------------------- */

static int open_import(struct store_reader *r, struct store_import *x,
                       struct store_fetcher *fetcher, struct err *e)
{
	const struct manifest *m = &x->manifest;
	struct config_rec *c = &r->head.config;
	AUTO(buf) struct buf bytes = {0};
	AUTO(buf) struct buf table = {0};
	uint64_t sizes[BLOBS_MAX];
	int ret = import_read_config(x, &r->arena, c, e);

	if (ret < 0)
		return ret;
	if (c->seal != CONFIG_PUBLIC)
		return err_say(e, -ENOTSUP,
		               "a sealed snapshot can be read only when all of it is here");
	r->head.manifest = *m;
	fill_meta(&r->meta, &r->head, NULL, &x->self, &r->arena);
	for (size_t i = 0; i < m->n_pages; i++)
		sizes[i] = m->pages[i].bytes;
	ret = import_read_blob(x, &m->state, &bytes, e);
	if (!ret)
		ret = unpack_blob(NULL, SEAL_STATE, buf_span(&bytes), c->state_bytes, &r->state, e);
	bytes.len = 0;
	if (!ret)
		ret = import_read_blob(x, &m->table, &bytes, e);
	if (!ret)
		ret = unpack_blob(NULL, SEAL_TABLE, buf_span(&bytes), c->table_bytes, &table, e);
	if (!ret)
		ret = table_parse(buf_span(&table), c->seal, sizes, m->n_pages, &r->arena,
		                  &r->table, &r->offsets, e);
	if (!ret && r->table.pages != c->pages)
		ret = err_say(e, -EBADMSG, "frame table: it is that of another snapshot");
	return ret < 0 ? ret : lazy_open(x, &r->table, r->offsets, fetcher, &r->lazy, e);
}

int store_import_reader(struct store_import *x, struct store_fetcher *fetcher,
                        struct store_reader **out, struct err *e)
{
	struct store_reader *r = reader_create(x->store);
	int ret = open_import(r, x, fetcher, e);

	if (ret < 0) {
		store_reader_close(r);
		return ret;
	}
	r->source.n_pages = r->table.pages;
	*out = r;
	return 0;
}

int store_reader_fetch(struct store_reader *r, uint64_t first, uint64_t n, struct err *e)
{
	return r->lazy && n ? lazy_fetch(r->lazy, first / FRAME_PAGES,
	                                 (first + n - 1) / FRAME_PAGES + 1, e)
	                    : 0;
}

void store_reader_offer(struct store_reader *r, const char *digest, struct span bytes)
{
	if (r->lazy)
		lazy_offer(r->lazy, digest, bytes);
}

int store_reader_fill(struct store_reader *r, bool (*stop)(void *arg), void *arg, struct err *e)
{
	return r->lazy ? lazy_fill(r->lazy, stop, arg, e) : 0;
}

struct span store_reader_state(const struct store_reader *r)
{
	return buf_span(&r->state);
}

struct page_source *store_reader_source(struct store_reader *r)
{
	return &r->source;
}

const struct store_meta *store_reader_meta(const struct store_reader *r)
{
	return &r->meta;
}

void store_reader_close(struct store_reader *r)
{
	if (!r)
		return;
	while (r->openers) {
		struct opener *o = r->openers;

		r->openers = o->next;
		opener_destroy(o);
	}
	for (size_t i = 0; i < CACHE_FRAMES; i++)
		free(r->cache[i].pages);
	for (size_t i = 0; i < BLOBS_MAX; i++)
		os_close(&r->blob_fds[i]);
	lazy_close(r->lazy);
	secret_forget(r->key, sizeof(r->key));
	pthread_mutex_destroy(&r->lock);
	buf_finish(&r->state);
	arena_finish(&r->arena);
	free(r);
}
