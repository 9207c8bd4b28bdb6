/* SPDX-License-Identifier: MIT */
/*
 * Address spaces, in three steps: map everything, fill what has content, then give the mappings
 * what only a filled one can get: protection, locks, guards, seals.
 *
 * Filling goes on beside the rest of the restore: as soon as an address space is mapped it is a
 * job for the fillers, threads of ours that write pages with process_vm_writev(2) into mappings
 * that are writable meanwhile. Who needs it filled waits for it, and fills too while it waits.
 * States are restored last task first, so the newest job is done first.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/prctl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "engine/engine-int.h"
#include "os/abi.h"

#define CHUNK_PAGES 64u /* whole frames of the store, and few enough for the L2 cache */
#define THREADS_MAX 8
#define THREAD_PAGES 128u /* as long as they wait, one more filler is worth its start */

/* A remote scope with the calls that must succeed, and what to say if one does not. */
struct builder {
	struct restore *r;
	struct remote *in;
	struct {
		size_t call;
		uint64_t address;
		const char *what;
	} checks[1000];
	size_t n_checks;
	/* Descriptors of files in the stub. */
	struct sent_file {
		uint32_t inode;
		bool writable;
	} sent[SEND_FDS_MAX];
	int there[SEND_FDS_MAX];
	size_t n_sent;
};

static int flush(struct builder *b, struct err *e)
{
	int ret = remote_run(b->in, e);

	for (size_t i = 0; !ret && i < b->n_checks; i++) {
		int64_t result = remote_result(b->in, b->checks[i].call);

		if (result < 0 && result > -4096)
			ret = err_set(e, (int)result, "%s at %" PRIx64, b->checks[i].what,
			              b->checks[i].address);
	}
	b->n_checks = 0;
	return ret;
}

/* Make room for one more call. */
static int room(struct builder *b, size_t data, struct err *e)
{
	if (b->n_checks + 1 < ARRAY_LEN(b->checks) && remote_has_room(b->in, 1, data))
		return 0;
	return flush(b, e);
}

#define CALL(b, e, what_, address_, nr, ...)                                                       \
	do {                                                                                       \
		int room_ = room((b), 0, (e));                                                     \
		if (room_ < 0)                                                                     \
			return room_;                                                              \
		(b)->checks[(b)->n_checks].call = REMOTE_QUEUE((b)->in, (nr), __VA_ARGS__);        \
		(b)->checks[(b)->n_checks].address = (address_);                                   \
		(b)->checks[(b)->n_checks++].what = (what_);                                       \
	} while (0)

/* ---- mapping ----------------------------------------------------------------------------- */

static int find_sent(const struct builder *b, uint32_t inode, bool writable)
{
	for (size_t i = 0; i < b->n_sent; i++)
		if (b->sent[i].inode == inode && b->sent[i].writable == writable)
			return (int)i;
	return -1;
}

static void want_file(struct builder *b, uint32_t inode, bool writable)
{
	if (b->n_sent < SEND_FDS_MAX && find_sent(b, inode, writable) < 0)
		b->sent[b->n_sent++] = (struct sent_file){inode, writable};
}

static int send_wanted(struct builder *b, struct err *e)
{
	int local[SEND_FDS_MAX], ret = 0;
	size_t n = 0;

	for (; !ret && n < b->n_sent; n++) {
		local[n] = -1;
		ret = restore_inode_open(b->r, b->sent[n].inode,
		                         b->sent[n].writable ? O_RDWR : O_RDONLY, &local[n], e);
	}
	if (!ret)
		ret = restore_send_fds(b->r, b->in, local, n, b->there, e);
	while (n)
		os_close(&local[--n]);
	return ret;
}

/*
 * The number of a file in the stub. One that is not there yet comes with all that the mappings
 * from @v on need, as many as fit into one message.
 */
