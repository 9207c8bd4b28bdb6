/* SPDX-License-Identifier: MIT */
/*
 * Vector instructions of a trace: the guest's instruction is the host's, and guest XMM registers
 * are in host registers of the same number. What the rows of simd.h say is all there is to know.
 *
 * MMX, MASKMOV, and PCMPESTRx are left to their handlers, and so is everything while a
 * floating-point exception is not masked.
 */
#include "x86/native/native.h"

#if X86_NATIVE

#include "simd/simd-op.h"
#include "x86/flags.h"
#include "x86/native/native-int.h"

static bool is_row(const struct simd_row *row, unsigned map, unsigned opcode)
{
	return row->map == map && row->opcode == opcode;
}

static bool can_do(const struct native *t, const struct simd_row *row)
{
	if (!X86_HOST_FP)
		return false; /* the host's MXCSR is not the guest's */
	if (row < simd_rows || row >= simd_rows + simd_row_count)
		return false; /* the host does not have it */
	if (t->form->what == FORM_SIMD_M && native_is_general(t))
		return false;
	if (row->flags & SIMD_MMX)
		return false;
	if (row->map == SIMD_0F3A && row->opcode >= 0x60 && row->opcode <= 0x62)
		return false;
	switch ((enum simd_form)row->form) {
	case SIMD_VW:
	case SIMD_WV:
	case SIMD_VE:
	case SIMD_EV:
	case SIMD_GW:
	case SIMD_W:
		return true;
	default:
		return false;
	}
}

/* Whether all of the destination is overwritten; to say no is always right. */
static bool overwrites(const struct simd_row *row, bool memory)
{
	if (row->map != SIMD_0F)
		return false;
	switch (row->opcode) {
	case 0x10: /* MOVSS and MOVSD between registers merge */
		return memory || row->prefix == SIMD_NP || row->prefix == SIMD_66;
	case 0x28:
	case 0x6e:
	case 0x6f:
	case 0x70:
	case 0xf0:
		return true;
	case 0x7e:
		return row->form == SIMD_VW;
	default:
		return false;
	}
}

static bool reads_xmm0(const struct simd_row *row)
{
	return is_row(row, SIMD_0F38, 0x10) || is_row(row, SIMD_0F38, 0x14) ||
	       is_row(row, SIMD_0F38, 0x15) || is_row(row, SIMD_0F38, 0xcb);
}

/* Non-temporal stores would only be slower: an ordinary one's opcode. */
static uint8_t opcode_of(const struct simd_row *row)
{
	if (is_row(row, SIMD_0F, 0x2b))
		return 0x29;
	if (is_row(row, SIMD_0F, 0xe7))
		return 0x7f;
	return row->opcode;
}

static void generate(struct native *t, const struct simd_row *row, unsigned reg, struct place rm)
{
	static const uint8_t prefixes[] = {
		[SIMD_NP] = 0, [SIMD_66] = 0x66, [SIMD_F3] = 0xf3, [SIMD_F2] = 0xf2};
	static const uint8_t maps[] = {[SIMD_0F] = 0, [SIMD_0F38] = 0x38, [SIMD_0F3A] = 0x3a};

	emit_vector(&t->c, prefixes[row->prefix], row->w == 1, maps[row->map], opcode_of(row), reg,
	            rm);
	if (row->flags & SIMD_IMM)
		put8(&t->c, t->op->aux);
}

static unsigned number(uint8_t offset)
{
	return offset / sizeof(union x86_vec);
}

static void modify(struct native *t, const struct simd_row *row, unsigned dst, bool memory)
{
	if (row->flags & SIMD_NO_DST || !overwrites(row, memory))
		native_xmm_use(t, dst);
	if (!(row->flags & SIMD_NO_DST))
		native_xmm_def(t, dst);
}

bool native_simd(struct native *t)
{
	const struct op *op = t->op;
	const struct simd_row *row = op->data;
	const bool memory = t->form->what == FORM_SIMD_M;
	const bool stores = row->form == SIMD_WV || row->form == SIMD_EV;
	struct place m = {0};

	if (!can_do(t, row))
		return false;
	if (row->flags & SIMD_FP && !t->now.fp_masked) {
		alu_imm(&t->c, 0, ASM_CMP, CPU_FIELD(fp.unmasked), 0);
		native_slow_if(t, COND_NE);
		t->now.fp_masked = true;
	} else if (!memory) {
		t->host = t->before;
	}
	if (memory) {
		m = native_memory(t, stores, row->bytes);
		if (row->flags & SIMD_ALIGN) {
			emit(&t->c, 0, 0xf7, 0, in_reg(RAX)); /* test */
			put8(&t->c, 15);
			native_slow_if(t, COND_NE);
		}
	}
	if (reads_xmm0(row))
		native_xmm_use(t, 0);
	switch ((enum simd_form)row->form) {
	case SIMD_VW:
		if (!memory) {
			native_xmm_use(t, number(op->src));
			m = in_reg(number(op->src));
		}
		modify(t, row, number(op->dst), memory);
		generate(t, row, number(op->dst), m);
		break;
	case SIMD_WV:
		native_xmm_use(t, number(op->src));
		if (!memory) {
			modify(t, row, number(op->dst), false);
			m = in_reg(number(op->dst));
		}
		generate(t, row, number(op->src), m);
		break;
	case SIMD_VE:
		if (!memory)
			m = in_reg(native_use(t, op->src / 8));
		modify(t, row, number(op->dst), memory);
		generate(t, row, number(op->dst), m);
		break;
	case SIMD_EV:
		native_xmm_use(t, number(op->src));
		if (!memory)
			m = in_reg(native_def(t, op->dst / 8));
		generate(t, row, number(op->src), m);
		break;
	case SIMD_GW:
		if (!memory) {
			native_xmm_use(t, number(op->src));
			m = in_reg(number(op->src));
		}
		generate(t, row, native_def(t, op->dst / 8), m);
		break;
	default: /* SIMD_W */
		modify(t, row, number(op->dst), false);
		generate(t, row, row->sub, in_reg(number(op->dst)));
		break;
	}
	if (row->flags & SIMD_EFLAGS) {
		native_keep_flags(t);
		set_lazy(t, LAZY_RAW, 3);
		t->host = HOST_ALL;
	}
	if (row->flags & SIMD_ECX)
		mov_rr(&t->c, 2, native_def(t, X86_RCX), RCX);
	return true;
}

#endif
