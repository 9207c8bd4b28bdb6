/* SPDX-License-Identifier: MIT */
/*
 * The inside of the CPU: how decoded code is stored, run, and left.
 *
 * Theory of operation
 *
 *	Code is decoded once into traces: arrays of struct op, one op an instruction (two where a
 *	compare and its jump are fused), that run from a first instruction over not-taken
 *	conditional jumps to an unconditional jump, the end of the page or TRACE_INSNS. A trace is
 *	found by the RAM address of its first byte and by the mode bits that change what bytes
 *	mean (CODE_*), so it is shared by all address spaces and survives them.
 *
 *	An op holds its handler's address and pre-resolved operands. A handler does its work and
 *	jumps to the next op's handler (NEXT): with sibling-call optimization that is one indirect
 *	jump; without (X86_NO_TAIL_CALLS) it returns the next op to a loop. Ops that often
 *	follow each other share a handler (pairs.c). A trace that is run often gets handlers that
 *	are generated for it (native/).
 *
 *	RIP is not kept up to date. reg[REG_PAGE] is the RIP of the start of the code page that
 *	runs now, op->off the place in it; RIP-relative operands just have REG_PAGE as base.
 *	cpu->rip is valid outside of traces only.
 *
 *	Jumps inside a page link to the target op directly. Others go through a "stub" op, which
 *	remembers target and code_tag, or through the jump cache, by RIP and code_tag. code_tag
 *	stands for everything that decides which code a RIP means: address space, its
 *	generation, privilege, mode.
 *
 *	Exceptions leave a handler by longjmp (x86_raise). A handler therefore does everything
 *	that may fault before it changes anything. Memory slow paths get the op, from which
 *	RIP and the instruction count are restored.
 *
 *	Flags are lazy (flags.h), addresses are translated by a software TLB (mem.h), written code
 *	is noticed by page: pages with decoded code are never in the write TLB.
 *
 *	Interrupts, NMIs, kicks set cpu->attention, which is tested where a jump is taken and
 *	where a trace ends.
 *
 * Files
 *	decode.c       bytes to ops                  cache.c    traces, links, written code
 *	alu.c shift.c move.c branch.c string.c ...   handlers, each exporting tables or functions
 *	pairs.c        two ops in one handler        native/    hot traces as code of the host
 *	mmu.c          page walk, slow memory paths  event.c    exceptions, interrupts, IRET
 *	seg.c          segments, far transfers       sys.c      CRs, MSRs, CPUID and friends
 *	exec-simd.c, exec-x87.c: operand plumbing around the rooms simd and x87; they are asked by
 *	decode.c through x86_decode_simd() and x86_decode_x87() below.
 */
#ifndef WSLX_X86_INT_H
#define WSLX_X86_INT_H

#include "simd/simd.h"
#include "x86/x86.h"
#include "x87/x87.h"

#include <setjmp.h>
#include <stdatomic.h>
#include <string.h>

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline, cold))

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "registers are accessed by their bytes");

/* ---- ops ------------------------------------------------------------------------------- */

struct op;
typedef const struct op *op_fn(struct x86_cpu *cpu, const struct op *op);

/*
 * Registers in ops are byte offsets into x86_cpu.reg (AH is RAX's offset + 1), of XMM
 * registers into x86_cpu.xmm.
 */
struct op {
	op_fn *fn;
	union {
		int64_t imm;
		struct op *link;  /* jumps: where to go */
		const void *data; /* whatever the handler's own decoder put there */
	};
	int32_t disp;
	uint16_t off; /* of the instruction's first byte in its page */
	uint8_t len;  /* bytes; 0 marks a stub, whose target is REG_PAGE + disp */
	uint8_t n;    /* instructions from the trace's start up to and with this one */
	union {
		struct {
			uint8_t dst, src;
			uint8_t base, index, scale;
			uint8_t ea;  /* enum ea_kind, segment << 4 */
			uint8_t aux; /* second immediate and the like */
			uint8_t flags;
		};
		uint64_t tag; /* stubs: code_tag for which link is right */
	};
};
_Static_assert(sizeof(struct op) == 32, "two ops a cache line");

