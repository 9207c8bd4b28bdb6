/* SPDX-License-Identifier: MIT */
/*
 * From handlers back to operations: the decoder has picked a handler out of a table by operation,
 * size and operands, so the tables say what a handler does.
 *
 * What is not here is left to its handler, in generated code too.
 */
#include "x86/native/native-int.h"
#include "x86/pairs.h"

static struct form *slot(const struct form_table *table, op_fn *fn)
{
	uint64_t h = (uint64_t)(uintptr_t)fn * 0x9e3779b97f4a7c15ull;
	const struct form *s;

	for (unsigned i = (unsigned)(h >> (64 - FORM_BITS));; i++) {
		s = &table->slots[i % (1u << FORM_BITS)];
		if (!s->fn || s->fn == fn)
			return (struct form *)s;
	}
}

/* Some handlers are in a table twice, for conditions that are the same there: the first counts. */
static void add(struct form_table *table, op_fn *fn, struct form form)
{
	struct form *s;

	if (!fn)
		return;
	s = slot(table, fn);
	if (s->fn)
		return;
	*s = form;
	s->fn = fn;
}

#define FORM(w, ...)                                                                               \
	(struct form)                                                                              \
	{                                                                                          \
		.what = (w), __VA_ARGS__                                                           \
	}

/* General addresses are left to handlers. */
static void add_kinds(struct form_table *table, op_fn *const fns[EA_KINDS], struct form form)
{
	add(table, fns[EA_BASE], form);
	add(table, fns[EA_INDEX], form);
}

static void add_sized(struct form_table *t, uint8_t size)
{
	for (uint8_t what = 0; what < 8; what++) {
		for (uint8_t quiet = 0; quiet < 2; quiet++) {
			add(t, x86_alu_rr[quiet][what][size],
			    FORM(FORM_ALU_RR, .size = size, .sub = what, .quiet = quiet));
			add(t, x86_alu_ri[quiet][what][size],
			    FORM(FORM_ALU_RI, .size = size, .sub = what, .quiet = quiet));
			add(t, x86_shift_ri[quiet][what][size],
			    FORM(FORM_SHIFT_RI, .size = size, .sub = what, .quiet = quiet));
		}
		add_kinds(t, x86_alu_rm[what][size], FORM(FORM_ALU_RM, .size = size, .sub = what));
		add_kinds(t, x86_alu_mr[what][size], FORM(FORM_ALU_MR, .size = size, .sub = what));
		add_kinds(t, x86_alu_mi[what][size], FORM(FORM_ALU_MI, .size = size, .sub = what));
		add(t, x86_shift_rc[what][size], FORM(FORM_SHIFT_RC, .size = size, .sub = what));
		add(t, x86_shift_mi[what][size], FORM(FORM_SHIFT_MI, .size = size, .sub = what));
	}
	for (uint8_t quiet = 0; quiet < 2; quiet++) {
		add(t, x86_inc_r[quiet][size], FORM(FORM_STEP_R, .size = size, .quiet = quiet));
		add(t, x86_dec_r[quiet][size],
		    FORM(FORM_STEP_R, .size = size, .sub = 1, .quiet = quiet));
		add(t, x86_imul_rr[quiet][size], FORM(FORM_IMUL_RR, .size = size, .quiet = quiet));
		add(t, x86_imul_rri[quiet][size],
		    FORM(FORM_IMUL_RRI, .size = size, .quiet = quiet));
	}
	add(t, x86_imul_rm[size], FORM(FORM_IMUL_RM, .size = size));
	add_kinds(t, x86_inc_m[size], FORM(FORM_STEP_M, .size = size));
	add_kinds(t, x86_dec_m[size], FORM(FORM_STEP_M, .size = size, .sub = 1));
	add(t, x86_neg_r[size], FORM(FORM_NEG_R, .size = size));
	add(t, x86_not_r[size], FORM(FORM_NOT_R, .size = size));
	for (uint8_t what = 0; what < 4; what++)
		add(t, x86_muldiv_r[what][size], FORM(FORM_MULDIV_R, .size = size, .sub = what));

	add(t, x86_test_rr[size], FORM(FORM_TEST_RR, .size = size));
	add(t, x86_test_ri[size], FORM(FORM_TEST_RI, .size = size));
	add_kinds(t, x86_test_mr[size], FORM(FORM_TEST_MR, .size = size));
	add_kinds(t, x86_test_mi[size], FORM(FORM_TEST_MI, .size = size));

	add(t, x86_mov_rr[size], FORM(FORM_MOV_RR, .size = size));
	add(t, x86_mov_ri[size], FORM(FORM_MOV_RI, .size = size));
	add_kinds(t, x86_mov_rm[size], FORM(FORM_MOV_RM, .size = size));
	add_kinds(t, x86_mov_mr[size], FORM(FORM_MOV_MR, .size = size));
	add_kinds(t, x86_mov_mi[size], FORM(FORM_MOV_MI, .size = size));
	add_kinds(t, x86_lea[size], FORM(FORM_LEA, .size = size));
	for (uint8_t from = 0; from < 3; from++)
		for (uint8_t sign = 0; sign < 2; sign++) {
			struct form f = FORM(FORM_MOVX_R, .size = size, .sub = sign, .from = from);

			add(t, x86_movx_r[sign][from][size], f);
			f.what = FORM_MOVX_M;
			add_kinds(t, x86_movx_m[sign][from][size], f);
		}
	add(t, x86_cbw[size], FORM(FORM_CBW, .size = size));
	add(t, x86_cwd[size], FORM(FORM_CWD, .size = size));
	add(t, x86_xchg_rr[size], FORM(FORM_XCHG_RR, .size = size));

	for (uint8_t cond = 0; cond < 16; cond++) {
		add(t, x86_cmp_rr_jcc[cond][size],
		    FORM(FORM_CMP_RR_JCC, .size = size, .sub = cond));
		add(t, x86_cmp_ri_jcc[cond][size],
		    FORM(FORM_CMP_RI_JCC, .size = size, .sub = cond));
		add(t, x86_cmp_rm_jcc[cond][size],
		    FORM(FORM_CMP_RM_JCC, .size = size, .sub = cond));
		add(t, x86_cmp_mr_jcc[cond][size],
		    FORM(FORM_CMP_MR_JCC, .size = size, .sub = cond));
		add(t, x86_test_rr_jcc[cond][size],
		    FORM(FORM_TEST_RR_JCC, .size = size, .sub = cond));
		add(t, x86_test_ri_jcc[cond][size],
		    FORM(FORM_TEST_RI_JCC, .size = size, .sub = cond));
		add(t, x86_cmov_r[cond][size], FORM(FORM_CMOV_R, .size = size, .sub = cond));
		add(t, x86_cmov_m[cond][size], FORM(FORM_CMOV_M, .size = size, .sub = cond));
	}
}

