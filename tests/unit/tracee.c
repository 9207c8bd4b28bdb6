/* SPDX-License-Identifier: MIT */
/*
 * Remote system calls on children of the test. Each promise of tracee.h is tried in both ways of
 * running calls: in a batch and stepwise.
 */
#include <elf.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "os/os.h"
#include "tracee/tracee.h"

#include "tap.h"

/* ---- the child ---------------------------------------------------------------------------- */

struct subject {
	pid_t pid;
	int to, from; /* its two pipes; it may block in a read of the first */
	struct tracee t;
	struct remote_place place;
};

/* Shared with all children, so that the test sees what a child did without asking it. */
static struct shared {
	volatile uint32_t futex;
	volatile uint32_t handled; /* runs of the SIGUSR1 handler */
	volatile uint32_t cell;
} * shared;

static uint8_t work_area[REMOTE_PAGE_BYTES] __attribute__((aligned(4096)));

static void say(int fd, int64_t value)
{
	if (write(fd, &value, sizeof(value)) != sizeof(value))
		_exit(99);
}

static int64_t hear(const struct subject *s)
{
	int64_t value = INT64_MIN;

	if (read(s->from, &value, sizeof(value)) != sizeof(value))
		return INT64_MIN;
	return value;
}

/* Start a child that says 0 when it has come to life, then runs @life and says what that returns. */
static struct subject start(int64_t (*life)(int from_test))
{
	struct subject s = {0};
	struct err e = {0};
	int down[2], up[2];

	if (pipe2(down, O_CLOEXEC) || pipe2(up, O_CLOEXEC))
		abort();
	s.pid = fork();
	if (!s.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(down[1]);
		close(up[0]);
		say(up[1], 0);
		say(up[1], life(down[0]));
		_exit(0);
	}
	close(down[0]);
	close(up[1]);
	s.to = down[1];
	s.from = up[0];
	if (hear(&s))
		abort();
	if (remote_find_gate(s.pid, getauxval(AT_SYSINFO_EHDR), 0, 0, &s.place.gate, &e))
		abort();
	return s;
}

static void auto_subject(struct subject *s)
{
	tracee_release(&s->t);
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	close(s->to);
	close(s->from);
}

static void stop(struct subject *s)
{
	struct err e = {0};

	ok(!tracee_seize(&s->t, s->pid, 0, &e) && !tracee_stop(&s->t, 10000, &e), "%s", e.text);
}

/*
 * Wait until it sleeps in system call @nr: /proc/PID/syscall says "running" until then. A call
 * with a time-out goes on as restart_syscall(2).
 */
static void await_syscall(const struct subject *s, long nr)
{
	char path[64], want[16], again[16];

	snprintf(path, sizeof(path), "/proc/%d/syscall", s->pid);
	snprintf(want, sizeof(want), "%ld ", nr);
	snprintf(again, sizeof(again), "%d ", SYS_restart_syscall);
	for (;;) {
		AUTO(buf) struct buf text = {0};

		if (os_read_file_at(AT_FDCWD, path, &text) < 0)
			abort();
		if (text_starts(buf_text(&text), want) || text_starts(buf_text(&text), again))
			return;
		sched_yield();
	}
}

static void force(const char *how)
{
	if (how)
		setenv("WSLX_FORCE", how, 1);
	else
		unsetenv("WSLX_FORCE");
}

static const char *const ways[] = {NULL, "no-batch"};
#define EACH_WAY(i)                                                                                \
	size_t i = 0;                                                                              \
	i < ARRAY_LEN(ways) && (force(ways[i]), true);                                             \
	i++

/* A scope that asks for a few things and gets the right answers. */
static void ask(struct subject *s)
{
	struct remote r;
	struct err e = {0};
	char cwd[256] = "", own_cwd[256];
	int64_t pid = 0;
	size_t parent, where;

	ok(!remote_begin(&r, &s->t, &s->place, &e), "%s", e.text);
	parent = REMOTE_QUEUE(&r, SYS_getppid);
	where = REMOTE_QUEUE(&r, SYS_getcwd, remote_out(&r, cwd, sizeof(cwd)), U(sizeof(cwd)));
	ok(!remote_run(&r, &e), "%s", e.text);
	ok(remote_result(&r, parent) == getpid(), "%lld", (long long)remote_result(&r, parent));
	ok(remote_result(&r, where) > 1 && !strcmp(cwd, getcwd(own_cwd, sizeof(own_cwd))), "%s",
	   cwd);
	ok(!REMOTE_CALL(&r, &pid, &e, SYS_getpid) && pid == s->pid, "%s", e.text);
	ok(!remote_end(&r, &e), "%s", e.text);
}

