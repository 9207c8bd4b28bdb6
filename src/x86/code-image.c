/* SPDX-License-Identifier: MIT */
/*
 * Decoded code that outlives its CPU.
 *
 * A machine that was restored runs a hundred thousand instructions before it answers, nearly all of
 * them once, and decoding one costs more than running it ten times. So traces are decoded
 * beforehand into an image, which many CPUs read. A CPU that needs a trace looks there before it
 * decodes, compares the bytes of code, and copies.
 *
 *	header | slots: a hash table of places | pages | traces
 *	trace = struct image_trace | bytes of code, padded to 8 | ops
 *
 * Traces are in parts (x86_part_of()), in each in the order in which they were listed.
 *
 * Beside the code are the pages of RAM that were used first, for whoever maps RAM to have them
 * mapped before they are used.
 *
 * Pointers into the program (handlers, rows of tables) are kept as distances from one
 * of its functions, so the image belongs to one build, wherever that is loaded; to know builds
 * apart is the business of whoever keeps images. It belongs to no state of RAM: decoding depends on
 * bytes, mode and place in the page alone, and the bytes are compared. An instruction across a
 * page's end is not in it.
 */
#include "x86/cache.h"

#define MAGIC UINT64_C(0x326567616d697863) /* "cximage2" */
#define UNIT 16u                           /* what offsets in the image are multiples of */

struct image_header {
	uint64_t magic;
	uint64_t bytes;
	uint32_t n_slots; /* a power of two; each slot: where its trace is, in UNITs; 0: none */
	uint32_t n_traces;
	uint32_t n_pages; /* number << 1, bit 0: it was written */
	uint32_t zero;
	uint64_t part[X86_PRELOAD_PARTS]; /* where the traces of each begin */
};

struct image_trace {
	uint32_t page; /* of RAM */
	uint16_t off;
	uint16_t bytes;
	uint64_t rows; /* bit i: the data of op i points to a row */
	uint16_t n_ops;
	uint8_t mode;
	uint8_t zero[5];
};

static uintptr_t base(void)
{
	return (uintptr_t)x86_op_stub;
}

