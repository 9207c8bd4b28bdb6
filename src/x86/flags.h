/* SPDX-License-Identifier: MIT */
/*
 * Lazy arithmetic flags.
 *
 * An instruction that sets flags stores its result (sign-extended from the operand size), one
 * operand and a kind; whoever needs a flag computes it.
 *
 * | kind      | cc_res          | cc_src        | CF, OF, AF           | ZF, SF, PF  |
 * |-----------|-----------------|---------------|----------------------|-------------|
 * | ADD8..64  | a + b           | b             | from a, b, a + b     | from cc_res |
 * | SUB8..64  | a - b           | b             | from a, b, a - b     | from cc_res |
 * | RES       | result          | CF, OF, AF at their EFLAGS places  ... | from cc_res |
 * | EXPLICIT  | 0 if and only if ZF is set | all six at their EFLAGS places           ||
 *
 * So ZF is "cc_res == 0" for every kind.
 */
#ifndef WSLX_X86_FLAGS_H
#define WSLX_X86_FLAGS_H

#include "x86/x86-int.h"

enum cc_kind {
	CC_ADD8,
	CC_ADD16,
	CC_ADD32,
	CC_ADD64,
	CC_SUB8,
	CC_SUB16,
	CC_SUB32,
	CC_SUB64,
	CC_RES,
	CC_EXPLICIT,
};

/* Condition codes as encoded in Jcc, SETcc and CMOVcc. */
enum cond {
	COND_O,
	COND_NO,
	COND_B,
	COND_AE,
	COND_E,
	COND_NE,
	COND_BE,
	COND_A,
	COND_S,
	COND_NS,
	COND_P,
	COND_NP,
	COND_L,
	COND_GE,
	COND_LE,
	COND_G,
};

INLINE void cc_set(struct x86_cpu *cpu, enum cc_kind kind, uint64_t res, uint64_t src)
{
	cpu->cc_res = res;
	cpu->cc_src = src;
	cpu->cc_kind = kind;
}

/* All six flags at once, at their EFLAGS places. */
INLINE void cc_set_explicit(struct x86_cpu *cpu, uint64_t flags)
{
	cc_set(cpu, CC_EXPLICIT, ~flags & EFLAGS_ZF, flags);
}

INLINE bool cc_zf(const struct x86_cpu *cpu)
{
	return cpu->cc_res == 0;
}

INLINE bool cc_sf(const struct x86_cpu *cpu)
{
	if (UNLIKELY(cpu->cc_kind == CC_EXPLICIT))
		return cpu->cc_src & EFLAGS_SF;
	return (int64_t)cpu->cc_res < 0;
}

INLINE bool cc_pf(const struct x86_cpu *cpu)
{
	if (cpu->cc_kind == CC_EXPLICIT)
		return cpu->cc_src & EFLAGS_PF;
	return !__builtin_parity((uint8_t)cpu->cc_res);
}

INLINE bool cc_cf(const struct x86_cpu *cpu)
{
	uint64_t res = cpu->cc_res, src = cpu->cc_src;

	switch (cpu->cc_kind) {
	case CC_ADD8:
		return (uint8_t)res < (uint8_t)src;
	case CC_ADD16:
		return (uint16_t)res < (uint16_t)src;
	case CC_ADD32:
		return (uint32_t)res < (uint32_t)src;
	case CC_ADD64:
		return res < src;
	case CC_SUB8:
		return (uint8_t)(res + src) < (uint8_t)src;
	case CC_SUB16:
		return (uint16_t)(res + src) < (uint16_t)src;
	case CC_SUB32:
		return (uint32_t)(res + src) < (uint32_t)src;
	case CC_SUB64:
		return res + src < src;
	default:
		return src & EFLAGS_CF;
	}
}

INLINE bool cc_of(const struct x86_cpu *cpu)
{
	uint64_t res = cpu->cc_res, src = cpu->cc_src, a;
	unsigned bits = 8u << (cpu->cc_kind & 3);

	if (cpu->cc_kind >= CC_RES)
		return src & EFLAGS_OF;
	if (cpu->cc_kind < CC_SUB8) {
		a = res - src;
		return ((a ^ res) & (src ^ res)) >> (bits - 1) & 1;
	}
	a = res + src;
	return ((a ^ src) & (a ^ res)) >> (bits - 1) & 1;
}

INLINE bool cc_af(const struct x86_cpu *cpu)
{
	uint64_t res = cpu->cc_res, src = cpu->cc_src;

	if (cpu->cc_kind >= CC_RES)
		return src & EFLAGS_AF;
	if (cpu->cc_kind < CC_SUB8)
		return ((res - src) ^ src ^ res) & 0x10;
	return ((res + src) ^ src ^ res) & 0x10;
}

/* All six at their EFLAGS places. */
static inline uint64_t cc_flags(const struct x86_cpu *cpu)
{
	if (cpu->cc_kind == CC_EXPLICIT)
		return cpu->cc_src & EFLAGS_ARITH;
	return (cc_cf(cpu) ? EFLAGS_CF : 0) | (cc_pf(cpu) ? EFLAGS_PF : 0) |
	       (cc_af(cpu) ? EFLAGS_AF : 0) | (cc_zf(cpu) ? EFLAGS_ZF : 0) |
	       (cc_sf(cpu) ? EFLAGS_SF : 0) | (cc_of(cpu) ? EFLAGS_OF : 0);
}

static inline uint64_t x86_rflags(const struct x86_cpu *cpu)
{
	return cpu->rflags | cc_flags(cpu);
}

static inline void x86_set_rflags(struct x86_cpu *cpu, uint64_t rflags)
{
	cpu->rflags = (rflags & ~(uint64_t)EFLAGS_ARITH) | 2;
	cc_set_explicit(cpu, rflags & EFLAGS_ARITH);
}

INLINE bool cc_cond(const struct x86_cpu *cpu, enum cond cond)
{
	switch (cond) {
	case COND_O:
		return cc_of(cpu);
	case COND_NO:
		return !cc_of(cpu);
	case COND_B:
		return cc_cf(cpu);
	case COND_AE:
		return !cc_cf(cpu);
	case COND_E:
		return cc_zf(cpu);
	case COND_NE:
		return !cc_zf(cpu);
	case COND_BE:
		return cc_zf(cpu) || cc_cf(cpu);
	case COND_A:
		return !cc_zf(cpu) && !cc_cf(cpu);
	case COND_S:
		return cc_sf(cpu);
	case COND_NS:
		return !cc_sf(cpu);
	case COND_P:
		return cc_pf(cpu);
	case COND_NP:
		return !cc_pf(cpu);
	case COND_L:
		return cc_sf(cpu) != cc_of(cpu);
	case COND_GE:
		return cc_sf(cpu) == cc_of(cpu);
	case COND_LE:
		return cc_zf(cpu) || cc_sf(cpu) != cc_of(cpu);
	default:
		return !cc_zf(cpu) && cc_sf(cpu) == cc_of(cpu);
	}
}

#endif
