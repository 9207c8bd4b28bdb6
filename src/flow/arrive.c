/* SPDX-License-Identifier: MIT */
/*
 * Machines that start before they have arrived.
 *
 *	registry --ranges--> carrier --> partial/ (frames, for the next time)
 *	                        |------> a flat image of RAM, disks: files that the machine has open
 *	                        |------> the board: which of their pages are there
 *	                     machine <-- line --> carrier: "page n of disk 0", "it is there"
 *
 * The carrier is a process that is forked before anything is asked of the network. It fetches the
 * records, makes the files, hands them over, and then has threads:
 *
 *	listener	reads the line. When nobody is at its other end any more the machine has
 *			ended. The carrier then lets go of the terminal and brings the rest, as a
 *			pull would have done, or stops if somebody removes it. What has been fetched
 *			stays in partial/ whatever happens.
 *	server		brings the page that the machine stands still for.
 *	fillers		bring the rest, frame by frame in the order in which they are stored: first
 *			what a start uses, which the snapshot says, as fast as it comes; then, once the
 *			machine waits for nothing, the others behind.
 *
 * A frame is claimed by one thread, fetched and authenticated (store/lazy.c), opened, written to
 * every place that a page of it has, and then its pages are put on the board. When the last one is
 * there the disks get their names, the snapshot its own, and the image of RAM that of the
 * snapshot: nothing is fetched twice, and the next start is that of any snapshot of the store.
 *
 * A link that breaks is told once and tried again, less and less often; the machine waits. What
 * will not get better by waiting ends the machine when it needs a page, with the sentence.
 */
#include "flow/arrive.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "flow/own-disk.h"
#include "flow/ram-image.h"
#include "flow/vm-snapshot.h"
#include "os/os.h"
#include "store/transfer.h"
#include "vm/arrival.h"

#define FILLERS 3u                        /* for what a start uses */
#define FILLERS_BEHIND 2u                 /* for the rest */
#define FRAMES_AT_ONCE 8u                 /* 1 MiB of pages in a request */
#define FRAMES_WANTED 2u                  /* of a page that is waited for, and its neighbours */
#define QUIET_NS 500000000u               /* nothing was waited for so long: time for the rest */
#define BUSY_NS UINT64_C(3000000000)      /* or so long after the start, whatever is waited for */
#define PATIENCE_NS UINT64_C(60000000000) /* a link may be broken for so long */
#define BACKOFF_MS 500u
#define BACKOFF_MAX_MS 8000u

enum frame_state { FRAME_WAITS = 0, FRAME_CLAIMED, FRAME_PLACED };

/* Pages of one frame, and where they belong. */
struct place {
	uint64_t first, count, page;
	uint32_t target;
};

struct carrier {
	struct arena arena;
	struct store *store;
	struct remote *remote;
	struct store_reader *reader;
	const char *origin;
	struct vm_snapshot snapshot;
	struct list ram_runs; /* struct vm_run */
	uint64_t ram_bytes;

	struct arrival_board board;
	int board_fd;
	int file[ARRIVAL_TARGETS_MAX]; /* to be filled; -1: it is there */
	int open[ARRIVAL_TARGETS_MAX]; /* the same for reading; the machine's */
	unsigned n_targets;
	int line;

	struct list places; /* struct place, ascending by .first; none crosses a frame's end */
	size_t *place_of;   /* index of the first place of each frame, and of the end */
	uint64_t n_frames, n_start;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t moved;
	uint8_t *frame; /* enum frame_state */
	uint64_t next;  /* no frame before it waits */
	uint64_t n_placed;
	uint64_t busy_ns;    /* when something was waited for last */
	uint64_t started_ns; /* when what a start uses was there */
	struct arrival_ask asked;
	bool is_behind; /* the rest is being brought */
	unsigned n_fillers;
	bool is_alone; /* the machine has ended */
	bool is_asked, wants_all, says_trouble, keeps, is_kept;
	struct err failed; /* of keeping it, or of what nobody waited for */
};

/* A line for a terminal that the machine may have in raw mode. */
static void say(const struct carrier *c, const char *what, const char *then)
{
	AUTO(buf) struct buf line = {0};

	text_add_printable(&line, what, strlen(what));
	fprintf(stderr, "wslx: %s: %s; %s%s", c->origin, buf_text(&line), then,
	        isatty(STDERR_FILENO) ? "\r\n" : "\n");
}

