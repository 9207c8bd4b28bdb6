/* SPDX-License-Identifier: MIT */
#include "simd/softfp.h"

const struct soft_format soft_f32 = {24, -126, 127};
const struct soft_format soft_f64 = {53, -1022, 1023};
const struct soft_format soft_f80 = {64, -16382, 16383};

typedef unsigned __int128 u128;

#define TOP_BIT ((uint64_t)1 << 63)

/* ---- packing --------------------------------------------------------------------------- */

static struct soft unpack(bool sign, unsigned exponent, uint64_t fraction, unsigned fraction_bits,
                          int bias, unsigned exponent_max, const struct soft_env *env)
{
	struct soft a = {.sign = sign, .class = SOFT_FINITE};
	unsigned shift;

	if (exponent == exponent_max) {
		a.class = fraction ? SOFT_NAN : SOFT_INFINITY;
		a.mantissa = TOP_BIT | fraction << (63 - fraction_bits);
		a.signalling = fraction && !(fraction >> (fraction_bits - 1));
		return a;
	}
	if (exponent) {
		a.mantissa = TOP_BIT | fraction << (63 - fraction_bits);
		a.exponent = (int)exponent - bias;
		return a;
	}
	if (!fraction || env->denormals_are_zero) {
		a.class = SOFT_ZERO;
		return a;
	}
	a.denormal = true;
	a.mantissa = fraction << (63 - fraction_bits);
	a.exponent = 1 - bias;
	shift = (unsigned)__builtin_clzll(a.mantissa);
	a.mantissa <<= shift;
	a.exponent -= (int)shift;
	return a;
}

struct soft soft_from_f32(uint32_t bits, const struct soft_env *env)
{
	return unpack(bits >> 31, bits >> 23 & 0xff, bits & 0x7fffff, 23, 127, 0xff, env);
}

struct soft soft_from_f64(uint64_t bits, const struct soft_env *env)
{
	return unpack(bits >> 63, bits >> 52 & 0x7ff, bits & 0xfffffffffffffu, 52, 1023, 0x7ff,
	              env);
}

static uint64_t pack(struct soft a, unsigned fraction_bits, int bias, uint64_t exponent_max)
{
	const uint64_t sign = (uint64_t)a.sign << (fraction_bits + (bias == 127 ? 8 : 11));
	const uint64_t mask = ((uint64_t)1 << fraction_bits) - 1;
	uint64_t fraction = a.mantissa >> (63 - fraction_bits) & mask;
	int exponent = a.exponent + bias;

	switch ((enum soft_class)a.class) {
	case SOFT_ZERO:
		return sign;
	case SOFT_INFINITY:
		return sign | exponent_max << fraction_bits;
	case SOFT_NAN:
		return sign | exponent_max << fraction_bits | fraction;
	default:
		break;
	}
	if (exponent < -62) /* scaled by x87's unmasked overflow, and packed for nobody */
		return sign;
	if (exponent <= 0) /* soft_round() has cut off what is shifted out here */
		return sign | (a.mantissa >> (63 - fraction_bits)) >> (1 - exponent);
	return sign | (uint64_t)exponent << fraction_bits | fraction;
}

uint32_t soft_to_f32(struct soft a)
{
	return (uint32_t)pack(a, 23, 127, 0xff);
}

uint64_t soft_to_f64(struct soft a)
{
	return pack(a, 52, 1023, 0x7ff);
}

struct soft soft_indefinite(void)
{
	return (struct soft){.sign = true, .class = SOFT_NAN, .mantissa = TOP_BIT | TOP_BIT >> 1};
}

struct soft soft_zero(bool sign)
{
	return (struct soft){.sign = sign, .class = SOFT_ZERO};
}

struct soft soft_infinity(bool sign)
{
	return (struct soft){.sign = sign, .class = SOFT_INFINITY, .mantissa = TOP_BIT};
}

static struct soft invalid(struct soft_env *env)
{
	env->flags |= SOFT_IE;
	return soft_indefinite();
}

static void note_denormals(struct soft_env *env, struct soft a, struct soft b)
{
	if (a.denormal || b.denormal)
		env->flags |= SOFT_DE;
}

/* ---- rounding -------------------------------------------------------------------------- */

static bool rounds_away(enum soft_rounding mode, bool sign, bool odd, u128 rest, u128 half)
{
	switch (mode) {
	case SOFT_NEAREST:
		return rest > half || (rest == half && odd);
	case SOFT_DOWN:
		return sign && rest;
	case SOFT_UP:
		return !sign && rest;
	default:
		return false;
	}
}

