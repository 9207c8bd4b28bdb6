/* SPDX-License-Identifier: MIT */
/*
 * Integer instructions as forms. Which flags are undefined, and when, is from the manual's
 * instruction pages.
 */
#include "generate.h"

#include <string.h>

#define SZ8 1u
#define SZ16 2u
#define SZ32 4u
#define SZ64 8u
#define SZ_WIDE (SZ16 | SZ32 | SZ64)
#define SZ_ALL (SZ8 | SZ_WIDE)

enum encoding {
	ENC_NONE,   /* opcode alone */
	ENC_MODRM,  /* ModRM with a register and a register or memory operand */
	ENC_OPCODE, /* register in the opcode's low bits */
};

enum immediate {
	IMM_NONE,
	IMM_8,
	IMM_16,
	IMM_Z, /* of the operand size, 4 bytes for 64 */
	IMM_V, /* of the operand size */
};

enum special {
	SP_NONE,
	SP_SHIFT_ONE,
	SP_SHIFT_IMM,
	SP_SHIFT_CL,
	SP_DOUBLE_IMM, /* SHLD, SHRD */
	SP_DOUBLE_CL,
	SP_BSCAN,
	SP_BIT_REG,
	SP_DIVIDE,
	SP_COMPARE_RAX,  /* CMPXCHG: often equal */
	SP_COMPARE_WIDE, /* CMPXCHG8B, CMPXCHG16B */
	SP_STRING,
	SP_BRANCH8,
	SP_BRANCH32,
	SP_BRANCH_INDIRECT,
	SP_RETURN,
	SP_POPF,
	SP_LEAVE,
	SP_ENTER,
	SP_XLAT,
	SP_MOFFS,
	SP_LEA,
	SP_AAM,
	SP_SREG,
	SP_PUSH_SREG,
	SP_PUSH_ALL, /* PUSHA, POPA: how far they got before a fault is left open */
	SP_EXTEND,   /* MOVSX, MOVZX, CRC32: the source has a size of its own */
};

#define FORM_W 0x001u    /* the opcode's bit 0 is set for sizes over 8 */
#define FORM_LOCK 0x002u /* may have a LOCK prefix with a memory destination */
#define FORM_MEM_ONLY 0x004u
#define FORM_REG_ONLY 0x008u
#define FORM_32 0x010u       /* not in 64-bit code */
#define FORM_64 0x020u       /* only there */
#define FORM_DEF64 0x040u    /* 64-bit code: 64 bits without REX.W, no 32 bits */
#define FORM_NO_BLOCK 0x080u /* needs registers set up, or goes elsewhere */
#define FORM_READS 0x100u    /* the r/m operand is not written */
#define FORM_SRC8 0x200u     /* SP_EXTEND: the source has 8 bits ... */
#define FORM_SRC16 0x400u    /* ... or 16 */
#define FORM_SRC32 0x800u
#define FORM_PRIVILEGED FORM_NO_BLOCK

#define F_C FLAG_CF
#define F_P FLAG_PF
#define F_A FLAG_AF
#define F_Z FLAG_ZF
#define F_S FLAG_SF
#define F_O FLAG_OF

static const unsigned size_bytes[] = {[SZ8] = 1, [SZ16] = 2, [SZ32] = 4, [SZ64] = 8};

static unsigned choose_size(struct maker *m, const struct form *f)
{
	unsigned sizes = f->sizes, size;

	if (m->v->code32)
		sizes &= ~SZ64;
	if (f->flags & FORM_DEF64)
		sizes &= m->v->code32 ? SZ16 | SZ32 : SZ16 | SZ64;
	if (!sizes)
		return SZ32;
	do {
		size = 1u << random_below(m, 4);
	} while (!(size & sizes));
	return size;
}

static uint8_t operand_register(struct maker *m, unsigned size)
{
	if (size == SZ8 && !m->block && one_in(m, 3))
		return (uint8_t)(4 + random_below(m, 4)); /* AH or SPL by the presence of REX */
	return (uint8_t)random_gpr(m);
}

/* The register that a byte operand is part of, by what the encoding will be. */
static unsigned whole_register(const struct insn *i, unsigned reg, unsigned size)
{
	const bool rex = i->rex_w || i->force_rex || i->reg & 8 || (!i->memory && i->rm & 8);

	return size == SZ8 && !rex && reg >= 4 && reg < 8 ? reg - 4 : reg;
}

/* ---- flags that depend on the count ---------------------------------------------------- */

static void shift_flags(struct maker *m, const struct form *f, unsigned size, unsigned count)
{
	const unsigned bits = 8 * size_bytes[size];
	uint32_t u = 0;

	count &= size == SZ64 ? 63 : 31;
	if (f->digit < 4) { /* rotates */
		if (count == 0)
			return;
		u = count == 1 ? 0 : F_O;
		/* RCx by 9 or 17 is by nothing, and leaves flags as they are; still count != 1. */
	} else if (count) {
		u = F_A | (count == 1 ? 0 : F_O);
		if (f->digit != 7 && count >= bits)
			u |= F_C;
	}
	m->v->undefined_flags |= u;
}

static void double_flags(struct maker *m, const struct insn *i, unsigned size, unsigned count)
{
	count &= size == SZ64 ? 63 : 31;
	if (!count)
		return;
	m->v->undefined_flags |= F_A | (count == 1 ? 0 : F_O);
	if (count > 8 * size_bytes[size]) {
		m->v->undefined_flags |= FLAGS_ARITH;
		if (!i->memory)
			m->v->undefined_gpr |= (uint16_t)(1u << i->rm);
	}
}

/* ---- operands with a meaning ----------------------------------------------------------- */