static int file_there(struct builder *b, const struct mm_rec *mm, const struct vma_rec *v,
                      uint32_t inode, bool writable, int *there, struct err *e)
{
	const struct vma_rec *end = LIST_AT(&mm->vmas, struct vma_rec, mm->vmas.count);
	int at = find_sent(b, inode, writable), ret = 0;

	if (at < 0) {
		if (b->n_sent)
			CALL(b, e, "close", 0, SYS_close_range, U(0), U(b->r->transport_there - 1),
			     U(0));
		b->n_sent = 0;
		want_file(b, inode, writable);
		for (; v < end; v++)
			if (v->kind == VMA_INODE)
				want_file(b, v->inode, v->writable_file);
		if (mm->exe)
			want_file(b, mm->exe, false);
		ret = flush(b, e);
		if (!ret)
			ret = send_wanted(b, e);
		at = 0;
	}
	if (!ret)
		*there = b->there[at];
	return ret;
}

static bool needs_filling(const struct vma_rec *v)
{
	return v->runs.count != 0;
}

/* While it is filled. */
static int first_prot(const struct vma_rec *v)
{
	return v->prot | (needs_filling(v) ? PROT_READ | PROT_WRITE : 0);
}

/* Neighbours that the kernel would make one mapping of. */
static bool maps_as_one(const struct vma_rec *a, const struct vma_rec *b)
{
	return a->kind == VMA_ANON && b->kind == VMA_ANON && !a->shared && !b->shared &&
	       a->end == b->start && a->flags == b->flags && first_prot(a) == first_prot(b) &&
	       !(a->flags & (PROC_VM_GROWSDOWN | PROC_VM_DROPPABLE));
}

/* @v and those that follow it up to @end, which is the end of the last. */
static int map_one(struct builder *b, const struct mm_rec *mm, const struct vma_rec *v,
                   uint64_t end, struct err *e)
{
	static const struct {
		uint32_t flag;
		int advice;
	} advices[] = {
		{PROC_VM_DONTCOPY, MADV_DONTFORK},     {PROC_VM_DONTDUMP, MADV_DONTDUMP},
		{PROC_VM_WIPEONFORK, MADV_WIPEONFORK}, {PROC_VM_HUGEPAGE, MADV_HUGEPAGE},
		{PROC_VM_NOHUGEPAGE, MADV_NOHUGEPAGE}, {PROC_VM_MERGEABLE, MADV_MERGEABLE},
		{PROC_VM_RANDOM, MADV_RANDOM},         {PROC_VM_SEQUENTIAL, MADV_SEQUENTIAL},
	};
	uint64_t len = end - v->start;
	int flags = MAP_FIXED_NOREPLACE | (v->shared ? MAP_SHARED : MAP_PRIVATE);
	int there = -1, ret;

	if (v->kind == VMA_ANON)
		flags |= MAP_ANONYMOUS;
	if (v->flags & PROC_VM_NORESERVE)
		flags |= MAP_NORESERVE;
	if (v->flags & PROC_VM_GROWSDOWN)
		flags |= MAP_GROWSDOWN;
	if (v->flags & PROC_VM_DROPPABLE)
		flags = (flags & ~MAP_PRIVATE) | MAP_DROPPABLE;
	if (v->kind == VMA_INODE) {
		ret = file_there(b, mm, v, v->inode, v->writable_file, &there, e);
		if (ret < 0)
			return ret;
	}
	CALL(b, e, "mapping", v->start, SYS_mmap, v->start, len, U(first_prot(v)), U(flags),
	     U(there), v->offset);
	for (size_t i = 0; i < ARRAY_LEN(advices); i++)
		/* A droppable mapping has these by nature. */
		if (v->flags & advices[i].flag && !(v->flags & PROC_VM_DROPPABLE))
			CALL(b, e, "madvise", v->start, SYS_madvise, v->start, len,
			     U(advices[i].advice));
	return 0;
}

