/* SPDX-License-Identifier: MIT */
/*
 * Pages to frames to page blobs.
 *
 * Theory of operation
 *
 * The snapshot's pages are cut into frames of FRAME_PAGES. The caller fills frames, one at a
 * time, in slots of a small ring: by a copy (write), or by telling where the pages are (fetch). A
 * filled slot is queued; a worker takes it, reads what was only told, makes of it what is stored
 * (frame.c), seals, and appends the frame to *its own* page blob. So the three costs that cannot
 * be split within a blob, SHA-256 of the whole, file order and the wait for the disk, are paid by
 * all workers at the same time, and no lock is held for any. The first of them is left to
 * settle.c where the writer allows it.
 *
 *	caller --> free slot --> filled --> [queue] --> worker n: read, zero? zstd, seal --> stage n
 *	                                                stage n full: SHA-256, write(2), push
 *
 * Memory of a process is best fetched: the worker that reads a frame has it in the cache of its
 * CPU for all that follows, and reads it into the same memory each time.
 *
 * A worker gets frames in ascending order, so the frames of a blob ascend too: their lengths
 * tell where each begins. Workers are started as the queue shows that they are needed; a
 * snapshot of a few pages has one blob.
 *
 * A public snapshot has one blob whatever the number of workers: equal pages give equal bytes, and
 * who fetches it finds the frames in their order. So there a worker that has compressed a frame
 * waits until the one before it is appended, to the stage of the first worker.
 *
 * Writing is pushed to the disk as it goes, so that the fdatasync of a commit, which is what
 * makes a blob durable, finds little left to do.
 */
#include "store/parts.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <zstd.h>

#define WORKERS_MAX 16u
#define SLOTS_PER_WORKER 8u
#define STAGE_BYTES (256u << 10) /* with a frame and its cipher text it stays in the L2 cache */
#define STAGE_ROOM_BYTES ((size_t)STAGE_BYTES + FRAME_BYTES + SEAL_TAG_BYTES)
#define PUSH_BYTES (4u << 20)
#define LOAD_BYTES (8u << 20) /* after so much a faster cipher is worth being loaded */
#define SLOT_BYTES (PAGE_BYTES + FRAME_BYTES) /* the lengths of a trimmed frame stand before it */
#define PAGES_IN_SLOT PAGE_BYTES

static_assert(WORKERS_MAX <= BLOBS_MAX, "each worker has a blob of its own");
static_assert(FRAME_PAGES <= STRETCHES_MAX, "a frame is read in one call");

/* Pages of a slot that are not there yet. */
struct fetch {
	const struct page_reader *from;
	struct stretch what;
	size_t first; /* in the slot */
};

struct slot {
	uint8_t *pages;
	uint64_t frame;
	uint32_t n_pages;
	struct fetch fetches[FRAME_PAGES];
	size_t n_fetches;
	struct slot *next;
};

/* A frame that a worker is done with. */
struct done {
	uint64_t frame;
	struct frame_rec rec;
};

struct worker {
	struct packer *packer;
	pthread_t thread;
	struct sealer sealer;
	struct hasher hasher;
	ZSTD_CCtx *zstd;
	uint8_t *own;      /* SLOT_BYTES: for a slot of which nothing is there yet */
	uint8_t *squeezed; /* FRAME_BYTES: what zstd makes of a frame */
	/* What it appends to; of a public snapshot only the first worker has that. */
	uint8_t *stage; /* STAGE_ROOM_BYTES: one more sealed frame than is written at once */
	size_t staged;
	uint64_t written;
	uint64_t pushed;
	bool asked_to_load;
	struct arena arena;
	struct list done; /* struct done */
	struct packed_blob blob;
	int fd;
};

struct packer {
	struct page_sink sink; /* first, so that the sink is the packer */
	int dir_fd;
	uint8_t key[STORE_KEY_BYTES];
	uint8_t id[ID_BYTES];
	enum store_compression compression;
	bool is_public, may_load;
	uint64_t unsettled_bytes; /* of store_options */

