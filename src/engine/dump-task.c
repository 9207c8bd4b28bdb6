/* SPDX-License-Identifier: MIT */
/*
 * What is asked of threads and processes: some of it /proc tells, some ptrace, the rest the
 * task itself answers through remote system calls, many in one stop.
 */
#include <asm/prctl.h>
#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "engine/dump-rare.h"
#include "os/abi.h"

#define SIGNALS 64
#define IOPRIO_WHO_PROCESS 1
#define PENDING_MAX 65536
#define AFFINITY_BYTES 1024 /* 8192 CPUs */
#define UTILISATION_MAX 1024
#define MEMBARRIER_GET_REGISTRATIONS (1 << 9) /* Linux 6.3 */

struct kernel_sigaction {
	uint64_t handler, flags, restorer, mask;
};

struct kernel_stack {
	uint64_t sp;
	int32_t flags;
	uint32_t pad;
	uint64_t bytes;
};

/* What Linux calls sched_attr; Debian 12's glibc has no name for it. */
struct sched_answer {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

static int read_status(struct dump *d, struct dtask *t, pid_t tid, struct proc_status *out,
                       struct err *e)
{
	char path[64];

	snprintf(path, sizeof(path), "task/%d/status", tid);
	return os_read_status_at(t->proc, path, &d->arena, out, e);
}

static int read_mappings(struct dump *d, struct dtask *t, struct err *e)
{
	AUTO(buf) struct buf text = {0};
	uint64_t vdso = 0, exec_start = 0, exec_end = 0;
	const uint8_t rw = PROT_READ | PROT_WRITE;
	/* A task that shares an address space needs only a gate; flags come with the first. */
	int r = os_read_file_at(t->proc, t->mm_owner ? "smaps" : "maps", &text);

	if (r < 0)
		return err_set(e, r, "mappings");
	r = proc_parse_maps(buf_span(&text), &d->arena, &t->vmas, e);
	if (r < 0)
		return r;
	LIST_EACH(&t->vmas, struct proc_vma, v) {
		if (!strcmp(v->name, "[vdso]"))
			vdso = v->start;
		else if (!exec_end && v->prot & PROT_EXEC && strcmp(v->name, "[vsyscall]"))
			exec_start = v->start, exec_end = v->end;
		if (!v->inode && !v->shared && (v->prot & rw) == rw && *v->name != '[' &&
		    v->end - v->start >= REMOTE_PAGE_BYTES)
			t->place.borrow = remote_at(v->end - REMOTE_PAGE_BYTES);
		else if (!strcmp(v->name, "[stack]") && !t->place.borrow.at &&
		         v->end - v->start >= REMOTE_PAGE_BYTES)
			t->place.borrow = remote_at(v->start);
	}
	return remote_find_gate(t->pid, vdso, exec_start, exec_end, &t->place.gate, e);
}

/* ---- ptrace ---------------------------------------------------------------------------- */

static void regs_to_rec(const struct user_regs_struct *in, struct regs_rec *out)
{
	_Static_assert(sizeof(*in) == sizeof(*out), "regs_rec mirrors user_regs_struct");
	memcpy(out, in, sizeof(*out));
}

/*
 * Calls that give EINTR after any stop, with or without a handler (signal(7), at its end); those
 * from accept(2) on with a time-out on the socket.
 */
static bool ends_with_any_stop(long nr)
{
	static const long calls[] = {
		SYS_epoll_wait,   SYS_epoll_pwait, SYS_epoll_pwait2,
		SYS_semop,        SYS_semtimedop,  SYS_rt_sigtimedwait,
		SYS_io_getevents, SYS_msgrcv,      SYS_msgsnd,
		SYS_accept,       SYS_accept4,     SYS_connect,
		SYS_recvfrom,     SYS_recvmsg,     SYS_recvmmsg,
		SYS_sendto,       SYS_sendmsg,     SYS_read,
		SYS_readv,        SYS_write,       SYS_writev,
	};

	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		if (calls[i] == nr)
			return true;
	return false;
}

enum { ERESTARTNOHAND = 514, ERESTART_RESTARTBLOCK = 516 }; /* include/linux/errno.h */

/*
 * A call that was interrupted stays so in the snapshot: the kernel makes it again after a
 * restore, or ends it with EINTR if a handler is to run before, as it would have.
 * What is left of a relative time-out it keeps to itself, in a restart block that nobody can
 * set: for nanosleep it has written the rest where the program asked for it, and that is used;
 * other calls (poll, futex) wait for their whole time-out again.
 */
static void leave_to_kernel(struct regs_rec *regs)
{
	if ((int64_t)regs->orig_rax < 0 || (int64_t)regs->rax != -ERESTART_RESTARTBLOCK)
		return;
	if (regs->orig_rax == SYS_nanosleep && regs->rsi)
		regs->rdi = regs->rsi;
	else if (regs->orig_rax == SYS_clock_nanosleep && regs->r10)
		regs->rdx = regs->r10;
	regs->rax = (uint64_t)-ERESTARTNOHAND;
}

int dump_call_again(struct dump *d, struct dtask *t, struct tracee *th, struct err *e)
{
	struct user_regs_struct *regs = &th->regs;
	struct proc_status st;
	int r;

	if (regs->cs != 0x33 || (int64_t)regs->orig_rax < 0 || (int64_t)regs->rax != -EINTR ||
	    !ends_with_any_stop((long)regs->orig_rax))
		return 0;
	r = read_status(d, t, th->tid, &st, e);
	if (r < 0)
		return r;
	/* A handler is about to run, and the call ends because of that. */
	if ((st.sig_pending | st.shared_pending) & ~st.sig_blocked)
		return 0;
	regs->rax = (unsigned long)-ERESTARTNOHAND;
	return tracee_set_regs(th, e);
}

static int peek_pending(struct dump *d, struct dtask *t, pid_t tid, bool shared, struct list *out,
                        struct err *e)
{
	siginfo_t infos[32];
	struct __ptrace_peeksiginfo_args args = {.flags = shared ? PTRACE_PEEKSIGINFO_SHARED : 0,
	                                         .nr = ARRAY_LEN(infos)};

