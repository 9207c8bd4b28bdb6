/* SPDX-License-Identifier: MIT */
/*
 * The guest of x86-system.c: position-independent, copied to CODE in guest RAM. Exceptions and
 * interrupts are logged and go on where the test said, or halt.
 *
 * Log at 0x9000: count, resume address; from 0x9040 records of 64 bytes: vector, error code,
 * RIP, CS, RFLAGS, RSP, SS, CR2.
 */
#define LOG 0x9000
#define DATA 0x200000

	.section .rodata
	.globl guest_start, guest_end, guest_vectors
	.balign 16
guest_start:

guest_vectors:
	.set i, 0
	.rept 256
	.balign 16
	.if i == 8 || (i >= 10 && i <= 14) || i == 17
	.else
	pushq $0
	.endif
	pushq $i
	jmp logged
	.set i, i + 1
	.endr

logged:
	pushq %rax
	pushq %rcx
	pushq %rdx
	mov $LOG, %eax
	mov (%rax), %rcx
	incq (%rax)
	shl $6, %rcx
	lea 0x40(%rax,%rcx), %rcx
	mov 24(%rsp), %rdx
	mov %rdx, 0(%rcx)
	mov 32(%rsp), %rdx
	mov %rdx, 8(%rcx)
	mov 40(%rsp), %rdx
	mov %rdx, 16(%rcx)
	mov 48(%rsp), %rdx
	mov %rdx, 24(%rcx)
	mov 56(%rsp), %rdx
	mov %rdx, 32(%rcx)
	mov 64(%rsp), %rdx
	mov %rdx, 40(%rcx)
	mov 72(%rsp), %rdx
	mov %rdx, 48(%rcx)
	mov %cr2, %rdx
	mov %rdx, 56(%rcx)
	mov 8(%rax), %rdx
	test %rdx, %rdx
	jz 1f
	cmp $1, %rdx		/* 1: return to where it happened */
	je 2f
	mov %rdx, 40(%rsp)
2:	popq %rdx
	popq %rcx
	popq %rax
	add $16, %rsp
	iretq
1:	popq %rdx
	popq %rcx
	popq %rax
	hlt

#define SNIPPET(name) .globl name; .balign 16; name:

SNIPPET(s_load)
	mov (%rdi), %rax
	hlt

SNIPPET(s_store)
	mov %rax, (%rdi)
	hlt

SNIPPET(s_rmw)
	mov $5, %eax
	addq $1, (%rdi)
	mov $6, %eax
	hlt

SNIPPET(s_load_twice_invlpg)
	mov (%rdi), %rax	/* old frame */
	mov %rdx, (%rsi)	/* change its PTE */
	mov (%rdi), %rbx	/* not defined by the manual: not compared */
	invlpg (%rdi)
	mov (%rdi), %rcx
	hlt

SNIPPET(s_cr3_flush)
	mov (%rdi), %rax
	mov %rdx, (%rsi)
	mov %cr3, %rbx
	mov %rbx, %cr3
	mov (%rdi), %rcx
	hlt

/* CR4.PGE is on, the page is global: a CR3 load leaves it, toggling PGE drops it. */
SNIPPET(s_pge_flush)
	mov (%rdi), %rax
	mov %rdx, (%rsi)
	mov %cr4, %rbx
	mov %rbx, %r8
	and $~0x80, %r8
	mov %r8, %cr4
	mov %rbx, %cr4
	mov (%rdi), %rcx
	hlt

/* Two address spaces by PCID: rsi, rdx are CR3 values with bit 63 as the test wants it. */
SNIPPET(s_pcid)
	mov %rsi, %cr3
	mov (%rdi), %rax
	mov %rdx, %cr3
	mov (%rdi), %rcx
	mov %rsi, %cr3
	mov (%rdi), %rbx
	hlt

SNIPPET(s_ud)
	ud2

SNIPPET(s_load_ds)
	mov %ax, %ds
	hlt

SNIPPET(s_load_ss)
	mov %ax, %ss
	hlt

SNIPPET(s_int80)
	mov $0x1234, %eax
	int $0x80
	mov $0x5678, %eax
	hlt

SNIPPET(s_int3)
	int3
	hlt

SNIPPET(s_iret_to_user)
	pushq $0x2b		/* SS */
	pushq %rsi		/* RSP */
	pushq %rdx		/* RFLAGS */
	pushq %rcx		/* CS */
	pushq %rdi		/* RIP */
	iretq

SNIPPET(s_user_hlt)
	hlt

SNIPPET(s_user_syscall)
	mov $0x77, %eax
	syscall
	mov $0x88, %ebx		/* reached by SYSRET */
	int $0x80

SNIPPET(s_syscall_entry)
	mov %rcx, %r8
	mov %r11, %r9
	pushfq
	popq %r10
	mov %cs, %r12d
	mov %ss, %r13d
	sysretq

SNIPPET(s_syscall_entry_hlt)
	hlt

	.code32
