/* SPDX-License-Identifier: MIT */
/*
 * The privileged side of the CPU: small guests (x86-guest.S) with answers known from the manual.
 *
 * Guest RAM is identity-mapped by 4 KiB pages below 4 MiB. Every test starts from the same
 * machine at CPL 0 in 64-bit code, changes what it is about, and looks at the log that the
 * guest's exception handlers keep.
 *
 * Built with ON_KVM the answers themselves are tested: they are those of the host's CPU under KVM.
 */
#include "../code-memory.h"
#include "kvm.h"
#include "tap.h"

#ifndef ON_KVM
#define ON_KVM 0
#endif

#define RAM_BYTES (4u << 20)
#define PML4 0x1000u
#define PDPT 0x2000u
#define PD 0x3000u
#define PT 0x4000u /* two of them */
#define GDT 0x6000u
#define IDT 0x7000u
#define TSS 0x8000u
#define LOG 0x9000u
#define STACK 0xb000u /* tops */
#define IST1 0xd000u
#define USER_STACK 0xf000u
#define PML4_B 0x10000u /* a second address space */
#define PDPT_B 0x11000u
#define PD_B 0x12000u
#define PT_B 0x13000u
#define CODE 0x100000u
#define DATA 0x200000u

#define CS_KERNEL 0x10
#define CS_USER32 0x23
#define SS_USER 0x2b
#define CS_USER 0x33
#define SEL_TSS 0x38
#define SEL_ABSENT 0x48 /* data, not present */
#define SEL_SYSTEM 0x50 /* no data segment */
#define SEL_SMALL 0x5b  /* user data of 16 bytes */

#define KICK_PORT 0x80 /* whoever writes here is kicked */

#define P 1ull
#define W 2ull
#define U 4ull
#define A 0x20ull
#define D 0x40ull
#define PS 0x80ull
#define G 0x100ull
#define NX (1ull << 63)

extern const uint8_t guest_start[], guest_end[], guest_vectors[];
/* It would nest what stands side by side. */
/* clang-format off */
#define SNIPPETS(M)                                                                                \
	M(load) M(store) M(rmw) M(load_twice_invlpg) M(cr3_flush) M(pge_flush) M(pcid) M(ud)       \
	M(load_ds) M(load_ss) M(int80) M(int3) M(iret_to_user) M(user_hlt) M(user_syscall)         \
	M(syscall_entry) M(syscall_entry_hlt) M(user32) M(user32_sysenter) M(user32_limit)         \
	M(kernel_hlt) M(smc_self) M(smc_call) M(call_rdi) M(sti_shadow) M(sti_cli) M(popf)         \
	M(sti_hlt) M(mov_ss_shadow) M(single_step) M(loop_forever) M(rep_movs) M(rdmsr) M(wrmsr)   \
	M(cmpxchg16b) M(push) M(stac) M(div) M(xgetbv) M(mov_cr8) M(work) M(lretq) \
	M(remap_code) M(remap_user_code) M(remap_user_entry)
/* clang-format on */
#define DECLARE(name) extern const uint8_t s_##name[];
SNIPPETS(DECLARE)

struct record {
	uint64_t vector, error, rip, cs, rflags, rsp, ss, cr2;
};

static uint8_t ram[RAM_BYTES] __attribute__((aligned(4096)));
static struct x86_cpu *cpu;
static struct kvm_cpu *kvm; /* instead */
static struct x86_state st;
static int ack_vector; /* what the interrupt controller would say, -1 for none */
static uint8_t tpr;
static uint64_t clock_now;

/* ---- the machine around it -------------------------------------------------------------- */

static uint64_t mmio_read(void *ctx, uint64_t gpa, unsigned bytes)
{
	return 0x1122334455667788u + gpa % 4096 + bytes;
}
static uint64_t last_mmio_gpa, last_mmio_value;
static void mmio_write(void *ctx, uint64_t gpa, unsigned bytes, uint64_t value)
{
	last_mmio_gpa = gpa;
	last_mmio_value = value;
}
static uint32_t port_in(void *ctx, uint16_t port, unsigned bytes)
{
	return 0;
}
static void port_out(void *ctx, uint16_t port, unsigned bytes, uint32_t value)
{
	if (port == KICK_PORT)
		x86_kick(cpu);
}
static bool msr_read(void *ctx, uint32_t msr, uint64_t *value)
{
	return false;
}
static bool msr_write(void *ctx, uint32_t msr, uint64_t value)
{
	return false;
}
static int ack_interrupt(void *ctx)
{
	int v = ack_vector;

	ack_vector = -1;
	if (cpu)
		x86_set_interrupt(cpu, false);
	return v;
}
static uint8_t get_tpr(void *ctx)
{
	return tpr;
}
static void set_tpr(void *ctx, uint8_t cr8)
{
	tpr = cr8;
}
static uint64_t tsc(void *ctx)
{
	return clock_now += 1000;
}
static void random_bytes(void *ctx, void *out, size_t bytes)
{
	memset(out, 0x5a, bytes);
}

static void put64(uint64_t gpa, uint64_t v)
{
	memcpy(ram + gpa, &v, 8);
}
static uint64_t get64(uint64_t gpa)
{
	uint64_t v;

	memcpy(&v, ram + gpa, 8);
	return v;
}

static uint64_t at(const uint8_t *label)
{
	return CODE + (uint64_t)(label - guest_start);
}

static uint64_t pte_gpa(uint64_t linear)
{
	return PT + linear / 4096 * 8;
}
static void set_pte(uint64_t linear, uint64_t v)
{
	put64(pte_gpa(linear), v);
}

static void set_gate(unsigned vector, unsigned dpl, unsigned ist)
{
	uint64_t rip = at(guest_vectors) + vector * 16;

	put64(IDT + vector * 16, (rip & 0xffff) | CS_KERNEL << 16 | (uint64_t)ist << 32 |
	                                 (0x8e00ull | dpl << 13) << 32 | (rip & 0xffff0000) << 32);
	put64(IDT + vector * 16 + 8, rip >> 32);
}

static struct x86_code_memory code; /* none: all is interpreted */
static unsigned n_preloaded;        /* pieces of all that may be code, in the CPU before it runs */
static struct x86_code_image image;
static struct x86_code_log *code_log;

static struct buf image_of(const struct x86_known *known)
{
	struct buf made = {0};

