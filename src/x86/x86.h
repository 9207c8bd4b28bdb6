/* SPDX-License-Identifier: MIT */
/*
 * x86: one x86-64 CPU as data and rules. Portable C, no Linux.
 *
 * A CPU runs guest code out of the RAM it was given until something happens that it cannot
 * answer itself. Whoever runs it (vm) knows only this door, so that another CPU (KVM) can stand
 * behind the same one:
 *
 *	cpu = x86_create(&config, &platform, &err);
 *	x86_set_state(cpu, &state, &err);
 *	while ((exit = x86_run(cpu)) ...)
 *		HLT:      sleep until x86_set_interrupt() or x86_nmi() has a reason to be called
 *		KICKED:   look at timers and input, run again
 *		SHUTDOWN: triple fault; the machine resets
 *
 * Everything that a snapshot saves is in struct x86_state. Decoded code and translated
 * addresses are caches that are never saved and may be dropped at any time.
 *
 * Threads: x86_kick() may be called from a signal handler or another thread. All the rest
 * belongs to the thread that runs the CPU, and the platform's callbacks are called on it, from
 * within x86_run(). A callback may call x86_set_interrupt(), x86_nmi(), x86_kick() and
 * x86_invalidate_ram(), and nothing else. fork() between two calls of x86_run() gives two CPUs.
 */
#ifndef WSLX_X86_X86_H
#define WSLX_X86_X86_H

#include "base/base.h"
#include "image/rec.h"
#include "x87/f80.h"

struct x86_cpu;

/* ---- architectural state --------------------------------------------------------------- */

enum x86_gpr {
	X86_RAX,
	X86_RCX,
	X86_RDX,
	X86_RBX,
	X86_RSP,
	X86_RBP,
	X86_RSI,
	X86_RDI,
	X86_R8,
	X86_R9,
	X86_R10,
	X86_R11,
	X86_R12,
	X86_R13,
	X86_R14,
	X86_R15,
	X86_GPRS
};

enum x86_sreg { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_SREGS };

/*
 * A segment register with its hidden part. @attributes has the bits of a descriptor in the
 * places the manual gives them in VMX: 0-3 type, 4 S, 5-6 DPL, 7 P, 12 AVL, 13 L, 14 D/B, 15 G.
 * A null segment has P clear.
 */
struct x86_segment {
	uint64_t base;
	uint32_t limit; /* bytes, already scaled by G */
	uint16_t selector;
	uint16_t attributes;
};

#define X86_SEG_TYPE 0x000fu
#define X86_SEG_S 0x0010u
#define X86_SEG_DPL_SHIFT 5
#define X86_SEG_P 0x0080u
#define X86_SEG_AVL 0x1000u
#define X86_SEG_L 0x2000u
#define X86_SEG_DB 0x4000u
#define X86_SEG_G 0x8000u

struct x86_table {
	uint64_t base;
	uint32_t limit;
};

#define X86_MTRR_FIXED 11
#define X86_MTRR_VARIABLE 8

struct x86_state {
	uint64_t gpr[X86_GPRS];
	uint64_t rip;
	uint64_t rflags;

	struct x86_segment seg[X86_SREGS];
	struct x86_segment ldtr, tr;
	struct x86_table gdtr, idtr;

	uint64_t cr0, cr2, cr3, cr4; /* CR8 is the local APIC's TPR */
	uint64_t efer;
	uint64_t dr[4], dr6, dr7;
	uint64_t xcr0;

	/* MSRs; those of the local APIC are the local APIC's */
	uint64_t star, lstar, cstar, sfmask;
	uint64_t kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t tsc_aux;
	uint64_t tsc_offset; /* guest TSC minus the platform's, modulo 2^64 */
	uint64_t tsc_adjust;
	uint64_t pat;
	uint64_t misc_enable;
	uint64_t mtrr_def_type;
	uint64_t mtrr_fixed[X86_MTRR_FIXED];
	uint64_t mtrr_base[X86_MTRR_VARIABLE], mtrr_mask[X86_MTRR_VARIABLE];

