/* SPDX-License-Identifier: MIT */
/*
 * The tree: tasks with their pids, parents, sessions and process groups.
 *
 * A task can enter a session only by being born in it or by founding it, so the order of
 * births matters: children of a parent's old session are born before the parent calls
 * setsid(2), the others after it. A child of a session that its parent is not in (the leader
 * has ended, or is a sister) is born from a member of that session, or from a stand-in leader
 * with the session's number, by CLONE_PARENT, which makes it a sister of its creator. Groups
 * whose leader has ended get a stand-in too. Stand-ins are gone before anything runs.
 *
 * The same walk, with operations that do nothing, is the plan that a dump makes: what it
 * cannot build is an obstacle then.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "engine/engine-int.h"

#define PIDS_TIMEOUT_MS 3000ull /* how long all of a restore waits for numbers to come free */

/* A task while its tree is built. */
struct node {
	const struct task_rec *rec;
	struct node *parent, *children, *next_sister; /* as in the image: sisters in its order */
	uint32_t sid;                                 /* now */
	bool made, children_made;
};

/* A process that stands for a leader that has ended. */
struct stand_in {
	struct tracee tracee;
	uint32_t pid;
};

struct walk {
	const struct process_image *im;
	struct restore *r; /* NULL: only plan */
	struct node *nodes;
	size_t n;
	struct task_numbers numbers;
};

static struct node *find_node(struct walk *w, uint32_t pid)
{
	const struct task_number *number = task_numbers_find(&w->numbers, pid);

	return number && !number->thread ? &w->nodes[number->task] : NULL;
}

static const struct thread_rec *leader_of(const struct task_rec *t)
{
	return t->threads.count ? LIST_AT(&t->threads, struct thread_rec, 0) : NULL;
}

/* ---- operations on real tasks ------------------------------------------------------------ */

static bool read_holder(pid_t pid, struct proc_stat *out)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	return !os_read_stat_at(AT_FDCWD, path, out, NULL);
}

/* A process that is in the group or session with this number, which keeps the number taken. */
static bool find_member(pid_t number, struct proc_stat *out)
{
	AUTO(arena) struct arena a = {0};
	struct list pids = {0};

	if (os_list_numbers_at(AT_FDCWD, "/proc", &a, &pids) < 0)
		return false;
	LIST_EACH(&pids, uint64_t, pid)
		if (read_holder((pid_t)*pid, out) &&
		    (out->pgrp == number || out->session == number))
			return true;
	return false;
}

/* Wait until nobody holds @pid, or the time is over, or the holder has not even ended. */
static bool comes_free(struct restore *r, pid_t pid, struct proc_stat *holder)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	uint64_t now = os_clock_ns(CLOCK_MONOTONIC);
	AUTO(fd) int pidfd = -1;

	if (!r->pids_until_ns)
		r->pids_until_ns = now + PIDS_TIMEOUT_MS * 1000000u;
	if (read_holder(pid, holder)) {
		/* Its parent waits for it: a pidfd tells that by POLLHUP (Linux 6.9). */
		struct pollfd p = {.fd = pidfd = os_pidfd_open(pid, 0)};

		if (holder->state != 'Z' || now >= r->pids_until_ns)
			return false;
		poll(&p, pidfd >= 0, (int)((r->pids_until_ns - now) / 1000000u) + 1);
		return true;
	}
	*holder = (struct proc_stat){0};
	/* Nobody: it was given back since, or will be in a moment, of which no event tells. */
	return now < r->pids_until_ns && !nanosleep(&pause, NULL);
}

int restore_pid_taken(struct restore *r, pid_t pid, int code, struct err *e)
{
	struct proc_stat holder;

	if (code == -EPERM)
		return err_say(
			e, -EPERM,
			"choosing pid %d needs CAP_CHECKPOINT_RESTORE: restore with --pidns, "
			"or as root",
			pid);
	if (code != -EEXIST)
		return err_set(e, code, "a process with pid %d", pid);
	if (comes_free(r, pid, &holder))
		return 0;
	if (holder.state == 'Z')
		return err_say(
			e, -EEXIST,
			"pid %d is held by \"%s\", which has ended and whose parent %d has not "
			"waited for it: end that one, or restore with --pidns",
			pid, holder.comm, holder.ppid);
	if (holder.state)
		return err_say(e, -EEXIST,
		               "pid %d is taken by \"%s\": end that one, or restore with --pidns",
		               pid, holder.comm);
	if (find_member(pid, &holder))
		return err_say(e, -EEXIST,
		               "pid %d is the number of the process group or session that process "
		               "%d (\"%s\") is in: end that one, or restore with --pidns",
		               pid, holder.pid, holder.comm);
	return err_say(e, -EEXIST,
	               "pid %d is taken, and nothing tells by whom: restore with --pidns", pid);
}