/* Before the instruction is encoded: choose counts, divisors and addresses that matter. */
static void prepare(struct maker *m, const struct form *f, struct insn *i, unsigned size)
{
	struct vector *v = m->v;
	uint64_t value[2];
	unsigned count;

	switch ((enum special)f->special) {
	case SP_SHIFT_CL:
	case SP_DOUBLE_CL:
		count = random_below(m, 4) ? random_below(m, 70) : (unsigned)random64(m) & 0xff;
		if (f->special == SP_DOUBLE_CL && size == SZ16)
			count = random_below(m, 17) | (random_below(m, 8) << 5);
		set_gpr(m, RCX, (v->in.gpr[RCX] & ~(uint64_t)0xff) | count);
		break;
	case SP_SHIFT_IMM:
	case SP_DOUBLE_IMM:
		i->imm = random_below(m, 4) ? random_below(m, 70) : random64(m) & 0xff;
		if (f->special == SP_DOUBLE_IMM && size == SZ16)
			i->imm = random_below(m, 17) | (random_below(m, 8) << 5);
		break;
	case SP_DIVIDE:
		i->keep |= 1u << RAX | 1u << RDX;
		if (one_in(m, 2)) { /* a quotient that fits, mostly */
			const uint64_t high = one_in(m, 2) ? 0 : random_below(m, 16);

			if (size == SZ8)
				set_gpr(m, RAX, (v->in.gpr[RAX] & ~(uint64_t)0xff00) | high << 8);
			else
				set_gpr(m, RDX,
				        f->digit == 7 && v->in.gpr[RAX] >> 63 ? UINT64_MAX : high);
		}
		v->undefined_fault_flags = true;
		break;
	case SP_BIT_REG:
		if (i->memory) { /* the operand is bits away */
			i->fixed = true;
			i->at = DATA_BASE + 0xc00 + 8 * random_below(m, 64);
			set_gpr(m, i->reg, (uint64_t)((int64_t)random_below(m, 0x4000) - 0x2000));
			if (size == SZ16)
				set_gpr(m, i->reg,
				        (v->in.gpr[i->reg] & 0xffff) | (random64(m) & ~0xffffull));
			if (size == SZ32 && !v->code32)
				set_gpr(m, i->reg,
				        (uint32_t)v->in.gpr[i->reg] |
				                (random64(m) & ~(uint64_t)UINT32_MAX));
		}
		break;
	case SP_COMPARE_RAX:
		i->keep |= 1u << RAX;
		if (i->memory) {
			i->fixed = true;
			i->at = DATA_BASE + 64 + 64 * random_below(m, 0x7c) + random_below(m, 57);
			if (one_in(m, 2))
				patch(m, i->at, &v->in.gpr[RAX], 8);
		} else if (one_in(m, 2)) {
			set_gpr(m, i->rm, v->in.gpr[RAX]);
		}
		break;
	case SP_COMPARE_WIDE:
		i->keep |= 1u << RAX | 1u << RDX | 1u << RBX | 1u << RCX;
		i->align = i->rex_w ? 16 : 0;
		i->bytes = i->rex_w ? 16 : 8;
		if (one_in(m, 2)) {
			i->fixed = true;
			i->at = DATA_BASE + 64 + 16 * random_below(m, 0x1e0);
			value[0] = v->in.gpr[RAX];
			value[1] = v->in.gpr[RDX];
			if (!i->rex_w)
				value[0] = (uint32_t)value[0] | value[1] << 32;
			patch(m, i->at, value, i->rex_w ? 16 : 8);
		}
		break;
	case SP_BRANCH_INDIRECT:
		value[0] = CODE_BASE + 0x800 + random_below(m, 0x200);
		if (i->memory) {
			i->fixed = true;
			i->at = DATA_BASE + 64 + random_below(m, 0x800);
			patch(m, i->at, value, 8);
		} else {
			set_gpr(m, i->rm, value[0]);
		}
		break;
	case SP_AAM:
		i->imm = one_in(m, 8) ? 0 : random_corner(m) & 0xff;
		v->undefined_fault_flags = true;
		break;
	default:
		break;
	}
}

/* After operands are known. */
static void conclude(struct maker *m, const struct form *f, const struct insn *i, unsigned size)
{
	struct vector *v = m->v;
	const uint64_t cl = v->in.gpr[RCX] & 0xff;

	v->undefined_flags |= f->undefined;
	switch ((enum special)f->special) {
	case SP_SHIFT_ONE:
		shift_flags(m, f, size, 1);
		break;
	case SP_SHIFT_IMM:
		shift_flags(m, f, size, (unsigned)i->imm);
		break;
	case SP_SHIFT_CL:
		if (m->block)
			v->undefined_flags |= F_O | F_A | F_C;
		else
			shift_flags(m, f, size, (unsigned)cl);
		break;
	case SP_DOUBLE_IMM:
		double_flags(m, i, size, (unsigned)i->imm);
		break;
	case SP_DOUBLE_CL:
		if (m->block)
			v->undefined_flags |= F_O | F_A | F_C;
		else
			double_flags(m, i, size, (unsigned)cl);
		break;
	case SP_BSCAN:
		/*
		 * A source of zero leaves the destination undefined; we and Intel leave it alone,
		 * but whether a 32-bit one loses its upper half then is another matter.
		 */
		if (size == SZ32)
			v->undefined_high |= (uint16_t)(1u << i->reg);
		break;
	default:
		break;
	}
}

/* ---- the usual instruction ------------------------------------------------------------- */

static void make_one(struct maker *m, const struct form *f)
{
	struct vector *v = m->v;
	const unsigned size = choose_size(m, f);
	struct insn i = {
		.map = f->map,
		.opcode = f->opcode,
		.mandatory = f->prefix,
		.opsize66 = size == SZ16,
		.rex_w = size == SZ64 && !(f->flags & FORM_DEF64),
		.has_modrm = f->enc == ENC_MODRM,
		.bytes = size_bytes[size],
		.stores = !(f->flags & FORM_READS),
		.imm = random_corner(m),
	};

	if (f->flags & FORM_W && size != SZ8)
		i.opcode |= 1;
	switch ((enum immediate)f->imm) {
	case IMM_NONE:
		break;
	case IMM_8:
		i.imm_bytes = 1;
		break;
	case IMM_16:
		i.imm_bytes = 2;
		break;
	case IMM_Z:
		i.imm_bytes = MIN(size_bytes[size], 4);
		break;
	case IMM_V:
		i.imm_bytes = size_bytes[size];
		break;
	}
	if (f->enc == ENC_OPCODE)
		i.rm = operand_register(m, size);
	if (f->enc == ENC_MODRM) {
		if (f->flags & FORM_MEM_ONLY)
			i.memory = true;
		else if (!(f->flags & FORM_REG_ONLY))
			i.memory = one_in(m, 2);
		i.reg = f->digit >= 0 ? (uint8_t)f->digit : operand_register(m, size);
		if (f->special == SP_SREG) {
			static const uint8_t readable[] = {0, 1, 2, 3, 5};

			i.reg = readable[random_below(m, ARRAY_LEN(readable))];
		}
		if (!i.memory)
			i.rm = operand_register(m, f->flags & FORM_SRC8 ? SZ8 : size);
		if (f->flags & FORM_SRC8)
			i.bytes = 1;
		if (f->flags & FORM_SRC16)
			i.bytes = 2;
		if (f->flags & FORM_SRC32)
			i.bytes = 4;
	}
	if (size == SZ8 || f->flags & FORM_SRC8)
		i.force_rex = !v->code32 && !m->block && one_in(m, 4);
	if (f->flags & FORM_LOCK && i.memory && one_in(m, 4))
		i.lock = 0xf0;
	if (!m->block)
		prepare(m, f, &i, size);
	else if (f->special == SP_DOUBLE_IMM || f->special == SP_DOUBLE_CL)
		i.imm &= 15;
	/* An operand register must not get another value by becoming a base. */
	if (f->digit < 0 && i.has_modrm && !m->block)
		i.keep |= (uint16_t)(1u << whole_register(&i, i.reg & 15, size));
	emit_insn(m, &i);
	conclude(m, f, &i, size);
}

static void narrow_registers(struct maker *m)
{
	if (!m->v->code32)
		return;
	for (unsigned i = 0; i < 8; i++)
		m->v->in.gpr[i] = (uint32_t)m->v->in.gpr[i];
}

static void choose_mode(struct maker *m, const struct form *f)
{
	if (f->flags & FORM_32)
		m->v->code32 = true;
	else if (!(f->flags & FORM_64))
		m->v->code32 = one_in(m, 6);
	narrow_registers(m);
}

