/* SPDX-License-Identifier: MIT */
/*
 * Operations that need no instruction of their own: moves, shuffles by immediate, and the MMX
 * forms of instructions that work across lanes, put together from the XMM ones. Included after
 * the op_ functions of simd-host.h or simd-portable.h.
 */
#ifndef WSLX_X86_SIMD_OPS_H
#define WSLX_X86_SIMD_OPS_H

/* ---- moves ----------------------------------------------------------------------------- */

SIMD_OP(mov128)
{
	dst->v = src->v;
}
SIMD_OP(mov64z)
{
	dst->v = (simd_host_vec){src->sq[0], 0};
}
SIMD_OP(mov32z)
{
	dst->v = (simd_host_vec){src->d[0], 0};
}
SIMD_OP(movss)
{
	dst->d[0] = src->d[0];
}
SIMD_OP(movsd)
{
	dst->q[0] = src->q[0];
}
SIMD_OP(movhlps)
{
	dst->q[0] = src->q[1];
}
SIMD_OP(movlhps)
{
	dst->q[1] = src->q[0];
}
SIMD_OP(movddup)
{
	dst->q[0] = src->q[0];
	dst->q[1] = dst->q[0];
}
SIMD_OP(movsldup)
{
	dst->q[0] = src->d[0] * 0x100000001u;
	dst->q[1] = src->d[2] * 0x100000001u;
}
SIMD_OP(movshdup)
{
	dst->q[0] = src->d[1] * 0x100000001u;
	dst->q[1] = src->d[3] * 0x100000001u;
}
SIMD_OP(pextrb)
{
	dst->q[0] = src->b[imm & 15];
}
SIMD_OP(pextrw)
{
	dst->q[0] = src->w[imm & 7];
}
SIMD_OP(pextrd)
{
	dst->q[0] = src->d[imm & 3];
}
SIMD_OP(pextrq)
{
	dst->q[0] = src->q[imm & 1];
}
SIMD_OP(mmx_pextrw)
{
	dst->q[0] = src->w[imm & 3];
}
SIMD_OP(pinsrb)
{
	dst->b[imm & 15] = src->b[0];
}
SIMD_OP(pinsrw)
{
	dst->w[imm & 7] = src->w[0];
}
SIMD_OP(pinsrd)
{
	dst->d[imm & 3] = src->d[0];
}
SIMD_OP(pinsrq)
{
	dst->q[imm & 1] = src->q[0];
}
SIMD_OP(mmx_pinsrw)
{
	dst->w[imm & 3] = src->w[0];
}

static inline void simd_insertps(union x86_vec *dst, uint32_t value, uint8_t imm)
{
	dst->d[imm >> 4 & 3] = value;
	for (unsigned i = 0; i < 4; i++)
		if (imm >> i & 1)
			dst->d[i] = 0;
}
SIMD_OP(insertps)
{
	simd_insertps(dst, src->d[imm >> 6], imm);
}
SIMD_OP(insertps_mem)
{
	simd_insertps(dst, src->d[0], imm);
}

/* ---- shuffles by immediate ------------------------------------------------------------- */

SIMD_OP(pshufd)
{
	const union x86_vec s = *src;

	for (unsigned i = 0; i < 4; i++)
		dst->d[i] = s.d[imm >> 2 * i & 3];
}
SIMD_OP(pshuflw)
{
	const union x86_vec s = *src;

	for (unsigned i = 0; i < 4; i++)
		dst->w[i] = s.w[imm >> 2 * i & 3];
	dst->q[1] = s.q[1];
}
SIMD_OP(pshufhw)
{
	const union x86_vec s = *src;

	dst->q[0] = s.q[0];
	for (unsigned i = 0; i < 4; i++)
		dst->w[4 + i] = s.w[4 + (imm >> 2 * i & 3)];
}
SIMD_OP(pshufw)
{
	const union x86_vec s = *src;

	for (unsigned i = 0; i < 4; i++)
		dst->w[i] = s.w[imm >> 2 * i & 3];
}
SIMD_OP(shufps)
{
	const union x86_vec s = *src, t = *dst;

	dst->d[0] = t.d[imm & 3];
	dst->d[1] = t.d[imm >> 2 & 3];
	dst->d[2] = s.d[imm >> 4 & 3];
	dst->d[3] = s.d[imm >> 6];
}
SIMD_OP(shufpd)
{
	const uint64_t high = src->q[imm >> 1 & 1];

	dst->q[0] = dst->q[imm & 1];
	dst->q[1] = high;
}
SIMD_OP(blendps)
{
	for (unsigned i = 0; i < 4; i++)
		if (imm >> i & 1)
			dst->d[i] = src->d[i];
}
SIMD_OP(blendpd)
{
	for (unsigned i = 0; i < 2; i++)
		if (imm >> i & 1)
			dst->q[i] = src->q[i];
}
SIMD_OP(pblendw)
{
	for (unsigned i = 0; i < 8; i++)
		if (imm >> i & 1)
			dst->w[i] = src->w[i];
}
SIMD_OP(pslldq)
{
	const union x86_vec t = *dst;

	for (unsigned i = 0; i < 16; i++)
		dst->b[i] = i >= imm ? t.b[i - imm] : 0;
}
SIMD_OP(psrldq)
{
	const union x86_vec t = *dst;

	for (unsigned i = 0; i < 16; i++)
		dst->b[i] = i + imm < 16 ? t.b[i + imm] : 0;
}
SIMD_OP(palignr)
{
	uint8_t both[32];

	for (unsigned i = 0; i < 16; i++) {
		both[i] = src->b[i];
		both[16 + i] = dst->b[i];
	}
	for (unsigned i = 0; i < 16; i++)
		dst->b[i] = i + imm < 32 ? both[i + imm] : 0;
}
SIMD_OP(mmx_palignr)
{
	uint8_t both[16];

	for (unsigned i = 0; i < 8; i++) {
		both[i] = src->b[i];
		both[8 + i] = dst->b[i];
	}
	for (unsigned i = 0; i < 8; i++)
		dst->b[i] = i + imm < 16 ? both[i + imm] : 0;
}