	/* The caller's: */
	struct slot *filling; /* not full yet, or NULL */
	uint64_t next_frame;
	struct worker workers[WORKERS_MAX];
	unsigned n_workers;
	unsigned max_workers;
	struct slot slots[WORKERS_MAX * SLOTS_PER_WORKER];
	unsigned n_slots;
	uint8_t *memory; /* of all slots */
	bool joined;

	/* Under the lock: */
	pthread_mutex_t lock;
	pthread_cond_t queue_moved; /* something was queued, or the stream ended */
	pthread_cond_t slot_freed;
	struct slot *free_slots;
	unsigned n_free;
	struct slot *queue, **queue_tail;
	unsigned queued;
	uint64_t next_append;       /* of a public snapshot: the frame whose turn it is */
	pthread_cond_t turn_passed; /* that has changed */
	unsigned idle;              /* workers that wait for the queue */
	bool ended;
	struct err first; /* code 0: no failure so far */
};

/* ---- a worker -------------------------------------------------------------------------- */

/* Read to @pages what is not there yet: what follows each other in one call. */
static int fetch_pages(const struct slot *slot, uint8_t *pages, struct err *e)
{
	struct stretch what[FRAME_PAGES];
	const struct fetch *f = slot->fetches, *end = f + slot->n_fetches;

	while (f < end) {
		const struct fetch *first = f;
		size_t next = f->first, n = 0;
		int r;

		for (; f < end && f->from == first->from && f->first == next; f++) {
			what[n++] = f->what;
			next += f->what.pages;
		}
		r = first->from->read(first->from, what, n, pages + first->first * PAGE_BYTES, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool nothing_is_there(const struct slot *slot)
{
	size_t pages = 0;

	for (size_t i = 0; i < slot->n_fetches; i++)
		pages += slot->fetches[i].what.pages;
	return pages == slot->n_pages;
}

/*
 * But for the last of a blob, whole pages are written at page boundaries: the kernel copies those
 * faster, and touches none twice.
 */
static int worker_flush(struct worker *w, bool last, struct err *e)
{
	size_t n = last ? w->staged : w->staged / PAGE_BYTES * PAGE_BYTES;
	int r;

	if (!n)
		return 0;
	FAULT_STEP("store-page-write", e);
	r = w->packer->unsettled_bytes ? 0 : hasher_add(&w->hasher, w->stage, n, e);
	if (!r)
		r = write_all(w->fd, w->stage, n, e, "pages");
	if (r < 0)
		return r;
	w->written += n;
	w->staged -= n;
	memmove(w->stage, w->stage + n, w->staged);
	if (w->written - w->pushed >= PUSH_BYTES) {
		push_file(w->fd, w->pushed);
		w->pushed = w->written;
	}
	return 0;
}

/* Puts a frame on the stage: sealed, or as it is with its digest in its record. */
static int protect_frame(struct worker *w, uint64_t frame, const uint8_t *data, size_t len,
                         struct frame_rec *rec, struct err *e)
{
	uint8_t *to = w->stage + w->staged;

	if (w->packer->is_public) {
		memcpy(to, data, len);
		rec->bytes = (uint32_t)len;
		return digest_of(SPAN(data, len), rec->digest, e);
	}
	rec->bytes = (uint32_t)(len + SEAL_TAG_BYTES);
	if (w->packer->may_load && !w->asked_to_load && w->written > LOAD_BYTES) {
		w->asked_to_load = true;
		sealer_quicken(&w->sealer, w->packer->key);
	}
	return sealer_seal(&w->sealer, SEAL_PAGES, frame, data, len, to, e);
}

/* Whose stage is appended to, when it is this frame's turn. Return: NULL if others have failed. */
static struct worker *take_turn(struct worker *w, uint64_t frame)
{
	struct packer *p = w->packer;
	bool failed;

	if (!p->is_public)
		return w;
	pthread_mutex_lock(&p->lock);
	while (p->next_append != frame && !p->first.code)
		pthread_cond_wait(&p->turn_passed, &p->lock);
	failed = p->first.code;
	pthread_mutex_unlock(&p->lock);
	return failed ? NULL : &p->workers[0];
}

static void pass_turn(struct worker *w)
{
	struct packer *p = w->packer;

	if (!p->is_public)
		return;
	pthread_mutex_lock(&p->lock);
	p->next_append++;
	pthread_cond_broadcast(&p->turn_passed);
	pthread_mutex_unlock(&p->lock);
}

static int append_frame(struct worker *w, uint64_t frame, const uint8_t *data, size_t len,
                        struct frame_rec *rec, struct err *e)
{
	int r = protect_frame(w, frame, data, len, rec, e);

	if (r < 0)
		return r;
	w->staged += rec->bytes;
	return w->staged >= STAGE_BYTES ? worker_flush(w, false, e) : 0;
}

static int pack_frame(struct worker *w, struct slot *slot, struct err *e)
{
	struct worker *to;
	uint8_t *pages = nothing_is_there(slot) ? w->own + PAGES_IN_SLOT : slot->pages;
	struct frame_rec rec = {0};
	struct done *done;
	struct span data;
	int r = fetch_pages(slot, pages, e);

	if (r < 0)
		return r;
	data = frame_content(w->zstd, w->packer->compression, pages, slot->n_pages, w->squeezed,
	                     &rec);
	to = take_turn(w, slot->frame);
	if (!to)
		return 0;
	if (data.len)
		r = append_frame(to, slot->frame, data.data, data.len, &rec, e);
	if (r < 0)
		return r;
	pass_turn(w);
	done = LIST_ADD(&w->done, &w->arena, struct done);
	*done = (struct done){.frame = slot->frame, .rec = rec};
	return 0;
}

static int worker_end(struct worker *w, struct err *e)
{
	struct packer *p = w->packer;
	struct blob *blob = &w->blob.blob;
	int r = worker_flush(w, true, e);

	if (r < 0)
		return r;
	/* Only now it is known whether the blob is worth leaving unsettled. */
	if (!p->unsettled_bytes)
		r = hasher_end(&w->hasher, blob->digest, e);
	else if (w->written < p->unsettled_bytes)
		r = hash_file(w->fd, w->written, false, blob->digest, e);
	else
		blob_unsettled(blob, p->id, (unsigned)(w - p->workers));
	if (r < 0)
		return r;
	blob->bytes = w->written;
	w->blob.fd = w->fd;
	push_file(w->fd, w->pushed);
	return 0;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct packer *p = w->packer;
	struct err e = {0};
	bool end;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct slot *slot = p->queue;
		bool failed = p->first.code;

		if (!slot && p->ended)
			break;
		if (!slot) {
			p->idle++;
			pthread_cond_wait(&p->queue_moved, &p->lock);
			p->idle--;
			continue;
		}
		p->queue = slot->next;
		if (!p->queue)
			p->queue_tail = &p->queue;
		p->queued--;
		pthread_mutex_unlock(&p->lock);
		/* After a failure frames are still taken, so that the caller is not stuck. */
		if (!failed)
			failed = pack_frame(w, slot, &e) < 0;
		pthread_mutex_lock(&p->lock);
		if (failed && !p->first.code) {
			p->first = e;
			pthread_cond_broadcast(&p->turn_passed);
		}
		slot->next = p->free_slots;
		p->free_slots = slot;
		/* The caller is not woken for each slot, which would cost more than filling it. */
		if (++p->n_free >= p->n_slots / 2 || p->first.code)
			pthread_cond_signal(&p->slot_freed);
	}
	/* The one blob of a public snapshot ends when all have appended to it. */
	while (p->is_public && p->next_append < p->next_frame && !p->first.code)
		pthread_cond_wait(&p->turn_passed, &p->lock);
	end = !p->first.code && w->stage;
	pthread_mutex_unlock(&p->lock);
	if (end && worker_end(w, &e) < 0) {
		pthread_mutex_lock(&p->lock);
		if (!p->first.code)
			p->first = e;
		pthread_mutex_unlock(&p->lock);
	}
	return NULL;
}

static void worker_finish(struct worker *w)
{
	sealer_finish(&w->sealer);
	hasher_finish(&w->hasher);
	ZSTD_freeCCtx(w->zstd);
	free(w->squeezed);
	free(w->own);
	if (w->stage)
		munmap(w->stage, STAGE_ROOM_BYTES);
	arena_finish(&w->arena);
	os_close(&w->fd);
}

static int worker_init(struct worker *w, struct packer *p, struct err *e)
{
	int r;

	*w = (struct worker){.packer = p, .fd = -1};
	snprintf(w->blob.name, sizeof(w->blob.name), "pages%u", p->n_workers);
	r = sealer_init(&w->sealer, p->key, p->id, e);
	if (!r)
		r = hasher_init(&w->hasher, e);
	if (r < 0)
		return r;
	w->zstd = ZSTD_createCCtx();
	if (!w->zstd)
		return err_say(e, -ENOMEM, "store: no memory for zstd");
	w->squeezed = xalloc(FRAME_BYTES);
	w->own = xalloc(SLOT_BYTES);
	if (p->is_public && p->n_workers)
		return 0;
	w->stage = mmap(NULL, STAGE_ROOM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	                -1, 0);
	if (w->stage == MAP_FAILED) {
		w->stage = NULL;
		return err_set(e, -ENOMEM, "store: %zu bytes for sealed frames", STAGE_ROOM_BYTES);
	}
	w->fd = openat(p->dir_fd, w->blob.name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (w->fd < 0)
		return err_set(e, -errno, "store: making a page blob");
	return 0;
}

static int worker_start(struct packer *p, struct err *e)
{
	struct worker *w = &p->workers[p->n_workers];
	sigset_t all, before;
	int r = worker_init(w, p, e);

	if (!r) {
		/* Signals are the caller's business. */
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before);
		r = -pthread_create(&w->thread, NULL, worker_main, w);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		if (r < 0)
			r = err_set(e, r, "store: starting a thread");
	}
	if (r < 0) {
		worker_finish(w);
		return r;
	}
	p->n_workers++;
	return 0;
}

/* ---- the caller's side ----------------------------------------------------------------- */

static struct packer *packer_of(struct page_sink *sink)
{
	return (struct packer *)sink;
}

static int take_free_slot(struct packer *p, struct err *e)
{
	int r = 0;

	if (p->next_frame == PAGES_MAX / FRAME_PAGES)
		return err_say(e, -EFBIG, "store: a snapshot of more than %llu pages",
		               (unsigned long long)PAGES_MAX);
	pthread_mutex_lock(&p->lock);
	while (!p->free_slots && !p->first.code)
		pthread_cond_wait(&p->slot_freed, &p->lock);
	if (p->first.code) {
		r = p->first.code;
		if (e)
			*e = p->first;
	} else {
		p->filling = p->free_slots;
		p->free_slots = p->filling->next;
		p->n_free--;
	}
	pthread_mutex_unlock(&p->lock);
	if (!r) {
		p->filling->frame = p->next_frame++;
		p->filling->n_pages = 0;
		p->filling->n_fetches = 0;
		p->filling->next = NULL;
	}
	return r;
}

static int queue_filled_slot(struct packer *p, struct err *e)
{
	struct slot *slot = p->filling;
	bool more;
	int r;

	p->filling = NULL;
	pthread_mutex_lock(&p->lock);
	*p->queue_tail = slot;
	p->queue_tail = &slot->next;
	more = ++p->queued > p->idle && p->n_workers < p->max_workers;
	pthread_cond_signal(&p->queue_moved);
	pthread_mutex_unlock(&p->lock);
	if (!more)
		return 0;
	r = worker_start(p, e);
	if (r < 0 && p->n_workers) {
		p->max_workers = p->n_workers; /* the others will do, only slower */
		return 0;
	}
	return r;
}

/* How many of @pages more have room in the slot that is being filled. Return: 0, negative errno. */
static int find_room(struct packer *p, uint64_t *pages, struct err *e)
{
	int r = p->filling ? 0 : take_free_slot(p, e);

	if (!r)
		*pages = MIN(*pages, FRAME_PAGES - p->filling->n_pages);
	return r;
}

static int add_pages(struct packer *p, uint64_t pages, struct err *e)
{
	p->filling->n_pages += (uint32_t)pages;
	return p->filling->n_pages == FRAME_PAGES ? queue_filled_slot(p, e) : 0;
}

static int packer_write(struct page_sink *sink, const uint8_t *data, size_t pages, struct err *e)
{
	struct packer *p = packer_of(sink);
	int r = 0;

	while (!r && pages) {
		uint64_t n = pages;

		r = find_room(p, &n, e);
		if (r < 0)
			return r;
		memcpy(p->filling->pages + p->filling->n_pages * (size_t)PAGE_BYTES, data,
		       n * PAGE_BYTES);
		r = add_pages(p, n, e);
		data += n * PAGE_BYTES;
		pages -= n;
	}
	return r;
}

static int packer_fetch(struct page_sink *sink, const struct page_reader *from, struct stretch what,
                        struct err *e)
{
	struct packer *p = packer_of(sink);
	int r = 0;

	while (!r && what.pages) {
		uint64_t n = what.pages;
		struct slot *slot;

		r = find_room(p, &n, e);
		if (r < 0)
			return r;
		slot = p->filling;
		slot->fetches[slot->n_fetches++] =
			(struct fetch){.from = from, .what = {what.at, n}, .first = slot->n_pages};
		r = add_pages(p, n, e);
		what.at += n * PAGE_BYTES;
		what.pages -= n;
	}
	return r;
}

static int packer_drain(struct page_sink *sink, struct err *e)
{
	struct packer *p = packer_of(sink);
	unsigned ours = p->filling ? 1 : 0;
	int r = 0;

	/* What is not full is read here, so that more can follow it. */
	if (ours) {
		r = fetch_pages(p->filling, p->filling->pages, e);
		p->filling->n_fetches = 0;
	}
	pthread_mutex_lock(&p->lock);
	while (p->n_free + ours < p->n_slots)
		pthread_cond_wait(&p->slot_freed, &p->lock);
	if (!r && p->first.code) {
		r = p->first.code;
		if (e)
			*e = p->first;
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}

static unsigned usable_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : (unsigned)CPU_COUNT(&set);
}

int packer_create(int dir_fd, const uint8_t key[STORE_KEY_BYTES], const uint8_t id[ID_BYTES],
                  const struct store_options *options, struct packer **out, struct err *e)
{
	struct packer *p = xalloc(sizeof(*p));
	size_t bytes;

	p->sink = (struct page_sink){
		.write = packer_write, .fetch = packer_fetch, .drain = packer_drain};
	p->dir_fd = dir_fd;
	p->compression = options->compression;
	p->is_public = options->is_public;
	p->unsettled_bytes = options->unsettled_bytes;
	p->may_load = options->may_load;
	p->max_workers = options->workers ? options->workers : usable_cpus();
	p->max_workers = MAX(1, MIN(p->max_workers, WORKERS_MAX));
	p->n_slots = p->max_workers * SLOTS_PER_WORKER;
	bytes = (size_t)p->n_slots * SLOT_BYTES;
	p->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p->memory == MAP_FAILED) {
		free(p);
		return err_set(e, -ENOMEM, "store: %zu bytes for frames", bytes);
	}
	memcpy(p->key, key, sizeof(p->key));
	memcpy(p->id, id, sizeof(p->id));
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->queue_moved, NULL);
	pthread_cond_init(&p->slot_freed, NULL);
	pthread_cond_init(&p->turn_passed, NULL);
	p->queue_tail = &p->queue;
	for (unsigned i = 0; i < p->n_slots; i++) {
		p->slots[i].pages = p->memory + (size_t)i * SLOT_BYTES + PAGES_IN_SLOT;
		p->slots[i].next = p->free_slots;
		p->free_slots = &p->slots[i];
		p->n_free++;
	}
	*out = p;
	return 0;
}

