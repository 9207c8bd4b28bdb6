/* SPDX-License-Identifier: MIT */
/*
 * The op_ functions on an x86-64 host: the instruction itself. Assembly and not intrinsics,
 * because a compiler may swap the operands of an addition, and which NaN comes out depends on
 * their order. Immediates are part of an instruction, so these are a switch.
 */
#ifndef WSLX_SIMD_HOST_H
#define WSLX_SIMD_HOST_H

/* clang-format off */

#define HOST2(name)                                                                                \
	SIMD_OP(name)                                                                              \
	{                                                                                          \
		__asm__ volatile(#name " %1, %0" : "+x"(dst->v) : "x"(src->v));                    \
	}

/* ---- moves ----------------------------------------------------------------------------- */

HOST2(movss) HOST2(movsd) HOST2(movhlps) HOST2(movlhps)
HOST2(movddup) HOST2(movsldup) HOST2(movshdup)

/* ---- integer --------------------------------------------------------------------------- */

HOST2(pand) HOST2(pandn) HOST2(por) HOST2(pxor)
HOST2(paddb) HOST2(paddw) HOST2(paddd) HOST2(paddq)
HOST2(psubb) HOST2(psubw) HOST2(psubd) HOST2(psubq)
HOST2(paddsb) HOST2(paddsw) HOST2(paddusb) HOST2(paddusw)
HOST2(psubsb) HOST2(psubsw) HOST2(psubusb) HOST2(psubusw)
HOST2(pavgb) HOST2(pavgw) HOST2(psadbw)
HOST2(pmullw) HOST2(pmulhw) HOST2(pmulhuw) HOST2(pmuludq) HOST2(pmaddwd)
HOST2(pcmpeqb) HOST2(pcmpeqw) HOST2(pcmpeqd) HOST2(pcmpgtb) HOST2(pcmpgtw) HOST2(pcmpgtd)
HOST2(pminub) HOST2(pminsw) HOST2(pmaxub) HOST2(pmaxsw)
HOST2(psrlw) HOST2(psrld) HOST2(psrlq) HOST2(psraw) HOST2(psrad)
HOST2(psllw) HOST2(pslld) HOST2(psllq)
HOST2(packsswb) HOST2(packssdw) HOST2(packuswb)
HOST2(punpcklbw) HOST2(punpcklwd) HOST2(punpckldq) HOST2(punpcklqdq)
HOST2(punpckhbw) HOST2(punpckhwd) HOST2(punpckhdq) HOST2(punpckhqdq)
HOST2(unpcklps) HOST2(unpcklpd) HOST2(unpckhps) HOST2(unpckhpd)
HOST2(pshufb) HOST2(pmaddubsw) HOST2(pmulhrsw)
HOST2(phaddw) HOST2(phaddd) HOST2(phaddsw) HOST2(phsubw) HOST2(phsubd) HOST2(phsubsw)
HOST2(psignb) HOST2(psignw) HOST2(psignd) HOST2(pabsb) HOST2(pabsw) HOST2(pabsd)
HOST2(pmovsxbw) HOST2(pmovsxbd) HOST2(pmovsxbq) HOST2(pmovsxwd) HOST2(pmovsxwq) HOST2(pmovsxdq)
HOST2(pmovzxbw) HOST2(pmovzxbd) HOST2(pmovzxbq) HOST2(pmovzxwd) HOST2(pmovzxwq) HOST2(pmovzxdq)
HOST2(pmuldq) HOST2(pmulld) HOST2(pcmpeqq) HOST2(pcmpgtq) HOST2(packusdw) HOST2(phminposuw)
HOST2(pminsb) HOST2(pminsd) HOST2(pminuw) HOST2(pminud)
HOST2(pmaxsb) HOST2(pmaxsd) HOST2(pmaxuw) HOST2(pmaxud)

/* ---- floating point -------------------------------------------------------------------- */

HOST2(addps) HOST2(addpd) HOST2(addss) HOST2(addsd)
HOST2(subps) HOST2(subpd) HOST2(subss) HOST2(subsd)
HOST2(mulps) HOST2(mulpd) HOST2(mulss) HOST2(mulsd)
HOST2(divps) HOST2(divpd) HOST2(divss) HOST2(divsd)
HOST2(minps) HOST2(minpd) HOST2(minss) HOST2(minsd)
HOST2(maxps) HOST2(maxpd) HOST2(maxss) HOST2(maxsd)
HOST2(sqrtps) HOST2(sqrtpd) HOST2(sqrtss) HOST2(sqrtsd)
HOST2(rcpps) HOST2(rcpss) HOST2(rsqrtps) HOST2(rsqrtss)
HOST2(haddps) HOST2(haddpd) HOST2(hsubps) HOST2(hsubpd) HOST2(addsubps) HOST2(addsubpd)
HOST2(cvtps2pd) HOST2(cvtpd2ps) HOST2(cvtss2sd) HOST2(cvtsd2ss)
HOST2(cvtdq2ps) HOST2(cvtps2dq) HOST2(cvttps2dq) HOST2(cvtdq2pd) HOST2(cvtpd2dq) HOST2(cvttpd2dq)

#define HOST_FROM_INT(op, bits, instruction)                                                       \
	SIMD_OP(op)                                                                                \
	{                                                                                          \
		__asm__ volatile(instruction " %1, %0"                                             \
				 : "+x"(dst->v)                                                    \
				 : "r"((uint##bits##_t)src->q[0]));                                \
	}
HOST_FROM_INT(cvtsi2ss_32, 32, "cvtsi2ssl")
HOST_FROM_INT(cvtsi2ss_64, 64, "cvtsi2ssq")
HOST_FROM_INT(cvtsi2sd_32, 32, "cvtsi2sdl")
HOST_FROM_INT(cvtsi2sd_64, 64, "cvtsi2sdq")

#define HOST_TO_INT(op, bits, instruction)                                                         \
	SIMD_OP(op)                                                                                \
	{                                                                                          \
		uint##bits##_t r;                                                                  \
                                                                                                   \
		__asm__ volatile(#instruction " %1, %0" : "=r"(r) : "x"(src->v));                  \
		dst->q[0] = r;                                                                     \
	}
HOST_TO_INT(cvtss2si_32, 32, cvtss2si)
HOST_TO_INT(cvtss2si_64, 64, cvtss2si)
HOST_TO_INT(cvtsd2si_32, 32, cvtsd2si)
HOST_TO_INT(cvtsd2si_64, 64, cvtsd2si)
HOST_TO_INT(cvttss2si_32, 32, cvttss2si)
HOST_TO_INT(cvttss2si_64, 64, cvttss2si)
HOST_TO_INT(cvttsd2si_32, 32, cvttsd2si)
HOST_TO_INT(cvttsd2si_64, 64, cvttsd2si)
HOST_TO_INT(movmskps, 32, movmskps)
HOST_TO_INT(movmskpd, 32, movmskpd)
HOST_TO_INT(pmovmskb, 32, pmovmskb)

#define HOST_FLAGS(name)                                                                           \
	SIMD_OP(name)                                                                              \
	{                                                                                          \
		uint64_t flags;                                                                    \
                                                                                                   \
		__asm__ volatile(#name " %2, %1\n\tpushfq\n\tpop %0"                               \
				 : "=r"(flags)                                                     \
				 : "x"(dst->v), "x"(src->v)                                        \
				 : "cc");                                                          \
		env->eflags = (uint32_t)flags & SIMD_EFLAGS_BITS;                                  \
	}
HOST_FLAGS(comiss)
HOST_FLAGS(comisd)
HOST_FLAGS(ucomiss)
HOST_FLAGS(ucomisd)
HOST_FLAGS(ptest)

/* ---- an immediate ---------------------------------------------------------------------- */

#define HOST_CASE(name, k)                                                                         \
	case k:                                                                                    \
		__asm__ volatile(#name " $" #k ", %1, %0" : "+x"(dst->v) : "x"(src->v));           \
		break;
#define HOST_CASES8(name)                                                                          \
	HOST_CASE(name, 0) HOST_CASE(name, 1) HOST_CASE(name, 2) HOST_CASE(name, 3)                \
	HOST_CASE(name, 4) HOST_CASE(name, 5) HOST_CASE(name, 6) HOST_CASE(name, 7)
#define HOST_CASES16(name)                                                                         \
	HOST_CASES8(name)                                                                          \
	HOST_CASE(name, 8) HOST_CASE(name, 9) HOST_CASE(name, 10) HOST_CASE(name, 11)              \
	HOST_CASE(name, 12) HOST_CASE(name, 13) HOST_CASE(name, 14) HOST_CASE(name, 15)

#define HOST_IMM8(name)                                                                            \
	SIMD_OP(name)                                                                              \
	{                                                                                          \
		switch (imm & 7) {                                                                 \
			HOST_CASES8(name)                                                          \
		}                                                                                  \
	}
#define HOST_IMM16(name)                                                                           \
	SIMD_OP(name)                                                                              \
	{                                                                                          \
		switch (imm & 15) {                                                                \
			HOST_CASES16(name)                                                         \
		}                                                                                  \
	}
HOST_IMM8(cmpps) HOST_IMM8(cmppd) HOST_IMM8(cmpss) HOST_IMM8(cmpsd)
HOST_IMM8(mpsadbw)
HOST_IMM16(roundps) HOST_IMM16(roundpd) HOST_IMM16(roundss) HOST_IMM16(roundsd)

/* The high half of the immediate chooses products, the low half lanes of the result. */
#define HOST_DP_CASE(name, k)                                                                      \
	case k:                                                                                    \
		__asm__ volatile(#name " $" #k "f, %1, %0" : "+x"(t.v) : "x"(src->v));             \
		break;
#define HOST_DP(name, lanes, lane)                                                                 \
	SIMD_OP(name)                                                                              \
	{                                                                                          \
		union x86_vec t = *dst;                                                            \
                                                                                                   \
		switch (imm >> 4) {                                                                \
			HOST_DP_CASE(name, 0x0) HOST_DP_CASE(name, 0x1) HOST_DP_CASE(name, 0x2)    \
			HOST_DP_CASE(name, 0x3) HOST_DP_CASE(name, 0x4) HOST_DP_CASE(name, 0x5)    \
			HOST_DP_CASE(name, 0x6) HOST_DP_CASE(name, 0x7) HOST_DP_CASE(name, 0x8)    \
			HOST_DP_CASE(name, 0x9) HOST_DP_CASE(name, 0xa) HOST_DP_CASE(name, 0xb)    \
			HOST_DP_CASE(name, 0xc) HOST_DP_CASE(name, 0xd) HOST_DP_CASE(name, 0xe)    \
			HOST_DP_CASE(name, 0xf)                                                    \
		}                                                                                  \
		for (unsigned i = 0; i < (lanes); i++)                                             \
			dst->lane[i] = imm >> i & 1 ? t.lane[i] : 0;                               \
	}
HOST_DP(dpps, 4, d)
HOST_DP(dppd, 2, q)

/* ---- an implicit XMM0 ------------------------------------------------------------------ */

#define HOST_XMM0(name)                                                                            \
	SIMD_OP(name)                                                                              \
	{                                                                                          \
		register simd_host_vec mask __asm__("xmm0") = env->xmm0->v;                        \
                                                                                                   \
		__asm__ volatile(#name " %%xmm0, %1, %0" : "+x"(dst->v) : "x"(src->v), "x"(mask)); \
	}
HOST_XMM0(pblendvb)
HOST_XMM0(blendvps)
HOST_XMM0(blendvpd)
HOST_XMM0(sha256rnds2)

/* ---- ciphers and digests --------------------------------------------------------------- */

HOST2(aesenc) HOST2(aesenclast) HOST2(aesdec) HOST2(aesdeclast) HOST2(aesimc)
HOST2(sha1nexte) HOST2(sha1msg1) HOST2(sha1msg2) HOST2(sha256msg1) HOST2(sha256msg2)

SIMD_OP(pclmulqdq)
{
	switch (imm & 0x11) {
		HOST_CASE(pclmulqdq, 0x00)
		HOST_CASE(pclmulqdq, 0x01)
		HOST_CASE(pclmulqdq, 0x10)
		HOST_CASE(pclmulqdq, 0x11)
	}
}
SIMD_OP(sha1rnds4)
{
	switch (imm & 3) {
		HOST_CASE(sha1rnds4, 0)
		HOST_CASE(sha1rnds4, 1)
		HOST_CASE(sha1rnds4, 2)
		HOST_CASE(sha1rnds4, 3)
	}
}
/* Only the round constant is an immediate, and it is xored into two lanes of the result. */
SIMD_OP(aeskeygenassist)
{
	__asm__ volatile("aeskeygenassist $0, %1, %0" : "=x"(dst->v) : "x"(src->v));
	dst->d[1] ^= imm;
	dst->d[3] ^= imm;
}
/* 128 immediates would be as many instructions: the comparison in C is used here too. */
SIMD_OP(pcmpestrm)
{
	simd_pcmpstr(dst, src, imm, env, true, true);
}
SIMD_OP(pcmpestri)
{
	simd_pcmpstr(dst, src, imm, env, true, false);
}
SIMD_OP(pcmpistrm)
{
	simd_pcmpstr(dst, src, imm, env, false, true);
}
SIMD_OP(pcmpistri)
{
	simd_pcmpstr(dst, src, imm, env, false, false);
}
/* clang-format on */

#endif