	/* x87: physical registers, so ST(i) is fpr[(TOP + i) & 7] with TOP in fsw */
	struct x86_f80 fpr[8];
	uint16_t fcw, fsw;
	uint8_t ftw; /* abridged as in FXSAVE: bit i set if physical register i is not empty */
	uint16_t fop;
	uint64_t fip, fdp;
	uint16_t fcs, fds;

	uint32_t mxcsr;
	uint8_t xmm[16 * 16];      /* XMM0 first, little-endian */
	uint8_t ymm_high[16 * 16]; /* bits 128-255; zero below level v3 */

	bool halted;
	bool sti_shadow;    /* interrupts held off for one instruction by STI */
	bool mov_ss_shadow; /* ... and debug traps too, by MOV SS or POP SS */
	bool nmi_masked;    /* an NMI is being handled: until the next IRET */
	bool nmi_pending;
	/* An event that was taken from its source but not delivered yet. */
	bool event_pending;
	uint8_t event_vector;
	uint8_t event_type; /* enum x86_event */
	bool event_has_error;
	uint32_t event_error;
};

enum x86_event {
	X86_EVENT_INTERRUPT = 0, /* the numbers of the manual's VM-entry interruption types */
	X86_EVENT_NMI = 2,
	X86_EVENT_EXCEPTION = 3,
	X86_EVENT_SOFT_INT = 4,
	X86_EVENT_PRIV_TRAP = 5, /* INT1 */
	X86_EVENT_SOFT_TRAP = 6, /* INT3, INTO */
};

extern const struct rec_type x86_state_type;

/* The state after RESET, but for CS:RIP, which the boot protocol sets: 16-bit real mode. */
void x86_state_reset(struct x86_state *state);

/**
 * x86_state_long_mode() - a flat 64-bit kernel at CPL 0, as boot protocols want it
 * @entry: RIP
 * @cr3:   guest-physical address of the PML4
 *
 * As x86_state_reset(), then paging, PAE, SSE and long mode on, interrupts off, CS = 0x10 and
 * data segments = 0x18 (the selectors of the 64-bit Linux boot protocol). The caller puts a
 * GDT that agrees in RAM and its place in state->gdtr.
 */
void x86_state_long_mode(struct x86_state *state, uint64_t entry, uint64_t cr3);

/* ---- what the CPU stands in ------------------------------------------------------------ */

/* One run of guest-physical addresses that is RAM; all else is a device or nothing. */
struct x86_ram_range {
	uint64_t gpa;    /* multiple of PAGE_BYTES */
	uint64_t bytes;  /* multiple of PAGE_BYTES */
	uint64_t offset; /* into x86_platform.ram; multiple of PAGE_BYTES */
};

#define X86_RAM_RANGES_MAX 8

/*
 * All callbacks get @ctx. The struct and its ranges are copied at creation. @bytes of an access
 * is 1, 2, 4 or 8 (ports: up to 4); larger guest accesses arrive in pieces.
 */
struct x86_platform {
	void *ctx;

	uint8_t *ram; /* one host mapping; writable; must stay where it is */
	uint64_t ram_bytes;
	struct x86_ram_range ranges[X86_RAM_RANGES_MAX]; /* ascending, not overlapping */
	size_t n_ranges;
	/*
	 * Told before the CPU looks at or changes a page of RAM of which it did not know where it
	 * is, with an offset into ram; returns when what is there may be used. NULL: all of it may.
	 */
	void (*need)(void *ctx, uint64_t offset);

	/* Addresses that are not RAM. Nothing there: read all ones, ignore writes. */
	uint64_t (*mmio_read)(void *ctx, uint64_t gpa, unsigned bytes);
	void (*mmio_write)(void *ctx, uint64_t gpa, unsigned bytes, uint64_t value);
	uint32_t (*port_in)(void *ctx, uint16_t port, unsigned bytes);
	void (*port_out)(void *ctx, uint16_t port, unsigned bytes, uint32_t value);

	/*
	 * MSRs of the local APIC: IA32_APIC_BASE (0x1b), IA32_TSC_DEADLINE (0x6e0) and x2APIC
	 * (0x800-0x8ff). IA32_TSC_DEADLINE is in the units of tsc(), whatever the guest did to
	 * its own TSC. Return: false for #GP.
	 */
	bool (*msr_read)(void *ctx, uint32_t msr, uint64_t *value);
	bool (*msr_write)(void *ctx, uint32_t msr, uint64_t value);

