/* SPDX-License-Identifier: MIT */
/*
 * A translation under way.
 */
#ifndef WSLX_X86_NATIVE_INT_H
#define WSLX_X86_NATIVE_INT_H

#include "x86/native/asm.h"
#include "x86/native/native.h"
#include "x86/ops.h"

/* ---- what a handler does ---------------------------------------------------------------- */

enum form_what {
	FORM_NONE,
	FORM_NOP,
	FORM_MOV_RR,
	FORM_MOV_RI,
	FORM_MOV_RM,
	FORM_MOV_MR,
	FORM_MOV_MI,
	FORM_MOVX_R, /* sub: signed; from: size of the source */
	FORM_MOVX_M,
	FORM_LEA,
	FORM_ALU_RR, /* sub: enum alu */
	FORM_ALU_RI,
	FORM_ALU_RM,
	FORM_ALU_MR,
	FORM_ALU_MI,
	FORM_TEST_RR,
	FORM_TEST_RI,
	FORM_TEST_MR,
	FORM_TEST_MI,
	FORM_CMP_RR_JCC, /* sub: enum cond */
	FORM_CMP_RI_JCC,
	FORM_CMP_RM_JCC,
	FORM_CMP_MR_JCC,
	FORM_TEST_RR_JCC,
	FORM_TEST_RI_JCC,
	FORM_JCC,
	FORM_STEP_R, /* INC, DEC; sub: down */
	FORM_STEP_M,
	FORM_NEG_R,
	FORM_NOT_R,
	FORM_SHIFT_RI, /* sub: enum shift */
	FORM_SHIFT_RC,
	FORM_SHIFT_MI,
	FORM_IMUL_RR,
	FORM_IMUL_RRI,
	FORM_IMUL_RM,
	FORM_MULDIV_R, /* sub: mul, imul, div, idiv */
	FORM_SET_R,
	FORM_CMOV_R,
	FORM_CMOV_M,
	FORM_CBW,
	FORM_CWD,
	FORM_XCHG_RR,
	FORM_BSWAP,
	FORM_PUSH_R,
	FORM_PUSH_I,
	FORM_PUSH_M,
	FORM_POP_R,
	FORM_LEAVE,
	FORM_CALL,
	FORM_CALL_R,
	FORM_CALL_M,
	FORM_RET,
	FORM_RET_I,
	FORM_JMP, /* also the end of a trace that is no instruction */
	FORM_JMP_R,
	FORM_JMP_M,
	FORM_SIMD_R, /* by the op's row */
	FORM_SIMD_M,
};

struct form {
	op_fn *fn;
	op_fn *plain; /* of a pair: its first op's own handler; the rest is not set then */
	uint8_t what; /* enum form_what */
	uint8_t size;
	uint8_t sub;
	uint8_t from;
	bool quiet; /* sets no flags, though it otherwise would */
};

#define FORM_BITS 13

struct form_table {
	struct form slots[1u << FORM_BITS];
};

void x86_forms_fill(struct form_table *table);
/* Return: what the handler does, for pairs what their first op does; NULL if it has no form. */
const struct form *x86_form_of(const struct form_table *table, op_fn *fn);

/* ---- the host's registers ----------------------------------------------------------------- */

/*
 * RDI is the CPU, as in handlers. RAX, RSI, RDX and RCX are free between operations. R10 and R11
 * hold what the flags are made of (struct lazy), and the rest hold guest registers.
 */
#define CPU RDI
#define FLAG_RES R10
#define FLAG_SRC R11
#define GUEST_REGS 8

/* What FLAG_RES (the result, upper bits anything) and FLAG_SRC mean now. */
enum lazy_kind {
	LAZY_MEMORY, /* nothing: the flags are where handlers have them */
	LAZY_ADD,    /* FLAG_SRC or imm: the second operand */
	LAZY_SUB,
	LAZY_LOGIC,
	LAZY_STEP,  /* INC or DEC; the carry is in memory */
	LAZY_SHIFT, /* FLAG_SRC: the operand; what and by how much: shift, count */
	LAZY_MUL,   /* FLAG_SRC, low byte: overflow */
	LAZY_RAW,   /* FLAG_SRC: all of them, as SETO AL and LAHF leave them in AX */
};