	x86_code_image_make(ram, sizeof(ram), known, &made);
	return made;
}

/* Of all places in the guest's program, in each of the modes that it runs in. */
static void know_all_code(void)
{
	enum { CODE_64 = 1, CODE_32 = 2, STACK_32 = 4, USER = 0x20 }; /* of x86-int.h */
	static const uint8_t modes[] = {CODE_64, CODE_64 | USER, CODE_32 | STACK_32 | USER};
	static struct x86_code_place places[3 * 65536];
	static struct buf made;
	struct x86_known known = {.place = places};

	for (uint64_t a = CODE; a < at(guest_end); a++)
		for (size_t m = 0; m < ARRAY_LEN(modes); m++)
			places[known.n_places++] =
				(struct x86_code_place){(uint32_t)(a / PAGE_BYTES),
			                                (uint16_t)(a % PAGE_BYTES), modes[m], 0};
	ok(known.n_places < ARRAY_LEN(places), "%zu places", known.n_places);
	buf_finish(&made);
	made = image_of(&known);
	image = (struct x86_code_image){made.data, made.len};
	ok(x86_code_image_count(&image) > known.n_places / 2, "%zu of %zu places",
	   x86_code_image_count(&image), known.n_places);
}

static void destroy(void)
{
	x86_destroy(cpu);
	kvm_destroy(kvm);
	cpu = NULL;
	kvm = NULL;
}

static void setup(void)
{
	static const uint64_t gdt[] = {0,
	                               0,
	                               0x00af9a000000ffff,
	                               0x00cf92000000ffff,
	                               0x00cffa000000ffff,
	                               0x00cff2000000ffff,
	                               0x00affa000000ffff,
	                               0x0000890000000067 | (uint64_t)TSS << 16,
	                               0,
	                               0x00cf12000000ffff,
	                               0x0000820000000000,
	                               0x0040f2000000000f};
	struct x86_platform platform = {.ram = ram,
	                                .ram_bytes = RAM_BYTES,
	                                .ranges = {{0, RAM_BYTES, 0}},
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
	                                .random = random_bytes};
	struct x86_config config = {
		.level = X86_LEVEL_V2, .tsc_hz = 1000000000, .code = code, .log = code_log};
	struct err e = {0};

	destroy();
	memset(ram, 0, sizeof(ram));
	ack_vector = -1;
	tpr = 0;
	put64(PML4, PDPT | P | W | U);
	put64(PDPT, PD | P | W | U);
	put64(PD, PT | P | W | U);
	put64(PD + 8, (PT + 4096) | P | W | U);
	for (uint64_t a = 0; a < RAM_BYTES; a += 4096)
		set_pte(a, a | P | W | (a < IST1 ? 0 : U)); /* ours below, the user's from there */
	memcpy(ram + GDT, gdt, sizeof(gdt));
	for (unsigned i = 0; i < 256; i++)
		set_gate(i, i == 0x80 || i == 3 ? 3 : 0, i == 8 ? 1 : 0);
	put64(TSS + 4, STACK);
	put64(TSS + 0x24, IST1);
	memcpy(ram + CODE, guest_start, (size_t)(guest_end - guest_start));
	if (n_preloaded)
		know_all_code();
	config.image = image;
	if (ON_KVM)
		kvm = kvm_create(&platform, &e);
	else
		cpu = x86_create(&config, &platform, &e);
	ok(cpu || kvm, "%s", e.text);
	for (unsigned left = n_preloaded; image.at && left && x86_preload(cpu, true); left--)
		;
	x86_state_long_mode(&st, 0, PML4);
	st.gdtr = (struct x86_table){GDT, sizeof(gdt) - 1};
	st.idtr = (struct x86_table){IDT, 4095};
	st.tr = (struct x86_segment){
		.selector = SEL_TSS, .base = TSS, .limit = 0x67, .attributes = 0x8b};
	st.gpr[X86_RSP] = STACK - 0x400;
}

static enum x86_exit run_on(void)
{
	enum x86_exit exit = kvm ? kvm_run(kvm) : x86_run(cpu);
	struct err e = {0};

	if (kvm)
		ok(kvm_get_state(kvm, &st, &e) == 0, "%s", e.text);
	else
		x86_get_state(cpu, &st);
	return exit;
}

/* Run from a label with what the test has put into st. */
static enum x86_exit run(const uint8_t *label)
{
	struct err e = {0};

	st.rip = at(label);
	st.halted = false;
	ok((kvm ? kvm_set_state(kvm, &st, &e) : x86_set_state(cpu, &st, &e)) == 0, "%s", e.text);
	return run_on();
}

static uint64_t logged(void)
{
	return get64(LOG);
}
static struct record record(unsigned i)
{
	struct record r = {.vector = UINT64_MAX};

	if (i < logged())
		memcpy(&r, ram + LOG + 0x40 + i * 64, sizeof(r));
	return r;
}
static void resume_at(const uint8_t *label)
{
	put64(LOG + 8, label ? at(label) : 1);
}

#define ENTER_USER(label, cs_, rflags_)                                                            \
	(st.gpr[X86_RDI] = at(label), st.gpr[X86_RSI] = USER_STACK, st.gpr[X86_RDX] = (rflags_),   \
	 st.gpr[X86_RCX] = (cs_), run(s_iret_to_user))

/* ---- paging ------------------------------------------------------------------------------ */

/* Runs @label with RDI = DATA under @pte; expects one #PF with @error and CR2 = DATA. */
static void expect_pf(const uint8_t *label, uint64_t pte, uint64_t error)
{
	struct record r;

	set_pte(DATA, pte);
	st.gpr[X86_RDI] = DATA;
	ok(run(label) == X86_EXIT_HLT, "exit");
	r = record((unsigned)logged() - 1);
	ok(logged() && r.vector == 14, "vector %d", (int)r.vector);
	ok(r.error == error, "error %#llx, not %#llx", (unsigned long long)r.error,
	   (unsigned long long)error);
	ok(r.cr2 == DATA, "CR2 %#llx", (unsigned long long)r.cr2);
	ok(r.rip == at(label) || label == s_rmw, "RIP %#llx", (unsigned long long)r.rip);
}

