/* SPDX-License-Identifier: MIT */
/*
 * Threads, and the state of threads and processes: the counterpart of dump-task.c. Rights are
 * given up last, because what comes before may need them; a signal that was pending is queued
 * while everything is blocked, and the mask opens when the task is let go.
 */
#include <asm/prctl.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "engine/engine-int.h"
#include "os/abi.h"

#define NS 1000000000u
#define US 1000000u
#define GROUPS_FEW 1000 /* fit into a batch with all else */
#define IOPRIO_WHO_PROCESS 1
#define XFEATURE_AMX_TILES 18
#define EFLAGS_ID (1u << 21) /* ptrace may not set it */

/* ---- threads ----------------------------------------------------------------------------- */

/* An earlier thread that has the same tables, so that the new one can share them by birth. */
static struct rthread *creator_for(struct rtask *t, const struct thread_rec *rec)
{
	for (size_t i = 0; i < t->n_threads; i++)
		if (t->threads[i].rec->table == rec->table && t->threads[i].rec->fs == rec->fs)
			return &t->threads[i];
	return &t->threads[0];
}

static int make_threads(struct restore *r, struct rtask *t, struct err *e)
{
	for (size_t i = 0; i < t->rec->threads.count; i++)
		t->threads[i].rec = LIST_AT(&t->rec->threads, struct thread_rec, i);
	while (t->n_threads < t->rec->threads.count) {
		struct rthread *next = &t->threads[t->n_threads];
		struct rthread *creator = creator_for(t, next->rec);
		uint64_t flags = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
		size_t n = 1;
		struct birth *births;
		int ret;

		flags |= creator->rec->table == next->rec->table ? CLONE_FILES : 0;
		flags |= creator->rec->fs == next->rec->fs ? CLONE_FS : 0;
		/* All that follow and share the same things with the same creator. */
		while (t->n_threads + n < t->rec->threads.count &&
		       next[n].rec->table == next->rec->table && next[n].rec->fs == next->rec->fs &&
		       creator_for(t, next[n].rec) == creator && flags & CLONE_FILES &&
		       flags & CLONE_FS)
			n++;
		births = xalloc(n * sizeof(*births));
		for (size_t i = 0; i < n; i++)
			births[i] = (struct birth){
				.flags = flags, .pid = next[i].rec->tid, .out = &next[i].tracee};
		ret = remote_births(r, &creator->tracee, births, n, e);
		free(births);
		t->n_threads += n;
		if (ret < 0)
			return err_wrap(e, ret, "threads of process %u", t->rec->pid);
	}
	return 0;
}

int restore_threads(struct restore *r, struct err *e)
{
	for (size_t i = 0; i < r->n_tasks; i++) {
		int ret = r->tasks[i].rec->state == TASK_ZOMBIE ? 0
		                                                : make_threads(r, &r->tasks[i], e);

		if (ret < 0)
			return ret;
	}
	return 0;
}

/* ---- calls that must succeed -------------------------------------------------------------- */

struct step {
	size_t call;
	const char *what;
	int64_t allowed; /* an errno that is no failure, 0: none */
};

struct steps {
	struct restore *r;
	struct remote in;
	struct step steps[400];
	size_t n;
};

static int run_steps(struct steps *s, struct err *e)
{
	int ret = remote_run(&s->in, e);

	for (size_t i = 0; !ret && i < s->n; i++) {
		int64_t result = remote_result(&s->in, s->steps[i].call);

		if (result < 0 && result >= -4095 && -result != s->steps[i].allowed)
			ret = err_set(e, (int)result, "%s", s->steps[i].what);
	}
	s->n = 0;
	return ret;
}

/*
 * Room for @steps more with @data_bytes for them to read, and for what a task needs besides:
 * what there may be any number of asks for it.
 */
static int make_room(struct steps *s, size_t steps, size_t data_bytes, struct err *e)
{
	enum { OTHER_STEPS = 256, OTHER_DATA = 24 * 1024 };

	if (s->n + steps + OTHER_STEPS <= ARRAY_LEN(s->steps) &&
	    remote_has_room(&s->in, steps + OTHER_STEPS, data_bytes + OTHER_DATA))
		return 0;
	return run_steps(s, e);
}

