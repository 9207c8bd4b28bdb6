/* SPDX-License-Identifier: MIT */
/*
 * isa: the oracle. The same instructions with the same operands run on the host's CPU and on
 * ours, and everything that is defined afterwards must be equal: registers, flags, memory, x87
 * and SSE state, and the fault with its error code and address.
 *
 * A test vector is made from one 64-bit seed by a form (forms.c). The parent makes a batch of
 * vectors in shared memory, a child runs them on the host (host.c), the parent runs them on our
 * CPU (ours.c) and compares (main.c).
 *
 * Both sides see the same linear addresses:
 *
 *	DATA_BASE      two pages, readable and writable, the same random bytes for each vector
 *	DATA_END       one page that is not there
 *	READONLY_BASE  one page that can be read
 *	CODE_BASE      one page of code, INT3 wherever the vector has put nothing
 *	CODE_END       one page that is not there
 *
 * A vector ends at its first exception, which for most is the INT3 after its code.
 */
#ifndef WSLX_ISA_H
#define WSLX_ISA_H

#include "base/base.h"

#define DATA_BASE 0x10000000u
#define DATA_BYTES 0x2000u
#define DATA_END (DATA_BASE + DATA_BYTES)
#define READONLY_BASE (DATA_END + 0x1000u)
#define CODE_BASE 0x20000000u
#define CODE_END (CODE_BASE + 0x1000u)
#define GS_BASE (DATA_BASE + 0x800u)

#define CODE_MAX 512
#define PATCH_MAX 64

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };

#define FLAG_CF 0x1u
#define FLAG_PF 0x4u
#define FLAG_AF 0x10u
#define FLAG_ZF 0x40u
#define FLAG_SF 0x80u
#define FLAG_DF 0x400u
#define FLAG_OF 0x800u
#define FLAG_AC 0x40000u
#define FLAGS_ARITH 0x8d5u
#define FLAGS_COMPARED (FLAGS_ARITH | FLAG_DF)

/* The part of an FXSAVE image that is compared; see the manual's FXSAVE. */
struct fx_image {
	uint16_t cw, sw;
	uint8_t tag, reserved;
	uint16_t op;
	uint64_t ip, dp;
	uint32_t mxcsr, mxcsr_mask;
	struct {
		uint64_t mantissa;
		uint16_t sign_exponent;
		uint16_t zero[3];
	} st[8]; /* from the top */
	uint64_t xmm[16][2];
	uint8_t unused[96];
} __attribute__((aligned(16)));
_Static_assert(sizeof(struct fx_image) == 512, "as the CPU stores it");

struct regs {
	uint64_t gpr[16];
	uint64_t rip;
	uint64_t rflags;
	struct fx_image fx;
};

struct vector {
	uint64_t seed;
	struct regs in;
	bool code32;     /* compatibility mode */
	uint16_t offset; /* of the code in its page */
	uint16_t code_bytes;
	uint8_t code[CODE_MAX];
	/* bytes that differ from the data pattern */
	uint32_t patch_at;
	uint8_t patch_bytes;
	uint8_t patch[PATCH_MAX];
	/* what is not defined afterwards */
	uint32_t undefined_flags;
	uint16_t undefined_gpr;     /* bit mask */
	uint16_t undefined_high;    /* registers of which only the low 32 bits are defined */
	uint16_t undefined_sw;      /* bits of the x87 status word */
	bool undefined_if_fault;    /* then nothing but the exception and RIP is compared */
	bool undefined_cr2_offset;  /* of the fault's address only the page is compared */
	bool undefined_fault_flags; /* flags are undefined if the vector faults */
};

struct result {
	struct regs out;
	uint32_t vector; /* of the exception */
	uint32_t error;
	uint64_t cr2;    /* of a page fault, else 0 */
	uint64_t memory; /* hash of the data pages */
};

#define BATCH_MAX 4096

struct batch {
	uint32_t count;
	volatile uint32_t done; /* by the host's child, so that we see where it died */
	uint8_t pattern[DATA_BYTES];
	uint8_t readonly[PAGE_BYTES];
	struct vector vectors[BATCH_MAX];
	struct result results[BATCH_MAX];
};

uint64_t hash_bytes(const uint8_t *data, size_t len);

/* ---- host.c ---------------------------------------------------------------------------- */

/* Map the data and code pages at their addresses, before anything else. */
void host_init(const struct batch *batch);
/* Run the batch in a child. Return: 0; -EIO if the child died in vector batch->done. */
int host_run(struct batch *batch, struct err *e);
/* Data pages after the last vector of the last batch. */
const uint8_t *host_memory(void);

/* ---- ours.c ---------------------------------------------------------------------------- */

struct ours;
/* @interpreter: generate no code; else code is generated for everything at once. */
struct ours *ours_create(bool interpreter, struct err *e);
void ours_destroy(struct ours *o);
/* Return: 0; -EIO with a sentence if our CPU stopped in a way that no vector can ask for. */
int ours_run(struct ours *o, const struct batch *batch, const struct vector *v, struct result *r,
             struct err *e);
const uint8_t *ours_memory(const struct ours *o);

/* ---- forms.c, forms-fp.c, generate.c --------------------------------------------------- */

struct form {
	const char *name;
	const char *group;
	/* Make the vector of this seed; v is zeroed but for the seed. */
	void (*make)(const struct form *form, struct vector *v);
	/* What the makers of forms.c know: */
	uint8_t map;    /* 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A */
	uint8_t prefix; /* 0, 0x66, 0xf2, 0xf3: part of the opcode */
	uint8_t opcode;
	int8_t digit;       /* ModRM.reg as part of the opcode, or -1 */
	uint8_t enc;        /* enum encoding */
	uint8_t sizes;      /* SZ_* that the form has */
	uint8_t imm;        /* enum immediate */
	uint8_t special;    /* enum special */
	uint16_t flags;     /* FORM_* */
	uint16_t undefined; /* arithmetic flags */
	const void *row;    /* simd_row or x87_row */
};

/* Calls visit for every form there is. */
void forms_each(void (*visit)(const struct form *form, void *ctx), void *ctx);
void forms_integer_each(void (*visit)(const struct form *form, void *ctx), void *ctx);
void forms_fp_each(void (*visit)(const struct form *form, void *ctx), void *ctx);
void forms_block_each(void (*visit)(const struct form *form, void *ctx), void *ctx);

#endif