static void page_faults_have_the_right_error_codes(void)
{
	setup();
	expect_pf(s_load, DATA | W | U, 0);
	setup();
	expect_pf(s_store, DATA | W | U, 2);
	setup();
	expect_pf(s_store, DATA | P | U, 3); /* CR0.WP is on */
	setup();
	expect_pf(s_load, DATA | P | W | 1ull << 51, 9); /* beyond any physical address */
	setup();
	st.cr4 |= 1u << 21; /* SMAP */
	expect_pf(s_load, DATA | P | W | U, 1);
}

static void a_write_without_wp_goes_through(void)
{
	setup();
	st.cr0 &= ~0x10000ull;
	set_pte(DATA, DATA | P);
	st.gpr[X86_RDI] = DATA;
	st.gpr[X86_RAX] = 42;
	ok(run(s_store) == X86_EXIT_HLT && logged() == 0, "faulted");
	ok(get64(DATA) == 42, "not written");
}

static void fetches_obey_nx_and_smep(void)
{
	struct record r;

	setup();
	set_pte(DATA, DATA | P | W | U | NX);
	st.gpr[X86_RDI] = DATA;
	run(s_call_rdi);
	r = record(0);
	ok(logged() == 1 && r.vector == 14 && r.error == 0x11 && r.rip == DATA && r.cr2 == DATA,
	   "NX: vector %d error %#x", (int)r.vector, (unsigned)r.error);

	setup();
	st.cr4 |= 1u << 20;
	set_pte(CODE, CODE | P | W);
	for (uint64_t a = CODE; a < CODE + 0x4000; a += 4096)
		set_pte(a, a | P | W);
	ram[DATA] = 0xf4;
	st.gpr[X86_RDI] = DATA;
	run(s_call_rdi);
	r = record(0);
	ok(logged() == 1 && r.vector == 14 && r.error == 0x11 && r.rip == DATA,
	   "SMEP: vector %d error %#x", (int)r.vector, (unsigned)r.error);
}

static void a_user_access_to_a_kernel_page_faults(void)
{
	struct record r;

	setup();
	set_pte(DATA, DATA | P | W);
	st.gpr[X86_RBX] = 1;
	ram[USER_STACK - 8] = 0;
	/* s_load reads (%rdi), which is its own address after IRET: so give it the data page. */
	ENTER_USER(s_load, CS_USER, 0x202);
	ok(logged() == 1, "%d faults", (int)logged());
	setup();
	set_pte(CODE + 0x2000, (CODE + 0x2000) | P | W);
	memcpy(ram + DATA, "\x48\x8b\x04\x25\x00\x20\x10\x00\xf4", 9); /* mov CODE + 0x2000, %rax */
	st.gpr[X86_RDI] = DATA;
	st.gpr[X86_RSI] = USER_STACK;
	st.gpr[X86_RDX] = 0x202;
	st.gpr[X86_RCX] = CS_USER;
	run(s_iret_to_user);
	r = record(0);
	ok(r.vector == 14 && r.error == 5 && r.cs == CS_USER && r.rip == DATA && r.ss == SS_USER &&
	           r.rsp == USER_STACK,
	   "vector %d error %#x", (int)r.vector, (unsigned)r.error);
}

static void accessed_and_dirty_bits_are_set(void)
{
	setup();
	st.gpr[X86_RDI] = DATA;
	run(s_load);
	ok((get64(pte_gpa(DATA)) & (A | D)) == A, "after a read: %#llx",
	   (unsigned long long)get64(pte_gpa(DATA)));
	run(s_store);
	ok((get64(pte_gpa(DATA)) & (A | D)) == (A | D), "after a write");
	ok(get64(PML4) & A && get64(PDPT) & A && get64(PD) & A, "upper levels");
}

static void invlpg_and_cr3_drop_translations(void)
{
	static const uint8_t *const ways[] = {s_load_twice_invlpg, s_cr3_flush, s_pge_flush};

	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		setup();
		st.cr4 |= 0x80;
		put64(DATA, 1);
		put64(DATA + 4096, 2);
		if (ways[i] == s_pge_flush)
			set_pte(DATA, DATA | P | W | U | G);
		st.gpr[X86_RDI] = DATA;
		st.gpr[X86_RSI] = pte_gpa(DATA);
		st.gpr[X86_RDX] = (DATA + 4096) | P | W | U;
		ok(run(ways[i]) == X86_EXIT_HLT && !logged(), "faulted");
		ok(st.gpr[X86_RAX] == 1 && st.gpr[X86_RCX] == 2, "way %zu: %d then %d", i,
		   (int)st.gpr[X86_RAX], (int)st.gpr[X86_RCX]);
	}
}

static void large_pages_map_and_are_dropped_whole(void)
{
	setup();
	put64(PDPT + 8, 0 | P | W | PS);   /* 1 GiB at 1 GiB onto 0 */
	put64(PD + 16, DATA | P | W | PS); /* 2 MiB at 4 MiB onto DATA */
	put64(DATA + 0x5008, 0x77);
	st.gpr[X86_RDI] = (1ull << 30) + DATA + 0x5008;
	run(s_load);
	ok(!logged() && st.gpr[X86_RAX] == 0x77, "1 GiB page");
	st.gpr[X86_RDI] = 0x400000 + 0x5008;
	st.gpr[X86_RSI] = PD + 16;
	st.gpr[X86_RDX] = 0 | P | W | PS;
	put64(0x5008, 0x99); /* an unused entry of the page tables: any value but P */
	put64(0x5008, 0x98);
	run(s_load_twice_invlpg);
	ok(!logged() && st.gpr[X86_RAX] == 0x77 && st.gpr[X86_RCX] == 0x98, "2 MiB page: %#x %#x",
	   (unsigned)st.gpr[X86_RAX], (unsigned)st.gpr[X86_RCX]);
	/* A misaligned large page has reserved bits set. */
	put64(PD + 16, (DATA + 0x4000) | P | W | PS);
	st.gpr[X86_RDI] = 0x400000;
	run(s_load);
	ok(logged() == 1 && record(0).error == 9, "error %#x", (unsigned)record(0).error);
}

/* A second address space, like the first. */
static void make_space_b(void)
{
	memcpy(ram + PML4_B, ram + PML4, 3 * 4096);
	memcpy(ram + PT_B, ram + PT, 4096);
	put64(PML4_B, PDPT_B | P | W | U);
	put64(PDPT_B, PD_B | P | W | U);
	put64(PD_B, PT_B | P | W | U);
	memcpy(ram + PT_B + 4096, ram + PT + 4096, 4096);
	put64(PD_B + 8, (PT_B + 4096) | P | W | U);
}

