/* SPDX-License-Identifier: MIT */
/*
 * The op_ functions in plain C: for other hosts, for host CPUs that lack an extension, and to be
 * compared with the instructions themselves (tests/unit/simd.c). Floating point is softfp.h's.
 *
 * RCPPS and RSQRTPS are approximations whose last bits differ between processors; these here are
 * the exact value, truncated to twelve bits.
 */
#ifndef WSLX_SIMD_PORTABLE_H
#define WSLX_SIMD_PORTABLE_H

#include "simd/simd-op.h"
#include "simd/softfp.h"

/* ---- lane by lane ---------------------------------------------------------------------- */

static inline int simd_clamp(int v, int low, int high)
{
	return v < low ? low : v > high ? high : v;
}

/* dst lane = expression of x (dst lane) and y (src lane) */
#define LANES(name, member, type, expression)                                                      \
	SIMD_OP(name)                                                                              \
	{                                                                                          \
		for (unsigned i = 0; i < sizeof(dst->member) / sizeof(dst->member[0]); i++) {      \
			const type x = dst->member[i], y = src->member[i];                         \
                                                                                                   \
			(void)x;                                                                   \
			dst->member[i] = (type)(expression);                                       \
		}                                                                                  \
	}
LANES(pand, q, uint64_t, x &y)
LANES(pandn, q, uint64_t, ~x &y)
LANES(por, q, uint64_t, x | y)
LANES(pxor, q, uint64_t, x ^ y)
LANES(paddb, b, uint8_t, x + y)
LANES(paddw, w, uint16_t, x + y)
LANES(paddd, d, uint32_t, x + y)
LANES(paddq, q, uint64_t, x + y)
LANES(psubb, b, uint8_t, x - y)
LANES(psubw, w, uint16_t, x - y)
LANES(psubd, d, uint32_t, x - y)
LANES(psubq, q, uint64_t, x - y)
LANES(paddsb, sb, int8_t, simd_clamp(x + y, INT8_MIN, INT8_MAX))
LANES(paddsw, sw, int16_t, simd_clamp(x + y, INT16_MIN, INT16_MAX))
LANES(paddusb, b, uint8_t, simd_clamp(x + y, 0, UINT8_MAX))
LANES(paddusw, w, uint16_t, simd_clamp(x + y, 0, UINT16_MAX))
LANES(psubsb, sb, int8_t, simd_clamp(x - y, INT8_MIN, INT8_MAX))
LANES(psubsw, sw, int16_t, simd_clamp(x - y, INT16_MIN, INT16_MAX))
LANES(psubusb, b, uint8_t, simd_clamp(x - y, 0, UINT8_MAX))
LANES(psubusw, w, uint16_t, simd_clamp(x - y, 0, UINT16_MAX))
LANES(pavgb, b, uint8_t, (x + y + 1) >> 1)
LANES(pavgw, w, uint16_t, (x + y + 1) >> 1)
LANES(pmullw, w, uint16_t, (uint32_t)x *y)
LANES(pmulhw, sw, int16_t, (x * y) >> 16)
LANES(pmulhuw, w, uint16_t, ((uint32_t)x * y) >> 16)
LANES(pmulhrsw, sw, int16_t, ((((int32_t)x * y) >> 14) + 1) >> 1)
LANES(pmulld, d, uint32_t, x *y)
LANES(pmuludq, q, uint64_t, (uint64_t)(uint32_t)x *(uint32_t)y)
LANES(pmuldq, sq, int64_t, (int64_t)(int32_t)x *(int32_t)y)
LANES(pcmpeqb, b, uint8_t, x == y ? UINT8_MAX : 0)
LANES(pcmpeqw, w, uint16_t, x == y ? UINT16_MAX : 0)
LANES(pcmpeqd, d, uint32_t, x == y ? UINT32_MAX : 0)
LANES(pcmpeqq, q, uint64_t, x == y ? UINT64_MAX : 0)
LANES(pcmpgtb, sb, int8_t, x > y ? -1 : 0)
LANES(pcmpgtw, sw, int16_t, x > y ? -1 : 0)
LANES(pcmpgtd, sd, int32_t, x > y ? -1 : 0)
LANES(pcmpgtq, sq, int64_t, x > y ? -1 : 0)
LANES(pminub, b, uint8_t, MIN(x, y))
LANES(pminuw, w, uint16_t, MIN(x, y))
LANES(pminud, d, uint32_t, MIN(x, y))
LANES(pminsb, sb, int8_t, MIN(x, y))
LANES(pminsw, sw, int16_t, MIN(x, y))
LANES(pminsd, sd, int32_t, MIN(x, y))
LANES(pmaxub, b, uint8_t, MAX(x, y))
LANES(pmaxuw, w, uint16_t, MAX(x, y))
LANES(pmaxud, d, uint32_t, MAX(x, y))
LANES(pmaxsb, sb, int8_t, MAX(x, y))
LANES(pmaxsw, sw, int16_t, MAX(x, y))
LANES(pmaxsd, sd, int32_t, MAX(x, y))
LANES(psignb, b, uint8_t, y == 0 ? 0 : y & 0x80 ? -x : x)
LANES(psignw, w, uint16_t, y == 0 ? 0 : y & 0x8000 ? -x : x)
LANES(psignd, d, uint32_t, y == 0 ? 0 : y >> 31 ? 0 - x : x)
LANES(pabsb, b, uint8_t, y & 0x80 ? -y : y)
LANES(pabsw, w, uint16_t, y & 0x8000 ? -y : y)
LANES(pabsd, d, uint32_t, y >> 31 ? 0 - y : y)