	for (;;) {
		long n = ptrace(PTRACE_PEEKSIGINFO, tid, &args, infos);

		if (n < 0)
			return err_set(e, -errno, "pending signals");
		for (long i = 0; i < n; i++) {
			struct siginfo_rec *rec = LIST_ADD(out, &d->arena, struct siginfo_rec);

			rec->info = SPAN(arena_copy(&d->arena, &infos[i], sizeof(infos[i])),
			                 sizeof(infos[i]));
		}
		if (n < (long)ARRAY_LEN(infos))
			return 0;
		args.off += (uint64_t)n;
		if (args.off > PENDING_MAX) {
			dump_obstacle(d, t->pid, "has more than %d signals pending", PENDING_MAX);
			return 0;
		}
	}
}

static int dump_by_ptrace(struct dump *d, struct dtask *t, struct tracee *th,
                          struct thread_rec *rec, struct err *e)
{
	AUTO(buf) struct buf xstate = {0};
	struct rseq_configuration rseq;
	int r;

	regs_to_rec(&th->regs, &rec->regs);
	if (rec->regs.cs != 0x33) {
		dump_obstacle(d, t->pid,
		              "thread %d runs 32-bit code: only 64-bit programs can be snapshotted",
		              th->tid);
		return 0;
	}
	leave_to_kernel(&rec->regs);
	r = tracee_get_regset(th, NT_X86_XSTATE, &xstate, e);
	if (!r)
		r = tracee_get_sigmask(th, &rec->sigmask, e);
	if (!r)
		r = peek_pending(d, t, th->tid, false, &rec->pending, e);
	if (r < 0)
		return r;
	rec->xstate = SPAN(arena_copy(&d->arena, xstate.data, xstate.len), xstate.len);
	if (xstate.len >= 472) /* XCR0 stands in the area's software bytes */
		memcpy(&d->image.xfeatures, xstate.data + 464, 8);
	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, th->tid, sizeof(rseq), &rseq) > 0) {
		rec->rseq = rseq.pointer;
		rec->rseq_bytes = rseq.pointer ? rseq.bytes : 0;
		rec->rseq_signature = rseq.pointer ? rseq.signature : 0;
	}
	rec->group_stop = (uint32_t)th->group_stop;
	return 0;
}