#define STEP_OR(s, what_, allowed_, nr, ...)                                                       \
	do {                                                                                       \
		assert((s)->n < ARRAY_LEN((s)->steps));                                            \
		(s)->steps[(s)->n].call = REMOTE_QUEUE(&(s)->in, (nr), __VA_ARGS__);               \
		(s)->steps[(s)->n].allowed = (allowed_);                                           \
		(s)->steps[(s)->n++].what = (what_);                                               \
	} while (0)
#define STEP(s, what, nr, ...) STEP_OR(s, what, 0, nr, __VA_ARGS__)

/* ---- rights ------------------------------------------------------------------------------ */

/* Whether the stub has just these rights already, as an ordinary user's has. */
static bool creds_are_ours(const struct restore *r, const struct creds_rec *c)
{
	const struct proc_status own = r->own;

	if (r->userns)
		return false;
	if (own.groups.count != c->groups.count ||
	    (c->groups.count && memcmp(own.groups.items, c->groups.items, 8 * c->groups.count)))
		return false;
	return own.uid[0] == c->ruid && own.uid[1] == c->euid && own.uid[2] == c->suid &&
	       own.uid[3] == c->fsuid && own.gid[0] == c->rgid && own.gid[1] == c->egid &&
	       own.gid[2] == c->sgid && own.gid[3] == c->fsgid && own.cap_inh == c->cap_inh &&
	       own.cap_prm == c->cap_prm && own.cap_eff == c->cap_eff &&
	       own.cap_bnd == c->cap_bnd && own.cap_amb == c->cap_amb &&
	       r->own_securebits == c->securebits;
}

static void queue_groups(struct steps *s, const struct creds_rec *c)
{
	uint32_t *groups = xalloc(c->groups.count * sizeof(*groups));

	for (size_t i = 0; i < c->groups.count; i++)
		groups[i] = (uint32_t)*LIST_AT(&c->groups, uint64_t, i);
	/* In a user namespace of ours groups cannot be set, and stay those of the caller. */
	STEP_OR(s, "supplementary groups", s->r->userns ? EPERM : 0, SYS_setgroups,
	        U(c->groups.count), remote_in(&s->in, groups, c->groups.count * sizeof(*groups)));
	free(groups);
}

static void queue_creds(struct steps *s, const struct creds_rec *c)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2];

	queue_groups(s, c);
	/* Or changing the uid would take the capabilities that the next steps need. */
	STEP(s, "securebits", SYS_prctl, U(PR_SET_SECUREBITS),
	     U(c->securebits | SECBIT_NO_SETUID_FIXUP));
	STEP(s, "setresgid", SYS_setresgid, U(c->rgid), U(c->egid), U(c->sgid));
	REMOTE_QUEUE(&s->in, SYS_setfsgid, U(c->fsgid));
	STEP(s, "setresuid", SYS_setresuid, U(c->ruid), U(c->euid), U(c->suid));
	REMOTE_QUEUE(&s->in, SYS_setfsuid, U(c->fsuid));
	for (unsigned cap = 0; cap < 64; cap++)
		if (!(c->cap_bnd >> cap & 1))
			/* Beyond the last capability of this kernel. */
			STEP_OR(s, "bounding set", EINVAL, SYS_prctl, U(PR_CAPBSET_DROP), U(cap));
	STEP(s, "securebits", SYS_prctl, U(PR_SET_SECUREBITS), U(c->securebits));
	for (int i = 0; i < 2; i++)
		caps[i] = (struct __user_cap_data_struct){
			.effective = (uint32_t)(c->cap_eff >> (32 * i)),
			.permitted = (uint32_t)(c->cap_prm >> (32 * i)),
			.inheritable = (uint32_t)(c->cap_inh >> (32 * i))};
	STEP(s, "capabilities", SYS_capset, remote_in(&s->in, &head, sizeof(head)),
	     remote_in(&s->in, caps, sizeof(caps)));
	for (unsigned cap = 0; cap < 64; cap++)
		if (c->cap_amb >> cap & 1)
			STEP(s, "ambient capability", SYS_prctl, U(PR_CAP_AMBIENT),
			     U(PR_CAP_AMBIENT_RAISE), U(cap), U(0), U(0));
}

