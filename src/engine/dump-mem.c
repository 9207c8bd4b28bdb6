/* SPDX-License-Identifier: MIT */
/*
 * Mappings and their pages. A private page is dumped when the task has one of its own there:
 * anonymous memory that was touched, or a file's page that was written to. What a mapping
 * shows of a file or of shared memory belongs to the inode and is dumped once, there.
 *
 * Which pages those are tells PAGEMAP_SCAN (Linux 6.7), else /proc/PID/pagemap
 * ("no-pagemap-scan" forces the latter).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "engine/engine-int.h"
#include "os/abi.h"

#define REGIONS 512

/* Flags that a restore brings back; others are consequences, or obstacles. */
#define FLAGS_KEPT                                                                                 \
	(PROC_VM_GROWSDOWN | PROC_VM_LOCKED | PROC_VM_LOCKONFAULT | PROC_VM_DONTCOPY |             \
	 PROC_VM_DONTDUMP | PROC_VM_WIPEONFORK | PROC_VM_HUGEPAGE | PROC_VM_NOHUGEPAGE |           \
	 PROC_VM_MERGEABLE | PROC_VM_NORESERVE | PROC_VM_RANDOM | PROC_VM_SEQUENTIAL |             \
	 PROC_VM_SEALED | PROC_VM_DROPPABLE)

/* Why a mapping cannot be snapshotted; NULL if it can. */
static const char *mapping_obstacle(const struct proc_vma *v)
{
	static const struct {
		const char *prefix, *why;
	} names[] = {
		{"anon_inode:[io_uring]",
	         "is a ring of an io_uring, whose requests are inside of the kernel"},
		{"anon_inode:", "is of a kernel object that has no file"},
		{"/anon_hugepage", "uses hugetlbfs pages: transparent huge pages (madvise) can be "
	                           "snapshotted"},
		{"/secretmem", "is secret memory (memfd_secret), which nobody else may read"},
		{"/SYSV", "is System V shared memory, which is not supported: POSIX shared memory "
	                  "(shm_open) is"},
		{"/[aio]",
	         "is a context of kernel AIO (io_setup), whose requests are inside of the "
	         "kernel"},
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (text_starts(v->name, names[i].prefix))
			return names[i].why;
	if (v->flags & (PROC_VM_UFFD_MISSING | PROC_VM_UFFD_WP | PROC_VM_UFFD_MINOR))
		return "is served by a userfaultfd";
	if (v->flags & PROC_VM_SHADOW_STACK)
		return "is a shadow stack: start the program with "
		       "GLIBC_TUNABLES=glibc.cpu.x86_shstk=off";
	if (v->flags & PROC_VM_HUGETLB)
		return "uses hugetlbfs pages: transparent huge pages (madvise) can be snapshotted";
	if (v->flags & (PROC_VM_IO | PROC_VM_PFNMAP | PROC_VM_MIXEDMAP))
		return "is memory of a device";
	return NULL;
}

/* A descriptor for what is mapped: through map_files, or by name where that is not allowed. */
static int open_mapped(struct dtask *t, const struct proc_vma *v)
{
	char path[96];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "map_files/%" PRIx64 "-%" PRIx64, v->start, v->end);
	fd = openat(t->proc, path, O_PATH | O_CLOEXEC);
	if (fd >= 0 || v->deleted)
		return fd < 0 ? -errno : fd;
	fd = open(v->name, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || st.st_ino != v->inode) {
		close(fd);
		return -ENOENT;
	}
	return fd;
}

/* A mapped file that was looked up. */
struct mapped_file {
	const struct proc_vma *v;
	int inode; /* id */
};

static int mapped_inode(struct dump *d, struct dtask *t, const struct proc_vma *v,
                        const struct proc_vma *before, const struct vma_rec *rec_before,
                        struct err *e)
{
	AUTO(fd) int fd = -1;
	int r;

