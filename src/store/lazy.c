/* SPDX-License-Identifier: MIT */
/*
 * Page blobs of which frames may be missing, and are fetched when they are read.
 *
 * A blob that is not here lies in partial/ as HEX.frames, a sparse file of the blob's size, with
 * HEX.map beside it: a byte a frame of the whole table, 1 for those that are in the file. The map
 * is a hint. It is written after the frame and neither is synced, so after a power cut it may
 * promise what is not there; therefore a frame is compared with its digest whenever it is read,
 * and one that does not have it is fetched again. Thus the cache survives a restart without
 * costing a wait for the disk.
 *
 * A request asks for a run of missing frames of up to REQUEST_BYTES, or REQUEST_FILL_BYTES, beginning
 * with the one that is wanted: the frames of a blob stand in the order in which they are expected to
 * be wanted. While it is under way its frames are marked, and others that want one of them wait for
 * it instead of fetching it twice. What did not arrive whole is missing again, and whoever waited
 * for it tries for himself.
 */
#include "store/parts.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define REQUEST_BYTES (1u << 20)
/* When nobody waits for any of them in particular; each request costs a way there and back. */
#define REQUEST_FILL_BYTES (4u << 20)
#define NO_LIMIT UINT64_MAX

enum frame_place { FRAME_MISSING = 0, FRAME_HERE = 1, FRAME_COMING = 2 };

struct lazy_blob {
	char digest[72];
	uint64_t bytes;
	int fd;     /* the blob, or HEX.frames */
	int map_fd; /* -1: all of it is here */
};

struct lazy {
	struct store_import *import;
	struct store_fetcher *fetcher;
	const struct table_rec *table;
	const uint64_t *offsets;
	struct lazy_blob blobs[BLOBS_MAX];
	size_t n_blobs;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t arrived;
	uint8_t *place; /* enum frame_place, of each frame */
};

static const struct frame_rec *frame_at(const struct lazy *l, uint64_t frame)
{
	return LIST_AT(&l->table->frames, struct frame_rec, frame);
}

static bool has_digest(const struct frame_rec *f, const uint8_t *data)
{
	uint8_t digest[DIGEST_BYTES];

	return !digest_of(SPAN(data, f->bytes), digest, NULL) &&
	       !memcmp(digest, f->digest, DIGEST_BYTES);
}

/* ---- fetching -------------------------------------------------------------------------- */

/* Marks missing frames from @frame on, before @limit, as one request. The lock is held. */
static uint64_t mark_run(struct lazy *l, uint64_t frame, uint64_t limit, uint64_t max_bytes,
                         uint64_t *last)
{
	uint8_t blob = frame_at(l, frame)->blob;
	uint64_t bytes = 0, i;

	for (i = frame; i < MIN(limit, l->table->frames.count); i++) {
		const struct frame_rec *f = frame_at(l, i);

		if (!f->present || f->blob != blob)
			continue; /* takes no room in this blob */
		if (l->place[i] != FRAME_MISSING || (bytes && bytes + f->bytes > max_bytes))
			break;
		l->place[i] = FRAME_COMING;
		bytes += f->bytes;
	}
	*last = i;
	return bytes;
}

static bool in_run(const struct lazy *l, uint64_t first, uint64_t frame)
{
	return frame_at(l, frame)->present && frame_at(l, frame)->blob == frame_at(l, first)->blob;
}

/*
 * Compares and keeps what has arrived, up to the first frame that is wrong: that one fails when it
 * is the one that was wanted. @kept: the end of what is here now
 */
static int keep_run(struct lazy *l, uint64_t first, uint64_t last, const uint8_t *data,
                    uint64_t *kept, struct err *e)
{
	struct lazy_blob *b = &l->blobs[frame_at(l, first)->blob];
	static const uint8_t here = FRAME_HERE;

	for (uint64_t i = first; i < last; *kept = ++i) {
		const struct frame_rec *f = frame_at(l, i);
		int r;

		if (!in_run(l, first, i))
			continue;
		if (!has_digest(f, data))
			return err_say(e, -EBADMSG, "frame %llu arrived without its digest",
			               (unsigned long long)i);
		r = os_pwrite_all(b->fd, data, f->bytes, l->offsets[i]);
		if (!r)
			r = os_pwrite_all(b->map_fd, &here, 1, i);
		if (r < 0)
			return err_set(e, r, "store: keeping a frame");
		data += f->bytes;
	}
	return 0;
}

/* The frames are marked, the lock is not held. @end: those before it are here, and right */
static int fetch_run(struct lazy *l, uint64_t first, uint64_t last, uint64_t bytes, uint64_t *end,
                     struct err *e)
{
	const struct lazy_blob *b = &l->blobs[frame_at(l, first)->blob];
	AUTO(buf) struct buf data = {0};
	uint64_t kept = first;
	int r;

