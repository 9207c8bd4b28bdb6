/* SPDX-License-Identifier: MIT */
/*
 * Taking a jump whose target the decoder knew.
 */
#ifndef WSLX_X86_BRANCH_H
#define WSLX_X86_BRANCH_H

#include "x86/x86-int.h"

INLINE struct jump_entry *jump_slot(struct x86_cpu *cpu, uint64_t rip)
{
	return &cpu->jump_cache[(rip ^ rip >> JUMP_CACHE_BITS) % JUMP_CACHE_ENTRIES];
}

const struct op *x86_jump_miss(struct x86_cpu *cpu, uint64_t rip);

/*
 * Go on at a RIP of the current code segment, already truncated to the operand size, or leave
 * the trace there if somebody wants the CPU. To be returned by a handler.
 */
INLINE const struct op *x86_jump(struct x86_cpu *cpu, uint64_t rip)
{
	const struct jump_entry *e = jump_slot(cpu, rip);

	if (LIKELY(e->rip == rip && e->tag == cpu->code_tag &&
	           !atomic_load_explicit(&cpu->attention, memory_order_relaxed))) {
		cpu->reg[REG_PAGE] = rip - e->op->off;
		GO(e->op);
	}
	return x86_jump_miss(cpu, rip);
}

/* Somebody wants the CPU: be at the target, outside of traces. */
const struct op *x86_leave_at_link(struct x86_cpu *cpu, const struct op *link);

#define TAKE_LINK                                                                                  \
	do {                                                                                       \
		const struct op *link_ = op->link;                                                 \
                                                                                                   \
		cpu->icount += op->n;                                                              \
		if (UNLIKELY(atomic_load_explicit(&cpu->attention, memory_order_relaxed)))         \
			return x86_leave_at_link(cpu, link_);                                      \
		GO(link_);                                                                         \
	} while (0)

/*
 * The same for jumps that mostly leave the page: a stub that is right is not run, but what it
 * leads to.
 */
#define TAKE_LINK_THROUGH_STUB                                                                     \
	do {                                                                                       \
		const struct op *link_ = op->link;                                                 \
                                                                                                   \
		cpu->icount += op->n;                                                              \
		if (UNLIKELY(atomic_load_explicit(&cpu->attention, memory_order_relaxed)))         \
			return x86_leave_at_link(cpu, link_);                                      \
		if (!link_->len && link_->tag == cpu->code_tag) {                                  \
			cpu->via = link_;                                                          \
			cpu->reg[REG_PAGE] += (uint64_t)(int64_t)link_->disp - link_->link->off;   \
			link_ = link_->link;                                                       \
		}                                                                                  \
		GO(link_);                                                                         \
	} while (0)

#endif
