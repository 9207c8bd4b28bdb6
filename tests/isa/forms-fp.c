/* SPDX-License-Identifier: MIT */
/*
 * Vector and x87 instructions as forms: one for every row of simd.h and x87.h, and blocks of
 * several.
 */
#include "generate.h"

#include "simd/simd.h"
#include "x87/x87.h"

#include <string.h>

/* ---- vector instructions --------------------------------------------------------------- */

static bool is_mmx_operand(enum simd_form form, bool rm)
{
	switch (form) {
	case SIMD_PQ:
	case SIMD_QP:
	case SIMD_MASK_PQ:
		return true;
	case SIMD_PE:
	case SIMD_EP:
	case SIMD_PW:
		return !rm;
	case SIMD_GQ:
	case SIMD_VQ:
	case SIMD_Q:
		return rm;
	default:
		return false;
	}
}

static bool is_gpr_operand(enum simd_form form, bool rm)
{
	switch (form) {
	case SIMD_VE:
	case SIMD_EV:
	case SIMD_PE:
	case SIMD_EP:
		return rm;
	case SIMD_GW:
	case SIMD_GQ:
		return !rm;
	default:
		return false;
	}
}

static uint8_t operand_register(struct maker *m, enum simd_form form, bool rm)
{
	if (is_gpr_operand(form, rm))
		return (uint8_t)random_gpr(m);
	if (is_mmx_operand(form, rm))
		return (uint8_t)random_below(m, 8);
	return (uint8_t)random_below(m, m->v->code32 ? 8 : 16);
}

static void make_row(struct maker *m, const struct simd_row *row)
{
	static const uint8_t prefixes[] = {
		[SIMD_NP] = 0, [SIMD_66] = 0x66, [SIMD_F3] = 0xf3, [SIMD_F2] = 0xf2};
	const enum simd_form form = (enum simd_form)row->form;
	struct vector *v = m->v;
	uint64_t operand[2];
	struct insn i = {
		.map = (uint8_t)(row->map + 1),
		.opcode = row->opcode,
		.mandatory = prefixes[row->prefix],
		.has_modrm = true,
		.bytes = row->bytes,
		.align = row->flags & SIMD_ALIGN ? 16 : 0,
		.stores = form == SIMD_WV || form == SIMD_QP || form == SIMD_EV || form == SIMD_EP,
		.imm_bytes = row->flags & SIMD_IMM ? 1 : 0,
	};

	i.memory = row->mod == SIMD_MEM || (row->mod == SIMD_ANY && one_in(m, 2));
	if (!v->code32)
		i.rex_w = row->w == SIMD_W_ANY ? one_in(m, 8) : row->w;
	i.imm = one_in(m, 2) ? random_below(m, 32) : random64(m);
	i.reg = row->sub == SIMD_SUB_ANY ? operand_register(m, form, false) : row->sub;
	if (!i.memory)
		i.rm = operand_register(m, form, true);
	/* Not where nothing is: whether a byte that is not selected faults is left open. */
	if (!m->block && (form == SIMD_MASK_VW || form == SIMD_MASK_PQ))
		set_gpr(m, RDI, DATA_BASE + random_below(m, DATA_BYTES - 16));
	if (!m->block && row->map == SIMD_0F3A && (row->opcode == 0x60 || row->opcode == 0x61)) {
		i.keep = 1u << RAX | 1u << RDX;
		if (!one_in(m, 4))
			set_gpr(m, RAX, (uint64_t)((int64_t)random_below(m, 40) - 20));
		if (!one_in(m, 4))
			set_gpr(m, RDX, (uint64_t)((int64_t)random_below(m, 40) - 20));
	}
	emit_insn(m, &i);
	if (i.memory && !i.stores) {
		random_vector(m, operand);
		patch(m, i.at, operand, row->bytes);
	}
}

/* An x87 exception is pending already. */
static void maybe_pending(struct maker *m)
{
	struct fx_image *fx = &m->v->in.fx;

	if (!one_in(m, 24))
		return;
	fx->sw = (uint16_t)(fx->sw | (~fx->cw & 0x3f));
	if (fx->sw & ~fx->cw & 0x3f)
		fx->sw |= X87_ES | X87_BUSY;
}

static void make_simd(const struct form *f, struct vector *v)
{
	const struct simd_row *row = f->row;
	struct maker m;

	maker_init(&m, v);
	v->code32 = row->w != 1 && one_in(&m, 8);
	for (unsigned i = 0; v->code32 && i < 8; i++)
		v->in.gpr[i] = (uint32_t)v->in.gpr[i];
	maybe_pending(&m);
	make_row(&m, row);
}

/* ---- x87 ------------------------------------------------------------------------------- */

