/* SPDX-License-Identifier: MIT */
/*
 * Vector instructions in the interpreter: from the rows of simd.h to handlers.
 *
 * run() does for any row what simd.h asks of a caller. It is inlined into two fast handlers a row
 * (register and memory operand), where everything about the row is constant and the
 * operation itself is inline, so that an instruction like PADDB costs its loads and stores. The
 * rows' line numbers in simd-rows.h name the handlers. What these cannot do they leave to
 * two handlers that look everything up in the row.
 *
 * In an op, aux is the immediate byte and data the row.
 */
#include "simd/simd-op.h"
#include "x86/flags.h"
#include "x86/mem.h"
#include "x87/fpstate.h"

#if X86_HOST_FP
#include "simd/simd-host.h"
#else
#include "simd/simd-portable.h"
#endif
#include "simd/simd-ops.h"

#define OP_REX_W 0x80u /* in op->flags, for rows that do not differ by it */

INLINE union x86_vec *xmm(struct x86_cpu *cpu, unsigned offset)
{
	return (union x86_vec *)((char *)cpu->xmm + offset);
}

INLINE uint64_t *gpr(struct x86_cpu *cpu, unsigned offset)
{
	return (uint64_t *)((char *)cpu->reg + offset);
}

/* MMX registers are numbered in ops, not offset. */
INLINE void load_mmx(const struct x86_cpu *cpu, unsigned number, union x86_vec *out)
{
	out->v = (simd_host_vec){(long long)cpu->x87.r[number].mantissa, 0};
}

static NOINLINE _Noreturn void raise_xm(struct x86_cpu *cpu, const struct op *op)
{
	x86_raise_at(cpu, op, cpu->s.cr4 & CR4_OSXMMEXCPT ? VEC_XM : VEC_UD, 0);
}

/*
 * Small operands are put into a vector register at once: a vector that is written to memory in
 * parts and read as a whole has to wait for its stores.
 */
INLINE simd_host_vec vector_of(uint64_t low)
{
	return (simd_host_vec){(long long)low, 0};
}

typedef simd_host_vec simd_unaligned_vec __attribute__((aligned(1), may_alias));

INLINE void copy_in(union x86_vec *out, const void *host, unsigned bytes)
{
	uint64_t low = 0;

	if (bytes == 16) {
		out->v = *(const simd_unaligned_vec *)host;
		return;
	}
	memcpy(&low, host, bytes);
	out->v = vector_of(low);
}

INLINE void load_operand(struct x86_cpu *cpu, const struct op *op, uint64_t linear, unsigned bytes,
                         union x86_vec *out)
{
	if (bytes == 16)
		load128(cpu, op, linear, out);
	else if (bytes == 8)
		out->v = vector_of(load64(cpu, op, linear));
	else if (bytes == 4)
		out->v = vector_of(load32(cpu, op, linear));
	else if (bytes == 2)
		out->v = vector_of(load16(cpu, op, linear));
	else
		out->v = vector_of(load8(cpu, op, linear));
}

INLINE void store_operand(struct x86_cpu *cpu, const struct op *op, uint64_t linear, unsigned bytes,
                          const union x86_vec *v)
{
	if (bytes == 16)
		store128(cpu, op, linear, v);
	else if (bytes == 8)
		store64(cpu, op, linear, v->q[0]);
	else if (bytes == 4)
		store32(cpu, op, linear, v->d[0]);
	else if (bytes == 2)
		store16(cpu, op, linear, v->w[0]);
	else
		store8(cpu, op, linear, v->b[0]);
}

/* MASKMOVDQU, MASKMOVQ: bytes that are not selected are not touched, not even by a fault. */
static NOINLINE void store_selected(struct x86_cpu *cpu, const struct op *op,
                                    const union x86_vec *v)
{
	const uint32_t mask = cpu->fp.ecx;
	const uint64_t linear = op_ea_any(cpu, op, 16, true);

	for (unsigned i = 0; i < 16; i++)
		if (mask >> i & 1)
			x86_check_write(cpu, op, linear + i, 1);
	for (unsigned i = 0; i < 16; i++)
		if (mask >> i & 1)
			store8(cpu, op, linear + i, v->b[i]);
}

/*
 * Where the operand by ModRM.rm is, and how its memory is reached. A fast handler answers false,
 * with nothing done, when there is more to do than the operation: a TLB miss, an exception to be
 * raised, exceptions that are not masked. It has no calls to come back from, and so no frame.
 */
