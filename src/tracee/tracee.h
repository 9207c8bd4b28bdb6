/* SPDX-License-Identifier: MIT */
/*
 * tracee: a stopped task that can be questioned.
 *
 * Life of a tracee
 *	tracee_seize()	attaches without stopping and without a signal (PTRACE_SEIZE)
 *	tracee_stop()	PTRACE_INTERRUPT, then waits until the task stands still at the border
 *			of the kernel; its registers are read then
 *	remote_*()	make it run system calls on our behalf
 *	tracee_release()	registers and mask as they were, PTRACE_DETACH
 * "The task died" is an ordinary answer everywhere: -ESRCH.
 *
 * What a remote system call may not disturb
 *	A task that was interrupted inside a system call stands there with orig_rax >= 0 and
 *	rax = -ERESTART*; the kernel decides about the restart when the task leaves *signal
 *	delivery*. So a scope ends by bringing the task into a stop inside signal delivery
 *	again, with its own registers: the restart then happens as if nothing had been. No call
 *	that sets a restart block (nanosleep, poll, futex with a time-out) may be made remotely.
 *	No x87/SSE/AVX/AMX state is touched: the code uses integer registers only, and no signal
 *	frame is ever built or returned from. Debug registers are never touched.
 *
 * Two ways to run calls
 *	batch		a page of ours in the task holds a loop over an array of calls; one resume
 *			runs them all and ends at a breakpoint instruction
 *	stepwise	a syscall instruction that is there already (vdso), one call between two
 *			syscall stops: needs no memory, and is how the page comes and goes
 *	A breakpoint raises SIGTRAP, which the kernel forces: it would reset an ignored SIGTRAP to
 *	its default and merge with a pending one. In those two cases all calls go stepwise.
 *	"no-batch" forces that.
 */
#ifndef WSLX_TRACEE_H
#define WSLX_TRACEE_H

#include <signal.h>
#include <sys/types.h>
#include <sys/user.h>

#include "base/base.h"
#include "os/proc.h"

/* An address in the tracee. Never a pointer of ours. */
typedef struct {
	uint64_t at;
} remote_t;

static inline remote_t remote_at(uint64_t at)
{
	return (remote_t){at};
}

enum tracee_state {
	TRACEE_RUNNING, /* seized; nothing may be asked of it */
	TRACEE_STOPPED, /* in signal delivery, registers are the task's own */
	TRACEE_CALLING, /* inside a remote scope; only remote_*() may touch it */
	TRACEE_GONE,    /* dead or detached */
};

struct tracee {
	pid_t tid;
	enum tracee_state state;
	struct user_regs_struct regs; /* while STOPPED: what it will go on with */
	int group_stop; /* the stop signal if it was in a group stop (SIGSTOP, ...), else 0 */
};

/**
 * tracee_seize() - attach to a running task
 * @options: PTRACE_O_*
 * Return: 0; -ESRCH; -EPERM with a sentence that says who traces it or what right is missing.
 */
MUST_CHECK int tracee_seize(struct tracee *t, pid_t tid, unsigned long options, struct err *e);

/**
 * tracee_stop() - interrupt it and wait until it stands still
 * @timeout_ms: how long it may take
 *
 * Signals that arrive meanwhile are delivered, not eaten. Return: 0; -ESRCH; -ETIME if the task
 * did not come out of the kernel (uninterruptible sleep, or a vfork that waits for its child).
 */
MUST_CHECK int tracee_stop(struct tracee *t, int timeout_ms, struct err *e);
/* The two halves of tracee_stop(), so that many tasks come to a halt at the same time. */
MUST_CHECK int tracee_interrupt(struct tracee *t, struct err *e);
MUST_CHECK int tracee_wait_stop(struct tracee *t, int timeout_ms, struct err *e);

/**
 * tracee_adopt() - take over a task that the kernel attached for us (PTRACE_O_TRACECLONE)
 *
 * Waits for its first stop. Return: 0; -ESRCH.
 */
