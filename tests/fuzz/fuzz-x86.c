/* SPDX-License-Identifier: MIT */
/*
 * The CPU runs whatever bytes there are, at CPL 0 or 3, in 64-bit or 32-bit code. It may do
 * anything to the guest and nothing to us: its RAM is one heap block, so that AddressSanitizer
 * sees a step beside it.
 *
 *	byte 0    bit 0: CPL 3, bit 1: 32-bit code, bit 2: SSE and x87 trap, bit 3: TF
 *	byte 1-8  seed of the registers
 *	byte 9-   code, at CODE; exceptions go on inside of it
 *
 * Guest-physical 0 to 2 MiB is mapped to itself and, once more, at HIGH; RAM ends before that.
 * A run ends when the guest halts or shuts down, or with the next tick of a timer.
 */
#include "../code-memory.h"

#include <signal.h>
#include <string.h>
#include <sys/time.h>

#define RAM_BYTES 0x40000u
#define CODE 0x10000u
#define CODE_BYTES 0x1000u
#define HIGH 0xffffffff80000000u
#define STACK 0x30000u
#define TICK_US 4000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct x86_cpu *cpu;
static uint8_t *ram;
static uint64_t noise;

static uint64_t draw(void)
{
	uint64_t z = noise += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	return z ^ z >> 27;
}

/* Devices that answer with noise. */
static uint64_t mmio_read(void *ctx, uint64_t gpa, unsigned bytes)
{
	return draw();
}
static void mmio_write(void *ctx, uint64_t gpa, unsigned bytes, uint64_t value)
{
	noise ^= value;
}
static uint32_t port_in(void *ctx, uint16_t port, unsigned bytes)
{
	return (uint32_t)draw();
}
static void port_out(void *ctx, uint16_t port, unsigned bytes, uint32_t value)
{
	noise ^= value;
}
static bool msr_read(void *ctx, uint32_t msr, uint64_t *value)
{
	*value = draw();
	return msr & 1;
}
static bool msr_write(void *ctx, uint32_t msr, uint64_t value)
{
	return msr & 1;
}
static int ack_interrupt(void *ctx)
{
	return (int)(draw() % 257) - 1;
}
static uint8_t get_tpr(void *ctx)
{
	return 0;
}
static void set_tpr(void *ctx, uint8_t cr8)
{
	x86_set_interrupt(cpu, cr8 & 1);
}
static uint64_t tsc(void *ctx)
{
	return noise;
}
static void random_bytes(void *ctx, void *out, size_t bytes)
{
	memset(out, (int)draw(), bytes);
}

static void tick(int sig)
{
	if (cpu)
		x86_kick(cpu);
}

static void start(void)
{
	struct x86_config config = {.level = X86_LEVEL_V2, .tsc_hz = 1000000000};
	const struct itimerval every = {{.tv_usec = TICK_US}, {.tv_usec = TICK_US}};
	const struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
	struct x86_platform platform = {
		.ram_bytes = RAM_BYTES,
		.ranges = {{.gpa = 0, .bytes = RAM_BYTES, .offset = 0}},
		.n_ranges = 1,
		.mmio_read = mmio_read,
		.mmio_write = mmio_write,
		.port_in = port_in,
		.port_out = port_out,
		.msr_read = msr_read,
		.msr_write = msr_write,
		.ack_interrupt = ack_interrupt,
		.get_tpr = get_tpr,
		.set_tpr = set_tpr,
		.tsc = tsc,
		.random = random_bytes,
	};

	if (posix_memalign((void **)&ram, PAGE_BYTES, RAM_BYTES))
		abort();
	platform.ram = ram;
	config.code = code_memory(2);
	cpu = x86_create(&config, &platform, NULL);
	if (!cpu)
		abort();
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
}

static void put64(unsigned at, uint64_t value)
{
	memcpy(ram + at, &value, sizeof(value));
}