/*
 * Keep the upper @keep bits of @v, 0 <= keep <= 64, as a number at bit 127 again. A carry out of
 * the top makes *exponent one more.
 */
static u128 cut(const struct soft_env *env, bool sign, u128 v, int keep, int *exponent, bool *up,
                bool *inexact)
{
	const unsigned drop = (unsigned)(128 - keep);
	const u128 unit = drop == 128 ? 0 : (u128)1 << drop;
	const u128 rest = drop == 128 ? v : v & (unit - 1);
	const u128 half = (u128)1 << (drop - 1);

	*inexact = rest != 0;
	*up = rounds_away(env->rounding, sign, drop != 128 && v >> drop & 1, rest, half);
	v -= rest;
	if (!*up)
		return v;
	if (drop == 128) { /* all was below the last place: it becomes that place */
		*exponent += 1;
		return (u128)1 << 127;
	}
	v += unit;
	if (v < unit) { /* carried out */
		*exponent += 1;
		return (u128)1 << 127;
	}
	return v;
}

static struct soft overflow(struct soft_env *env, const struct soft_format *f, bool sign)
{
	const bool infinite =
		env->rounding == SOFT_NEAREST || env->rounding == (sign ? SOFT_DOWN : SOFT_UP);

	env->flags |= SOFT_OE | SOFT_PE;
	env->rounded_up = infinite;
	if (infinite)
		return soft_infinity(sign);
	return (struct soft){.sign = sign,
	                     .class = SOFT_FINITE,
	                     .exponent = f->most,
	                     .mantissa = ~(uint64_t)0 << (64 - f->precision)};
}

struct soft soft_round(struct soft_env *env, const struct soft_format *f, bool sign, int exponent,
                       uint64_t mantissa, uint64_t low)
{
	const u128 exact = (u128)mantissa << 64 | low;
	struct soft r = {.sign = sign, .class = SOFT_FINITE};
	int rounded_exponent = exponent;
	bool up, inexact, scaled = false;
	u128 v;

	/* Whether a result is tiny is found out with an exponent that has no limit. */
	v = cut(env, sign, exact, f->precision, &rounded_exponent, &up, &inexact);
	if (rounded_exponent < f->least && env->scale_underflow) {
		rounded_exponent += 24576;
		scaled = true;
		env->flags |= SOFT_UE;
		if (rounded_exponent < f->least) { /* too far for that: FSCALE */
			env->flags |= SOFT_PE;
			return soft_zero(sign);
		}
	} else if (rounded_exponent < f->least) {
		const int keep = f->precision - (f->least - exponent);

		if (env->flush_to_zero) {
			env->flags |= SOFT_UE | SOFT_PE;
			env->rounded_up = false;
			return soft_zero(sign);
		}
		rounded_exponent = exponent;
		if (keep >= 0) {
			v = cut(env, sign, exact, keep, &rounded_exponent, &up, &inexact);
		} else { /* less than half of the least denormal */
			inexact = true;
			up = rounds_away(env->rounding, sign, false, 1, 2);
			v = up ? (u128)1 << 127 : 0;
			rounded_exponent = f->least - f->precision + 1;
		}
		if (inexact)
			env->flags |= SOFT_UE;
	}
	if (inexact)
		env->flags |= SOFT_PE;
	env->rounded_up = up;
	if (rounded_exponent > f->most && !scaled) {
		if (!env->scale_overflow)
			return overflow(env, f, sign);
		rounded_exponent -= 24576;
		env->flags |= SOFT_OE;
		if (rounded_exponent > f->most) {
			env->flags |= SOFT_PE;
			env->rounded_up = true;
			return soft_infinity(sign);
		}
	}
	if (!v)
		return soft_zero(sign);
	r.exponent = rounded_exponent;
	r.mantissa = (uint64_t)(v >> 64);
	return r;
}

static struct soft round_wide(struct soft_env *env, const struct soft_format *f, bool sign,
                              int exponent, u128 v)
{
	unsigned shift;

	if (v >> 64)
		shift = (unsigned)__builtin_clzll((uint64_t)(v >> 64));
	else
		shift = 64 + (unsigned)__builtin_clzll((uint64_t)v);
	v <<= shift;
	return soft_round(env, f, sign, exponent - (int)shift, (uint64_t)(v >> 64), (uint64_t)v);
}