void x86_forms_fill(struct form_table *t)
{
	op_fn *pair, *plain, *with_register, *with_memory;

	for (uint8_t size = 0; size < 4; size++)
		add_sized(t, size);
	for (uint8_t cond = 0; cond < 16; cond++) {
		add(t, x86_jcc[cond], FORM(FORM_JCC, .sub = cond));
		add(t, x86_set_r[cond], FORM(FORM_SET_R, .sub = cond));
	}
	add(t, x86_op_nop, FORM(FORM_NOP, .size = 0));
	add(t, x86_op_bswap32, FORM(FORM_BSWAP, .size = 2));
	add(t, x86_op_bswap64, FORM(FORM_BSWAP, .size = 3));
	add(t, x86_op_push_r, FORM(FORM_PUSH_R, .size = 3));
	add(t, x86_op_push_i, FORM(FORM_PUSH_I, .size = 3));
	add(t, x86_op_push_m, FORM(FORM_PUSH_M, .size = 3));
	add(t, x86_op_pop_r, FORM(FORM_POP_R, .size = 3));
	add(t, x86_op_leave, FORM(FORM_LEAVE, .size = 3));
	add(t, x86_op_call, FORM(FORM_CALL, .size = 3));
	add(t, x86_op_call_r, FORM(FORM_CALL_R, .size = 3));
	add(t, x86_op_call_m, FORM(FORM_CALL_M, .size = 3));
	add(t, x86_op_ret, FORM(FORM_RET, .size = 3));
	add(t, x86_op_ret_imm, FORM(FORM_RET_I, .size = 3));
	add(t, x86_op_jmp, FORM(FORM_JMP, .size = 3));
	add(t, x86_op_fall, FORM(FORM_JMP, .size = 3));
	add(t, x86_op_jmp_r, FORM(FORM_JMP_R, .size = 3));
	add(t, x86_op_jmp_m, FORM(FORM_JMP_M, .size = 3));
	for (unsigned i = 0; x86_pair_at(i, &pair, &plain); i++)
		add(t, pair, (struct form){.plain = plain});
	for (size_t i = 0; x86_simd_handlers_at(i, &with_register, &with_memory); i++) {
		add(t, with_register, FORM(FORM_SIMD_R, .size = 0));
		add(t, with_memory, FORM(FORM_SIMD_M, .size = 0));
	}
}

const struct form *x86_form_of(const struct form_table *table, op_fn *fn)
{
	const struct form *f = slot(table, fn);

	if (f->fn && f->plain)
		f = slot(table, f->plain);
	return f->fn ? f : NULL;
}
