/* SPDX-License-Identifier: MIT */
/*
 * Control and debug registers, MSR, CPUID, TSC and I/O instructions, and what else only
 * kernels use.
 */
#include "x86/branch.h"
#include "x86/mmu.h"
#include "x86/ops.h"
#include "x86/system.h"

/* Go on after an instruction that ended its trace. */
#define GO_ON(next)                                                                                \
	do {                                                                                       \
		cpu->icount += op->n;                                                              \
		return x86_jump(cpu, (next));                                                      \
	} while (0)

/* ---- interrupts off and on, HLT --------------------------------------------------------- */

static void need_iopl(struct x86_cpu *cpu, const struct op *op)
{
	if (cpu->cpl > (cpu->rflags >> 12 & 3))
		x86_raise_at(cpu, op, VEC_GP, 0);
}

/* What waits to interrupt gets its chance before the window closes. */
OP(x86_op_cli)
{
	need_iopl(cpu, op);
	if (UNLIKELY((cpu->rflags & EFLAGS_IF) &&
	             atomic_load_explicit(&cpu->attention, memory_order_relaxed) &&
	             !(cpu->code_mode & CODE_STEP)))
		return x86_leave_before(cpu, op);
	cpu->rflags &= ~(uint64_t)EFLAGS_IF;
	NEXT;
}

/*
 * The next instruction is run before an interrupt is taken. Inside a trace nobody looks for one
 * that was not there yet; where the trace ends (the next op is no instruction) somebody does, and
 * an idle guest whose HLT comes next would sleep on after the interrupt that was to wake it.
 */
OP(x86_op_sti)
{
	need_iopl(cpu, op);
	if (!(cpu->rflags & EFLAGS_IF)) {
		cpu->rflags |= EFLAGS_IF;
		if (cpu->interrupt_line || !op[1].len) {
			cpu->s.sti_shadow = true;
			LEAVE_TO(cpu, op, op_next_rip(cpu, op));
		}
	}
	NEXT;
}

OP(x86_op_hlt)
{
	x86_need_cpl0(cpu, op);
	cpu->s.halted = true;
	LEAVE_TO(cpu, op, op_next_rip(cpu, op));
}

/* ---- ports ------------------------------------------------------------------------------ */

void x86_check_io(struct x86_cpu *cpu, uint16_t port, unsigned bytes)
{
	const struct x86_segment *tr = &cpu->s.tr;
	uint32_t map, bits;

	if (cpu->cpl <= (cpu->rflags >> 12 & 3))
		return;
	if (!(tr->attributes & X86_SEG_P) || tr->limit < 0x67)
		x86_raise(cpu, VEC_GP, 0);
	map = (uint32_t)x86_system_load(cpu, tr->base + 0x66, 2);
	/* Two bytes are always read: a run of bits may go over a byte's end. */
	if (map + port / 8 + 1 > tr->limit)
		x86_raise(cpu, VEC_GP, 0);
	bits = (uint32_t)x86_system_load(cpu, tr->base + map + port / 8, 2) >> (port & 7);
	if (bits & ((1u << bytes) - 1))
		x86_raise(cpu, VEC_GP, 0);
}

static uint16_t port_of(struct x86_cpu *cpu, const struct op *op)
{
	uint16_t port = op->src ? (uint16_t)op->imm : rd16(cpu, REG(X86_RDX));

	cpu->op = op;
	x86_check_io(cpu, port, 1u << op->aux);
	return port;
}

OP(x86_op_in)
{
	uint16_t port = port_of(cpu, op);
	uint32_t v = cpu->platform.port_in(cpu->platform.ctx, port, 1u << op->aux);

	if (op->aux == 0)
		wr8(cpu, REG(X86_RAX), (uint8_t)v);
	else if (op->aux == 1)
		wr16(cpu, REG(X86_RAX), (uint16_t)v);
	else
		wr32(cpu, REG(X86_RAX), v);
	NEXT;
}

OP(x86_op_out)
{
	uint16_t port = port_of(cpu, op);
	uint32_t v = rd32(cpu, REG(X86_RAX));

	v &= op->aux == 0 ? 0xffu : op->aux == 1 ? 0xffffu : UINT32_MAX;
	cpu->platform.port_out(cpu->platform.ctx, port, 1u << op->aux, v);
	NEXT;
}

/* ---- control registers ------------------------------------------------------------------ */

#define CR0_KNOWN                                                                                  \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)

