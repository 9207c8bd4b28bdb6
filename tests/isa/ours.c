/* SPDX-License-Identifier: MIT */
/*
 * Running vectors on our CPU: a machine of one page-table tree, Linux's user selectors, and an
 * interrupt table whose 32 handlers each are a HLT. A vector runs in ring 3 until an
 * exception; which handler halted says which one it was, and the frame it finds says the rest.
 *
 * Guest-physical layout (1 MiB of RAM):
 *
 *	0x01000 PML4   0x02000 low PDPT   0x03000 PD of the first GiB   0x04000 PT of data
 *	0x05000 PT of code                0x06000 high PDPT   0x07000 high PD   0x08000 high PT
 *	0x10000 data pages   0x13000 read-only page   0x20000 code page
 *	0x30000 GDT, IDT, TSS   0x31000 handlers   0x33000 end of the kernel stack
 *
 * The last three are mapped for the supervisor only, at KERNEL_BASE + their place.
 */
#include "isa.h"

#include "../code-memory.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>

#define RAM_BYTES (1u << 20)
#define KERNEL_BASE 0xffffffff80000000u

#define AT_DATA 0x10000u
#define AT_READONLY 0x13000u
#define AT_CODE 0x20000u
#define AT_GDT 0x30000u
#define AT_IDT 0x30200u
#define AT_TSS 0x30600u
#define AT_HANDLERS 0x31000u
#define AT_STACK_END 0x33000u
#define HANDLER_BYTES 16u

#define SEL_KERNEL_CS 0x10u
#define SEL_TSS 0x40u

#define PTE_P 1u
#define PTE_W 2u
#define PTE_U 4u
#define PTE_AD 0x60u

struct ours {
	struct x86_cpu *cpu;
	uint8_t *ram;
	struct x86_state start;
};

/* A vector that has not ended after this many ticks of a second hangs. */
#define TICKS_MAX 3

static volatile sig_atomic_t ticks;
static struct x86_cpu *ticking;

static void tick(int sig)
{
	if (ticking && ++ticks >= TICKS_MAX)
		x86_kick(ticking);
}

static void start_ticks(struct x86_cpu *cpu)
{
	const struct itimerval every = {{.tv_sec = 1}, {.tv_sec = 1}};
	const struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};

	ticking = cpu;
	sigaction(SIGVTALRM, &action, NULL);
	setitimer(ITIMER_VIRTUAL, &every, NULL);
}

static uint64_t no_read(void *ctx, uint64_t gpa, unsigned bytes)
{
	return UINT64_MAX;
}
static void no_write(void *ctx, uint64_t gpa, unsigned bytes, uint64_t value)
{
}
static uint32_t no_in(void *ctx, uint16_t port, unsigned bytes)
{
	return UINT32_MAX;
}
static void no_out(void *ctx, uint16_t port, unsigned bytes, uint32_t value)
{
}
static bool no_msr_read(void *ctx, uint32_t msr, uint64_t *value)
{
	return false;
}
static bool no_msr_write(void *ctx, uint32_t msr, uint64_t value)
{
	return false;
}
static int no_interrupt(void *ctx)
{
	return -1;
}
static uint8_t no_tpr(void *ctx)
{
	return 0;
}
static void set_no_tpr(void *ctx, uint8_t cr8)
{
}
static uint64_t no_time(void *ctx)
{
	return 0;
}
static void no_random(void *ctx, void *out, size_t bytes)
{
	memset(out, 0x5a, bytes);
}

static void put64(struct ours *o, uint64_t gpa, uint64_t value)
{
	memcpy(o->ram + gpa, &value, sizeof(value));
}

static void put_tables(struct ours *o)
{
	const uint64_t table = PTE_P | PTE_W | PTE_U | PTE_AD;
	const unsigned data = DATA_BASE >> PAGE_SHIFT & 511, code = CODE_BASE >> PAGE_SHIFT & 511;

	put64(o, 0x1000, 0x2000 | table);
	put64(o, 0x1000 + 8 * 511, 0x6000 | table);
	put64(o, 0x2000, 0x3000 | table);
	put64(o, 0x3000 + 8 * (DATA_BASE >> 21), 0x4000 | table);
	put64(o, 0x3000 + 8 * (CODE_BASE >> 21), 0x5000 | table);
	for (unsigned i = 0; i < DATA_BYTES / PAGE_BYTES; i++)
		put64(o, 0x4000 + 8 * (data + i), (AT_DATA + i * PAGE_BYTES) | table);
	put64(o, 0x4000 + 8 * (READONLY_BASE >> PAGE_SHIFT & 511),
	      AT_READONLY | PTE_P | PTE_U | PTE_AD);
	put64(o, 0x5000 + 8 * code, AT_CODE | table);
	put64(o, 0x6000 + 8 * 510, 0x7000 | table);
	put64(o, 0x7000, 0x8000 | table);
	for (unsigned gpa = AT_GDT; gpa < AT_STACK_END; gpa += PAGE_BYTES)
		put64(o, 0x8000 + 8 * (gpa >> PAGE_SHIFT), gpa | PTE_P | PTE_W | PTE_AD);
}

