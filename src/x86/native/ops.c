/* SPDX-License-Identifier: MIT */
/*
 * One operation of a trace as code of an x86-64 host.
 *
 * Each function here does first all that may leave for the op's handler (the TLB does not hit),
 * and only then changes anything: registers, FLAG_RES, FLAG_SRC, memory. RCX holds what was loaded
 * or is to be stored; RAX, RSI and RDX belong to the address. Those that return false have
 * generated nothing.
 */
#include "x86/native/native.h"

#if X86_NATIVE

#include "x86/flags.h"
#include "x86/native/native-int.h"

/* ---- addresses ---------------------------------------------------------------------------- */

static struct place operand(struct native *t)
{
	const struct op *op = t->op;
	struct place p = in_memory(NO_REG, op->disp);

	if (op->base != REG(REG_ZERO))
		p.base = (uint8_t)read_reg(t, op->base);
	if (op->index != REG(REG_ZERO)) {
		p.index = (uint8_t)read_reg(t, op->index);
		p.scale = op->scale;
	}
	return p;
}

/* RAX: host address of the operand. */
struct place native_memory(struct native *t, bool write, unsigned bytes)
{
	lea(&t->c, RAX, operand(t));
	native_tlb(t, write, bytes);
	return in_memory(RAX, 0);
}

void native_tlb(struct native *t, bool write, unsigned bytes)
{
	size_t tlb =
		write ? offsetof(struct x86_cpu, tlb_write) : offsetof(struct x86_cpu, tlb_read);
	struct place entry = cpu_field(tlb);
	struct code *c = &t->c;

	_Static_assert(sizeof(struct tlb_entry) == 16, "what tlb_slot() expects, too");
	mov_rr(c, 2, RSI, RAX);
	shift_imm(c, 2, 5, RSI, PAGE_SHIFT - 4);
	alu_imm(c, 2, ASM_AND, in_reg(RSI), (TLB_ENTRIES - 1) << 4);
	if (bytes > 1)
		lea(c, RDX, in_memory(RAX, bytes - 1));
	else
		mov_rr(c, 3, RDX, RAX);
	alu_imm(c, 3, ASM_AND, in_reg(RDX), -(int64_t)PAGE_BYTES);
	alu_to_reg(c, 3, ASM_OR, RDX, CPU_FIELD(ctx));
	entry.index = RSI;
	alu_to_reg(c, 3, ASM_CMP, RDX, entry);
	native_slow_if(t, COND_NE);
	entry.disp += (int32_t)offsetof(struct tlb_entry, addend);
	alu_to_reg(c, 3, ASM_ADD, RAX, entry);
}

/* ---- moves -------------------------------------------------------------------------------- */

static bool mov_to_reg(struct native *t, struct place from, unsigned size)
{
	load(&t->c, size, written(t, t->op->dst, size), from);
	return true;
}

static bool op_mov(struct native *t)
{
	const struct op *op = t->op;
	unsigned size = t->form->size;
	struct place m;

	switch (t->form->what) {
	case FORM_MOV_RR:
		if (is_high(op->dst) || is_high(op->src))
			return false;
		t->host = t->before;
		return mov_to_reg(t, in_reg(read_reg(t, op->src)), size);
	case FORM_MOV_RI:
		if (is_high(op->dst))
			return false;
		t->host = t->before;
		if (size >= 2)
			mov_imm(&t->c, written(t, op->dst, size),
			        size == 3 ? (uint64_t)op->imm : (uint32_t)op->imm);
		else
			store_imm(&t->c, size, in_reg(written(t, op->dst, size)), op->imm);
		return true;
	case FORM_MOV_RM:
		if (is_high(op->dst))
			return false;
		m = memory(t, false, size);
		return mov_to_reg(t, m, size);
	case FORM_MOV_MR: {
		unsigned src;

		if (is_high(op->src))
			return false;
		src = read_reg(t, op->src);
		store(&t->c, size, memory(t, true, size), src);
		return true;
	}
	default:
		if (size == 3 && op->imm != (int32_t)op->imm)
			return false;
		store_imm(&t->c, size, memory(t, true, size), op->imm);
		return true;
	}
}

static bool op_movx(struct native *t)
{
	static const unsigned opcodes[2][3] = {{0x0fb6, 0x0fb7, ASM_MOV_TO_REG},
	                                       {0x0fbe, 0x0fbf, ASM_MOVSXD}};
	const struct form *f = t->form;
	unsigned size = f->size, opcode = opcodes[f->sub][f->from];
	struct place from;

	/* From 32 bits without sign is a 32-bit move, whatever the size. */
	if (f->from == 2 && (!f->sub || size == 2)) {
		opcode = ASM_MOV_TO_REG;
		size = 2;
	}
	if (is_high(t->op->dst) || (f->what == FORM_MOVX_R && is_high(t->op->src)))
		return false;
	if (f->what == FORM_MOVX_R) {
		t->host = t->before;
		from = in_reg(read_reg(t, t->op->src));
	} else {
		from = memory(t, false, f->from);
	}
	emit(&t->c, size, opcode, written(t, t->op->dst, f->size), from);
	return true;
}

static bool op_lea(struct native *t)
{
	struct place p;

	if (t->form->size < 2)
		return false;
	p = operand(t);
	t->host = t->before;
	emit(&t->c, t->form->size, ASM_LEA, native_def(t, guest_of(t->op->dst)), p);
	return true;
}

