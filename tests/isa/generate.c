/* SPDX-License-Identifier: MIT */
#include "generate.h"

#include <string.h>

/* ---- random numbers -------------------------------------------------------------------- */

/* splitmix64 (Steele, Lea, Flood 2014) */
uint64_t random64(struct maker *m)
{
	uint64_t z = m->random += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint32_t random_below(struct maker *m, uint32_t n)
{
	return (uint32_t)((random64(m) >> 32) * n >> 32);
}

bool one_in(struct maker *m, uint32_t n)
{
	return random_below(m, n) == 0;
}

uint64_t hash_bytes(const uint8_t *data, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u, word;

	for (; len >= 8; data += 8, len -= 8) {
		memcpy(&word, data, 8);
		h = (h ^ word) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	return h;
}

uint64_t random_corner(struct maker *m)
{
	const unsigned bit = random_below(m, 64);
	uint64_t v;

	switch (random_below(m, 8)) {
	case 0:
		return random_below(m, 4) - (uint64_t)random_below(m, 4);
	case 1:
		v = (uint64_t)1 << bit;
		return v + random_below(m, 3) - 1;
	case 2:
		v = 0 - ((uint64_t)1 << bit);
		return v + random_below(m, 3) - 1;
	case 3:
		return random_below(m, 256);
	case 4:
		return (uint64_t)(int64_t)(int32_t)random64(m);
	case 5: /* a corner of a narrower size under random high bits */
		v = (uint64_t)1 << (8 << random_below(m, 3));
		return (random64(m) & ~(v - 1)) | ((random_below(m, 3) - 1 + (v >> 1)) & (v - 1));
	default:
		return random64(m);
	}
}

uint32_t random_f32(struct maker *m)
{
	static const uint32_t corners[] = {
		0,          0x3f800000, 0x7f800000, 0x7fc00000, 0x7f800001, 0x7fbfffff,
		0x00000001, 0x007fffff, 0x00800000, 0x7f7fffff, 0x4f000000, 0x4effffff,
		0x5f000000, 0x3f000000, 0x3effffff, 0x3fc00000, 0x40000000, 0x34000000,
	};
	const uint32_t sign = (uint32_t)random_below(m, 2) << 31;

	switch (random_below(m, 4)) {
	case 0:
		return sign | corners[random_below(m, ARRAY_LEN(corners))];
	case 1: /* of moderate size */
		return sign | (100 + random_below(m, 60)) << 23 | random_below(m, 1u << 23);
	case 2: /* few significant bits, so that results are exact or ties */
		return sign | (110 + random_below(m, 40)) << 23 | random_below(m, 16) << 19;
	default:
		return (uint32_t)random64(m);
	}
}

uint64_t random_f64(struct maker *m)
{
	static const uint64_t corners[] = {
		0,
		0x3ff0000000000000,
		0x7ff0000000000000,
		0x7ff8000000000000,
		0x7ff0000000000001,
		0x7ff7ffffffffffff,
		0x0000000000000001,
		0x000fffffffffffff,
		0x0010000000000000,
		0x7fefffffffffffff,
		0x41e0000000000000, /* 2^31 */
		0x41dfffffffc00000,
		0x43e0000000000000, /* 2^63 */
		0x3fe0000000000000,
		0x3fdfffffffffffff,
		0x36a0000000000000, /* least float */
		0x3810000000000000, /* least normal float */
		0x47efffffe0000000, /* greatest float */
		0x47effffff0000000,
	};
	const uint64_t sign = (uint64_t)random_below(m, 2) << 63;

	switch (random_below(m, 4)) {
	case 0:
		return sign | corners[random_below(m, ARRAY_LEN(corners))];
	case 1:
		return sign | (uint64_t)(960 + random_below(m, 140)) << 52 | random64(m) >> 12;
	case 2:
		return sign | (uint64_t)(1000 + random_below(m, 60)) << 52 |
		       (uint64_t)random_below(m, 16) << 48;
	default:
		return random64(m);
	}
}

void random_f80(struct maker *m, uint64_t *mantissa, uint16_t *sign_exponent)
{
	const unsigned sign = random_below(m, 2) << 15;
	static const struct {
		uint64_t mantissa;
		uint16_t exponent;
	} corners[] = {
		{0, 0},
		{0x8000000000000000, 0x3fff}, /* 1 */
		{0x8000000000000000, 0x7fff}, /* infinity */
		{0xc000000000000000, 0x7fff}, /* quiet NaN */
		{0x8000000000000001, 0x7fff}, /* signalling NaN */
		{0x0000000000000001, 0x0000}, /* denormal */
		{0x7fffffffffffffff, 0x0000},
		{0x8000000000000000, 0x0000}, /* pseudo-denormal */
		{0x8000000000000000, 0x0001}, /* least normal */
		{0xffffffffffffffff, 0x7ffe}, /* greatest */
		{0x4000000000000000, 0x3fff}, /* unnormal */
		{0x0000000000000000, 0x7fff}, /* pseudo-infinity */
		{0x4000000000000000, 0x7fff}, /* pseudo-NaN */
		{0xc90fdaa22168c235, 0x4000}, /* pi */
		{0xb504f333f9de6484, 0x3ffe}, /* sqrt(1/2) */
		{0x8000000000000000, 0x3ffe}, /* 1/2 */
		{0x8000000000000000, 0x4000}, /* 2 */
		{0x8000000000000000, 0x403e}, /* 2^63 */
		{0xffffffffffffffff, 0x3ffe},
	};
	unsigned i;

	switch (random_below(m, 8)) {
	case 0:
	case 1:
		i = random_below(m, ARRAY_LEN(corners));
		*mantissa = corners[i].mantissa;
		*sign_exponent = (uint16_t)(sign | corners[i].exponent);
		return;
	case 2: /* an integer */
		*mantissa = (uint64_t)1 << 63 | (uint64_t)random_below(m, 16) << 59;
		*sign_exponent = (uint16_t)(sign | (0x3ffc + random_below(m, 24)));
		return;
	case 3: /* of a float's or double's precision */
		*mantissa = (uint64_t)1 << 63 | random64(m) >> 1;
		*mantissa &= one_in(m, 2) ? ~(uint64_t)0 << 11 : ~(uint64_t)0 << 40;
		*sign_exponent = (uint16_t)(sign | (0x3fff - 20 + random_below(m, 40)));
		return;
	case 4: /* any size */
		*mantissa = (uint64_t)1 << 63 | random64(m);
		*sign_exponent = (uint16_t)(sign | random_below(m, 0x8000));
		return;
	case 5: /* near where float and double end */
		*mantissa = (uint64_t)1 << 63 | random64(m);
		i = one_in(m, 2) ? 128 : 1024;
		i = one_in(m, 2) ? 0x3fff + i : 0x3fff - i;
		*sign_exponent = (uint16_t)(sign | (i + random_below(m, 60) - 30));
		return;
	default:
		*mantissa = (uint64_t)1 << 63 | random64(m);
		*sign_exponent = (uint16_t)(sign | (0x3fff - 8 + random_below(m, 70)));
	}
}

void random_vector(struct maker *m, uint64_t out[2])
{
	switch (random_below(m, 5)) {
	case 0: /* floats */
		for (unsigned i = 0; i < 2; i++) {
			out[i] = random_f32(m);
			out[i] |= (uint64_t)random_f32(m) << 32;
		}
		return;
	case 1: /* doubles */
	case 2:
		out[0] = random_f64(m);
		out[1] = random_f64(m);
		return;
	case 3: /* lanes of integers with corners, zeros among them */
		for (unsigned i = 0; i < 2; i++) {
			out[i] = 0;
			for (unsigned shift = 0; shift < 64; shift += 8)
				out[i] |= (random_corner(m) & 0xff) << shift;
			if (one_in(m, 3))
				out[i] &= ~(uint64_t)0xff << 8 * random_below(m, 8);
			if (one_in(m, 6))
				out[i] = random_below(m, 80); /* shift counts */
		}
		return;
	default:
		out[0] = random_corner(m);
		out[1] = random_corner(m);
	}
}

static void random_fx(struct maker *m)
{
	struct fx_image *fx = &m->v->in.fx;

	fx->cw = 0x37f;
	if (one_in(m, 2)) /* rounding and precision */
		fx->cw = (uint16_t)(0x7f | random_below(m, 4) << 8 | random_below(m, 4) << 10);
	if (one_in(m, 4)) /* some exceptions not masked */
		fx->cw = (uint16_t)((fx->cw & 0xffc0u) | (random64(m) & 0x3f));
	fx->sw = (uint16_t)(random64(m) & 0x7f00);
	if (one_in(m, 4)) /* flags that are there already, but masked */
		fx->sw = (uint16_t)(fx->sw | (random64(m) & 0x3f & fx->cw));
	fx->tag = one_in(m, 4) ? (uint8_t)random64(m) : 0xff;
	if (one_in(m, 2)) { /* a stack of some registers, as programs have it */
		const unsigned top = random_below(m, 8);

		fx->sw = (uint16_t)((fx->sw & 0xc7ffu) | top << 11);
		fx->tag = (uint8_t)(0xff << top);
	}
	for (unsigned i = 0; i < 8; i++)
		random_f80(m, &fx->st[i].mantissa, &fx->st[i].sign_exponent);

	fx->mxcsr = 0x1f80;
	if (one_in(m, 2))
		fx->mxcsr |= random_below(m, 4) << 13;
	if (one_in(m, 4))
		fx->mxcsr |= (uint32_t)random64(m) & 0x8040; /* FTZ, DAZ */
	if (one_in(m, 4))
		fx->mxcsr &= ~((uint32_t)random64(m) & 0x1f80);
	if (one_in(m, 4))
		fx->mxcsr |= (uint32_t)random64(m) & 0x3f;
	for (unsigned i = 0; i < 16; i++)
		random_vector(m, fx->xmm[i]);
}

void random_regs(struct maker *m)
{
	struct regs *r = &m->v->in;

	for (unsigned i = 0; i < 16; i++)
		r->gpr[i] = random_corner(m);
	r->gpr[RSP] = DATA_BASE + 0x1000 + 8 * random_below(m, 64);
	r->rflags = random64(m) & FLAGS_ARITH;
	random_fx(m);
}

/* ---- code ------------------------------------------------------------------------------ */

void maker_init(struct maker *m, struct vector *v)
{
	*m = (struct maker){.v = v, .random = v->seed, .data_end = DATA_END};
	v->patch_at = DATA_BASE;
	v->offset = (uint16_t)(0x400 + random_below(m, 64));
	random_regs(m);
	v->in.rip = CODE_BASE + v->offset;
}

void emit(struct maker *m, uint8_t byte)
{
	assert(m->v->code_bytes < CODE_MAX);
	m->v->code[m->v->code_bytes++] = byte;
}

void emit_bytes(struct maker *m, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		emit(m, (uint8_t)(value >> 8 * i));
}

unsigned random_gpr(struct maker *m)
{
	unsigned r;

	do {
		r = random_below(m, m->v->code32 ? 8 : 16);
	} while (r == RSP || m->reserved >> r & 1);
	return r;
}

void patch(struct maker *m, uint32_t at, const void *data, unsigned bytes)
{
	if (at < DATA_BASE || at + bytes > DATA_END || m->block)
		return;
	m->v->patch_at = at;
	m->v->patch_bytes = (uint8_t)bytes;
	memcpy(m->v->patch, data, bytes);
}

void begin_block(struct maker *m)
{
	m->block = true;
	m->reserved = 1u << RSP;
	if (!m->v->code32) {
		m->reserved |= 1u << BLOCK_BASE;
		set_gpr(m, BLOCK_BASE, BLOCK_MIDDLE);
		return;
	}
	for (unsigned i = 0; i < 8; i++)
		m->v->in.gpr[i] = (uint32_t)m->v->in.gpr[i];
	m->reserved |= 1u << BLOCK_BASE_32 | 1u << BLOCK_INDEX_32;
	m->index = (uint8_t)random64(m);
	set_gpr(m, BLOCK_BASE_32, BLOCK_MIDDLE);
	set_gpr(m, BLOCK_INDEX_32, m->index);
}

void set_gpr(struct maker *m, unsigned reg, uint64_t value)
{
	m->v->in.gpr[reg] = m->v->code32 ? (uint32_t)value : value;
	m->written = (uint16_t)(m->written | 1u << reg);
}

/* Where a memory operand is: mostly in the data pages, sometimes over an end of them. */
static void choose_address(struct maker *m, struct insn *i)
{
	const uint32_t room = m->data_end - DATA_BASE;

	if (i->fixed)
		return;
	i->at = DATA_BASE + 64 + random_below(m, room - 192);
	if (i->align)
		i->at &= ~(i->align - 1);
	else if (!one_in(m, 4))
		i->at &= ~(uint32_t)7;
	if (m->block)
		return;
	if (i->align && one_in(m, 24))
		i->at += 1 + random_below(m, 15);
	if (one_in(m, 48))
		i->at = DATA_END - random_below(m, i->bytes + 2); /* ends where nothing is */
	else if (one_in(m, 48))
		i->at = READONLY_BASE + 16 * random_below(m, 64);
	else if (one_in(m, 24))
		i->at = DATA_BASE + PAGE_BYTES - random_below(m, i->bytes + 2); /* two pages */
}

static bool usable(const struct maker *m, const struct insn *i, unsigned reg)
{
	return reg != RSP && !((m->written | i->keep) >> reg & 1);
}

enum { DISP_NONE, DISP_8, DISP_32 };

/* ModRM, SIB and displacement for the address, setting the registers it needs. */
struct address {
	uint8_t modrm, sib;
	bool has_sib;
	unsigned disp_bytes;
	uint64_t disp;
	bool rip_relative;
	uint8_t rex; /* X and B */
};

/* Through the base; in 32 bits also with a scaled index, with that alone, and without either. */
static void block_address_32(struct maker *m, struct insn *i, struct address *a)
{
	const bool base = !one_in(m, 3), index = one_in(m, 2);
	const unsigned scale = random_below(m, 4);

	a->disp = i->at - (base ? BLOCK_MIDDLE : 0) - (index ? (uint32_t)m->index << scale : 0);
	a->disp_bytes = 4;
	if (base && a->disp + 128 < 256)
		a->disp_bytes = 1;
	a->modrm = (uint8_t)(!base ? 0 : a->disp_bytes == 1 ? 0x40 : 0x80);
	a->modrm |= index ? 4 : BLOCK_BASE_32; /* which, without a base, is none */
	a->has_sib = index;
	a->sib = (uint8_t)(scale << 6 | BLOCK_INDEX_32 << 3 | BLOCK_BASE_32);
}

static void block_address(struct maker *m, struct insn *i, struct address *a)
{
	if (m->v->code32) {
		block_address_32(m, i, a);
		return;
	}
	a->modrm = 0x80 | (BLOCK_BASE & 7);
	a->rex = 1;
	a->disp_bytes = 4;
	a->disp = i->at - BLOCK_MIDDLE;
}

static void with_registers(struct maker *m, struct insn *i, struct address *a)
{
	const unsigned registers = m->v->code32 ? 8 : 16;
	uint64_t target = i->at, disp = 0;
	unsigned base = registers, index = registers, scale = 0, tries = 64;
	bool no_base;

	if (i->segment == 0x65)
		target -= GS_BASE;
	while (base == registers && tries--) {
		base = random_below(m, registers);
		if (!usable(m, i, base))
			base = registers;
	}
	no_base = base == registers;
	if (one_in(m, 2)) {
		index = random_below(m, registers);
		if (!usable(m, i, index) || index == base)
			index = registers;
	}
	a->disp_bytes = no_base ? 4 : (unsigned[]){0, 1, 4}[random_below(m, 3)];
	if (!no_base && (base & 7) == 5 && a->disp_bytes == 0)
		a->disp_bytes = 1;
	if (a->disp_bytes == 1)
		disp = (uint64_t)(int64_t)(int8_t)random64(m);
	else if (a->disp_bytes == 4)
		disp = (uint64_t)(int64_t)(int32_t)random_corner(m);

	if (index != registers) {
		scale = random_below(m, 4);
		if (no_base || one_in(m, 3)) /* small, so that the displacement can make up */
			set_gpr(m, index, (uint64_t)(int64_t)(int8_t)random64(m));
		else
			set_gpr(m, index, m->v->in.gpr[index]);
	}
	if (no_base) {
		disp = target - (index != registers ? m->v->in.gpr[index] << scale : 0);
	} else {
		uint64_t value = target - disp;

		if (index != registers)
			value -= m->v->in.gpr[index] << scale;
		if (i->addr67) /* what is above 32 bits must not count */
			value = (uint32_t)value | (random64(m) & ~(uint64_t)UINT32_MAX);
		set_gpr(m, base, value);
		if (!m->v->code32 && !i->addr67 && !i->fixed && !m->block && one_in(m, 96))
			set_gpr(m, base, value ^ (uint64_t)1 << (47 + random_below(m, 16)));
	}
	a->disp = disp;
	if (index == registers && !no_base && (base & 7) != 4) {
		a->modrm = (uint8_t)(base & 7);
	} else {
		a->has_sib = true;
		a->modrm = 4;
		a->sib = (uint8_t)(scale << 6 | (index == registers ? 4 : index & 7) << 3 |
		                   (no_base ? 5 : base & 7));
	}
	if (!no_base)
		a->modrm = (uint8_t)(a->modrm | (a->disp_bytes == 1 ? 0x40
		                                 : a->disp_bytes    ? 0x80
		                                                    : 0));
	a->rex = (uint8_t)((index != registers && index >= 8 ? 2 : 0) |
	                   (!no_base && base >= 8 ? 1 : 0));
}

static void encode_address(struct maker *m, struct insn *i, struct address *a)
{
	*a = (struct address){0};
	if (m->block) {
		block_address(m, i, a);
		return;
	}
	if (one_in(m,
	           8)) { /* no registers at all: RIP-relative, or absolute by SIB or in 32 bits */
		a->disp_bytes = 4;
		a->disp = i->at - (i->segment == 0x65 ? GS_BASE : 0);
		a->modrm = 5;
		if (!m->v->code32 && one_in(m, 2)) {
			a->modrm = 4;
			a->has_sib = true;
			a->sib = 0x25;
		} else {
			a->rip_relative = !m->v->code32;
		}
		return;
	}
	with_registers(m, i, a);
}

static void emit_opcode(struct maker *m, const struct insn *i, uint8_t rex)
{
	if (i->lock)
		emit(m, i->lock);
	if (i->segment)
		emit(m, i->segment);
	if (i->addr67)
		emit(m, 0x67);
	if (i->opsize66 && i->mandatory != 0x66)
		emit(m, 0x66);
	if (i->mandatory)
		emit(m, i->mandatory);
	if (rex)
		emit(m, rex);
	if (i->map)
		emit(m, 0x0f);
	if (i->map == 2)
		emit(m, 0x38);
	if (i->map == 3)
		emit(m, 0x3a);
	emit(m, i->opcode);
}

/*
 * A locked operand over the end of a cache line stops all processors, and kernels punish whoever
 * does that with long waits.
 */
static bool locks(const struct insn *i)
{
	const bool xchg = i->map == 0 && (i->opcode & 0xfe) == 0x86;

	return i->memory && (i->lock || xchg);
}

void emit_insn(struct maker *m, struct insn *i)
{
	struct address a = {0};
	uint8_t rex = (uint8_t)((i->rex_w ? 0x48 : 0) | (i->force_rex ? 0x40 : 0));

	if (!i->has_modrm) {
		if (i->rm & 8)
			rex |= 0x41;
		i->opcode = (uint8_t)(i->opcode | (i->rm & 7));
		emit_opcode(m, i, rex);
		emit_bytes(m, i->imm, i->imm_bytes);
		return;
	}
	if (i->memory && !m->v->code32 && !m->block && !i->addr67 && one_in(m, 24))
		i->addr67 = true;
	if (i->memory && !m->v->code32 && !i->segment && !i->fixed && !m->block && one_in(m, 24))
		i->segment = 0x65;
	if (i->memory && i->addr67 && i->segment)
		i->addr67 = false; /* GS base + a 32-bit offset that wraps is another address */
	if (i->reg & 8)
		rex |= 0x44;
	if (i->memory) {
		choose_address(m, i);
		if (locks(i) && (i->at & 63) + i->bytes > 64)
			i->at &= ~63u;
		encode_address(m, i, &a);
		if (a.rex)
			rex = (uint8_t)(rex | 0x40 | a.rex);
	} else if (i->rm & 8) {
		rex |= 0x41;
	}
	emit_opcode(m, i, rex);
	if (!i->memory) {
		emit(m, (uint8_t)(0xc0 | (i->reg & 7) << 3 | (i->rm & 7)));
	} else {
		emit(m, (uint8_t)(a.modrm | (i->reg & 7) << 3));
		if (a.has_sib)
			emit(m, a.sib);
		if (a.rip_relative) {
			const uint64_t next = m->v->in.rip + m->v->code_bytes + 4 + i->imm_bytes;

			a.disp -= next;
		}
		emit_bytes(m, a.disp, a.disp_bytes);
	}
	emit_bytes(m, i->imm, i->imm_bytes);
}
