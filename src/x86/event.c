/* SPDX-License-Identifier: MIT */
/*
 * Exceptions and interrupts on their way into the guest, and the ways back and in: IRET,
 * SYSCALL, SYSRET, SYSENTER, SYSEXIT. All for long mode.
 */
#include "x86/branch.h"
#include "x86/mem.h"
#include "x86/mmu.h"
#include "x86/ops.h"
#include "x86/system.h"

/* ---- raising --------------------------------------------------------------------------- */

static bool has_error_code(unsigned vector)
{
	return vector == VEC_DF || (vector >= VEC_TS && vector <= VEC_PF) || vector == VEC_AC;
}

/* Be at the start of cpu->op, with everything before it counted. */
static void blame(struct x86_cpu *cpu)
{
	const struct op *op = cpu->op;

	if (!op)
		return;
	cpu->rip = op_rip(cpu, op);
	if (!(op->flags & OP_FIRST))
		cpu->icount += op[-1].n;
	cpu->op = NULL;
}

_Noreturn void x86_raise(struct x86_cpu *cpu, enum x86_vector vector, uint32_t error)
{
	blame(cpu);
	cpu->event = (struct x86_event_info){.vector = (uint8_t)vector,
	                                     .type = X86_EVENT_EXCEPTION,
	                                     .has_error = has_error_code(vector),
	                                     .error = error};
	longjmp(cpu->unwind, 1);
}

_Noreturn void x86_raise_at(struct x86_cpu *cpu, const struct op *op, enum x86_vector vector,
                            uint32_t error)
{
	cpu->op = op;
	x86_raise(cpu, vector, error);
}

_Noreturn void x86_raise_event(struct x86_cpu *cpu, const struct op *op, enum x86_event type,
                               enum x86_vector vector)
{
	cpu->op = op;
	blame(cpu);
	cpu->event = (struct x86_event_info){
		.vector = (uint8_t)vector, .type = (uint8_t)type, .length = op ? op->len : 0};
	if (op)
		cpu->icount++;
	longjmp(cpu->unwind, 1);
}

const struct op *x86_leave_before(struct x86_cpu *cpu, const struct op *op)
{
	cpu->op = op;
	blame(cpu);
	return NULL;
}

OP(x86_op_ud)
{
	x86_raise_at(cpu, op, VEC_UD, 0);
}

OP(x86_op_gp)
{
	x86_raise_at(cpu, op, VEC_GP, 0);
}

OP(x86_op_no_fpu)
{
	x86_raise_at(cpu, op, cpu->s.cr0 & CR0_EM ? VEC_UD : VEC_NM, 0);
}

OP(x86_op_no_sse)
{
	if ((cpu->s.cr0 & CR0_EM) || !(cpu->s.cr4 & CR4_OSFXSR))
		x86_raise_at(cpu, op, VEC_UD, 0);
	x86_raise_at(cpu, op, VEC_NM, 0);
}

OP(x86_op_int3)
{
	x86_raise_event(cpu, op, X86_EVENT_SOFT_TRAP, VEC_BP);
}

OP(x86_op_int1)
{
	x86_raise_event(cpu, op, X86_EVENT_PRIV_TRAP, VEC_DB);
}

OP(x86_op_int)
{
	x86_raise_event(cpu, op, X86_EVENT_SOFT_INT, (enum x86_vector)op->imm);
}

OP(x86_op_into)
{
	if (cc_of(cpu))
		x86_raise_event(cpu, op, X86_EVENT_SOFT_TRAP, VEC_OF);
	NEXT;
}

static OUT_OF_LINE void bound(struct x86_cpu *cpu, const struct op *op)
{
	unsigned bytes = 1u << op->aux;
	uint64_t linear = op_ea_any(cpu, op, 2 * bytes, false);
	int32_t v[2], index;

	if (op->aux == 1) {
		int16_t w[2];

		x86_load_bytes(cpu, op, linear, w, sizeof(w));
		v[0] = w[0];
		v[1] = w[1];
		index = (int16_t)rd16(cpu, op->dst);
	} else {
		x86_load_bytes(cpu, op, linear, v, sizeof(v));
		index = (int32_t)rd32(cpu, op->dst);
	}
	if (index < v[0] || index > v[1])
		x86_raise_at(cpu, op, VEC_BR, 0);
}

OP(x86_op_bound)
{
	bound(cpu, op);
	NEXT;
}

