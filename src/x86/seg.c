/* SPDX-License-Identifier: MIT */
/*
 * Segments: descriptors, loads with their checks, addresses outside of 64-bit code, and far
 * jumps, calls and returns. Only long mode is known here: no call through task gates or 286
 * gates exists in it, and call gates of 64-bit code, which no system uses, raise #GP.
 */
#include "x86/mmu.h"
#include "x86/ops.h"
#include "x86/system.h"

/* ---- addresses ------------------------------------------------------------------------- */

uint64_t x86_seg_linear(struct x86_cpu *cpu, const struct op *op, enum x86_sreg seg,
                        uint64_t offset, unsigned bytes, bool write)
{
	const struct x86_segment *s = &cpu->s.seg[seg];
	uint64_t last = offset + (bytes ? bytes - 1 : 0);
	bool bad;

	if (cpu->code_mode & CODE_64) {
		if (seg == X86_FS)
			return offset + cpu->reg[REG_FS];
		if (seg == X86_GS)
			return offset + cpu->reg[REG_GS];
		return offset;
	}
	offset = (uint32_t)offset;
	last = offset + (bytes ? bytes - 1 : 0);
	bad = !(s->attributes & X86_SEG_P);
	if (seg_is_code(s))
		bad |= write || !(s->attributes & SEG_RW);
	else
		bad |= write && !(s->attributes & SEG_RW);
	if (seg_is_data(s) && (s->attributes & SEG_EXPAND))
		bad |= offset <= s->limit ||
		       last > (s->attributes & X86_SEG_DB ? UINT32_MAX : UINT16_MAX);
	else
		bad |= last > s->limit;
	if (bad)
		x86_raise_at(cpu, op, seg == X86_SS ? VEC_SS : VEC_GP, 0);
	return (uint32_t)(s->base + offset);
}

static uint64_t offset_at(struct x86_cpu *cpu, const struct op *op, uint64_t add)
{
	uint64_t offset = add;

	if (op->flags & OP_MOFFS)
		offset += (uint64_t)op->imm;
	else
		offset += reg64(cpu, op->base) + (reg64(cpu, op->index) << op->scale) +
		          (uint64_t)(int64_t)op->disp;
	if (op->flags & OP_RIP)
		offset += op_next_rip(cpu, op);
	if (op->flags & OP_ADDR64)
		return offset;
	return op->flags & OP_ADDR32 ? (uint32_t)offset : (uint16_t)offset;
}

uint64_t x86_ea_offset(struct x86_cpu *cpu, const struct op *op)
{
	return offset_at(cpu, op, 0);
}

uint64_t x86_ea_general_at(struct x86_cpu *cpu, const struct op *op, uint64_t add, unsigned bytes,
                           bool write)
{
	return x86_seg_linear(cpu, op, (enum x86_sreg)(op->ea >> 4), offset_at(cpu, op, add), bytes,
	                      write);
}

uint64_t x86_ea_general(struct x86_cpu *cpu, const struct op *op, unsigned bytes, bool write)
{
	return x86_ea_general_at(cpu, op, 0, bytes, write);
}

/* ---- descriptors ----------------------------------------------------------------------- */

bool x86_descriptor_try(struct x86_cpu *cpu, uint16_t selector, bool wide, struct descriptor *out)
{
	uint64_t base = cpu->s.gdtr.base, d;
	uint32_t limit = cpu->s.gdtr.limit, at = selector & ~7u;

	if (selector & 4) {
		if (!(cpu->s.ldtr.attributes & X86_SEG_P))
			return false;
		base = cpu->s.ldtr.base;
		limit = cpu->s.ldtr.limit;
	}
	if (at + (wide ? 15 : 7) > limit)
		return false;
	out->linear = base + at;
	d = x86_system_load(cpu, out->linear, 8);
	out->seg.selector = selector;
	out->seg.attributes = (uint16_t)(d >> 40 & 0xf0ff);
	out->seg.base = (d >> 16 & 0xffffff) | (d >> 56) << 24;
	out->seg.limit = (uint32_t)((d & 0xffff) | (d >> 32 & 0xf0000));
	if (out->seg.attributes & X86_SEG_G)
		out->seg.limit = out->seg.limit << 12 | 0xfff;
	if (wide)
		out->seg.base |= x86_system_load(cpu, out->linear + 8, 4) << 32;
	return true;
}

