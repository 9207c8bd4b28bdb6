/* SPDX-License-Identifier: MIT */
/*
 * The carrier's life: a listener, a server and fillers bring frames until all are placed and the
 * snapshot is kept. arrive.c has the theory.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "flow/arrive-int.h"
#include "flow/own-disk.h"
#include "flow/ram-image.h"
#include "os/os.h"
#include "store/transfer.h"

#define FILLERS 3u                   /* for what a start uses */
#define FILLERS_BEHIND 2u            /* for the rest */
#define FRAMES_AT_ONCE 8u            /* 1 MiB of pages in a request */
#define FRAMES_SOON 4u               /* while pages may be waited for, behind these */
#define SOON_NS UINT64_C(100000000)  /* after the start: it has the host to itself until then */
#define FRAMES_WANTED 2u             /* of a page that is waited for, and its neighbours */
#define QUIET_NS 500000000u          /* nothing was waited for so long: time for the rest */
#define BUSY_NS UINT64_C(3000000000) /* or so long after the start, whatever is waited for */
#define PATIENCE_NS UINT64_C(60000000000) /* a link may be broken for so long */
#define BACKOFF_MS 500u
#define BACKOFF_MAX_MS 8000u

/* A line for a terminal that the machine may have in raw mode. */
static void say(const struct carrier *c, const char *what, const char *then)
{
	AUTO(buf) struct buf line = {0};

	text_add_printable(&line, what, strlen(what));
	fprintf(stderr, "wslx: %s: %s; %s%s", c->origin, buf_text(&line), then,
	        isatty(STDERR_FILENO) ? "\r\n" : "\n");
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
		r = carrier_place_frame(c, first + i, room, e);
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
	frame = carrier_frame_of(c, target, page);
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

static void answer(struct carrier *c, int line, const struct arrival_ask *ask)
{
	struct arrival_answer answer = {0};
	struct err e = {0};

	answer.code = ask->target == ARRIVAL_ALL ? bring_all(c, &e)
	                                         : bring_page(c, ask->target, ask->page, &e);
	if (answer.code)
		err_wrap(&e, answer.code, "%s", c->origin);
	memcpy(answer.text, e.text, sizeof(answer.text) - 1);
	/* Whoever listens notices if the machine is gone. */
	(void)!write(line, &answer, sizeof(answer));
}

static void *serve(void *arg)
{
	struct carrier *c = arg;

	for (;;) {
		struct arrival_ask ask;

		pthread_mutex_lock(&c->lock);
		while (!c->is_asked)
			pthread_cond_wait(&c->moved, &c->lock);
		ask = c->asked;
		c->is_asked = false;
		pthread_mutex_unlock(&c->lock);
		answer(c, c->line, &ask);
	}
	return NULL;
}

/* Return: false when nobody is at the other end any more. */
static bool hear(int line, struct arrival_ask *ask)
{
	ssize_t n;

	do
		n = read(line, ask, sizeof(*ask));
	while (n < 0 && errno == EINTR);
	return n == sizeof(*ask);
}

static void count_machine(struct carrier *c, int one)
{
	pthread_mutex_lock(&c->lock);
	c->n_machines += (unsigned)one;
	pthread_cond_broadcast(&c->moved);
	pthread_mutex_unlock(&c->lock);
}

/* ---- others who want the same --------------------------------------------------------------- */

struct visitor {
	struct carrier *carrier;
	int line;
};

static void *serve_visitor(void *arg)
{
	struct visitor *v = arg;
	struct arrival_ask ask;

	while (hear(v->line, &ask))
		answer(v->carrier, v->line, &ask);
	close(v->line);
	count_machine(v->carrier, -1);
	free(v);
	return NULL;
}

static bool welcome(struct carrier *c, int line)
{
	struct visitor *v;
	pthread_t thread;

	/* What was removed is not given to anybody new. */
	if (!flow_remote_wanted(c->remote) || carrier_hand_over(c, line, NULL))
		return false;
	v = xalloc(sizeof(*v));
	*v = (struct visitor){c, line};
	if (!pthread_create(&thread, NULL, serve_visitor, v)) {
		pthread_detach(thread);
		return true;
	}
	free(v);
	return false;
}

static void *keep_door(void *arg)
{
	struct carrier *c = arg;
	int line;

	while ((line = accept4(c->door, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno == EINTR ||
	       errno == ECONNABORTED) {
		if (line < 0)
			continue;
		count_machine(c, 1);
		if (!welcome(c, line)) {
			close(line);
			count_machine(c, -1);
		}
	}
	/* Whoever knocks now is to notice that nobody opens. */
	close(c->door);
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

static bool start_is_here(const struct carrier *c)
{
	for (uint64_t i = 0; i < c->n_start; i++)
		if (c->frame[i] != FRAME_PLACED)
			return false;
	return true;
}

/* When the rest is to be brought, whatever is known by now. */
static uint64_t rest_from_ns(const struct carrier *c)
{
	if (fallback_forced("late-rest"))
		return UINT64_MAX; /* when somebody wants it, or the machine has ended */
	return MIN(c->busy_ns + QUIET_NS, c->started_ns + BUSY_NS);
}

/* Claims what is to be brought next; the lock is held. Return: 0 if this filler has nothing to do. */
static uint64_t claim_next(struct filler *f, uint64_t *first)
{
	struct carrier *c = f->carrier;

	for (;;) {
		uint64_t soon_ns = c->started_ns + SOON_NS, from_ns = rest_from_ns(c);
		uint64_t now = os_clock_ns(CLOCK_MONOTONIC);
		bool is_soon;

		while (c->next < c->n_frames && c->frame[c->next] != FRAME_WAITS)
			c->next++;
		*first = c->next;
		if (c->next == c->n_frames)
			return 0;
		if (c->next < c->n_start)
			return claim(c, c->next, MIN(FRAMES_AT_ONCE, c->n_start - c->next));
		if (f->number >= FILLERS_BEHIND)
			return 0;
		is_soon = c->next < c->n_soon && start_is_here(c);
		c->is_behind |= c->wants_all || now >= from_ns;
		if (!c->is_behind && is_soon && now >= soon_ns)
			return claim(c, c->next, MIN(FRAMES_SOON, c->n_soon - c->next));
		if (c->is_behind)
			return claim(c, c->next, FRAMES_AT_ONCE);
		wait_until(c, is_soon ? MIN(soon_ns, from_ns) : from_ns);
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
	n = c->failed.code || (!c->n_machines && !flow_remote_wanted(c->remote))
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

	while (hear(c->line, &ask)) {
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

/* Our own machine has ended: what is missing of the snapshot comes now. */
static void bring_the_rest(struct carrier *c)
{
	let_go_of_terminal();
	pthread_mutex_lock(&c->lock);
	c->n_machines--;
	c->wants_all = true;
	pthread_cond_broadcast(&c->moved);
	while (c->keeps || c->n_machines || (c->n_fillers && !c->is_kept))
		pthread_cond_wait(&c->moved, &c->lock);
}

void carrier_carry(struct carrier *c)
{
	struct filler filler[FILLERS];
	pthread_t thread;

	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->moved, NULL);
	c->started_ns = c->busy_ns = os_clock_ns(CLOCK_MONOTONIC);
	c->n_machines = 1;
	flow_remote_silence(c->remote);
	if (pthread_create(&thread, NULL, serve, c))
		return;
	if (c->door >= 0 && pthread_create(&thread, NULL, keep_door, c))
		close(c->door);
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
