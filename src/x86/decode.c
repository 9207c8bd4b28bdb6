/* SPDX-License-Identifier: MIT */
/*
 * From bytes to ops.
 *
 * x86_decode_trace() decodes instruction after instruction into an array of ops. Then it goes
 * over them backwards to find flags that nobody reads: an instruction whose flags are all set
 * again by a later one gets the handler that leaves them alone, provided that everything in
 * between is "pure" (cannot fault, cannot leave the trace), so that no one can ever see them.
 *
 * The bytes are the guest's: any byte string must decode to something, if only #UD.
 */
#include "x86/cache.h"
#include "x86/ops.h"

/* What a compare left behind that a following Jcc may be fused with. */
enum fuse { FUSE_NONE, FUSE_CMP_RR, FUSE_CMP_RI, FUSE_TEST_RR, FUSE_TEST_RI, FUSE_CMP_RM, FUSE_CMP_MR };

struct one {
	struct decoder d;
	enum fuse fuse;
	bool jumps;     /* the op's link is to lead to @target */
	int64_t target; /* relative to the page's start */
	int cond;       /* of a linked Jcc, else -1 */
	bool lockable;
	bool reads_flags;
};

/* ---- bytes ----------------------------------------------------------------------------- */

uint8_t x86_decode_u8(struct decoder *d)
{
	if (d->pos >= d->avail) {
		d->overrun = true;
		return 0;
	}
	return d->bytes[d->pos++];
}

static uint16_t decode_u16(struct decoder *d)
{
	unsigned low = x86_decode_u8(d);

	return (uint16_t)(low | x86_decode_u8(d) << 8);
}

uint32_t x86_decode_u32(struct decoder *d)
{
	uint32_t low = decode_u16(d);

	return low | (uint32_t)decode_u16(d) << 16;
}

static int64_t imm8(struct decoder *d)
{
	return (int8_t)x86_decode_u8(d);
}

/* An immediate of the operand size, but at most 32 bits, sign-extended. */
static int64_t imm_size(struct decoder *d)
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

static unsigned imm_bytes(const struct decoder *d)
{
	return d->size == 0 ? 1 : d->size == 1 ? 2 : 4;
}

/* ---- operands -------------------------------------------------------------------------- */

static unsigned addr_size(const struct decoder *d)
{
	if (d->mode & CODE_64)
		return d->addr67 ? 2 : 3;
	return ((d->mode & CODE_32) != 0) == d->addr67 ? 1 : 2;
}

static void set_addr_flags(const struct decoder *d, struct op *op)
{
	unsigned size = addr_size(d);

	op->flags = (uint8_t)(op->flags | (size == 3   ? OP_ADDR64
					   : size == 2 ? OP_ADDR32
						       : 0));
}

static uint8_t ea_of(enum ea_kind kind, unsigned seg)
{
	return (uint8_t)(kind | seg << 4);
}

/* 16-bit addressing: BX, BP, SI, DI in eight fixed sums. */
static void modrm_16(struct decoder *d, struct op *op)
{
	static const uint8_t bases[8] = {X86_RBX, X86_RBX, X86_RBP, X86_RBP,
					 X86_RSI, X86_RDI, X86_RBP, X86_RBX};
	static const uint8_t indexes[8] = {X86_RSI,  X86_RDI,  X86_RSI,  X86_RDI,
					   REG_ZERO, REG_ZERO, REG_ZERO, REG_ZERO};
	unsigned rm = d->modrm & 7, base = bases[rm];

	if (d->mod == 0 && rm == 6) {
		base = REG_ZERO;
		op->disp = (int16_t)decode_u16(d);
	} else if (d->mod == 1) {
		op->disp = (int8_t)x86_decode_u8(d);
	} else if (d->mod == 2) {
		op->disp = (int16_t)decode_u16(d);
	}
	op->base = REG(base);
	op->index = REG(indexes[rm]);
	op->ea = ea_of(EA_GENERAL, d->seg >= 0       ? (unsigned)d->seg
				   : base == X86_RBP ? X86_SS
						     : X86_DS);
}

void x86_decode_modrm(struct decoder *d, struct op *op, unsigned imm_follows)
{
	unsigned base, index = REG_ZERO, scale = 0, seg = X86_DS, size = addr_size(d), pseudo;
	bool rip = false, wide;

	d->modrm = x86_decode_u8(d);
	d->mod = d->modrm >> 6;
	d->reg = (uint8_t)((d->modrm >> 3 & 7) | (d->rex & 4) << 1);
	d->rm = (uint8_t)((d->modrm & 7) | (d->rex & 1) << 3);
	if (d->mod == 3)
		return;
	set_addr_flags(d, op);
	if (size == 1) {
		modrm_16(d, op);
		return;
	}
	base = d->rm;
	if ((base & 7) == 4) {
		uint8_t sib = x86_decode_u8(d);

		base = (sib & 7u) | (d->rex & 1u) << 3;
		index = (sib >> 3 & 7u) | (d->rex & 2u) << 2;
		scale = sib >> 6;
		if (index == 4) {
			index = REG_ZERO;
			scale = 0;
		}
		if ((base & 7) == 5 && d->mod == 0)
			base = REG_ZERO;
	} else if ((base & 7) == 5 && d->mod == 0) {
		base = REG_ZERO;
		rip = d->mode & CODE_64;
	}
	if (base == X86_RSP || base == X86_RBP)
		seg = X86_SS;
	if (d->seg >= 0)
		seg = (unsigned)d->seg;
	if (d->mod == 1)
		op->disp = (int8_t)x86_decode_u8(d);
	else if (d->mod == 2 || base == REG_ZERO)
		op->disp = (int32_t)x86_decode_u32(d);

	/* Special forms become ordinary ones by pseudo registers where those can express them. */
	wide = size == 3;
	pseudo = seg == X86_FS ? REG_FS : seg == X86_GS ? REG_GS : REG_ZERO;
	if (rip) {
		int64_t disp = (int64_t)op->disp + d->page_off + d->pos + imm_follows;

		if (wide && disp == (int32_t)disp) {
			op->disp = (int32_t)disp;
			base = REG_PAGE;
		} else {
			op->flags |= OP_RIP;
			wide = false;
		}
	}
	if (wide && pseudo != REG_ZERO) {
		if (base == REG_ZERO) {
			base = pseudo;
		} else if (index == REG_ZERO) {
			index = pseudo;
		} else {
			wide = false;
		}
	}
	op->base = REG(base);
	op->index = REG(index);
	op->scale = (uint8_t)scale;
	op->ea = ea_of(!wide ? EA_GENERAL : index == REG_ZERO ? EA_BASE : EA_INDEX, seg);
}

static uint8_t reg_op(const struct decoder *d, unsigned reg, unsigned size)
{
	if (size == 0 && !d->rex && reg >= 4 && reg < 8)
		return (uint8_t)(REG(reg - 4) + 1);
	return REG(reg);
}

static uint8_t op_reg(const struct decoder *d)
{
	return reg_op(d, d->reg, d->size);
}

