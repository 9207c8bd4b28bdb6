/* SPDX-License-Identifier: MIT */
/*
 * Traces: found, made, linked, forgotten.
 *
 * A page of RAM with at least one trace "has code": the TLB holds no write entry for it, so
 * each write comes to x86_code_written(), which forgets all traces of the page if the
 * written 64-byte lines hold code of any. All ops of a forgotten trace get the handler
 * x86_op_stale(), so that a trace which overwrites itself notices at its next instruction, and
 * whoever still has a link to it is led to the new trace.
 *
 * Links that need no check stay inside one page, whose traces are forgotten together and whose
 * RIP is the same at both ends. All others are guarded by code_tag.
 *
 * An instruction over a page's end is a trace of its own, valid for a pair of RAM pages.
 *
 * Memory is never given back for one trace. When there is too much of it all traces go.
 */
#include "x86/cache.h"
#include "x86/branch.h"
#include "x86/mmu.h"
#include "x86/native/native.h"

/*
 * A page that was rewritten this often stays out of the write TLB, because its next code comes
 * soon; until it was written so often without any code coming that it has become data.
 */
#define REWRITES_MANY 8
#define WRITES_MANY 512
/* Generating code for a trace costs about as much as running it so often by handlers. */
#define HOT 200

struct trace_cache {
	uint32_t hash[HASH_SLOTS];
	uint8_t *pool; /* where the traces are: all that follows in the CPU's memory */
	/*
	 * The image's traces that are not in the pool yet: so many bytes from there on. They are found,
	 * and then all up to them are taken.
	 */
	uint32_t left_from, left;
	uint64_t flushes;
	struct code_page *code_page; /* all there ever were */
	uint32_t n_code_pages, room_code_pages;
	uint32_t *number;   /* by RAM page, of its code page; 0: code never was there */
	uint64_t *has_code; /* by RAM page, a bit: asked for each page that is written to */
	uint64_t *written;  /* likewise: has been in the write TLB */
};

static uint64_t bit_of(uint64_t page)
{
	return UINT64_C(1) << page % 64;
}

static struct trace *at(const struct trace_cache *c, uint32_t trace)
{
	return trace_at(c->pool, trace);
}

static uint32_t name_of(const struct trace_cache *c, const struct trace *t)
{
	return (uint32_t)((const uint8_t *)t - c->pool);
}

/* Nothing is where a trace would have no name. */
static void begin_pool(struct x86_cpu *cpu)
{
	cpu->memory_used = (size_t)(cpu->cache->pool - cpu->memory) + TRACE_UNIT;
}

struct trace_cache *x86_cache_create(struct x86_cpu *cpu)
{
	uint64_t ram_pages = cpu->platform.ram_bytes >> PAGE_SHIFT;
	struct trace_cache *c = x86_take_memory(cpu, sizeof(*c));
	struct image_tables tables;

	c->pool = cpu->memory + cpu->memory_used;
	cpu->cache = c;
	begin_pool(cpu);
	/* Kept free for what is preloaded. */
	if (cpu->config.image.at &&
	    !x86_take_memory(cpu, x86_image_tables(&cpu->config.image, &tables)))
		cpu->config.image = (struct x86_code_image){0};
	c->number = xalloc(ram_pages * sizeof(*c->number));
	c->has_code = xalloc(ram_pages / 8 + sizeof(uint64_t));
	c->written = xalloc(ram_pages / 8 + sizeof(uint64_t));
	return c;
}

void x86_cache_destroy(struct trace_cache *c)
{
	free(c->code_page);
	free(c->number);
	free(c->has_code);
	free(c->written);
}

void x86_cache_flush(struct x86_cpu *cpu)
{
	struct trace_cache *c = cpu->cache;

	begin_pool(cpu);
	c->left = 0;
	memset(c->hash, 0, sizeof(c->hash));
	for (uint32_t i = 0; i < c->n_code_pages; i++) {
		struct code_page *p = &c->code_page[i];

		p->traces = 0;
		p->lines = 0;
		c->has_code[p->page / 64] &= ~bit_of(p->page);
	}
	memset(cpu->jump_cache, 0, sizeof(cpu->jump_cache));
	cpu->via = NULL;
	x86_native_flush(cpu->native);
	c->flushes++;
}

