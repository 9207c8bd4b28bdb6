/* SPDX-License-Identifier: MIT */
#include "x87/x87-soft-int.h"

#define UNORDERED (X87_C0 | X87_C2 | X87_C3)

/* An operand of 32 or 64 bits keeps its denormal mark; its format is a part of f80. */
static struct soft of_f32(const uint32_t *b)
{
	return soft_from_f32(*b, &(struct soft_env){0});
}

static struct soft of_f64(const uint64_t *b)
{
	return soft_from_f64(*b, &(struct soft_env){0});
}

/* ---- arithmetic ------------------------------------------------------------------------ */

enum arithmetic { ADD, MUL, SUB, SUBR, DIV, DIVR };

static uint16_t arithmetic(uint16_t cw, enum arithmetic op, struct x86_f80 *r, struct soft a,
                           struct soft b)
{
	const struct soft_format f = format_of(cw);
	struct soft_env env = env_of(cw);
	struct soft result;

	if (soft_is_nan(a) || soft_is_nan(b))
		return finish(cw, &env, nan_of(&env, a, b), r);
	switch (op) {
	case ADD:
		result = soft_add(&env, &f, a, b);
		break;
	case SUB:
		result = soft_add(&env, &f, a, soft_negate(b));
		break;
	case SUBR:
		result = soft_add(&env, &f, b, soft_negate(a));
		break;
	case MUL:
		result = soft_mul(&env, &f, a, b);
		break;
	case DIV:
		result = soft_div(&env, &f, a, b);
		break;
	default:
		result = soft_div(&env, &f, b, a);
		break;
	}
	return finish(cw, &env, result, r);
}

#define ARITHMETIC(name, op)                                                                       \
	uint16_t x87_soft_##name(uint16_t cw, struct x86_f80 *r, const struct x86_f80 *a,          \
	                         const struct x86_f80 *b)                                          \
	{                                                                                          \
		if (unsupported(a) || unsupported(b))                                              \
			return invalid(r);                                                         \
		return arithmetic(cw, op, r, unpack(a), unpack(b));                                \
	}                                                                                          \
	uint16_t x87_soft_##name##_f32(uint16_t cw, struct x86_f80 *r, const struct x86_f80 *a,    \
	                               const uint32_t *b)                                          \
	{                                                                                          \
		if (unsupported(a))                                                                \
			return invalid(r);                                                         \
		return arithmetic(cw, op, r, unpack(a), of_f32(b));                                \
	}                                                                                          \
	uint16_t x87_soft_##name##_f64(uint16_t cw, struct x86_f80 *r, const struct x86_f80 *a,    \
	                               const uint64_t *b)                                          \
	{                                                                                          \
		if (unsupported(a))                                                                \
			return invalid(r);                                                         \
		return arithmetic(cw, op, r, unpack(a), of_f64(b));                                \
	}
ARITHMETIC(add, ADD)
ARITHMETIC(mul, MUL)
ARITHMETIC(sub, SUB)
ARITHMETIC(subr, SUBR)
ARITHMETIC(div, DIV)
ARITHMETIC(divr, DIVR)

uint16_t x87_soft_sqrt(uint16_t cw, struct x86_f80 *r, const struct x86_f80 *a)
{
	const struct soft_format f = format_of(cw);
	struct soft_env env = env_of(cw);
	const struct soft x = unpack(a);

	if (unsupported(a))
		return invalid(r);
	if (soft_is_nan(x))
		return finish(cw, &env, soft_quiet(&env, x), r);
	return finish(cw, &env, soft_sqrt(&env, &f, x), r);
}

uint16_t x87_soft_rndint(uint16_t cw, struct x86_f80 *r, const struct x86_f80 *a)
{
	struct soft_env env = env_of(cw);
	const struct soft x = unpack(a);

	if (unsupported(a))
		return invalid(r);
	if (soft_is_nan(x))
		return finish(cw, &env, soft_quiet(&env, x), r);
	if (x.denormal)
		env.flags |= SOFT_DE;
	return finish(cw, &env, soft_to_integral(&env, x), r);
}

