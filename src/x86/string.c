/* SPDX-License-Identifier: MIT */
/*
 * String instructions, a page at a time where that is possible: upwards, both operands in RAM
 * that may be touched directly. Otherwise element by element.
 *
 * Registers are brought up to date after every run, so that a fault or an interrupt in between
 * finds the instruction restartable.
 */
#include "x86/ops.h"
#include "x86/system.h"

/* The work is done by functions that return whether the instruction is complete. */
enum { REP_NONE = 0, REP_NE = 0xf2, REP_E = 0xf3 };

struct string {
	unsigned size;  /* bytes of an element */
	uint64_t mask;  /* of addresses and the count */
	uint64_t count; /* elements left */
	bool rep;
	bool down;
};

static struct string begin(struct x86_cpu *cpu, const struct op *op)
{
	struct string s = {.size = 1u << op->aux, .rep = op->src != REP_NONE};

	s.mask = op->flags & OP_ADDR64   ? UINT64_MAX
	         : op->flags & OP_ADDR32 ? UINT32_MAX
	                                 : UINT16_MAX;
	s.count = s.rep ? cpu->reg[X86_RCX] & s.mask : 1;
	s.down = cpu->rflags & EFLAGS_DF;
	return s;
}

static void set_masked(struct x86_cpu *cpu, const struct string *s, enum x86_gpr reg, uint64_t v)
{
	if (s->mask == UINT16_MAX)
		wr16(cpu, REG(reg), (uint16_t)v);
	else
		cpu->reg[reg] = v & s->mask;
}

/* @n elements are done. */
static void advance(struct x86_cpu *cpu, struct string *s, bool si, bool di, uint64_t n)
{
	uint64_t bytes = s->down ? 0 - n * s->size : n * s->size;

	if (si)
		set_masked(cpu, s, X86_RSI, cpu->reg[X86_RSI] + bytes);
	if (di)
		set_masked(cpu, s, X86_RDI, cpu->reg[X86_RDI] + bytes);
	s->count -= n;
	if (s->rep)
		set_masked(cpu, s, X86_RCX, s->count);
}

static uint64_t source(struct x86_cpu *cpu, const struct op *op, const struct string *s)
{
	uint64_t offset = cpu->reg[X86_RSI] & s->mask;

	return x86_seg_linear(cpu, op, (enum x86_sreg)(op->ea >> 4), offset, s->size, false);
}

static uint64_t target(struct x86_cpu *cpu, const struct op *op, const struct string *s, bool write)
{
	return x86_seg_linear(cpu, op, X86_ES, cpu->reg[X86_RDI] & s->mask, s->size, write);
}

/*
 * How many whole elements from a host address on, and not over the end of the address size,
 * can be handled at once; 0: take the slow way for one.
 */
static uint64_t elements(const struct op *op, const struct string *s, const void *host,
                         unsigned run, uint64_t offset)
{
	if (!host || s->down || (op->flags & OP_STEP))
		return 0;
	if (s->mask != UINT64_MAX)
		run = (unsigned)MIN((uint64_t)run, s->mask - (offset & s->mask) + 1);
	return MIN(s->count, run / s->size);
}

/* Go on after a run, or let an interrupt in between. */
#define STRING_NEXT_RUN                                                                            \
	do {                                                                                       \
		if (!s.count)                                                                      \
			return true;                                                               \
		if (atomic_load_explicit(&cpu->attention, memory_order_relaxed))                   \
			return false;                                                              \
	} while (0)

static uint64_t load_any(struct x86_cpu *cpu, const struct op *op, uint64_t linear, unsigned size)
{
	switch (size) {
	case 1:
		return load8(cpu, op, linear);
	case 2:
		return load16(cpu, op, linear);
	case 4:
		return load32(cpu, op, linear);
	default:
		return load64(cpu, op, linear);
	}
}

static void store_any(struct x86_cpu *cpu, const struct op *op, uint64_t linear, unsigned size,
                      uint64_t v)
{
	switch (size) {
	case 1:
		store8(cpu, op, linear, (uint8_t)v);
		break;
	case 2:
		store16(cpu, op, linear, (uint16_t)v);
		break;
	case 4:
		store32(cpu, op, linear, (uint32_t)v);
		break;
	default:
		store64(cpu, op, linear, v);
		break;
	}
}

/* Host address of one operand, from the TLB or the hard way. */
static void *page_of(struct x86_cpu *cpu, const struct op *op, uint64_t linear, bool write,
                     unsigned *run)
{
	const void *host = write ? tlb_write_hit(cpu, linear, 1) : tlb_read_hit(cpu, linear, 1);

	*run = PAGE_BYTES - (unsigned)(linear & (PAGE_BYTES - 1));
	return LIKELY(host != NULL) ? (void *)host : x86_host_page(cpu, op, linear, write, run);
}