/* Sometimes put the code so that its end is the page's, or behind it. */
static void place_code(struct maker *m)
{
	struct vector *v = m->v;

	if (!one_in(m, 64))
		return;
	/* RIP-relative operands were computed for the old place. */
	if (one_in(m, 2) || v->code_bytes < 2)
		return;
	for (unsigned i = 0; i + 1 < v->code_bytes; i++)
		if ((v->code[i] & 0xc7) == 0x05)
			return;
	v->offset = (uint16_t)(PAGE_BYTES - 1 - random_below(m, v->code_bytes - 1u));
	v->in.rip = CODE_BASE + v->offset;
	if (v->offset + v->code_bytes > PAGE_BYTES)
		v->code_bytes = (uint16_t)(PAGE_BYTES - v->offset);
}

static void make_usual(const struct form *f, struct vector *v)
{
	struct maker m;

	maker_init(&m, v);
	choose_mode(&m, f);
	make_one(&m, f);
	place_code(&m);
}

/* ---- string instructions --------------------------------------------------------------- */

static void make_string(const struct form *f, struct vector *v)
{
	struct maker m;
	struct insn i = {.map = 0, .opcode = f->opcode, .mandatory = f->prefix};
	unsigned size;
	uint64_t from, to;

	maker_init(&m, v);
	choose_mode(&m, f);
	size = choose_size(&m, f);
	i.opsize66 = size == SZ16;
	i.rex_w = size == SZ64;
	if (size != SZ8)
		i.opcode |= 1;
	from = DATA_BASE + 0x400 + random_below(&m, 0x1000);
	to = one_in(&m, 2) ? from + random_below(&m, 64) - 32
	                   : DATA_BASE + 0x400 + random_below(&m, 0x1800);
	if (one_in(&m, 16))
		to = DATA_END - random_below(&m, 64);
	else if (one_in(&m, 32))
		to = READONLY_BASE + random_below(&m, 0x800);
	if (one_in(&m, 16))
		from = one_in(&m, 2) ? DATA_END - random_below(&m, 64)
		                     : DATA_BASE + random_below(&m, 64);
	set_gpr(&m, RSI, from);
	set_gpr(&m, RDI, to);
	set_gpr(&m, RCX, one_in(&m, 4) ? random_below(&m, 400) : random_below(&m, 20));
	if (one_in(&m, 3)) {
		v->in.rflags |= FLAG_DF;
	}
	if (one_in(&m, 2)) /* the second data page is nearly all of this byte */
		set_gpr(&m, RAX, 0x4141414141414141u);
	if (!v->code32 && one_in(&m, 8))
		i.addr67 = true;
	if (!v->code32 && !i.addr67 && one_in(&m, 8)) {
		i.segment = 0x65;
		set_gpr(&m, RSI, from - GS_BASE);
	}
	emit_insn(&m, &i);
	v->undefined_flags = f->undefined;
	/* How far a compare got before its operand faulted is known, but not with which flags. */
	v->undefined_fault_flags = (f->opcode & 0xf6) == 0xa6;
}

/* ---- transfers ------------------------------------------------------------------------- */

static void make_branch(const struct form *f, struct vector *v)
{
	struct maker m;
	struct insn i = {.map = f->map, .opcode = f->opcode};
	int32_t by;

	maker_init(&m, v);
	choose_mode(&m, f);
	i.imm_bytes = f->special == SP_BRANCH8 ? 1 : 4;
	/* Over the INT3s before or after, never into ourselves. */
	by = (int32_t)random_below(&m, f->special == SP_BRANCH8 ? 100 : 900);
	if (one_in(&m, 2))
		by = -by - 20;
	i.imm = (uint64_t)(int64_t)by;
	if (f->opcode >= 0xe0 && f->opcode <= 0xe3 && f->map == 0) {
		if (one_in(&m, 2))
			set_gpr(&m, RCX, random_below(&m, 3));
		if (!v->code32)
			i.addr67 = one_in(&m, 3);
	}
	emit_insn(&m, &i);
}

static void make_return(const struct form *f, struct vector *v)
{
	struct maker m;
	struct insn i = {.opcode = f->opcode, .imm_bytes = f->imm == IMM_16 ? 2 : 0};
	uint64_t target;

	maker_init(&m, v);
	choose_mode(&m, f);
	target = CODE_BASE + 0x800 + random_below(&m, 0x200);
	patch(&m, (uint32_t)v->in.gpr[RSP], &target, v->code32 ? 4 : 8);
	i.imm = random_below(&m, 4) ? random_below(&m, 64) : random64(&m);
	emit_insn(&m, &i);
}

static void make_popf(const struct form *f, struct vector *v)
{
	struct maker m;
	struct insn i = {.opcode = 0x9d};
	uint64_t flags;

	maker_init(&m, v);
	choose_mode(&m, f);
	/*
	 * Not TF, which would step, not AC, which would make data unaligned, and not NT and ID,
	 * which would still be there in the next vector on the host.
	 */
	flags = random64(&m) & ~(uint64_t)(0x100 | FLAG_AC | 0x4000 | 0x200000);
	patch(&m, (uint32_t)v->in.gpr[RSP], &flags, 8);
	i.opsize66 = one_in(&m, 4);
	emit_insn(&m, &i);
	emit(&m, 0x9c); /* PUSHF, so that all flags are seen in memory */
}

static void make_leave(const struct form *f, struct vector *v)
{
	struct maker m;
	struct insn i = {.opcode = 0xc9};

	maker_init(&m, v);
	choose_mode(&m, f);
	set_gpr(&m, RBP, DATA_BASE + 64 + random_below(&m, 0x1f80));
	if (one_in(&m, 16))
		set_gpr(&m, RBP, DATA_END - random_below(&m, 10));
	i.opsize66 = one_in(&m, 4);
	emit_insn(&m, &i);
}

static void make_enter(const struct form *f, struct vector *v)
{
	struct maker m;
	struct insn i = {.opcode = 0xc8, .imm_bytes = 3};

	maker_init(&m, v);
	choose_mode(&m, f);
	set_gpr(&m, RBP, DATA_BASE + 0x400 + 8 * random_below(&m, 64));
	i.imm = random_below(&m, 0x200) | (uint64_t)(one_in(&m, 2) ? 0 : random_below(&m, 40))
	                                          << 16;
	i.opsize66 = one_in(&m, 6);
	emit_insn(&m, &i);
}

static void make_xlat(const struct form *f, struct vector *v)
{
	struct maker m;
	struct insn i = {.opcode = 0xd7};

	maker_init(&m, v);
	choose_mode(&m, f);
	set_gpr(&m, RBX, DATA_BASE + random_below(&m, 0x1f40));
	emit_insn(&m, &i);
}

static void make_moffs(const struct form *f, struct vector *v)
{
	struct maker m;
	struct insn i = {.opcode = f->opcode};
	unsigned size;

	maker_init(&m, v);
	choose_mode(&m, f);
	size = choose_size(&m, f);
	if (size != SZ8)
		i.opcode |= 1;
	i.opsize66 = size == SZ16;
	i.rex_w = size == SZ64;
	i.imm = DATA_BASE + random_below(&m, DATA_BYTES + 4);
	i.imm_bytes = v->code32 ? 4 : 8;
	if (!v->code32 && one_in(&m, 6)) {
		i.addr67 = true;
		i.imm_bytes = 4;
	}
	if (!v->code32 && !i.addr67 && one_in(&m, 6)) {
		i.segment = 0x65;
		i.imm -= GS_BASE;
	}
	emit_insn(&m, &i);
}