static struct trace *trace_alloc(struct x86_cpu *cpu, unsigned n_ops)
{
	struct trace *t = x86_take_memory(cpu, trace_room(n_ops));

	if (!t) {
		x86_cache_flush(cpu);
		t = x86_take_memory(cpu, trace_room(n_ops));
	}
	return t;
}

/* ---- pages with code ------------------------------------------------------------------- */

bool x86_page_has_code(const struct x86_cpu *cpu, uint64_t ram_page)
{
	return cpu->cache->has_code[ram_page / 64] & bit_of(ram_page);
}

bool x86_page_may_be_written(struct x86_cpu *cpu, uint64_t ram_page)
{
	if (x86_page_has_code(cpu, ram_page))
		return false;
	cpu->cache->written[ram_page / 64] |= bit_of(ram_page);
	return true;
}

static struct code_page *code_page_of(const struct trace_cache *c, uint64_t ram_page)
{
	return &c->code_page[c->number[ram_page] - 1];
}

/* It can have code from now on. */
static void number_page(struct trace_cache *c, uint32_t ram_page)
{
	if (c->n_code_pages == c->room_code_pages) {
		c->room_code_pages = c->room_code_pages ? c->room_code_pages * 2 : 512;
		c->code_page = xrealloc(c->code_page, c->room_code_pages * sizeof(*c->code_page));
	}
	c->code_page[c->n_code_pages++] = (struct code_page){.page = ram_page};
	c->number[ram_page] = c->n_code_pages;
}

static void add_to_page(struct x86_cpu *cpu, struct trace *t, int which, unsigned off,
                        unsigned bytes)
{
	struct trace_cache *c = cpu->cache;
	struct code_page *p;

	if (!c->number[t->page[which]])
		number_page(c, t->page[which]);
	p = code_page_of(c, t->page[which]);
	if (!(c->has_code[p->page / 64] & bit_of(p->page))) {
		c->has_code[p->page / 64] |= bit_of(p->page);
		if (c->written[p->page / 64] & bit_of(p->page)) {
			x86_write_protect(cpu, p->page);
			c->written[p->page / 64] &= ~bit_of(p->page);
		}
	}
	p->lines |= lines_of(off, bytes);
	t->page_next[which] = p->traces;
	p->traces = name_of(c, t);
}

static void forget(struct trace_cache *c, struct trace *t)
{
	uint32_t *link = &c->hash[trace_slot(t->page[0], t->off)];

	while (at(c, *link) != t)
		link = &at(c, *link)->hash_next;
	*link = t->hash_next;
	t->stale = true;
	for (unsigned i = 0; i < t->n_ops; i++)
		if (t->ops[i].len)
			t->ops[i].fn = x86_op_stale;
	t->ops[0].fn = x86_op_stale;
}

/*
 * A crossing trace is in two lists. It is taken out of the other page's list when that list is
 * walked: until then it is only marked.
 */
static void forget_page(struct x86_cpu *cpu, struct code_page *p)
{
	struct trace_cache *c = cpu->cache;

	while (c->left)
		x86_preload(cpu, true);
	for (uint32_t name = p->traces, next; name; name = next) {
		struct trace *t = at(c, name);

		next = t->page_next[t->page[0] == p->page ? 0 : 1];
		if (!t->stale)
			forget(c, t);
	}
	p->traces = 0;
	p->lines = 0;
}

bool x86_code_written(struct x86_cpu *cpu, uint64_t ram_page, unsigned off, unsigned bytes)
{
	struct code_page *p = code_page_of(cpu->cache, ram_page);

	if (p->lines & lines_of(off, bytes)) {
		forget_page(cpu, p);
		p->rewrites++;
		p->writes = 0;
	}
	if (!p->traces && p->writes++ >= WRITES_MANY)
		p->rewrites = 0;
	if (!p->traces && p->rewrites < REWRITES_MANY)
		cpu->cache->has_code[ram_page / 64] &= ~bit_of(ram_page);
	return !x86_page_has_code(cpu, ram_page);
}

