/* SPDX-License-Identifier: MIT */
/* What all that takes part in a dump does with it. */
#include <string.h>

#include "kinds/kinds.h"

void dump_obstacle(struct dump *d, pid_t pid, const char *fmt, ...)
{
	AUTO(buf) struct buf text = {0};
	struct obstacle *o;
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	LIST_EACH(&d->obstacles, struct obstacle, seen)
		if (seen->pid == pid && !strcmp(seen->text, buf_text(&text)))
			return;
	o = LIST_ADD(&d->obstacles, &d->arena, struct obstacle);
	o->pid = pid;
	o->text = arena_text(&d->arena, buf_text(&text));
}

static int compare_pid(const void *key, const void *item)
{
	const pid_t *pid = key;
	const struct dtask *const *t = item;

	return *pid < (*t)->pid ? -1 : *pid > (*t)->pid;
}

struct dtask *dump_find(const struct dump *d, pid_t pid)
{
	struct dtask **found =
		bsearch(&pid, d->by_pid, d->n_tasks, sizeof(struct dtask *), compare_pid);

	return found ? *found : NULL;
}

void dump_note_pages(struct dump *d, struct list *runs, uint64_t at, size_t pages)
{
	struct run_rec *last = runs->count ? LIST_AT(runs, struct run_rec, runs->count - 1) : NULL;

	if (last && last->at + last->pages * PAGE_BYTES == at &&
	    last->first + last->pages == d->image.n_pages)
		last->pages += pages;
	else
		*LIST_ADD(runs, &d->arena, struct run_rec) =
			(struct run_rec){.at = at, .pages = pages, .first = d->image.n_pages};
	d->image.n_pages += pages;
}

int dump_add_pages(struct dump *d, struct page_sink *sink, struct list *runs, uint64_t at,
                   const uint8_t *data, size_t pages, struct err *e)
{
	int r = sink->write(sink, data, pages, e);

	if (!r)
		dump_note_pages(d, runs, at, pages);
	return r;
}
