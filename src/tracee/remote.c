/* SPDX-License-Identifier: MIT */
/*
 * Remote system calls. The theory stands in tracee.h.
 *
 * The page area of a scope:
 *
 *	offset 0	remote_code, read and execute only
 *	CALLS_AT	struct call [CALLS_MAX + 1], ended by a number of -1
 *	DATA_AT		what the calls read and write
 */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "os/os.h"
#include "tracee/tracee-int.h"

#define CALLS_AT PAGE_BYTES
#define CALLS_MAX 1000
#define CALLS_FEW 64 /* what most scopes can do with */
#define DATA_AT (CALLS_AT + (CALLS_MAX + 1) * sizeof(struct call))
#define DATA_MAX (REMOTE_PAGE_BYTES - DATA_AT)

/* Every signal but those that cannot be blocked and the breakpoint's. */
#define MASK_ALL (~0ull)
#define MASK_BIT(sig) (1ull << ((sig)-1))

struct remote_out {
	void *to;
	size_t offset, len; /* in the data area */
};

/*
 * loop:	mov (%rbx),%rax
 *		cmp $-1,%rax
 *		je done
 *		mov 8(%rbx),%rdi	mov 16(%rbx),%rsi	mov 24(%rbx),%rdx
 *		mov 32(%rbx),%r10	mov 40(%rbx),%r8	mov 48(%rbx),%r9
 *		syscall
 *		mov %rax,56(%rbx)
 *		add $64,%rbx
 *		jmp loop
 * done:	int3
 */
const uint8_t remote_code[] = {
	0x48, 0x8b, 0x03,                               /* mov (%rbx),%rax */
	0x48, 0x83, 0xf8, 0xff,                         /* cmp $-1,%rax */
	0x74, 0x24,                                     /* je done */
	0x48, 0x8b, 0x7b, 0x08, 0x48, 0x8b, 0x73, 0x10, /* rdi, rsi */
	0x48, 0x8b, 0x53, 0x18, 0x4c, 0x8b, 0x53, 0x20, /* rdx, r10 */
	0x4c, 0x8b, 0x43, 0x28, 0x4c, 0x8b, 0x4b, 0x30, /* r8, r9 */
	0x0f, 0x05,                                     /* syscall */
	0x48, 0x89, 0x43, 0x38,                         /* mov %rax,56(%rbx) */
	0x48, 0x83, 0xc3, 0x40,                         /* add $64,%rbx */
	0xeb, 0xd3,                                     /* jmp loop */
	0xcc,                                           /* done: int3 */
	0x90, 0x90, 0xc4, 0xe2, 0x78, 0x49, 0x03,       /* ldtilecfg (%rbx) */
	0xc4, 0xe2, 0x7b, 0x49, 0xc0,                   /* tilezero %tmm0 */
	0xcc, 0x90, 0x90, 0x90, 0x90, 0x90,             /* int3 */
	0x9d, 0xcc,                                     /* popfq; int3 */
	0x0f, 0x05, 0xcc,                               /* syscall; int3 */
};
static const uint8_t syscall_insn[2] = {0x0f, 0x05};
#define AMX_AT 0x30
#define POPF_AT 0x40
#define ONE_CALL_AT 0x42
const size_t remote_code_bytes = sizeof(remote_code);

static int set_regs(struct remote *r, const struct user_regs_struct *regs, struct err *e)
{
	if (ptrace(PTRACE_SETREGS, r->t->tid, 0, regs) < 0)
		return tracee_fail(r->t, -errno, "registers", e);
	return 0;
}

/* A SIGSTOP from elsewhere cannot be kept out by the mask: they are sent again later. */
static void send_again(struct remote *r, uint64_t signals)
{
	for (int sig = 1; signals; sig++, signals >>= 1)
		if (signals & 1)
			syscall(SYS_tkill, r->t->tid, sig);
}

/*
 * Did our breakpoint raise it, and not somebody else? One that is sent while a batch runs merges
 * with the breakpoint's or comes before it: where the task stands tells.
 */
