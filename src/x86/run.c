/* SPDX-License-Identifier: MIT */
/*
 * The CPU from outside: made, given a state, run.
 */
#include "x86/cache.h"
#include "x86/mmu.h"
#include "x86/native/native.h"
#include "x86/system.h"

#include <stdio.h>

/* ---- made and unmade -------------------------------------------------------------------- */

static int check_ranges(const struct x86_platform *p, struct err *e)
{
	uint64_t end = 0;

	if (!p->n_ranges || p->n_ranges > X86_RAM_RANGES_MAX)
		return err_say(e, -EINVAL, "guest RAM in %zu ranges", p->n_ranges);
	for (size_t i = 0; i < p->n_ranges; i++) {
		const struct x86_ram_range *r = &p->ranges[i];

		if ((r->gpa | r->bytes | r->offset) % PAGE_BYTES || !r->bytes || r->gpa < end ||
		    r->gpa + r->bytes > 1ull << X86_PHYS_BITS || r->offset > p->ram_bytes ||
		    r->bytes > p->ram_bytes - r->offset)
			return err_say(e, -EINVAL, "range %zu of guest RAM makes no sense", i);
		end = r->gpa + r->bytes;
	}
	return 0;
}

void *x86_take_memory(struct x86_cpu *cpu, size_t bytes)
{
	void *at = cpu->memory + cpu->memory_used;

	bytes = (bytes + 63) & ~(size_t)63;
	if (bytes > X86_MEMORY_BYTES - cpu->memory_used)
		return NULL;
	cpu->memory_used += bytes;
	return at;
}

struct x86_cpu *x86_create(const struct x86_config *config, const struct x86_platform *platform,
                           struct err *e)
{
	struct x86_cpu *cpu;

	uint8_t *memory = config->memory;
	void *own = NULL;

	if (check_ranges(platform, e))
		return NULL;
	if (!memory) {
		own = xalloc(X86_MEMORY_BYTES + 63);
		memory = (uint8_t *)(((uintptr_t)own + 63) & ~(uintptr_t)63);
	}
	cpu = (struct x86_cpu *)(void *)memory;
	cpu->own_memory = own;
	cpu->memory = memory;
	cpu->memory_used = (sizeof(*cpu) + 63) & ~(size_t)63;
	cpu->config = *config;
	cpu->platform = *platform;
	if (!x86_image_is_usable(&config->image, platform->ram_bytes >> PAGE_SHIFT))
		cpu->config.image = (struct x86_code_image){0};
	cpu->fp.xmm0 = &cpu->xmm[0];
	cpu->mmu = x86_mmu_create(cpu);
	cpu->native = x86_native_create(cpu);
	cpu->cache = x86_cache_create(cpu);
	x86_notes_begin(cpu);
	x86_state_reset(&cpu->s);
	memcpy(cpu->reg, cpu->s.gpr, sizeof(cpu->s.gpr));
	cpu->rip = cpu->s.rip;
	x86_set_rflags(cpu, cpu->s.rflags);
	x86_fp_set_state(cpu, &cpu->s);
	x86_update_mode(cpu);
	return cpu;
}

void x86_destroy(struct x86_cpu *cpu)
{
	if (!cpu)
		return;
	x86_notes_end(cpu);
	x86_cache_destroy(cpu->cache);
	free(cpu->own_memory);
}

/* ---- mode ------------------------------------------------------------------------------- */

void x86_update_access(struct x86_cpu *cpu)
{
	bool ac = cpu->rflags & EFLAGS_AC;
	unsigned who;

	if (cpu->cpl == 3)
		who = ac && (cpu->s.cr0 & CR0_AM) ? CTX_ALIGNED_USER : CTX_USER;
	else
		who = ac || !(cpu->s.cr4 & CR4_SMAP) ? CTX_SUPERVISOR_AC : CTX_SUPERVISOR;
	cpu->ctx = (cpu->ctx & ~(uint64_t)3) | who;
}

void x86_update_mode(struct x86_cpu *cpu)
{
	const struct x86_segment *cs = &cpu->s.seg[X86_CS], *ss = &cpu->s.seg[X86_SS];
	uint64_t generation;
	unsigned mode = 0;

	cpu->cpl = (uint8_t)seg_dpl(ss);
	if (cs->attributes & X86_SEG_L)
		mode |= CODE_64;
	else if (cs->attributes & X86_SEG_DB)
		mode |= CODE_32;
	if (ss->attributes & X86_SEG_DB)
		mode |= CODE_STACK32;
	if (mode & CODE_64)
		mode &= ~CODE_STACK32;
	if (cpu->s.cr0 & (CR0_EM | CR0_TS))
		mode |= CODE_NO_FPU;
	if (!(cpu->s.cr4 & CR4_OSFXSR))
		mode |= CODE_NO_SSE;
	if (cpu->cpl == 3)
		mode |= CODE_USER;
	if (cpu->stepping)
		mode |= CODE_STEP;
	cpu->code_mode = (uint8_t)mode;
	x86_space_select(cpu, &generation, &cpu->ctx);
	cpu->code_tag = generation << 8 | mode;
	x86_update_access(cpu);
}