static int place_vdso(struct builder *b, const struct mm_rec *mm, struct err *e)
{
	struct restore *r = b->r;

	LIST_EACH(&mm->vmas, struct vma_rec, v) {
		uint64_t from = v->kind == VMA_VDSO          ? r->vdso_start
		                : v->kind == VMA_VVAR        ? r->vvar_start
		                : v->kind == VMA_VVAR_VCLOCK ? r->vclock_start
		                                             : 0;
		uint64_t len = v->kind == VMA_VDSO   ? r->vdso_bytes
		               : v->kind == VMA_VVAR ? r->vvar_bytes
		                                     : r->vclock_bytes;

		if (v->kind < VMA_VDSO)
			continue;
		if (!from || len != v->end - v->start)
			return err_say(
				e, OBSTACLE,
				"this kernel's vdso is laid out in another way than the one the "
				"snapshot was taken on (%s)",
				r->image->kernel);
		CALL(b, e, "vdso", v->start, SYS_mremap, from, len, len,
		     U(MREMAP_MAYMOVE | MREMAP_FIXED), v->start);
	}
	return 0;
}

static int set_layout(struct builder *b, const struct mm_rec *mm, struct err *e)
{
	struct prctl_mm_map map = {
		.start_code = mm->start_code,
		.end_code = mm->end_code,
		.start_data = mm->start_data,
		.end_data = mm->end_data,
		.start_brk = mm->start_brk,
		.brk = mm->brk,
		.start_stack = mm->start_stack,
		.arg_start = mm->arg_start,
		.arg_end = mm->arg_end,
		.env_start = mm->env_start,
		.env_end = mm->env_end,
		.auxv_size = (uint32_t)mm->auxv.len,
		.exe_fd = (uint32_t)-1,
	};
	int there, ret;

	if (mm->exe) {
		ret = file_there(b, mm, LIST_AT(&mm->vmas, struct vma_rec, mm->vmas.count), mm->exe,
		                 false, &there, e);
		if (ret)
			return ret;
		map.exe_fd = (uint32_t)there;
	}
	ret = room(b, mm->auxv.len + sizeof(map) + 16, e);
	if (ret < 0)
		return ret;
	map.auxv = (void *)(uintptr_t)remote_in(b->in, mm->auxv.data, mm->auxv.len);
	CALL(b, e, "layout (PR_SET_MM_MAP)", 0, SYS_prctl, U(PR_SET_MM), U(PR_SET_MM_MAP),
	     remote_in(b->in, &map, sizeof(map)), U(sizeof(map)), U(0));
	return 0;
}

static int map_mm(struct builder *b, const struct mm_rec *mm, struct err *e)
{
	const struct vma_rec *v = mm->vmas.items, *end = v + mm->vmas.count;
	int ret = 0;

	while (!ret && v < end) {
		const struct vma_rec *last = v;

		while (last + 1 < end && maps_as_one(last, last + 1))
			last++;
		if (v->kind == VMA_ANON || v->kind == VMA_INODE)
			ret = map_one(b, mm, v, last->end, e);
		v = last + 1;
	}
	if (!ret)
		ret = place_vdso(b, mm, e);
	if (!ret)
		ret = set_layout(b, mm, e);
	if (ret < 0)
		return ret;
	CALL(b, e, "munmap", b->r->parked.at, SYS_munmap, b->r->parked.at, U(64 * 1024));
	CALL(b, e, "close", 0, SYS_close_range, U(0), U(b->r->transport_there - 1), U(0));
	return flush(b, e);
}

/* ---- finishing --------------------------------------------------------------------------- */

static int finish_one(struct builder *b, const struct vma_rec *v, struct err *e)
{
	uint64_t len = v->end - v->start;
	int ret;

	if (v->pkey)
		CALL(b, e, "pkey_mprotect", v->start, SYS_pkey_mprotect, v->start, len, U(v->prot),
		     U(v->pkey));
	else if (needs_filling(v) && (v->prot | PROT_READ | PROT_WRITE) != v->prot)
		CALL(b, e, "mprotect", v->start, SYS_mprotect, v->start, len, U(v->prot));
	if (*v->name) {
		ret = room(b, strlen(v->name) + 1, e);
		if (ret < 0)
			return ret;
		CALL(b, e, "name of a mapping", v->start, SYS_prctl, U(PR_SET_VMA),
		     U(PR_SET_VMA_ANON_NAME), v->start, len,
		     remote_in(b->in, v->name, strlen(v->name) + 1));
	}
	if (v->flags & PROC_VM_LOCKED)
		CALL(b, e, "mlock", v->start, SYS_mlock2, v->start, len,
		     U(v->flags & PROC_VM_LOCKONFAULT ? 1 : 0));
	LIST_EACH(&v->guards, struct range_rec, g)
		CALL(b, e, "guard", g->at, SYS_madvise, g->at, g->bytes, U(MADV_GUARD_INSTALL));
	return 0;
}