static uint8_t op_rm(const struct decoder *d)
{
	return reg_op(d, d->rm, d->size);
}

static enum ea_kind op_kind(const struct op *op)
{
	return (enum ea_kind)(op->ea & 3);
}

/* ---- pieces of the maps ---------------------------------------------------------------- */

static bool in_64(const struct one *o)
{
	return o->d.mode & CODE_64;
}

static bool pure(struct one *o, struct op *op, op_fn *fn)
{
	o->d.pure = true;
	op->fn = fn;
	return true;
}

/* Pure, and sets flags that may turn out to be unread. */
static bool flags_op(struct one *o, struct op *op, op_fn *fn, op_fn *no_flags)
{
	o->d.no_flags = no_flags;
	o->d.sets_flags = true;
	return pure(o, op, fn);
}

static bool is(struct op *op, op_fn *fn)
{
	op->fn = fn;
	return true;
}

static bool ends(struct one *o, struct op *op, op_fn *fn)
{
	o->d.ends = true;
	op->fn = fn;
	return true;
}

/* ModRM with the operand as a stack or branch one: 64 bits in 64-bit code unless 66. */
static void default_64(struct one *o)
{
	if (in_64(o) && o->d.size == 2)
		o->d.size = 3;
}

static bool alu_rr(struct one *o, struct op *op, unsigned what, uint8_t dst, uint8_t src)
{
	op->dst = dst;
	op->src = src;
	if (what == ALU_CMP)
		o->fuse = FUSE_CMP_RR;
	o->reads_flags = what == ALU_ADC || what == ALU_SBB;
	/* The idioms for zero do not depend on the register. */
	return flags_op(o, op, x86_alu_rr[0][what][o->d.size], x86_alu_rr[1][what][o->d.size]);
}

static bool alu_ri(struct one *o, struct op *op, unsigned what, uint8_t dst, int64_t imm)
{
	op->dst = dst;
	op->imm = imm;
	if (what == ALU_CMP)
		o->fuse = FUSE_CMP_RI;
	o->reads_flags = what == ALU_ADC || what == ALU_SBB;
	return flags_op(o, op, x86_alu_ri[0][what][o->d.size], x86_alu_ri[1][what][o->d.size]);
}

/* 00-3F, the columns 0-5. */
static bool decode_alu(struct one *o, struct op *op)
{
	struct decoder *d = &o->d;
	unsigned what = d->opcode >> 3, form = d->opcode & 7;

	if (!(form & 1))
		d->size = 0;
	if (form >= 4) {
		op->imm = imm_size(d);
		return alu_ri(o, op, what, REG(X86_RAX), op->imm);
	}
	x86_decode_modrm(d, op, 0);
	if (d->mod == 3)
		return form < 2 ? alu_rr(o, op, what, op_rm(d), op_reg(d))
				: alu_rr(o, op, what, op_reg(d), op_rm(d));
	if (form < 2) {
		op->src = op_reg(d);
		o->lockable = what != ALU_CMP;
		if (what == ALU_CMP && op_kind(op) != EA_GENERAL)
			o->fuse = FUSE_CMP_MR;
		return is(op, x86_alu_mr[what][d->size][op_kind(op)]);
	}
	op->dst = op_reg(d);
	if (what == ALU_CMP && op_kind(op) != EA_GENERAL)
		o->fuse = FUSE_CMP_RM;
	return is(op, x86_alu_rm[what][d->size][op_kind(op)]);
}

/* 80-83 */
static bool decode_group1(struct one *o, struct op *op)
{
	struct decoder *d = &o->d;
	bool small = d->opcode != 0x81;
	unsigned what;

	if (!(d->opcode & 1))
		d->size = 0;
	if (d->opcode == 0x82 && in_64(o))
		return false;
	x86_decode_modrm(d, op, small ? 1 : imm_bytes(d));
	op->imm = small ? imm8(d) : imm_size(d);
	what = d->reg & 7;
	if (d->mod == 3)
		return alu_ri(o, op, what, op_rm(d), op->imm);
	o->lockable = what != ALU_CMP;
	return is(op, x86_alu_mi[what][d->size][op_kind(op)]);
}

/* C0, C1, D0-D3 */
static bool decode_shift(struct one *o, struct op *op)
{
	struct decoder *d = &o->d;
	bool imm = d->opcode < 0xd0, by_cl = d->opcode >= 0xd2;
	unsigned what, count = 1;

	if (!(d->opcode & 1))
		d->size = 0;
	x86_decode_modrm(d, op, imm ? 1 : 0);
	what = d->reg & 7;
	if (imm)
		count = x86_decode_u8(d);
	count &= d->size == 3 ? 63 : 31;
	op->imm = count;
	if (by_cl) {
		op->dst = op_rm(d);
		return is(op, d->mod == 3 ? x86_shift_rc[what][d->size] : x86_shift_mc[what][d->size]);
	}
	if (d->mod != 3) {
		/* A count of 0 still touches the operand as a write. */
		return is(op, count ? x86_shift_mi[what][d->size] : x86_touch_m[d->size]);
	}
	op->dst = op_rm(d);
	if (!count) {
		/* Nothing but the clearing of a 32-bit register's upper half. */
		op->src = op->dst;
		return pure(o, op, x86_mov_rr[d->size]);
	}
	o->reads_flags = what == SH_RCL || what == SH_RCR;
	d->no_flags = o->reads_flags ? NULL : x86_shift_ri[1][what][d->size];
	if (what >= SH_SHL)
		d->sets_flags = true;
	else
		o->reads_flags = true;
	return pure(o, op, x86_shift_ri[0][what][d->size]);
}

/* F6, F7 */
static bool decode_group3(struct one *o, struct op *op)
{
	struct decoder *d = &o->d;
	unsigned what, follows;

	if (!(d->opcode & 1))
		d->size = 0;
	follows = d->pos < d->avail && (d->bytes[d->pos] >> 3 & 7) < 2 ? imm_bytes(d) : 0;
	x86_decode_modrm(d, op, follows);
	what = d->reg & 7;
	op->dst = op_rm(d);
	switch (what) {
	case 0:
	case 1:
		op->imm = imm_size(d);
		if (d->mod != 3)
			return is(op, x86_test_mi[d->size][op_kind(op)]);
		o->fuse = FUSE_TEST_RI;
		return flags_op(o, op, x86_test_ri[d->size], x86_op_nop);
	case 2:
		if (d->mod == 3)
			return pure(o, op, x86_not_r[d->size]);
		o->lockable = true;
		return is(op, x86_not_m[d->size]);
	case 3:
		if (d->mod == 3)
			return flags_op(o, op, x86_neg_r[d->size], NULL);
		o->lockable = true;
		return is(op, x86_neg_m[d->size]);
	case 4:
	case 5:
		if (d->mod == 3)
			return flags_op(o, op, x86_muldiv_r[what - 4][d->size], NULL);
		/* fallthrough */
	default:
		return is(op, d->mod == 3 ? x86_muldiv_r[what - 4][d->size]
					  : x86_muldiv_m[what - 4][d->size]);
	}
}

