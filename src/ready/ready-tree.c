/* SPDX-License-Identifier: MIT */
/*
 * What a process tree holds, and what a snapshot can do with each piece.
 *
 * Two steps. First everything is given a *sign*: a short word in a regular form, made from the
 * link in /proc/PID/fd, the name of the mapping, fdinfo and the socket tables, with the facts
 * that matter written out ("socket:TCP:LISTEN", "fd:pipe:outside"). Then one table says what
 * each sign means (ready-signs.c). Nothing else judges.
 */
#include "kinds/options.h"
#include "ready/scan.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PF_KTHREAD 0x00200000 /* linux/sched.h */

/* ---- collecting ------------------------------------------------------------------------ */

const char *scan_path(struct scan *s, const struct view_proc *p, const char *file)
{
	return arena_printf(&s->report->arena, "proc/%d/%s", p->stat.pid, file);
}

bool scan_in_tree(const struct view *v, pid_t pid)
{
	const struct view_proc *p = view_find(v, pid);

	return p && p->in_tree;
}

bool scan_fdinfo(const struct view *v, const struct view_fd *f, struct arena *a,
                 struct proc_fdinfo *out)
{
	AUTO(buf) struct buf text = {0};
	char path[64];

	snprintf(path, sizeof(path), "proc/%d/fdinfo/%u", f->pid, f->fd);
	return view_read(v, path, &text) == 0 && !proc_parse_fdinfo(buf_span(&text), a, out, NULL);
}

bool scan_holds(const struct view *v, uint64_t inode)
{
	LIST_EACH(&v->fds, struct view_fd, f) {
		if (f->inode == inode && scan_in_tree(v, f->pid))
			return true;
	}
	return false;
}

static void add(struct scan *s, const struct view_proc *p, const char *where, const char *sign,
                const char *shows)
{
	struct ready_resource r = {
		.pid = p->stat.pid, .where = where, .sign = sign, .shows = shows};

	r.class = ready_class_of(sign, &r.kind, &r.sentence);
	*LIST_ADD(&s->report->resources, &s->report->arena, struct ready_resource) = r;
}

/* ---- tasks ----------------------------------------------------------------------------- */

static void scan_seccomp(struct scan *s, const struct view_proc *p, const char *where,
                         const struct proc_status *status)
{
	const struct proc_status *self = s->self ? &s->self->status : NULL;
	const bool filtered = self && self->seccomp;
	const int32_t ours = filtered ? self->seccomp_filters : 0;
	const int32_t theirs = status->seccomp ? status->seccomp_filters : 0;
	const char *sign = NULL;

	if (status->seccomp == 1)
		sign = "task:seccomp:strict";
	else if (status->seccomp && !filtered)
		sign = "task:seccomp:readable";
	else if (status->seccomp && theirs == ours)
		sign = "task:seccomp:equal";
	else if (status->seccomp)
		sign = "task:seccomp:own";
	else if (filtered)
		sign = "task:seccomp:fewer";
	if (sign)
		add(s, p, where, sign,
		    arena_printf(&s->report->arena, "filters: %d, ours: %d", theirs, ours));
}

/* Threads are told about only where they differ from the first one. */
static void scan_threads(struct scan *s, const struct view_proc *p)
{
	struct arena *a = &s->report->arena;
	struct list tids = view_numbers(s->view, scan_path(s, p, "task"));

	LIST_EACH(&tids, uint64_t, tid) {
		AUTO(buf) struct buf text = {0};
		struct proc_status status;
		const char *file = arena_printf(a, "task/%u/status", (unsigned)*tid);

		if (*tid == (uint64_t)p->stat.pid ||
		    view_read(s->view, scan_path(s, p, file), &text) < 0 ||
		    proc_parse_status(buf_span(&text), a, &status, NULL))
			continue;
		if (status.seccomp != p->status.seccomp ||
		    status.seccomp_filters != p->status.seccomp_filters)
			scan_seccomp(s, p, arena_printf(a, "thread %u", (unsigned)*tid), &status);
	}
}