/* A restore gives no right that the caller does not have. */
static int check_rights(const struct restore *r, const struct thread_rec *rec, struct err *e)
{
	const struct creds_rec *c = &rec->creds;
	uint32_t uid = geteuid(), gid = getegid();

	if (r->userns && (c->ruid != uid || c->euid != uid || c->suid != uid || c->rgid != gid ||
	                  c->egid != gid || c->sgid != gid))
		return err_say(e, OBSTACLE,
		               "thread %u ran as user %u, group %u: without root only your own "
		               "processes can be restored",
		               rec->tid, c->euid, c->egid);
	return 0;
}

/* ---- a thread ----------------------------------------------------------------------------- */

struct sched_request {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

/* SIGCHLD and its like from building the tree: not the program's. */
static size_t queue_drain(struct steps *s)
{
	static const uint64_t all = ~0ull;
	static const struct timespec now;
	uint64_t mask = remote_in(&s->in, &all, sizeof(all));

	return REMOTE_QUEUE(&s->in, SYS_rt_sigtimedwait, mask, U(0),
	                    remote_in(&s->in, &now, sizeof(now)), U(8));
}

/* Run what is queued, and drain the rest, if @drain brought a signal. */
static int run_and_drain(struct steps *s, size_t drain, struct err *e)
{
	int ret = run_steps(s, e);

	while (!ret && remote_result(&s->in, drain) > 0) {
		drain = queue_drain(s);
		ret = run_steps(s, e);
	}
	return ret;
}

static bool has_pending(const struct list *pending, int sig)
{
	LIST_EACH(pending, struct siginfo_rec, p)
		if (((const siginfo_t *)(const void *)p->info.data)->si_signo == sig)
			return true;
	return false;
}

/*
 * SIGTRAP is apart. Its action is set by the leader only, after the last breakpoint; ignoring a
 * signal takes away what is pending of it in all threads, so theirs comes after that.
 */
enum pending_choice { PENDING_ALL, PENDING_TRAPS, PENDING_OTHERS };

/* @tid: of whom; 0: shared by all threads of @t. */
static int queue_pending(struct steps *s, const struct list *pending, enum pending_choice choice,
                         const struct task_rec *t, uint32_t tid, struct err *e)
{
	LIST_EACH(pending, struct siginfo_rec, p) {
		const siginfo_t *info = (const void *)p->info.data;
		int ret;

		if (choice != PENDING_ALL &&
		    (choice == PENDING_TRAPS) != (info->si_signo == SIGTRAP))
			continue;
		ret = make_room(s, 1, sizeof(*info), e);
		if (ret < 0)
			return ret;
		if (tid)
			STEP(s, "a pending signal", SYS_rt_tgsigqueueinfo, U(t->pid), U(tid),
			     U(info->si_signo), remote_in(&s->in, info, sizeof(*info)));
		else
			STEP(s, "a pending signal", SYS_rt_sigqueueinfo, U(t->pid),
			     U(info->si_signo), remote_in(&s->in, info, sizeof(*info)));
	}
	return 0;
}

/* Only what is not as with us, whose settings the stub has inherited: some cannot be taken back. */
static void queue_speculation(struct steps *s, const struct thread_rec *rec)
{
	for (unsigned kind = 0; kind < 3; kind++) {
		uint32_t mode = rec->speculation >> (8 * kind) & 0xff;

		if (mode && (int)mode != prctl(PR_GET_SPECULATION_CTRL, kind, 0, 0, 0))
			STEP(s, "speculation control", SYS_prctl, U(PR_SET_SPECULATION_CTRL),
			     U(kind), U(mode & ~(uint32_t)PR_SPEC_PRCTL), U(0), U(0));
	}
}

/* What it had; or, if this machine has none of these CPUs, what we have. */
static struct span affinity_here(const struct restore *r, const struct thread_rec *rec)
{
	const struct span ours = SPAN((const uint8_t *)&r->cpus, sizeof(r->cpus));