MUST_CHECK int tracee_adopt(struct tracee *t, pid_t tid, struct err *e);

/* Let it go on, still attached. */
MUST_CHECK int tracee_resume(struct tracee *t, struct err *e);
/* Detach; it goes on with t->regs. Does nothing to one that is gone. */
void tracee_release(struct tracee *t);
/* Write t->regs to the task. */
MUST_CHECK int tracee_set_regs(struct tracee *t, struct err *e);

/**
 * tracee_stop_group() - put a stopped tracee into a group stop
 * @sig: of the first thread of its process: by which signal; 0: this one joins the first
 *
 * A signal that would not stop it (SIGTSTP in an orphaned process group) becomes SIGSTOP.
 * It stays a tracee and stays stopped when it is let go.
 */
MUST_CHECK int tracee_stop_group(struct tracee *t, int sig, struct err *e);
/*
 * A task in a group stop that was let go runs for a moment, in the kernel, before it stops again: until
 * that is over it looks to others like one that was continued. Of a process all of whose threads were
 * released; not for longer than a second.
 */
void tracee_await_group_stop(pid_t pid);

MUST_CHECK int tracee_read(struct tracee *t, remote_t from, void *to, size_t len, struct err *e);
MUST_CHECK int tracee_write(struct tracee *t, remote_t to, const void *from, size_t len,
                            struct err *e);
/* A register set (NT_*) as bytes. */
MUST_CHECK int tracee_get_regset(struct tracee *t, int type, struct buf *out, struct err *e);
MUST_CHECK int tracee_set_regset(struct tracee *t, int type, struct span in, struct err *e);
MUST_CHECK int tracee_get_sigmask(struct tracee *t, uint64_t *mask, struct err *e);
MUST_CHECK int tracee_set_sigmask(struct tracee *t, uint64_t mask, struct err *e);

/* ---- remote system calls --------------------------------------------------------------- */

struct call {
	int64_t nr;
	uint64_t arg[6];
	int64_t result; /* as the kernel returns it: -errno on failure */
};

/* Where remote calls find what they need in a task. */
struct remote_place {
	remote_t gate; /* a syscall instruction (remote_find_gate()) */
	remote_t page; /* an area of REMOTE_PAGE_BYTES that is ours already; 0: map one */
	bool stub;     /* the task is a stub of ours: a breakpoint disturbs nobody */
	bool no_code;  /* the page holds no code of ours: calls go stepwise */
	/* Of the task as it stands still, if somebody has read it already; NULL: it is read. */
	const struct proc_status *status;
	/*
	 * Writable memory of REMOTE_PAGE_BYTES that the task has: used, and put back as it was,
	 * when a limit of the task's does not let us map our own. 0: there is none.
	 */
	remote_t borrow;
};

/*
 * A scope over one stopped task. Between begin and end its registers are ours; after the end,
 * by whatever way, they are its own again and what was mapped is gone.
 */
struct remote {
	struct tracee *t;
	struct user_regs_struct saved, at_stop;
	uint64_t saved_mask;
	struct remote_place place;
	remote_t page;     /* our mapping: code, then calls and data; 0 while there is none */
	bool own_page;     /* made by this scope and so unmapped by it */
	uint8_t *borrowed; /* what stood where we work */
	bool stepwise;     /* no breakpoints, see above */
	bool in_syscall_stop;
	struct list
		born; /* pid_t: what was made here (PTRACE_EVENT_FORK, _VFORK, _CLONE), in order */
	struct call *calls; /* queued */
	size_t n_calls, cap_calls;
	struct buf data;  /* goes behind the calls */
	struct list outs; /* struct remote_out: what to copy back */
	struct arena arena;
};

/**
 * remote_begin() - take over a stopped task
 * Return: 0; -ESRCH; -ENOMEM if the task has no room for a page and nothing to borrow.
 */
