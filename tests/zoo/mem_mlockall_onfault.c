/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore needs=root unprivileged=no */
/*
 * How mappings of the future are locked, at once or when they are touched, where the mappings that
 * are there say the contrary.
 */
#include "zoo.h"

#define PAGES 5

static uint8_t *map(void)
{
	return must(mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	                 -1, 0));
}

/* Locked at once from now on; one area, older, is not. */
static void lock_at_once(void)
{
	must(mlock2(map(), PAGES * PAGE, MLOCK_ONFAULT));
	must(mlockall(MCL_FUTURE));
}

/* The other way round. */
static void lock_on_fault(void)
{
	must(mlock(map(), PAGES * PAGE));
	must(mlockall(MCL_FUTURE | MCL_ONFAULT));
}

static void verify(bool on_fault)
{
	uint8_t *later = map();

	check(zoo_vma_has(later, "lo"), "MCL_FUTURE was lost");
	check_eq(zoo_vma_has(later, "lf"), on_fault);
	check_eq(zoo_resident(later, PAGES * PAGE), on_fault ? 0 : PAGES);
}

int main(int argc, char **argv)
{
	struct zoo_gate gate;
	pid_t child;

	zoo_init(argc, argv);
	zoo_gate_make(&gate);
	child = must(fork());
	if (!child) {
		lock_on_fault();
		zoo_gate_pass(&gate);
		zoo_await_go();
		zoo_spoil(must(mlockall(MCL_FUTURE)));
		verify(true);
		_exit(0);
	}
	zoo_gate_wait(&gate, 1);
	lock_at_once();

	zoo_snapshot_here();
	zoo_spoil(must(mlockall(MCL_FUTURE | MCL_ONFAULT)));
	verify(false);
	zoo_finish_child(child);
	zoo_pass();
}
