/* SPDX-License-Identifier: MIT */
/*
 * image: what a snapshot is. Records and their tables (rec.h), and the streams through which
 * the engines hand pages to the store without knowing it.
 */
#ifndef WSLX_IMAGE_H
#define WSLX_IMAGE_H

#include "image/rec.h"

/* Pages that follow each other, somewhere. */
struct stretch {
	uint64_t at; /* in bytes; from where on is the reader's business */
	uint64_t pages;
};

/* Something that pages can be read from, by several threads at once. */
#define STRETCHES_MAX 64
struct page_reader {
	/* Reads up to STRETCHES_MAX, one behind the other. Return: 0 or negative errno. */
	int (*read)(const struct page_reader *from, const struct stretch *what, size_t n,
	            uint8_t *to, struct err *e);
};

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
	 * fetch() - the next pages are @what of @from, which the sink reads itself, by and by
	 *
	 * Until drain() has returned, @from and what it reads stay as they are. A failure to read
	 * may be told by any later call. Return: 0 or negative errno.
	 */
	int (*fetch)(struct page_sink *sink, const struct page_reader *from, struct stretch what,
	             struct err *e);
	/* drain() - wait until all that was promised by fetch() is read, or could not be */
	int (*drain)(struct page_sink *sink, struct err *e);
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
	/* Are all of these pages zero? Known without reading them. NULL: that is never known. */
	bool (*is_zero)(struct page_source *source, uint64_t first, size_t pages);
};

#endif