OP(x86_op_arpl)
{
	uint16_t rpl = rd16(cpu, op->src) & 3, dst;
	guest16_t *host = NULL;
	uint64_t linear = 0;
	bool raise;

	if (op->aux) {
		dst = rd16(cpu, op->dst);
	} else {
		linear = op_ea_any(cpu, op, 2, true);
		host = rmw_begin(cpu, op, linear, 2);
		dst = *host;
	}
	raise = (dst & 3) < rpl;
	if (raise)
		dst = (uint16_t)((dst & ~3u) | rpl);
	if (host) {
		*host = dst;
		rmw_end(cpu, op, host, linear, 2);
	} else {
		wr16(cpu, op->dst, dst);
	}
	cc_set_explicit(cpu, (cc_flags(cpu) & ~(uint64_t)EFLAGS_ZF) | (raise ? EFLAGS_ZF : 0));
	NEXT;
}

/* ---- delivery -------------------------------------------------------------------------- */

static uint64_t tss_rsp(struct x86_cpu *cpu, unsigned at)
{
	if (at + 7 > cpu->s.tr.limit)
		x86_raise(cpu, VEC_TS, cpu->s.tr.selector & ~3u);
	return x86_system_load(cpu, cpu->s.tr.base + at, 8);
}

void x86_deliver(struct x86_cpu *cpu, const struct x86_event_info *event)
{
	bool software = event->type >= X86_EVENT_SOFT_INT && event->type != X86_EVENT_PRIV_TRAP;
	uint32_t code = event->vector * 8u + 2 + (software ? 0 : 1), selector_code;
	uint64_t low, high, rip, rsp, rflags, frame[6], ctx;
	unsigned cpl = cpu->cpl, ist, n = 0;
	struct descriptor cs;
	uint16_t selector;

	if (event->vector * 16u + 15 > cpu->s.idtr.limit)
		x86_raise(cpu, VEC_GP, code);
	low = x86_system_load(cpu, cpu->s.idtr.base + event->vector * 16u, 8);
	high = x86_system_load(cpu, cpu->s.idtr.base + event->vector * 16u + 8, 8);
	if ((low >> 40 & 0x1e) != 0x0e) /* neither interrupt nor trap gate */
		x86_raise(cpu, VEC_GP, code);
	if (software && (low >> 45 & 3) < cpl)
		x86_raise(cpu, VEC_GP, code);
	if (!(low >> 47 & 1))
		x86_raise(cpu, VEC_NP, code);
	rip = (low & 0xffff) | (low >> 32 & 0xffff0000) | high << 32;
	selector = (uint16_t)(low >> 16);
	selector_code = (selector & ~3u) | (software ? 0 : 1);
	if (!(selector & ~3u))
		x86_raise(cpu, VEC_GP, selector_code & 1);
	if (!x86_descriptor_try(cpu, selector, false, &cs))
		x86_raise(cpu, VEC_GP, selector_code);
	if (!seg_is_code(&cs.seg) || seg_dpl(&cs.seg) > cpl || !(cs.seg.attributes & X86_SEG_L) ||
	    (cs.seg.attributes & X86_SEG_DB))
		x86_raise(cpu, VEC_GP, selector_code);
	if (!(cs.seg.attributes & X86_SEG_P))
		x86_raise(cpu, VEC_NP, selector_code);
	if (!is_canonical(rip))
		x86_raise(cpu, VEC_GP, 0);

	if (!(cs.seg.attributes & SEG_CONFORM))
		cpl = seg_dpl(&cs.seg);
	ist = low >> 32 & 7;
	if (ist)
		rsp = tss_rsp(cpu, 0x1c + 8 * ist);
	else if (cpl != cpu->cpl)
		rsp = tss_rsp(cpu, 4 + 8 * cpl);
	else
		rsp = cpu->reg[X86_RSP];
	rsp &= ~(uint64_t)15;
	if (!is_canonical(rsp))
		x86_raise(cpu, VEC_SS, 0);

	/* A fault asks to be resumed without meeting its own breakpoint again. */
	rflags = x86_rflags(cpu);
	if (event->type == X86_EVENT_EXCEPTION && event->vector != VEC_DB)
		rflags |= EFLAGS_RF;
	if (event->has_error)
		frame[n++] = event->error;
	frame[n++] = cpu->rip + event->length;
	frame[n++] = cpu->s.seg[X86_CS].selector;
	frame[n++] = rflags;
	frame[n++] = cpu->reg[X86_RSP];
	frame[n++] = cpu->s.seg[X86_SS].selector;
	rsp -= 8 * n;
	ctx = cpu->ctx;
	cpu->ctx = cpl == 3 ? ctx : cpu->kernel_ctx;
	x86_store_bytes(cpu, NULL, rsp, frame, 8 * n);
	cpu->ctx = ctx;

	if (cpl != cpu->cpl) {
		struct x86_segment ss = {.selector = (uint16_t)cpl};

		ss.attributes = (uint16_t)(cpl << X86_SEG_DPL_SHIFT | X86_SEG_DB);
		x86_set_segment(cpu, X86_SS, &ss);
	}
	cs.seg.selector = (uint16_t)((selector & ~3u) | cpl);
	cs.seg.attributes |= SEG_ACCESSED;
	x86_set_segment(cpu, X86_CS, &cs.seg);
	cpu->reg[X86_RSP] = rsp;
	cpu->rip = rip;
	cpu->rflags &= ~(uint64_t)(EFLAGS_TF | EFLAGS_NT | EFLAGS_RF | EFLAGS_VM);
	if (!(low >> 40 & 1))
		cpu->rflags &= ~(uint64_t)EFLAGS_IF;
	cpu->s.halted = false;
	x86_update_mode(cpu);
}

