/* SPDX-License-Identifier: MIT */
/*
 * x87 arithmetic on an x86-64 host: the instruction itself, with the guest's control word
 * loaded (x87_enter). x87-soft.h has the same functions for other hosts.
 *
 * Each takes operands in memory, leaves the result in *r and returns the status word. The host's
 * register stack is empty before and after. With an unmasked exception the host only notes that
 * it is pending, and nothing but a waiting instruction would deliver it: so the status word is
 * read without waiting, the exception is cleared, and the result is stored then. An
 * instruction that an unmasked exception stopped half-way has left its operands on the stack,
 * so what may be left is marked free instead of being popped; TOP may have moved by then, which
 * does not matter while all registers are empty.
 *
 * @cw is for the portable functions; here the host knows it.
 */
#ifndef WSLX_X87_HOST_H
#define WSLX_X87_HOST_H

#include "x87/x87.h"

#define X87_HOST_STATUS                                                                            \
	"fnstsw %%ax\n\t"                                                                          \
	"testb $0x80, %%al\n\t"                                                                    \
	"jz 1f\n\t"                                                                                \
	"fnclex\n"                                                                                 \
	"1:\n\t"

/* a op b, a in ST(0) */
#define X87_HOST_BINARY(name, instruction)                                                         \
	static inline uint16_t x87_host_##name(uint16_t cw, struct x86_f80 *r,                     \
	                                       const struct x86_f80 *a, const struct x86_f80 *b)   \
	{                                                                                          \
		uint16_t sw;                                                                       \
                                                                                                   \
		__asm__ volatile("fldt %[b]\n\tfldt %[a]\n\t" instruction "\n\t" X87_HOST_STATUS   \
		                 "fstpt %[r]\n\tffree %%st(0)"                                     \
		                 : "=a"(sw), [r] "=m"(*r)                                          \
		                 : [a] "m"(*a), [b] "m"(*b)                                        \
		                 : "cc");                                                          \
		return sw;                                                                         \
	}
X87_HOST_BINARY(add, "fadd %%st(1), %%st")
X87_HOST_BINARY(mul, "fmul %%st(1), %%st")
X87_HOST_BINARY(sub, "fsub %%st(1), %%st")
X87_HOST_BINARY(subr, "fsubr %%st(1), %%st")
X87_HOST_BINARY(div, "fdiv %%st(1), %%st")
X87_HOST_BINARY(divr, "fdivr %%st(1), %%st")
X87_HOST_BINARY(scale, "fscale")
X87_HOST_BINARY(prem, "fprem")
X87_HOST_BINARY(prem1, "fprem1")
/* These pop, so that the result is in what was ST(1). */
X87_HOST_BINARY(patan, "fpatan")
X87_HOST_BINARY(yl2x, "fyl2x")
X87_HOST_BINARY(yl2xp1, "fyl2xp1")

/* a op a number of 32 or 64 bits in memory: its NaN may still be a signalling one */
#define X87_HOST_BINARY_MEMORY(name, type, instruction)                                            \
	static inline uint16_t x87_host_##name(uint16_t cw, struct x86_f80 *r,                     \
	                                       const struct x86_f80 *a, const type *b)             \
	{                                                                                          \
		uint16_t sw;                                                                       \
                                                                                                   \
		__asm__ volatile("fldt %[a]\n\t" instruction " %[b]\n\t" X87_HOST_STATUS           \
		                 "fstpt %[r]"                                                      \
		                 : "=a"(sw), [r] "=m"(*r)                                          \
		                 : [a] "m"(*a), [b] "m"(*b)                                        \
		                 : "cc");                                                          \
		return sw;                                                                         \
	}
#define X87_HOST_BINARY_BOTH(name)                                                                 \
	X87_HOST_BINARY_MEMORY(name##_f32, uint32_t, "f" #name "s")                                \
	X87_HOST_BINARY_MEMORY(name##_f64, uint64_t, "f" #name "l")
X87_HOST_BINARY_BOTH(add)
X87_HOST_BINARY_BOTH(mul)
X87_HOST_BINARY_BOTH(sub)
X87_HOST_BINARY_BOTH(subr)
X87_HOST_BINARY_BOTH(div)
X87_HOST_BINARY_BOTH(divr)

/* Comparison: the answer is in the status word. */
#define X87_HOST_COMPARE(name, instruction)                                                        \
	static inline uint16_t x87_host_##name(uint16_t cw, const struct x86_f80 *a,               \
	                                       const struct x86_f80 *b)                            \
	{                                                                                          \
		uint16_t sw;                                                                       \
                                                                                                   \
		__asm__ volatile("fldt %[b]\n\tfldt %[a]\n\t" instruction "\n\t" X87_HOST_STATUS   \
		                 "fstp %%st(0)\n\tffree %%st(0)"                                   \
		                 : "=a"(sw)                                                        \
		                 : [a] "m"(*a), [b] "m"(*b)                                        \
		                 : "cc");                                                          \
		return sw;                                                                         \
	}
X87_HOST_COMPARE(com, "fcom %%st(1)")
X87_HOST_COMPARE(ucom, "fucom %%st(1)")

#define X87_HOST_COMPARE_MEMORY(name, type, instruction)                                           \
	static inline uint16_t x87_host_##name(uint16_t cw, const struct x86_f80 *a,               \
	                                       const type *b)                                      \
	{                                                                                          \
		uint16_t sw;                                                                       \
                                                                                                   \
		__asm__ volatile("fldt %[a]\n\t" instruction " %[b]\n\t" X87_HOST_STATUS           \
		                 "fstp %%st(0)"                                                    \
		                 : "=a"(sw)                                                        \
		                 : [a] "m"(*a), [b] "m"(*b)                                        \
		                 : "cc");                                                          \
		return sw;                                                                         \
	}
