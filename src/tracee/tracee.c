/* SPDX-License-Identifier: MIT */
/* Attach, stop, look, let go. The states are those of enum tracee_state. */
#include "tracee/tracee.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "os/os.h"
#include "tracee/tracee-int.h"

#define NT_XSTATE_GUESS_BYTES 16384
#define GROUP_STOP_TIMEOUT_MS 1000u

static int gone(struct tracee *t, struct err *e)
{
	t->state = TRACEE_GONE;
	return err_say(e, -ESRCH, "task %d has ended", t->tid);
}

int tracee_fail(struct tracee *t, int code, const char *what, struct err *e)
{
	if (code == -ESRCH)
		return gone(t, e);
	return err_set(e, code, "task %d: %s", t->tid, what);
}

/* Who traces it already, for the sentence of a refusal. */
static pid_t tracer_of(pid_t tid)
{
	AUTO(arena) struct arena a = {0};
	struct proc_status status;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	if (os_read_status_at(AT_FDCWD, path, &a, &status, NULL) < 0)
		return 0;
	return status.tracer_pid;
}

/* A task that has ended may not be traced either, and that is EPERM too. */
static bool has_ended(pid_t tid)
{
	struct proc_stat stat;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	return os_read_stat_at(AT_FDCWD, path, &stat, NULL) < 0 || stat.state == 'Z' ||
	       stat.state == 'X';
}

int tracee_seize(struct tracee *t, pid_t tid, unsigned long options, struct err *e)
{
	pid_t tracer;
	int r;

	*t = (struct tracee){.tid = tid, .state = TRACEE_GONE};
	if (ptrace(PTRACE_SEIZE, tid, 0, options | PTRACE_O_TRACESYSGOOD) == 0) {
		t->state = TRACEE_RUNNING;
		return 0;
	}
	r = -errno;
	if (r == -ESRCH || has_ended(tid))
		return gone(t, e);
	tracer = tracer_of(tid);
	if (tracer)
		return err_say(e, r,
		               "task %d is traced by process %d (a debugger?): end that first", tid,
		               tracer);
	return err_set(e, r,
	               "task %d may not be traced: it belongs to another user, has rights that you "
	               "do not have, or kernel.yama.ptrace_scope forbids it; root can",
	               tid);
}

/* Wait for the next stop. @timeout_ms < 0: for ever. Needs SIGCHLD blocked if it is timed. */
int tracee_wait(struct tracee *t, int timeout_ms, int *status, struct err *e)
{
	uint64_t deadline = os_clock_ns(CLOCK_MONOTONIC) + (uint64_t)timeout_ms * 1000000u;

	for (;;) {
		pid_t got = waitpid(t->tid, status, __WALL | (timeout_ms < 0 ? 0 : WNOHANG));
		uint64_t now;
		sigset_t chld;
		struct timespec wait;

		if (got == t->tid) {
			if (WIFSTOPPED(*status))
				return 0;
			return gone(t, e);
		}
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return gone(t, e);
		now = os_clock_ns(CLOCK_MONOTONIC);
		if (now >= deadline)
			return -ETIME;
		wait.tv_sec = (time_t)((deadline - now) / 1000000000u);
		wait.tv_nsec = (long)((deadline - now) % 1000000000u);
		sigemptyset(&chld);
		sigaddset(&chld, SIGCHLD);
		sigtimedwait(&chld, NULL, &wait);
	}
}

int tracee_interrupt(struct tracee *t, struct err *e)
{
	assert(t->state == TRACEE_RUNNING);
	if (ptrace(PTRACE_INTERRUPT, t->tid, 0, 0) < 0)
		return tracee_fail(t, -errno, "PTRACE_INTERRUPT", e);
	return 0;
}

int tracee_wait_stop(struct tracee *t, int timeout_ms, struct err *e)
{
	for (;;) {
		int status, sig, event, r;

		r = tracee_wait(t, timeout_ms, &status, e);
		if (r == -ETIME)
			return err_say(
				e, r,
				"task %d does not leave the kernel: it is in uninterruptible "
				"sleep, or waits for a vfork child",
				t->tid);
		if (r < 0)
			return r;
		sig = WSTOPSIG(status);
		event = status >> 16;
		if (event == PTRACE_EVENT_STOP) {
			t->group_stop = sig == SIGTRAP ? 0 : sig;
			break;
		}
		/* A signal on its way, or an event that we did not ask for: let it through. */
		if (ptrace(PTRACE_CONT, t->tid, 0, event || sig == (SIGTRAP | 0x80) ? 0 : sig) < 0)
			return tracee_fail(t, -errno, "PTRACE_CONT", e);
	}
	if (ptrace(PTRACE_GETREGS, t->tid, 0, &t->regs) < 0)
		return tracee_fail(t, -errno, "PTRACE_GETREGS", e);
	t->state = TRACEE_STOPPED;
	return 0;
}

int tracee_stop(struct tracee *t, int timeout_ms, struct err *e)
{
	int r = tracee_interrupt(t, e);

	return r < 0 ? r : tracee_wait_stop(t, timeout_ms, e);
}

int tracee_adopt(struct tracee *t, pid_t tid, struct err *e)
{
	*t = (struct tracee){.tid = tid, .state = TRACEE_RUNNING};
	return tracee_wait_stop(t, -1, e);
}

int tracee_resume(struct tracee *t, struct err *e)
{
	assert(t->state == TRACEE_STOPPED);
	if (ptrace(PTRACE_CONT, t->tid, 0, 0) < 0)
		return tracee_fail(t, -errno, "PTRACE_CONT", e);
	t->state = TRACEE_RUNNING;
	return 0;
}

