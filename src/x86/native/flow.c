/* SPDX-License-Identifier: MIT */
/*
 * Stack and jumps of a trace, as ops.c says.
 */
#include "x86/native/native.h"

#if X86_NATIVE

#include "x86/native/native-int.h"

/* RAX: host address of 8 bytes at @disp from @guest. */
static struct place stack(struct native *t, unsigned guest, int32_t disp, bool write)
{
	lea(&t->c, RAX, in_memory(native_use(t, guest), disp));
	native_tlb(t, write, 8);
	return in_memory(RAX, 0);
}

static void move_sp(struct native *t, int32_t by)
{
	unsigned sp = native_mod(t, X86_RSP);

	lea(&t->c, sp, in_memory(sp, by));
}

bool native_op_push(struct native *t)
{
	const struct op *op = t->op;
	struct place m;

	switch (t->form->what) {
	case FORM_PUSH_R: {
		unsigned src = native_use(t, op->src / 8);

		store(&t->c, 3, stack(t, X86_RSP, -8, true), src);
		break;
	}
	case FORM_PUSH_I:
		store_imm(&t->c, 3, stack(t, X86_RSP, -8, true), op->imm);
		break;
	default:
		if (native_is_general(t))
			return false;
		load(&t->c, 3, RCX, native_memory(t, false, 8));
		m = stack(t, X86_RSP, -8, true);
		store(&t->c, 3, m, RCX);
		break;
	}
	move_sp(t, -8);
	return true;
}

/* POP RSP leaves the popped value. */
bool native_op_pop(struct native *t)
{
	struct place m = stack(t, X86_RSP, 0, false);

	move_sp(t, 8);
	load(&t->c, 3, native_def(t, t->op->dst / 8u), m);
	return true;
}

bool native_op_leave(struct native *t)
{
	struct place m = stack(t, X86_RBP, 0, false);

	lea(&t->c, native_def(t, X86_RSP), in_memory(native_use(t, X86_RBP), 8));
	load(&t->c, 3, native_def(t, X86_RBP), m);
	return true;
}

/* RCX: the address of the instruction after this one. */
static void next_rip(struct native *t)
{
	lea(&t->c, RCX, in_memory(native_use(t, REG_PAGE), t->op->off + t->op->len));
}

bool native_op_call(struct native *t)
{
	struct place m = stack(t, X86_RSP, -8, true);

	next_rip(t);
	store(&t->c, 3, m, RCX);
	move_sp(t, -8);
	native_leave(t);
	return true;
}

/* Everything is written back at once, for what is done last depends on what was found. */
bool native_op_call_indirect(struct native *t)
{
	const struct op *op = t->op;
	struct code *c = &t->c;
	struct place m;

	if (t->form->what == FORM_CALL_M && native_is_general(t))
		return false;
	native_spill(t);
	m = stack(t, X86_RSP, -8, true);
	mov_rr(c, 3, FLAG_SRC, RAX);
	if (t->form->what == FORM_CALL_M)
		load(c, 3, RCX, native_memory(t, false, 8));
	else
		mov_rr(c, 3, RCX, native_use(t, op->src / 8));
	native_jump_lookup(t);
	lea(c, RDX, in_memory(native_use(t, REG_PAGE), op->off + op->len));
	m.base = FLAG_SRC;
	store(c, 3, m, RDX);
	move_sp(t, -8);
	native_spill(t);
	native_jump_found(t);
	return true;
}

bool native_op_ret(struct native *t)
{
	int32_t more = t->form->what == FORM_RET_I ? (int32_t)t->op->imm : 0;

	native_spill(t);
	load(&t->c, 3, RCX, stack(t, X86_RSP, 0, false));
	native_jump_lookup(t);
	move_sp(t, 8 + more);
	native_spill(t);
	native_jump_found(t);
	return true;
}

bool native_op_jmp_indirect(struct native *t)
{
	if (t->form->what == FORM_JMP_M && native_is_general(t))
		return false;
	native_spill(t);
	if (t->form->what == FORM_JMP_M)
		load(&t->c, 3, RCX, native_memory(t, false, 8));
	else
		mov_rr(&t->c, 3, RCX, native_use(t, t->op->src / 8));
	native_jump_lookup(t);
	native_jump_found(t);
	return true;
}

bool native_op_jcc(struct native *t)
{
	unsigned cond = t->form->sub;

	if (!native_can_test(t, cond, t->before))
		return false;
	native_test(t, cond, t->before);
	native_jump_if(t, cond);
	return true;
}

#endif
