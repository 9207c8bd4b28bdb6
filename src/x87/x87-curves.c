/* SPDX-License-Identifier: MIT */
/* The transcendental functions: their special cases, and the rounding of what x87-wide.c finds. */
#include "x87/x87-soft-int.h"

/* All but a few results are inexact, and those few have been dealt with. */
static struct soft round_wide(struct soft_env *env, struct x87_wide v)
{
	if (!v.mantissa)
		return soft_zero(v.sign);
	return soft_round(env, &soft_f80, v.sign, v.exponent, (uint64_t)(v.mantissa >> 64),
	                  (uint64_t)v.mantissa | 1);
}

static uint16_t finish_wide(uint16_t cw, struct soft_env *env, struct x87_wide v, struct x86_f80 *r)
{
	return finish(cw, env, round_wide(env, v), r);
}

uint16_t x87_soft_f2xm1(uint16_t cw, struct x86_f80 *r, const struct x86_f80 *a)
{
	struct soft_env env = env_of(cw);
	const struct soft x = unpack(a);

	if (unsupported(a))
		return invalid(r);
	if (soft_is_nan(x))
		return finish(cw, &env, soft_quiet(&env, x), r);
	if (x.class == SOFT_INFINITY) {
		*r = x.sign ? (struct x86_f80){TOP_BIT, 0xbfff} : *a;
		return 0;
	}
	if (x.denormal)
		env.flags |= SOFT_DE;
	if (x.class == SOFT_FINITE && x.exponent > 0) /* beyond one it is undefined */
		env.flags |= SOFT_PE;
	if (x.class == SOFT_ZERO || x.exponent > 0)
		return finish(cw, &env, x, r);
	if (x.exponent == 0) { /* 2 - 1, 1/2 - 1, or undefined */
		*r = x.mantissa != TOP_BIT ? *a : x.sign ? (struct x86_f80){TOP_BIT, 0xbffe} : *a;
		return status(cw, &env);
	}
	return finish_wide(cw, &env, x87_wide_exp2m1(x87_wide_of(x)), r);
}

/* Out of range: C2, and the operand stays. */
static bool out_of_range(struct soft x)
{
	return x.class == SOFT_FINITE && x.exponent >= 63;
}

static uint16_t sine_or_cosine(uint16_t cw, struct x86_f80 *r, const struct x86_f80 *a, bool cosine)
{
	struct soft_env env = env_of(cw);
	const struct soft x = unpack(a);
	struct x87_wide s, c;

	if (unsupported(a) || x.class == SOFT_INFINITY)
		return invalid(r);
	if (soft_is_nan(x))
		return finish(cw, &env, soft_quiet(&env, x), r);
	if (out_of_range(x)) {
		*r = *a;
		return X87_C2;
	}
	if (x.class == SOFT_ZERO) {
		if (cosine)
			x87_soft_one(cw, r);
		else
			*r = *a;
		return 0;
	}
	if (x.denormal)
		env.flags |= SOFT_DE;
	x87_wide_sincos(x, &s, &c);
	return finish_wide(cw, &env, cosine ? c : s, r);
}

uint16_t x87_soft_sin(uint16_t cw, struct x86_f80 *r, const struct x86_f80 *a)
{
	return sine_or_cosine(cw, r, a, false);
}

uint16_t x87_soft_cos(uint16_t cw, struct x86_f80 *r, const struct x86_f80 *a)
{
	return sine_or_cosine(cw, r, a, true);
}

uint16_t x87_soft_sincos(uint16_t cw, struct x86_f80 *top, struct x86_f80 *below,
                         const struct x86_f80 *a)
{
	const uint16_t sw = x87_soft_sin(cw, below, a);

	if (sw & X87_C2) {
		*top = *a;
		return sw;
	}
	return (uint16_t)(x87_soft_cos(cw, top, a) | (sw & X87_EXCEPTIONS));
}

uint16_t x87_soft_ptan(uint16_t cw, struct x86_f80 *top, struct x86_f80 *below,
                       const struct x86_f80 *a)
{
	struct soft_env env = env_of(cw);
	const struct soft x = unpack(a);
	struct x87_wide s, c;
	uint16_t sw;

	if (unsupported(a) || x.class == SOFT_INFINITY || soft_is_nan(x)) {
		sw = sine_or_cosine(cw, below, a, false);
		*top = *below; /* a NaN is pushed, not one */
		return sw;
	}
	x87_soft_one(cw, top);
	*below = *a;
	if (out_of_range(x))
		return X87_C2;
	if (x.class == SOFT_ZERO)
		return 0;
	if (x.denormal)
		env.flags |= SOFT_DE;
	x87_wide_sincos(x, &s, &c);
	return finish_wide(cw, &env, x87_wide_div(s, c), below);
}

uint16_t x87_soft_xtract(uint16_t cw, struct x86_f80 *top, struct x86_f80 *below,
                         const struct x86_f80 *a)
{
	struct soft_env env = env_of(cw);
	struct soft x = unpack(a);
	int exponent;

	if (unsupported(a)) {
		*below = indefinite;
		return invalid(top);
	}
	if (soft_is_nan(x)) {
		const uint16_t sw = finish(cw, &env, soft_quiet(&env, x), top);

		*below = *top;
		return sw;
	}
	if (x.class == SOFT_ZERO) {
		*top = *a;
		*below = pack(soft_infinity(true));
		return X87_ZE;
	}
	if (x.class == SOFT_INFINITY) {
		*top = *a;
		*below = pack(soft_infinity(false));
		return 0;
	}
	if (x.denormal)
		env.flags |= SOFT_DE;
	exponent = x.exponent;
	x.exponent = 0;
	*top = pack(x);
	*below = pack(soft_from_int(&env, &soft_f80, exponent));
	return status(cw, &env);
}