static bool inc_dec(struct one *o, struct op *op, bool down)
{
	struct decoder *d = &o->d;

	if (d->mod == 3) {
		op->dst = op_rm(d);
		d->no_flags = (down ? x86_dec_r : x86_inc_r)[1][d->size];
		o->reads_flags = true; /* CF stays */
		return pure(o, op, (down ? x86_dec_r : x86_inc_r)[0][d->size]);
	}
	o->lockable = true;
	return is(op, (down ? x86_dec_m : x86_inc_m)[d->size][op_kind(op)]);
}

/* FE, FF */
static bool decode_group5(struct one *o, struct op *op)
{
	struct decoder *d = &o->d;
	bool near_64;

	x86_decode_modrm(d, op, 0);
	if (d->opcode == 0xfe) {
		d->size = 0;
		return (d->reg & 7) < 2 && inc_dec(o, op, d->reg & 1);
	}
	switch (d->reg & 7) {
	case 0:
	case 1:
		return inc_dec(o, op, d->reg & 1);
	case 2:
	case 4:
		/* Near branches ignore 66 in 64-bit code. */
		if (in_64(o))
			d->size = 3;
		near_64 = d->size == 3;
		op->src = op_rm(d);
		op->aux = d->size;
		if ((d->reg & 7) == 2)
			return ends(o, op,
				    d->mod == 3 ? near_64 ? x86_op_call_r : x86_op_call_r_any
				    : near_64   ? x86_op_call_m
						: x86_op_call_m_any);
		return ends(o, op,
			    d->mod == 3 ? near_64 ? x86_op_jmp_r : x86_op_jmp_r_any
			    : near_64   ? x86_op_jmp_m
					: x86_op_jmp_m_any);
	case 3:
	case 5:
		if (d->mod == 3)
			return false;
		op->aux = d->size;
		return ends(o, op, (d->reg & 7) == 3 ? x86_op_far_call_m : x86_op_far_jmp_m);
	case 6:
		default_64(o);
		op->src = op_rm(d);
		op->aux = d->size;
		if (d->mod == 3) {
			op->ea = ea_of(EA_BASE, X86_SS);
			return is(op, d->size == 3 ? x86_op_push_r : x86_op_push_r_any);
		}
		return is(op, d->size == 3 ? x86_op_push_m : x86_op_push_m_any);
	default:
		return false;
	}
}

static bool decode_push_reg(struct one *o, struct op *op, unsigned reg)
{
	default_64(o);
	op->src = REG(reg);
	op->aux = o->d.size;
	op->ea = ea_of(EA_BASE, X86_SS);
	return is(op, o->d.size == 3 ? x86_op_push_r : x86_op_push_r_any);
}

static bool decode_pop_reg(struct one *o, struct op *op, unsigned reg)
{
	default_64(o);
	op->dst = REG(reg);
	op->aux = o->d.size;
	op->ea = ea_of(EA_BASE, X86_SS);
	return is(op, o->d.size == 3 ? x86_op_pop_r : x86_op_pop_r_any);
}

static bool decode_push_imm(struct one *o, struct op *op, int64_t imm)
{
	default_64(o);
	op->imm = imm;
	op->aux = o->d.size;
	op->ea = ea_of(EA_BASE, X86_SS);
	return is(op, o->d.size == 3 ? x86_op_push_i : x86_op_push_i_any);
}

static bool decode_stack_any(struct one *o, struct op *op, op_fn *fn)
{
	default_64(o);
	op->aux = o->d.size;
	op->ea = ea_of(EA_BASE, X86_SS);
	return is(op, fn);
}

static bool decode_seg_stack(struct one *o, struct op *op, unsigned seg, bool pop)
{
	if (in_64(o) && seg != X86_FS && seg != X86_GS)
		return false;
	op->src = (uint8_t)seg;
	if (pop)
		o->d.ends = true;
	return decode_stack_any(o, op, pop ? x86_op_pop_seg : x86_op_push_seg);
}

/* Relative branches: linked where the operand size is the mode's own. */
static bool decode_relative(struct one *o, struct op *op, int64_t rel, op_fn *linked, op_fn *any)
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

static bool decode_jcc(struct one *o, struct op *op, int64_t rel)
{
	unsigned cond = o->d.opcode & 15;

	op->src = (uint8_t)cond;
	o->cond = (int)cond;
	return decode_relative(o, op, rel, x86_jcc[cond], x86_op_jcc_rel_any);
}

static int64_t decode_rel(struct one *o)
{
	/* 66 does not shorten the displacement in 64-bit code. */
	if (in_64(o) || o->d.size != 1)
		return (int32_t)x86_decode_u32(&o->d);
	return (int16_t)decode_u16(&o->d);
}

static bool decode_string(struct one *o, struct op *op, op_fn *fn)
{
	struct decoder *d = &o->d;

	if (!(d->opcode & 1))
		d->size = 0;
	op->aux = d->size;
	op->src = d->rep;
	op->ea = ea_of(EA_GENERAL, d->seg >= 0 ? (unsigned)d->seg : X86_DS);
	set_addr_flags(d, op);
	if (d->mode & CODE_STEP)
		op->flags |= OP_STEP;
	return is(op, fn);
}

static bool decode_mov(struct one *o, struct op *op)
{
	struct decoder *d = &o->d;
	bool load = d->opcode & 2;

	if (!(d->opcode & 1))
		d->size = 0;
	x86_decode_modrm(d, op, 0);
	op->dst = load ? op_reg(d) : op_rm(d);
	op->src = load ? op_rm(d) : op_reg(d);
	if (d->mod == 3)
		return pure(o, op, x86_mov_rr[d->size]);
	return is(op, (load ? x86_mov_rm : x86_mov_mr)[d->size][op_kind(op)]);
}

static bool decode_movx(struct one *o, struct op *op, bool sign, unsigned from)
{
	struct decoder *d = &o->d;

	x86_decode_modrm(d, op, 0);
	op->dst = REG(d->reg);
	op->src = reg_op(d, d->rm, from);
	if (d->mod == 3)
		return pure(o, op, x86_movx_r[sign][from][d->size]);
	return is(op, x86_movx_m[sign][from][d->size][op_kind(op)]);
}

static bool decode_imul_imm(struct one *o, struct op *op)
{
	struct decoder *d = &o->d;
	bool small = d->opcode == 0x6b;

	x86_decode_modrm(d, op, small ? 1 : imm_bytes(d));
	op->imm = small ? imm8(d) : imm_size(d);
	op->dst = REG(d->reg);
	op->src = REG(d->rm);
	if (d->mod == 3)
		return flags_op(o, op, x86_imul_rri[0][d->size], x86_imul_rri[1][d->size]);
	return is(op, x86_imul_rmi[d->size]);
}