/* A CPU that halts after fewer had nothing to do yet: a timer's interrupt is some thousands. */
#define BUSY_INSTRUCTIONS 100000u

/* ---- running ---------------------------------------------------------------------------- */

_Noreturn void x86_stop(struct x86_cpu *cpu, enum x86_exit exit, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cpu->error, sizeof(cpu->error), fmt, ap);
	va_end(ap);
	if (cpu->op)
		x86_leave_before(cpu, cpu->op);
	cpu->exit = exit;
	longjmp(cpu->unwind, 2);
}

const char *x86_error(const struct x86_cpu *cpu)
{
	return cpu->error;
}

static bool contributory(unsigned vector)
{
	return vector == VEC_DE || (vector >= VEC_TS && vector <= VEC_GP);
}

/* A fault while @first was on its way: what becomes of the two. */
static struct x86_event_info combine(struct x86_cpu *cpu, const struct x86_event_info *first,
                                     const struct x86_event_info *second)
{
	bool exception = first->type == X86_EVENT_EXCEPTION;

	if (exception && first->vector == VEC_DF)
		x86_stop(cpu, X86_EXIT_SHUTDOWN,
		         "triple fault: exception %u (%#x) in the double fault handler's delivery, "
		         "RIP %#llx",
		         second->vector, second->error, (unsigned long long)cpu->rip);
	if (exception && ((contributory(first->vector) && contributory(second->vector)) ||
	                  (first->vector == VEC_PF &&
	                   (second->vector == VEC_PF || contributory(second->vector)))))
		return (struct x86_event_info){
			.vector = VEC_DF, .type = X86_EVENT_EXCEPTION, .has_error = true};
	return *second;
}

/*
 * Deliver cpu->event. A fault on the way comes back through longjmp to x86_run(), which calls
 * this again with cpu->first set.
 */
static void deliver(struct x86_cpu *cpu)
{
	if (cpu->delivering)
		cpu->event = combine(cpu, &cpu->first, &cpu->event);
	cpu->delivering = true;
	cpu->first = cpu->event;
	x86_deliver(cpu, &cpu->first);
	cpu->delivering = false;
}

/* Take what waits to interrupt, if it may now. Return: whether something was delivered. */
static bool take_event(struct x86_cpu *cpu)
{
	struct x86_state *s = &cpu->s;

	if (s->event_pending) {
		s->event_pending = false;
		cpu->event = (struct x86_event_info){.vector = s->event_vector,
		                                     .type = s->event_type,
		                                     .has_error = s->event_has_error,
		                                     .error = s->event_error};
	} else if (s->sti_shadow || s->mov_ss_shadow) {
		return false;
	} else if (s->nmi_pending && !s->nmi_masked) {
		s->nmi_pending = false;
		s->nmi_masked = true;
		cpu->event = (struct x86_event_info){.vector = VEC_NMI, .type = X86_EVENT_NMI};
	} else if ((cpu->rflags & EFLAGS_IF) && cpu->interrupt_line) {
		int vector = cpu->platform.ack_interrupt(cpu->platform.ctx);

		if (vector < 0)
			return false;
		cpu->event = (struct x86_event_info){.vector = (uint8_t)vector,
		                                     .type = X86_EVENT_INTERRUPT};
	} else {
		return false;
	}
	s->halted = false;
	deliver(cpu);
	return true;
}

static void run_traces(struct x86_cpu *cpu)
{
	const struct op *op = x86_lookup(cpu);

#if defined(X86_NO_TAIL_CALLS)
	while (op)
		op = op->fn(cpu, op);
#else
	if (cpu->native)
		x86_native_run(cpu, op);
	else
		op->fn(cpu, op);
#endif
}

/* One instruction, for its shadow or for the trap flag. */
static void run_step(struct x86_cpu *cpu)
{
	bool trap = cpu->rflags & EFLAGS_TF;

	cpu->s.sti_shadow = cpu->s.mov_ss_shadow = false;
	cpu->rflags &= ~(uint64_t)EFLAGS_RF;
	cpu->stepping = true;
	x86_update_mode(cpu);
	x86_look_at_events(cpu); /* jumps leave the trace, too */
	run_traces(cpu);
	cpu->stepping = false;
	x86_update_mode(cpu);
	/* MOV SS lets no trap between itself and the next instruction. */
	if (trap && (cpu->rflags & EFLAGS_TF) && !cpu->s.mov_ss_shadow) {
		cpu->s.dr6 |= 0x4000;
		cpu->event = (struct x86_event_info){.vector = VEC_DB, .type = X86_EVENT_EXCEPTION};
		deliver(cpu);
	}
}

static enum x86_exit run(struct x86_cpu *cpu)
{
	int why = setjmp(cpu->unwind);

