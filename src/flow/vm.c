/* SPDX-License-Identifier: MIT */
/*
 * Machine snapshots. The machine process can open nothing, so a snapshot is a pipe: a forked
 * copy of the machine writes itself into it, and we, who are not confined, store what comes
 * out. Frozen overlays arrive as descriptors; their pages follow those of RAM.
 */
#include "flow/vm.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "flow/code-image.h"
#include "flow/flow.h"
#include "flow/own-disk.h"
#include "flow/ram-image.h"
#include "flow/vm-snapshot.h"
#include "os/os.h"

#define BATCH_PAGES 64u

static const struct field disk_run_fields[] = {
	FIELD(struct vm_run, page, 1, DISK_PAGES_MAX, "first page of the disk"),
	FIELD(struct vm_run, count, 2, DISK_PAGES_MAX, "pages"),
	FIELD(struct vm_run, first, 3, DISK_PAGES_MAX, "number of the first one in the snapshot"),
};
static const struct rec_type disk_run_type =
	REC_TYPE(vm_run, disk_run_fields, .doc = "pages of a disk");

static const struct field disk_fields[] = {
	FIELD(struct disk_rec, kind, 1, 8,
              "ro: the base alone; cow: with what was "
              "written; own: the store's, all of it is here"),
	FIELD(struct disk_rec, base, 2, 4096, "path of the base, or the name of an own one"),
	FIELD(struct disk_rec, bytes, 3, DISK_PAGES_MAX *PAGE_BYTES, "its size"),
	FIELD_LIST(struct disk_rec, runs, 4, &disk_run_type, 1 << 24, "what was written"),
};

static int check_disk(const void *rec, struct err *e)
{
	const struct disk_rec *d = rec;
	uint64_t pages = pages_of_bytes(d->bytes), next = 0;

	if (!d->base || !d->kind ||
	    (strcmp(d->kind, "ro") && strcmp(d->kind, "cow") && strcmp(d->kind, "own")))
		return err_say(e, -EBADMSG, "a disk of unknown kind or without a base");
	if (!strcmp(d->kind, "own") && (strlen(d->base) != OWN_DISK_NAME_BYTES - 1 ||
	                                strspn(d->base, "0123456789abcdef") != strlen(d->base)))
		return err_say(e, -EBADMSG, "a disk of the store without its digest");
	LIST_EACH(&d->runs, const struct vm_run, r) {
		if (!r->count || r->page < next || r->page + r->count > pages)
			return err_say(e, -EBADMSG, "pages of a disk that are not in it");
		next = r->page + r->count;
	}
	return 0;
}

static const struct rec_type disk_type =
	REC_TYPE(disk_rec, disk_fields, .doc = "disk", .check = check_disk);

static const struct rec_type *machine_record(const void *rec)
{
	return &vm_record_type;
}

static const struct field snapshot_fields[] = {
	FIELD(struct vm_snapshot, machine, 1, 1 << 30, "the machine's own record",
              .inner = machine_record),
	FIELD_LIST(struct vm_snapshot, disks, 2, &disk_type, VM_DISKS_MAX, "disks"),
	FIELD(struct vm_snapshot, start_pages, REC_OPTIONAL, DISK_PAGES_MAX,
              "so many of the first pages are what a start uses, in that order; 0: not known"),
	FIELD(struct vm_snapshot, soon_pages, REC_OPTIONAL + 1, DISK_PAGES_MAX,
              "so many of the first pages are what a start and what it does first use"),
};
const struct rec_type vm_snapshot_type =
	REC_TYPE(vm_snapshot, snapshot_fields, .doc = "machine snapshot");

static int temporary_overlay(struct err *e)
{
	int fd = os_open_temporary();

	return fd < 0 ? err_set(e, fd, "an overlay in TMPDIR") : fd;
}

