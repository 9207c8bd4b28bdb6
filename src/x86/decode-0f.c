/* SPDX-License-Identifier: MIT */
/*
 * The maps of 0F and 0F 38 opcodes, as far as they are not vectors.
 */
#include "x86/decode.h"

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

bool x86_decode_map0f(struct one *o, struct op *op)
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

bool x86_decode_map38(struct one *o, struct op *op)
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
