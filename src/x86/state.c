/* SPDX-License-Identifier: MIT */
/*
 * The architectural state as a record.
 */
#include "x86/x86.h"

#include <string.h>

#define SEG(m, num, doc) FIELD_REC(struct x86_state, m, num, &segment_type, doc)
#define HEX(m, num, doc) FIELD_HEX(struct x86_state, m, num, UINT64_MAX, doc)

static const struct field segment_fields[] = {
	FIELD_HEX(struct x86_segment, selector, 1, UINT16_MAX),
	FIELD_HEX(struct x86_segment, attributes, 2, UINT16_MAX, "type, S, DPL, P, AVL, L, D/B, G"),
	FIELD_HEX(struct x86_segment, base, 3, UINT64_MAX),
	FIELD_HEX(struct x86_segment, limit, 4, UINT32_MAX, "bytes"),
};
static const struct rec_type segment_type = REC_TYPE(x86_segment, segment_fields);

static const struct field table_fields[] = {
	FIELD_HEX(struct x86_table, base, 1, UINT64_MAX),
	FIELD_HEX(struct x86_table, limit, 2, UINT16_MAX, "bytes"),
};
static const struct rec_type table_type = REC_TYPE(x86_table, table_fields);

static const struct field f80_fields[] = {
	FIELD_HEX(struct x86_f80, mantissa, 1, UINT64_MAX),
	FIELD_HEX(struct x86_f80, sign_exponent, 2, UINT16_MAX),
};
static const struct rec_type f80_type = REC_TYPE(x86_f80, f80_fields);