/* ---- arithmetic ------------------------------------------------------------------------ */

static u128 shift_right_sticky(u128 v, unsigned by)
{
	if (!by)
		return v;
	if (by > 127)
		return v != 0;
	return v >> by | ((v & (((u128)1 << by) - 1)) != 0);
}

struct soft soft_add(struct soft_env *env, const struct soft_format *f, struct soft a,
                     struct soft b)
{
	u128 x, y;

	env->rounded_up = false;
	if (a.class == SOFT_INFINITY || b.class == SOFT_INFINITY) {
		if (a.class == b.class && a.sign != b.sign)
			return invalid(env);
		note_denormals(env, a, b);
		return a.class == SOFT_INFINITY ? a : b;
	}
	note_denormals(env, a, b);
	if (a.class == SOFT_ZERO && b.class == SOFT_ZERO)
		return soft_zero(a.sign == b.sign ? a.sign : env->rounding == SOFT_DOWN);
	if (a.class == SOFT_ZERO)
		return soft_convert(env, f, b);
	if (b.class == SOFT_ZERO)
		return soft_convert(env, f, a);
	if (a.exponent < b.exponent || (a.exponent == b.exponent && a.mantissa < b.mantissa)) {
		const struct soft t = a;

		a = b;
		b = t;
	}
	/* One bit of room for a carry. */
	x = (u128)a.mantissa << 63;
	y = shift_right_sticky((u128)b.mantissa << 63, (unsigned)(a.exponent - b.exponent));
	if (a.sign == b.sign)
		return round_wide(env, f, a.sign, a.exponent + 1, x + y);
	if (x == y)
		return soft_zero(env->rounding == SOFT_DOWN);
	return round_wide(env, f, a.sign, a.exponent + 1, x - y);
}

struct soft soft_mul(struct soft_env *env, const struct soft_format *f, struct soft a,
                     struct soft b)
{
	const bool sign = a.sign != b.sign;

	env->rounded_up = false;
	if (a.class == SOFT_INFINITY || b.class == SOFT_INFINITY) {
		if (a.class == SOFT_ZERO || b.class == SOFT_ZERO)
			return invalid(env);
		note_denormals(env, a, b);
		return soft_infinity(sign);
	}
	note_denormals(env, a, b);
	if (a.class == SOFT_ZERO || b.class == SOFT_ZERO)
		return soft_zero(sign);
	return round_wide(env, f, sign, a.exponent + b.exponent + 1, (u128)a.mantissa * b.mantissa);
}

struct soft soft_div(struct soft_env *env, const struct soft_format *f, struct soft a,
                     struct soft b)
{
	const bool sign = a.sign != b.sign;
	uint64_t high, low;
	int exponent;
	u128 rest;

	env->rounded_up = false;
	if (a.class == b.class && (a.class == SOFT_ZERO || a.class == SOFT_INFINITY))
		return invalid(env);
	if (b.class == SOFT_ZERO && a.class != SOFT_INFINITY) {
		env->flags |= SOFT_ZE;
		return soft_infinity(sign);
	}
	note_denormals(env, a, b);
	if (a.class == SOFT_INFINITY)
		return soft_infinity(sign);
	if (a.class == SOFT_ZERO || b.class == SOFT_INFINITY)
		return soft_zero(sign);

	/* The quotient of the mantissas is in (1/2, 2): make it at least one. */
	exponent = a.exponent - b.exponent;
	rest = (u128)a.mantissa << 63;
	if (a.mantissa < b.mantissa) {
		rest <<= 1;
		exponent--;
	}
	high = (uint64_t)(rest / b.mantissa);
	rest = rest % b.mantissa << 63;
	low = (uint64_t)(rest / b.mantissa) << 1 | (rest % b.mantissa != 0);
	return soft_round(env, f, sign, exponent, high, low);
}

struct soft soft_sqrt(struct soft_env *env, const struct soft_format *f, struct soft a)
{
	uint64_t root = 0;
	u128 rest = 0, v;
	int exponent = a.exponent;