enum place { REGISTER, MEMORY, REGISTER_FAST, MEMORY_FAST };

INLINE bool run(struct x86_cpu *cpu, const struct op *op, const struct simd_row row, simd_fn fn,
                enum place place)
{
	const bool memory = place == MEMORY || place == MEMORY_FAST;
	const bool fast = place == REGISTER_FAST || place == MEMORY_FAST;
	const enum simd_form form = (enum simd_form)row.form;
	const bool stores =
		form == SIMD_WV || form == SIMD_QP || form == SIMD_EV || form == SIMD_EP;
	union x86_vec source, result, *dst = &result;
	const union x86_vec *src = &source;
	uint64_t linear = 0;
	void *host = NULL;

	if (memory && row.mod == SIMD_REG) /* there is no such handler */
		return false;
	if (row.flags & SIMD_MMX && UNLIKELY(x87_pending(&cpu->x87))) {
		if (fast)
			return false;
		x86_raise_at(cpu, op, VEC_MF, 0);
	}
	if (fast && row.flags & SIMD_FP && UNLIKELY(cpu->fp.unmasked))
		return false;
	if (memory) {
		linear = fast ? op_ea_simple(cpu, op) : op_ea_any(cpu, op, row.bytes, stores);
		if (row.flags & SIMD_ALIGN && UNLIKELY(linear & 15)) {
			if (fast)
				return false;
			x86_raise_at(cpu, op, VEC_GP, 0);
		}
		if (fast) {
			const struct tlb_entry *e =
				tlb_slot(stores ? cpu->tlb_write : cpu->tlb_read, linear);

			if (UNLIKELY(e->tag != tlb_tag(cpu, linear, row.bytes)))
				return false;
			host = (void *)(linear + e->addend);
		}
		if (fast && !stores)
			copy_in(&source, host, row.bytes);
		else if (!stores)
			load_operand(cpu, op, linear, row.bytes, &source);
	}

	switch (form) { /* the source */
	case SIMD_VW:
	case SIMD_PW:
	case SIMD_GW:
	case SIMD_MASK_VW:
		if (!memory)
			src = xmm(cpu, op->src);
		break;
	case SIMD_WV:
	case SIMD_EV:
		src = xmm(cpu, op->src);
		break;
	case SIMD_VE:
	case SIMD_PE:
		if (!memory) {
			source.v = vector_of(*gpr(cpu, op->src));
		}
		break;
	case SIMD_PQ:
	case SIMD_VQ:
	case SIMD_GQ:
	case SIMD_MASK_PQ:
		if (!memory)
			load_mmx(cpu, op->src, &source);
		break;
	case SIMD_QP:
	case SIMD_EP:
		load_mmx(cpu, op->src, &source);
		break;
	case SIMD_W:
	case SIMD_Q:
		src = &result; /* not read */
		break;
	}
	switch (form) { /* the destination */
	case SIMD_VW:
	case SIMD_VE:
	case SIMD_VQ:
	case SIMD_W:
	case SIMD_MASK_VW:
		dst = xmm(cpu, op->dst);
		break;
	case SIMD_WV:
		if (!memory)
			dst = xmm(cpu, op->dst);
		break;
	case SIMD_PQ:
	case SIMD_PE:
	case SIMD_PW:
	case SIMD_Q:
	case SIMD_MASK_PQ:
		load_mmx(cpu, op->dst, &result);
		break;
	default:
		break;
	}
	if (row.map == SIMD_0F3A && (row.opcode == 0x60 || row.opcode == 0x61)) {
		const bool wide = op->flags & OP_REX_W;
		const uint64_t *reg = cpu->reg;

		cpu->fp.rax = wide ? (int64_t)reg[X86_RAX] : (int32_t)reg[X86_RAX];
		cpu->fp.rdx = wide ? (int64_t)reg[X86_RDX] : (int32_t)reg[X86_RDX];
	}

	/* Even if the instruction ends with #XM; tags wait for a store to succeed, TOP does not. */
	if (row.flags & SIMD_MMX) {
		const uint8_t tag = cpu->x87.tag;

		x87_enter_mmx(&cpu->x87);
		if (stores && memory)
			cpu->x87.tag = tag;
	}
	if (!fast && row.flags & SIMD_FP && cpu->fp.unmasked) {
		if (simd_run_checked(op->data, dst, src, op->aux, &cpu->fp))
			raise_xm(cpu, op);
	} else {
		fn(dst, src, op->aux, &cpu->fp);
	}