static void scan_namespaces(struct scan *s, const struct view_proc *p)
{
	static const char *const names[] = {
		"user", "mnt",    "pid",  "pid_for_children", "net", "ipc",
		"uts",  "cgroup", "time", "time_for_children"};

	if (!s->self)
		return;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct arena *a = &s->report->arena;
		const char *file = arena_printf(a, "ns/%s", names[i]);
		const char *theirs = view_link(s->view, scan_path(s, p, file));
		const char *ours = view_link(s->view, scan_path(s, s->self, file));

		if (theirs && ours && strcmp(theirs, ours) != 0)
			add(s, p, "process", arena_printf(a, "task:namespace:%s", names[i]),
			    theirs);
	}
}

/* Is the master of pty @index held by nobody in the tree? */
static bool master_is_outside(struct scan *s, int index)
{
	LIST_EACH(&s->view->fds, struct view_fd, f) {
		AUTO(arena) struct arena a = {0};
		struct proc_fdinfo info;

		if (scan_in_tree(s->view, f->pid) &&
		    (!strcmp(f->link, "/dev/ptmx") || !strcmp(f->link, "/dev/pts/ptmx")) &&
		    scan_fdinfo(s->view, f, &a, &info) && info.tty_index == index)
			return false;
	}
	return true;
}

/* Does somebody outside of the tree have pty @index open? */
static bool slave_is_outside(const struct view *v, int index)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/pts/%d", index);
	LIST_EACH(&v->fds, struct view_fd, f) {
		if (!scan_in_tree(v, f->pid) && !strcmp(f->link, path))
			return true;
	}
	return false;
}

static bool is_gone(const struct view_proc *p)
{
	return p->stat.state == 'Z' || p->stat.state == 'X';
}

/* The processes were listed before they were looked at. */
static bool is_gone_by_now(struct scan *s, const struct view_proc *p)
{
	AUTO(buf) struct buf text = {0};
	struct view_proc now = *p;

	return view_read(s->view, scan_path(s, p, "stat"), &text) < 0 ||
	       proc_parse_stat(buf_span(&text), &now.stat, NULL) < 0 || is_gone(&now);
}

static void scan_timers(struct scan *s, const struct view_proc *p)
{
	struct arena *a = &s->report->arena;
	AUTO(buf) struct buf text = {0};
	struct list timers = {0};

	if (view_read(s->view, scan_path(s, p, "timers"), &text) < 0 ||
	    proc_parse_timers(buf_span(&text), a, &timers, NULL))
		return;
	LIST_EACH(&timers, struct proc_timer, t) {
		/* In a clock of CPU time its owner stands, inverted; 0 is whoever asks. */
		if (t->clock < 0 && ~(t->clock >> 3))
			add(s, p, arena_printf(a, "timer %d", t->id), "task:cpu-timer",
			    arena_printf(a, "clock %d", t->clock));
	}
}

static void scan_task(struct scan *s, const struct view_proc *p)
{
	/* Major number 136 and on are ptys, in the encoding of dev_t that stat uses. */
	const uint32_t tty = (uint32_t)p->stat.tty_nr, major = tty >> 8 & 0xfff;

	if (p->stat.flags & PF_KTHREAD)
		add(s, p, "process", "task:kernel", p->stat.comm);
	else if (is_gone(p))
		add(s, p, "process", p->stat.n_threads > 1 ? "task:leader-ended" : "task:zombie",
		    p->stat.comm);
	else if (s->report->wsl.version && wsl_is_own_process(p))
		add(s, p, "process", "task:wsl", p->stat.comm);
	else if (p->stat.pid == 1 || (p->has_status && p->status.ns_pid == 1))
		add(s, p, "process", "task:init", p->stat.comm);
	else
		add(s, p, "process", "task:ok", p->stat.comm);
	if (!p->has_status || is_gone(p))
		return;
	/* The stack of a 64-bit program is above 4 GiB, wherever else its memory lies. */
	if (p->stat.start_stack && p->stat.start_stack <= UINT32_MAX)
		add(s, p, "process", "task:32-bit", p->stat.comm);
	if (p->status.tracer_pid)
		add(s, p, "process", "task:traced",
		    arena_printf(&s->report->arena, "by process %d", p->status.tracer_pid));
	if (s->self && p->status.uid[1] != s->self->status.uid[1])
		add(s, p, "process", "task:other-user",
		    arena_printf(&s->report->arena, "user %u", p->status.uid[1]));
	if (p->status.shadow_stack)
		add(s, p, "process", "task:shadow-stack", p->stat.comm);
	scan_seccomp(s, p, "process", &p->status);
	scan_threads(s, p);
	scan_namespaces(s, p);
	scan_timers(s, p);
	if (major >= 136 && major <= 143) {
		int index = (int)((major - 136) << 20 | (tty & 0xff) | (tty >> 12 & 0xfff00));

		if (master_is_outside(s, index))
			add(s, p, "process", "task:terminal:outside",
			    arena_printf(&s->report->arena, "/dev/pts/%d", index));
	}
}