static bool is_breakpoint(struct remote *r)
{
	uint64_t offset;

	if (ptrace(PTRACE_GETREGS, r->t->tid, 0, &r->at_stop) < 0)
		return false;
	offset = r->at_stop.rip - 1 - r->page.at;
	return offset < sizeof(remote_code) && remote_code[offset] == 0xcc;
}

/* The same for the step over the gate. */
static bool is_behind_gate(struct remote *r)
{
	return !ptrace(PTRACE_GETREGS, r->t->tid, 0, &r->at_stop) &&
	       r->at_stop.rip == r->place.gate.at + sizeof(syscall_insn);
}

static void note_birth(struct remote *r)
{
	unsigned long tid;

	if (!ptrace(PTRACE_GETEVENTMSG, r->t->tid, 0, &tid))
		*LIST_ADD(&r->born, &r->arena, pid_t) = (pid_t)tid;
}

/* Resume with @request and wait for a stop that @want accepts. */
enum want { WANT_SYSCALL, WANT_BREAKPOINT, WANT_STEP, WANT_EVENT };
static int go_until(struct remote *r, enum __ptrace_request request, enum want want, struct err *e)
{
	uint64_t late = 0;

	for (;;) {
		int status, sig, event, ret;

		if (ptrace(request, r->t->tid, 0, 0) < 0)
			return tracee_fail(r->t, -errno, "resume", e);
		ret = tracee_wait(r->t, -1, &status, e);
		if (ret < 0)
			return ret;
		sig = WSTOPSIG(status);
		event = status >> 16;
		if ((want == WANT_SYSCALL && sig == (SIGTRAP | 0x80)) ||
		    (want == WANT_BREAKPOINT && sig == SIGTRAP && !event && is_breakpoint(r)) ||
		    (want == WANT_STEP && sig == SIGTRAP && !event && is_behind_gate(r)) ||
		    (want == WANT_EVENT && event == PTRACE_EVENT_STOP))
			break;
		if (event && event != PTRACE_EVENT_STOP)
			note_birth(r);
		if (!event && sig != (SIGTRAP | 0x80))
			late |= MASK_BIT(sig);
	}
	send_again(r, late);
	return 0;
}

/* Before a syscall instruction at @rip that makes the call. */
static struct user_regs_struct regs_for_call(const struct remote *r, const struct call *c,
                                             uint64_t rip)
{
	struct user_regs_struct regs = r->saved;

	regs.rip = rip;
	regs.rax = (uint64_t)c->nr;
	regs.orig_rax = (uint64_t)-1; /* or the kernel would restart the call it came from */
	regs.rdi = c->arg[0];
	regs.rsi = c->arg[1];
	regs.rdx = c->arg[2];
	regs.r10 = c->arg[3];
	regs.r8 = c->arg[4];
	regs.r9 = c->arg[5];
	return regs;
}

/* Up to where it enters the kernel for the call. */
static int enter_call(struct remote *r, const struct call *c, struct err *e)
{
	struct user_regs_struct regs = regs_for_call(r, c, r->place.gate.at);
	int ret = set_regs(r, &regs, e);

	if (!ret)
		ret = go_until(r, PTRACE_SYSCALL, WANT_SYSCALL, e);
	r->in_syscall_stop = true;
	return ret;
}

/*
 * From wherever it stands into a stop inside signal delivery, where the kernel decides about
 * restarts. It executes no instruction on the way.
 */
static int go_to_signal_delivery(struct remote *r, struct err *e)
{
	r->in_syscall_stop = false;
	if (ptrace(PTRACE_INTERRUPT, r->t->tid, 0, 0) < 0)
		return tracee_fail(r->t, -errno, "PTRACE_INTERRUPT", e);
	return go_until(r, PTRACE_CONT, WANT_EVENT, e);
}

static int call_stepwise(struct remote *r, struct call *c, struct err *e)
{
	int ret = enter_call(r, c, e);

	if (!ret)
		ret = go_until(r, PTRACE_SYSCALL, WANT_SYSCALL, e);
	if (!ret && ptrace(PTRACE_GETREGS, r->t->tid, 0, &r->at_stop) < 0)
		ret = tracee_fail(r->t, -errno, "registers", e);
	if (!ret)
		c->result = (int64_t)r->at_stop.rax;
	return ret;
}