void x86_descriptor(struct x86_cpu *cpu, uint16_t selector, bool wide, enum x86_vector vector,
                    struct descriptor *out)
{
	if (!x86_descriptor_try(cpu, selector, wide, out))
		x86_raise(cpu, vector, selector & ~3u);
}

static void set_accessed(struct x86_cpu *cpu, struct descriptor *d)
{
	if (d->seg.attributes & SEG_ACCESSED)
		return;
	d->seg.attributes |= SEG_ACCESSED;
	x86_system_store(cpu, d->linear + 5, 1, d->seg.attributes & 0xff);
}

void x86_set_segment(struct x86_cpu *cpu, enum x86_sreg seg, const struct x86_segment *value)
{
	/* The jump cache knows code by RIP: it must not survive another base. */
	if (seg == X86_CS && !(value->attributes & X86_SEG_L) &&
	    value->base != cpu->s.seg[X86_CS].base)
		x86_flush_all(cpu);
	cpu->s.seg[seg] = *value;
	if (seg == X86_FS)
		cpu->reg[REG_FS] = value->base;
	else if (seg == X86_GS)
		cpu->reg[REG_GS] = value->base;
}

void x86_stack_descriptor(struct x86_cpu *cpu, uint16_t selector, unsigned cpl, bool null_ok,
                          struct descriptor *out)
{
	if ((selector & ~3u) == 0) {
		if (!null_ok || cpl == 3 || (selector & 3) != cpl)
			x86_raise(cpu, VEC_GP, 0);
		*out = (struct descriptor){.seg = {.selector = selector}};
		out->seg.attributes = (uint16_t)(cpl << X86_SEG_DPL_SHIFT | X86_SEG_DB);
		return;
	}
	x86_descriptor(cpu, selector, false, VEC_GP, out);
	if ((selector & 3) != cpl || !seg_is_data(&out->seg) || !(out->seg.attributes & SEG_RW) ||
	    seg_dpl(&out->seg) != cpl)
		x86_raise(cpu, VEC_GP, selector & ~3u);
	if (!(out->seg.attributes & X86_SEG_P))
		x86_raise(cpu, VEC_SS, selector & ~3u);
	set_accessed(cpu, out);
}

void x86_load_segment(struct x86_cpu *cpu, enum x86_sreg seg, uint16_t selector)
{
	struct descriptor d = {.seg = {.selector = selector}};

	if (seg == X86_SS) {
		x86_stack_descriptor(cpu, selector, cpu->cpl, cpu->code_mode & CODE_64, &d);
	} else if (selector & ~3u) {
		unsigned rpl = selector & 3;

		x86_descriptor(cpu, selector, false, VEC_GP, &d);
		if (!seg_is_data(&d.seg) && !(seg_is_code(&d.seg) && (d.seg.attributes & SEG_RW)))
			x86_raise(cpu, VEC_GP, selector & ~3u);
		if (!(seg_is_code(&d.seg) && (d.seg.attributes & SEG_CONFORM)) &&
		    MAX(rpl, cpu->cpl) > seg_dpl(&d.seg))
			x86_raise(cpu, VEC_GP, selector & ~3u);
		if (!(d.seg.attributes & X86_SEG_P))
			x86_raise(cpu, VEC_NP, selector & ~3u);
		set_accessed(cpu, &d);
	}
	x86_set_segment(cpu, seg, &d.seg);
}

void x86_set_flat(struct x86_cpu *cpu, uint16_t cs, uint16_t ss, unsigned dpl, bool code_64)
{
	struct x86_segment code = {.limit = UINT32_MAX, .selector = cs};
	struct x86_segment stack = {.limit = UINT32_MAX, .selector = ss};
	uint16_t level = (uint16_t)(dpl << X86_SEG_DPL_SHIFT);

	code.attributes = (uint16_t)(0x809b | level | (code_64 ? X86_SEG_L : X86_SEG_DB));
	stack.attributes = (uint16_t)(0xc093 | level);
	x86_set_segment(cpu, X86_CS, &code);
	x86_set_segment(cpu, X86_SS, &stack);
}