static void pcids_keep_their_own_translations(void)
{
	setup();
	make_space_b();
	put64(PT_B + 4096, (DATA + 4096) | P | W | U);
	put64(DATA, 1);
	put64(DATA + 4096, 2);
	st.cr4 |= 0x20000;
	st.gpr[X86_RDI] = DATA;
	st.gpr[X86_RSI] = PML4 | 1;
	st.gpr[X86_RDX] = PML4_B | 2 | 1ull << 63;
	run(s_pcid);
	ok(!logged() && st.gpr[X86_RAX] == 1 && st.gpr[X86_RCX] == 2 && st.gpr[X86_RBX] == 1,
	   "%d %d %d", (int)st.gpr[X86_RAX], (int)st.gpr[X86_RCX], (int)st.gpr[X86_RBX]);
}

/* MOV EAX, @n; @then: how it goes back */
static void put_code(uint64_t gpa, uint8_t n, uint16_t then)
{
	put64(gpa, 0xb8u | (uint64_t)n << 8 | (uint64_t)then << 40);
}

/* Where code was fetched from is known to the CPU in ways of its own, which INVLPG has to end. */
static void invlpg_drops_code(void)
{
	enum { RET = 0xc3, SYSCALL = 0x050f, FAR = 256 * 4096 /* the same slot of small caches */ };
	static_assert(DATA + FAR < RAM_BYTES, "in RAM");

	setup();
	put_code(DATA, 1, RET);
	put_code(DATA + 4096, 2, RET);
	put_code(DATA + FAR, 3, RET);
	st.gpr[X86_RDI] = DATA;
	st.gpr[X86_RSI] = pte_gpa(DATA);
	st.gpr[X86_RDX] = (DATA + 4096) | P | W | U;
	st.gpr[X86_RBX] = DATA + FAR;
	run(s_remap_code);
	ok(!logged() && st.gpr[X86_R8] == 1 && st.gpr[X86_R9] == 2, "the kernel's: %d, then %d",
	   (int)st.gpr[X86_R8], (int)st.gpr[X86_R9]);

	setup();
	make_space_b();
	put_code(DATA, 1, SYSCALL);
	put_code(DATA + 4096, 2, SYSCALL);
	put_code(DATA + 2 * 4096 + 64, 3, SYSCALL);
	st.star = 0x00230010ull << 32;
	st.lstar = at(s_remap_user_entry);
	st.cr4 |= 0x20000;
	st.cr3 = PML4 | 1;
	st.gpr[X86_RDI] = DATA;
	st.gpr[X86_RSI] = pte_gpa(DATA);
	st.gpr[X86_RDX] = (DATA + 4096) | P | W | U;
	st.gpr[X86_R12] = PML4 | 1 | 1ull << 63;
	st.gpr[X86_R13] = PML4_B | 2;
	st.gpr[X86_R14] = DATA + 2 * 4096 + 64;
	run(s_remap_user_code);
	ok(!logged() && st.gpr[X86_R8] == 1 && st.gpr[X86_R9] == 2, "users': %d, then %d",
	   (int)st.gpr[X86_R8], (int)st.gpr[X86_R9]);
}

static void smap_yields_to_ac(void)
{
	setup();
	st.cr4 |= 1u << 21;
	put64(DATA, 9);
	st.gpr[X86_RDI] = DATA;
	run(s_stac);
	ok(logged() == 1 && record(0).vector == 14 && record(0).error == 1, "%d logged",
	   (int)logged());
	ok(st.gpr[X86_RAX] == 9, "the read under AC");
}

static void accesses_over_a_page_end_work_and_fault_whole(void)
{
	setup();
	st.gpr[X86_RDI] = DATA + 4093;
	st.gpr[X86_RAX] = 0x1122334455667788;
	run(s_store);
	ok(get64(DATA + 4093) == 0x1122334455667788, "stored");
	run(s_load);
	ok(st.gpr[X86_RAX] == 0x1122334455667788, "loaded");
	set_pte(DATA + 4096, 0);
	st.gpr[X86_RAX] = 0;
	ok(run(s_store) == X86_EXIT_HLT && logged() == 1 && record(0).cr2 == DATA + 4096, "fault");
	ok(ram[DATA + 4093] == 0x88, "the first part was written though the second faulted");
}

static void devices_are_read_and_written(void)
{
	setup();
	set_pte(DATA, 0xfee00000 | P | W);
	st.gpr[X86_RDI] = DATA + 0x30;
	run(s_load);
	ok(st.gpr[X86_RAX] == 0x1122334455667788u + 0x30 + 8, "read");
	st.gpr[X86_RAX] = 77;
	run(s_store);
	ok(last_mmio_gpa == 0xfee00030 && last_mmio_value == 77, "written");
}

/* ---- faults ------------------------------------------------------------------------------ */

static void a_faulting_rmw_changes_nothing(void)
{
	setup();
	put64(DATA, 41);
	expect_pf(s_rmw, DATA | P | U, 3);
	ok(get64(DATA) == 41 && st.gpr[X86_RAX] == 5, "changed");
}

static void selectors_are_checked(void)
{
	static const struct {
		const uint8_t *label;
		uint16_t selector;
		unsigned vector, error;
	} cases[] = {
		{s_load_ds, SEL_ABSENT, 11, SEL_ABSENT}, {s_load_ds, SEL_SYSTEM, 13, SEL_SYSTEM},
		{s_load_ds, 0x1000, 13, 0x1000},         {s_load_ds, 0x2f & ~3, 13, 0x2c},
		{s_load_ss, SEL_ABSENT, 12, SEL_ABSENT}, {s_load_ss, SS_USER, 13, SS_USER & ~3},
		{s_load_ss, CS_KERNEL, 13, CS_KERNEL},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		setup();
		st.gpr[X86_RAX] = cases[i].selector;
		run(cases[i].label);
		ok(logged() == 1 && record(0).vector == cases[i].vector &&
		           record(0).error == cases[i].error,
		   "%#x: vector %d error %#x", cases[i].selector, (int)record(0).vector,
		   (unsigned)record(0).error);
	}
}

