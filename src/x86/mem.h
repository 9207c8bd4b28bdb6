/* SPDX-License-Identifier: MIT */
/*
 * Guest memory from handlers: the TLB's hit path inline, everything else in mmu.c.
 *
 * The entry is chosen by the first byte's page and compared with the last byte's, so an access
 * over a page's end misses without a test of its own.
 */
#ifndef WSLX_X86_MEM_H
#define WSLX_X86_MEM_H

#include "x86/x86-int.h"

/* Operands in guest memory lie where the guest put them. */
typedef uint8_t guest8_t;
typedef uint16_t guest16_t __attribute__((aligned(1)));
typedef uint32_t guest32_t __attribute__((aligned(1)));
typedef uint64_t guest64_t __attribute__((aligned(1)));

uint64_t x86_load_slow(struct x86_cpu *cpu, const struct op *op, uint64_t linear, unsigned bytes);
void x86_store_slow(struct x86_cpu *cpu, const struct op *op, uint64_t linear, unsigned bytes,
                    uint64_t value);

INLINE struct tlb_entry *tlb_slot(struct tlb_entry *tlb, uint64_t linear)
{
	return (struct tlb_entry *)((char *)tlb + ((linear >> (PAGE_SHIFT - 4)) &
	                                           ((uint64_t)(TLB_ENTRIES - 1) << 4)));
}

INLINE uint64_t tlb_tag(const struct x86_cpu *cpu, uint64_t linear, unsigned bytes)
{
	return ((linear + bytes - 1) & ~(uint64_t)(PAGE_BYTES - 1)) | cpu->ctx;
}

/*
 * Handlers with one memory operand, in two copies. The fast one has no call in it that it would
 * have to come back from, and so no stack frame; where the TLB does not hit, it jumps to its
 * twin, which does the same by way of the slow functions.
 *
 *	OP_MEMORY(name, {
 *		MEMORY_LOAD(32, v, linear);
 *		...
 *	})
 */
