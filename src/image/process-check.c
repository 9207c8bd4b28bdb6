/* SPDX-License-Identifier: MIT */
/*
 * The check that makes the rest of the program believe a process image: after it, every id that a
 * record names exists, runs lie inside of what they fill and inside of the page stream, and numbers
 * that index something are in range.
 */
#include "image/process.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESS_END 0x800000000000 /* of user space with four levels of page tables */
#define PAGE_MASK_ (PAGE_BYTES - 1ull)

static int bad(struct err *e, const char *what, uint64_t id, const char *why)
{
	return err_say(e, -EBADMSG, "%s %" PRIu64 ": %s", what, id, why);
}

/* Ids count from 1 without a gap, so that a record is found by its id without a search. */
#define CHECK_IDS(list, type)                                                                      \
	for (size_t i_ = 0; i_ < (list)->count; i_++)                                              \
		if (LIST_AT(list, struct type, i_)->id != i_ + 1)                                  \
	return bad(e, #type, i_ + 1, "its id is out of order")

static int check_runs(const struct process_image *im, const struct list *runs, uint64_t start,
                      uint64_t end, const char *what, uint64_t id, struct err *e)
{
	uint64_t last = start;

	LIST_EACH(runs, struct run_rec, run) {
		if (run->at & PAGE_MASK_ || run->at < last || run->at > end || !run->pages ||
		    run->pages > (end - run->at + PAGE_MASK_) / PAGE_BYTES)
			return bad(e, what, id,
			           "a run of pages lies outside of it or out of order");
		if (run->first > im->n_pages || run->pages > im->n_pages - run->first)
			return bad(e, what, id, "names pages that the snapshot does not have");
		last = run->at + run->pages * PAGE_BYTES;
	}
	return 0;
}

static int check_vma(const struct process_image *im, const struct vma_rec *v, struct err *e)
{
	if (v->start & PAGE_MASK_ || v->end & PAGE_MASK_ || v->start >= v->end ||
	    v->end > ADDRESS_END || v->offset & PAGE_MASK_)
		return bad(e, "mapping", v->start, "its bounds make no sense");
	if (v->inode > im->inodes.count || (v->kind == VMA_INODE) != (v->inode != 0))
		return bad(e, "mapping", v->start, "names a file that is not there");
	if (v->kind != VMA_ANON && v->kind != VMA_INODE && v->runs.count)
		return bad(e, "mapping", v->start, "is the kernel's and has content");
	LIST_EACH(&v->guards, struct range_rec, g)
		if ((g->at | g->bytes) & PAGE_MASK_ || g->at < v->start || g->at > v->end ||
		    g->bytes > v->end - g->at)
			return bad(e, "mapping", v->start, "a guard lies outside of it");
	return check_runs(im, &v->runs, v->start, v->end, "mapping", v->start, e);
}

static int check_mm(const struct process_image *im, const struct mm_rec *mm, struct err *e)
{
	uint64_t last = 0;

	if (mm->exe > im->inodes.count)
		return bad(e, "address space", mm->id, "its program is not there");
	LIST_EACH(&mm->vmas, struct vma_rec, v) {
		int r = check_vma(im, v, e);

		if (r < 0)
			return r;
		if (v->start < last)
			return bad(e, "mapping", v->start, "overlaps another one");
		last = v->end;
	}
	return 0;
}

static int check_file(const struct process_image *im, const struct file_rec *f, struct err *e)
{
	size_t objects = SIZE_MAX;

	switch (f->kind) {
	case FILE_INODE:
	case FILE_DEVICE:
		if (!f->inode)
			return bad(e, "file", f->id, "names no inode");
		break;
	case FILE_PIPE:
	case FILE_FIFO:
		objects = im->pipes.count;
		break;
	case FILE_TTY:
		objects = im->ttys.count;
		break;
	case FILE_SOCKET:
		objects = im->socks.count;
		break;
	default:
		break;
	}
	if (f->inode > im->inodes.count)
		return bad(e, "file", f->id, "its inode is not there");
	if (objects != SIZE_MAX && (!f->object || f->object > objects))
		return bad(e, "file", f->id, "what it opens is not there");
	LIST_EACH(&f->epoll.targets, struct epoll_target_rec, t)
		if (!t->file || t->file > im->files.count)
			return bad(e, "file", f->id, "watches a file that is not there");
	LIST_EACH(&f->inotify.watches, struct watch_rec, w)
		if (!w->inode || w->inode > im->inodes.count)
			return bad(e, "file", f->id, "watches an inode that is not there");
	return 0;
}

static int check_siginfos(const struct list *l, uint64_t pid, struct err *e)
{
	LIST_EACH(l, struct siginfo_rec, s)
		if (s->info.len != 128)
			return bad(e, "task", pid, "a pending signal is malformed");
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const struct task_number *x = a, *y = b;

	return x->tid < y->tid ? -1 : x->tid > y->tid;
}

void task_numbers_init(struct task_numbers *out, const struct process_image *im)
{
	size_t n = im->tasks.count;
	uint32_t task = 0;

	LIST_EACH(&im->tasks, struct task_rec, t)
		n += t->threads.count;
	*out = (struct task_numbers){.items = xalloc(n * sizeof(*out->items))};
	LIST_EACH(&im->tasks, struct task_rec, t) {
		out->items[out->n++] = (struct task_number){t->pid, task, 0};
		for (uint32_t i = 1; i < t->threads.count; i++)
			out->items[out->n++] = (struct task_number){
				LIST_AT(&t->threads, struct thread_rec, i)->tid, task, i};
		task++;
	}
	if (out->n)
		qsort(out->items, out->n, sizeof(*out->items), by_number);
}

const struct task_number *task_numbers_find(const struct task_numbers *numbers, uint32_t tid)
{
	const struct task_number key = {.tid = tid};

	return numbers->n ? bsearch(&key, numbers->items, numbers->n, sizeof(key), by_number)
	                  : NULL;
}

void task_numbers_finish(struct task_numbers *numbers)
{
	free(numbers->items);
	*numbers = (struct task_numbers){0};
}

static int check_numbers(const struct task_numbers *numbers, struct err *e)
{
	for (size_t i = 0; i < numbers->n; i++) {
		uint32_t tid = numbers->items[i].tid;

		if (!tid || tid > INT32_MAX)
			return bad(e, "task", tid, "its number makes no sense");
		if (i && numbers->items[i - 1].tid == tid)
			return bad(e, "task", tid, "is there twice");
	}
	return 0;
}

/* Is the parent of a task there before it, and able to have children? */
static bool has_parent(const struct process_image *im, const struct task_numbers *numbers,
                       const struct task_rec *t, size_t index)
{
	const struct task_number *parent = task_numbers_find(numbers, t->ppid);

	return parent && !parent->thread && parent->task < index &&
	       LIST_AT(&im->tasks, struct task_rec, parent->task)->state != TASK_ZOMBIE;
}

static int check_task(const struct process_image *im, const struct task_numbers *numbers,
                      const struct task_rec *t, size_t index, struct err *e)
{
	if (!t->pgid || !t->sid)
		return bad(e, "task", t->pid, "its group or session makes no sense");
	if (t->ppid ? !has_parent(im, numbers, t, index) : t->pid != im->root)
		return bad(e, "task", t->pid, "its parent is not there before it");
	if (t->tty > im->ttys.count)
		return bad(e, "task", t->pid, "its terminal is not there");
	if (t->state == TASK_ZOMBIE)
		return t->threads.count ? bad(e, "task", t->pid, "a zombie with threads") : 0;
	if (!t->mm || t->mm > im->mms.count || !t->sighand || t->sighand > im->sighands.count)
		return bad(e, "task", t->pid, "its memory or signal actions are not there");
	if (!t->threads.count || LIST_AT(&t->threads, struct thread_rec, 0)->tid != t->pid)
		return bad(e, "task", t->pid, "its first thread is not its leader");
	LIST_EACH(&t->threads, struct thread_rec, th) {
		if (!th->table || th->table > im->tables.count || !th->fs || th->fs > im->fss.count)
			return bad(e, "thread", th->tid, "its files or directories are not there");
		if (check_siginfos(&th->pending, t->pid, e) < 0)
			return -EBADMSG;
	}
	return check_siginfos(&t->pending, t->pid, e);
}

static int check_tasks(const struct process_image *im, struct err *e)
{
	struct task_numbers numbers;
	size_t index = 0;
	int r;

	task_numbers_init(&numbers, im);
	r = check_numbers(&numbers, e);
	LIST_EACH(&im->tasks, struct task_rec, t)
		if (!r)
			r = check_task(im, &numbers, t, index++, e);
	task_numbers_finish(&numbers);
	return r;
}

int process_image_check(const struct process_image *im, struct err *e)
{
	int r = 0;

	if (im->version != PROCESS_IMAGE_VERSION)
		return err_say(e, -EBADMSG,
		               "the snapshot is of format version %u, this wslx reads version %u",
		               im->version, PROCESS_IMAGE_VERSION);
	CHECK_IDS(&im->mms, mm_rec);
	CHECK_IDS(&im->inodes, inode_rec);
	CHECK_IDS(&im->files, file_rec);
	CHECK_IDS(&im->tables, table_rec);
	CHECK_IDS(&im->fss, fs_rec);
	CHECK_IDS(&im->sighands, sighand_rec);
	CHECK_IDS(&im->pipes, pipe_rec);
	CHECK_IDS(&im->socks, sock_rec);
	CHECK_IDS(&im->ttys, tty_rec);
	LIST_EACH(&im->mms, struct mm_rec, mm) {
		r = check_mm(im, mm, e);
		if (r < 0)
			return r;
	}
	LIST_EACH(&im->inodes, struct inode_rec, inode) {
		r = check_runs(im, &inode->runs, 0, inode->size, "inode", inode->id, e);
		if (r < 0)
			return r;
	}
	LIST_EACH(&im->files, struct file_rec, f) {
		r = check_file(im, f, e);
		if (r < 0)
			return r;
	}
	LIST_EACH(&im->tables, struct table_rec, table) {
		uint32_t next = 0;

		LIST_EACH(&table->fds, struct fd_rec, fd) {
			if (fd->fd < next || fd->fd > INT32_MAX - 1 || !fd->file ||
			    fd->file > im->files.count)
				return bad(e, "descriptor", fd->fd,
				           "out of order or without a file");
			next = fd->fd + 1;
		}
	}
	LIST_EACH(&im->pipes, struct pipe_rec, p) {
		uint64_t sum = 0;

		LIST_EACH(&p->sizes, uint64_t, size)
			sum += MIN(*size, (uint64_t)UINT32_MAX);
		if (p->inode > im->inodes.count || (p->sizes.count && sum != p->data.len))
			return bad(e, "pipe", p->id, "its content makes no sense");
	}
	LIST_EACH(&im->socks, struct sock_rec, s)
		if (s->peer > im->socks.count)
			return bad(e, "socket", s->id, "its peer is not there");
	LIST_EACH(&im->locks, struct lock_rec, l)
		if (!l->file || l->file > im->files.count)
			return bad(e, "lock", l->file, "its file is not there");
	if (!im->tasks.count)
		return err_say(e, -EBADMSG, "the snapshot holds no task");
	return check_tasks(im, e);
}