/* MOV between rAX and an absolute address: A0-A3. */
static bool decode_moffs(struct one *o, struct op *op)
{
	struct decoder *d = &o->d;
	unsigned size = addr_size(d), seg = d->seg >= 0 ? (unsigned)d->seg : X86_DS;
	uint64_t offset = size == 1 ? decode_u16(d) : x86_decode_u32(d);
	bool store = d->opcode & 2;

	if (size == 3)
		offset |= (uint64_t)x86_decode_u32(d) << 32;
	if (!(d->opcode & 1))
		d->size = 0;
	op->dst = op->src = REG(X86_RAX);
	op->base = op->index = REG(REG_ZERO);
	set_addr_flags(d, op);
	if (size == 3 && offset != (uint64_t)(int64_t)(int32_t)offset) {
		/* Only here is an offset longer than disp: it travels in imm. */
		op->imm = (int64_t)offset;
		op->ea = ea_of(EA_GENERAL, seg);
		op->flags |= OP_MOFFS;
	} else {
		op->disp = (int32_t)offset;
		op->ea = ea_of(EA_GENERAL, seg);
	}
	return is(op, (store ? x86_mov_mr : x86_mov_rm)[d->size][EA_GENERAL]);
}

static bool decode_far_imm(struct one *o, struct op *op, op_fn *fn)
{
	struct decoder *d = &o->d;

	if (in_64(o))
		return false;
	op->imm = d->size == 1 ? decode_u16(d) : x86_decode_u32(d);
	op->disp = decode_u16(d);
	op->aux = d->size;
	return ends(o, op, fn);
}

static bool decode_io(struct one *o, struct op *op, bool out, bool imm)
{
	struct decoder *d = &o->d;

	if (!(d->opcode & 1))
		d->size = 0;
	if (d->size == 3)
		d->size = 2;
	op->aux = d->size;
	op->src = imm;
	op->imm = imm ? x86_decode_u8(d) : 0;
	return is(op, out ? x86_op_out : x86_op_in);
}

/* 90-97 */
static bool decode_xchg_rax(struct one *o, struct op *op)
{
	struct decoder *d = &o->d;
	unsigned reg = (d->opcode & 7u) | (d->rex & 1u) << 3;

	if (reg == X86_RAX)
		return pure(o, op, x86_op_nop); /* also PAUSE */
	op->dst = REG(reg);
	op->src = REG(X86_RAX);
	return pure(o, op, x86_xchg_rr[d->size]);
}

static bool decode_load_far(struct one *o, struct op *op, unsigned seg)
{
	x86_decode_modrm(&o->d, op, 0);
	if (o->d.mod == 3)
		return false;
	op->dst = REG(o->d.reg);
	op->src = (uint8_t)seg;
	op->aux = o->d.size;
	return ends(o, op, x86_op_load_far);
}