	/* The CPU takes the interrupt: its vector, or -1 if there is none after all. */
	int (*ack_interrupt)(void *ctx);
	uint8_t (*get_tpr)(void *ctx); /* CR8: bits 7:4 of the TPR as 0..15 */
	void (*set_tpr)(void *ctx, uint8_t cr8);

	uint64_t (*tsc)(void *ctx); /* the virtual clock, at config.tsc_hz */
	void (*random)(void *ctx, void *out, size_t bytes); /* host's generator */
};

enum x86_level {
	X86_LEVEL_V2, /* x86-64-v2 and AES, PCLMULQDQ, SHA, RDRAND, RDSEED, FSGSBASE, ERMS ... */
};

/* The same pages twice: mapped for writing, and for running. */
struct x86_code_memory {
	void *write;
	const void *run;
	size_t bytes;   /* 0: none; at least X86_CODE_BYTES_MIN */
	unsigned after; /* code is generated for what was run so often; 0: as experience tells */
};

/* Decoded code, which many CPUs may share; see x86_code_image_make(). It is only read. */
struct x86_code_image {
	const void *at; /* at a multiple of 16 */
	size_t bytes;
};

/*
 * Where code was run, and in which mode; @page is of RAM, that is, of x86_platform.ram. @later: only
 * after the CPU had halted for the first time with something done.
 */
struct x86_code_place {
	uint32_t page;
	uint16_t off;
	uint8_t mode;
	bool later;
};

/*
 * What a CPU did first that its image did not tell: places of code, and pages of RAM (number << 1
 * with X86_PAGE_*), each in the order of first use. One CPU writes; others may look at it.
 */
#define X86_PAGE_WRITTEN 1u
#define X86_PAGE_LATER 0x80000000u /* as in a place */
#define X86_CODE_LOG_MAX 24576u
#define X86_PAGE_LOG_MAX 2048u
struct x86_code_log {
	_Atomic uint32_t n;
	_Atomic uint32_t n_pages;
	struct x86_code_place place[X86_CODE_LOG_MAX];
	uint32_t page[X86_PAGE_LOG_MAX];
};

struct x86_config {
	enum x86_level level;
	uint64_t tsc_hz; /* told to the guest by CPUID 0x15, 0x16 and 0x40000010 */
	uint8_t apic_id;
	/*
	 * X86_MEMORY_BYTES of zeroes at a multiple of 64, the CPU's until x86_destroy(): mostly
	 * for decoded code, used from the start as it is needed. Who gives it may know of larger
	 * pages than malloc() does. NULL: the CPU allocates it.
	 */
	void *memory;
	/*
	 * For generated code. Without it, and on hosts that there is no translator for, all is
	 * interpreted. Two CPUs cannot share it: after a fork() only one may run.
	 */
	struct x86_code_memory code;
	struct x86_code_image image; /* made by x86_code_image_make(), or empty */
	struct x86_code_log *log;    /* NULL, or what gains the places that the image has not */
};

#define X86_MEMORY_BYTES ((size_t)48 << 20)
#define X86_CODE_BYTES_MIN ((size_t)256 << 10)

/**
 * x86_create() - make a CPU in its reset state
 *
 * Return: the CPU; NULL with a reason if the ranges make no sense.
 */
struct x86_cpu *x86_create(const struct x86_config *config, const struct x86_platform *platform,
                           struct err *e);
void x86_destroy(struct x86_cpu *cpu); /* NULL is fine */

/* ---- running --------------------------------------------------------------------------- */

enum x86_exit {
	X86_EXIT_KICKED,   /* x86_kick() was called; nothing else happened */
	X86_EXIT_HLT,      /* halted, and neither NMI nor an enabled interrupt is pending */
	X86_EXIT_SHUTDOWN, /* triple fault */
	X86_EXIT_ERROR,    /* the guest needs what this CPU does not have: x86_error() */
};

/**
 * x86_run() - run guest code until something happens
 *
 * A CPU that is halted with nothing pending answers X86_EXIT_HLT at once.
 */
enum x86_exit x86_run(struct x86_cpu *cpu);

