/* SPDX-License-Identifier: MIT */
/*
 * The machine's clock, which stands still while the machine does: between a snapshot and its
 * restore, while it waits for a page that has not arrived, and while its process is stopped. A wait
 * that the guest saw would be filled by its timers, whose code has not arrived either.
 *
 * Of a stopped process nobody tells us (a signal, a debugger, the cgroup freezer, a terminal that
 * takes no more), and the guest's watchdogs would take it for a CPU that hangs. But a machine that
 * runs looks at its clock every few milliseconds, and one that sleeps knows until when; so what is
 * missing shows.
 */
#include "vm/vm-int.h"

/* Long for a process that only waits for its turn, short for a watchdog: the kernel's have 20 s. */
#define STOPPED_NS 5000000000u
/* After so long the wait for a page was the last one, as far as anybody can tell. */
#define LAST_WAIT_NS 2000000000u

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
	if (c->waited && *c->waited != c->waited_seen) {
		c->offset -= *c->waited - c->waited_seen;
		c->waited_seen = *c->waited;
		c->seen = c->waited_last = now;
	}
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

bool vm_clock_is_behind(struct vm_clock *c)
{
	/* Once, and not between two waits. */
	bool has_waited = c->waited_last && host_monotonic_ns() - c->waited_last > LAST_WAIT_NS;

	if (!c->was_stopped && !has_waited)
		return false;
	c->was_stopped = false;
	if (has_waited)
		c->waited_last = 0;
	return true;
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