#define OP_FIRST 1u  /* first of its trace: op[-1] is not ours */
#define OP_ADDR64 2u /* address size; neither bit set: 16 bits */
#define OP_ADDR32 4u
#define OP_RIP 8u    /* EA_GENERAL: add the RIP of the next instruction */
#define OP_MOFFS 32u /* EA_GENERAL: the offset is imm, all 64 bits */
#define OP_REG 64u   /* the operand by ModRM.rm is a register (where a handler takes both) */
#define OP_STEP 16u  /* single-stepping: string instructions do one element */

#if defined(X86_NO_TAIL_CALLS)
#define GO(o) return (o)
#else
#define GO(o)                                                                                      \
	do {                                                                                       \
		const struct op *go_ = (o);                                                        \
		return go_->fn(cpu, go_);                                                          \
	} while (0)
#endif
#define NEXT GO(op + 1)
/*
 * A handler must not give away the address of a variable of its own: it could not jump to the
 * next one, and the host's stack would grow. Such work goes into a function that it calls, or
 * the handler leaves the trace (LEAVE_TO).
 */
#define OUT_OF_LINE __attribute__((noinline))
#define OP(name) const struct op *name(struct x86_cpu *cpu, const struct op *op)

/* Pseudo registers, which make special addressing forms ordinary ones. */
enum { REG_ZERO = 16, REG_PAGE, REG_FS, REG_GS, REG_COUNT };
#define REG(r) ((uint8_t)((r)*8))

enum ea_kind {
	EA_BASE,    /* base + disp */
	EA_INDEX,   /* base + (index << scale) + disp */
	EA_GENERAL, /* all else: x86_ea() */
	EA_KINDS
};

/* What decides how bytes are decoded, besides the bytes; part of a trace's key. */
#define CODE_64 0x01u      /* 64-bit code */
#define CODE_32 0x02u      /* compatibility mode: default operand and address size 32 */
#define CODE_STACK32 0x04u /* compatibility mode: ESP, not SP */
#define CODE_NO_FPU 0x08u  /* CR0.EM or CR0.TS: x87, MMX, SSE trap */
#define CODE_NO_SSE 0x10u  /* CR4.OSFXSR clear */
#define CODE_USER 0x20u    /* CPL 3 */
#define CODE_STEP 0x40u    /* one instruction a trace */

/* ---- the CPU --------------------------------------------------------------------------- */

#define TLB_BITS 12
#define TLB_ENTRIES (1u << TLB_BITS)
#define JUMP_CACHE_BITS 12
#define JUMP_CACHE_ENTRIES (1u << JUMP_CACHE_BITS)
#define FETCH_TLB_ENTRIES 1024

/*
 * @tag: linear page | context (x86_cpu.ctx); never matches while the low bits are 0.
 * @addend: host address minus linear address.
 */
struct tlb_entry {
	uint64_t tag;
	uintptr_t addend;
};

struct jump_entry {
	uint64_t rip;
	uint64_t tag; /* code_tag */
	const struct op *op;
	uint64_t unused;
};

struct fetch_entry {
	uint64_t page; /* linear */
	uint64_t tag;  /* code_tag */
	uint32_t ram_page;
};

enum attention {
	ATTN_KICK = 1,
	ATTN_EVENT = 2, /* look at interrupts and NMIs again */
};

struct x86_event_info {
	uint8_t vector;
	uint8_t type; /* enum x86_event */
	bool has_error;
	uint8_t length; /* software interrupts: bytes of the instruction, which is then done */
	uint32_t error;
};

struct trace_cache;

struct x86_cpu {
	uint64_t reg[REG_COUNT]; /* first, so that op offsets are offsets from here */

	/* lazy flags: see flags.h */
	uint64_t cc_res, cc_src;
	uint32_t cc_kind;
	_Atomic uint32_t attention;
	uint64_t ctx; /* low bits of matching TLB tags */
	uint64_t icount;
	uint64_t code_tag;
	uint64_t rflags;      /* all but the arithmetic flags */
	uint64_t rip;         /* valid outside of traces */
	const struct op *op;  /* the one to blame for a fault; NULL: rip is right already */
	const struct op *via; /* the stub through which a trace was entered last */