/* PUSH and POP with the stack near an end of the data now and then. */
static void make_stack(const struct form *f, struct vector *v)
{
	struct maker m;

	maker_init(&m, v);
	choose_mode(&m, f);
	if (one_in(&m, 16))
		set_gpr(&m, RSP,
		        one_in(&m, 2) ? DATA_BASE + random_below(&m, 12)
		                      : DATA_END - random_below(&m, 12));
	else if (one_in(&m, 8))
		set_gpr(&m, RSP, v->in.gpr[RSP] + random_below(&m, 8));
	if (f->enc == ENC_OPCODE && one_in(&m, 8)) { /* PUSH RSP, POP RSP */
		struct insn i = {.opcode = f->opcode, .rm = RSP};

		emit_insn(&m, &i);
		return;
	}
	/* Whether 32 bits of a selector are pushed, or 16 of them written, is left open. */
	if (f->special == SP_PUSH_SREG)
		v->code32 = false;
	v->undefined_if_fault = f->special == SP_PUSH_ALL;
	v->undefined_cr2_offset = f->special == SP_PUSH_ALL;
	make_one(&m, f);
}

/* ---- the table ------------------------------------------------------------------------- */

#define FORM(group_, text, map_, prefix_, opcode_, digit_, enc_, sizes_, imm_, special_, flags_,   \
             undefined_)                                                                           \
	{                                                                                          \
		.name = text, .group = group_, .make = make_usual, .map = map_, .prefix = prefix_, \
		.opcode = opcode_, .digit = digit_, .enc = enc_, .sizes = sizes_, .imm = imm_,     \
		.special = special_, .flags = flags_, .undefined = undefined_                      \
	}
#define CUSTOM(group_, text, maker_, map_, prefix_, opcode_, enc_, sizes_, imm_, special_, flags_) \
	{                                                                                          \
		.name = text, .group = group_, .make = maker_, .map = map_, .prefix = prefix_,     \
		.opcode = opcode_, .digit = -1, .enc = enc_, .sizes = sizes_, .imm = imm_,         \
		.special = special_, .flags = FORM_NO_BLOCK | (flags_)                             \
	}

/* r/m, r; r, r/m; eAX, imm; and group 1 with its three immediates */
#define ALU(text, n, lock, reads, undefined)                                                       \
	FORM("alu", text "_rm_r", 0, 0, 8 * n, -1, ENC_MODRM, SZ_ALL, IMM_NONE, SP_NONE,           \
	     FORM_W | lock | reads, undefined),                                                    \
		FORM("alu", text "_r_rm", 0, 0, 8 * n + 2, -1, ENC_MODRM, SZ_ALL, IMM_NONE,        \
	             SP_NONE, FORM_W | FORM_READS, undefined),                                     \
		FORM("alu", text "_rax_imm", 0, 0, 8 * n + 4, -1, ENC_NONE, SZ_ALL, IMM_Z,         \
	             SP_NONE, FORM_W, undefined),                                                  \
		FORM("alu", text "_rm_imm", 0, 0, 0x80, n, ENC_MODRM, SZ_ALL, IMM_Z, SP_NONE,      \
	             FORM_W | lock | reads, undefined),                                            \
		FORM("alu", text "_rm_imm8", 0, 0, 0x83, n, ENC_MODRM, SZ_WIDE, IMM_8, SP_NONE,    \
	             lock | reads, undefined)
#define UNARY(group, text, opcode, digit, special, flags, undefined)                               \
	FORM(group, text, 0, 0, opcode, digit, ENC_MODRM, SZ_ALL, IMM_NONE, special,               \
	     FORM_W | (flags), undefined)
#define SHIFT(text, digit)                                                                         \
	FORM("shift", text "_1", 0, 0, 0xd0, digit, ENC_MODRM, SZ_ALL, IMM_NONE, SP_SHIFT_ONE,     \
	     FORM_W, 0),                                                                           \
		FORM("shift", text "_imm", 0, 0, 0xc0, digit, ENC_MODRM, SZ_ALL, IMM_8,            \
	             SP_SHIFT_IMM, FORM_W, 0),                                                     \
		FORM("shift", text "_cl", 0, 0, 0xd2, digit, ENC_MODRM, SZ_ALL, IMM_NONE,          \
	             SP_SHIFT_CL, FORM_W, 0)
#define BIT(text, opcode, digit, lock)                                                             \
	FORM("bit", text "_rm_r", 1, 0, opcode, -1, ENC_MODRM, SZ_WIDE, IMM_NONE, SP_BIT_REG,      \
	     lock | FORM_NO_BLOCK, F_O | F_S | F_A | F_P),                                         \
		FORM("bit", text "_rm_imm", 1, 0, 0xba, digit, ENC_MODRM, SZ_WIDE, IMM_8, SP_NONE, \
	             lock, F_O | F_S | F_A | F_P)
#define CONDITION(cc, n)                                                                           \
	CUSTOM("branch", "j" cc "_8", make_branch, 0, 0, 0x70 + n, ENC_NONE, 0, IMM_NONE,          \
	       SP_BRANCH8, 0),                                                                     \
		CUSTOM("branch", "j" cc "_32", make_branch, 1, 0, 0x80 + n, ENC_NONE, 0, IMM_NONE, \
	               SP_BRANCH32, 0),                                                            \
		FORM("conditional", "set" cc, 1, 0, 0x90 + n, 0, ENC_MODRM, SZ8, IMM_NONE,         \
	             SP_NONE, 0, 0),                                                               \
		FORM("conditional", "cmov" cc, 1, 0, 0x40 + n, -1, ENC_MODRM, SZ_WIDE, IMM_NONE,   \
	             SP_NONE, FORM_READS, 0)
#define PLAIN(group, text, map, prefix, opcode, sizes, flags, undefined)                           \
	FORM(group, text, map, prefix, opcode, -1, ENC_NONE, sizes, IMM_NONE, SP_NONE, flags,      \
	     undefined)
#define STRING(text, prefix, opcode)                                                               \
	CUSTOM("string", text, make_string, 0, prefix, opcode, ENC_NONE, SZ_ALL, IMM_NONE,         \
	       SP_STRING, 0)
#define PRIVILEGED(text, map, opcode)                                                              \
	FORM("privileged", text, map, 0, opcode, -1, ENC_NONE, SZ32, IMM_NONE, SP_NONE,            \
	     FORM_PRIVILEGED, 0)