static const struct field state_fields[] = {
	HEX(gpr[0], 1, "RAX"),
	HEX(gpr[1], 2, "RCX"),
	HEX(gpr[2], 3, "RDX"),
	HEX(gpr[3], 4, "RBX"),
	HEX(gpr[4], 5, "RSP"),
	HEX(gpr[5], 6, "RBP"),
	HEX(gpr[6], 7, "RSI"),
	HEX(gpr[7], 8, "RDI"),
	HEX(gpr[8], 9, "R8"),
	HEX(gpr[9], 10, "R9"),
	HEX(gpr[10], 11, "R10"),
	HEX(gpr[11], 12, "R11"),
	HEX(gpr[12], 13, "R12"),
	HEX(gpr[13], 14, "R13"),
	HEX(gpr[14], 15, "R14"),
	HEX(gpr[15], 16, "R15"),
	HEX(rip, 17, "RIP"),
	HEX(rflags, 18, "RFLAGS"),
	SEG(seg[0], 19, "ES"),
	SEG(seg[1], 20, "CS"),
	SEG(seg[2], 21, "SS"),
	SEG(seg[3], 22, "DS"),
	SEG(seg[4], 23, "FS"),
	SEG(seg[5], 24, "GS"),
	SEG(ldtr, 25, "LDTR"),
	SEG(tr, 26, "TR"),
	FIELD_REC(struct x86_state, gdtr, 27, &table_type, "GDTR"),
	FIELD_REC(struct x86_state, idtr, 28, &table_type, "IDTR"),
	HEX(cr0, 29, "CR0"),
	HEX(cr2, 30, "CR2"),
	HEX(cr3, 31, "CR3"),
	HEX(cr4, 32, "CR4"),
	HEX(efer, 33, "IA32_EFER"),
	HEX(dr[0], 34, "DR0"),
	HEX(dr[1], 35, "DR1"),
	HEX(dr[2], 36, "DR2"),
	HEX(dr[3], 37, "DR3"),
	HEX(dr6, 38, "DR6"),
	HEX(dr7, 39, "DR7"),
	HEX(xcr0, 40, "XCR0"),
	HEX(star, 41, "IA32_STAR"),
	HEX(lstar, 42, "IA32_LSTAR"),
	HEX(cstar, 43, "IA32_CSTAR"),
	HEX(sfmask, 44, "IA32_FMASK"),
	HEX(kernel_gs_base, 45, "IA32_KERNEL_GS_BASE"),
	HEX(sysenter_cs, 46, "IA32_SYSENTER_CS"),
	HEX(sysenter_esp, 47, "IA32_SYSENTER_ESP"),
	HEX(sysenter_eip, 48, "IA32_SYSENTER_EIP"),
	HEX(tsc_aux, 49, "IA32_TSC_AUX"),
	HEX(tsc_offset, 50, "guest TSC minus the platform's"),
	HEX(tsc_adjust, 51, "IA32_TSC_ADJUST"),
	HEX(pat, 52, "IA32_PAT"),
	HEX(misc_enable, 53, "IA32_MISC_ENABLE"),
	HEX(mtrr_def_type, 54, "IA32_MTRR_DEF_TYPE"),
	HEX(mtrr_fixed[0], 55, "IA32_MTRR_FIX64K_00000"),
	HEX(mtrr_fixed[1], 56, "IA32_MTRR_FIX16K_80000"),
	HEX(mtrr_fixed[2], 57, "IA32_MTRR_FIX16K_A0000"),
	HEX(mtrr_fixed[3], 58, "IA32_MTRR_FIX4K_C0000"),
	HEX(mtrr_fixed[4], 59, "IA32_MTRR_FIX4K_C8000"),
	HEX(mtrr_fixed[5], 60, "IA32_MTRR_FIX4K_D0000"),
	HEX(mtrr_fixed[6], 61, "IA32_MTRR_FIX4K_D8000"),
	HEX(mtrr_fixed[7], 62, "IA32_MTRR_FIX4K_E0000"),
	HEX(mtrr_fixed[8], 63, "IA32_MTRR_FIX4K_E8000"),
	HEX(mtrr_fixed[9], 64, "IA32_MTRR_FIX4K_F0000"),
	HEX(mtrr_fixed[10], 65, "IA32_MTRR_FIX4K_F8000"),
	HEX(mtrr_base[0], 66, "IA32_MTRR_PHYSBASE0"),
	HEX(mtrr_base[1], 67, "IA32_MTRR_PHYSBASE1"),
	HEX(mtrr_base[2], 68, "IA32_MTRR_PHYSBASE2"),
	HEX(mtrr_base[3], 69, "IA32_MTRR_PHYSBASE3"),
	HEX(mtrr_base[4], 70, "IA32_MTRR_PHYSBASE4"),
	HEX(mtrr_base[5], 71, "IA32_MTRR_PHYSBASE5"),
	HEX(mtrr_base[6], 72, "IA32_MTRR_PHYSBASE6"),
	HEX(mtrr_base[7], 73, "IA32_MTRR_PHYSBASE7"),
	HEX(mtrr_mask[0], 74, "IA32_MTRR_PHYSMASK0"),
	HEX(mtrr_mask[1], 75, "IA32_MTRR_PHYSMASK1"),
	HEX(mtrr_mask[2], 76, "IA32_MTRR_PHYSMASK2"),
	HEX(mtrr_mask[3], 77, "IA32_MTRR_PHYSMASK3"),
	HEX(mtrr_mask[4], 78, "IA32_MTRR_PHYSMASK4"),
	HEX(mtrr_mask[5], 79, "IA32_MTRR_PHYSMASK5"),
	HEX(mtrr_mask[6], 80, "IA32_MTRR_PHYSMASK6"),
	HEX(mtrr_mask[7], 81, "IA32_MTRR_PHYSMASK7"),
	FIELD_REC(struct x86_state, fpr[0], 82, &f80_type, "physical x87 register 0"),
	FIELD_REC(struct x86_state, fpr[1], 83, &f80_type, "physical x87 register 1"),
	FIELD_REC(struct x86_state, fpr[2], 84, &f80_type, "physical x87 register 2"),
	FIELD_REC(struct x86_state, fpr[3], 85, &f80_type, "physical x87 register 3"),
	FIELD_REC(struct x86_state, fpr[4], 86, &f80_type, "physical x87 register 4"),
	FIELD_REC(struct x86_state, fpr[5], 87, &f80_type, "physical x87 register 5"),
	FIELD_REC(struct x86_state, fpr[6], 88, &f80_type, "physical x87 register 6"),
	FIELD_REC(struct x86_state, fpr[7], 89, &f80_type, "physical x87 register 7"),
	FIELD_HEX(struct x86_state, fcw, 90, UINT16_MAX, "x87 control word"),
	FIELD_HEX(struct x86_state, fsw, 91, UINT16_MAX, "x87 status word"),
	FIELD_HEX(struct x86_state, ftw, 92, UINT8_MAX, "bit set: physical register in use"),
	FIELD_HEX(struct x86_state, fop, 93, 0x7ff, "x87 last opcode"),
	FIELD_HEX(struct x86_state, fip, 94, UINT64_MAX, "x87 instruction pointer"),
	FIELD_HEX(struct x86_state, fdp, 95, UINT64_MAX, "x87 operand pointer"),
	FIELD_HEX(struct x86_state, fcs, 96, UINT16_MAX, "x87 instruction selector"),
	FIELD_HEX(struct x86_state, fds, 97, UINT16_MAX, "x87 operand selector"),
	FIELD_HEX(struct x86_state, mxcsr, 98, UINT32_MAX, "MXCSR"),
	FIELD_HEX(struct x86_state, xmm, 99, 256, "XMM0 to XMM15, little-endian"),
	FIELD_HEX(struct x86_state, ymm_high, 100, 256, "bits 128-255 of YMM0 to YMM15"),
	FIELD(struct x86_state, halted, 101, 1, "in HLT"),
	FIELD(struct x86_state, sti_shadow, 102, 1, "interrupts held off by STI"),
	FIELD(struct x86_state, mov_ss_shadow, 103, 1, "interrupts held off by MOV SS"),
	FIELD(struct x86_state, nmi_masked, 104, 1, "until the next IRET"),
	FIELD(struct x86_state, nmi_pending, 105, 1, "an NMI waits"),
	FIELD(struct x86_state, event_pending, 106, 1, "an event was taken but not delivered"),
	FIELD(struct x86_state, event_vector, 107, UINT8_MAX, "its vector"),
	FIELD(struct x86_state, event_type, 108, X86_EVENT_SOFT_TRAP, "its type as in VMX"),
	FIELD(struct x86_state, event_has_error, 109, 1, "it has an error code"),
	FIELD_HEX(struct x86_state, event_error, 110, UINT32_MAX, "its error code"),
};

