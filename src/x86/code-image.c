/* SPDX-License-Identifier: MIT */
/*
 * Decoded code that outlives its CPU.
 *
 * A machine that was restored runs a hundred thousand instructions before it answers, nearly all of
 * them once, and decoding one costs more than running it ten times. So traces are decoded
 * beforehand into an image, which many CPUs read.
 *
 *	header | pages of RAM | pages with code | hash | pool: traces | the code they were made from
 *
 * Hash, pages with code and traces are what a CPU of that RAM would have (cache.h), links within a
 * page among them, so that to preload all of it is one pass over memory in its order. Only
 * pointers differ: handlers and rows of tables are distances from one of the program's functions, so
 * the image belongs to one build, wherever that is loaded; a link is a distance from the pool. To
 * know builds apart is the business of whoever keeps images.
 *
 * A CPU that needs a trace which it has forgotten takes it from here instead of decoding, if the bytes
 * of code are the same. An instruction across a page's end is not in an image.
 *
 * Beside the code are the pages of RAM that were used first, for whoever maps RAM to have them
 * mapped before they are used.
 */
#include "x86/cache.h"

#define MAGIC UINT64_C(0x336567616d697863) /* "cximage3" */
/* A good part of a CPU's memory, and more than is worth reading at once. */
#define POOL_BYTES_MAX ((size_t)24 << 20)
/* What else is in a CPU's memory, about. */
#define BEFORE_POOL ((size_t)1 << 20)
/* In op.n, which is far smaller: imm is a distance, too. */
#define IS_ROW 0x80u

struct image_header {
	uint64_t magic;
	uint64_t bytes;
	uint64_t ram_pages;
	uint32_t n_traces;
	uint32_t n_pages; /* of RAM */
	uint32_t n_code_pages;
	/* Bytes from here on. */
	uint32_t code_pages, hash, pool, code;
	uint32_t pool_bytes;
	uint32_t later; /* the first trace of those, or the pool's end */
};

static bool is_stub(const struct op *op)
{
	return op->fn == x86_op_stub;
}

static struct trace *find_in(const void *pool, const uint32_t *hash, uint32_t page, unsigned off,
                             uint8_t mode)
{
	uint32_t name = hash[trace_slot(page, off)];

	while (name) {
		struct trace *t = trace_at(pool, name);

		if (t->page[0] == page && t->off == off && t->mode == mode)
			return t;
		name = t->hash_next;
	}
	return NULL;
}

/* ---- making ------------------------------------------------------------------------------- */

struct making {
	const uint8_t *ram;
	uint64_t ram_pages;
	uint32_t *hash;
	uint32_t *number; /* by page of RAM, of its code page; 0: it has none */
	struct buf pages, code_pages, pool, code;
	uint32_t n_traces;
};

static struct trace *find_made(const struct making *m, uint32_t page, unsigned off, uint8_t mode)
{
	return find_in(m->pool.data, m->hash, page, off, mode);
}

static struct code_page *code_page_of(struct making *m, uint32_t page)
{
	if (!m->number[page]) {
		const struct code_page new = {.page = page};

		buf_add(&m->code_pages, &new, sizeof(new));
		m->number[page] = (uint32_t)(m->code_pages.len / sizeof(new));
	}
	return (struct code_page *)(void *)m->code_pages.data + (m->number[page] - 1);
}

static void add_trace(struct making *m, const struct x86_code_place *place)
{
	const uint8_t *code = m->ram + ((uint64_t)place->page << PAGE_SHIFT) + place->off;
	const uint32_t name = (uint32_t)m->pool.len;
	uint32_t *slot = &m->hash[trace_slot(place->page, place->off)];
	struct op ops[TRACE_OPS_MAX];
	struct trace_info info = {.ops = ops};
	struct code_page *p;
	struct trace *t;

	if (find_made(m, place->page, place->off, place->mode) || name > POOL_BYTES_MAX)
		return;
	x86_decode_trace(NULL, &info, code, PAGE_BYTES - place->off, place->off, place->mode);
	if (!info.n_ops)
		return;
	for (uint64_t rows = info.rows; rows; rows &= rows - 1) {
		struct op *op = &ops[__builtin_ctzll(rows)];

		op->imm -= (int64_t)handlers_base();
		op->n |= IS_ROW;
	}
	p = code_page_of(m, place->page);
	p->lines |= lines_of(place->off, info.bytes);
	t = (struct trace *)(void *)buf_extend(&m->pool, trace_room(info.n_ops));
	memset(t, 0, trace_room(info.n_ops));
	*t = (struct trace){.hash_next = *slot,
	                    .page_next = {p->traces, (uint32_t)m->code.len},
	                    .page = {place->page, NO_PAGE},
	                    .off = place->off,
	                    .bytes = (uint16_t)info.bytes,
	                    .n_ops = (uint8_t)info.n_ops,
	                    .mode = place->mode};
	memcpy(t->ops, ops, info.n_ops * sizeof(ops[0]));
	*slot = p->traces = name;
	buf_add(&m->code, code, info.bytes);
	m->n_traces++;
}

