/* SPDX-License-Identifier: MIT */
/*
 * Decoded code, inside of the room.
 */
#ifndef WSLX_X86_CACHE_H
#define WSLX_X86_CACHE_H

#include "x86/x86-int.h"

#define TRACE_INSNS 40

/*
 * To which part of what is preloaded a page of RAM belongs. Pages that share a word of a bitmap are
 * in one, so that threads that preload have nothing in common.
 */
static inline unsigned x86_part_of(uint64_t ram_page)
{
	return ram_page / 64 % X86_PRELOAD_PARTS;
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

/* Whether an image is one, as far as its header tells. */
bool x86_image_is_usable(const struct x86_code_image *image);
/*
 * Find the trace of a place if @code, which goes to the end of its page, is what it was made from.
 * @out has ops that are the image's: x86_image_copy() makes ops of ours from them.
 */
bool x86_image_find(const struct x86_code_image *image, uint32_t page, unsigned off, uint8_t mode,
                    const uint8_t *code, struct trace_info *out);
/*
 * The next trace of a part that is what RAM holds at its place. @at is 0 at first. Return: whether
 * there is one.
 */
bool x86_image_next(const struct x86_code_image *image, unsigned part, size_t *at,
                    const uint8_t *ram, uint64_t ram_bytes, struct x86_code_place *place,
                    struct trace_info *out);
void x86_image_copy(struct op *to, const struct trace_info *from);

/* Handlers that cache.c gives to stubs and to ops whose code was overwritten. */
OP(x86_op_stub);
OP(x86_op_stale);
/* Code is generated for a trace, from its first op on. */
OP(x86_op_hot);

#endif
