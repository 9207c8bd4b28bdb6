/* SPDX-License-Identifier: MIT */
/*
 * The x87: instructions D8 to DF as functions of the x87's state and one memory operand.
 * Nothing here knows the CPU or its memory.
 *
 * What the caller does for an instruction
 *	1. row = x87_lookup(opcode, modrm); NULL is #UD. #NM as CR0.EM and CR0.TS say.
 *	2. Unless X87_NO_WAIT: #MF if x87_pending(). (WAIT does this check alone.)
 *	3. Unless X87_CONTROL: put the instruction's address into f->ip. (We are a CPU with
 *	   CPUID.7.EBX FDP_EXCPTN_ONLY[6] and ZERO_FCS_FDS[13]: FDP and FOP are written only when
 *	   an unmasked exception appears, that is when x87_pending() has become true, and the
 *	   selectors are always zero.)
 *	4. Read row->load bytes into m, or make sure that row->store bytes can be written, so that
 *	   nothing has changed when the access faults. X87_ENV, X87_STATE: the sizes are for
 *	   32-bit operand size, @i is 1 then and 0 with 16-bit operand size, when they are
 *	   X87_ENV16_BYTES and X87_STATE16_BYTES.
 *	   X87_READS_EFLAGS: f->eflags holds the arithmetic flags.
 *	5. row->fn(f, m, i), with @i the low three bits of ModRM for register forms. When it
 *	   returns true, write row->store bytes of m (an unmasked exception suppresses the store).
 *	6. X87_WRITES_EFLAGS: ZF PF CF come from f->eflags, OF SF AF are cleared. X87_AX: AX comes
 *	   from m->w[0].
 *
 * On an x86-64 host the arithmetic is the host's own, with the guest's control word loaded
 * between x87_enter() and x87_leave(): results, C1, and the response to unmasked exceptions are
 * exact by construction. Elsewhere it is x87-soft.c.
 */
#ifndef WSLX_X87_H
#define WSLX_X87_H

#include "base/base.h"
#include "x87/f80.h"

#define X87_IE 0x0001u
#define X87_DE 0x0002u
#define X87_ZE 0x0004u
#define X87_OE 0x0008u
#define X87_UE 0x0010u
#define X87_PE 0x0020u
#define X87_SF 0x0040u /* stack fault */
#define X87_ES 0x0080u /* an exception is not masked: the next waiting instruction gets #MF */
#define X87_C0 0x0100u
#define X87_C1 0x0200u
#define X87_C2 0x0400u
#define X87_C3 0x4000u
#define X87_CC (X87_C0 | X87_C1 | X87_C2 | X87_C3)
#define X87_TOP_SHIFT 11
#define X87_TOP (7u << X87_TOP_SHIFT)
#define X87_BUSY 0x8000u /* always as ES */
#define X87_EXCEPTIONS 0x003fu

#define X87_CW_DEFAULT 0x037fu /* after FNINIT */

struct x87 {
	struct x86_f80 r[8]; /* physical; ST(i) is r[(TOP + i) & 7]; MMi is r[i].mantissa */
	uint16_t cw, sw;
	uint8_t tag; /* bit i: physical register i is not empty */
	bool entered;
	uint16_t op;
	uint64_t ip, dp;
	uint32_t eflags; /* in and out of some instructions */
};

/* A memory operand; its value is at the start. */
union x87_mem {
	uint8_t b[112];
	uint16_t w[56];
	uint32_t d[28];
	uint64_t q[14];
	struct x86_f80 f80; /* ten bytes of it */
} __attribute__((aligned(16)));

/* Packed decimal: eighteen digits, two a byte, the least significant first, and a sign. */
struct x87_bcd {
	uint8_t b[10];
};

typedef bool (*x87_fn)(struct x87 *f, union x87_mem *m, unsigned i);

#define X87_NO_WAIT 0x01u
#define X87_CONTROL 0x02u
#define X87_READS_EFLAGS 0x04u
#define X87_WRITES_EFLAGS 0x08u
#define X87_AX 0x10u
#define X87_ENV 0x20u
#define X87_STATE 0x40u

#define X87_ENV16_BYTES 14
#define X87_ENV32_BYTES 28
#define X87_STATE16_BYTES 94
#define X87_STATE32_BYTES 108

struct x87_row {
	const char *name;
	x87_fn fn;
	uint8_t opcode;      /* 0xd8 .. 0xdf */
	uint8_t reg;         /* ModRM.reg, for memory forms; else X87_REG_FORM */
	uint8_t modrm;       /* first ModRM byte of a register form */
	uint8_t count;       /* register forms: consecutive ModRM bytes, 8 when @i is an operand */
	uint8_t load, store; /* bytes of the memory operand */
	uint8_t flags;
};

#define X87_REG_FORM 8

/* The row of D8..DF and its ModRM byte, or NULL: #UD. */
const struct x87_row *x87_lookup(uint8_t opcode, uint8_t modrm);
extern const struct x87_row x87_rows[];
extern const size_t x87_row_count;

/* Around a run of the CPU, as simd_enter() and simd_leave(). */
void x87_enter(struct x87 *f);
void x87_leave(struct x87 *f);

/* FNINIT. */
void x87_init(struct x87 *f);

/* Call after writing cw, sw and tag from outside (FXRSTOR, XRSTOR): makes ES and B agree. */
void x87_loaded(struct x87 *f);

static inline bool x87_pending(const struct x87 *f)
{
	return f->sw & X87_ES;
}

/* An MMX instruction other than EMMS: all registers become valid and TOP zero. */
static inline void x87_enter_mmx(struct x87 *f)
{
	f->tag = 0xff;
	f->sw = (uint16_t)(f->sw & ~X87_TOP);
}

/* A write to an MMX register leaves ones above it. */
static inline void x87_set_mmx(struct x87 *f, unsigned i, uint64_t value)
{
	f->r[i & 7].mantissa = value;
	f->r[i & 7].sign_exponent = 0xffff;
}

static inline void x87_emms(struct x87 *f)
{
	f->tag = 0;
}

#endif
