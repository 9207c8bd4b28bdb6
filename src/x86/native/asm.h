/* SPDX-License-Identifier: MIT */
/*
 * Instructions of x86-64 hosts, written one after the other.
 *
 * Sizes are 0..3 for 1, 2, 4, 8 bytes, as everywhere in this room. Opcodes are those of the
 * manual for operands of more than a byte; 0x0f00 and up are two-byte opcodes.
 */
#ifndef WSLX_X86_NATIVE_ASM_H
#define WSLX_X86_NATIVE_ASM_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum host_reg { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
#define NO_REG 0xffu

struct code {
	uint8_t *at; /* where the next byte goes */
};

/* An operand by ModRM.rm. */
struct place {
	bool memory;
	uint8_t base; /* or the register; NO_REG: none */
	uint8_t index;
	uint8_t scale;
	int32_t disp;
};

static inline struct place in_reg(unsigned reg)
{
	return (struct place){.base = (uint8_t)reg, .index = NO_REG};
}

static inline struct place in_memory(unsigned base, int64_t disp)
{
	return (struct place){
		.memory = true, .base = (uint8_t)base, .index = NO_REG, .disp = (int32_t)disp};
}

static inline void put8(struct code *c, unsigned v)
{
	*c->at++ = (uint8_t)v;
}

static inline void put16(struct code *c, uint16_t v)
{
	memcpy(c->at, &v, sizeof(v));
	c->at += sizeof(v);
}

static inline void put32(struct code *c, uint32_t v)
{
	memcpy(c->at, &v, sizeof(v));
	c->at += sizeof(v);
}

static inline void put64(struct code *c, uint64_t v)
{
	memcpy(c->at, &v, sizeof(v));
	c->at += sizeof(v);
}

static inline void put_modrm(struct code *c, unsigned reg, struct place p)
{
	unsigned r = (reg & 7) << 3;

	if (!p.memory) {
		put8(c, 0xc0 | r | (p.base & 7));
		return;
	}
	if (p.base == NO_REG) {
		put8(c, r | 4);
		put8(c, (unsigned)p.scale << 6 | (p.index == NO_REG ? 4u : p.index & 7u) << 3 | 5);
		put32(c, (uint32_t)p.disp);
		return;
	}
	if (p.disp == 0 && (p.base & 7) != RBP)
		r |= 0x00;
	else if (p.disp == (int8_t)p.disp)
		r |= 0x40;
	else
		r |= 0x80;
	if (p.index != NO_REG || (p.base & 7) == RSP) {
		put8(c, r | 4);
		put8(c, (unsigned)p.scale << 6 | (p.index == NO_REG ? 4u : p.index & 7u) << 3 |
		                (p.base & 7u));
	} else {
		put8(c, r | (p.base & 7));
	}
	if (r & 0x40)
		put8(c, (uint8_t)p.disp);
	else if (r & 0x80)
		put32(c, (uint32_t)p.disp);
}

/*
 * [66] [REX] opcode ModRM. A REX prefix is always there when a byte register may be meant, so that
 * 4 to 7 are SPL to DIL.
 */
static inline void emit(struct code *c, unsigned size, unsigned opcode, unsigned reg,
                        struct place p)
{
	unsigned rex = (size == 3 ? 8 : 0) | (reg >> 3 & 1) << 2;
	bool bytes = size == 0 || (opcode & ~8u) == 0x0fb6 || (opcode & ~15u) == 0x0f90;

	if (p.index != NO_REG)
		rex |= (p.index >> 3 & 1u) << 1;
	if (p.base != NO_REG)
		rex |= p.base >> 3 & 1u;
	if (size == 1)
		put8(c, 0x66);
	if (rex || bytes)
		put8(c, 0x40 | rex);
	if (opcode >= 0x0f00)
		put8(c, 0x0f);
	else if (size == 0)
		opcode &= ~1u;
	put8(c, opcode & 0xff);
	put_modrm(c, reg, p);
}

/* Vector instructions: the mandatory prefix comes before REX. */
static inline void emit_vector(struct code *c, unsigned prefix, bool wide, unsigned map,
                               unsigned opcode, unsigned reg, struct place p)
{
	unsigned rex = (wide ? 8 : 0) | (reg >> 3 & 1) << 2;

	if (p.index != NO_REG)
		rex |= (p.index >> 3 & 1u) << 1;
	if (p.base != NO_REG)
		rex |= p.base >> 3 & 1u;
	if (prefix)
		put8(c, prefix);
	if (rex)
		put8(c, 0x40 | rex);
	put8(c, 0x0f);
	if (map)
		put8(c, map);
	put8(c, opcode);
	put_modrm(c, reg, p);
}