struct lazy {
	uint8_t kind; /* enum lazy_kind */
	uint8_t size;
	uint8_t shift, count;
	bool down;
	bool constant; /* the second operand is imm */
	int32_t imm;
};

/* Arithmetic flags that the host's own are equal to, as bits. */
#define HOST_C 1u
#define HOST_Z 2u
#define HOST_S 4u
#define HOST_P 8u
#define HOST_O 16u
#define HOST_ALL 31u

/* Where everything is at one place in the generated code. */
struct where {
	uint8_t guest[GUEST_REGS]; /* by host register of the pool: which is there, or NO_REG */
	uint8_t dirty;             /* bits: newer than x86_cpu.reg */
	bool fp_masked;            /* no floating-point exception can be raised: looked already */
	uint16_t xmm, xmm_dirty;   /* bits: guest XMM registers that are in the host's */
	struct lazy lazy;
};

/* Code that is run rarely and so stands behind all the rest. */
enum aside_kind {
	ASIDE_SLOW,  /* the op's handler does it all */
	ASIDE_TAKEN, /* the op's jump is taken */
};

struct aside {
	enum aside_kind kind;
	uint8_t *from; /* the jump to it */
	const struct op *op;
	op_fn *fn; /* ASIDE_SLOW */
	struct where where;
};

#define ASIDES_MAX 256

struct native {
	struct x86_cpu *cpu;
	struct code c;
	uint8_t *write;  /* the memory for code, to be written ... */
	ptrdiff_t shift; /* ... and how far from there it can be run */
	uint8_t *first, *end;
	struct form_table *forms;
	bool forms_filled; /* when first needed */

	/* shared pieces of code, where they are written */
	uint8_t *leave_at_link; /* RSI: the link */
	uint8_t *carry;         /* sets CF to the guest's, which is in memory */

	/* the trace */
	const struct op *ops;
	unsigned n;
	const struct op *op; /* and the op */
	op_fn *fn;
	const struct form *form;

	struct where now;
	unsigned host;   /* HOST_*: which flags the host's own are */
	unsigned before; /* the same, before this op */
	unsigned pinned; /* pool registers that this op needs */
	unsigned stamp, used[GUEST_REGS];
	unsigned ever;       /* guest registers of this trace, as bits, ... */
	unsigned ever_dirty; /* ... and those written */
	uint16_t ever_xmm, ever_xmm_dirty;
	bool loops, evicted, foreign, looping;
	uint8_t *loop_start;
	struct where at_loop;
	bool full; /* of asides */

	unsigned n_asides;
	struct aside asides[ASIDES_MAX];
};

extern const uint8_t x86_native_pool[GUEST_REGS];

/* Guest registers by their place in ops (offset / 8), in a host register until the op's end. */
unsigned native_use(struct native *t, unsigned guest); /* to read */
unsigned native_def(struct native *t, unsigned guest); /* to overwrite, all 64 bits */
unsigned native_mod(struct native *t, unsigned guest); /* to read and write */

/* Write back everything: guest registers and flags. */
void native_spill(struct native *t);
void native_flush_flags(struct native *t);
/* Nothing is in registers. */
void native_forget(struct native *t);

/* RAX = linear address of the op's operand. */
void native_address(struct native *t);
/* RAX: a linear address becomes a host's. Not in the TLB: the op's handler. Takes RSI, RDX. */
void native_tlb(struct native *t, bool write, unsigned bytes);
/* If the host's @cond is true, the op's handler does it all. */
void native_slow_if(struct native *t, unsigned cond);

/* Make the host's flags such that its condition is the guest's. */
bool native_can_test(const struct native *t, unsigned cond, unsigned host);
void native_test(struct native *t, unsigned cond, unsigned host);

