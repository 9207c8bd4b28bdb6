/* SPDX-License-Identifier: MIT */
/*
 * image: what a snapshot is. Records and their tables (rec.h), and the streams through which
 * the engines hand pages to the store without knowing it.
 */
#ifndef WSLX_IMAGE_H
#define WSLX_IMAGE_H

#include "image/rec.h"

/*
 * Pages are numbered from 0 within one snapshot, in the order in which dump hands them over;
 * records name runs of them (first page, count). What a run means (an address in a mapping, a
 * guest-physical address) is the record's business.
 */
struct page_sink {
	/**
	 * write() - take the next pages of the snapshot
	 * @data:  @pages pages of PAGE_BYTES; borrowed for the call
	 *
	 * The n-th page written has number n. Return: 0 or negative errno.
	 */
	int (*write)(struct page_sink *sink, const uint8_t *data, size_t pages, struct err *e);
	/**
	 * reserve() - room of the sink's own for the next pages, so that they need no copy
	 * @pages: in: as many as are wanted; out: as many as there is room for, at least one
	 *
	 * Optional: NULL if the sink has no such room. The room is valid until the next call of
	 * the sink. Return: where to put them; NULL with @e set.
	 */
	uint8_t *(*reserve)(struct page_sink *sink, size_t *pages, struct err *e);
	/**
	 * commit() - the first @pages of what was reserved last are the next pages
	 *
	 * Not called, or called with 0, nothing was written.
	 */
	int (*commit)(struct page_sink *sink, size_t pages, struct err *e);
};

struct page_source {
	uint64_t n_pages;
	/**
	 * read() - fetch pages by number; authenticated before they are seen
	 * @first: number of the first page; @first + @pages is at most n_pages
	 *
	 * May be called from several threads at once. Return: 0 or negative errno.
	 */
	int (*read)(struct page_source *source, uint64_t first, size_t pages, uint8_t *out,
	            struct err *e);
};

#endif