/* Opcodes by the operand that is written. */
#define ASM_MOV_TO_RM 0x89u
#define ASM_MOV_TO_REG 0x8bu
#define ASM_LEA 0x8du
#define ASM_TEST 0x85u
#define ASM_XCHG 0x87u
#define ASM_MOVSXD 0x63u
#define ASM_IMUL 0x0fafu

enum asm_alu { ASM_ADD, ASM_OR, ASM_ADC, ASM_SBB, ASM_AND, ASM_SUB, ASM_XOR, ASM_CMP };

static inline void alu_to_rm(struct code *c, unsigned size, unsigned what, struct place dst,
                             unsigned src)
{
	emit(c, size, what << 3 | 1, src, dst);
}

static inline void alu_to_reg(struct code *c, unsigned size, unsigned what, unsigned dst,
                              struct place src)
{
	emit(c, size, what << 3 | 3, dst, src);
}

static inline void put_imm(struct code *c, unsigned size, int64_t imm)
{
	if (size == 0)
		put8(c, (uint8_t)imm);
	else if (size == 1)
		put16(c, (uint16_t)imm);
	else
		put32(c, (uint32_t)imm);
}

static inline void alu_imm(struct code *c, unsigned size, unsigned what, struct place dst,
                           int64_t imm)
{
	bool small = size && (size == 1 ? imm == (int8_t)imm : (int32_t)imm == (int8_t)imm);

	emit(c, size, small ? 0x83 : 0x81, what, dst);
	put_imm(c, small ? 0 : size, imm);
}

static inline void mov_rr(struct code *c, unsigned size, unsigned dst, unsigned src)
{
	emit(c, size, ASM_MOV_TO_RM, src, in_reg(dst));
}

static inline void load(struct code *c, unsigned size, unsigned dst, struct place src)
{
	emit(c, size, ASM_MOV_TO_REG, dst, src);
}

static inline void store(struct code *c, unsigned size, struct place dst, unsigned src)
{
	emit(c, size, ASM_MOV_TO_RM, src, dst);
}

/* Sizes over 1 byte take a sign-extended immediate of up to 32 bits. */
static inline void store_imm(struct code *c, unsigned size, struct place dst, int64_t imm)
{
	emit(c, size, 0xc7, 0, dst);
	put_imm(c, size, imm);
}

static inline void mov_imm(struct code *c, unsigned dst, uint64_t imm)
{
	if (imm <= UINT32_MAX) {
		if (dst >= R8)
			put8(c, 0x41);
		put8(c, 0xb8 | (dst & 7));
		put32(c, (uint32_t)imm);
	} else if (imm == (uint64_t)(int64_t)(int32_t)imm) {
		store_imm(c, 3, in_reg(dst), (int64_t)imm);
	} else {
		put8(c, 0x48 | (dst >> 3 & 1));
		put8(c, 0xb8 | (dst & 7));
		put64(c, imm);
	}
}

static inline void shift_imm(struct code *c, unsigned size, unsigned what, unsigned dst,
                             unsigned count)
{
	emit(c, size, 0xc1, what, in_reg(dst));
	put8(c, count);
}

static inline void lea(struct code *c, unsigned dst, struct place address)
{
	emit(c, 3, ASM_LEA, dst, address);
}

static inline void jmp_place(struct code *c, struct place p)
{
	emit(c, 2, 0xff, 4, p);
}

static inline void push_reg(struct code *c, unsigned reg)
{
	if (reg >= R8)
		put8(c, 0x41);
	put8(c, 0x50 | (reg & 7));
}

static inline void pop_reg(struct code *c, unsigned reg)
{
	if (reg >= R8)
		put8(c, 0x41);
	put8(c, 0x58 | (reg & 7));
}

/* Jumps whose target is set by jump_here() or jump_to(). Return: where their 32 bits are. */
static inline uint8_t *jcc_later(struct code *c, unsigned cond)
{
	put8(c, 0x0f);
	put8(c, 0x80 | cond);
	put32(c, 0);
	return c->at - 4;
}

static inline uint8_t *jmp_later(struct code *c)
{
	put8(c, 0xe9);
	put32(c, 0);
	return c->at - 4;
}

static inline void jump_to(uint8_t *later, const uint8_t *target)
{
	int32_t rel = (int32_t)(target - (later + 4));

	memcpy(later, &rel, sizeof(rel));
}

static inline void jump_here(struct code *c, uint8_t *later)
{
	jump_to(later, c->at);
}

static inline void call_to(struct code *c, const uint8_t *target)
{
	put8(c, 0xe8);
	put32(c, 0);
	jump_to(c->at - 4, target);
}

#endif