/* ---- descriptors ----------------------------------------------------------------------- */

/*
 * A pipe is inside if the tree holds a reader and a writer, or if nobody else holds it at all, so
 * far as we may look.
 */
static const char *pipe_sign(const struct view *v, uint64_t inode)
{
	bool reader = false, writer = false, outside = false;

	LIST_EACH(&v->fds, struct view_fd, f) {
		AUTO(arena) struct arena a = {0};
		struct proc_fdinfo info;

		if (f->inode != inode || !text_starts(f->link, "pipe:"))
			continue;
		if (!scan_in_tree(v, f->pid)) {
			outside = true;
		} else if (scan_fdinfo(v, f, &a, &info)) {
			reader |= (info.flags & O_ACCMODE) != O_WRONLY;
			writer |= (info.flags & O_ACCMODE) != O_RDONLY;
		}
	}
	return (reader && writer) || !outside ? "fd:pipe:inside" : "fd:pipe:outside";
}

static bool on_windows_drive(const struct view *v, const char *path)
{
	const struct proc_mount *best = NULL;
	size_t best_len = 0;

	LIST_EACH(&v->mounts, struct proc_mount, m) {
		size_t n = strlen(m->point);

		if (n == 1)
			n = 0;
		if (n >= best_len && !strncmp(path, m->point, n) &&
		    (path[n] == '/' || !path[n] || !n)) {
			best = m;
			best_len = n;
		}
	}
	return best && (!strcmp(best->fstype, "9p") || !strcmp(best->fstype, "virtiofs"));
}

/*
 * A file with a path in a file system that is mounted nowhere: a POSIX message queue, seen as
 * "/name", or a file whose mount was detached. Only where its owner sees the mounts that we see.
 */
static bool is_unmounted(struct scan *s, const struct view_proc *p, const struct view_fd *f)
{
	struct arena *a = &s->report->arena;
	const char *theirs = view_link(s->view, scan_path(s, p, "ns/mnt"));
	const char *ours = s->self ? view_link(s->view, scan_path(s, s->self, "ns/mnt")) : NULL;
	struct proc_fdinfo info;

	if (*f->link != '/' || text_starts(f->link, "/memfd:") ||
	    text_starts(f->link, "/secretmem") || !theirs || !ours || strcmp(theirs, ours) != 0 ||
	    !s->view->mounts.count || !scan_fdinfo(s->view, f, a, &info))
		return false;
	LIST_EACH(&s->view->mounts, struct proc_mount, m) {
		if (m->id == info.mount_id)
			return false;
	}
	return true;
}

static bool is_own_namespace(struct scan *s, const struct view_proc *p, const char *link)
{
	struct arena *a = &s->report->arena;
	char *name = arena_text(a, link); /* "net:[4026531840]" */
	const char *own;

	if (strchr(name, '/'))
		return false;
	name[strcspn(name, ":")] = '\0';
	own = view_link(s->view, scan_path(s, p, arena_printf(a, "ns/%s", name)));
	return own && !strcmp(own, link);
}

/* A pidfd may be of one thread. */
static const char *pidfd_sign(struct scan *s, const struct view_fd *f)
{
	struct arena *a = &s->report->arena;
	struct proc_fdinfo info;

	if (!scan_fdinfo(s->view, f, a, &info) || !info.has_pidfd)
		return "fd:anon_inode:[pidfd]:outside";
	if (info.pidfd_pid < 0)
		return "fd:anon_inode:[pidfd]:ended";
	LIST_EACH(&s->view->procs, struct view_proc, p) {
		const char *file = arena_printf(a, "task/%d", info.pidfd_pid);

		if (p->in_tree && view_exists(s->view, scan_path(s, p, file)))
			return "fd:anon_inode:[pidfd]:inside";
	}
	return "fd:anon_inode:[pidfd]:outside";
}

