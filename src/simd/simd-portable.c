/* SPDX-License-Identifier: MIT */
/* The table of rows with portable functions, and SSE's rules around softfp.h. */
#include "simd/simd-portable.h"
#include "simd/simd-ops.h"

const struct simd_row simd_portable_rows[] = {
#define ROW SIMD_ROW
#include "simd/simd-rows.h"
#undef ROW
};
const size_t simd_row_count = ARRAY_LEN(simd_portable_rows);

/* ---- what SSE does with softfp --------------------------------------------------------- */

static void merge(struct x86_fp_env *env, const struct soft_env *s)
{
	env->mxcsr |= s->flags;
}

/* A NaN among the operands is the result, the first one before the second. */
static bool nan_result(struct soft_env *s, struct soft a, struct soft b, struct soft *out)
{
	if (!soft_is_nan(a) && !soft_is_nan(b))
		return false;
	if (soft_is_nan(b))
		*out = soft_quiet(s, b);
	if (soft_is_nan(a))
		*out = soft_quiet(s, a);
	return true;
}

static struct soft arithmetic(struct soft_env *s, const struct soft_format *f,
                              enum simd_arithmetic op, struct soft a, struct soft b)
{
	struct soft nan;

	if (op == SIMD_SQRT)
		a = b;
	if (nan_result(s, a, b, &nan))
		return nan;
	switch (op) {
	case SIMD_ADD:
		return soft_add(s, f, a, b);
	case SIMD_SUB:
		return soft_add(s, f, a, soft_negate(b));
	case SIMD_MUL:
		return soft_mul(s, f, a, b);
	case SIMD_DIV:
		return soft_div(s, f, a, b);
	default:
		return soft_sqrt(s, f, b);
	}
}

/* ROUNDxx: the immediate may override MXCSR's mode and hide the inexact result. */
static struct soft round_integral(struct soft_env *s, uint8_t imm, struct soft a)
{
	struct soft r;

	if (!(imm & 4))
		s->rounding = (enum soft_rounding)(imm & 3);
	if (soft_is_nan(a))
		return soft_quiet(s, a);
	r = soft_to_integral(s, a);
	if (imm & 8)
		s->flags &= ~SOFT_PE;
	return r;
}

static bool compare(struct soft_env *s, unsigned predicate, struct soft a, struct soft b)
{
	const enum soft_order order = soft_compare(a, b);
	bool result;

	/* Equality is quiet about quiet NaNs, order is not. */
	if (order == SOFT_UNORDERED) {
		const bool quiet = (predicate & 3) == 0 || (predicate & 3) == 3;

		if (!quiet || a.signalling || b.signalling)
			s->flags |= SOFT_IE;
	} else if (a.denormal || b.denormal) {
		s->flags |= SOFT_DE;
	}
	switch (predicate & 3) {
	case 0:
		result = order == SOFT_EQUAL;
		break;
	case 1:
		result = order == SOFT_LESS;
		break;
	case 2:
		result = order == SOFT_LESS || order == SOFT_EQUAL;
		break;
	default:
		result = order == SOFT_UNORDERED;
		break;
	}
	return predicate & 4 ? !result : result;
}

static uint32_t compare_flags(struct soft_env *s, bool quiet, struct soft a, struct soft b)
{
	static const uint32_t flags[] = {
		[SOFT_LESS] = SIMD_EFLAGS_CF,
		[SOFT_EQUAL] = SIMD_EFLAGS_ZF,
		[SOFT_GREATER] = 0,
		[SOFT_UNORDERED] = SIMD_EFLAGS_ZF | SIMD_EFLAGS_PF | SIMD_EFLAGS_CF,
	};

	compare(s, quiet ? 0 : 1, a, b); /* for the exceptions */
	return flags[soft_compare(a, b)];
}

/* MINxx, MAXxx: whether the result is the first operand; the second on any doubt. */
static bool takes_first(struct soft_env *s, bool max, struct soft a, struct soft b)
{
	const enum soft_order order = soft_compare(a, b);

	if (order == SOFT_UNORDERED)
		s->flags |= SOFT_IE;
	else if (a.denormal || b.denormal)
		s->flags |= SOFT_DE;
	return order == (max ? SOFT_GREATER : SOFT_LESS);
}

static int64_t to_int(struct soft_env *s, struct soft a, unsigned bits, bool truncate)
{
	if (truncate)
		s->rounding = SOFT_TOWARD_ZERO;
	return soft_to_int(s, a, bits);
}

/* ---- the two formats ------------------------------------------------------------------- */