/* ---- shifts by immediate --------------------------------------------------------------- */

#define SIMD_SHIFT_IMM(name)                                                                       \
	SIMD_OP(name##_imm)                                                                        \
	{                                                                                          \
		const union x86_vec count = {.v = {imm, 0}};                                       \
                                                                                                   \
		op_##name(dst, &count, 0, env);                                                    \
	}
SIMD_SHIFT_IMM(psrlw)
SIMD_SHIFT_IMM(psrld)
SIMD_SHIFT_IMM(psrlq)
SIMD_SHIFT_IMM(psraw)
SIMD_SHIFT_IMM(psrad)
SIMD_SHIFT_IMM(psllw)
SIMD_SHIFT_IMM(pslld)
SIMD_SHIFT_IMM(psllq)

/* ---- MMX forms of operations across lanes ---------------------------------------------- */

/* The XMM form on (dst, src) side by side leaves the MMX result in the low half. */
#define SIMD_MMX_PAIR(name)                                                                        \
	SIMD_OP(mmx_##name)                                                                        \
	{                                                                                          \
		union x86_vec pair = {.v = {dst->sq[0], src->sq[0]}};                                \
                                                                                                   \
		op_##name(&pair, &pair, 0, env);                                                   \
		dst->q[0] = pair.q[0];                                                             \
	}
SIMD_MMX_PAIR(packsswb)
SIMD_MMX_PAIR(packssdw)
SIMD_MMX_PAIR(packuswb)
SIMD_MMX_PAIR(phaddw)
SIMD_MMX_PAIR(phaddd)
SIMD_MMX_PAIR(phaddsw)
SIMD_MMX_PAIR(phsubw)
SIMD_MMX_PAIR(phsubd)
SIMD_MMX_PAIR(phsubsw)

/* The XMM form interleaves eight bytes of each: MMX low and high unpacks are its halves. */
#define SIMD_MMX_UNPACK(unit)                                                                      \
	SIMD_OP(mmx_punpckl##unit)                                                                 \
	{                                                                                          \
		op_punpckl##unit(dst, src, 0, env);                                                \
	}                                                                                          \
	SIMD_OP(mmx_punpckh##unit)                                                                 \
	{                                                                                          \
		op_punpckl##unit(dst, src, 0, env);                                                \
		dst->q[0] = dst->q[1];                                                             \
	}
SIMD_MMX_UNPACK(bw)
SIMD_MMX_UNPACK(wd)
SIMD_MMX_UNPACK(dq)

SIMD_OP(mmx_pshufb)
{
	const union x86_vec t = *dst, s = *src;

	for (unsigned i = 0; i < 8; i++)
		dst->b[i] = s.b[i] & 0x80 ? 0 : t.b[s.b[i] & 7];
}
SIMD_OP(mmx_pmovmskb)
{
	op_pmovmskb(dst, src, 0, env);
	dst->q[0] &= 0xff;
}
/* For MASKMOV the caller stores dst's bytes by the mask that is left in env->ecx. */
SIMD_OP(maskmov)
{
	union x86_vec mask;

	op_pmovmskb(&mask, src, 0, env);
	env->ecx = mask.d[0];
}
SIMD_OP(mmx_maskmov)
{
	op_maskmov(dst, src, 0, env);
	env->ecx &= 0xff;
}

/* ---- conversions with MMX registers ---------------------------------------------------- */

SIMD_OP(cvtpi2ps)
{
	union x86_vec t = {.v = {src->sq[0], 0}};

	op_cvtdq2ps(&t, &t, 0, env);
	dst->q[0] = t.q[0];
}
SIMD_OP(cvtpi2pd)
{
	op_cvtdq2pd(dst, src, 0, env);
}
SIMD_OP(cvtps2pi)
{
	union x86_vec t = {.v = {src->sq[0], 0}};

	op_cvtps2dq(dst, &t, 0, env);
}
SIMD_OP(cvttps2pi)
{
	union x86_vec t = {.v = {src->sq[0], 0}};

	op_cvttps2dq(dst, &t, 0, env);
}
SIMD_OP(cvtpd2pi)
{
	op_cvtpd2dq(dst, src, 0, env);
}
SIMD_OP(cvttpd2pi)
{
	op_cvttpd2dq(dst, src, 0, env);
}

#endif
