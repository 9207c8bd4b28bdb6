/* SPDX-License-Identifier: MIT */
/*
 * What a restored machine needs first is made by a second thread while the rest of it is opened: the
 * pages of RAM that it is known to use are mapped, those that it will write to are copied, and known
 * code goes into the CPU. Who has to wait for the thread takes part in what is left. A fault takes
 * some microseconds, and the first milliseconds of a guest would consist of them.
 *
 * The thread is gone before anybody else touches the CPU or RAM (ahead_wait()), and so before the
 * guest runs and before there is a filter of system calls.
 */
#include "vm/vm-int.h"

#include <signal.h>
#include <stdatomic.h>

#define PAGES_AT_ONCE 16u

static size_t known_pages(const struct vm *vm, const uint32_t **page)
{
	return x86_code_image_pages(&vm->config.code, page);
}

static size_t written_pages(const struct vm *vm)
{
	const uint32_t *page = NULL;
	size_t n = known_pages(vm, &page), written = 0;

	while (written < n && page[written] & 1)
		written++;
	return written;
}

/*
 * Use some of the first @n known pages that nobody has used yet. They are not changed, whatever
 * others do with them meanwhile. Return: false if there are no more.
 */
static bool use_pages(struct vm *vm, size_t n)
{
	const uint32_t *page = NULL;
	size_t from, to = known_pages(vm, &page);

	if (atomic_load(&vm->pages_used) >= n)
		return false;
	from = atomic_fetch_add(&vm->pages_used, PAGES_AT_ONCE);
	to = MIN(to, from + PAGES_AT_ONCE);
	for (size_t i = from; i < to; i++) {
		uint64_t at = (uint64_t)(page[i] >> 1) * PAGE_BYTES;
		_Atomic uint8_t *byte = (_Atomic uint8_t *)(vm->ram.host + at);

		if (at >= vm->ram.bytes)
			continue;
		if (page[i] & 1)
			atomic_fetch_or(byte, 0);
		else
			(void)atomic_load(byte);
	}
	return true;
}

static bool preload_part(struct vm *vm)
{
	unsigned part;

	if (!atomic_load(&vm->is_cpu_ready))
		return false;
	part = atomic_fetch_add(&vm->parts_preloaded, 1);
	if (part < X86_PRELOAD_PARTS)
		x86_preload(vm->cpu, part);
	return part < X86_PRELOAD_PARTS;
}

/*
 * A page that is mapped, by itself or with its neighbours, and then written to is mapped twice, and
 * other CPUs are told of it. So what will be written comes before anything is read.
 */
static void take_part(struct vm *vm)
{
	const uint32_t *page = NULL;
	const size_t all = known_pages(vm, &page), written = written_pages(vm);

	while (use_pages(vm, written))
		;
	while (preload_part(vm) || use_pages(vm, all))
		;
}

static void *work(void *arg)
{
	struct vm *vm = arg;
	struct err e;

	/* If not, vm_create() tries again, and says why. */
	if (create_cpu(vm, &e))
		return NULL;
	atomic_store(&vm->is_cpu_ready, true);
	take_part(vm);
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
	take_part(vm);
	pthread_join(vm->ahead, NULL);
	vm->is_ahead = false;
}
