/* SPDX-License-Identifier: MIT */
/* Finding a row, and MXCSR. */
#include "simd/simd-op.h"

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
		return simd_host_has(row->feature) ? row : &simd_portable_rows[low];
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

/*
 * With an exception that is not masked, the portable function is run, which is told what is not
 * masked: a tiny result is an underflow then even if it is exact, FTZ does not apply, and what
 * consists of several operations stops at the first that traps.
 *
 * Exceptions are found before a result (invalid, denormal, division by zero) or after it
 * (overflow, underflow, inexact); if one of the first kind in any lane is not masked, the
 * second kind is not looked for.
 */
bool simd_run_checked(const struct simd_row *row, union x86_vec *dst, const union x86_vec *src,
                      uint8_t imm, struct x86_fp_env *env)
{
	const size_t index = row >= simd_rows && row < simd_rows + simd_row_count
	                             ? (size_t)(row - simd_rows)
	                             : (size_t)(row - simd_portable_rows);
	struct x86_fp_env work = *env;
	const union x86_vec source = *src;
	union x86_vec result = *dst;
	uint32_t flags;

	work.entered = false;
	work.staged = false;
	work.mxcsr = simd_get_mxcsr(env) & ~MXCSR_FLAGS;
	simd_portable_rows[index].fn(&result, &source, imm, &work);
	flags = work.mxcsr & MXCSR_FLAGS;
	if (!work.staged)
		flags = simd_stage_flags(&work, flags);
	simd_set_mxcsr(env, env->mxcsr | flags);
	if (flags & env->unmasked)
		return true;
	*dst = result;
	env->eflags = work.eflags;
	return false;
}