/* Protection keys are given out lowest first: take them up to ours, give back the others. */
static int alloc_pkeys(struct builder *b, const struct mm_rec *mm, struct err *e)
{
	uint64_t last = 0;

	for (unsigned key = 1; key < 16; key++)
		if (mm->pkeys >> key & 1)
			last = key;
	for (unsigned key = 1; key <= last; key++)
		CALL(b, e, "protection key", key, SYS_pkey_alloc, U(0), U(0));
	for (unsigned key = 1; key <= last; key++)
		if (!(mm->pkeys >> key & 1))
			CALL(b, e, "protection key", key, SYS_pkey_free, U(key));
	return 0;
}

static int finish_mm(struct builder *b, const struct mm_rec *mm, struct err *e)
{
	int ret = alloc_pkeys(b, mm, e);

	for (size_t i = 0; !ret && i < mm->vmas.count; i++)
		ret = finish_one(b, LIST_AT(&mm->vmas, struct vma_rec, i), e);
	if (ret < 0)
		return ret;
	if (mm->thp_disable)
		CALL(b, e, "PR_SET_THP_DISABLE", 0, SYS_prctl, U(PR_SET_THP_DISABLE), U(1),
		     U(mm->thp_disable & ~1u), U(0), U(0));
	if (mm->memory_merge)
		CALL(b, e, "PR_SET_MEMORY_MERGE", 0, SYS_prctl, U(PR_SET_MEMORY_MERGE), U(1), U(0),
		     U(0), U(0));
	if (mm->mdwe)
		CALL(b, e, "PR_SET_MDWE", 0, SYS_prctl, U(PR_SET_MDWE), U(mm->mdwe), U(0), U(0),
		     U(0));
	for (uint32_t bit = 1; bit && bit <= mm->membarrier; bit <<= 1)
		if (mm->membarrier & bit)
			CALL(b, e, "membarrier registration", bit, SYS_membarrier, U(bit), U(0),
			     U(0));
	if (mm->mlock_future)
		CALL(b, e, "mlockall", 0, SYS_mlockall, U(mm->mlock_future));
	LIST_EACH(&mm->vmas, struct vma_rec, v)
		if (v->flags & PROC_VM_SEALED)
			CALL(b, e, "mseal", v->start, SYS_mseal, v->start, v->end - v->start, U(0));
	return flush(b, e);
}

/* ---- in a process ------------------------------------------------------------------------ */

struct deed {
	struct builder b;
	const struct mm_rec *mm;
	int (*act)(struct builder *b, const struct mm_rec *mm, struct err *e);
};

static int act_in_mm(struct remote *in, void *arg, struct err *e)
{
	struct deed *deed = arg;

	deed->b.in = in;
	return deed->act(&deed->b, deed->mm, e);
}

static int in_mm(struct restore *r, struct rtask *t, struct err *e,
                 int (*act)(struct builder *, const struct mm_rec *, struct err *))
{
	struct deed *deed = xalloc(sizeof(*deed));
	int ret;

	deed->b.r = r;
	deed->mm = LIST_AT(&r->image->mms, struct mm_rec, t->rec->mm - 1);
	deed->act = act;
	ret = remote_with(&t->threads[0].tracee, &r->place, act_in_mm, deed, e);
	free(deed);
	return ret < 0 ? err_wrap(e, ret, "process %u", t->rec->pid) : 0;
}

/* ---- filling ----------------------------------------------------------------------------- */

/* Pages that follow each other in the snapshot, and where they go. */
struct piece {
	uint64_t first;
	size_t pages;
	const struct iovec *targets;
	size_t n_targets;
	bool anonymous; /* all of it goes to mappings that are zero as yet */
};

