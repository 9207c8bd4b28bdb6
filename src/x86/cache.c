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

#define HASH_BITS 14 /* of each part */
/*
 * A page that was rewritten this often stays out of the write TLB, because its next code comes
 * soon; until it was written so often without any code coming that it has become data.
 */
#define REWRITES_MANY 8
#define WRITES_MANY 512
#define NO_PAGE UINT32_MAX
/*
 * So much of the CPU's memory is for each part of what is preloaded; what is not used is not touched
 * either. What does not fit is taken from the image when it is run.
 */
#define PART_BYTES ((size_t)4 << 20)
/* Generating code for a trace costs about as much as running it so often by handlers. */
#define HOT 200

struct trace {
	struct trace *hash_next;
	struct trace *page_next[2]; /* in the lists of its first and second page */
	uint32_t page[2];           /* RAM pages; the second is NO_PAGE unless it crosses */
	uint16_t off;
	uint16_t bytes;
	uint16_t n_ops;
	uint8_t mode;
	bool stale;
	unsigned cold; /* how often it is to be run before code is generated */
	op_fn *first;  /* what its first op has then */
	struct op ops[] __attribute__((aligned(32)));
};

struct code_page {
	struct code_page *next;
	uint64_t page; /* of RAM */
	struct trace *traces;
	uint64_t lines; /* bit i: bytes 64 * i to 64 * i + 63 hold code */
	uint32_t rewrites;
	uint32_t writes; /* since the last code was forgotten */
};

struct trace_cache {
	struct trace *hash[X86_PRELOAD_PARTS][1u << HASH_BITS];
	size_t first; /* where in the CPU's memory the traces begin: they are all that follows */
	uint64_t flushes;
	struct code_page *all_pages[X86_PRELOAD_PARTS];
	struct code_page **pages; /* by RAM page; NULL where code never was */
	uint64_t *has_code;       /* by RAM page, a bit: asked for each page that is written to */
	uint64_t *written;        /* likewise: has been in the write TLB */
};

static uint64_t bit_of(uint64_t page)
{
	return UINT64_C(1) << page % 64;
}

struct trace_cache *x86_cache_create(struct x86_cpu *cpu)
{
	uint64_t ram_pages = cpu->platform.ram_bytes >> PAGE_SHIFT;
	struct trace_cache *c = x86_take_memory(cpu, sizeof(*c));

	c->first = cpu->memory_used;
	/* Kept free for what is preloaded. */
	if (cpu->config.image.at)
		cpu->memory_used += X86_PRELOAD_PARTS * PART_BYTES;
	c->pages = xalloc(ram_pages * sizeof(struct code_page *));
	c->has_code = xalloc(ram_pages / 8 + sizeof(uint64_t));
	c->written = xalloc(ram_pages / 8 + sizeof(uint64_t));
	return c;
}

void x86_cache_destroy(struct trace_cache *c)
{
	for (unsigned part = 0; part < X86_PRELOAD_PARTS; part++)
		while (c->all_pages[part]) {
			struct code_page *next = c->all_pages[part]->next;

			free(c->all_pages[part]);
			c->all_pages[part] = next;
		}
	free(c->pages);
	free(c->has_code);
	free(c->written);
}

void x86_cache_flush(struct x86_cpu *cpu)
{
	struct trace_cache *c = cpu->cache;

	cpu->memory_used = c->first;
	memset(c->hash, 0, sizeof(c->hash));
	for (unsigned part = 0; part < X86_PRELOAD_PARTS; part++)
		for (struct code_page *p = c->all_pages[part]; p; p = p->next) {
			p->traces = NULL;
			p->lines = 0;
			c->has_code[p->page / 64] &= ~bit_of(p->page);
		}
	memset(cpu->jump_cache, 0, sizeof(cpu->jump_cache));
	cpu->via = NULL;
	x86_native_flush(cpu->native);
	c->flushes++;
}

static size_t trace_bytes(unsigned n_ops)
{
	return sizeof(struct trace) + n_ops * sizeof(struct op);
}

static struct trace *trace_alloc(struct x86_cpu *cpu, unsigned n_ops)
{
	struct trace *t = x86_take_memory(cpu, trace_bytes(n_ops));