	cpu->stepping = false;
	x86_update_mode(cpu);
	if (why == 2) {
		cpu->delivering = false;
		return cpu->exit;
	}
	if (why == 1)
		deliver(cpu);
	if (!(cpu->s.efer & EFER_LMA))
		x86_stop(cpu, X86_EXIT_ERROR, "the CPU is not in long mode, and only that is here");
	for (;;) {
		uint32_t attention = atomic_exchange(&cpu->attention, 0);

		if (attention & ATTN_KICK)
			return X86_EXIT_KICKED;
		if (take_event(cpu))
			continue;
		if (cpu->s.halted) {
			cpu->has_halted |= cpu->icount > BUSY_INSTRUCTIONS;
			return X86_EXIT_HLT;
		}
		if ((cpu->rflags & EFLAGS_TF) || cpu->s.sti_shadow || cpu->s.mov_ss_shadow)
			run_step(cpu);
		else
			run_traces(cpu);
	}
}

enum x86_exit x86_run(struct x86_cpu *cpu)
{
	enum x86_exit exit;

	simd_enter(&cpu->fp);
	x87_enter(&cpu->x87);
	exit = run(cpu);
	x87_leave(&cpu->x87);
	simd_leave(&cpu->fp);
	return exit;
}

void x86_kick(struct x86_cpu *cpu)
{
	atomic_fetch_or(&cpu->attention, ATTN_KICK);
}

void x86_set_interrupt(struct x86_cpu *cpu, bool pending)
{
	cpu->interrupt_line = pending;
	if (pending && (cpu->rflags & EFLAGS_IF))
		x86_look_at_events(cpu);
}

void x86_nmi(struct x86_cpu *cpu)
{
	cpu->s.nmi_pending = true;
	x86_look_at_events(cpu);
}

uint64_t x86_instructions(const struct x86_cpu *cpu)
{
	return cpu->icount;
}

/* ---- state ------------------------------------------------------------------------------ */

void x86_get_state(struct x86_cpu *cpu, struct x86_state *out)
{
	*out = cpu->s;
	memcpy(out->gpr, cpu->reg, sizeof(out->gpr));
	out->rip = cpu->rip;
	out->rflags = x86_rflags(cpu);
	out->seg[X86_FS].base = cpu->reg[REG_FS];
	out->seg[X86_GS].base = cpu->reg[REG_GS];
	x86_fp_get_state(cpu, out);
}

static int check_state(const struct x86_cpu *cpu, const struct x86_state *in, struct err *e)
{
	const uint64_t cr0 = CR0_PG | CR0_PE, efer = EFER_LMA | EFER_LME;
	const uint64_t addresses[] = {in->seg[X86_FS].base,
	                              in->seg[X86_GS].base,
	                              in->kernel_gs_base,
	                              in->lstar,
	                              in->cstar,
	                              in->sysenter_esp,
	                              in->sysenter_eip,
	                              in->tr.base,
	                              in->ldtr.base,
	                              in->gdtr.base,
	                              in->idtr.base};

	if ((in->cr0 & cr0) != cr0 || in->cr0 >> 32 || (in->efer & efer) != efer ||
	    !(in->cr4 & CR4_PAE))
		return err_say(e, -EBADMSG, "CPU state: not in long mode");
	if (in->efer & ~(uint64_t)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))
		return err_say(e, -EBADMSG, "CPU state: unknown bits in EFER");
	if (in->cr4 & ~(uint64_t)X86_CR4_KNOWN)
		return err_say(e, -EBADMSG, "CPU state: unknown bits in CR4");
	if (in->cr3 >> X86_PHYS_BITS)
		return err_say(e, -EBADMSG, "CPU state: CR3 is no physical address");
	if (in->rflags & EFLAGS_VM)
		return err_say(e, -EBADMSG, "CPU state: virtual-8086 mode");
	if (in->mxcsr & ~MXCSR_VALID)
		return err_say(e, -EBADMSG, "CPU state: unknown bits in MXCSR");
	if (!(in->xcr0 & 1) || in->xcr0 & ~(uint64_t)x86_cpuid(&cpu->config, 0xd, 0, 0, 0).eax)
		return err_say(e, -EBADMSG, "CPU state: unknown bits in XCR0");
	for (size_t i = 0; i < ARRAY_LEN(addresses); i++)
		if (!is_canonical(addresses[i]))
			return err_say(e, -EBADMSG, "CPU state: an address is not canonical");
	return 0;
}

int x86_set_state(struct x86_cpu *cpu, const struct x86_state *in, struct err *e)
{
	int r = check_state(cpu, in, e);

	if (r)
		return r;
	cpu->s = *in;
	memcpy(cpu->reg, in->gpr, sizeof(in->gpr));
	cpu->reg[REG_ZERO] = 0;
	cpu->reg[REG_FS] = in->seg[X86_FS].base;
	cpu->reg[REG_GS] = in->seg[X86_GS].base;
	cpu->rip = in->rip;
	cpu->op = NULL;
	cpu->delivering = cpu->stepping = false;
	x86_set_rflags(cpu, in->rflags);
	x86_fp_set_state(cpu, in);
	x86_flush_all(cpu);
	return 0;
}
