/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic of a trace, with the flags it leaves: as ops.c says.
 */
#include "x86/native/native.h"

#if X86_NATIVE

#include "x86/flags.h"
#include "x86/native/native-int.h"

/* ---- arithmetic and logic ------------------------------------------------------------------- */

static bool is_logic(unsigned what)
{
	return what == ALU_AND || what == ALU_OR || what == ALU_XOR;
}

static bool has_carry_in(unsigned what)
{
	return what == ALU_ADC || what == ALU_SBB;
}

/* The second operand of an operation: a register of the host or a constant. */
struct second {
	bool constant;
	uint8_t reg;
	int32_t imm;
};

static struct second second_reg(unsigned reg)
{
	return (struct second){.reg = (uint8_t)reg};
}

static struct second second_imm(int64_t imm)
{
	return (struct second){.constant = true, .imm = (int32_t)imm};
}

static void alu(struct native *t, unsigned size, unsigned what, unsigned dst, struct second b)
{
	if (b.constant)
		alu_imm(&t->c, size, what, in_reg(dst), b.imm);
	else
		alu_to_rm(&t->c, size, what, in_reg(dst), b.reg);
}

/* Flags of an addition or subtraction to come: its second operand, before it is changed. */
static void keep_second(struct native *t, unsigned size, unsigned what, struct second b)
{
	if (is_logic(what)) {
		set_lazy(t, LAZY_LOGIC, size);
		return;
	}
	set_lazy(t, what == ALU_ADD ? LAZY_ADD : LAZY_SUB, size);
	t->now.lazy.constant = b.constant;
	t->now.lazy.imm = b.imm;
	if (!b.constant && b.reg != FLAG_SRC)
		mov_rr(&t->c, 3, FLAG_SRC, b.reg);
}

/* Without a destination: FLAG_RES = a what b, with the host's flags. */
static void alu_flags_only(struct native *t, unsigned size, unsigned what, unsigned a,
                           struct second b)
{
	keep_second(t, size, what, b);
	if (a != FLAG_RES)
		mov_rr(&t->c, 3, FLAG_RES, a);
	alu(t, size, what == ALU_CMP ? ALU_SUB : what, FLAG_RES, b);
	t->host = HOST_ALL;
}

/* dst = dst what b, in a register of the host. */
static void alu_with_flags(struct native *t, unsigned size, unsigned what, unsigned dst,
                           struct second b)
{
	keep_second(t, size, what, b);
	alu(t, size, what, dst, b);
	mov_rr(&t->c, 3, FLAG_RES, dst);
	t->host = HOST_ALL;
}

/*
 * ADC and SBB: the carry is the host's already, or comes from what is known; their flags are taken
 * at once.
 */
static bool can_carry(const struct native *t, unsigned host)
{
	return native_can_test(t, COND_B, host);
}

static void take_flags(struct native *t, unsigned size)
{
	native_keep_flags(t);
	set_lazy(t, LAZY_RAW, size);
	t->host = HOST_ALL;
}

bool native_op_alu_reg(struct native *t)
{
	const struct op *op = t->op;
	const struct form *f = t->form;
	bool imm = f->what == FORM_ALU_RI;
	unsigned size = f->size, what = f->sub, dst;
	bool carries = has_carry_in(what);
	struct second b;

	if (is_high(op->dst) || (!imm && is_high(op->src)))
		return false;
	if (carries && !can_carry(t, t->before))
		return false;
	if (what == ALU_XOR && !imm && op->dst == op->src && size >= 2) {
		/* The idiom for zero needs no old value. */
		dst = native_def(t, guest_of(op->dst));
		b = second_reg(dst);
	} else {
		b = imm ? second_imm(op->imm) : second_reg(read_reg(t, op->src));
		if (what == ALU_CMP) {
			alu_flags_only(t, size, what, read_reg(t, op->dst), b);
			return true;
		}
		dst = native_mod(t, guest_of(op->dst));
	}
	if (carries)
		native_test(t, COND_B, t->before);
	if (f->quiet || carries)
		alu(t, size, what, dst, b);
	else
		alu_with_flags(t, size, what, dst, b);
	if (carries && !f->quiet)
		take_flags(t, size);
	return true;
}

