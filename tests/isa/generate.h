/* SPDX-License-Identifier: MIT */
/* Making vectors: random numbers, registers, operands and code. */
#ifndef WSLX_ISA_GENERATE_H
#define WSLX_ISA_GENERATE_H

#include "isa.h"

/* ---- random numbers; the vector's seed is the generator's state ------------------------ */

struct maker {
	struct vector *v;
	uint64_t random;
	uint16_t reserved; /* general registers that code must not change */
	bool block;        /* one instruction of several: register contents are unknown */
	uint8_t index;     /* in a 32-bit block, what BLOCK_INDEX_32 has all the time */
	uint16_t written;  /* registers whose value at the start is fixed already */
	uint32_t data_end; /* operands are put below this */
};

/*
 * In a block only one register is known: it points to the middle of the data. In 32-bit code there
 * is also one to be multiplied with.
 */
enum { BLOCK_BASE = 14, BLOCK_BASE_32 = 5, BLOCK_INDEX_32 = 7 };
#define BLOCK_MIDDLE (DATA_BASE + DATA_BYTES / 2)

void maker_init(struct maker *m, struct vector *v);
/* Vectors are blocks from here on. */
void begin_block(struct maker *m);
uint64_t random64(struct maker *m);
/* 0 .. n - 1 */
uint32_t random_below(struct maker *m, uint32_t n);
bool one_in(struct maker *m, uint32_t n);
/* A number with corners: 0, 1, -1, powers of two and their neighbours, small ones. */
uint64_t random_corner(struct maker *m);
/* Bits of a floating-point number with corners: NaNs, denormals, infinities, ... */
uint32_t random_f32(struct maker *m);
uint64_t random_f64(struct maker *m);
void random_f80(struct maker *m, uint64_t *mantissa, uint16_t *sign_exponent);

/* Fills registers, flags and FP state with random values. */
void random_regs(struct maker *m);
/* 16 bytes for an XMM register or its memory operand, as lanes of what an instruction takes. */
void random_vector(struct maker *m, uint64_t out[2]);

/* ---- code ------------------------------------------------------------------------------ */

void emit(struct maker *m, uint8_t byte);
void emit_bytes(struct maker *m, uint64_t value, unsigned bytes);

/* A general register that may be written: not the stack pointer, not a reserved one. */
unsigned random_gpr(struct maker *m);

/* What an instruction looks like before it is bytes. */
struct insn {
	uint8_t lock, segment; /* prefix bytes or 0 */
	bool addr67;
	bool opsize66;
	uint8_t mandatory; /* 0, 66, F2, F3 */
	bool rex_w;
	bool force_rex; /* SPL and friends instead of AH */
	uint8_t map, opcode;
	bool has_modrm;
	uint8_t reg; /* register number or digit */
	bool memory;
	uint8_t rm;     /* if not memory */
	unsigned bytes; /* of the memory operand */
	unsigned align; /* of the memory operand, or 0 */
	bool stores;    /* to the memory operand */
	uint64_t imm;
	unsigned imm_bytes;
	uint32_t at;   /* out: address of the memory operand */
	bool fixed;    /* @at was chosen by the caller: no misaligned or faulting variations */
	uint16_t keep; /* registers with fixed contents, not to be used as a base or index */
};

/* Choose an addressing form and registers, and emit all bytes. */
void emit_insn(struct maker *m, struct insn *i);
/* Put bytes where a memory operand is. */
void patch(struct maker *m, uint32_t at, const void *data, unsigned bytes);
void set_gpr(struct maker *m, unsigned reg, uint64_t value);

#endif