static bool op_cmov(struct native *t)
{
	const struct op *op = t->op;
	unsigned size = t->form->size, cond = t->form->sub, src;

	if (t->form->what == FORM_CMOV_M) {
		if (native_is_general(t) || !native_can_test(t, cond, 0))
			return false;
		load_small(t, size, RCX, memory(t, false, size));
		src = RCX;
		native_test(t, cond, 0);
	} else {
		if (!native_can_test(t, cond, t->before))
			return false;
		src = read_reg(t, op->src);
		native_test(t, cond, t->before);
	}
	emit(&t->c, size, 0x0f40 | cond, native_mod(t, guest_of(op->dst)), in_reg(src));
	return true;
}

static bool op_set(struct native *t)
{
	unsigned cond = t->form->sub;

	if (is_high(t->op->dst) || !native_can_test(t, cond, t->before))
		return false;
	native_test(t, cond, t->before);
	emit(&t->c, 0, 0x0f90 | cond, 0, in_reg(native_mod(t, guest_of(t->op->dst))));
	return true;
}

static bool op_widen(struct native *t)
{
	struct code *c = &t->c;
	unsigned size = t->form->size, a, d;

	if (t->form->what == FORM_CBW) {
		static const unsigned opcodes[4] = {0, 0x0fbe, 0x0fbf, ASM_MOVSXD};

		t->host = t->before;
		a = native_mod(t, X86_RAX);
		emit(c, size, opcodes[size], a, in_reg(a));
		return true;
	}
	if (size < 2)
		return false;
	a = native_use(t, X86_RAX);
	d = native_def(t, X86_RDX);
	mov_rr(c, size, d, a);
	shift_imm(c, size, 7, d, size == 3 ? 63 : 31);
	return true;
}

static bool op_xchg(struct native *t)
{
	const struct op *op = t->op;
	unsigned size = t->form->size, a, b;

	if (is_high(op->dst) || is_high(op->src))
		return false;
	t->host = t->before;
	a = native_mod(t, guest_of(op->dst));
	b = native_mod(t, guest_of(op->src));
	mov_rr(&t->c, 3, RAX, a);
	mov_rr(&t->c, size, a, b);
	mov_rr(&t->c, size, b, RAX);
	return true;
}

static bool op_bswap(struct native *t)
{
	unsigned r = native_mod(t, guest_of(t->op->dst));

	t->host = t->before;
	put8(&t->c, 0x40 | (t->form->size == 3 ? 8 : 0) | (r >> 3 & 1));
	put8(&t->c, 0x0f);
	put8(&t->c, 0xc8 | (r & 7));
	return true;
}

/* ---- which one ----------------------------------------------------------------------------- */

bool native_op(struct native *t)
{
	switch ((enum form_what)t->form->what) {
	case FORM_NONE:
		return false;
	case FORM_NOP:
		t->host = t->before;
		return true;
	case FORM_MOV_RR:
	case FORM_MOV_RI:
	case FORM_MOV_RM:
	case FORM_MOV_MR:
	case FORM_MOV_MI:
		return op_mov(t);
	case FORM_MOVX_R:
	case FORM_MOVX_M:
		return op_movx(t);
	case FORM_LEA:
		return op_lea(t);
	case FORM_ALU_RR:
	case FORM_ALU_RI:
		return native_op_alu_reg(t);
	case FORM_ALU_RM:
		return native_op_alu_load(t);
	case FORM_ALU_MR:
	case FORM_ALU_MI:
		return native_op_alu_store(t);
	case FORM_TEST_RR:
	case FORM_TEST_RI:
	case FORM_TEST_MR:
	case FORM_TEST_MI:
		return native_op_test(t);
	case FORM_CMP_RR_JCC:
	case FORM_CMP_RI_JCC:
	case FORM_CMP_RM_JCC:
	case FORM_CMP_MR_JCC:
	case FORM_TEST_RR_JCC:
	case FORM_TEST_RI_JCC:
		return native_op_compare_and_jump(t);
	case FORM_JCC:
		return native_op_jcc(t);
	case FORM_STEP_R:
	case FORM_STEP_M:
		return native_op_step(t);
	case FORM_NEG_R:
	case FORM_NOT_R:
		return native_op_neg(t);
	case FORM_SHIFT_RI:
		return native_op_shift(t);
	case FORM_SHIFT_RC:
		return native_op_shift_by_cl(t);
	case FORM_SHIFT_MI:
		return native_op_shift_memory(t);
	case FORM_IMUL_RR:
	case FORM_IMUL_RRI:
	case FORM_IMUL_RM:
		return native_op_imul(t);
	case FORM_MULDIV_R:
		return native_op_muldiv(t);
	case FORM_SET_R:
		return op_set(t);
	case FORM_CMOV_R:
	case FORM_CMOV_M:
		return op_cmov(t);
	case FORM_CBW:
	case FORM_CWD:
		return op_widen(t);
	case FORM_XCHG_RR:
		return op_xchg(t);
	case FORM_BSWAP:
		return op_bswap(t);
	case FORM_PUSH_R:
	case FORM_PUSH_I:
	case FORM_PUSH_M:
		return native_op_push(t);
	case FORM_POP_R:
		return native_op_pop(t);
	case FORM_LEAVE:
		return native_op_leave(t);
	case FORM_CALL:
		return native_op_call(t);
	case FORM_CALL_R:
	case FORM_CALL_M:
		return native_op_call_indirect(t);
	case FORM_RET:
	case FORM_RET_I:
		return native_op_ret(t);
	case FORM_JMP:
		native_leave(t);
		return true;
	case FORM_JMP_R:
	case FORM_JMP_M:
		return native_op_jmp_indirect(t);
	case FORM_SIMD_R:
	case FORM_SIMD_M:
		return native_simd(t);
	}
	return false;
}

#endif