void x86_invalidate_ram(struct x86_cpu *cpu, uint64_t gpa, uint64_t bytes)
{
	while (bytes) {
		unsigned off = (unsigned)(gpa % PAGE_BYTES);
		unsigned n = (unsigned)MIN(bytes, (uint64_t)PAGE_BYTES - off);
		uint64_t ram = x86_ram_offset(cpu, gpa);

		if (ram != UINT64_MAX)
			x86_note(cpu, ram >> PAGE_SHIFT, true);
		if (ram != UINT64_MAX && x86_page_has_code(cpu, ram >> PAGE_SHIFT))
			x86_code_written(cpu, ram >> PAGE_SHIFT, off, n);
		gpa += n;
		bytes -= n;
	}
}

/* ---- finding and making ---------------------------------------------------------------- */

static op_fn *first_of(const struct trace *t)
{
	return (op_fn *)(handlers_base() + (uintptr_t)(intptr_t)t->first);
}

/* For the first op of a trace until it is hot. */
static OP(op_cold)
{
	struct trace *t = (struct trace *)((char *)op - offsetof(struct trace, ops));

	if (LIKELY(--t->cold))
		return first_of(t)(cpu, op);
	return x86_op_hot(cpu, op);
}

OP(x86_op_hot)
{
	struct trace *t = (struct trace *)((char *)op - offsetof(struct trace, ops));
	unsigned n = 0;

	t->ops[0].fn = first_of(t);
	while (n < t->n_ops && t->ops[n].fn != x86_op_stub)
		n++;
	if (!x86_native_make(cpu, t->ops, n)) {
		cpu->rip = op_rip(cpu, op);
		x86_cache_flush(cpu);
		GO(x86_lookup(cpu));
	}
	GO(op);
}

/* A trace that no image had: the next image will. */
static void note_place(const struct x86_cpu *cpu, uint32_t page, unsigned off)
{
	struct x86_code_log *log = cpu->config.log;
	uint32_t n;

	if (!log || cpu->code_mode & CODE_STEP)
		return;
	n = atomic_load_explicit(&log->n, memory_order_relaxed);
	if (n >= X86_CODE_LOG_MAX)
		return;
	log->place[n] =
		(struct x86_code_place){page, (uint16_t)off, cpu->code_mode, cpu->has_halted};
	atomic_store_explicit(&log->n, n + 1, memory_order_release);
}

static void be_cold(const struct x86_cpu *cpu, struct trace *t)
{
	const unsigned after = cpu->config.code.after;

	if (!cpu->native || (t->mode & (CODE_64 | CODE_STEP)) != CODE_64 || t->page[1] != NO_PAGE)
		return;
	t->cold = after ? (uint8_t)MIN(after, UINT8_MAX) : HOT;
	t->first = (int32_t)((uintptr_t)t->ops[0].fn - handlers_base());
	t->ops[0].fn = op_cold;
}

/* Make @t a trace of decoded ops. @second: NO_PAGE, or the page in which its only instruction ends. */
static void install(struct x86_cpu *cpu, struct trace *t, const struct trace_info *info,
                    const struct x86_code_place *place, uint32_t second)
{
	uint32_t *slot = &cpu->cache->hash[trace_slot(place->page, place->off)];

	*t = (struct trace){.hash_next = *slot,
	                    .page = {place->page, second},
	                    .off = place->off,
	                    .bytes = (uint16_t)info->bytes,
	                    .n_ops = (uint8_t)info->n_ops,
	                    .mode = place->mode};
	*slot = name_of(cpu->cache, t);
	memcpy(t->ops, info->ops, info->n_ops * sizeof(*t->ops));
	/* Stubs are at its end. */
	for (unsigned i = info->n_ops; i && t->ops[i - 1].fn == x86_op_stub; i--) {
		struct op *stub = &t->ops[i - 1];

		stub[-(int)stub->off].link = stub;
	}
	be_cold(cpu, t);
	add_to_page(cpu, t, 0, t->off, MIN(info->bytes, PAGE_BYTES - t->off));
	if (second != NO_PAGE)
		add_to_page(cpu, t, 1, 0, t->off + info->bytes - PAGE_BYTES);
}

