/* SPDX-License-Identifier: MIT */
/*
 * Handlers by operand form, as the decoder finds them, and what they are written with.
 *
 * In tables: size 0..3 is 1, 2, 4, 8 bytes; "nf" 1 is the variant that sets no flags.
 * Forms: rr, ri: register with register or immediate; rm: register with memory; mr, mi:
 * memory with register or immediate; r, m: one operand.
 */
#ifndef WSLX_X86_OPS_H
#define WSLX_X86_OPS_H

#include "x86/flags.h"
#include "x86/mem.h"
#include "x86/x86-int.h"

#define DEFINE_REG(bits)                                                                           \
	INLINE uint##bits##_t rd##bits(const struct x86_cpu *cpu, unsigned offset)                 \
	{                                                                                          \
		return *(const uint##bits##_t *)((const char *)cpu + offset);                      \
	}
DEFINE_REG(8)
DEFINE_REG(16)
DEFINE_REG(32)
DEFINE_REG(64)
#undef DEFINE_REG

INLINE void wr8(struct x86_cpu *cpu, unsigned offset, uint8_t v)
{
	*(uint8_t *)((char *)cpu + offset) = v;
}
INLINE void wr16(struct x86_cpu *cpu, unsigned offset, uint16_t v)
{
	*(uint16_t *)((char *)cpu + offset) = v;
}
INLINE void wr32(struct x86_cpu *cpu, unsigned offset, uint32_t v)
{
	*(uint64_t *)((char *)cpu + offset) = v;
}
INLINE void wr64(struct x86_cpu *cpu, unsigned offset, uint64_t v)
{
	*(uint64_t *)((char *)cpu + offset) = v;
}

/* Sign-extension of a value of so many bits, as cc_res wants it. */
#define SX8(v) ((uint64_t)(int64_t)(int8_t)(v))
#define SX16(v) ((uint64_t)(int64_t)(int16_t)(v))
#define SX32(v) ((uint64_t)(int64_t)(int32_t)(v))
#define SX64(v) ((uint64_t)(v))
#define SIZE8 0
#define SIZE16 1
#define SIZE32 2
#define SIZE64 3

#define FOR_SIZES(M)                                                                               \
	M(8)                                                                                       \
	M(16)                                                                                      \
	M(32)                                                                                      \
	M(64)
#define FOR_WIDE_SIZES(M)                                                                          \
	M(16)                                                                                      \
	M(32)                                                                                      \
	M(64)
#define SIZES_OF(name)                                                                             \
	{                                                                                          \
		name##8, name##16, name##32, name##64                                              \
	}
#define EAS_OF(name)                                                                               \
	{                                                                                          \
		name##_b, name##_x, name##_g                                                       \
	}
/* A memory handler for each kind of address; its body uses `kind`. */
#define OP_EAS(name, ...)                                                                          \
	OP_MEMORY(name##_b, const enum ea_kind kind = EA_BASE; __VA_ARGS__)                        \
	OP_MEMORY(name##_x, const enum ea_kind kind = EA_INDEX; __VA_ARGS__)                       \
	OP_MEMORY(name##_g, const enum ea_kind kind = EA_GENERAL; __VA_ARGS__)

enum alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };

extern op_fn *const x86_alu_rr[2][8][4], *const x86_alu_ri[2][8][4];
extern op_fn *const x86_alu_rm[8][4][EA_KINDS], *const x86_alu_mr[8][4][EA_KINDS];
extern op_fn *const x86_alu_mi[8][4][EA_KINDS];
extern op_fn *const x86_test_rr[4], *const x86_test_ri[4];
extern op_fn *const x86_test_mr[4][EA_KINDS], *const x86_test_mi[4][EA_KINDS];
extern op_fn *const x86_inc_r[2][4], *const x86_dec_r[2][4];
extern op_fn *const x86_inc_m[4][EA_KINDS], *const x86_dec_m[4][EA_KINDS];
extern op_fn *const x86_neg_r[4], *const x86_neg_m[4], *const x86_not_r[4], *const x86_not_m[4];
/* mul, imul, div, idiv of rAX */
extern op_fn *const x86_muldiv_r[4][4], *const x86_muldiv_m[4][4];
extern op_fn *const x86_imul_rr[2][4], *const x86_imul_rm[4];
extern op_fn *const x86_imul_rri[2][4], *const x86_imul_rmi[4]; /* dst = src or memory * imm */

/* Compare and jump in one; NULL where there is no such pair. [cond][size] */
extern op_fn *const x86_cmp_rr_jcc[16][4], *const x86_cmp_ri_jcc[16][4];
extern op_fn *const x86_test_rr_jcc[16][4], *const x86_test_ri_jcc[16][4];
extern op_fn *const x86_cmp_rm_jcc[16][4], *const x86_cmp_mr_jcc[16][4];

enum shift { SH_ROL, SH_ROR, SH_RCL, SH_RCR, SH_SHL, SH_SHR, SH_SAL, SH_SAR };
extern op_fn *const x86_shift_ri[2][8][4]; /* count, masked and not 0, in imm */
extern op_fn *const x86_shift_rc[8][4];    /* by CL */
extern op_fn *const x86_shift_mi[8][4], *const x86_shift_mc[8][4];
extern op_fn *const x86_touch_m[4];
/* [0: SHLD, 1: SHRD][size]; count in aux for i, CL for c */
extern op_fn *const x86_shd_ri[2][4], *const x86_shd_rc[2][4];
extern op_fn *const x86_shd_mi[2][4], *const x86_shd_mc[2][4];
/* bt, bts, btr, btc */
extern op_fn *const x86_bt_rr[4][4], *const x86_bt_ri[4][4];
extern op_fn *const x86_bt_mr[4][4], *const x86_bt_mi[4][4];
/* bsf, bsr */
extern op_fn *const x86_bsx_r[2][4], *const x86_bsx_m[2][4];
extern op_fn *const x86_popcnt_r[4], *const x86_popcnt_m[4];
extern op_fn *const x86_crc32_r[4], *const x86_crc32_m[4];
OP(x86_op_bswap32);
OP(x86_op_bswap64);

extern op_fn *const x86_mov_rr[4], *const x86_mov_ri[4];
extern op_fn *const x86_mov_rm[4][EA_KINDS], *const x86_mov_mr[4][EA_KINDS];
extern op_fn *const x86_mov_mi[4][EA_KINDS];
/* [signed][source size][destination size] */
extern op_fn *const x86_movx_r[2][3][4];
extern op_fn *const x86_movx_m[2][3][4][EA_KINDS];
extern op_fn *const x86_lea[4][EA_KINDS];
extern op_fn *const x86_movbe_rm[4], *const x86_movbe_mr[4];
extern op_fn *const x86_cmov_r[16][4], *const x86_cmov_m[16][4];
extern op_fn *const x86_set_r[16], *const x86_set_m[16];
extern op_fn *const x86_xchg_rr[4], *const x86_xchg_mr[4];
extern op_fn *const x86_xadd_rr[4], *const x86_xadd_mr[4];
extern op_fn *const x86_cmpxchg_rr[4], *const x86_cmpxchg_mr[4];
OP(x86_op_cmpxchg8b);
OP(x86_op_cmpxchg16b);
OP(x86_op_nop);
extern op_fn *const x86_cbw[4], *const x86_cwd[4];
OP(x86_op_lahf);
OP(x86_op_sahf);
OP(x86_op_salc);
OP(x86_op_cmc);
OP(x86_op_clc);
OP(x86_op_stc);
OP(x86_op_cld);
OP(x86_op_std);
OP(x86_op_xlat);
OP(x86_op_aaa);
OP(x86_op_aas);
OP(x86_op_aam);
OP(x86_op_aad);
OP(x86_op_daa);
OP(x86_op_das);
OP(x86_op_bound);
OP(x86_op_into);
OP(x86_op_arpl);

/* Stack. The plain ones are for 64-bit code; "any" takes operand size from aux, mode from cpu. */
OP(x86_op_push_r);
OP(x86_op_push_i);
OP(x86_op_push_m);
OP(x86_op_pop_r);
OP(x86_op_push_r_any);
OP(x86_op_push_i_any);
OP(x86_op_push_m_any);
OP(x86_op_pop_r_any);
OP(x86_op_pop_m_any);
OP(x86_op_push_seg);
OP(x86_op_pop_seg);
OP(x86_op_pusha);
OP(x86_op_popa);
OP(x86_op_pushf);
OP(x86_op_popf);
OP(x86_op_enter);
OP(x86_op_leave);
OP(x86_op_leave_any);

/*
 * One push or pop of the operand size @size, by the mode's stack address size. A pop that may
 * still fault later is x86_stack_peek() and then x86_stack_add().
 */
void x86_push(struct x86_cpu *cpu, const struct op *op, unsigned size, uint64_t value);
uint64_t x86_stack_peek(struct x86_cpu *cpu, const struct op *op, unsigned size, uint64_t offset);
void x86_stack_add(struct x86_cpu *cpu, uint64_t bytes);

/* Jumps: link is the target. */
extern op_fn *const x86_jcc[16];
OP(x86_op_jmp);
OP(x86_op_fall); /* the end of a trace that is no instruction */
OP(x86_op_call);
OP(x86_op_ret);
OP(x86_op_ret_imm);
OP(x86_op_jmp_r);
OP(x86_op_jmp_m);
OP(x86_op_call_r);
OP(x86_op_call_m);
OP(x86_op_jmp_rel_any); /* 16- and 32-bit code: target RIP is next + imm, size in aux */
OP(x86_op_jcc_rel_any); /* condition in src */
OP(x86_op_call_any);
OP(x86_op_ret_any);
OP(x86_op_jmp_r_any);
OP(x86_op_jmp_m_any);
OP(x86_op_call_r_any);
OP(x86_op_call_m_any);
OP(x86_op_loop); /* LOOPNE, LOOPE, LOOP, JrCXZ by src; address size in aux; target in imm */
OP(x86_op_step_end);

/* String instructions: size in aux (0..3), segment in ea, address size in flags, rep in src. */
OP(x86_op_movs);
OP(x86_op_stos);
OP(x86_op_lods);
OP(x86_op_cmps);
OP(x86_op_scas);
OP(x86_op_ins);
OP(x86_op_outs);

/* System. */
OP(x86_op_gp);
OP(x86_op_int3);
OP(x86_op_int1);
OP(x86_op_int);
OP(x86_op_hlt);
OP(x86_op_cli);
OP(x86_op_sti);
OP(x86_op_in);
OP(x86_op_out);
OP(x86_op_iret);
OP(x86_op_far_ret);
OP(x86_op_far_jmp_m);
OP(x86_op_far_call_m);
OP(x86_op_far_jmp_imm);
OP(x86_op_far_call_imm);
OP(x86_op_syscall);
OP(x86_op_sysret);
OP(x86_op_sysenter);
OP(x86_op_sysexit);
OP(x86_op_mov_from_seg_r);
OP(x86_op_mov_from_seg_m);
OP(x86_op_mov_to_seg_r);
OP(x86_op_mov_to_seg_m);
OP(x86_op_load_far); /* LES, LDS, LSS, LFS, LGS: segment in src */
OP(x86_op_sldt);     /* SLDT, STR, SMSW by src = 0, 1, 2 */
OP(x86_op_lldt);
OP(x86_op_ltr);
OP(x86_op_verx); /* VERR, VERW by src */
OP(x86_op_lar);  /* LAR, LSL by aux */
OP(x86_op_sgdt);
OP(x86_op_sidt);
OP(x86_op_lgdt);
OP(x86_op_lidt);
OP(x86_op_lmsw);
OP(x86_op_clts);
OP(x86_op_invlpg);
OP(x86_op_invpcid);
OP(x86_op_swapgs);
OP(x86_op_mov_from_cr);
OP(x86_op_mov_to_cr);
OP(x86_op_mov_from_dr);
OP(x86_op_mov_to_dr);
OP(x86_op_rdmsr);
OP(x86_op_wrmsr);
OP(x86_op_rdtsc);
OP(x86_op_rdtscp);
OP(x86_op_rdpid);
OP(x86_op_rdpmc);
OP(x86_op_cpuid);
OP(x86_op_wbinvd);
OP(x86_op_clflush);
OP(x86_op_xgetbv);
OP(x86_op_xsetbv);
OP(x86_op_clac);
OP(x86_op_stac);
OP(x86_op_fsgsbase); /* RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE by src; operand size in aux */
OP(x86_op_rdrand);   /* and RDSEED */

#endif
