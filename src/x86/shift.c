/* SPDX-License-Identifier: MIT */
/*
 * Shifts, rotates and bits.
 *
 * Shifts leave a result and compute CF and OF at once (CC_RES); rotates change CF and OF only
 * and so have to know the other flags. OF is given for every count as it is defined for a
 * count of 1, applied to the last step, which is what hardware does.
 */
#include "x86/ops.h"

/* Flags of a rotate: new CF and OF, the rest as it was. */
static void rotate_flags(struct x86_cpu *cpu, bool cf, bool of)
{
	uint64_t rest = cc_flags(cpu) & ~(uint64_t)(EFLAGS_CF | EFLAGS_OF);

	cc_set_explicit(cpu, rest | (cf ? EFLAGS_CF : 0) | (of ? EFLAGS_OF : 0));
}

/* @count is masked to 5 or 6 bits and not 0. */
#define DEFINE_SHIFT(S)                                                                            \
	INLINE uint##S##_t shift##S(struct x86_cpu *cpu, enum shift what, bool flags,              \
	                            uint##S##_t a, unsigned count)                                 \
	{                                                                                          \
		const uint##S##_t top = (uint##S##_t)((uint##S##_t)1 << (S - 1));                  \
		uint##S##_t r;                                                                     \
		bool cf, of;                                                                       \
		unsigned n;                                                                        \
                                                                                                   \
		switch (what) {                                                                    \
		case SH_ROL:                                                                       \
			n = count % S;                                                             \
			r = (uint##S##_t)(n ? (a << n) | (a >> (S - n)) : a);                      \
			if (flags)                                                                 \
				rotate_flags(cpu, r & 1, ((r & top) != 0) != (r & 1));             \
			return r;                                                                  \
		case SH_ROR:                                                                       \
			n = count % S;                                                             \
			r = (uint##S##_t)(n ? (a >> n) | (a << (S - n)) : a);                      \
			if (flags)                                                                 \
				rotate_flags(cpu, r &top, ((r ^ r << 1) & top) != 0);              \
			return r;                                                                  \
		case SH_RCL:                                                                       \
			n = count % (S + 1);                                                       \
			cf = cc_cf(cpu);                                                           \
			r = a;                                                                     \
			if (n == 0)                                                                \
				return r;                                                          \
			r = (uint##S##_t)((n < S ? a << n : 0) | (uint##S##_t)cf << (n - 1) |      \
			                  (n > 1 ? a >> (S + 1 - n) : 0));                         \
			cf = a >> (S - n) & 1;                                                     \
			rotate_flags(cpu, cf, ((r & top) != 0) != cf);                             \
			return r;                                                                  \
		case SH_RCR:                                                                       \
			n = count % (S + 1);                                                       \
			cf = cc_cf(cpu);                                                           \
			r = a;                                                                     \
			if (n == 0)                                                                \
				return r;                                                          \
			r = (uint##S##_t)((n < S ? a >> n : 0) | (uint##S##_t)cf << (S - n) |      \
			                  (n > 1 ? a << (S + 1 - n) : 0));                         \
			cf = a >> (n - 1) & 1;                                                     \
			rotate_flags(cpu, cf, ((r ^ r << 1) & top) != 0);                          \
			return r;                                                                  \
		case SH_SHL:                                                                       \
		case SH_SAL:                                                                       \
			r = (uint##S##_t)(count < S ? a << count : 0);                             \
			cf = count <= S ? a >> (S - count) & 1 : 0;                                \
			of = ((r & top) != 0) != cf;                                               \
			break;                                                                     \
		case SH_SHR:                                                                       \
			r = (uint##S##_t)(count < S ? a >> count : 0);                             \
			cf = count <= S ? a >> (count - 1) & 1 : 0;                                \
			of = ((r ^ r << 1) & top) != 0;                                            \
			break;                                                                     \
		default:                                                                           \
			n = count < S ? count : S - 1;                                             \
			r = (uint##S##_t)((int##S##_t)a >> n);                                     \
			cf = count < S ? a >> (count - 1) & 1 : (a & top) != 0;                    \
			of = false;                                                                \
			break;                                                                     \
		}                                                                                  \
		if (flags)                                                                         \
			cc_set(cpu, CC_RES, SX##S(r),                                              \
			       (cf ? EFLAGS_CF : 0) | (of ? EFLAGS_OF : 0));                       \
		return r;                                                                          \
	}
FOR_SIZES(DEFINE_SHIFT)

#define COUNT_MASK(S) (S == 64 ? 63u : 31u)
#define DEFINE_SHIFT_FORMS(name, what, S)                                                          \
	static OP(name##_ri##S)                                                                    \
	{                                                                                          \
		wr##S(cpu, op->dst,                                                                \
		      shift##S(cpu, what, true, rd##S(cpu, op->dst), (unsigned)op->imm));          \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(name##_ri_nf##S)                                                                 \
	{                                                                                          \
		wr##S(cpu, op->dst,                                                                \
		      shift##S(cpu, what, false, rd##S(cpu, op->dst), (unsigned)op->imm));         \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(name##_rc##S)                                                                    \
	{                                                                                          \
		unsigned count = rd8(cpu, REG(X86_RCX)) & COUNT_MASK(S);                           \
		uint##S##_t a = rd##S(cpu, op->dst);                                               \
                                                                                                   \
		wr##S(cpu, op->dst, count ? shift##S(cpu, what, true, a, count) : a);              \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(name##_mi##S)                                                                    \
	{                                                                                          \
		uint64_t linear = op_ea_any(cpu, op, S / 8, true);                                 \
		guest##S##_t *host = rmw_begin(cpu, op, linear, S / 8);                            \
                                                                                                   \
		*host = shift##S(cpu, what, true, *host, (unsigned)op->imm);                       \
		rmw_end(cpu, op, host, linear, S / 8);                                             \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(name##_mc##S)                                                                    \
	{                                                                                          \
		unsigned count = rd8(cpu, REG(X86_RCX)) & COUNT_MASK(S);                           \
		uint64_t linear = op_ea_any(cpu, op, S / 8, true);                                 \
		guest##S##_t *host = rmw_begin(cpu, op, linear, S / 8);                            \
                                                                                                   \
		if (count)                                                                         \
			*host = shift##S(cpu, what, true, *host, count);                           \
		rmw_end(cpu, op, host, linear, S / 8);                                             \
		NEXT;                                                                              \
	}
#define DEFINE_SHIFTS(S)                                                                           \
	DEFINE_SHIFT_FORMS(rol, SH_ROL, S)                                                         \
	DEFINE_SHIFT_FORMS(ror, SH_ROR, S)                                                         \
	DEFINE_SHIFT_FORMS(rcl, SH_RCL, S)                                                         \
	DEFINE_SHIFT_FORMS(rcr, SH_RCR, S)                                                         \
	DEFINE_SHIFT_FORMS(shl, SH_SHL, S)                                                         \
	DEFINE_SHIFT_FORMS(shr, SH_SHR, S)                                                         \
	DEFINE_SHIFT_FORMS(sar, SH_SAR, S)
FOR_SIZES(DEFINE_SHIFTS)
#define SHIFT_TABLE(form)                                                                          \
	{                                                                                          \
		SIZES_OF(rol_##form), SIZES_OF(ror_##form), SIZES_OF(rcl_##form),                  \
			SIZES_OF(rcr_##form), SIZES_OF(shl_##form), SIZES_OF(shr_##form),          \
			SIZES_OF(shl_##form), SIZES_OF(sar_##form)                                 \
	}
op_fn *const x86_shift_ri[2][8][4] = {SHIFT_TABLE(ri), SHIFT_TABLE(ri_nf)};
op_fn *const x86_shift_rc[8][4] = SHIFT_TABLE(rc);
op_fn *const x86_shift_mi[8][4] = SHIFT_TABLE(mi), *const x86_shift_mc[8][4] = SHIFT_TABLE(mc);

/* A shift of memory by 0 is a write access all the same. */
#define DEFINE_TOUCH(S)                                                                            \
	static OP(touch_m##S)                                                                      \
	{                                                                                          \
		uint64_t linear = op_ea_any(cpu, op, S / 8, true);                                 \
		void *host = rmw_begin(cpu, op, linear, S / 8);                                    \
                                                                                                   \
		rmw_end(cpu, op, host, linear, S / 8);                                             \
		NEXT;                                                                              \
	}
FOR_SIZES(DEFINE_TOUCH)
op_fn *const x86_touch_m[4] = SIZES_OF(touch_m);

/* ---- SHLD, SHRD ------------------------------------------------------------------------ */

/*
 * @count is masked and not 0. A 16-bit operand with a count over 16 has no defined result: the
 * shift goes on through the second operand and then the first again, as Intel's hardware does.
 */
#define DEFINE_SHD(S)                                                                              \
	static uint##S##_t shd##S(struct x86_cpu *cpu, bool right, uint##S##_t a, uint##S##_t b,   \
	                          unsigned count)                                                  \
	{                                                                                          \
		const uint##S##_t top = (uint##S##_t)((uint##S##_t)1 << (S - 1));                  \
		uint##S##_t r;                                                                     \
		bool cf;                                                                           \
                                                                                                   \
		if (count > S) {                                                                   \
			uint##S##_t old = a;                                                       \
                                                                                                   \
			a = b;                                                                     \
			b = old;                                                                   \
			count -= S;                                                                \
		}                                                                                  \
		if (right) {                                                                       \
			r = (uint##S##_t)(count < S ? (a >> count) | (b << (S - count)) : b);      \
			cf = a >> (count - 1) & 1;                                                 \
		} else {                                                                           \
			r = (uint##S##_t)(count < S ? (a << count) | (b >> (S - count)) : b);      \
			cf = a >> (S - count) & 1;                                                 \
		}                                                                                  \
		cc_set(cpu, CC_RES, SX##S(r),                                                      \
		       (cf ? EFLAGS_CF : 0) |                                                      \
		               (((right ? r ^ r << 1 : r ^ a) & top) ? EFLAGS_OF : 0));            \
		return r;                                                                          \
	}
FOR_WIDE_SIZES(DEFINE_SHD)

#define DEFINE_SHD_FORMS(name, right, S)                                                           \
	static OP(name##_ri##S)                                                                    \
	{                                                                                          \
		unsigned count = op->aux & COUNT_MASK(S);                                          \
		uint##S##_t a = rd##S(cpu, op->dst);                                               \
                                                                                                   \
		wr##S(cpu, op->dst,                                                                \
		      count ? shd##S(cpu, right, a, rd##S(cpu, op->src), count) : a);              \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(name##_rc##S)                                                                    \
	{                                                                                          \
		unsigned count = rd8(cpu, REG(X86_RCX)) & COUNT_MASK(S);                           \
		uint##S##_t a = rd##S(cpu, op->dst);                                               \
                                                                                                   \
		wr##S(cpu, op->dst,                                                                \
		      count ? shd##S(cpu, right, a, rd##S(cpu, op->src), count) : a);              \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(name##_mi##S)                                                                    \
	{                                                                                          \
		unsigned count = op->aux & COUNT_MASK(S);                                          \
		uint64_t linear = op_ea_any(cpu, op, S / 8, true);                                 \
		guest##S##_t *host = rmw_begin(cpu, op, linear, S / 8);                            \
                                                                                                   \
		if (count)                                                                         \
			*host = shd##S(cpu, right, *host, rd##S(cpu, op->src), count);             \
		rmw_end(cpu, op, host, linear, S / 8);                                             \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(name##_mc##S)                                                                    \
	{                                                                                          \
		unsigned count = rd8(cpu, REG(X86_RCX)) & COUNT_MASK(S);                           \
		uint64_t linear = op_ea_any(cpu, op, S / 8, true);                                 \
		guest##S##_t *host = rmw_begin(cpu, op, linear, S / 8);                            \
                                                                                                   \
		if (count)                                                                         \
			*host = shd##S(cpu, right, *host, rd##S(cpu, op->src), count);             \
		rmw_end(cpu, op, host, linear, S / 8);                                             \
		NEXT;                                                                              \
	}
#define DEFINE_SHDS(S)                                                                             \
	DEFINE_SHD_FORMS(shld, false, S)                                                           \
	DEFINE_SHD_FORMS(shrd, true, S)
FOR_WIDE_SIZES(DEFINE_SHDS)
#define WIDE_SIZES_OF(name)                                                                        \
	{                                                                                          \
		NULL, name##16, name##32, name##64                                                 \
	}
op_fn *const x86_shd_ri[2][4] = {WIDE_SIZES_OF(shld_ri), WIDE_SIZES_OF(shrd_ri)};
op_fn *const x86_shd_rc[2][4] = {WIDE_SIZES_OF(shld_rc), WIDE_SIZES_OF(shrd_rc)};
op_fn *const x86_shd_mi[2][4] = {WIDE_SIZES_OF(shld_mi), WIDE_SIZES_OF(shrd_mi)};
op_fn *const x86_shd_mc[2][4] = {WIDE_SIZES_OF(shld_mc), WIDE_SIZES_OF(shrd_mc)};

/* ---- bit tests ------------------------------------------------------------------------- */

enum bt { BT, BTS, BTR, BTC };

/* Only CF is defined to change; the other flags stay. */
INLINE void bt_flags(struct x86_cpu *cpu, bool cf)
{
	uint64_t rest = cc_flags(cpu) & ~(uint64_t)EFLAGS_CF;

	cc_set_explicit(cpu, rest | (cf ? EFLAGS_CF : 0));
}

#define DEFINE_BT(S)                                                                               \
	INLINE uint##S##_t bt##S(struct x86_cpu *cpu, enum bt what, uint##S##_t a, unsigned bit)   \
	{                                                                                          \
		uint##S##_t mask = (uint##S##_t)((uint##S##_t)1 << (bit % S));                     \
                                                                                                   \
		bt_flags(cpu, a &mask);                                                            \
		switch (what) {                                                                    \
		case BTS:                                                                          \
			return a | mask;                                                           \
		case BTR:                                                                          \
			return (uint##S##_t)(a & ~mask);                                           \
		case BTC:                                                                          \
			return a ^ mask;                                                           \
		default:                                                                           \
			return a;                                                                  \
		}                                                                                  \
	}                                                                                          \
	/* The word that a bit number in a register, counted from the operand, falls into. */      \
	static uint64_t bt_linear##S(struct x86_cpu *cpu, const struct op *op, bool write)         \
	{                                                                                          \
		int64_t bit = (int##S##_t)rd##S(cpu, op->src);                                     \
		uint64_t byte = (uint64_t)((bit >> (S == 16 ? 4 : S == 32 ? 5 : 6)) * (S / 8));    \
                                                                                                   \
		if ((op->ea & 3) != EA_GENERAL)                                                    \
			return op_ea_any(cpu, op, S / 8, write) + byte;                            \
		return x86_ea_general_at(cpu, op, byte, S / 8, write);                             \
	}
FOR_WIDE_SIZES(DEFINE_BT)

#define DEFINE_BT_FORMS(name, what, S)                                                             \
	static OP(name##_rr##S)                                                                    \
	{                                                                                          \
		uint##S##_t a = rd##S(cpu, op->dst);                                               \
		uint##S##_t r = bt##S(cpu, what, a, (unsigned)rd##S(cpu, op->src) % S);            \
                                                                                                   \
		if (what != BT)                                                                    \
			wr##S(cpu, op->dst, r);                                                    \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(name##_ri##S)                                                                    \
	{                                                                                          \
		uint##S##_t a = rd##S(cpu, op->dst);                                               \
		uint##S##_t r = bt##S(cpu, what, a, (unsigned)op->imm % S);                        \
                                                                                                   \
		if (what != BT)                                                                    \
			wr##S(cpu, op->dst, r);                                                    \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(name##_mr##S)                                                                    \
	{                                                                                          \
		unsigned bit = (unsigned)rd##S(cpu, op->src) % S;                                  \
		uint64_t linear = bt_linear##S(cpu, op, what != BT);                               \
                                                                                                   \
		if (what == BT) {                                                                  \
			bt##S(cpu, what, load##S(cpu, op, linear), bit);                           \
		} else {                                                                           \
			guest##S##_t *host = rmw_begin(cpu, op, linear, S / 8);                    \
                                                                                                   \
			*host = bt##S(cpu, what, *host, bit);                                      \
			rmw_end(cpu, op, host, linear, S / 8);                                     \
		}                                                                                  \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(name##_mi##S)                                                                    \
	{                                                                                          \
		uint64_t linear = op_ea_any(cpu, op, S / 8, what != BT);                           \
                                                                                                   \
		if (what == BT) {                                                                  \
			bt##S(cpu, what, load##S(cpu, op, linear), (unsigned)op->imm % S);         \
		} else {                                                                           \
			guest##S##_t *host = rmw_begin(cpu, op, linear, S / 8);                    \
                                                                                                   \
			*host = bt##S(cpu, what, *host, (unsigned)op->imm % S);                    \
			rmw_end(cpu, op, host, linear, S / 8);                                     \
		}                                                                                  \
		NEXT;                                                                              \
	}
#define DEFINE_BTS(S)                                                                              \
	DEFINE_BT_FORMS(bt, BT, S)                                                                 \
	DEFINE_BT_FORMS(bts, BTS, S)                                                               \
	DEFINE_BT_FORMS(btr, BTR, S)                                                               \
	DEFINE_BT_FORMS(btc, BTC, S)
FOR_WIDE_SIZES(DEFINE_BTS)
#define BT_TABLE(form)                                                                             \
	{                                                                                          \
		WIDE_SIZES_OF(bt_##form), WIDE_SIZES_OF(bts_##form), WIDE_SIZES_OF(btr_##form),    \
			WIDE_SIZES_OF(btc_##form)                                                  \
	}
op_fn *const x86_bt_rr[4][4] = BT_TABLE(rr), *const x86_bt_ri[4][4] = BT_TABLE(ri);
op_fn *const x86_bt_mr[4][4] = BT_TABLE(mr), *const x86_bt_mi[4][4] = BT_TABLE(mi);

/* ---- scans and counts ------------------------------------------------------------------ */

/* A source of 0 leaves the destination as it is: documented by AMD, done by Intel. */
#define DEFINE_BSX(S)                                                                              \
	INLINE void bsx##S(struct x86_cpu *cpu, bool reverse, unsigned dst, uint##S##_t a)         \
	{                                                                                          \
		cc_set(cpu, CC_RES, SX##S(a), 0);                                                  \
		if (a == 0)                                                                        \
			return;                                                                    \
		wr##S(cpu, dst,                                                                    \
		      (uint##S##_t)(reverse ? 63 - __builtin_clzll(a) : __builtin_ctzll(a)));      \
	}                                                                                          \
	static OP(bsf_r##S)                                                                        \
	{                                                                                          \
		bsx##S(cpu, false, op->dst, rd##S(cpu, op->src));                                  \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(bsf_m##S)                                                                        \
	{                                                                                          \
		bsx##S(cpu, false, op->dst, load##S(cpu, op, op_ea_any(cpu, op, S / 8, false)));   \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(bsr_r##S)                                                                        \
	{                                                                                          \
		bsx##S(cpu, true, op->dst, rd##S(cpu, op->src));                                   \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(bsr_m##S)                                                                        \
	{                                                                                          \
		bsx##S(cpu, true, op->dst, load##S(cpu, op, op_ea_any(cpu, op, S / 8, false)));    \
		NEXT;                                                                              \
	}                                                                                          \
	INLINE void popcnt##S(struct x86_cpu *cpu, unsigned dst, uint##S##_t a)                    \
	{                                                                                          \
		cc_set_explicit(cpu, a ? 0 : EFLAGS_ZF);                                           \
		wr##S(cpu, dst, (uint##S##_t)__builtin_popcountll(a));                             \
	}                                                                                          \
	static OP(popcnt_r##S)                                                                     \
	{                                                                                          \
		popcnt##S(cpu, op->dst, rd##S(cpu, op->src));                                      \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(popcnt_m##S)                                                                     \
	{                                                                                          \
		popcnt##S(cpu, op->dst, load##S(cpu, op, op_ea_any(cpu, op, S / 8, false)));       \
		NEXT;                                                                              \
	}
FOR_WIDE_SIZES(DEFINE_BSX)
op_fn *const x86_bsx_r[2][4] = {WIDE_SIZES_OF(bsf_r), WIDE_SIZES_OF(bsr_r)};
op_fn *const x86_bsx_m[2][4] = {WIDE_SIZES_OF(bsf_m), WIDE_SIZES_OF(bsr_m)};
op_fn *const x86_popcnt_r[4] = WIDE_SIZES_OF(popcnt_r), *const x86_popcnt_m[4] =
								WIDE_SIZES_OF(popcnt_m);

/* CRC-32C (Castagnoli), bit-reflected, a byte at a time. */
static uint32_t crc32c(uint32_t crc, uint64_t data, unsigned bytes)
{
	static uint32_t table[256];

	if (!table[1])
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = i;

			for (int k = 0; k < 8; k++)
				c = c >> 1 ^ (c & 1 ? 0x82f63b78u : 0);
			table[i] = c;
		}
	for (; bytes; bytes--, data >>= 8)
		crc = crc >> 8 ^ table[(crc ^ data) & 0xff];
	return crc;
}

#define DEFINE_CRC32(S)                                                                            \
	static OP(crc32_r##S)                                                                      \
	{                                                                                          \
		wr32(cpu, op->dst, crc32c(rd32(cpu, op->dst), rd##S(cpu, op->src), S / 8));        \
		NEXT;                                                                              \
	}                                                                                          \
	static OP(crc32_m##S)                                                                      \
	{                                                                                          \
		uint##S##_t a = load##S(cpu, op, op_ea_any(cpu, op, S / 8, false));                \
                                                                                                   \
		wr32(cpu, op->dst, crc32c(rd32(cpu, op->dst), a, S / 8));                          \
		NEXT;                                                                              \
	}
FOR_SIZES(DEFINE_CRC32)
op_fn *const x86_crc32_r[4] = SIZES_OF(crc32_r), *const x86_crc32_m[4] = SIZES_OF(crc32_m);

OP(x86_op_bswap32)
{
	wr32(cpu, op->dst, __builtin_bswap32(rd32(cpu, op->dst)));
	NEXT;
}

OP(x86_op_bswap64)
{
	wr64(cpu, op->dst, __builtin_bswap64(rd64(cpu, op->dst)));
	NEXT;
}