static struct trace *make(struct x86_cpu *cpu, const uint8_t *host, uint32_t page, unsigned off,
                          uint64_t linear)
{
	const struct x86_code_place place = {page, (uint16_t)off, cpu->code_mode, false};
	const struct trace *found =
		x86_image_find(&cpu->config.image, page, off, cpu->code_mode, host);
	struct op ops[TRACE_OPS_MAX];
	struct trace_info info = {.ops = ops};
	uint32_t second = NO_PAGE;
	struct trace *t;

	if (found) {
		x86_image_copy(ops, found);
		info.n_ops = found->n_ops;
		info.bytes = found->bytes;
	} else {
		x86_decode_trace(cpu, &info, host, PAGE_BYTES - off, off, cpu->code_mode);
	}
	if (!info.n_ops) {
		uint8_t bytes[16];
		unsigned have = PAGE_BYTES - off;

		/* The first instruction needs bytes of the next page. */
		linear += have;
		if (!(cpu->code_mode & CODE_64))
			linear = (uint32_t)linear;
		second = x86_fetch_page(cpu, linear);
		memcpy(bytes, host, have);
		memcpy(bytes + have, cpu->platform.ram + ((uint64_t)second << PAGE_SHIFT),
		       sizeof(bytes) - have);
		info.crosses = true;
		x86_decode_trace(cpu, &info, bytes, sizeof(bytes), off, cpu->code_mode);
		assert(info.n_ops);
	}
	if (!found && second == NO_PAGE)
		note_place(cpu, page, off);
	t = trace_alloc(cpu, info.n_ops);
	install(cpu, t, &info, &place, second);
	return t;
}

/* ---- made beforehand ------------------------------------------------------------------- */

static void take_tables(struct trace_cache *c, const struct x86_code_image *image)
{
	struct image_tables tables;

	c->left_from = TRACE_UNIT;
	c->left = (uint32_t)x86_image_tables(image, &tables);
	memcpy(c->hash, tables.hash, sizeof(c->hash));
	for (uint32_t i = 0; i < tables.n_pages; i++) {
		const struct code_page *p = &tables.page[i];

		number_page(c, p->page);
		*code_page_of(c, p->page) = *p;
		c->has_code[p->page / 64] |= bit_of(p->page);
	}
}

bool x86_preload(struct x86_cpu *cpu, bool later)
{
	const struct x86_code_image *image = &cpu->config.image;
	struct trace_cache *c = cpu->cache;
	uint32_t end, at;

	if (!image->at)
		return false;
	if (!c->left_from)
		take_tables(c, image);
	end = c->left_from + c->left;
	at = c->left_from;
	if (!c->left || (!later && at >= x86_image_later(image)))
		return false;
	do {
		be_cold(cpu, x86_image_take(image, at, c->pool));
		at += (uint32_t)trace_room(trace_at(c->pool, at)->n_ops);
	} while (at < end && trace_piece(at) == trace_piece(c->left_from));
	c->left_from = at;
	c->left = end - at;
	return at < (later ? end : x86_image_later(image));
}

static bool is_left(const struct trace_cache *c, uint32_t trace)
{
	return trace - c->left_from < c->left;
}

/* ---- found ------------------------------------------------------------------------------ */

static struct trace *find(struct x86_cpu *cpu, uint32_t page, unsigned off, uint64_t linear)
{
	const struct trace_cache *c = cpu->cache;
	const struct trace *t;

	for (uint32_t name = c->hash[trace_slot(page, off)]; name; name = t->hash_next) {
		uint64_t next = linear + PAGE_BYTES - off;

		t = UNLIKELY(is_left(c, name)) ? x86_image_trace(&cpu->config.image, name)
		                               : at(c, name);
		if (t->page[0] != page || t->off != off || t->mode != cpu->code_mode)
			continue;
		while (UNLIKELY(is_left(c, name)))
			x86_preload(cpu, true);
		if (t->page[1] == NO_PAGE)
			return at(c, name);
		if (!(cpu->code_mode & CODE_64))
			next = (uint32_t)next;
		if (t->page[1] == x86_fetch_page(cpu, next))
			return at(c, name);
	}
	return NULL;
}