/* Upwards, as the instruction does it: an overlap within reach repeats itself. */
static void copy_up(uint8_t *dst, const uint8_t *src, size_t bytes, unsigned size)
{
	if (dst <= src || dst >= src + bytes) {
		memmove(dst, src, bytes);
		return;
	}
	for (size_t i = 0; i < bytes; i += size) {
		uint64_t v = 0;

		memcpy(&v, src + i, size);
		memcpy(dst + i, &v, size);
	}
}

static OUT_OF_LINE bool movs(struct x86_cpu *cpu, const struct op *op)
{
	struct string s = begin(cpu, op);

	while (s.count) {
		uint64_t from = source(cpu, op, &s), to = target(cpu, op, &s, true), n;
		unsigned run_from, run_to;
		const uint8_t *src = page_of(cpu, op, from, false, &run_from);
		uint8_t *dst = NULL;

		/* All of the source faults before the destination does. */
		n = elements(op, &s, src, run_from, cpu->reg[X86_RSI]);
		if (n) {
			dst = page_of(cpu, op, to, true, &run_to);
			n = MIN(n, elements(op, &s, dst, run_to, cpu->reg[X86_RDI]));
		}
		if (n) {
			copy_up(dst, src, n * s.size, s.size);
		} else {
			store_any(cpu, op, to, s.size, load_any(cpu, op, from, s.size));
			n = 1;
		}
		advance(cpu, &s, true, true, n);
		STRING_NEXT_RUN;
	}
	return true;
}

static OUT_OF_LINE bool stos(struct x86_cpu *cpu, const struct op *op)
{
	struct string s = begin(cpu, op);
	uint64_t v = cpu->reg[X86_RAX];

	while (s.count) {
		uint64_t to = target(cpu, op, &s, true), n;
		unsigned run;
		uint8_t *dst = page_of(cpu, op, to, true, &run);

		n = elements(op, &s, dst, run, cpu->reg[X86_RDI]);
		if (!n) {
			store_any(cpu, op, to, s.size, v);
			n = 1;
		} else if (s.size == 1 || v == 0) {
			memset(dst, (uint8_t)v, n * s.size);
		} else {
			for (uint64_t i = 0; i < n; i++)
				memcpy(dst + i * s.size, &v, s.size);
		}
		advance(cpu, &s, false, true, n);
		STRING_NEXT_RUN;
	}
	return true;
}

static OUT_OF_LINE bool lods(struct x86_cpu *cpu, const struct op *op)
{
	struct string s = begin(cpu, op);

	while (s.count) {
		uint64_t v = load_any(cpu, op, source(cpu, op, &s), s.size);

		switch (s.size) {
		case 1:
			wr8(cpu, REG(X86_RAX), (uint8_t)v);
			break;
		case 2:
			wr16(cpu, REG(X86_RAX), (uint16_t)v);
			break;
		default:
			wr64(cpu, REG(X86_RAX), v);
			break;
		}
		advance(cpu, &s, true, false, 1);
		STRING_NEXT_RUN;
	}
	return true;
}

static void compare_flags(struct x86_cpu *cpu, unsigned size, uint64_t a, uint64_t b)
{
	switch (size) {
	case 1:
		cc_set(cpu, CC_SUB8, SX8(a - b), b);
		break;
	case 2:
		cc_set(cpu, CC_SUB16, SX16(a - b), b);
		break;
	case 4:
		cc_set(cpu, CC_SUB32, SX32(a - b), b);
		break;
	default:
		cc_set(cpu, CC_SUB64, a - b, b);
		break;
	}
}

/*
 * Compare up to @n elements and stop after the first that ends the repetition: for @until_equal
 * (REPNE) an equal pair, else (REPE) an unequal one. Return: elements compared.
 */
static uint64_t compare_run(const uint8_t *a, const uint8_t *b, uint64_t a_step, unsigned size,
                            uint64_t n, bool until_equal)
{
	uint64_t i = 0;

	if (!until_equal && a_step) {
		/* Eight bytes at a time while they agree. */
		uint64_t x, y, bytes = n * size, at = 0;

		for (; at + 8 <= bytes; at += 8) {
			memcpy(&x, a + at, 8);
			memcpy(&y, b + at, 8);
			if (x != y)
				break;
		}
		i = at / size;
	} else if (until_equal && !a_step && size == 1) {
		const uint8_t *found = memchr(b, *a, n);

		return found ? (uint64_t)(found - b) + 1 : n;
	}
	while (i < n)
		if ((memcmp(a + i * a_step, b + i * size, size) == 0) == until_equal)
			return i + 1;
		else
			i++;
	return n;
}