	buf_reserve(&data, (size_t)bytes);
	r = l->fetcher->fetch(l->fetcher, b->digest, l->offsets[first], data.data, (size_t)bytes,
	                      e);
	if (!r)
		r = keep_run(l, first, last, data.data, &kept, e);
	pthread_mutex_lock(&l->lock);
	for (uint64_t i = first; i < last; i++)
		if (in_run(l, first, i))
			l->place[i] = i < kept ? FRAME_HERE : FRAME_MISSING;
	pthread_cond_broadcast(&l->arrived);
	pthread_mutex_unlock(&l->lock);
	*end = kept;
	return kept > first ? 0 : r;
}

/* Returns when the frame is here; others before @limit may come with it. @end: as of fetch_run() */
static int ensure(struct lazy *l, uint64_t frame, uint64_t limit, uint64_t max_bytes, uint64_t *end,
                  struct err *e)
{
	int r = 0;

	*end = frame;

	pthread_mutex_lock(&l->lock);
	while (!r && l->place[frame] != FRAME_HERE) {
		uint64_t last, bytes;

		if (l->place[frame] == FRAME_COMING) {
			pthread_cond_wait(&l->arrived, &l->lock);
			continue;
		}
		bytes = mark_run(l, frame, limit, max_bytes, &last);
		pthread_mutex_unlock(&l->lock);
		r = fetch_run(l, frame, last, bytes, end, e);
		pthread_mutex_lock(&l->lock);
	}
	pthread_mutex_unlock(&l->lock);
	return r;
}

int lazy_read(struct lazy *l, uint64_t frame, uint8_t *out, struct err *e)
{
	const struct frame_rec *f = frame_at(l, frame);

	for (int tries = 0;; tries++) {
		uint64_t end;
		int r = ensure(l, frame, NO_LIMIT, REQUEST_BYTES, &end, e);

		if (!r)
			r = read_at(l->blobs[f->blob].fd, out, f->bytes, l->offsets[frame], e,
			            "a page blob");
		if (r < 0 || has_digest(f, out))
			return r;
		if (tries || l->blobs[f->blob].map_fd < 0)
			return err_say(e, -EBADMSG, "it does not have its digest");
		pthread_mutex_lock(&l->lock);
		if (l->place[frame] == FRAME_HERE)
			l->place[frame] = FRAME_MISSING;
		pthread_mutex_unlock(&l->lock);
	}
}

int lazy_fetch(struct lazy *l, uint64_t first, uint64_t last, struct err *e)
{
	uint64_t end;
	int r = 0;

	for (uint64_t i = first; !r && i < MIN(last, l->table->frames.count); i++)
		if (frame_at(l, i)->present)
			r = ensure(l, i, last, REQUEST_BYTES, &end, e);
	return r;
}

void lazy_offer(struct lazy *l, const char *digest, struct span bytes)
{
	static const uint8_t here = FRAME_HERE;

	for (uint64_t i = 0; i < l->table->frames.count; i++) {
		const struct frame_rec *f = frame_at(l, i);
		struct lazy_blob *b = &l->blobs[f->blob];
		uint64_t at = l->offsets[i];

		if (!f->present || strcmp(b->digest, digest) != 0 || l->place[i] != FRAME_MISSING)
			continue;
		if (at > bytes.len || f->bytes > bytes.len - at)
			break;
		/* What is wrong, or cannot be kept, is fetched like any other. */
		if (has_digest(f, bytes.data + at) &&
		    !os_pwrite_all(b->fd, bytes.data + at, f->bytes, at) &&
		    !os_pwrite_all(b->map_fd, &here, 1, i))
			l->place[i] = FRAME_HERE;
	}
}

/* ---- filling --------------------------------------------------------------------------- */

/* A whole blob becomes a part of the import like any other. */
static int settle_blob(struct lazy *l, struct lazy_blob *b, struct err *e)
{
	struct blob blob = {.bytes = b->bytes};
	AUTO(text) char *frames = xprintf("%s.frames", b->digest + DIGEST_HEX_AT);
	AUTO(text) char *map = xprintf("%s.map", b->digest + DIGEST_HEX_AT);
	int r = digest_parse(blob.digest, b->digest);

	assert(!r);
	r = blob_verify(b->fd, &blob, e);
	if (r < 0)
		return r;
	if (renameat(l->import->partial_fd, frames, l->import->partial_fd,
	             b->digest + DIGEST_HEX_AT) < 0)
		return err_set(e, -errno, "store: putting a page blob in its place");
	unlinkat(l->import->partial_fd, map, 0);
	LIST_EACH(&l->import->parcel.blobs, struct store_parcel_blob, it) {
		if (strcmp(it->digest, b->digest))
			continue;
		os_close(&it->fd);
		it->fd = fcntl(b->fd, F_DUPFD_CLOEXEC, 0);
		if (it->fd < 0)
			return err_set(e, -errno, "store: a page blob");
	}
	os_close(&b->map_fd);
	return 0;
}

