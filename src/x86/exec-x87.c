/* SPDX-License-Identifier: MIT */
/*
 * x87 instructions in the interpreter: from the rows of x87.h to handlers.
 *
 * In an op, data is the row, src the ModRM byte, dst the low bits of the opcode and aux the
 * argument @i of the row's function.
 */
#include "x86/flags.h"
#include "x86/mem.h"
#include "x87/x87.h"

static NOINLINE _Noreturn void raise_mf(struct x86_cpu *cpu, const struct op *op)
{
	x86_raise_at(cpu, op, VEC_MF, 0);
}

/* Before the operand is touched. */
INLINE void begin(struct x86_cpu *cpu, const struct op *op)
{
	if (UNLIKELY(x87_pending(&cpu->x87)))
		raise_mf(cpu, op);
}

/* What else is kept of an instruction that raised an exception. */
static NOINLINE void note_exception(struct x86_cpu *cpu, const struct op *op, bool memory,
                                    uint64_t linear)
{
	const unsigned seg = op->ea >> 4;
	struct x87 *f = &cpu->x87;
	uint64_t base = 0;

	if (seg == X86_FS || seg == X86_GS)
		base = cpu->reg[seg == X86_FS ? REG_FS : REG_GS];
	else if (!(cpu->code_mode & CODE_64) && seg < X86_SREGS)
		base = cpu->s.seg[seg].base;
	f->op = (uint16_t)((op->dst & 7) << 8 | op->src);
	if (memory)
		f->dp = linear - base;
}

/* After it. */
INLINE void finish(struct x86_cpu *cpu, const struct op *op, bool memory, uint64_t linear)
{
	cpu->x87.ip = op_rip(cpu, op);
	if (UNLIKELY(x87_pending(&cpu->x87)))
		note_exception(cpu, op, memory, linear);
}

INLINE const struct x87_row *row_of(const struct op *op)
{
	return op->data;
}

static OP(x87_register)
{
	begin(cpu, op);
	row_of(op)->fn(&cpu->x87, NULL, op->aux);
	finish(cpu, op, false, 0);
	NEXT;
}

static OP(x87_register_flags)
{
	const struct x87_row *row = row_of(op);

	begin(cpu, op);
	if (row->flags & X87_READS_EFLAGS)
		cpu->x87.eflags = (uint32_t)cc_flags(cpu);
	row->fn(&cpu->x87, NULL, op->aux);
	if (row->flags & X87_WRITES_EFLAGS)
		cc_set_explicit(cpu, cpu->x87.eflags);
	finish(cpu, op, false, 0);
	NEXT;
}

/*
 * What gives its row's function the address of an operand is called by the handler and not part of
 * it: a handler whose variables others know could not jump to the next one.
 */
#define CALLED static __attribute__((noinline)) void

CALLED control(struct x86_cpu *cpu, const struct op *op)
{
	const struct x87_row *row = row_of(op);
	union x87_mem m;

	if (!(row->flags & X87_NO_WAIT))
		begin(cpu, op);
	row->fn(&cpu->x87, &m, op->aux);
	if (row->flags & X87_AX)
		memcpy(&cpu->reg[X86_RAX], &m, 2);
}

static OP(x87_control)
{
	control(cpu, op);
	NEXT;
}

