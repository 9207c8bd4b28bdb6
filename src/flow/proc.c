/* SPDX-License-Identifier: MIT */
/* Process snapshots: engine on one side, store on the other. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "flow/flow.h"
#include "os/os.h"

/* Digests of less than this are there before anybody could ask for them: 3 ms. */
#define UNSETTLED_BYTES (4u << 20)

/*
 * While tasks are frozen or half built, a signal to us must not end us in the middle of a
 * remote call; SIGCHLD is waited for. What was blocked comes back at the end.
 */
static void block_signals(sigset_t *before)
{
	sigset_t all;

	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGABRT);
	sigprocmask(SIG_BLOCK, &all, before);
}

static bool interrupted(void)
{
	sigset_t pending;

	sigpending(&pending);
	return sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM) ||
	       sigismember(&pending, SIGHUP);
}

static void count_tasks(const struct process_image *im, struct snap_proc_result *result)
{
	LIST_EACH(&im->tasks, struct task_rec, t) {
		result->tasks++;
		result->threads += t->threads.count;
	}
	result->pages = im->n_pages;
}

static void copy_obstacles(const struct dump *d, struct arena *a, struct list *out)
{
	LIST_EACH(dump_obstacles(d), struct obstacle, o)
		*LIST_ADD(out, a, struct obstacle) =
			(struct obstacle){.pid = o->pid, .text = arena_text(a, o->text)};
}

static int commit(struct store_writer *writer, const struct snap_proc *what,
                  const struct process_image *im, struct err *e)
{
	AUTO(buf) struct buf state = {0};
	char pid[16], tasks[16];
	const struct store_label labels[] = {
		{"command", im->command}, {"pid", pid},
		{"tasks", tasks},         {"host.kernel", im->kernel},
		{"profile", im->profile}, {"wslx", im->wslx},
	};
	const struct store_meta meta = {
		.created_ns = im->taken_ns, .labels = labels, .n_labels = ARRAY_LEN(labels)};

	/* Better said now than by the restore. */
	if (process_image_check(im, e) < 0)
		return err_wrap(e, e->code,
		                "this snapshot could not be restored, by a mistake of wslx");
	snprintf(pid, sizeof(pid), "%u", im->root);
	snprintf(tasks, sizeof(tasks), "%zu", im->tasks.count);
	rec_encode(&state, &process_image_type, im);
	return store_writer_commit(writer, what->name, buf_span(&state), &meta, e);
}

static int snap(struct dump *d, struct store_writer *writer, const struct snap_proc *what,
                struct err *e)
{
	int r = dump_pages(d, e);

	if (r < 0)
		return r;
	if (interrupted())
		return err_say(e, -EINTR, "interrupted: the program runs on");
	/* A program that goes on need not wait for the disk; one that ends must. */
	if (!what->stop)
		dump_thaw(d);
	r = commit(writer, what, dump_image(d), e);
	if (!r && what->stop)
		dump_kill(d);
	return r;
}

int flow_snap_proc(struct store *store, const struct snap_proc *what,
                   struct snap_proc_result *result, struct err *e)
{
	const struct store_options options = {
		.replace = what->replace, .unsettled_bytes = UNSETTLED_BYTES, .may_load = true};
	AUTO(store_writer) struct store_writer *writer = NULL;
	uint64_t start = os_clock_ns(CLOCK_MONOTONIC);
	struct err unheard = {0};
	struct dump *d = NULL;
	sigset_t before;
	int r = store_name_check(what->name, e);

	if (!r)
		r = store_writer_begin(store, "proc", &options, &writer, e);
	if (r < 0)
		return r;
	block_signals(&before);
	r = dump_begin(what->pid, what->profile, store_writer_sink(writer), &d, e);
	if (!r)
		r = snap(d, writer, what, e);
	else if (r == OBSTACLE)
		copy_obstacles(d, &result->arena, &result->obstacles);
	if (d) {
		dump_thaw(d);
		count_tasks(dump_image(d), result);
		result->frozen_ns = dump_frozen_ns(d);
	}
	dump_finish(d);
	sigprocmask(SIG_SETMASK, &before, NULL);
	/* The snapshot is safe. If nobody can be found to settle it, gc will do it. */
	if (!r && store_writer_left_unsettled(writer))
		(void)!store_settle_detached(store, &unheard);
	result->total_ns = os_clock_ns(CLOCK_MONOTONIC) - start;
	return r;
}