void x86_drop_inner_segments(struct x86_cpu *cpu)
{
	static const enum x86_sreg data[] = {X86_ES, X86_DS, X86_FS, X86_GS};

	for (size_t i = 0; i < ARRAY_LEN(data); i++) {
		const struct x86_segment *s = &cpu->s.seg[data[i]];
		bool conforming = seg_is_code(s) && (s->attributes & SEG_CONFORM);

		if ((s->attributes & X86_SEG_P) && !conforming && seg_dpl(s) < cpu->cpl) {
			const struct x86_segment null = {0};

			x86_set_segment(cpu, data[i], &null);
		}
	}
}

void x86_code_descriptor(struct x86_cpu *cpu, uint16_t selector, enum far_kind kind,
                         struct descriptor *out)
{
	uint32_t code = selector & ~3u;
	unsigned rpl = selector & 3, dpl;
	bool conforming;

	if (!code)
		x86_raise(cpu, VEC_GP, 0);
	x86_descriptor(cpu, selector, false, VEC_GP, out);
	if (!seg_is_code(&out->seg))
		x86_raise(cpu, VEC_GP, code);
	dpl = seg_dpl(&out->seg);
	conforming = out->seg.attributes & SEG_CONFORM;
	if (kind == FAR_RETURN) {
		if (rpl < cpu->cpl || (conforming ? dpl > rpl : dpl != rpl))
			x86_raise(cpu, VEC_GP, code);
	} else if (conforming ? dpl > cpu->cpl : rpl > cpu->cpl || dpl != cpu->cpl) {
		x86_raise(cpu, VEC_GP, code);
	}
	if (!(out->seg.attributes & X86_SEG_P))
		x86_raise(cpu, VEC_NP, code);
	if ((out->seg.attributes & X86_SEG_L) && (out->seg.attributes & X86_SEG_DB))
		x86_raise(cpu, VEC_GP, code);
	set_accessed(cpu, out);
}

/* A RIP that a code segment cannot have. */
static void check_rip(struct x86_cpu *cpu, const struct x86_segment *cs, uint64_t rip)
{
	if (cs->attributes & X86_SEG_L ? !is_canonical(rip) : rip > cs->limit)
		x86_raise(cpu, VEC_GP, 0);
}

/* ---- far transfers --------------------------------------------------------------------- */

static const struct op *far_go(struct x86_cpu *cpu, const struct op *op, struct descriptor *cs,
                               unsigned cpl, uint64_t rip)
{
	cs->seg.selector = (uint16_t)((cs->seg.selector & ~3u) | cpl);
	cpu->icount += op->n;
	x86_set_segment(cpu, X86_CS, &cs->seg);
	x86_update_mode(cpu);
	cpu->rip = rip;
	return NULL;
}

static const struct op *far_to(struct x86_cpu *cpu, const struct op *op, uint16_t selector,
                               uint64_t rip, bool call)
{
	uint64_t next = op_next_rip(cpu, op);
	struct descriptor cs;

	cpu->op = op;
	x86_code_descriptor(cpu, selector, FAR_JUMP, &cs);
	check_rip(cpu, &cs.seg, rip);
	if (call) {
		unsigned bytes = 2u << op->aux;
		uint64_t bottom = cpu->reg[X86_RSP] - bytes;

		/* The second push may fault when the first did not. */
		x86_check_write(cpu, op, x86_seg_linear(cpu, op, X86_SS, bottom, bytes, true),
		                bytes);
		x86_push(cpu, op, op->aux, cpu->s.seg[X86_CS].selector);
		x86_push(cpu, op, op->aux, next);
	}
	return far_go(cpu, op, &cs, cpu->cpl, rip);
}

static const struct op *far_m(struct x86_cpu *cpu, const struct op *op, bool call)
{
	unsigned bytes = 1u << op->aux;
	uint64_t linear = op_ea_any(cpu, op, bytes + 2, false), rip = 0;
	uint8_t data[10];
	uint16_t selector;

	x86_load_bytes(cpu, op, linear, data, bytes + 2);
	memcpy(&rip, data, bytes);
	memcpy(&selector, data + bytes, 2);
	return far_to(cpu, op, selector, rip, call);
}