/* An address space to be filled. */
struct job {
	pid_t pid;
	struct piece *pieces;
	size_t n, next; /* those from next on are nobody's yet */
	size_t left;    /* not filled yet */
	bool finished;
};

struct filler {
	struct restore *r;
	struct job *jobs;   /* by mm id - 1 */
	struct job **stack; /* with pieces that are nobody's */
	size_t n_stack;
	size_t waiting_pages; /* of these */
	pthread_t threads[THREADS_MAX];
	size_t n_threads, max_threads;

	pthread_mutex_t lock;
	pthread_cond_t more, filled;
	bool end;
	int result; /* of the first failure, and its sentence */
	struct err error;
};

static int fill_piece(struct filler *f, pid_t pid, const struct piece *p, uint8_t *chunk,
                      struct err *e)
{
	struct iovec here = {chunk, p->pages * PAGE_BYTES};
	struct page_source *pages = f->r->pages;
	ssize_t n;
	int ret;

	if (p->anonymous && pages->is_zero && pages->is_zero(pages, p->first, p->pages))
		return 0;
	ret = pages->read(pages, p->first, p->pages, chunk, e);
	if (ret < 0)
		return ret;
	n = process_vm_writev(pid, &here, 1, p->targets, p->n_targets, 0);
	if (n != (ssize_t)here.iov_len)
		return err_set(e, n < 0 ? -errno : -EFAULT, "memory at %" PRIx64,
		               (uint64_t)(uintptr_t)p->targets->iov_base);
	return 0;
}

/* One piece of the newest job, if any is nobody's. Under the lock, which it leaves for a while. */
static bool fill_some(struct filler *f, uint8_t *chunk)
{
	struct err e = {0};
	struct piece *p;
	struct job *job;
	int ret;

	if (!f->n_stack || f->result)
		return false;
	job = f->stack[f->n_stack - 1];
	p = &job->pieces[job->next++];
	f->waiting_pages -= p->pages;
	if (job->next == job->n)
		f->n_stack--;
	pthread_mutex_unlock(&f->lock);
	ret = fill_piece(f, job->pid, p, chunk, &e);
	pthread_mutex_lock(&f->lock);
	if (ret < 0 && !f->result) {
		f->result = ret;
		f->error = e;
	}
	if (!--job->left || ret < 0)
		pthread_cond_broadcast(&f->filled);
	return true;
}

static void *fill_thread(void *arg)
{
	uint8_t *chunk = xalloc((size_t)CHUNK_PAGES * PAGE_BYTES);
	struct filler *f = arg;

	pthread_mutex_lock(&f->lock);
	while (!f->end)
		if (!fill_some(f, chunk))
			pthread_cond_wait(&f->more, &f->lock);
	pthread_mutex_unlock(&f->lock);
	free(chunk);
	return NULL;
}

/* On the CPUs that building leaves free. */
static int start_thread(struct filler *f)
{
	pthread_attr_t attr;
	cpu_set_t others;
	int r;

	pthread_attr_init(&attr);
	if (restore_other_cpus(f->r, &others))
		pthread_attr_setaffinity_np(&attr, sizeof(others), &others);
	r = pthread_create(&f->threads[f->n_threads], &attr, fill_thread, f);
	pthread_attr_destroy(&attr);
	return r;
}

static int wait_filled(struct filler *f, const struct job *job, struct err *e)
{
	uint8_t *chunk = NULL;
	int ret;

	pthread_mutex_lock(&f->lock);
	while (job->left && !f->result) {
		if (!chunk)
			chunk = xalloc((size_t)CHUNK_PAGES * PAGE_BYTES);
		if (!fill_some(f, chunk))
			pthread_cond_wait(&f->filled, &f->lock);
	}
	ret = f->result;
	if (ret < 0 && e)
		*e = f->error;
	pthread_mutex_unlock(&f->lock);
	free(chunk);
	return ret;
}