/* What a memory operand of @bytes for this row may hold. */
static unsigned random_x87_operand(struct maker *m, const struct x87_row *row, uint8_t out[64])
{
	const char kind = row->name[strlen(row->name) - 3];
	uint64_t mantissa = random_corner(m);
	uint16_t sign_exponent;
	uint32_t f32;

	for (unsigned i = 0; i < 8; i++)
		memcpy(out + 8 * i, &(uint64_t){random64(m)}, 8);
	switch (row->load) {
	case 2:
		memcpy(out, &mantissa, 2);
		break;
	case 4:
		f32 = kind == 'f' ? random_f32(m) : (uint32_t)mantissa;
		memcpy(out, &f32, 4);
		break;
	case 8:
		if (kind == 'f')
			mantissa = random_f64(m);
		memcpy(out, &mantissa, 8);
		break;
	case 10:
		random_f80(m, &mantissa, &sign_exponent);
		if (row->opcode == 0xdf) { /* FBLD: of decimal digits; others are undefined */
			for (unsigned i = 0; i < 9; i++)
				out[i] = (uint8_t)(random_below(m, 10) << 4 | random_below(m, 10));
			out[9] = one_in(m, 2) ? 0x80 : 0;
			break;
		}
		memcpy(out, &mantissa, 8);
		memcpy(out + 8, &sign_exponent, 2);
		break;
	default:
		break;
	}
	return MIN(row->load, 64u);
}

static void make_x87_row(struct maker *m, const struct x87_row *row)
{
	uint8_t operand[64];
	struct insn i = {
		.opcode = row->opcode,
		.has_modrm = true,
		.bytes = row->load | row->store,
		.stores = row->store,
	};

	if (row->flags & (X87_ENV | X87_STATE))
		i.opsize66 = one_in(m, 4);
	if (row->reg == X87_REG_FORM) {
		const unsigned modrm = row->modrm + random_below(m, row->count);

		i.reg = modrm >> 3 & 7;
		i.rm = modrm & 7;
		emit_insn(m, &i);
		return;
	}
	i.memory = true;
	i.reg = row->reg;
	emit_insn(m, &i);
	if (row->load)
		patch(m, i.at, operand, random_x87_operand(m, row, operand));
}

/* The manual leaves C0, C2 and C3 undefined after most instructions. */
static uint16_t undefined_codes(const struct x87_row *row)
{
	static const char *const defined[] = {"fcom",  "fucom", "ftst", "fxam",
	                                      "fprem", "fld",   "fn",   "fr"};

	for (size_t i = 0; i < ARRAY_LEN(defined); i++)
		if (!strncmp(row->name, defined[i], strlen(defined[i])))
			return 0;
	if (!strcmp(row->name, "fsin") || !strcmp(row->name, "fcos") ||
	    !strcmp(row->name, "fptan") || !strcmp(row->name, "fsincos"))
		return X87_C0 | X87_C3;
	return X87_C0 | X87_C2 | X87_C3;
}

static void make_x87(const struct form *f, struct vector *v)
{
	const struct x87_row *row = f->row;
	struct maker m;

	maker_init(&m, v);
	maybe_pending(&m);
	make_x87_row(&m, row);
	v->undefined_sw = undefined_codes(row);
	v->undefined_cr2_offset = row->flags & (X87_ENV | X87_STATE);
	v->undefined_if_fault = row->store == 10; /* eight bytes first, then two */
}

/* ---- all ------------------------------------------------------------------------------- */

/* Instructions after instructions: state that one leaves is what the next begins with. */
static void make_fp_block(const struct form *f, struct vector *v)
{
	const bool with_x87 = f->row != NULL;
	struct maker m;
	unsigned n;

	maker_init(&m, v);
	v->code32 = one_in(&m, 4);
	begin_block(&m);
	n = 2 + random_below(&m, 20);
	for (unsigned k = 0; k < n && v->code_bytes < CODE_MAX - 64; k++) {
		if (with_x87) {
			const struct x87_row *row =
				&x87_rows[random_below(&m, (uint32_t)x87_row_count)];

			if (row->flags & (X87_ENV | X87_STATE | X87_AX) ||
			    !strcmp(row->name, "fbld"))
				continue;
			make_x87_row(&m, row);
		} else {
			const struct simd_row *row =
				&simd_rows[random_below(&m, (uint32_t)simd_row_count)];

			if (row->form == SIMD_MASK_VW || row->form == SIMD_MASK_PQ ||
			    (v->code32 && row->w == 1))
				continue;
			make_row(&m, row);
		}
	}
	v->undefined_sw = X87_C0 | X87_C2 | X87_C3;
}

void forms_fp_each(void (*visit)(const struct form *form, void *ctx), void *ctx)
{
	static const char *const groups[] = {"mmx",    "sse",    "sse2", "sse3",   "ssse3",
	                                     "sse4.1", "sse4.2", "aes",  "pclmul", "sha"};
	static struct form simd_forms[512], x87_forms[256];
	static const struct form blocks[] = {
		{.name = "simd_block", .group = "block", .make = make_fp_block},
		{.name = "x87_block", .group = "block", .make = make_fp_block, .row = x87_rows},
	};

	assert(simd_row_count <= ARRAY_LEN(simd_forms) && x87_row_count <= ARRAY_LEN(x87_forms));
	for (size_t i = 0; i < simd_row_count; i++) {
		simd_forms[i] = (struct form){.name = simd_rows[i].name,
		                              .group = groups[simd_rows[i].feature],
		                              .make = make_simd,
		                              .row = &simd_rows[i]};
		visit(&simd_forms[i], ctx);
	}
	for (size_t i = 0; i < x87_row_count; i++) {
		x87_forms[i] = (struct form){.name = x87_rows[i].name,
		                             .group = "x87",
		                             .make = make_x87,
		                             .row = &x87_rows[i]};
		visit(&x87_forms[i], ctx);
	}
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
		visit(&blocks[i], ctx);
}