	if (stores && memory) {
		if (!fast)
			store_operand(cpu, op, linear, row.bytes, dst);
		else if (row.bytes == 16)
			*(simd_unaligned_vec *)host = dst->v;
		else
			memcpy(host, dst, row.bytes);
		if (row.flags & SIMD_MMX)
			x87_enter_mmx(&cpu->x87);
	}
	if (form == SIMD_MASK_VW || form == SIMD_MASK_PQ)
		store_selected(cpu, op, dst);
	switch (form) {
	case SIMD_PQ:
	case SIMD_PE:
	case SIMD_PW:
	case SIMD_Q:
		x87_set_mmx(&cpu->x87, op->dst, dst->q[0]);
		break;
	case SIMD_QP:
		if (!memory)
			x87_set_mmx(&cpu->x87, op->dst, dst->q[0]);
		break;
	case SIMD_EV:
	case SIMD_EP:
		if (!memory)
			*gpr(cpu, op->dst) = dst->q[0];
		break;
	case SIMD_GW:
	case SIMD_GQ:
		*gpr(cpu, op->dst) = dst->q[0];
		break;
	default:
		break;
	}
	if (row.flags & SIMD_EFLAGS)
		cc_set_explicit(cpu, cpu->fp.eflags);
	if (row.flags & SIMD_ECX)
		cpu->reg[X86_RCX] = cpu->fp.ecx;
	return true;
}

/* ---- handlers -------------------------------------------------------------------------- */

/*
 * Any row, in any way; for what the fast handlers leave, and rows the host does not have. A
 * handler that gave somebody the address of a variable of its own could not jump to the next one
 * any more: so this, and all such below, is a function that handlers call.
 */
static NOINLINE void run_any(struct x86_cpu *cpu, const struct op *op, bool memory)
{
	const struct simd_row *row = op->data;

	if (memory)
		run(cpu, op, *row, row->fn, MEMORY);
	else
		run(cpu, op, *row, row->fn, REGISTER);
}

static NOINLINE OP(any_with_register)
{
	run_any(cpu, op, false);
	NEXT;
}

static NOINLINE OP(any_with_memory)
{
	run_any(cpu, op, true);
	NEXT;
}

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)