/* Cut into pieces: each in one chunk of the snapshot, so that no frame is opened twice. */
static void cut_job(struct restore *r, struct job *job, const struct mm_rec *mm)
{
	struct iovec *targets, *target;
	struct piece *p = NULL;
	size_t most = 0;

	LIST_EACH(&mm->vmas, struct vma_rec, v)
		LIST_EACH(&v->runs, struct run_rec, run)
			most += (size_t)run->pages / CHUNK_PAGES + 2;
	target = targets = ARENA_ARRAY(&r->arena, struct iovec, most);
	job->pieces = ARENA_ARRAY(&r->arena, struct piece, most);
	LIST_EACH(&mm->vmas, struct vma_rec, v)
		LIST_EACH(&v->runs, struct run_rec, run)
			for (uint64_t done = 0, pages; done < run->pages; done += pages) {
				uint64_t first = run->first + done;

				pages = MIN(run->pages - done, CHUNK_PAGES - first % CHUNK_PAGES);
				if (!p || p->first + p->pages != first || !(first % CHUNK_PAGES)) {
					p = &job->pieces[job->n++];
					*p = (struct piece){.first = first,
					                    .targets = target,
					                    .anonymous = true};
				}
				p->anonymous &= v->kind == VMA_ANON;
				p->pages += (size_t)pages;
				p->n_targets++;
				*target++ = (struct iovec){
					(void *)(uintptr_t)(run->at + done * PAGE_BYTES),
					(size_t)pages * PAGE_BYTES};
			}
	job->left = job->n;
}

static void add_job(struct filler *f, struct job *job)
{
	bool more;

	if (!job->n)
		return;
	pthread_mutex_lock(&f->lock);
	f->stack[f->n_stack++] = job;
	for (size_t i = 0; i < job->n; i++)
		f->waiting_pages += job->pieces[i].pages;
	more = f->waiting_pages > THREAD_PAGES * (f->n_threads + 1);
	pthread_cond_broadcast(&f->more);
	pthread_mutex_unlock(&f->lock);
	/* Without a thread we fill it ourselves, when we wait for it. */
	while (more && f->n_threads < f->max_threads && !start_thread(f))
		f->n_threads++;
}

static void start_filler(struct restore *r)
{
	struct filler *f = ARENA_NEW(&r->arena, struct filler);
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	f->r = r;
	f->jobs = ARENA_ARRAY(&r->arena, struct job, r->image->mms.count + 1);
	f->stack = ARENA_ARRAY(&r->arena, struct job *, r->image->mms.count + 1);
	/* We are one more. */
	f->max_threads = cpus > 1 ? MIN((size_t)cpus - 1, (size_t)THREADS_MAX) : 0;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->more, NULL);
	pthread_cond_init(&f->filled, NULL);
	r->filler = f;
}

void restore_memory_stop(struct restore *r)
{
	struct filler *f = r->filler;

	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	f->end = true;
	pthread_cond_broadcast(&f->more);
	pthread_mutex_unlock(&f->lock);
	while (f->n_threads)
		pthread_join(f->threads[--f->n_threads], NULL);
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->more);
	pthread_cond_destroy(&f->filled);
	r->filler = NULL;
}

/* ---- both ends ---------------------------------------------------------------------------- */

int restore_memory_begin(struct restore *r, struct err *e)
{
	int ret = 0;

	start_filler(r);
	for (size_t i = 0; !ret && i < r->n_tasks; i++) {
		struct rtask *t = &r->tasks[i];
		struct job *job = &r->filler->jobs[t->rec->mm ? t->rec->mm - 1 : 0];

		if (t->rec->state == TASK_ZOMBIE || job->pid)
			continue;
		job->pid = t->pid;
		cut_job(r, job, LIST_AT(&r->image->mms, struct mm_rec, t->rec->mm - 1));
		ret = in_mm(r, t, e, map_mm);
		if (!ret)
			add_job(r->filler, job);
	}
	return ret;
}

int restore_memory_finish(struct restore *r, struct rtask *t, struct err *e)
{
	struct job *job = &r->filler->jobs[t->rec->mm - 1];
	int ret;

	if (job->finished)
		return 0;
	job->finished = true;
	ret = wait_filled(r->filler, job, e);
	if (!ret)
		ret = FAULT(e, "restore-memory");
	return ret ? ret : in_mm(r, t, e, finish_mm);
}