static void put_tables(void)
{
	const uint64_t table = 0x67; /* present, writable, user, accessed, dirty */
	const uint64_t tss = HIGH + 0x5800;

	memset(ram, 0, RAM_BYTES);
	put64(0x1000, 0x2000 | table);
	put64(0x1000 + 8 * 511, 0x2000 | table);
	put64(0x2000, 0x3000 | table);
	put64(0x2000 + 8 * 510, 0x3000 | table);
	put64(0x3000, table | 0x80); /* one page of 2 MiB */

	put64(0x5010, 0x00af9b000000ffffu);
	put64(0x5018, 0x00cf93000000ffffu);
	put64(0x5020, 0x00cffb000000ffffu);
	put64(0x5028, 0x00cff3000000ffffu);
	put64(0x5030, 0x00affb000000ffffu);
	put64(0x5040, 0x0000890000000067u | (tss & 0xffffff) << 16 | (tss >> 24 & 0xff) << 56);
	put64(0x5048, tss >> 32);
	for (unsigned i = 0; i < 8; i++) /* RSP0 to RSP2, then IST1 to IST7 */
		put64(0x5800 + 4 + 8 * i + (i >= 3 ? 8 : 0), HIGH + STACK);
	for (unsigned i = 0; i < 256; i++) {
		const uint64_t handler = HIGH + CODE + i * 16 % CODE_BYTES;
		const uint64_t dpl = i & 1 ? 3 : 0, ist = i & 2 ? 1 : 0;

		put64(0x4000 + 16 * i, (handler & 0xffff) | 0x100000 |
		                               (0x8e00 | dpl << 13 | ist) << 32 |
		                               (handler >> 16 & 0xffff) << 48);
		put64(0x4008 + 16 * i, handler >> 32);
	}
}

static struct x86_segment segment(uint16_t selector, uint16_t attributes)
{
	return (struct x86_segment){
		.selector = selector, .attributes = attributes, .limit = UINT32_MAX};
}

/* Mostly addresses in RAM, where more happens. */
static uint64_t draw_register(void)
{
	switch (draw() % 8) {
	case 0:
		return draw();
	case 1:
		return draw() % 64;
	case 2:
		return HIGH + draw() % RAM_BYTES;
	case 3:
		return RAM_BYTES - draw() % 32; /* over the end of RAM */
	default:
		return 0x20000 + draw() % 0x10000;
	}
}

static struct x86_state start_state(uint8_t flags)
{
	const bool user = flags & 1, narrow = flags & 2;
	struct x86_state s;

	x86_state_long_mode(&s, CODE, 0x1000);
	s.cr0 = 0x80050033 | (flags & 4 ? 0x8 : 0);
	s.cr4 |= 0x600 | 0x10000 | 0x40000 | 0x20; /* OSFXSR OSXMMEXCPT FSGSBASE OSXSAVE PAE */
	s.xcr0 = 3;
	s.efer = 0xd01;
	s.gdtr = (struct x86_table){HIGH + 0x5000, 0x4f};
	s.idtr = (struct x86_table){HIGH + 0x4000, 0xfff};
	s.tr = (struct x86_segment){
		.selector = 0x40, .attributes = 0x8b, .limit = 0x67, .base = HIGH + 0x5800};
	s.seg[X86_CS] = user ? (narrow ? segment(0x23, 0xc0fb) : segment(0x33, 0xa0fb))
	                     : segment(0x10, 0xa09b);
	s.seg[X86_SS] = user ? segment(0x2b, 0xc0f3) : segment(0x18, 0xc093);
	s.seg[X86_DS] = s.seg[X86_ES] = segment(0x2b, 0xc0f3);
	s.star = 0x0023001000000000;
	s.lstar = s.cstar = HIGH + CODE + 0x200;
	s.sysenter_cs = 0x10;
	s.sysenter_eip = HIGH + CODE + 0x300;
	s.sysenter_esp = HIGH + STACK;
	for (unsigned i = 0; i < X86_GPRS; i++)
		s.gpr[i] = draw_register();
	s.gpr[X86_RSP] = 0x28000;
	s.rflags = 2 | (draw() & 0x8d5) | (flags & 8 ? 0x100 : 0);
	for (unsigned i = 0; i < sizeof(s.xmm); i++)
		s.xmm[i] = (uint8_t)draw();
	for (unsigned i = 0; i < 8; i++)
		s.fpr[i] = (struct x86_f80){draw(), (uint16_t)draw()};
	s.fcw = (uint16_t)(0x40 | (draw() & 0x1f3f));
	s.ftw = (uint8_t)draw();
	s.mxcsr = (uint32_t)draw() & 0xffff;
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct x86_state s;

	if (!cpu)
		start();
	if (size < 10)
		return 0;
	memcpy(&noise, data + 1, sizeof(noise));
	put_tables();
	memcpy(ram + CODE, data + 9, MIN(size - 9, (size_t)CODE_BYTES));
	x86_invalidate_ram(cpu, 0, RAM_BYTES);
	s = start_state(data[0]);
	if (x86_set_state(cpu, &s, NULL))
		abort();
	x86_run(cpu);
	x86_get_state(cpu, &s);
	/* What the CPU can get into, it must be able to start from. */
	if (x86_set_state(cpu, &s, NULL))
		abort();
	return 0;
}
