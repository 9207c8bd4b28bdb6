/* SPDX-License-Identifier: MIT */
#include "x87/fpstate.h"

#include <string.h>

enum {
	AT_FCW = 0,
	AT_FSW = 2,
	AT_FTW = 4,
	AT_FOP = 6,
	AT_FIP = 8,
	AT_FDP = 16,
	AT_MXCSR = 24,
	AT_MXCSR_MASK = 28,
	AT_ST = 32,
	AT_XMM = 160,
	AT_XSTATE_BV = 512,
	AT_XCOMP_BV = 520,
	AT_UNCHECKED = 536, /* XRSTOR looks at bytes 8 to 23 of the header only */
};

static void put(uint8_t *to, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get(const uint8_t *from, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)from[i] << 8 * i;
	return value;
}

static struct x86_f80 *st(struct x87 *f, unsigned i)
{
	return &f->r[((f->sw >> X87_TOP_SHIFT) + i) & 7];
}

/* ---- components ------------------------------------------------------------------------ */

static void save_x87(const struct fpstate *s, uint8_t *image)
{
	struct x87 *f = s->x87;

	put(image + AT_FCW, f->cw, 2);
	put(image + AT_FSW, f->sw, 2);
	put(image + AT_FTW, f->tag, 2);
	put(image + AT_FOP, f->op & 0x7ff, 2);
	put(image + AT_FIP, s->wide_pointers ? f->ip : (uint32_t)f->ip, 8);
	put(image + AT_FDP, s->wide_pointers ? f->dp : (uint32_t)f->dp, 8);
	for (unsigned i = 0; i < 8; i++) {
		uint8_t *to = image + AT_ST + 16 * i;

		put(to, st(f, i)->mantissa, 8);
		put(to + 8, st(f, i)->sign_exponent, 8);
	}
}

static void load_x87(const struct fpstate *s, const uint8_t *image)
{
	struct x87 *f = s->x87;

	f->cw = (uint16_t)((get(image + AT_FCW, 2) & 0x1f3f) | 0x40);
	f->sw = (uint16_t)get(image + AT_FSW, 2);
	f->tag = image[AT_FTW];
	f->op = (uint16_t)(get(image + AT_FOP, 2) & 0x7ff);
	f->ip = get(image + AT_FIP, s->wide_pointers ? 8 : 4);
	f->dp = get(image + AT_FDP, s->wide_pointers ? 8 : 4);
	for (unsigned i = 0; i < 8; i++) {
		const uint8_t *from = image + AT_ST + 16 * i;

		st(f, i)->mantissa = get(from, 8);
		st(f, i)->sign_exponent = (uint16_t)get(from + 8, 2);
	}
	x87_loaded(f);
}

static void init_x87(const struct fpstate *s)
{
	x87_init(s->x87);
	memset(s->x87->r, 0, sizeof(s->x87->r));
}

static bool x87_in_use(const struct fpstate *s)
{
	const struct x87 *f = s->x87;

	if (f->cw != X87_CW_DEFAULT || f->sw || f->tag || f->op || f->ip || f->dp)
		return true;
	for (unsigned i = 0; i < 8; i++)
		if (f->r[i].mantissa || f->r[i].sign_exponent)
			return true;
	return false;
}

static void save_xmm(const struct fpstate *s, uint8_t *image)
{
	for (unsigned i = 0; i < s->n_xmm; i++)
		memcpy(image + AT_XMM + 16 * i, &s->xmm[i], 16);
}

static void load_xmm(const struct fpstate *s, const uint8_t *image)
{
	for (unsigned i = 0; i < s->n_xmm; i++)
		memcpy(&s->xmm[i], image + AT_XMM + 16 * i, 16);
}

static bool xmm_in_use(const struct fpstate *s)
{
	for (unsigned i = 0; i < s->n_xmm; i++)
		if (s->xmm[i].q[0] | s->xmm[i].q[1])
			return true;
	return false;
}

static void save_mxcsr(const struct fpstate *s, uint8_t *image)
{
	put(image + AT_MXCSR, simd_get_mxcsr(s->env), 4);
	put(image + AT_MXCSR_MASK, MXCSR_VALID, 4);
}

/* ---- instructions ---------------------------------------------------------------------- */

void fpstate_fxsave(const struct fpstate *s, uint8_t image[FPSTATE_FXSAVE_BYTES])
{
	save_x87(s, image);
	save_mxcsr(s, image);
	save_xmm(s, image);
}

bool fpstate_fxrstor(const struct fpstate *s, const uint8_t image[FPSTATE_FXSAVE_BYTES])
{
	const uint32_t mxcsr = (uint32_t)get(image + AT_MXCSR, 4);

	if (mxcsr & ~MXCSR_VALID)
		return false;
	load_x87(s, image);
	simd_set_mxcsr(s->env, mxcsr);
	load_xmm(s, image);
	return true;
}

void fpstate_xsave(const struct fpstate *s, uint8_t image[FPSTATE_XSAVE_BYTES], uint64_t rfbm,
                   bool optimize)
{
	const uint64_t in_use =
		(x87_in_use(s) ? FPSTATE_X87 : 0) | (xmm_in_use(s) ? FPSTATE_SSE : 0);
	const uint64_t write = optimize ? rfbm & in_use : rfbm;

	if (write & FPSTATE_X87)
		save_x87(s, image);
	if (rfbm & FPSTATE_SSE)
		save_mxcsr(s, image);
	if (write & FPSTATE_SSE)
		save_xmm(s, image);
	put(image + AT_XSTATE_BV, (get(image + AT_XSTATE_BV, 8) & ~rfbm) | (rfbm & in_use), 8);
}

bool fpstate_xrstor(const struct fpstate *s, const uint8_t image[FPSTATE_XSAVE_BYTES],
                    uint64_t rfbm, uint64_t xcr0)
{
	const uint64_t present = get(image + AT_XSTATE_BV, 8);
	const uint32_t mxcsr = (uint32_t)get(image + AT_MXCSR, 4);

	if (present & ~xcr0)
		return false;
	for (unsigned i = AT_XCOMP_BV; i < AT_UNCHECKED; i++)
		if (image[i])
			return false;
	if (rfbm & FPSTATE_SSE && mxcsr & ~MXCSR_VALID)
		return false;

	if (rfbm & FPSTATE_X87) {
		if (present & FPSTATE_X87)
			load_x87(s, image);
		else
			init_x87(s);
	}
	if (rfbm & FPSTATE_SSE) {
		simd_set_mxcsr(s->env, mxcsr);
		if (present & FPSTATE_SSE)
			load_xmm(s, image);
		else
			memset(s->xmm, 0, s->n_xmm * sizeof(s->xmm[0]));
	}
	return true;
}