static void close_fds(int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* ---- saving ------------------------------------------------------------------------------- */

struct pages {
	struct page_sink *sink;
	uint64_t count;
};

static int add_pages(void *arg, uint64_t page, const uint8_t *data, uint64_t count, struct err *e)
{
	struct pages *p = arg;

	p->count += count;
	return p->sink->write(p->sink, data, (size_t)count, e);
}

/* Of an overlay what was written, of the store's own disks what is not zero. */
static bool is_wanted(struct disk *d, const struct disk_rec *rec, uint64_t page)
{
	uint8_t data[PAGE_BYTES];

	if (strcmp(rec->kind, "own"))
		return disk_is_written(d, page);
	return !d->read(d, page * PAGE_BYTES, data, PAGE_BYTES) &&
	       (data[0] || memcmp(data, data + 1, PAGE_BYTES - 1));
}

static int add_disk_pages(struct disk *d, struct disk_rec *rec, struct arena *a, struct pages *p,
                          struct err *e)
{
	uint64_t n = pages_of_bytes(d->bytes);

	for (uint64_t page = 0; page < n;) {
		uint8_t data[BATCH_PAGES * PAGE_BYTES];
		uint64_t count = 0, bytes;
		struct vm_run *run;
		int r;

		while (count < BATCH_PAGES && page + count < n && is_wanted(d, rec, page + count))
			count++;
		if (!count) {
			page++;
			continue;
		}
		bytes = MIN(count * PAGE_BYTES, d->bytes - page * PAGE_BYTES);
		memset(data + (count - 1) * PAGE_BYTES, 0, PAGE_BYTES);
		r = d->read(d, page * PAGE_BYTES, data, bytes);
		if (r)
			return err_set(e, r, "overlay on %s", rec->base);
		run = rec->runs.count ? LIST_AT(&rec->runs, struct vm_run, rec->runs.count - 1)
		                      : NULL;
		if (run && run->page + run->count == page)
			run->count += count;
		else
			*LIST_ADD(&rec->runs, a, struct vm_run) =
				(struct vm_run){page, count, p->count};
		r = add_pages(p, page, data, count, e);
		if (r)
			return r;
		page += count;
	}
	return 0;
}

/* The base with its frozen overlays, as the snapshot saw it. @fds are the disk's on success. */
static struct disk *open_frozen(const char *base_path, int *fds, unsigned n, struct err *e)
{
	int fd = open(base_path, O_RDONLY | O_CLOEXEC), r = 0;
	struct disk *d;

	if (fd < 0) {
		err_set(e, -errno, "disk %s", base_path);
		return NULL;
	}
	d = disk_open_raw(fd, true, e);
	for (unsigned i = 0; d && !r && i < n; i++) {
		fd = fds[i];
		fds[i] = -1;
		if (!i)
			d = disk_open_overlay(d, fd, true, e);
		else
			r = disk_push_overlay(d, fd, e);
	}
	if (!r)
		return d;
	disk_close(d);
	return NULL;
}

/* One line of the machine's answer: "KIND LAYERS PATH". The caller closes @disk. */
static int open_line(struct store *store, const char *line, struct control_message *answer,
                     unsigned *next, struct vm_snapshot *snapshot, struct arena *a,
                     struct disk **disk, struct err *e)
{
	const char *own;
	struct disk_rec *rec;
	unsigned layers;
	char kind[8];
	int path = 0;

	if (sscanf(line, "%7s %u %n", kind, &layers, &path) != 2 || !path ||
	    layers > answer->n_fds - *next || snapshot->disks.count == VM_DISKS_MAX)
		return err_say(e, -EBADMSG, "the machine answers nonsense");
	*disk = open_frozen(line + path, answer->fds + *next, layers, e);
	*next += layers;
	if (!*disk)
		return e->code;
	rec = LIST_ADD(&snapshot->disks, a, struct disk_rec);
	rec->kind = arena_text(a, kind);
	rec->base = arena_text(a, line + path);
	own = own_disk_name(store, rec->base);
	if (own && !strcmp(kind, "ro")) {
		rec->kind = "own";
		rec->base = own;
	}
	rec->bytes = (*disk)->bytes;
	return 0;
}

static int ask_for_snapshot(const char *socket, int stream, struct control_message *answer,
                            struct err *e)
{
	int fds[1 + VM_DISKS_MAX] = {stream};
	unsigned n = 1;
	int r = control_call(socket, "disks", NULL, 0, answer, e);

	if (r)
		return r;
	if (strstr(answer->text, "\nraw "))
		return err_say(e, OBSTACLE,
		               "a disk of this machine is written in place and would change "
		               "under the snapshot; start it with --disk FILE,cow");
	for (const char *at = answer->text; (at = strstr(at, "\ncow ")); at++) {
		if (n == ARRAY_LEN(fds))
			break;
		fds[n] = temporary_overlay(e);
		if (fds[n] < 0) {
			r = fds[n];
			break;
		}
		n++;
	}
	control_message_close(answer);
	if (!r)
		r = control_call(socket, "snap", fds, n, answer, e);
	close_fds(fds + 1, n - 1);
	return r;
}

static int commit(struct store_writer *writer, const struct snap_vm *what,
                  const struct vm_snapshot *snapshot, struct span state, struct err *e)
{
	char ram[16] = "";
	struct store_label labels[8 + SNAP_LABELS_MAX] = {
		{"command", what->machine ? what->machine : ""},
		{"machine.ram", ram},
		{"wslx", WSLX_VERSION},
	};
	struct store_meta meta = {.labels = labels, .n_labels = 3};
	AUTO(arena) struct arena a = {0};
	struct vm_needs needs = {0};
	/* It comes from a process that runs untrusted code: what cannot be restored is not kept. */
	int r = vm_peek(snapshot->machine, &a, &needs, e);

	if (r)
		return r;
	LIST_EACH(&snapshot->disks, const struct disk_rec, d)
		if (!strcmp(d->kind, "own"))
			labels[3] = (struct store_label){"machine.disk", d->base};
	meta.n_labels += labels[3].key != NULL;
	for (unsigned i = 0; i < what->n_labels && i < SNAP_LABELS_MAX; i++)
		labels[meta.n_labels++] = what->labels[i];
	text_of_bytes(ram, needs.ram_bytes);
	return store_writer_commit(writer, what->name, state, &meta, e);
}

/* What arrives from a machine, and is open while it is stored. */
struct incoming {
	struct arena arena;
	struct buf machine;
	struct vm_snapshot snapshot;
	struct disk *disk[VM_DISKS_MAX]; /* of snapshot.disks */
};

static void auto_incoming(struct incoming *m)
{
	for (unsigned i = 0; i < VM_DISKS_MAX; i++)
		disk_close(m->disk[i]);
	buf_finish(&m->machine);
	arena_finish(&m->arena);
}

static int open_lines(struct store *store, struct control_message *answer, struct incoming *m,
                      uint64_t *pause_ns, struct err *e)
{
	char *save = NULL, *line = strtok_r(answer->text, "\n", &save);
	unsigned next = 0;
	int r = 0;

	*pause_ns = line ? strtoull(line, NULL, 10) : 0;
	while (!r && (line = strtok_r(NULL, "\n", &save))) {
		size_t n = m->snapshot.disks.count;

		r = open_line(store, line, answer, &next, &m->snapshot, &m->arena,
		              &m->disk[MIN(n, VM_DISKS_MAX - 1)], e);
	}
	return r;
}

/* Pages in the order of their places, as they arrive. */
static int store_by_place(const struct snap_vm *what, struct page_sink *sink, int stream,
                          struct incoming *m, uint64_t *n_pages, struct err *e)
{
	struct pages p = {.sink = sink};
	const struct vm_page_writer w = {add_pages, &p};
	int r = vm_stream_read(stream, &w, &m->machine, e);

	for (size_t i = 0; !r && i < m->snapshot.disks.count; i++) {
		struct disk_rec *rec = LIST_AT(&m->snapshot.disks, struct disk_rec, i);

		if (!what->local || strcmp(rec->kind, "own"))
			r = add_disk_pages(m->disk[i], rec, &m->arena, &p, e);
	}
	m->snapshot.machine = buf_span(&m->machine);
	*n_pages = p.count;
	return r;
}

static int to_image(void *arg, uint64_t page, const uint8_t *data, uint64_t count, struct err *e)
{
	int r = os_pwrite_all(*(const int *)arg, data, (size_t)count * PAGE_BYTES,
	                      page * PAGE_BYTES);

	return r ? err_set(e, r, "image of RAM") : 0;
}

/* Has the machine started once from what will be stored. What that tells is only a favour. */
static int rehearse(struct store *store, const struct snap_vm *what, const struct incoming *m,
                    int ram_fd, struct rehearsed *out, struct arena *a, struct err *e)
{
	struct opened_vm from = {.ram_fd = ram_fd, .at_barrier = true};
	int r = vm_peek(buf_span(&m->machine), &from.arena, &from.needs, e);

	LIST_EACH(&m->snapshot.disks, const struct disk_rec, rec) {
		AUTO(text) char *path = own_disk_path(store, rec->base);
		struct control_disk *d = &from.disk[from.n_disks];

		if (r)
			break;
		d->base = rec->base;
		d->disk = open_frozen(path, NULL, 0, e);
		from.n_disks += d->disk != NULL;
		r = d->disk ? 0 : e->code;
	}
	if (!r)
		r = what->rehearse(what->rehearse_arg, &from, a, &out->touches, &out->n_start, e);
	from.ram_fd = -1; /* the caller's */
	opened_vm_finish(&from);
	return r;
}

static int store_rehearsed(struct store *store, const struct snap_vm *what, struct page_sink *sink,
                           int stream, struct incoming *m, uint64_t *n_pages, struct err *e)
{
	AUTO(fd) int image = memfd_create("wslx-ram", MFD_CLOEXEC);
	const struct vm_page_writer w = {to_image, &image};
	struct vm_needs needs = {0};
	struct rehearsed from = {0};
	void *ram;
	int r = image < 0 ? err_set(e, -errno, "image of RAM")
	                  : vm_stream_read(stream, &w, &m->machine, e);

	if (!r)
		r = vm_peek(buf_span(&m->machine), &m->arena, &needs, e);
	from.ram_bytes = needs.ram_bytes;
	if (!r && ftruncate(image, (off_t)from.ram_bytes))
		r = err_set(e, -errno, "image of RAM");
	LIST_EACH(&m->snapshot.disks, const struct disk_rec, rec)
		if (!r && strcmp(rec->kind, "own"))
			r = err_say(e, -EINVAL, "disk %s is not the store's", rec->base);
	if (!r)
		r = rehearse(store, what, m, image, &from, &m->arena, e);
	if (r)
		return r;
	ram = mmap(NULL, from.ram_bytes, PROT_READ, MAP_SHARED, image, 0);
	if (ram == MAP_FAILED)
		return err_set(e, -errno, "image of RAM");
	from.machine = buf_span(&m->machine);
	from.ram = ram;
	memcpy(from.disk, m->disk, sizeof(from.disk));
	r = rehearsed_store(&from, sink, &m->snapshot, &m->arena, n_pages, e);
	munmap(ram, from.ram_bytes);
	return r;
}

static int store_machine(struct store *store, const struct snap_vm *what,
                         struct store_writer *writer, int stream, struct control_message *answer,
                         struct snap_vm_result *result, struct err *e)
{
	struct page_sink *sink = store_writer_sink(writer);
	AUTO(incoming) struct incoming m = {0};
	AUTO(buf) struct buf state = {0};
	int r = open_lines(store, answer, &m, &result->pause_ns, e);

	if (!r)
		r = what->rehearse
		            ? store_rehearsed(store, what, sink, stream, &m, &result->pages, e)
		            : store_by_place(what, sink, stream, &m, &result->pages, e);
	if (r)
		return r;
	result->start_pages = m.snapshot.start_pages;
	rec_encode(&state, &vm_snapshot_type, &m.snapshot);
	return commit(writer, what, &m.snapshot, buf_span(&state), e);
}

/*
 * What the snapshot replaced gives its memory back, and the first restore finds its image made.
 * It is made from the store, not from the stream: so every page is read and authenticated once
 * before anybody relies on the snapshot. The machine runs on meanwhile.
 */
static int settle(struct store *store, const struct snap_vm *what, struct err *e)
{
	AUTO(store_reader) struct store_reader *reader = NULL;
	AUTO(arena) struct arena a = {0};
	struct vm_snapshot snapshot = {0};
	struct vm_needs needs = {0};
	uint64_t freed = 0;
	int r;

	/* What cannot be swept now, gc sweeps, and says so. */
	if (what->replace && flow_sweep_ram(store, &freed, NULL))
		freed = 0;
	r = store_reader_open(store, what->name, &reader, e);
	if (!r)
		r = rec_decode(store_reader_state(reader), &vm_snapshot_type, &a, &snapshot, e);
	if (!r)
		r = vm_peek(snapshot.machine, &a, &needs, e);
	if (!r)
		ram_image_prepare(store, reader, snapshot.machine, needs.ram_bytes);
	return r;
}

int flow_snap_vm(struct store *store, const struct snap_vm *what, struct snap_vm_result *result,
                 struct err *e)
{
	const struct store_options options = {.replace = what->replace,
	                                      .is_public = what->is_public,
	                                      .compression = what->compression};
	AUTO(store_writer) struct store_writer *writer = NULL;
	uint64_t start = os_clock_ns(CLOCK_MONOTONIC);
	struct control_message answer = {.n_fds = 0};
	int ends[2], r = store_name_check(what->name, e);

	if (!r)
		r = store_writer_begin(store, "vm", &options, &writer, e);
	if (r)
		return r;
	if (pipe2(ends, O_CLOEXEC))
		return err_set(e, -errno, "pipe");
	/* A larger pipe means fewer switches between the copy and us; it works with any size. */
	fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
	r = ask_for_snapshot(what->socket, ends[1], &answer, e);
	/* From here on only the copy can write: its end is the stream's. */
	close(ends[1]);
	if (!r)
		r = store_machine(store, what, writer, ends[0], &answer, result, e);
	close(ends[0]);
	control_message_close(&answer);
	if (!r)
		r = settle(store, what, e);
	result->total_ns = os_clock_ns(CLOCK_MONOTONIC) - start;
	return r;
}

/* ---- opening ------------------------------------------------------------------------------ */

static int by_first(const void *a, const void *b)
{
	const struct vm_run *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

/* The pages of a disk's record, where @write takes them. */
static int unpack_disk(struct disk_rec *rec, struct page_source *pages,
                       int (*write)(void *arg, uint64_t at, const uint8_t *data, size_t len),
                       void *arg, struct err *e)
{
	uint8_t data[BATCH_PAGES * PAGE_BYTES];
	int r = 0;

	/* In the order in which the pages are stored: each frame is opened once. */
	if (rec->runs.count)
		qsort(rec->runs.items, rec->runs.count, sizeof(struct vm_run), by_first);
	LIST_EACH(&rec->runs, const struct vm_run, run) {
		if (run->first > pages->n_pages || run->count > pages->n_pages - run->first)
			return err_say(e, -EBADMSG, "pages of disk %s are missing", rec->base);
		for (uint64_t done = 0; done < run->count;) {
			uint64_t n = MIN(run->count - done, BATCH_PAGES);
			uint64_t at = (run->page + done) * PAGE_BYTES;

			r = pages->read(pages, run->first + done, (size_t)n, data, e);
			if (r)
				return r;
			r = write(arg, at, data, (size_t)MIN(n * PAGE_BYTES, rec->bytes - at));
			if (r)
				return err_set(e, r, "disk %s", rec->base);
			done += n;
		}
	}
	return 0;
}

static int to_overlay(void *arg, uint64_t at, const uint8_t *data, size_t len)
{
	struct disk *d = arg;

	return d->write(d, at, data, len);
}

static int to_file(void *arg, uint64_t at, const uint8_t *data, size_t len)
{
	return os_pwrite_all(*(int *)arg, data, len, at);
}

/* The file of the store's own disk, made from the snapshot's pages if it is not there. */
static int restore_own(struct store *store, struct disk_rec *rec, struct page_source *pages,
                       struct arena *a, const char **path, struct err *e)
{
	AUTO(text) char *file = own_disk_path(store, rec->base);
	AUTO(fd) int fd = -1;
	int r;

	*path = arena_text(a, file);
	if (!access(file, F_OK))
		return 0;
	if (!rec->runs.count)
		return err_say(e, -ENOENT,
		               "its disk %s is gone; a run of the snapshot that it was started "
		               "from, as another distro, makes it again",
		               file);
	fd = own_disk_begin(store, e);
	if (fd < 0)
		return fd;
	if (ftruncate(fd, (off_t)rec->bytes))
		return err_set(e, -errno, "disk %s", file);
	r = unpack_disk(rec, pages, to_file, &fd, e);
	return r ? r : own_disk_commit(store, fd, rec->base, e);
}

static int restore_disk(struct store *store, struct disk_rec *rec, struct arena *a,
                        struct page_source *pages, struct control_disk *out, struct err *e)
{
	int fd, r = 0;

	out->base = rec->base;
	if (!strcmp(rec->kind, "own"))
		r = restore_own(store, rec, pages, a, &out->base, e);
	if (r)
		return r;
	out->disk = open_frozen(out->base, NULL, 0, e);
	if (!out->disk)
		return e->code;
	if (out->disk->bytes != rec->bytes)
		return err_say(e, -ESTALE,
		               "disk %s had %llu bytes when the snapshot was taken and "
		               "has %llu now",
		               rec->base, (unsigned long long)rec->bytes,
		               (unsigned long long)out->disk->bytes);
	if (strcmp(rec->kind, "cow"))
		return 0;
	fd = temporary_overlay(e);
	if (fd < 0)
		return fd;
	out->disk = disk_open_overlay(out->disk, fd, false, e);
	if (!out->disk)
		return e->code;
	return unpack_disk(rec, pages, to_overlay, out->disk, e);
}

/* What is of the image of RAM. */
static void forget_guess(struct opened_vm *o)
{
	o->digest[0] = '\0';
	vm_destroy(o->begun);
	o->begun = NULL;
	os_close(&o->ram_fd);
	code_image_close(o);
}

static int open_parts(struct store *store, struct store_reader *reader, struct opened_vm *o,
                      struct err *e)
{
	const struct store_meta *meta = store_reader_meta(reader);
	const char *at = store_meta_label(meta, "machine.state");
	const char *base = store_meta_label(meta, "machine.base");
	const char *from = store_meta_label(meta, "machine.from");
	uint64_t guessed_bytes = o->needs.ram_bytes;
	struct vm_snapshot snapshot;
	AUTO(fd) int dir = -1;
	int r;

	o->at_barrier = at && !strcmp(at, "barrier");
	o->id = arena_text(&o->arena, meta->id);
	o->base = base ? arena_text(&o->arena, base) : NULL;
	o->from = from ? arena_text(&o->arena, from) : NULL;
	if (strcmp(store_reader_meta(reader)->kind, "vm"))
		return err_say(e, -EINVAL, "this is a snapshot of kind \"%s\", not of a machine",
		               store_reader_meta(reader)->kind);
	r = rec_decode(store_reader_state(reader), &vm_snapshot_type, &o->arena, &snapshot, e);
	if (!r)
		r = vm_peek(snapshot.machine, &o->arena, &o->needs, e);
	if (r)
		return r;
	if (o->digest[0] &&
	    (strcmp(o->digest, ram_image_digest(reader)) || guessed_bytes != o->needs.ram_bytes))
		forget_guess(o);
	LIST_EACH(&snapshot.disks, struct disk_rec, d) {
		r = restore_disk(store, d, &o->arena, store_reader_source(reader),
		                 &o->disk[o->n_disks++], e);
		if (r)
			return r;
	}
	if (o->digest[0])
		return 0;
	o->ram_fd = ram_image_open(store, reader, snapshot.machine, o->needs.ram_bytes, e);
	if (o->ram_fd < 0)
		return o->ram_fd;
	dir = ram_image_dir(store);
	if (dir >= 0)
		code_image_open(dir, ram_image_digest(reader), o);
	return 0;
}

int flow_open_vm(struct store *store, const char *name, struct opened_vm *out, struct err *e)
{
	AUTO(store_reader) struct store_reader *reader = NULL;
	int r = store_reader_open(store, name, &reader, e);

	if (!r)
		r = open_parts(store, reader, out, e);
	if (r) {
		opened_vm_finish(out);
		return err_wrap(e, r, "%s", name);
	}
	return 0;
}

void opened_vm_begin(struct opened_vm *o)
{
	if (o->begun || o->arrives)
		return;
	o->begun = vm_begin(&(struct vm_config){.ram_bytes = o->needs.ram_bytes,
	                                        .ram_fd = o->ram_fd,
	                                        .code = o->code,
	                                        .code_log = o->code_log});
}

void flow_guess_vm(const char *const *names, size_t n, struct opened_vm *out)
{
	struct store_guess guess;
	AUTO(fd) int dir = -1;

	if (!store_guess(names, n, &guess))
		return;
	out->ram_fd = ram_image_find(guess.root, guess.digest, &dir, &out->needs.ram_bytes);
	free(guess.root);
	if (out->ram_fd < 0)
		return;
	memcpy(out->digest, guess.digest, sizeof(out->digest));
	code_image_open(dir, guess.digest, out);
}

void opened_vm_finish(struct opened_vm *o)
{
	for (unsigned i = 0; i < o->n_disks; i++)
		disk_close(o->disk[i].disk);
	o->n_disks = 0;
	forget_guess(o);
	if (o->arrives) {
		os_close(&o->board_fd);
		os_close(&o->line);
		o->arrives = false;
	}
	arena_finish(&o->arena);
}