/* ---- RFLAGS ---------------------------------------------------------------------------- */

void x86_load_rflags(struct x86_cpu *cpu, uint64_t value, unsigned size)
{
	uint64_t may = EFLAGS_ARITH | EFLAGS_TF | EFLAGS_DF | EFLAGS_NT;
	uint64_t old = x86_rflags(cpu);

	if (size > 2)
		may |= EFLAGS_AC | EFLAGS_ID | EFLAGS_RF;
	if (cpu->cpl == 0)
		may |= EFLAGS_IOPL;
	if (cpu->cpl <= (old >> 12 & 3))
		may |= EFLAGS_IF;
	x86_set_rflags(cpu, (old & ~may) | (value & may));
	if ((old ^ cpu->rflags) & (EFLAGS_AC | EFLAGS_TF))
		x86_update_mode(cpu);
	if ((cpu->rflags & EFLAGS_TF) ||
	    ((cpu->rflags & EFLAGS_IF) && !(old & EFLAGS_IF) && cpu->interrupt_line))
		x86_look_at_events(cpu);
}

OP(x86_op_pushf)
{
	x86_push(cpu, op, op->aux, x86_rflags(cpu) & ~(uint64_t)(EFLAGS_RF | EFLAGS_VM));
	NEXT;
}

/*
 * POPF clears RF. Code that turns interrupts on and off again by POPF in a line must be
 * interruptible in between, and single-stepping begins after the next instruction: so events
 * are looked at here.
 */
OP(x86_op_popf)
{
	uint64_t v = x86_stack_peek(cpu, op, op->aux, 0), next = op_next_rip(cpu, op);

	x86_stack_add(cpu, 1u << op->aux);
	x86_load_rflags(cpu, v & ~(uint64_t)EFLAGS_RF, 1u << op->aux);
	if (UNLIKELY(atomic_load_explicit(&cpu->attention, memory_order_relaxed)))
		LEAVE_TO(cpu, op, next);
	NEXT;
}

/* ---- IRET ------------------------------------------------------------------------------ */

OP(x86_op_iret)
{
	uint64_t bytes = 1u << op->aux, rip, rflags, rsp = 0;
	bool from_64 = cpu->code_mode & CODE_64, outer;
	struct descriptor cs, ss = {0};
	uint16_t cs_selector, ss_selector;
	unsigned cpl;

	cpu->op = op;
	if (cpu->rflags & EFLAGS_NT)
		x86_raise(cpu, VEC_GP, 0);
	rip = x86_stack_peek(cpu, op, op->aux, 0);
	cs_selector = (uint16_t)x86_stack_peek(cpu, op, op->aux, bytes);
	rflags = x86_stack_peek(cpu, op, op->aux, 2 * bytes);
	x86_code_descriptor(cpu, cs_selector, FAR_RETURN, &cs);
	cpl = cs_selector & 3;
	outer = cpl != cpu->cpl;
	if (from_64 || outer) {
		rsp = x86_stack_peek(cpu, op, op->aux, 3 * bytes);
		ss_selector = (uint16_t)x86_stack_peek(cpu, op, op->aux, 4 * bytes);
		x86_stack_descriptor(cpu, ss_selector, cpl, cs.seg.attributes & X86_SEG_L, &ss);
	}
	if (cs.seg.attributes & X86_SEG_L ? !is_canonical(rip) : rip > cs.seg.limit)
		x86_raise(cpu, VEC_GP, 0);

	cpu->s.nmi_masked = false;
	x86_load_rflags(cpu, rflags, (unsigned)bytes);
	x86_set_segment(cpu, X86_CS, &cs.seg);
	if (from_64 || outer) {
		x86_set_segment(cpu, X86_SS, &ss.seg);
		if (op->aux == 1 && !(ss.seg.attributes & X86_SEG_DB))
			wr16(cpu, REG(X86_RSP), (uint16_t)rsp);
		else
			cpu->reg[X86_RSP] = rsp;
	} else {
		x86_stack_add(cpu, 3 * bytes);
	}
	x86_update_mode(cpu);
	if (outer)
		x86_drop_inner_segments(cpu);
	if (cpu->s.nmi_pending)
		x86_look_at_events(cpu);
	LEAVE_TO(cpu, op, rip);
}