static uint32_t slot_of(uint32_t page, unsigned off, uint8_t mode, uint32_t n_slots)
{
	uint64_t key = (uint64_t)page << PAGE_SHIFT | off | (uint64_t)mode << 48;

	return (uint32_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (n_slots - 1);
}

static size_t rounded(size_t bytes, size_t unit)
{
	return (bytes + unit - 1) & ~(unit - 1);
}

static size_t trace_bytes(const struct image_trace *t)
{
	return sizeof(*t) + rounded(t->bytes, 8) + t->n_ops * sizeof(struct op);
}

/* ---- making ------------------------------------------------------------------------------- */

static void pad(struct buf *b, size_t unit)
{
	while (b->len % unit)
		buf_add_byte(b, 0);
}

static bool same_place(const struct image_trace *t, const struct x86_code_place *p)
{
	return t->page == p->page && t->off == p->off && t->mode == p->mode;
}

/* The slot for a place: where it is, or the free one that it will have. */
static uint32_t *find_slot(struct buf *image, const struct x86_code_place *p, uint32_t n_slots)
{
	uint32_t *slots = (uint32_t *)(void *)(image->data + sizeof(struct image_header));
	uint32_t i = slot_of(p->page, p->off, p->mode, n_slots);

	while (slots[i] && !same_place((void *)(image->data + (size_t)slots[i] * UNIT), p))
		i = (i + 1) & (n_slots - 1);
	return &slots[i];
}

/* Return: whether there is one that the image did not have. */
static bool add_trace(struct buf *image, const uint8_t *ram, const struct x86_code_place *p,
                      uint32_t n_slots)
{
	const uint8_t *code = ram + ((uint64_t)p->page << PAGE_SHIFT) + p->off;
	struct op ops[TRACE_OPS_MAX];
	struct trace_info info = {.ops = ops};
	struct image_trace t = {.page = p->page, .off = p->off, .mode = p->mode};
	uint32_t *slot = find_slot(image, p, n_slots);

	if (*slot)
		return false;
	x86_decode_trace(NULL, &info, code, PAGE_BYTES - p->off, p->off, p->mode);
	if (!info.n_ops)
		return false;
	*slot = (uint32_t)(image->len / UNIT);
	t.bytes = (uint16_t)info.bytes;
	t.n_ops = (uint16_t)info.n_ops;
	t.rows = info.rows;
	for (unsigned i = 0; i < info.n_ops; i++)
		ops[i].fn = (op_fn *)((uintptr_t)ops[i].fn - base());
	for (uint64_t rows = info.rows; rows; rows &= rows - 1)
		ops[__builtin_ctzll(rows)].imm -= (int64_t)base();
	buf_add(image, &t, sizeof(t));
	buf_add(image, code, info.bytes);
	pad(image, 8);
	buf_add(image, ops, info.n_ops * sizeof(ops[0]));
	pad(image, UNIT);
	return true;
}

/* One that is read first and written later is in the log twice: those that are written come first. */
static void add_pages(struct buf *image, const struct x86_known *known, uint64_t ram_pages,
                      uint32_t written, struct image_header *h)
{
	for (size_t i = 0; i < known->n_pages; i++) {
		const uint32_t *have =
			(const uint32_t *)(const void *)(image->data + sizeof(*h)) + h->n_slots;
		const uint32_t page = known->page[i];
		uint32_t n = 0;

		if ((page & 1) != written || page >> 1 >= ram_pages)
			continue;
		while (n < h->n_pages && have[n] >> 1 != page >> 1)
			n++;
		if (n < h->n_pages)
			continue;
		buf_add(image, &page, sizeof(page));
		h->n_pages++;
	}
}

void x86_code_image_make(const uint8_t *ram, uint64_t ram_bytes, const struct x86_known *known,
                         struct buf *out)
{
	const uint64_t ram_pages = ram_bytes >> PAGE_SHIFT;
	struct image_header h = {.magic = MAGIC, .n_slots = 64};

	while (h.n_slots < known->n_places * 2)
		h.n_slots *= 2;
	buf_add(out, &h, sizeof(h));
	memset(buf_extend(out, h.n_slots * sizeof(uint32_t)), 0, h.n_slots * sizeof(uint32_t));
	add_pages(out, known, ram_pages, 1, &h);
	add_pages(out, known, ram_pages, 0, &h);
	pad(out, UNIT);
	for (unsigned part = 0; part < X86_PRELOAD_PARTS; part++) {
		h.part[part] = out->len;
		for (size_t i = 0; i < known->n_places; i++) {
			const struct x86_code_place *p = &known->place[i];

			if (p->page < ram_pages && x86_part_of(p->page) == part &&
			    p->off < PAGE_BYTES && !(p->mode & CODE_STEP))
				h.n_traces += add_trace(out, ram, p, h.n_slots);
		}
	}
	h.bytes = out->len;
	memcpy(out->data, &h, sizeof(h));
}

/* ---- using -------------------------------------------------------------------------------- */

static const struct image_header *header(const struct x86_code_image *image)
{
	return image->at;
}

bool x86_image_is_usable(const struct x86_code_image *image)
{
	const struct image_header *h = header(image);

	return image->at && image->bytes >= sizeof(*h) && h->magic == MAGIC &&
	       h->bytes == image->bytes && h->n_slots && !(h->n_slots & (h->n_slots - 1)) &&
	       (uint64_t)h->n_slots + h->n_pages <= (image->bytes - sizeof(*h)) / sizeof(uint32_t);
}

static size_t first_trace(const struct image_header *h)
{
	return rounded(sizeof(*h) + ((size_t)h->n_slots + h->n_pages) * sizeof(uint32_t), UNIT);
}

/* The trace at @at, if all of it is in the image. */
static const struct image_trace *trace_at(const struct x86_code_image *image, size_t at)
{
	const struct image_trace *t = (const void *)((const char *)image->at + at);

	if (at > image->bytes - sizeof(*t) || trace_bytes(t) > image->bytes - at)
		return NULL;
	return t;
}

/* Whether it can be what is to be run at its place, where @code is. */
static bool is_right(const struct image_trace *t, const uint8_t *code)
{
	return t->off < PAGE_BYTES && t->bytes <= PAGE_BYTES - t->off && t->n_ops &&
	       t->n_ops <= TRACE_OPS_MAX && (t->n_ops >= 64 || !(t->rows >> t->n_ops)) &&
	       !memcmp(t + 1, code, t->bytes);
}

static void tell(const struct image_trace *t, struct trace_info *out)
{
	out->ops = (struct op *)((uintptr_t)(t + 1) + rounded(t->bytes, 8));
	out->n_ops = t->n_ops;
	out->bytes = t->bytes;
	out->rows = t->rows;
}

bool x86_image_find(const struct x86_code_image *image, uint32_t page, unsigned off, uint8_t mode,
                    const uint8_t *code, struct trace_info *out)
{
	const struct image_header *h = header(image);
	const uint32_t *slots = (const void *)(h + 1);
	uint32_t i = slot_of(page, off, mode, h->n_slots);

	for (uint32_t tries = 0; slots[i] && tries < h->n_slots; tries++) {
		const struct image_trace *t = trace_at(image, (size_t)slots[i] * UNIT);

		if (!t)
			return false;
		if (t->page == page && t->off == off && t->mode == mode) {
			if (!is_right(t, code))
				return false;
			tell(t, out);
			return true;
		}
		i = (i + 1) & (h->n_slots - 1);
	}
	return false;
}

void x86_image_copy(struct op *to, const struct trace_info *from)
{
	const uintptr_t at = base();

	for (unsigned i = 0; i < from->n_ops; i++) {
		to[i] = from->ops[i];
		to[i].fn = (op_fn *)((uintptr_t)to[i].fn + at);
	}
	for (uint64_t rows = from->rows; rows; rows &= rows - 1)
		to[__builtin_ctzll(rows)].imm += (int64_t)at;
}

bool x86_image_next(const struct x86_code_image *image, unsigned part, size_t *at,
                    const uint8_t *ram, uint64_t ram_bytes, struct x86_code_place *place,
                    struct trace_info *out)
{
	const struct image_header *h = header(image);
	const size_t end = part + 1 < X86_PRELOAD_PARTS ? h->part[part + 1] : h->bytes;
	const struct image_trace *t;

	*at = *at ? *at : h->part[part];
	while (*at < end && (t = trace_at(image, *at))) {
		const uint8_t *code = ram + ((uint64_t)t->page << PAGE_SHIFT) + t->off;

		*at += rounded(trace_bytes(t), UNIT);
		if (t->page >= ram_bytes >> PAGE_SHIFT || x86_part_of(t->page) != part ||
		    !is_right(t, code))
			continue;
		*place = (struct x86_code_place){t->page, t->off, t->mode, 0};
		tell(t, out);
		return true;
	}
	return false;
}

size_t x86_code_image_pages(const struct x86_code_image *image, const uint32_t **out)
{
	const struct image_header *h = header(image);

	if (!x86_image_is_usable(image))
		return 0;
	*out = (const uint32_t *)(const void *)(h + 1) + h->n_slots;
	return h->n_pages;
}

size_t x86_code_image_places(const struct x86_code_image *image, struct x86_code_place *out,
                             size_t max)
{
	const struct image_trace *t;
	size_t n = 0, at;

	if (!x86_image_is_usable(image))
		return 0;
	at = first_trace(header(image));
	max = MIN(max, header(image)->n_traces);
	for (; n < max && (t = trace_at(image, at)); at += rounded(trace_bytes(t), UNIT))
		out[n++] = (struct x86_code_place){t->page, t->off, t->mode, 0};
	return n;
}

size_t x86_code_image_count(const struct x86_code_image *image)
{
	return x86_image_is_usable(image) ? header(image)->n_traces : 0;
}