static void queue_birth(struct remote *in, const struct birth *b)
{
	int32_t set_tid = (int32_t)b->pid;
	struct clone_args args = {.flags = b->flags,
	                          .exit_signal = b->exit_signal,
	                          .set_tid = remote_in(in, &set_tid, sizeof(set_tid)),
	                          .set_tid_size = 1};

	REMOTE_QUEUE(in, SYS_clone3, remote_in(in, &args, sizeof(args)), U(sizeof(args)));
}

/* Those of @todo (indices, @n of them) at once. @n: afterwards how many are still to be born. */
static int try_births(struct restore *r, struct remote *in, const struct birth *births,
                      size_t *todo, size_t *n, struct err *e)
{
	size_t first_born = in->born.count, tried = 0, left = 0;
	int ret;

	while (tried < *n && remote_has_room(in, 1, 256))
		queue_birth(in, &births[todo[tried++]]);
	ret = remote_run(in, e);
	/* Those beside one that failed are there, and must end with it. */
	for (size_t i = 0, born = first_born; born < in->born.count && i < tried; i++) {
		int adopted;

		if (!ret && remote_result(in, i) < 0)
			continue;
		adopted = tracee_adopt(births[todo[i]].out, *LIST_AT(&in->born, pid_t, born++),
		                       ret ? NULL : e);
		ret = ret ? ret : adopted;
	}
	for (size_t i = 0; !ret && i < *n; i++) {
		if (i < tried && remote_result(in, i) >= 0)
			continue;
		if (i < tried)
			ret = restore_pid_taken(r, (pid_t)births[todo[i]].pid,
			                        (int)remote_result(in, i), e);
		todo[left++] = todo[i];
	}
	*n = left;
	return ret;
}

int remote_births(struct restore *r, struct tracee *creator, const struct birth *births, size_t n,
                  struct err *e)
{
	size_t *todo;
	struct remote in;
	int ret = remote_begin(&in, creator, &r->place, e);

	if (ret < 0)
		return ret;
	todo = xalloc(n * sizeof(*todo));
	for (size_t i = 0; i < n; i++)
		todo[i] = i;
	while (!ret && n)
		ret = try_births(r, &in, births, todo, &n, e);
	free(todo);
	return remote_close(&in, ret, e);
}

int remote_clone(struct restore *r, struct tracee *creator, uint64_t flags, uint64_t exit_signal,
                 uint32_t pid, struct tracee *out, struct err *e)
{
	const struct birth birth = {flags, exit_signal, pid, out};
	int ret = remote_births(r, creator, &birth, 1, e);

	return ret ? ret : tracee_set_sigmask(out, 0, e);
}

struct one {
	long nr;
	uint64_t a, b;
	int64_t *result;
};

static int act_one(struct remote *in, void *arg, struct err *e)
{
	struct one *one = arg;
	size_t call = REMOTE_QUEUE(in, one->nr, one->a, one->b, U(0), U(0));
	int ret = remote_run(in, e);

	if (!ret)
		*one->result = remote_result(in, call);
	return ret;
}

/* The check does not see that the structure carries it away. */
/* NOLINTNEXTLINE(readability-non-const-parameter) */
int remote_one(struct restore *r, struct tracee *t, int64_t *result, struct err *e, long nr,
               uint64_t a, uint64_t b)
{
	struct one one = {.nr = nr, .a = a, .b = b, .result = result};

	return remote_with(t, &r->place, act_one, &one, e);
}

static struct tracee *tracee_of(struct walk *w, const struct node *n)
{
	return &w->r->tasks[n - w->nodes].threads[0].tracee;
}

static uint64_t sharing_flags(const struct task_rec *child, const struct task_rec *creator)
{
	const struct thread_rec *a = leader_of(child), *b = leader_of(creator);
	uint64_t flags = 0;

	if (!a || !b)
		return 0;
	flags |= child->mm == creator->mm ? CLONE_VM : 0;
	flags |= child->sighand == creator->sighand ? CLONE_SIGHAND : 0;
	flags |= a->table == b->table ? CLONE_FILES : 0;
	flags |= a->fs == b->fs ? CLONE_FS : 0;
	return flags;
}

/* ---- the walk --------------------------------------------------------------------------- */