/* ---- remote questions ------------------------------------------------------------------- */

/* What a thread answers; it may not move between queue_thread() and remote_run(). */
struct thread_answers {
	struct kernel_stack stack;
	struct sched_answer sched;
	uint8_t affinity[AFFINITY_BYTES];
	struct rare rare;
	int32_t pdeathsig, tsc;
	size_t i_slack, i_sched, i_affinity, i_ioprio, i_personality, i_secure, i_cpuid, i_tid;
	size_t i_robust, i_nice, i_mce;
};

static void queue_thread(struct thread_answers *a, struct remote *r, struct thread_rec *rec)
{
	REMOTE_QUEUE(r, SYS_sigaltstack, U(0), remote_out(r, &a->stack, sizeof(a->stack)));
	a->i_robust =
		REMOTE_QUEUE(r, SYS_get_robust_list, U(0), remote_out(r, &rec->robust_list, 8),
	                     remote_out(r, &rec->robust_bytes, 8));
	a->i_tid = REMOTE_QUEUE(r, SYS_prctl, U(PR_GET_TID_ADDRESS),
	                        remote_out(r, &rec->clear_child_tid, 8));
	REMOTE_QUEUE(r, SYS_prctl, U(PR_GET_PDEATHSIG), remote_out(r, &a->pdeathsig, 4));
	REMOTE_QUEUE(r, SYS_prctl, U(PR_GET_TSC), remote_out(r, &a->tsc, 4));
	a->i_slack = REMOTE_QUEUE(r, SYS_prctl, U(PR_GET_TIMERSLACK));
	a->i_secure = REMOTE_QUEUE(r, SYS_prctl, U(PR_GET_SECUREBITS));
	a->i_personality = REMOTE_QUEUE(r, SYS_personality, U(0xffffffff));
	a->i_sched =
		REMOTE_QUEUE(r, SYS_sched_getattr, U(0), remote_out(r, &a->sched, sizeof(a->sched)),
	                     U(sizeof(a->sched)), U(0));
	a->i_affinity = REMOTE_QUEUE(r, SYS_sched_getaffinity, U(0), U(sizeof(a->affinity)),
	                             remote_out(r, a->affinity, sizeof(a->affinity)));
	a->i_mce = REMOTE_QUEUE(r, SYS_prctl, U(PR_MCE_KILL_GET), U(0), U(0), U(0), U(0));
	a->i_nice = REMOTE_QUEUE(r, SYS_getpriority, U(PRIO_PROCESS), U(0));
	a->i_ioprio = REMOTE_QUEUE(r, SYS_ioprio_get, U(IOPRIO_WHO_PROCESS), U(0));
	a->i_cpuid = REMOTE_QUEUE(r, SYS_arch_prctl, U(ARCH_GET_CPUID), U(0));
	REMOTE_QUEUE(r, SYS_arch_prctl, U(ARCH_GET_XCOMP_PERM), remote_out(r, &rec->xcomp_perm, 8));
	rare_queue(&a->rare, r);
}

