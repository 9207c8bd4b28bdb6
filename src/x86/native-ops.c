/* SPDX-License-Identifier: MIT */
/*
 * One operation of a trace as code of an x86-64 host.
 *
 * Each function here does first all that may leave for the op's handler (the TLB does not hit),
 * and only then changes anything: registers, FLAG_RES, FLAG_SRC, memory. RCX holds what was loaded
 * or is to be stored; RAX, RSI and RDX belong to the address. Those that return false have
 * generated nothing.
 */
#include "x86/native.h"

#if X86_NATIVE

#include "x86/flags.h"
#include "x86/native-int.h"

/* Registers in ops are byte offsets: AH to BH are left to handlers. */
static bool is_high(uint8_t offset)
{
	return offset & 7;
}

static unsigned guest_of(uint8_t offset)
{
	return offset / 8;
}

/* To be written in @size: only the smaller ones leave something of the old value. */
static unsigned written(struct native *t, uint8_t offset, unsigned size)
{
	return size < 2 ? native_mod(t, guest_of(offset)) : native_def(t, guest_of(offset));
}

static unsigned read_reg(struct native *t, uint8_t offset)
{
	return native_use(t, guest_of(offset));
}

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

static struct place memory(struct native *t, bool write, unsigned size)
{
	return native_memory(t, write, 1u << size);
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

/* Without waiting for what was in the rest of the register. */
static void load_small(struct native *t, unsigned size, unsigned dst, struct place from)
{
	static const unsigned opcodes[4] = {0x0fb6, 0x0fb7, ASM_MOV_TO_REG, ASM_MOV_TO_REG};

	emit(&t->c, size < 2 ? 2 : size, opcodes[size], dst, from);
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

static bool op_alu_reg(struct native *t)
{
	const struct op *op = t->op;
	const struct form *f = t->form;
	bool imm = f->what == FORM_ALU_RI;
	unsigned size = f->size, what = f->sub, dst;
	struct second b;

	if (is_high(op->dst) || (!imm && is_high(op->src)))
		return false;
	if (has_carry_in(what) && !can_carry(t, t->before))
		return false;
	if (what == ALU_XOR && !imm && op->dst == op->src && size >= 2) {
		/* The idiom for zero needs no old value. */
		dst = native_def(t, guest_of(op->dst));
		b = second_reg(dst);
		goto go;
	}
	b = imm ? second_imm(op->imm) : second_reg(read_reg(t, op->src));
	if (has_carry_in(what)) {
		dst = native_mod(t, guest_of(op->dst));
		native_test(t, COND_B, t->before);
		alu(t, size, what, dst, b);
		if (!f->quiet)
			take_flags(t, size);
		return true;
	}
	if (what == ALU_CMP) {
		alu_flags_only(t, size, what, read_reg(t, op->dst), b);
		return true;
	}
	dst = native_mod(t, guest_of(op->dst));
go:
	if (f->quiet)
		alu(t, size, what, dst, b);
	else
		alu_with_flags(t, size, what, dst, b);
	return true;
}

static bool op_alu_load(struct native *t)
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

static bool op_alu_store(struct native *t)
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

static bool op_test(struct native *t)
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

static bool op_compare_and_jump(struct native *t)
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

static bool op_step(struct native *t)
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

static bool op_neg(struct native *t)
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

static bool op_shift(struct native *t)
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
static bool op_shift_by_cl(struct native *t)
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

static bool op_shift_memory(struct native *t)
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

static bool op_imul(struct native *t)
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

/* Divisions that raise an exception, or that would have to be looked at closely, are the handler's.
 */
static bool op_muldiv(struct native *t)
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
		return op_alu_reg(t);
	case FORM_ALU_RM:
		return op_alu_load(t);
	case FORM_ALU_MR:
	case FORM_ALU_MI:
		return op_alu_store(t);
	case FORM_TEST_RR:
	case FORM_TEST_RI:
	case FORM_TEST_MR:
	case FORM_TEST_MI:
		return op_test(t);
	case FORM_CMP_RR_JCC:
	case FORM_CMP_RI_JCC:
	case FORM_CMP_RM_JCC:
	case FORM_CMP_MR_JCC:
	case FORM_TEST_RR_JCC:
	case FORM_TEST_RI_JCC:
		return op_compare_and_jump(t);
	case FORM_JCC:
		return native_op_jcc(t);
	case FORM_STEP_R:
	case FORM_STEP_M:
		return op_step(t);
	case FORM_NEG_R:
	case FORM_NOT_R:
		return op_neg(t);
	case FORM_SHIFT_RI:
		return op_shift(t);
	case FORM_SHIFT_RC:
		return op_shift_by_cl(t);
	case FORM_SHIFT_MI:
		return op_shift_memory(t);
	case FORM_IMUL_RR:
	case FORM_IMUL_RRI:
	case FORM_IMUL_RM:
		return op_imul(t);
	case FORM_MULDIV_R:
		return op_muldiv(t);
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