/* All lanes by the count in the low 64 bits of src; too large a count shifts everything out. */
#define SHIFT(name, member, bits, type, in_range, out_of_range)                                    \
	SIMD_OP(name)                                                                              \
	{                                                                                          \
		const uint64_t n = src->q[0];                                                      \
                                                                                                   \
		for (unsigned i = 0; i < 128 / (bits); i++) {                                      \
			const type x = dst->member[i];                                             \
                                                                                                   \
			dst->member[i] = (type)(n < (bits) ? (in_range) : (out_of_range));         \
		}                                                                                  \
	}
SHIFT(psrlw, w, 16, uint16_t, x >> n, 0)
SHIFT(psrld, d, 32, uint32_t, x >> n, 0)
SHIFT(psrlq, q, 64, uint64_t, x >> n, 0)
SHIFT(psllw, w, 16, uint16_t, x << n, 0)
SHIFT(pslld, d, 32, uint32_t, x << n, 0)
SHIFT(psllq, q, 64, uint64_t, x << n, 0)
SHIFT(psraw, sw, 16, int16_t, x >> n, x >> 15)
SHIFT(psrad, sd, 32, int32_t, x >> n, x >> 31)

/* ---- moves ----------------------------------------------------------------------------- */

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
/* ---- across lanes ---------------------------------------------------------------------- */

SIMD_OP(pmaddwd)
{
	for (unsigned i = 0; i < 4; i++)
		dst->d[i] = (uint32_t)(dst->sw[2 * i] * src->sw[2 * i]) +
		            (uint32_t)(dst->sw[2 * i + 1] * src->sw[2 * i + 1]);
}
SIMD_OP(pmaddubsw)
{
	for (unsigned i = 0; i < 8; i++)
		dst->sw[i] = (int16_t)simd_clamp(dst->b[2 * i] * src->sb[2 * i] +
		                                         dst->b[2 * i + 1] * src->sb[2 * i + 1],
		                                 INT16_MIN, INT16_MAX);
}
SIMD_OP(psadbw)
{
	for (unsigned half = 0; half < 2; half++) {
		unsigned sum = 0;

		for (unsigned i = 8 * half; i < 8 * half + 8; i++)
			sum += (unsigned)(dst->b[i] > src->b[i] ? dst->b[i] - src->b[i]
			                                        : src->b[i] - dst->b[i]);
		dst->q[half] = sum;
	}
}