MUST_CHECK int remote_begin(struct remote *r, struct tracee *t, const struct remote_place *place,
                            struct err *e);
/* Give the task back as it was. Return: 0; -ESRCH if it died meanwhile. Needed on every way out. */
int remote_end(struct remote *r, struct err *e);

/* The same behind what happened in the scope. Return: @ret if that is a failure; else as above. */
MUST_CHECK int remote_close(struct remote *r, int ret, struct err *e);
/**
 * remote_with() - begin a scope, act in it, end it by every way out
 * Return: 0; what failed first, @act or the scope itself.
 */
MUST_CHECK int remote_with(struct tracee *t, const struct remote_place *place,
                           int (*act)(struct remote *in, void *arg, struct err *e), void *arg,
                           struct err *e);

/* One call now. Return: 0 and the kernel's answer in @result; negative if it could not be made. */
MUST_CHECK int remote_call(struct remote *r, int64_t *result, struct err *e, long nr, int n_args,
                           ...);
#define REMOTE_CALL(r, result, e, nr, ...)                                                         \
	remote_call((r), (result), (e), (nr), REMOTE_COUNT(__VA_ARGS__), ##__VA_ARGS__)
#define REMOTE_COUNT(...) REMOTE_COUNT_(0, ##__VA_ARGS__, 6, 5, 4, 3, 2, 1, 0)
#define REMOTE_COUNT_(z, a, b, c, d, e_, f, n, ...) n

/**
 * remote_queue() - add a call to the batch
 * Return: the index under which remote_result() tells its result.
 * All arguments must be uint64_t.
 */
size_t remote_queue(struct remote *r, long nr, int n_args, ...);
#define U(x) ((uint64_t)(x))
#define REMOTE_QUEUE(r, nr, ...) remote_queue((r), (nr), REMOTE_COUNT(__VA_ARGS__), ##__VA_ARGS__)
/* Bytes for a queued call to read: their address in the task, once the batch runs. */
uint64_t remote_in(struct remote *r, const void *data, size_t len);
/* Room for a queued call to write to; copied to @to when the batch has run. */
uint64_t remote_out(struct remote *r, void *to, size_t len);
/* Is there room for @calls more calls with @data_bytes more data? If not: run first. */
bool remote_has_room(const struct remote *r, size_t calls, size_t data_bytes);
/* Run what is queued. Results stay until the next remote_queue(). */
MUST_CHECK int remote_run(struct remote *r, struct err *e);
int64_t remote_result(const struct remote *r, size_t index);

/* From here on without breakpoints, whose SIGTRAP the task may see by now. */
MUST_CHECK int remote_go_stepwise(struct remote *r, struct err *e);

/*
 * Two things that no system call does, for a stub (never for a task that is being asked):
 * instructions of remote_code that touch AMX, so that the kernel makes room for its state, and
 * that load EFLAGS with bits that ptrace may not set (ID).
 */
MUST_CHECK int remote_touch_amx(struct remote *r, struct err *e);
/* The flags stay in force for the registers that the scope leaves behind. */
MUST_CHECK int remote_load_flags(struct remote *r, uint64_t flags, struct err *e);

/**
 * remote_find_gate() - a syscall instruction in a task
 * @vdso: where its vdso is, 0 if it has none
 * @exec_start, @exec_end: an executable mapping to look through if there is no vdso
 * Return: 0; -ENOENT.
 */
MUST_CHECK int remote_find_gate(pid_t pid, uint64_t vdso, uint64_t exec_start, uint64_t exec_end,
                                remote_t *out, struct err *e);

/* The code that a borrowed page must begin with; for a restore's own page. */
extern const uint8_t remote_code[];
extern const size_t remote_code_bytes;
#define REMOTE_GATE_AT 33          /* of the syscall instruction in it */
#define REMOTE_PAGE_BYTES 0x20000u /* code, calls and data */

#endif
