/* SPDX-License-Identifier: MIT */
/*
 * A machine that will be started from afar is stored in the order in which a start uses it.
 *
 * A rehearsal has told which pages of RAM and of the disks are used first. They come first, then
 * the others by their place. So what a start needs is the beginning of the page blobs, which one
 * request brings, and nothing else has to be said about it but how long it is.
 *
 * A page that was handed over already is not handed over again: a guest's page cache holds pages of
 * its disk, and what it has started it has copied. Pages are found by a quick hash and then
 * compared, so that the hash need not be a good one.
 */
#include <string.h>

#include "flow/vm-snapshot.h"

#define TARGETS_MAX (1 + VM_DISKS_MAX) /* RAM, and each disk */
#define TABLE_MIN 1024u

struct storing {
	const struct rehearsed *from;
	const struct vm_snapshot *snapshot;
	struct page_sink *sink;
	uint64_t pages[TARGETS_MAX];
	uint32_t *number[TARGETS_MAX]; /* of each page in the snapshot, plus one; 0: not in it */

	struct vm_touch *home; /* of each page of the snapshot: where it can be seen again */
	uint64_t n_pages, homes_cap;
	uint32_t *table; /* page numbers plus one, by hash */
	uint64_t table_cap;
};

static uint64_t hash_page(const uint8_t *page)
{
	uint64_t hash = 0;

	for (size_t i = 0; i < PAGE_BYTES; i += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, page + i, sizeof(word));
		hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 29;
	}
	return hash;
}

/* The content of a page: in place, or read into @room. */
static int look_at(const struct storing *s, struct vm_touch at, uint8_t *room, const uint8_t **out,
                   struct err *e)
{
	uint64_t from = at.page * PAGE_BYTES;
	const struct disk_rec *rec;
	struct disk *d;
	size_t len;
	int r;

	if (!at.target) {
		*out = s->from->ram + from;
		return 0;
	}
	rec = LIST_AT(&s->snapshot->disks, struct disk_rec, at.target - 1);
	d = s->from->disk[at.target - 1];
	len = (size_t)MIN(PAGE_BYTES, d->bytes - from);
	memset(room + len, 0, PAGE_BYTES - len);
	r = d->read(d, from, room, len);
	*out = room;
	return r ? err_set(e, r, "disk %s", rec->base) : 0;
}

static void grow_table(struct storing *s)
{
	uint8_t room[PAGE_BYTES];

	s->table_cap = s->table_cap ? s->table_cap * 2 : TABLE_MIN;
	free(s->table);
	s->table = xalloc(s->table_cap * sizeof(*s->table));
	for (uint64_t i = 0; i < s->n_pages; i++) {
		const uint8_t *page;
		uint64_t at;

		/* One that cannot be read again is not found again, which costs room only. */
		if (look_at(s, s->home[i], room, &page, NULL))
			continue;
		at = hash_page(page) & (s->table_cap - 1);
		while (s->table[at])
			at = (at + 1) & (s->table_cap - 1);
		s->table[at] = (uint32_t)i + 1;
	}
}

/* The place in the table of an equal page, or the free one that it will have. */
static int find_equal(struct storing *s, const uint8_t *page, uint32_t **out, struct err *e)
{
	uint64_t at = hash_page(page) & (s->table_cap - 1);
	uint8_t room[PAGE_BYTES];

	for (; s->table[at]; at = (at + 1) & (s->table_cap - 1)) {
		const uint8_t *other;
		int r = look_at(s, s->home[s->table[at] - 1], room, &other, e);

		if (r)
			return r;
		if (!memcmp(page, other, PAGE_BYTES))
			break;
	}
	*out = &s->table[at];
	return 0;
}