/* ---- fast system calls ------------------------------------------------------------------ */

OP(x86_op_syscall)
{
	uint64_t next = op_next_rip(cpu, op);
	uint16_t cs = (uint16_t)(cpu->s.star >> 32 & ~3u);

	if (!(cpu->s.efer & EFER_SCE))
		x86_raise_at(cpu, op, VEC_UD, 0);
	cpu->reg[X86_RCX] = next;
	cpu->reg[X86_R11] = x86_rflags(cpu) & ~(uint64_t)EFLAGS_RF;
	x86_set_rflags(cpu, x86_rflags(cpu) & ~(cpu->s.sfmask | EFLAGS_RF));
	x86_set_flat(cpu, cs, (uint16_t)(cs + 8), 0, true);
	x86_update_mode(cpu);
	cpu->icount += op->n;
	return x86_jump(cpu, cpu->s.lstar);
}

OP(x86_op_sysret)
{
	uint16_t base = (uint16_t)(cpu->s.star >> 48);
	bool to_64 = op->aux == 3;
	uint64_t rip = to_64 ? cpu->reg[X86_RCX] : (uint32_t)cpu->reg[X86_RCX];

	if (!(cpu->s.efer & EFER_SCE))
		x86_raise_at(cpu, op, VEC_UD, 0);
	x86_need_cpl0(cpu, op);
	if (!is_canonical(rip))
		x86_raise_at(cpu, op, VEC_GP, 0);
	x86_set_flat(cpu, (uint16_t)((base + (to_64 ? 16 : 0)) | 3), (uint16_t)((base + 8) | 3), 3,
	             to_64);
	x86_set_rflags(cpu, cpu->reg[X86_R11] & 0x3c7fd7);
	x86_update_mode(cpu);
	if ((cpu->rflags & EFLAGS_TF) || cpu->interrupt_line)
		x86_look_at_events(cpu);
	cpu->icount += op->n;
	return x86_jump(cpu, rip);
}

OP(x86_op_sysenter)
{
	uint16_t cs = (uint16_t)(cpu->s.sysenter_cs & ~3u);

	if (!cs)
		x86_raise_at(cpu, op, VEC_GP, 0);
	cpu->rflags &= ~(uint64_t)(EFLAGS_VM | EFLAGS_IF | EFLAGS_RF);
	x86_set_flat(cpu, cs, (uint16_t)(cs + 8), 0, true);
	cpu->reg[X86_RSP] = cpu->s.sysenter_esp;
	x86_update_mode(cpu);
	cpu->icount += op->n;
	return x86_jump(cpu, cpu->s.sysenter_eip);
}

OP(x86_op_sysexit)
{
	uint16_t base = (uint16_t)(cpu->s.sysenter_cs & ~3u);
	bool to_64 = op->aux == 3;
	uint64_t rip = cpu->reg[X86_RDX], rsp = cpu->reg[X86_RCX];
	unsigned add = to_64 ? 32 : 16;

	x86_need_cpl0(cpu, op);
	if (!base || (to_64 && (!is_canonical(rip) || !is_canonical(rsp))))
		x86_raise_at(cpu, op, VEC_GP, 0);
	x86_set_flat(cpu, (uint16_t)((base + add) | 3), (uint16_t)((base + add + 8) | 3), 3, to_64);
	cpu->reg[X86_RSP] = to_64 ? rsp : (uint32_t)rsp;
	x86_update_mode(cpu);
	cpu->icount += op->n;
	return x86_jump(cpu, to_64 ? rip : (uint32_t)rip);
}