#define PACK(name, to, from, n, low, high)                                                         \
	SIMD_OP(name)                                                                              \
	{                                                                                          \
		const union x86_vec a = *dst, b = *src;                                            \
                                                                                                   \
		for (unsigned i = 0; i < (n); i++) {                                               \
			dst->to[i] = (__typeof__(dst->to[0]))simd_clamp(a.from[i], low, high);     \
			dst->to[(n) + i] =                                                         \
				(__typeof__(dst->to[0]))simd_clamp(b.from[i], low, high);          \
		}                                                                                  \
	}
PACK(packsswb, sb, sw, 8, INT8_MIN, INT8_MAX)
PACK(packuswb, b, sw, 8, 0, UINT8_MAX)
PACK(packssdw, sw, sd, 4, INT16_MIN, INT16_MAX)
PACK(packusdw, w, sd, 4, 0, UINT16_MAX)

#define UNPACK(name, member, n, first)                                                             \
	SIMD_OP(name)                                                                              \
	{                                                                                          \
		const union x86_vec a = *dst, b = *src;                                            \
                                                                                                   \
		for (unsigned i = 0; i < (n); i++) {                                               \
			dst->member[2 * i] = a.member[(first) + i];                                \
			dst->member[2 * i + 1] = b.member[(first) + i];                            \
		}                                                                                  \
	}
UNPACK(punpcklbw, b, 8, 0)
UNPACK(punpckhbw, b, 8, 8)
UNPACK(punpcklwd, w, 4, 0)
UNPACK(punpckhwd, w, 4, 4)
UNPACK(punpckldq, d, 2, 0)
UNPACK(punpckhdq, d, 2, 2)
UNPACK(punpcklqdq, q, 1, 0)
UNPACK(punpckhqdq, q, 1, 1)
UNPACK(unpcklps, d, 2, 0)
UNPACK(unpckhps, d, 2, 2)
UNPACK(unpcklpd, q, 1, 0)
UNPACK(unpckhpd, q, 1, 1)

#define PAIRS(name, member, n, expression)                                                         \
	SIMD_OP(name)                                                                              \
	{                                                                                          \
		const union x86_vec a = *dst, b = *src;                                            \
                                                                                                   \
		for (unsigned i = 0; i < 2 * (n); i++) {                                           \
			const union x86_vec *const from = i < (n) ? &a : &b;                       \
			const __typeof__(a.member[0]) x = from->member[2 * (i % (n))],             \
						      y = from->member[2 * (i % (n)) + 1];         \
                                                                                                   \
			dst->member[i] = (__typeof__(a.member[0]))(expression);                    \
		}                                                                                  \
	}
PAIRS(phaddw, w, 4, x + y)
PAIRS(phaddd, d, 2, x + y)
PAIRS(phaddsw, sw, 4, simd_clamp(x + y, INT16_MIN, INT16_MAX))
PAIRS(phsubw, w, 4, x - y)
PAIRS(phsubd, d, 2, x - y)
PAIRS(phsubsw, sw, 4, simd_clamp(x - y, INT16_MIN, INT16_MAX))

SIMD_OP(pshufb)
{
	const union x86_vec t = *dst, s = *src;

	for (unsigned i = 0; i < 16; i++)
		dst->b[i] = s.b[i] & 0x80 ? 0 : t.b[s.b[i] & 15];
}
SIMD_OP(pmovmskb)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < 16; i++)
		mask |= (unsigned)(src->b[i] >> 7) << i;
	dst->q[0] = mask;
}
SIMD_OP(movmskps)
{
	dst->q[0] = src->d[0] >> 31 | src->d[1] >> 31 << 1 | src->d[2] >> 31 << 2 |
	            src->d[3] >> 31 << 3;
}
SIMD_OP(movmskpd)
{
	dst->q[0] = src->q[0] >> 63 | src->q[1] >> 63 << 1;
}

#define EXTEND(name, to, from, n)                                                                  \
	SIMD_OP(name)                                                                              \
	{                                                                                          \
		const union x86_vec s = *src;                                                      \
                                                                                                   \
		for (unsigned i = 0; i < (n); i++)                                                 \
			dst->to[i] = s.from[i];                                                    \
	}