X87_HOST_COMPARE_MEMORY(com_f32, uint32_t, "fcoms")
X87_HOST_COMPARE_MEMORY(com_f64, uint64_t, "fcoml")

#define X87_HOST_UNARY(name, instruction)                                                          \
	static inline uint16_t x87_host_##name(uint16_t cw, struct x86_f80 *r,                     \
	                                       const struct x86_f80 *a)                            \
	{                                                                                          \
		uint16_t sw;                                                                       \
                                                                                                   \
		__asm__ volatile("fldt %[a]\n\t" instruction "\n\t" X87_HOST_STATUS "fstpt %[r]"   \
		                 : "=a"(sw), [r] "=m"(*r)                                          \
		                 : [a] "m"(*a)                                                     \
		                 : "cc");                                                          \
		return sw;                                                                         \
	}
X87_HOST_UNARY(sqrt, "fsqrt")
X87_HOST_UNARY(rndint, "frndint")
X87_HOST_UNARY(f2xm1, "f2xm1")
X87_HOST_UNARY(sin, "fsin")
X87_HOST_UNARY(cos, "fcos")
X87_HOST_UNARY(tst, "ftst") /* *r is *a */

/* One operand, two results: @top is pushed over @below, unless C2 or an exception stops it. */
#define X87_HOST_UNARY2(name, instruction)                                                         \
	static inline uint16_t x87_host_##name(uint16_t cw, struct x86_f80 *top,                   \
	                                       struct x86_f80 *below, const struct x86_f80 *a)     \
	{                                                                                          \
		uint16_t sw;                                                                       \
                                                                                                   \
		__asm__ volatile("fldz\n\tfldt %[a]\n\t" instruction "\n\t" X87_HOST_STATUS        \
		                 "fstpt %[top]\n\tfstpt %[below]\n\tffree %%st(0)"                 \
		                 : "=a"(sw), [top] "=m"(*top), [below] "=m"(*below)                \
		                 : [a] "m"(*a)                                                     \
		                 : "cc");                                                          \
		return sw;                                                                         \
	}
X87_HOST_UNARY2(ptan, "fptan")
X87_HOST_UNARY2(sincos, "fsincos")
X87_HOST_UNARY2(xtract, "fxtract")

/* Loads: the zero below is what is stored when an unmasked exception stops the load. */
#define X87_HOST_LOAD(name, type, instruction)                                                     \
	static inline uint16_t x87_host_##name(uint16_t cw, struct x86_f80 *r, const type *m)      \
	{                                                                                          \
		uint16_t sw;                                                                       \
                                                                                                   \
		__asm__ volatile("fldz\n\t" instruction " %[m]\n\t" X87_HOST_STATUS                \
		                 "fstpt %[r]\n\tffree %%st(0)"                                     \
		                 : "=a"(sw), [r] "=m"(*r)                                          \
		                 : [m] "m"(*m)                                                     \
		                 : "cc");                                                          \
		return sw;                                                                         \
	}
X87_HOST_LOAD(from_f32, uint32_t, "flds")
X87_HOST_LOAD(from_f64, uint64_t, "fldl")

X87_HOST_LOAD(from_bcd, struct x87_bcd, "fbld")

/* Stores: *m keeps its value when an unmasked exception suppresses the store. */
#define X87_HOST_STORE(name, type, instruction)                                                    \
	static inline uint16_t x87_host_##name(uint16_t cw, type *m, const struct x86_f80 *a)      \
	{                                                                                          \
		uint16_t sw;                                                                       \
                                                                                                   \
		__asm__ volatile("fldt %[a]\n\t" instruction " %[m]\n\t" X87_HOST_STATUS           \
		                 "ffree %%st(0)"                                                   \
		                 : "=a"(sw), [m] "+m"(*m)                                          \
		                 : [a] "m"(*a)                                                     \
		                 : "cc");                                                          \
		return sw;                                                                         \
	}
X87_HOST_STORE(to_f32, uint32_t, "fsts")
X87_HOST_STORE(to_f64, uint64_t, "fstl")
X87_HOST_STORE(to_i16, uint16_t, "fists")
X87_HOST_STORE(to_i32, uint32_t, "fistl")
X87_HOST_STORE(to_i64, uint64_t, "fistpll")
X87_HOST_STORE(trunc_i16, uint16_t, "fisttps")
X87_HOST_STORE(trunc_i32, uint32_t, "fisttpl")
X87_HOST_STORE(trunc_i64, uint64_t, "fisttpll")
X87_HOST_STORE(to_bcd, struct x87_bcd, "fbstp")

/* Constants are rounded as the control word says. */
#define X87_HOST_CONSTANT(name, instruction)                                                       \
	static inline void x87_host_##name(uint16_t cw, struct x86_f80 *r)                         \
	{                                                                                          \
		__asm__ volatile(instruction "\n\tfstpt %[r]" : [r] "=m"(*r));                     \
	}
X87_HOST_CONSTANT(one, "fld1")
X87_HOST_CONSTANT(l2t, "fldl2t")
X87_HOST_CONSTANT(l2e, "fldl2e")
X87_HOST_CONSTANT(pi, "fldpi")
X87_HOST_CONSTANT(lg2, "fldlg2")
X87_HOST_CONSTANT(ln2, "fldln2")
X87_HOST_CONSTANT(zero, "fldz")

static inline void x87_host_clear(void)
{
	__asm__ volatile("fnclex");
}

static inline void x87_host_set_cw(uint16_t cw)
{
	__asm__ volatile("fnclex\n\tfldcw %0" : : "m"(cw));
}

#endif