static void non_canonical_addresses_are_gp_or_ss(void)
{
	setup();
	st.gpr[X86_RDI] = 0x800000000000;
	run(s_load);
	ok(logged() == 1 && record(0).vector == 13 && record(0).error == 0, "#GP");
	setup();
	st.gpr[X86_RSP] = 0x800000000000 + 8;
	/* Its handler has no stack either, but the interrupt stack of #DF. */
	set_gate(12, 0, 1);
	run(s_push);
	ok(logged() == 1 && record(0).vector == 12, "#SS: %d", (int)record(0).vector);
}

static void division_by_zero_is_a_fault_at_the_division(void)
{
	setup();
	run(s_div);
	ok(record(0).vector == 0 && record(0).rip == at(s_div) + 4, "RIP %#llx",
	   (unsigned long long)record(0).rip);
	ok(record(0).rflags & 0x10000, "RF is set in a fault's image");
}

static void unknown_msrs_are_gp(void)
{
	setup();
	st.gpr[X86_RCX] = 0x3fff0001;
	run(s_rdmsr);
	ok(logged() == 1 && record(0).vector == 13 && record(0).error == 0, "RDMSR");
	run(s_wrmsr);
	ok(logged() == 2 && record(1).vector == 13, "WRMSR");
	st.gpr[X86_RCX] = 0xc0000102;
	st.gpr[X86_RAX] = 0x12345678;
	st.gpr[X86_RDX] = 0xffff8000;
	run(s_wrmsr);
	ok(logged() == 2 && st.kernel_gs_base == 0xffff800012345678, "KERNEL_GS_BASE");
}

static void cmpxchg16b_wants_alignment(void)
{
	setup();
	put64(DATA + 16, 5);
	put64(DATA + 24, 6);
	st.gpr[X86_RDI] = DATA + 16;
	st.gpr[X86_RAX] = 5;
	st.gpr[X86_RDX] = 6;
	st.gpr[X86_RBX] = 7;
	st.gpr[X86_RCX] = 8;
	run(s_cmpxchg16b);
	ok(get64(DATA + 16) == 7 && get64(DATA + 24) == 8 && (st.rflags & 0x40), "exchanged");
	st.gpr[X86_RDI] = DATA + 8;
	run(s_cmpxchg16b);
	ok(logged() == 1 && record(0).vector == 13, "#GP");
}

static void faults_in_delivery_double_and_triple(void)
{
	setup();
	put64(IDT + 14 * 16, 0); /* no #PF handler */
	set_pte(DATA, 0);
	st.gpr[X86_RDI] = DATA;
	ok(run(s_load) == X86_EXIT_HLT, "exit");
	ok(logged() == 1 && record(0).vector == 8 && record(0).error == 0, "#DF");
	ok(st.gpr[X86_RSP] > IST1 - 0x100 && st.gpr[X86_RSP] <= IST1, "on the stack of IST 1");
	put64(IDT + 8 * 16, 0);
	ok(run(s_load) == X86_EXIT_SHUTDOWN, "triple fault");
}

static void rep_movs_stops_at_the_fault(void)
{
	setup();
	set_pte(DATA + 0x3000, 0);
	memset(ram + DATA, 0xab, 4096);
	st.gpr[X86_RSI] = DATA;
	st.gpr[X86_RDI] = DATA + 0x2f00;
	st.gpr[X86_RCX] = 0x200;
	run(s_rep_movs);
	ok(logged() == 1 && record(0).cr2 == DATA + 0x3000 && record(0).error == 2, "fault");
	ok(st.gpr[X86_RCX] == 0x100 && st.gpr[X86_RDI] == DATA + 0x3000 &&
	           st.gpr[X86_RSI] == DATA + 0x100,
	   "RCX %#llx", (unsigned long long)st.gpr[X86_RCX]);
	ok(ram[DATA + 0x2fff] == 0xab, "copied up to there");
}

/* ---- privilege --------------------------------------------------------------------------- */

static void user_code_may_not_halt(void)
{
	setup();
	ENTER_USER(s_user_hlt, CS_USER, 0x202);
	ok(logged() == 1 && record(0).vector == 13 && record(0).error == 0, "#GP");
	ok(record(0).cs == CS_USER && record(0).ss == SS_USER && record(0).rsp == USER_STACK,
	   "frame");
	ok(st.gpr[X86_RSP] > STACK - 0x100 && st.gpr[X86_RSP] <= STACK, "RSP0");
}

static void int_n_needs_a_gate_for_its_level(void)
{
	setup();
	ENTER_USER(s_int80, CS_USER, 0x202);
	ok(logged() == 1 && record(0).vector == 0x80 && st.gpr[X86_RAX] == 0x1234, "INT 0x80");
	ok(record(0).rip == at(s_int80) + 7, "returns after it");
	setup();
	set_gate(0x80, 0, 0);
	ENTER_USER(s_int80, CS_USER, 0x202);
	ok(logged() == 1 && record(0).vector == 13 && record(0).error == 0x80 * 8 + 2, "error %#x",
	   (unsigned)record(0).error);
	ok(record(0).rip == at(s_int80) + 5, "a fault of the INT itself");
}

static void breakpoints_are_traps(void)
{
	setup();
	resume_at(NULL);
	ok(run(s_int3) == X86_EXIT_HLT, "exit");
	ok(logged() == 1 && record(0).vector == 3 && record(0).rip == at(s_int3) + 1, "#BP");
	ok(st.rip == at(s_int3) + 2, "went on to HLT");
}

static void syscall_and_sysret_switch_and_come_back(void)
{
	setup();
	st.star = 0x00230010ull << 32;
	st.lstar = at(s_syscall_entry);
	st.sfmask = 0x600;
	ENTER_USER(s_user_syscall, CS_USER, 0x602);
	ok(logged() == 1 && record(0).vector == 0x80, "vector %d", (int)record(0).vector);
	ok(st.gpr[X86_R8] == at(s_user_syscall) + 7, "RCX");
	ok(st.gpr[X86_R9] == 0x602, "R11 %#llx", (unsigned long long)st.gpr[X86_R9]);
	ok((st.gpr[X86_R10] & 0x600) == 0, "SFMASK");
	ok(st.gpr[X86_R12] == 0x10 && st.gpr[X86_R13] == 0x18, "CS, SS inside");
	ok(record(0).cs == CS_USER && record(0).ss == SS_USER &&
	           (record(0).rflags & 0x600) == 0x600,
	   "CS %#x SS %#x", (unsigned)record(0).cs, (unsigned)record(0).ss);
	ok(st.gpr[X86_RBX] == 0x88, "went on");
}