int remote_call(struct remote *r, int64_t *result, struct err *e, long nr, int n_args, ...)
{
	struct call c = {.nr = nr};
	va_list ap;
	int ret;

	va_start(ap, n_args);
	for (int i = 0; i < n_args; i++)
		c.arg[i] = va_arg(ap, uint64_t);
	va_end(ap);
	ret = call_stepwise(r, &c, e);
	if (!ret)
		*result = c.result;
	return ret;
}

/*
 * A call through the gate that ends in a single step: one stop instead of two. Only before a batch,
 * which ends the stepping: the task would keep on stepping if we were killed before it is resumed
 * in another way.
 */
static int call_in_a_step(struct remote *r, struct call *c, struct err *e)
{
	struct user_regs_struct regs = regs_for_call(r, c, r->place.gate.at);
	int ret = set_regs(r, &regs, e);

	if (!ret)
		ret = go_until(r, PTRACE_SINGLESTEP, WANT_STEP, e);
	if (!ret)
		c->result = (int64_t)r->at_stop.rax;
	return ret;
}

/* A call by the code in our page, which needs nothing but registers. */
static int call_by_code(struct remote *r, struct call *c, struct err *e)
{
	struct user_regs_struct regs = regs_for_call(r, c, r->page.at + ONE_CALL_AT);
	int ret = set_regs(r, &regs, e);

	if (!ret)
		ret = go_until(r, PTRACE_CONT, WANT_BREAKPOINT, e);
	if (!ret)
		c->result = (int64_t)r->at_stop.rax;
	return ret;
}

static int map_page(struct remote *r, struct err *e)
{
	/* Never writable and executable at once: a task may have forbidden itself that. */
	const uint64_t prot = PROT_READ | (r->stepwise ? PROT_WRITE : PROT_EXEC);
	struct call map = {
		.nr = SYS_mmap,
		.arg = {0, REMOTE_PAGE_BYTES, prot, MAP_PRIVATE | MAP_ANONYMOUS, U(-1), 0}};
	struct call protect = {.nr = SYS_mprotect};
	int ret = r->stepwise ? call_stepwise(r, &map, e) : call_in_a_step(r, &map, e);

	if (ret < 0)
		return ret;
	if (map.result < 0)
		return err_set(e, (int)map.result,
		               "task %d: no room for %u KiB of working memory (a limit on its "
		               "address space?)",
		               r->t->tid, REMOTE_PAGE_BYTES / 1024);
	r->page = remote_at((uint64_t)map.result);
	r->own_page = true;
	if (r->stepwise)
		return 0;
	protect = (struct call){.nr = SYS_mprotect,
	                        .arg = {r->page.at + CALLS_AT, REMOTE_PAGE_BYTES - CALLS_AT,
	                                PROT_READ | PROT_WRITE}};
	ret = tracee_poke(r->t, r->page, remote_code, sizeof(remote_code), e);
	if (!ret)
		ret = call_by_code(r, &protect, e);
	if (!ret && protect.result < 0) {
		struct call unmap = {.nr = SYS_munmap, .arg = {r->page.at, REMOTE_PAGE_BYTES}};

		/* One mapping too many. What we have goes: the task's own memory may be borrowed. */
		ret = call_stepwise(r, &unmap, e);
		r->page = remote_at(0);
		r->own_page = false;
		if (!ret)
			ret = err_set(e, (int)protect.result, "task %d: a page for code",
			              r->t->tid);
	}
	return ret;
}

/* See tracee.h: when a breakpoint would be seen by the task. */
static bool breakpoint_would_disturb(struct tracee *t, const struct proc_status *status)
{
	AUTO(arena) struct arena a = {0};
	struct proc_status now;
	char path[64];

	if (!status) {
		snprintf(path, sizeof(path), "/proc/%d/status", t->tid);
		if (os_read_status_at(AT_FDCWD, path, &a, &now, NULL) < 0)
			return true;
		status = &now;
	}
	return (status->sig_ignored | status->sig_pending | status->shared_pending) &
	       MASK_BIT(SIGTRAP);
}