/* ---- where pages belong --------------------------------------------------------------------- */

static void add_run(struct carrier *c, uint32_t target, const struct vm_run *run)
{
	for (uint64_t done = 0; done < run->count;) {
		uint64_t first = run->first + done;
		uint64_t n = MIN(run->count - done, STORE_FRAME_PAGES - first % STORE_FRAME_PAGES);

		*LIST_ADD(&c->places, &c->arena, struct place) = (struct place){
			.first = first, .count = n, .page = run->page + done, .target = target};
		done += n;
	}
}

static const struct list *runs_of(const struct carrier *c, uint32_t target)
{
	return target ? &LIST_AT(&c->snapshot.disks, struct disk_rec, target - 1)->runs
	              : &c->ram_runs;
}

static int by_first(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

static int list_places(struct carrier *c, struct err *e)
{
	uint64_t n_pages = store_reader_source(c->reader)->n_pages, frame = 0;

	c->n_frames = (n_pages + STORE_FRAME_PAGES - 1) / STORE_FRAME_PAGES;
	c->n_start = MIN((c->snapshot.start_pages + STORE_FRAME_PAGES - 1) / STORE_FRAME_PAGES,
	                 c->n_frames);
	for (uint32_t target = 0; target < c->n_targets; target++)
		LIST_EACH(runs_of(c, target), const struct vm_run, run) {
			if (run->first > n_pages || run->count > n_pages - run->first)
				return err_say(e, -EBADMSG, "pages of the machine are missing");
			if (c->file[target] >= 0)
				add_run(c, target, run);
		}
	if (c->places.count)
		qsort(c->places.items, c->places.count, sizeof(struct place), by_first);
	c->frame = xalloc((size_t)c->n_frames + 1);
	c->place_of = xalloc(((size_t)c->n_frames + 1) * sizeof(*c->place_of));
	for (size_t i = 0; i < c->places.count; i++) {
		const struct place *p = LIST_AT(&c->places, struct place, i);

		while (frame <= p->first / STORE_FRAME_PAGES)
			c->place_of[frame++] = i;
	}
	while (frame <= c->n_frames)
		c->place_of[frame++] = c->places.count;
	return 0;
}

/* The frame that holds a page; c->n_frames if it is in none. */
static uint64_t frame_of(const struct carrier *c, uint32_t target, uint64_t page)
{
	const struct list *runs = runs_of(c, target);
	size_t low = 0, high = runs->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct vm_run *run = LIST_AT(runs, struct vm_run, mid);

		if (page < run->page)
			high = mid;
		else if (page - run->page >= run->count)
			low = mid + 1;
		else
			return (run->first + (page - run->page)) / STORE_FRAME_PAGES;
	}
	return c->n_frames;
}

/* What is in no run is zero, and there from the beginning; so is all of a disk that is here. */
static void prepare_board(struct carrier *c)
{
	for (uint32_t target = 0; target < c->n_targets; target++) {
		struct arrival_bits *bits = &c->board.bits[target];

		memset(bits->words, 0xff, (size_t)((bits->pages + 63) / 64) * sizeof(uint64_t));
		if (c->file[target] < 0)
			continue;
		LIST_EACH(runs_of(c, target), const struct vm_run, run)
			for (uint64_t page = run->page; page < run->page + run->count; page++)
				bits->words[page / 64] &= ~(UINT64_C(1) << (page % 64));
	}
}

static uint64_t bytes_of(const struct carrier *c, uint32_t target)
{
	return target ? LIST_AT(&c->snapshot.disks, struct disk_rec, target - 1)->bytes
	              : c->ram_bytes;
}