static int add(struct storing *s, struct vm_touch at, struct err *e)
{
	uint32_t *number = &s->number[at.target][at.page], *found;
	uint8_t room[PAGE_BYTES];
	const uint8_t *page;
	int r;

	if (*number)
		return 0;
	r = look_at(s, at, room, &page, e);
	if (r)
		return r;
	if (!page[0] && !memcmp(page, page + 1, PAGE_BYTES - 1))
		return 0;
	if (s->n_pages * 2 >= s->table_cap)
		grow_table(s);
	r = find_equal(s, page, &found, e);
	if (r)
		return r;
	if (!*found) {
		if (s->n_pages == s->homes_cap) {
			s->homes_cap = s->homes_cap ? s->homes_cap * 2 : TABLE_MIN;
			s->home = xrealloc(s->home, s->homes_cap * sizeof(*s->home));
		}
		r = s->sink->write(s->sink, page, 1, e);
		if (r)
			return r;
		s->home[s->n_pages++] = at;
		*found = (uint32_t)s->n_pages;
	}
	*number = *found;
	return 0;
}

static int add_all(struct storing *s, struct vm_snapshot *snapshot, struct err *e)
{
	const struct list *touches = &s->from->touches;
	int r = 0;

	for (size_t i = 0; !r && i < touches->count; i++) {
		struct vm_touch t = *LIST_AT(touches, struct vm_touch, i);

		if (i == s->from->n_start)
			snapshot->start_pages = s->n_pages;
		/* It comes from a process that runs what an image brings. */
		if (t.target > s->snapshot->disks.count || t.page >= s->pages[t.target])
			return err_say(e, -EBADMSG, "the rehearsal used what the machine has not");
		r = add(s, t, e);
	}
	if (s->from->n_start >= touches->count)
		snapshot->start_pages = s->n_pages;
	snapshot->soon_pages = s->n_pages;
	for (uint32_t target = 0; target <= s->snapshot->disks.count; target++)
		for (uint64_t page = 0; !r && page < s->pages[target]; page++)
			r = add(s, (struct vm_touch){page, target}, e);
	return r;
}

static void list_runs(const struct storing *s, unsigned target, struct arena *a, struct list *out)
{
	struct vm_run *last = NULL;

	for (uint64_t page = 0; page < s->pages[target]; page++) {
		uint32_t number = s->number[target][page];

		if (!number)
			continue;
		if (last && last->page + last->count == page &&
		    last->first + last->count == number - 1) {
			last->count++;
			continue;
		}
		last = LIST_ADD(out, a, struct vm_run);
		*last = (struct vm_run){.page = page, .count = 1, .first = number - 1};
	}
}

static int store(struct storing *s, struct vm_snapshot *snapshot, struct arena *a, struct err *e)
{
	AUTO(buf) struct buf machine = {0};
	struct list runs = {0};
	int r = add_all(s, snapshot, e);

	if (r)
		return r;
	for (unsigned i = 0; i < snapshot->disks.count; i++)
		list_runs(s, i + 1, a, &LIST_AT(&snapshot->disks, struct disk_rec, i)->runs);
	list_runs(s, 0, a, &runs);
	r = vm_set_runs(s->from->machine, &runs, s->n_pages, &machine, e);
	if (!r)
		snapshot->machine = SPAN(arena_copy(a, machine.data, machine.len), machine.len);
	return r;
}

int rehearsed_store(const struct rehearsed *from, struct page_sink *sink,
                    struct vm_snapshot *snapshot, struct arena *a, uint64_t *n_pages, struct err *e)
{
	struct storing s = {.from = from, .snapshot = snapshot, .sink = sink};
	int r = 0;

	s.pages[0] = from->ram_bytes / PAGE_BYTES;
	for (size_t i = 0; i < snapshot->disks.count; i++)
		s.pages[i + 1] = pages_of_bytes(from->disk[i]->bytes);
	for (size_t i = 0; i <= snapshot->disks.count; i++) {
		if (s.pages[i] >= UINT32_MAX)
			r = err_say(e, -EFBIG, "a machine of more pages than can be numbered");
		else
			s.number[i] = xalloc(s.pages[i] * sizeof(uint32_t) + 1);
	}
	if (!r)
		r = store(&s, snapshot, a, e);
	*n_pages = s.n_pages;
	for (size_t i = 0; i < TARGETS_MAX; i++)
		free(s.number[i]);
	free(s.home);
	free(s.table);
	return r;
}
