/* SPDX-License-Identifier: MIT */
/*
 * Transcendental functions with mantissas of 128 bits, by their series: slow and simple. A few
 * bits at the end are lost to truncation, which leaves more than 100 right ones.
 */
#include "x87/x87-soft-int.h"

typedef unsigned __int128 u128;

#define TOP ((u128)1 << 127)
#define U128(high, low) ((u128)(high) << 64 | (low))

static const struct x87_wide one = {false, 0, TOP};
static const struct x87_wide ln2 = {false, -1, U128(0xb17217f7d1cf79ab, 0xc9e3b39803f2f6af)};
static const struct x87_wide log2e = {false, 0, U128(0xb8aa3b295c17f0bb, 0xbe87fed0691d3e89)};
static const struct x87_wide pi = {false, 1, U128(0xc90fdaa22168c234, 0xc4c6628b80dc1cd1)};

/* ---- arithmetic ------------------------------------------------------------------------ */

static struct x87_wide normal(bool sign, int exponent, u128 m)
{
	unsigned shift;

	if (!m)
		return (struct x87_wide){0};
	shift = m >> 64 ? (unsigned)__builtin_clzll((uint64_t)(m >> 64))
	                : 64 + (unsigned)__builtin_clzll((uint64_t)m);
	return (struct x87_wide){sign, exponent - (int)shift, m << shift};
}

static struct x87_wide negate(struct x87_wide a)
{
	a.sign = !a.sign;
	return a;
}

static struct x87_wide add(struct x87_wide a, struct x87_wide b)
{
	unsigned distance;
	u128 y;

	if (!a.mantissa)
		return b;
	if (!b.mantissa)
		return a;
	if (a.exponent < b.exponent || (a.exponent == b.exponent && a.mantissa < b.mantissa)) {
		const struct x87_wide t = a;

		a = b;
		b = t;
	}
	distance = (unsigned)(a.exponent - b.exponent);
	y = distance > 126 ? 0 : b.mantissa >> 1 >> distance;
	if (a.sign == b.sign)
		return normal(a.sign, a.exponent + 1, (a.mantissa >> 1) + y);
	return normal(a.sign, a.exponent + 1, (a.mantissa >> 1) - y);
}

struct x87_wide x87_wide_mul(struct x87_wide a, struct x87_wide b)
{
	const uint64_t ah = (uint64_t)(a.mantissa >> 64), al = (uint64_t)a.mantissa;
	const uint64_t bh = (uint64_t)(b.mantissa >> 64), bl = (uint64_t)b.mantissa;
	const u128 low = (u128)al * bl, m1 = (u128)ah * bl, m2 = (u128)al * bh;
	const u128 middle = (low >> 64) + (uint64_t)m1 + (uint64_t)m2;

	return normal(a.sign != b.sign, a.exponent + b.exponent + 1,
	              (u128)ah * bh + (m1 >> 64) + (m2 >> 64) + (middle >> 64));
}

struct x87_wide x87_wide_div(struct x87_wide a, struct x87_wide b)
{
	u128 rest = a.mantissa, quotient = 0;

	if (!a.mantissa)
		return a;
	if (rest >= b.mantissa) {
		rest -= b.mantissa;
		quotient = 1;
	}
	for (unsigned i = 0; i < 127; i++) {
		const bool carry = rest >> 127;

		rest <<= 1;
		quotient <<= 1;
		if (carry || rest >= b.mantissa) {
			rest -= b.mantissa;
			quotient |= 1;
		}
	}
	return normal(a.sign != b.sign, a.exponent - b.exponent, quotient);
}

static struct x87_wide divide_small(struct x87_wide a, uint32_t n)
{
	return normal(a.sign, a.exponent, a.mantissa / n);
}

static struct x87_wide of_int(int v)
{
	const uint32_t magnitude = v < 0 ? 0 - (uint32_t)v : (uint32_t)v;

	return normal(v < 0, 127, magnitude);
}

struct x87_wide x87_wide_of(struct soft a)
{
	if (a.class != SOFT_FINITE)
		return (struct x87_wide){0};
	return (struct x87_wide){a.sign, a.exponent, (u128)a.mantissa << 64};
}

/* Whether a term no longer counts in a sum. */
static bool negligible(struct x87_wide term, struct x87_wide sum)
{
	return !term.mantissa || (sum.mantissa && term.exponent < sum.exponent - 128);
}

/* ---- functions ------------------------------------------------------------------------- */

/* e^t - 1 = t + t^2/2! + ... with t = x ln 2 */
struct x87_wide x87_wide_exp2m1(struct x87_wide x)
{
	const struct x87_wide t = x87_wide_mul(x, ln2);
	struct x87_wide term = t, sum = t;

	for (uint32_t n = 2; !negligible(term, sum); n++) {
		term = divide_small(x87_wide_mul(term, t), n);
		sum = add(sum, term);
	}
	return sum;
}