	for (size_t i = 0; i < MIN(rec->affinity.len, ours.len); i++)
		if (rec->affinity.data[i] & ours.data[i])
			return rec->affinity;
	return CPU_COUNT(&r->cpus) ? ours : rec->affinity;
}

static void queue_thread_state(struct steps *s, const struct thread_rec *rec)
{
	struct span affinity;
	struct sched_request sched = {.size = sizeof(sched),
	                              .policy = rec->sched.policy,
	                              .flags = rec->sched.flags,
	                              .nice = rec->sched.nice,
	                              .priority = rec->sched.priority,
	                              .runtime = rec->sched.runtime,
	                              .deadline = rec->sched.deadline,
	                              .period = rec->sched.period};
	struct {
		uint64_t sp;
		int32_t flags;
		uint32_t pad;
		uint64_t bytes;
	} stack = {.sp = rec->altstack_sp,
	           .flags = (int32_t)(rec->altstack_flags & (SS_DISABLE | (1u << 31))),
	           .bytes = rec->altstack_bytes};

	STEP(s, "set_tid_address", SYS_set_tid_address, rec->clear_child_tid);
	if (rec->robust_list)
		STEP(s, "set_robust_list", SYS_set_robust_list, rec->robust_list,
		     rec->robust_bytes);
	if (rec->altstack_bytes)
		STEP(s, "sigaltstack", SYS_sigaltstack, remote_in(&s->in, &stack, sizeof(stack)),
		     U(0));
	if (rec->rseq)
		STEP(s, "rseq", SYS_rseq, rec->rseq, U(rec->rseq_bytes), U(0),
		     U(rec->rseq_signature));
	STEP(s, "name", SYS_prctl, U(PR_SET_NAME),
	     remote_in(&s->in, rec->comm, strlen(rec->comm) + 1));
	STEP(s, "timer slack", SYS_prctl, U(PR_SET_TIMERSLACK), rec->timer_slack_ns);
	STEP(s, "personality", SYS_personality, U(rec->personality));
	affinity = affinity_here(s->r, rec);
	if (affinity.len)
		STEP_OR(s, "affinity", EINVAL, SYS_sched_setaffinity, U(0), U(affinity.len),
		        remote_in(&s->in, affinity.data, affinity.len));
	STEP(s, "scheduling", SYS_sched_setattr, U(0), remote_in(&s->in, &sched, sizeof(sched)),
	     U(0));
	/* A real-time thread has a niceness too, for when it is one no more. */
	if (rec->sched.policy)
		STEP(s, "nice", SYS_setpriority, U(PRIO_PROCESS), U(0),
		     U((int64_t)rec->sched.nice));
	STEP(s, "I/O priority", SYS_ioprio_set, U(IOPRIO_WHO_PROCESS), U(0), U(rec->ioprio));
	STEP(s, "PR_MCE_KILL", SYS_prctl, U(PR_MCE_KILL), U(PR_MCE_KILL_SET), U(rec->mce_kill),
	     U(0), U(0));
	queue_speculation(s, rec);
	if (rec->numa_policy)
		STEP(s, "NUMA policy", SYS_set_mempolicy, U(rec->numa_policy),
		     remote_in(&s->in, rec->numa_nodes.data, rec->numa_nodes.len),
		     U(8 * rec->numa_nodes.len));
	if (rec->tsc_mode == PR_TSC_SIGSEGV)
		STEP(s, "TSC mode", SYS_prctl, U(PR_SET_TSC), U(rec->tsc_mode));
	if (rec->cpuid_fault)
		STEP(s, "CPUID mode", SYS_arch_prctl, U(ARCH_SET_CPUID), U(0));
	if (rec->xcomp_perm >> XFEATURE_AMX_TILES & 1)
		STEP(s, "permission to use AMX", SYS_arch_prctl, U(ARCH_REQ_XCOMP_PERM),
		     U(XFEATURE_AMX_TILES));
}

/* The last that happens in a thread: it may give up the right to everything before. */
static void queue_thread_rights(struct steps *s, const struct thread_rec *rec)
{
	if (!creds_are_ours(s->r, &rec->creds))
		queue_creds(s, &rec->creds);
	/* Cleared by a change of rights, and left over from the stub. */
	STEP(s, "PR_SET_PDEATHSIG", SYS_prctl, U(PR_SET_PDEATHSIG), U(rec->pdeathsig));
	if (rec->creds.no_new_privs)
		STEP(s, "PR_SET_NO_NEW_PRIVS", SYS_prctl, U(PR_SET_NO_NEW_PRIVS), U(1), U(0), U(0),
		     U(0));
}

/* ---- a process ----------------------------------------------------------------------------- */

static void queue_actions(struct steps *s, const struct rtask *t)
{
	const struct sighand_rec *sh =
		LIST_AT(&s->r->image->sighands, struct sighand_rec, t->rec->sighand - 1);

	LIST_EACH(&sh->actions, struct action_rec, a) {
		uint64_t action[4] = {a->handler, a->flags, a->restorer, a->mask};

		/* Those of SIGKILL and SIGSTOP cannot be set, nor differ. */
		if (a->sig == SIGKILL || a->sig == SIGSTOP || (t->acts && a->sig != SIGTRAP))
			continue;
		STEP(s, "a signal action", SYS_rt_sigaction, U(a->sig),
		     remote_in(&s->in, action, sizeof(action)), U(0), U(8));
	}
}

/* Where other threads than the leader have pending signals, which must come after the actions. */
static int restore_actions_early(struct restore *r, struct rtask *t, struct err *e)
{
	struct steps *s;
	size_t pending = 0;
	int ret;

	for (size_t i = 1; i < t->n_threads; i++)
		pending += t->threads[i].rec->pending.count;
	if (!pending)
		return 0;
	s = xalloc(sizeof(*s));
	s->r = r;
	ret = remote_begin(&s->in, &t->threads[0].tracee, &r->place, e);
	if (!ret) {
		queue_actions(s, t);
		ret = run_steps(s, e);
		if (remote_end(&s->in, ret ? NULL : e) < 0 && !ret)
			ret = -ESRCH;
	}
	/* That of SIGTRAP may not have outlived the breakpoint. */
	t->acts = true;
	free(s);
	return ret;
}

static int make_timer(struct steps *s, const struct posix_timer_rec *t, bool exact_ids,
                      struct err *e)
{
	struct {
		uint64_t value;
		int32_t signo, notify, tid;
		uint32_t pad[11];
	} event = {.value = t->sigval,
	           .signo = (int32_t)t->sig,
	           .notify = (int32_t)t->notify,
	           .tid = t->tid};
	/* Without the interface for exact ids, ids count up: make timers until it is reached. */
	for (uint32_t tries = 0; tries <= t->id; tries++) {
		int32_t id = exact_ids ? (int32_t)t->id : 0;
		uint64_t id_at;
		int ret;

		STEP(s, "timer_create", SYS_timer_create, U(t->clock),
		     remote_in(&s->in, &event, sizeof(event)),
		     exact_ids ? remote_in(&s->in, &id, sizeof(id))
		               : (id_at = remote_out(&s->in, &id, sizeof(id))));
		ret = run_steps(s, e);
		if (ret < 0 || (uint32_t)id == t->id)
			return ret;
		STEP(s, "timer_delete", SYS_timer_delete, U(id));
	}
	return err_say(e, -EEXIST, "timer %u cannot get its number again", t->id);
}

static int restore_timers(struct steps *s, const struct task_rec *t, struct err *e)
{
	bool exact_ids = false;
	size_t call;
	int ret;

	if (!t->timers.count)
		return 0;
	call = REMOTE_QUEUE(&s->in, SYS_prctl, U(PR_TIMER_CREATE_RESTORE_IDS), U(1), U(0), U(0),
	                    U(0));
	ret = run_steps(s, e);
	if (ret < 0)
		return ret;
	exact_ids = remote_result(&s->in, call) >= 0 && !fallback_forced("no-timer-ids");
	if (!exact_ids)
		REMOTE_QUEUE(&s->in, SYS_prctl, U(PR_TIMER_CREATE_RESTORE_IDS), U(0), U(0), U(0),
		             U(0));
	LIST_EACH(&t->timers, struct posix_timer_rec, timer) {
		struct itimerspec spec = {
			.it_value = {(time_t)(timer->value_ns / NS), (long)(timer->value_ns % NS)},
			.it_interval = {(time_t)(timer->interval_ns / NS),
		                        (long)(timer->interval_ns % NS)},
		};

		ret = make_timer(s, timer, exact_ids, e);
		if (ret < 0)
			return ret;
		if (timer->value_ns)
			STEP(s, "timer_settime", SYS_timer_settime, U(timer->id), U(0),
			     remote_in(&s->in, &spec, sizeof(spec)), U(0));
	}
	if (exact_ids)
		STEP(s, "timer ids", SYS_prctl, U(PR_TIMER_CREATE_RESTORE_IDS), U(0), U(0), U(0),
		     U(0));
	return run_steps(s, e);
}

static void queue_directories(struct steps *s, const struct fs_rec *fs)
{
	STEP(s, "working directory", SYS_chdir, remote_in(&s->in, fs->cwd, strlen(fs->cwd) + 1));
	if (strcmp(fs->root, "/"))
		STEP(s, "root directory", SYS_chroot,
		     remote_in(&s->in, fs->root, strlen(fs->root) + 1));
	STEP(s, "umask", SYS_umask, U(fs->umask));
}

/* Process-wide state that needs the rights that the caller has. */
static int restore_process(struct steps *s, struct rtask *t, struct err *e)
{
	const struct task_rec *rec = t->rec;
	int ret;

	if (rec->subreaper)
		STEP(s, "PR_SET_CHILD_SUBREAPER", SYS_prctl, U(PR_SET_CHILD_SUBREAPER), U(1), U(0),
		     U(0), U(0));
	ret = restore_timers(s, rec, e);
	LIST_EACH(&rec->itimers, struct itimer_rec, timer) {
		struct itimerval value = {
			.it_value = {(time_t)(timer->value_us / US),
		                     (suseconds_t)(timer->value_us % US)},
			.it_interval = {(time_t)(timer->interval_us / US),
		                        (suseconds_t)(timer->interval_us % US)},
		};

		STEP(s, "setitimer", SYS_setitimer, U(timer->which),
		     remote_in(&s->in, &value, sizeof(value)), U(0));
	}
	return ret ? ret : queue_pending(s, &rec->pending, PENDING_ALL, rec, 0, e);
}

/* Limits come last: some of what came before would not fit into them. */
static void queue_limits(struct steps *s, const struct task_rec *rec)
{
	LIST_EACH(&rec->limits, struct limit_rec, l) {
		uint64_t limit[2] = {l->soft, l->hard};

		STEP(s, "a resource limit (one that is above the caller's own?)", SYS_prlimit64,
		     U(0), U(l->resource), remote_in(&s->in, limit, sizeof(limit)), U(0));
	}
}

static int write_proc(pid_t pid, const char *file, const char *value, struct err *e)
{
	char path[64];
	AUTO(fd) int fd = -1;
	int ret;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ret = fd < 0 ? -errno : os_write_all(fd, value, strlen(value));
	return ret < 0 ? err_set(e, ret, "%s of %s", file, value) : 0;
}

static int restore_scores(struct rtask *t, struct err *e)
{
	char text[32];
	int ret;

	snprintf(text, sizeof(text), "%d", t->rec->oom_score_adj);
	ret = write_proc(t->pid, "oom_score_adj", text, e);
	if (ret < 0)
		return ret;
	snprintf(text, sizeof(text), "0x%x", t->rec->coredump_filter);
	return write_proc(t->pid, "coredump_filter", text, e);
}

/* ---- the last registers --------------------------------------------------------------------- */

/* XSTATE_BV: which parts of the area are not in their initial state. */
static uint64_t xstate_in_use(const struct thread_rec *rec)
{
	uint64_t bv = 0;

	if (rec->xstate.len >= 520)
		memcpy(&bv, rec->xstate.data + 512, sizeof(bv));
	return bv;
}

static int load_registers(struct rthread *th, struct err *e)
{
	const struct thread_rec *rec = th->rec;
	int ret = tracee_set_regset(&th->tracee, NT_X86_XSTATE, rec->xstate, e);

	if (ret < 0)
		return err_wrap(e, ret, "thread %u: its vector registers", rec->tid);
	memcpy(&th->tracee.regs, &rec->regs, sizeof(rec->regs));
	return 0;
}

/* A stopped task stops again before its first instruction. */
static int stop_again(struct rtask *t, struct err *e)
{
	int ret = tracee_stop_group(&t->threads[0].tracee, (int)t->rec->stop_signal, e);

	for (size_t i = 1; !ret && i < t->n_threads; i++)
		ret = tracee_stop_group(&t->threads[i].tracee, 0, e);
	return ret;
}

/*
 * Its parent was told of the stop when it happened and must not be told again: the news is
 * taken in the parent's name.
 */
static int queue_stop_news(struct steps *s, const struct rtask *parent, struct err *e)
{
	for (const struct rtask *c = parent->children; c; c = c->next_sister) {
		int ret;

		if (c->rec->state != TASK_STOPPED || c->rec->stop_news)
			continue;
		ret = make_room(s, 1, 0, e);
		if (ret < 0)
			return ret;
		REMOTE_QUEUE(&s->in, SYS_wait4, U(c->rec->pid), U(0), U(WUNTRACED | WNOHANG), U(0));
	}
	return 0;
}

/*
 * The breakpoint of a batch would make an ignored SIGTRAP a default one and would merge with one
 * that is pending. Of a leader: no other thread gets its SIGTRAP before.
 */
static bool breakpoint_would_disturb(const struct restore *r, const struct task_rec *t,
                                     const struct thread_rec *rec)
{
	if (has_pending(&rec->pending, SIGTRAP))
		return true;
	LIST_EACH(&LIST_AT(&r->image->sighands, struct sighand_rec, t->sighand - 1)->actions,
	          struct action_rec, a)
		if (a->sig == SIGTRAP && a->handler == (uint64_t)(uintptr_t)SIG_IGN)
			return true;
	return has_pending(&t->pending, SIGTRAP);
}

/* What needs instructions of ours and not only calls. */
static int run_instructions(struct steps *s, const struct thread_rec *rec, struct err *e)
{
	int ret = 0;

	if (xstate_in_use(rec) >> XFEATURE_AMX_TILES & 1)
		ret = remote_touch_amx(&s->in, e);
	if (!ret && rec->regs.eflags & EFLAGS_ID)
		ret = remote_load_flags(&s->in, rec->regs.eflags & (EFLAGS_ID | 2), e);
	return ret;
}

/* @last: nobody needs the working page of this address space any more. */
static int restore_thread(struct restore *r, struct rtask *t, struct rthread *th, bool last,
                          struct err *e)
{
	const struct thread_rec *rec = th->rec;
	const struct mm_rec *mm = LIST_AT(&r->image->mms, struct mm_rec, t->rec->mm - 1);
	struct steps *s = xalloc(sizeof(*s));
	bool leader = th == t->threads, quiet, instructions, trap;
	int64_t result;
	size_t drain;
	int ret = check_rights(r, rec, e);