#define X87_LOAD(bits, member)                                                                     \
	CALLED load_operand##bits(struct x86_cpu *cpu, const struct op *op)                        \
	{                                                                                          \
		union x87_mem m;                                                                   \
		uint64_t linear;                                                                   \
                                                                                                   \
		begin(cpu, op);                                                                    \
		linear = op_ea_any(cpu, op, bits / 8, false);                                      \
		m.member[0] = load##bits(cpu, op, linear);                                         \
		row_of(op)->fn(&cpu->x87, &m, op->aux);                                            \
		finish(cpu, op, true, linear);                                                     \
	}                                                                                          \
	static OP(x87_load##bits)                                                                  \
	{                                                                                          \
		load_operand##bits(cpu, op);                                                       \
		NEXT;                                                                              \
	}
X87_LOAD(16, w)
X87_LOAD(32, d)
X87_LOAD(64, q)

CALLED load_operand80(struct x86_cpu *cpu, const struct op *op)
{
	union x87_mem m;
	uint64_t linear;

	begin(cpu, op);
	linear = op_ea_any(cpu, op, 10, false);
	x86_load_bytes(cpu, op, linear, &m, 10);
	row_of(op)->fn(&cpu->x87, &m, op->aux);
	finish(cpu, op, true, linear);
}

static OP(x87_load80)
{
	load_operand80(cpu, op);
	NEXT;
}

/*
 * A store that an unmasked exception suppresses cannot fault either. Return: whether it was such
 * a one; it is done then.
 */
static NOINLINE bool stopped_store(struct x86_cpu *cpu, const struct op *op)
{
	const struct x87 before = cpu->x87;
	union x87_mem m;

	if (!row_of(op)->fn(&cpu->x87, &m, op->aux))
		return true;
	cpu->x87 = before;
	x87_loaded(&cpu->x87);
	return false;
}

/* The store comes after the instruction, but its fault must come before. */
CALLED store(struct x86_cpu *cpu, const struct op *op, unsigned bytes)
{
	union x87_mem m;
	uint64_t linear;
	void *host;

	begin(cpu, op);
	linear = op_ea_any(cpu, op, bytes, true);
	if (UNLIKELY(~cpu->x87.cw & X87_EXCEPTIONS) && stopped_store(cpu, op)) {
		finish(cpu, op, true, linear);
		return;
	}
	host = rmw_begin(cpu, op, linear, bytes);
	if (row_of(op)->fn(&cpu->x87, &m, op->aux)) {
		memcpy(host, &m, bytes);
		rmw_end(cpu, op, host, linear, bytes);
	}
	finish(cpu, op, true, linear);
}

#define X87_STORE(bytes)                                                                           \
	static OP(x87_store##bytes)                                                                \
	{                                                                                          \
		store(cpu, op, bytes);                                                             \
		NEXT;                                                                              \
	}
X87_STORE(2)
X87_STORE(4)
X87_STORE(8)
X87_STORE(10)

/* FLDCW, FNSTCW, FNSTSW, and the environment and state of all sizes. */
CALLED control_memory(struct x86_cpu *cpu, const struct op *op)
{
	const struct x87_row *row = row_of(op);
	unsigned bytes = row->load | row->store;
	union x87_mem m;
	uint64_t linear;

	if (row->flags & X87_ENV && !op->aux)
		bytes = X87_ENV16_BYTES;
	if (row->flags & X87_STATE && !op->aux)
		bytes = X87_STATE16_BYTES;
	if (!(row->flags & X87_NO_WAIT))
		begin(cpu, op);
	linear = op_ea_any(cpu, op, bytes, row->store != 0);
	if (row->load)
		x86_load_bytes(cpu, op, linear, &m, bytes);
	else
		x86_check_write(cpu, op, linear, bytes);
	if (row->fn(&cpu->x87, &m, op->aux))
		x86_store_bytes(cpu, op, linear, &m, bytes);
}

static OP(x87_control_memory)
{
	control_memory(cpu, op);
	NEXT;
}

/* WAIT: alone among them it looks at CR0.MP. */
static OP(op_wait)
{
	if ((cpu->s.cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		x86_raise_at(cpu, op, VEC_NM, 0);
	begin(cpu, op);
	NEXT;
}

static op_fn *handler(const struct x87_row *row)
{
	if (row->reg == X87_REG_FORM) {
		if (row->flags & X87_CONTROL)
			return x87_control;
		return row->flags ? x87_register_flags : x87_register;
	}
	if (row->flags & X87_CONTROL)
		return x87_control_memory;
	switch (row->load) {
	case 2:
		return x87_load16;
	case 4:
		return x87_load32;
	case 8:
		return x87_load64;
	case 10:
		return x87_load80;
	default:
		break;
	}
	switch (row->store) {
	case 2:
		return x87_store2;
	case 4:
		return x87_store4;
	case 8:
		return x87_store8;
	default:
		return x87_store10;
	}
}

bool x86_decode_x87(struct decoder *d, struct op *op)
{
	const struct x87_row *row;
	uint8_t modrm;

	if (d->lock)
		return false;
	if (d->opcode == 0x9b) {
		op->fn = op_wait;
		return true;
	}
	if (d->pos >= d->avail) {
		d->overrun = true;
		return false;
	}
	modrm = d->bytes[d->pos];
	row = x87_lookup(d->opcode, modrm);
	x86_decode_modrm(d, op, 0);
	if (!row) {
		/* With CR0.EM or CR0.TS, #NM comes before #UD here. */
		op->fn = x86_op_no_fpu;
		return d->mode & CODE_NO_FPU;
	}
	op->data = row;
	d->has_row = true;
	op->src = modrm;
	op->dst = d->opcode & 7;
	op->aux = modrm >= 0xc0 ? modrm & 7 : d->opsize66 ? 0 : 1;
	if (modrm < 0xc0 && !(d->mode & (CODE_64 | CODE_32)))
		op->aux = d->opsize66 ? 1 : 0;
	op->fn = d->mode & CODE_NO_FPU ? x86_op_no_fpu : handler(row);
	return true;
}