static void write_cr0(struct x86_cpu *cpu, uint64_t v)
{
	uint64_t old = cpu->s.cr0;

	if (v >> 32 || ((v & CR0_NW) && !(v & CR0_CD)) || ((v & CR0_PG) && !(v & CR0_PE)))
		x86_raise(cpu, VEC_GP, 0);
	if (!(v & CR0_PG)) {
		if ((cpu->code_mode & CODE_64) || (cpu->s.cr4 & CR4_PCIDE))
			x86_raise(cpu, VEC_GP, 0);
		x86_stop(cpu, X86_EXIT_ERROR, "the guest left long mode, and only that is here");
	}
	cpu->s.cr0 = (v & CR0_KNOWN) | CR0_ET;
	if ((old ^ v) & CR0_WP)
		x86_flush_all(cpu);
	x86_update_mode(cpu);
}

static void write_cr3(struct x86_cpu *cpu, uint64_t v)
{
	bool pcids = cpu->s.cr4 & CR4_PCIDE, keep = pcids && v >> 63;

	if (pcids)
		v &= ~(1ull << 63);
	if (v >> X86_PHYS_BITS)
		x86_raise(cpu, VEC_GP, 0);
	cpu->s.cr3 = v;
	if (!keep)
		x86_flush_space(cpu, pcids ? v & 0xfff : 0);
	else
		x86_space_changed(cpu);
	x86_update_mode(cpu);
}

static void write_cr4(struct x86_cpu *cpu, uint64_t v)
{
	uint64_t changed = cpu->s.cr4 ^ v;

	if ((v & ~(uint64_t)X86_CR4_KNOWN) || !(v & CR4_PAE))
		x86_raise(cpu, VEC_GP, 0);
	if ((changed & v & CR4_PCIDE) && (cpu->s.cr3 & 0xfff))
		x86_raise(cpu, VEC_GP, 0);
	cpu->s.cr4 = v;
	if (changed & (CR4_PGE | CR4_PSE | CR4_PCIDE | CR4_SMEP | CR4_SMAP))
		x86_flush_all(cpu);
	x86_update_mode(cpu);
}

OP(x86_op_mov_from_cr)
{
	uint64_t v;

	x86_need_cpl0(cpu, op);
	switch (op->src) {
	case 0:
		v = cpu->s.cr0;
		break;
	case 2:
		v = cpu->s.cr2;
		break;
	case 3:
		v = cpu->s.cr3;
		break;
	case 4:
		v = cpu->s.cr4;
		break;
	case 8:
		v = cpu->platform.get_tpr(cpu->platform.ctx);
		break;
	default:
		x86_raise_at(cpu, op, VEC_UD, 0);
	}
	if (cpu->code_mode & CODE_64)
		wr64(cpu, op->dst, v);
	else
		wr32(cpu, op->dst, (uint32_t)v);
	NEXT;
}

OP(x86_op_mov_to_cr)
{
	uint64_t next = op_next_rip(cpu, op), v = rd64(cpu, op->src);

	x86_need_cpl0(cpu, op);
	cpu->op = op;
	if (!(cpu->code_mode & CODE_64))
		v = (uint32_t)v;
	switch (op->dst) {
	case 0:
		write_cr0(cpu, v);
		break;
	case 2:
		cpu->s.cr2 = v;
		break;
	case 3:
		write_cr3(cpu, v);
		break;
	case 4:
		write_cr4(cpu, v);
		break;
	case 8:
		if (v > 15)
			x86_raise(cpu, VEC_GP, 0);
		cpu->platform.set_tpr(cpu->platform.ctx, (uint8_t)v);
		break;
	default:
		x86_raise(cpu, VEC_UD, 0);
	}
	GO_ON(next);
}

OP(x86_op_lmsw)
{
	uint64_t next = op_next_rip(cpu, op);
	uint16_t v;

	x86_need_cpl0(cpu, op);
	v = op->flags & OP_REG ? rd16(cpu, op->src) : load16(cpu, op, op_ea_any(cpu, op, 2, false));
	cpu->op = op;
	/* PE can be set but not cleared. */
	write_cr0(cpu, (cpu->s.cr0 & ~(uint64_t)0xe) | (v & 0xf));
	GO_ON(next);
}

OP(x86_op_clts)
{
	uint64_t next = op_next_rip(cpu, op);

	x86_need_cpl0(cpu, op);
	cpu->s.cr0 &= ~(uint64_t)CR0_TS;
	x86_update_mode(cpu);
	GO_ON(next);
}

OP(x86_op_clac)
{
	if (cpu->cpl)
		x86_raise_at(cpu, op, VEC_UD, 0);
	cpu->rflags &= ~(uint64_t)EFLAGS_AC;
	x86_update_access(cpu);
	NEXT;
}

OP(x86_op_stac)
{
	if (cpu->cpl)
		x86_raise_at(cpu, op, VEC_UD, 0);
	cpu->rflags |= EFLAGS_AC;
	x86_update_access(cpu);
	NEXT;
}