#define HANDLERS(function, ...)                                                                    \
	static const struct op *PASTE(with_register_, __LINE__)(struct x86_cpu * cpu,              \
	                                                        const struct op *op)               \
	{                                                                                          \
		if (UNLIKELY(!run(cpu, op,                                                         \
		                  (const struct simd_row)SIMD_ROW_INIT(function, __VA_ARGS__),     \
		                  op_##function, REGISTER_FAST)))                                  \
			return any_with_register(cpu, op);                                         \
		NEXT;                                                                              \
	}                                                                                          \
	static const struct op *PASTE(with_memory_, __LINE__)(struct x86_cpu * cpu,                \
	                                                      const struct op *op)                 \
	{                                                                                          \
		if (UNLIKELY(!run(cpu, op,                                                         \
		                  (const struct simd_row)SIMD_ROW_INIT(function, __VA_ARGS__),     \
		                  op_##function, MEMORY_FAST)))                                    \
			return any_with_memory(cpu, op);                                           \
		NEXT;                                                                              \
	}
#define ROW HANDLERS
#include "simd/simd-rows.h"
#undef ROW

static const struct {
	op_fn *with_register, *with_memory;
} handlers[] = {
#define ROW(...) {PASTE(with_register_, __LINE__), PASTE(with_memory_, __LINE__)},
#include "simd/simd-rows.h"
#undef ROW
};

bool x86_simd_handlers_at(size_t i, op_fn **with_register, op_fn **with_memory)
{
	if (i > simd_row_count)
		return false;
	*with_register = i < simd_row_count ? handlers[i].with_register : any_with_register;
	*with_memory = i < simd_row_count ? handlers[i].with_memory : any_with_memory;
	return true;
}

/* ---- saved state ----------------------------------------------------------------------- */

static struct fpstate fpstate_of(struct x86_cpu *cpu, const struct op *op)
{
	return (struct fpstate){
		.x87 = &cpu->x87,
		.env = &cpu->fp,
		.xmm = cpu->xmm,
		.n_xmm = cpu->code_mode & CODE_64 ? 16 : 8,
		.wide_pointers = op->flags & OP_REX_W,
	};
}

static uint64_t area(struct x86_cpu *cpu, const struct op *op, unsigned bytes, unsigned align,
                     bool write)
{
	const uint64_t linear = op_ea_any(cpu, op, bytes, write);

	if (linear & (align - 1))
		x86_raise_at(cpu, op, VEC_GP, 0);
	return linear;
}

static NOINLINE void fxsave(struct x86_cpu *cpu, const struct op *op)
{
	const struct fpstate s = fpstate_of(cpu, op);
	const uint64_t linear = area(cpu, op, FPSTATE_FXSAVE_BYTES, 16, true);
	uint8_t image[FPSTATE_FXSAVE_BYTES] = {0};

	x86_check_write(cpu, op, linear, FPSTATE_FXSAVE_BYTES);
	fpstate_fxsave(&s, image);
	x86_store_bytes(cpu, op, linear, image, 160 + 16 * s.n_xmm);
}

OP(x86_op_fxsave)
{
	fxsave(cpu, op);
	NEXT;
}

static NOINLINE void fxrstor(struct x86_cpu *cpu, const struct op *op)
{
	const struct fpstate s = fpstate_of(cpu, op);
	const uint64_t linear = area(cpu, op, FPSTATE_FXSAVE_BYTES, 16, false);
	uint8_t image[FPSTATE_FXSAVE_BYTES];

	x86_load_bytes(cpu, op, linear, image, sizeof(image));
	if (!fpstate_fxrstor(&s, image))
		x86_raise_at(cpu, op, VEC_GP, 0);
}

OP(x86_op_fxrstor)
{
	fxrstor(cpu, op);
	NEXT;
}

static uint64_t requested_features(const struct x86_cpu *cpu)
{
	return cpu->s.xcr0 & (cpu->reg[X86_RDX] << 32 | (uint32_t)cpu->reg[X86_RAX]);
}

static NOINLINE void xsave(struct x86_cpu *cpu, const struct op *op, bool optimize)
{
	const struct fpstate s = fpstate_of(cpu, op);
	uint8_t image[FPSTATE_XSAVE_BYTES];
	uint64_t linear;

	if (!(cpu->s.cr4 & CR4_OSXSAVE))
		x86_raise_at(cpu, op, VEC_UD, 0);
	linear = area(cpu, op, sizeof(image), 64, true);
	x86_check_write(cpu, op, linear, sizeof(image));
	x86_load_bytes(cpu, op, linear, image, sizeof(image));
	fpstate_xsave(&s, image, requested_features(cpu), optimize);
	x86_store_bytes(cpu, op, linear, image, sizeof(image));
}

OP(x86_op_xsave)
{
	xsave(cpu, op, false);
	NEXT;
}

OP(x86_op_xsaveopt)
{
	xsave(cpu, op, true);
	NEXT;
}

static NOINLINE void xrstor(struct x86_cpu *cpu, const struct op *op)
{
	const struct fpstate s = fpstate_of(cpu, op);
	uint8_t image[FPSTATE_XSAVE_BYTES];
	uint64_t linear;

	if (!(cpu->s.cr4 & CR4_OSXSAVE))
		x86_raise_at(cpu, op, VEC_UD, 0);
	linear = area(cpu, op, sizeof(image), 64, false);
	x86_load_bytes(cpu, op, linear, image, sizeof(image));
	if (!fpstate_xrstor(&s, image, requested_features(cpu), cpu->s.xcr0))
		x86_raise_at(cpu, op, VEC_GP, 0);
}

OP(x86_op_xrstor)
{
	xrstor(cpu, op);
	NEXT;
}

static OP(op_ldmxcsr)
{
	const uint32_t value = load32(cpu, op, op_ea_any(cpu, op, 4, false));

	if (value & ~MXCSR_VALID)
		x86_raise_at(cpu, op, VEC_GP, 0);
	simd_set_mxcsr(&cpu->fp, value);
	NEXT;
}

static OP(op_stmxcsr)
{
	store32(cpu, op, op_ea_any(cpu, op, 4, true), simd_get_mxcsr(&cpu->fp));
	NEXT;
}

void x86_fp_get_state(struct x86_cpu *cpu, struct x86_state *out)
{
	const struct x87 *f = &cpu->x87;

	memcpy(out->fpr, f->r, sizeof(out->fpr));
	out->fcw = f->cw;
	out->fsw = f->sw;
	out->ftw = f->tag;
	out->fop = f->op;
	out->fip = f->ip;
	out->fdp = f->dp;
	out->fcs = 0;
	out->fds = 0;
	out->mxcsr = simd_get_mxcsr(&cpu->fp);
	memcpy(out->xmm, cpu->xmm, sizeof(out->xmm));
}

void x86_fp_set_state(struct x86_cpu *cpu, const struct x86_state *in)
{
	struct x87 *f = &cpu->x87;

	memcpy(f->r, in->fpr, sizeof(f->r));
	f->cw = (uint16_t)((in->fcw & 0x1f3f) | 0x40); /* bits that exist */
	f->sw = in->fsw;
	f->tag = in->ftw;
	f->op = in->fop;
	f->ip = in->fip;
	f->dp = in->fdp;
	x87_loaded(f);
	cpu->fp.xmm0 = &cpu->xmm[0];
	simd_set_mxcsr(&cpu->fp, in->mxcsr);
	memcpy(cpu->xmm, in->xmm, sizeof(cpu->xmm));
}

/* ---- the rest -------------------------------------------------------------------------- */

static OP(op_emms)
{
	if (UNLIKELY(x87_pending(&cpu->x87)))
		x86_raise_at(cpu, op, VEC_MF, 0);
	x87_emms(&cpu->x87);
	NEXT;
}

static OP(op_movnti32)
{
	store32(cpu, op, op_ea_any(cpu, op, 4, true), (uint32_t)*gpr(cpu, op->src));
	NEXT;
}

static OP(op_movnti64)
{
	store64(cpu, op, op_ea_any(cpu, op, 8, true), *gpr(cpu, op->src));
	NEXT;
}

/* ---- decoding -------------------------------------------------------------------------- */

static enum simd_prefix mandatory_prefix(const struct decoder *d)
{
	if (d->rep)
		return d->rep == 0xf3 ? SIMD_F3 : SIMD_F2;
	return d->opsize66 ? SIMD_66 : SIMD_NP;
}

/* What an op's register field holds for each operand. */
enum operand { NONE, XMM, MMX, GPR };

static const struct {
	uint8_t reg, rm;
	bool rm_is_dst;
} operands[] = {
	[SIMD_VW] = {XMM, XMM, false},      [SIMD_WV] = {XMM, XMM, true},
	[SIMD_PQ] = {MMX, MMX, false},      [SIMD_QP] = {MMX, MMX, true},
	[SIMD_VE] = {XMM, GPR, false},      [SIMD_EV] = {XMM, GPR, true},
	[SIMD_PE] = {MMX, GPR, false},      [SIMD_EP] = {MMX, GPR, true},
	[SIMD_GW] = {GPR, XMM, false},      [SIMD_GQ] = {GPR, MMX, false},
	[SIMD_VQ] = {XMM, MMX, false},      [SIMD_PW] = {MMX, XMM, false},
	[SIMD_W] = {NONE, XMM, true},       [SIMD_Q] = {NONE, MMX, true},
	[SIMD_MASK_VW] = {XMM, XMM, false}, [SIMD_MASK_PQ] = {MMX, MMX, false},
};

static uint8_t operand_field(enum operand kind, unsigned number)
{
	switch (kind) {
	case XMM:
		return (uint8_t)(number * sizeof(union x86_vec));
	case MMX:
		return (uint8_t)(number & 7);
	case GPR:
		return REG(number);
	default:
		return 0;
	}
}

/* The implicit operand DS:rDI of MASKMOVDQU. */
static void address_rdi(const struct decoder *d, struct op *op)
{
	const unsigned seg = d->seg >= 0 ? (unsigned)d->seg : X86_DS;
	const bool wide = d->mode & CODE_64 && !d->addr67;
	const bool flat = wide && seg != X86_FS && seg != X86_GS;

	op->base = REG(X86_RDI);
	op->index = REG(REG_ZERO);
	op->scale = 0;
	op->disp = 0;
	op->ea = (uint8_t)((flat ? EA_BASE : EA_GENERAL) | seg << 4);
	if (wide)
		op->flags |= OP_ADDR64;
	else if (d->mode & CODE_64 || !(d->mode & CODE_32) == d->addr67)
		op->flags |= OP_ADDR32;
}

static bool decode_state(struct decoder *d, struct op *op, unsigned reg)
{
	static op_fn *const plain[8] = {x86_op_fxsave, x86_op_fxrstor, op_ldmxcsr,      op_stmxcsr,
	                                x86_op_xsave,  x86_op_xrstor,  x86_op_xsaveopt, NULL};

	if (!plain[reg] || mandatory_prefix(d) != SIMD_NP)
		return false;
	x86_decode_modrm(d, op, 0);
	if (d->rex & 8)
		op->flags |= OP_REX_W;
	op->fn = d->mode & CODE_NO_FPU ? x86_op_no_fpu : plain[reg];
	if ((reg == 2 || reg == 3) && d->mode & CODE_NO_SSE)
		op->fn = x86_op_no_sse;
	return true;
}

static bool decode_movnti(struct decoder *d, struct op *op)
{
	if (mandatory_prefix(d) != SIMD_NP)
		return false;
	x86_decode_modrm(d, op, 0);
	op->src = REG(d->reg);
	op->fn = d->rex & 8 ? op_movnti64 : op_movnti32;
	return true;
}

bool x86_decode_simd(struct decoder *d, struct op *op)
{
	const struct simd_row *row;
	bool memory, wide;
	uint8_t modrm;
	size_t index;

	if (d->lock)
		return false;
	if (d->map == MAP_0F && d->opcode == 0x77) {
		op->fn = d->mode & CODE_NO_FPU ? x86_op_no_fpu : op_emms;
		return mandatory_prefix(d) == SIMD_NP;
	}
	if (d->pos >= d->avail) {
		d->overrun = true;
		return false;
	}
	modrm = d->bytes[d->pos];
	memory = modrm < 0xc0;
	wide = d->rex & 8;
	if (d->map == MAP_0F && memory && d->opcode == 0xae)
		return decode_state(d, op, modrm >> 3 & 7);
	if (d->map == MAP_0F && memory && d->opcode == 0xc3)
		return decode_movnti(d, op);

	row = simd_lookup(d->map == MAP_0F     ? SIMD_0F
	                  : d->map == MAP_0F38 ? SIMD_0F38
	                                       : SIMD_0F3A,
	                  mandatory_prefix(d), d->opcode, modrm >> 3 & 7, memory, wide);
	if (!row)
		return false;
	x86_decode_modrm(d, op, row->flags & SIMD_IMM ? 1 : 0);
	if (row->flags & SIMD_IMM)
		op->aux = x86_decode_u8(d);
	if (wide)
		op->flags |= OP_REX_W;
	op->data = row;
	d->has_row = true;

	if (operands[row->form].rm_is_dst) {
		op->src = operand_field(operands[row->form].reg, d->reg);
		op->dst = memory ? 0 : operand_field(operands[row->form].rm, d->rm);
	} else {
		op->dst = operand_field(operands[row->form].reg, d->reg);
		op->src = memory ? 0 : operand_field(operands[row->form].rm, d->rm);
	}
	if (row->form == SIMD_MASK_VW || row->form == SIMD_MASK_PQ)
		address_rdi(d, op);

	if (d->mode & CODE_NO_FPU) {
		op->fn = x86_op_no_fpu;
	} else if (d->mode & CODE_NO_SSE && !(row->flags & SIMD_MMX)) {
		op->fn = x86_op_no_sse;
	} else if (row >= simd_rows && row < simd_rows + simd_row_count) {
		index = (size_t)(row - simd_rows);
		op->fn = memory ? handlers[index].with_memory : handlers[index].with_register;
		/* MASKMOV stores where ModRM does not say. */
		if (row->form == SIMD_MASK_VW || row->form == SIMD_MASK_PQ)
			op->fn = any_with_register;
		if (memory && (op->ea & 3) == EA_GENERAL)
			op->fn = any_with_memory;
		/* PCMPxSTRx is a call: see run_any(). */
		if (row->map == SIMD_0F3A && (row->opcode & 0xfc) == 0x60)
			op->fn = memory ? any_with_memory : any_with_register;
		d->pure = !memory && !(row->flags & (SIMD_FP | SIMD_MMX)) &&
		          row->form != SIMD_MASK_VW;
		d->sets_flags = row->flags & SIMD_EFLAGS;
	} else {
		op->fn = memory ? any_with_memory : any_with_register;
	}
	return true;
}
