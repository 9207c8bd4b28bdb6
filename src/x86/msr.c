/* SPDX-License-Identifier: MIT */
/*
 * Model-specific registers. What is not here is #GP, as kernels expect that probe.
 */
#include "x86/mmu.h"
#include "x86/system.h"

enum {
	MSR_TSC = 0x10,
	MSR_APIC_BASE = 0x1b,
	MSR_TSC_ADJUST = 0x3b,
	MSR_BIOS_SIGN_ID = 0x8b,
	MSR_MTRR_CAP = 0xfe,
	MSR_SYSENTER_CS = 0x174,
	MSR_SYSENTER_ESP = 0x175,
	MSR_SYSENTER_EIP = 0x176,
	MSR_MISC_ENABLE = 0x1a0,
	MSR_DEBUGCTL = 0x1d9,
	MSR_MTRR_BASE0 = 0x200,
	MSR_MTRR_FIX64K_00000 = 0x250,
	MSR_MTRR_FIX16K_80000 = 0x258,
	MSR_MTRR_FIX16K_A0000 = 0x259,
	MSR_MTRR_FIX4K_C0000 = 0x268,
	MSR_MTRR_FIX4K_F8000 = 0x26f,
	MSR_PAT = 0x277,
	MSR_MTRR_DEF_TYPE = 0x2ff,
	MSR_TSC_DEADLINE = 0x6e0,
	MSR_X2APIC_FIRST = 0x800,
	MSR_X2APIC_LAST = 0x8ff,
};

#define MSR_EFER 0xc0000080u
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_CSTAR 0xc0000083u
#define MSR_FMASK 0xc0000084u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX 0xc0000103u

static bool is_apic_msr(uint32_t msr)
{
	return msr == MSR_APIC_BASE || (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST);
}

/* MSRs that hold a value without more to it; NULL if @msr is none. */
static uint64_t *plain(struct x86_cpu *cpu, uint32_t msr)
{
	struct x86_state *s = &cpu->s;

	switch (msr) {
	case MSR_SYSENTER_CS:
		return &s->sysenter_cs;
	case MSR_SYSENTER_ESP:
		return &s->sysenter_esp;
	case MSR_SYSENTER_EIP:
		return &s->sysenter_eip;
	case MSR_MISC_ENABLE:
		return &s->misc_enable;
	case MSR_MTRR_FIX64K_00000:
		return &s->mtrr_fixed[0];
	case MSR_MTRR_FIX16K_80000:
	case MSR_MTRR_FIX16K_A0000:
		return &s->mtrr_fixed[1 + msr - MSR_MTRR_FIX16K_80000];
	case MSR_MTRR_FIX4K_C0000 ... MSR_MTRR_FIX4K_F8000:
		return &s->mtrr_fixed[3 + msr - MSR_MTRR_FIX4K_C0000];
	case MSR_MTRR_BASE0 ... MSR_MTRR_BASE0 + 2 * X86_MTRR_VARIABLE - 1:
		return msr & 1 ? &s->mtrr_mask[(msr - MSR_MTRR_BASE0) / 2]
		               : &s->mtrr_base[(msr - MSR_MTRR_BASE0) / 2];
	case MSR_MTRR_DEF_TYPE:
		return &s->mtrr_def_type;
	case MSR_STAR:
		return &s->star;
	case MSR_LSTAR:
		return &s->lstar;
	case MSR_CSTAR:
		return &s->cstar;
	case MSR_FMASK:
		return &s->sfmask;
	case MSR_FS_BASE:
		return &cpu->reg[REG_FS];
	case MSR_GS_BASE:
		return &cpu->reg[REG_GS];
	case MSR_KERNEL_GS_BASE:
		return &s->kernel_gs_base;
	case MSR_TSC_AUX:
		return &s->tsc_aux;
	default:
		return NULL;
	}
}

/* Those of the plain ones that hold addresses. */
static bool holds_address(uint32_t msr)
{
	switch (msr) {
	case MSR_SYSENTER_ESP:
	case MSR_SYSENTER_EIP:
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_KERNEL_GS_BASE:
		return true;
	default:
		return false;
	}
}

bool x86_msr_read(struct x86_cpu *cpu, uint32_t msr, uint64_t *value)
{
	const uint64_t *p = plain(cpu, msr);

	if (p) {
		*value = *p;
		return true;
	}
	if (is_apic_msr(msr))
		return cpu->platform.msr_read(cpu->platform.ctx, msr, value);
	switch (msr) {
	case MSR_TSC:
		*value = x86_guest_tsc(cpu);
		return true;
	case MSR_TSC_ADJUST:
		*value = cpu->s.tsc_adjust;
		return true;
	case MSR_TSC_DEADLINE:
		if (!cpu->platform.msr_read(cpu->platform.ctx, msr, value))
			return false;
		if (*value)
			*value += cpu->s.tsc_offset;
		return true;
	case MSR_BIOS_SIGN_ID:
		*value = 1ull << 32; /* a microcode revision, because kernels ask for one */
		return true;
	case MSR_MTRR_CAP:
		*value = 0x500 | X86_MTRR_VARIABLE; /* write combining, fixed ranges */
		return true;
	case MSR_DEBUGCTL:
		*value = 0;
		return true;
	case MSR_PAT:
		*value = cpu->s.pat;
		return true;
	case MSR_EFER:
		*value = cpu->s.efer;
		return true;
	default:
		return false;
	}
}

static bool pat_is_valid(uint64_t v)
{
	for (int i = 0; i < 8; i++) {
		unsigned type = v >> (8 * i) & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

static bool write_efer(struct x86_cpu *cpu, uint64_t v)
{
	if (v & ~(uint64_t)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))
		return false;
	if ((cpu->s.efer ^ v) & EFER_LME)
		return false; /* not while paging is on */
	if ((cpu->s.efer ^ v) & EFER_NXE) {
		cpu->s.efer ^= EFER_NXE;
		x86_flush_all(cpu);
	}
	cpu->s.efer = (v & ~(uint64_t)EFER_LMA) | (cpu->s.efer & EFER_LMA);
	return true;
}

bool x86_msr_write(struct x86_cpu *cpu, uint32_t msr, uint64_t value)
{
	uint64_t *p = plain(cpu, msr);

	if (p) {
		if (holds_address(msr) && !is_canonical(value))
			return false;
		if ((msr == MSR_TSC_AUX || msr == MSR_SYSENTER_CS) && value >> 32)
			return false;
		*p = value;
		return true;
	}
	if (is_apic_msr(msr))
		return cpu->platform.msr_write(cpu->platform.ctx, msr, value);
	switch (msr) {
	case MSR_TSC:
		value -= x86_guest_tsc(cpu);
		cpu->s.tsc_offset += value;
		cpu->s.tsc_adjust += value;
		return true;
	case MSR_TSC_ADJUST:
		cpu->s.tsc_offset += value - cpu->s.tsc_adjust;
		cpu->s.tsc_adjust = value;
		return true;
	case MSR_TSC_DEADLINE:
		if (value)
			value -= cpu->s.tsc_offset;
		return cpu->platform.msr_write(cpu->platform.ctx, msr, value);
	case MSR_BIOS_SIGN_ID:
	case MSR_DEBUGCTL:
		return true;
	case MSR_PAT:
		if (!pat_is_valid(value))
			return false;
		cpu->s.pat = value;
		return true;
	case MSR_EFER:
		return write_efer(cpu, value);
	default:
		return false;
	}
}
