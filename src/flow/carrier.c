/* SPDX-License-Identifier: MIT */
/*
 * The carrier is made: it pulls the records, opens the files that pages go to, lists where each
 * page belongs, and hands the machine over. arrive.c has the theory.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "flow/arrive-int.h"
#include "flow/own-disk.h"
#include "flow/ram-image.h"
#include "os/os.h"

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
	c->n_soon = MIN((c->snapshot.soon_pages + STORE_FRAME_PAGES - 1) / STORE_FRAME_PAGES,
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

uint64_t carrier_frame_of(const struct carrier *c, uint32_t target, uint64_t page)
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

int carrier_place_frame(struct carrier *c, uint64_t frame, uint8_t *room, struct err *e)
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

/* ---- the beginning -------------------------------------------------------------------------- */

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
		r = vm_peek(c->snapshot.machine, &c->arena, &needs, e);
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

int carrier_hand_over(struct carrier *c, int line, struct err *e)
{
	AUTO(fd) int state = state_file(store_reader_state(c->reader), e);
	int fds[HANDED_MAX] = {state, c->board_fd}, r;

	if (state < 0)
		return state;
	memcpy(fds + 2, c->open, c->n_targets * sizeof(int));
	r = arrive_hand_over(line, &c->rec, fds, 2 + c->n_targets);
	return r ? err_set(e, r, "handing a machine over") : 0;
}

/* ---- the door ------------------------------------------------------------------------------- */

/*
 * In the store's folder, by the beginning of the digest: a socket's path has to be short. Return: false
 * if it is not.
 */
static bool door_address(const struct carrier *c, const char *digest, struct sockaddr_un *out)
{
	int n;

	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	n = snprintf(out->sun_path, sizeof(out->sun_path), "%s/run/%.16s.door",
	             store_root(c->store), digest + strlen("sha256:"));
	return n > 0 && (size_t)n < sizeof(out->sun_path);
}

/*
 * Nobody else brings this snapshot, so what is there was left behind. Without a door others wait until
 * all is here.
 */
static int make_door(const struct carrier *c)
{
	AUTO(text) char *dir = xprintf("%s/run", store_root(c->store));
	AUTO(fd) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;

	if (fd < 0 || !door_address(c, c->rec.digest, &address) || os_make_dirs(dir, 0700) ||
	    (unlink(address.sun_path) && errno != ENOENT) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, SOMAXCONN))
		return -1;
	return take_fd(&fd);
}

static void remove_door(const struct carrier *c)
{
	struct sockaddr_un address;

	if (c->door >= 0 && door_address(c, c->rec.digest, &address))
		unlink(address.sun_path);
}

/* What another carrier gives us for our machine. */
struct joined {
	const struct carrier *carrier;
	struct arena arena;
	struct arrive_rec rec;
	int fds[HANDED_MAX]; /* the last one is the line */
	unsigned n;          /* 0: nothing */
};

static bool is_same(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

static bool join(void *arg, const struct pull_result *what)
{
	struct joined *j = arg;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;

	if (fd < 0 || !door_address(j->carrier, what->digest, &address) ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    arrive_take_over(fd, &j->arena, &j->rec, j->fds, &j->n, NULL) || !j->n ||
	    j->n == HANDED_MAX || !is_same(j->rec.name, what->name) ||
	    !is_same(j->rec.origin, what->origin) || !is_same(j->rec.digest, what->digest)) {
		while (j->n)
			close(j->fds[--j->n]);
		os_close(&fd);
		return false;
	}
	j->fds[j->n++] = fd;
	return true;
}

/* ---- the carrier's process ------------------------------------------------------------------ */

/* Signals of the terminal are the machine's; ours is to be left alone by it. */
static void detach(void)
{
	prctl(PR_SET_PDEATHSIG, 0);
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
}

void carrier_main(const char *root, const struct arrive_vm *what, int line)
{
	struct pull_snapshot pull = what->pull;
	struct carrier *c = xalloc(sizeof(*c));
	struct joined joined = {.carrier = c};
	struct pull_result result = {0};
	struct arrive_rec *rec = &c->rec;
	struct err e = {0};
	int r;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGPIPE, SIG_IGN);
	pull.may_begin = may_begin;
	pull.join = join;
	pull.join_arg = &joined;
	c->line = line;
	for (unsigned i = 0; i < ARRAY_LEN(c->file); i++)
		c->file[i] = c->open[i] = -1;
	if (what->without_store)
		c->remote = flow_pull_ask(&pull);
	r = store_open(root, NULL, &c->store, &e);
	if (!r)
		r = flow_pull_begin(c->store, &pull, &result, &c->remote, &e);
	if (what->pulled && pull.progress)
		what->pulled(pull.progress);
	*rec = (struct arrive_rec){.state = result.state,
	                           .why = result.why_offline,
	                           .name = result.name,
	                           .origin = result.origin,
	                           .digest = result.digest,
	                           .id = joined.rec.id};
	if (!r && c->remote && !joined.n) {
		c->origin = result.origin;
		c->reader = flow_remote_reader(c->remote);
		rec->id = store_reader_meta(c->reader)->id;
		r = open_files(c, &e);
		if (!r)
			r = carrier_hand_over(c, line, &e);
		if (!r) {
			detach();
			c->door = make_door(c);
			carrier_carry(c);
			remove_door(c);
			return;
		}
	}
	rec->code = r;
	if (r)
		rec->why = e.text;
	/* Nobody to say it to: then nobody wants to know. */
	(void)arrive_hand_over(line, rec, joined.fds, joined.n);
}
