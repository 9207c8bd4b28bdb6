/* SPDX-License-Identifier: MIT */
/*
 * x87 arithmetic with integers: the functions of x87-host.h for hosts without an x87. @cw says
 * how to round, to which precision, and which exceptions are masked; each returns what the
 * status word would show of this one operation.
 *
 * Arithmetic, conversions and remainders are exact. Transcendental functions are computed to
 * some 120 bits and rounded, so they are within one unit in the last place of the true
 * value, of pi rounded to 66 bits as the hardware's argument reduction is. The hardware is too, and
 * so the last bit of these may differ from it.
 */
#ifndef WSLX_X87_SOFT_H
#define WSLX_X87_SOFT_H

#include "x87/x87.h"

#define X87_SOFT_BINARY(name, type)                                                                \
	uint16_t x87_soft_##name(uint16_t cw, struct x86_f80 *r, const struct x86_f80 *a,          \
	                         const type *b);
#define X87_SOFT_BINARY_ALL(name)                                                                  \
	X87_SOFT_BINARY(name, struct x86_f80)                                                      \
	X87_SOFT_BINARY(name##_f32, uint32_t)                                                      \
	X87_SOFT_BINARY(name##_f64, uint64_t)
X87_SOFT_BINARY_ALL(add)
X87_SOFT_BINARY_ALL(mul)
X87_SOFT_BINARY_ALL(sub)
X87_SOFT_BINARY_ALL(subr)
X87_SOFT_BINARY_ALL(div)
X87_SOFT_BINARY_ALL(divr)
X87_SOFT_BINARY(scale, struct x86_f80)
X87_SOFT_BINARY(prem, struct x86_f80)
X87_SOFT_BINARY(prem1, struct x86_f80)
X87_SOFT_BINARY(patan, struct x86_f80)
X87_SOFT_BINARY(yl2x, struct x86_f80)
X87_SOFT_BINARY(yl2xp1, struct x86_f80)

#define X87_SOFT_COMPARE(name, type)                                                               \
	uint16_t x87_soft_##name(uint16_t cw, const struct x86_f80 *a, const type *b);
X87_SOFT_COMPARE(com, struct x86_f80)
X87_SOFT_COMPARE(ucom, struct x86_f80)
X87_SOFT_COMPARE(com_f32, uint32_t)
X87_SOFT_COMPARE(com_f64, uint64_t)

#define X87_SOFT_UNARY(name)                                                                       \
	uint16_t x87_soft_##name(uint16_t cw, struct x86_f80 *r, const struct x86_f80 *a);
X87_SOFT_UNARY(sqrt)
X87_SOFT_UNARY(rndint)
X87_SOFT_UNARY(f2xm1)
X87_SOFT_UNARY(sin)
X87_SOFT_UNARY(cos)
X87_SOFT_UNARY(tst)

#define X87_SOFT_UNARY2(name)                                                                      \
	uint16_t x87_soft_##name(uint16_t cw, struct x86_f80 *top, struct x86_f80 *below,          \
	                         const struct x86_f80 *a);
X87_SOFT_UNARY2(ptan)
X87_SOFT_UNARY2(sincos)
X87_SOFT_UNARY2(xtract)

#define X87_SOFT_LOAD(name, type)                                                                  \
	uint16_t x87_soft_##name(uint16_t cw, struct x86_f80 *r, const type *m);
X87_SOFT_LOAD(from_f32, uint32_t)
X87_SOFT_LOAD(from_f64, uint64_t)
X87_SOFT_LOAD(from_bcd, struct x87_bcd)

#define X87_SOFT_STORE(name, type)                                                                 \
	uint16_t x87_soft_##name(uint16_t cw, type *m, const struct x86_f80 *a);
X87_SOFT_STORE(to_f32, uint32_t)
X87_SOFT_STORE(to_f64, uint64_t)
X87_SOFT_STORE(to_i16, uint16_t)
X87_SOFT_STORE(to_i32, uint32_t)
X87_SOFT_STORE(to_i64, uint64_t)
X87_SOFT_STORE(trunc_i16, uint16_t)
X87_SOFT_STORE(trunc_i32, uint32_t)
X87_SOFT_STORE(trunc_i64, uint64_t)
X87_SOFT_STORE(to_bcd, struct x87_bcd)

#define X87_SOFT_CONSTANT(name) void x87_soft_##name(uint16_t cw, struct x86_f80 *r);
X87_SOFT_CONSTANT(one)
X87_SOFT_CONSTANT(l2t)
X87_SOFT_CONSTANT(l2e)
X87_SOFT_CONSTANT(pi)
X87_SOFT_CONSTANT(lg2)
X87_SOFT_CONSTANT(ln2)
X87_SOFT_CONSTANT(zero)

#endif