/* CMPS, and SCAS with rAX instead of the source. */
INLINE bool compare_string(struct x86_cpu *cpu, const struct op *op, bool scan)
{
	struct string s = begin(cpu, op);
	bool until_equal = op->src == REP_NE;

	while (s.count) {
		uint64_t from = scan ? 0 : source(cpu, op, &s), a = cpu->reg[X86_RAX], b, n;
		uint64_t to = target(cpu, op, &s, false);
		unsigned run_from, run_to;
		const uint8_t *dst = page_of(cpu, op, to, false, &run_to);
		const uint8_t *src = (const uint8_t *)&a;

		/* Where both would fault it is the destination that does, on hardware as here. */
		n = elements(op, &s, dst, run_to, cpu->reg[X86_RDI]);
		if (n && !scan) {
			src = page_of(cpu, op, from, false, &run_from);
			n = MIN(n, elements(op, &s, src, run_from, cpu->reg[X86_RSI]));
		}
		if (n) {
			uint64_t done =
				compare_run(src, dst, scan ? 0 : s.size, s.size, n, until_equal);

			a = b = 0;
			memcpy(&a,
			       scan ? (const uint8_t *)&cpu->reg[X86_RAX]
			            : src + (done - 1) * s.size,
			       s.size);
			memcpy(&b, dst + (done - 1) * s.size, s.size);
			n = done;
		} else {
			b = load_any(cpu, op, to, s.size);
			if (!scan)
				a = load_any(cpu, op, from, s.size);
			n = 1;
		}
		compare_flags(cpu, s.size, a, b);
		advance(cpu, &s, !scan, true, n);
		if (s.rep && cc_zf(cpu) == until_equal)
			return true;
		STRING_NEXT_RUN;
	}
	return true;
}

static OUT_OF_LINE bool cmps(struct x86_cpu *cpu, const struct op *op)
{
	return compare_string(cpu, op, false);
}

static OUT_OF_LINE bool scas(struct x86_cpu *cpu, const struct op *op)
{
	return compare_string(cpu, op, true);
}

static OUT_OF_LINE bool ins(struct x86_cpu *cpu, const struct op *op)
{
	struct string s = begin(cpu, op);
	uint16_t port = rd16(cpu, REG(X86_RDX));

	cpu->op = op;
	x86_check_io(cpu, port, s.size);
	while (s.count) {
		uint64_t to = target(cpu, op, &s, true);

		/* The port must not be read if the store would fault. */
		x86_check_write(cpu, op, to, s.size);
		store_any(cpu, op, to, s.size,
		          cpu->platform.port_in(cpu->platform.ctx, port, s.size));
		advance(cpu, &s, false, true, 1);
		STRING_NEXT_RUN;
	}
	return true;
}

static OUT_OF_LINE bool outs(struct x86_cpu *cpu, const struct op *op)
{
	struct string s = begin(cpu, op);
	uint16_t port = rd16(cpu, REG(X86_RDX));

	cpu->op = op;
	x86_check_io(cpu, port, s.size);
	while (s.count) {
		uint64_t v = load_any(cpu, op, source(cpu, op, &s), s.size);

		cpu->platform.port_out(cpu->platform.ctx, port, s.size, (uint32_t)v);
		advance(cpu, &s, true, false, 1);
		STRING_NEXT_RUN;
	}
	return true;
}

OP(x86_op_movs)
{
	if (UNLIKELY(!movs(cpu, op)))
		return x86_leave_before(cpu, op);
	NEXT;
}

OP(x86_op_stos)
{
	if (UNLIKELY(!stos(cpu, op)))
		return x86_leave_before(cpu, op);
	NEXT;
}

OP(x86_op_lods)
{
	if (UNLIKELY(!lods(cpu, op)))
		return x86_leave_before(cpu, op);
	NEXT;
}

OP(x86_op_cmps)
{
	if (UNLIKELY(!cmps(cpu, op)))
		return x86_leave_before(cpu, op);
	NEXT;
}

OP(x86_op_scas)
{
	if (UNLIKELY(!scas(cpu, op)))
		return x86_leave_before(cpu, op);
	NEXT;
}

OP(x86_op_ins)
{
	if (UNLIKELY(!ins(cpu, op)))
		return x86_leave_before(cpu, op);
	NEXT;
}

OP(x86_op_outs)
{
	if (UNLIKELY(!outs(cpu, op)))
		return x86_leave_before(cpu, op);
	NEXT;
}