void tracee_release(struct tracee *t)
{
	if (t->state == TRACEE_GONE)
		return;
	assert(t->state != TRACEE_CALLING);
	/* Detaching needs a stop; a task that still runs stops at its own pace. */
	if (t->state == TRACEE_RUNNING && tracee_stop(t, 10000, NULL) < 0) {
		t->state = TRACEE_GONE;
		return;
	}
	ptrace(PTRACE_DETACH, t->tid, 0, 0);
	t->state = TRACEE_GONE;
}

int tracee_stop_group(struct tracee *t, int sig, struct err *e)
{
	int pass = 0;

	assert(t->state == TRACEE_STOPPED);
	if (sig && syscall(SYS_tkill, t->tid, SIGSTOP) < 0)
		return tracee_fail(t, -errno, "SIGSTOP", e);
	for (;;) {
		int status, r;

		/* Whatever becomes of the signal, no instruction of the task runs. */
		if (pass && ptrace(PTRACE_INTERRUPT, t->tid, 0, 0) < 0)
			return tracee_fail(t, -errno, "PTRACE_INTERRUPT", e);
		if (ptrace(PTRACE_CONT, t->tid, 0, pass) < 0)
			return tracee_fail(t, -errno, "PTRACE_CONT", e);
		r = tracee_wait(t, -1, &status, e);
		if (r < 0)
			return r;
		if (status >> 16 == PTRACE_EVENT_STOP && WSTOPSIG(status) != SIGTRAP)
			return 0;
		if (pass) {
			/* It did not stop by that one. */
			sig = SIGSTOP;
			pass = 0;
			if (syscall(SYS_tkill, t->tid, SIGSTOP) < 0)
				return tracee_fail(t, -errno, "SIGSTOP", e);
		} else if (!(status >> 16) && WSTOPSIG(status) == SIGSTOP) {
			pass = sig;
		}
	}
}

void tracee_await_group_stop(pid_t pid)
{
	const uint64_t until = os_clock_ns(CLOCK_MONOTONIC) + GROUP_STOP_TIMEOUT_MS * 1000000u;
	struct proc_stat stat;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	/* Nobody but its parent is told of it, and the parent not of this one. */
	while (!os_read_stat_at(AT_FDCWD, path, &stat, NULL) && stat.state != 'T' &&
	       stat.state != 'Z' && os_clock_ns(CLOCK_MONOTONIC) < until)
		sched_yield();
}

int tracee_set_regs(struct tracee *t, struct err *e)
{
	assert(t->state == TRACEE_STOPPED);
	if (ptrace(PTRACE_SETREGS, t->tid, 0, &t->regs) < 0)
		return tracee_fail(t, -errno, "registers", e);
	return 0;
}

int tracee_read(struct tracee *t, remote_t from, void *to, size_t len, struct err *e)
{
	struct iovec here = {to, len}, there = {(void *)(uintptr_t)from.at, len};
	ssize_t n;

	if (!len)
		return 0;
	n = process_vm_readv(t->tid, &here, 1, &there, 1, 0);
	if (n < 0)
		return tracee_fail(t, -errno, "memory read", e);
	if ((size_t)n != len)
		return tracee_fail(t, -EFAULT, "memory read", e);
	return 0;
}

int tracee_write(struct tracee *t, remote_t to, const void *from, size_t len, struct err *e)
{
	struct iovec here = {(void *)(uintptr_t)from, len}, there = {(void *)(uintptr_t)to.at, len};
	ssize_t n;

	if (!len)
		return 0;
	n = process_vm_writev(t->tid, &here, 1, &there, 1, 0);
	if (n < 0)
		return tracee_fail(t, -errno, "memory write", e);
	if ((size_t)n != len)
		return tracee_fail(t, -EFAULT, "memory write", e);
	return 0;
}

int tracee_poke(struct tracee *t, remote_t to, const void *from, size_t len, struct err *e)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t word = 0;

		memcpy(&word, (const uint8_t *)from + i, MIN(len - i, (size_t)8));
		if (ptrace(PTRACE_POKEDATA, t->tid, to.at + i, word) < 0)
			return tracee_fail(t, -errno, "PTRACE_POKEDATA", e);
	}
	return 0;
}

int tracee_get_regset(struct tracee *t, int type, struct buf *out, struct err *e)
{
	struct iovec iov;

	buf_reserve(out, NT_XSTATE_GUESS_BYTES);
	iov.iov_base = out->data + out->len;
	iov.iov_len = out->cap - out->len;
	if (ptrace(PTRACE_GETREGSET, t->tid, type, &iov) < 0)
		return tracee_fail(t, -errno, "PTRACE_GETREGSET", e);
	out->len += iov.iov_len;
	return 0;
}

int tracee_set_regset(struct tracee *t, int type, struct span in, struct err *e)
{
	struct iovec iov = {(void *)(uintptr_t)in.data, in.len};

	if (ptrace(PTRACE_SETREGSET, t->tid, type, &iov) < 0)
		return tracee_fail(t, -errno, "PTRACE_SETREGSET", e);
	return 0;
}

int tracee_get_sigmask(struct tracee *t, uint64_t *mask, struct err *e)
{
	if (ptrace(PTRACE_GETSIGMASK, t->tid, sizeof(*mask), mask) < 0)
		return tracee_fail(t, -errno, "PTRACE_GETSIGMASK", e);
	return 0;
}

int tracee_set_sigmask(struct tracee *t, uint64_t mask, struct err *e)
{
	if (ptrace(PTRACE_SETSIGMASK, t->tid, sizeof(mask), &mask) < 0)
		return tracee_fail(t, -errno, "PTRACE_SETSIGMASK", e);
	return 0;
}
