/* SPDX-License-Identifier: MIT */
/*
 * Address spaces, in three steps: map everything, fill what has content (several threads, all
 * tasks at once), then give the mappings what only a filled one can get: protection, locks,
 * guards, seals, the vdso in its place.
 *
 * Pages are written with process_vm_writev(2) into mappings that are writable meanwhile.
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

#define CHUNK_PAGES 256u
#define THREADS_MAX 8

/* A remote scope with the calls that must succeed, and what to say if one does not. */
struct builder {
	struct restore *r;
	struct remote in;
	struct {
		size_t call;
		uint64_t address;
		const char *what;
	} checks[1000];
	size_t n_checks;
	/* Descriptors of files in the stub, so that each goes there once. */
	struct {
		uint32_t inode;
		bool writable;
		int there;
	} open[64];
	size_t n_open;
};

static int flush(struct builder *b, struct err *e)
{
	int ret = remote_run(&b->in, e);

	for (size_t i = 0; !ret && i < b->n_checks; i++) {
		int64_t result = remote_result(&b->in, b->checks[i].call);

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
	if (b->n_checks + 1 < ARRAY_LEN(b->checks) && remote_has_room(&b->in, 1, data))
		return 0;
	return flush(b, e);
}

#define CALL(b, e, what_, address_, nr, ...)                                                       \
	do {                                                                                       \
		int room_ = room((b), 0, (e));                                                     \
		if (room_ < 0)                                                                     \
			return room_;                                                              \
		(b)->checks[(b)->n_checks].call = REMOTE_QUEUE(&(b)->in, (nr), __VA_ARGS__);       \
		(b)->checks[(b)->n_checks].address = (address_);                                   \
		(b)->checks[(b)->n_checks++].what = (what_);                                       \
	} while (0)

/* ---- mapping ----------------------------------------------------------------------------- */

static int send_inode(struct builder *b, uint32_t inode, bool writable, int *there, struct err *e)
{
	AUTO(fd) int fd = -1;
	int ret;

	for (size_t i = 0; i < b->n_open; i++)
		if (b->open[i].inode == inode && b->open[i].writable == writable) {
			*there = b->open[i].there;
			return 0;
		}
	ret = flush(b, e);
	if (!ret)
		ret = restore_inode_open(b->r, inode, writable ? O_RDWR : O_RDONLY, &fd, e);
	if (!ret && b->n_open == ARRAY_LEN(b->open)) {
		/* Many files: forget them all. */
		CALL(b, e, "close", 0, SYS_close_range, U(0), U(b->r->transport_there - 1), U(0));
		b->n_open = 0;
		ret = flush(b, e);
	}
	if (!ret)
		ret = restore_send_fds(b->r, &b->in, &fd, 1, there, e);
	if (ret < 0)
		return ret;
	b->open[b->n_open].inode = inode;
	b->open[b->n_open].writable = writable;
	b->open[b->n_open++].there = *there;
	return 0;
}

static bool needs_filling(const struct vma_rec *v)
{
	return v->runs.count != 0;
}

static int map_one(struct builder *b, const struct vma_rec *v, struct err *e)
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
	uint64_t len = v->end - v->start;
	int flags = MAP_FIXED_NOREPLACE | (v->shared ? MAP_SHARED : MAP_PRIVATE);
	int prot = v->prot, there = -1, ret;

	if (needs_filling(v))
		prot |= PROT_READ | PROT_WRITE;
	if (v->kind == VMA_ANON)
		flags |= MAP_ANONYMOUS;
	if (v->flags & PROC_VM_NORESERVE)
		flags |= MAP_NORESERVE;
	if (v->flags & PROC_VM_GROWSDOWN)
		flags |= MAP_GROWSDOWN;
	if (v->flags & PROC_VM_DROPPABLE)
		flags = (flags & ~MAP_PRIVATE) | MAP_DROPPABLE;
	if (v->kind == VMA_INODE) {
		ret = send_inode(b, v->inode, v->writable_file, &there, e);
		if (ret < 0)
			return ret;
	}
	CALL(b, e, "mapping", v->start, SYS_mmap, v->start, len, U(prot), U(flags), U(there),
	     v->offset);
	for (size_t i = 0; i < ARRAY_LEN(advices); i++)
		/* A droppable mapping has these by nature. */
		if (v->flags & advices[i].flag && !(v->flags & PROC_VM_DROPPABLE))
			CALL(b, e, "madvise", v->start, SYS_madvise, v->start, len,
			     U(advices[i].advice));
	return 0;
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
		     remote_in(&b->in, v->name, strlen(v->name) + 1));
	}
	if (v->flags & PROC_VM_LOCKED)
		CALL(b, e, "mlock", v->start, SYS_mlock2, v->start, len,
		     U(v->flags & PROC_VM_LOCKONFAULT ? 1 : 0));
	LIST_EACH(&v->guards, struct range_rec, g)
		CALL(b, e, "guard", g->at, SYS_madvise, g->at, g->bytes, U(MADV_GUARD_INSTALL));
	return 0;
}