	s->r = r;
	if (!ret)
		ret = remote_begin(&s->in, &th->tracee, &r->place, e);
	if (ret < 0) {
		free(s);
		return ret;
	}
	instructions = xstate_in_use(rec) >> XFEATURE_AMX_TILES & 1 || rec->regs.eflags & EFLAGS_ID;
	trap = leader && breakpoint_would_disturb(r, t->rec, rec);
	/* Most threads need nothing between draining and the rest: one batch. */
	quiet = !leader && !rec->pending.count && rec->creds.groups.count <= GROUPS_FEW &&
	        !instructions && !trap;
	if (leader)
		ret = queue_stop_news(s, t, e);
	drain = queue_drain(s);
	queue_directories(s, LIST_AT(&r->image->fss, struct fs_rec, rec->fs - 1));
	queue_thread_state(s, rec);
	if (!ret && !quiet)
		ret = run_and_drain(s, drain, e);
	if (!ret && instructions)
		ret = run_instructions(s, rec, e);
	if (!ret && trap)
		ret = remote_go_stepwise(&s->in, e);
	/* Before anything is pending: ignoring a signal takes away what is pending of it. */
	if (!ret && leader)
		queue_actions(s, t);
	if (!ret)
		ret = queue_pending(s, &rec->pending, leader ? PENDING_ALL : PENDING_OTHERS, t->rec,
		                    rec->tid, e);
	for (size_t i = 1; !ret && leader && i < t->n_threads; i++)
		ret = queue_pending(s, &t->threads[i].rec->pending, PENDING_TRAPS, t->rec,
		                    t->threads[i].rec->tid, e);
	if (!ret && leader)
		ret = restore_process(s, t, e);
	if (!ret && !quiet)
		ret = make_room(s, 0, rec->creds.groups.count * sizeof(uint32_t), e);
	if (!ret) {
		STEP(s, "close", SYS_close, U(r->transport_there));
		s->steps[s->n - 1].allowed = EBADF; /* a table that is shared */
		if (leader)
			queue_limits(s, t->rec);
		queue_thread_rights(s, rec);
		if (leader && mm->dumpable == 1)
			STEP(s, "PR_SET_DUMPABLE", SYS_prctl, U(PR_SET_DUMPABLE), U(1));
		ret = quiet ? run_and_drain(s, drain, e) : run_steps(s, e);
	}
	/* Alone: afterwards its memory may be out of our reach, registers are not. */
	if (!ret && leader && mm->dumpable != 1)
		ret = REMOTE_CALL(&s->in, &result, e, SYS_prctl, U(PR_SET_DUMPABLE), U(0));
	if (!ret) {
		ret = load_registers(th, e);
		s->in.saved = th->tracee.regs;
		s->in.saved_mask = rec->sigmask;
		s->in.own_page = last;
	}
	ret = remote_close(&s->in, ret, e);
	free(s);
	return ret < 0 ? err_wrap(e, ret, "thread %u", rec->tid) : 0;
}

int restore_states(struct restore *r, struct err *e)
{
	/* How many threads of all tasks still need the page of their address space. */
	size_t *left = ARENA_ARRAY(&r->arena, size_t, r->image->mms.count + 1);
	int ret = 0;

	for (size_t i = 0; i < r->n_tasks; i++)
		if (r->tasks[i].rec->state != TASK_ZOMBIE)
			left[r->tasks[i].rec->mm] += r->tasks[i].n_threads;
	/* Children first: what their parents hear of them is taken away when it is their turn. */
	for (size_t i = r->n_tasks; !ret && i--;) {
		struct rtask *t = &r->tasks[i];

		if (t->rec->state == TASK_ZOMBIE)
			continue;
		ret = restore_memory_finish(r, t, e);
		if (!ret)
			ret = restore_scores(t, e);
		if (!ret)
			ret = restore_actions_early(r, t, e);
		/* The leader last: it sets what a process has once, limits among it. */
		for (size_t n = t->n_threads; !ret && n--;)
			ret = restore_thread(r, t, &t->threads[n], !--left[t->rec->mm], e);
		if (!ret && t->rec->state == TASK_STOPPED)
			ret = stop_again(t, e);
	}
	return ret;
}

/* ---- zombies --------------------------------------------------------------------------------- */

/*
 * A zombie dies again, of what it died of. As its tracer we are told first; what is left is for
 * its parent to wait for.
 */
static int end_as(struct restore *r, struct rtask *t, uint32_t status, struct err *e)
{
	struct tracee *task = &t->threads[0].tracee;
	const struct rlimit no_core = {0};
	struct remote in;
	int64_t result;
	int ret = remote_begin(&in, task, &r->place, e);

	if (ret < 0)
		return ret;
	REMOTE_QUEUE(&in, SYS_prctl, U(PR_SET_NAME),
	             remote_in(&in, t->rec->comm, strlen(t->rec->comm) + 1));
	/* No core file, whatever it was then. */
	REMOTE_QUEUE(&in, SYS_setrlimit, U(RLIMIT_CORE), remote_in(&in, &no_core, sizeof(no_core)));
	ret = remote_run(&in, e);
	if (!ret && !WIFSIGNALED(status)) {
		ret = REMOTE_CALL(&in, &result, NULL, SYS_exit_group, U(WEXITSTATUS(status)));
		remote_end(&in, NULL);
		return ret == -ESRCH ? 0 : err_say(e, -EIO, "it did not end");
	}
	ret = remote_close(&in, ret, e);
	if (ret < 0)
		return ret;
	/* Its actions are the default still; a signal that does not end it is SIGKILL's turn. */
	if (kill(task->tid, WTERMSIG(status)) < 0)
		return err_set(e, -errno, "kill");
	for (;;) {
		int seen;

		if (ptrace(PTRACE_CONT, task->tid, 0, WTERMSIG(status)) < 0 && errno != ESRCH)
			return err_set(e, -errno, "kill");
		if (waitpid(task->tid, &seen, __WALL) < 0 || !WIFSTOPPED(seen))
			break;
	}
	task->state = TRACEE_GONE;
	return 0;
}

int restore_zombies(struct restore *r, struct err *e)
{
	for (size_t i = 0; i < r->n_tasks; i++) {
		struct rtask *t = &r->tasks[i];
		int ret = t->rec->state == TASK_ZOMBIE ? end_as(r, t, t->rec->exit_status, e) : 0;

		if (ret < 0)
			return err_wrap(e, ret, "zombie %u", t->rec->pid);
	}
	return 0;
}