/* Work in the task's own memory: without code of ours, so that all calls go stepwise. */
static int borrow_page(struct remote *r, struct err *e)
{
	int ret;

	r->borrowed = xalloc(REMOTE_PAGE_BYTES);
	ret = tracee_read(r->t, r->place.borrow, r->borrowed, REMOTE_PAGE_BYTES, e);
	if (ret < 0) {
		free(r->borrowed);
		r->borrowed = NULL;
		return ret;
	}
	r->page = r->place.borrow;
	r->stepwise = true;
	return tracee_set_sigmask(r->t, MASK_ALL, e);
}

int remote_begin(struct remote *r, struct tracee *t, const struct remote_place *place,
                 struct err *e)
{
	int ret;

	assert(t->state == TRACEE_STOPPED);
	*r = (struct remote){.t = t, .place = *place, .saved = t->regs, .page = place->page};
	r->cap_calls = CALLS_FEW;
	r->calls = xalloc(r->cap_calls * sizeof(*r->calls));
	ret = tracee_get_sigmask(t, &r->saved_mask, e);
	if (ret < 0)
		goto fail;
	r->stepwise = place->no_code || fallback_forced("no-batch") ||
	              (!place->stub && breakpoint_would_disturb(t, place->status));
	ret = tracee_set_sigmask(t, r->stepwise ? MASK_ALL : MASK_ALL & ~MASK_BIT(SIGTRAP), e);
	if (ret < 0)
		goto fail;
	t->state = TRACEE_CALLING;
	if (!r->page.at) {
		ret = fallback_forced("borrow-page") ? -ENOMEM : map_page(r, e);
		if ((ret == -ENOMEM || ret == -EAGAIN) && place->borrow.at)
			ret = borrow_page(r, e);
		if (ret < 0)
			goto undo;
	}
	return 0;
undo:
	remote_end(r, NULL);
	return ret;
fail:
	free(r->calls);
	r->calls = NULL;
	return ret;
}

int remote_end(struct remote *r, struct err *e)
{
	int undone = 0, ret = 0;

	if (!r->calls)
		return 0;
	free(r->calls);
	r->calls = NULL;
	buf_finish(&r->data);
	if (r->borrowed && r->t->state == TRACEE_CALLING)
		undone = tracee_write(r->t, r->page, r->borrowed, REMOTE_PAGE_BYTES, e);
	free(r->borrowed);
	r->borrowed = NULL;
	if (r->t->state == TRACEE_CALLING && r->own_page) {
		const struct call unmap = {.nr = SYS_munmap,
		                           .arg = {r->page.at, REMOTE_PAGE_BYTES}};

		/* It leaves this call by the stop that the scope ends in. */
		undone = enter_call(r, &unmap, e);
		if (!undone)
			undone = go_to_signal_delivery(r, e);
	}
	if (r->t->state == TRACEE_CALLING) {
		ret = set_regs(r, &r->saved, e);
		if (!ret && r->in_syscall_stop)
			ret = go_to_signal_delivery(r, e);
		if (!ret)
			ret = tracee_set_sigmask(r->t, r->saved_mask, e);
		if (r->t->state == TRACEE_CALLING)
			r->t->state = TRACEE_STOPPED;
	}
	arena_finish(&r->arena);
	return undone < 0 ? undone : ret;
}

int remote_close(struct remote *r, int ret, struct err *e)
{
	int ended = remote_end(r, ret < 0 ? NULL : e);

	return ret < 0 ? ret : ended;
}

int remote_with(struct tracee *t, const struct remote_place *place,
                int (*act)(struct remote *in, void *arg, struct err *e), void *arg, struct err *e)
{
	struct remote in;
	int ret = remote_begin(&in, t, place, e);

	return ret < 0 ? ret : remote_close(&in, act(&in, arg, e), e);
}

/* ---- batches --------------------------------------------------------------------------- */