EXTEND(pmovsxbw, sw, sb, 8)
EXTEND(pmovsxbd, sd, sb, 4)
EXTEND(pmovsxbq, sq, sb, 2)
EXTEND(pmovsxwd, sd, sw, 4)
EXTEND(pmovsxwq, sq, sw, 2)
EXTEND(pmovsxdq, sq, sd, 2)
EXTEND(pmovzxbw, w, b, 8)
EXTEND(pmovzxbd, d, b, 4)
EXTEND(pmovzxbq, q, b, 2)
EXTEND(pmovzxwd, d, w, 4)
EXTEND(pmovzxwq, q, w, 2)
EXTEND(pmovzxdq, q, d, 2)

SIMD_OP(phminposuw)
{
	unsigned best = 0;
	uint64_t result;

	for (unsigned i = 1; i < 8; i++)
		if (src->w[i] < src->w[best])
			best = i;
	result = src->w[best] | best << 16;
	dst->q[0] = result;
	dst->q[1] = 0;
}
SIMD_OP(mpsadbw)
{
	const union x86_vec a = *dst, b = *src;
	const unsigned from = imm >> 2 & 1 ? 4 : 0, block = 4 * (imm & 3u);

	for (unsigned i = 0; i < 8; i++) {
		int sum = 0;

		for (unsigned j = 0; j < 4; j++) {
			const int difference = a.b[from + i + j] - b.b[block + j];

			sum += difference < 0 ? -difference : difference;
		}
		dst->w[i] = (uint16_t)sum;
	}
}

#define BLEND(name, member, sign)                                                                  \
	SIMD_OP(name)                                                                              \
	{                                                                                          \
		const union x86_vec mask = *env->xmm0;                                             \
                                                                                                   \
		for (unsigned i = 0; i < sizeof(dst->member) / sizeof(dst->member[0]); i++)        \
			if (mask.member[i] >> (sign))                                              \
				dst->member[i] = src->member[i];                                   \
	}
BLEND(pblendvb, b, 7)
BLEND(blendvps, d, 31)
BLEND(blendvpd, q, 63)

SIMD_OP(ptest)
{
	const bool zero = !((dst->q[0] & src->q[0]) | (dst->q[1] & src->q[1]));
	const bool carry = !((~dst->q[0] & src->q[0]) | (~dst->q[1] & src->q[1]));

	env->eflags = (zero ? SIMD_EFLAGS_ZF : 0) | (carry ? SIMD_EFLAGS_CF : 0);
}

/* ---- floating point -------------------------------------------------------------------- */

static inline struct soft_env simd_soft_env(const struct x86_fp_env *env)
{
	return (struct soft_env){
		.rounding = (enum soft_rounding)(env->mxcsr >> MXCSR_RC_SHIFT & 3),
		/* FTZ counts only where underflow is masked. */
		.flush_to_zero = (env->mxcsr & MXCSR_FTZ) && !(env->unmasked & MXCSR_UE),
		.denormals_are_zero = env->mxcsr & MXCSR_DAZ,
		.scale_overflow = env->unmasked & MXCSR_OE,
		.scale_underflow = env->unmasked & MXCSR_UE,
	};
}

enum simd_arithmetic {
	SIMD_ADD,
	SIMD_SUB,
	SIMD_MUL,
	SIMD_DIV,
	SIMD_SQRT,
};