/*
 * Debug registers hold what was written; breakpoints in them do not fire. DR4 and DR5 are names
 * of DR6 and DR7 unless CR4.DE.
 */
static unsigned debug_register(struct x86_cpu *cpu, unsigned n)
{
	if ((n == 4 || n == 5) && (cpu->s.cr4 & CR4_DE))
		x86_raise(cpu, VEC_UD, 0);
	if (n > 7)
		x86_raise(cpu, VEC_UD, 0);
	return n == 4 || n == 5 ? n + 2 : n;
}

OP(x86_op_mov_from_dr)
{
	unsigned n;

	x86_need_cpl0(cpu, op);
	cpu->op = op;
	n = debug_register(cpu, op->src);
	wr64(cpu, op->dst, n < 4 ? cpu->s.dr[n] : n == 6 ? cpu->s.dr6 : cpu->s.dr7);
	NEXT;
}

OP(x86_op_mov_to_dr)
{
	uint64_t v = rd64(cpu, op->src), next = op_next_rip(cpu, op);
	unsigned n;

	x86_need_cpl0(cpu, op);
	cpu->op = op;
	n = debug_register(cpu, op->dst);
	if (n >= 6 && v >> 32)
		x86_raise(cpu, VEC_GP, 0);
	if (n < 4)
		cpu->s.dr[n] = v;
	else if (n == 6)
		cpu->s.dr6 = (v & 0xe00f) | 0xffff0ff0;
	else
		cpu->s.dr7 = (v & 0xffff2bff) | 0x400;
	GO_ON(next);
}

/* ---- translations ----------------------------------------------------------------------- */

OP(x86_op_invlpg)
{
	uint64_t next = op_next_rip(cpu, op), linear;

	x86_need_cpl0(cpu, op);
	linear = op_ea_any(cpu, op, 1, false);
	x86_flush_page(cpu, linear);
	GO_ON(next);
}

OP(x86_op_invpcid)
{
	uint64_t next = op_next_rip(cpu, op), d[2], linear, type = rd64(cpu, op->dst);

	x86_need_cpl0(cpu, op);
	linear = op_ea_any(cpu, op, 16, false);
	x86_load_bytes(cpu, op, linear, d, sizeof(d));
	cpu->op = op;
	if (!(cpu->code_mode & CODE_64))
		type = (uint32_t)type;
	if (type > 3 || (type < 2 && d[0] >> 12) || (type == 0 && !is_canonical(d[1])) ||
	    (type < 2 && d[0] && !(cpu->s.cr4 & CR4_PCIDE)))
		x86_raise(cpu, VEC_GP, 0);
	if (type == 0 && (!(cpu->s.cr4 & CR4_PCIDE) || d[0] == (cpu->s.cr3 & 0xfff)))
		x86_flush_page(cpu, d[1]);
	else if (type < 2)
		x86_flush_space(cpu, (unsigned)d[0]);
	else
		x86_flush_all(cpu);
	LEAVE_TO(cpu, op, next);
}

/* ---- FS, GS ----------------------------------------------------------------------------- */

OP(x86_op_swapgs)
{
	uint64_t base = cpu->reg[REG_GS];

	x86_need_cpl0(cpu, op);
	cpu->reg[REG_GS] = cpu->s.kernel_gs_base;
	cpu->s.kernel_gs_base = base;
	NEXT;
}

OP(x86_op_fsgsbase)
{
	unsigned reg = op->src & 1 ? REG_GS : REG_FS;

	if (!(cpu->s.cr4 & CR4_FSGSBASE))
		x86_raise_at(cpu, op, VEC_UD, 0);
	if (op->src < 2) {
		if (op->aux == 3)
			wr64(cpu, op->dst, cpu->reg[reg]);
		else
			wr32(cpu, op->dst, (uint32_t)cpu->reg[reg]);
	} else {
		uint64_t v = op->aux == 3 ? rd64(cpu, op->dst) : rd32(cpu, op->dst);

		if (!is_canonical(v))
			x86_raise_at(cpu, op, VEC_GP, 0);
		cpu->reg[reg] = v;
	}
	NEXT;
}

/* ---- time, identity, entropy ------------------------------------------------------------ */

uint64_t x86_guest_tsc(struct x86_cpu *cpu)
{
	return cpu->platform.tsc(cpu->platform.ctx) + cpu->s.tsc_offset;
}

static void read_tsc(struct x86_cpu *cpu, const struct op *op)
{
	uint64_t tsc;

	if ((cpu->s.cr4 & CR4_TSD) && cpu->cpl)
		x86_raise_at(cpu, op, VEC_GP, 0);
	tsc = x86_guest_tsc(cpu);
	wr32(cpu, REG(X86_RAX), (uint32_t)tsc);
	wr32(cpu, REG(X86_RDX), (uint32_t)(tsc >> 32));
}