/*
 * A jump that stays in its trace's page leads to where it leads, if that will be there when this
 * trace is; any other to its stub.
 */
static void link(const struct making *m, uint32_t trace)
{
	struct trace *t = trace_at(m->pool.data, trace);

	for (unsigned i = t->n_ops; i && is_stub(&t->ops[i - 1]); i--) {
		struct op *stub = &t->ops[i - 1];
		const uint8_t *to = (uint8_t *)stub, *target = NULL;

		if (t->mode & CODE_64 && (uint32_t)stub->disp < PAGE_BYTES)
			target = (uint8_t *)find_made(m, t->page[0], (unsigned)stub->disp, t->mode);
		if (target && trace_piece((uint32_t)(target - m->pool.data)) <= trace_piece(trace))
			to = target + offsetof(struct trace, ops);
		stub[-(int)stub->off].imm = to - m->pool.data;
	}
}

static void finish_traces(struct making *m)
{
	struct trace *t;

	for (uint32_t at = TRACE_UNIT; at < m->pool.len; at += (uint32_t)trace_room(t->n_ops)) {
		t = trace_at(m->pool.data, at);
		link(m, at);
	}
	/* All links are made, and nothing asks for a stub any more. */
	for (uint32_t at = TRACE_UNIT; at < m->pool.len; at += (uint32_t)trace_room(t->n_ops)) {
		t = trace_at(m->pool.data, at);
		for (unsigned i = 0; i < t->n_ops; i++)
			t->ops[i].fn = (op_fn *)((uintptr_t)t->ops[i].fn - handlers_base());
	}
}

enum { USED_FIRST = 1, USED = 2, WRITTEN = 4 };

static uint32_t page_of(uint32_t n, uint8_t uses)
{
	return n << 1 | (uses & WRITTEN ? X86_PAGE_WRITTEN : 0) |
	       (uses & USED_FIRST ? 0 : X86_PAGE_LATER);
}

/* A page may be in the log twice: read and written, or in the logs of two CPUs. */
static void add_pages(struct making *m, const struct x86_known *known)
{
	uint8_t *uses = xalloc(m->ram_pages);

	for (size_t i = 0; i < known->n_pages; i++) {
		const uint32_t page = known->page[i], n = x86_page_number(page);

		if (n < m->ram_pages)
			uses[n] |= (uint8_t)(USED | (page & X86_PAGE_LATER ? 0 : USED_FIRST) |
			                     (page & X86_PAGE_WRITTEN ? WRITTEN : 0));
	}
	for (unsigned group = 0; group < 4; group++) {
		const uint8_t want =
			(uint8_t)((group < 2 ? USED_FIRST : 0) | USED | (group % 2 ? 0 : WRITTEN));

		for (uint32_t n = 0; n < m->ram_pages; n++) {
			const uint32_t page = page_of(n, uses[n]);

			if (uses[n] == want)
				buf_add(&m->pages, &page, sizeof(page));
		}
	}
	free(uses);
}

static void add_traces(struct making *m, const struct x86_known *known, bool later)
{
	for (size_t i = 0; i < known->n_places; i++) {
		const struct x86_code_place *p = &known->place[i];

		if (p->page < m->ram_pages && p->off < PAGE_BYTES && !(p->mode & CODE_STEP) &&
		    p->later == later)
			add_trace(m, p);
	}
}

static uint32_t append(struct buf *out, const void *data, size_t len)
{
	size_t at;

	while (out->len % TRACE_UNIT)
		buf_add_byte(out, 0);
	at = out->len;
	buf_add(out, data, len);
	return (uint32_t)at;
}

void x86_code_image_make(const uint8_t *ram, uint64_t ram_bytes, const struct x86_known *known,
                         struct buf *out)
{
	struct making m = {.ram = ram, .ram_pages = ram_bytes >> PAGE_SHIFT};
	struct image_header h = {.magic = MAGIC, .ram_pages = m.ram_pages};