static void compatibility_mode_runs_32_bit_code(void)
{
	setup();
	st.gpr[X86_RBX] = 0x12345678;
	ENTER_USER(s_user32, CS_USER32, 0x202);
	ok(logged() == 1 && record(0).vector == 0x80 && record(0).cs == CS_USER32, "vector %d",
	   (int)record(0).vector);
	ok(st.gpr[X86_RDX] == 0x11, "INC, PUSH, POP");
	ok((st.gpr[X86_RAX] & 0xffff) == 0x0107, "AAM: %#x", (unsigned)st.gpr[X86_RAX]);
	ok(st.gpr[X86_RCX] == 0x5678, "16-bit addressing");
	ok(st.gpr[X86_RSI] == CS_USER32, "CS");
	setup();
	st.sysenter_cs = CS_KERNEL;
	st.sysenter_eip = at(s_kernel_hlt);
	st.sysenter_esp = STACK;
	ENTER_USER(s_user32_sysenter, CS_USER32, 0x202);
	ok(!logged() && st.rip == at(s_kernel_hlt) + 1 && st.gpr[X86_RSP] == STACK &&
	           st.gpr[X86_RAX] == 0x99 && st.seg[X86_CS].selector == CS_KERNEL,
	   "SYSENTER");
}

static void segment_limits_hold_in_32_bit_code(void)
{
	setup();
	st.seg[X86_GS] = (struct x86_segment){
		.selector = SEL_SMALL, .base = DATA, .limit = 15, .attributes = 0x40f3};
	ENTER_USER(s_user32_limit, CS_USER32, 0x202);
	ok(logged() == 1 && record(0).vector == 13 && record(0).error == 0 &&
	           record(0).rip == at(s_user32_limit),
	   "vector %d", (int)record(0).vector);
}

static void far_returns_reload_cs(void)
{
	setup();
	ok(run(s_lretq) == X86_EXIT_HLT && !logged() && st.gpr[X86_RAX] == 0x11, "LRETQ");
}

static void cr8_is_the_task_priority(void)
{
	setup();
	st.gpr[X86_RAX] = 5;
	run(s_mov_cr8);
	ok(tpr == 5 && st.gpr[X86_RBX] == 5, "CR8");
}

static void xgetbv_needs_osxsave(void)
{
	setup();
	run(s_xgetbv);
	ok(logged() == 1 && record(0).vector == 6, "#UD");
	setup();
	st.cr4 |= 0x40000;
	run(s_xgetbv);
	ok(!logged() && (uint32_t)st.gpr[X86_RAX] == 1, "XCR0");
}

/* ---- interrupts -------------------------------------------------------------------------- */

static void raise_interrupt(int vector)
{
	ack_vector = vector;
	if (kvm)
		kvm_set_interrupt(kvm, true);
	else
		x86_set_interrupt(cpu, true);
}

static void raise_nmi(void)
{
	if (kvm)
		kvm_nmi(kvm);
	else
		x86_nmi(cpu);
}

static void sti_holds_off_one_instruction(void)
{
	setup();
	raise_interrupt(0x41);
	run(s_sti_shadow);
	ok(logged() == 1 && record(0).vector == 0x41, "vector %d", (int)record(0).vector);
	ok(st.gpr[X86_RAX] == 1, "%d instructions after STI", (int)st.gpr[X86_RAX]);
	setup();
	raise_interrupt(0x41);
	run(s_sti_cli);
	ok(!logged() && st.gpr[X86_RAX] == 1, "STI, CLI never opens the window");
}

static void popf_opens_the_window_at_once(void)
{
	setup();
	raise_interrupt(0x42);
	run(s_popf);
	ok(logged() == 1 && record(0).vector == 0x42 && st.gpr[X86_RAX] == 0, "POPF");
}

static void hlt_waits_for_an_interrupt(void)
{
	setup();
	resume_at(NULL);
	ok(run(s_sti_hlt) == X86_EXIT_HLT && st.halted && st.gpr[X86_RBX] == 0, "halted");
	ok(run_on() == X86_EXIT_HLT && st.gpr[X86_RBX] == 0, "still halted");
	raise_interrupt(0x43);
	ok(run_on() == X86_EXIT_HLT && logged() == 1, "woken");
	ok(st.gpr[X86_RBX] == 0x42 && record(0).vector == 0x43, "went on after HLT");
}

/* Between STI and HLT a trace may end, and a host may come in just there. */
static void an_idle_guest_cannot_be_interrupted_before_its_hlt(void)
{
	static const uint8_t out_sti[] = {0xe6, KICK_PORT, 0xfb};
	const uint64_t page = DATA + 4096;

	setup();
	resume_at(NULL);
	memcpy(ram + page - sizeof(out_sti), out_sti, sizeof(out_sti));
	memcpy(ram + page, guest_start + (at(s_sti_hlt) + 1 - CODE), 16); /* from its HLT on */
	st.halted = false;
	ok(run(guest_start + (page - sizeof(out_sti) - CODE)) == X86_EXIT_KICKED, "kicked");
	ok(st.rip == page, "RIP %#llx is that of HLT", (unsigned long long)st.rip);
	raise_interrupt(0x44);
	ok(run_on() == X86_EXIT_HLT && logged() == 1, "woken");
	ok(record(0).rip == page + 1, "interrupted after HLT: %#llx",
	   (unsigned long long)record(0).rip);
	ok(st.gpr[X86_RBX] == 0x42, "went on after HLT");
}

static void nmis_are_masked_until_iret(void)
{
	setup();
	st.rflags |= 0x200;
	run(s_kernel_hlt);
	raise_nmi();
	run_on();
	ok(logged() == 1 && record(0).vector == 2 && st.nmi_masked, "taken");
	raise_nmi();
	run_on();
	ok(logged() == 1 && st.nmi_pending, "held");
}

static void mov_ss_holds_off_debug_traps(void)
{
	setup();
	resume_at(NULL);
	run(s_mov_ss_shadow);
	/*
	 * TF is set by POPFQ. Traps come after every instruction from the next one on, but after
	 * MOV SS itself none: the first is after the INC that follows it.
	 */
	ok(logged() >= 1 && record(0).vector == 1, "vector %d", (int)record(0).vector);
	ok(record(0).rip == at(s_mov_ss_shadow) + 17, "first trap at +%d",
	   (int)(record(0).rip - at(s_mov_ss_shadow)));
	ok(st.gpr[X86_RAX] == 2, "ran to the end");
}

