/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* The general registers and the lasting flags. In a system call rax, rcx and r11 are not the
 * program's. */
#include "cpu.h"

#define LASTING_FLAGS 0x200400ull /* ID and DF; the comparison in the loop sets the others */

/* r14 points here; every other register goes through it. */
struct table {
	uint64_t in[14], flags_in;
	uint64_t out[14], flags_out;
};

static void stay(struct table *t, long mode)
{
	__asm__ volatile("subq $128, %%rsp\n\t" /* the red zone is the compiler's */
	                 "pushq %%rbp\n\t"
	                 "movq %%rdi, %%r14\n\t"
	                 "pushq 112(%%r14)\n\tpopfq\n\t"
	                 "movq 8(%%r14), %%rbx\n\t"
	                 "movq 16(%%r14), %%rcx\n\t"
	                 "movq 24(%%r14), %%rdx\n\t"
	                 "movq 32(%%r14), %%rsi\n\t"
	                 "movq 40(%%r14), %%rdi\n\t"
	                 "movq 48(%%r14), %%r8\n\t"
	                 "movq 56(%%r14), %%r9\n\t"
	                 "movq 64(%%r14), %%rbp\n\t"
	                 "movq 72(%%r14), %%r10\n\t"
	                 "movq 80(%%r14), %%r11\n\t"
	                 "movq 88(%%r14), %%r12\n\t"
	                 "movq 96(%%r14), %%r13\n\t"
	                 "movq 104(%%r14), %%r15\n\t"
	                 "lock incl %[loaded]\n\t"
	                 "testl %%eax, %%eax\n\t"
	                 "jnz 2f\n\t"
	                 "movq 0(%%r14), %%rax\n"
	                 "1:	pause\n\t"
	                 "cmpl $0, %[go]\n\t"
	                 "je 1b\n\t"
	                 "jmp 3f\n"
	                 "2:	movl $202, %%eax\n\t"
	                 "syscall\n\t"
	                 "cmpl $0, %[go]\n\t"
	                 "je 2b\n"
	                 "3:\n\t"
	                 "movq %%rax, 120(%%r14)\n\t"
	                 "movq %%rbx, 128(%%r14)\n\t"
	                 "movq %%rcx, 136(%%r14)\n\t"
	                 "movq %%rdx, 144(%%r14)\n\t"
	                 "movq %%rsi, 152(%%r14)\n\t"
	                 "movq %%rdi, 160(%%r14)\n\t"
	                 "movq %%r8, 168(%%r14)\n\t"
	                 "movq %%r9, 176(%%r14)\n\t"
	                 "movq %%rbp, 184(%%r14)\n\t"
	                 "movq %%r10, 192(%%r14)\n\t"
	                 "movq %%r11, 200(%%r14)\n\t"
	                 "movq %%r12, 208(%%r14)\n\t"
	                 "movq %%r13, 216(%%r14)\n\t"
	                 "movq %%r15, 224(%%r14)\n\t"
	                 "pushfq\n\tpopq 232(%%r14)\n\t"
	                 "pushq $0x202\n\tpopfq\n\t"
	                 "popq %%rbp\n\t"
	                 "addq $128, %%rsp\n\t"
	                 : "+D"(t), "+a"(mode)
	                 : [go] "m"(cpu_go), [loaded] "m"(cpu_loaded)
	                 : "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13",
	                   "r14", "r15", "cc", "memory");
}

static void *hold(void *arg)
{
	long mode = (long)arg;
	struct table t = {.flags_in = LASTING_FLAGS | 0x202};

	cpu_tids[mode] = zoo_tid();
	for (size_t i = 0; i < ZOO_LEN(t.in); i++)
		t.in[i] = 0x9e3779b97f4a7c15ull * (i + 1 + (uint64_t)mode * 100);
	if (mode) { /* the arguments of futex(): rdi, rsi, rdx, r10 */
		t.in[5] = (uintptr_t)&cpu_go;
		t.in[4] = FUTEX_WAIT;
		t.in[3] = 0;
		t.in[9] = 0;
	}
	stay(&t, mode);
	zoo_spoil(t.out[7]++);
	zoo_spoil(t.flags_out ^= 0x400);
	for (size_t i = 0; i < ZOO_LEN(t.in); i++)
		if (!mode || (i != 0 && i != 2 && i != 10)) /* rax, rcx, r11 */
			check(t.out[i] == t.in[i], "mode %ld: register %zu is %llx, want %llx",
			      mode, i, (unsigned long long)t.out[i], (unsigned long long)t.in[i]);
	check_eq(t.flags_out & LASTING_FLAGS, LASTING_FLAGS);
	return NULL;
}

int main(int argc, char **argv)
{
	zoo_init(argc, argv);
	cpu_hold_across(hold);
}
