/* SPDX-License-Identifier: MIT */
/*
 * The map of one-byte opcodes.
 */
#include "x86/decode.h"

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
		return is(op,
		          d->mod == 3 ? x86_shift_rc[what][d->size] : x86_shift_mc[what][d->size]);
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

bool x86_decode_map1(struct one *o, struct op *op)
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