/* ---- lives --------------------------------------------------------------------------------- */

static int64_t live_reading(int in)
{
	char byte;

	return read(in, &byte, 1) == 1 ? 1 : -errno;
}

/* Registers of every size hold values, then the cell says so; it never returns. */
static int64_t live_spinning(int in)
{
	static const uint32_t pattern[8] = {0x01234567, 0x89abcdef, 3, 4, 5, 6, 7, 8};

	if (__builtin_cpu_supports("avx"))
		__asm__ volatile("vmovdqu %0, %%ymm0\n\tvmovdqu %0, %%ymm7\n\tvmovdqu %0, %%ymm15"
		                 :
		                 : "m"(pattern));
	__asm__ volatile("fldpi\n\tfldl2e\n\t"
	                 "movups %0, %%xmm1\n\t"
	                 "mov $0x1111, %%rax\n\tmov $0x2222, %%rcx\n\tmov $0x3333, %%rdx\n\t"
	                 "mov $0x4444, %%rsi\n\tmov $0x5555, %%rdi\n\tmov $0x6666, %%r8\n\t"
	                 "mov $0x7777, %%r10\n\tmov $0x8888, %%r11\n\tmov $0x9999, %%rbx\n\t"
	                 "std\n\t"
	                 "movl $1, (%1)\n\t"
	                 "1: jmp 1b"
	                 :
	                 : "m"(pattern), "r"(&shared->cell)
	                 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r10", "r11", "rbx");
	__builtin_unreachable();
}

static void count_signal(int sig)
{
	shared->handled++;
}

static int64_t handle_and_read(int sig, int in)
{
	struct sigaction act = {.sa_handler = count_signal, .sa_flags = SA_RESTART};

	sigaction(sig, &act, NULL);
	return live_reading(in);
}

static int64_t live_handling(int in)
{
	return handle_and_read(SIGUSR1, in);
}

/* ---- asking -------------------------------------------------------------------------------- */

static void calls_are_made_and_answered(void)
{
	for (EACH_WAY(i)) {
		AUTO(subject) struct subject s = start(live_reading);

		stop(&s);
		ask(&s);
		ask(&s);
		tracee_release(&s.t);
		ok(write(s.to, "x", 1) == 1 && hear(&s) == 1);
	}
}

static void a_full_batch_keeps_order_and_results(void)
{
	for (EACH_WAY(i)) {
		AUTO(subject) struct subject s = start(live_reading);
		struct remote r;
		struct err e = {0};
		static int64_t values[2000];
		size_t n = 0, bad = 0;
		int pair[2] = {-1, -1};

		stop(&s);
		ok(!remote_begin(&r, &s.t, &s.place, &e), "%s", e.text);
		REMOTE_QUEUE(&r, SYS_pipe2, remote_out(&r, pair, sizeof(pair)), U(O_CLOEXEC));
		ok(!remote_run(&r, &e) && pair[0] >= 0, "%s", e.text);
		/* Each call writes its number into the pipe, so that order is seen. */
		while (n < ARRAY_LEN(values) && remote_has_room(&r, 2, 32)) {
			int64_t number = (int64_t)n;

			REMOTE_QUEUE(&r, SYS_write, U(pair[1]),
			             remote_in(&r, &number, sizeof(number)), U(sizeof(number)));
			n++;
		}
		ok(n > 500, "%zu", n);
		REMOTE_QUEUE(&r, SYS_read, U(pair[0]), remote_out(&r, values, n * 8), U(n * 8));
		ok(!remote_run(&r, &e), "%s", e.text);
		for (size_t k = 0; k < n; k++)
			bad += remote_result(&r, k) != 8 || values[k] != (int64_t)k;
		ok(!bad, "%zu of %zu", bad, n);
		ok(remote_result(&r, n) == (int64_t)n * 8);
		ok(!remote_end(&r, &e), "%s", e.text);
	}
}

static void errors_of_the_kernel_are_results(void)
{
	for (EACH_WAY(i)) {
		AUTO(subject) struct subject s = start(live_reading);
		struct remote r;
		struct err e = {0};
		size_t bad_fd, bad_address;
		int64_t result = 0;

		stop(&s);
		ok(!remote_begin(&r, &s.t, &s.place, &e), "%s", e.text);
		bad_fd = REMOTE_QUEUE(&r, SYS_close, U(12345));
		bad_address = REMOTE_QUEUE(&r, SYS_getcwd, U(1), U(100));
		ok(!remote_run(&r, &e), "%s", e.text);
		ok(remote_result(&r, bad_fd) == -EBADF);
		ok(remote_result(&r, bad_address) == -EFAULT);
		ok(!REMOTE_CALL(&r, &result, &e, 9999L) && result == -ENOSYS, "%lld",
		   (long long)result);
		ok(!remote_end(&r, &e), "%s", e.text);
	}
}

/* ---- undoing ------------------------------------------------------------------------------- */

/*
 * Its registers are loaded when this returns. To stop it again and again until they are could go on for
 * ever: a task that is interrupted before it gets a CPU stops without a single instruction.
 */
static struct subject start_spinning(void)
{
	struct subject s;

	shared->cell = 0;
	s = start(live_spinning);
	while (!shared->cell)
		sched_yield();
	return s;
}

static void registers_are_as_they_were(void)
{
	for (EACH_WAY(i)) {
		AUTO(subject) struct subject s = start_spinning();
		AUTO(buf) struct buf before = {0}, after = {0}, later = {0};
		struct user_regs_struct first, now;
		struct err e = {0};

		stop(&s);
		first = s.t.regs;
		ok(first.rax == 0x1111 && first.rcx == 0x2222 && first.r11 == 0x8888);
		ok(first.rbx == 0x9999 && first.eflags & 0x400);
		ok(!tracee_get_regset(&s.t, NT_X86_XSTATE, &before, &e), "%s", e.text);
		ok(before.len > 576, "%zu", before.len);
		ask(&s);
		ok(!tracee_get_regset(&s.t, NT_X86_XSTATE, &after, &e), "%s", e.text);
		ok(span_equal(buf_span(&before), buf_span(&after)));
		ok(!ptrace(PTRACE_GETREGS, s.pid, 0, &now));
		ok(!memcmp(&now, &first, sizeof(now)), "rip %llx, was %llx", now.rip, first.rip);
		/* And once more after it has run. */
		ok(!tracee_resume(&s.t, &e) && !tracee_stop(&s.t, 10000, &e), "%s", e.text);
		ok(!memcmp(&s.t.regs, &first, sizeof(first)), "rip %llx", s.t.regs.rip);
		ok(!tracee_get_regset(&s.t, NT_X86_XSTATE, &later, &e), "%s", e.text);
		ok(span_equal(buf_span(&before), buf_span(&later)));
	}
}

static void read_maps(pid_t pid, struct buf *out)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	ok(!os_read_file_at(AT_FDCWD, path, out));
}