struct page_sink *packer_sink(struct packer *p)
{
	return &p->sink;
}

static void packer_join(struct packer *p)
{
	if (p->joined)
		return;
	p->joined = true;
	pthread_mutex_lock(&p->lock);
	p->ended = true;
	pthread_cond_broadcast(&p->queue_moved);
	pthread_cond_broadcast(&p->turn_passed); /* if what they wait for will not come */
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->n_workers; i++)
		pthread_join(p->workers[i].thread, NULL);
}

int packer_end(struct packer *p, struct arena *a, struct packed *out, struct err *e)
{
	struct frame_rec *frames = ARENA_ARRAY(a, struct frame_rec, p->next_frame + 1);
	uint32_t last_pages = p->filling ? p->filling->n_pages : FRAME_PAGES;
	int r = 0;

	assert(!p->joined);
	*out = (struct packed){0};
	if (p->filling)
		r = queue_filled_slot(p, e);
	packer_join(p);
	if (r < 0)
		return r;
	if (p->first.code) {
		if (e)
			*e = p->first;
		return p->first.code;
	}
	for (unsigned i = 0; i < p->n_workers; i++) {
		struct worker *w = &p->workers[i];

		LIST_EACH(&w->done, struct done, done) {
			frames[done->frame] = done->rec;
			out->stored_pages += (unsigned)__builtin_popcount(done->rec.present);
			if (done->rec.present && !p->is_public)
				frames[done->frame].blob = (uint8_t)out->n_blobs;
		}
		if (w->written)
			out->blobs[out->n_blobs++] = w->blob;
	}
	out->frames = (struct list){.items = frames, .count = p->next_frame};
	out->pages = p->next_frame * FRAME_PAGES;
	out->pages -= FRAME_PAGES - last_pages;
	return 0;
}