static const struct form forms[] = {
	ALU("add", 0, FORM_LOCK, 0, 0),
	ALU("or", 1, FORM_LOCK, 0, F_A),
	ALU("adc", 2, FORM_LOCK, 0, 0),
	ALU("sbb", 3, FORM_LOCK, 0, 0),
	ALU("and", 4, FORM_LOCK, 0, F_A),
	ALU("sub", 5, FORM_LOCK, 0, 0),
	ALU("xor", 6, FORM_LOCK, 0, F_A),
	ALU("cmp", 7, 0, FORM_READS, 0),
	FORM("alu", "test_rm_r", 0, 0, 0x84, -1, ENC_MODRM, SZ_ALL, IMM_NONE, SP_NONE,
             FORM_W | FORM_READS, F_A),
	FORM("alu", "test_rax_imm", 0, 0, 0xa8, -1, ENC_NONE, SZ_ALL, IMM_Z, SP_NONE, FORM_W, F_A),
	FORM("alu", "test_rm_imm", 0, 0, 0xf6, 0, ENC_MODRM, SZ_ALL, IMM_Z, SP_NONE,
             FORM_W | FORM_READS, F_A),
	FORM("alu", "test_rm_imm_alias", 0, 0, 0xf6, 1, ENC_MODRM, SZ_ALL, IMM_Z, SP_NONE,
             FORM_W | FORM_READS, F_A),
	UNARY("alu", "not", 0xf6, 2, SP_NONE, FORM_LOCK, 0),
	UNARY("alu", "neg", 0xf6, 3, SP_NONE, FORM_LOCK, 0),
	UNARY("alu", "inc", 0xfe, 0, SP_NONE, FORM_LOCK, 0),
	UNARY("alu", "dec", 0xfe, 1, SP_NONE, FORM_LOCK, 0),
	FORM("alu", "inc_short", 0, 0, 0x40, -1, ENC_OPCODE, SZ16 | SZ32, IMM_NONE, SP_NONE,
             FORM_32, 0),
	FORM("alu", "dec_short", 0, 0, 0x48, -1, ENC_OPCODE, SZ16 | SZ32, IMM_NONE, SP_NONE,
             FORM_32, 0),
	FORM("alu", "xadd", 1, 0, 0xc0, -1, ENC_MODRM, SZ_ALL, IMM_NONE, SP_NONE,
             FORM_W | FORM_LOCK, 0),
	FORM("alu", "cmpxchg", 1, 0, 0xb0, -1, ENC_MODRM, SZ_ALL, IMM_NONE, SP_COMPARE_RAX,
             FORM_W | FORM_LOCK, 0),
	FORM("alu", "cmpxchg8b_16b", 1, 0, 0xc7, 1, ENC_MODRM, SZ32 | SZ64, IMM_NONE,
             SP_COMPARE_WIDE, FORM_MEM_ONLY | FORM_LOCK | FORM_NO_BLOCK, 0),

	UNARY("muldiv", "mul", 0xf6, 4, SP_NONE, FORM_READS, F_S | F_Z | F_A | F_P),
	UNARY("muldiv", "imul", 0xf6, 5, SP_NONE, FORM_READS, F_S | F_Z | F_A | F_P),
	UNARY("muldiv", "div", 0xf6, 6, SP_DIVIDE, FORM_READS | FORM_NO_BLOCK, FLAGS_ARITH),
	UNARY("muldiv", "idiv", 0xf6, 7, SP_DIVIDE, FORM_READS | FORM_NO_BLOCK, FLAGS_ARITH),
	FORM("muldiv", "imul_r_rm", 1, 0, 0xaf, -1, ENC_MODRM, SZ_WIDE, IMM_NONE, SP_NONE,
             FORM_READS, F_S | F_Z | F_A | F_P),
	FORM("muldiv", "imul_r_rm_imm8", 0, 0, 0x6b, -1, ENC_MODRM, SZ_WIDE, IMM_8, SP_NONE,
             FORM_READS, F_S | F_Z | F_A | F_P),
	FORM("muldiv", "imul_r_rm_imm", 0, 0, 0x69, -1, ENC_MODRM, SZ_WIDE, IMM_Z, SP_NONE,
             FORM_READS, F_S | F_Z | F_A | F_P),

	SHIFT("rol", 0),
	SHIFT("ror", 1),
	SHIFT("rcl", 2),
	SHIFT("rcr", 3),
	SHIFT("shl", 4),
	SHIFT("shr", 5),
	SHIFT("sal", 6),
	SHIFT("sar", 7),
	FORM("shift", "shld_imm", 1, 0, 0xa4, -1, ENC_MODRM, SZ_WIDE, IMM_8, SP_DOUBLE_IMM, 0, 0),
	FORM("shift", "shld_cl", 1, 0, 0xa5, -1, ENC_MODRM, SZ32 | SZ64, IMM_NONE, SP_DOUBLE_CL, 0,
             0),
	FORM("shift", "shld16_cl", 1, 0, 0xa5, -1, ENC_MODRM, SZ16, IMM_NONE, SP_DOUBLE_CL,
             FORM_NO_BLOCK, 0),
	FORM("shift", "shrd_imm", 1, 0, 0xac, -1, ENC_MODRM, SZ_WIDE, IMM_8, SP_DOUBLE_IMM, 0, 0),
	FORM("shift", "shrd_cl", 1, 0, 0xad, -1, ENC_MODRM, SZ32 | SZ64, IMM_NONE, SP_DOUBLE_CL, 0,
             0),
	FORM("shift", "shrd16_cl", 1, 0, 0xad, -1, ENC_MODRM, SZ16, IMM_NONE, SP_DOUBLE_CL,
             FORM_NO_BLOCK, 0),

	BIT("bt", 0xa3, 4, 0),
	BIT("bts", 0xab, 5, FORM_LOCK),
	BIT("btr", 0xb3, 6, FORM_LOCK),
	BIT("btc", 0xbb, 7, FORM_LOCK),
	FORM("bit", "bsf", 1, 0, 0xbc, -1, ENC_MODRM, SZ_WIDE, IMM_NONE, SP_BSCAN,
             FORM_READS | FORM_NO_BLOCK, FLAGS_ARITH & ~F_Z),
	FORM("bit", "bsr", 1, 0, 0xbd, -1, ENC_MODRM, SZ_WIDE, IMM_NONE, SP_BSCAN,
             FORM_READS | FORM_NO_BLOCK, FLAGS_ARITH & ~F_Z),
	FORM("bit", "popcnt", 1, 0xf3, 0xb8, -1, ENC_MODRM, SZ_WIDE, IMM_NONE, SP_NONE, FORM_READS,
             0),
	FORM("bit", "bswap", 1, 0, 0xc8, -1, ENC_OPCODE, SZ32 | SZ64, IMM_NONE, SP_NONE, 0, 0),
	FORM("bit", "crc32_8", 2, 0xf2, 0xf0, -1, ENC_MODRM, SZ32 | SZ64, IMM_NONE, SP_EXTEND,
             FORM_READS | FORM_SRC8, 0),
	FORM("bit", "crc32", 2, 0xf2, 0xf1, -1, ENC_MODRM, SZ_WIDE, IMM_NONE, SP_EXTEND, FORM_READS,
             0),

	FORM("move", "mov_rm_r", 0, 0, 0x88, -1, ENC_MODRM, SZ_ALL, IMM_NONE, SP_NONE, FORM_W, 0),
	FORM("move", "mov_r_rm", 0, 0, 0x8a, -1, ENC_MODRM, SZ_ALL, IMM_NONE, SP_NONE,
             FORM_W | FORM_READS, 0),
	FORM("move", "mov_rm_imm", 0, 0, 0xc6, 0, ENC_MODRM, SZ_ALL, IMM_Z, SP_NONE, FORM_W, 0),
	FORM("move", "mov_r8_imm", 0, 0, 0xb0, -1, ENC_OPCODE, SZ8, IMM_8, SP_NONE, 0, 0),
	FORM("move", "mov_r_imm", 0, 0, 0xb8, -1, ENC_OPCODE, SZ_WIDE, IMM_V, SP_NONE, 0, 0),
	FORM("move", "mov_rm_sreg", 0, 0, 0x8c, 0, ENC_MODRM, SZ_WIDE, IMM_NONE, SP_SREG,
             FORM_NO_BLOCK | FORM_REG_ONLY, 0),
	FORM("move", "movzx_8", 1, 0, 0xb6, -1, ENC_MODRM, SZ_WIDE, IMM_NONE, SP_EXTEND,
             FORM_READS | FORM_SRC8, 0),
	FORM("move", "movzx_16", 1, 0, 0xb7, -1, ENC_MODRM, SZ_WIDE, IMM_NONE, SP_EXTEND,
             FORM_READS | FORM_SRC16, 0),
	FORM("move", "movsx_8", 1, 0, 0xbe, -1, ENC_MODRM, SZ_WIDE, IMM_NONE, SP_EXTEND,
             FORM_READS | FORM_SRC8, 0),
	FORM("move", "movsx_16", 1, 0, 0xbf, -1, ENC_MODRM, SZ_WIDE, IMM_NONE, SP_EXTEND,
             FORM_READS | FORM_SRC16, 0),
	FORM("move", "movsxd", 0, 0, 0x63, -1, ENC_MODRM, SZ32 | SZ64, IMM_NONE, SP_EXTEND,
             FORM_READS | FORM_SRC32 | FORM_64, 0),
	FORM("move", "lea", 0, 0, 0x8d, -1, ENC_MODRM, SZ_WIDE, IMM_NONE, SP_LEA,
             FORM_MEM_ONLY | FORM_READS, 0),
	FORM("move", "lea_register", 0, 0, 0x8d, -1, ENC_MODRM, SZ_WIDE, IMM_NONE, SP_LEA,
             FORM_REG_ONLY | FORM_NO_BLOCK, 0),
	FORM("move", "xchg", 0, 0, 0x86, -1, ENC_MODRM, SZ_ALL, IMM_NONE, SP_NONE,
             FORM_W | FORM_LOCK, 0),
	FORM("move", "xchg_rax", 0, 0, 0x90, -1, ENC_OPCODE, SZ_WIDE, IMM_NONE, SP_NONE, 0, 0),
	FORM("move", "movnti", 1, 0, 0xc3, -1, ENC_MODRM, SZ32 | SZ64, IMM_NONE, SP_NONE,
             FORM_MEM_ONLY, 0),
	CUSTOM("move", "mov_rax_moffs", make_moffs, 0, 0, 0xa0, ENC_NONE, SZ_ALL, IMM_NONE,
               SP_MOFFS, 0),
	CUSTOM("move", "mov_moffs_rax", make_moffs, 0, 0, 0xa2, ENC_NONE, SZ_ALL, IMM_NONE,
               SP_MOFFS, 0),
	CUSTOM("move", "xlat", make_xlat, 0, 0, 0xd7, ENC_NONE, SZ8, IMM_NONE, SP_XLAT, 0),
	PLAIN("move", "cbw", 0, 0, 0x98, SZ_WIDE, 0, 0),
	PLAIN("move", "cwd", 0, 0, 0x99, SZ_WIDE, 0, 0),
	PLAIN("move", "lahf", 0, 0, 0x9f, SZ32, 0, 0),
	PLAIN("move", "sahf", 0, 0, 0x9e, SZ32, 0, 0),
	PLAIN("move", "cmc", 0, 0, 0xf5, SZ32, 0, 0),
	PLAIN("move", "clc", 0, 0, 0xf8, SZ32, 0, 0),
	PLAIN("move", "stc", 0, 0, 0xf9, SZ32, 0, 0),
	PLAIN("move", "cld", 0, 0, 0xfc, SZ32, 0, 0),
	PLAIN("move", "std", 0, 0, 0xfd, SZ32, FORM_NO_BLOCK, 0),
	FORM("move", "nop_rm", 1, 0, 0x1f, 0, ENC_MODRM, SZ_WIDE, IMM_NONE, SP_LEA, FORM_READS, 0),
	FORM("move", "prefetch", 1, 0, 0x18, 1, ENC_MODRM, SZ32, IMM_NONE, SP_LEA,
             FORM_MEM_ONLY | FORM_READS, 0),
	PLAIN("move", "pause", 0, 0xf3, 0x90, SZ32, 0, 0),

	CUSTOM("stack", "push_r", make_stack, 0, 0, 0x50, ENC_OPCODE, SZ_WIDE, IMM_NONE, SP_NONE,
               FORM_DEF64),
	CUSTOM("stack", "pop_r", make_stack, 0, 0, 0x58, ENC_OPCODE, SZ_WIDE, IMM_NONE, SP_NONE,
               FORM_DEF64),
	{.name = "push_rm",
         .group = "stack",
         .make = make_stack,
         .opcode = 0xff,
         .digit = 6,
         .enc = ENC_MODRM,
         .sizes = SZ_WIDE,
         .flags = FORM_DEF64 | FORM_READS | FORM_NO_BLOCK},
	{.name = "pop_rm",
         .group = "stack",
         .make = make_stack,
         .opcode = 0x8f,
         .digit = 0,
         .enc = ENC_MODRM,
         .sizes = SZ_WIDE,
         .flags = FORM_DEF64 | FORM_NO_BLOCK},
	CUSTOM("stack", "push_imm8", make_stack, 0, 0, 0x6a, ENC_NONE, SZ_WIDE, IMM_8, SP_NONE,
               FORM_DEF64),
	CUSTOM("stack", "push_imm", make_stack, 0, 0, 0x68, ENC_NONE, SZ_WIDE, IMM_Z, SP_NONE,
               FORM_DEF64),
	CUSTOM("stack", "pushf", make_stack, 0, 0, 0x9c, ENC_NONE, SZ_WIDE, IMM_NONE, SP_NONE,
               FORM_DEF64),
	CUSTOM("stack", "popf", make_popf, 0, 0, 0x9d, ENC_NONE, 0, IMM_NONE, SP_POPF, 0),
	CUSTOM("stack", "push_fs", make_stack, 1, 0, 0xa0, ENC_NONE, SZ_WIDE, IMM_NONE,
               SP_PUSH_SREG, FORM_DEF64),
	CUSTOM("stack", "push_gs", make_stack, 1, 0, 0xa8, ENC_NONE, SZ_WIDE, IMM_NONE,
               SP_PUSH_SREG, FORM_DEF64),
	CUSTOM("stack", "push_ds", make_stack, 0, 0, 0x1e, ENC_NONE, SZ16, IMM_NONE, SP_NONE,
               FORM_32),
	CUSTOM("stack", "leave", make_leave, 0, 0, 0xc9, ENC_NONE, 0, IMM_NONE, SP_LEAVE, 0),
	CUSTOM("stack", "enter", make_enter, 0, 0, 0xc8, ENC_NONE, 0, IMM_NONE, SP_ENTER, 0),
	CUSTOM("stack", "pusha", make_stack, 0, 0, 0x60, ENC_NONE, SZ16 | SZ32, IMM_NONE,
               SP_PUSH_ALL, FORM_32),
	CUSTOM("stack", "popa", make_stack, 0, 0, 0x61, ENC_NONE, SZ16 | SZ32, IMM_NONE,
               SP_PUSH_ALL, FORM_32),

	CONDITION("o", 0),
	CONDITION("no", 1),
	CONDITION("b", 2),
	CONDITION("ae", 3),
	CONDITION("e", 4),
	CONDITION("ne", 5),
	CONDITION("be", 6),
	CONDITION("a", 7),
	CONDITION("s", 8),
	CONDITION("ns", 9),
	CONDITION("p", 10),
	CONDITION("np", 11),
	CONDITION("l", 12),
	CONDITION("ge", 13),
	CONDITION("le", 14),
	CONDITION("g", 15),

	CUSTOM("branch", "jmp_8", make_branch, 0, 0, 0xeb, ENC_NONE, 0, IMM_NONE, SP_BRANCH8, 0),
	CUSTOM("branch", "jmp_32", make_branch, 0, 0, 0xe9, ENC_NONE, 0, IMM_NONE, SP_BRANCH32, 0),
	CUSTOM("branch", "call", make_branch, 0, 0, 0xe8, ENC_NONE, 0, IMM_NONE, SP_BRANCH32, 0),
	CUSTOM("branch", "loopne", make_branch, 0, 0, 0xe0, ENC_NONE, 0, IMM_NONE, SP_BRANCH8, 0),
	CUSTOM("branch", "loope", make_branch, 0, 0, 0xe1, ENC_NONE, 0, IMM_NONE, SP_BRANCH8, 0),
	CUSTOM("branch", "loop", make_branch, 0, 0, 0xe2, ENC_NONE, 0, IMM_NONE, SP_BRANCH8, 0),
	CUSTOM("branch", "jrcxz", make_branch, 0, 0, 0xe3, ENC_NONE, 0, IMM_NONE, SP_BRANCH8, 0),
	CUSTOM("branch", "ret", make_return, 0, 0, 0xc3, ENC_NONE, 0, IMM_NONE, SP_RETURN, 0),
	CUSTOM("branch", "ret_imm", make_return, 0, 0, 0xc2, ENC_NONE, 0, IMM_16, SP_RETURN, 0),
	FORM("branch", "jmp_rm", 0, 0, 0xff, 4, ENC_MODRM, SZ32 | SZ64, IMM_NONE,
             SP_BRANCH_INDIRECT, FORM_DEF64 | FORM_READS | FORM_NO_BLOCK, 0),
	FORM("branch", "call_rm", 0, 0, 0xff, 2, ENC_MODRM, SZ32 | SZ64, IMM_NONE,
             SP_BRANCH_INDIRECT, FORM_DEF64 | FORM_READS | FORM_NO_BLOCK, 0),

	STRING("movs", 0, 0xa4),
	STRING("stos", 0, 0xaa),
	STRING("lods", 0, 0xac),
	STRING("cmps", 0, 0xa6),
	STRING("scas", 0, 0xae),
	STRING("rep_movs", 0xf3, 0xa4),
	STRING("rep_stos", 0xf3, 0xaa),
	STRING("rep_lods", 0xf3, 0xac),
	STRING("repe_cmps", 0xf3, 0xa6),
	STRING("repe_scas", 0xf3, 0xae),
	STRING("repne_cmps", 0xf2, 0xa6),
	STRING("repne_scas", 0xf2, 0xae),

	PLAIN("decimal", "daa", 0, 0, 0x27, SZ32, FORM_32, F_O),
	PLAIN("decimal", "das", 0, 0, 0x2f, SZ32, FORM_32, F_O),
	PLAIN("decimal", "aaa", 0, 0, 0x37, SZ32, FORM_32, F_O | F_S | F_Z | F_P),
	PLAIN("decimal", "aas", 0, 0, 0x3f, SZ32, FORM_32, F_O | F_S | F_Z | F_P),
	FORM("decimal", "aam", 0, 0, 0xd4, -1, ENC_NONE, SZ32, IMM_8, SP_AAM,
             FORM_32 | FORM_NO_BLOCK, F_O | F_A | F_C),
	FORM("decimal", "aad", 0, 0, 0xd5, -1, ENC_NONE, SZ32, IMM_8, SP_NONE, FORM_32,
             F_O | F_A | F_C),

	PRIVILEGED("hlt", 0, 0xf4),
	PRIVILEGED("cli", 0, 0xfa),
	PRIVILEGED("sti", 0, 0xfb),
	PRIVILEGED("in_dx", 0, 0xec),
	PRIVILEGED("out_dx", 0, 0xee),
	PRIVILEGED("clts", 1, 0x06),
	PRIVILEGED("wbinvd", 1, 0x09),
	PRIVILEGED("invd", 1, 0x08),
	PRIVILEGED("rdmsr", 1, 0x32),
	PRIVILEGED("wrmsr", 1, 0x30),
	PRIVILEGED("ud2", 1, 0x0b),
	FORM("privileged", "mov_r_cr0", 1, 0, 0x20, 0, ENC_MODRM, SZ32, IMM_NONE, SP_NONE,
             FORM_REG_ONLY | FORM_NO_BLOCK, 0),
	FORM("privileged", "mov_cr0_r", 1, 0, 0x22, 0, ENC_MODRM, SZ32, IMM_NONE, SP_NONE,
             FORM_REG_ONLY | FORM_NO_BLOCK, 0),
	FORM("privileged", "lgdt", 1, 0, 0x01, 2, ENC_MODRM, SZ32, IMM_NONE, SP_NONE,
             FORM_MEM_ONLY | FORM_NO_BLOCK, 0),
	FORM("privileged", "invlpg", 1, 0, 0x01, 7, ENC_MODRM, SZ32, IMM_NONE, SP_NONE,
             FORM_MEM_ONLY | FORM_NO_BLOCK, 0),
};

