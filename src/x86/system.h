/* SPDX-License-Identifier: MIT */
/*
 * Segments, privilege, events: what system instructions share.
 */
#ifndef WSLX_X86_SYSTEM_H
#define WSLX_X86_SYSTEM_H

#include "x86/flags.h"
#include "x86/x86-int.h"

/* A descriptor as it was read, with where it was. */
struct descriptor {
	struct x86_segment seg;
	uint64_t linear; /* of its 8 bytes */
};

#define SEG_CODE 0x8u    /* type bits of a code or data segment */
#define SEG_CONFORM 0x4u /* code */
#define SEG_EXPAND 0x4u  /* data: grows down */
#define SEG_RW 0x2u      /* code: readable; data: writable */
#define SEG_ACCESSED 0x1u

INLINE unsigned seg_dpl(const struct x86_segment *s)
{
	return s->attributes >> X86_SEG_DPL_SHIFT & 3u;
}
INLINE bool seg_is_code(const struct x86_segment *s)
{
	return (s->attributes & (X86_SEG_S | SEG_CODE)) == (X86_SEG_S | SEG_CODE);
}
INLINE bool seg_is_data(const struct x86_segment *s)
{
	return (s->attributes & (X86_SEG_S | SEG_CODE)) == X86_SEG_S;
}

/*
 * Read a descriptor; raises @vector with the selector if it is outside of its table. @wide
 * reads the upper half of a 16-byte system descriptor, too.
 */
void x86_descriptor(struct x86_cpu *cpu, uint16_t selector, bool wide, enum x86_vector vector,
                    struct descriptor *out);
/* The same without raising. Return: false if it is outside of its table. */
bool x86_descriptor_try(struct x86_cpu *cpu, uint16_t selector, bool wide, struct descriptor *out);
void x86_set_segment(struct x86_cpu *cpu, enum x86_sreg seg, const struct x86_segment *value);
/* MOV or POP to a segment register, with all its checks. */
void x86_load_segment(struct x86_cpu *cpu, enum x86_sreg seg, uint16_t selector);

/* Flat segments that SYSCALL and relations load without a descriptor. */
void x86_set_flat(struct x86_cpu *cpu, uint16_t cs, uint16_t ss, unsigned dpl, bool code_64);

/* After a return to an outer level: data segments that are not for it become null. */
void x86_drop_inner_segments(struct x86_cpu *cpu);

/* A code segment for a far transfer: checked, accessed bit set. */
enum far_kind { FAR_JUMP, FAR_RETURN };
void x86_code_descriptor(struct x86_cpu *cpu, uint16_t selector, enum far_kind kind,
                         struct descriptor *out);
/* A stack segment for CPL @cpl. A null one passes if @null_ok. */
void x86_stack_descriptor(struct x86_cpu *cpu, uint16_t selector, unsigned cpl, bool null_ok,
                          struct descriptor *out);

/* I/O permission of the current task for a port; raises #GP. cpu->op must be set. */
void x86_check_io(struct x86_cpu *cpu, uint16_t port, unsigned bytes);

/* RFLAGS as POPF and IRET load it: only what privilege allows, of @size bytes 2, 4 or 8. */
void x86_load_rflags(struct x86_cpu *cpu, uint64_t value, unsigned size);

/*
 * Deliver an event through the IDT at cpu->rip, for a software interrupt with @length added to
 * the RIP that is pushed. May raise again.
 */
void x86_deliver(struct x86_cpu *cpu, const struct x86_event_info *event);

bool x86_msr_read(struct x86_cpu *cpu, uint32_t msr, uint64_t *value);
bool x86_msr_write(struct x86_cpu *cpu, uint32_t msr, uint64_t value);
uint64_t x86_guest_tsc(struct x86_cpu *cpu);

/* Interrupts may have become deliverable. */
INLINE void x86_look_at_events(struct x86_cpu *cpu)
{
	atomic_fetch_or_explicit(&cpu->attention, ATTN_EVENT, memory_order_relaxed);
}

INLINE void x86_need_cpl0(struct x86_cpu *cpu, const struct op *op)
{
	if (cpu->cpl)
		x86_raise_at(cpu, op, VEC_GP, 0);
}

#endif