static const char *fd_sign(struct scan *s, const struct view_proc *p, const struct view_fd *f)
{
	struct arena *a = &s->report->arena;
	struct proc_fdinfo info;
	uint64_t index;
	size_t digits;

	if (text_starts(f->link, "socket:"))
		return scan_socket_sign(s, p, f);
	if (text_starts(f->link, "pipe:"))
		return pipe_sign(s->view, f->inode);
	if (text_starts(f->link, "anon_inode:[pidfd]"))
		return pidfd_sign(s, f);
	digits = text_starts(f->link, "/proc/") ? strspn(f->link + 6, "0123456789") : 0;
	if (digits && !scan_in_tree(s->view, (pid_t)strtol(f->link + 6, NULL, 10)))
		return arena_printf(a, "fd:%s:outside", f->link);
	if (!strcmp(f->link, "/dev/ptmx") || !strcmp(f->link, "/dev/pts/ptmx"))
		return scan_fdinfo(s->view, f, a, &info) &&
		                       slave_is_outside(s->view, info.tty_index)
		               ? "fd:/dev/ptmx:used"
		               : "fd:/dev/ptmx";
	if (text_starts(f->link, "/dev/pts/") &&
	    !text_to_u64(f->link + strlen("/dev/pts/"), 10, INT32_MAX, &index))
		return arena_printf(a, "fd:%s:%s", f->link,
		                    master_is_outside(s, (int)index) ? "outside" : "inside");
	if (is_own_namespace(s, p, f->link))
		return "fd:namespace:own";
	if (is_unmounted(s, p, f))
		return "fd:unmounted";
	if (*f->link == '/' && s->report->wsl.version && on_windows_drive(s->view, f->link))
		return arena_printf(a, "fd:%s:windows", f->link);
	return arena_printf(a, "fd:%s", f->link);
}

static void scan_leases(struct scan *s, const struct view_proc *p, const struct view_fd *f)
{
	struct arena *a = &s->report->arena;
	struct proc_fdinfo info;

	/* Only files with a name can be leased. */
	if (*f->link != '/' || !scan_fdinfo(s->view, f, a, &info))
		return;
	LIST_EACH(&info.locks, struct proc_lock, l) {
		if (l->kind == 'L')
			add(s, p, arena_printf(a, "descriptor %u", f->fd), "fd:lease", f->link);
	}
}

static void scan_descriptors(struct scan *s, const struct view_proc *p)
{
	LIST_EACH(&s->view->fds, struct view_fd, f) {
		if (f->pid != p->stat.pid)
			continue;
		add(s, p, arena_printf(&s->report->arena, "descriptor %u", f->fd), fd_sign(s, p, f),
		    f->link);
		scan_leases(s, p, f);
	}
}

/* ---- memory ---------------------------------------------------------------------------- */

static const char *vma_sign(struct arena *a, const struct proc_vma *v)
{
	static const char *const names[] = {"/SYSV",      "/dev/dxg",    "/[aio]",
	                                    "/secretmem", "anon_inode:", "socket:"};

	if (!strcmp(v->name, "[vdso]") || !strcmp(v->name, "[vvar]") ||
	    !strcmp(v->name, "[vvar_vclock]") || !strcmp(v->name, "[vsyscall]"))
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (text_starts(v->name, names[i]))
			return arena_printf(a, "map:%s", v->name);
	}
	if (v->unknown_flag)
		return arena_printf(a, "map:flag:%s", v->unknown_flag);
	if (v->flags & PROC_VM_SHADOW_STACK)
		return "map:shadow-stack";
	if (v->flags & (PROC_VM_UFFD_MISSING | PROC_VM_UFFD_WP | PROC_VM_UFFD_MINOR))
		return "map:userfaultfd";
	if (v->flags & (PROC_VM_IO | PROC_VM_PFNMAP | PROC_VM_MIXEDMAP))
		return arena_printf(a, "map:device:%s", v->name);
	if (v->flags & PROC_VM_HUGETLB)
		return "map:hugetlb";
	return NULL;
}