static void mappings_and_mask_are_as_they_were(void)
{
	for (EACH_WAY(i)) {
		AUTO(subject) struct subject s = start(live_reading);
		AUTO(buf) struct buf before = {0}, after = {0};
		uint64_t mask = 0, mask_after = 0;

		stop(&s);
		read_maps(s.pid, &before);
		ok(!tracee_get_sigmask(&s.t, &mask, NULL));
		ask(&s);
		read_maps(s.pid, &after);
		ok(!tracee_get_sigmask(&s.t, &mask_after, NULL) && mask == mask_after);
		ok(span_equal(buf_span(&before), buf_span(&after)));
	}
}

static int64_t live_ignoring_sigtrap(int in)
{
	struct sigaction act;

	signal(SIGTRAP, SIG_IGN);
	shared->cell = 1;
	live_reading(in);
	sigaction(SIGTRAP, NULL, &act);
	return act.sa_handler == SIG_IGN;
}

/* A breakpoint would reset it: the kernel forces SIGTRAP. */
static void an_ignored_sigtrap_stays_ignored(void)
{
	AUTO(subject) struct subject s = start(live_ignoring_sigtrap);

	force(NULL);
	await_syscall(&s, SYS_read);
	stop(&s);
	ask(&s);
	tracee_release(&s.t);
	ok(write(s.to, "x", 1) == 1 && hear(&s) == 1);
}