/* a * 2^trunc(b) */
uint16_t x87_soft_scale(uint16_t cw, struct x86_f80 *r, const struct x86_f80 *a,
                        const struct x86_f80 *b)
{
	struct soft_env env = env_of(cw), truncating = {.rounding = SOFT_TOWARD_ZERO};
	struct soft x = unpack(a), y = unpack(b);
	int by;

	if (unsupported(a) || unsupported(b))
		return invalid(r);
	if (soft_is_nan(x) || soft_is_nan(y))
		return finish(cw, &env, nan_of(&env, x, y), r);
	if (y.class == SOFT_INFINITY) {
		if (y.sign ? x.class == SOFT_INFINITY : x.class == SOFT_ZERO)
			return invalid(r);
		if (x.denormal)
			env.flags |= SOFT_DE;
		return finish(cw, &env, y.sign ? soft_zero(x.sign) : soft_infinity(x.sign), r);
	}
	if (x.denormal || y.denormal)
		env.flags |= SOFT_DE;
	if (x.class != SOFT_FINITE)
		return finish(cw, &env, x, r);
	/* Twice the range of exponents is beyond all results. */
	if (y.class == SOFT_FINITE && y.exponent > 16)
		by = y.sign ? -0x10000 : 0x10000;
	else
		by = (int)soft_to_int(&truncating, y, 32);
	return finish(cw, &env, soft_round(&env, &soft_f80, x.sign, x.exponent + by, x.mantissa, 0),
	              r);
}

/* ---- remainders ------------------------------------------------------------------------ */

/*
 * One step of at most 63 bits of the quotient. If more are left, C2 says so and the result is a
 * partial remainder; else C0, C3 and C1 are the quotient's three lowest bits.
 */
static uint16_t remainder_of(uint16_t cw, struct x86_f80 *r, const struct x86_f80 *a,
                             const struct x86_f80 *b, bool nearest)
{
	struct soft_env env = env_of(cw);
	struct soft x = unpack(a), y = unpack(b);
	uint64_t quotient = 0;
	unsigned __int128 rest;
	bool partial = false, sign = x.sign;
	int distance, steps;
	uint16_t codes;

	if (unsupported(a) || unsupported(b))
		return invalid(r);
	if (soft_is_nan(x) || soft_is_nan(y))
		return finish(cw, &env, nan_of(&env, x, y), r);
	if (x.class == SOFT_INFINITY || y.class == SOFT_ZERO)
		return invalid(r);
	if (x.denormal || y.denormal)
		env.flags |= SOFT_DE;
	if (x.class == SOFT_ZERO || y.class == SOFT_INFINITY)
		return finish(cw, &env, x, r);

	distance = x.exponent - y.exponent;
	steps = distance;
	if (distance >= 64) {
		steps = 32 + distance % 32;
		partial = true;
	}
	if (distance < (nearest ? -1 : 0))
		return finish(cw, &env,
		              soft_round(&env, &soft_f80, sign, x.exponent, x.mantissa, 0), r);

	/* As many subtractions of the divisor's multiples as there are bits in the quotient. */
	rest = x.mantissa;
	for (int i = 0; i <= steps; i++) {
		quotient <<= 1;
		if (rest >= y.mantissa) {
			rest -= y.mantissa;
			quotient |= 1;
		}
		if (i < steps)
			rest <<= 1;
	}
	/* rest is in units of the divisor's last place, at 2^-(distance - steps) of it. */
	if (nearest && !partial) {
		unsigned __int128 divisor = y.mantissa;

		if (steps < 0) { /* one place below the divisor's */
			divisor <<= 1;
			rest = x.mantissa;
		}
		if (2 * rest > divisor || (2 * rest == divisor && quotient & 1)) {
			rest = divisor - rest;
			sign = !sign;
			quotient++;
		}
	}
	codes = partial ? X87_C2
	                : (uint16_t)((quotient & 4 ? X87_C0 : 0) | (quotient & 2 ? X87_C3 : 0) |
	                             (quotient & 1 ? X87_C1 : 0));
	if (!rest) {
		*r = pack(soft_zero(x.sign));
	} else {
		/* Up to 65 bits with the last one zero, so nothing is rounded. */
		const unsigned shift =
			rest >> 64 ? 0 : 1 + (unsigned)__builtin_clzll((uint64_t)rest);
		const int unit =
			y.exponent + (partial ? distance - steps : 0) + (steps < 0 ? -1 : 0);
		const uint64_t mantissa =
			shift ? (uint64_t)(rest << (shift - 1)) : (uint64_t)(rest >> 1);

		*r = pack(soft_round(&env, &soft_f80, sign, unit + 1 - (int)shift, mantissa, 0));
	}
	if (env.flags & ~(unsigned)cw & PRE_COMPUTATION)
		codes = 0;
	env.rounded_up = false;
	return (uint16_t)(status(cw, &env) | codes);
}