static int birth(struct walk *w, struct node *child, struct tracee *creator, uint64_t flags,
                 uint32_t sid, struct err *e)
{
	child->made = true;
	child->sid = sid;
	if (!w->r)
		return 0;
	w->r->tasks[child - w->nodes].threads[0].rec = leader_of(child->rec);
	w->r->tasks[child - w->nodes].n_threads = 1;
	return remote_clone(w->r, creator, flags,
	                    flags & CLONE_PARENT ? 0 : child->rec->exit_signal, child->rec->pid,
	                    tracee_of(w, child), e);
}

static int found_session(struct walk *w, struct tracee *t, uint32_t pid, struct err *e)
{
	int64_t result = 0;
	int ret = w->r ? remote_one(w->r, t, &result, e, SYS_setsid, 0, 0) : 0;

	if (!ret && result < 0)
		ret = err_set(e, (int)result, "process %u: setsid", pid);
	return ret || !w->r ? ret : restore_session_tty(w->r, t, pid, e);
}

/*
 * Children of @p that nothing but their births makes different, as many as follow each other
 * from @first on. Their own children are born later.
 */
static int births_of(struct walk *w, struct node *p, struct node *const *children, size_t n,
                     struct err *e)
{
	struct birth *births;
	int ret;

	for (size_t i = 0; i < n; i++) {
		children[i]->made = true;
		children[i]->sid = p->sid;
	}
	if (!w->r || !n)
		return 0;
	births = xalloc(n * sizeof(*births));
	for (size_t i = 0; i < n; i++) {
		struct rtask *t = &w->r->tasks[children[i] - w->nodes];

		t->threads[0].rec = leader_of(children[i]->rec);
		t->n_threads = 1;
		births[i] = (struct birth){sharing_flags(children[i]->rec, p->rec),
		                           children[i]->rec->exit_signal, children[i]->rec->pid,
		                           &t->threads[0].tracee};
	}
	ret = remote_births(w->r, tracee_of(w, p), births, n, e);
	for (size_t i = 0; !ret && i < n; i++)
		ret = tracee_set_sigmask(births[i].out, 0, e);
	free(births);
	return ret;
}

/* End a stand-in; its creator takes note, so that no zombie of it is left. */
static int dismiss(struct walk *w, struct stand_in *s, struct tracee *parent, struct err *e)
{
	int64_t result;
	int status;

	if (!w->r)
		return 0;
	kill(s->tracee.tid, SIGKILL);
	while (waitpid(s->tracee.tid, &status, __WALL) >= 0 && WIFSTOPPED(status))
		;
	return remote_one(w->r, parent, &result, e, SYS_wait4, s->pid, 0);
}

static struct node *child_in_session(const struct node *parent, uint32_t sid)
{
	for (struct node *c = parent->children; c; c = c->next_sister)
		if (c->made && c->sid == sid)
			return c;
	return NULL;
}

/* A child of a session that @p is not in. */
static int birth_in_session(struct walk *w, struct node *p, struct node *child, struct err *e)
{
	uint32_t sid = child->rec->sid;
	struct node *sister = child_in_session(p, sid);
	struct stand_in leader = {.pid = sid};
	int r;

	if (child->rec->exit_signal != SIGCHLD || sharing_flags(child->rec, p->rec))
		return err_say(e, OBSTACLE,
		               "process %u shares resources with its parent and is of another "
		               "session: that cannot be built again",
		               child->rec->pid);
	if (sister)
		return birth(w, child, w->r ? tracee_of(w, sister) : NULL, CLONE_PARENT, sid, e);
	if (find_node(w, sid))
		return err_say(e, OBSTACLE,
		               "process %u is in session %u, whose leader is not among its "
		               "parent's children: that cannot be built again",
		               child->rec->pid, sid);
	r = w->r ? remote_clone(w->r, tracee_of(w, p), 0, SIGCHLD, sid, &leader.tracee, e) : 0;
	if (!r)
		r = found_session(w, &leader.tracee, sid, e);
	if (!r)
		r = birth(w, child, &leader.tracee, CLONE_PARENT, sid, e);
	if (!r)
		r = dismiss(w, &leader, w->r ? tracee_of(w, p) : NULL, e);
	return r;
}

static int make_children(struct walk *w, struct node *p, struct err *e);