bool native_op_alu_load(struct native *t)
{
	const struct op *op = t->op;
	unsigned size = t->form->size, what = t->form->sub, dst;

	if (is_high(op->dst) || (has_carry_in(what) && !can_carry(t, 0)))
		return false;
	load_small(t, size, RCX, memory(t, false, size));
	if (what == ALU_CMP) {
		alu_flags_only(t, size, what, read_reg(t, op->dst), second_reg(RCX));
		return true;
	}
	dst = native_mod(t, guest_of(op->dst));
	if (has_carry_in(what)) {
		native_test(t, COND_B, 0);
		alu(t, size, what, dst, second_reg(RCX));
		take_flags(t, size);
	} else {
		alu_with_flags(t, size, what, dst, second_reg(RCX));
	}
	return true;
}

bool native_op_alu_store(struct native *t)
{
	const struct op *op = t->op;
	bool imm = t->form->what == FORM_ALU_MI;
	unsigned size = t->form->size, what = t->form->sub;
	struct second b;
	struct place m;

	if ((!imm && is_high(op->src)) || has_carry_in(what))
		return false;
	b = imm ? second_imm(op->imm) : second_reg(read_reg(t, op->src));
	m = memory(t, what != ALU_CMP, size);
	load_small(t, size, FLAG_RES, m);
	alu_flags_only(t, size, what, FLAG_RES, b);
	if (what != ALU_CMP)
		store(&t->c, size, m, FLAG_RES);
	return true;
}

/* a AND b for its flags alone. */
static void test(struct native *t, unsigned size, unsigned a, struct second b)
{
	set_lazy(t, LAZY_LOGIC, size);
	if (a != FLAG_RES)
		mov_rr(&t->c, 3, FLAG_RES, a);
	if (!b.constant && b.reg == a)
		emit(&t->c, size, ASM_TEST, a, in_reg(a));
	else
		alu(t, size, ASM_AND, FLAG_RES, b);
	t->host = HOST_ALL;
}

bool native_op_test(struct native *t)
{
	const struct op *op = t->op;
	const struct form *f = t->form;
	unsigned size = f->size;

	switch (f->what) {
	case FORM_TEST_RR:
		if (is_high(op->dst) || is_high(op->src))
			return false;
		test(t, size, read_reg(t, op->dst), second_reg(read_reg(t, op->src)));
		return true;
	case FORM_TEST_RI:
		if (is_high(op->dst))
			return false;
		test(t, size, read_reg(t, op->dst), second_imm(op->imm));
		return true;
	case FORM_TEST_MR: {
		unsigned b;

		if (is_high(op->src))
			return false;
		b = read_reg(t, op->src);
		load_small(t, size, FLAG_RES, memory(t, false, size));
		test(t, size, FLAG_RES, second_reg(b));
		return true;
	}
	default:
		load_small(t, size, FLAG_RES, memory(t, false, size));
		test(t, size, FLAG_RES, second_imm(op->imm));
		return true;
	}
}

bool native_op_compare_and_jump(struct native *t)
{
	const struct op *op = t->op;
	unsigned size = t->form->size, what = t->form->what;

	if (what != FORM_CMP_MR_JCC && is_high(op->dst))
		return false;
	if ((what == FORM_CMP_RR_JCC || what == FORM_TEST_RR_JCC || what == FORM_CMP_MR_JCC) &&
	    is_high(op->src))
		return false;
	switch (what) {
	case FORM_CMP_RR_JCC:
		alu_flags_only(t, size, ALU_CMP, read_reg(t, op->dst),
		               second_reg(read_reg(t, op->src)));
		break;
	case FORM_CMP_RI_JCC:
		alu_flags_only(t, size, ALU_CMP, read_reg(t, op->dst), second_imm(op->disp));
		break;
	case FORM_CMP_RM_JCC:
		load_small(t, size, RCX, memory(t, false, size));
		alu_flags_only(t, size, ALU_CMP, read_reg(t, op->dst), second_reg(RCX));
		break;
	case FORM_CMP_MR_JCC: {
		unsigned b = read_reg(t, op->src);

		load_small(t, size, FLAG_RES, memory(t, false, size));
		alu_flags_only(t, size, ALU_CMP, FLAG_RES, second_reg(b));
		break;
	}
	case FORM_TEST_RR_JCC:
		test(t, size, read_reg(t, op->dst), second_reg(read_reg(t, op->src)));
		break;
	default:
		test(t, size, read_reg(t, op->dst), second_imm(op->disp));
		break;
	}
	native_jump_if(t, t->form->sub);
	return true;
}