void forms_integer_each(void (*visit)(const struct form *form, void *ctx), void *ctx)
{
	for (size_t i = 0; i < ARRAY_LEN(forms); i++)
		visit(&forms[i], ctx);
}

/* ---- blocks ---------------------------------------------------------------------------- */

/*
 * Several instructions one after the other, with conditional jumps forward over some of them.
 * RSP and the base keep their values, so that operands can be addressed; flags that one
 * instruction leaves undefined are set by a CMP before the next can see them.
 */
static void emit_block(struct maker *m, unsigned n, unsigned bytes_max)
{
	struct vector *v = m->v;
	const unsigned other_mode = v->code32 ? FORM_64 : FORM_32;

	for (unsigned k = 0; k < n && v->code_bytes < bytes_max; k++) {
		const struct form *one;
		unsigned jump_at = 0;

		do {
			one = &forms[random_below(m, ARRAY_LEN(forms))];
		} while (one->flags & (FORM_NO_BLOCK | other_mode));
		if (one_in(m, 5)) {
			emit(m, (uint8_t)(0x70 + random_below(m, 16)));
			emit(m, 0);
			jump_at = v->code_bytes;
		}
		v->undefined_flags = 0;
		make_one(m, one);
		if (v->undefined_flags) {
			if (!v->code32)
				emit(m, 0x49);
			emit(m, 0x39); /* CMP base, RDX */
			emit(m, 0xc0 | RDX << 3 | (v->code32 ? BLOCK_BASE_32 : BLOCK_BASE & 7));
		}
		v->undefined_flags = 0;
		if (jump_at)
			v->code[jump_at - 1] = (uint8_t)(v->code_bytes - jump_at);
	}
}

