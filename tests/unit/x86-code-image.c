/* SPDX-License-Identifier: MIT */
/* Decoded code in an image: the same as decoded anew, and only for the bytes that it was made from. */
#include <string.h>

#include "../random.h"
#include "tap.h"
#include "x86/cache.h"

#define PAGES 64u
#define STRIDE 7u

static _Alignas(4096) uint8_t ram[PAGES * PAGE_BYTES];
static struct x86_code_place places[PAGES * PAGE_BYTES];
static uint64_t seed = 88172645463325252u;

static uint64_t draw(void)
{
	return random_next(&seed);
}

/* Random bytes, with what leads to the tables of SSE and x87 more often than chance has it. */
static void fill(void)
{
	static const uint8_t starts[] = {0x0f, 0x66, 0xf2, 0xf3, 0x48, 0xd9, 0xdd, 0x8b};

	for (size_t i = 0; i < sizeof(ram); i++)
		ram[i] = draw() % 3 ? (uint8_t)draw() : starts[draw() % sizeof(starts)];
}

static size_t list_places(void)
{
	static const uint8_t modes[] = {CODE_64, CODE_64 | CODE_USER, CODE_32 | CODE_STACK32,
	                                CODE_64 | CODE_NO_FPU};
	size_t n = 0;

	for (size_t at = 0; at < sizeof(ram); at += STRIDE)
		places[n++] = (struct x86_code_place){(uint32_t)(at / PAGE_BYTES),
		                                      (uint16_t)(at % PAGE_BYTES),
		                                      modes[draw() % ARRAY_LEN(modes)], 0};
	return n;
}

static const struct trace *find(const struct x86_code_image *image, const struct x86_code_place *p)
{
	return x86_image_find(image, p->page, p->off, p->mode, ram + p->page * PAGE_BYTES + p->off);
}

static bool is_as_decoded(const struct x86_code_image *image, const struct x86_code_place *p)
{
	struct op fresh[TRACE_OPS_MAX], copied[TRACE_OPS_MAX];
	struct trace_info decoded = {.ops = fresh};
	const struct trace *found = find(image, p);

	x86_decode_trace(NULL, &decoded, ram + p->page * PAGE_BYTES + p->off, PAGE_BYTES - p->off,
	                 p->off, p->mode);
	/* An instruction over the end of its page is in no image. */
	if (!found)
		return !decoded.n_ops;
	x86_image_copy(copied, found);
	/* Where a jump leads is not known yet, whatever the decoder has left there. */
	for (unsigned i = decoded.n_ops; i && fresh[i - 1].fn == x86_op_stub; i--)
		fresh[i - 1 - fresh[i - 1].off].imm = 0;
	return found->n_ops == decoded.n_ops && found->bytes == decoded.bytes &&
	       !memcmp(copied, fresh, decoded.n_ops * sizeof(fresh[0]));
}

static bool points_to_row(const struct x86_code_place *p)
{
	struct op ops[TRACE_OPS_MAX];
	struct trace_info decoded = {.ops = ops};

	x86_decode_trace(NULL, &decoded, ram + p->page * PAGE_BYTES + p->off, PAGE_BYTES - p->off,
	                 p->off, p->mode);
	return decoded.rows;
}

static void what_is_found_is_as_decoded(void)
{
	AUTO(buf) struct buf b = {0};
	size_t n, wrong = 0, rows = 0, changed = 0, listed;
	struct x86_code_image image;

	fill();
	n = list_places();
	x86_code_image_make(ram, sizeof(ram), &(struct x86_known){.place = places, .n_places = n},
	                    &b);
	image = (struct x86_code_image){b.data, b.len};
	ok(x86_image_is_usable(&image, PAGES), "it is no image");
	for (size_t i = 0; i < n; i++) {
		wrong += !is_as_decoded(&image, &places[i]);
		rows += points_to_row(&places[i]);
	}
	ok(!wrong, "%zu of %zu differ", wrong, n);
	ok(rows > n / 20, "only %zu of %zu point to rows: nothing was tested", rows, n);
	listed = x86_code_image_count(&image);
	ok(listed > n / 2 && listed <= n, "%zu of %zu", listed, n);
	ok(x86_code_image_places(&image, places, n) == listed, "it lists others");

	for (size_t i = 0; i < listed; i++) {
		const struct trace *t = find(&image, &places[i]);
		uint8_t *last;

		if (!t)
			continue;
		last = ram + places[i].page * PAGE_BYTES + places[i].off + t->bytes - 1;
		*last ^= 1;
		changed += find(&image, &places[i]) != NULL;
		*last ^= 1;
	}
	ok(!changed, "%zu were found though their bytes had changed", changed);
}