static void the_trap_flag_steps_each_instruction(void)
{
	static const uint8_t after[] = {7, 12, 17, 18, 20, 22};

	setup();
	resume_at(NULL);
	ok(run(s_single_step) == X86_EXIT_HLT, "exit");
	for (unsigned i = 0; i < ARRAY_LEN(after); i++)
		ok(record(i).vector == 1 && record(i).rip == at(s_single_step) + after[i],
		   "trap %u at +%d", i, (int)(record(i).rip - at(s_single_step)));
	ok(st.dr6 & 0x4000, "DR6.BS");
}

static void a_kick_leaves_an_endless_loop(void)
{
	setup();
	x86_kick(cpu);
	ok(run(s_loop_forever) == X86_EXIT_KICKED, "kicked");
	ok(st.rip == at(s_loop_forever), "RIP");
}

/* ---- code that changes ------------------------------------------------------------------- */

static void code_may_change_under_its_own_feet(void)
{
	setup();
	run(s_smc_self);
	ok(!logged() && st.gpr[X86_RAX] == 2, "RAX %d", (int)st.gpr[X86_RAX]);
}

static void changed_functions_run_as_changed(void)
{
	setup();
	memcpy(ram + DATA, "\xb8\0\0\0\0\xc3", 6); /* mov $0, %eax; ret */
	st.gpr[X86_RCX] = 1000;
	run(s_smc_call);
	ok(!logged() && st.gpr[X86_RBX] == 500500, "sum %d", (int)st.gpr[X86_RBX]);
}

static void code_written_by_a_device_is_noticed(void)
{
	setup();
	memcpy(ram + DATA, "\xb8\1\0\0\0\xc3", 6);
	st.gpr[X86_RDI] = DATA;
	run(s_call_rdi);
	ok(st.gpr[X86_RAX] == 1, "before");
	ram[DATA + 1] = 2;
	x86_invalidate_ram(cpu, DATA, 6);
	st.gpr[X86_RDI] = DATA;
	run(s_call_rdi);
	ok(st.gpr[X86_RAX] == 2, "after");
}

static void instructions_over_a_page_end_follow_both_pages(void)
{
	setup();
	memcpy(ram + DATA + 4093, "\xb8\1\0\0\0\xc3", 6);
	memcpy(ram + DATA + 0x3000, "\3\0\xc3", 3);
	st.gpr[X86_RDI] = DATA + 4093;
	run(s_call_rdi);
	ok(st.gpr[X86_RAX] == 1, "first");
	set_pte(DATA + 4096, (DATA + 0x3000) | P | W | U);
	st.gpr[X86_RDI] = DATA + 4093;
	run(s_call_rdi); /* x86_set_state() drops translations, decoded code stays */
	ok(st.gpr[X86_RAX] == 0x30001, "RAX %#x", (unsigned)st.gpr[X86_RAX]);
	set_pte(DATA + 4096, 0);
	st.gpr[X86_RDI] = DATA + 4093;
	run(s_call_rdi);
	ok(logged() == 1 && record(0).vector == 14 && record(0).error == 0x10 &&
	           record(0).cr2 == DATA + 4096 && record(0).rip == DATA + 4093,
	   "error %#x CR2 %#llx", (unsigned)record(0).error, (unsigned long long)record(0).cr2);
}

/* ---- state ------------------------------------------------------------------------------- */

/* Interrupted, saved as bytes, loaded into another CPU, again and again: the same result. */
static void work_does_not_notice_being_moved(void)
{
	struct x86_state plain, moved;
	static uint8_t before[8192];
	unsigned moves = 0;
	enum x86_exit exit;

	setup();
	st.gpr[X86_RBX] = 0;
	run(s_work);
	plain = st;
	memcpy(before, ram + DATA, sizeof(before));

	setup();
	st.gpr[X86_RBX] = 0;
	st.rip = at(s_work);
	moved = st;
	do {
		AUTO(buf) struct buf bytes = {0};
		AUTO(arena) struct arena arena = {0};
		struct x86_state loaded;
		struct err e = {0};

		rec_encode(&bytes, &x86_state_type, &moved);
		ok(rec_decode(buf_span(&bytes), &x86_state_type, &arena, &loaded, &e) == 0, "%s",
		   e.text);
		ok(x86_set_state(cpu, &loaded, &e) == 0, "%s", e.text);
		/* A pending interrupt with IF set makes the CPU ask, and find none, at a jump. */
		if (moves < 20)
			x86_kick(cpu);
		exit = x86_run(cpu);
		x86_get_state(cpu, &moved);
		moves++;
	} while (exit == X86_EXIT_KICKED);
	ok(exit == X86_EXIT_HLT && moves == 21, "%u moves", moves);
	ok(!memcmp(moved.gpr, plain.gpr, sizeof(plain.gpr)) && moved.rflags == plain.rflags,
	   "registers");
	ok(!memcmp(moved.xmm, plain.xmm, sizeof(plain.xmm)), "XMM");
	ok(!memcmp(before, ram + DATA, sizeof(before)), "memory");
}

static void impossible_states_are_refused(void)
{
	struct x86_state bad;
	struct err e;

	setup();
	x86_get_state(cpu, &bad);
	bad = st;
	bad.efer = 0;
	ok(x86_set_state(cpu, &bad, &e) == -EBADMSG, "EFER");
	bad = st;
	bad.cr4 |= 1ull << 40;
	ok(x86_set_state(cpu, &bad, &e) == -EBADMSG, "CR4");
	bad = st;
	bad.lstar = 1ull << 50;
	ok(x86_set_state(cpu, &bad, &e) == -EBADMSG, "LSTAR");
	bad = st;
	bad.mxcsr = 1u << 20;
	ok(x86_set_state(cpu, &bad, &e) == -EBADMSG, "MXCSR");
}