#define BOTH_FORMATS(bits)                                                                         \
	uint##bits##_t simd_soft_f##bits(struct x86_fp_env *env, enum simd_arithmetic op,          \
	                                 uint##bits##_t a, uint##bits##_t b)                       \
	{                                                                                          \
		struct soft_env s = simd_soft_env(env);                                            \
		const struct soft r = arithmetic(&s, &soft_f##bits, op, soft_from_f##bits(a, &s),  \
		                                 soft_from_f##bits(b, &s));                        \
                                                                                                   \
		merge(env, &s);                                                                    \
		return soft_to_f##bits(r);                                                         \
	}                                                                                          \
	uint##bits##_t simd_soft_minmax_f##bits(struct x86_fp_env *env, bool max,                  \
	                                        uint##bits##_t a, uint##bits##_t b)                \
	{                                                                                          \
		struct soft_env s = simd_soft_env(env);                                            \
		const struct soft x = soft_from_f##bits(a, &s), y = soft_from_f##bits(b, &s);      \
		const struct soft r = takes_first(&s, max, x, y) ? x : y;                          \
                                                                                                   \
		merge(env, &s);                                                                    \
		return soft_to_f##bits(r);                                                         \
	}                                                                                          \
	bool simd_soft_compare_f##bits(struct x86_fp_env *env, unsigned predicate,                 \
	                               uint##bits##_t a, uint##bits##_t b)                         \
	{                                                                                          \
		struct soft_env s = simd_soft_env(env);                                            \
		const bool r = compare(&s, predicate, soft_from_f##bits(a, &s),                    \
		                       soft_from_f##bits(b, &s));                                  \
                                                                                                   \
		merge(env, &s);                                                                    \
		return r;                                                                          \
	}                                                                                          \
	uint32_t simd_soft_flags_f##bits(struct x86_fp_env *env, bool quiet, uint##bits##_t a,     \
	                                 uint##bits##_t b)                                         \
	{                                                                                          \
		struct soft_env s = simd_soft_env(env);                                            \
		const uint32_t r = compare_flags(&s, quiet, soft_from_f##bits(a, &s),              \
		                                 soft_from_f##bits(b, &s));                        \
                                                                                                   \
		merge(env, &s);                                                                    \
		return r;                                                                          \
	}                                                                                          \
	uint##bits##_t simd_soft_round_f##bits(struct x86_fp_env *env, uint8_t imm,                \
	                                       uint##bits##_t a)                                   \
	{                                                                                          \
		struct soft_env s = simd_soft_env(env);                                            \
		const struct soft r = round_integral(&s, imm, soft_from_f##bits(a, &s));           \
                                                                                                   \
		merge(env, &s);                                                                    \
		return soft_to_f##bits(r);                                                         \
	}                                                                                          \
	int64_t simd_soft_int_f##bits(struct x86_fp_env *env, uint##bits##_t a, unsigned int_bits, \
	                              bool truncate)                                               \
	{                                                                                          \
		struct soft_env s = simd_soft_env(env);                                            \
		const int64_t r = to_int(&s, soft_from_f##bits(a, &s), int_bits, truncate);        \
                                                                                                   \
		merge(env, &s);                                                                    \
		return r;                                                                          \
	}                                                                                          \
	uint##bits##_t simd_soft_f##bits##_of_int(struct x86_fp_env *env, int64_t v)               \
	{                                                                                          \
		struct soft_env s = simd_soft_env(env);                                            \
		const struct soft r = soft_from_int(&s, &soft_f##bits, v);                         \
                                                                                                   \
		merge(env, &s);                                                                    \
		return soft_to_f##bits(r);                                                         \
	}
BOTH_FORMATS(32)
BOTH_FORMATS(64)

static struct soft convert(struct soft_env *s, const struct soft_format *f, struct soft a)
{
	if (soft_is_nan(a))
		return soft_quiet(s, a);
	if (a.denormal)
		s->flags |= SOFT_DE;
	return soft_convert(s, f, a);
}

uint64_t simd_soft_widen(struct x86_fp_env *env, uint32_t a)
{
	struct soft_env s = simd_soft_env(env);
	const struct soft r = convert(&s, &soft_f64, soft_from_f32(a, &s));

	merge(env, &s);
	return soft_to_f64(r);
}

uint32_t simd_soft_narrow(struct x86_fp_env *env, uint64_t a)
{
	struct soft_env s = simd_soft_env(env);
	const struct soft r = convert(&s, &soft_f32, soft_from_f64(a, &s));

	merge(env, &s);
	return soft_to_f32(r);
}

/* No exceptions, denormals are zero on both sides, MXCSR does not count. */
uint32_t simd_soft_reciprocal(uint32_t a, bool square_root)
{
	const struct soft_format twelve_bits = {12, -126, 127};
	struct soft_env s = {.denormals_are_zero = true, .flush_to_zero = true};
	struct soft one = {.class = SOFT_FINITE, .mantissa = (uint64_t)1 << 63};
	struct soft x = soft_from_f32(a, &s), root;

	if (soft_is_nan(x))
		return soft_to_f32(soft_quiet(&s, x));
	if (x.class == SOFT_ZERO)
		return soft_to_f32(soft_infinity(x.sign));
	if (!square_root)
		return soft_to_f32(soft_div(&s, &twelve_bits, one, x));
	if (x.sign)
		return soft_to_f32(soft_indefinite());
	root = soft_sqrt(&s, &soft_f64, x);
	return soft_to_f32(soft_div(&s, &twelve_bits, one, root));
}