static int64_t live_with_sigtrap_pending(int in)
{
	siginfo_t info = {0};
	struct timespec now = {0};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTRAP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	syscall(SYS_tgkill, getpid(), getpid(), SIGTRAP);
	live_reading(in);
	if (sigtimedwait(&set, &info, &now) != SIGTRAP)
		return -1;
	return sigtimedwait(&set, NULL, &now) < 0 ? info.si_pid : -2;
}

static void a_pending_sigtrap_stays_pending(void)
{
	AUTO(subject) struct subject s = start(live_with_sigtrap_pending);
	int64_t answer;

	force(NULL);
	await_syscall(&s, SYS_read);
	stop(&s);
	ask(&s);
	tracee_release(&s.t);
	ok(write(s.to, "x", 1) == 1);
	answer = hear(&s);
	ok(answer == s.pid, "%lld", (long long)answer);
}

static int64_t live_handling_sigtrap(int in)
{
	return handle_and_read(SIGTRAP, in);
}

/* It is neither taken for our breakpoint nor lost. */
static void a_sigtrap_within_a_scope_comes_after_it_once(void)
{
	for (EACH_WAY(i)) {
		AUTO(subject) struct subject s = start(live_handling_sigtrap);
		struct remote r;
		struct err e = {0};

		shared->handled = 0;
		await_syscall(&s, SYS_read);
		stop(&s);
		ok(!remote_begin(&r, &s.t, &s.place, &e), "%s", e.text);
		ok(!kill(s.pid, SIGTRAP));
		for (int k = 0; k < 20; k++)
			REMOTE_QUEUE(&r, SYS_getpid);
		ok(!remote_run(&r, &e) && remote_result(&r, 19) == s.pid, "%s", e.text);
		ok(!remote_end(&r, &e), "%s", e.text);
		ok(shared->handled == 0, "%u", shared->handled);
		tracee_release(&s.t);
		ok(write(s.to, "x", 1) == 1 && hear(&s) == 1);
		ok(shared->handled == 1, "%u", shared->handled);
	}
}

/* ---- without room --------------------------------------------------------------------------- */

static int64_t live_without_room(int in)
{
	struct rlimit none = {4096, RLIM_INFINITY};

	memset(work_area, 0xa5, sizeof(work_area));
	work_area[5] = 1;
	setrlimit(RLIMIT_AS, &none);
	live_reading(in);
	for (size_t i = 0; i < sizeof(work_area); i++)
		if (work_area[i] != (i == 5 ? 1 : 0xa5))
			return -(int64_t)i;
	return 1;
}

static void memory_that_is_borrowed_is_put_back(void)
{
	for (EACH_WAY(i)) {
		AUTO(subject) struct subject s = start(live_without_room);

		await_syscall(&s, SYS_read);
		s.place.borrow = remote_at((uintptr_t)work_area);
		stop(&s);
		ask(&s);
		ask(&s);
		tracee_release(&s.t);
		ok(write(s.to, "x", 1) == 1 && hear(&s) == 1);
	}
}

static void without_any_room_nothing_happens(void)
{
	AUTO(subject) struct subject s = start(live_without_room);
	struct remote r;
	struct err e = {0};

	force(NULL);
	await_syscall(&s, SYS_read);
	stop(&s);
	ok(remote_begin(&r, &s.t, &s.place, &e) == -ENOMEM);
	ok(strstr(e.text, "no room for"), "%s", e.text);
	tracee_release(&s.t);
	ok(write(s.to, "x", 1) == 1 && hear(&s) == 1);
}

static void borrowing_can_be_forced(void)
{
	AUTO(subject) struct subject s = start(live_without_room);

	await_syscall(&s, SYS_read);
	force("borrow-page");
	s.place.borrow = remote_at((uintptr_t)work_area);
	stop(&s);
	ask(&s);
	force(NULL);
	tracee_release(&s.t);
	ok(write(s.to, "x", 1) == 1 && hear(&s) == 1);
}

/* ---- death ---------------------------------------------------------------------------------- */

static void a_task_that_is_killed_is_gone(void)
{
	for (EACH_WAY(i)) {
		AUTO(subject) struct subject s = start(live_reading);
		struct remote r;
		struct err e = {0};

		stop(&s);
		ok(!remote_begin(&r, &s.t, &s.place, &e), "%s", e.text);
		REMOTE_QUEUE(&r, SYS_getpid);
		ok(!kill(s.pid, SIGKILL));
		ok(remote_run(&r, &e) == -ESRCH, "%s", e.text);
		ok(strstr(e.text, "has ended"), "%s", e.text);
		ok(s.t.state == TRACEE_GONE);
		remote_end(&r, NULL);
		ok(s.t.state == TRACEE_GONE);
	}
}