/* 2 artanh z = 2 (z + z^3/3 + z^5/5 + ...), times log2 e */
static struct x87_wide log2_of_ratio(struct x87_wide z)
{
	const struct x87_wide square = x87_wide_mul(z, z);
	struct x87_wide power = z, sum = z, term = z;

	for (uint32_t n = 3; !negligible(term, sum); n += 2) {
		power = x87_wide_mul(power, square);
		term = divide_small(power, n);
		sum = add(sum, term);
	}
	sum.exponent++;
	return x87_wide_mul(sum, log2e);
}

struct x87_wide x87_wide_log2(struct x87_wide x)
{
	int exponent = x.exponent;
	struct x87_wide m = {false, 0, x.mantissa}, logarithm;

	if (m.mantissa > U128(0xb504f333f9de6484, 0)) { /* over sqrt 2 */
		m.exponent--;
		exponent++;
	}
	logarithm = log2_of_ratio(x87_wide_div(add(m, negate(one)), add(m, one)));
	return add(logarithm, of_int(exponent));
}

struct x87_wide x87_wide_log2p1(struct x87_wide x)
{
	/* Near zero 1 + x would lose what x has; elsewhere the series would be long. */
	if (x.exponent >= -2)
		return x87_wide_log2(add(x, one));
	return log2_of_ratio(x87_wide_div(x, add(x, (struct x87_wide){false, 1, TOP})));
}

/*
 * Euler's series: arctan t = t/(1+t^2) (1 + 2/3 u + 2/3 4/5 u^2 + ...), u = t^2/(1+t^2), which is
 * at most 1/2 for t in [0, 1].
 */
static struct x87_wide atan_up_to_one(struct x87_wide t)
{
	const struct x87_wide square = x87_wide_mul(t, t), below = add(one, square);
	const struct x87_wide u = x87_wide_div(square, below);
	struct x87_wide term = x87_wide_div(t, below), sum = term;

	for (uint32_t n = 1; !negligible(term, sum); n++) {
		term = x87_wide_mul(x87_wide_mul(term, u), of_int((int)(2 * n)));
		term = divide_small(term, 2 * n + 1);
		sum = add(sum, term);
	}
	return sum;
}

struct x87_wide x87_wide_atan2(struct x87_wide y, struct x87_wide x)
{
	const bool y_sign = y.sign, x_sign = x.sign;
	struct x87_wide angle, half_pi = pi;

	half_pi.exponent--;
	y.sign = x.sign = false;
	if (!x.mantissa || y.exponent > x.exponent + 200)
		angle = half_pi;
	else if (!y.mantissa)
		angle = (struct x87_wide){0};
	else if (y.exponent < x.exponent || (y.exponent == x.exponent && y.mantissa <= x.mantissa))
		angle = atan_up_to_one(x87_wide_div(y, x));
	else
		angle = add(half_pi, negate(atan_up_to_one(x87_wide_div(x, y))));
	if (x_sign)
		angle = add(pi, negate(angle));
	angle.sign = y_sign;
	return angle;
}

/* x - x^3/3! + ... or 1 - x^2/2! + ... : @first is the first term, @n the index of the next factor
 */
static struct x87_wide alternating(struct x87_wide first, struct x87_wide square, uint32_t n)
{
	struct x87_wide term = first, sum = first;

	for (; !negligible(term, sum); n += 2) {
		term = divide_small(x87_wide_mul(term, square), n * (n + 1));
		term.sign = !term.sign;
		sum = add(sum, term);
	}
	return sum;
}

/*
 * The argument is reduced modulo pi/2, exactly, for a pi of 66 bits: with pi/2 as P units of
 * 2^-65, by doubling and subtracting as often as the argument's exponent asks.
 */
void x87_wide_sincos(struct soft x, struct x87_wide *sine, struct x87_wide *cosine)
{
	const u128 p = U128(3, 0x243f6a8885a308d3);
	u128 rest = x.mantissa;
	struct x87_wide angle, square, s, c;
	unsigned quadrant = 0;

	if (x.exponent + 2 < 0) {
		angle = x87_wide_of(x);
		angle.sign = false;
	} else {
		for (int i = 0; i < x.exponent + 2; i++) {
			rest <<= 1;
			quadrant <<= 1;
			if (rest >= p) {
				rest -= p;
				quadrant |= 1;
			}
		}
		if (2 * rest > p) {
			angle = normal(true, 127 - 65, p - rest);
			quadrant++;
		} else {
			angle = normal(false, 127 - 65, rest);
		}
	}
	square = x87_wide_mul(angle, angle);
	s = alternating(angle, square, 2);
	c = alternating(one, square, 1);
	if (quadrant & 1) {
		const struct x87_wide t = s;

		s = c;
		c = negate(t);
	}
	if (quadrant & 2) {
		s = negate(s);
		c = negate(c);
	}
	if (x.sign)
		s = negate(s);
	*sine = s;
	*cosine = c;
}