static int hear_thread(const struct thread_answers *a, struct dump *d, struct dtask *t,
                       const struct remote *r, struct thread_rec *rec, struct err *e)
{
	int64_t n;

	if (remote_result(r, a->i_tid) < 0 || remote_result(r, a->i_robust) < 0)
		return err_say(e, -EPERM,
		               "thread %u: it may not make the system calls that tell its state "
		               "(a seccomp filter?)",
		               rec->tid);
	rec->altstack_sp = a->stack.sp;
	rec->altstack_flags = (uint32_t)a->stack.flags;
	rec->altstack_bytes = a->stack.bytes;
	rec->pdeathsig = (uint32_t)a->pdeathsig;
	rec->tsc_mode = (uint32_t)a->tsc;
	rec->timer_slack_ns = (uint64_t)remote_result(r, a->i_slack);
	rec->creds.securebits = (uint32_t)remote_result(r, a->i_secure);
	rec->personality = (uint32_t)remote_result(r, a->i_personality);
	rec->cpuid_fault = remote_result(r, a->i_cpuid) == 0;
	n = remote_result(r, a->i_sched);
	if (n < 0)
		return err_set(e, (int)n, "thread %u: sched_getattr", rec->tid);
	rec->sched = (struct sched_rec){
		.policy = a->sched.policy,
		/* The kernel counts 40..1 there; 20 is nice 0. */
		.nice = 20 - (int32_t)remote_result(r, a->i_nice),
		.priority = MIN(a->sched.priority, 99u),
		.flags = a->sched.flags & 1, /* reset on fork */
		.runtime = a->sched.policy == SCHED_DEADLINE ? a->sched.runtime : 0,
		.deadline = a->sched.deadline,
		.period = a->sched.period};
	n = remote_result(r, a->i_affinity);
	if (n > 0)
		rec->affinity = SPAN(arena_copy(&d->arena, a->affinity, (size_t)n), (size_t)n);
	rec->mce_kill = (uint32_t)MAX(remote_result(r, a->i_mce), (int64_t)0);
	n = remote_result(r, a->i_ioprio);
	rec->ioprio = n < 0 ? 0 : (uint32_t)n;
	rare_read(&a->rare, d, t, r, rec);
	/* Real-time threads have a clamp by default. */
	if ((a->sched.util_min && a->sched.policy != SCHED_FIFO && a->sched.policy != SCHED_RR) ||
	    (a->sched.util_max && a->sched.util_max != UTILISATION_MAX))
		dump_obstacle(d, t->pid, "thread %u has utilisation clamps (sched_setattr)",
		              rec->tid);
	return 0;
}

static void dump_creds(struct dump *d, const struct proc_status *st, struct thread_rec *rec)
{
	struct creds_rec *c = &rec->creds;

	c->ruid = st->uid[0], c->euid = st->uid[1], c->suid = st->uid[2], c->fsuid = st->uid[3];
	c->rgid = st->gid[0], c->egid = st->gid[1], c->sgid = st->gid[2], c->fsgid = st->gid[3];
	c->groups = st->groups;
	c->cap_inh = st->cap_inh, c->cap_prm = st->cap_prm, c->cap_eff = st->cap_eff;
	c->cap_bnd = st->cap_bnd, c->cap_amb = st->cap_amb;
	c->no_new_privs = st->no_new_privs > 0;
	rec->comm = arena_text(&d->arena, st->name);
}

/*
 * Said before anything is asked: a filter may kill a task for a system call that we make in it.
 * The same number of filters as we have was inherited, and will be again by a restore.
 */
static void check_seccomp(struct dump *d, struct dtask *t, const struct proc_status *st)
{
	AUTO(arena) struct arena a = {0};
	struct proc_status own;

	if (!st->seccomp)
		return;
	if (st->seccomp == 2 && st->seccomp_filters > 0 &&
	    !os_read_status_at(AT_FDCWD, "/proc/self/status", &a, &own, NULL) &&
	    own.seccomp_filters == st->seccomp_filters)
		return;
	dump_obstacle(d, t->pid,
	              "thread %d runs under a seccomp %s of its own, which cannot be carried over: "
	              "run the program without its sandbox",
	              st->pid, st->seccomp == 1 ? "strict mode" : "filter");
}

