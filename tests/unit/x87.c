/* SPDX-License-Identifier: MIT */
/*
 * x87 arithmetic with integers against the host's own: equal where it is exact, within one unit
 * in the last place where it is not.
 */
#include "../random.h"
#include "simd/simd.h"
#include "x87/x87-soft.h"

#include "tap.h"

#if X86_HOST_FP
#include "x87/x87-host.h"

static uint64_t state = 0x9e3779b97f4a7c15u;

static uint64_t random64(void)
{
	return random_next(&state) * 0x2545f4914f6cdd1du;
}

static struct x86_f80 random_f80(void)
{
	static const struct x86_f80 corners[] = {
		{0, 0},
		{0x8000000000000000, 0x3fff},
		{0x8000000000000000, 0x7fff},
		{0xc000000000000001, 0x7fff},
		{0x8000000000000002, 0x7fff},
		{3, 0},
		{0x8000000000000000, 0},
		{0x8000000000000000, 1},
		{0xffffffffffffffff, 0x7ffe},
		{0x4000000000000000, 0x3fff},
		{0xc90fdaa22168c235, 0x3fff},
		{0x8000000000000000, 0x3ffe},
		{0x8000000000000000, 0x403e},
		{0x8000000000000000, 0x401e},
	};
	const uint64_t r = random64();
	struct x86_f80 v = {(uint64_t)1 << 63 | random64(), 0};

	switch (r % 6) {
	case 0:
		v = corners[(r >> 8) % (sizeof(corners) / sizeof(corners[0]))];
		break;
	case 1: /* integers */
		v.mantissa &= ~(uint64_t)0 << 58;
		v.sign_exponent = (uint16_t)(0x3ffd + (r >> 8) % 20);
		break;
	case 2:
		v.sign_exponent = (uint16_t)(r >> 8 & 0x7fff);
		break;
	case 3: /* where float, double and the integers end */
		v.sign_exponent =
			(uint16_t)(0x3fff + (r >> 8 & 1 ? 31 : 127) * (r >> 9 & 1 ? 1 : -1) +
		                   (int)(r >> 10 & 3) - 2);
		break;
	default:
		v.sign_exponent = (uint16_t)(0x3fff - 40 + (r >> 8) % 80);
	}
	v.sign_exponent = (uint16_t)(v.sign_exponent | (r >> 63 << 15));
	return v;
}

/* All rounding modes and precisions; in a quarter of them some exceptions are not masked. */
static uint16_t random_cw(void)
{
	const uint64_t r = random64();

	return (uint16_t)(0x40 | (r & 3 ? 0x3f : r >> 8 & 0x3f) | (r >> 16 & 0xf00));
}

static bool same(struct x86_f80 a, struct x86_f80 b)
{
	return a.mantissa == b.mantissa && a.sign_exponent == b.sign_exponent;
}

#define REPEAT 30000
#define STATUS (X87_EXCEPTIONS | X87_C1)

/* Unmasked exceptions that stop an operation leave no result to compare. */
static bool has_result(uint16_t sw, uint16_t cw)
{
	return !(sw & ~(unsigned)cw & (X87_IE | X87_DE | X87_ZE));
}

static void
binary(const char *name,
       uint16_t (*host)(uint16_t, struct x86_f80 *, const struct x86_f80 *, const struct x86_f80 *),
       uint16_t (*soft)(uint16_t, struct x86_f80 *, const struct x86_f80 *, const struct x86_f80 *),
       unsigned status)
{
	for (unsigned n = 0; n < REPEAT && !tap_now_failed; n++) {
		const struct x86_f80 a = random_f80(), b = random_f80();
		const uint16_t cw = random_cw();
		struct x86_f80 x, y;
		uint16_t p, q;

		x87_host_set_cw(cw);
		p = host(cw, &x, &a, &b);
		q = soft(cw, &y, &a, &b);
		x87_host_set_cw(X87_CW_DEFAULT);
		if ((x.sign_exponent & 0x7fff) == 0x7fff && x.mantissa << 1)
			status &= STATUS; /* a NaN has no quotient */
		ok(!((p ^ q) & status) && (!has_result(p, cw) || same(x, y)),
		   "%s cw %03x: %04x %016llx, %04x %016llx: host %04x %016llx sw %04x, soft %04x "
		   "%016llx sw %04x",
		   name, cw, a.sign_exponent, (unsigned long long)a.mantissa, b.sign_exponent,
		   (unsigned long long)b.mantissa, x.sign_exponent, (unsigned long long)x.mantissa,
		   p & 0xffffu, y.sign_exponent, (unsigned long long)y.mantissa, q & 0xffffu);
	}
}

static void arithmetic_is_exact(void)
{
	binary("add", x87_host_add, x87_soft_add, STATUS);
	binary("sub", x87_host_sub, x87_soft_sub, STATUS);
	binary("subr", x87_host_subr, x87_soft_subr, STATUS);
	binary("mul", x87_host_mul, x87_soft_mul, STATUS);
	binary("div", x87_host_div, x87_soft_div, STATUS);
	binary("divr", x87_host_divr, x87_soft_divr, STATUS);
	binary("scale", x87_host_scale, x87_soft_scale, STATUS);
}