uint32_t simd_soft_f32(struct x86_fp_env *env, enum simd_arithmetic op, uint32_t a, uint32_t b);
uint64_t simd_soft_f64(struct x86_fp_env *env, enum simd_arithmetic op, uint64_t a, uint64_t b);
uint32_t simd_soft_minmax_f32(struct x86_fp_env *env, bool max, uint32_t a, uint32_t b);
uint64_t simd_soft_minmax_f64(struct x86_fp_env *env, bool max, uint64_t a, uint64_t b);
/* @predicate as in CMPPS. Return: true or false. */
bool simd_soft_compare_f32(struct x86_fp_env *env, unsigned predicate, uint32_t a, uint32_t b);
bool simd_soft_compare_f64(struct x86_fp_env *env, unsigned predicate, uint64_t a, uint64_t b);
/* ZF, PF and CF of (U)COMISx. */
uint32_t simd_soft_flags_f32(struct x86_fp_env *env, bool quiet, uint32_t a, uint32_t b);
uint32_t simd_soft_flags_f64(struct x86_fp_env *env, bool quiet, uint64_t a, uint64_t b);
uint32_t simd_soft_round_f32(struct x86_fp_env *env, uint8_t imm, uint32_t a);
uint64_t simd_soft_round_f64(struct x86_fp_env *env, uint8_t imm, uint64_t a);
uint64_t simd_soft_widen(struct x86_fp_env *env, uint32_t a);
uint32_t simd_soft_narrow(struct x86_fp_env *env, uint64_t a);
int64_t simd_soft_int_f32(struct x86_fp_env *env, uint32_t a, unsigned bits, bool truncate);
int64_t simd_soft_int_f64(struct x86_fp_env *env, uint64_t a, unsigned bits, bool truncate);
uint32_t simd_soft_f32_of_int(struct x86_fp_env *env, int64_t v);
uint64_t simd_soft_f64_of_int(struct x86_fp_env *env, int64_t v);
uint32_t simd_soft_reciprocal(uint32_t a, bool square_root);