	/* A program's segments stand side by side: most mappings are of the file before. */
	if (before && rec_before->inode && !v->deleted && before->inode == v->inode &&
	    before->dev_major == v->dev_major && before->dev_minor == v->dev_minor)
		return (int)rec_before->inode;
	/* And most tasks of a tree map the same files, under the same names. */
	LIST_EACH(&d->mapped_files, struct mapped_file, known)
		if (!v->deleted && known->v->inode == v->inode &&
		    known->v->dev_major == v->dev_major && known->v->dev_minor == v->dev_minor &&
		    !strcmp(known->v->name, v->name))
			return known->inode;
	fd = open_mapped(t, v);
	if (fd < 0) {
		if (v->deleted && v->shared)
			return dump_inode_mapped(d, t->pid, v);
		if (v->deleted)
			dump_obstacle(d, t->pid,
			              "mapping %" PRIx64
			              " is a private one of a deleted file (%s): only "
			              "a caller with CAP_CHECKPOINT_RESTORE can read that",
			              v->start, v->name);
		else
			dump_obstacle(d, t->pid, "mapping %" PRIx64 ": the file %s is not there",
			              v->start, v->name);
		return 0;
	}
	r = dump_inode(d, t->pid, fd, v->name, e);
	if (r > 0 && !v->deleted)
		*LIST_ADD(&d->mapped_files, &d->arena, struct mapped_file) =
			(struct mapped_file){v, r};
	return r;
}

static int dump_mapping(struct dump *d, struct dtask *t, const struct proc_vma *v,
                        const struct proc_vma *before, const struct vma_rec *rec_before,
                        struct vma_rec *rec, struct err *e)
{
	int r;

	*rec = (struct vma_rec){.start = v->start,
	                        .end = v->end,
	                        .prot = v->prot,
	                        .shared = v->shared,
	                        .flags = v->flags & FLAGS_KEPT,
	                        .offset = v->offset,
	                        .pkey = v->pkey,
	                        .name = ""};
	if (!strcmp(v->name, "[vdso]")) {
		rec->kind = VMA_VDSO;
	} else if (!strcmp(v->name, "[vvar]")) {
		rec->kind = VMA_VVAR;
	} else if (!strcmp(v->name, "[vvar_vclock]")) {
		rec->kind = VMA_VVAR_VCLOCK;
	} else {
		const char *why = mapping_obstacle(v);

		if (v->unknown_flag)
			dump_obstacle(d, t->pid,
			              "mapping %" PRIx64
			              " has the flag \"%s\", which this wslx does "
			              "not know",
			              v->start, v->unknown_flag);
		if (why) {
			dump_obstacle(d, t->pid, "mapping %" PRIx64 " (%s) %s", v->start, v->name,
			              why);
			return 0;
		}
		if (text_starts(v->name, "[anon:")) {
			size_t n = strlen(v->name) - 7;

			rec->name = arena_printf(&d->arena, "%.*s", (int)n, v->name + 6);
		}
		if (!v->inode && !v->shared) {
			rec->kind = VMA_ANON;
			rec->offset = 0;
			return 0;
		}
		rec->kind = VMA_INODE;
		r = mapped_inode(d, t, v, before, rec_before, e);
		if (r < 0)
			return r;
		rec->inode = (uint32_t)r;
		rec->writable_file = v->shared && v->flags & PROC_VM_MAY_WRITE;
	}
	return 0;
}

static int dump_exe(struct dump *d, struct dtask *t, struct mm_rec *mm, struct err *e)
{
	AUTO(fd) int fd = openat(t->proc, "exe", O_PATH | O_CLOEXEC);
	const char *path;
	int r;

	if (fd < 0 || os_readlink_at(t->proc, "exe", &d->arena, &path) < 0) {
		dump_obstacle(d, t->pid, "its program file cannot be opened");
		return 0;
	}
	r = dump_inode(d, t->pid, fd, path, e);
	if (r < 0)
		return r;
	mm->exe = (uint32_t)r;
	return 0;
}

int dump_mappings(struct dump *d, struct dtask *t, struct mm_rec *mm, struct err *e)
{
	AUTO(buf) struct buf auxv = {0};
	const struct proc_vma *before = NULL;
	struct vma_rec *recs = arena_array(&d->arena, sizeof(*recs), t->vmas.count);
	int r;

	mm->vmas = (struct list){.items = recs, .cap = t->vmas.count};
	LIST_EACH(&t->vmas, struct proc_vma, v) {
		struct vma_rec *rec = &recs[mm->vmas.count];

		if (!strcmp(v->name, "[vsyscall]"))
			continue;
		r = dump_mapping(d, t, v, before, rec - 1, rec, e);
		if (r < 0)
			return r;
		mm->vmas.count++;
		before = v;
	}
	mm->start_code = t->stat.start_code, mm->end_code = t->stat.end_code;
	mm->start_data = t->stat.start_data, mm->end_data = t->stat.end_data;
	mm->start_brk = t->stat.start_brk, mm->start_stack = t->stat.start_stack;
	mm->arg_start = t->stat.arg_start, mm->arg_end = t->stat.arg_end;
	mm->env_start = t->stat.env_start, mm->env_end = t->stat.env_end;
	r = os_read_file_at(t->proc, "auxv", &auxv);
	if (r < 0)
		return err_set(e, r, "auxv");
	mm->auxv = SPAN(arena_copy(&d->arena, auxv.data, auxv.len), MIN(auxv.len, (size_t)4096));
	return dump_exe(d, t, mm, e);
}