static void scan_memory(struct scan *s, const struct view_proc *p)
{
	struct arena *a = &s->report->arena;
	AUTO(buf) struct buf text = {0};
	struct list vmas = {0};
	uint64_t bytes = 0;
	size_t plain = 0;
	char size[16];

	if (view_read(s->view, scan_path(s, p, "smaps"), &text) < 0 ||
	    proc_parse_maps(buf_span(&text), a, &vmas, NULL)) {
		add(s, p, "memory", "map:unreadable", p->stat.comm);
		return;
	}
	LIST_EACH(&vmas, struct proc_vma, v) {
		const char *sign = vma_sign(a, v);

		if (sign) {
			add(s, p, arena_printf(a, "memory at %" PRIx64, v->start), sign, v->name);
		} else {
			plain++;
			bytes += v->end - v->start;
		}
	}
	add(s, p, "memory", "map:ok",
	    arena_printf(a, "%zu mappings of %s", plain, text_of_bytes(size, bytes)));
}

/* ---- what the engine says ----------------------------------------------------------------- */

/* An obstacle begins with what it is about: "descriptor 5 is ...", "mapping 7f00 is ...". */
static bool is_about(const struct obstacle *o, const struct ready_resource *r)
{
	static const struct {
		const char *where, *text;
	} words[] = {
		{"descriptor ", "descriptor "}, {"memory at ", "mapping "}, {"timer ", "timer "}};

	if (o->pid != r->pid)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		const char *number;
		size_t n;

		if (!text_starts(r->where, words[i].where) || !text_starts(o->text, words[i].text))
			continue;
		number = r->where + strlen(words[i].where);
		n = strlen(number);
		return !strncmp(o->text + strlen(words[i].text), number, n) &&
		       strchr(" :", o->text[strlen(words[i].text) + n]);
	}
	return false;
}

static void believe(struct ready_report *r, const struct list *obstacles)
{
	LIST_EACH(&r->resources, struct ready_resource, res) {
		/* It takes all of the tree, so this too. */
		if (!obstacles->count && res->class > READY_TAKEN) {
			res->class = READY_RESTORABLE;
			res->sentence = NULL;
		}
	}
	LIST_EACH(obstacles, struct obstacle, o) {
		struct ready_resource *known = NULL;

		LIST_EACH(&r->resources, struct ready_resource, res) {
			if (is_about(o, res))
				known = res;
		}
		if (!known) {
			known = LIST_ADD(&r->resources, &r->arena, struct ready_resource);
			*known = (struct ready_resource){.pid = o->pid,
			                                 .where = "process",
			                                 .sign = "task:refused",
			                                 .shows = "asked",
			                                 .kind = "obstacle"};
		}
		known->class = READY_NOT;
		known->sentence = arena_text(&r->arena, o->text);
	}
}

void ready_classify_tree(struct ready_report *r, const struct view *v, const struct list *obstacles)
{
	struct scan s = {.report = r, .view = v};
	const char *self = view_link(v, "proc/self");
	const struct view_proc *asker = NULL;
	uint64_t pid;

	if (self && !text_to_u64(self, 10, INT32_MAX, &pid))
		asker = view_find(v, (pid_t)pid);
	if (asker && asker->has_status)
		s.self = asker;
	LIST_EACH(&v->procs, struct view_proc, p) {
		if (!p->in_tree)
			continue;
		/* Who asks may stand below the shell that is asked about. What it holds is gone
		 * when a snapshot is taken. */
		if (p == asker) {
			add(&s, p, "process", "task:asker", p->stat.comm);
			continue;
		}
		r->n_tasks++;
		scan_task(&s, p);
		if (is_gone(p) || p->stat.flags & PF_KTHREAD)
			continue;
		if (!view_link(v, scan_path(&s, p, "root"))) {
			if (is_gone_by_now(&s, p))
				continue;
			add(&s, p, "process", "task:unreadable", p->stat.comm);
		}
		scan_descriptors(&s, p);
		scan_memory(&s, p);
	}
	if (obstacles)
		believe(r, obstacles);
	LIST_EACH(&r->resources, struct ready_resource, res)
		r->counts[res->class]++;
}