static void what_is_no_place_does_no_harm(void)
{
	static struct x86_code_place bad[] = {
		{PAGES, 0, CODE_64, 0}, {UINT32_MAX, 0, CODE_64, 0},    {0, PAGE_BYTES, CODE_64, 0},
		{0, 0xffff, 0xff, 0},   {1, 0, CODE_64 | CODE_STEP, 0},
	};
	AUTO(buf) struct buf b = {0};
	struct x86_code_image image;

	x86_code_image_make(ram, sizeof(ram),
	                    &(struct x86_known){.place = bad, .n_places = ARRAY_LEN(bad)}, &b);
	image = (struct x86_code_image){b.data, b.len};
	ok(x86_image_is_usable(&image, PAGES) && !x86_code_image_count(&image),
	   "it holds something");
}

static void pages_are_kept_once_and_in_ram(void)
{
	enum { W = X86_PAGE_WRITTEN };
	const uint32_t later = X86_PAGE_LATER;
	uint32_t pages[] = {5 << 1,
	                    3 << 1 | W,
	                    5 << 1 | W,
	                    3 << 1,
	                    PAGES << 1,
	                    UINT32_MAX,
	                    7 << 1,
	                    later | 9 << 1,
	                    6 << 1,
	                    later | 6 << 1 | W,
	                    later | 8 << 1 | W,
	                    later | 7 << 1};
	const uint32_t want[] = {3 << 1 | W, 5 << 1 | W,         6 << 1 | W,
	                         7 << 1,     later | 8 << 1 | W, later | 9 << 1},
		       *got;
	AUTO(buf) struct buf b = {0};
	struct x86_code_image image;

	fill();
	x86_code_image_make(ram, sizeof(ram),
	                    &(struct x86_known){.place = places,
	                                        .n_places = list_places(),
	                                        .page = pages,
	                                        .n_pages = ARRAY_LEN(pages)},
	                    &b);
	image = (struct x86_code_image){b.data, b.len};
	ok(x86_code_image_pages(&image, &got) == ARRAY_LEN(want), "how many");
	ok(!memcmp(got, want, sizeof(want)), "which, and whether they were written");
	ok(x86_code_image_places(&image, places, ARRAY_LEN(places)) > ARRAY_LEN(places) / 20,
	   "and code after them");
}

/* What was run later is behind the rest, however it was listed, and is told apart again. */
static void what_is_for_later_is_behind(void)
{
	AUTO(buf) struct buf b = {0};
	struct x86_code_image image;
	size_t n, all, first = 0, wrong = 0, known_first = 0;

	fill();
	n = list_places();
	for (size_t i = 0; i < n; i++)
		places[i].later = draw() % 2;
	x86_code_image_make(ram, sizeof(ram), &(struct x86_known){.place = places, .n_places = n},
	                    &b);
	image = (struct x86_code_image){b.data, b.len};
	for (size_t i = 0; i < n; i++)
		known_first += !places[i].later && find(&image, &places[i]);
	all = x86_code_image_places(&image, places, n);
	while (first < all && !places[first].later)
		first++;
	for (size_t i = first; i < all; i++)
		wrong += !places[i].later;
	ok(first == known_first && first < all && !wrong, "%zu of %zu, %zu are wrong", first, all,
	   wrong);
}

static void a_cut_image_is_none(void)
{
	AUTO(buf) struct buf b = {0};
	struct x86_code_place one = {0, 0, CODE_64, 0};
	struct x86_code_image image;

	x86_code_image_make(ram, sizeof(ram), &(struct x86_known){.place = &one, .n_places = 1},
	                    &b);
	for (size_t len = 0; len < b.len; len++) {
		image = (struct x86_code_image){b.data, len};
		if (x86_image_is_usable(&image, PAGES))
			ok(false, "%zu of %zu bytes are an image", len, b.len);
	}
	image = (struct x86_code_image){b.data, b.len};
	ok(x86_image_is_usable(&image, PAGES), "all of it is none");
	ok(!x86_image_is_usable(&image, PAGES + 1), "it is one for other RAM");
	b.data[0] ^= 1;
	ok(!x86_image_is_usable(&image, PAGES), "any bytes are one");
}

int main(void)
{
	RUN(what_is_found_is_as_decoded);
	RUN(what_is_no_place_does_no_harm);
	RUN(pages_are_kept_once_and_in_ram);
	RUN(what_is_for_later_is_behind);
	RUN(a_cut_image_is_none);
	return tap_done();
}