static void put_system(struct ours *o)
{
	const uint64_t tss = KERNEL_BASE + AT_TSS, stack = KERNEL_BASE + AT_STACK_END;

	put64(o, AT_GDT + 0x10, 0x00af9b000000ffffu); /* kernel code */
	put64(o, AT_GDT + 0x18, 0x00cf93000000ffffu);
	put64(o, AT_GDT + 0x20, 0x00cffb000000ffffu); /* 0x23: user code, 32 bits */
	put64(o, AT_GDT + 0x28, 0x00cff3000000ffffu); /* 0x2b: user data */
	put64(o, AT_GDT + 0x30, 0x00affb000000ffffu); /* 0x33: user code, 64 bits */
	put64(o, AT_GDT + SEL_TSS,
	      0x0000890000000067u | (tss & 0xffffff) << 16 | (tss >> 24 & 0xff) << 56);
	put64(o, AT_GDT + SEL_TSS + 8, tss >> 32);
	memcpy(o->ram + AT_TSS + 4, &stack, 8); /* RSP0 */
	o->ram[AT_TSS + 102] = 0x68;            /* no I/O permission bitmap */

	for (unsigned i = 0; i < 32; i++) {
		const uint64_t handler = KERNEL_BASE + AT_HANDLERS + i * HANDLER_BYTES;
		/* Linux lets user space call INT3, INTO and nothing else of these. */
		const uint64_t dpl = i == 3 || i == 4 ? 3 : 0;

		put64(o, AT_IDT + 16 * i,
		      (handler & 0xffff) | SEL_KERNEL_CS << 16 | (0x8e00 | dpl << 13) << 32 |
		              (handler >> 16 & 0xffff) << 48);
		put64(o, AT_IDT + 16 * i + 8, handler >> 32);
		o->ram[AT_HANDLERS + i * HANDLER_BYTES] = 0xf4; /* HLT */
	}
}

static struct x86_segment user_segment(uint16_t selector, uint16_t attributes)
{
	return (struct x86_segment){
		.selector = selector, .attributes = attributes, .limit = UINT32_MAX};
}

struct ours *ours_create(bool interpreter, struct err *e)
{
	struct x86_config config = {.level = X86_LEVEL_V2, .tsc_hz = 1000000000};
	struct x86_platform platform = {
		.ram_bytes = RAM_BYTES,
		.ranges = {{.gpa = 0, .bytes = RAM_BYTES, .offset = 0}},
		.n_ranges = 1,
		.mmio_read = no_read,
		.mmio_write = no_write,
		.port_in = no_in,
		.port_out = no_out,
		.msr_read = no_msr_read,
		.msr_write = no_msr_write,
		.ack_interrupt = no_interrupt,
		.get_tpr = no_tpr,
		.set_tpr = set_no_tpr,
		.tsc = no_time,
		.random = no_random,
	};
	struct ours *o = xalloc(sizeof(*o));
	struct x86_state *s = &o->start;

	o->ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (o->ram == MAP_FAILED)
		abort();
	put_tables(o);
	put_system(o);
	memset(o->ram + AT_CODE, 0xcc, PAGE_BYTES);
	platform.ram = o->ram;
	if (!interpreter)
		config.code = code_memory(1); /* until the process ends */
	o->cpu = x86_create(&config, &platform, e);
	if (!o->cpu) {
		ours_destroy(o);
		return NULL;
	}
	start_ticks(o->cpu);

	x86_state_long_mode(s, CODE_BASE, 0x1000);
	s->cr0 = 0x80050033;       /* PG AM WP NE ET MP PE, as Linux has them */
	s->cr4 |= 0x600 | 0x10000; /* OSFXSR OSXMMEXCPT FSGSBASE */
	s->efer = 0xd01;           /* SCE LME LMA NXE */
	s->gdtr = (struct x86_table){KERNEL_BASE + AT_GDT, 0x4f};
	s->idtr = (struct x86_table){KERNEL_BASE + AT_IDT, 0x1ff};
	s->tr = (struct x86_segment){.selector = SEL_TSS,
	                             .attributes = 0x8b,
	                             .limit = 0x67,
	                             .base = KERNEL_BASE + AT_TSS};
	s->seg[X86_DS] = user_segment(0x2b, 0xc0f3);
	s->seg[X86_ES] = s->seg[X86_SS] = s->seg[X86_DS];
	s->seg[X86_FS] = user_segment(0, 0);
	s->seg[X86_GS] = user_segment(0, 0);
	s->seg[X86_GS].base = GS_BASE;
	return o;
}

void ours_destroy(struct ours *o)
{
	if (!o)
		return;
	ticking = NULL;
	x86_destroy(o->cpu);
	munmap(o->ram, RAM_BYTES);
	free(o);
}