SNIPPET(s_user32)
	mov $0x10, %eax
	inc %eax
	push %eax
	pop %edx
	.byte 0x67, 0x8d, 0x0f	/* lea (%bx), %ecx */
	mov %cs, %esi
	aam
	int $0x80
	hlt

SNIPPET(s_user32_sysenter)
	mov $0x99, %eax
	sysenter

SNIPPET(s_user32_limit)
	mov %gs:0x10, %eax
	hlt
	.code64

SNIPPET(s_kernel_hlt)
	hlt

/* The next instruction is overwritten by the one before it. */
SNIPPET(s_smc_self)
	lea 1f(%rip), %rdi
	mov $1, %eax
	movb $0x90, (%rdi)
	movb $0x90, 1(%rdi)
1:	jmp 2f
	add $1, %eax
2:	hlt

/* Calls a function in DATA, changes its immediate, calls it again; RCX times. */
SNIPPET(s_smc_call)
	mov $DATA, %edi
	xor %ebx, %ebx
1:	mov %ecx, 1(%rdi)
	call *%rdi
	add %rax, %rbx
	dec %ecx
	jnz 1b
	hlt

SNIPPET(s_call_rdi)
	call *%rdi
	hlt

/*
 * RDI: a page of code, which says in EAX which it is; RDX goes to its PTE at RSI; RBX: another page of
 * code.
 */
SNIPPET(s_remap_code)
	call *%rdi
	mov %eax, %r8d
	call *%rbx
	invlpg (%rsi)		/* a page that nothing was fetched from */
	mov %rdx, (%rsi)
	invlpg (%rdi)
	call *%rdi
	mov %eax, %r9d
	hlt

/*
 * The same for users, whose code ends in SYSCALL, while another space (CR3: R13, ours: R12) runs code,
 * at R14.
 */
SNIPPET(s_remap_user_code)
	xor %ebx, %ebx
1:	mov %rdi, %rcx
4:	mov $2, %r11d
	sysretq
SNIPPET(s_remap_user_entry)
	inc %ebx
	cmp $2, %ebx
	ja 3f
	je 2f
	mov %eax, %r8d
	mov %r13, %cr3
	mov %r14, %rcx
	jmp 4b
2:	mov %r12, %cr3
	mov %rdx, (%rsi)
	invlpg (%rdi)
	jmp 1b
3:	mov %eax, %r9d
	hlt

SNIPPET(s_sti_shadow)
	xor %eax, %eax
	sti
	inc %eax
	inc %eax
	hlt

SNIPPET(s_sti_cli)
	xor %eax, %eax
	sti
	cli
	inc %eax
	hlt

SNIPPET(s_popf)
	pushq $0x202
	popfq
	inc %eax
	hlt

SNIPPET(s_sti_hlt)
	sti
	hlt
	mov $0x42, %ebx
	cli
	hlt

SNIPPET(s_mov_ss_shadow)
	xor %eax, %eax
	mov $0x18, %ecx
	pushq $0x302
	popfq
	mov %ecx, %ss
	inc %eax
	inc %eax
	pushq $2
	popfq
	hlt

SNIPPET(s_single_step)
	pushq $0x102
	popfq
	nop
	mov $1, %eax
	call 1f
1:	pop %rbx
	jmp 2f
2:	pushq $2
	popfq
	hlt

SNIPPET(s_loop_forever)
	jmp s_loop_forever

SNIPPET(s_rep_movs)
	rep movsb
	hlt

SNIPPET(s_rdmsr)
	rdmsr
	hlt

SNIPPET(s_wrmsr)
	wrmsr
	hlt

SNIPPET(s_cmpxchg16b)
	cmpxchg16b (%rdi)
	hlt

SNIPPET(s_push)
	pushq $7
	hlt

SNIPPET(s_stac)
	stac
	mov (%rdi), %rax
	clac
	mov (%rdi), %rbx
	hlt

SNIPPET(s_div)
	xor %edx, %edx
	xor %ecx, %ecx
	div %rcx
	hlt

SNIPPET(s_xgetbv)
	xor %ecx, %ecx
	xgetbv
	hlt

SNIPPET(s_mov_cr8)
	mov %rax, %cr8
	mov %cr8, %rbx
	hlt

/* Work whose result must not depend on where it is interrupted. */
SNIPPET(s_work)
	mov $200000, %ecx
	mov $1, %eax
	mov $DATA, %edi
1:	imul $1664525, %eax, %eax
	add $1013904223, %eax
	mov %eax, %edx
	shr $20, %edx
	xor %eax, (%rdi,%rdx,1)
	adc %rcx, %rbx
	rol $7, %rbx
	cvtsi2sd %eax, %xmm1
	addsd %xmm1, %xmm0
	dec %ecx
	jnz 1b
	hlt

SNIPPET(s_lretq)
	pushq $0x10
	lea 1f(%rip), %rax
	pushq %rax
	lretq
1:	mov $0x11, %eax
	hlt

guest_end:
	.section .note.GNU-stack,"",@progbits