static void make_block(const struct form *f, struct vector *v)
{
	const unsigned n = 2 + random_below(&(struct maker){.random = v->seed}, 24);
	struct maker m;

	maker_init(&m, v);
	v->code32 = f->flags & FORM_32;
	begin_block(&m);
	emit_block(&m, n, CODE_MAX - 64);
}

/* A block a few times over, counted in R13. */
static void make_loop(const struct form *f, struct vector *v)
{
	const unsigned n = 1 + random_below(&(struct maker){.random = v->seed}, 5);
	struct maker m;
	unsigned cond;

	maker_init(&m, v);
	begin_block(&m);
	m.reserved |= 1u << 13;
	set_gpr(&m, 13, 1 + random_below(&m, 6));
	emit_block(&m, n, CODE_MAX - 64);
	if (one_in(&m, 2))
		emit_bytes(&m, 0xcdff49, 3); /* dec r13 */
	else
		emit_bytes(&m, 0x01ed8349, 4); /* sub r13, 1 */
	cond = one_in(&m, 2) ? 0x7f : 0x75;    /* jg, jne */
	if (one_in(&m, 3)) {
		emit(&m, (uint8_t)(cond ^ 1));
		emit(&m, 5);
		emit(&m, 0xe9); /* jmp */
	} else {
		emit(&m, 0x0f);
		emit(&m, (uint8_t)(cond + 0x10));
	}
	emit_bytes(&m, (uint64_t) - (int64_t)(v->code_bytes + 4), 4);
}