/* Threads may have some of their own. */
static void check_namespaces(struct dump *d, struct dtask *t, pid_t tid)
{
	static const struct {
		const char *file, *what;
	} names[] = {
		{"mnt", "mount"},
		{"net", "network"},
		{"uts", "host name"},
		{"ipc", "IPC"},
		{"pid", "pid"},
		{"pid_for_children", "pid (of its children)"},
		{"user", "user"},
		{"time", "time"},
		{"time_for_children", "time (of its children)"},
		{"cgroup", "cgroup"},
	};
	_Static_assert(ARRAY_LEN(names) == NAMESPACES, "struct dump has one of ours for each");
	AUTO(fd) int theirs = -1;
	char path[64];

	if (!d->own_ns[0].st_ino)
		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i].file);
			if (stat(path, &d->own_ns[i]) < 0)
				d->own_ns[i] = (struct stat){0};
		}
	snprintf(path, sizeof(path), "task/%d/ns", tid);
	theirs = openat(t->proc, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct stat *b = &d->own_ns[i];
		struct stat a;

		if (fstatat(theirs, names[i].file, &a, 0) < 0 || !b->st_ino)
			continue;
		if (a.st_ino != b->st_ino || a.st_dev != b->st_dev)
			dump_obstacle(d, t->pid,
			              "%s in another %s namespace than you: run wslx inside of it "
			              "(nsenter --target %d --all)",
			              tid == t->pid ? "lives" : "has a thread that lives",
			              names[i].what, tid);
		if (a.st_ino != b->st_ino &&
		    (!strcmp(names[i].file, "pid") || !strcmp(names[i].file, "time")))
			i++; /* and so do its children */
	}
}

/* What is known of a thread without its help. */
static int dump_thread_outside(struct dump *d, struct dtask *t, size_t index,
                               struct thread_rec *rec, struct proc_status *status, struct err *e)
{
	int r = read_status(d, t, t->threads[index].tid, status, e);

	if (r < 0)
		return r;
	rec->tid = (uint32_t)t->threads[index].tid;
	dump_creds(d, status, rec);
	check_seccomp(d, t, status);
	check_namespaces(d, t, (pid_t)rec->tid);
	rare_by_ptrace(d, t, (pid_t)rec->tid);
	return dump_by_ptrace(d, t, &t->threads[index], rec, e);
}

static int dump_other_thread(struct dump *d, struct dtask *t, size_t index,
                             const struct proc_status *status, const struct remote *leader,
                             struct thread_rec *rec, struct err *e)
{
	const struct remote_place place = {.gate = t->place.gate,
	                                   .page = leader->page,
	                                   .no_code = leader->stepwise,
	                                   .status = status};
	struct thread_answers answers = {0};
	struct remote scope;
	int r = remote_begin(&scope, &t->threads[index], &place, e);

	if (r < 0)
		return r;
	queue_thread(&answers, &scope, rec);
	r = remote_run(&scope, e);
	if (!r)
		r = hear_thread(&answers, d, t, &scope, rec, e);
	return remote_close(&scope, r, e);
}

/* ---- the process ----------------------------------------------------------------------- */

/* What a process answers; it may not move between queue_process() and remote_run(). */
struct process_answers {
	struct kernel_sigaction actions[SIGNALS + 1];
	struct rlimit limits[RLIM_NLIMITS];
	struct itimerval timers[3];
	int32_t subreaper;
	bool with_actions;
	struct news *news;
	size_t n_news;
	size_t i_actions[SIGNALS + 1], i_dumpable, i_thp, i_mdwe, i_merge, i_brk, i_io_flusher;
	size_t i_member, i_keys[16];
};

/* Of a child that is stopped: could the task still learn that by wait(2)? */
struct news {
	struct dtask *child;
	siginfo_t info;
};