static bool decode_1(struct one *o, struct op *op)
{
	struct decoder *d = &o->d;
	unsigned b = d->opcode, low_reg = (b & 7u) | (d->rex & 1u) << 3;
	bool is_64 = in_64(o);

	if (b < 0x40 && (b & 7) < 6)
		return decode_alu(o, op);
	switch (b) {
	case 0x06:
	case 0x0e:
	case 0x16:
	case 0x1e:
		return decode_seg_stack(o, op, b >> 3, false);
	case 0x07:
	case 0x17:
	case 0x1f:
		return decode_seg_stack(o, op, b >> 3, true);
	case 0x27:
		return !is_64 && is(op, x86_op_daa);
	case 0x2f:
		return !is_64 && is(op, x86_op_das);
	case 0x37:
		return !is_64 && is(op, x86_op_aaa);
	case 0x3f:
		return !is_64 && is(op, x86_op_aas);
	case 0x40 ... 0x4f: /* REX in 64-bit code */
		d->mod = 3;
		d->rm = b & 7;
		return inc_dec(o, op, b & 8);
	case 0x50 ... 0x57:
		return decode_push_reg(o, op, low_reg);
	case 0x58 ... 0x5f:
		return decode_pop_reg(o, op, low_reg);
	case 0x60:
		return !is_64 && decode_stack_any(o, op, x86_op_pusha);
	case 0x61:
		return !is_64 && decode_stack_any(o, op, x86_op_popa);
	case 0x62:
		if (is_64)
			return false;
		x86_decode_modrm(d, op, 0);
		op->dst = REG(d->reg);
		op->aux = d->size;
		return d->mod != 3 && is(op, x86_op_bound);
	case 0x63:
		if (is_64)
			return decode_movx(o, op, true, d->size == 1 ? 1 : 2);
		x86_decode_modrm(d, op, 0);
		op->src = REG(d->reg);
		op->dst = REG(d->rm);
		op->aux = d->mod == 3;
		return is(op, x86_op_arpl);
	case 0x68:
		return decode_push_imm(o, op, imm_size(d));
	case 0x69:
	case 0x6b:
		return decode_imul_imm(o, op);
	case 0x6a:
		return decode_push_imm(o, op, imm8(d));
	case 0x6c:
	case 0x6d:
		d->size = d->size == 3 ? 2 : d->size;
		return decode_string(o, op, x86_op_ins);
	case 0x6e:
	case 0x6f:
		d->size = d->size == 3 ? 2 : d->size;
		return decode_string(o, op, x86_op_outs);
	case 0x70 ... 0x7f:
		return decode_jcc(o, op, imm8(d));
	case 0x80 ... 0x83:
		return decode_group1(o, op);
	case 0x84:
	case 0x85:
		if (b == 0x84)
			d->size = 0;
		x86_decode_modrm(d, op, 0);
		op->dst = op_rm(d);
		op->src = op_reg(d);
		if (d->mod != 3)
			return is(op, x86_test_mr[d->size][op_kind(op)]);
		o->fuse = FUSE_TEST_RR;
		return flags_op(o, op, x86_test_rr[d->size], x86_op_nop);
	case 0x86:
	case 0x87:
		if (b == 0x86)
			d->size = 0;
		x86_decode_modrm(d, op, 0);
		op->dst = op_rm(d);
		op->src = op_reg(d);
		o->lockable = d->mod != 3;
		return is(op, (d->mod == 3 ? x86_xchg_rr : x86_xchg_mr)[d->size]);
	case 0x88 ... 0x8b:
		return decode_mov(o, op);
	case 0x8c:
		x86_decode_modrm(d, op, 0);
		op->src = d->reg & 7;
		op->dst = REG(d->rm);
		op->aux = d->size;
		return op->src < X86_SREGS &&
		       is(op, d->mod == 3 ? x86_op_mov_from_seg_r : x86_op_mov_from_seg_m);
	case 0x8d:
		d->seg = -1;
		x86_decode_modrm(d, op, 0);
		op->dst = REG(d->reg);
		return d->mod != 3 && pure(o, op, x86_lea[d->size][op_kind(op)]);
	case 0x8e:
		x86_decode_modrm(d, op, 0);
		op->dst = d->reg & 7;
		op->src = REG(d->rm);
		if (op->dst >= X86_SREGS || op->dst == X86_CS)
			return false;
		return ends(o, op, d->mod == 3 ? x86_op_mov_to_seg_r : x86_op_mov_to_seg_m);
	case 0x8f:
		x86_decode_modrm(d, op, 0);
		default_64(o);
		op->aux = d->size;
		if (d->reg & 7)
			return false;
		if (d->mod == 3)
			return decode_pop_reg(o, op, d->rm);
		return is(op, x86_op_pop_m_any);
	case 0x90 ... 0x97:
		return decode_xchg_rax(o, op);
	case 0x98:
		return pure(o, op, x86_cbw[d->size]);
	case 0x99:
		return pure(o, op, x86_cwd[d->size]);
	case 0x9a:
		return decode_far_imm(o, op, x86_op_far_call_imm);
	case 0x9b:
	case 0xd8 ... 0xdf:
		return x86_decode_x87(d, op);
	case 0x9c:
		return decode_stack_any(o, op, x86_op_pushf);
	case 0x9d:
		return decode_stack_any(o, op, x86_op_popf);
	case 0x9e:
		return is(op, x86_op_sahf);
	case 0x9f:
		return is(op, x86_op_lahf);
	case 0xa0 ... 0xa3:
		return decode_moffs(o, op);
	case 0xa4:
	case 0xa5:
		return decode_string(o, op, x86_op_movs);
	case 0xa6:
	case 0xa7:
		return decode_string(o, op, x86_op_cmps);
	case 0xa8:
	case 0xa9:
		if (b == 0xa8)
			d->size = 0;
		op->dst = REG(X86_RAX);
		op->imm = imm_size(d);
		o->fuse = FUSE_TEST_RI;
		return flags_op(o, op, x86_test_ri[d->size], x86_op_nop);
	case 0xaa:
	case 0xab:
		return decode_string(o, op, x86_op_stos);
	case 0xac:
	case 0xad:
		return decode_string(o, op, x86_op_lods);
	case 0xae:
	case 0xaf:
		return decode_string(o, op, x86_op_scas);
	case 0xb0 ... 0xb7:
		d->size = 0;
		op->dst = reg_op(d, low_reg, 0);
		op->imm = imm8(d);
		return pure(o, op, x86_mov_ri[0]);
	case 0xb8 ... 0xbf:
		op->dst = REG(low_reg);
		op->imm = imm_size(d);
		if (d->size == 3)
			op->imm = (int64_t)((uint32_t)op->imm | (uint64_t)x86_decode_u32(d) << 32);
		return pure(o, op, x86_mov_ri[d->size]);
	case 0xc0:
	case 0xc1:
	case 0xd0 ... 0xd3:
		return decode_shift(o, op);
	case 0xc2:
	case 0xc3:
		if (is_64)
			d->size = 3;
		op->imm = b == 0xc2 ? decode_u16(d) : 0;
		op->aux = d->size;
		op->ea = ea_of(EA_BASE, X86_SS);
		return ends(o, op,
			    d->size != 3 ? x86_op_ret_any
			    : b == 0xc2  ? x86_op_ret_imm
					 : x86_op_ret);
	case 0xc4:
	case 0xc5:
		return !is_64 && decode_load_far(o, op, b == 0xc4 ? X86_ES : X86_DS);
	case 0xc6:
	case 0xc7:
		if (b == 0xc6)
			d->size = 0;
		x86_decode_modrm(d, op, imm_bytes(d));
		op->imm = imm_size(d);
		op->dst = op_rm(d);
		if (d->reg & 7)
			return false;
		if (d->mod == 3)
			return pure(o, op, x86_mov_ri[d->size]);
		return is(op, x86_mov_mi[d->size][op_kind(op)]);
	case 0xc8:
		op->imm = decode_u16(d);
		op->src = x86_decode_u8(d);
		return decode_stack_any(o, op, x86_op_enter);
	case 0xc9:
		return decode_stack_any(o, op,
					is_64 && d->size != 1 ? x86_op_leave : x86_op_leave_any);
	case 0xca:
	case 0xcb:
		op->imm = b == 0xca ? decode_u16(d) : 0;
		op->aux = d->size;
		op->ea = ea_of(EA_BASE, X86_SS);
		return ends(o, op, x86_op_far_ret);
	case 0xcc:
		return ends(o, op, x86_op_int3);
	case 0xcd:
		op->imm = x86_decode_u8(d);
		return ends(o, op, x86_op_int);
	case 0xce:
		return !is_64 && is(op, x86_op_into);
	case 0xcf:
		op->aux = d->size;
		return ends(o, op, x86_op_iret);
	case 0xd4:
	case 0xd5:
		op->imm = x86_decode_u8(d);
		return !is_64 && is(op, b == 0xd4 ? x86_op_aam : x86_op_aad);
	case 0xd6:
		return !is_64 && is(op, x86_op_salc);
	case 0xd7:
		op->ea = ea_of(EA_GENERAL, d->seg >= 0 ? (unsigned)d->seg : X86_DS);
		set_addr_flags(d, op);
		return is(op, x86_op_xlat);
	case 0xe0 ... 0xe3:
		op->src = b & 3;
		set_addr_flags(d, op);
		return decode_relative(o, op, imm8(d), NULL, x86_op_loop);
	case 0xe4:
	case 0xe5:
		return decode_io(o, op, false, true);
	case 0xe6:
	case 0xe7:
		return decode_io(o, op, true, true);
	case 0xec:
	case 0xed:
		return decode_io(o, op, false, false);
	case 0xee:
	case 0xef:
		return decode_io(o, op, true, false);
	case 0xe8:
		d->ends = true;
		op->ea = ea_of(EA_BASE, X86_SS);
		return decode_relative(o, op, decode_rel(o), is_64 ? x86_op_call : NULL,
				       x86_op_call_any);
	case 0xe9:
		d->ends = true;
		return decode_relative(o, op, decode_rel(o), x86_op_jmp, x86_op_jmp_rel_any);
	case 0xea:
		return decode_far_imm(o, op, x86_op_far_jmp_imm);
	case 0xeb:
		d->ends = true;
		return decode_relative(o, op, imm8(d), x86_op_jmp, x86_op_jmp_rel_any);
	case 0xf1:
		return ends(o, op, x86_op_int1);
	case 0xf4:
		return ends(o, op, x86_op_hlt);
	case 0xf5:
		return is(op, x86_op_cmc);
	case 0xf6:
	case 0xf7:
		return decode_group3(o, op);
	case 0xf8:
		return is(op, x86_op_clc);
	case 0xf9:
		return is(op, x86_op_stc);
	case 0xfa:
		return is(op, x86_op_cli);
	case 0xfb:
		return is(op, x86_op_sti);
	case 0xfc:
		return pure(o, op, x86_op_cld);
	case 0xfd:
		return pure(o, op, x86_op_std);
	case 0xfe:
	case 0xff:
		return decode_group5(o, op);
	default:
		return false;
	}
}

/* ---- the 0F map ------------------------------------------------------------------------ */

