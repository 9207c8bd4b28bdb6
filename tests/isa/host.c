/* SPDX-License-Identifier: MIT */
/*
 * Running vectors on the host's CPU.
 *
 * A signal handler is the whole machine: entered by the exception that ends a vector, it takes
 * the result out of the signal frame, puts the next vector into the same frame and returns into
 * it. One signal a vector, and the kernel loads and saves all registers for us. The code selector
 * in the frame chooses 64-bit or compatibility mode.
 *
 * The child shares the batch and the data pages with its parent, so that it may die at any
 * point without losing results.
 */
#include "isa.h"

#include <asm/prctl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/ucontext.h>
#include <sys/wait.h>
#include <unistd.h>

#define USER_CS 0x33u
#define USER_CS32 0x23u
#define USER_DS 0x2bu

static struct batch *current;

static uint8_t *at(uint64_t address)
{
	return (uint8_t *)(uintptr_t)address;
}

static void map_at(uint64_t address, size_t bytes, int prot)
{
	void *got = mmap(at(address), bytes, prot,
	                 MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0);

	if (got != at(address))
		abort();
}

void host_init(const struct batch *batch)
{
	map_at(DATA_BASE, DATA_BYTES, PROT_READ | PROT_WRITE);
	map_at(READONLY_BASE, PAGE_BYTES, PROT_READ | PROT_WRITE);
	memcpy(at(READONLY_BASE), batch->readonly, PAGE_BYTES);
	mprotect(at(READONLY_BASE), PAGE_BYTES, PROT_READ);
	map_at(CODE_BASE, PAGE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC);
	memset(at(CODE_BASE), 0xcc, PAGE_BYTES);
}

const uint8_t *host_memory(void)
{
	return at(DATA_BASE);
}

static void take_result(const ucontext_t *uc, struct result *r)
{
	static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
	                              REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
	                              REG_R12, REG_R13, REG_R14, REG_R15};
	const greg_t *g = uc->uc_mcontext.gregs;

	for (unsigned i = 0; i < 16; i++)
		r->out.gpr[i] = (uint64_t)g[order[i]];
	r->out.rip = (uint64_t)g[REG_RIP];
	r->out.rflags = (uint64_t)g[REG_EFL];
	memcpy(&r->out.fx, uc->uc_mcontext.fpregs, sizeof(r->out.fx));
	r->vector = (uint32_t)g[REG_TRAPNO];
	r->error = (uint32_t)g[REG_ERR];
	r->cr2 = r->vector == 14 ? (uint64_t)g[REG_CR2] : 0;
	r->memory = hash_bytes(at(DATA_BASE), DATA_BYTES);
}

static void put_vector(ucontext_t *uc, const struct vector *v)
{
	static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
	                              REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
	                              REG_R12, REG_R13, REG_R14, REG_R15};
	greg_t *g = uc->uc_mcontext.gregs;
	uint64_t selectors = (uint64_t)g[REG_CSGSFS];

	memcpy(at(DATA_BASE), current->pattern, DATA_BYTES);
	memcpy(at(v->patch_at), v->patch, v->patch_bytes);
	memcpy(at(CODE_BASE + v->offset), v->code, v->code_bytes);
	for (unsigned i = 0; i < 16; i++)
		g[order[i]] = (greg_t)v->in.gpr[i];
	g[REG_RIP] = (greg_t)v->in.rip;
	g[REG_EFL] = (greg_t)(v->in.rflags | 0x202);
	selectors = (selectors & 0x0000ffffffff0000u) | (v->code32 ? USER_CS32 : USER_CS) |
	            (uint64_t)USER_DS << 48;
	g[REG_CSGSFS] = (greg_t)selectors;
	/* Not the software-reserved bytes at the end, which tell the kernel what follows. */
	memcpy(uc->uc_mcontext.fpregs, &v->in.fx, offsetof(struct fx_image, unused));
	((struct fx_image *)uc->uc_mcontext.fpregs)->mxcsr_mask = 0xffff;
	/* x87 and SSE are in this image, whatever was in use before: XSTATE_BV follows it. */
	*(uint64_t *)((uint8_t *)uc->uc_mcontext.fpregs + sizeof(struct fx_image)) |= 3;
}

static void next(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	static bool started;

	if (sig == SIGPROF)
		_exit(2);
	if (started) {
		const struct vector *v = &current->vectors[current->done];

		take_result(uc, &current->results[current->done]);
		memset(at(CODE_BASE + v->offset), 0xcc, v->code_bytes);
		current->done++;
	}
	started = true;
	if (current->done == current->count)
		_exit(0);
	put_vector(uc, &current->vectors[current->done]);
}

static _Noreturn void child(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGPROF};
	const struct itimerval limit = {.it_value = {.tv_sec = 20}};
	struct sigaction action = {.sa_sigaction = next, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	const size_t stack_bytes = 256 << 10;
	stack_t stack = {.ss_size = stack_bytes};

	stack.ss_sp =
		mmap(NULL, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	(void)*(volatile uint8_t *)at(READONLY_BASE); /* or a write would find no page at all */
	sigaltstack(&stack, NULL);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaction(signals[i], &action, NULL);
	setitimer(ITIMER_PROF, &limit, NULL);
	syscall(SYS_arch_prctl, ARCH_SET_GS, (unsigned long)GS_BASE);
	__asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(USER_DS));
	__asm__ volatile("int3");
	_exit(3);
}

int host_run(struct batch *batch, struct err *e)
{
	int status;
	pid_t pid;

	current = batch;
	batch->done = 0;
	pid = fork();
	if (pid < 0)
		return err_set(e, -errno, "fork");
	if (pid == 0)
		child();
	if (waitpid(pid, &status, 0) < 0)
		return err_set(e, -errno, "waitpid");
	memset(at(CODE_BASE), 0xcc, PAGE_BYTES);
	if (status)
		return err_say(e, -EIO, "the host's child ended with status %#x", (unsigned)status);
	return 0;
}