/* Writes the pages of a frame where they belong, and then says so on the board. */
static int place_frame(struct carrier *c, uint64_t frame, uint8_t *room, struct err *e)
{
	struct page_source *pages = store_reader_source(c->reader);
	uint64_t first = frame * STORE_FRAME_PAGES;
	size_t n = (size_t)MIN(STORE_FRAME_PAGES, pages->n_pages - first);
	int r;

	if (c->place_of[frame] == c->place_of[frame + 1])
		return 0;
	r = pages->read(pages, first, n, room, e);
	for (size_t i = c->place_of[frame]; !r && i < c->place_of[frame + 1]; i++) {
		const struct place *p = LIST_AT(&c->places, struct place, i);
		uint64_t at = p->page * PAGE_BYTES;
		uint64_t len = MIN(p->count * PAGE_BYTES, bytes_of(c, p->target) - at);

		r = os_pwrite_all(c->file[p->target], room + (p->first - first) * PAGE_BYTES,
		                  (size_t)len, at);
		if (r)
			return err_set(e, r, "%s of the machine",
			               p->target ? "a disk" : "the image of RAM");
		for (uint64_t k = 0; k < p->count; k++)
			arrival_is_here_now(&c->board.bits[p->target], p->page + k);
	}
	return r;
}

/* ---- frames that come ----------------------------------------------------------------------- */

static bool may_get_better(int code)
{
	return code == -EHOSTUNREACH || code == -ETIMEDOUT || code == -ECONNRESET ||
	       code == -EAGAIN;
}