size_t remote_queue(struct remote *r, long nr, int n_args, ...)
{
	struct call *c;
	va_list ap;

	assert(r->n_calls < CALLS_MAX);
	if (r->n_calls + 1 == r->cap_calls) { /* one stays free, for the end */
		r->cap_calls = CALLS_MAX + 1;
		r->calls = xrealloc(r->calls, r->cap_calls * sizeof(*r->calls));
	}
	c = &r->calls[r->n_calls];
	*c = (struct call){.nr = nr};
	va_start(ap, n_args);
	for (int i = 0; i < n_args; i++)
		c->arg[i] = va_arg(ap, uint64_t);
	va_end(ap);
	return r->n_calls++;
}

static size_t data_room(struct remote *r, size_t len)
{
	size_t offset = (r->data.len + 15) & ~(size_t)15;

	size_t more = offset + len - r->data.len;

	assert(offset + len <= DATA_MAX);
	memset(buf_extend(&r->data, more), 0, more);
	return offset;
}

uint64_t remote_in(struct remote *r, const void *data, size_t len)
{
	size_t offset = data_room(r, len);

	if (len)
		memcpy(r->data.data + offset, data, len);
	return r->page.at + DATA_AT + offset;
}

uint64_t remote_out(struct remote *r, void *to, size_t len)
{
	size_t offset = data_room(r, len);
	struct remote_out *out = LIST_ADD(&r->outs, &r->arena, struct remote_out);

	*out = (struct remote_out){.to = to, .offset = offset, .len = len};
	return r->page.at + DATA_AT + offset;
}

bool remote_has_room(const struct remote *r, size_t calls, size_t data_bytes)
{
	return r->n_calls + calls <= CALLS_MAX && r->data.len + data_bytes + 16 <= DATA_MAX;
}

/* The calls and what they read and write, with one call of ours. */
static int copy_both(struct remote *r, bool into_task, struct err *e)
{
	size_t calls_bytes = (r->n_calls + 1) * sizeof(*r->calls);
	struct iovec here[] = {{r->calls, calls_bytes}, {r->data.data, r->data.len}};
	struct iovec there[] = {{(void *)(uintptr_t)(r->page.at + CALLS_AT), calls_bytes},
	                        {(void *)(uintptr_t)(r->page.at + DATA_AT), r->data.len}};
	unsigned long n = r->data.len ? 2 : 1;
	ssize_t done = into_task ? process_vm_writev(r->t->tid, here, n, there, n, 0)
	                         : process_vm_readv(r->t->tid, here, n, there, n, 0);

	if (done != (ssize_t)(calls_bytes + r->data.len))
		return tracee_fail(r->t, done < 0 ? -errno : -EFAULT,
		                   into_task ? "memory write" : "memory read", e);
	return 0;
}

static int run_at_once(struct remote *r, struct err *e)
{
	const remote_t there = remote_at(r->page.at + CALLS_AT);
	struct user_regs_struct regs = r->saved;
	int ret;

	r->calls[r->n_calls].nr = -1;
	ret = copy_both(r, true, e);
	if (ret < 0)
		return ret;
	regs.rip = r->page.at;
	regs.rbx = there.at;
	regs.orig_rax = (uint64_t)-1;
	ret = set_regs(r, &regs, e);
	if (ret < 0)
		return ret;
	r->in_syscall_stop = false;
	ret = go_until(r, PTRACE_CONT, WANT_BREAKPOINT, e);
	return ret ? ret : copy_both(r, false, e);
}

int remote_run(struct remote *r, struct err *e)
{
	int ret = 0;

	if (r->stepwise) {
		ret = tracee_write(r->t, remote_at(r->page.at + DATA_AT), r->data.data, r->data.len,
		                   e);
		for (size_t i = 0; !ret && i < r->n_calls; i++)
			ret = call_stepwise(r, &r->calls[i], e);
		if (!ret && r->outs.count)
			ret = tracee_read(r->t, remote_at(r->page.at + DATA_AT), r->data.data,
			                  r->data.len, e);
	} else if (r->n_calls) {
		ret = run_at_once(r, e);
	}
	if (ret < 0)
		return ret;
	LIST_EACH(&r->outs, struct remote_out, out)
		memcpy(out->to, r->data.data + out->offset, out->len);
	r->outs = (struct list){0};
	r->data.len = 0;
	r->n_calls = 0;
	return 0;
}