uint16_t x87_soft_prem(uint16_t cw, struct x86_f80 *r, const struct x86_f80 *a,
                       const struct x86_f80 *b)
{
	return remainder_of(cw, r, a, b, false);
}

uint16_t x87_soft_prem1(uint16_t cw, struct x86_f80 *r, const struct x86_f80 *a,
                        const struct x86_f80 *b)
{
	return remainder_of(cw, r, a, b, true);
}

/* ---- comparison ------------------------------------------------------------------------ */

static uint16_t compare(uint16_t cw, struct soft a, struct soft b, bool bad, bool quiet)
{
	static const uint16_t codes[] = {
		[SOFT_LESS] = X87_C0,
		[SOFT_EQUAL] = X87_C3,
		[SOFT_GREATER] = 0,
		[SOFT_UNORDERED] = UNORDERED,
	};

	if (bad)
		return UNORDERED | X87_IE;
	if (soft_is_nan(a) || soft_is_nan(b)) {
		if (quiet && !a.signalling && !b.signalling)
			return UNORDERED;
		return UNORDERED | X87_IE;
	}
	return (uint16_t)(codes[soft_compare(a, b)] | (a.denormal || b.denormal ? X87_DE : 0));
}

uint16_t x87_soft_com(uint16_t cw, const struct x86_f80 *a, const struct x86_f80 *b)
{
	return compare(cw, unpack(a), unpack(b), unsupported(a) || unsupported(b), false);
}

uint16_t x87_soft_ucom(uint16_t cw, const struct x86_f80 *a, const struct x86_f80 *b)
{
	return compare(cw, unpack(a), unpack(b), unsupported(a) || unsupported(b), true);
}

uint16_t x87_soft_com_f32(uint16_t cw, const struct x86_f80 *a, const uint32_t *b)
{
	return compare(cw, unpack(a), of_f32(b), unsupported(a), false);
}

uint16_t x87_soft_com_f64(uint16_t cw, const struct x86_f80 *a, const uint64_t *b)
{
	return compare(cw, unpack(a), of_f64(b), unsupported(a), false);
}

uint16_t x87_soft_tst(uint16_t cw, struct x86_f80 *r, const struct x86_f80 *a)
{
	*r = *a;
	return compare(cw, unpack(a), soft_zero(false), unsupported(a), false);
}

/* ---- loads and stores ------------------------------------------------------------------ */

static uint16_t load(uint16_t cw, struct x86_f80 *r, struct soft a)
{
	struct soft_env env = env_of(cw);

	if (soft_is_nan(a))
		a = soft_quiet(&env, a);
	if (a.denormal)
		env.flags |= SOFT_DE;
	return finish(cw, &env, a, r);
}

uint16_t x87_soft_from_f32(uint16_t cw, struct x86_f80 *r, const uint32_t *m)
{
	return load(cw, r, of_f32(m));
}

uint16_t x87_soft_from_f64(uint16_t cw, struct x86_f80 *r, const uint64_t *m)
{
	return load(cw, r, of_f64(m));
}

uint16_t x87_soft_from_bcd(uint16_t cw, struct x86_f80 *r, const struct x87_bcd *m)
{
	struct soft_env env = env_of(cw);
	struct soft a;
	int64_t v = 0;

	for (unsigned i = 9; i-- > 0;)
		v = v * 100 + (m->b[i] >> 4) * 10 + (m->b[i] & 15);
	a = soft_from_int(&env, &soft_f80, v);
	a.sign = m->b[9] >> 7;
	return finish(cw, &env, a, r);
}

/* Return: whether the value may be stored; @m keeps what it has if not. */
static bool stored(uint16_t cw, const struct soft_env *env)
{
	return !(env->flags & ~(unsigned)cw & (X87_IE | X87_OE | X87_UE));
}

