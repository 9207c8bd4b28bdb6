/* SPDX-License-Identifier: MIT */
/*
 * What a restored machine needs first is made by a second thread while the rest of it is opened: the
 * pages of RAM that it is known to use are mapped, those that it will write to are copied, and known
 * code goes into the CPU. A fault takes some microseconds, and the first milliseconds of a guest would
 * consist of them.
 *
 * The thread stops where it is when somebody needs the machine (ahead_wait()), since the guest uses
 * only some of it. It is gone before anybody else touches the CPU or RAM, and so before the guest runs
 * and before there is a filter of system calls.
 */
#include "vm/vm-int.h"

#include <signal.h>
#include <stdatomic.h>

static size_t known_pages(const struct vm *vm, const uint32_t **page)
{
	return x86_code_image_pages(&vm->config.code, page);
}

/* Use known pages, unless somebody waits. They are not changed, whatever others do with them meanwhile. */
static void use_pages(struct vm *vm, size_t from, size_t to)
{
	const uint32_t *page = NULL;

	known_pages(vm, &page);
	for (size_t i = from; i < to && !atomic_load(&vm->is_awaited); i++) {
		uint64_t at = (uint64_t)(page[i] >> 1) * PAGE_BYTES;
		_Atomic uint8_t *byte = (_Atomic uint8_t *)(vm->ram.host + at);

		if (at >= vm->ram.bytes)
			continue;
		if (page[i] & 1)
			atomic_fetch_or(byte, 0);
		else
			(void)atomic_load(byte);
	}
}

static void *work(void *arg)
{
	const uint32_t *page = NULL;
	struct vm *vm = arg;
	size_t all, written = 0;
	struct err e;

	/* If not, vm_create() tries again, and says why. */
	if (create_cpu(vm, &e))
		return NULL;
	/*
	 * A page that is mapped, by itself or with its neighbours, and then written to is mapped twice, and
	 * other CPUs are told of it. So what will be written comes before anything is read.
	 */
	all = known_pages(vm, &page);
	while (written < all && page[written] & 1)
		written++;
	use_pages(vm, 0, written);
	while (!atomic_load(&vm->is_awaited) && x86_preload(vm->cpu))
		;
	use_pages(vm, written, all);
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
	atomic_store(&vm->is_awaited, true);
	pthread_join(vm->ahead, NULL);
	vm->is_ahead = false;
}