const struct op *x86_lookup(struct x86_cpu *cpu)
{
	uint64_t rip = cpu->rip, linear = rip;
	unsigned off;
	uint32_t page;
	struct trace *t;

	cpu->op = NULL;
	if (!(cpu->code_mode & CODE_64)) {
		if (rip > cpu->s.seg[X86_CS].limit)
			x86_raise(cpu, VEC_GP, 0);
		linear = (uint32_t)(rip + cpu->s.seg[X86_CS].base);
	}
	off = (unsigned)(linear % PAGE_BYTES);
	page = x86_fetch_page(cpu, linear);
	t = find(cpu, page, off, linear);
	if (!t)
		t = make(cpu, cpu->platform.ram + ((uint64_t)page << PAGE_SHIFT) + off, page, off,
		         linear);
	cpu->reg[REG_PAGE] = rip - off;
	if (!(cpu->code_mode & CODE_STEP))
		*jump_slot(cpu, rip) = (struct jump_entry){rip, cpu->code_tag, t->ops, 0};
	return t->ops;
}

/* ---- going from trace to trace --------------------------------------------------------- */

const struct op *x86_jump_miss(struct x86_cpu *cpu, uint64_t rip)
{
	cpu->rip = rip;
	if (atomic_load_explicit(&cpu->attention, memory_order_relaxed))
		return NULL;
	GO(x86_lookup(cpu));
}

const struct op *x86_leave_at_link(struct x86_cpu *cpu, const struct op *link)
{
	uint64_t rip = cpu->reg[REG_PAGE] + (link->len ? link->off : (uint64_t)(int64_t)link->disp);

	cpu->rip = cpu->code_mode & CODE_64 ? rip : (uint32_t)rip;
	return NULL;
}

static bool crosses(const struct op *op)
{
	return op->off + op->len > PAGE_BYTES;
}

/* A stub that does not know where its target is now. Return: the target. */
static OUT_OF_LINE const struct op *stub_miss(struct x86_cpu *cpu, const struct op *op)
{
	uint64_t rip = cpu->reg[REG_PAGE] + (uint64_t)(int64_t)op->disp;
	uint64_t page = cpu->reg[REG_PAGE], flushes = cpu->cache->flushes;
	bool linkable = !(cpu->code_mode & CODE_STEP);
	const struct op *to;

	if (!(cpu->code_mode & CODE_64))
		rip = (uint32_t)rip;
	cpu->rip = rip;
	to = x86_lookup(cpu);
	if (linkable && cpu->cache->flushes == flushes) {
		struct op *stub = (struct op *)op;

		if (cpu->reg[REG_PAGE] == page && !crosses(to) && (uint32_t)op->disp < PAGE_BYTES) {
			(stub - stub->off)->link = (struct op *)to;
		} else if (rip - (uint64_t)(int64_t)op->disp == page) {
			/* Not where RIP wrapped at 4 GiB: the fast paths do not mask. */
			stub->link = (struct op *)to;
			stub->tag = cpu->code_tag;
		}
	}
	return to;
}

OP(x86_op_stub)
{
	if (LIKELY(op->tag == cpu->code_tag)) {
		cpu->via = op;
		cpu->reg[REG_PAGE] += (uint64_t)(int64_t)op->disp - op->link->off;
		GO(op->link);
	}
	GO(stub_miss(cpu, op));
}

OP(x86_op_stale)
{
	struct op *via = (struct op *)cpu->via;

	if (!(op->flags & OP_FIRST))
		cpu->icount += op[-1].n;
	cpu->rip = op_rip(cpu, op);
	if (via && via->link == op)
		via->tag = 0; /* it looks up the new trace next time */
	GO(x86_lookup(cpu));
}
