/* SPDX-License-Identifier: MIT */
/*
 * What the decoder's maps share: one instruction on its way, and the pieces to make an op of it.
 */
#ifndef WSLX_X86_DECODE_H
#define WSLX_X86_DECODE_H

#include "x86/ops.h"

/* What a compare left behind that a following Jcc may be fused with. */
enum fuse {
	FUSE_NONE,
	FUSE_CMP_RR,
	FUSE_CMP_RI,
	FUSE_TEST_RR,
	FUSE_TEST_RI,
	FUSE_CMP_RM,
	FUSE_CMP_MR
};

struct one {
	struct decoder d;
	enum fuse fuse;
	bool jumps;     /* the op's link is to lead to @target */
	int64_t target; /* relative to the page's start */
	int cond;       /* of a linked Jcc, else -1 */
	bool lockable;
	bool reads_flags;
};

/* The maps. Return: false for #UD. */
bool x86_decode_map1(struct one *o, struct op *op);
bool x86_decode_map0f(struct one *o, struct op *op);
bool x86_decode_map38(struct one *o, struct op *op);

static inline uint16_t decode_u16(struct decoder *d)
{
	unsigned low = x86_decode_u8(d);

	return (uint16_t)(low | (unsigned)x86_decode_u8(d) << 8);
}

static inline int64_t imm8(struct decoder *d)
{
	return (int8_t)x86_decode_u8(d);
}

/* An immediate of the operand size, but at most 32 bits, sign-extended. */
static inline int64_t imm_size(struct decoder *d)
{
	switch (d->size) {
	case 0:
		return imm8(d);
	case 1:
		return (int16_t)decode_u16(d);
	default:
		return (int32_t)x86_decode_u32(d);
	}
}

static inline unsigned imm_bytes(const struct decoder *d)
{
	return d->size == 0 ? 1 : d->size == 1 ? 2 : 4;
}

/* ---- operands -------------------------------------------------------------------------- */

static inline unsigned addr_size(const struct decoder *d)
{
	if (d->mode & CODE_64)
		return d->addr67 ? 2 : 3;
	return ((d->mode & CODE_32) != 0) == d->addr67 ? 1 : 2;
}

static inline void set_addr_flags(const struct decoder *d, struct op *op)
{
	unsigned size = addr_size(d);

	op->flags = (uint8_t)(op->flags | (size == 3 ? OP_ADDR64 : size == 2 ? OP_ADDR32 : 0));
}

static inline uint8_t ea_of(enum ea_kind kind, unsigned seg)
{
	return (uint8_t)(kind | seg << 4);
}

static inline uint8_t reg_op(const struct decoder *d, unsigned reg, unsigned size)
{
	if (size == 0 && !d->rex && reg >= 4 && reg < 8)
		return (uint8_t)(REG(reg - 4) + 1);
	return REG(reg);
}

static inline uint8_t op_reg(const struct decoder *d)
{
	return reg_op(d, d->reg, d->size);
}

static inline uint8_t op_rm(const struct decoder *d)
{
	return reg_op(d, d->rm, d->size);
}

static inline enum ea_kind op_kind(const struct op *op)
{
	return (enum ea_kind)(op->ea & 3);
}

/* ---- pieces of the maps ---------------------------------------------------------------- */

static inline bool in_64(const struct one *o)
{
	return o->d.mode & CODE_64;
}

static inline bool pure(struct one *o, struct op *op, op_fn *fn)
{
	o->d.pure = true;
	op->fn = fn;
	return true;
}

/* Pure, and sets flags that may turn out to be unread. */
static inline bool flags_op(struct one *o, struct op *op, op_fn *fn, op_fn *no_flags)
{
	o->d.no_flags = no_flags;
	o->d.sets_flags = true;
	return pure(o, op, fn);
}

static inline bool is(struct op *op, op_fn *fn)
{
	op->fn = fn;
	return true;
}

static inline bool ends(struct one *o, struct op *op, op_fn *fn)
{
	o->d.ends = true;
	op->fn = fn;
	return true;
}

/* ModRM with the operand as a stack or branch one: 64 bits in 64-bit code unless 66. */
static inline void default_64(struct one *o)
{
	if (in_64(o) && o->d.size == 2)
		o->d.size = 3;
}

/* ---- pieces that two maps need ---------------------------------------------------------- */

static inline bool decode_stack_any(struct one *o, struct op *op, op_fn *fn)
{
	default_64(o);
	op->aux = o->d.size;
	op->ea = ea_of(EA_BASE, X86_SS);
	return is(op, fn);
}

static inline bool decode_seg_stack(struct one *o, struct op *op, unsigned seg, bool pop)
{
	if (in_64(o) && seg != X86_FS && seg != X86_GS)
		return false;
	op->src = (uint8_t)seg;
	if (pop)
		o->d.ends = true;
	return decode_stack_any(o, op, pop ? x86_op_pop_seg : x86_op_push_seg);
}

/* Relative branches: linked where the operand size is the mode's own. */
static inline bool decode_relative(struct one *o, struct op *op, int64_t rel, op_fn *linked,
                                   op_fn *any)
{
	struct decoder *d = &o->d;
	int64_t target = d->page_off + (int64_t)d->pos + rel;

	if (in_64(o))
		d->size = 3; /* 66 is ignored */
	op->aux = d->size;
	if (linked && d->size >= 2 && target == (int32_t)target) {
		o->jumps = true;
		o->target = target;
		return is(op, linked);
	}
	op->imm = target;
	return is(op, any);
}

static inline bool decode_jcc(struct one *o, struct op *op, int64_t rel)
{
	unsigned cond = o->d.opcode & 15;

	op->src = (uint8_t)cond;
	o->cond = (int)cond;
	return decode_relative(o, op, rel, x86_jcc[cond], x86_op_jcc_rel_any);
}

static inline int64_t decode_rel(struct one *o)
{
	/* 66 does not shorten the displacement in 64-bit code. */
	if (in_64(o) || o->d.size != 1)
		return (int32_t)x86_decode_u32(&o->d);
	return (int16_t)decode_u16(&o->d);
}

static inline bool decode_movx(struct one *o, struct op *op, bool sign, unsigned from)
{
	struct decoder *d = &o->d;

	x86_decode_modrm(d, op, 0);
	op->dst = REG(d->reg);
	op->src = reg_op(d, d->rm, from);
	if (d->mod == 3)
		return pure(o, op, x86_movx_r[sign][from][d->size]);
	return is(op, x86_movx_m[sign][from][d->size][op_kind(op)]);
}

static inline bool decode_load_far(struct one *o, struct op *op, unsigned seg)
{
	x86_decode_modrm(&o->d, op, 0);
	if (o->d.mod == 3)
		return false;
	op->dst = REG(o->d.reg);
	op->src = (uint8_t)seg;
	op->aux = o->d.size;
	return ends(o, op, x86_op_load_far);
}

#endif
