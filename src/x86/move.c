/* SPDX-License-Identifier: MIT */
/*
 * Moves, conditional moves, exchanges, stack, flag bits and the decimal instructions.
 */
#include "x86/ops.h"

#define WIDE_SIZES_OF(name)                                                                        \
	{                                                                                          \
		NULL, name##16, name##32, name##64                                                 \
	}
#define EA_SIZES_OF(name)                                                                          \
	{                                                                                          \
		EAS_OF(name##8), EAS_OF(name##16), EAS_OF(name##32), EAS_OF(name##64)              \
	}

#define DEFINE_MOV(S)                                                                              \
	static OP(mov_rr##S)                                                                       \
	{                                                                                          \
		wr##S(cpu, op->dst, rd##S(cpu, op->src));                                          \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(mov_ri##S)                                                                       \
	{                                                                                          \
		wr##S(cpu, op->dst, (uint##S##_t)op->imm);                                         \
		NEXT;                                                                              \
	}                                                                                          \
	OP_EAS(mov_rm##S, {                                                                        \
		uint##S##_t v;                                                                     \
                                                                                                   \
		MEMORY_LOAD(S, v, op_ea(cpu, op, kind, S / 8, false));                             \
		wr##S(cpu, op->dst, v);                                                            \
		NEXT;                                                                              \
	})                                                                                         \
	OP_EAS(mov_mr##S, {                                                                        \
		MEMORY_STORE(S, op_ea(cpu, op, kind, S / 8, true), rd##S(cpu, op->src));           \
		NEXT;                                                                              \
	})                                                                                         \
	OP_EAS(mov_mi##S, {                                                                        \
		MEMORY_STORE(S, op_ea(cpu, op, kind, S / 8, true), (uint##S##_t)op->imm);          \
		NEXT;                                                                              \
	})
FOR_SIZES(DEFINE_MOV)
op_fn *const x86_mov_rr[4] = SIZES_OF(mov_rr), *const x86_mov_ri[4] = SIZES_OF(mov_ri);
op_fn *const x86_mov_rm[4][EA_KINDS] = EA_SIZES_OF(mov_rm);
op_fn *const x86_mov_mr[4][EA_KINDS] = EA_SIZES_OF(mov_mr);
op_fn *const x86_mov_mi[4][EA_KINDS] = EA_SIZES_OF(mov_mi);

#define DEFINE_MOVX(F, T)                                                                          \
	static OP(movzx_r##F##_##T)                                                                \
	{                                                                                          \
		wr##T(cpu, op->dst, rd##F(cpu, op->src));                                          \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(movsx_r##F##_##T)                                                                \
	{                                                                                          \
		wr##T(cpu, op->dst, (uint##T##_t)(int##T##_t)(int##F##_t)rd##F(cpu, op->src));     \
		NEXT;                                                                              \
	}                                                                                          \
	OP_EAS(movzx_m##F##_##T, {                                                                 \
		uint##F##_t v;                                                                     \
                                                                                                   \
		MEMORY_LOAD(F, v, op_ea(cpu, op, kind, F / 8, false));                             \
		wr##T(cpu, op->dst, v);                                                            \
		NEXT;                                                                              \
	})                                                                                         \
	OP_EAS(movsx_m##F##_##T, {                                                                 \
		uint##F##_t v;                                                                     \
                                                                                                   \
		MEMORY_LOAD(F, v, op_ea(cpu, op, kind, F / 8, false));                             \
		wr##T(cpu, op->dst, (uint##T##_t)(int##T##_t)(int##F##_t)v);                       \
		NEXT;                                                                              \
	})
DEFINE_MOVX(8, 16)
DEFINE_MOVX(8, 32)
DEFINE_MOVX(8, 64)
DEFINE_MOVX(16, 16)
DEFINE_MOVX(16, 32)
DEFINE_MOVX(16, 64)
DEFINE_MOVX(32, 32)
DEFINE_MOVX(32, 64)
#define MOVX_R(name)                                                                               \
	{                                                                                          \
		{NULL, name##8_16, name##8_32, name##8_64},                                        \
			{NULL, name##16_16, name##16_32, name##16_64},                             \
		{                                                                                  \
			NULL, NULL, name##32_32, name##32_64                                       \
		}                                                                                  \
	}
#define MOVX_M(name)                                                                               \
	{                                                                                          \
		{{NULL}, EAS_OF(name##8_16), EAS_OF(name##8_32), EAS_OF(name##8_64)},              \
			{{NULL}, EAS_OF(name##16_16), EAS_OF(name##16_32), EAS_OF(name##16_64)},   \
		{                                                                                  \
			{NULL}, {NULL}, EAS_OF(name##32_32), EAS_OF(name##32_64)                   \
		}                                                                                  \
	}
op_fn *const x86_movx_r[2][3][4] = {MOVX_R(movzx_r), MOVX_R(movsx_r)};
op_fn *const x86_movx_m[2][3][4][EA_KINDS] = {MOVX_M(movzx_m), MOVX_M(movsx_m)};

#define DEFINE_LEA(S)                                                                              \
	static OP(lea##S##_b)                                                                      \
	{                                                                                          \
		wr##S(cpu, op->dst, (uint##S##_t)op_ea(cpu, op, EA_BASE, 0, false));               \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(lea##S##_x)                                                                      \
	{                                                                                          \
		wr##S(cpu, op->dst, (uint##S##_t)op_ea(cpu, op, EA_INDEX, 0, false));              \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(lea##S##_g)                                                                      \
	{                                                                                          \
		wr##S(cpu, op->dst, (uint##S##_t)x86_ea_offset(cpu, op));                          \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(movbe_rm##S)                                                                     \
	{                                                                                          \
		wr##S(cpu, op->dst,                                                                \
		      __builtin_bswap##S(load##S(cpu, op, op_ea_any(cpu, op, S / 8, false))));     \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(movbe_mr##S)                                                                     \
	{                                                                                          \
		store##S(cpu, op, op_ea_any(cpu, op, S / 8, true),                                 \
		         __builtin_bswap##S(rd##S(cpu, op->src)));                                 \
		NEXT;                                                                              \
	}
FOR_WIDE_SIZES(DEFINE_LEA)
op_fn *const x86_lea[4][EA_KINDS] = {{NULL}, EAS_OF(lea16), EAS_OF(lea32), EAS_OF(lea64)};
op_fn *const x86_movbe_rm[4] = WIDE_SIZES_OF(movbe_rm);
op_fn *const x86_movbe_mr[4] = WIDE_SIZES_OF(movbe_mr);

/* ---- by condition ---------------------------------------------------------------------- */

#define FOR_CONDS(M)                                                                               \
	M(o, COND_O)                                                                               \
	M(no, COND_NO)                                                                             \
	M(b, COND_B)                                                                               \
	M(ae, COND_AE)                                                                             \
	M(e, COND_E)                                                                               \
	M(ne, COND_NE)                                                                             \
	M(be, COND_BE)                                                                             \
	M(a, COND_A)                                                                               \
	M(s, COND_S)                                                                               \
	M(ns, COND_NS)                                                                             \
	M(p, COND_P)                                                                               \
	M(np, COND_NP)                                                                             \
	M(l, COND_L)                                                                               \
	M(ge, COND_GE)                                                                             \
	M(le, COND_LE)                                                                             \
	M(g, COND_G)
#define CONDS_OF(M)                                                                                \
	{                                                                                          \
		M(o), M(no), M(b), M(ae), M(e), M(ne), M(be), M(a), M(s), M(ns), M(p), M(np),      \
			M(l), M(ge), M(le), M(g)                                                   \
	}

/* A 32-bit CMOV clears the upper half whether it moves or not; the load is always done. */
#define DEFINE_CMOV(cc, cond, S)                                                                   \
	static OP(cmov##cc##_r##S)                                                                 \
	{                                                                                          \
		uint##S##_t b = rd##S(cpu, op->src), a = rd##S(cpu, op->dst);                      \
                                                                                                   \
		wr##S(cpu, op->dst, cc_cond(cpu, cond) ? b : a);                                   \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(cmov##cc##_m##S)                                                                 \
	{                                                                                          \
		uint##S##_t b = load##S(cpu, op, op_ea_any(cpu, op, S / 8, false));                \
		uint##S##_t a = rd##S(cpu, op->dst);                                               \
                                                                                                   \
		wr##S(cpu, op->dst, cc_cond(cpu, cond) ? b : a);                                   \
		NEXT;                                                                              \
	}
#define DEFINE_BY_COND(cc, cond)                                                                   \
	DEFINE_CMOV(cc, cond, 16)                                                                  \
	DEFINE_CMOV(cc, cond, 32)                                                                  \
	DEFINE_CMOV(cc, cond, 64)                                                                  \
	static OP(set##cc##_r)                                                                     \
	{                                                                                          \
		wr8(cpu, op->dst, cc_cond(cpu, cond));                                             \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(set##cc##_m)                                                                     \
	{                                                                                          \
		store8(cpu, op, op_ea_any(cpu, op, 1, true), cc_cond(cpu, cond));                  \
		NEXT;                                                                              \
	}
FOR_CONDS(DEFINE_BY_COND)
#define CMOV_R(cc) WIDE_SIZES_OF(cmov##cc##_r)
#define CMOV_M(cc) WIDE_SIZES_OF(cmov##cc##_m)
#define SET_R(cc) set##cc##_r
#define SET_M(cc) set##cc##_m
op_fn *const x86_cmov_r[16][4] = CONDS_OF(CMOV_R), *const x86_cmov_m[16][4] = CONDS_OF(CMOV_M);
op_fn *const x86_set_r[16] = CONDS_OF(SET_R), *const x86_set_m[16] = CONDS_OF(SET_M);

/* ---- exchanges ------------------------------------------------------------------------- */

#define DEFINE_XCHG(S)                                                                             \
	static OP(xchg_rr##S)                                                                      \
	{                                                                                          \
		uint##S##_t a = rd##S(cpu, op->dst), b = rd##S(cpu, op->src);                      \
                                                                                                   \
		wr##S(cpu, op->dst, b);                                                            \
		wr##S(cpu, op->src, a);                                                            \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(xchg_mr##S)                                                                      \
	{                                                                                          \
		uint64_t linear = op_ea_any(cpu, op, S / 8, true);                                 \
		guest##S##_t *host = rmw_begin(cpu, op, linear, S / 8);                            \
		uint##S##_t old = *host;                                                           \
                                                                                                   \
		*host = rd##S(cpu, op->src);                                                       \
		rmw_end(cpu, op, host, linear, S / 8);                                             \
		wr##S(cpu, op->src, old);                                                          \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(xadd_rr##S)                                                                      \
	{                                                                                          \
		uint##S##_t a = rd##S(cpu, op->dst), b = rd##S(cpu, op->src);                      \
		uint##S##_t r = (uint##S##_t)(a + b);                                              \
                                                                                                   \
		wr##S(cpu, op->src, a);                                                            \
		wr##S(cpu, op->dst, r);                                                            \
		cc_set(cpu, CC_ADD##S, SX##S(r), b);                                               \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(xadd_mr##S)                                                                      \
	{                                                                                          \
		uint64_t linear = op_ea_any(cpu, op, S / 8, true);                                 \
		guest##S##_t *host = rmw_begin(cpu, op, linear, S / 8);                            \
		uint##S##_t a = *host, b = rd##S(cpu, op->src), r = (uint##S##_t)(a + b);          \
                                                                                                   \
		*host = r;                                                                         \
		rmw_end(cpu, op, host, linear, S / 8);                                             \
		wr##S(cpu, op->src, a);                                                            \
		cc_set(cpu, CC_ADD##S, SX##S(r), b);                                               \
		NEXT;                                                                              \
	}                                                                                          \
	/* A 32-bit CMPXCHG that fails clears EAX's upper half but not the destination's. */       \
	static OP(cmpxchg_rr##S)                                                                   \
	{                                                                                          \
		uint##S##_t acc = rd##S(cpu, REG(X86_RAX)), old = rd##S(cpu, op->dst);             \
                                                                                                   \
		cc_set(cpu, CC_SUB##S, SX##S(acc - old), old);                                     \
		if (acc == old)                                                                    \
			wr##S(cpu, op->dst, rd##S(cpu, op->src));                                  \
		else                                                                               \
			wr##S(cpu, REG(X86_RAX), old);                                             \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(cmpxchg_mr##S)                                                                   \
	{                                                                                          \
		uint64_t linear = op_ea_any(cpu, op, S / 8, true);                                 \
		guest##S##_t *host = rmw_begin(cpu, op, linear, S / 8);                            \
		uint##S##_t acc = rd##S(cpu, REG(X86_RAX)), old = *host;                           \
                                                                                                   \
		if (acc == old)                                                                    \
			*host = rd##S(cpu, op->src);                                               \
		rmw_end(cpu, op, host, linear, S / 8);                                             \
		if (acc != old)                                                                    \
			wr##S(cpu, REG(X86_RAX), old);                                             \
		cc_set(cpu, CC_SUB##S, SX##S(acc - old), old);                                     \
		NEXT;                                                                              \
	}
FOR_SIZES(DEFINE_XCHG)
op_fn *const x86_xchg_rr[4] = SIZES_OF(xchg_rr), *const x86_xchg_mr[4] = SIZES_OF(xchg_mr);
op_fn *const x86_xadd_rr[4] = SIZES_OF(xadd_rr), *const x86_xadd_mr[4] = SIZES_OF(xadd_mr);
op_fn *const x86_cmpxchg_rr[4] = SIZES_OF(cmpxchg_rr);
op_fn *const x86_cmpxchg_mr[4] = SIZES_OF(cmpxchg_mr);

static void set_zf(struct x86_cpu *cpu, bool zf)
{
	cc_set_explicit(cpu, (cc_flags(cpu) & ~(uint64_t)EFLAGS_ZF) | (zf ? EFLAGS_ZF : 0));
}

OP(x86_op_cmpxchg8b)
{
	uint64_t linear = op_ea_any(cpu, op, 8, true);
	uint64_t acc = (uint64_t)rd32(cpu, REG(X86_RDX)) << 32 | rd32(cpu, REG(X86_RAX));
	guest64_t *host = rmw_begin(cpu, op, linear, 8);
	uint64_t old = *host;

	if (acc == old)
		*host = (uint64_t)rd32(cpu, REG(X86_RCX)) << 32 | rd32(cpu, REG(X86_RBX));
	rmw_end(cpu, op, host, linear, 8);
	if (acc != old) {
		wr32(cpu, REG(X86_RAX), (uint32_t)old);
		wr32(cpu, REG(X86_RDX), (uint32_t)(old >> 32));
	}
	set_zf(cpu, acc == old);
	NEXT;
}

OP(x86_op_cmpxchg16b)
{
	uint64_t linear = op_ea_any(cpu, op, 16, true), low, high;
	guest64_t *host;
	bool equal;

	if (linear & 15)
		x86_raise_at(cpu, op, VEC_GP, 0);
	host = rmw_begin(cpu, op, linear, 16);
	low = host[0];
	high = host[1];
	equal = low == cpu->reg[X86_RAX] && high == cpu->reg[X86_RDX];
	if (equal) {
		host[0] = cpu->reg[X86_RBX];
		host[1] = cpu->reg[X86_RCX];
	}
	rmw_end(cpu, op, host, linear, 16);
	if (!equal) {
		cpu->reg[X86_RAX] = low;
		cpu->reg[X86_RDX] = high;
	}
	set_zf(cpu, equal);
	NEXT;
}

/* ---- small ones ------------------------------------------------------------------------ */

OP(x86_op_nop)
{
	NEXT;
}

static OP(cbw16)
{
	wr16(cpu, REG(X86_RAX), (uint16_t)(int8_t)rd8(cpu, REG(X86_RAX)));
	NEXT;
}
static OP(cbw32)
{
	wr32(cpu, REG(X86_RAX), (uint32_t)(int16_t)rd16(cpu, REG(X86_RAX)));
	NEXT;
}
static OP(cbw64)
{
	wr64(cpu, REG(X86_RAX), (uint64_t)(int64_t)(int32_t)rd32(cpu, REG(X86_RAX)));
	NEXT;
}
op_fn *const x86_cbw[4] = WIDE_SIZES_OF(cbw);

static OP(cwd16)
{
	wr16(cpu, REG(X86_RDX), (int16_t)rd16(cpu, REG(X86_RAX)) < 0 ? 0xffff : 0);
	NEXT;
}
static OP(cwd32)
{
	wr32(cpu, REG(X86_RDX), (int32_t)rd32(cpu, REG(X86_RAX)) < 0 ? UINT32_MAX : 0);
	NEXT;
}
static OP(cwd64)
{
	wr64(cpu, REG(X86_RDX), (int64_t)cpu->reg[X86_RAX] < 0 ? UINT64_MAX : 0);
	NEXT;
}
op_fn *const x86_cwd[4] = WIDE_SIZES_OF(cwd);

OP(x86_op_lahf)
{
	wr8(cpu, REG(X86_RAX) + 1, (uint8_t)((cc_flags(cpu) & 0xd5) | 2));
	NEXT;
}

OP(x86_op_sahf)
{
	cc_set_explicit(cpu, (cc_flags(cpu) & EFLAGS_OF) | (rd8(cpu, REG(X86_RAX) + 1) & 0xd5));
	NEXT;
}

OP(x86_op_salc)
{
	wr8(cpu, REG(X86_RAX), cc_cf(cpu) ? 0xff : 0);
	NEXT;
}

OP(x86_op_cmc)
{
	cc_set_explicit(cpu, cc_flags(cpu) ^ EFLAGS_CF);
	NEXT;
}

OP(x86_op_clc)
{
	cc_set_explicit(cpu, cc_flags(cpu) & ~(uint64_t)EFLAGS_CF);
	NEXT;
}

OP(x86_op_stc)
{
	cc_set_explicit(cpu, cc_flags(cpu) | EFLAGS_CF);
	NEXT;
}

OP(x86_op_cld)
{
	cpu->rflags &= ~(uint64_t)EFLAGS_DF;
	NEXT;
}

OP(x86_op_std)
{
	cpu->rflags |= EFLAGS_DF;
	NEXT;
}

/* The address is rBX + AL of the address size, through op->ea's segment. */
OP(x86_op_xlat)
{
	uint64_t offset = cpu->reg[X86_RBX] + rd8(cpu, REG(X86_RAX));

	if (!(op->flags & OP_ADDR64))
		offset = op->flags & OP_ADDR32 ? (uint32_t)offset : (uint16_t)offset;
	offset = x86_seg_linear(cpu, op, (enum x86_sreg)(op->ea >> 4), offset, 1, false);
	wr8(cpu, REG(X86_RAX), load8(cpu, op, offset));
	NEXT;
}

/* ---- decimal arithmetic (not in 64-bit code) -------------------------------------------- */

static void ascii_adjust(struct x86_cpu *cpu, bool add)
{
	uint16_t ax = rd16(cpu, REG(X86_RAX));
	bool adjust = (ax & 0xf) > 9 || cc_af(cpu);

	if (adjust)
		ax = (uint16_t)(add ? ax + 0x106 : ax - 0x106);
	wr16(cpu, REG(X86_RAX), ax & 0xff0f);
	cc_set(cpu, CC_RES, SX8(ax & 0xf), adjust ? EFLAGS_CF | EFLAGS_AF : 0);
}

OP(x86_op_aaa)
{
	ascii_adjust(cpu, true);
	NEXT;
}

OP(x86_op_aas)
{
	ascii_adjust(cpu, false);
	NEXT;
}

OP(x86_op_aam)
{
	uint8_t al = rd8(cpu, REG(X86_RAX)), by = (uint8_t)op->imm;

	if (by == 0)
		x86_raise_at(cpu, op, VEC_DE, 0);
	wr16(cpu, REG(X86_RAX), (uint16_t)((al / by) << 8 | al % by));
	cc_set(cpu, CC_RES, SX8(al % by), 0);
	NEXT;
}

OP(x86_op_aad)
{
	uint16_t ax = rd16(cpu, REG(X86_RAX));
	uint8_t al = (uint8_t)(ax + (ax >> 8) * (uint8_t)op->imm);

	wr16(cpu, REG(X86_RAX), al);
	cc_set(cpu, CC_RES, SX8(al), 0);
	NEXT;
}

static void decimal_adjust(struct x86_cpu *cpu, bool add)
{
	uint8_t old = rd8(cpu, REG(X86_RAX)), al = old;
	bool old_cf = cc_cf(cpu), cf = false, af = false;

	if ((al & 0xf) > 9 || cc_af(cpu)) {
		cf = old_cf || (add ? al > 0xf9 : al < 6);
		al = (uint8_t)(add ? al + 6 : al - 6);
		af = true;
	}
	if (old > 0x99 || old_cf) {
		al = (uint8_t)(add ? al + 0x60 : al - 0x60);
		cf = true;
	}
	wr8(cpu, REG(X86_RAX), al);
	cc_set(cpu, CC_RES, SX8(al), (cf ? EFLAGS_CF : 0) | (af ? EFLAGS_AF : 0));
}

OP(x86_op_daa)
{
	decimal_adjust(cpu, true);
	NEXT;
}

OP(x86_op_das)
{
	decimal_adjust(cpu, false);
	NEXT;
}