/* The op's jump is taken if the host's @cond is true. */
void native_jump_if(struct native *t, unsigned cond);
/* The op's jump. */
void native_leave(struct native *t);
/* Go on at the RIP in RCX, when everything is written back: see translate.c. */
void native_jump_lookup(struct native *t);
void native_jump_found(struct native *t);

/* Capture the host's flags in RAX as cc_src has them. Takes RSI. */
void native_capture(struct native *t);
/* Keep the host's flags in FLAG_SRC for LAZY_RAW. Takes RAX. */
void native_keep_flags(struct native *t);

/* Guest XMM registers, which are in the host's of the same number. */
void native_xmm_use(struct native *t, unsigned number);
void native_xmm_def(struct native *t, unsigned number);

static inline struct place cpu_field(size_t offset)
{
	return in_memory(CPU, (int64_t)offset);
}
#define CPU_FIELD(member) cpu_field(offsetof(struct x86_cpu, member))

static inline struct place guest_reg(unsigned guest)
{
	return cpu_field(offsetof(struct x86_cpu, reg) + 8 * guest);
}

static inline struct place op_field(const struct native *t, const struct op *op, size_t offset)
{
	return in_memory(CPU, (const char *)op - (const char *)t->cpu + (ptrdiff_t)offset);
}

/* Such addresses are left to handlers. */
static inline bool native_is_general(const struct native *t)
{
	return (t->op->ea & 3) == EA_GENERAL;
}

static inline void set_lazy(struct native *t, enum lazy_kind kind, unsigned size)
{
	t->now.lazy = (struct lazy){.kind = (uint8_t)kind, .size = (uint8_t)size};
}

/* Registers in ops are byte offsets: AH to BH are left to handlers. */
static inline bool is_high(uint8_t offset)
{
	return offset & 7;
}

static inline unsigned guest_of(uint8_t offset)
{
	return offset / 8;
}

/* To be written in @size: only the smaller ones leave something of the old value. */
static inline unsigned written(struct native *t, uint8_t offset, unsigned size)
{
	return size < 2 ? native_mod(t, guest_of(offset)) : native_def(t, guest_of(offset));
}

static inline unsigned read_reg(struct native *t, uint8_t offset)
{
	return native_use(t, guest_of(offset));
}

/* Without waiting for what was in the rest of the register. */
static inline void load_small(struct native *t, unsigned size, unsigned dst, struct place from)
{
	static const unsigned opcodes[4] = {0x0fb6, 0x0fb7, ASM_MOV_TO_REG, ASM_MOV_TO_REG};

	emit(&t->c, size < 2 ? 2 : size, opcodes[size], dst, from);
}

/* RAX: host address of the op's operand of so many bytes. */
struct place native_memory(struct native *t, bool write, unsigned bytes);

static inline struct place memory(struct native *t, bool write, unsigned size)
{
	return native_memory(t, write, 1u << size);
}

/* Return: false, with nothing generated, if the handler is to do it. */
bool native_op(struct native *t);
bool native_simd(struct native *t);
bool native_op_alu_reg(struct native *t);
bool native_op_alu_load(struct native *t);
bool native_op_alu_store(struct native *t);
bool native_op_test(struct native *t);
bool native_op_compare_and_jump(struct native *t);
bool native_op_step(struct native *t);
bool native_op_neg(struct native *t);
bool native_op_shift(struct native *t);
bool native_op_shift_by_cl(struct native *t);
bool native_op_shift_memory(struct native *t);
bool native_op_imul(struct native *t);
bool native_op_muldiv(struct native *t);
bool native_op_jcc(struct native *t);
bool native_op_push(struct native *t);
bool native_op_pop(struct native *t);
bool native_op_leave(struct native *t);
bool native_op_call(struct native *t);
bool native_op_call_indirect(struct native *t);
bool native_op_ret(struct native *t);
bool native_op_jmp_indirect(struct native *t);

#endif
