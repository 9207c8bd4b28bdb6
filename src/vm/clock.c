/* SPDX-License-Identifier: MIT */
/* The machine's clock, which stands still while the machine does. */
#include "vm/vm-int.h"

static uint64_t monotonic(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t vm_clock_now(const struct vm_clock *c)
{
	return c->running ? monotonic() + c->offset : c->frozen;
}

void vm_clock_start(struct vm_clock *c)
{
	if (!c->running)
		c->offset = c->frozen - monotonic();
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