int lazy_fill(struct lazy *l, bool (*stop)(void *arg), void *arg, struct err *e)
{
	uint8_t *room = xalloc(FRAME_BYTES);
	uint64_t right = 0;
	int r = 0;

	for (uint64_t i = 0; !r && i < l->table->frames.count; i++) {
		const struct frame_rec *f = frame_at(l, i);

		if (!f->present || l->blobs[f->blob].map_fd < 0 || i < right)
			continue;
		if (stop && stop(arg))
			r = err_say(e, -ECANCELED, "fetching the rest was cancelled");
		else
			r = ensure(l, i, NO_LIMIT, REQUEST_FILL_BYTES, &right, e);
		/* What was here already is a promise of the map. */
		if (!r && i >= right)
			r = lazy_read(l, i, room, e);
	}
	free(room);
	for (size_t i = 0; !r && i < l->n_blobs; i++)
		if (l->blobs[i].map_fd >= 0)
			r = settle_blob(l, &l->blobs[i], e);
	return r;
}

/* ---- open and close -------------------------------------------------------------------- */

/* Frames that the map of an earlier reader promises. */
static void read_map(struct lazy *l, struct lazy_blob *b, uint8_t index)
{
	AUTO(buf) struct buf map = {0};

	(void)!os_read_all(b->map_fd, &map);
	for (uint64_t i = 0; i < MIN(map.len, l->table->frames.count); i++)
		if (frame_at(l, i)->present && frame_at(l, i)->blob == index && map.data[i] == 1)
			l->place[i] = FRAME_HERE;
}

static void mark_here(struct lazy *l, uint8_t index)
{
	for (uint64_t i = 0; i < l->table->frames.count; i++)
		if (frame_at(l, i)->present && frame_at(l, i)->blob == index)
			l->place[i] = FRAME_HERE;
}

/* A blob that has arrived whole, in the ordinary way. */
static bool has_arrived(int fd, const struct blob *blob)
{
	struct stat st;

	return !fstat(fd, &st) && (uint64_t)st.st_size == blob->bytes &&
	       blob_verify(fd, blob, NULL) == 0;
}

static int open_sparse(struct lazy *l, struct lazy_blob *b, uint8_t index, struct err *e)
{
	AUTO(text) char *frames = xprintf("%s.frames", b->digest + DIGEST_HEX_AT);
	AUTO(text) char *map = xprintf("%s.map", b->digest + DIGEST_HEX_AT);
	const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;

	b->fd = openat(l->import->partial_fd, frames, flags, 0600);
	b->map_fd = openat(l->import->partial_fd, map, flags, 0600);
	if (b->fd < 0 || b->map_fd < 0 || ftruncate(b->fd, (off_t)b->bytes) < 0)
		return err_set(e, -errno, "store: partial/%s", frames);
	/* The import's lock on the blob keeps other imports away; these are for gc. */
	if (flock(b->fd, LOCK_SH | LOCK_NB) < 0 || flock(b->map_fd, LOCK_SH | LOCK_NB) < 0)
		return err_set(e, -errno, "store: locking partial/%s", frames);
	read_map(l, b, index);
	return 0;
}

static int open_blob(struct lazy *l, uint8_t index, struct err *e)
{
	const struct blob *blob = &l->import->manifest.pages[index];
	struct lazy_blob *b = &l->blobs[index];

	*b = (struct lazy_blob){.bytes = blob->bytes, .fd = -1, .map_fd = -1};
	digest_text(b->digest, blob->digest);
	LIST_EACH(&l->import->parcel.blobs, const struct store_parcel_blob, it) {
		if (strcmp(it->digest, b->digest) || it->fd < 0)
			continue;
		if (!has_arrived(it->fd, blob))
			return open_sparse(l, b, index, e);
		mark_here(l, index);
		b->fd = fcntl(it->fd, F_DUPFD_CLOEXEC, 0);
		return b->fd < 0 ? err_set(e, -errno, "store: a page blob") : 0;
	}
	mark_here(l, index);
	return blob_open(l->import->store, blob, &b->fd, e);
}

int lazy_open(struct store_import *x, const struct table_rec *table, const uint64_t *offsets,
              struct store_fetcher *fetcher, struct lazy **out, struct err *e)
{
	struct lazy *l = xalloc(sizeof(*l));
	int r = 0;

	l->import = x;
	l->fetcher = fetcher;
	l->table = table;
	l->offsets = offsets;
	l->place = xalloc(table->frames.count + 1);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->arrived, NULL);
	for (size_t i = 0; !r && i < x->manifest.n_pages; i++) {
		r = open_blob(l, (uint8_t)i, e);
		l->n_blobs++;
	}
	if (r < 0) {
		lazy_close(l);
		return r;
	}
	*out = l;
	return 0;
}

void lazy_close(struct lazy *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n_blobs; i++) {
		os_close(&l->blobs[i].fd);
		os_close(&l->blobs[i].map_fd);
	}
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->arrived);
	free(l->place);
	free(l);
}