	m.hash = xalloc(HASH_SLOTS * sizeof(*m.hash));
	m.number = xalloc(m.ram_pages * sizeof(*m.number));
	add_pages(&m, known);
	memset(buf_extend(&m.pool, TRACE_UNIT), 0, TRACE_UNIT);
	add_traces(&m, known, false);
	h.later = (uint32_t)m.pool.len;
	add_traces(&m, known, true);
	finish_traces(&m);
	h.n_traces = m.n_traces;
	h.n_pages = (uint32_t)(m.pages.len / sizeof(uint32_t));
	h.n_code_pages = (uint32_t)(m.code_pages.len / sizeof(struct code_page));
	h.pool_bytes = (uint32_t)m.pool.len;
	buf_add(out, &h, sizeof(h));
	buf_add(out, m.pages.data, m.pages.len);
	h.code_pages = append(out, m.code_pages.data, m.code_pages.len);
	h.hash = append(out, m.hash, HASH_SLOTS * sizeof(*m.hash));
	h.pool = append(out, m.pool.data, m.pool.len);
	h.code = append(out, m.code.data, m.code.len);
	h.bytes = out->len;
	memcpy(out->data, &h, sizeof(h));
	free(m.hash);
	free(m.number);
	buf_finish(&m.pages);
	buf_finish(&m.code_pages);
	buf_finish(&m.pool);
	buf_finish(&m.code);
}

/* ---- using -------------------------------------------------------------------------------- */

static const struct image_header *header(const struct x86_code_image *image)
{
	return image->at;
}

static const void *part_of(const struct x86_code_image *image, uint32_t at)
{
	return (const uint8_t *)image->at + at;
}

static bool is_image(const struct x86_code_image *image)
{
	const struct image_header *h = header(image);

	return image->at && image->bytes >= sizeof(*h) && h->magic == MAGIC &&
	       h->bytes == image->bytes;
}

bool x86_image_is_usable(const struct x86_code_image *image, uint64_t ram_pages)
{
	return is_image(image) && header(image)->ram_pages == ram_pages;
}

size_t x86_image_tables(const struct x86_code_image *image, struct image_tables *out)
{
	const struct image_header *h = header(image);

	out->hash = part_of(image, h->hash);
	out->page = part_of(image, h->code_pages);
	out->n_pages = h->n_code_pages;
	return h->pool_bytes - TRACE_UNIT;
}

const struct trace *x86_image_find(const struct x86_code_image *image, uint32_t page, unsigned off,
                                   uint8_t mode, const uint8_t *code)
{
	const struct image_header *h = header(image);
	const struct trace *t;

	if (!h)
		return NULL;
	t = find_in(part_of(image, h->pool), part_of(image, h->hash), page, off, mode);
	return t && !memcmp(part_of(image, h->code + t->code), code, t->bytes) ? t : NULL;
}

/* The ops of an image's trace, but for links. */
static inline void make_ours(struct op *to, const struct trace *from)
{
	const uintptr_t at = handlers_base();

	for (unsigned i = 0; i < from->n_ops; i++) {
		const struct op *op = &from->ops[i];

		to[i] = *op;
		to[i].fn = (op_fn *)((uintptr_t)op->fn + at);
		to[i].imm += op->n & IS_ROW ? (int64_t)at : 0;
		to[i].n &= (uint8_t)~IS_ROW;
	}
}

void x86_image_copy(struct op *to, const struct trace *from)
{
	make_ours(to, from);
	for (unsigned i = from->n_ops; i && is_stub(&to[i - 1]); i--)
		to[i - 1 - to[i - 1].off].imm = 0;
}

uint32_t x86_image_later(const struct x86_code_image *image)
{
	return header(image)->later;
}

const struct trace *x86_image_trace(const struct x86_code_image *image, uint32_t trace)
{
	return trace_at(part_of(image, header(image)->pool), trace);
}

struct trace *x86_image_take(const struct x86_code_image *image, uint32_t trace, void *pool)
{
	const struct trace *from = x86_image_trace(image, trace);
	struct trace *to = trace_at(pool, trace);

	memcpy(to, from, sizeof(*to));
	make_ours(to->ops, from);
	for (unsigned i = from->n_ops; i && is_stub(&to->ops[i - 1]); i--)
		to->ops[i - 1 - to->ops[i - 1].off].imm += (intptr_t)pool;
	return to;
}

size_t x86_code_image_pages(const struct x86_code_image *image, const uint32_t **out)
{
	if (!is_image(image))
		return 0;
	*out = part_of(image, sizeof(struct image_header));
	return header(image)->n_pages;
}

size_t x86_code_image_places(const struct x86_code_image *image, struct x86_code_place *out,
                             size_t max)
{
	const struct image_header *h = header(image);
	uint32_t name = TRACE_UNIT;
	size_t n = 0;

	if (!is_image(image))
		return 0;
	for (; n < max && name < h->pool_bytes; n++) {
		const struct trace *t = trace_at(part_of(image, h->pool), name);

		out[n] = (struct x86_code_place){t->page[0], t->off, t->mode, name >= h->later};
		name += (uint32_t)trace_room(t->n_ops);
	}
	return n;
}

size_t x86_code_image_memory(const struct x86_code_image *image)
{
	return is_image(image) ? BEFORE_POOL + header(image)->later : 0;
}

size_t x86_code_image_count(const struct x86_code_image *image)
{
	return is_image(image) ? header(image)->n_traces : 0;
}