void snap_proc_result_finish(struct snap_proc_result *result)
{
	arena_finish(&result->arena);
}

/* ---- asking ------------------------------------------------------------------------------- */

/* Are we below this process? */
static bool is_ancestor(pid_t pid)
{
	pid_t at = getpid();

	while (at > 0 && at != pid) {
		struct proc_stat stat;
		char path[32];

		snprintf(path, sizeof(path), "/proc/%d/stat", at);
		if (os_read_stat_at(AT_FDCWD, path, &stat, NULL) < 0)
			return false;
		at = stat.ppid;
	}
	return at == pid;
}

int flow_ask_proc(pid_t pid, struct asked_proc *out, struct err *e)
{
	struct dump *d = NULL;
	sigset_t before;
	int r;

	*out = (struct asked_proc){0};
	if (is_ancestor(pid))
		return err_say(e, -EDEADLK, "we are in that tree ourselves");
	block_signals(&before);
	r = dump_begin(pid, PROFILE_MINIMAL, NULL, &d, e);
	if (d) {
		dump_thaw(d);
		copy_obstacles(d, &out->arena, &out->obstacles);
	}
	dump_finish(d);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (!r || r == -ESRCH)
		return r;
	/* One that was met before the tree stood still is not in the list. */
	if (!out->obstacles.count)
		*LIST_ADD(&out->obstacles, &out->arena, struct obstacle) =
			(struct obstacle){.pid = pid, .text = arena_text(&out->arena, e->text)};
	return 0;
}

void asked_proc_finish(struct asked_proc *asked)
{
	arena_finish(&asked->arena);
}

/* ---- loading ------------------------------------------------------------------------------ */

int flow_load_proc(struct store *store, const char *name, struct loaded_proc *out, struct err *e)
{
	struct loaded_proc l = {0};
	int r = store_reader_open(store, name, &l.reader, e);

	if (!r && strcmp(store_reader_meta(l.reader)->kind, "proc"))
		r = err_say(e, -EINVAL, "%s is a snapshot of kind \"%s\", not of a process", name,
		            store_reader_meta(l.reader)->kind);
	if (!r)
		r = rec_decode(store_reader_state(l.reader), &process_image_type, &l.arena,
		               &l.image, e);
	if (!r && l.image.n_pages != store_reader_source(l.reader)->n_pages)
		r = err_say(e, -EBADMSG, "its state speaks of other pages than it has");
	if (r < 0) {
		loaded_proc_finish(&l);
		return err_wrap(e, r, "snapshot %s", name);
	}
	*out = l;
	return 0;
}

void loaded_proc_finish(struct loaded_proc *l)
{
	store_reader_close(l->reader);
	arena_finish(&l->arena);
	*l = (struct loaded_proc){0};
}

static int keep_claim(void *claim, struct err *e)
{
	return store_claim_keep(claim, e);
}

int flow_restore_proc(struct store *store, const struct restore_proc *what, struct restored *out,
                      struct err *e)
{
	AUTO(loaded_proc) struct loaded_proc l = {0};
	AUTO(store_claim) struct store_claim *claim = NULL;
	struct restore_options options = what->options;
	sigset_t before;
	int r = flow_load_proc(store, what->name, &l, e);

	if (!r)
		r = store_claim(store, store_reader_meta(l.reader), what->clone, &claim, e);
	if (r == -EALREADY)
		r = e->code = OBSTACLE;
	if (r < 0)
		return r;
	options.about_to_run = keep_claim;
	options.arg = claim;
	block_signals(&before);
	r = restore_run(&l.image, store_reader_source(l.reader), &options, out, e);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return r < 0 ? err_wrap(e, r, "restore %s", what->name) : 0;
}

/* ---- diff --------------------------------------------------------------------------------- */

static const struct run_rec *run_at(const struct list *runs, uint64_t at)
{
	LIST_EACH(runs, struct run_rec, run)
		if (at >= run->at && at < run->at + run->pages * PAGE_BYTES)
			return run;
	return NULL;
}