/* A kernel takes its TSC's and its APIC timer's frequency from whichever of these it knows. */
static void all_clocks_are_told_the_same(void)
{
	const uint64_t frequencies[] = {1000000000, 2400000000};

	for (size_t i = 0; i < ARRAY_LEN(frequencies); i++) {
		const struct x86_config config = {.tsc_hz = frequencies[i]};
		const struct x86_cpuid ratio = x86_cpuid(&config, 0x15, 0, 0, 1);
		const struct x86_cpuid mhz = x86_cpuid(&config, 0x16, 0, 0, 1);
		const struct x86_cpuid khz = x86_cpuid(&config, 0x40000010, 0, 0, 1);

		ok(ratio.eax && (uint64_t)ratio.ecx * ratio.ebx / ratio.eax == config.tsc_hz,
		   "leaf 0x15 gives %llu Hz", (unsigned long long)config.tsc_hz);
		ok(mhz.eax == config.tsc_hz / 1000000, "leaf 0x16 gives the same");
		ok(khz.eax == config.tsc_hz / 1000, "and 0x40000010");
		ok(khz.ebx == ratio.ecx / 1000, "the APIC timer's clock is the crystal's");
	}
}

static void instructions_are_counted(void)
{
	uint64_t before;

	setup();
	run(s_kernel_hlt);
	before = x86_instructions(cpu);
	run(s_work);
	ok(x86_instructions(cpu) - before == 3 + 11 * 200000 + 1, "%llu",
	   (unsigned long long)(x86_instructions(cpu) - before));
}

static bool is_noted(uint64_t gpa, bool written)
{
	for (uint32_t i = 0; i < code_log->n_pages; i++)
		if (code_log->page[i] == (gpa / PAGE_BYTES << 1 | written))
			return true;
	return false;
}

static void what_one_cpu_did_first_the_next_one_knows(void)
{
	const struct x86_code_image all = image;
	struct x86_known known;
	struct x86_state before;
	AUTO(buf) struct buf made = {0};
	const uint32_t *pages;
	uint64_t pt = pte_gpa(DATA);

	image = (struct x86_code_image){0};
	n_preloaded = 0;
	code_log = calloc(1, sizeof(*code_log));
	setup();
	st.gpr[X86_RBX] = 0;
	run(s_work);
	before = st;
	ok(code_log->n >= 2, "%u places", code_log->n);
	ok(is_noted(DATA, true) && is_noted(at(s_work), false) && is_noted(pt, true), "pages");
	ok(!is_noted(STACK - PAGE_BYTES, true), "a page that nobody used");

	known = (struct x86_known){code_log->place, code_log->n, code_log->page, code_log->n_pages};
	made = image_of(&known);
	image = (struct x86_code_image){made.data, made.len};
	ok(x86_code_image_count(&image) == known.n_places, "places");
	ok(x86_code_image_pages(&image, &pages) < known.n_pages, "read and written is one page");
	code_log->n = code_log->n_pages = 0;
	setup();
	st.gpr[X86_RBX] = 0;
	run(s_work);
	ok(!memcmp(st.gpr, before.gpr, sizeof(st.gpr)), "registers");
	ok(!code_log->n && !code_log->n_pages, "it learned %u places and %u pages again",
	   code_log->n, code_log->n_pages);

	image = all;
	free(code_log);
	code_log = NULL;
}

/* The emulator in KVM has never known CMPXCHG16B. */
static bool kvm_emulates(void)
{
	if (!ON_KVM)
		return false;
	setup();
	st.gpr[X86_RDI] = DATA;
	return run(s_cmpxchg16b) == X86_EXIT_ERROR;
}

int main(int argc, char **argv)
{
	if (ON_KVM && !kvm_answers()) {
		printf("1..0 # SKIP /dev/kvm does not answer\n");
		return 0;
	}
	/* Generated at once, so that nothing is interpreted that need not be. */
	if (argc < 2 || strcmp(argv[1], "--interpreter"))
		code = code_memory(1);
	if (argc > 1 && !strcmp(argv[1], "--preloaded"))
		n_preloaded = ~0u;
	if (argc > 1 && !strcmp(argv[1], "--begun"))
		n_preloaded = 1;
	RUN(page_faults_have_the_right_error_codes);
	RUN(a_write_without_wp_goes_through);
	RUN(fetches_obey_nx_and_smep);
	RUN(a_user_access_to_a_kernel_page_faults);
	RUN(accessed_and_dirty_bits_are_set);
	RUN(invlpg_and_cr3_drop_translations);
	RUN(devices_are_read_and_written);
	RUN(a_faulting_rmw_changes_nothing);
	RUN(selectors_are_checked);
	RUN(non_canonical_addresses_are_gp_or_ss);
	RUN(division_by_zero_is_a_fault_at_the_division);
	RUN(unknown_msrs_are_gp);
	RUN(faults_in_delivery_double_and_triple);
	RUN(rep_movs_stops_at_the_fault);
	RUN(user_code_may_not_halt);
	RUN(segment_limits_hold_in_32_bit_code);
	RUN(far_returns_reload_cs);
	RUN(cr8_is_the_task_priority);
	RUN(hlt_waits_for_an_interrupt);
	RUN(nmis_are_masked_until_iret);
	RUN(the_trap_flag_steps_each_instruction);
	RUN(code_may_change_under_its_own_feet);
	RUN(changed_functions_run_as_changed);
	RUN(instructions_over_a_page_end_follow_both_pages);
	/* Hosts without VMX or SVM have a KVM that emulates the kernel's code, and not all of it. */
	if (!kvm_emulates()) {
		RUN(large_pages_map_and_are_dropped_whole);
		RUN(pcids_keep_their_own_translations);
		RUN(invlpg_drops_code);
		RUN(smap_yields_to_ac);
		RUN(accesses_over_a_page_end_work_and_fault_whole);
		RUN(cmpxchg16b_wants_alignment);
		RUN(int_n_needs_a_gate_for_its_level);
		RUN(breakpoints_are_traps);
		RUN(syscall_and_sysret_switch_and_come_back);
		RUN(compatibility_mode_runs_32_bit_code);
		RUN(xgetbv_needs_osxsave);
		RUN(sti_holds_off_one_instruction);
		RUN(popf_opens_the_window_at_once);
		RUN(mov_ss_holds_off_debug_traps);
	}
	if (!ON_KVM) { /* what is this CPU's alone */
		RUN(an_idle_guest_cannot_be_interrupted_before_its_hlt);
		RUN(a_kick_leaves_an_endless_loop);
		RUN(code_written_by_a_device_is_noticed);
		RUN(work_does_not_notice_being_moved);
		RUN(impossible_states_are_refused);
		RUN(all_clocks_are_told_the_same);
		RUN(instructions_are_counted);
		RUN(what_one_cpu_did_first_the_next_one_knows);
	}
	destroy();
	return tap_done();
}
