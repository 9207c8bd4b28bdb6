/* SPDX-License-Identifier: MIT */
/*
 * Near jumps, calls and returns, and the stack.
 */
#include "x86/branch.h"
#include "x86/mmu.h"
#include "x86/ops.h"

/* ---- stack ----------------------------------------------------------------------------- */

static uint64_t stack_mask(const struct x86_cpu *cpu)
{
	if (cpu->code_mode & CODE_64)
		return UINT64_MAX;
	return cpu->code_mode & CODE_STACK32 ? UINT32_MAX : UINT16_MAX;
}

static void set_sp(struct x86_cpu *cpu, uint64_t sp)
{
	uint64_t mask = stack_mask(cpu);

	if (mask == UINT16_MAX)
		wr16(cpu, REG(X86_RSP), (uint16_t)sp);
	else
		cpu->reg[X86_RSP] = sp & mask;
}

void x86_stack_add(struct x86_cpu *cpu, uint64_t bytes)
{
	set_sp(cpu, cpu->reg[X86_RSP] + bytes);
}

static uint64_t stack_linear(struct x86_cpu *cpu, const struct op *op, uint64_t offset,
                             unsigned bytes, bool write)
{
	offset &= stack_mask(cpu);
	if (cpu->code_mode & CODE_64)
		return offset;
	return x86_seg_linear(cpu, op, X86_SS, offset, bytes, write);
}

uint64_t x86_stack_peek(struct x86_cpu *cpu, const struct op *op, unsigned size, uint64_t offset)
{
	uint64_t linear = stack_linear(cpu, op, cpu->reg[X86_RSP] + offset, 1u << size, false);

	switch (size) {
	case 1:
		return load16(cpu, op, linear);
	case 2:
		return load32(cpu, op, linear);
	default:
		return load64(cpu, op, linear);
	}
}

/* Store at SP + @offset without moving SP. */
static void stack_poke(struct x86_cpu *cpu, const struct op *op, unsigned size, uint64_t offset,
                       uint64_t value)
{
	uint64_t linear = stack_linear(cpu, op, cpu->reg[X86_RSP] + offset, 1u << size, true);

	switch (size) {
	case 1:
		store16(cpu, op, linear, (uint16_t)value);
		break;
	case 2:
		store32(cpu, op, linear, (uint32_t)value);
		break;
	default:
		store64(cpu, op, linear, value);
		break;
	}
}

void x86_push(struct x86_cpu *cpu, const struct op *op, unsigned size, uint64_t value)
{
	uint64_t less = 0 - (1ull << size);

	stack_poke(cpu, op, size, less, value);
	x86_stack_add(cpu, less);
}

OP_MEMORY_GLOBAL(x86_op_push_r, {
	const uint64_t sp = cpu->reg[X86_RSP] - 8;

	MEMORY_STORE(64, sp, rd64(cpu, op->src));
	cpu->reg[X86_RSP] = sp;
	NEXT;
})

OP_MEMORY_GLOBAL(x86_op_push_i, {
	const uint64_t sp = cpu->reg[X86_RSP] - 8;

	MEMORY_STORE(64, sp, (uint64_t)op->imm);
	cpu->reg[X86_RSP] = sp;
	NEXT;
})

/* In handlers that are there once for all kinds of address: the fast copy does the simple ones. */
#define SIMPLE_ADDRESS(linear)                                                                     \
	do {                                                                                       \
		if (slow)                                                                          \
			linear = op_ea_any(cpu, op, 8, false);                                     \
		else if ((op->ea & 3) == EA_GENERAL)                                               \
			return twin(cpu, op);                                                      \
		else                                                                               \
			linear = op_ea_simple(cpu, op);                                            \
	} while (0)

OP_MEMORY_GLOBAL(x86_op_push_m, {
	const uint64_t sp = cpu->reg[X86_RSP] - 8;
	uint64_t linear, v;

	SIMPLE_ADDRESS(linear);
	MEMORY_LOAD(64, v, linear);
	MEMORY_STORE(64, sp, v);
	cpu->reg[X86_RSP] = sp;
	NEXT;
})

/* POP RSP leaves the popped value, not the incremented one. */
OP_MEMORY_GLOBAL(x86_op_pop_r, {
	uint64_t v;

	MEMORY_LOAD(64, v, cpu->reg[X86_RSP]);
	cpu->reg[X86_RSP] += 8;
	wr64(cpu, op->dst, v);
	NEXT;
})

