/* SPDX-License-Identifier: MIT */
/* The bus: who answers where; saving and loading any device; guest RAM as devices see it. */
#include "dev/dev.h"

#include <string.h>

uint64_t ram_offset(const struct dev_ram *ram, uint64_t gpa, uint64_t bytes)
{
	uint64_t high = ram->bytes - ram->low_bytes;

	if (gpa < ram->low_bytes)
		return bytes <= ram->low_bytes - gpa ? gpa : UINT64_MAX;
	if (gpa < RAM_HIGH_GPA || gpa - RAM_HIGH_GPA >= high)
		return UINT64_MAX;
	gpa -= RAM_HIGH_GPA;
	return bytes <= high - gpa ? ram->low_bytes + gpa : UINT64_MAX;
}

uint8_t *ram_at(const struct dev_ram *ram, uint64_t gpa, uint64_t bytes)
{
	uint64_t offset = ram_offset(ram, gpa, bytes);

	if (offset == UINT64_MAX)
		return NULL;
	if (ram->need)
		ram->need(ram->arg, offset, bytes);
	return ram->host + offset;
}

void ram_wrote(const struct dev_ram *ram, uint64_t gpa, uint64_t bytes)
{
	if (ram->wrote && bytes)
		ram->wrote(ram->arg, gpa, bytes);
}

void bus_add(struct bus *b, enum bus_space space, uint64_t first, uint64_t bytes, struct dev *d,
             unsigned number)
{
	unsigned n = b->n_windows[space];

	assert(n < BUS_WINDOWS_MAX && bytes);
	for (unsigned i = 0; i < n; i++) {
		const struct bus_window *w = &b->window[space][i];

		assert(first + bytes <= w->first || w->first + w->bytes <= first);
	}
	b->window[space][n] = (struct bus_window){first, bytes, d, number};
	b->n_windows[space] = n + 1;
}

static struct bus_window *find(struct bus *b, enum bus_space space, uint64_t addr)
{
	for (unsigned i = 0; i < b->n_windows[space]; i++) {
		struct bus_window *w = &b->window[space][i];

		if (addr - w->first < w->bytes)
			return w;
	}
	return NULL;
}

static uint64_t ones(unsigned width)
{
	return width >= 8 ? UINT64_MAX : (1ull << (8 * width)) - 1;
}

uint64_t bus_read(struct bus *b, enum bus_space space, uint64_t addr, unsigned width)
{
	struct bus_window *w = find(b, space, addr);

	if (!w)
		return ones(width);
	return w->dev->class->read(w->dev, w->number, addr - w->first, width) & ones(width);
}

void bus_write(struct bus *b, enum bus_space space, uint64_t addr, unsigned width, uint64_t value)
{
	struct bus_window *w = find(b, space, addr);

	if (w)
		w->dev->class->write(w->dev, w->number, addr - w->first, width,
		                     value & ones(width));
}

void dev_save(struct dev *d, struct buf *out)
{
	if (d->class->saving)
		d->class->saving(d);
	rec_encode(out, d->state_type, d->state);
}

int dev_load(struct dev *d, struct span in, struct err *e)
{
	AUTO(arena) struct arena a = {0};
	void *fresh = arena_alloc(&a, d->state_type->bytes);
	void *old = arena_copy(&a, d->state, d->state_type->bytes);
	int r = rec_decode(in, d->state_type, &a, fresh, e);

	if (!r) {
		memcpy(d->state, fresh, d->state_type->bytes);
		r = d->class->loaded ? d->class->loaded(d, e) : 0;
		if (r)
			memcpy(d->state, old, d->state_type->bytes);
	}
	return r ? err_wrap(e, r, "device %s", d->name) : 0;
}