OP(x86_op_far_jmp_m)
{
	return far_m(cpu, op, false);
}

OP(x86_op_far_call_m)
{
	return far_m(cpu, op, true);
}

OP(x86_op_far_jmp_imm)
{
	return far_to(cpu, op, (uint16_t)op->disp, (uint64_t)op->imm, false);
}

OP(x86_op_far_call_imm)
{
	return far_to(cpu, op, (uint16_t)op->disp, (uint64_t)op->imm, true);
}

OP(x86_op_far_ret)
{
	uint64_t bytes = 1u << op->aux, add = (uint64_t)op->imm, rip, sp = 0;
	struct descriptor cs, ss;
	uint16_t selector;
	unsigned rpl;

	cpu->op = op;
	rip = x86_stack_peek(cpu, op, op->aux, 0);
	selector = (uint16_t)x86_stack_peek(cpu, op, op->aux, bytes);
	x86_code_descriptor(cpu, selector, FAR_RETURN, &cs);
	check_rip(cpu, &cs.seg, rip);
	rpl = selector & 3;
	if (rpl == cpu->cpl) {
		x86_stack_add(cpu, 2 * bytes + add);
		return far_go(cpu, op, &cs, rpl, rip);
	}
	sp = x86_stack_peek(cpu, op, op->aux, 2 * bytes + add);
	selector = (uint16_t)x86_stack_peek(cpu, op, op->aux, 3 * bytes + add);
	x86_stack_descriptor(cpu, selector, rpl, cs.seg.attributes & X86_SEG_L, &ss);
	x86_set_segment(cpu, X86_SS, &ss.seg);
	x86_set_segment(cpu, X86_CS, &cs.seg);
	x86_update_mode(cpu);
	if (cpu->code_mode & CODE_64)
		cpu->reg[X86_RSP] = sp + add;
	else
		x86_stack_add(cpu, sp + add - cpu->reg[X86_RSP]);
	x86_drop_inner_segments(cpu);
	return far_go(cpu, op, &cs, rpl, rip);
}

/* ---- segment registers ------------------------------------------------------------------ */

OP(x86_op_mov_from_seg_r)
{
	uint16_t v = cpu->s.seg[op->src].selector;

	if (op->aux == 1)
		wr16(cpu, op->dst, v);
	else
		wr64(cpu, op->dst, v);
	NEXT;
}

OP(x86_op_mov_from_seg_m)
{
	store16(cpu, op, op_ea_any(cpu, op, 2, true), cpu->s.seg[op->src].selector);
	NEXT;
}

/* A segment was loaded: SS holds off interrupts, and may change what the stack is. */
static const struct op *segment_loaded(struct x86_cpu *cpu, const struct op *op, unsigned seg)
{
	uint64_t next = op_next_rip(cpu, op);

	if (seg == X86_SS) {
		cpu->s.mov_ss_shadow = true;
		x86_update_mode(cpu);
	}
	LEAVE_TO(cpu, op, next);
}

OP(x86_op_mov_to_seg_r)
{
	cpu->op = op;
	x86_load_segment(cpu, (enum x86_sreg)op->dst, rd16(cpu, op->src));
	return segment_loaded(cpu, op, op->dst);
}

OP(x86_op_mov_to_seg_m)
{
	uint16_t v = load16(cpu, op, op_ea_any(cpu, op, 2, false));

	cpu->op = op;
	x86_load_segment(cpu, (enum x86_sreg)op->dst, v);
	return segment_loaded(cpu, op, op->dst);
}

OP(x86_op_push_seg)
{
	x86_push(cpu, op, op->aux, cpu->s.seg[op->src].selector);
	NEXT;
}

OP(x86_op_pop_seg)
{
	uint16_t v = (uint16_t)x86_stack_peek(cpu, op, op->aux, 0);
	uint64_t bytes = 1u << op->aux;

	cpu->op = op;
	x86_load_segment(cpu, (enum x86_sreg)op->src, v);
	x86_stack_add(cpu, bytes);
	return segment_loaded(cpu, op, op->src);
}

