/* SPDX-License-Identifier: MIT */
/*
 * The machine's clock, which stands still while the machine does: between a snapshot and its
 * restore, and while its process is stopped. Of the latter nobody tells us (a signal, a debugger,
 * the cgroup freezer, a terminal that takes no more), and the guest's watchdogs would take it for
 * a CPU that hangs. But a machine that runs looks at its clock every few milliseconds, and one
 * that sleeps knows until when; so what is missing shows.
 */
#include "vm/vm-int.h"

/* Long for a process that only waits for its turn, short for a watchdog: the kernel's have 20 s. */
#define STOPPED_NS 5000000000u

uint64_t host_monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t vm_clock_now(struct vm_clock *c)
{
	uint64_t now;

	if (!c->running)
		return c->frozen;
	now = host_monotonic_ns();
	if (now - c->seen > STOPPED_NS) {
		c->offset -= now - c->seen;
		c->was_stopped = true;
	}
	c->seen = now;
	return now + c->offset;
}

void vm_clock_slept(struct vm_clock *c, uint64_t until)
{
	uint64_t now = host_monotonic_ns(), here = now + c->offset;
	uint64_t late = here > until ? here - until : 0;

	c->seen = now - MIN(late, now - c->seen);
}

void vm_clock_start(struct vm_clock *c)
{
	if (!c->running) {
		c->seen = host_monotonic_ns();
		c->offset = c->frozen - c->seen;
	}
	c->running = true;
}

void vm_clock_stop(struct vm_clock *c)
{
	c->frozen = vm_clock_now(c);
	c->running = false;
}

int64_t host_wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
