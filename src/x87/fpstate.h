/* SPDX-License-Identifier: MIT */
/*
 * The memory images of FXSAVE and XSAVE, as functions of bytes.
 *
 * The first 512 bytes of an image are the legacy region:
 *
 *	0 FCW  2 FSW  4 abridged FTW  6 FOP  8 FIP (4 bytes and FCS, or 8)
 *	16 FDP (4 bytes and FDS, or 8)  24 MXCSR  28 MXCSR_MASK
 *	32 ST0..ST7, 16 bytes each  160 XMM0..XMM15 (XMM0..XMM7 outside of 64-bit mode)
 *	464 left to software
 *
 * XSAVE appends a header of 64 bytes: XSTATE_BV, XCOMP_BV, and 48 bytes that must be zero.
 * Components are x87 (bit 0) and SSE (bit 1), both in the legacy region; only the standard form
 * exists on this CPU.
 */
#ifndef WSLX_X87_FPSTATE_H
#define WSLX_X87_FPSTATE_H

#include "simd/simd.h"
#include "x87/x87.h"

#define FPSTATE_FXSAVE_BYTES 512u
#define FPSTATE_WRITTEN_BYTES 464u /* of them, FXSAVE writes these */
#define FPSTATE_XSAVE_BYTES 576u
#define FPSTATE_X87 1u
#define FPSTATE_SSE 2u

struct fpstate {
	struct x87 *x87;
	struct x86_fp_env *env;
	union x86_vec *xmm;
	unsigned n_xmm;     /* 16, or 8 outside of 64-bit mode */
	bool wide_pointers; /* REX.W: FIP and FDP of 64 bits */
};

/**
 * fpstate_fxsave() - fill an FXSAVE image
 *
 * @image holds what was in memory: bytes that the instruction leaves alone are not written.
 */
void fpstate_fxsave(const struct fpstate *s, uint8_t image[FPSTATE_FXSAVE_BYTES]);

/* Return: false for #GP (reserved bits of MXCSR), with nothing changed. */
bool fpstate_fxrstor(const struct fpstate *s, const uint8_t image[FPSTATE_FXSAVE_BYTES]);

/**
 * fpstate_xsave() - fill an XSAVE image
 * @rfbm:     requested features: EDX:EAX & XCR0
 * @optimize: XSAVEOPT: components in their initial state are not written
 */
void fpstate_xsave(const struct fpstate *s, uint8_t image[FPSTATE_XSAVE_BYTES], uint64_t rfbm,
                   bool optimize);

/* Return: false for #GP (header or MXCSR), with nothing changed. */
bool fpstate_xrstor(const struct fpstate *s, const uint8_t image[FPSTATE_XSAVE_BYTES],
                    uint64_t rfbm, uint64_t xcr0);

#endif