#define OP_MEMORY(name, ...)                                                                       \
	static NOINLINE OP(name##_slow)                                                            \
	{                                                                                          \
		enum { slow = 1 };                                                                 \
		op_fn *const twin = NULL;                                                          \
                                                                                                   \
		(void)twin;                                                                        \
		__VA_ARGS__                                                                        \
	}                                                                                          \
	static OP(name)                                                                            \
	{                                                                                          \
		enum { slow = 0 };                                                                 \
		op_fn *const twin = name##_slow;                                                   \
                                                                                                   \
		__VA_ARGS__                                                                        \
	}
/* The same for a handler that leaves its file. */
#define OP_MEMORY_GLOBAL(name, ...)                                                                \
	static NOINLINE OP(name##_slow)                                                            \
	{                                                                                          \
		enum { slow = 1 };                                                                 \
		op_fn *const twin = NULL;                                                          \
                                                                                                   \
		(void)twin;                                                                        \
		__VA_ARGS__                                                                        \
	}                                                                                          \
	OP(name)                                                                                   \
	{                                                                                          \
		enum { slow = 0 };                                                                 \
		op_fn *const twin = name##_slow;                                                   \
                                                                                                   \
		__VA_ARGS__                                                                        \
	}

/* @host becomes the operand's address in the fast copy; in the slow one `otherwise` is done. */
#define MEMORY_HIT(tlb, bytes, host, linear, otherwise)                                            \
	do {                                                                                       \
		if (slow) {                                                                        \
			otherwise;                                                                 \
		} else {                                                                           \
			const struct tlb_entry *e_ = tlb_slot(cpu->tlb, linear);                   \
                                                                                                   \
			if (UNLIKELY(e_->tag != tlb_tag(cpu, linear, bytes)))                      \
				return twin(cpu, op);                                              \
			host = (void *)((linear) + e_->addend);                                    \
		}                                                                                  \
	} while (0)

#define MEMORY_LOAD(S, v, linear_)                                                                 \
	do {                                                                                       \
		const uint64_t at_ = (linear_);                                                    \
		const void *host_ = NULL;                                                          \
                                                                                                   \
		MEMORY_HIT(tlb_read, S / 8, host_, at_,                                            \
		           v = (uint##S##_t)x86_load_slow(cpu, op, at_, S / 8));                   \
		if (!slow)                                                                         \
			memcpy(&(v), host_, S / 8);                                                \
	} while (0)

#define MEMORY_STORE(S, linear_, value)                                                            \
	do {                                                                                       \
		const uint64_t at_ = (linear_);                                                    \
		const uint##S##_t v_ = (value);                                                    \
		void *host_ = NULL;                                                                \
                                                                                                   \
		MEMORY_HIT(tlb_write, S / 8, host_, at_, x86_store_slow(cpu, op, at_, S / 8, v_)); \
		if (!slow)                                                                         \
			memcpy(host_, &v_, S / 8);                                                 \
	} while (0)

/* Read, modify, write: @host is a pointer to the operand between the two. */
#define MEMORY_RMW(S, host, linear)                                                                \
	MEMORY_HIT(tlb_write, S / 8, host, linear, host = x86_rmw_slow(cpu, op, linear, S / 8))
#define MEMORY_RMW_END(S, host, linear)                                                            \
	do {                                                                                       \
		if (slow && (void *)(host) == cpu->bounce)                                         \
			x86_store_bytes(cpu, op, linear, host, S / 8);                             \
	} while (0)

/* Host address of an operand that lies in one page of readable RAM, else NULL. */
INLINE const void *tlb_read_hit(struct x86_cpu *cpu, uint64_t linear, unsigned bytes)
{
	const struct tlb_entry *e = tlb_slot(cpu->tlb_read, linear);

	if (LIKELY(e->tag == tlb_tag(cpu, linear, bytes)))
		return (const void *)(linear + e->addend);
	return NULL;
}

INLINE void *tlb_write_hit(struct x86_cpu *cpu, uint64_t linear, unsigned bytes)
{
	const struct tlb_entry *e = tlb_slot(cpu->tlb_write, linear);

	if (LIKELY(e->tag == tlb_tag(cpu, linear, bytes)))
		return (void *)(linear + e->addend);
	return NULL;
}

#define DEFINE_ACCESS(bits)                                                                        \
	INLINE uint##bits##_t load##bits(struct x86_cpu *cpu, const struct op *op,                 \
	                                 uint64_t linear)                                          \
	{                                                                                          \
		const void *host = tlb_read_hit(cpu, linear, bits / 8);                            \
		uint##bits##_t v;                                                                  \
                                                                                                   \
		if (UNLIKELY(!host))                                                               \
			return (uint##bits##_t)x86_load_slow(cpu, op, linear, bits / 8);           \
		memcpy(&v, host, sizeof(v));                                                       \
		return v;                                                                          \
	}                                                                                          \
	INLINE void store##bits(struct x86_cpu *cpu, const struct op *op, uint64_t linear,         \
	                        uint##bits##_t v)                                                  \
	{                                                                                          \
		void *host = tlb_write_hit(cpu, linear, bits / 8);                                 \
                                                                                                   \
		if (UNLIKELY(!host))                                                               \
			x86_store_slow(cpu, op, linear, bits / 8, v);                              \
		else                                                                               \
			memcpy(host, &v, sizeof(v));                                               \
	}
DEFINE_ACCESS(8)
DEFINE_ACCESS(16)
DEFINE_ACCESS(32)
DEFINE_ACCESS(64)
#undef DEFINE_ACCESS

/*
 * Read-modify-write: begin faults as a write before anything is read, and end stores.
 *
 *	host = rmw_begin(cpu, op, linear, bytes);     pointer to the operand
 *	... *host is read, the new value computed ...
 *	rmw_end(cpu, op, host, linear, bytes);         after *host was set
 *
 * Where the operand has no host address, the pointer is to cpu->bounce.
 */
void *x86_rmw_slow(struct x86_cpu *cpu, const struct op *op, uint64_t linear, unsigned bytes);

INLINE void *rmw_begin(struct x86_cpu *cpu, const struct op *op, uint64_t linear, unsigned bytes)
{
	void *host = tlb_write_hit(cpu, linear, bytes);

	return LIKELY(host != NULL) ? host : x86_rmw_slow(cpu, op, linear, bytes);
}

void x86_store_bytes(struct x86_cpu *cpu, const struct op *op, uint64_t linear, const void *data,
                     unsigned bytes);
INLINE void rmw_end(struct x86_cpu *cpu, const struct op *op, const void *host, uint64_t linear,
                    unsigned bytes)
{
	if (UNLIKELY(host == cpu->bounce))
		x86_store_bytes(cpu, op, linear, cpu->bounce, bytes);
}

/*
 * Operands of other sizes (up to 4096 bytes): all bytes are checked before the first is moved.
 */
void x86_load_bytes(struct x86_cpu *cpu, const struct op *op, uint64_t linear, void *out,
                    unsigned bytes);
/* Fault now if a later store of these bytes would. */
void x86_check_write(struct x86_cpu *cpu, const struct op *op, uint64_t linear, unsigned bytes);

INLINE void load128(struct x86_cpu *cpu, const struct op *op, uint64_t linear, union x86_vec *out)
{
	const void *host = tlb_read_hit(cpu, linear, 16);

	if (LIKELY(host != NULL))
		memcpy(out, host, 16);
	else
		x86_load_bytes(cpu, op, linear, out, 16);
}

INLINE void store128(struct x86_cpu *cpu, const struct op *op, uint64_t linear,
                     const union x86_vec *v)
{
	void *host = tlb_write_hit(cpu, linear, 16);

	if (LIKELY(host != NULL))
		memcpy(host, v, 16);
	else
		x86_store_bytes(cpu, op, linear, v, 16);
}

/* System structures (descriptor tables, TSS, stacks of handlers): as supervisor, whatever the CPL.
 */
uint64_t x86_system_load(struct x86_cpu *cpu, uint64_t linear, unsigned bytes);
void x86_system_store(struct x86_cpu *cpu, uint64_t linear, unsigned bytes, uint64_t value);

/*
 * For string instructions: host address of @linear for reading or writing, and in *@run how many
 * bytes from there stay in the page. NULL where a byte-wise access must be made (device, code).
 * Faults as an access of 1 byte would.
 */
void *x86_host_page(struct x86_cpu *cpu, const struct op *op, uint64_t linear, bool write,
                    unsigned *run);

#endif
