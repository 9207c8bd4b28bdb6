/* SPDX-License-Identifier: MIT */
/*
 * PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM: text comparison by an immediate.
 *
 *	imm[0]    words, not bytes
 *	imm[1]    signed elements
 *	imm[3:2]  equal any, ranges, equal each, equal ordered
 *	imm[4]    negate the result
 *	imm[5]    ... only where the second operand is valid
 *	imm[6]    index: the most significant bit; mask: expand bits to elements
 *
 * Source: the manual's chapter "Instruction formats, string and text processing (PCMPxSTRx)".
 */
#include "simd/simd-op.h"

enum aggregation { EQUAL_ANY, RANGES, EQUAL_EACH, EQUAL_ORDERED };

static int element(const union x86_vec *v, unsigned i, uint8_t imm)
{
	switch (imm & 3) {
	case 0:
		return v->b[i];
	case 1:
		return v->w[i];
	case 2:
		return v->sb[i];
	default:
		return v->sw[i];
	}
}

static unsigned explicit_count(int64_t length, unsigned elements)
{
	if (length < -(int64_t)elements || length > (int64_t)elements)
		return elements;
	return (unsigned)(length < 0 ? -length : length);
}

static unsigned implicit_count(const union x86_vec *v, uint8_t imm, unsigned elements)
{
	unsigned n = 0;

	while (n < elements && element(v, n, imm))
		n++;
	return n;
}

static bool in_ranges(const union x86_vec *ranges, unsigned count, int value, uint8_t imm)
{
	for (unsigned j = 0; j + 1 < count; j += 2)
		if (value >= element(ranges, j, imm) && value <= element(ranges, j + 1, imm))
			return true;
	return false;
}

static bool in_set(const union x86_vec *set, unsigned count, int value, uint8_t imm)
{
	for (unsigned j = 0; j < count; j++)
		if (value == element(set, j, imm))
			return true;
	return false;
}

/* Does @a begin at element @i of @b, as far as @b reaches? */
static bool begins_at(const union x86_vec *a, unsigned a_count, const union x86_vec *b,
                      unsigned b_count, unsigned i, unsigned elements, uint8_t imm)
{
	for (unsigned j = 0; j < a_count && i + j < elements; j++)
		if (i + j >= b_count || element(a, j, imm) != element(b, i + j, imm))
			return false;
	return true;
}

void simd_pcmpstr(const union x86_vec *a, const union x86_vec *b, uint8_t imm,
                  struct x86_fp_env *env, bool explicit_length, bool mask)
{
	const unsigned elements = imm & 1 ? 8 : 16, all = (1u << elements) - 1;
	unsigned a_count, b_count, result = 0;

	if (explicit_length) {
		a_count = explicit_count(env->rax, elements);
		b_count = explicit_count(env->rdx, elements);
	} else {
		a_count = implicit_count(a, imm, elements);
		b_count = implicit_count(b, imm, elements);
	}

	for (unsigned i = 0; i < elements; i++) {
		bool hit;

		switch ((enum aggregation)(imm >> 2 & 3)) {
		case EQUAL_ANY:
			hit = i < b_count && in_set(a, a_count, element(b, i, imm), imm);
			break;
		case RANGES:
			hit = i < b_count && in_ranges(a, a_count, element(b, i, imm), imm);
			break;
		case EQUAL_EACH:
			hit = (i >= a_count || i >= b_count)
			              ? i >= a_count && i >= b_count
			              : element(a, i, imm) == element(b, i, imm);
			break;
		default:
			hit = begins_at(a, a_count, b, b_count, i, elements, imm);
			break;
		}
		result |= (unsigned)hit << i;
	}
	if (imm & 0x10)
		result ^= imm & 0x20 ? (1u << b_count) - 1 : all;

	env->eflags = (result ? SIMD_EFLAGS_CF : 0) | (b_count < elements ? SIMD_EFLAGS_ZF : 0) |
	              (a_count < elements ? SIMD_EFLAGS_SF : 0) | (result & 1 ? SIMD_EFLAGS_OF : 0);
	if (!mask) {
		if (!result)
			env->ecx = elements;
		else if (imm & 0x40)
			env->ecx = 31 - (unsigned)__builtin_clz(result);
		else
			env->ecx = (unsigned)__builtin_ctz(result);
		return;
	}
	if (!(imm & 0x40)) {
		env->xmm0->q[0] = result;
		env->xmm0->q[1] = 0;
		return;
	}
	for (unsigned i = 0; i < elements; i++) {
		if (imm & 1)
			env->xmm0->w[i] = result >> i & 1 ? 0xffff : 0;
		else
			env->xmm0->b[i] = result >> i & 1 ? 0xff : 0;
	}
}
