/* SPDX-License-Identifier: MIT */
/*
 * From bytes to ops.
 *
 * x86_decode_trace() decodes instruction after instruction into an array of ops. Then it goes
 * over them backwards to find flags that nobody reads: an instruction whose flags are all set
 * again by a later one gets the handler that leaves them alone, provided that everything in
 * between is "pure" (cannot fault, cannot leave the trace), so that no one can ever see them.
 *
 * The bytes are the guest's: any byte string must decode to something, if only #UD.
 */
#include "x86/decode.h"
#include "x86/cache.h"
#include "x86/pairs.h"

/* ---- bytes ----------------------------------------------------------------------------- */

uint32_t x86_decode_u32(struct decoder *d)
{
	const uint8_t *b = d->bytes + d->pos;

	if (d->avail - d->pos < 4) {
		d->overrun = true;
		d->pos = d->avail;
		return 0;
	}
	d->pos += 4;
	return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* ---- operands -------------------------------------------------------------------------- */

/* 16-bit addressing: BX, BP, SI, DI in eight fixed sums. */
static void modrm_16(struct decoder *d, struct op *op)
{
	static const uint8_t bases[8] = {X86_RBX, X86_RBX, X86_RBP, X86_RBP,
	                                 X86_RSI, X86_RDI, X86_RBP, X86_RBX};
	static const uint8_t indexes[8] = {X86_RSI,  X86_RDI,  X86_RSI,  X86_RDI,
	                                   REG_ZERO, REG_ZERO, REG_ZERO, REG_ZERO};
	unsigned rm = d->modrm & 7, base = bases[rm];

	if (d->mod == 0 && rm == 6) {
		base = REG_ZERO;
		op->disp = (int16_t)decode_u16(d);
	} else if (d->mod == 1) {
		op->disp = (int8_t)x86_decode_u8(d);
	} else if (d->mod == 2) {
		op->disp = (int16_t)decode_u16(d);
	}
	op->base = REG(base);
	op->index = REG(indexes[rm]);
	op->ea = ea_of(EA_GENERAL, d->seg >= 0       ? (unsigned)d->seg
	                           : base == X86_RBP ? X86_SS
	                                             : X86_DS);
}

void x86_decode_modrm(struct decoder *d, struct op *op, unsigned imm_follows)
{
	unsigned base, index = REG_ZERO, scale = 0, seg = X86_DS, size = addr_size(d), pseudo;
	bool rip = false, wide;

	d->modrm = x86_decode_u8(d);
	d->mod = d->modrm >> 6;
	d->reg = (uint8_t)((d->modrm >> 3 & 7) | (d->rex & 4) << 1);
	d->rm = (uint8_t)((d->modrm & 7) | (d->rex & 1) << 3);
	if (d->mod == 3)
		return;
	set_addr_flags(d, op);
	if (size == 1) {
		modrm_16(d, op);
		return;
	}
	base = d->rm;
	if ((base & 7) == 4) {
		uint8_t sib = x86_decode_u8(d);

		base = (sib & 7u) | (d->rex & 1u) << 3;
		index = (sib >> 3 & 7u) | (d->rex & 2u) << 2;
		scale = sib >> 6;
		if (index == 4) {
			index = REG_ZERO;
			scale = 0;
		}
		if ((base & 7) == 5 && d->mod == 0)
			base = REG_ZERO;
	} else if ((base & 7) == 5 && d->mod == 0) {
		base = REG_ZERO;
		rip = d->mode & CODE_64;
	}
	if (base == X86_RSP || base == X86_RBP)
		seg = X86_SS;
	if (d->seg >= 0)
		seg = (unsigned)d->seg;
	if (d->mod == 1)
		op->disp = (int8_t)x86_decode_u8(d);
	else if (d->mod == 2 || base == REG_ZERO)
		op->disp = (int32_t)x86_decode_u32(d);

	/* Special forms become ordinary ones by pseudo registers where those can express them. */
	wide = size == 3;
	pseudo = seg == X86_FS ? REG_FS : seg == X86_GS ? REG_GS : REG_ZERO;
	if (rip) {
		int64_t disp = (int64_t)op->disp + d->page_off + d->pos + imm_follows;

		if (wide && disp == (int32_t)disp) {
			op->disp = (int32_t)disp;
			base = REG_PAGE;
		} else {
			op->flags |= OP_RIP;
			wide = false;
		}
	}
	if (wide && pseudo != REG_ZERO) {
		if (base == REG_ZERO) {
			base = pseudo;
		} else if (index == REG_ZERO) {
			index = pseudo;
		} else {
			wide = false;
		}
	}
	op->base = REG(base);
	op->index = REG(index);
	op->scale = (uint8_t)scale;
	op->ea = ea_of(!wide ? EA_GENERAL : index == REG_ZERO ? EA_BASE : EA_INDEX, seg);
}

/* ---- instructions and traces ----------------------------------------------------------- */

static bool decode_prefixes(struct decoder *d)
{
	for (;;) {
		uint8_t b = x86_decode_u8(d);

		if (d->overrun)
			return false;
		switch (b) {
		case 0x66:
			d->opsize66 = true;
			break;
		case 0x67:
			d->addr67 = true;
			break;
		case 0xf0:
			d->lock = true;
			break;
		case 0xf2:
		case 0xf3:
			d->rep = b;
			break;
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
			/* Null prefixes in 64-bit code, but for cancelling nothing. */
			if (!(d->mode & CODE_64))
				d->seg = (int8_t)(b >> 3 & 3);
			break;
		case 0x64:
		case 0x65:
			d->seg = b == 0x64 ? X86_FS : X86_GS;
			break;
		default:
			if ((d->mode & CODE_64) && (b & 0xf0) == 0x40) {
				d->rex = b;
				continue; /* only the last byte before the opcode counts */
			}
			d->opcode = b;
			return true;
		}
		d->rex = 0;
	}
}

static void decode_one(struct one *o, struct op *op)
{
	struct decoder *d = &o->d;
	bool known = false;

	op->base = op->index = REG(REG_ZERO);
	if (decode_prefixes(d)) {
		if (d->rex & 8)
			d->size = 3;
		else if (d->mode & (CODE_64 | CODE_32))
			d->size = d->opsize66 ? 1 : 2;
		else
			d->size = d->opsize66 ? 2 : 1;
		if (d->opcode != 0x0f) {
			known = x86_decode_map1(o, op);
		} else {
			d->opcode = x86_decode_u8(d);
			d->map = MAP_0F;
			if (d->opcode == 0x38 || d->opcode == 0x3a) {
				d->map = d->opcode == 0x38 ? MAP_0F38 : MAP_0F3A;
				d->opcode = x86_decode_u8(d);
			}
			known = d->map == MAP_0F     ? x86_decode_map0f(o, op)
			        : d->map == MAP_0F38 ? x86_decode_map38(o, op)
			                             : x86_decode_simd(d, op);
		}
	}
	if (d->pos > 15) {
		d->pos = 15;
		d->overrun = false;
		ends(o, op, x86_op_gp);
		o->jumps = false;
	} else if (!known || (d->lock && !o->lockable)) {
		ends(o, op, x86_op_ud);
		o->jumps = false;
	} else {
		return;
	}
	d->pure = d->sets_flags = false;
	d->no_flags = NULL;
	o->fuse = FUSE_NONE;
}

/* Make the compare before a Jcc and the Jcc one op. */
static bool fuse(struct op *prev, enum fuse what, unsigned size, unsigned cond)
{
	op_fn *fn = NULL;

	switch (what) {
	case FUSE_NONE:
		return false;
	case FUSE_CMP_RR:
		fn = x86_cmp_rr_jcc[cond][size];
		break;
	case FUSE_TEST_RR:
		fn = x86_test_rr_jcc[cond][size];
		break;
	case FUSE_CMP_RI:
		fn = x86_cmp_ri_jcc[cond][size];
		break;
	case FUSE_TEST_RI:
		fn = x86_test_ri_jcc[cond][size];
		break;
	case FUSE_CMP_RM:
		fn = x86_cmp_rm_jcc[cond][size];
		break;
	case FUSE_CMP_MR:
		fn = x86_cmp_mr_jcc[cond][size];
		break;
	}
	if (!fn)
		return false;
	if (what == FUSE_CMP_RI || what == FUSE_TEST_RI)
		prev->disp = (int32_t)prev->imm; /* imm makes room for the link */
	prev->fn = fn;
	return true;
}

/* What the backward pass needs to know of each op. */
struct effect {
	op_fn *no_flags;
	bool pure, sets, reads;
};

static void drop_dead_flags(struct op *ops, const struct effect *effects, unsigned n)
{
	bool live = true;

	for (unsigned i = n; i-- > 0;) {
		const struct effect *e = &effects[i];

		if (e->pure && e->no_flags && !live) {
			ops[i].fn = e->no_flags;
			live = e->reads && !e->sets ? live : e->reads;
		} else if (e->pure) {
			live = (live && !e->sets) || e->reads;
		} else {
			live = true;
		}
	}
}

void x86_decode_trace(struct x86_cpu *cpu, struct trace_info *t, const uint8_t *bytes,
                      unsigned avail, unsigned page_off, uint8_t mode)
{
	unsigned pos = 0, n_ops = 0, insns = 0, n_stubs = 0;
	unsigned limit = (mode & CODE_STEP) || t->crosses ? 1 : TRACE_INSNS;
	struct effect effects[TRACE_INSNS + 1];
	struct {
		unsigned owner;
		int64_t target;
	} stubs[TRACE_INSNS + 1];
	enum fuse last_fuse = FUSE_NONE;
	unsigned last_size = 0;
	bool ended = false;

	while (insns < limit && !ended && pos < avail) {
		struct op *op = &t->ops[n_ops];
		struct one o = {.cond = -1};

		memset(op, 0, sizeof(*op));
		o.d.cpu = cpu;
		o.d.bytes = bytes + pos;
		o.d.avail = MIN(avail - pos, 16u);
		o.d.mode = mode;
		o.d.seg = -1;
		o.d.page_off = (uint16_t)(page_off + pos);
		decode_one(&o, op);
		if (o.d.overrun) {
			if (insns)
				break;
			if (!t->crosses) {
				t->n_ops = 0;
				return;
			}
			/* More than 15 bytes. */
			ends(&o, op, x86_op_gp);
			o.jumps = false;
			o.d.pos = 15;
		}
		insns++;
		pos += o.d.pos;
		ended = o.d.ends;
		if (o.jumps && o.cond >= 0 && n_ops &&
		    fuse(op - 1, last_fuse, last_size, (unsigned)o.cond)) {
			op--;
			op->len = (uint8_t)(op->len + o.d.pos);
			op->n = (uint8_t)insns;
			effects[n_ops - 1] = (struct effect){0};
			stubs[n_stubs].owner = n_ops - 1;
			stubs[n_stubs++].target = o.target;
			last_fuse = FUSE_NONE;
			continue;
		}
		op->off = (uint16_t)(page_off + pos - o.d.pos);
		op->len = (uint8_t)o.d.pos;
		op->n = (uint8_t)insns;
		if (n_ops == 0)
			op->flags |= OP_FIRST;
		if (o.d.has_row)
			t->rows |= UINT64_C(1) << n_ops;
		effects[n_ops] =
			(struct effect){o.d.no_flags, o.d.pure, o.d.sets_flags, o.reads_flags};
		if (o.jumps) {
			stubs[n_stubs].owner = n_ops;
			stubs[n_stubs++].target = o.target;
		}
		last_fuse = o.fuse;
		last_size = o.d.size;
		n_ops++;
	}
	drop_dead_flags(t->ops, effects, n_ops);
	x86_pair_ops(t->ops, n_ops);
	if (!ended || (mode & CODE_STEP)) {
		struct op *op = &t->ops[n_ops];

		*op = (struct op){.fn = mode & CODE_STEP ? x86_op_step_end : x86_op_fall,
		                  .disp = (int32_t)(page_off + pos),
		                  .n = (uint8_t)insns};
		if (!(mode & CODE_STEP)) {
			stubs[n_stubs].owner = n_ops;
			stubs[n_stubs++].target = page_off + pos;
		}
		n_ops++;
	}
	for (unsigned i = 0; i < n_stubs; i++) {
		t->ops[n_ops] = (struct op){.fn = x86_op_stub,
		                            .disp = (int32_t)stubs[i].target,
		                            .off = (uint16_t)(n_ops - stubs[i].owner)};
		n_ops++;
	}
	t->n_ops = n_ops;
	t->bytes = pos;
}
