/* SPDX-License-Identifier: MIT */
/*
 * What the pages of a frame are stored as. Pages that are zero are left out of it.
 *
 * Compression (STORE_COMPRESS_AUTO). zstd at level 1 does 4 GB/s a core where there is nearly
 * nothing to say, but only 0.3 GB/s on the heap of a program, where sealing and writing the pages
 * as they are does 2. So a frame whose words repeat is compressed, which is the faster way too, and
 * any other is stored as it is: a CPU that is not ours alone, or that could be reading the program
 * meanwhile, is never idle enough.
 * Of pages that are not compressed the zeros at their ends are left out, at the speed of a copy.
 */
#include "store/parts.h"

#include <string.h>
#include <zstd.h>

static bool page_is_zero(const uint8_t *page)
{
	static const uint8_t zero[16];

	return !memcmp(page, zero, sizeof(zero)) &&
	       !memcmp(page, page + sizeof(zero), PAGE_BYTES - sizeof(zero));
}

/* Moves the pages that are not zero together. Return: bit n for page n. */
static uint32_t squeeze_zero_pages(uint8_t *pages, uint32_t n)
{
	uint32_t present = 0;
	uint8_t *to = pages;

	for (uint32_t i = 0; i < n; i++) {
		uint8_t *from = pages + i * PAGE_BYTES;

		if (page_is_zero(from))
			continue;
		if (to != from)
			memcpy(to, from, PAGE_BYTES);
		to += PAGE_BYTES;
		present |= 1u << i;
	}
	return present;
}

/* How much of a page is left without the zeros at its end, in units; the page is not zero. */
static uint32_t units_of_page(const uint8_t *page)
{
	uint32_t n = TRIM_UNITS;

	/* Most pages are full to the end: the first look tells. */
	for (;; n--) {
		uint64_t w[TRIM_UNIT_BYTES / 8];

		memcpy(w, page + (n - 1) * TRIM_UNIT_BYTES, sizeof(w));
		if (n == 1 || w[0] | w[1])
			return n;
	}
}

/*
 * Makes a trimmed frame of @n pages, in place, if a sixteenth of them or more is zeros at
 * ends. Return: its bytes, which begin TRIM_HEAD_BYTES before @pages; 0 if it is not worth it.
 */
static size_t trim_pages(uint8_t *pages, uint32_t n)
{
	uint8_t head[TRIM_HEAD_BYTES] = {0};
	uint8_t *to = pages;
	uint32_t units = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t some = units_of_page(pages + i * PAGE_BYTES);

		head[i] = (uint8_t)(some - 1);
		units += some;
	}
	if (units > n * TRIM_UNITS / 16 * 15)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		size_t bytes = (head[i] + 1u) * TRIM_UNIT_BYTES;

		memmove(to, pages + i * PAGE_BYTES, bytes);
		to += bytes;
	}
	memcpy(pages - TRIM_HEAD_BYTES, head, sizeof(head));
	return TRIM_HEAD_BYTES + (size_t)(to - pages);
}

/*
 * Whether a frame all but repeats itself: nearly every word of some runs of it is the one that
 * stood 1, 2, 4 or 8 words before.
 */
static bool repeats_itself(const uint8_t *plain, size_t len)
{
	enum { RUNS = 4, WORDS = 64, BEFORE = 8 };
	unsigned same = 0;

	for (size_t run = 0; run < RUNS; run++) {
		uint64_t w[WORDS];

		memcpy(w, plain + run * (len / RUNS), sizeof(w));
		for (size_t i = BEFORE; i < WORDS; i++)
			same += w[i] == w[i - 1] || w[i] == w[i - 2] || w[i] == w[i - 4] ||
			        w[i] == w[i - 8];
	}
	return same > RUNS * (WORDS - BEFORE) / 16 * 15;
}

static bool worth_compressing(enum store_compression how, struct span plain)
{
	switch (how) {
	case STORE_COMPRESS_NONE:
		return false;
	case STORE_COMPRESS_SMALL:
	case STORE_COMPRESS_DENSE:
		return true;
	default:
		return repeats_itself(plain.data, plain.len);
	}
}

static size_t compress_at(ZSTD_CCtx *zstd, int level, struct span plain, uint8_t *out)
{
	size_t n;

	ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level);
	/* Room for less than the pages: zstd gives up when there is nothing to gain. */
	n = ZSTD_compress2(zstd, out, plain.len - plain.len / 16, plain.data, plain.len);
	return ZSTD_isError(n) ? 0 : n;
}

/*
 * Return: how many bytes of @out the frame takes; 0: it is not worth it.
 *
 * Dense compression takes longest where there is least to gain: of a frame that shrinks to
 * a fifth at once its better level would take another 2 % for five times the time.
 */
static size_t compress(ZSTD_CCtx *zstd, enum store_compression how, struct span plain, uint8_t *out)
{
	size_t n;

	if (how != STORE_COMPRESS_DENSE)
		return compress_at(zstd, how == STORE_COMPRESS_SMALL ? 3 : 1, plain, out);
	n = compress_at(zstd, 3, plain, out);
	return compress_at(zstd, n && n < plain.len / 5 ? 9 : 14, plain, out);
}

struct span frame_content(ZSTD_CCtx *zstd, enum store_compression how, uint8_t *pages, uint32_t n,
                          uint8_t *squeezed, struct frame_rec *rec)
{
	struct span plain;
	size_t bytes;

	rec->present = squeeze_zero_pages(pages, n);
	plain = SPAN(pages, (size_t)__builtin_popcount(rec->present) * PAGE_BYTES);
	if (!plain.len)
		return plain;
	bytes = worth_compressing(how, plain) ? compress(zstd, how, plain, squeezed) : 0;
	if (bytes) {
		rec->codec = FRAME_ZSTD;
		return SPAN(squeezed, bytes);
	}
	bytes = how == STORE_COMPRESS_NONE ? 0
	                                   : trim_pages(pages, (uint32_t)(plain.len / PAGE_BYTES));
	if (bytes) {
		rec->codec = FRAME_TRIMMED;
		return SPAN(pages - TRIM_HEAD_BYTES, bytes);
	}
	return plain;
}