static void wait_ms(uint64_t ms)
{
	struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

/* Told once for all threads, and once more when it is over. */
static void tell_trouble(struct carrier *c, const struct err *e)
{
	pthread_mutex_lock(&c->lock);
	if (e && !c->says_trouble)
		say(c, e->text, "the machine waits while it is tried again");
	else if (!e && c->says_trouble)
		say(c, "it goes on", "the machine does, too");
	c->says_trouble = e != NULL;
	pthread_mutex_unlock(&c->lock);
}

static int fetch(struct carrier *c, uint64_t frame, uint64_t n, struct err *e)
{
	uint64_t until_ns = os_clock_ns(CLOCK_MONOTONIC) + PATIENCE_NS;
	bool was_wrong = false, at_once = fallback_forced("no-backoff");

	for (unsigned tries = 0;;) {
		struct err why = {0};
		int r = store_reader_fetch(c->reader, frame * STORE_FRAME_PAGES,
		                           n * STORE_FRAME_PAGES, &why);

		if (!r && tries)
			tell_trouble(c, NULL);
		if (!r)
			return 0;
		/* A wrong byte may have been the link's. */
		if (r == -EBADMSG && !was_wrong) {
			was_wrong = true;
			continue;
		}
		if (!may_get_better(r) || at_once || os_clock_ns(CLOCK_MONOTONIC) > until_ns) {
			*e = why;
			return r;
		}
		tell_trouble(c, &why);
		wait_ms(MIN((uint64_t)BACKOFF_MS << MIN(tries, 6), BACKOFF_MAX_MS));
		tries++;
	}
}

static void keep(struct carrier *c);

/*
 * Brings frames that the caller has claimed. What cannot be brought waits again, so that whoever
 * needs it tries for himself.
 */
static int bring(struct carrier *c, uint64_t first, uint64_t n, struct err *e)
{
	uint8_t *room = xalloc(STORE_FRAME_PAGES * PAGE_BYTES);
	int r = fetch(c, first, n, e);
	bool is_last;
	uint64_t i;

	for (i = 0; !r && i < n; i++) {
		r = place_frame(c, first + i, room, e);
		pthread_mutex_lock(&c->lock);
		c->frame[first + i] = r ? FRAME_WAITS : FRAME_PLACED;
		c->n_placed += !r;
		pthread_cond_broadcast(&c->moved);
		pthread_mutex_unlock(&c->lock);
	}
	free(room);
	pthread_mutex_lock(&c->lock);
	for (; i < n; i++)
		c->frame[first + i] = FRAME_WAITS;
	if (r)
		c->next = MIN(c->next, first);
	is_last = c->n_placed == c->n_frames && !c->keeps;
	c->keeps |= is_last;
	pthread_cond_broadcast(&c->moved);
	pthread_mutex_unlock(&c->lock);
	if (is_last)
		keep(c);
	return r;
}

/* Takes frames from @first on that wait. The lock is held. Return: how many. */
static uint64_t claim(struct carrier *c, uint64_t first, uint64_t max)
{
	uint64_t n = 0;

	while (n < max && first + n < c->n_frames && c->frame[first + n] == FRAME_WAITS)
		c->frame[first + n++] = FRAME_CLAIMED;
	return n;
}

/* ---- the server ----------------------------------------------------------------------------- */

/* Return: 0 when the page is there. */
static int bring_page(struct carrier *c, uint32_t target, uint64_t page, struct err *e)
{
	uint64_t frame, n;

	if (target >= c->n_targets || page >= c->board.bits[target].pages)
		return err_say(e, -EINVAL, "the machine wants a page that it does not have");
	frame = frame_of(c, target, page);
	if (frame == c->n_frames)
		return err_say(e, -EINVAL, "the machine wants a page that is there");
	pthread_mutex_lock(&c->lock);
	c->busy_ns = os_clock_ns(CLOCK_MONOTONIC);
	while (c->frame[frame] == FRAME_CLAIMED)
		pthread_cond_wait(&c->moved, &c->lock);
	n = claim(c, frame, FRAMES_WANTED);
	pthread_mutex_unlock(&c->lock);
	return n ? bring(c, frame, n, e) : 0;
}

/* Return: 0 when everything is there and kept. */
static int bring_all(struct carrier *c, struct err *e)
{
	int r;

	pthread_mutex_lock(&c->lock);
	c->wants_all = true;
	pthread_cond_broadcast(&c->moved);
	while (!c->is_kept && !c->failed.code)
		pthread_cond_wait(&c->moved, &c->lock);
	r = c->is_kept ? 0 : c->failed.code;
	if (r)
		*e = c->failed;
	pthread_mutex_unlock(&c->lock);
	return r;
}

static void *serve(void *arg)
{
	struct carrier *c = arg;

	for (;;) {
		struct arrival_answer answer = {0};
		struct arrival_ask ask;
		struct err e = {0};

		pthread_mutex_lock(&c->lock);
		while (!c->is_asked)
			pthread_cond_wait(&c->moved, &c->lock);
		ask = c->asked;
		c->is_asked = false;
		pthread_mutex_unlock(&c->lock);
		answer.code = ask.target == ARRIVAL_ALL ? bring_all(c, &e)
		                                        : bring_page(c, ask.target, ask.page, &e);
		if (answer.code)
			err_wrap(&e, answer.code, "%s", c->origin);
		memcpy(answer.text, e.text, sizeof(answer.text) - 1);
		/* If the machine is gone the listener notices. */
		(void)!write(c->line, &answer, sizeof(answer));
	}
	return NULL;
}

/* ---- the fillers ---------------------------------------------------------------------------- */

struct filler {
	struct carrier *carrier;
	unsigned number;
};

static void wait_until(struct carrier *c, uint64_t ns)
{
	const struct timespec t = {.tv_sec = (time_t)(ns / 1000000000),
	                           .tv_nsec = (long)(ns % 1000000000)};

	pthread_cond_clockwait(&c->moved, &c->lock, CLOCK_MONOTONIC, &t);
}

/* Claims what is to be brought next; the lock is held. Return: 0 if this filler has nothing to do. */
static uint64_t claim_next(struct filler *f, uint64_t *first)
{
	struct carrier *c = f->carrier;

	for (;;) {
		uint64_t from_ns = MIN(c->busy_ns + QUIET_NS, c->started_ns + BUSY_NS);

		while (c->next < c->n_frames && c->frame[c->next] != FRAME_WAITS)
			c->next++;
		*first = c->next;
		if (c->next == c->n_frames)
			return 0;
		if (c->next < c->n_start)
			return claim(c, c->next, MIN(FRAMES_AT_ONCE, c->n_start - c->next));
		if (f->number >= FILLERS_BEHIND)
			return 0;
		c->is_behind |= c->wants_all || os_clock_ns(CLOCK_MONOTONIC) >= from_ns;
		if (c->is_behind)
			return claim(c, c->next, FRAMES_AT_ONCE);
		wait_until(c, from_ns);
	}
}

/* Return: 0 if this filler is done, or cannot do more. */
static int fill_some(struct filler *f)
{
	struct carrier *c = f->carrier;
	uint64_t first, n;
	struct err e = {0};
	bool is_start;
	int r;

	pthread_mutex_lock(&c->lock);
	n = c->failed.code || (c->is_alone && !flow_remote_wanted(c->remote))
	            ? 0
	            : claim_next(f, &first);
	is_start = n && first < c->n_start;
	pthread_mutex_unlock(&c->lock);
	if (!n)
		return 0;
	r = bring(c, first, n, &e);
	pthread_mutex_lock(&c->lock);
	if (r) {
		if (!c->failed.code && !c->is_asked)
			say(c, e.text, "the rest is fetched when it is needed");
		c->failed = e;
		pthread_cond_broadcast(&c->moved);
	} else if (is_start) {
		c->started_ns = c->busy_ns = os_clock_ns(CLOCK_MONOTONIC);
	}
	pthread_mutex_unlock(&c->lock);
	return !r;
}

static void *fill(void *arg)
{
	struct filler *f = arg;
	struct carrier *c = f->carrier;

	while (fill_some(f))
		;
	pthread_mutex_lock(&c->lock);
	c->n_fillers--;
	pthread_cond_broadcast(&c->moved);
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* ---- the end -------------------------------------------------------------------------------- */

/* Everything is there: from now on it is a snapshot of this store. */
static void keep(struct carrier *c)
{
	struct err e = {0};
	int r = flow_remote_wanted(c->remote)
	                ? 0
	                : err_say(&e, -ECANCELED, "it was removed while it arrived");

	for (uint32_t i = 1; !r && i < c->n_targets; i++)
		if (c->file[i] >= 0)
			r = own_disk_commit(
				c->store, c->file[i],
				LIST_AT(&c->snapshot.disks, struct disk_rec, i - 1)->base, &e);
	if (!r)
		r = flow_remote_keep(c->remote, NULL, NULL, &e);
	if (!r)
		ram_image_name(c->store, store_reader_meta(c->reader)->digest, c->file[0]);
	pthread_mutex_lock(&c->lock);
	if (r) {
		say(c, e.text, "it has arrived, but is not kept");
		c->failed = e;
	}
	c->is_kept = !r;
	c->keeps = false;
	__atomic_store_n(c->board.complete, 1, __ATOMIC_RELEASE);
	pthread_cond_broadcast(&c->moved);
	pthread_mutex_unlock(&c->lock);
}

/* Until nobody is at the other end. */
static void listen_to_machine(struct carrier *c)
{
	struct arrival_ask ask;
	ssize_t n;

	for (;;) {
		do
			n = read(c->line, &ask, sizeof(ask));
		while (n < 0 && errno == EINTR);
		if (n != sizeof(ask))
			break;
		pthread_mutex_lock(&c->lock);
		c->asked = ask;
		c->is_asked = true;
		pthread_cond_broadcast(&c->moved);
		pthread_mutex_unlock(&c->lock);
	}
}

/* Whoever waits for our output to end has not to wait for us. */
static void let_go_of_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	setsid();
	errno = 0;
	(void)!nice(10);
}

/* The machine has ended: what is missing of the snapshot comes now. */
static void bring_the_rest(struct carrier *c)
{
	let_go_of_terminal();
	pthread_mutex_lock(&c->lock);
	c->is_alone = c->wants_all = true;
	pthread_cond_broadcast(&c->moved);
	while (c->keeps || (c->n_fillers && !c->is_kept))
		pthread_cond_wait(&c->moved, &c->lock);
}

static void carry(struct carrier *c)
{
	struct filler filler[FILLERS];
	pthread_t thread;

	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->moved, NULL);
	c->started_ns = c->busy_ns = os_clock_ns(CLOCK_MONOTONIC);
	flow_remote_silence(c->remote);
	if (pthread_create(&thread, NULL, serve, c))
		return;
	/* Without fillers everything comes when it is waited for. */
	for (unsigned i = 0; i < FILLERS; i++) {
		filler[i] = (struct filler){c, i};
		pthread_mutex_lock(&c->lock);
		c->n_fillers += !pthread_create(&thread, NULL, fill, &filler[i]);
		pthread_mutex_unlock(&c->lock);
	}
	listen_to_machine(c);
	bring_the_rest(c);
}