static int place_vdso(struct builder *b, const struct mm_rec *mm, struct err *e)
{
	struct restore *r = b->r;

	LIST_EACH(&mm->vmas, struct vma_rec, v) {
		uint64_t from = v->kind == VMA_VDSO   ? r->vdso_start
				: v->kind == VMA_VVAR ? r->vvar_start
				: v->kind == VMA_VVAR_VCLOCK ? r->vclock_start
							     : 0;
		uint64_t len = v->kind == VMA_VDSO   ? r->vdso_bytes
			       : v->kind == VMA_VVAR ? r->vvar_bytes
						     : r->vclock_bytes;

		if (v->kind < VMA_VDSO)
			continue;
		if (!from || len != v->end - v->start)
			return err_say(e, OBSTACLE,
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
		.start_code = mm->start_code, .end_code = mm->end_code,
		.start_data = mm->start_data, .end_data = mm->end_data,
		.start_brk = mm->start_brk, .brk = mm->brk, .start_stack = mm->start_stack,
		.arg_start = mm->arg_start, .arg_end = mm->arg_end,
		.env_start = mm->env_start, .env_end = mm->env_end,
		.auxv_size = (uint32_t)mm->auxv.len, .exe_fd = (uint32_t)-1,
	};
	int there, ret;

	if (mm->exe) {
		ret = send_inode(b, mm->exe, false, &there, e);
		if (ret < 0)
			return ret;
		map.exe_fd = (uint32_t)there;
	}
	ret = flush(b, e);
	if (ret < 0)
		return ret;
	map.auxv = (void *)(uintptr_t)remote_in(&b->in, mm->auxv.data, mm->auxv.len);
	CALL(b, e, "layout (PR_SET_MM_MAP)", 0, SYS_prctl, U(PR_SET_MM), U(PR_SET_MM_MAP),
	     remote_in(&b->in, &map, sizeof(map)), U(sizeof(map)), U(0));
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
	if (!ret)
		ret = place_vdso(b, mm, e);
	if (!ret)
		ret = set_layout(b, mm, e);
	if (ret < 0)
		return ret;
	CALL(b, e, "munmap", b->r->parked.at, SYS_munmap, b->r->parked.at, U(64 * 1024));
	if (mm->thp_disable)
		CALL(b, e, "PR_SET_THP_DISABLE", 0, SYS_prctl, U(PR_SET_THP_DISABLE), U(1), U(mm->thp_disable & ~1u),
		     U(0), U(0));
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
	CALL(b, e, "close", 0, SYS_close_range, U(0), U(b->r->transport_there - 1), U(0));
	return flush(b, e);
}

static int map_mm(struct builder *b, const struct mm_rec *mm, struct err *e)
{
	LIST_EACH(&mm->vmas, struct vma_rec, v) {
		int ret = v->kind == VMA_ANON || v->kind == VMA_INODE ? map_one(b, v, e) : 0;

		if (ret < 0)
			return ret;
	}
	CALL(b, e, "close", 0, SYS_close_range, U(0), U(b->r->transport_there - 1), U(0));
	return flush(b, e);
}

static int in_mm(struct restore *r, struct rtask *t, struct err *e,
		 int (*act)(struct builder *, const struct mm_rec *, struct err *))
{
	const struct mm_rec *mm = LIST_AT(&r->image->mms, struct mm_rec, t->rec->mm - 1);
	struct builder *b = xalloc(sizeof(*b));
	int ret;

	b->r = r;
	ret = remote_begin(&b->in, &t->threads[0].tracee, &r->place, e);
	if (!ret) {
		ret = act(b, mm, e);
		if (remote_end(&b->in, ret ? NULL : e) < 0 && !ret)
			ret = -ESRCH;
	}
	free(b);
	return ret < 0 ? err_wrap(e, ret, "process %u", t->rec->pid) : 0;
}

/* ---- filling ----------------------------------------------------------------------------- */

struct piece {
	pid_t pid;
	uint64_t at, first;
	size_t pages;
};

struct filler {
	struct restore *r;
	const struct piece *pieces;
	size_t n;
	pthread_mutex_t lock;
	size_t next;
	struct err error;
	int result;
};

static int fill_piece(struct filler *f, const struct piece *p, uint8_t *chunk, struct err *e)
{
	struct iovec here = {chunk, p->pages * PAGE_BYTES},
		     there = {(void *)(uintptr_t)p->at, p->pages * PAGE_BYTES};
	ssize_t n;
	int ret = f->r->pages->read(f->r->pages, p->first, p->pages, chunk, e);

	if (ret < 0)
		return ret;
	n = process_vm_writev(p->pid, &here, 1, &there, 1, 0);
	if (n != (ssize_t)(p->pages * PAGE_BYTES))
		return err_set(e, n < 0 ? -errno : -EFAULT, "memory at %" PRIx64, p->at);
	return 0;
}

static void *fill_thread(void *arg)
{
	struct filler *f = arg;
	uint8_t *chunk = xalloc(CHUNK_PAGES * PAGE_BYTES);

	for (;;) {
		struct err e = {0};
		size_t i;
		int ret;

		pthread_mutex_lock(&f->lock);
		i = f->result ? f->n : f->next++;
		pthread_mutex_unlock(&f->lock);
		if (i >= f->n)
			break;
		ret = fill_piece(f, &f->pieces[i], chunk, &e);
		if (ret < 0) {
			pthread_mutex_lock(&f->lock);
			f->result = ret;
			f->error = e;
			pthread_mutex_unlock(&f->lock);
		}
	}
	free(chunk);
	return NULL;
}

static int fill_all(struct restore *r, const struct list *pieces, struct err *e)
{
	struct filler f = {.r = r, .pieces = pieces->items, .n = pieces->count,
			   .lock = PTHREAD_MUTEX_INITIALIZER};
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t threads[THREADS_MAX];
	size_t n = 0, want = MIN(MIN((size_t)MAX(cpus, 1L), (size_t)THREADS_MAX), f.n / 4);

	/* We are one of them. */
	while (n + 1 < want && !pthread_create(&threads[n], NULL, fill_thread, &f))
		n++;
	fill_thread(&f);
	while (n)
		pthread_join(threads[--n], NULL);
	if (f.result)
		*e = f.error;
	return f.result;
}

static void add_pieces(struct restore *r, struct list *pieces, const struct rtask *t)
{
	const struct mm_rec *mm = LIST_AT(&r->image->mms, struct mm_rec, t->rec->mm - 1);

	LIST_EACH(&mm->vmas, struct vma_rec, v)
		LIST_EACH(&v->runs, struct run_rec, run)
			for (uint64_t done = 0, pages; done < run->pages; done += pages) {
				/* Whole frames of the store: none is opened twice. */
				pages = MIN(run->pages - done,
					    CHUNK_PAGES - (run->first + done) % CHUNK_PAGES);
				*LIST_ADD(pieces, &r->arena, struct piece) =
					(struct piece){.pid = t->pid,
						       .at = run->at + done * PAGE_BYTES,
						       .first = run->first + done,
						       .pages = (size_t)pages};
			}
}

int restore_memory(struct restore *r, struct err *e)
{
	bool *made = ARENA_ARRAY(&r->arena, bool, r->image->mms.count + 1);
	struct list owners = {0}, pieces = {0};
	int ret = 0;

	for (size_t i = 0; !ret && i < r->n_tasks; i++) {
		struct rtask *t = &r->tasks[i];

		if (t->rec->state == TASK_ZOMBIE || made[t->rec->mm])
			continue;
		made[t->rec->mm] = true;
		*LIST_ADD(&owners, &r->arena, struct rtask *) = t;
		add_pieces(r, &pieces, t);
		ret = in_mm(r, t, e, map_mm);
	}
	if (!ret)
		ret = fill_all(r, &pieces, e);
	if (!ret)
		ret = FAULT(e, "restore-memory");
	for (size_t i = 0; !ret && i < owners.count; i++)
		ret = in_mm(r, *LIST_AT(&owners, struct rtask *, i), e, finish_mm);
	return ret;
}
