/* SPDX-License-Identifier: MIT */
/*
 * Integer arithmetic and logic, and the compare-and-jump pairs.
 */
#include "x86/ops.h"

/* The result of an ALU operation and, if wanted, its flags. @carry is CF for ADC and SBB. */
#define DEFINE_ALU(S)                                                                              \
	INLINE uint##S##_t alu##S(struct x86_cpu *cpu, enum alu what, bool flags, uint##S##_t a,   \
	                          uint##S##_t b)                                                   \
	{                                                                                          \
		uint##S##_t r, out;                                                                \
		bool carry;                                                                        \
                                                                                                   \
		switch (what) {                                                                    \
		case ALU_ADD:                                                                      \
			r = (uint##S##_t)(a + b);                                                  \
			if (flags)                                                                 \
				cc_set(cpu, CC_ADD##S, SX##S(r), b);                               \
			return r;                                                                  \
		case ALU_SUB:                                                                      \
		case ALU_CMP:                                                                      \
			r = (uint##S##_t)(a - b);                                                  \
			if (flags)                                                                 \
				cc_set(cpu, CC_SUB##S, SX##S(r), b);                               \
			return r;                                                                  \
		case ALU_OR:                                                                       \
			r = a | b;                                                                 \
			break;                                                                     \
		case ALU_AND:                                                                      \
			r = a & b;                                                                 \
			break;                                                                     \
		case ALU_XOR:                                                                      \
			r = a ^ b;                                                                 \
			break;                                                                     \
		case ALU_ADC:                                                                      \
			carry = cc_cf(cpu);                                                        \
			r = (uint##S##_t)(a + b + carry);                                          \
			out = (uint##S##_t)((a & b) | ((a | b) & ~r));                             \
			goto carries;                                                              \
		case ALU_SBB:                                                                      \
			carry = cc_cf(cpu);                                                        \
			r = (uint##S##_t)(a - b - carry);                                          \
			out = (uint##S##_t)((~a & b) | ((~a | b) & r));                            \
		carries:                                                                           \
			/* Bit i of @out is the carry out of bit i. */                             \
			if (flags)                                                                 \
				cc_set(cpu, CC_RES, SX##S(r),                                      \
				       (out >> (S - 1) & 1u) | ((unsigned)out << 1 & EFLAGS_AF) |  \
				               ((out >> (S - 1) ^ out >> (S - 2)) & 1u) << 11);    \
			return r;                                                                  \
		}                                                                                  \
		if (flags)                                                                         \
			cc_set(cpu, CC_RES, SX##S(r), 0);                                          \
		return r;                                                                          \
	}
FOR_SIZES(DEFINE_ALU)

#define DEFINE_FORMS(name, what, S)                                                                \
	static OP(name##_rr##S)                                                                    \
	{                                                                                          \
		uint##S##_t r = alu##S(cpu, what, true, rd##S(cpu, op->dst), rd##S(cpu, op->src)); \
                                                                                                   \
		if (what != ALU_CMP)                                                               \
			wr##S(cpu, op->dst, r);                                                    \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(name##_ri##S)                                                                    \
	{                                                                                          \
		uint##S##_t r =                                                                    \
			alu##S(cpu, what, true, rd##S(cpu, op->dst), (uint##S##_t)op->imm);        \
                                                                                                   \
		if (what != ALU_CMP)                                                               \
			wr##S(cpu, op->dst, r);                                                    \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(name##_rr_nf##S)                                                                 \
	{                                                                                          \
		uint##S##_t r =                                                                    \
			alu##S(cpu, what, false, rd##S(cpu, op->dst), rd##S(cpu, op->src));        \
                                                                                                   \
		if (what != ALU_CMP)                                                               \
			wr##S(cpu, op->dst, r);                                                    \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(name##_ri_nf##S)                                                                 \
	{                                                                                          \
		uint##S##_t r =                                                                    \
			alu##S(cpu, what, false, rd##S(cpu, op->dst), (uint##S##_t)op->imm);       \
                                                                                                   \
		if (what != ALU_CMP)                                                               \
			wr##S(cpu, op->dst, r);                                                    \
		NEXT;                                                                              \
	}                                                                                          \
	OP_EAS(name##_rm##S, {                                                                     \
		uint##S##_t b, r;                                                                  \
                                                                                                   \
		MEMORY_LOAD(S, b, op_ea(cpu, op, kind, S / 8, false));                             \
		r = alu##S(cpu, what, true, rd##S(cpu, op->dst), b);                               \
		if (what != ALU_CMP)                                                               \
			wr##S(cpu, op->dst, r);                                                    \
		NEXT;                                                                              \
	})                                                                                         \
	OP_EAS(name##_mr##S, {DEFINE_MEM_DST(what, S, rd##S(cpu, op->src))})                       \
	OP_EAS(name##_mi##S, {DEFINE_MEM_DST(what, S, (uint##S##_t)op->imm)})

#define DEFINE_MEM_DST(what, S, b)                                                                 \
	if (what == ALU_CMP) {                                                                     \
		uint##S##_t a;                                                                     \
                                                                                                   \
		MEMORY_LOAD(S, a, op_ea(cpu, op, kind, S / 8, false));                             \
		alu##S(cpu, what, true, a, b);                                                     \
	} else {                                                                                   \
		uint64_t linear = op_ea(cpu, op, kind, S / 8, true);                               \
		guest##S##_t *host;                                                                \
                                                                                                   \
		MEMORY_RMW(S, host, linear);                                                       \
		*host = alu##S(cpu, what, true, *host, b);                                         \
		MEMORY_RMW_END(S, host, linear);                                                   \
	}                                                                                          \
	NEXT;

#define DEFINE_ADD(S) DEFINE_FORMS(add, ALU_ADD, S)
#define DEFINE_OR(S) DEFINE_FORMS(or, ALU_OR, S)
#define DEFINE_ADC(S) DEFINE_FORMS(adc, ALU_ADC, S)
#define DEFINE_SBB(S) DEFINE_FORMS(sbb, ALU_SBB, S)
#define DEFINE_AND(S) DEFINE_FORMS(and, ALU_AND, S)
#define DEFINE_SUB(S) DEFINE_FORMS(sub, ALU_SUB, S)
#define DEFINE_XOR(S) DEFINE_FORMS(xor, ALU_XOR, S)
#define DEFINE_CMP(S) DEFINE_FORMS(cmp, ALU_CMP, S)
FOR_SIZES(DEFINE_ADD)
FOR_SIZES(DEFINE_OR)
FOR_SIZES(DEFINE_ADC)
FOR_SIZES(DEFINE_SBB)
FOR_SIZES(DEFINE_AND)
FOR_SIZES(DEFINE_SUB)
FOR_SIZES(DEFINE_XOR)
FOR_SIZES(DEFINE_CMP)

#define ALU_TABLE(form)                                                                            \
	{                                                                                          \
		SIZES_OF(add_##form), SIZES_OF(or_##form), SIZES_OF(adc_##form),                   \
			SIZES_OF(sbb_##form), SIZES_OF(and_##form), SIZES_OF(sub_##form),          \
			SIZES_OF(xor_##form), SIZES_OF(cmp_##form)                                 \
	}
#define EA_SIZES_OF(name)                                                                          \
	{                                                                                          \
		EAS_OF(name##8), EAS_OF(name##16), EAS_OF(name##32), EAS_OF(name##64)              \
	}
#define ALU_EA_TABLE(form)                                                                         \
	{                                                                                          \
		EA_SIZES_OF(add_##form), EA_SIZES_OF(or_##form), EA_SIZES_OF(adc_##form),          \
			EA_SIZES_OF(sbb_##form), EA_SIZES_OF(and_##form), EA_SIZES_OF(sub_##form), \
			EA_SIZES_OF(xor_##form), EA_SIZES_OF(cmp_##form)                           \
	}
op_fn *const x86_alu_rr[2][8][4] = {ALU_TABLE(rr), ALU_TABLE(rr_nf)};
op_fn *const x86_alu_ri[2][8][4] = {ALU_TABLE(ri), ALU_TABLE(ri_nf)};
op_fn *const x86_alu_rm[8][4][EA_KINDS] = ALU_EA_TABLE(rm);
op_fn *const x86_alu_mr[8][4][EA_KINDS] = ALU_EA_TABLE(mr);
op_fn *const x86_alu_mi[8][4][EA_KINDS] = ALU_EA_TABLE(mi);

/* ---- TEST, INC, DEC, NEG, NOT ---------------------------------------------------------- */

#define DEFINE_TEST(S)                                                                             \
	static OP(test_rr##S)                                                                      \
	{                                                                                          \
		alu##S(cpu, ALU_AND, true, rd##S(cpu, op->dst), rd##S(cpu, op->src));              \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(test_ri##S)                                                                      \
	{                                                                                          \
		alu##S(cpu, ALU_AND, true, rd##S(cpu, op->dst), (uint##S##_t)op->imm);             \
		NEXT;                                                                              \
	}                                                                                          \
	OP_EAS(test_mr##S, {                                                                       \
		uint##S##_t a;                                                                     \
                                                                                                   \
		MEMORY_LOAD(S, a, op_ea(cpu, op, kind, S / 8, false));                             \
		alu##S(cpu, ALU_AND, true, a, rd##S(cpu, op->src));                                \
		NEXT;                                                                              \
	})                                                                                         \
	OP_EAS(test_mi##S, {                                                                       \
		uint##S##_t a;                                                                     \
                                                                                                   \
		MEMORY_LOAD(S, a, op_ea(cpu, op, kind, S / 8, false));                             \
		alu##S(cpu, ALU_AND, true, a, (uint##S##_t)op->imm);                               \
		NEXT;                                                                              \
	})
FOR_SIZES(DEFINE_TEST)
op_fn *const x86_test_rr[4] = SIZES_OF(test_rr), *const x86_test_ri[4] = SIZES_OF(test_ri);
op_fn *const x86_test_mr[4][EA_KINDS] = EA_SIZES_OF(test_mr);
op_fn *const x86_test_mi[4][EA_KINDS] = EA_SIZES_OF(test_mi);

/* INC and DEC leave CF alone: the flags of an addition whose carry is the old one. */
#define DEFINE_INC(S)                                                                              \
	INLINE uint##S##_t step##S(struct x86_cpu *cpu, uint##S##_t a, bool up)                    \
	{                                                                                          \
		uint##S##_t r = (uint##S##_t)(up ? a + 1 : a - 1);                                 \
		uint##S##_t edge = (uint##S##_t)((uint##S##_t)1 << (S - 1));                       \
		uint64_t of = (up ? r == edge : a == edge) ? EFLAGS_OF : 0;                        \
		uint64_t af = ((a ^ r) & 0x10u);                                                   \
                                                                                                   \
		cc_set(cpu, CC_RES, SX##S(r), of | af | (cc_cf(cpu) ? EFLAGS_CF : 0));             \
		return r;                                                                          \
	}                                                                                          \
	static OP(inc_r##S)                                                                        \
	{                                                                                          \
		wr##S(cpu, op->dst, step##S(cpu, rd##S(cpu, op->dst), true));                      \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(dec_r##S)                                                                        \
	{                                                                                          \
		wr##S(cpu, op->dst, step##S(cpu, rd##S(cpu, op->dst), false));                     \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(inc_r_nf##S)                                                                     \
	{                                                                                          \
		wr##S(cpu, op->dst, (uint##S##_t)(rd##S(cpu, op->dst) + 1));                       \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(dec_r_nf##S)                                                                     \
	{                                                                                          \
		wr##S(cpu, op->dst, (uint##S##_t)(rd##S(cpu, op->dst) - 1));                       \
		NEXT;                                                                              \
	}                                                                                          \
	OP_EAS(inc_m##S, {                                                                         \
		uint64_t linear = op_ea(cpu, op, kind, S / 8, true);                               \
		guest##S##_t *host;                                                                \
                                                                                                   \
		MEMORY_RMW(S, host, linear);                                                       \
		*host = step##S(cpu, *host, true);                                                 \
		MEMORY_RMW_END(S, host, linear);                                                   \
		NEXT;                                                                              \
	})                                                                                         \
	OP_EAS(dec_m##S, {                                                                         \
		uint64_t linear = op_ea(cpu, op, kind, S / 8, true);                               \
		guest##S##_t *host;                                                                \
                                                                                                   \
		MEMORY_RMW(S, host, linear);                                                       \
		*host = step##S(cpu, *host, false);                                                \
		MEMORY_RMW_END(S, host, linear);                                                   \
		NEXT;                                                                              \
	})                                                                                         \
	static OP(neg_r##S)                                                                        \
	{                                                                                          \
		wr##S(cpu, op->dst, alu##S(cpu, ALU_SUB, true, 0, rd##S(cpu, op->dst)));           \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(neg_m##S)                                                                        \
	{                                                                                          \
		uint64_t linear = op_ea_any(cpu, op, S / 8, true);                                 \
		guest##S##_t *host = rmw_begin(cpu, op, linear, S / 8);                            \
                                                                                                   \
		*host = alu##S(cpu, ALU_SUB, true, 0, *host);                                      \
		rmw_end(cpu, op, host, linear, S / 8);                                             \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(not_r##S)                                                                        \
	{                                                                                          \
		wr##S(cpu, op->dst, (uint##S##_t) ~rd##S(cpu, op->dst));                           \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(not_m##S)                                                                        \
	{                                                                                          \
		uint64_t linear = op_ea_any(cpu, op, S / 8, true);                                 \
		guest##S##_t *host = rmw_begin(cpu, op, linear, S / 8);                            \
                                                                                                   \
		*host = (uint##S##_t) ~*host;                                                      \
		rmw_end(cpu, op, host, linear, S / 8);                                             \
		NEXT;                                                                              \
	}
FOR_SIZES(DEFINE_INC)
op_fn *const x86_inc_r[2][4] = {SIZES_OF(inc_r), SIZES_OF(inc_r_nf)};
op_fn *const x86_dec_r[2][4] = {SIZES_OF(dec_r), SIZES_OF(dec_r_nf)};
op_fn *const x86_inc_m[4][EA_KINDS] = EA_SIZES_OF(inc_m);
op_fn *const x86_dec_m[4][EA_KINDS] = EA_SIZES_OF(dec_m);
op_fn *const x86_neg_r[4] = SIZES_OF(neg_r), *const x86_neg_m[4] = SIZES_OF(neg_m);
op_fn *const x86_not_r[4] = SIZES_OF(not_r), *const x86_not_m[4] = SIZES_OF(not_m);

/* ---- multiplication and division ------------------------------------------------------- */

typedef unsigned __int128 uint128_t;
typedef __int128 int128_t;

/* CF and OF are set together; the others, undefined, follow the low half. */
static void mul_flags(struct x86_cpu *cpu, uint64_t low, bool overflow)
{
	cc_set(cpu, CC_RES, low, overflow ? EFLAGS_CF | EFLAGS_OF : 0);
}

#define DEFINE_MUL(S, D)                                                                           \
	static void mul##S(struct x86_cpu *cpu, uint##S##_t b)                                     \
	{                                                                                          \
		uint##D##_t r = (uint##D##_t)((uint##D##_t)rd##S(cpu, REG(X86_RAX)) * b);          \
		uint##S##_t high = (uint##S##_t)(r >> S);                                          \
                                                                                                   \
		if (S == 8) {                                                                      \
			wr16(cpu, REG(X86_RAX), (uint16_t)r);                                      \
		} else {                                                                           \
			wr##S(cpu, REG(X86_RAX), (uint##S##_t)r);                                  \
			wr##S(cpu, REG(X86_RDX), high);                                            \
		}                                                                                  \
		mul_flags(cpu, SX##S(r), high != 0);                                               \
	}                                                                                          \
	static void imul##S(struct x86_cpu *cpu, uint##S##_t b)                                    \
	{                                                                                          \
		int##D##_t r = (int##D##_t)((int##D##_t)(int##S##_t)rd##S(cpu, REG(X86_RAX)) *     \
		                            (int##S##_t)b);                                        \
                                                                                                   \
		if (S == 8) {                                                                      \
			wr16(cpu, REG(X86_RAX), (uint16_t)r);                                      \
		} else {                                                                           \
			wr##S(cpu, REG(X86_RAX), (uint##S##_t)r);                                  \
			wr##S(cpu, REG(X86_RDX), (uint##S##_t)((uint##D##_t)r >> S));              \
		}                                                                                  \
		mul_flags(cpu, SX##S(r), r != (int##S##_t)r);                                      \
	}                                                                                          \
	static void div##S(struct x86_cpu *cpu, uint##S##_t b)                                     \
	{                                                                                          \
		uint##D##_t a = S == 8 ? (uint##D##_t)rd16(cpu, REG(X86_RAX))                      \
		                       : (uint##D##_t)((uint##D##_t)rd##S(cpu, REG(X86_RDX))       \
		                                       << (S & 127)) |                             \
		                                 rd##S(cpu, REG(X86_RAX));                         \
		uint##D##_t q;                                                                     \
                                                                                                   \
		if (b == 0 || (q = (uint##D##_t)(a / b)) > (uint##S##_t) - 1)                      \
			x86_raise(cpu, VEC_DE, 0);                                                 \
		wr##S(cpu, REG(X86_RAX), (uint##S##_t)q);                                          \
		wr##S(cpu, S == 8 ? REG(X86_RAX) + 1 : REG(X86_RDX), (uint##S##_t)(a % b));        \
	}                                                                                          \
	static void idiv##S(struct x86_cpu *cpu, uint##S##_t divisor)                              \
	{                                                                                          \
		uint##D##_t ua = S == 8 ? (uint##D##_t)rd16(cpu, REG(X86_RAX))                     \
		                        : (uint##D##_t)((uint##D##_t)rd##S(cpu, REG(X86_RDX))      \
		                                        << (S & 127)) |                            \
		                                  rd##S(cpu, REG(X86_RAX));                        \
		int##D##_t a = (int##D##_t)ua, q;                                                  \
		int##S##_t b = (int##S##_t)divisor;                                                \
                                                                                                   \
		/* The most negative dividend over -1 would overflow in C too. */                  \
		if (b == 0 || (b == -1 && a == (int##D##_t)((uint##D##_t)1 << (D - 1))))           \
			x86_raise(cpu, VEC_DE, 0);                                                 \
		q = (int##D##_t)(a / b);                                                           \
		if (q != (int##S##_t)q)                                                            \
			x86_raise(cpu, VEC_DE, 0);                                                 \
		wr##S(cpu, REG(X86_RAX), (uint##S##_t)q);                                          \
		wr##S(cpu, S == 8 ? REG(X86_RAX) + 1 : REG(X86_RDX), (uint##S##_t)(a % b));        \
	}
DEFINE_MUL(8, 16)
DEFINE_MUL(16, 32)
DEFINE_MUL(32, 64)

/*
 * 64-bit division is the common case of a zero high half, or else the compiler's 128-bit
 * division, which is slow but right everywhere.
 */
DEFINE_MUL(64, 128)

#define DEFINE_MULDIV(name, S)                                                                     \
	static OP(name##_r##S)                                                                     \
	{                                                                                          \
		cpu->op = op;                                                                      \
		name##S(cpu, rd##S(cpu, op->dst));                                                 \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(name##_m##S)                                                                     \
	{                                                                                          \
		uint##S##_t b = load##S(cpu, op, op_ea_any(cpu, op, S / 8, false));                \
                                                                                                   \
		cpu->op = op;                                                                      \
		name##S(cpu, b);                                                                   \
		NEXT;                                                                              \
	}
#define DEFINE_MULDIV_ALL(S)                                                                       \
	DEFINE_MULDIV(mul, S)                                                                      \
	DEFINE_MULDIV(imul, S)                                                                     \
	DEFINE_MULDIV(div, S)                                                                      \
	DEFINE_MULDIV(idiv, S)
FOR_SIZES(DEFINE_MULDIV_ALL)
op_fn *const x86_muldiv_r[4][4] = {SIZES_OF(mul_r), SIZES_OF(imul_r), SIZES_OF(div_r),
                                   SIZES_OF(idiv_r)};
op_fn *const x86_muldiv_m[4][4] = {SIZES_OF(mul_m), SIZES_OF(imul_m), SIZES_OF(div_m),
                                   SIZES_OF(idiv_m)};

#define DEFINE_IMUL(S)                                                                             \
	INLINE uint##S##_t times##S(struct x86_cpu *cpu, uint##S##_t a, uint##S##_t b, bool flags) \
	{                                                                                          \
		int##S##_t r;                                                                      \
		bool over = __builtin_mul_overflow((int##S##_t)a, (int##S##_t)b, &r);              \
                                                                                                   \
		if (flags)                                                                         \
			cc_set(cpu, CC_RES, SX##S(r), over ? EFLAGS_CF | EFLAGS_OF : 0);           \
		return (uint##S##_t)r;                                                             \
	}                                                                                          \
	static OP(imul_rr##S)                                                                      \
	{                                                                                          \
		wr##S(cpu, op->dst,                                                                \
		      times##S(cpu, rd##S(cpu, op->dst), rd##S(cpu, op->src), true));              \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(imul_rr_nf##S)                                                                   \
	{                                                                                          \
		wr##S(cpu, op->dst,                                                                \
		      times##S(cpu, rd##S(cpu, op->dst), rd##S(cpu, op->src), false));             \
		NEXT;                                                                              \
	}                                                                                          \
	OP_MEMORY(imul_rm##S, {                                                                    \
		uint##S##_t b;                                                                     \
                                                                                                   \
		MEMORY_LOAD(S, b, op_ea_any(cpu, op, S / 8, false));                               \
		wr##S(cpu, op->dst, times##S(cpu, rd##S(cpu, op->dst), b, true));                  \
		NEXT;                                                                              \
	})                                                                                         \
	static OP(imul_rri##S)                                                                     \
	{                                                                                          \
		wr##S(cpu, op->dst,                                                                \
		      times##S(cpu, rd##S(cpu, op->src), (uint##S##_t)op->imm, true));             \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(imul_rri_nf##S)                                                                  \
	{                                                                                          \
		wr##S(cpu, op->dst,                                                                \
		      times##S(cpu, rd##S(cpu, op->src), (uint##S##_t)op->imm, false));            \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(imul_rmi##S)                                                                     \
	{                                                                                          \
		uint##S##_t a = load##S(cpu, op, op_ea_any(cpu, op, S / 8, false));                \
                                                                                                   \
		wr##S(cpu, op->dst, times##S(cpu, a, (uint##S##_t)op->imm, true));                 \
		NEXT;                                                                              \
	}
FOR_WIDE_SIZES(DEFINE_IMUL)
#define WIDE_SIZES_OF(name)                                                                        \
	{                                                                                          \
		NULL, name##16, name##32, name##64                                                 \
	}
op_fn *const x86_imul_rr[2][4] = {WIDE_SIZES_OF(imul_rr), WIDE_SIZES_OF(imul_rr_nf)};
op_fn *const x86_imul_rm[4] = WIDE_SIZES_OF(imul_rm);
op_fn *const x86_imul_rri[2][4] = {WIDE_SIZES_OF(imul_rri), WIDE_SIZES_OF(imul_rri_nf)};
op_fn *const x86_imul_rmi[4] = WIDE_SIZES_OF(imul_rmi);

/* ---- compare and jump ------------------------------------------------------------------ */

#define TAKE_IF(cond)                                                                              \
	do {                                                                                       \
		if (cond)                                                                          \
			TAKE_LINK;                                                                 \
		NEXT;                                                                              \
	} while (0)

#include "x86/branch.h"

#define DEFINE_CMP_JCC(cc, S, test)                                                                \
	static OP(cmp_rr_j##cc##S)                                                                 \
	{                                                                                          \
		uint##S##_t a = rd##S(cpu, op->dst), b = rd##S(cpu, op->src);                      \
                                                                                                   \
		cc_set(cpu, CC_SUB##S, SX##S(a - b), b);                                           \
		TAKE_IF(test(S));                                                                  \
	}                                                                                          \
	static OP(cmp_ri_j##cc##S)                                                                 \
	{                                                                                          \
		uint##S##_t a = rd##S(cpu, op->dst), b = (uint##S##_t)(int64_t)op->disp;           \
                                                                                                   \
		cc_set(cpu, CC_SUB##S, SX##S(a - b), b);                                           \
		TAKE_IF(test(S));                                                                  \
	}                                                                                          \
	OP_MEMORY(cmp_rm_j##cc##S, {                                                               \
		uint##S##_t a = rd##S(cpu, op->dst), b;                                            \
                                                                                                   \
		MEMORY_LOAD(S, b, op_ea_simple(cpu, op));                                          \
		cc_set(cpu, CC_SUB##S, SX##S(a - b), b);                                           \
		TAKE_IF(test(S));                                                                  \
	})                                                                                         \
	OP_MEMORY(cmp_mr_j##cc##S, {                                                               \
		uint##S##_t a, b = rd##S(cpu, op->src);                                            \
                                                                                                   \
		MEMORY_LOAD(S, a, op_ea_simple(cpu, op));                                          \
		cc_set(cpu, CC_SUB##S, SX##S(a - b), b);                                           \
		TAKE_IF(test(S));                                                                  \
	})
#define TEST_B(S) (a < b)
#define TEST_AE(S) (a >= b)
#define TEST_E(S) (a == b)
#define TEST_NE(S) (a != b)
#define TEST_BE(S) (a <= b)
#define TEST_A(S) (a > b)
#define TEST_S(S) ((int##S##_t)(a - b) < 0)
#define TEST_NS(S) ((int##S##_t)(a - b) >= 0)
#define TEST_L(S) ((int##S##_t)a < (int##S##_t)b)
#define TEST_GE(S) ((int##S##_t)a >= (int##S##_t)b)
#define TEST_LE(S) ((int##S##_t)a <= (int##S##_t)b)
#define TEST_G(S) ((int##S##_t)a > (int##S##_t)b)
#define DEFINE_CMP_JCCS(S)                                                                         \
	DEFINE_CMP_JCC(b, S, TEST_B)                                                               \
	DEFINE_CMP_JCC(ae, S, TEST_AE)                                                             \
	DEFINE_CMP_JCC(e, S, TEST_E)                                                               \
	DEFINE_CMP_JCC(ne, S, TEST_NE)                                                             \
	DEFINE_CMP_JCC(be, S, TEST_BE)                                                             \
	DEFINE_CMP_JCC(a, S, TEST_A)                                                               \
	DEFINE_CMP_JCC(s, S, TEST_S)                                                               \
	DEFINE_CMP_JCC(ns, S, TEST_NS)                                                             \
	DEFINE_CMP_JCC(l, S, TEST_L)                                                               \
	DEFINE_CMP_JCC(ge, S, TEST_GE)                                                             \
	DEFINE_CMP_JCC(le, S, TEST_LE)                                                             \
	DEFINE_CMP_JCC(g, S, TEST_G)
FOR_SIZES(DEFINE_CMP_JCCS)

#define JCC_TABLE(name)                                                                            \
	{                                                                                          \
		[COND_B] = SIZES_OF(name##b), [COND_AE] = SIZES_OF(name##ae),                      \
		[COND_E] = SIZES_OF(name##e), [COND_NE] = SIZES_OF(name##ne),                      \
		[COND_BE] = SIZES_OF(name##be), [COND_A] = SIZES_OF(name##a),                      \
		[COND_S] = SIZES_OF(name##s), [COND_NS] = SIZES_OF(name##ns),                      \
		[COND_L] = SIZES_OF(name##l), [COND_GE] = SIZES_OF(name##ge),                      \
		[COND_LE] = SIZES_OF(name##le), [COND_G] = SIZES_OF(name##g),                      \
	}
op_fn *const x86_cmp_rr_jcc[16][4] = JCC_TABLE(cmp_rr_j);
op_fn *const x86_cmp_ri_jcc[16][4] = JCC_TABLE(cmp_ri_j);
op_fn *const x86_cmp_rm_jcc[16][4] = JCC_TABLE(cmp_rm_j);
op_fn *const x86_cmp_mr_jcc[16][4] = JCC_TABLE(cmp_mr_j);

/* After TEST, CF and OF are clear, so the signed conditions look at the sign alone. */
#define DEFINE_TEST_JCC(cc, S, test)                                                               \
	static OP(test_rr_j##cc##S)                                                                \
	{                                                                                          \
		int##S##_t r = (int##S##_t)(rd##S(cpu, op->dst) & rd##S(cpu, op->src));            \
                                                                                                   \
		cc_set(cpu, CC_RES, SX##S(r), 0);                                                  \
		TAKE_IF(test);                                                                     \
	}                                                                                          \
	static OP(test_ri_j##cc##S)                                                                \
	{                                                                                          \
		int##S##_t r = (int##S##_t)(rd##S(cpu, op->dst) & (uint##S##_t)(int64_t)op->disp); \
                                                                                                   \
		cc_set(cpu, CC_RES, SX##S(r), 0);                                                  \
		TAKE_IF(test);                                                                     \
	}
#define DEFINE_TEST_JCCS(S)                                                                        \
	DEFINE_TEST_JCC(e, S, r == 0)                                                              \
	DEFINE_TEST_JCC(ne, S, r != 0)                                                             \
	DEFINE_TEST_JCC(s, S, r < 0)                                                               \
	DEFINE_TEST_JCC(ns, S, r >= 0)                                                             \
	DEFINE_TEST_JCC(le, S, r <= 0)                                                             \
	DEFINE_TEST_JCC(g, S, r > 0)
FOR_SIZES(DEFINE_TEST_JCCS)
#define TEST_JCC_TABLE(name)                                                                       \
	{                                                                                          \
		[COND_E] = SIZES_OF(name##e), [COND_NE] = SIZES_OF(name##ne),                      \
		[COND_S] = SIZES_OF(name##s), [COND_NS] = SIZES_OF(name##ns),                      \
		[COND_L] = SIZES_OF(name##s), [COND_GE] = SIZES_OF(name##ns),                      \
		[COND_LE] = SIZES_OF(name##le), [COND_G] = SIZES_OF(name##g),                      \
	}
op_fn *const x86_test_rr_jcc[16][4] = TEST_JCC_TABLE(test_rr_j);
op_fn *const x86_test_ri_jcc[16][4] = TEST_JCC_TABLE(test_ri_j);