/* ---- handing over --------------------------------------------------------------------------- */

/* What the carrier says first, with the descriptors of state, board and files if it is begun. */
struct arrive_rec {
	int32_t code;
	const char *why; /* it failed, or is offline */
	uint32_t state;  /* enum pull_state */
	const char *name, *origin, *digest;
	const char *id; /* of the snapshot that is begun */
};

static const struct field arrive_fields[] = {
	FIELD(struct arrive_rec, code, 1, 0, "0 or negative errno"),
	FIELD(struct arrive_rec, why, 2, 2048, "sentence"),
	FIELD(struct arrive_rec, state, 3, PULL_BEGUN, "enum pull_state"),
	FIELD(struct arrive_rec, name, 4, STORE_NAME_MAX, "in the store"),
	FIELD(struct arrive_rec, origin, 5, STORE_ORIGIN_MAX, "whole reference"),
	FIELD(struct arrive_rec, digest, 6, 80, "of the manifest"),
	FIELD(struct arrive_rec, id, 7, 40, "of the snapshot"),
};
static const struct rec_type arrive_type = REC_TYPE(arrive_rec, arrive_fields, .doc = "hand-over");

#define HANDED_MAX (2 + ARRIVAL_TARGETS_MAX)
#define HANDED_BYTES 8192u

