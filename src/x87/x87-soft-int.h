/* SPDX-License-Identifier: MIT */
/* What the files share that compute x87 numbers with integers. */
#ifndef WSLX_X87_SOFT_INT_H
#define WSLX_X87_SOFT_INT_H

#include "simd/softfp.h"
#include "x87/x87-soft.h"

#define PRE_COMPUTATION (X87_IE | X87_DE | X87_ZE)
#define TOP_BIT ((uint64_t)1 << 63)

static const struct x86_f80 indefinite = {0xc000000000000000u, 0xffff};

/* ---- operands and results -------------------------------------------------------------- */

static inline struct soft_env env_of(uint16_t cw)
{
	return (struct soft_env){
		.rounding = (enum soft_rounding)(cw >> 10 & 3),
		.scale_overflow = !(cw & X87_OE),
		.scale_underflow = !(cw & X87_UE),
	};
}

/* Precision control limits the mantissa, never the exponent. */
static inline struct soft_format format_of(uint16_t cw)
{
	static const int precisions[4] = {24, 64, 53, 64};
	struct soft_format f = soft_f80;

	f.precision = precisions[cw >> 8 & 3];
	return f;
}

/* Encodings that the 8087 had and its successors refuse: a finite number without its leading one.
 */
static inline bool unsupported(const struct x86_f80 *a)
{
	return a->sign_exponent & 0x7fff && !(a->mantissa >> 63);
}

static inline struct soft unpack(const struct x86_f80 *v)
{
	struct soft a = {.sign = v->sign_exponent >> 15, .class = SOFT_FINITE};
	const int exponent = v->sign_exponent & 0x7fff;
	unsigned shift;

	a.mantissa = v->mantissa;
	if (exponent == 0x7fff) {
		a.class = v->mantissa << 1 ? SOFT_NAN : SOFT_INFINITY;
		a.signalling = a.class == SOFT_NAN && !(v->mantissa >> 62 & 1);
		return a;
	}
	if (!v->mantissa) {
		a.class = SOFT_ZERO;
		return a;
	}
	a.denormal = exponent == 0;
	a.exponent = (exponent ? exponent : 1) - 16383;
	shift = (unsigned)__builtin_clzll(a.mantissa);
	a.mantissa <<= shift;
	a.exponent -= (int)shift;
	return a;
}

static inline struct x86_f80 pack(struct soft a)
{
	const unsigned sign = a.sign ? 0x8000 : 0;
	int exponent = a.exponent + 16383;

	switch ((enum soft_class)a.class) {
	case SOFT_ZERO:
		return (struct x86_f80){0, (uint16_t)sign};
	case SOFT_INFINITY:
		return (struct x86_f80){TOP_BIT, (uint16_t)(sign | 0x7fff)};
	case SOFT_NAN:
		return (struct x86_f80){a.mantissa | TOP_BIT, (uint16_t)(sign | 0x7fff)};
	default:
		break;
	}
	if (exponent > 0)
		return (struct x86_f80){a.mantissa,
		                        (uint16_t)(sign | ((unsigned)exponent & 0x7fff))};
	if (exponent < -62)
		return (struct x86_f80){0, (uint16_t)sign};
	/* soft_round() has cut off what is shifted out here; it may have rounded up to normal. */
	return (struct x86_f80){a.mantissa >> (1 - exponent), (uint16_t)sign};
}

/* What the status word shows; nothing is looked for after an unmasked exception before. */
static inline uint16_t status(uint16_t cw, const struct soft_env *env)
{
	unsigned flags = env->flags;

	if (flags & ~(unsigned)cw & PRE_COMPUTATION)
		return (uint16_t)(flags & PRE_COMPUTATION);
	if (env->rounded_up)
		flags |= X87_C1;
	return (uint16_t)flags;
}

static inline uint16_t finish(uint16_t cw, const struct soft_env *env, struct soft result,
                              struct x86_f80 *r)
{
	*r = pack(result);
	return status(cw, env);
}

static inline uint16_t invalid(struct x86_f80 *r)
{
	*r = indefinite;
	return X87_IE;
}

/* Of two NaNs the one with the larger mantissa, but a quiet one before a signalling one. */
static inline struct soft nan_of(struct soft_env *env, struct soft a, struct soft b)
{
	const bool a_signals = a.signalling, b_signals = b.signalling;
	const bool both = soft_is_nan(a) && soft_is_nan(b);

	if (soft_is_nan(a))
		a = soft_quiet(env, a);
	if (soft_is_nan(b))
		b = soft_quiet(env, b);
	if (!both)
		return soft_is_nan(a) ? a : b;
	if (a_signals != b_signals)
		return a_signals ? b : a;
	if (a.mantissa != b.mantissa)
		return a.mantissa > b.mantissa ? a : b;
	return a.sign ? b : a;
}

/* ---- 128 bits -------------------------------------------------------------------------- */

/* A number of 128 bits: mantissa / 2^127 * 2^exponent, zero when the mantissa is. */
struct x87_wide {
	bool sign;
	int32_t exponent;
	unsigned __int128 mantissa;
};

/* The true functions of finite arguments, in x87-wide.c. */
struct x87_wide x87_wide_of(struct soft a);
struct x87_wide x87_wide_exp2m1(struct x87_wide x);                   /* |x| <= 1 */
struct x87_wide x87_wide_log2(struct x87_wide x);                     /* x > 0 */
struct x87_wide x87_wide_log2p1(struct x87_wide x);                   /* |x| < 1 */
struct x87_wide x87_wide_atan2(struct x87_wide y, struct x87_wide x); /* not both zero */
void x87_wide_sincos(struct soft x, struct x87_wide *sine, struct x87_wide *cosine);
struct x87_wide x87_wide_mul(struct x87_wide a, struct x87_wide b);
struct x87_wide x87_wide_div(struct x87_wide a, struct x87_wide b);

#endif