const uint8_t *ours_memory(const struct ours *o)
{
	return o->ram + AT_DATA;
}

static void put_fx(struct x86_state *s, const struct fx_image *fx)
{
	const unsigned top = fx->sw >> 11 & 7;

	s->fcw = fx->cw;
	s->fsw = fx->sw;
	s->ftw = fx->tag;
	s->fop = fx->op;
	s->fip = fx->ip;
	s->fdp = fx->dp;
	s->mxcsr = fx->mxcsr;
	for (unsigned i = 0; i < 8; i++) {
		s->fpr[(top + i) & 7].mantissa = fx->st[i].mantissa;
		s->fpr[(top + i) & 7].sign_exponent = fx->st[i].sign_exponent;
	}
	memcpy(s->xmm, fx->xmm, sizeof(s->xmm));
}

static void take_fx(const struct x86_state *s, struct fx_image *fx)
{
	const unsigned top = s->fsw >> 11 & 7;

	memset(fx, 0, sizeof(*fx));
	fx->cw = s->fcw;
	fx->sw = s->fsw;
	fx->tag = s->ftw;
	fx->op = s->fop;
	fx->ip = s->fip;
	fx->dp = s->fdp;
	fx->mxcsr = s->mxcsr;
	for (unsigned i = 0; i < 8; i++) {
		fx->st[i].mantissa = s->fpr[(top + i) & 7].mantissa;
		fx->st[i].sign_exponent = s->fpr[(top + i) & 7].sign_exponent;
	}
	memcpy(fx->xmm, s->xmm, sizeof(s->xmm));
}

static const uint32_t vectors_with_error =
	1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17;

/* What the handler finds on its stack: error code if any, RIP, CS, RFLAGS, RSP, SS. */
static void take_result(const struct ours *o, const struct x86_state *s, struct result *r)
{
	uint64_t frame[6];
	const uint64_t *f = frame;

	for (unsigned i = 0; i < 16; i++)
		r->out.gpr[i] = s->gpr[i];
	r->vector = (uint32_t)((s->rip - KERNEL_BASE - AT_HANDLERS) / HANDLER_BYTES);
	memcpy(frame, o->ram + (s->gpr[RSP] - KERNEL_BASE), sizeof(frame));
	r->error = 0;
	if (vectors_with_error >> r->vector & 1)
		r->error = (uint32_t)*f++;
	r->out.rip = f[0];
	r->out.rflags = f[2];
	r->out.gpr[RSP] = f[3];
	r->cr2 = r->vector == 14 ? s->cr2 : 0;
	take_fx(s, &r->out.fx);
	r->memory = hash_bytes(o->ram + AT_DATA, DATA_BYTES);
}

int ours_run(struct ours *o, const struct batch *batch, const struct vector *v, struct result *r,
             struct err *e)
{
	struct x86_state s = o->start;
	const uint64_t lowest = KERNEL_BASE + AT_STACK_END - 48,
		       handlers = KERNEL_BASE + AT_HANDLERS;
	enum x86_exit exit;
	int ret;

	memcpy(o->ram + AT_DATA, batch->pattern, DATA_BYTES);
	memcpy(o->ram + AT_READONLY, batch->readonly, PAGE_BYTES);
	if (v->patch_bytes)
		memcpy(o->ram + AT_DATA + (v->patch_at - DATA_BASE), v->patch, v->patch_bytes);
	memcpy(o->ram + AT_CODE + v->offset, v->code, v->code_bytes);
	x86_invalidate_ram(o->cpu, AT_CODE + v->offset, v->code_bytes);

	memcpy(s.gpr, v->in.gpr, sizeof(s.gpr));
	s.rip = v->in.rip;
	s.rflags = v->in.rflags | 0x202;
	s.seg[X86_CS] = v->code32 ? user_segment(0x23, 0xc0fb) : user_segment(0x33, 0xa0fb);
	put_fx(&s, &v->in.fx);
	ret = x86_set_state(o->cpu, &s, e);
	if (!ret) {
		ticks = 0;
		exit = x86_run(o->cpu);
		x86_get_state(o->cpu, &s);
		if (exit == X86_EXIT_KICKED)
			ret = err_say(e, -EIO, "did not end");
		else if (exit != X86_EXIT_HLT)
			ret = err_say(e, -EIO, "exit %d: %s", (int)exit, x86_error(o->cpu));
		else if (s.gpr[RSP] < lowest || s.gpr[RSP] > lowest + 8 || s.rip < handlers ||
		         s.rip >= handlers + 32 * HANDLER_BYTES)
			ret = err_say(e, -EIO, "halted at RIP %#llx", (unsigned long long)s.rip);
		else
			take_result(o, &s, r);
	}
	memset(o->ram + AT_CODE + v->offset, 0xcc, v->code_bytes);
	x86_invalidate_ram(o->cpu, AT_CODE + v->offset, v->code_bytes);
	return ret;
}