	if (!t) {
		x86_cache_flush(cpu);
		t = x86_take_memory(cpu, trace_bytes(n_ops));
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

static uint64_t lines_of(unsigned off, unsigned bytes)
{
	unsigned first = off / 64, last = (off + bytes - 1) / 64;

	return (~0ull << first) & (~0ull >> (63 - last));
}

static void add_to_page(struct x86_cpu *cpu, struct trace *t, int which, unsigned off,
                        unsigned bytes)
{
	struct trace_cache *c = cpu->cache;
	struct code_page *p = c->pages[t->page[which]];

	if (!p) {
		struct code_page **all = &c->all_pages[x86_part_of(t->page[which])];

		p = xalloc(sizeof(*p));
		c->pages[t->page[which]] = p;
		p->page = t->page[which];
		p->next = *all;
		*all = p;
	}
	if (!(c->has_code[p->page / 64] & bit_of(p->page))) {
		c->has_code[p->page / 64] |= bit_of(p->page);
		if (c->written[p->page / 64] & bit_of(p->page)) {
			x86_write_protect(cpu, p->page);
			c->written[p->page / 64] &= ~bit_of(p->page);
		}
	}
	p->lines |= lines_of(off, bytes);
	t->page_next[which] = p->traces;
	p->traces = t;
}

static struct trace **bucket(struct trace_cache *c, uint32_t page, unsigned off)
{
	uint64_t h = ((uint64_t)page << PAGE_SHIFT | off) * 0x9e3779b97f4a7c15ull;

	return &c->hash[x86_part_of(page)][h >> (64 - HASH_BITS)];
}

static void forget(struct trace_cache *c, struct trace *t)
{
	struct trace **link = bucket(c, t->page[0], t->off);

	while (*link != t)
		link = &(*link)->hash_next;
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
static void forget_page(struct trace_cache *c, struct code_page *p, uint32_t page)
{
	for (struct trace *t = p->traces, *next; t; t = next) {
		next = t->page_next[t->page[0] == page ? 0 : 1];
		if (!t->stale)
			forget(c, t);
	}
	p->traces = NULL;
	p->lines = 0;
}

bool x86_code_written(struct x86_cpu *cpu, uint64_t ram_page, unsigned off, unsigned bytes)
{
	struct code_page *p = cpu->cache->pages[ram_page];

	if (p->lines & lines_of(off, bytes)) {
		forget_page(cpu->cache, p, (uint32_t)ram_page);
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

/* For the first op of a trace until it is hot. */
static OP(op_cold)
{
	struct trace *t = (struct trace *)((char *)op - offsetof(struct trace, ops));

	if (LIKELY(--t->cold))
		return t->first(cpu, op);
	return x86_op_hot(cpu, op);
}

OP(x86_op_hot)
{
	struct trace *t = (struct trace *)((char *)op - offsetof(struct trace, ops));
	unsigned n = 0;

	t->ops[0].fn = t->first;
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
	log->place[n] = (struct x86_code_place){page, (uint16_t)off, cpu->code_mode, 0};
	atomic_store_explicit(&log->n, n + 1, memory_order_release);
}

/*
 * Make @t a trace of decoded ops. @from_image: they are an image's. @second: NO_PAGE, or the page in
 * which its only instruction ends.
 */
static void install(struct x86_cpu *cpu, struct trace *t, const struct trace_info *info,
                    bool from_image, const struct x86_code_place *at, uint32_t second)
{
	memset(t, 0, sizeof(*t));
	t->page[0] = at->page;
	t->page[1] = second;
	t->off = at->off;
	t->bytes = (uint16_t)info->bytes;
	t->mode = at->mode;
	t->n_ops = (uint16_t)info->n_ops;
	if (from_image)
		x86_image_copy(t->ops, info);
	else
		memcpy(t->ops, info->ops, info->n_ops * sizeof(*t->ops));
	/* Stubs are at its end. */
	for (unsigned i = info->n_ops; i && t->ops[i - 1].fn == x86_op_stub; i--) {
		struct op *stub = &t->ops[i - 1];

		stub[-(int)stub->off].link = stub;
	}
	if (cpu->native && (t->mode & (CODE_64 | CODE_STEP)) == CODE_64 && second == NO_PAGE) {
		t->cold = cpu->config.code.after ? cpu->config.code.after : HOT;
		t->first = t->ops[0].fn;
		t->ops[0].fn = op_cold;
	}
	add_to_page(cpu, t, 0, t->off, MIN(info->bytes, PAGE_BYTES - t->off));
	if (second != NO_PAGE)
		add_to_page(cpu, t, 1, 0, t->off + info->bytes - PAGE_BYTES);
	t->hash_next = *bucket(cpu->cache, t->page[0], t->off);
	*bucket(cpu->cache, t->page[0], t->off) = t;
}

static struct trace *make(struct x86_cpu *cpu, const uint8_t *host, uint32_t page, unsigned off,
                          uint64_t linear)
{
	const struct x86_code_place at = {page, (uint16_t)off, cpu->code_mode, 0};
	struct op ops[TRACE_OPS_MAX];
	struct trace_info info = {.ops = ops};
	uint32_t second = NO_PAGE;
	struct trace *t;
	bool is_found = cpu->config.image.at &&
	                x86_image_find(&cpu->config.image, page, off, cpu->code_mode, host, &info);

	if (!is_found)
		x86_decode_trace(cpu, &info, host, PAGE_BYTES - off, off, cpu->code_mode);
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
	if (!is_found && second == NO_PAGE)
		note_place(cpu, page, off);
	t = trace_alloc(cpu, info.n_ops);
	install(cpu, t, &info, is_found, &at, second);
	return t;
}

/* ---- made beforehand ------------------------------------------------------------------- */

static struct trace *find_in_page(struct trace_cache *c, uint32_t page, unsigned off, uint8_t mode)
{
	struct trace *t = *bucket(c, page, off);

	while (t && (t->page[0] != page || t->off != off || t->mode != mode))
		t = t->hash_next;
	return t;
}

/* What stub_miss() would do with the jumps that stay in the trace's page. */
static void link_in_page(struct trace_cache *c, struct trace *t)
{
	/* They are at its end. */
	for (unsigned i = t->n_ops; i && t->ops[i - 1].fn == x86_op_stub; i--) {
		struct op *stub = &t->ops[i - 1];
		struct trace *to;

		if ((uint32_t)stub->disp >= PAGE_BYTES)
			continue;
		to = find_in_page(c, t->page[0], (unsigned)stub->disp, t->mode);
		if (to)
			stub[-(int)stub->off].link = to->ops;
	}
}

void x86_preload(struct x86_cpu *cpu, unsigned part)
{
	const struct x86_code_image *image = &cpu->config.image;
	const size_t max = x86_code_image_count(image);
	struct trace_cache *c = cpu->cache;
	uint8_t *to = cpu->memory + c->first + part * PART_BYTES, *end = to + PART_BYTES;
	struct trace **made = xalloc(max * sizeof(*made));
	struct x86_code_place place;
	struct trace_info info;
	size_t at = 0, n = 0;

	while (n < max && (size_t)(end - to) >= trace_bytes(TRACE_OPS_MAX) &&
	       x86_image_next(image, part, &at, cpu->platform.ram, cpu->platform.ram_bytes, &place,
	                      &info)) {
		made[n] = (struct trace *)(void *)to;
		install(cpu, made[n++], &info, true, &place, NO_PAGE);
		to += (trace_bytes(info.n_ops) + 63) & ~(size_t)63;
	}
	/* What is decoded from now on is next to the last part. */
	if (part == X86_PRELOAD_PARTS - 1)
		cpu->memory_used = (size_t)(to - cpu->memory);
	for (size_t i = 0; i < n; i++)
		if (made[i]->mode & CODE_64)
			link_in_page(c, made[i]);
	free(made);
}

/* ---- found ------------------------------------------------------------------------------ */

static struct trace *find(struct x86_cpu *cpu, uint32_t page, unsigned off, uint64_t linear)
{
	for (struct trace *t = *bucket(cpu->cache, page, off); t; t = t->hash_next) {
		uint64_t next = linear + PAGE_BYTES - off;

		if (t->page[0] != page || t->off != off || t->mode != cpu->code_mode)
			continue;
		if (t->page[1] == NO_PAGE)
			return t;
		if (!(cpu->code_mode & CODE_64))
			next = (uint32_t)next;
		if (t->page[1] == x86_fetch_page(cpu, next))
			return t;
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