/* ---- pages ----------------------------------------------------------------------------- */

/* The memory of a task, for the sink's threads. */
struct memory {
	struct page_reader reader; /* first, so that the reader is the memory */
	const struct dtask *t;
};

/* Through /proc/PID/mem, which reads what the task itself may not, too. */
static int read_forbidden(const struct dtask *t, const struct stretch *what, size_t n, uint8_t *to,
                          struct err *e)
{
	AUTO(fd) int mem = openat(t->proc, "mem", O_RDONLY | O_CLOEXEC);

	if (mem < 0)
		return err_set(e, -errno, "process %d (%s): memory", t->pid, t->stat.comm);
	for (size_t i = 0; i < n; i++) {
		int r = os_pread_all(mem, to, what[i].pages * PAGE_BYTES, what[i].at);

		if (r < 0)
			return err_set(e, r, "process %d (%s): memory at %" PRIx64, t->pid,
			               t->stat.comm, what[i].at);
		to += what[i].pages * PAGE_BYTES;
	}
	return 0;
}

static int read_memory(const struct page_reader *from, const struct stretch *what, size_t n,
                       uint8_t *to, struct err *e)
{
	const struct dtask *t = ((const struct memory *)from)->t;
	struct iovec there[STRETCHES_MAX], here = {.iov_base = to};

	assert(n <= STRETCHES_MAX);
	for (size_t i = 0; i < n; i++) {
		there[i] =
			(struct iovec){(void *)(uintptr_t)what[i].at, what[i].pages * PAGE_BYTES};
		here.iov_len += there[i].iov_len;
	}
	if (process_vm_readv(t->pid, &here, 1, there, n, 0) == (ssize_t)here.iov_len)
		return 0;
	return read_forbidden(t, what, n, to, e);
}

struct reader {
	struct dump *d;
	const struct memory *memory;
	struct page_sink *sink;
	int pagemap;
	uint64_t *entries; /* of pagemap */
};

static int add_region(struct reader *rd, struct vma_rec *v, uint64_t start, uint64_t end,
                      struct err *e)
{
	const struct stretch what = {start, (end - start) / PAGE_BYTES};
	int r = rd->sink->fetch(rd->sink, &rd->memory->reader, what, e);

	if (!r)
		dump_note_pages(rd->d, &v->runs, start, what.pages);
	return r;
}

/* Guards are told in ascending order; a run that a chunk's border cut is one again. */
static void note_guard(struct reader *rd, struct vma_rec *v, uint64_t start, uint64_t end)
{
	struct range_rec *last =
		v->guards.count ? LIST_AT(&v->guards, struct range_rec, v->guards.count - 1) : NULL;

	if (last && last->at + last->bytes == start)
		last->bytes += end - start;
	else
		*LIST_ADD(&v->guards, &rd->d->arena, struct range_rec) =
			(struct range_rec){start, end - start};
}

static int note_region(struct reader *rd, struct vma_rec *v, uint64_t start, uint64_t end,
                       uint64_t categories, struct err *e)
{
	if (categories & PAGE_IS_GUARD) {
		note_guard(rd, v, start, end);
		return 0;
	}
	if (categories & PAGE_IS_FILE || (categories & PAGE_IS_PFNZERO && v->kind == VMA_ANON))
		return 0;
	return add_region(rd, v, start, end, e);
}

