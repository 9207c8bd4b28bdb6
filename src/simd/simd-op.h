/* SPDX-License-Identifier: MIT */
/* What simd-host.h, simd-portable.h and simd-ops.h are written in. */
#ifndef WSLX_SIMD_OP_H
#define WSLX_SIMD_OP_H

#include "simd/simd.h"

#define SIMD_OP(name)                                                                              \
	static inline void op_##name(union x86_vec *dst, const union x86_vec *src, uint8_t imm,    \
	                             struct x86_fp_env *env)

#define SIMD_EFLAGS_CF 0x001u
#define SIMD_EFLAGS_PF 0x004u
#define SIMD_EFLAGS_AF 0x010u
#define SIMD_EFLAGS_ZF 0x040u
#define SIMD_EFLAGS_SF 0x080u
#define SIMD_EFLAGS_OF 0x800u
#define SIMD_EFLAGS_BITS 0x8d5u

/* Of the flags that one stage of an operation raised: those that are reported. */
static inline uint32_t simd_stage_flags(const struct x86_fp_env *env, uint32_t raised)
{
	const uint32_t before_result = MXCSR_IE | MXCSR_DE | MXCSR_ZE;

	return raised & env->unmasked & before_result ? raised & before_result : raised;
}

/* Can the host's own instructions of this feature be used? */
bool simd_host_has(enum simd_feature feature);

/**
 * simd_pcmpstr() - PCMPESTRx and PCMPISTRx
 * @explicit_length: lengths are in env->rax and env->rdx, else strings end at a zero
 * @mask:            leave a mask in XMM0, else an index in env->ecx
 */
void simd_pcmpstr(const union x86_vec *a, const union x86_vec *b, uint8_t imm,
                  struct x86_fp_env *env, bool explicit_length, bool mask);

/*
 * What a file with a table is made of: simd-rows.h names the rows, the including file has
 * defined the op_ functions.
 */
#define SIMD_ROW(...) SIMD_ROW_INIT(__VA_ARGS__),
#define SIMD_ROW_INIT(op, text, map_, opcode_, prefix_, sub_, w_, mod_, form_, bytes_, feature_,   \
                      ...)                                                                         \
	{                                                                                          \
		.name = text, .fn = op_##op, .map = SIMD_##map_, .opcode = opcode_,                \
		.prefix = SIMD_##prefix_, .sub = sub_, .w = w_, .mod = SIMD_##mod_,                \
		.form = SIMD_##form_, .bytes = bytes_, .feature = SIMD_F_##feature_,               \
		.flags = __VA_ARGS__,                                                              \
	}

#endif