	env->rounded_up = false;
	if (a.class == SOFT_ZERO)
		return a;
	if (a.sign)
		return invalid(env);
	note_denormals(env, a, a);
	if (a.class == SOFT_INFINITY)
		return a;
	/* An even exponent, and the mantissa as a number in [1, 4) with 126 bits below. */
	v = (u128)a.mantissa << 63;
	if (exponent & 1) {
		v <<= 1;
		exponent--;
	}
	for (unsigned i = 0; i < 64; i++) { /* two bits of @v, one of the root */
		const u128 trial = (u128)root << 2 | 1;

		rest = rest << 2 | (v >> 126 & 3);
		v <<= 2;
		root <<= 1;
		if (rest >= trial) {
			rest -= trial;
			root |= 1;
		}
	}
	return soft_round(env, f, false, exponent / 2, root,
	                  rest > root ? TOP_BIT | 1
	                  : rest      ? 1
	                              : 0);
}

/* ---- conversion ------------------------------------------------------------------------ */

struct soft soft_convert(struct soft_env *env, const struct soft_format *f, struct soft a)
{
	env->rounded_up = false;
	if (a.class != SOFT_FINITE)
		return a;
	return soft_round(env, f, a.sign, a.exponent, a.mantissa, 0);
}

struct soft soft_from_int(struct soft_env *env, const struct soft_format *f, int64_t value)
{
	const uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	if (!value)
		return soft_zero(false);
	return round_wide(env, f, value < 0, 127, magnitude);
}

/* The integral part of a finite number below 2^64, rounded. */
static uint64_t integral_part(struct soft_env *env, struct soft a, bool *inexact)
{
	const int keep = a.exponent + 1;
	int carried = a.exponent;
	u128 v;

	if (keep < 0) {
		*inexact = true;
		env->rounded_up = rounds_away(env->rounding, a.sign, false, 1, 2);
		return env->rounded_up;
	}
	v = cut(env, a.sign, (u128)a.mantissa << 64, keep, &carried, &env->rounded_up, inexact);
	if (!v)
		return 0;
	if (carried > 63) /* 2^64 itself, which the caller sees as too large all the same */
		return UINT64_MAX;
	return (uint64_t)(v >> (127 - carried));
}

struct soft soft_to_integral(struct soft_env *env, struct soft a)
{
	uint64_t value;
	bool inexact;
	struct soft r;
	int shift;

	env->rounded_up = false;
	if (a.class != SOFT_FINITE || a.exponent >= 63)
		return a;
	value = integral_part(env, a, &inexact);
	if (inexact)
		env->flags |= SOFT_PE;
	if (!value)
		return soft_zero(a.sign);
	shift = __builtin_clzll(value);
	r = (struct soft){.sign = a.sign, .class = SOFT_FINITE};
	r.exponent = 63 - shift;
	r.mantissa = value << shift;
	return r;
}

int64_t soft_to_int(struct soft_env *env, struct soft a, unsigned bits)
{
	const uint64_t limit = (uint64_t)1 << (bits - 1);
	const int64_t least = (int64_t)(~(uint64_t)0 << (bits - 1));
	bool inexact = false;
	uint64_t value;

	env->rounded_up = false;
	if (a.class == SOFT_ZERO)
		return 0;
	if (a.class != SOFT_FINITE || a.exponent > 63) {
		env->flags |= SOFT_IE;
		return least;
	}
	value = integral_part(env, a, &inexact);
	if (value > limit || (value == limit && !a.sign)) {
		env->rounded_up = false;
		env->flags |= SOFT_IE;
		return least;
	}
	if (inexact)
		env->flags |= SOFT_PE;
	return (int64_t)(a.sign ? 0 - value : value);
}

/* ---- comparison ------------------------------------------------------------------------ */

/* As an order of magnitudes: below, at or above zero distance. */
static int compare_magnitude(struct soft a, struct soft b)
{
	if (a.class != b.class)
		return a.class < b.class ? -1 : 1; /* zero, finite, infinity */
	if (a.class != SOFT_FINITE)
		return 0;
	if (a.exponent != b.exponent)
		return a.exponent < b.exponent ? -1 : 1;
	return a.mantissa < b.mantissa ? -1 : a.mantissa > b.mantissa;
}

enum soft_order soft_compare(struct soft a, struct soft b)
{
	int magnitude;

	if (soft_is_nan(a) || soft_is_nan(b))
		return SOFT_UNORDERED;
	if (a.class == SOFT_ZERO && b.class == SOFT_ZERO)
		return SOFT_EQUAL;
	if (a.sign != b.sign)
		return a.sign ? SOFT_LESS : SOFT_GREATER;
	magnitude = compare_magnitude(a, b);
	if (!magnitude)
		return SOFT_EQUAL;
	return (magnitude < 0) != a.sign ? SOFT_LESS : SOFT_GREATER;
}