	uint64_t kernel_ctx; /* what ctx is for supervisor code without AC */
	uint8_t code_mode;   /* CODE_* */
	uint8_t cpl;
	bool interrupt_line;

	union x86_vec xmm[16];
	struct x86_fp_env fp;
	struct x87 x87;

	/*
	 * The rest of the architectural state lives here: control, debug and segment registers,
	 * MSRs, x87. Its gpr, rip, rflags, xmm and mxcsr are stale between get and set, and FS
	 * and GS bases are in reg[]. Segments must be changed through x86_seg_*().
	 */
	struct x86_state s;

	struct x86_platform platform;
	struct x86_config config;
	void *own_memory; /* NULL: the memory is config.memory */
	uint8_t *memory;  /* X86_MEMORY_BYTES, this struct first */
	size_t memory_used;
	char error[200];
	jmp_buf unwind;
	enum x86_exit exit;
	struct x86_event_info event; /* what longjmp carries */
	struct x86_event_info first; /* on its way into the guest's handler ... */
	bool delivering;             /* ... if this is set */
	bool stepping;               /* CODE_STEP is to be in code_mode */
	bool has_halted;

	struct trace_cache *cache;
	struct mmu *mmu;
	struct native *native; /* NULL: all is interpreted */
	uint64_t *noted;       /* by RAM page two bits: read, written; NULL: nobody asks any more */

	uint64_t mmio_gpa[2]; /* of the last slow translation that had no RAM */
	uint8_t bounce[64];   /* operands that have no single host address */

	struct fetch_entry fetch_tlb[FETCH_TLB_ENTRIES];
	struct jump_entry jump_cache[JUMP_CACHE_ENTRIES];
	struct tlb_entry tlb_read[TLB_ENTRIES];
	struct tlb_entry tlb_write[TLB_ENTRIES];
};

/* Zeroes at a multiple of 64, until x86_destroy(); NULL when the CPU's memory is full. */
void *x86_take_memory(struct x86_cpu *cpu, size_t bytes);

#define EFLAGS_CF 0x1u
#define EFLAGS_PF 0x4u
#define EFLAGS_AF 0x10u
#define EFLAGS_ZF 0x40u
#define EFLAGS_SF 0x80u
#define EFLAGS_TF 0x100u
#define EFLAGS_IF 0x200u
#define EFLAGS_DF 0x400u
#define EFLAGS_OF 0x800u
#define EFLAGS_IOPL 0x3000u
#define EFLAGS_NT 0x4000u
#define EFLAGS_RF 0x10000u
#define EFLAGS_VM 0x20000u
#define EFLAGS_AC 0x40000u
#define EFLAGS_VIF 0x80000u
#define EFLAGS_VIP 0x100000u
#define EFLAGS_ID 0x200000u
#define EFLAGS_ARITH 0x8d5u

#define CR0_PE 0x1u
#define CR0_MP 0x2u
#define CR0_EM 0x4u
#define CR0_TS 0x8u
#define CR0_ET 0x10u
#define CR0_NE 0x20u
#define CR0_WP 0x10000u
#define CR0_AM 0x40000u
#define CR0_NW 0x20000000u
#define CR0_CD 0x40000000u
#define CR0_PG 0x80000000u

#define CR4_VME 0x1u
#define CR4_PVI 0x2u
#define CR4_TSD 0x4u
#define CR4_DE 0x8u
#define CR4_PSE 0x10u
#define CR4_PAE 0x20u
#define CR4_MCE 0x40u
#define CR4_PGE 0x80u
#define CR4_PCE 0x100u
#define CR4_OSFXSR 0x200u
#define CR4_OSXMMEXCPT 0x400u
#define CR4_UMIP 0x800u
#define CR4_FSGSBASE 0x10000u
#define CR4_PCIDE 0x20000u
#define CR4_OSXSAVE 0x40000u
#define CR4_SMEP 0x100000u
#define CR4_SMAP 0x200000u

#define X86_CR4_KNOWN                                                                              \
	(CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCE |            \
	 CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_PCIDE | CR4_OSXSAVE |         \
	 CR4_SMEP | CR4_SMAP)

#define EFER_SCE 0x1u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u
#define EFER_NXE 0x800u