/* 0F 01 with a register operand: one instruction each. */
static bool decode_0f01_reg(struct one *o, struct op *op)
{
	struct decoder *d = &o->d;

	switch (d->modrm) {
	case 0xca:
		return is(op, x86_op_clac);
	case 0xcb:
		return is(op, x86_op_stac);
	case 0xd0:
		return is(op, x86_op_xgetbv);
	case 0xd1:
		return ends(o, op, x86_op_xsetbv);
	case 0xf8:
		return in_64(o) && is(op, x86_op_swapgs);
	case 0xf9:
		return is(op, x86_op_rdtscp);
	default:
		break;
	}
	if ((d->reg & 7) == 4) {
		op->src = 2;
		op->dst = REG(d->rm);
		op->aux = d->size;
		op->flags |= OP_REG;
		return is(op, x86_op_sldt);
	}
	if ((d->reg & 7) == 6) {
		op->src = REG(d->rm);
		op->flags |= OP_REG;
		return ends(o, op, x86_op_lmsw);
	}
	return false;
}

static bool decode_group6_7(struct one *o, struct op *op)
{
	struct decoder *d = &o->d;
	unsigned what;

	x86_decode_modrm(d, op, 0);
	what = d->reg & 7;
	op->aux = d->size;
	if (d->opcode == 0x00) {
		if (d->mod == 3)
			op->flags |= OP_REG;
		op->dst = op->src = REG(d->rm);
		switch (what) {
		case 0:
		case 1:
			op->src = (uint8_t)what;
			return is(op, x86_op_sldt);
		case 2:
			return is(op, x86_op_lldt);
		case 3:
			return is(op, x86_op_ltr);
		case 4:
		case 5:
			op->dst = op->src;
			op->src = (uint8_t)(what - 4);
			return is(op, x86_op_verx);
		default:
			return false;
		}
	}
	if (d->mod == 3)
		return decode_0f01_reg(o, op);
	switch (what) {
	case 0:
		return is(op, x86_op_sgdt);
	case 1:
		return is(op, x86_op_sidt);
	case 2:
		return is(op, x86_op_lgdt);
	case 3:
		return is(op, x86_op_lidt);
	case 4:
		op->src = 2;
		return is(op, x86_op_sldt);
	case 6:
		return ends(o, op, x86_op_lmsw);
	case 7:
		return ends(o, op, x86_op_invlpg);
	default:
		return false;
	}
}

/* 0F AE and what else of group 15 is not about saving vectors. */
static bool decode_group15(struct one *o, struct op *op)
{
	struct decoder *d = &o->d;
	uint8_t modrm = d->pos < d->avail ? d->bytes[d->pos] : 0;
	unsigned what = modrm >> 3 & 7;

	if (modrm >= 0xc0) {
		x86_decode_modrm(d, op, 0);
		if (d->rep == 0xf3 && what < 4) {
			op->src = (uint8_t)what;
			op->dst = REG(d->rm);
			op->aux = d->size;
			return in_64(o) && is(op, x86_op_fsgsbase);
		}
		/* LFENCE, MFENCE, SFENCE order nothing here: every access is made in order. */
		return !d->rep && what >= 5 && is(op, x86_op_nop);
	}
	if (what == 7 && !d->rep) {
		x86_decode_modrm(d, op, 0);
		return is(op, x86_op_clflush); /* and with 66 CLFLUSHOPT */
	}
	if (what == 6 && d->opsize66) {
		x86_decode_modrm(d, op, 0);
		return is(op, x86_op_clflush); /* CLWB */
	}
	return x86_decode_simd(d, op);
}

static bool decode_bt(struct one *o, struct op *op, unsigned what, bool imm)
{
	struct decoder *d = &o->d;

	x86_decode_modrm(d, op, imm ? 1 : 0);
	if (imm)
		op->imm = x86_decode_u8(d);
	op->dst = REG(d->rm);
	op->src = REG(d->reg);
	if (d->mod == 3) {
		o->reads_flags = true;
		return pure(o, op, (imm ? x86_bt_ri : x86_bt_rr)[what][d->size]);
	}
	o->lockable = what != 0;
	return is(op, (imm ? x86_bt_mi : x86_bt_mr)[what][d->size]);
}

static bool decode_shd(struct one *o, struct op *op, bool right, bool imm)
{
	struct decoder *d = &o->d;

	x86_decode_modrm(d, op, imm ? 1 : 0);
	op->dst = REG(d->rm);
	op->src = REG(d->reg);
	if (!imm)
		return is(op, (d->mod == 3 ? x86_shd_rc : x86_shd_mc)[right][d->size]);
	op->aux = x86_decode_u8(d);
	return is(op, (d->mod == 3 ? x86_shd_ri : x86_shd_mi)[right][d->size]);
}

/* Source by ModRM.rm, destination ModRM.reg, the same handler tables for all sizes. */
static bool decode_rm(struct one *o, struct op *op, op_fn *const reg[4], op_fn *const mem[4])
{
	struct decoder *d = &o->d;

	x86_decode_modrm(d, op, 0);
	op->dst = REG(d->reg);
	op->src = REG(d->rm);
	return is(op, (d->mod == 3 ? reg : mem)[d->size]);
}

/* XADD, CMPXCHG: destination ModRM.rm, byte form at even opcodes. */
static bool decode_exchange(struct one *o, struct op *op, op_fn *const reg[4], op_fn *const mem[4])
{
	struct decoder *d = &o->d;

	if (!(d->opcode & 1))
		d->size = 0;
	x86_decode_modrm(d, op, 0);
	op->dst = op_rm(d);
	op->src = op_reg(d);
	o->lockable = d->mod != 3;
	return is(op, (d->mod == 3 ? reg : mem)[d->size]);
}

static bool decode_nop_modrm(struct one *o, struct op *op)
{
	x86_decode_modrm(&o->d, op, 0);
	return pure(o, op, x86_op_nop);
}

static bool decode_group9(struct one *o, struct op *op)
{
	struct decoder *d = &o->d;
	unsigned what;

	x86_decode_modrm(d, op, 0);
	what = d->reg & 7;
	op->dst = REG(d->rm);
	op->aux = d->size;
	if (d->mod == 3) {
		if (what == 7 && d->rep == 0xf3)
			return is(op, x86_op_rdpid);
		op->src = (uint8_t)what;
		return what >= 6 && !d->rep && is(op, x86_op_rdrand);
	}
	o->lockable = true;
	return what == 1 && is(op, d->size == 3 ? x86_op_cmpxchg16b : x86_op_cmpxchg8b);
}

