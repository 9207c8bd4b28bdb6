/* SPDX-License-Identifier: MIT */
/*
 * Address translation, inside of the room.
 */
#ifndef WSLX_X86_MMU_H
#define WSLX_X86_MMU_H

#include "x86/x86-int.h"

/* The two low bits of x86_cpu.ctx: on whose behalf memory is accessed. */
enum {
	CTX_USER,
	CTX_SUPERVISOR,    /* may not touch user pages if CR4.SMAP */
	CTX_SUPERVISOR_AC, /* may: EFLAGS.AC is set, or SMAP is off */
	CTX_ALIGNED_USER,  /* user with alignment checks: never in the TLB */
	CTX_COUNT,
};

#define PF_PRESENT 1u
#define PF_WRITE 2u
#define PF_USER 4u
#define PF_RESERVED 8u
#define PF_FETCH 16u

#define X86_PHYS_BITS 40

struct mmu *x86_mmu_create(struct x86_cpu *cpu);

/* RAM offset of a guest-physical address, or UINT64_MAX for a device or nothing. */
uint64_t x86_ram_offset(const struct x86_cpu *cpu, uint64_t gpa);

/*
 * Pages of RAM that are used are noted in the config's log, for a while from the CPU's creation on.
 */
void x86_notes_begin(struct x86_cpu *cpu);
void x86_notes_end(struct x86_cpu *cpu);
NOINLINE void x86_note_use(struct x86_cpu *cpu, uint64_t ram_page, bool write);

INLINE void x86_note(struct x86_cpu *cpu, uint64_t ram_page, bool write)
{
	if (UNLIKELY(cpu->noted != NULL))
		x86_note_use(cpu, ram_page, write);
}

/* Forget translations: of one linear address, of one PCID's non-global pages, all. */
void x86_flush_page(struct x86_cpu *cpu, uint64_t linear);
void x86_flush_space(struct x86_cpu *cpu, unsigned pcid);
void x86_flush_all(struct x86_cpu *cpu);
/* CR3 names another address space (or may). x86_update_mode() is to follow. */
void x86_space_changed(struct x86_cpu *cpu);

/* Generation of the address space that CR3 names now and its TLB context. */
void x86_space_select(struct x86_cpu *cpu, uint64_t *generation, uint64_t *ctx);

/* RAM page number from which to fetch at @linear; raises #PF and #GP at cpu->rip. */
uint32_t x86_fetch_page(struct x86_cpu *cpu, uint64_t linear);

/* Decoded code appeared in this RAM page: its writes must go through the slow path from now on. */
void x86_write_protect(struct x86_cpu *cpu, uint64_t ram_page);

INLINE bool is_canonical(uint64_t linear)
{
	return (uint64_t)((int64_t)(linear << 16) >> 16) == linear;
}

#endif