static void remainders_are_exact_with_their_quotient_bits(void)
{
	binary("prem", x87_host_prem, x87_soft_prem, X87_EXCEPTIONS | X87_C2);
	binary("prem1", x87_host_prem1, x87_soft_prem1, X87_EXCEPTIONS | X87_C2);
}

static void unary(const char *name,
                  uint16_t (*host)(uint16_t, struct x86_f80 *, const struct x86_f80 *),
                  uint16_t (*soft)(uint16_t, struct x86_f80 *, const struct x86_f80 *),
                  unsigned status, uint64_t ulps)
{
	for (unsigned n = 0; n < (ulps ? REPEAT / 10 : REPEAT) && !tap_now_failed; n++) {
		const struct x86_f80 a = random_f80();
		const uint16_t cw = ulps ? X87_CW_DEFAULT : random_cw();
		struct x86_f80 x, y;
		uint64_t distance;
		uint16_t p, q;

		x87_host_set_cw(cw);
		p = host(cw, &x, &a);
		q = soft(cw, &y, &a);
		x87_host_set_cw(X87_CW_DEFAULT);
		distance = x.mantissa - y.mantissa;
		if (distance >> 63)
			distance = 0 - distance;
		ok(!((p ^ q) & status) &&
		           (!has_result(p, cw) || same(x, y) ||
		            (x.sign_exponent == y.sign_exponent && distance <= ulps) ||
		            (ulps && distance == (uint64_t)1 << 63)),
		   "%s cw %03x: %04x %016llx: host %04x %016llx sw %04x, soft %04x %016llx sw %04x",
		   name, cw, a.sign_exponent, (unsigned long long)a.mantissa, x.sign_exponent,
		   (unsigned long long)x.mantissa, p & 0xffffu, y.sign_exponent,
		   (unsigned long long)y.mantissa, q & 0xffffu);
	}
}

static void roots_and_integral_values_are_exact(void)
{
	unary("sqrt", x87_host_sqrt, x87_soft_sqrt, STATUS, 0);
	unary("rndint", x87_host_rndint, x87_soft_rndint, STATUS, 0);
}

static void transcendental_functions_are_within_an_ulp(void)
{
	const unsigned status = X87_IE | X87_ZE | X87_DE | X87_C2;

	unary("sin", x87_host_sin, x87_soft_sin, status, 1);
	unary("cos", x87_host_cos, x87_soft_cos, status, 1);
	unary("f2xm1", x87_host_f2xm1, x87_soft_f2xm1, status, 1);
}

static void constants_are_rounded_as_asked(void)
{
	for (unsigned rc = 0; rc < 4; rc++) {
		const uint16_t cw = (uint16_t)(X87_CW_DEFAULT | rc << 10);
		struct x86_f80 host, soft;

#define CONSTANT(name)                                                                             \
	x87_host_set_cw(cw);                                                                       \
	x87_host_##name(cw, &host);                                                                \
	x87_host_set_cw(X87_CW_DEFAULT);                                                           \
	x87_soft_##name(cw, &soft);                                                                \
	ok(same(host, soft), #name " %u", rc)
		CONSTANT(one);
		CONSTANT(l2t);
		CONSTANT(l2e);
		CONSTANT(pi);
		CONSTANT(lg2);
		CONSTANT(ln2);
		CONSTANT(zero);
	}
}

#define STORES(name, type)                                                                         \
	for (unsigned n = 0; n < REPEAT && !tap_now_failed; n++) {                                 \
		const struct x86_f80 a = random_f80();                                             \
		const uint16_t cw = random_cw();                                                   \
		type x = {0}, y = {0};                                                             \
		uint16_t p, q;                                                                     \
                                                                                                   \
		x87_host_set_cw(cw);                                                               \
		p = x87_host_##name(cw, &x, &a);                                                   \
		q = x87_soft_##name(cw, &y, &a);                                                   \
		x87_host_set_cw(X87_CW_DEFAULT);                                                   \
		ok(!((p ^ q) & STATUS) && !memcmp(&x, &y, sizeof(x)),                              \
		   #name " cw %03x: %04x %016llx: sw %04x, %04x", cw, a.sign_exponent,             \
		   (unsigned long long)a.mantissa, p & 0xffffu, q & 0xffffu);                      \
	}

static void stores_are_exact(void)
{
	STORES(to_f32, uint32_t)
	STORES(to_f64, uint64_t)
	STORES(to_i16, uint16_t)
	STORES(to_i32, uint32_t)
	STORES(to_i64, uint64_t)
	STORES(trunc_i16, uint16_t)
	STORES(trunc_i32, uint32_t)
	STORES(trunc_i64, uint64_t)
	STORES(to_bcd, struct x87_bcd)
}

int main(void)
{
	RUN(arithmetic_is_exact);
	RUN(remainders_are_exact_with_their_quotient_bits);
	RUN(roots_and_integral_values_are_exact);
	RUN(transcendental_functions_are_within_an_ulp);
	RUN(constants_are_rounded_as_asked);
	RUN(stores_are_exact);
	return tap_done();
}
#else
int main(void)
{
	printf("1..0 # SKIP the host has no x87 to compare with\n");
	return 0;
}
#endif
