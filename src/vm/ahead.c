/* SPDX-License-Identifier: MIT */
/*
 * What a restored machine needs first is made by a second thread while the rest of it is opened: the
 * pages of RAM that it is known to use are mapped, those that it will write to are copied, and known
 * code goes into the CPU. A fault takes some microseconds, and the first milliseconds of a guest would
 * consist of them.
 *
 * First comes what is used until the guest halts, which somebody who needs the machine waits for
 * (ahead_wait()) and helps with; then, as long as nobody does, the rest. The thread is gone before
 * anybody else touches the CPU or RAM, and so before the guest runs and before there is a filter of
 * system calls.
 */
#include "vm/vm-int.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

#define PAGES_AT_ONCE 16u

enum need { WRITTEN_FIRST, USED_FIRST, USED_AT_ALL };

static bool is_of(uint32_t page, enum need need)
{
	if (need == USED_AT_ALL)
		return true;
	return !(page & X86_PAGE_LATER) && (need == USED_FIRST || page & X86_PAGE_WRITTEN);
}

static void *host_of(const struct vm *vm, uint32_t page)
{
	return vm->ram.host + (uint64_t)x86_page_number(page) * PAGE_BYTES;
}

/* So many known pages that lie one after the other. Nothing changes, whatever others do with them meanwhile. */
static void use_run(const struct vm *vm, const uint32_t *page, size_t n)
{
	if (x86_page_number(page[n - 1]) >= vm->ram.bytes / PAGE_BYTES)
		return;
	/* Kernels before 5.14 do not know it. */
	if (page[0] & X86_PAGE_WRITTEN &&
	    !madvise(host_of(vm, page[0]), n * PAGE_BYTES, MADV_POPULATE_WRITE))
		return;
	for (size_t i = 0; i < n; i++) {
		_Atomic uint8_t *byte = host_of(vm, page[i]);

		if (page[i] & X86_PAGE_WRITTEN)
			atomic_fetch_or(byte, 0);
		else
			(void)atomic_load(byte);
	}
}

/*
 * Use some known pages that nobody has used yet, in their order, if they are needed. Return: false
 * if there are no more.
 */
static bool use_pages(struct vm *vm, enum need need)
{
	const uint32_t *page = NULL;
	size_t to = x86_code_image_pages(&vm->config.code, &page);
	size_t from = atomic_load(&vm->pages_used);

	if (from >= to || !is_of(page[from], need))
		return false;
	from = atomic_fetch_add(&vm->pages_used, PAGES_AT_ONCE);
	to = MIN(to, from + PAGES_AT_ONCE);
	for (size_t n; from < to; from += n) {
		n = 1;
		while (from + n < to && page[from + n] == page[from + n - 1] + (1 << 1))
			n++;
		use_run(vm, page + from, n);
	}
	return true;
}

/*
 * The CPU's memory is in huge pages, which take half a millisecond each to be made zero: not while the
 * thread waits for it.
 */
static void use_cpu_memory(const struct vm *vm)
{
	const size_t bytes = x86_code_image_memory(&vm->config.code);

	for (size_t at = HUGE_PAGE_BYTES; at < bytes; at += HUGE_PAGE_BYTES)
		atomic_fetch_or((_Atomic uint8_t *)vm->cpu_memory + at, 0);
}

/*
 * A page that is mapped, by itself or with its neighbours, and then written to is mapped twice, and
 * other CPUs are told of it. So what will be written comes before anything is read.
 */
static void *work(void *arg)
{
	struct vm *vm = arg;
	struct err e;

	/* If not, vm_create() tries again, and says why. */
	if (create_cpu(vm, &e))
		return NULL;
	while (use_pages(vm, WRITTEN_FIRST))
		;
	while (x86_preload(vm->cpu, false))
		;
	while (use_pages(vm, USED_FIRST))
		;
	while (!atomic_load(&vm->is_awaited) && x86_preload(vm->cpu, true))
		;
	while (!atomic_load(&vm->is_awaited) && use_pages(vm, USED_AT_ALL))
		;
	return NULL;
}

static void begin(struct vm *vm)
{
	sigset_t all, before;

	/* Signals are for the thread that watches them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	vm->is_ahead = !pthread_create(&vm->ahead, NULL, work, vm);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (vm->is_ahead)
		use_cpu_memory(vm);
}

struct vm *vm_begin(const struct vm_config *config)
{
	struct vm *vm;
	struct err e;

	if (config->ram_fd < 0 || !config->code.at || fallback_forced("no-ahead"))
		return NULL;
	vm = xalloc(sizeof(*vm));
	vm->config = *config;
	if (!memory_create(vm, &e))
		begin(vm);
	if (vm->is_ahead)
		return vm;
	vm_destroy(vm);
	return NULL;
}

void ahead_wait(struct vm *vm)
{
	if (!vm->is_ahead)
		return;
	atomic_store(&vm->is_awaited, true);
	while (use_pages(vm, USED_FIRST))
		;
	pthread_join(vm->ahead, NULL);
	vm->is_ahead = false;
}