#define TO_FLOAT(bits)                                                                             \
	uint16_t x87_soft_to_f##bits(uint16_t cw, uint##bits##_t *m, const struct x86_f80 *a)      \
	{                                                                                          \
		struct soft_env env = env_of(cw);                                                  \
		struct soft x = unpack(a);                                                         \
                                                                                                   \
		if (unsupported(a)) {                                                              \
			env.flags |= SOFT_IE;                                                      \
			x = soft_indefinite();                                                     \
		} else if (soft_is_nan(x)) {                                                       \
			x = soft_quiet(&env, x);                                                   \
		} else {                                                                           \
			x = soft_convert(&env, &soft_f##bits, x);                                  \
		}                                                                                  \
		if (stored(cw, &env)) {                                                            \
			*m = soft_to_f##bits(x);                                                   \
		} else { /* nothing was rounded, then */                                           \
			env.flags &= ~SOFT_PE;                                                     \
			env.rounded_up = false;                                                    \
		}                                                                                  \
		return status(cw, &env);                                                           \
	}
TO_FLOAT(32)
TO_FLOAT(64)

static int64_t to_int(uint16_t cw, struct soft_env *env, const struct x86_f80 *a, unsigned bits)
{
	if (unsupported(a)) {
		env->flags |= SOFT_IE;
		return (int64_t)(~(uint64_t)0 << (bits - 1));
	}
	return soft_to_int(env, unpack(a), bits);
}

#define TO_INT(bits)                                                                               \
	uint16_t x87_soft_to_i##bits(uint16_t cw, uint##bits##_t *m, const struct x86_f80 *a)      \
	{                                                                                          \
		struct soft_env env = env_of(cw);                                                  \
		const int64_t v = to_int(cw, &env, a, bits);                                       \
                                                                                                   \
		if (stored(cw, &env))                                                              \
			*m = (uint##bits##_t)v;                                                    \
		return status(cw, &env);                                                           \
	}                                                                                          \
	uint16_t x87_soft_trunc_i##bits(uint16_t cw, uint##bits##_t *m, const struct x86_f80 *a)   \
	{                                                                                          \
		return x87_soft_to_i##bits((uint16_t)(cw | 0xc00), m, a);                          \
	}
TO_INT(16)
TO_INT(32)
TO_INT(64)

/* Eighteen digits, two a byte, and a sign. */
uint16_t x87_soft_to_bcd(uint16_t cw, struct x87_bcd *m, const struct x86_f80 *a)
{
	static const struct x87_bcd bad = {{0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff}};
	const int64_t limit = 1000000000000000000;
	struct soft_env env = env_of(cw);
	const int64_t v = to_int(cw, &env, a, 64);
	uint64_t digits = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	struct x87_bcd out;

	if (env.flags & SOFT_IE || v >= limit || v <= -limit) {
		env.flags = SOFT_IE;
		env.rounded_up = false;
		if (stored(cw, &env))
			*m = bad;
		return status(cw, &env);
	}
	for (unsigned i = 0; i < 9; i++, digits /= 100)
		out.b[i] = (uint8_t)(digits % 10 | digits / 10 % 10 << 4);
	out.b[9] = (uint8_t)(a->sign_exponent >> 15 << 7);
	*m = out;
	return status(cw, &env);
}

/* ---- constants ------------------------------------------------------------------------- */

#define CONSTANT(name, exponent, high, low)                                                        \
	void x87_soft_##name(uint16_t cw, struct x86_f80 *r)                                       \
	{                                                                                          \
		struct soft_env env = env_of(cw);                                                  \
                                                                                                   \
		*r = pack(soft_round(&env, &soft_f80, false, exponent, high, low));                \
	}
CONSTANT(one, 0, TOP_BIT, 0)
CONSTANT(l2t, 1, 0xd49a784bcd1b8afe, 0x492bf6ff4dafdb4c)
CONSTANT(l2e, 0, 0xb8aa3b295c17f0bb, 0xbe87fed0691d3e88)
CONSTANT(pi, 1, 0xc90fdaa22168c234, 0xc4c6628b80dc1cd1)
CONSTANT(lg2, -2, 0x9a209a84fbcff798, 0x8f8959ac0b7c9178)
CONSTANT(ln2, -1, 0xb17217f7d1cf79ab, 0xc9e3b39803f2f6af)

void x87_soft_zero(uint16_t cw, struct x86_f80 *r)
{
	*r = (struct x86_f80){0, 0};
}