static int hand_over(int line, const struct arrive_rec *rec, const int *fds, unsigned n)
{
	AUTO(buf) struct buf text = {0};
	char control[CMSG_SPACE(sizeof(int) * HANDED_MAX)] = {0};
	struct iovec part;
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *head;

	rec_encode(&text, &arrive_type, rec);
	part = (struct iovec){text.data, text.len};
	if (n) {
		m.msg_control = control;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		head = CMSG_FIRSTHDR(&m);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(head), fds, sizeof(int) * n);
	}
	return sendmsg(line, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int take_over(int line, struct arena *a, struct arrive_rec *rec, int *fds, unsigned *n,
                     struct err *e)
{
	char control[CMSG_SPACE(sizeof(int) * HANDED_MAX)];
	uint8_t *text = arena_alloc(a, HANDED_BYTES);
	struct iovec part = {text, HANDED_BYTES};
	struct msghdr m = {.msg_iov = &part,
	                   .msg_iovlen = 1,
	                   .msg_control = control,
	                   .msg_controllen = sizeof(control)};
	ssize_t len;

	do
		len = recvmsg(line, &m, MSG_CMSG_CLOEXEC);
	while (len < 0 && errno == EINTR);
	if (len <= 0)
		return err_say(e, -EPIPE, "the process that talks to the registry has ended");
	for (struct cmsghdr *head = CMSG_FIRSTHDR(&m); head; head = CMSG_NXTHDR(&m, head)) {
		*n = MIN((unsigned)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int)), HANDED_MAX);
		memcpy(fds, CMSG_DATA(head), sizeof(int) * *n);
	}
	return rec_decode(SPAN(text, (size_t)len), &arrive_type, a, rec, e);
}

/* ---- the carrier's beginning ---------------------------------------------------------------- */

/* One that was baked and rehearsed. Without an order all of it is there sooner than a start. */
static bool may_begin(const struct store_meta *meta, struct span state)
{
	AUTO(arena) struct arena a = {0};
	const char *at = store_meta_label(meta, "machine.state");
	struct vm_snapshot snapshot;

	if (strcmp(meta->kind, "vm") || !at || strcmp(at, "barrier") ||
	    rec_decode(state, &vm_snapshot_type, &a, &snapshot, NULL))
		return false;
	LIST_EACH(&snapshot.disks, const struct disk_rec, d)
		if (strcmp(d->kind, "own") || !d->runs.count)
			return false;
	return snapshot.start_pages && !fallback_forced("no-early-start");
}

/* A disk: the file that is here, or an unnamed one that will be. */
static int open_disk(struct carrier *c, uint32_t target, const struct disk_rec *rec, struct err *e)
{
	AUTO(text) char *path = own_disk_path(c->store, rec->base);
	AUTO(text) char *self = NULL;
	int *file = &c->file[target], *out = &c->open[target];

	*out = open(path, O_RDONLY | O_CLOEXEC);
	if (*out >= 0)
		return 0;
	*file = own_disk_begin(c->store, e);
	if (*file < 0)
		return *file;
	self = xprintf("/proc/self/fd/%d", *file);
	*out = open(self, O_RDONLY | O_CLOEXEC);
	if (*out < 0 || ftruncate(*file, (off_t)rec->bytes))
		return err_set(e, -errno, "disk %s", path);
	return 0;
}

