/* SPDX-License-Identifier: MIT */
/*
 * Operations that need no instruction of their own: moves, shuffles by immediate, and the MMX
 * forms of instructions that work across lanes, put together from the XMM ones. Included after
 * the op_ functions of simd-host.h or simd-portable.h.
 */
#ifndef WSLX_SIMD_OPS_H
#define WSLX_SIMD_OPS_H

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
SIMD_OP(movhigh)
{
	dst->v = (simd_host_vec){src->sq[1], 0};
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

typedef int simd_host_vec4 __attribute__((vector_size(16)));

SIMD_OP(pshufd)
{
	const simd_host_vec4 r = {src->sd[imm & 3], src->sd[imm >> 2 & 3], src->sd[imm >> 4 & 3],
	                          src->sd[imm >> 6]};

	dst->v = (simd_host_vec)r;
}

static inline long long simd_four_words(const uint16_t w[4], uint8_t imm)
{
	return (long long)(w[imm & 3] | (uint64_t)w[imm >> 2 & 3] << 16 |
	                   (uint64_t)w[imm >> 4 & 3] << 32 | (uint64_t)w[imm >> 6] << 48);
}
SIMD_OP(pshuflw)
{
	dst->v = (simd_host_vec){simd_four_words(src->w, imm), src->sq[1]};
}
SIMD_OP(pshufhw)
{
	dst->v = (simd_host_vec){src->sq[0], simd_four_words(src->w + 4, imm)};
}
SIMD_OP(pshufw)
{
	dst->v = (simd_host_vec){simd_four_words(src->w, imm), 0};
}
SIMD_OP(shufps)
{
	const simd_host_vec4 r = {dst->sd[imm & 3], dst->sd[imm >> 2 & 3], src->sd[imm >> 4 & 3],
	                          src->sd[imm >> 6]};

	dst->v = (simd_host_vec)r;
}
SIMD_OP(shufpd)
{
	dst->v = (simd_host_vec){dst->sq[imm & 1], src->sq[imm >> 1 & 1]};
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

/* 16 bytes out of 48, from byte @from. */
static inline simd_host_vec simd_window(simd_host_vec low, simd_host_vec middle, simd_host_vec high,
                                        unsigned from)
{
	const simd_host_vec all[3] = {low, middle, high};
	simd_host_vec r;

	__builtin_memcpy(&r, (const char *)all + from, sizeof(r));
	return r;
}
SIMD_OP(pslldq)
{
	const simd_host_vec zero = {0};

	dst->v = simd_window(zero, dst->v, zero, 16 - MIN(imm, 16u));
}
SIMD_OP(psrldq)
{
	const simd_host_vec zero = {0};

	dst->v = simd_window(dst->v, zero, zero, MIN(imm, 16u));
}
SIMD_OP(palignr)
{
	dst->v = simd_window(src->v, dst->v, (simd_host_vec){0}, MIN(imm, 32u));
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
		union x86_vec pair = {.v = {dst->sq[0], src->sq[0]}};                              \
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