static void a_task_that_ends_itself_is_gone(void)
{
	for (EACH_WAY(i)) {
		AUTO(subject) struct subject s = start(live_reading);
		struct remote r;
		struct err e = {0};

		stop(&s);
		ok(!remote_begin(&r, &s.t, &s.place, &e), "%s", e.text);
		REMOTE_QUEUE(&r, SYS_getpid);
		REMOTE_QUEUE(&r, SYS_exit_group, U(0));
		REMOTE_QUEUE(&r, SYS_getpid);
		ok(remote_run(&r, &e) == -ESRCH, "%s", e.text);
		ok(s.t.state == TRACEE_GONE);
		remote_end(&r, NULL);
	}
}

static void a_task_that_is_no_more_cannot_be_seized(void)
{
	struct tracee t;
	struct err e = {0};
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	ok(waitpid(pid, NULL, 0) == pid);
	ok(tracee_seize(&t, pid, 0, &e) == -ESRCH && t.state == TRACEE_GONE);
}

static void a_task_that_is_traced_names_its_tracer(void)
{
	AUTO(subject) struct subject s = start(live_reading);
	struct tracee again;
	struct err e = {0};
	char want[64];

	stop(&s);
	ok(tracee_seize(&again, s.pid, 0, &e) == -EPERM);
	snprintf(want, sizeof(want), "is traced by process %d", getpid());
	ok(strstr(e.text, want), "%s", e.text);
}

/* ---- signals that arrive meanwhile ------------------------------------------------------------ */

static void a_signal_within_a_scope_comes_after_it_once(void)
{
	for (EACH_WAY(i)) {
		AUTO(subject) struct subject s = start(live_handling);
		struct remote r;
		struct err e = {0};
		int64_t pid = 0;

		shared->handled = 0;
		await_syscall(&s, SYS_read);
		stop(&s);
		ok(!remote_begin(&r, &s.t, &s.place, &e), "%s", e.text);
		ok(!kill(s.pid, SIGUSR1));
		for (int k = 0; k < 20; k++)
			REMOTE_QUEUE(&r, SYS_getpid);
		ok(!remote_run(&r, &e), "%s", e.text);
		ok(remote_result(&r, 19) == s.pid);
		ok(!REMOTE_CALL(&r, &pid, &e, SYS_getpid) && pid == s.pid);
		ok(!remote_end(&r, &e), "%s", e.text);
		ok(shared->handled == 0, "%u", shared->handled);
		tracee_release(&s.t);
		ok(write(s.to, "x", 1) == 1 && hear(&s) == 1);
		ok(shared->handled == 1, "%u", shared->handled);
	}
}

/* @first: a signal that comes before the stop, or 0 */
static void stop_within_a_scope(struct subject *s, int first)
{
	struct remote r;
	struct err e = {0};
	int status = 0;

	await_syscall(s, SYS_read);
	stop(s);
	ok(!remote_begin(&r, &s->t, &s->place, &e), "%s", e.text);
	ok(!kill(s->pid, first) && !kill(s->pid, SIGSTOP));
	REMOTE_QUEUE(&r, SYS_getpid);
	ok(!remote_run(&r, &e) && remote_result(&r, 0) == s->pid, "%s", e.text);
	ok(!remote_end(&r, &e), "%s", e.text);
	tracee_release(&s->t);
	ok(waitpid(s->pid, &status, WUNTRACED) == s->pid && WIFSTOPPED(status) &&
	           WSTOPSIG(status) == SIGSTOP,
	   "%x", status);
	ok(!kill(s->pid, SIGCONT));
	ok(write(s->to, "x", 1) == 1 && hear(s) == 1);
}

static void a_stop_within_a_scope_comes_after_it(void)
{
	for (EACH_WAY(i)) {
		AUTO(subject) struct subject s = start(live_reading);

		stop_within_a_scope(&s, 0);
	}
}

/* Two that cannot be kept out: a batch needs SIGTRAP itself. */
static void a_stop_and_a_sigtrap_within_a_scope_both_come_after_it(void)
{
	for (EACH_WAY(i)) {
		AUTO(subject) struct subject s = start(live_handling_sigtrap);

		shared->handled = 0;
		stop_within_a_scope(&s, SIGTRAP);
		ok(shared->handled == 1, "%u", shared->handled);
	}
}