static int open_files(struct carrier *c, struct err *e)
{
	uint64_t pages[ARRIVAL_TARGETS_MAX];
	struct vm_needs needs = {0};
	int r = rec_decode(store_reader_state(c->reader), &vm_snapshot_type, &c->arena,
	                   &c->snapshot, e);

	if (!r)
		r = vm_peek(c->snapshot.machine, &needs, e);
	c->ram_bytes = needs.ram_bytes;
	if (!r)
		r = vm_get_runs(c->snapshot.machine, &c->arena, &c->ram_runs, e);
	if (!r)
		r = ram_image_begin(c->store, c->ram_bytes, &c->file[0], &c->open[0], e);
	pages[0] = c->ram_bytes / PAGE_BYTES;
	c->n_targets = 1;
	LIST_EACH(&c->snapshot.disks, const struct disk_rec, rec) {
		if (r)
			return r;
		pages[c->n_targets] = pages_of_bytes(rec->bytes);
		r = open_disk(c, c->n_targets++, rec, e);
	}
	if (!r)
		r = arrival_board_make(&c->board, pages, c->n_targets, &c->board_fd, e);
	if (!r)
		r = list_places(c, e);
	if (!r)
		prepare_board(c);
	return r;
}

static int state_file(struct span state, struct err *e)
{
	int fd = memfd_create("wslx-state", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : os_write_all(fd, state.data, state.len);

	if (!r)
		return fd;
	if (fd >= 0)
		close(fd);
	return err_set(e, r, "state of the machine");
}

static int hand_over_machine(struct carrier *c, const struct arrive_rec *rec, struct err *e)
{
	int fds[HANDED_MAX], r = open_files(c, e);

	if (r)
		return r;
	fds[0] = state_file(store_reader_state(c->reader), e);
	if (fds[0] < 0)
		return fds[0];
	fds[1] = c->board_fd;
	memcpy(fds + 2, c->open, c->n_targets * sizeof(int));
	r = hand_over(c->line, rec, fds, 2 + c->n_targets);
	for (unsigned i = 0; i < 2 + c->n_targets; i++)
		close(fds[i]);
	return r ? err_set(e, r, "handing a machine over") : 0;
}

/* Signals of the terminal are the machine's; ours is to be left alone by it. */
static void detach(void)
{
	prctl(PR_SET_PDEATHSIG, 0);
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
}

static void be_carrier(const char *root, const struct arrive_vm *what, int line)
{
	struct pull_snapshot pull = what->pull;
	struct carrier *c = xalloc(sizeof(*c));
	struct pull_result result = {0};
	struct arrive_rec rec = {0};
	struct err e = {0};
	int r;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGPIPE, SIG_IGN);
	pull.may_begin = may_begin;
	c->line = line;
	for (unsigned i = 0; i < ARRAY_LEN(c->file); i++)
		c->file[i] = c->open[i] = -1;
	r = store_open(root, NULL, &c->store, &e);
	if (!r)
		r = flow_pull_begin(c->store, &pull, &result, &c->remote, &e);
	if (what->pulled && pull.progress)
		what->pulled(pull.progress);
	rec = (struct arrive_rec){.state = result.state,
	                          .why = result.why_offline,
	                          .name = result.name,
	                          .origin = result.origin,
	                          .digest = result.digest};
	if (!r && c->remote) {
		c->origin = result.origin;
		c->reader = flow_remote_reader(c->remote);
		rec.id = store_reader_meta(c->reader)->id;
		r = hand_over_machine(c, &rec, &e);
		if (!r) {
			detach();
			carry(c);
			return;
		}
	}
	rec.code = r;
	if (r)
		rec.why = e.text;
	/* Nobody to say it to: then nobody wants to know. */
	(void)hand_over(line, &rec, NULL, 0);
}

/* ---- the caller's side ---------------------------------------------------------------------- */