/* Children of @p; @early: only those of the session that it is about to leave. */
static int make_some(struct walk *w, struct node *p, bool early, struct err *e)
{
	struct node **plain;
	size_t children = 0;
	int r = 0;

	for (const struct node *c = p->children; c; c = c->next_sister)
		children++;
	if (!children)
		return 0;
	plain = xalloc(children * sizeof(struct node *));
	for (struct node *c = p->children; !r && c; c = c ? c->next_sister : NULL) {
		size_t n = 0;

		/* One after the other, up to one that is born in another session. */
		for (; c; c = c->next_sister) {
			const struct task_rec *rec = c->rec;

			if (c->made)
				continue;
			if (early && (rec->sid == rec->pid || rec->sid != p->sid))
				continue;
			if (rec->sid != rec->pid && rec->sid != p->sid)
				break;
			plain[n++] = c;
		}
		r = births_of(w, p, plain, n, e);
		for (size_t i = 0; !r && i < n; i++)
			r = make_children(w, plain[i], e);
		if (!r && c)
			r = birth_in_session(w, p, c, e);
		if (!r && c)
			r = make_children(w, c, e);
	}
	free(plain);
	return r;
}

static int make_children(struct walk *w, struct node *p, struct err *e)
{
	int r;

	if (p->rec->sid == p->rec->pid && p->sid != p->rec->pid) {
		r = make_some(w, p, true, e);
		if (!r)
			r = found_session(w, w->r ? tracee_of(w, p) : NULL, p->rec->pid, e);
		if (r < 0)
			return r;
		p->sid = p->rec->pid;
	}
	if (p->sid != p->rec->sid)
		return err_say(e, OBSTACLE, "process %u cannot be put into session %u again",
		               p->rec->pid, p->rec->sid);
	return make_some(w, p, false, e);
}

/* ---- process groups ---------------------------------------------------------------------- */

static int set_group(struct walk *w, struct tracee *t, uint32_t pid, uint32_t pgid, struct err *e)
{
	int64_t result = 0;
	int ret = w->r ? remote_one(w->r, t, &result, e, SYS_setpgid, 0, pgid) : 0;

	if (!ret && result < 0)
		ret = err_set(e, (int)result, "process %u: group %u", pid, pgid);
	return ret;
}

/* All members of a group whose leader has ended. */
static int join_orphaned_group(struct walk *w, struct node *first, struct err *e)
{
	uint32_t pgid = first->rec->pgid;
	struct stand_in leader = {.pid = pgid};
	int r;

	if (pgid == first->rec->sid)
		return 0; /* the leader of the session was its leader: born into it */
	r = w->r ? remote_clone(w->r, tracee_of(w, first), 0, SIGCHLD, pgid, &leader.tracee, e) : 0;
	if (!r)
		r = set_group(w, &leader.tracee, pgid, 0, e);
	for (struct node *n = first; !r && n < w->nodes + w->n; n++)
		if (n->rec->pgid == pgid)
			r = set_group(w, w->r ? tracee_of(w, n) : NULL, n->rec->pid, pgid, e);
	if (!r)
		r = dismiss(w, &leader, w->r ? tracee_of(w, first) : NULL, e);
	return r;
}

static bool group_seen(struct walk *w, const struct node *n)
{
	for (struct node *before = w->nodes; before < n; before++)
		if (before->rec->pgid == n->rec->pgid)
			return true;
	return false;
}

