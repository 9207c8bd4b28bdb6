/* SPDX-License-Identifier: MIT */
#include "x87/x87-soft.h"

#define PRE_COMPUTATION (X87_IE | X87_DE | X87_ZE)
#define UNORDERED (X87_C0 | X87_C2 | X87_C3)
#define TOP_BIT ((uint64_t)1 << 63)

static const struct x86_f80 indefinite = {0xc000000000000000u, 0xffff};

/* ---- operands and results -------------------------------------------------------------- */

static struct soft_env env_of(uint16_t cw)
{
	return (struct soft_env){
		.rounding = (enum soft_rounding)(cw >> 10 & 3),
		.scale_overflow = !(cw & X87_OE),
		.scale_underflow = !(cw & X87_UE),
	};
}

/* Precision control limits the mantissa, never the exponent. */
static struct soft_format format_of(uint16_t cw)
{
	static const int precisions[4] = {24, 64, 53, 64};
	struct soft_format f = soft_f80;

	f.precision = precisions[cw >> 8 & 3];
	return f;
}

/* Encodings that the 8087 had and its successors refuse: a finite number without its leading one.
 */
static bool unsupported(const struct x86_f80 *a)
{
	return a->sign_exponent & 0x7fff && !(a->mantissa >> 63);
}

static struct soft unpack(const struct x86_f80 *v)
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

static struct x86_f80 pack(struct soft a)
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
static uint16_t status(uint16_t cw, const struct soft_env *env)
{
	unsigned flags = env->flags;

	if (flags & ~(unsigned)cw & PRE_COMPUTATION)
		return (uint16_t)(flags & PRE_COMPUTATION);
	if (env->rounded_up)
		flags |= X87_C1;
	return (uint16_t)flags;
}

static uint16_t finish(uint16_t cw, const struct soft_env *env, struct soft result,
                       struct x86_f80 *r)
{
	*r = pack(result);
	return status(cw, env);
}

static uint16_t invalid(struct x86_f80 *r)
{
	*r = indefinite;
	return X87_IE;
}

/* Of two NaNs the one with the larger mantissa, but a quiet one before a signalling one. */
static struct soft nan_of(struct soft_env *env, struct soft a, struct soft b)
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

/* ---- transcendental functions ---------------------------------------------------------- */

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
