/* SPDX-License-Identifier: MIT */
/*
 * x87 comparisons: into the condition codes, or into EFLAGS. A stack fault has the course of
 * x87.c and compares as unordered.
 */
#include "x87/x87-stack.h"

#define UNORDERED (X87_C0 | X87_C2 | X87_C3)

/* Return: whether the condition codes were set, so that a popping form pops. */
static inline bool compare_done(struct x87 *f, uint16_t sw)
{
	return !(merge(f, sw, X87_CC) & PRE_COMPUTATION);
}

static bool compare_empty(struct x87 *f)
{
	const bool masked = underflow(f);

	f->sw = (uint16_t)(f->sw | UNORDERED);
	return masked;
}

static inline bool compare(struct x87 *f, unsigned i, bool ordered)
{
	if (is_empty(f, 0) || is_empty(f, i))
		return compare_empty(f);
	begin(f);
	return compare_done(f, ordered ? MATH(com)(f->cw, st(f, 0), st(f, i))
	                               : MATH(ucom)(f->cw, st(f, 0), st(f, i)));
}

#define COMPARE(name, ordered, n)                                                                  \
	X87_FN(name)                                                                               \
	{                                                                                          \
		pops(f, compare(f, i, ordered), n);                                                \
		return false;                                                                      \
	}
COMPARE(x87_fcom, true, 0)
COMPARE(x87_fcomp, true, 1)
COMPARE(x87_fucom, false, 0)
COMPARE(x87_fucomp, false, 1)

X87_FN(x87_fcompp)
{
	pops(f, compare(f, 1, true), 2);
	return false;
}

X87_FN(x87_fucompp)
{
	pops(f, compare(f, 1, false), 2);
	return false;
}

#define COMPARE_MEMORY(name, kind, argument, n)                                                    \
	X87_FN(name)                                                                               \
	{                                                                                          \
		bool done;                                                                         \
                                                                                                   \
		begin(f);                                                                          \
		done = is_empty(f, 0) ? compare_empty(f)                                           \
		                      : compare_done(f, MATH(kind)(f->cw, st(f, 0), argument));    \
		pops(f, done, n);                                                                  \
		return false;                                                                      \
	}
COMPARE_MEMORY(x87_fcom_f32, com_f32, &m->d[0], 0)
COMPARE_MEMORY(x87_fcomp_f32, com_f32, &m->d[0], 1)
COMPARE_MEMORY(x87_fcom_f64, com_f64, &m->q[0], 0)
COMPARE_MEMORY(x87_fcomp_f64, com_f64, &m->q[0], 1)

static void compare_integer(struct x87 *f, int64_t value, unsigned n)
{
	const struct x86_f80 b = x87_f80_of_int(value);

	if (is_empty(f, 0)) {
		pops(f, compare_empty(f), n);
		return;
	}
	begin(f);
	pops(f, compare_done(f, MATH(com)(f->cw, st(f, 0), &b)), n);
}

#define COMPARE_INTEGER(name, value, n)                                                            \
	X87_FN(name)                                                                               \
	{                                                                                          \
		compare_integer(f, value, n);                                                      \
		return false;                                                                      \
	}
COMPARE_INTEGER(x87_fcom_i16, (int16_t)m->w[0], 0)
COMPARE_INTEGER(x87_fcomp_i16, (int16_t)m->w[0], 1)
COMPARE_INTEGER(x87_fcom_i32, (int32_t)m->d[0], 0)
COMPARE_INTEGER(x87_fcomp_i32, (int32_t)m->d[0], 1)

/* ZF, PF and CF are where C3, C2 and C0 are in the high byte of the status word. */
static inline void compare_flags(struct x87 *f, unsigned i, bool ordered, bool popping)
{
	uint16_t sw;
	bool done;

	if (is_empty(f, 0) || is_empty(f, i)) {
		done = underflow(f);
		sw = UNORDERED;
	} else {
		begin(f);
		sw = ordered ? MATH(com)(f->cw, st(f, 0), st(f, i))
		             : MATH(ucom)(f->cw, st(f, 0), st(f, i));
		done = !(merge(f, sw, 0) & PRE_COMPUTATION);
	}
	f->eflags = (sw & UNORDERED) >> 8;
	pops(f, done && popping, 1);
}

#define COMPARE_FLAGS(name, ordered, popping)                                                      \
	X87_FN(name)                                                                               \
	{                                                                                          \
		compare_flags(f, i, ordered, popping);                                             \
		return false;                                                                      \
	}
COMPARE_FLAGS(x87_fcomi, true, false)
COMPARE_FLAGS(x87_fcomip, true, true)
COMPARE_FLAGS(x87_fucomi, false, false)
COMPARE_FLAGS(x87_fucomip, false, true)

X87_FN(x87_ftst)
{
	struct x86_f80 r;

	if (is_empty(f, 0)) {
		compare_empty(f);
		return false;
	}
	begin(f);
	merge(f, MATH(tst)(f->cw, &r, st(f, 0)), X87_CC);
	return false;
}

X87_FN(x87_fxam)
{
	const struct x86_f80 *a = st(f, 0);
	const unsigned exponent = a->sign_exponent & 0x7fff;
	const bool integer_bit = a->mantissa >> 63;
	unsigned class;

	if (is_empty(f, 0))
		class = X87_C3 | X87_C0;
	else if (exponent == 0)
		class = a->mantissa ? X87_C3 | X87_C2 : X87_C3; /* denormal, zero */
	else if (!integer_bit)
		class = 0; /* unsupported */
	else if (exponent == 0x7fff)
		class = a->mantissa << 1 ? X87_C0 : X87_C2 | X87_C0; /* NaN, infinity */
	else
		class = X87_C2;
	if (a->sign_exponent & 0x8000)
		class |= X87_C1;
	f->sw = (uint16_t)((f->sw & ~X87_CC) | class);
	return false;
}