int64_t remote_result(const struct remote *r, size_t index)
{
	assert(index < r->cap_calls);
	return r->calls[index].result;
}

int remote_go_stepwise(struct remote *r, struct err *e)
{
	r->stepwise = true;
	return tracee_set_sigmask(r->t, MASK_ALL, e);
}

/* ---- single instructions ------------------------------------------------------------------ */

/* Run the code at @offset with what stands at DATA_AT under %rbx and %rsp. */
static int run_fragment(struct remote *r, uint64_t offset, const void *data, size_t len,
                        struct err *e)
{
	struct user_regs_struct regs = r->saved;
	int ret = tracee_write(r->t, remote_at(r->page.at + DATA_AT), data, len, e);

	if (ret < 0)
		return ret;
	regs.rip = r->page.at + offset;
	regs.rbx = regs.rsp = r->page.at + DATA_AT;
	regs.orig_rax = (uint64_t)-1;
	ret = set_regs(r, &regs, e);
	if (ret < 0)
		return ret;
	r->in_syscall_stop = false;
	return go_until(r, PTRACE_CONT, WANT_BREAKPOINT, e);
}

int remote_touch_amx(struct remote *r, struct err *e)
{
	/* Palette 1, one tile of one row of 64 bytes: the least that uses tile data. */
	static const uint8_t one_tile[64] = {[0] = 1, [16] = 64, [48] = 1};

	return run_fragment(r, AMX_AT, one_tile, sizeof(one_tile), e);
}

int remote_load_flags(struct remote *r, uint64_t flags, struct err *e)
{
	return run_fragment(r, POPF_AT, &flags, sizeof(flags), e);
}

/* ---- the gate -------------------------------------------------------------------------- */

static bool gate_is_there(pid_t pid, uint64_t at)
{
	uint8_t bytes[2];
	struct iovec here = {bytes, 2}, there = {(void *)(uintptr_t)at, 2};

	return process_vm_readv(pid, &here, 1, &there, 1, 0) == 2 &&
	       !memcmp(bytes, syscall_insn, 2);
}

/* Offset of a syscall instruction in our own vdso: the kernel gives all tasks the same one. */
static int own_vdso_gate(uint64_t *offset)
{
	const uint8_t *vdso = (const uint8_t *)(uintptr_t)getauxval(AT_SYSINFO_EHDR);
	const Elf64_Ehdr *elf = (const Elf64_Ehdr *)(const void *)vdso;
	const Elf64_Phdr *load;

	if (!vdso)
		return -ENOENT;
	load = (const Elf64_Phdr *)(const void *)(vdso + elf->e_phoff);
	for (int i = 0; i < elf->e_phnum; i++, load++) {
		const uint8_t *end, *at;

		if (load->p_type != PT_LOAD)
			continue;
		end = vdso + load->p_offset + load->p_filesz;
		at = memmem(vdso, (size_t)(end - vdso), syscall_insn, 2);
		if (at) {
			*offset = (uint64_t)(at - vdso);
			return 0;
		}
	}
	return -ENOENT;
}

int remote_find_gate(pid_t pid, uint64_t vdso, uint64_t exec_start, uint64_t exec_end,
                     remote_t *out, struct err *e)
{
	uint8_t chunk[64 * 1024];
	uint64_t offset;

	if (vdso && !own_vdso_gate(&offset) && gate_is_there(pid, vdso + offset)) {
		*out = remote_at(vdso + offset);
		return 0;
	}
	for (uint64_t at = exec_start; at < exec_end; at += sizeof(chunk) - 1) {
		size_t len = MIN(sizeof(chunk), (size_t)(exec_end - at));
		struct iovec here = {chunk, len}, there = {(void *)(uintptr_t)at, len};
		ssize_t n = process_vm_readv(pid, &here, 1, &there, 1, 0);
		const uint8_t *hit = n > 1 ? memmem(chunk, (size_t)n, syscall_insn, 2) : NULL;

		if (hit) {
			*out = remote_at(at + (uint64_t)(hit - chunk));
			return 0;
		}
		if (len < sizeof(chunk))
			break;
	}
	return err_say(e, -ENOENT, "process %d has no syscall instruction in its memory", pid);
}