/* The sentence for X86_EXIT_ERROR or X86_EXIT_SHUTDOWN; valid until the next x86_run(). */
const char *x86_error(const struct x86_cpu *cpu);

/**
 * x86_kick() - ask x86_run() to return X86_EXIT_KICKED at the next block boundary
 *
 * From any thread and from signal handlers. A kick before x86_run() makes the next x86_run()
 * return at once; several kicks may become one.
 */
void x86_kick(struct x86_cpu *cpu);

/* The level of the INTR line: true while the local APIC has a vector over its TPR and ISR. */
void x86_set_interrupt(struct x86_cpu *cpu, bool pending);
void x86_nmi(struct x86_cpu *cpu);

/* Between two calls of x86_run(). */
void x86_get_state(struct x86_cpu *cpu, struct x86_state *out);
/* Return: 0; -EBADMSG for a state that no CPU of this level can be in (untrusted input). */
MUST_CHECK int x86_set_state(struct x86_cpu *cpu, const struct x86_state *in, struct err *e);

/**
 * x86_invalidate_ram() - somebody else wrote to guest RAM: forget code decoded from there
 *
 * To be called after every write by a device. Cheap where no code is. Needs no
 * call while there is no CPU yet (loading a kernel or a snapshot).
 */
void x86_invalidate_ram(struct x86_cpu *cpu, uint64_t gpa, uint64_t bytes);

/* What CPUs are known to do first, as in struct x86_code_log. */
struct x86_known {
	struct x86_code_place *place;
	size_t n_places;
	uint32_t *page;
	size_t n_pages;
};

/**
 * x86_code_image_make() - decode known code for CPUs that are yet to be made
 * @out: the image, appended to an empty buffer; it keeps the known pages, too
 *
 * What is known may come from somebody who is not trusted: what is no code, or not in RAM, does no
 * harm. The image is for this build of this program and for RAM of this size. It has addresses in
 * it, so it is believed as the program itself is.
 */
void x86_code_image_make(const uint8_t *ram, uint64_t ram_bytes, const struct x86_known *known,
                         struct buf *out);

/* About how much of its memory a CPU uses for what was run before it halted. */
size_t x86_code_image_memory(const struct x86_code_image *image);
/* What an image was made from, but for places that gave nothing: how many, and up to @max. */
size_t x86_code_image_count(const struct x86_code_image *image);
size_t x86_code_image_places(const struct x86_code_image *image, struct x86_code_place *out,
                             size_t max);
static inline uint32_t x86_page_number(uint32_t page)
{
	return (page & ~X86_PAGE_LATER) >> 1;
}

/*
 * The pages that it keeps, each once, in the image: those that were used before the CPU halted,
 * then the others; of both first those that were written. Of each kind in the order of their numbers.
 */
size_t x86_code_image_pages(const struct x86_code_image *image, const uint32_t **out);

/**
 * x86_preload() - take the next piece of what the image has into the CPU
 * @later: also of what was run only after the CPU had halted
 *
 * For a CPU that has not run yet and whose RAM is what the image was made from; by any thread. What was
 * left out then is taken by the CPU when it gets there. Pieces are in the order in which the places
 * were known.
 *
 * Return: whether there is more of that.
 */
bool x86_preload(struct x86_cpu *cpu, bool later);

/* Instructions executed since creation; exact between two calls of x86_run(). */
uint64_t x86_instructions(const struct x86_cpu *cpu);

struct x86_cpuid {
	uint32_t eax, ebx, ecx, edx;
};

/**
 * x86_cpuid() - what the CPUID instruction answers
 *
 * The answers that depend on CR4 or XCR0 (OSXSAVE, size of the XSAVE area) are for CR4.OSXSAVE
 * as given by @cr4 and for @xcr0.
 */
struct x86_cpuid x86_cpuid(const struct x86_config *config, uint32_t leaf, uint32_t subleaf,
                           uint64_t cr4, uint64_t xcr0);

/**
 * x86_translate() - where a linear address leads now, for debuggers and tests
 *
 * As a supervisor's data read; sets no accessed bits. Return: 0; -EFAULT.
 */
MUST_CHECK int x86_translate(struct x86_cpu *cpu, uint64_t linear, uint64_t *gpa);

#endif