static void a_stopped_task_stays_stopped(void)
{
	for (EACH_WAY(i)) {
		AUTO(subject) struct subject s = start(live_reading);
		int status = 0;

		await_syscall(&s, SYS_read);
		ok(!kill(s.pid, SIGSTOP) && waitpid(s.pid, &status, WUNTRACED) == s.pid);
		stop(&s);
		ok(s.t.group_stop == SIGSTOP, "%d", s.t.group_stop);
		tracee_release(&s.t);
		ok(!kill(s.pid, SIGCONT));
		ok(write(s.to, "x", 1) == 1 && hear(&s) == 1);
	}
}

/* ---- system calls that were interrupted --------------------------------------------------------- */

static int64_t elapsed_ms(const struct timespec *since)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - since->tv_sec) * 1000 + (now.tv_nsec - since->tv_nsec) / 1000000;
}

#define NAP_MS 120
static const struct timespec nap = {0, NAP_MS * 1000000};

/* Each makes one call that waits, and says 1 if it answered as if nobody had interrupted. */
static int64_t live_sleeping(int in)
{
	struct timespec start_at;

	clock_gettime(CLOCK_MONOTONIC, &start_at);
	return !syscall(SYS_nanosleep, &nap, NULL) && elapsed_ms(&start_at) >= NAP_MS;
}

static int64_t live_sleeping_until(int in)
{
	struct timespec start_at, until;

	clock_gettime(CLOCK_MONOTONIC, &start_at);
	until = (struct timespec){start_at.tv_sec + 1, start_at.tv_nsec};
	return !syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) &&
	       elapsed_ms(&start_at) >= 1000;
}

static int64_t live_polling(int in)
{
	struct pollfd p = {in, POLLIN, 0};

	return syscall(SYS_poll, &p, 1, -1) == 1 && p.revents == POLLIN;
}

static int64_t live_polling_for_a_while(int in)
{
	struct pollfd p = {in, POLLIN, 0};
	struct timespec start_at;

	clock_gettime(CLOCK_MONOTONIC, &start_at);
	return !syscall(SYS_poll, &p, 1, NAP_MS) && elapsed_ms(&start_at) >= NAP_MS;
}

static int64_t live_selecting(int in)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(in, &set);
	return syscall(SYS_pselect6, in + 1, &set, NULL, NULL, NULL, NULL) == 1;
}

static int64_t live_on_a_futex(int in)
{
	return !syscall(SYS_futex, &shared->futex, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static int64_t live_on_a_futex_for_a_while(int in)
{
	struct timespec start_at;

	clock_gettime(CLOCK_MONOTONIC, &start_at);
	return syscall(SYS_futex, &shared->futex, FUTEX_WAIT, 0, &nap, NULL, 0) < 0 &&
	       errno == ETIMEDOUT && elapsed_ms(&start_at) >= NAP_MS;
}

static int64_t live_waiting(int in)
{
	pid_t child = fork();
	int status;

	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		live_reading(in);
		_exit(7);
	}
	return syscall(SYS_wait4, child, &status, 0, NULL) == child && WEXITSTATUS(status) == 7;
}

static int64_t live_paused(int in)
{
	signal(SIGUSR1, count_signal);
	return syscall(SYS_pause) < 0 && errno == EINTR && shared->handled == 1;
}

static int64_t live_with_a_mask_for_a_while(int in)
{
	uint64_t none = 0;
	sigset_t block, now;
	long r;

	signal(SIGUSR1, count_signal);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, NULL);
	r = syscall(SYS_rt_sigsuspend, &none, sizeof(none));
	sigprocmask(SIG_BLOCK, NULL, &now);
	return r < 0 && errno == EINTR && shared->handled == 1 && sigismember(&now, SIGUSR1);
}