OP(x86_op_push_r_any)
{
	x86_push(cpu, op, op->aux, rd64(cpu, op->src));
	NEXT;
}

OP(x86_op_push_i_any)
{
	x86_push(cpu, op, op->aux, (uint64_t)op->imm);
	NEXT;
}

static OUT_OF_LINE void push_m_any(struct x86_cpu *cpu, const struct op *op)
{
	unsigned bytes = 1u << op->aux;
	uint64_t v = 0;

	x86_load_bytes(cpu, op, op_ea_any(cpu, op, bytes, false), &v, bytes);
	x86_push(cpu, op, op->aux, v);
}

OP(x86_op_push_m_any)
{
	push_m_any(cpu, op);
	NEXT;
}

static void set_reg(struct x86_cpu *cpu, unsigned dst, unsigned size, uint64_t v)
{
	if (size == 1)
		wr16(cpu, dst, (uint16_t)v);
	else if (size == 2)
		wr32(cpu, dst, (uint32_t)v);
	else
		wr64(cpu, dst, v);
}

OP(x86_op_pop_r_any)
{
	uint64_t v = x86_stack_peek(cpu, op, op->aux, 0);

	x86_stack_add(cpu, 1u << op->aux);
	set_reg(cpu, op->dst, op->aux, v);
	NEXT;
}

/* An address that uses RSP sees it after the pop, yet a fault must find it as before. */
static OUT_OF_LINE void pop_m_any(struct x86_cpu *cpu, const struct op *op)
{
	unsigned bytes = 1u << op->aux;
	uint64_t v = x86_stack_peek(cpu, op, op->aux, 0), sp = cpu->reg[X86_RSP], linear;

	if ((op->ea & 3) == EA_GENERAL) {
		uint64_t moved = op->base == REG(X86_RSP) ? bytes : 0;

		linear = x86_ea_general_at(cpu, op, moved, bytes, true);
	} else {
		cpu->reg[X86_RSP] += bytes;
		linear = op_ea_any(cpu, op, bytes, true);
		cpu->reg[X86_RSP] = sp;
	}
	x86_store_bytes(cpu, op, linear, &v, bytes);
	x86_stack_add(cpu, bytes);
}

OP(x86_op_pop_m_any)
{
	pop_m_any(cpu, op);
	NEXT;
}

OP(x86_op_pusha)
{
	unsigned bytes = 1u << op->aux;

	/* In the order of the pushes: the first that would fault is the one that does. */
	for (unsigned i = 1; i <= 8; i++)
		x86_check_write(cpu, op,
		                stack_linear(cpu, op, cpu->reg[X86_RSP] - i * bytes, bytes, true),
		                bytes);
	for (unsigned i = 0; i < 8; i++)
		stack_poke(cpu, op, op->aux, 0 - (uint64_t)(i + 1) * bytes, cpu->reg[i]);
	x86_stack_add(cpu, 0 - (uint64_t)(8 * bytes));
	NEXT;
}

OP(x86_op_popa)
{
	unsigned bytes = 1u << op->aux;
	uint64_t v[8];

	for (unsigned i = 0; i < 8; i++)
		v[i] = x86_stack_peek(cpu, op, op->aux, (uint64_t)i * bytes);
	x86_stack_add(cpu, 8 * bytes);
	for (unsigned i = 0; i < 8; i++)
		if (7 - i != X86_RSP)
			set_reg(cpu, REG(7 - i), op->aux, v[i]);
	NEXT;
}

OP(x86_op_enter)
{
	unsigned size = op->aux, bytes = 1u << size, depth = op->src & 31;
	uint64_t frame = cpu->reg[X86_RSP] - bytes, copied[31], at = 0 - (uint64_t)bytes;

	for (unsigned i = 1; i < depth; i++) {
		uint64_t sp = cpu->reg[X86_RBP] - cpu->reg[X86_RSP] - (uint64_t)i * bytes;

		copied[i] = x86_stack_peek(cpu, op, size, sp);
	}
	/* The place that the new RSP leaves room for must be writable, too. */
	x86_check_write(
		cpu, op,
		stack_linear(cpu, op, frame - (uint64_t)depth * bytes - (uint16_t)op->imm, 1, true),
		1);
	stack_poke(cpu, op, size, at, cpu->reg[X86_RBP]);
	for (unsigned i = 1; i < depth; i++)
		stack_poke(cpu, op, size, at -= bytes, copied[i]);
	if (depth)
		stack_poke(cpu, op, size, at -= bytes, frame);
	x86_stack_add(cpu, at - (uint16_t)op->imm);
	set_reg(cpu, REG(X86_RBP), size, frame);
	NEXT;
}

