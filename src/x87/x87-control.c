/* SPDX-License-Identifier: MIT */
/* x87 instructions on the control, status and tag words, and on the whole state. */
#include "x87/x87-stack.h"

#include <string.h>

X87_FN(x87_ffree)
{
	clear_c1(f);
	set_empty(f, i);
	return false;
}
X87_FN(x87_ffreep)
{
	clear_c1(f);
	set_empty(f, i);
	pop(f);
	return false;
}
X87_FN(x87_fincstp)
{
	clear_c1(f);
	move_top(f, 1);
	return false;
}
X87_FN(x87_fdecstp)
{
	clear_c1(f);
	move_top(f, 7);
	return false;
}
X87_FN(x87_fnop)
{
	return false;
}

/* Bit 6 always reads as one; bits 7 and 13 to 15 do not exist. */
static void set_cw(struct x87 *f, unsigned value)
{
	f->cw = (uint16_t)((value & 0x1f3f) | 0x40);
	x87_loaded(f);
}

void x87_loaded(struct x87 *f)
{
	update_summary(f);
#if X86_HOST_FP
	if (f->entered)
		x87_host_set_cw(f->cw);
#endif
}

void x87_init(struct x87 *f)
{
	f->sw = 0;
	f->tag = 0;
	f->op = 0;
	f->ip = 0;
	f->dp = 0;
	set_cw(f, X87_CW_DEFAULT);
}

void x87_enter(struct x87 *f)
{
	if (f->entered)
		return;
	f->entered = true;
	x87_loaded(f);
}

void x87_leave(struct x87 *f)
{
	if (!f->entered)
		return;
	f->entered = false;
#if X86_HOST_FP
	x87_host_set_cw(X87_CW_DEFAULT);
#endif
}

X87_FN(x87_fninit)
{
	x87_init(f);
	return false;
}
X87_FN(x87_fnclex)
{
	f->sw = (uint16_t)(f->sw & ~(X87_EXCEPTIONS | X87_SF | X87_ES | X87_BUSY));
	x87_loaded(f);
	return false;
}
X87_FN(x87_fldcw)
{
	set_cw(f, m->w[0]);
	return false;
}
X87_FN(x87_fnstcw)
{
	m->w[0] = f->cw;
	return true;
}
X87_FN(x87_fnstsw)
{
	m->w[0] = f->sw;
	return true;
}

/* The tag word of two bits a register, from contents: valid, zero, special, empty. */
static uint16_t full_tag(const struct x87 *f)
{
	unsigned tags = 0;

	for (unsigned i = 0; i < 8; i++) {
		const struct x86_f80 *a = &f->r[i];
		const unsigned exponent = a->sign_exponent & 0x7fff;
		unsigned tag;

		if (!(f->tag >> i & 1))
			tag = 3;
		else if (exponent == 0 && a->mantissa == 0)
			tag = 1;
		else if (exponent == 0 || exponent == 0x7fff || !(a->mantissa >> 63))
			tag = 2;
		else
			tag = 0;
		tags |= tag << 2 * i;
	}
	return (uint16_t)tags;
}

/*
 * The environment in its protected-mode layouts. 32 bits: seven doublewords with the control,
 * status and tag words, FIP, FCS and FOP, FDP, FDS; the high halves of the first three and of
 * the last are ones. 16 bits: the same as words, without FOP. Selectors are zero on this CPU.
 */
static unsigned store_environment(const struct x87 *f, union x87_mem *m, bool wide)
{
	if (wide) {
		m->d[0] = 0xffff0000u | f->cw;
		m->d[1] = 0xffff0000u | f->sw;
		m->d[2] = 0xffff0000u | full_tag(f);
		m->d[3] = (uint32_t)f->ip;
		m->d[4] = (uint32_t)(f->op & 0x7ff) << 16;
		m->d[5] = (uint32_t)f->dp;
		m->d[6] = 0xffff0000u;
		return X87_ENV32_BYTES;
	}
	m->w[0] = f->cw;
	m->w[1] = f->sw;
	m->w[2] = full_tag(f);
	m->w[3] = (uint16_t)f->ip;
	m->w[4] = 0;
	m->w[5] = (uint16_t)f->dp;
	m->w[6] = 0;
	return X87_ENV16_BYTES;
}

static unsigned load_environment(struct x87 *f, const union x87_mem *m, bool wide)
{
	const unsigned tags = wide ? m->d[2] : m->w[2];

	f->sw = wide ? (uint16_t)m->d[1] : m->w[1];
	f->tag = 0;
	for (unsigned i = 0; i < 8; i++)
		if ((tags >> 2 * i & 3) != 3)
			f->tag = (uint8_t)(f->tag | 1u << i);
	f->ip = wide ? m->d[3] : m->w[3];
	f->op = wide ? (uint16_t)(m->d[4] >> 16 & 0x7ff) : 0;
	f->dp = wide ? m->d[5] : m->w[5];
	set_cw(f, wide ? m->d[0] : m->w[0]);
	return wide ? X87_ENV32_BYTES : X87_ENV16_BYTES;
}

X87_FN(x87_fnstenv)
{
	store_environment(f, m, i);
	set_cw(f, f->cw | X87_EXCEPTIONS);
	return true;
}
X87_FN(x87_fldenv)
{
	load_environment(f, m, i);
	return false;
}
X87_FN(x87_fnsave)
{
	uint8_t *to = m->b + store_environment(f, m, i);

	for (unsigned j = 0; j < 8; j++, to += 10)
		memcpy(to, st(f, j), 10);
	x87_init(f);
	return true;
}
X87_FN(x87_frstor)
{
	const uint8_t *from = m->b + load_environment(f, m, i);

	for (unsigned j = 0; j < 8; j++, from += 10)
		memcpy(st(f, j), from, 10);
	return false;
}
