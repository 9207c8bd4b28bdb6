/* SPDX-License-Identifier: MIT */
/* Finding a row, and MXCSR. */
#include "x86/simd-op.h"

#if X86_HOST_FP
#include <cpuid.h>

static inline uint32_t host_mxcsr(void)
{
	uint32_t value;

	__asm__ volatile("stmxcsr %0" : "=m"(value));
	return value;
}

static inline void set_host_mxcsr(uint32_t value)
{
	__asm__ volatile("ldmxcsr %0" : : "m"(value));
}

/* Bits of CPUID leaf 1 ECX, then of leaf 7 EBX, by feature; x86-64 itself implies SSE2. */
bool simd_host_has(enum simd_feature feature)
{
	uint32_t eax, ebx, ecx, edx;
	static uint32_t leaf1_ecx, leaf7_ebx;

	if (!leaf1_ecx) {
		uint32_t got = 0;

		if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
			leaf7_ebx = ebx;
		if (__get_cpuid(1, &eax, &ebx, &ecx, &edx))
			got = ecx;
		leaf1_ecx = got | 1u << 31; /* a bit that tells that we asked */
	}
	switch (feature) {
	case SIMD_F_SSE3:
		return leaf1_ecx & bit_SSE3;
	case SIMD_F_SSSE3:
		return leaf1_ecx & bit_SSSE3;
	case SIMD_F_SSE41:
		return leaf1_ecx & bit_SSE4_1;
	case SIMD_F_SSE42:
		return leaf1_ecx & bit_SSE4_2;
	case SIMD_F_AES:
		return leaf1_ecx & bit_AES;
	case SIMD_F_PCLMUL:
		return leaf1_ecx & bit_PCLMUL;
	case SIMD_F_SHA:
		return leaf7_ebx & bit_SHA;
	default:
		return true;
	}
}

#else

bool simd_host_has(enum simd_feature feature)
{
	return true;
}

#endif

const struct simd_row *simd_lookup(enum simd_map map, enum simd_prefix prefix, uint8_t opcode,
				   unsigned reg, bool memory, bool rex_w)
{
	size_t low = 0, high = simd_row_count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		const struct simd_row *row = &simd_rows[middle];

		if (row->map < map || (row->map == map && row->opcode < opcode))
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < simd_row_count; low++) {
		const struct simd_row *row = &simd_rows[low];

		if (row->map != map || row->opcode != opcode)
			return NULL;
		if (row->prefix != prefix || (row->sub != SIMD_SUB_ANY && row->sub != reg))
			continue;
		if ((row->w != SIMD_W_ANY && row->w != rex_w) ||
		    (row->mod != SIMD_ANY && (row->mod == SIMD_MEM) != memory))
			continue;
		return simd_host_has(row->feature) ? row : NULL;
	}
	return NULL;
}

/* ---- MXCSR ----------------------------------------------------------------------------- */

#if X86_HOST_FP
void simd_enter(struct x86_fp_env *env)
{
	if (env->entered)
		return;
	env->entered = true;
	set_host_mxcsr(env->mxcsr | MXCSR_MASKS);
}

void simd_leave(struct x86_fp_env *env)
{
	if (!env->entered)
		return;
	simd_get_mxcsr(env);
	env->entered = false;
	set_host_mxcsr(MXCSR_DEFAULT);
}

uint32_t simd_get_mxcsr(struct x86_fp_env *env)
{
	if (env->entered)
		env->mxcsr |= host_mxcsr() & MXCSR_FLAGS;
	return env->mxcsr;
}
#else
void simd_enter(struct x86_fp_env *env)
{
	env->entered = true;
}

void simd_leave(struct x86_fp_env *env)
{
	env->entered = false;
}

uint32_t simd_get_mxcsr(struct x86_fp_env *env)
{
	return env->mxcsr;
}
#endif

void simd_set_mxcsr(struct x86_fp_env *env, uint32_t value)
{
	env->mxcsr = value & MXCSR_VALID;
	env->unmasked = (uint8_t)(~value >> 7 & MXCSR_FLAGS);
#if X86_HOST_FP
	if (env->entered)
		set_host_mxcsr(env->mxcsr | MXCSR_MASKS);
#endif
}

/* Run with all exceptions masked and the flags clear; @mxcsr gives rounding, DAZ and FTZ. */
static uint32_t flags_of(const struct simd_row *row, union x86_vec *dst, const union x86_vec *src,
			 uint8_t imm, struct x86_fp_env *env, uint32_t mxcsr)
{
	simd_set_mxcsr(env, (mxcsr & ~MXCSR_FLAGS) | MXCSR_MASKS);
	row->fn(dst, src, imm, env);
	return simd_get_mxcsr(env) & MXCSR_FLAGS;
}

/*
 * An operation has pre-computation exceptions (invalid, denormal, division by zero) and
 * post-computation ones (overflow, underflow, inexact); if one of the first kind in any lane is
 * not masked, the second kind is not looked for.
 *
 * A masked underflow is reported for results that are tiny and inexact, an unmasked one for tiny
 * results, and FTZ applies only to masked ones. That a result is tiny is seen by flushing it to
 * zero, which always reports underflow.
 */
bool simd_run_checked(const struct simd_row *row, union x86_vec *dst, const union x86_vec *src,
		      uint8_t imm, struct x86_fp_env *env)
{
	const uint32_t mxcsr = simd_get_mxcsr(env), eflags = env->eflags;
	const uint32_t unmasked = env->unmasked, pre = MXCSR_IE | MXCSR_DE | MXCSR_ZE;
	const union x86_vec source = *src;
	union x86_vec result = *dst;
	uint32_t flags;

	flags = flags_of(row, &result, &source, imm, env,
			 unmasked & MXCSR_UE ? mxcsr & ~MXCSR_FTZ : mxcsr);
	if (unmasked & MXCSR_UE) {
		union x86_vec flushed = *dst;

		flags |= flags_of(row, &flushed, &source, imm, env, mxcsr | MXCSR_FTZ) & MXCSR_UE;
	}
	if (flags & unmasked & pre)
		flags &= pre;
	simd_set_mxcsr(env, mxcsr | flags);
	if (flags & unmasked) {
		env->eflags = eflags;
		return true;
	}
	*dst = result;
	return false;
}