void packer_destroy(struct packer *p)
{
	if (!p)
		return;
	/* Nobody wants the rest: the workers drop it. */
	pthread_mutex_lock(&p->lock);
	if (!p->first.code)
		p->first.code = -ECANCELED;
	pthread_mutex_unlock(&p->lock);
	packer_join(p);
	for (unsigned i = 0; i < p->n_workers; i++)
		worker_finish(&p->workers[i]);
	munmap(p->memory, (size_t)p->n_slots * SLOT_BYTES);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->queue_moved);
	pthread_cond_destroy(&p->slot_freed);
	pthread_cond_destroy(&p->turn_passed);
	secret_forget(p->key, sizeof(p->key));
	free(p);
}

/* ---- whole blobs ----------------------------------------------------------------------- */

int pack_blob(struct sealer *sealer, enum seal_kind kind, struct span in, struct buf *out,
              struct err *e)
{
	AUTO(buf) struct buf squeezed = {0};
	size_t n;

	buf_reserve(&squeezed, ZSTD_compressBound(in.len));
	n = ZSTD_compress(squeezed.data, squeezed.cap, in.data, in.len, 1);
	if (ZSTD_isError(n))
		return err_say(e, -EIO, "store: zstd: %s", ZSTD_getErrorName(n));
	if (!sealer) {
		buf_add(out, squeezed.data, n);
		return 0;
	}
	return sealer_seal(sealer, kind, 0, squeezed.data, n, buf_extend(out, n + SEAL_TAG_BYTES),
	                   e);
}

int unpack_blob(struct sealer *sealer, enum seal_kind kind, struct span in, uint64_t plain_bytes,
                struct buf *out, struct err *e)
{
	AUTO(buf) struct buf squeezed = {0};
	size_t n;

	if (sealer) {
		buf_reserve(&squeezed, in.len + 1);
		if (sealer_open(sealer, kind, 0, in.data, in.len, squeezed.data) < 0)
			return err_say(e, -EBADMSG, "its seal is broken");
		in = SPAN(squeezed.data, in.len - SEAL_TAG_BYTES);
	}
	n = ZSTD_decompress(buf_extend(out, (size_t)plain_bytes), (size_t)plain_bytes, in.data,
	                    in.len);
	if (ZSTD_isError(n) || n != plain_bytes)
		return err_say(e, -EBADMSG, "it does not hold %llu bytes of zstd",
		               (unsigned long long)plain_bytes);
	return 0;
}