static bool decode_0f(struct one *o, struct op *op)
{
	struct decoder *d = &o->d;
	unsigned b = d->opcode, low_reg = (b & 7u) | (d->rex & 1u) << 3;
	bool is_64 = in_64(o);

	switch (b) {
	case 0x00:
	case 0x01:
		return decode_group6_7(o, op);
	case 0x02:
	case 0x03:
		x86_decode_modrm(d, op, 0);
		op->dst = REG(d->reg);
		op->src = REG(d->rm);
		op->aux = (uint8_t)(d->size | (b == 0x03) << 4);
		op->flags |= d->mod == 3 ? OP_REG : 0;
		return is(op, x86_op_lar);
	case 0x05:
		return is_64 && ends(o, op, x86_op_syscall);
	case 0x06:
		return ends(o, op, x86_op_clts);
	case 0x07:
		op->aux = d->size;
		return is_64 && ends(o, op, x86_op_sysret);
	case 0x08:
	case 0x09:
		return is(op, x86_op_wbinvd);
	case 0x0d:
	case 0x18 ... 0x1f:
		return decode_nop_modrm(o, op); /* prefetches, ENDBR, long NOPs */
	case 0x20 ... 0x23:
		/* The operand is always a register, whatever mod says. */
		x86_decode_modrm(d, op, 0);
		op->dst = b & 2 ? d->reg : REG(d->rm);
		op->src = b & 2 ? REG(d->rm) : d->reg;
		if (d->mod != 3)
			return false;
		switch (b) {
		case 0x20:
			return is(op, x86_op_mov_from_cr);
		case 0x21:
			return is(op, x86_op_mov_from_dr);
		case 0x22:
			return ends(o, op, x86_op_mov_to_cr);
		default:
			return ends(o, op, x86_op_mov_to_dr);
		}
	case 0x30:
		return ends(o, op, x86_op_wrmsr);
	case 0x31:
		return is(op, x86_op_rdtsc);
	case 0x32:
		return is(op, x86_op_rdmsr);
	case 0x33:
		return is(op, x86_op_rdpmc);
	case 0x34:
		return ends(o, op, x86_op_sysenter);
	case 0x35:
		op->aux = d->size;
		return ends(o, op, x86_op_sysexit);
	case 0x40 ... 0x4f:
		o->reads_flags = true;
		if (!decode_rm(o, op, x86_cmov_r[b & 15], x86_cmov_m[b & 15]))
			return false;
		d->pure = d->mod == 3;
		return true;
	case 0x80 ... 0x8f:
		return decode_jcc(o, op, decode_rel(o));
	case 0x90 ... 0x9f:
		d->size = 0;
		x86_decode_modrm(d, op, 0);
		op->dst = op_rm(d);
		return is(op, d->mod == 3 ? x86_set_r[b & 15] : x86_set_m[b & 15]);
	case 0xa0:
		return decode_seg_stack(o, op, X86_FS, false);
	case 0xa8:
		return decode_seg_stack(o, op, X86_GS, false);
	case 0xa1:
		return decode_seg_stack(o, op, X86_FS, true);
	case 0xa9:
		return decode_seg_stack(o, op, X86_GS, true);
	case 0xa2:
		return is(op, x86_op_cpuid);
	case 0xa3:
	case 0xab:
	case 0xb3:
	case 0xbb:
		return decode_bt(o, op, b >> 3 & 3, false);
	case 0xa4:
	case 0xa5:
		return decode_shd(o, op, false, b == 0xa4);
	case 0xac:
	case 0xad:
		return decode_shd(o, op, true, b == 0xac);
	case 0xae:
		return decode_group15(o, op);
	case 0xaf:
		if (!decode_rm(o, op, x86_imul_rr[0], x86_imul_rm))
			return false;
		return d->mod != 3 ||
		       flags_op(o, op, x86_imul_rr[0][d->size], x86_imul_rr[1][d->size]);
	case 0xb0:
	case 0xb1:
		return decode_exchange(o, op, x86_cmpxchg_rr, x86_cmpxchg_mr);
	case 0xb2:
		return decode_load_far(o, op, X86_SS);
	case 0xb4:
		return decode_load_far(o, op, X86_FS);
	case 0xb5:
		return decode_load_far(o, op, X86_GS);
	case 0xb6:
		return decode_movx(o, op, false, 0);
	case 0xb7:
		return decode_movx(o, op, false, 1);
	case 0xb8:
		return d->rep == 0xf3 && decode_rm(o, op, x86_popcnt_r, x86_popcnt_m);
	case 0xba:
		if (d->pos < d->avail && (d->bytes[d->pos] >> 3 & 7) < 4)
			return false;
		return decode_bt(o, op, d->pos < d->avail ? d->bytes[d->pos] >> 3 & 3 : 0, true);
	case 0xbc:
	case 0xbd:
		return decode_rm(o, op, x86_bsx_r[b & 1], x86_bsx_m[b & 1]);
	case 0xbe:
		return decode_movx(o, op, true, 0);
	case 0xbf:
		return decode_movx(o, op, true, 1);
	case 0xc0:
	case 0xc1:
		return decode_exchange(o, op, x86_xadd_rr, x86_xadd_mr);
	case 0xc7:
		return decode_group9(o, op);
	case 0xc8 ... 0xcf:
		op->dst = REG(low_reg);
		return pure(o, op, d->size == 3 ? x86_op_bswap64 : x86_op_bswap32);
	case 0xb9:
	case 0xff:
		x86_decode_modrm(d, op, 0); /* UD1, UD0 */
		return false;
	case 0x0b:
		return false;
	default:
		return x86_decode_simd(d, op);
	}
}

static bool decode_0f38(struct one *o, struct op *op)
{
	struct decoder *d = &o->d;

	if (d->opcode == 0x82 && d->opsize66) {
		x86_decode_modrm(d, op, 0);
		op->dst = REG(d->reg);
		return d->mod != 3 && ends(o, op, x86_op_invpcid);
	}
	if ((d->opcode & 0xfe) != 0xf0)
		return x86_decode_simd(d, op);
	if (d->rep == 0xf2) { /* CRC32: source size varies, destination is 32 bits or 64 */
		d->size = d->opcode == 0xf0 ? 0 : d->size;
		x86_decode_modrm(d, op, 0);
		op->dst = REG(d->reg);
		op->src = op_rm(d);
		return is(op, (d->mod == 3 ? x86_crc32_r : x86_crc32_m)[d->size]);
	}
	x86_decode_modrm(d, op, 0);
	op->dst = op->src = REG(d->reg);
	return d->mod != 3 && !d->rep &&
	       is(op, (d->opcode & 1 ? x86_movbe_mr : x86_movbe_rm)[d->size]);
}

/* ---- instructions and traces ----------------------------------------------------------- */

static bool decode_prefixes(struct decoder *d)
{
	for (;;) {
		uint8_t b = x86_decode_u8(d);

		if (d->overrun)
			return false;
		switch (b) {
		case 0x66:
			d->opsize66 = true;
			break;
		case 0x67:
			d->addr67 = true;
			break;
		case 0xf0:
			d->lock = true;
			break;
		case 0xf2:
		case 0xf3:
			d->rep = b;
			break;
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
			/* Null prefixes in 64-bit code, but for cancelling nothing. */
			if (!(d->mode & CODE_64))
				d->seg = (int8_t)(b >> 3 & 3);
			break;
		case 0x64:
		case 0x65:
			d->seg = b == 0x64 ? X86_FS : X86_GS;
			break;
		default:
			if ((d->mode & CODE_64) && (b & 0xf0) == 0x40) {
				d->rex = b;
				continue; /* only the last byte before the opcode counts */
			}
			d->opcode = b;
			return true;
		}
		d->rex = 0;
	}
}