/* The angle of (a, b), a being ST(0) and the abscissa. */
uint16_t x87_soft_patan(uint16_t cw, struct x86_f80 *r, const struct x86_f80 *a,
                        const struct x86_f80 *b)
{
	const struct x87_wide one = {false, 0, (unsigned __int128)1 << 127};
	struct soft_env env = env_of(cw);
	struct soft x = unpack(a), y = unpack(b);
	struct x87_wide wx = x87_wide_of(x), wy = x87_wide_of(y);

	if (unsupported(a) || unsupported(b))
		return invalid(r);
	if (soft_is_nan(x) || soft_is_nan(y))
		return finish(cw, &env, nan_of(&env, x, y), r);
	if (x.denormal || y.denormal)
		env.flags |= SOFT_DE;
	if (y.class == SOFT_ZERO && !x.sign)
		return finish(cw, &env, soft_zero(y.sign), r);
	if (x.class == SOFT_INFINITY && y.class != SOFT_INFINITY && !x.sign)
		return finish(cw, &env, soft_zero(y.sign), r);
	/* Infinities as numbers whose angle is the limit's. */
	if (x.class == SOFT_INFINITY || y.class == SOFT_INFINITY) {
		wx = x.class == SOFT_INFINITY ? one : (struct x87_wide){0};
		wy = y.class == SOFT_INFINITY ? one : (struct x87_wide){0};
	}
	wx.sign = x.sign;
	wy.sign = y.sign;
	return finish_wide(cw, &env, x87_wide_atan2(wy, wx), r);
}

/* b * log2(a) */
uint16_t x87_soft_yl2x(uint16_t cw, struct x86_f80 *r, const struct x86_f80 *a,
                       const struct x86_f80 *b)
{
	struct soft_env env = env_of(cw);
	const struct soft x = unpack(a), y = unpack(b);
	struct x87_wide logarithm;
	int above_one;

	if (unsupported(a) || unsupported(b))
		return invalid(r);
	if (soft_is_nan(x) || soft_is_nan(y))
		return finish(cw, &env, nan_of(&env, x, y), r);
	if (x.sign && x.class != SOFT_ZERO)
		return invalid(r);
	if (x.class == SOFT_ZERO) {
		if (y.class == SOFT_ZERO)
			return invalid(r);
		if (y.class != SOFT_INFINITY)
			env.flags |= SOFT_ZE;
		return finish(cw, &env, soft_infinity(!y.sign), r);
	}
	if (x.class == SOFT_INFINITY) {
		if (y.class == SOFT_ZERO)
			return invalid(r);
		if (y.denormal)
			env.flags |= SOFT_DE;
		return finish(cw, &env, soft_infinity(y.sign), r);
	}
	above_one = x.exponent < 0 ? -1 : x.exponent > 0 || x.mantissa != TOP_BIT;
	if (y.class == SOFT_INFINITY) {
		if (!above_one)
			return invalid(r);
		if (x.denormal)
			env.flags |= SOFT_DE;
		return finish(cw, &env, soft_infinity(y.sign != (above_one < 0)), r);
	}
	if (x.denormal || y.denormal)
		env.flags |= SOFT_DE;
	if (y.class == SOFT_ZERO || !above_one)
		return finish(cw, &env, soft_zero(y.sign != (above_one < 0)), r);
	logarithm = x87_wide_log2(x87_wide_of(x));
	if (x.mantissa == TOP_BIT) { /* a power of two: as exact as the product */
		const struct soft l = soft_from_int(&env, &soft_f80, x.exponent);

		return finish(cw, &env, soft_mul(&env, &soft_f80, y, l), r);
	}
	return finish_wide(cw, &env, x87_wide_mul(logarithm, x87_wide_of(y)), r);
}

/* b * log2(1 + a), for a near zero */
uint16_t x87_soft_yl2xp1(uint16_t cw, struct x86_f80 *r, const struct x86_f80 *a,
                         const struct x86_f80 *b)
{
	struct soft_env env = env_of(cw);
	const struct soft x = unpack(a), y = unpack(b);

	if (unsupported(a) || unsupported(b))
		return invalid(r);
	if (soft_is_nan(x) || soft_is_nan(y))
		return finish(cw, &env, nan_of(&env, x, y), r);
	if ((x.class == SOFT_ZERO && y.class == SOFT_INFINITY) ||
	    (x.class == SOFT_INFINITY && (x.sign || y.class == SOFT_ZERO)))
		return invalid(r);
	if (x.denormal || y.denormal)
		env.flags |= SOFT_DE;
	if (x.class == SOFT_INFINITY || y.class == SOFT_INFINITY)
		return finish(cw, &env, soft_infinity(x.sign != y.sign), r);
	if (x.class == SOFT_ZERO || y.class == SOFT_ZERO)
		return finish(cw, &env, soft_zero(x.sign != y.sign), r);
	if (x.sign && x.exponent >= 0) { /* 1 + a <= 0 is undefined */
		env.flags |= SOFT_PE;
		return finish(cw, &env, x, r);
	}
	return finish_wide(cw, &env, x87_wide_mul(x87_wide_log2p1(x87_wide_of(x)), x87_wide_of(y)),
	                   r);
}