/* Mappings that follow each other, from @v up to @end, in as few calls as there is room for. */
static int scan_new(struct reader *rd, struct vma_rec *v, const struct vma_rec *end, struct err *e)
{
	struct page_region regions[REGIONS];
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = v->start,
		.end = end[-1].end,
		.vec = (uint64_t)(uintptr_t)regions,
		.vec_len = REGIONS,
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED | PAGE_IS_GUARD,
		.return_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED | PAGE_IS_FILE | PAGE_IS_PFNZERO |
	                       PAGE_IS_GUARD,
	};

	while (arg.start < end[-1].end) {
		int n = ioctl(rd->pagemap, PAGEMAP_SCAN, &arg);

		if (n < 0 && errno == EINVAL && arg.return_mask & PAGE_IS_GUARD) {
			/* Before 6.15 guards cannot be seen, and hardly exist (6.13). */
			arg.category_anyof_mask &= ~(uint64_t)PAGE_IS_GUARD;
			arg.return_mask &= ~(uint64_t)PAGE_IS_GUARD;
			continue;
		}
		if (n < 0)
			return -errno;
		for (int i = 0; i < n; i++) {
			uint64_t at = regions[i].start;

			/* One region may go on in the next mapping. */
			while (at < regions[i].end) {
				uint64_t stop;
				int r;

				while (v < end && v->end <= at)
					v++;
				/* In none: who shares the memory from outside may map some. */
				if (v == end)
					return 0;
				at = MAX(at, v->start);
				stop = MIN(regions[i].end, v->end);
				r = at < stop
				            ? note_region(rd, v, at, stop, regions[i].categories, e)
				            : 0;
				if (r < 0)
					return r;
				at = stop;
			}
		}
		arg.start = arg.walk_end;
	}
	return 0;
}

static int scan_old(struct reader *rd, struct vma_rec *v, struct err *e)
{
	enum { ENTRIES = 4096 };
	/* A guard (bit 58, since Linux 6.15) counts as swapped, too. */
	const uint64_t present = 1ull << 63, swapped = 1ull << 62, file = 1ull << 61,
		       guard = 1ull << 58;

	if (!rd->entries)
		rd->entries = xalloc(ENTRIES * sizeof(*rd->entries));
	for (uint64_t at = v->start; at < v->end;) {
		size_t n = MIN((size_t)((v->end - at) / PAGE_BYTES), (size_t)ENTRIES), i = 0;
		int r = os_pread_all(rd->pagemap, rd->entries, n * 8, at / PAGE_BYTES * 8);

		if (r < 0)
			return err_set(e, r, "pagemap");
		while (i < n) {
			uint64_t start = at + i * PAGE_BYTES;
			size_t len = 0;

			while (i + len < n && rd->entries[i + len] & guard)
				len++;
			if (len) {
				note_guard(rd, v, start, start + len * PAGE_BYTES);
				i += len;
				continue;
			}
			while (i + len < n && rd->entries[i + len] & (present | swapped) &&
			       !(rd->entries[i + len] & (file | guard)))
				len++;
			r = len ? add_region(rd, v, start, start + len * PAGE_BYTES, e) : 0;
			if (r < 0)
				return r;
			i += MAX(len, (size_t)1);
		}
		at += n * PAGE_BYTES;
	}
	return 0;
}

static bool has_own_pages(const struct vma_rec *v)
{
	return v->kind == VMA_ANON || (v->kind == VMA_INODE && !v->shared);
}

static int dump_mm_pages(struct reader *rd, struct mm_rec *mm, struct err *e)
{
	struct vma_rec *v = mm->vmas.items, *end = v + mm->vmas.count;
	bool old = fallback_forced("no-pagemap-scan");

	while (v < end) {
		struct vma_rec *first = v;
		int r;

		while (v < end && has_own_pages(v))
			v++;
		if (v == first) {
			v++;
			continue;
		}
		r = old ? -ENOTTY : scan_new(rd, first, v, e);
		if (r == -ENOTTY) {
			old = true;
			for (r = 0; !r && first < v; first++)
				r = scan_old(rd, first, e);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

int dump_memory(struct dump *d, struct dtask *t, struct err *e)
{
	struct memory *memory = ARENA_NEW(&d->arena, struct memory);
	struct reader rd = {.d = d, .memory = memory, .sink = d->sink};
	AUTO(fd) int pagemap = openat(t->proc, "pagemap", O_RDONLY | O_CLOEXEC);
	int r;

	if (pagemap < 0)
		return err_set(e, -errno, "memory");
	*memory = (struct memory){{read_memory}, t};
	rd.pagemap = pagemap;
	r = dump_mm_pages(&rd, LIST_AT(&d->image.mms, struct mm_rec, t->mm - 1), e);
	free(rd.entries);
	return r;
}