static const struct waiter {
	const char *name;
	int64_t (*life)(int in);
	long nr;
	enum { BY_ITSELF, BY_BYTE, BY_FUTEX, BY_SIGNAL } ends;
} waiters[] = {
	{"read", live_reading, SYS_read, BY_BYTE},
	{"nanosleep", live_sleeping, SYS_nanosleep, BY_ITSELF},
	{"clock_nanosleep", live_sleeping_until, SYS_clock_nanosleep, BY_ITSELF},
	{"poll", live_polling, SYS_poll, BY_BYTE},
	{"poll with a time-out", live_polling_for_a_while, SYS_poll, BY_ITSELF},
	{"pselect6", live_selecting, SYS_pselect6, BY_BYTE},
	{"futex", live_on_a_futex, SYS_futex, BY_FUTEX},
	{"futex with a time-out", live_on_a_futex_for_a_while, SYS_futex, BY_ITSELF},
	{"wait4", live_waiting, SYS_wait4, BY_BYTE},
	{"pause", live_paused, SYS_pause, BY_SIGNAL},
	{"rt_sigsuspend", live_with_a_mask_for_a_while, SYS_rt_sigsuspend, BY_SIGNAL},
};

static bool at_its_call(const struct subject *s, const struct waiter *w)
{
	/* After an interruption a time-out goes on under restart_syscall's number or its own. */
	return (long)s->t.regs.orig_rax == w->nr || (long)s->t.regs.orig_rax == SYS_restart_syscall;
}

static void wait_through_scopes(const struct waiter *w)
{
	AUTO(subject) struct subject s = start(w->life);
	struct err e = {0};
	int64_t answer;

	shared->handled = 0;
	shared->futex = 0;
	if (w->ends != BY_ITSELF)
		await_syscall(&s, w->nr);
	stop(&s);
	/* One that ends by itself may have done so already on a busy machine: no less right. */
	if (w->ends != BY_ITSELF)
		ok(at_its_call(&s, w), "%s: in %lld", w->name, (long long)s.t.regs.orig_rax);
	ask(&s);
	ask(&s);
	/* Back in the call, and out again. */
	ok(!tracee_resume(&s.t, &e), "%s: %s", w->name, e.text);
	if (w->ends != BY_ITSELF)
		await_syscall(&s, w->nr);
	ok(!tracee_stop(&s.t, 10000, &e), "%s: %s", w->name, e.text);
	ask(&s);
	tracee_release(&s.t);
	if (w->ends != BY_ITSELF)
		await_syscall(&s, w->nr);
	if (w->ends == BY_BYTE)
		ok(write(s.to, "x", 1) == 1);
	if (w->ends == BY_FUTEX)
		ok(syscall(SYS_futex, &shared->futex, FUTEX_WAKE, 1, NULL, NULL, 0) == 1);
	if (w->ends == BY_SIGNAL)
		ok(!kill(s.pid, SIGUSR1));
	answer = hear(&s);
	ok(answer == 1, "%s: %lld", w->name, (long long)answer);
}

static void interrupted_calls_go_on_after_batches(void)
{
	force(NULL);
	for (size_t i = 0; i < ARRAY_LEN(waiters); i++)
		wait_through_scopes(&waiters[i]);
}

static void interrupted_calls_go_on_after_single_steps(void)
{
	force("no-batch");
	for (size_t i = 0; i < ARRAY_LEN(waiters); i++)
		wait_through_scopes(&waiters[i]);
	force(NULL);
}

int main(void)
{
	sigset_t chld;

	/* tracee_wait() waits for it with sigtimedwait(2). */
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	              0);
	if (shared == MAP_FAILED)
		return 1;
	RUN(calls_are_made_and_answered);
	RUN(a_full_batch_keeps_order_and_results);
	RUN(errors_of_the_kernel_are_results);
	RUN(registers_are_as_they_were);
	RUN(mappings_and_mask_are_as_they_were);
	RUN(an_ignored_sigtrap_stays_ignored);
	RUN(a_pending_sigtrap_stays_pending);
	RUN(a_sigtrap_within_a_scope_comes_after_it_once);
	RUN(memory_that_is_borrowed_is_put_back);
	RUN(without_any_room_nothing_happens);
	RUN(borrowing_can_be_forced);
	RUN(a_task_that_is_killed_is_gone);
	RUN(a_task_that_ends_itself_is_gone);
	RUN(a_task_that_is_no_more_cannot_be_seized);
	RUN(a_task_that_is_traced_names_its_tracer);
	RUN(a_signal_within_a_scope_comes_after_it_once);
	RUN(a_stop_within_a_scope_comes_after_it);
	RUN(a_stop_and_a_sigtrap_within_a_scope_both_come_after_it);
	RUN(a_stopped_task_stays_stopped);
	RUN(interrupted_calls_go_on_after_batches);
	RUN(interrupted_calls_go_on_after_single_steps);
	return tap_done();
}
