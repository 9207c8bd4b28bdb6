/* SPDX-License-Identifier: MIT */
/*
 * Decoded code, inside of the room.
 */
#ifndef WSLX_X86_CACHE_H
#define WSLX_X86_CACHE_H

#include "x86/x86-int.h"

#define TRACE_INSNS 40

/*
 * A trace, as it lies in the CPU's memory and in an image. Traces are named by how many bytes from
 * the beginning of the pool they begin, where none does; 0: none.
 */
struct trace {
	uint32_t hash_next;
	union {
		uint32_t page_next[2]; /* in the lists of its first and second page */
		struct {
			uint32_t first_next;
			uint32_t code; /* in an image: where the bytes are that it was made from */
		};
	};
	uint32_t page[2]; /* of RAM; the second is NO_PAGE unless it crosses */
	uint16_t off;
	uint16_t bytes;
	uint8_t n_ops;
	uint8_t mode;
	bool stale;
	uint8_t cold;  /* how often it is to be run before code is generated */
	int32_t first; /* what its first op has then, as a distance from x86_op_stub() */
	struct op ops[];
};
_Static_assert(sizeof(struct trace) == 32, "the first op is in the same line of cache");

#define NO_PAGE UINT32_MAX
#define TRACE_UNIT ((size_t)64) /* they begin at multiples of that */
/*
 * Traces of an image are taken in pieces of so many bytes. They are linked to others of their piece and
 * of those before.
 */
#define PIECE_BYTES (256u << 10)
#define HASH_BITS 16
#define HASH_SLOTS (1u << HASH_BITS)

struct code_page {
	uint32_t page;   /* of RAM */
	uint32_t traces; /* the first of them */
	uint64_t lines;  /* bit i: bytes 64 * i to 64 * i + 63 hold code */
	uint32_t rewrites;
	uint32_t writes; /* since the last code was forgotten */
};

static inline struct trace *trace_at(const void *pool, uint32_t at)
{
	return (struct trace *)((uintptr_t)pool + at);
}

/* Bytes of memory that a trace takes. */
static inline size_t trace_room(unsigned n_ops)
{
	size_t bytes = sizeof(struct trace) + n_ops * sizeof(struct op);

	return (bytes + TRACE_UNIT - 1) & ~(TRACE_UNIT - 1);
}

static inline uint32_t trace_piece(uint32_t trace)
{
	return trace / PIECE_BYTES;
}

static inline uint32_t trace_slot(uint32_t page, unsigned off)
{
	uint64_t key = (uint64_t)page << PAGE_SHIFT | off;

	return (uint32_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> (64 - HASH_BITS));
}

/* The lines of a page that @bytes from @off on are in. */
static inline uint64_t lines_of(unsigned off, unsigned bytes)
{
	unsigned first = off / 64, last = (off + bytes - 1) / 64;

	return (~0ull << first) & (~0ull >> (63 - last));
}

struct trace_cache *x86_cache_create(struct x86_cpu *cpu);
void x86_cache_destroy(struct trace_cache *cache);
void x86_cache_flush(struct x86_cpu *cpu);

/* The first op for cpu->rip, decoded now if need be. Sets REG_PAGE. May raise. */
const struct op *x86_lookup(struct x86_cpu *cpu);

/* Whether a page of RAM holds decoded code. */
bool x86_page_has_code(const struct x86_cpu *cpu, uint64_t ram_page);

/* The page is to be entered into the write TLB: false if it must not, because it holds code. */
bool x86_page_may_be_written(struct x86_cpu *cpu, uint64_t ram_page);

/**
 * x86_code_written() - bytes of a page with decoded code change
 *
 * Return: true if no code is left in the page and it may be mapped for writing again.
 */
bool x86_code_written(struct x86_cpu *cpu, uint64_t ram_page, unsigned off, unsigned bytes);

/* Decode one trace. Return: the number of ops (with stubs) in @ops. */
struct trace_info {
	struct op *ops;
	unsigned n_ops;
	unsigned bytes; /* of code, from its start */
	uint64_t rows;  /* bit i: the data of op i points to a row of a table */
	bool crosses;   /* its only instruction goes over the page's end */
	bool single;    /* one instruction only */
};
#define TRACE_OPS_MAX (TRACE_INSNS * 2 + 8)
void x86_decode_trace(struct x86_cpu *cpu, struct trace_info *t, const uint8_t *bytes,
                      unsigned avail, unsigned page_off, uint8_t mode);

/* ---- images: code-image.c ----------------------------------------------------------------- */

/* What a CPU has of its traces before its first instruction, without the traces. */
struct image_tables {
	const uint32_t *hash; /* HASH_SLOTS */
	const struct code_page *page;
	uint32_t n_pages;
};

/* Whether an image is one, for RAM of so many pages, as far as its header tells. */
bool x86_image_is_usable(const struct x86_code_image *image, uint64_t ram_pages);
/* Bytes that the traces take in a CPU's memory, and with them what is to be copied as it is. */
size_t x86_image_tables(const struct x86_code_image *image, struct image_tables *out);
/*
 * The trace of a place if @code, which goes to the end of its page, is what it was made from. It is
 * the image's: x86_image_copy() makes ops of ours from its ops, as they come from the decoder, with
 * links that lead nowhere yet.
 */
const struct trace *x86_image_find(const struct x86_code_image *image, uint32_t page, unsigned off,
                                   uint8_t mode, const uint8_t *code);
void x86_image_copy(struct op *to, const struct trace *from);
/* The first trace of those that were run only later, or the end. */
uint32_t x86_image_later(const struct x86_code_image *image);
/* A trace of the image, which is only to be looked at. */
const struct trace *x86_image_trace(const struct x86_code_image *image, uint32_t trace);
/* The same, made ours at its place in @pool. */
struct trace *x86_image_take(const struct x86_code_image *image, uint32_t trace, void *pool);

/* Handlers that cache.c gives to stubs and to ops whose code was overwritten. */
OP(x86_op_stub);
OP(x86_op_stale);
/* What handlers are told as distances from. */
static inline uintptr_t handlers_base(void)
{
	return (uintptr_t)x86_op_stub;
}
/* Code is generated for a trace, from its first op on. */
OP(x86_op_hot);

#endif