/* Packed and scalar, single and double, of a function of two lanes. */
#define FLOATS(name, f32, f64)                                                                     \
	SIMD_OP(name##ps)                                                                          \
	{                                                                                          \
		for (unsigned i = 0; i < 4; i++) {                                                 \
			const uint32_t x = dst->d[i], y = src->d[i];                               \
                                                                                                   \
			(void)x;                                                                   \
			dst->d[i] = f32;                                                           \
		}                                                                                  \
	}                                                                                          \
	SIMD_OP(name##pd)                                                                          \
	{                                                                                          \
		for (unsigned i = 0; i < 2; i++) {                                                 \
			const uint64_t x = dst->q[i], y = src->q[i];                               \
                                                                                                   \
			(void)x;                                                                   \
			dst->q[i] = f64;                                                           \
		}                                                                                  \
	}                                                                                          \
	SIMD_OP(name##ss)                                                                          \
	{                                                                                          \
		const uint32_t x = dst->d[0], y = src->d[0];                                       \
                                                                                                   \
		(void)x;                                                                           \
		dst->d[0] = f32;                                                                   \
	}                                                                                          \
	SIMD_OP(name##sd)                                                                          \
	{                                                                                          \
		const uint64_t x = dst->q[0], y = src->q[0];                                       \
                                                                                                   \
		(void)x;                                                                           \
		dst->q[0] = f64;                                                                   \
	}
#define ARITHMETIC(name, op)                                                                       \
	FLOATS(name, simd_soft_f32(env, op, x, y), simd_soft_f64(env, op, x, y))
ARITHMETIC(add, SIMD_ADD)
ARITHMETIC(sub, SIMD_SUB)
ARITHMETIC(mul, SIMD_MUL)
ARITHMETIC(div, SIMD_DIV)
ARITHMETIC(sqrt, SIMD_SQRT)
FLOATS(min, simd_soft_minmax_f32(env, false, x, y), simd_soft_minmax_f64(env, false, x, y))
FLOATS(max, simd_soft_minmax_f32(env, true, x, y), simd_soft_minmax_f64(env, true, x, y))
FLOATS(cmp, simd_soft_compare_f32(env, imm, x, y) ? UINT32_MAX : 0,
       simd_soft_compare_f64(env, imm, x, y) ? UINT64_MAX : 0)
FLOATS(round, simd_soft_round_f32(env, imm, y), simd_soft_round_f64(env, imm, y))

#define RECIPROCAL(name, root)                                                                     \
	SIMD_OP(name##ps)                                                                          \
	{                                                                                          \
		for (unsigned i = 0; i < 4; i++)                                                   \
			dst->d[i] = simd_soft_reciprocal(src->d[i], root);                         \
	}                                                                                          \
	SIMD_OP(name##ss)                                                                          \
	{                                                                                          \
		dst->d[0] = simd_soft_reciprocal(src->d[0], root);                                 \
	}
RECIPROCAL(rcp, false)
RECIPROCAL(rsqrt, true)

#define COMPARE_FLAGS(name, lane, bits, quiet)                                                     \
	SIMD_OP(name)                                                                              \
	{                                                                                          \
		env->eflags = simd_soft_flags_f##bits(env, quiet, dst->lane[0], src->lane[0]);     \
	}
COMPARE_FLAGS(comiss, d, 32, false)
COMPARE_FLAGS(comisd, q, 64, false)
COMPARE_FLAGS(ucomiss, d, 32, true)
COMPARE_FLAGS(ucomisd, q, 64, true)

/* Neighbours of dst, then of src. The two of a pair are (even, odd). */
#define HORIZONTAL(name, op)                                                                       \
	SIMD_OP(name##ps)                                                                          \
	{                                                                                          \
		const union x86_vec a = *dst, b = *src;                                            \
                                                                                                   \
		for (unsigned i = 0; i < 2; i++) {                                                 \
			dst->d[i] = simd_soft_f32(env, op, a.d[2 * i], a.d[2 * i + 1]);            \
			dst->d[2 + i] = simd_soft_f32(env, op, b.d[2 * i], b.d[2 * i + 1]);        \
		}                                                                                  \
	}                                                                                          \
	SIMD_OP(name##pd)                                                                          \
	{                                                                                          \
		const union x86_vec a = *dst, b = *src;                                            \
                                                                                                   \
		dst->q[0] = simd_soft_f64(env, op, a.q[0], a.q[1]);                                \
		dst->q[1] = simd_soft_f64(env, op, b.q[0], b.q[1]);                                \
	}
HORIZONTAL(hadd, SIMD_ADD)
HORIZONTAL(hsub, SIMD_SUB)

SIMD_OP(addsubps)
{
	for (unsigned i = 0; i < 4; i++)
		dst->d[i] = simd_soft_f32(env, i & 1 ? SIMD_ADD : SIMD_SUB, dst->d[i], src->d[i]);
}
SIMD_OP(addsubpd)
{
	dst->q[0] = simd_soft_f64(env, SIMD_SUB, dst->q[0], src->q[0]);
	dst->q[1] = simd_soft_f64(env, SIMD_ADD, dst->q[1], src->q[1]);
}

/*
 * The end of a stage of DPPx (products, sums): whether it traps, so that the next is not run. In
 * simd_run_checked() the flags were clear at the start, and elsewhere nothing traps.
 */
static inline bool simd_stage_traps(struct x86_fp_env *env, uint32_t before)
{
	const uint32_t raised = simd_stage_flags(env, env->mxcsr & ~before & MXCSR_FLAGS);

	env->staged = true;
	if (!(raised & env->unmasked))
		return false;
	env->mxcsr = before | raised;
	return true;
}

/*
 * Products that the high half of the immediate chooses, summed in pairs. The sum is the same in
 * each lane, but which of several NaNs it is depends on the order, and that on the lane.
 */
SIMD_OP(dpps)
{
	uint32_t before = env->mxcsr, p[4], pair[4], sum[4];

	for (unsigned i = 0; i < 4; i++)
		p[i] = imm >> (4 + i) & 1 ? simd_soft_f32(env, SIMD_MUL, dst->d[i], src->d[i]) : 0;
	if (simd_stage_traps(env, before))
		return;
	before = env->mxcsr;
	for (unsigned i = 0; i < 4; i++)
		pair[i] = simd_soft_f32(env, SIMD_ADD, p[i ^ 1], p[i]);
	if (simd_stage_traps(env, before))
		return;
	before = env->mxcsr;
	for (unsigned i = 0; i < 4; i++)
		sum[i] = simd_soft_f32(env, SIMD_ADD, pair[i], pair[i ^ 2]);
	if (simd_stage_traps(env, before))
		return;
	for (unsigned i = 0; i < 4; i++)
		dst->d[i] = imm >> i & 1 ? sum[i] : 0;
}
SIMD_OP(dppd)
{
	uint32_t before = env->mxcsr;
	uint64_t p[2], sum[2];

	for (unsigned i = 0; i < 2; i++)
		p[i] = imm >> (4 + i) & 1 ? simd_soft_f64(env, SIMD_MUL, dst->q[i], src->q[i]) : 0;
	if (simd_stage_traps(env, before))
		return;
	before = env->mxcsr;
	for (unsigned i = 0; i < 2; i++)
		sum[i] = simd_soft_f64(env, SIMD_ADD, p[i], p[i ^ 1]);
	if (simd_stage_traps(env, before))
		return;
	for (unsigned i = 0; i < 2; i++)
		dst->q[i] = imm >> i & 1 ? sum[i] : 0;
}

SIMD_OP(cvtps2pd)
{
	const union x86_vec s = *src;

	dst->q[0] = simd_soft_widen(env, s.d[0]);
	dst->q[1] = simd_soft_widen(env, s.d[1]);
}
SIMD_OP(cvtpd2ps)
{
	const uint32_t low = simd_soft_narrow(env, src->q[0]);
	const uint32_t high = simd_soft_narrow(env, src->q[1]);

	dst->q[0] = low | (uint64_t)high << 32;
	dst->q[1] = 0;
}
SIMD_OP(cvtss2sd)
{
	dst->q[0] = simd_soft_widen(env, src->d[0]);
}
SIMD_OP(cvtsd2ss)
{
	dst->d[0] = simd_soft_narrow(env, src->q[0]);
}
SIMD_OP(cvtdq2ps)
{
	for (unsigned i = 0; i < 4; i++)
		dst->d[i] = simd_soft_f32_of_int(env, src->sd[i]);
}
SIMD_OP(cvtdq2pd)
{
	const union x86_vec s = *src;

	dst->q[0] = simd_soft_f64_of_int(env, s.sd[0]);
	dst->q[1] = simd_soft_f64_of_int(env, s.sd[1]);
}

#define TO_INTEGERS(name, truncate)                                                                \
	SIMD_OP(cvt##name##ps2dq)                                                                  \
	{                                                                                          \
		for (unsigned i = 0; i < 4; i++)                                                   \
			dst->sd[i] = (int32_t)simd_soft_int_f32(env, src->d[i], 32, truncate);     \
	}                                                                                          \
	SIMD_OP(cvt##name##pd2dq)                                                                  \
	{                                                                                          \
		const int64_t low = simd_soft_int_f64(env, src->q[0], 32, truncate);               \
		const int64_t high = simd_soft_int_f64(env, src->q[1], 32, truncate);              \
                                                                                                   \
		dst->sd[0] = (int32_t)low;                                                         \
		dst->sd[1] = (int32_t)high;                                                        \
		dst->q[1] = 0;                                                                     \
	}                                                                                          \
	SIMD_OP(cvt##name##ss2si_32)                                                               \
	{                                                                                          \
		dst->q[0] = (uint32_t)simd_soft_int_f32(env, src->d[0], 32, truncate);             \
	}                                                                                          \
	SIMD_OP(cvt##name##ss2si_64)                                                               \
	{                                                                                          \
		dst->sq[0] = simd_soft_int_f32(env, src->d[0], 64, truncate);                      \
	}                                                                                          \
	SIMD_OP(cvt##name##sd2si_32)                                                               \
	{                                                                                          \
		dst->q[0] = (uint32_t)simd_soft_int_f64(env, src->q[0], 32, truncate);             \
	}                                                                                          \
	SIMD_OP(cvt##name##sd2si_64)                                                               \
	{                                                                                          \
		dst->sq[0] = simd_soft_int_f64(env, src->q[0], 64, truncate);                      \
	}
TO_INTEGERS(, false)
TO_INTEGERS(t, true)

SIMD_OP(cvtsi2ss_32)
{
	dst->d[0] = simd_soft_f32_of_int(env, src->sd[0]);
}
SIMD_OP(cvtsi2ss_64)
{
	dst->d[0] = simd_soft_f32_of_int(env, src->sq[0]);
}
SIMD_OP(cvtsi2sd_32)
{
	dst->q[0] = simd_soft_f64_of_int(env, src->sd[0]);
}
SIMD_OP(cvtsi2sd_64)
{
	dst->q[0] = simd_soft_f64_of_int(env, src->sq[0]);
}

/* ---- text, ciphers, digests ------------------------------------------------------------ */

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

void crypto_aesenc(union x86_vec *state, const union x86_vec *key, bool last);
void crypto_aesdec(union x86_vec *state, const union x86_vec *key, bool last);
void crypto_aesimc(union x86_vec *dst, const union x86_vec *src);
void crypto_aeskeygenassist(union x86_vec *dst, const union x86_vec *src, uint8_t constant);
void crypto_clmul(union x86_vec *product, uint64_t a, uint64_t b);
void crypto_sha1rnds4(union x86_vec *state, const union x86_vec *words, unsigned function);
void crypto_sha256rnds2(union x86_vec *dst, const union x86_vec *src, const union x86_vec *words);
uint32_t crypto_sha256_sigma(uint32_t x, unsigned a, unsigned b, unsigned shift);

SIMD_OP(aesenc)
{
	crypto_aesenc(dst, src, false);
}
SIMD_OP(aesenclast)
{
	crypto_aesenc(dst, src, true);
}
SIMD_OP(aesdec)
{
	crypto_aesdec(dst, src, false);
}
SIMD_OP(aesdeclast)
{
	crypto_aesdec(dst, src, true);
}
SIMD_OP(aesimc)
{
	crypto_aesimc(dst, src);
}
SIMD_OP(aeskeygenassist)
{
	crypto_aeskeygenassist(dst, src, imm);
}
SIMD_OP(pclmulqdq)
{
	crypto_clmul(dst, dst->q[imm & 1], src->q[imm >> 4 & 1]);
}

static inline uint32_t simd_rotate_left(uint32_t x, unsigned by)
{
	return x << by | x >> (32 - by);
}

/* Lane 3 is the first of a group of four words. */
SIMD_OP(sha1nexte)
{
	const uint32_t e = simd_rotate_left(dst->d[3], 30);

	dst->v = src->v;
	dst->d[3] += e;
}
SIMD_OP(sha1msg1)
{
	const union x86_vec a = *dst, b = *src;

	dst->d[3] = a.d[3] ^ a.d[1];
	dst->d[2] = a.d[2] ^ a.d[0];
	dst->d[1] = a.d[1] ^ b.d[3];
	dst->d[0] = a.d[0] ^ b.d[2];
}
SIMD_OP(sha1msg2)
{
	const union x86_vec a = *dst, b = *src;

	dst->d[3] = simd_rotate_left(a.d[3] ^ b.d[2], 1);
	dst->d[2] = simd_rotate_left(a.d[2] ^ b.d[1], 1);
	dst->d[1] = simd_rotate_left(a.d[1] ^ b.d[0], 1);
	dst->d[0] = simd_rotate_left(a.d[0] ^ dst->d[3], 1);
}
SIMD_OP(sha1rnds4)
{
	crypto_sha1rnds4(dst, src, imm & 3);
}
SIMD_OP(sha256rnds2)
{
	crypto_sha256rnds2(dst, src, env->xmm0);
}
SIMD_OP(sha256msg1)
{
	const union x86_vec a = *dst, b = *src;

	for (unsigned i = 0; i < 4; i++)
		dst->d[i] = a.d[i] + crypto_sha256_sigma(i < 3 ? a.d[i + 1] : b.d[0], 7, 18, 3);
}
SIMD_OP(sha256msg2)
{
	const union x86_vec a = *dst, b = *src;

	dst->d[0] = a.d[0] + crypto_sha256_sigma(b.d[2], 17, 19, 10);
	dst->d[1] = a.d[1] + crypto_sha256_sigma(b.d[3], 17, 19, 10);
	dst->d[2] = a.d[2] + crypto_sha256_sigma(dst->d[0], 17, 19, 10);
	dst->d[3] = a.d[3] + crypto_sha256_sigma(dst->d[1], 17, 19, 10);
}

#undef LANES
#undef SHIFT
#undef PACK
#undef UNPACK
#undef PAIRS
#undef EXTEND
#undef BLEND
#undef FLOATS
#undef ARITHMETIC
#undef RECIPROCAL
#undef COMPARE_FLAGS
#undef HORIZONTAL
#undef TO_INTEGERS

#endif
