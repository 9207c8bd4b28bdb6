/* SPDX-License-Identifier: MIT */
/* RAM: one private mapping, of nothing or of a flat image. And the CPU's own memory. */
#include "vm/vm-int.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool page_is_zero(const uint8_t *page)
{
	const uint64_t *w = (const uint64_t *)(const void *)page;
	uint64_t any = 0;

	/* A used page usually shows itself in its first line. */
	for (unsigned i = 0; i < PAGE_BYTES / 8; i += 8) {
		any = w[i] | w[i + 1] | w[i + 2] | w[i + 3] | w[i + 4] | w[i + 5] | w[i + 6] |
		      w[i + 7];
		if (any)
			return false;
	}
	return true;
}

static void wrote(void *arg, uint64_t gpa, uint64_t bytes)
{
	struct vm *vm = arg;

	if (vm->cpu)
		x86_invalidate_ram(vm->cpu, gpa, bytes);
}

/*
 * Fresh anonymous memory in place of the old pages. On a mapping of an image, MADV_DONTNEED
 * would bring the image's pages back. If it fails the pages keep their content, which costs
 * room in a snapshot and nothing else.
 */
static void discard(void *arg, uint64_t gpa, uint64_t bytes)
{
	struct vm *vm = arg;
	const struct vm_need *n = &vm->config.ram_need;
	uint64_t offset = ram_offset(&vm->ram, gpa, bytes);
	uint8_t *at = vm->ram.host + offset;

	if (offset == UINT64_MAX)
		return;
	if (vm->config.ram_fd < 0)
		madvise(at, bytes, MADV_DONTNEED);
	else if (mmap(at, bytes, PROT_READ | PROT_WRITE,
	              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		memset(at, 0, bytes);
	if (n->forget)
		n->forget(n->arg, offset, bytes);
}

void ram_need(struct vm *vm, uint64_t at, uint64_t bytes)
{
	const struct vm_need *n = &vm->config.ram_need;

	if (n->need)
		n->need(n->arg, at, bytes);
}

static void device_needs(void *arg, uint64_t at, uint64_t bytes)
{
	ram_need(arg, at, bytes);
}

/*
 * Memory at a multiple of what a huge page has: where a file has one, it is mapped as one only there.
 * Return: MAP_FAILED with errno.
 */
static void *map_aligned(size_t bytes, int flags, int fd)
{
	size_t all = bytes + HUGE_PAGE_BYTES, before;
	uint8_t *room =
		mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (room == MAP_FAILED)
		return room;
	before = -(uintptr_t)room % HUGE_PAGE_BYTES;
	if (mmap(room + before, bytes, PROT_READ | PROT_WRITE,
	         MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED | flags, fd, 0) == MAP_FAILED) {
		int error = errno;

		munmap(room, all);
		errno = error;
		return MAP_FAILED;
	}
	if (before)
		munmap(room, before);
	munmap(room + before + bytes, HUGE_PAGE_BYTES - before);
	return room + before;
}

static int ram_create(struct vm *vm, struct err *e)
{
	uint64_t bytes = vm->config.ram_bytes;
	int fd = vm->config.ram_fd;
	struct stat st;
	void *at;

	if (bytes < VM_RAM_MIN || bytes > VM_RAM_MAX || bytes % (1u << 20))
		return err_say(e, -EINVAL,
		               "RAM has to be a multiple of 1 MiB between %llu MiB and "
		               "%llu GiB",
		               VM_RAM_MIN >> 20, VM_RAM_MAX >> 30);
	if (fd >= 0) {
		if (fstat(fd, &st))
			return err_set(e, -errno, "image of RAM");
		/* Beyond the end of the file an access would be a SIGBUS. */
		if ((uint64_t)st.st_size < bytes)
			return err_say(e, -EBADMSG, "the image of RAM is shorter than RAM");
	}
	at = map_aligned(bytes, fd < 0 ? MAP_ANONYMOUS : 0, fd);
	if (at == MAP_FAILED)
		return err_set(e, -errno, "RAM of %llu bytes", (unsigned long long)bytes);
	/*
	 * A fork copies page tables: a live snapshot pauses for a few hundred entries instead of
	 * as many as RAM has pages. Where it is refused, it only takes longer.
	 */
	if (fd < 0)
		madvise(at, bytes, MADV_HUGEPAGE);
	vm->ram = (struct dev_ram){
		.host = at,
		.bytes = bytes,
		.low_bytes = MIN(bytes, RAM_LOW_MAX),
		.wrote = wrote,
		.discard = discard,
		.need = vm->config.ram_need.need ? device_needs : NULL,
		.arg = vm,
	};
	return 0;
}

/*
 * A restored machine writes to its CPU's memory first of all, some megabytes in its first
 * milliseconds: one fault instead of hundreds.
 */
static void *cpu_memory_create(struct err *e)
{
	void *at = map_aligned(X86_MEMORY_BYTES, MAP_ANONYMOUS, -1);

	if (at == MAP_FAILED) {
		err_set(e, -errno, "memory for the CPU");
		return NULL;
	}
	madvise(at, X86_MEMORY_BYTES, MADV_HUGEPAGE);
	return at;
}

/*
 * Code of the guest that is run often becomes code of the host here. The same pages are mapped
 * twice, so that none can be written where it can be run, and no system call is needed to
 * go from one to the other: the filter lets no page become executable later.
 *
 * Pages that nothing was generated in take no memory. A host may refuse such mappings.
 */
#define CODE_BYTES ((size_t)32 << 20)

static struct x86_code_memory code_memory_create(void)
{
	struct x86_code_memory m = {0};
	void *write = MAP_FAILED, *run = MAP_FAILED;
	int fd;

	if (fallback_forced("interpreter"))
		return m;
	fd = memfd_create("wslx-code", MFD_CLOEXEC);
	if (fd < 0)
		return m;
	if (!ftruncate(fd, (off_t)CODE_BYTES)) {
		write = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		run = mmap(NULL, CODE_BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	}
	close(fd);
	if (write != MAP_FAILED && run != MAP_FAILED) {
		m = (struct x86_code_memory){.write = write, .run = run, .bytes = CODE_BYTES};
		m.after = fallback_forced("translate-at-once");
		return m;
	}
	if (write != MAP_FAILED)
		munmap(write, CODE_BYTES);
	if (run != MAP_FAILED)
		munmap(run, CODE_BYTES);
	return m;
}

/* ---- all of it ---------------------------------------------------------------------------- */

int memory_create(struct vm *vm, struct err *e)
{
	int r = ram_create(vm, e);

	if (r)
		return r;
	vm->cpu_memory = cpu_memory_create(e);
	if (!vm->cpu_memory)
		return e->code;
	vm->code_memory = code_memory_create();
	memory_share_with_forks(vm, false);
	return 0;
}

void memory_share_with_forks(struct vm *vm, bool yes)
{
	const int advice = yes ? MADV_DOFORK : MADV_DONTFORK;
	const struct x86_code_memory *code = &vm->code_memory;

	madvise(vm->ram.host, vm->ram.bytes, advice);
	madvise(vm->cpu_memory, X86_MEMORY_BYTES, advice);
	if (!code->bytes)
		return;
	madvise(code->write, code->bytes, advice);
	madvise((void *)(uintptr_t)code->run, code->bytes, advice);
}

void memory_destroy(struct vm *vm)
{
	if (vm->ram.host)
		munmap(vm->ram.host, vm->ram.bytes);
	if (vm->cpu_memory)
		munmap(vm->cpu_memory, X86_MEMORY_BYTES);
	if (vm->code_memory.bytes) {
		munmap(vm->code_memory.write, vm->code_memory.bytes);
		munmap((void *)(uintptr_t)vm->code_memory.run, vm->code_memory.bytes);
	}
	vm->ram.host = NULL;
}
