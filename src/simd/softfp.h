/* SPDX-License-Identifier: MIT */
/*
 * Binary floating point with integers: the arithmetic of SSE and x87 for hosts that have
 * neither.
 *
 * A number is unpacked into sign, exponent and a mantissa of 64 bits whose highest bit is set.
 * An operation makes the exact result, or enough of it: 128 bits of which the lowest also stands
 * for all that was cut off. soft_round() makes that a number of the wanted format, and is where
 * rounding modes, overflow, underflow, flushing and their flags are.
 */
#ifndef WSLX_SOFTFP_H
#define WSLX_SOFTFP_H

#include "base/base.h"

enum soft_class { SOFT_ZERO, SOFT_FINITE, SOFT_INFINITY, SOFT_NAN };

struct soft {
	bool sign;
	uint8_t class; /* enum soft_class */
	bool denormal; /* it was one before it was unpacked */
	bool signalling;
	int32_t exponent;  /* value = mantissa / 2^63 * 2^exponent */
	uint64_t mantissa; /* of a NaN: its payload, quiet bit at 62, as f80 has it */
};

enum soft_rounding { SOFT_NEAREST, SOFT_DOWN, SOFT_UP, SOFT_TOWARD_ZERO };

#define SOFT_IE 0x01u
#define SOFT_DE 0x02u
#define SOFT_ZE 0x04u
#define SOFT_OE 0x08u
#define SOFT_UE 0x10u
#define SOFT_PE 0x20u

struct soft_env {
	enum soft_rounding rounding;
	bool flush_to_zero;
	bool denormals_are_zero;
	/* x87 only: a result that over- or underflows is scaled by 2^24576 instead. */
	bool scale_overflow, scale_underflow;
	uint32_t flags;  /* SOFT_*, sticky */
	bool rounded_up; /* the last result's magnitude was increased: C1 */
};

struct soft_format {
	int precision;   /* bits, with the leading one */
	int least, most; /* exponents of normal numbers */
};

extern const struct soft_format soft_f32, soft_f64, soft_f80;

struct soft soft_from_f32(uint32_t bits, const struct soft_env *env);
struct soft soft_from_f64(uint64_t bits, const struct soft_env *env);
uint32_t soft_to_f32(struct soft a);
uint64_t soft_to_f64(struct soft a);

/*
 * Operations round to a format; their result can be packed in that format. Operands that are
 * NaNs must have been dealt with (SSE and x87 choose between two differently), except that
 * soft_nan_result() makes one quiet.
 */
struct soft soft_add(struct soft_env *env, const struct soft_format *f, struct soft a,
                     struct soft b);
struct soft soft_mul(struct soft_env *env, const struct soft_format *f, struct soft a,
                     struct soft b);
struct soft soft_div(struct soft_env *env, const struct soft_format *f, struct soft a,
                     struct soft b);
struct soft soft_sqrt(struct soft_env *env, const struct soft_format *f, struct soft a);
struct soft soft_convert(struct soft_env *env, const struct soft_format *f, struct soft a);
struct soft soft_from_int(struct soft_env *env, const struct soft_format *f, int64_t value);
/* To an integral value, in the same format. */
struct soft soft_to_integral(struct soft_env *env, struct soft a);
/* To an integer of @bits bits; out of range: SOFT_IE and the least integer. */
int64_t soft_to_int(struct soft_env *env, struct soft a, unsigned bits);

/* Round mantissa:low (value = mantissa / 2^63 * 2^exponent, highest bit set). */
struct soft soft_round(struct soft_env *env, const struct soft_format *f, bool sign, int exponent,
                       uint64_t mantissa, uint64_t low);

enum soft_order { SOFT_LESS, SOFT_EQUAL, SOFT_GREATER, SOFT_UNORDERED };
enum soft_order soft_compare(struct soft a, struct soft b); /* no flags */

struct soft soft_indefinite(void);
struct soft soft_zero(bool sign);
struct soft soft_infinity(bool sign);

static inline struct soft soft_negate(struct soft a)
{
	a.sign = !a.sign;
	return a;
}

static inline bool soft_is_nan(struct soft a)
{
	return a.class == SOFT_NAN;
}

/* The quiet form of a NaN operand, with its flag if it was signalling. */
static inline struct soft soft_quiet(struct soft_env *env, struct soft a)
{
	if (a.signalling)
		env->flags |= SOFT_IE;
	a.signalling = false;
	a.mantissa |= (uint64_t)1 << 62;
	return a;
}

#endif