enum x86_vector {
	VEC_DE = 0,
	VEC_DB = 1,
	VEC_NMI = 2,
	VEC_BP = 3,
	VEC_OF = 4,
	VEC_BR = 5,
	VEC_UD = 6,
	VEC_NM = 7,
	VEC_DF = 8,
	VEC_TS = 10,
	VEC_NP = 11,
	VEC_SS = 12,
	VEC_GP = 13,
	VEC_PF = 14,
	VEC_MF = 16,
	VEC_AC = 17,
	VEC_MC = 18,
	VEC_XM = 19,
};

/* ---- leaving a handler ----------------------------------------------------------------- */

/*
 * Raise a fault for the instruction of cpu->op (or at cpu->rip if that is NULL). Error codes are
 * dropped for vectors that have none.
 */
_Noreturn void x86_raise(struct x86_cpu *cpu, enum x86_vector vector, uint32_t error);
/* The same from a handler. */
_Noreturn void x86_raise_at(struct x86_cpu *cpu, const struct op *op, enum x86_vector vector,
                            uint32_t error);
/* An event that is no fault of the instruction: a software interrupt of @op, or a debug trap. */
_Noreturn void x86_raise_event(struct x86_cpu *cpu, const struct op *op, enum x86_event type,
                               enum x86_vector vector);
/* Stop the machine with a sentence: the guest needs what we do not have. */
_Noreturn void x86_stop(struct x86_cpu *cpu, enum x86_exit exit, const char *fmt, ...) PRINTF(3, 4);

/* Leave the trace before this instruction, to look at events. */
const struct op *x86_leave_before(struct x86_cpu *cpu, const struct op *op);

/* RIP of an op and of the instruction after it. */
INLINE uint64_t op_rip(const struct x86_cpu *cpu, const struct op *op)
{
	uint64_t rip = cpu->reg[REG_PAGE] + op->off;

	return cpu->code_mode & CODE_64 ? rip : (uint32_t)rip;
}
INLINE uint64_t op_next_rip(const struct x86_cpu *cpu, const struct op *op)
{
	uint64_t rip = cpu->reg[REG_PAGE] + op->off + op->len;

	return cpu->code_mode & CODE_64 ? rip : (uint32_t)rip;
}

/*
 * Leave the trace and look at events, with cpu->rip set; ends with `return`. For instructions
 * that change the mode, or after which interrupts must be looked at.
 */
#define LEAVE_TO(cpu, op, new_rip)                                                                 \
	do {                                                                                       \
		(cpu)->icount += (op)->n;                                                          \
		(cpu)->rip = (new_rip);                                                            \
		return NULL;                                                                       \
	} while (0)

/* Mode, privilege, address space or AC changed: recompute code_mode, code_tag, ctx. */
void x86_update_mode(struct x86_cpu *cpu);
/* AC alone changed. */
void x86_update_access(struct x86_cpu *cpu);

/* ---- decoder --------------------------------------------------------------------------- */

enum { MAP_1, MAP_0F, MAP_0F38, MAP_0F3A };

/* One instruction on its way to become an op. */
struct decoder {
	struct x86_cpu *cpu;
	const uint8_t *bytes; /* of the instruction */
	unsigned avail;       /* how many there are, up to 15 and to the page's end */
	unsigned pos;
	bool overrun;  /* needed more than avail */
	uint8_t mode;  /* CODE_* */
	uint8_t rex;   /* 0 or 0x40..0x4f */
	bool opsize66; /* 66 prefix */
	bool addr67;
	bool lock;
	uint8_t rep; /* 0, 0xf2 or 0xf3 */
	int8_t seg;  /* overriding segment or -1 */
	uint8_t map; /* MAP_* */
	uint8_t opcode;
	uint8_t modrm, mod, reg, rm; /* reg and rm with their REX bits; rm for mod 3 only */
	uint8_t size;                /* operand size as 0..3 for 1, 2, 4, 8 bytes */
	uint16_t page_off;           /* of bytes[0] */
	bool ends;                   /* this instruction ends the trace */
	bool has_row;                /* the op's data points to a row of a table */
	bool pure;                   /* cannot fault, reads no arithmetic flags */
	bool sets_flags; /* overwrites all arithmetic flags (those left undefined too) */
	op_fn *no_flags; /* handler to use if nobody reads those flags */
};

