/* SPDX-License-Identifier: MIT */
/*
 * What the files of x87 instructions share: the register stack and the exception flags.
 *
 *	x87.c		arithmetic, moves; the table of all instructions
 *	x87-compare.c	comparison
 *	x87-control.c	control, status and tag words, and all of them at once
 *	x87-host.h	the numbers, by the host's own x87; or
 *	x87-soft.h	with integers: x87-soft.c, x87-curves.c, x87-wide.c
 */
#ifndef WSLX_X87_STACK_H
#define WSLX_X87_STACK_H

#include "simd/simd.h" /* X86_HOST_FP */
#include "x87/x87.h"

#if X86_HOST_FP
#include "x87/x87-host.h"
#define MATH(name) x87_host_##name
#else
#include "x87/x87-soft.h"
#define MATH(name) x87_soft_##name
#endif

#define X87_FN(name) bool name(struct x87 *f, union x87_mem *m, unsigned i)

/* x87-compare.c */
X87_FN(x87_fcom);
X87_FN(x87_fcomp);
X87_FN(x87_fucom);
X87_FN(x87_fucomp);
X87_FN(x87_fcom_f32);
X87_FN(x87_fcomp_f32);
X87_FN(x87_fcom_f64);
X87_FN(x87_fcomp_f64);
X87_FN(x87_fcom_i16);
X87_FN(x87_fcomp_i16);
X87_FN(x87_fcom_i32);
X87_FN(x87_fcomp_i32);
X87_FN(x87_fcomi);
X87_FN(x87_fcomip);
X87_FN(x87_fucomi);
X87_FN(x87_fucomip);
X87_FN(x87_fcompp);
X87_FN(x87_fucompp);
X87_FN(x87_ftst);
X87_FN(x87_fxam);

/* x87.c: exact */
struct x86_f80 x87_f80_of_int(int64_t value);

/* x87-control.c */
X87_FN(x87_ffree);
X87_FN(x87_ffreep);
X87_FN(x87_fincstp);
X87_FN(x87_fdecstp);
X87_FN(x87_fnop);
X87_FN(x87_fninit);
X87_FN(x87_fnclex);
X87_FN(x87_fldcw);
X87_FN(x87_fnstcw);
X87_FN(x87_fnstsw);
X87_FN(x87_fnstenv);
X87_FN(x87_fldenv);
X87_FN(x87_fnsave);
X87_FN(x87_frstor);

/* ---- the stack ------------------------------------------------------------------------- */

static inline unsigned physical(const struct x87 *f, unsigned i)
{
	return ((unsigned)(f->sw >> X87_TOP_SHIFT) + i) & 7;
}

static inline struct x86_f80 *st(struct x87 *f, unsigned i)
{
	return &f->r[physical(f, i)];
}

static inline bool is_empty(const struct x87 *f, unsigned i)
{
	return !(f->tag >> physical(f, i) & 1);
}

static inline void set_valid(struct x87 *f, unsigned i)
{
	f->tag = (uint8_t)(f->tag | 1u << physical(f, i));
}

static inline void set_empty(struct x87 *f, unsigned i)
{
	f->tag = (uint8_t)(f->tag & ~(1u << physical(f, i)));
}

static inline void move_top(struct x87 *f, unsigned by)
{
	const unsigned top = (physical(f, by)) << X87_TOP_SHIFT;

	f->sw = (uint16_t)((f->sw & ~X87_TOP) | top);
}

static inline void pop(struct x87 *f)
{
	set_empty(f, 0);
	move_top(f, 1);
}

/* Of an instruction that pops only when it is done. */
static inline void pops(struct x87 *f, bool done, unsigned n)
{
	while (done && n--)
		pop(f);
}

static inline void push(struct x87 *f, const struct x86_f80 *value)
{
	const struct x86_f80 copy = *value;

	move_top(f, 7);
	set_valid(f, 0);
	*st(f, 0) = copy;
}

static inline void put(struct x87 *f, unsigned i, const struct x86_f80 *value)
{
	*st(f, i) = *value;
	set_valid(f, i);
}

/* ---- exceptions ------------------------------------------------------------------------ */

static inline unsigned unmasked(const struct x87 *f)
{
	return ~(unsigned)f->cw & X87_EXCEPTIONS;
}

static inline void update_summary(struct x87 *f)
{
	f->sw = (uint16_t)(f->sw & ~(X87_ES | X87_BUSY));
	if (f->sw & unmasked(f))
		f->sw = (uint16_t)(f->sw | X87_ES | X87_BUSY);
}

/* Merge an operation's status word, of which @keep says what else than exceptions counts. */
static inline unsigned merge(struct x87 *f, uint16_t sw, unsigned keep)
{
	unsigned raised;

	f->sw = (uint16_t)((f->sw & ~keep) | (sw & (X87_EXCEPTIONS | keep)));
	raised = sw & unmasked(f);
	if (__builtin_expect(raised != 0, 0))
		f->sw = (uint16_t)(f->sw | X87_ES | X87_BUSY);
	return raised;
}

static inline void clear_c1(struct x87 *f)
{
	f->sw = (uint16_t)(f->sw & ~X87_C1);
}

#define PRE_COMPUTATION (X87_IE | X87_DE | X87_ZE)

static const struct x86_f80 indefinite = {0xc000000000000000u, 0xffff};

/*
 * The host's exception flags are sticky. While all are masked that is what we want; when one is
 * not, we must know which flags an operation raised itself.
 */
static inline void begin(const struct x87 *f)
{
#if X86_HOST_FP
	if (__builtin_expect(unmasked(f) != 0, 0))
		x87_host_clear();
#endif
}

/* Return: whether the response is masked, so that an indefinite is to be written. */
static inline bool stack_fault(struct x87 *f, bool overflow)
{
	f->sw = (uint16_t)((f->sw & ~X87_C1) | X87_IE | X87_SF | (overflow ? X87_C1 : 0));
	update_summary(f);
	return !(unmasked(f) & X87_IE);
}

static inline bool underflow(struct x87 *f)
{
	return stack_fault(f, false);
}

#endif