static void decode_one(struct one *o, struct op *op)
{
	struct decoder *d = &o->d;
	bool known = false;

	op->base = op->index = REG(REG_ZERO);
	if (decode_prefixes(d)) {
		if (d->rex & 8)
			d->size = 3;
		else if (d->mode & (CODE_64 | CODE_32))
			d->size = d->opsize66 ? 1 : 2;
		else
			d->size = d->opsize66 ? 2 : 1;
		if (d->opcode != 0x0f) {
			known = decode_1(o, op);
		} else {
			d->opcode = x86_decode_u8(d);
			d->map = MAP_0F;
			if (d->opcode == 0x38 || d->opcode == 0x3a) {
				d->map = d->opcode == 0x38 ? MAP_0F38 : MAP_0F3A;
				d->opcode = x86_decode_u8(d);
			}
			known = d->map == MAP_0F     ? decode_0f(o, op)
				: d->map == MAP_0F38 ? decode_0f38(o, op)
						     : x86_decode_simd(d, op);
		}
	}
	if (d->pos > 15) {
		d->pos = 15;
		d->overrun = false;
		ends(o, op, x86_op_gp);
		o->jumps = false;
	} else if (!known || (d->lock && !o->lockable)) {
		ends(o, op, x86_op_ud);
		o->jumps = false;
	} else {
		return;
	}
	d->pure = d->sets_flags = false;
	d->no_flags = NULL;
	o->fuse = FUSE_NONE;
}

/* Make the compare before a Jcc and the Jcc one op. */
static bool fuse(struct op *prev, enum fuse what, unsigned size, unsigned cond)
{
	op_fn *fn = NULL;

	switch (what) {
	case FUSE_NONE:
		return false;
	case FUSE_CMP_RR:
		fn = x86_cmp_rr_jcc[cond][size];
		break;
	case FUSE_TEST_RR:
		fn = x86_test_rr_jcc[cond][size];
		break;
	case FUSE_CMP_RI:
		fn = x86_cmp_ri_jcc[cond][size];
		break;
	case FUSE_TEST_RI:
		fn = x86_test_ri_jcc[cond][size];
		break;
	case FUSE_CMP_RM:
		fn = x86_cmp_rm_jcc[cond][size];
		break;
	case FUSE_CMP_MR:
		fn = x86_cmp_mr_jcc[cond][size];
		break;
	}
	if (!fn)
		return false;
	if (what == FUSE_CMP_RI || what == FUSE_TEST_RI)
		prev->disp = (int32_t)prev->imm; /* imm makes room for the link */
	prev->fn = fn;
	return true;
}

/* What the backward pass needs to know of each op. */
struct effect {
	op_fn *no_flags;
	bool pure, sets, reads;
};

static void drop_dead_flags(struct op *ops, const struct effect *effects, unsigned n)
{
	bool live = true;

	for (unsigned i = n; i-- > 0;) {
		const struct effect *e = &effects[i];

		if (e->pure && e->no_flags && !live) {
			ops[i].fn = e->no_flags;
			live = e->reads && !e->sets ? live : e->reads;
		} else if (e->pure) {
			live = (live && !e->sets) || e->reads;
		} else {
			live = true;
		}
	}
}

void x86_decode_trace(struct x86_cpu *cpu, struct trace_info *t, const uint8_t *bytes,
		      unsigned avail, unsigned page_off, uint8_t mode)
{
	unsigned pos = 0, n_ops = 0, insns = 0, n_stubs = 0;
	unsigned limit = (mode & CODE_STEP) || t->crosses ? 1 : TRACE_INSNS;
	struct effect effects[TRACE_INSNS + 1];
	struct {
		unsigned owner;
		int64_t target;
	} stubs[TRACE_INSNS + 1];
	enum fuse last_fuse = FUSE_NONE;
	unsigned last_size = 0;
	bool ended = false;

	while (insns < limit && !ended && pos < avail) {
		struct op *op = &t->ops[n_ops];
		struct one o = {.cond = -1};

		memset(op, 0, sizeof(*op));
		o.d.cpu = cpu;
		o.d.bytes = bytes + pos;
		o.d.avail = MIN(avail - pos, 16u);
		o.d.mode = mode;
		o.d.seg = -1;
		o.d.page_off = (uint16_t)(page_off + pos);
		decode_one(&o, op);
		if (o.d.overrun) {
			if (insns)
				break;
			if (!t->crosses) {
				t->n_ops = 0;
				return;
			}
			/* More than 15 bytes. */
			ends(&o, op, x86_op_gp);
			o.jumps = false;
			o.d.pos = 15;
		}
		insns++;
		pos += o.d.pos;
		ended = o.d.ends;
		if (o.jumps && o.cond >= 0 && n_ops &&
		    fuse(op - 1, last_fuse, last_size, (unsigned)o.cond)) {
			op--;
			op->len = (uint8_t)(op->len + o.d.pos);
			op->n = (uint8_t)insns;
			effects[n_ops - 1] = (struct effect){0};
			stubs[n_stubs].owner = n_ops - 1;
			stubs[n_stubs++].target = o.target;
			last_fuse = FUSE_NONE;
			continue;
		}
		op->off = (uint16_t)(page_off + pos - o.d.pos);
		op->len = (uint8_t)o.d.pos;
		op->n = (uint8_t)insns;
		if (n_ops == 0)
			op->flags |= OP_FIRST;
		effects[n_ops] = (struct effect){o.d.no_flags, o.d.pure, o.d.sets_flags,
						 o.reads_flags};
		if (o.jumps) {
			stubs[n_stubs].owner = n_ops;
			stubs[n_stubs++].target = o.target;
		}
		last_fuse = o.fuse;
		last_size = o.d.size;
		n_ops++;
	}
	drop_dead_flags(t->ops, effects, n_ops);
	if (!ended || (mode & CODE_STEP)) {
		struct op *op = &t->ops[n_ops];

		*op = (struct op){.fn = mode & CODE_STEP ? x86_op_step_end : x86_op_fall,
				  .disp = (int32_t)(page_off + pos),
				  .n = (uint8_t)insns};
		if (!(mode & CODE_STEP)) {
			stubs[n_stubs].owner = n_ops;
			stubs[n_stubs++].target = page_off + pos;
		}
		n_ops++;
	}
	for (unsigned i = 0; i < n_stubs; i++) {
		t->ops[n_ops] = (struct op){.fn = x86_op_stub,
					    .disp = (int32_t)stubs[i].target,
					    .off = (uint16_t)(n_ops - stubs[i].owner)};
		n_ops++;
	}
	t->n_ops = n_ops;
	t->bytes = pos;
}