/* The page at an address; zeros where the snapshot has none. */
static int read_page(struct loaded_proc *l, const struct list *runs, uint64_t at, uint8_t *page,
                     struct err *e)
{
	const struct run_rec *run = run_at(runs, at);
	struct page_source *source = store_reader_source(l->reader);

	memset(page, 0, PAGE_BYTES);
	if (!run)
		return 0;
	return source->read(source, run->first + (at - run->at) / PAGE_BYTES, 1, page, e);
}

static int diff_vma(struct loaded_proc *a, struct loaded_proc *b, const struct vma_rec *va,
                    const struct vma_rec *vb, uint64_t *differing, struct err *e)
{
	uint8_t pa[PAGE_BYTES], pb[PAGE_BYTES];

	for (int side = 0; side < 2; side++)
		LIST_EACH(side ? &vb->runs : &va->runs, struct run_rec, run)
			for (uint64_t i = 0; i < run->pages; i++) {
				uint64_t at = run->at + i * PAGE_BYTES;
				int r;

				if (side && run_at(&va->runs, at))
					continue; /* seen from the other side */
				r = read_page(a, &va->runs, at, pa, e);
				if (!r)
					r = read_page(b, &vb->runs, at, pb, e);
				if (r < 0)
					return r;
				*differing += memcmp(pa, pb, PAGE_BYTES) != 0;
			}
	return 0;
}

static const struct vma_rec *same_vma(const struct mm_rec *mm, const struct vma_rec *v)
{
	LIST_EACH(&mm->vmas, struct vma_rec, other)
		if (other->start == v->start && other->end == v->end)
			return other;
	return NULL;
}

static const struct task_rec *task_of(const struct process_image *im, uint32_t pid)
{
	LIST_EACH(&im->tasks, struct task_rec, t)
		if (t->pid == pid && t->mm)
			return t;
	return NULL;
}

static int diff_pages(struct loaded_proc *a, struct loaded_proc *b, struct buf *out,
                      size_t *differences, struct err *e)
{
	LIST_EACH(&a->image.tasks, struct task_rec, ta) {
		const struct task_rec *tb = task_of(&b->image, ta->pid);
		const struct mm_rec *ma, *mb;

		if (!ta->mm || !tb)
			continue;
		ma = LIST_AT(&a->image.mms, struct mm_rec, ta->mm - 1);
		mb = LIST_AT(&b->image.mms, struct mm_rec, tb->mm - 1);
		LIST_EACH(&ma->vmas, struct vma_rec, va) {
			const struct vma_rec *vb = same_vma(mb, va);
			uint64_t differing = 0;
			int r = vb ? diff_vma(a, b, va, vb, &differing, e) : 0;

			if (r < 0)
				return r;
			if (!differing)
				continue;
			buf_printf(out, "pages[%u] %llx-%llx: %llu of %llu differ\n", ta->pid,
			           (unsigned long long)va->start, (unsigned long long)va->end,
			           (unsigned long long)differing,
			           (unsigned long long)((va->end - va->start) / PAGE_BYTES));
			(*differences)++;
		}
	}
	return 0;
}

/* Where a page stands in the stream says nothing about the program. */
static void forget_page_numbers(struct process_image *im)
{
	im->n_pages = 0;
	LIST_EACH(&im->mms, struct mm_rec, mm)
		LIST_EACH(&mm->vmas, struct vma_rec, v)
			v->runs.count = 0;
	LIST_EACH(&im->inodes, struct inode_rec, inode)
		inode->runs.count = 0;
}

int flow_diff_proc(struct store *store, const char *name_a, const char *name_b, struct buf *out,
                   size_t *differences, struct err *e)
{
	AUTO(loaded_proc) struct loaded_proc a = {0};
	AUTO(loaded_proc) struct loaded_proc b = {0};
	AUTO(buf) struct buf pages = {0};
	int r = flow_load_proc(store, name_a, &a, e);

	*differences = 0;
	if (!r)
		r = flow_load_proc(store, name_b, &b, e);
	if (!r)
		r = diff_pages(&a, &b, &pages, differences, e);
	if (r < 0)
		return r;
	forget_page_numbers(&a.image);
	forget_page_numbers(&b.image);
	*differences += rec_diff(out, &process_image_type, &a.image, &b.image);
	buf_add(out, pages.data, pages.len);
	return 0;
}