static int make_groups(struct walk *w, struct err *e)
{
	uint32_t outside = w->nodes[0].rec->pgid; /* a group whose leader is not in the tree */
	bool root_leads = find_node(w, outside) != NULL;

	for (struct node *n = w->nodes; n < w->nodes + w->n; n++) {
		const struct task_rec *rec = n->rec;
		/* A group from outside gets the root's number. */
		bool leads = rec->pgid == rec->pid || (n == w->nodes && !root_leads);
		bool founded = n == w->nodes && w->r && w->r->root_founded;
		int r = 0;

		if (leads && n->sid != rec->pid && !founded)
			r = set_group(w, w->r ? tracee_of(w, n) : NULL, rec->pid, 0, e);
		if (r < 0)
			return r;
	}
	for (struct node *n = w->nodes; n < w->nodes + w->n; n++) {
		const struct task_rec *rec = n->rec;
		int r = 0;

		if (rec->pgid == rec->pid || (n == w->nodes && !root_leads))
			continue;
		if (find_node(w, rec->pgid) && w->r &&
		    getpgid(tracee_of(w, n)->tid) == tracee_of(w, find_node(w, rec->pgid))->tid)
			continue; /* born in it */
		if (find_node(w, rec->pgid))
			r = set_group(w, w->r ? tracee_of(w, n) : NULL, rec->pid, rec->pgid, e);
		else if (rec->pgid == outside)
			r = set_group(w, w->r ? tracee_of(w, n) : NULL, rec->pid,
			              w->nodes[0].rec->pid, e);
		else if (!group_seen(w, n))
			r = join_orphaned_group(w, n, e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- both uses ---------------------------------------------------------------------------- */

/*
 * What CLONE_VM and its like share is shared with the parent, or not at all: whoever has something
 * that was seen before has it from its parent.
 */
static int check_sharing(struct walk *w, struct err *e)
{
	const struct process_image *im = w->im;
	AUTO(arena) struct arena a = {0};
	/* By the ids of mms, sighands, tables and fss: the first task that has it. */
	const struct task_rec **first[] = {
		arena_array(&a, sizeof(struct task_rec *), im->mms.count + 1),
		arena_array(&a, sizeof(struct task_rec *), im->sighands.count + 1),
		arena_array(&a, sizeof(struct task_rec *), im->tables.count + 1),
		arena_array(&a, sizeof(struct task_rec *), im->fss.count + 1),
	};

	for (size_t i = 0; i < w->n; i++) {
		const struct node *n = &w->nodes[i];
		const struct task_rec *rec = n->rec;
		const struct thread_rec *leader = leader_of(rec);
		uint64_t with_parent = n->parent ? sharing_flags(rec, n->parent->rec) : 0;

		if (!leader)
			continue;
		const struct task_rec **seen[] = {&first[0][rec->mm], &first[1][rec->sighand],
		                                  &first[2][leader->table], &first[3][leader->fs]};

		for (size_t k = 0; k < ARRAY_LEN(seen); k++) {
			if (*seen[k] && sharing_flags(rec, *seen[k]) & ~with_parent)
				return err_say(
					e, OBSTACLE,
					"process %u shares memory, descriptors or directories "
					"with process %u, which is not its parent",
					rec->pid, (*seen[k])->pid);
			if (!*seen[k])
				*seen[k] = rec;
		}
	}
	return 0;
}

static void walk_init(struct walk *w, const struct process_image *im, struct restore *r)
{
	*w = (struct walk){.im = im, .r = r, .n = im->tasks.count};
	task_numbers_init(&w->numbers, im);
	w->nodes = xalloc(w->n * sizeof(*w->nodes));
	for (size_t i = 0; i < w->n; i++) {
		w->nodes[i].rec = LIST_AT(&im->tasks, struct task_rec, i);
		w->nodes[i].parent = i ? find_node(w, w->nodes[i].rec->ppid) : NULL;
	}
	/* From the last on, so that each list begins with the first. */
	for (size_t i = w->n; i--;) {
		struct node *n = &w->nodes[i];

		if (!n->parent)
			continue;
		n->next_sister = n->parent->children;
		n->parent->children = n;
	}
}

static void walk_finish(struct walk *w)
{
	task_numbers_finish(&w->numbers);
	free(w->nodes);
}

static int walk_all(struct walk *w, struct err *e)
{
	struct node *root = &w->nodes[0];
	int r = check_sharing(w, e);

	if (r < 0)
		return r;
	root->made = true;
	/*
	 * A session from outside stands for itself: whoever was in it is in the root's session
	 * afterwards, which has another number unless it is the caller's own.
	 */
	root->sid = root->rec->sid == root->rec->pid ? 0 : root->rec->sid;
	r = make_children(w, root, e);
	return r ? r : make_groups(w, e);
}

int plan_tree(const struct process_image *im, struct err *e)
{
	struct walk w;
	int r;

	walk_init(&w, im, NULL);
	r = walk_all(&w, e);
	walk_finish(&w);
	return r;
}

static int join_or_found_session(struct restore *r, const struct task_rec *root, struct err *e)
{
	int64_t result = 0;
	int ret;

	/* A leader of its own founds its session in the walk. */
	if (root->sid == root->pid || r->options->tty >= 0 || (pid_t)root->sid == getsid(0))
		return 0;
	ret = remote_one(r, &r->tasks[0].threads[0].tracee, &result, e, SYS_setsid, 0, 0);
	if (!ret && result < 0)
		ret = err_set(e, (int)result, "process %u: setsid", root->pid);
	r->root_founded = true;
	return ret ? ret : restore_session_tty(r, &r->tasks[0].threads[0].tracee, root->sid, e);
}

int restore_tree(struct restore *r, int there, struct err *e)
{
	const struct task_rec *root = LIST_AT(&r->image->tasks, struct task_rec, 0);
	struct walk w;
	int ret = stub_spawn(r, root, there, e);

	if (!ret)
		ret = join_or_found_session(r, root, e);
	if (ret < 0)
		return ret;
	walk_init(&w, r->image, r);
	ret = walk_all(&w, e);
	walk_finish(&w);
	for (size_t i = 0; i < r->n_tasks; i++)
		if (r->tasks[i].n_threads)
			r->tasks[i].pid = r->tasks[i].threads[0].tracee.tid;
	return ret;
}