OP(x86_op_load_far)
{
	unsigned bytes = 1u << op->aux;
	uint64_t linear = op_ea_any(cpu, op, bytes + 2, false), offset = 0;
	uint8_t data[10];
	uint16_t selector;

	x86_load_bytes(cpu, op, linear, data, bytes + 2);
	memcpy(&offset, data, bytes);
	memcpy(&selector, data + bytes, 2);
	cpu->op = op;
	x86_load_segment(cpu, (enum x86_sreg)op->src, selector);
	if (op->aux == 1)
		wr16(cpu, op->dst, (uint16_t)offset);
	else
		wr64(cpu, op->dst, offset);
	return segment_loaded(cpu, op, op->src);
}

/* ---- tables, LDTR, TR, and questions about selectors ------------------------------------ */

static void umip(struct x86_cpu *cpu, const struct op *op)
{
	if (cpu->cpl && (cpu->s.cr4 & CR4_UMIP))
		x86_raise_at(cpu, op, VEC_GP, 0);
}

OP(x86_op_sldt)
{
	uint64_t v = op->src == 0   ? cpu->s.ldtr.selector
	             : op->src == 1 ? cpu->s.tr.selector
	                            : cpu->s.cr0;

	umip(cpu, op);
	if (!(op->flags & OP_REG))
		store16(cpu, op, op_ea_any(cpu, op, 2, true), (uint16_t)v);
	else if (op->aux == 1)
		wr16(cpu, op->dst, (uint16_t)v);
	else if (op->aux == 2)
		wr32(cpu, op->dst, (uint32_t)v);
	else
		wr64(cpu, op->dst, v);
	NEXT;
}

static uint16_t selector_operand(struct x86_cpu *cpu, const struct op *op, unsigned reg)
{
	return op->flags & OP_REG ? rd16(cpu, reg) : load16(cpu, op, op_ea_any(cpu, op, 2, false));
}

static OUT_OF_LINE void lldt(struct x86_cpu *cpu, const struct op *op)
{
	struct descriptor d = {0};
	uint16_t selector;

	x86_need_cpl0(cpu, op);
	selector = selector_operand(cpu, op, op->src);
	cpu->op = op;
	if (selector & ~3u) {
		if (selector & 4)
			x86_raise(cpu, VEC_GP, selector & ~3u);
		x86_descriptor(cpu, selector, true, VEC_GP, &d);
		if ((d.seg.attributes & 0x1f) != 2)
			x86_raise(cpu, VEC_GP, selector & ~3u);
		if (!(d.seg.attributes & X86_SEG_P))
			x86_raise(cpu, VEC_NP, selector & ~3u);
	}
	d.seg.selector = selector;
	cpu->s.ldtr = d.seg;
}

OP(x86_op_lldt)
{
	lldt(cpu, op);
	NEXT;
}

static OUT_OF_LINE void ltr(struct x86_cpu *cpu, const struct op *op)
{
	struct descriptor d;
	uint16_t selector;

	x86_need_cpl0(cpu, op);
	selector = selector_operand(cpu, op, op->src);
	cpu->op = op;
	if (!(selector & ~3u))
		x86_raise(cpu, VEC_GP, 0);
	if (selector & 4)
		x86_raise(cpu, VEC_GP, selector & ~3u);
	x86_descriptor(cpu, selector, true, VEC_GP, &d);
	if ((d.seg.attributes & 0x1f) != 9)
		x86_raise(cpu, VEC_GP, selector & ~3u);
	if (!(d.seg.attributes & X86_SEG_P))
		x86_raise(cpu, VEC_NP, selector & ~3u);
	d.seg.attributes |= 2; /* busy */
	x86_system_store(cpu, d.linear + 5, 1, d.seg.attributes & 0xff);
	cpu->s.tr = d.seg;
}

OP(x86_op_ltr)
{
	ltr(cpu, op);
	NEXT;
}

/* Whether a segment may be seen at this privilege at all. */
static bool visible(const struct x86_cpu *cpu, uint16_t selector, const struct x86_segment *s)
{
	if (seg_is_code(s) && (s->attributes & SEG_CONFORM))
		return true;
	return MAX((unsigned)(selector & 3), cpu->cpl) <= seg_dpl(s);
}

static void set_zf(struct x86_cpu *cpu, bool zf)
{
	cc_set_explicit(cpu, (cc_flags(cpu) & ~(uint64_t)EFLAGS_ZF) | (zf ? EFLAGS_ZF : 0));
}