OP(x86_op_rdtsc)
{
	read_tsc(cpu, op);
	NEXT;
}

OP(x86_op_rdtscp)
{
	read_tsc(cpu, op);
	wr32(cpu, REG(X86_RCX), (uint32_t)cpu->s.tsc_aux);
	NEXT;
}

OP(x86_op_rdpid)
{
	wr64(cpu, op->dst, (uint32_t)cpu->s.tsc_aux);
	NEXT;
}

/* There are no performance counters. */
OP(x86_op_rdpmc)
{
	x86_raise_at(cpu, op, VEC_GP, 0);
}

OP(x86_op_cpuid)
{
	struct x86_cpuid r = x86_cpuid(&cpu->config, rd32(cpu, REG(X86_RAX)),
	                               rd32(cpu, REG(X86_RCX)), cpu->s.cr4, cpu->s.xcr0);

	wr32(cpu, REG(X86_RAX), r.eax);
	wr32(cpu, REG(X86_RBX), r.ebx);
	wr32(cpu, REG(X86_RCX), r.ecx);
	wr32(cpu, REG(X86_RDX), r.edx);
	NEXT;
}

static OUT_OF_LINE void rdrand(struct x86_cpu *cpu, const struct op *op)
{
	uint64_t v;

	cpu->platform.random(cpu->platform.ctx, &v, sizeof(v));
	if (op->aux == 1)
		wr16(cpu, op->dst, (uint16_t)v);
	else if (op->aux == 2)
		wr32(cpu, op->dst, (uint32_t)v);
	else
		wr64(cpu, op->dst, v);
	cc_set_explicit(cpu, EFLAGS_CF);
}

OP(x86_op_rdrand)
{
	rdrand(cpu, op);
	NEXT;
}

/* ---- caches that are not here ------------------------------------------------------------ */

OP(x86_op_wbinvd)
{
	x86_need_cpl0(cpu, op);
	NEXT;
}

/* CLFLUSH and relations fault like a load. */
OP(x86_op_clflush)
{
	load8(cpu, op, op_ea_any(cpu, op, 1, false));
	NEXT;
}

/* ---- XCR0 ------------------------------------------------------------------------------- */

OP(x86_op_xgetbv)
{
	if (!(cpu->s.cr4 & CR4_OSXSAVE))
		x86_raise_at(cpu, op, VEC_UD, 0);
	if (rd32(cpu, REG(X86_RCX)) != 0)
		x86_raise_at(cpu, op, VEC_GP, 0);
	wr32(cpu, REG(X86_RAX), (uint32_t)cpu->s.xcr0);
	wr32(cpu, REG(X86_RDX), (uint32_t)(cpu->s.xcr0 >> 32));
	NEXT;
}

OP(x86_op_xsetbv)
{
	uint64_t next = op_next_rip(cpu, op);
	uint64_t v = (uint64_t)rd32(cpu, REG(X86_RDX)) << 32 | rd32(cpu, REG(X86_RAX));
	uint64_t known = x86_cpuid(&cpu->config, 0xd, 0, 0, 0).eax;

	if (!(cpu->s.cr4 & CR4_OSXSAVE))
		x86_raise_at(cpu, op, VEC_UD, 0);
	x86_need_cpl0(cpu, op);
	if (rd32(cpu, REG(X86_RCX)) != 0 || (v & ~known) || !(v & 1))
		x86_raise_at(cpu, op, VEC_GP, 0);
	cpu->s.xcr0 = v;
	GO_ON(next);
}

/* ---- MSRs ------------------------------------------------------------------------------- */

static OUT_OF_LINE void rdmsr(struct x86_cpu *cpu, const struct op *op)
{
	uint64_t v = 0;

	x86_need_cpl0(cpu, op);
	if (!x86_msr_read(cpu, rd32(cpu, REG(X86_RCX)), &v))
		x86_raise_at(cpu, op, VEC_GP, 0);
	wr32(cpu, REG(X86_RAX), (uint32_t)v);
	wr32(cpu, REG(X86_RDX), (uint32_t)(v >> 32));
}

OP(x86_op_rdmsr)
{
	rdmsr(cpu, op);
	NEXT;
}

OP(x86_op_wrmsr)
{
	uint64_t next = op_next_rip(cpu, op);
	uint64_t v = (uint64_t)rd32(cpu, REG(X86_RDX)) << 32 | rd32(cpu, REG(X86_RAX));

	x86_need_cpl0(cpu, op);
	cpu->op = op;
	if (!x86_msr_write(cpu, rd32(cpu, REG(X86_RCX)), v))
		x86_raise(cpu, VEC_GP, 0);
	GO_ON(next);
}
