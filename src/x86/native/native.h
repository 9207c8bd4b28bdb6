/* SPDX-License-Identifier: MIT */
/*
 * Hot traces as code of the host.
 *
 * What the rest of the room has to know: a trace that was run often is given to
 * x86_native_make(), which may put other handlers into its ops. They are generated, and that is
 * all: they take and leave the CPU like any handler, so that links, stubs, the jump cache,
 * overwritten code, faults and snapshots need to know nothing of them. Where nothing can be
 * generated (other hosts, no memory for code, a build without jumps between handlers) the
 * interpreter does everything, and it remains the reference.
 *
 * Files
 *	forms.c       which operation a handler stands for
 *	translate.c   the translation of a trace: registers, flags, memory, ways out
 *	ops.c         one operation each: addresses, moves
 *	arith.c       arithmetic
 *	flow.c        stack and jumps
 *	simd.c        vector instructions
 *	native-int.h  a translation under way
 *	asm.h         instructions of the host
 */
#ifndef WSLX_X86_NATIVE_H
#define WSLX_X86_NATIVE_H

#include "x86/x86-int.h"

/* Generated code jumps to handlers and is jumped to by them. */
#if defined(__x86_64__) && defined(__linux__) && !defined(X86_NO_TAIL_CALLS)
#define X86_NATIVE 1
#else
#define X86_NATIVE 0
#endif

struct native;

/* Return: NULL if the CPU was given no memory for code, or there is no translator for this host. */
struct native *x86_native_create(struct x86_cpu *cpu);

/* All traces are forgotten, and what was generated for them. */
void x86_native_flush(struct native *native);

/**
 * x86_native_make() - generate code for a trace
 * @ops: of the trace, from its first on
 * @n:   how many, without the stubs
 *
 * Return: false if there is no room left: all traces are to be forgotten.
 */
bool x86_native_make(struct x86_cpu *cpu, struct op *ops, unsigned n);

/* Run from @op on until a handler returns NULL, with generated code among the handlers. */
void x86_native_run(struct x86_cpu *cpu, const struct op *op);

#endif