static OUT_OF_LINE void verx(struct x86_cpu *cpu, const struct op *op)
{
	uint16_t selector = selector_operand(cpu, op, op->dst);
	struct descriptor d;
	bool good;

	cpu->op = op;
	good = (selector & ~3u) && x86_descriptor_try(cpu, selector, false, &d) &&
	       (d.seg.attributes & X86_SEG_S) && visible(cpu, selector, &d.seg);
	if (good && op->src) /* VERW: writable data */
		good = seg_is_data(&d.seg) && (d.seg.attributes & SEG_RW);
	else if (good)
		good = seg_is_data(&d.seg) || (d.seg.attributes & SEG_RW);
	set_zf(cpu, good);
}

OP(x86_op_verx)
{
	verx(cpu, op);
	NEXT;
}

static OUT_OF_LINE void lar(struct x86_cpu *cpu, const struct op *op)
{
	uint16_t selector = selector_operand(cpu, op, op->src);
	bool limit = op->aux & 0x10, good;
	unsigned size = op->aux & 3, type;
	struct descriptor d;

	cpu->op = op;
	good = (selector & ~3u) && x86_descriptor_try(cpu, selector, false, &d) &&
	       visible(cpu, selector, &d.seg);
	if (good && !(d.seg.attributes & X86_SEG_S)) {
		type = d.seg.attributes & 15;
		good = type == 2 || type == 9 || type == 11 || (type == 12 && !limit);
	}
	if (good) {
		uint64_t v = d.seg.limit;

		if (!limit)
			v = x86_system_load(cpu, d.linear + 4, 4) & 0xf0ff00;
		if (size == 1)
			wr16(cpu, op->dst, (uint16_t)v);
		else
			wr64(cpu, op->dst, v);
	}
	set_zf(cpu, good);
}

OP(x86_op_lar)
{
	lar(cpu, op);
	NEXT;
}

static void store_table(struct x86_cpu *cpu, const struct op *op, const struct x86_table *t)
{
	unsigned bytes = cpu->code_mode & CODE_64 ? 10 : 6;
	uint16_t limit = (uint16_t)t->limit;
	uint8_t data[10];

	umip(cpu, op);
	memcpy(data, &limit, 2);
	memcpy(data + 2, &t->base, 8);
	x86_store_bytes(cpu, op, op_ea_any(cpu, op, bytes, true), data, bytes);
}

static OUT_OF_LINE void sgdt(struct x86_cpu *cpu, const struct op *op)
{
	store_table(cpu, op, &cpu->s.gdtr);
}

OP(x86_op_sgdt)
{
	sgdt(cpu, op);
	NEXT;
}

static OUT_OF_LINE void sidt(struct x86_cpu *cpu, const struct op *op)
{
	store_table(cpu, op, &cpu->s.idtr);
}

OP(x86_op_sidt)
{
	sidt(cpu, op);
	NEXT;
}

static void load_table(struct x86_cpu *cpu, const struct op *op, struct x86_table *t)
{
	unsigned bytes = cpu->code_mode & CODE_64 ? 10 : 6;
	uint8_t data[10];
	uint16_t limit;
	uint64_t base = 0;

	x86_need_cpl0(cpu, op);
	x86_load_bytes(cpu, op, op_ea_any(cpu, op, bytes, false), data, bytes);
	memcpy(&limit, data, 2);
	memcpy(&base, data + 2, bytes - 2);
	if (bytes == 10 && !is_canonical(base))
		x86_raise_at(cpu, op, VEC_GP, 0);
	if (bytes == 6 && op->aux == 1)
		base &= 0xffffff;
	*t = (struct x86_table){base, limit};
}

static OUT_OF_LINE void lgdt(struct x86_cpu *cpu, const struct op *op)
{
	load_table(cpu, op, &cpu->s.gdtr);
}

OP(x86_op_lgdt)
{
	lgdt(cpu, op);
	NEXT;
}

static OUT_OF_LINE void lidt(struct x86_cpu *cpu, const struct op *op)
{
	load_table(cpu, op, &cpu->s.idtr);
}

OP(x86_op_lidt)
{
	lidt(cpu, op);
	NEXT;
}