const struct rec_type x86_state_type =
	REC_TYPE(x86_state, state_fields, .doc = "architectural state of one x86-64 CPU");

void x86_state_reset(struct x86_state *state)
{
	const struct x86_segment data = {.limit = 0xffff, .attributes = 0x93};

	memset(state, 0, sizeof(*state));
	state->rip = 0xfff0;
	state->rflags = 2;
	state->gpr[X86_RDX] = 0x600;
	for (size_t i = 0; i < X86_SREGS; i++)
		state->seg[i] = data;
	state->seg[X86_CS].selector = 0xf000;
	state->seg[X86_CS].base = 0xffff0000;
	state->seg[X86_CS].attributes = 0x9b;
	state->ldtr = (struct x86_segment){.limit = 0xffff, .attributes = 0x82};
	state->tr = (struct x86_segment){.limit = 0xffff, .attributes = 0x8b};
	state->gdtr.limit = 0xffff;
	state->idtr.limit = 0xffff;
	state->cr0 = 0x60000010;
	state->dr6 = 0xffff0ff0;
	state->dr7 = 0x400;
	state->xcr0 = 1;
	state->pat = 0x0007040600070406;
	state->misc_enable = 1; /* fast strings */
	state->fcw = 0x37f;     /* as FNINIT leaves it: what reset leaves helps nobody */
	state->mxcsr = 0x1f80;
}

void x86_state_long_mode(struct x86_state *state, uint64_t entry, uint64_t cr3)
{
	const struct x86_segment data = {
		.selector = 0x18, .limit = UINT32_MAX, .attributes = 0xc093};

	x86_state_reset(state);
	for (size_t i = 0; i < X86_SREGS; i++)
		state->seg[i] = data;
	state->seg[X86_CS].selector = 0x10;
	state->seg[X86_CS].attributes = 0xa09b;
	state->cr0 = 0x80050033; /* PG AM WP NE ET MP PE */
	state->cr3 = cr3;
	state->cr4 = 0x620;  /* OSXMMEXCPT OSFXSR PAE */
	state->efer = 0xd01; /* NXE LMA LME SCE */
	state->rip = entry;
}