/* The instructions of compiled code, as they follow each other there: what our CPU does in pairs. */
enum common {
	PUSH,
	POP,
	MOV_RR,
	MOV_RI,
	XOR_RR,
	LEA,
	LOAD,
	LOAD8,
	STORE,
	MOVZX8,
	CMP_MI8,
	CMP_MI,
	TEST_RR,
	CALL,
	RET,
	COMMON
};

/* ModRM for [R14 + disp8]; R14 is in the middle of the data, so that the page's end is near. */
static void emit_at_r14(struct maker *m, unsigned reg)
{
	emit(m, (uint8_t)(0x46 | (reg & 7) << 3));
	emit(m, (uint8_t)random_below(m, 256));
}

static void emit_stack(struct maker *m, unsigned opcode, unsigned reg)
{
	emit(m, (uint8_t)(0x40 | reg >> 3));
	emit(m, (uint8_t)(opcode | (reg & 7)));
}

static void emit_common(struct maker *m, enum common what)
{
	struct vector *v = m->v;
	const unsigned a = random_gpr(m), b = random_gpr(m);
	const uint8_t w = one_in(m, 2) ? 0x48 : 0x40;

	switch (what) {
	case PUSH:
	case POP:
		emit_stack(m, what == PUSH ? 0x50 : 0x58, a);
		break;
	case MOV_RR:
	case XOR_RR:
	case TEST_RR:
		emit(m, (uint8_t)(w | (a >> 3) << 2 | b >> 3));
		emit(m, what == MOV_RR ? 0x89 : what == XOR_RR ? 0x31 : one_in(m, 3) ? 0x84 : 0x85);
		emit(m, (uint8_t)(0xc0 | (a & 7) << 3 | (b & 7)));
		break;
	case MOV_RI:
		emit(m, (uint8_t)(0x40 | a >> 3));
		emit(m, (uint8_t)(0xb8 | (a & 7)));
		emit_bytes(m, random_corner(m), 4);
		break;
	case LEA:
	case LOAD:
	case LOAD8:
	case STORE:
		emit(m, (uint8_t)((what == LEA ? 0x48 : w) | 1 | (a >> 3) << 2));
		emit(m, what == LEA ? 0x8d : what == LOAD ? 0x8b : what == LOAD8 ? 0x8a : 0x89);
		emit_at_r14(m, a);
		break;
	case MOVZX8:
		emit(m, (uint8_t)(0x41 | (a >> 3) << 2));
		emit(m, 0x0f);
		emit(m, 0xb6);
		emit_at_r14(m, a);
		break;
	case CMP_MI8:
	case CMP_MI:
		emit(m, (uint8_t)(w | 1));
		emit(m, what == CMP_MI8 ? 0x80 : 0x83);
		emit_at_r14(m, 7);
		emit(m, (uint8_t)(one_in(m, 2) ? 0 : random_below(m, 256)));
		break;
	case CALL:
		emit(m, 0xe8);
		emit_bytes(m, 0, 4); /* to the next instruction */
		break;
	case RET: /* to the next instruction, or to where nothing can be */
		emit_bytes(m, 0x058d48 | (a & 7) << 19 | (a >> 3) << 2, 3); /* LEA a, [RIP + 7] */
		emit_bytes(m, 7, 4);
		if (one_in(m, 8)) {
			v->code_bytes -= 7;
			emit_bytes(m, 0xb848 | (a >> 3) | (a & 7) << 8, 2);
			emit_bytes(m, 0x4141414141414141, 8);
		}
		emit_stack(m, 0x50, a);
		emit_stack(m, 0x50, b);
		emit_stack(m, 0x58, random_gpr(m));
		emit(m, 0xc3);
		break;
	case COMMON:
		break;
	}
	/* A compare is there for the jump after it. */
	if ((what == CMP_MI8 || what == CMP_MI || what == TEST_RR) && !one_in(m, 4)) {
		emit(m, (uint8_t)(0x74 | random_below(m, 2)));
		emit(m, 0);
	}
}

/*
 * RSP starts near an end of what is there, so that one of two pushes or pops may fault. Jumps
 * are not over anything, but both ways count as they go to traces of their own or do not.
 */
static void make_common_block(const struct form *f, struct vector *v)
{
	const uint32_t ends[] = {DATA_BASE, DATA_BASE + PAGE_BYTES, DATA_END};
	struct maker m;
	unsigned n;

	maker_init(&m, v);
	random_regs(&m);
	m.block = true;
	m.reserved = 1u << RSP | 1u << 14;
	v->in.gpr[14] = DATA_BASE + DATA_BYTES / 2 + random_below(&m, 16);
	v->in.gpr[RSP] = ends[random_below(&m, 3)] + random_below(&m, 48) - 24;
	if (v->in.gpr[RSP] < DATA_BASE)
		v->in.gpr[RSP] = DATA_BASE;
	n = 2 + random_below(&m, 16);
	while (n--)
		emit_common(&m, (enum common)(one_in(&m, 3) ? PUSH + random_below(&m, 2)
		                                            : random_below(&m, COMMON)));
}

static const struct form block_forms[] = {
	{.name = "block", .group = "block", .make = make_block},
	{.name = "loop_block", .group = "block", .make = make_loop},
	{.name = "block32", .group = "block", .make = make_block, .flags = FORM_32},
	{.name = "common_block", .group = "block", .make = make_common_block},
};

void forms_block_each(void (*visit)(const struct form *form, void *ctx), void *ctx)
{
	for (size_t i = 0; i < ARRAY_LEN(block_forms); i++)
		visit(&block_forms[i], ctx);
}