/* To the flags of INC and DEC belongs the carry of those before, which has to be in memory. */
static void keep_carry(struct native *t)
{
	if (t->now.lazy.kind != LAZY_STEP)
		native_flush_flags(t);
}

bool native_op_step(struct native *t)
{
	const struct op *op = t->op;
	const struct form *f = t->form;
	unsigned size = f->size, dst;

	if (f->what == FORM_STEP_M) {
		struct place m;

		keep_carry(t);
		m = memory(t, true, size);
		load_small(t, size, FLAG_RES, m);
		emit(&t->c, size, 0xff, f->sub, in_reg(FLAG_RES));
		store(&t->c, size, m, FLAG_RES);
	} else {
		if (is_high(op->dst))
			return false;
		if (!f->quiet)
			keep_carry(t);
		dst = native_mod(t, guest_of(op->dst));
		emit(&t->c, size, 0xff, f->sub, in_reg(dst));
		if (f->quiet)
			return true;
		mov_rr(&t->c, 3, FLAG_RES, dst);
	}
	set_lazy(t, LAZY_STEP, size);
	t->now.lazy.down = f->sub;
	t->host = HOST_ALL & ~HOST_C;
	return true;
}

bool native_op_neg(struct native *t)
{
	const struct op *op = t->op;
	unsigned size = t->form->size, dst;

	if (is_high(op->dst))
		return false;
	dst = native_mod(t, guest_of(op->dst));
	if (t->form->what == FORM_NOT_R) {
		emit(&t->c, size, 0xf7, 2, in_reg(dst));
		t->host = t->before; /* NOT has none */
		return true;
	}
	mov_rr(&t->c, 3, FLAG_SRC, dst);
	emit(&t->c, size, 0xf7, 3, in_reg(dst));
	mov_rr(&t->c, 3, FLAG_RES, dst);
	set_lazy(t, LAZY_SUB, size);
	t->host = HOST_ALL;
	return true;
}

/* ---- shifts -------------------------------------------------------------------------------- */

/* SAL is another name of SHL. */
static unsigned plain_shift(unsigned what)
{
	return what == SH_SAL ? SH_SHL : what;
}

bool native_op_shift(struct native *t)
{
	const struct op *op = t->op;
	const struct form *f = t->form;
	unsigned size = f->size, what = plain_shift(f->sub), count = (unsigned)op->imm, dst;

	if (is_high(op->dst) || f->sub == SH_RCL || f->sub == SH_RCR)
		return false;
	/* Rotates leave most flags as they were. */
	if (!f->quiet && f->sub < SH_SHL)
		return false;
	dst = native_mod(t, guest_of(op->dst));
	if (!f->quiet)
		mov_rr(&t->c, 3, FLAG_SRC, dst);
	shift_imm(&t->c, size, what, dst, count);
	if (f->quiet)
		return true;
	mov_rr(&t->c, 3, FLAG_RES, dst);
	set_lazy(t, LAZY_SHIFT, size);
	t->now.lazy.shift = (uint8_t)what;
	t->now.lazy.count = (uint8_t)count;
	t->host = HOST_ALL;
	return true;
}

/* By CL: a count of 0 leaves the flags alone. */
bool native_op_shift_by_cl(struct native *t)
{
	const struct op *op = t->op;
	unsigned size = t->form->size, what = plain_shift(t->form->sub), dst, count;
	struct code *c = &t->c;
	uint8_t *none;

	if (is_high(op->dst) || what < SH_SHL || size < 2)
		return false;
	native_flush_flags(t);
	count = native_use(t, X86_RCX);
	dst = native_mod(t, guest_of(op->dst));
	mov_rr(c, 2, RCX, count);
	if (size == 2)
		mov_rr(c, 2, dst, dst);
	emit(c, 0, 0xf7, 0, in_reg(RCX)); /* test cl, mask */
	put8(c, size == 3 ? 63 : 31);
	none = jcc_later(c, COND_E);
	emit(c, size, 0xd3, what, in_reg(dst));
	native_capture(t);
	store(c, 3, CPU_FIELD(cc_src), RAX);
	if (size == 2) {
		emit(c, 3, ASM_MOVSXD, RAX, in_reg(dst));
		store(c, 3, CPU_FIELD(cc_res), RAX);
	} else {
		store(c, 3, CPU_FIELD(cc_res), dst);
	}
	store_imm(c, 2, CPU_FIELD(cc_kind), CC_RES);
	jump_here(c, none);
	return true;
}