OP_MEMORY_GLOBAL(x86_op_leave, {
	const uint64_t frame = cpu->reg[X86_RBP];
	uint64_t v;

	MEMORY_LOAD(64, v, frame);
	cpu->reg[X86_RSP] = frame + 8;
	cpu->reg[X86_RBP] = v;
	NEXT;
})

OP(x86_op_leave_any)
{
	uint64_t frame = cpu->reg[X86_RBP];
	uint64_t v = x86_stack_peek(cpu, op, op->aux, frame - cpu->reg[X86_RSP]);

	set_sp(cpu, frame + (1u << op->aux));
	set_reg(cpu, REG(X86_RBP), op->aux, v);
	NEXT;
}

/* ---- jumps ----------------------------------------------------------------------------- */

#define DEFINE_JCC(cc, cond)                                                                       \
	static OP(j##cc)                                                                           \
	{                                                                                          \
		if (cc_cond(cpu, cond))                                                            \
			TAKE_LINK;                                                                 \
		NEXT;                                                                              \
	}
DEFINE_JCC(o, COND_O)
DEFINE_JCC(no, COND_NO)
DEFINE_JCC(b, COND_B)
DEFINE_JCC(ae, COND_AE)
DEFINE_JCC(e, COND_E)
DEFINE_JCC(ne, COND_NE)
DEFINE_JCC(be, COND_BE)
DEFINE_JCC(a, COND_A)
DEFINE_JCC(s, COND_S)
DEFINE_JCC(ns, COND_NS)
DEFINE_JCC(p, COND_P)
DEFINE_JCC(np, COND_NP)
DEFINE_JCC(l, COND_L)
DEFINE_JCC(ge, COND_GE)
DEFINE_JCC(le, COND_LE)
DEFINE_JCC(g, COND_G)
op_fn *const x86_jcc[16] = {jo, jno, jb, jae, je, jne, jbe, ja, js, jns, jp, jnp, jl, jge, jle, jg};

OP(x86_op_jmp)
{
	TAKE_LINK_THROUGH_STUB;
}

OP(x86_op_fall)
{
	TAKE_LINK;
}

OP(x86_op_step_end)
{
	cpu->icount += op->n;
	cpu->rip = cpu->reg[REG_PAGE] + (uint64_t)(int64_t)op->disp;
	if (!(cpu->code_mode & CODE_64))
		cpu->rip = (uint32_t)cpu->rip;
	return NULL;
}

OP_MEMORY_GLOBAL(x86_op_call, {
	const uint64_t sp = cpu->reg[X86_RSP] - 8;

	MEMORY_STORE(64, sp, cpu->reg[REG_PAGE] + op->off + op->len);
	cpu->reg[X86_RSP] = sp;
	TAKE_LINK_THROUGH_STUB;
})

/* To where no code can be: the fault is the jump's, not the target's. */
#define CHECK_TARGET(rip)                                                                          \
	do {                                                                                       \
		if (UNLIKELY(!is_canonical(rip)))                                                  \
			return x86_op_gp(cpu, op);                                                 \
	} while (0)

OP_MEMORY_GLOBAL(x86_op_ret, {
	uint64_t rip;

	MEMORY_LOAD(64, rip, cpu->reg[X86_RSP]);
	CHECK_TARGET(rip);
	cpu->reg[X86_RSP] += 8;
	cpu->icount += op->n;
	return x86_jump(cpu, rip);
})

OP_MEMORY_GLOBAL(x86_op_ret_imm, {
	uint64_t rip;

	MEMORY_LOAD(64, rip, cpu->reg[X86_RSP]);
	CHECK_TARGET(rip);
	cpu->reg[X86_RSP] += 8 + (uint64_t)op->imm;
	cpu->icount += op->n;
	return x86_jump(cpu, rip);
})

OP(x86_op_jmp_r)
{
	CHECK_TARGET(rd64(cpu, op->src));
	cpu->icount += op->n;
	return x86_jump(cpu, rd64(cpu, op->src));
}

OP_MEMORY_GLOBAL(x86_op_jmp_m, {
	uint64_t linear, rip;

	SIMPLE_ADDRESS(linear);
	MEMORY_LOAD(64, rip, linear);
	CHECK_TARGET(rip);
	cpu->icount += op->n;
	return x86_jump(cpu, rip);
})

OP_MEMORY_GLOBAL(x86_op_call_r, {
	const uint64_t sp = cpu->reg[X86_RSP] - 8, rip = rd64(cpu, op->src);

	CHECK_TARGET(rip);
	MEMORY_STORE(64, sp, cpu->reg[REG_PAGE] + op->off + op->len);
	cpu->reg[X86_RSP] = sp;
	cpu->icount += op->n;
	return x86_jump(cpu, rip);
})

OP_MEMORY_GLOBAL(x86_op_call_m, {
	const uint64_t sp = cpu->reg[X86_RSP] - 8;
	uint64_t linear, rip;

	SIMPLE_ADDRESS(linear);
	MEMORY_LOAD(64, rip, linear);
	CHECK_TARGET(rip);
	MEMORY_STORE(64, sp, cpu->reg[REG_PAGE] + op->off + op->len);
	cpu->reg[X86_RSP] = sp;
	cpu->icount += op->n;
	return x86_jump(cpu, rip);
})

/* ---- jumps of other operand sizes, and those that nobody cares to link ------------------- */

static uint64_t truncated(unsigned size, uint64_t rip)
{
	return size == 1 ? (uint16_t)rip : size == 2 ? (uint32_t)rip : rip;
}

static uint64_t relative(const struct x86_cpu *cpu, const struct op *op)
{
	return truncated(op->aux, cpu->reg[REG_PAGE] + (uint64_t)op->imm);
}

OP(x86_op_jmp_rel_any)
{
	cpu->icount += op->n;
	return x86_jump(cpu, relative(cpu, op));
}

OP(x86_op_jcc_rel_any)
{
	if (!cc_cond(cpu, (enum cond)op->src))
		NEXT;
	cpu->icount += op->n;
	return x86_jump(cpu, relative(cpu, op));
}

OP(x86_op_call_any)
{
	x86_push(cpu, op, op->aux, op_next_rip(cpu, op));
	cpu->icount += op->n;
	return x86_jump(cpu, relative(cpu, op));
}

OP(x86_op_ret_any)
{
	uint64_t rip = x86_stack_peek(cpu, op, op->aux, 0);

	x86_stack_add(cpu, (1u << op->aux) + (uint64_t)op->imm);
	cpu->icount += op->n;
	return x86_jump(cpu, rip);
}

static uint64_t target_in_memory(struct x86_cpu *cpu, const struct op *op)
{
	unsigned bytes = 1u << op->aux;
	uint64_t rip = 0;

	x86_load_bytes(cpu, op, op_ea_any(cpu, op, bytes, false), &rip, bytes);
	return rip;
}

OP(x86_op_jmp_r_any)
{
	cpu->icount += op->n;
	return x86_jump(cpu, truncated(op->aux, rd64(cpu, op->src)));
}

OP(x86_op_jmp_m_any)
{
	uint64_t rip = target_in_memory(cpu, op);

	cpu->icount += op->n;
	return x86_jump(cpu, rip);
}

OP(x86_op_call_r_any)
{
	uint64_t rip = truncated(op->aux, rd64(cpu, op->src));

	x86_push(cpu, op, op->aux, op_next_rip(cpu, op));
	cpu->icount += op->n;
	return x86_jump(cpu, rip);
}

OP(x86_op_call_m_any)
{
	uint64_t rip = target_in_memory(cpu, op);

	x86_push(cpu, op, op->aux, op_next_rip(cpu, op));
	cpu->icount += op->n;
	return x86_jump(cpu, rip);
}

OP(x86_op_loop)
{
	uint64_t mask = op->flags & OP_ADDR64   ? UINT64_MAX
	                : op->flags & OP_ADDR32 ? UINT32_MAX
	                                        : UINT16_MAX;
	uint64_t count = cpu->reg[X86_RCX];
	bool taken;

	if (op->src == 3) {
		taken = (count & mask) == 0;
	} else {
		count--;
		if (mask == UINT16_MAX)
			wr16(cpu, REG(X86_RCX), (uint16_t)count);
		else
			cpu->reg[X86_RCX] = count & mask;
		taken = (count & mask) != 0 && (op->src == 2 || cc_zf(cpu) == (op->src == 1));
	}
	if (!taken)
		NEXT;
	cpu->icount += op->n;
	return x86_jump(cpu, relative(cpu, op));
}
