/* SPDX-License-Identifier: MIT */
/*
 * Freezing a tree. Parents are stopped before their children are looked for, and threads are
 * listed again until no new one shows up: a stopped task makes no new tasks, so when the walk
 * ends, the tree is complete and stands still.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "engine/engine-int.h"
#include "os/wsl.h"

#define STOP_TIMEOUT_MS 5000
#define LARGE_KB (16 << 10)

static struct dtask *add_task(struct dump *d, pid_t pid, struct dtask *parent)
{
	struct dtask *t = xalloc(sizeof(*t));

	*t = (struct dtask){.pid = pid, .parent = parent, .proc = -1, .pidfd = -1};
	if (d->n_tasks == d->cap_tasks) {
		d->cap_tasks = d->cap_tasks ? 2 * d->cap_tasks : 16;
		d->tasks = xrealloc(d->tasks, d->cap_tasks * sizeof(struct dtask *));
	}
	d->tasks[d->n_tasks++] = t;
	return t;
}

static int read_stat(struct dtask *t, struct err *e)
{
	int r = os_read_stat_at(t->proc, "stat", &t->stat, e);

	return r < 0 ? err_wrap(e, r, "process %d", t->pid) : 0;
}

/* Attach to a thread and ask it to stop. Return: 0; -ESRCH if it has ended meanwhile. */
static int seize_thread(struct dtask *t, pid_t tid, struct err *e)
{
	int r;

	if (t->n_threads == t->cap_threads) {
		t->cap_threads = t->cap_threads ? 2 * t->cap_threads : 4;
		t->threads = xrealloc(t->threads, t->cap_threads * sizeof(*t->threads));
	}
	r = tracee_seize(&t->threads[t->n_threads], tid, 0, e);
	if (r == -EPERM)
		r = e->code = OBSTACLE; /* another tracer, or not ours to trace: not a failure */
	if (r < 0)
		return r;
	r = tracee_interrupt(&t->threads[t->n_threads++], e);
	return r == -ESRCH ? 0 : r; /* seen when it is waited for */
}

static bool has_thread(const struct dtask *t, pid_t tid)
{
	for (size_t i = 0; i < t->n_threads; i++)
		if (t->threads[i].tid == tid)
			return true;
	return false;
}

/* Stop all threads of a process; those that appear meanwhile too. */
static int stop_threads(struct dump *d, struct dtask *t, struct err *e)
{
	size_t stopped = 0;
	/* The leader is first, also when numbers have wrapped and its threads have lower ones. */
	int r = seize_thread(t, t->pid, e);

	if (r < 0)
		return r;
	for (;;) {
		struct list tids = {0};

		r = os_list_numbers_at(t->proc, "task", &d->arena, &tids);
		if (r < 0)
			return err_set(e, r, "process %d: its threads", t->pid);
		LIST_EACH(&tids, uint64_t, tid) {
			/* Hundreds of threads: only the new ones are looked up by number. */
			if (has_thread(t, (pid_t)*tid))
				continue;
			r = seize_thread(t, (pid_t)*tid, e);
			if (r < 0 && r != -ESRCH)
				return r;
		}
		if (stopped == t->n_threads)
			break;
		while (stopped < t->n_threads) {
			struct tracee *th = &t->threads[stopped];

			r = th->state == TRACEE_RUNNING ? tracee_wait_stop(th, STOP_TIMEOUT_MS, e)
			                                : -ESRCH;
			if (r == -ESRCH && th->tid != t->pid) {
				*th = t->threads[--t->n_threads];
				continue;
			}
			if (!r)
				r = dump_call_again(d, t, th, e);
			if (r < 0)
				return r;
			stopped++;
		}
	}
	/* Removal of ended threads may have moved others, never the leader, which is first. */
	return 0;
}

static int add_children(struct dump *d, struct dtask *t, struct err *e)
{
	for (size_t i = 0; i < t->n_threads; i++) {
		AUTO(buf) struct buf text = {0};
		char path[64], *save, *word;
		int r;

		snprintf(path, sizeof(path), "task/%d/children", t->threads[i].tid);
		r = os_read_file_at(t->proc, path, &text);
		if (r < 0)
			return err_set(e, r,
			               "process %d: its children (a kernel with "
			               "CONFIG_PROC_CHILDREN is needed)",
			               t->pid);
		buf_text(&text);
		for (word = strtok_r((char *)text.data, " \n", &save); word;
		     word = strtok_r(NULL, " \n", &save)) {
			uint64_t pid;

			if (text_to_u64(word, 10, INT32_MAX, &pid) < 0)
				return err_say(e, -EBADMSG, "process %d: children: %s", t->pid,
				               word);
			add_task(d, (pid_t)pid, t);
		}
	}
	return 0;
}

/* WSL's relays carry the terminals and its init the distribution: they must never stand still. */
static int refuse_wsl(const struct dtask *t, struct err *e)
{
	AUTO(buf) struct buf text = {0};

	if (!os_is_wsl())
		return 0;
	if (os_read_file_at(t->proc, "cmdline", &text) < 0)
		text.len = 0;
	for (size_t i = 0; i + 1 < text.len; i++)
		if (!text.data[i])
			text.data[i] = ' ';
	if (!os_is_wsl_process(t->stat.comm, buf_text(&text)))
		return 0;
	return err_say(e, OBSTACLE,
	               "process %d (%s) is WSL's own and keeps the distribution or its terminal "
	               "alive: name the program itself instead",
	               t->pid, t->stat.comm);
}

/* A process that has ended and was not waited for. */
static int keep_zombie(struct dtask *t, struct err *e)
{
	t->zombie = true;
	if (t->stat.n_threads > 1)
		return err_say(e, OBSTACLE,
		               "process %d: its first thread has ended and others run on: "
		               "that cannot be restored",
		               t->pid);
	return 0;
}