static int hear_actions(const struct process_answers *a, struct dump *d, const struct remote *r,
                        struct sighand_rec *sh, struct err *e)
{
	for (int sig = 1; sig <= SIGNALS; sig++) {
		const struct kernel_sigaction *action = &a->actions[sig];
		int64_t result = remote_result(r, a->i_actions[sig]);

		if (result < 0)
			return err_set(e, (int)result, "action of signal %d", sig);
		if (!action->handler && !action->flags && !action->mask)
			continue;
		*LIST_ADD(&sh->actions, &d->arena, struct action_rec) =
			(struct action_rec){.sig = (uint32_t)sig,
		                            .handler = action->handler,
		                            .flags = action->flags,
		                            .restorer = action->restorer,
		                            .mask = action->mask};
	}
	return 0;
}

static uint64_t us_of(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * 1000000u + (uint64_t)t->tv_usec;
}

static uint64_t ns_of(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_nsec;
}

static int by_timer_id(const void *a, const void *b)
{
	const struct proc_timer *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int dump_timers(struct dump *d, struct dtask *t, struct remote *r, struct task_rec *rec,
                       struct err *e)
{
	AUTO(buf) struct buf text = {0};
	struct list timers = {0};
	struct itimerspec left;
	int ret = os_read_file_at(t->proc, "timers", &text);

	if (ret < 0)
		return ret == -ENOENT ? 0 : err_set(e, ret, "timers");
	ret = proc_parse_timers(buf_span(&text), &d->arena, &timers, e);
	if (ret < 0)
		return ret;
	/* The highest last: the kernel gives new timers numbers from there on. */
	if (timers.count)
		qsort(timers.items, timers.count, sizeof(struct proc_timer), by_timer_id);
	LIST_EACH(&timers, struct proc_timer, timer) {
		struct posix_timer_rec *out =
			LIST_ADD(&rec->timers, &d->arena, struct posix_timer_rec);
		size_t got, overrun;

		got = REMOTE_QUEUE(r, SYS_timer_gettime, U(timer->id),
		                   remote_out(r, &left, sizeof(left)));
		overrun = REMOTE_QUEUE(r, SYS_timer_getoverrun, U(timer->id));
		ret = remote_run(r, e);
		if (ret < 0)
			return ret;
		if (remote_result(r, got) < 0)
			return err_set(e, (int)remote_result(r, got), "timer %d", timer->id);
		*out = (struct posix_timer_rec){
			.id = (uint32_t)timer->id,
			.clock = (uint32_t)timer->clock,
			.notify = (uint32_t)timer->notify | (timer->thread ? SIGEV_THREAD_ID : 0u),
			.sig = (uint32_t)timer->signal,
			.sigval = timer->sigval,
			.tid = timer->thread ? timer->target : 0,
			.value_ns = ns_of(&left.it_value),
			.interval_ns = ns_of(&left.it_interval),
			.overrun = (uint32_t)MAX(remote_result(r, overrun), (int64_t)0),
		};
		/* In a clock of CPU time its owner stands, inverted; 0 is whoever asks. */
		if (timer->clock < 0 && ~(timer->clock >> 3))
			dump_obstacle(d, t->pid,
			              "timer %d counts the CPU time of one process or thread: that "
			              "clock cannot be carried over",
			              timer->id);
	}
	return 0;
}

/* Asked without taking them; as many as there is room for, and the rest on its own. */
static int queue_news(struct process_answers *a, struct dump *d, struct dtask *t, struct remote *r,
                      struct err *e)
{
	size_t stopped = 0;
	int ret = 0;

	for (const struct dtask *child = t->children; child; child = child->next_sister)
		stopped += child->n_threads && child->threads[0].group_stop;
	a->news = arena_array(&d->arena, sizeof(*a->news), stopped);
	for (struct dtask *child = t->children; !ret && child; child = child->next_sister) {
		struct news *news;

		if (!child->n_threads || !child->threads[0].group_stop)
			continue;
		if (!remote_has_room(r, 1, sizeof(news->info)))
			ret = remote_run(r, e);
		news = &a->news[a->n_news++];
		news->child = child;
		REMOTE_QUEUE(r, SYS_waitid, U(P_PID), U(child->pid),
		             remote_out(r, &news->info, sizeof(news->info)),
		             U(WSTOPPED | WNOHANG | WNOWAIT), U(0));
	}
	return ret;
}

static void queue_process(struct process_answers *a, struct remote *r)
{
	for (int i = 0; i < RLIM_NLIMITS; i++)
		REMOTE_QUEUE(r, SYS_getrlimit, U(i),
		             remote_out(r, &a->limits[i], sizeof(a->limits[i])));
	for (int i = 0; i < 3; i++)
		REMOTE_QUEUE(r, SYS_getitimer, U(i),
		             remote_out(r, &a->timers[i], sizeof(a->timers[i])));
	REMOTE_QUEUE(r, SYS_prctl, U(PR_GET_CHILD_SUBREAPER), remote_out(r, &a->subreaper, 4));
	a->i_dumpable = REMOTE_QUEUE(r, SYS_prctl, U(PR_GET_DUMPABLE));
	a->i_thp = REMOTE_QUEUE(r, SYS_prctl, U(PR_GET_THP_DISABLE), U(0), U(0), U(0), U(0));
	a->i_mdwe = REMOTE_QUEUE(r, SYS_prctl, U(PR_GET_MDWE), U(0), U(0), U(0), U(0));
	a->i_merge = REMOTE_QUEUE(r, SYS_prctl, U(PR_GET_MEMORY_MERGE), U(0), U(0), U(0), U(0));
	a->i_brk = REMOTE_QUEUE(r, SYS_brk, U(0));
	a->i_io_flusher = REMOTE_QUEUE(r, SYS_prctl, U(PR_GET_IO_FLUSHER), U(0), U(0), U(0), U(0));
	a->i_member = REMOTE_QUEUE(r, SYS_membarrier, U(MEMBARRIER_GET_REGISTRATIONS), U(0), U(0));
	/* Refused for another reason when the key is not given out than when nothing is there. */
	for (unsigned key = 1; key < 16; key++)
		a->i_keys[key] = REMOTE_QUEUE(r, SYS_pkey_mprotect, U(PAGE_BYTES), U(PAGE_BYTES),
		                              U(PROT_NONE), U(key));
	for (int sig = 1; a->with_actions && sig <= SIGNALS; sig++)
		a->i_actions[sig] = REMOTE_QUEUE(
			r, SYS_rt_sigaction, U(sig), U(0),
			remote_out(r, &a->actions[sig], sizeof(a->actions[sig])), U(8));
}

static int hear_process(const struct process_answers *a, struct dump *d, struct dtask *t,
                        const struct remote *r, struct task_rec *rec, struct err *e)
{
	struct mm_rec *mm = LIST_AT(&d->image.mms, struct mm_rec, rec->mm - 1);
	struct sighand_rec *sh = LIST_AT(&d->image.sighands, struct sighand_rec, rec->sighand - 1);

	rec->subreaper = a->subreaper != 0;
	for (size_t i = 0; i < a->n_news; i++)
		a->news[i].child->stop_news = a->news[i].info.si_pid == a->news[i].child->pid;
	if (remote_result(r, a->i_io_flusher) == 1)
		dump_obstacle(d, t->pid, "is an I/O flusher (PR_SET_IO_FLUSHER)");
	if (t->mm_owner) {
		mm->dumpable = (uint32_t)remote_result(r, a->i_dumpable);
		mm->thp_disable = (uint32_t)MAX(remote_result(r, a->i_thp), (int64_t)0);
		mm->mdwe = (uint32_t)MAX(remote_result(r, a->i_mdwe), (int64_t)0);
		mm->memory_merge = remote_result(r, a->i_merge) > 0;
		mm->brk = (uint64_t)remote_result(r, a->i_brk);
		mm->membarrier = (uint32_t)MAX(remote_result(r, a->i_member), (int64_t)0);
		for (unsigned key = 1; key < 16; key++)
			if (remote_result(r, a->i_keys[key]) == -ENOMEM)
				mm->pkeys |= 1u << key;
	}
	for (uint32_t i = 0; i < RLIM_NLIMITS; i++)
		*LIST_ADD(&rec->limits, &d->arena, struct limit_rec) =
			(struct limit_rec){.resource = i,
		                           .soft = a->limits[i].rlim_cur,
		                           .hard = a->limits[i].rlim_max};
	for (uint32_t i = 0; i < 3; i++) {
		if (!us_of(&a->timers[i].it_value))
			continue;
		*LIST_ADD(&rec->itimers, &d->arena, struct itimer_rec) =
			(struct itimer_rec){.which = i,
		                            .value_us = us_of(&a->timers[i].it_value),
		                            .interval_us = us_of(&a->timers[i].it_interval)};
	}
	return a->with_actions ? hear_actions(a, d, r, sh, e) : 0;
}

/* The leader is asked for itself and for the process at once: each stop of a task costs. */
static int ask_leader(struct dump *d, struct dtask *t, struct remote *r, struct task_rec *rec,
                      struct err *e)
{
	struct sighand_rec *sh = LIST_AT(&d->image.sighands, struct sighand_rec, rec->sighand - 1);
	struct thread_rec *th = LIST_AT(&rec->threads, struct thread_rec, 0);
	struct process_answers process = {.with_actions = !sh->actions.count};
	struct thread_answers thread = {0};
	int ret = queue_news(&process, d, t, r, e);

	if (ret < 0)
		return ret;
	queue_thread(&thread, r, th);
	queue_process(&process, r);
	ret = remote_run(r, e);
	if (!ret)
		ret = hear_thread(&thread, d, t, r, th, e);
	if (!ret)
		ret = hear_process(&process, d, t, r, rec, e);
	return ret ? ret : dump_timers(d, t, r, rec, e);
}

static int read_number(struct dtask *t, const char *file, int base, int64_t *out)
{
	AUTO(buf) struct buf text = {0};
	int r = os_read_file_at(t->proc, file, &text);

	if (r < 0)
		return r;
	*out = strtoll(buf_text(&text), NULL, base);
	return 0;
}

int dump_task_state(struct dump *d, struct dtask *t, struct task_rec *rec, struct err *e)
{
	struct thread_rec *threads = arena_array(&d->arena, sizeof(*threads), t->n_threads);
	struct proc_status *statuses = arena_array(&d->arena, sizeof(*statuses), t->n_threads);
	size_t obstacles = d->obstacles.count;
	struct remote leader;
	int64_t number;
	int r;

	rec->threads = (struct list){.items = threads, .count = t->n_threads, .cap = t->n_threads};
	for (size_t i = 0; i < t->n_threads; i++) {
		r = dump_thread_outside(d, t, i, &threads[i], &statuses[i], e);
		if (r < 0)
			return r;
	}
	t->status = statuses[0];
	t->place.status = &t->status;
	if (d->obstacles.count > obstacles)
		return 0;
	r = read_mappings(d, t, e);
	if (!r)
		r = peek_pending(d, t, t->pid, true, &rec->pending, e);
	if (r < 0)
		return r;
	rec->state = t->threads[0].group_stop ? TASK_STOPPED : TASK_ALIVE;
	rec->stop_signal = (uint32_t)t->threads[0].group_stop;
	rec->stop_news = t->stop_news;
	if (!read_number(t, "oom_score_adj", 10, &number))
		rec->oom_score_adj = (int32_t)number;
	if (!read_number(t, "coredump_filter", 16, &number))
		rec->coredump_filter = (uint32_t)number;
	r = remote_begin(&leader, &t->threads[0], &t->place, e);
	if (r < 0)
		return r;
	r = ask_leader(d, t, &leader, rec, e);
	for (size_t i = 1; !r && i < t->n_threads; i++)
		r = dump_other_thread(d, t, i, &statuses[i], &leader, &threads[i], e);
	if (!r && t->mm_owner)
		r = rare_mappings(d, t, e);
	if (!r)
		r = dump_hidden(d, t, rec, &leader, e);
	r = remote_close(&leader, r, e);
	return r;
}