static int open_arrived(struct store *store, struct arrived_vm *out, const int *fds, unsigned n,
                        int line, struct err *e)
{
	AUTO(buf) struct buf state = {0};
	struct opened_vm *vm = &out->vm;
	struct vm_snapshot snapshot;
	int r = lseek(fds[0], 0, SEEK_SET) < 0 ? -errno : os_read_all(fds[0], &state);

	if (r)
		return err_set(e, r, "state of the machine");
	r = rec_decode(SPAN(arena_copy(&vm->arena, state.data, state.len), state.len),
	               &vm_snapshot_type, &vm->arena, &snapshot, e);
	if (!r)
		r = vm_peek(snapshot.machine, &vm->needs, e);
	if (!r && n != 3 + snapshot.disks.count)
		r = err_say(e, -EBADMSG, "files of the machine are missing");
	if (r)
		return r;
	vm->state = snapshot.machine;
	vm->at_barrier = true;
	vm->ram_fd = fcntl(fds[2], F_DUPFD_CLOEXEC, 0);
	vm->arrives = true;
	vm->board_fd = fcntl(fds[1], F_DUPFD_CLOEXEC, 0);
	vm->line = fcntl(line, F_DUPFD_CLOEXEC, 0);
	if (vm->ram_fd < 0 || vm->board_fd < 0 || vm->line < 0)
		return err_set(e, -errno, "files of the machine");
	LIST_EACH(&snapshot.disks, const struct disk_rec, rec) {
		AUTO(text) char *path = own_disk_path(store, rec->base);
		struct control_disk *d = &vm->disk[vm->n_disks];
		int fd = fcntl(fds[3 + vm->n_disks], F_DUPFD_CLOEXEC, 0);

		d->base = arena_text(&vm->arena, path);
		d->disk = fd < 0 ? NULL : disk_open_raw(fd, true, e);
		if (!d->disk)
			return fd < 0 ? err_set(e, -errno, "disk %s", path) : e->code;
		vm->n_disks++;
		if (d->disk->bytes != rec->bytes)
			return err_say(e, -ESTALE, "disk %s has another size than it had", path);
	}
	return 0;
}

static int take(struct store *store, struct arrived_vm *out, int line, struct err *e)
{
	struct arena *a = &out->pull.arena;
	int fds[HANDED_MAX], r;
	struct arrive_rec rec;
	unsigned n = 0;

	r = take_over(line, a, &rec, fds, &n, e);
	if (!r && rec.code)
		r = err_say(e, rec.code, "%s", rec.why ? rec.why : "the registry");
	if (!r) {
		out->pull.state = (enum pull_state)rec.state;
		out->pull.name = rec.name;
		out->pull.origin = rec.origin;
		out->pull.digest = rec.digest;
		out->pull.why_offline = rec.why ? rec.why : "";
	}
	if (!r && out->pull.state == PULL_BEGUN)
		r = n < 3 ? err_say(e, -EBADMSG, "files of the machine are missing")
		          : open_arrived(store, out, fds, n, line, e);
	if (!r && rec.id)
		out->vm.id = arena_text(&out->vm.arena, rec.id);
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
	return r;
}

int flow_arrive_vm(struct store *store, const struct arrive_vm *what, struct arrived_vm *out,
                   struct err *e)
{
	int ends[2], r;
	pid_t child;

	*out = (struct arrived_vm){.vm.ram_fd = -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return err_set(e, -errno, "socket");
	fflush(NULL);
	child = fork();
	if (!child) {
		close(ends[0]);
		be_carrier(store_root(store), what, ends[1]);
		_exit(0);
	}
	close(ends[1]);
	if (child < 0) {
		close(ends[0]);
		return err_set(e, -errno, "starting a process for the registry");
	}
	out->carrier = child;
	r = take(store, out, ends[0], e);
	close(ends[0]);
	return r;
}

void arrived_vm_finish(struct arrived_vm *a)
{
	opened_vm_finish(&a->vm);
	/* One whose machine was started goes on by itself. */
	if (a->carrier > 0 && a->pull.state == PULL_BEGUN && !a->is_started)
		kill(a->carrier, SIGTERM);
	if (a->carrier > 0 && !a->is_started)
		while (waitpid(a->carrier, NULL, 0) < 0 && errno == EINTR)
			;
	a->carrier = 0;
	pull_result_finish(&a->pull);
}