bool native_op_shift_memory(struct native *t)
{
	const struct op *op = t->op;
	unsigned size = t->form->size, what = plain_shift(t->form->sub);
	struct place m;

	if (native_is_general(t) || what < SH_SHL)
		return false;
	m = memory(t, true, size);
	load_small(t, size, FLAG_SRC, m);
	mov_rr(&t->c, 3, FLAG_RES, FLAG_SRC);
	shift_imm(&t->c, size, what, FLAG_RES, (unsigned)op->imm);
	store(&t->c, size, m, FLAG_RES);
	set_lazy(t, LAZY_SHIFT, size);
	t->now.lazy.shift = (uint8_t)what;
	t->now.lazy.count = (uint8_t)op->imm;
	t->host = HOST_ALL;
	return true;
}

/* ---- multiplication and division ------------------------------------------------------------ */

static void mul_flags(struct native *t, unsigned size, unsigned low)
{
	emit(&t->c, 0, 0x0f90, 0, in_reg(FLAG_SRC)); /* seto */
	mov_rr(&t->c, 3, FLAG_RES, low);
	set_lazy(t, LAZY_MUL, size);
	t->host = HOST_C | HOST_O;
}

bool native_op_imul(struct native *t)
{
	const struct op *op = t->op;
	const struct form *f = t->form;
	unsigned size = f->size, dst, src;

	if (f->what == FORM_IMUL_RM) {
		if (native_is_general(t))
			return false;
		load_small(t, size, RCX, memory(t, false, size));
		src = RCX;
	} else {
		src = read_reg(t, op->src);
	}
	if (f->what == FORM_IMUL_RRI) {
		dst = written(t, op->dst, size);
		emit(&t->c, size, 0x69, dst, in_reg(src));
		put_imm(&t->c, size, op->imm);
	} else {
		dst = native_mod(t, guest_of(op->dst));
		emit(&t->c, size, ASM_IMUL, dst, in_reg(src));
	}
	if (!f->quiet)
		mul_flags(t, size, dst);
	return true;
}

enum { MUL, IMUL, DIV, IDIV };

/* Divisions that raise an exception, or would have to be looked at closely, are the handler's. */
bool native_op_muldiv(struct native *t)
{
	unsigned size = t->form->size, what = t->form->sub, a, b, d;
	struct code *c = &t->c;

	if (size < 2)
		return false;
	b = read_reg(t, t->op->dst);
	a = native_use(t, X86_RAX);
	if (what == MUL || what == IMUL) {
		mov_rr(c, size, RAX, a);
		emit(c, size, 0xf7, 4 + what, in_reg(b));
		mul_flags(t, size, RAX);
		mov_rr(c, size, native_def(t, X86_RAX), RAX);
		mov_rr(c, size, native_def(t, X86_RDX), RDX);
		return true;
	}
	d = native_use(t, X86_RDX);
	mov_rr(c, size, RAX, a);
	if (what == DIV) {
		mov_rr(c, size, RDX, d);
		alu_to_rm(c, size, ASM_CMP, in_reg(RDX), b);
		native_slow_if(t, COND_AE);
	} else {
		/* Only what CDQ and CQO extend, and neither 0 nor -1, which can overflow. */
		emit(c, size, ASM_LEA, RDX, in_memory(b, 1));
		alu_imm(c, size, ASM_CMP, in_reg(RDX), 1);
		native_slow_if(t, COND_BE);
		mov_rr(c, size, RDX, RAX);
		shift_imm(c, size, 7, RDX, size == 3 ? 63 : 31);
		alu_to_rm(c, size, ASM_CMP, in_reg(RDX), d);
		native_slow_if(t, COND_NE);
	}
	emit(c, size, 0xf7, 4 + what, in_reg(b));
	mov_rr(c, size, native_def(t, X86_RAX), RAX);
	mov_rr(c, size, native_def(t, X86_RDX), RDX);
	return true;
}

#endif
