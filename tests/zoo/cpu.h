/* SPDX-License-Identifier: MIT */
/*
 * Programs that hold values in registers across the stop. Between loading and storing there may be
 * no code of the compiler's, so that is one asm statement: load, CPU_STAY, store. It runs in two
 * threads: one stays in user space and spins on cpu_go, the other stays in futex(2).
 */
#ifndef WSLX_ZOO_CPU_H
#define WSLX_ZOO_CPU_H

#include "zoo.h"

#include <cpuid.h>
#include <linux/futex.h>
#include <pthread.h>

static volatile uint32_t cpu_go, cpu_loaded;
static volatile pid_t cpu_tids[2];

/* With CPU_OPERANDS(mode) as inputs: mode 0 spins, mode 1 sleeps; both until cpu_go is set. */
#define CPU_STAY                                                                                   \
	"lock incl %[loaded]\n\t"                                                                  \
	"testl %%eax, %%eax\n\t"                                                                   \
	"jnz 772f\n"                                                                               \
	"771:	pause\n\t"                                                                           \
	"cmpl $0, %[go]\n\t"                                                                       \
	"je 771b\n\t"                                                                              \
	"jmp 773f\n"                                                                               \
	"772:	xorl %%r10d, %%r10d\n\t"                                                             \
	"movl $202, %%eax\n\t"                                                                     \
	"syscall\n\t"                                                                              \
	"cmpl $0, %[go]\n\t"                                                                       \
	"je 772b\n"                                                                                \
	"773:\n\t"
#define CPU_OPERANDS(mode)                                                                         \
	"a"(mode), "D"(&cpu_go), "S"((long)FUTEX_WAIT),                                            \
		"d"(0l), [go] "m"(cpu_go), [loaded] "m"(cpu_loaded)
#define CPU_CLOBBERS "rcx", "r10", "r11", "cc", "memory"

/* What XCR0 allows: bit 1 SSE, 2 AVX, 5..7 AVX-512, 9 PKRU, 17 and 18 AMX. */
static ZOO_UNUSED uint64_t cpu_xcr0(void)
{
	uint32_t a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		return 0;
	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return (uint64_t)d << 32 | a;
}

/* Run @hold(0) and @hold(1) across the snapshot; they check what they held, and return. */
static ZOO_UNUSED void cpu_hold_across(void *(*hold)(void *mode))
{
	pthread_t thread[2];

	for (long mode = 0; mode < 2; mode++)
		must_zero(pthread_create(&thread[mode], NULL, hold, (void *)mode));
	while (cpu_loaded < 2)
		sched_yield();
	zoo_await_syscall(cpu_tids[1], SYS_futex);

	zoo_snapshot_here();
	cpu_go = 1;
	must(syscall(SYS_futex, &cpu_go, FUTEX_WAKE, INT_MAX, NULL, NULL, 0));
	for (int mode = 0; mode < 2; mode++)
		must_zero(pthread_join(thread[mode], NULL));
	zoo_pass();
}

#endif