static int freeze_task(struct dump *d, struct dtask *t, struct err *e)
{
	char path[32];
	int r;

	snprintf(path, sizeof(path), "/proc/%d", t->pid);
	t->proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (t->proc < 0)
		return err_say(e, -ESRCH, "there is no process %d", t->pid);
	r = read_stat(t, e);
	if (r < 0)
		return r;
	if (t->pid == getpid())
		return err_say(e, OBSTACLE,
		               "wslx runs inside of that tree (process %d): start it from another "
		               "session",
		               t->pid);
	r = refuse_wsl(t, e);
	if (r < 0)
		return r;
	if (t->stat.flags & 0x00200000) /* PF_KTHREAD */
		return err_say(e, OBSTACLE, "process %d is a thread of the kernel", t->pid);
	if (t->stat.state == 'Z')
		return keep_zombie(t, e);
	r = stop_threads(d, t, e);
	/* It was about to end. Its parent stands still, so that it will not have waited for it. */
	if (r == -ESRCH && !read_stat(t, NULL) && t->stat.state == 'Z')
		return keep_zombie(t, e);
	if (r < 0)
		return r;
	t->pidfd = os_pidfd_open(t->pid, 0);
	if (t->pidfd < 0)
		return err_set(e, t->pidfd, "process %d: pidfd_open", t->pid);
	/* Now that it stands still: what it was when we came may have changed. */
	r = read_stat(t, e);
	return r < 0 ? r : add_children(d, t, e);
}

static int by_pid(const void *a, const void *b)
{
	const struct dtask *const *x = a, *const *y = b;

	return (*x)->pid < (*y)->pid ? -1 : (*x)->pid > (*y)->pid;
}

/* For the questions that are asked of every task, so that their time does not grow with its square. */
static void index_tree(struct dump *d)
{
	d->by_pid = arena_array(&d->arena, sizeof(struct dtask *), d->n_tasks);
	memcpy(d->by_pid, d->tasks, d->n_tasks * sizeof(struct dtask *));
	qsort(d->by_pid, d->n_tasks, sizeof(struct dtask *), by_pid);
	for (size_t i = d->n_tasks; i-- > 1;) {
		struct dtask *t = d->tasks[i];

		t->next_sister = t->parent->children;
		t->parent->children = t;
	}
}

int collect_tree(struct dump *d, pid_t root, struct err *e)
{
	int r;

	add_task(d, root, NULL);
	d->frozen = true;
	d->frozen_at_ns = os_clock_ns(CLOCK_MONOTONIC);
	for (size_t i = 0; i < d->n_tasks; i++) {
		r = freeze_task(d, d->tasks[i], e);
		/* A child that was reaped between the list and us is no member any more. */
		if (r == -ESRCH && i) {
			struct dtask *t = d->tasks[i];

			os_close(&t->proc);
			free(t->threads);
			free(t);
			memmove(&d->tasks[i], &d->tasks[i + 1],
			        (d->n_tasks - i - 1) * sizeof(*d->tasks));
			d->n_tasks--;
			i--;
			continue;
		}
		if (r < 0)
			return r;
		r = FAULT(e, "dump-seized");
		if (r < 0)
			return r;
	}
	if (d->tasks[0]->zombie)
		return err_say(e, OBSTACLE, "process %d has ended and waits for its parent", root);
	index_tree(d);
	return 0;
}

void collect_thaw(struct dump *d)
{
	if (!d->frozen)
		return;
	/* Children first: no parent then sees a child that stands still for another reason than its own. */
	for (size_t i = d->n_tasks; i--;) {
		struct dtask *t = d->tasks[i];
		bool stopped = t->n_threads && t->threads[0].group_stop;

		for (size_t n = 0; n < t->n_threads; n++)
			tracee_release(&t->threads[n]);
		if (stopped)
			tracee_await_group_stop(t->pid);
	}
	d->frozen = false;
	d->frozen_ns = os_clock_ns(CLOCK_MONOTONIC) - d->frozen_at_ns;
}

/* Giving back the memory of a large process takes it a while: with us, on another CPU, half of it. */
static void help_to_die(const struct dtask *t)
{
	if (t->mm_owner && t->status.rss_anon_kb > LARGE_KB)
		syscall(SYS_process_mrelease, t->pidfd, 0);
}

void collect_kill(struct dump *d)
{
	/* Children first: no parent then sees the death of a child that others do not. */
	for (size_t i = d->n_tasks; i--;) {
		struct dtask *t = d->tasks[i];

		if (t->zombie)
			continue;
		kill(t->pid, SIGKILL);
	}
	for (size_t i = d->n_tasks; i--;)
		help_to_die(d->tasks[i]);
	for (size_t i = d->n_tasks; i--;) {
		struct dtask *t = d->tasks[i];

		for (size_t n = t->n_threads; n--;) {
			int status;

			if (t->threads[n].state == TRACEE_GONE)
				continue;
			while (waitpid(t->threads[n].tid, &status, __WALL) >= 0 &&
			       WIFSTOPPED(status))
				;
			t->threads[n].state = TRACEE_GONE;
		}
	}
	d->frozen = false;
	d->frozen_ns = os_clock_ns(CLOCK_MONOTONIC) - d->frozen_at_ns;
}

void collect_free(struct dump *d)
{
	for (size_t i = 0; i < d->n_tasks; i++) {
		os_close(&d->tasks[i]->proc);
		os_close(&d->tasks[i]->pidfd);
		free(d->tasks[i]->threads);
		free(d->tasks[i]);
	}
	free(d->tasks);
}