INLINE uint8_t x86_decode_u8(struct decoder *d)
{
	if (d->pos >= d->avail) {
		d->overrun = true;
		return 0;
	}
	return d->bytes[d->pos++];
}

uint32_t x86_decode_u32(struct decoder *d);
/*
 * Read ModRM, SIB and displacement: d->mod, reg, rm, and for memory operands op->base, index,
 * scale, disp, ea. @imm_bytes: bytes of immediate that follow (RIP-relative operands need them).
 */
void x86_decode_modrm(struct decoder *d, struct op *op, unsigned imm_bytes);

/*
 * Pick a handler for a floating-point or vector instruction: everything in the 0F, 0F38 and
 * 0F3A maps that decode.c does not know itself, and D8 to DF with 9B. Called with
 * prefixes and opcode read, ModRM not. #NM and #UD by mode (CODE_NO_FPU, CODE_NO_SSE) are the
 * callee's. Returns false for #UD.
 */
bool x86_decode_simd(struct decoder *d, struct op *op);
bool x86_decode_x87(struct decoder *d, struct op *op);
/* The handlers of rows (op->data), one after the other. False: no more. */
bool x86_simd_handlers_at(size_t i, op_fn **with_register, op_fn **with_memory);
/* Raises #UD or #NM as CR0.EM, CR0.TS, CR4.OSFXSR say; a handler for both. */
OP(x86_op_no_fpu);
OP(x86_op_no_sse);
OP(x86_op_ud);

/* FXSAVE, XSAVE and relations, in exec-simd.c: mod is memory. */
OP(x86_op_fxsave);
OP(x86_op_fxrstor);
OP(x86_op_xsave);
OP(x86_op_xsaveopt);
OP(x86_op_xrstor);

/* x86_get_state() and x86_set_state() for x87, XMM and MXCSR, in exec-simd.c. */
void x86_fp_get_state(struct x86_cpu *cpu, struct x86_state *out);
void x86_fp_set_state(struct x86_cpu *cpu, const struct x86_state *in);

/* Linear address of an op's memory operand, any kind; checks segments outside of 64-bit code. */
uint64_t x86_ea_general(struct x86_cpu *cpu, const struct op *op, unsigned bytes, bool write);

/* The same, @add bytes further on. */
uint64_t x86_ea_general_at(struct x86_cpu *cpu, const struct op *op, uint64_t add, unsigned bytes,
                           bool write);
/* The offset alone, as LEA gives it. */
uint64_t x86_ea_offset(struct x86_cpu *cpu, const struct op *op);
/* Linear address of a segment's offset, checked as x86_ea_general() does. */
uint64_t x86_seg_linear(struct x86_cpu *cpu, const struct op *op, enum x86_sreg seg,
                        uint64_t offset, unsigned bytes, bool write);

INLINE uint64_t reg64(const struct x86_cpu *cpu, unsigned offset)
{
	return *(const uint64_t *)((const char *)cpu + offset);
}

INLINE uint64_t op_ea(struct x86_cpu *cpu, const struct op *op, enum ea_kind kind, unsigned bytes,
                      bool write)
{
	switch (kind) {
	case EA_BASE:
		return reg64(cpu, op->base) + (uint64_t)(int64_t)op->disp;
	case EA_INDEX:
		return reg64(cpu, op->base) + (reg64(cpu, op->index) << op->scale) +
		       (uint64_t)(int64_t)op->disp;
	default:
		return x86_ea_general(cpu, op, bytes, write);
	}
}

/* For EA_BASE and EA_INDEX in one: a base alone is an index of zero. */
INLINE uint64_t op_ea_simple(struct x86_cpu *cpu, const struct op *op)
{
	return op_ea(cpu, op, EA_INDEX, 0, false);
}

/* The same for handlers that are not specialized by kind. */
INLINE uint64_t op_ea_any(struct x86_cpu *cpu, const struct op *op, unsigned bytes, bool write)
{
	return op_ea(cpu, op, (enum ea_kind)(op->ea & 3), bytes, write);
}

#endif
