/* SPDX-License-Identifier: MIT */
/*
 * What a process tree holds, and what a snapshot can do with each piece.
 *
 * Two steps. First everything is given a *sign*: a short word in a regular form, made from the
 * link in /proc/PID/fd, the name of the mapping, fdinfo and the socket tables, with the facts
 * that matter written out ("socket:TCP:LISTEN", "fd:pipe:outside"). Then one table says what
 * each sign means. Nothing else in this file judges.
 */
#include "kinds/options.h"
#include "ready/ready.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PF_KTHREAD 0x00200000 /* linux/sched.h */
#define OUTSIDE_HINT "; snapshot a tree that holds both ends"

/*
 * The first row that matches decides. A backslash before '[' keeps fnmatch(3) from reading it as
 * a set; '*' matches slashes too.
 */
static const struct ready_kind {
	const char *sign;
	const char *kind;
	enum ready_class class;
	const char *sentence;
} kinds[] = {
	/* Processes */
	{"task:ok", "process", READY_RESTORABLE, NULL},
	{"task:zombie", "zombie", READY_RESTORABLE, NULL},
	{"task:asker", "wslx itself", READY_RESTORABLE,
         "it stands below the program now: start the snapshot from another session"},
	{"task:leader-ended", "process without its first thread", READY_NOT,
         "its first thread has ended and others run on, which cannot be built again"},
	{"task:cpu-timer", "CPU time clock of a timer", READY_NOT,
         "a timer counts the CPU time of one process or thread: that clock cannot be carried over"},
	{"task:wsl", "process of WSL", READY_NOT,
         "it keeps the distribution or its terminal alive and must never be frozen; name the "
         "program itself instead"},
	{"task:kernel", "kernel thread", READY_NOT, "the kernel's own threads are no programs"},
	{"task:init", "init", READY_NOT,
         "it is the first process of its netns; name the program itself, or snapshot the "
         "whole machine"},
	{"task:32-bit", "32-bit program", READY_NOT, "run the 64-bit build of it"},
	{"task:traced", "traced process", READY_NOT,
         "a debugger is attached, and only one can be; detach it"},
	{"task:unreadable", "process of another user", READY_NOT,
         "what it holds may not be read; run this as root, or as its user"},
	{"task:other-user", "process of another user", READY_RESTORABLE,
         "it comes back with its own ids only if root restores it"},
	{"task:seccomp:equal", "inherited seccomp filters", READY_RESTORABLE,
         "the restored program inherits the same number of filters from whoever restores it"},
	{"task:seccomp:fewer", "fewer seccomp filters than ours", READY_RESTORABLE,
         "a restore from here would add a filter to it; restore from an unfiltered session"},
	{"task:seccomp:own", "seccomp filters of its own", READY_NOT,
         "we are filtered ourselves and may not read filters; run this unfiltered, or the program "
         "without its sandbox"},
	{"task:seccomp:readable", "seccomp filters of its own", READY_FULL,
         "filters are to be read and installed again; run the program without its sandbox"},
	{"task:seccomp:strict", "strict seccomp", READY_NOT,
         "a program in this mode cannot answer a single question"},
	{"task:namespace:user", "user namespace of its own", READY_NOT,
         "nested user namespaces are not built again; run wslx inside of it (nsenter --target PID "
         "--all)"},
	{"task:namespace:*", "namespace of its own", READY_FULL,
         "namespaces are to be built again; run wslx inside of it (nsenter --target PID --all)"},
	{"task:shadow-stack", "shadow stack", READY_NOT,
         "user shadow stacks are not rebuilt; start it with "
         "GLIBC_TUNABLES=glibc.cpu.x86_shstk=off"},
	{"task:terminal:outside", "controlling terminal", READY_RESTORABLE,
         "it is the terminal of somebody outside of the tree: a restore attaches the caller's "
         "with --tty"},

	/* Sockets */
	{"socket:TCP*:LISTEN", "listening TCP socket", READY_RESTORABLE, NULL},
	{"socket:TCP*:CLOSE", "unconnected TCP socket", READY_RESTORABLE, NULL},
	{"socket:TCP*:LISTEN-queued", "listening TCP socket", READY_COOPERATIVE,
         "connections that the program has not accepted yet wait in its queue; let it accept them"},
	{"socket:TCP*", "TCP connection", READY_NET,
         "connections are to be resumed where their address comes back too, or closed cleanly; "
         "close it before the snapshot"},
	{"socket:UDP*:queued", "UDP socket", READY_COOPERATIVE,
         "datagrams that the program has not read yet wait in it; let it read them"},
	{"socket:UDP*", "UDP socket", READY_RESTORABLE, NULL},
	{"socket:PING*", "ICMP socket", READY_FULL,
         "it is to be opened again; close it before the snapshot"},
	{"socket:RAW*", "raw socket", READY_FULL,
         "it is to be opened again with CAP_NET_RAW; close it before the snapshot"},
	{"socket:UNIX*:descriptors", "UNIX socket", READY_COOPERATIVE,
         "descriptors are on their way in it (SCM_RIGHTS); let the program receive them"},
	{"socket:UNIX*:pair", "UNIX socket with its peer", READY_RESTORABLE, NULL},
	{"socket:UNIX*:listen", "listening UNIX socket", READY_RESTORABLE, NULL},
	{"socket:UNIX*:loose", "UNIX socket without a peer", READY_RESTORABLE, NULL},
	{"socket:UNIX*:wslg", "WSLg display or sound", READY_NOT,
         "the windows live in another distribution; only programs that reconnect survive that"},
	{"socket:UNIX*:interop", "WSL interop", READY_COOPERATIVE,
         "the line to a Windows program is cut; WSL_INTEROP is set to a live session's socket"},
	{"socket:UNIX*:dbus", "D-Bus connection", READY_COOPERATIVE,
         "the bus sees us leave; the program must connect again"},
	{"socket:UNIX*:outside", "UNIX socket to another program", READY_COOPERATIVE,
         "its peer is not in the tree and reads end of file" OUTSIDE_HINT},
	{"socket:UNIX*:unknown", "UNIX socket", READY_COOPERATIVE,
         "its peer cannot be found out without unix_diag"},
	{"socket:NETLINK:queued", "netlink socket", READY_COOPERATIVE,
         "messages of the kernel that the program has not read yet wait in it; let it read them"},
	{"socket:NETLINK", "netlink socket", READY_RESTORABLE, NULL},
	{"socket:PACKET", "packet socket", READY_FULL,
         "it is to be opened again with CAP_NET_RAW; close it before the snapshot"},
	{"socket:AF_VSOCK:service", "vsock of the WSL service", READY_NOT,
         "the host keeps the distribution alive by this line; it can never be part of a snapshot"},
	{"socket:AF_VSOCK:*", "vsock", READY_COOPERATIVE,
         "both ends must connect again: the other one is outside of this machine"},
	{"socket:MPTCP*", "multipath TCP socket", READY_NOT,
         "the kernel has no way to take such a connection apart; use plain TCP"},
	{"socket:unknown:*", "socket", READY_NOT,
         "what kind it is cannot be found out; run this as root"},
	{"socket:*", "socket of a rare family", READY_NOT,
         "the kernel does not tell its state; close it before the snapshot"},

	/* Pipes and what has no name */
	{"fd:pipe:inside", "pipe", READY_RESTORABLE, NULL},
	{"fd:pipe:outside", "pipe to another program", READY_NOT,
         "its other end is not in the tree" OUTSIDE_HINT},
	{"fd:anon_inode:\\[eventfd]", "eventfd", READY_RESTORABLE, NULL},
	{"fd:anon_inode:\\[eventpoll]", "epoll", READY_RESTORABLE, NULL},
	{"fd:anon_inode:\\[timerfd]", "timerfd", READY_RESTORABLE, NULL},
	{"fd:anon_inode:\\[signalfd]", "signalfd", READY_RESTORABLE, NULL},
	{"fd:anon_inode:inotify", "inotify", READY_RESTORABLE, NULL},
	{"fd:anon_inode:\\[pidfd]:inside", "pidfd", READY_RESTORABLE, NULL},
	{"fd:anon_inode:\\[pidfd]:ended", "pidfd of what has ended", READY_RESTORABLE, NULL},
	{"fd:anon_inode:\\[pidfd]:outside", "pidfd of another program", READY_NOT,
         "it names a process that is not in the tree; snapshot a tree that holds both"},
	{"fd:anon_inode:\\[io_uring]", "io_uring", READY_NOT,
         "requests in flight cannot be taken out of the kernel; have the program use epoll"},
	{"fd:anon_inode:\\[userfaultfd]", "userfaultfd", READY_NOT,
         "who serves the faults of whom is not told by the kernel"},
	{"fd:anon_inode:\\[perf_event]", "perf event", READY_NOT,
         "counters cannot be set; stop profiling it"},
	{"fd:anon_inode:bpf*", "BPF object", READY_NOT,
         "BPF maps and programs stay in the kernel they were loaded into"},
	{"fd:anon_inode:\\[fanotify]", "fanotify", READY_NOT,
         "its pending permissions cannot be read; stop the watcher"},
	{"fd:anon_inode:\\[landlock-ruleset]", "Landlock rules", READY_NOT,
         "rules that are not enforced yet cannot be read"},
	{"fd:anon_inode:seccomp notify", "seccomp listener", READY_NOT,
         "it answers for other programs, which would wait for ever"},
	{"fd:anon_inode:kvm*", "virtual machine", READY_NOT,
         "its state is in the kernel; snapshot it with its own tool"},
	{"fd:anon_inode:*", "kernel object", READY_NOT,
         "the kernel does not tell its state; close it before the snapshot"},
	{"fd:namespace:own", "namespace", READY_RESTORABLE, NULL},
	{"fd:*:\\[*]", "namespace", READY_FULL,
         "the program is not in it; close it before the snapshot"},
	{"fd:/memfd:*", "memfd", READY_RESTORABLE, NULL},
	{"fd:/secretmem*", "secret memory", READY_NOT,
         "the kernel keeps it from everybody but the program itself"},

	/* Files with a name */
	{"fd:lease", "lease on a file", READY_NOT,
         "who breaks a lease must wait for its holder; give it back (F_UNLCK) before the snapshot"},
	{"fd:unmounted", "message queue or other file of the kernel", READY_FULL,
         "it lies in a file system that is mounted nowhere; close it before the snapshot"},
	{"fd:/dev/null", "device", READY_RESTORABLE, NULL},
	{"fd:/dev/zero", "device", READY_RESTORABLE, NULL},
	{"fd:/dev/full", "device", READY_RESTORABLE, NULL},
	{"fd:/dev/random", "device", READY_RESTORABLE, NULL},
	{"fd:/dev/urandom", "device", READY_RESTORABLE, NULL},
	{"fd:/dev/tty", "terminal", READY_RESTORABLE, NULL},
	{"fd:/dev/ptmx:used", "pty master", READY_NOT,
         "somebody outside of the tree uses the terminal that it makes" OUTSIDE_HINT},
	{"fd:/dev/ptmx", "pty master", READY_RESTORABLE, NULL},

	{"fd:/dev/pts/* (deleted)", "pty whose master is gone", READY_RESTORABLE, NULL},
	{"fd:/dev/pts/*:inside", "pty", READY_RESTORABLE, NULL},
	{"fd:/dev/pts/*:outside", "terminal", READY_RESTORABLE,
         "somebody outside of the tree holds its other side: a restore attaches the caller's "
         "terminal with --tty"},
	{"fd:/dev/shm/* (deleted)", "deleted file", READY_RESTORABLE, NULL},
	{"fd:/dev/shm/*", "shared memory file", READY_RESTORABLE, NULL},
	{"fd:/dev/mqueue/*", "message queue", READY_FULL,
         "its messages are to be read and sent again; close it before the snapshot"},
	{"fd:/dev/dxg", "GPU", READY_NOT,
         "its state is on the Windows side; the program must end its GPU work first"},
	{"fd:/dev/nvidia*", "GPU", READY_NOT, "its state is in the driver; end the GPU work first"},
	{"fd:/dev/dri/*", "GPU", READY_NOT, "its state is in the driver; end the GPU work first"},
	{"fd:/dev/kfd", "GPU", READY_NOT, "its state is in the driver; end the GPU work first"},
	{"fd:/dev/fuse", "FUSE server", READY_NOT,
         "the file systems it serves would hang; unmount them"},
	{"fd:/dev/kvm", "virtual machine monitor", READY_NOT,
         "its state is in the kernel; snapshot it with its own tool"},
	{"fd:/dev/net/tun", "tun interface", READY_FULL,
         "the interface is to be made again; close it before the snapshot"},
	{"fd:/dev/hvc*", "console", READY_RESTORABLE,
         "a restore attaches the caller's terminal with --tty"},
	{"fd:/dev/console", "console", READY_RESTORABLE,
         "a restore attaches the caller's terminal with --tty"},
	{"fd:/dev/tty*", "terminal", READY_RESTORABLE,
         "a restore attaches the caller's terminal with --tty"},
	{"fd:/dev/*", "device", READY_NOT,
         "the kernel does not tell the state of this device; close it before the snapshot"},
	{"fd:/proc/*:outside", "file of another process in /proc", READY_NOT,
         "that process is not in the tree; close it, or snapshot a tree that holds both"},
	{"fd:/proc/* (deleted)", "file of an ended process in /proc", READY_NOT,
         "that process is gone; close it before the snapshot"},
	{"fd:/proc/*", "file of /proc", READY_RESTORABLE, NULL},
	{"fd:/sys/*", "file of /sys", READY_RESTORABLE, NULL},
	{"fd:/* (deleted)", "deleted file", READY_RESTORABLE, NULL},
	{"fd:/*:windows", "file on a Windows drive", READY_RESTORABLE,
         "it is found again by its path: it has no stable inode number"},
	{"fd:/*", "file", READY_RESTORABLE, NULL},
	{"fd:*", "file of an unknown kind", READY_NOT,
         "it is not known how to bring this back; close it before the snapshot"},

	/* Memory that is more than bytes */
	{"map:ok", "memory", READY_RESTORABLE, NULL},
	{"map:unreadable", "memory", READY_NOT, "its mappings may not be read; run this as root"},
	{"map:/SYSV*", "SysV shared memory", READY_FULL,
         "it is to be built again with its IPC netns; POSIX shared memory (shm_open) works"},
	{"map:/dev/dxg*", "GPU memory", READY_NOT,
         "its state is on the Windows side; the program must end its GPU work first"},
	{"map:/\\[aio]*", "asynchronous I/O", READY_NOT,
         "requests in flight cannot be taken out of the kernel"},
	{"map:/secretmem*", "secret memory", READY_NOT,
         "the kernel keeps it from everybody but the program itself"},
	{"map:anon_inode:\\[io_uring]", "io_uring", READY_NOT,
         "requests in flight cannot be taken out of the kernel; have the program use epoll"},
	{"map:anon_inode:*", "kernel memory", READY_NOT,
         "it belongs to a kernel object that cannot be rebuilt"},
	{"map:socket:*", "packet ring", READY_NOT, "the ring is shared with the kernel"},
	{"map:device:*", "device memory", READY_NOT, "the state of the device is not in it"},
	{"map:shadow-stack", "shadow stack", READY_NOT, "user shadow stacks are not rebuilt"},
	{"map:userfaultfd", "memory under userfaultfd", READY_NOT,
         "who serves its faults is not told by the kernel"},
	{"map:hugetlb", "reserved huge pages", READY_NOT,
         "use transparent huge pages (madvise) instead"},
	{"map:flag:*", "memory with an unknown property", READY_NOT,
         "this kernel has a property of memory that wslx does not know; a newer wslx may"},
};

static const struct ready_kind *find_kind(const char *sign)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (!fnmatch(kinds[i].sign, sign, 0))
			return &kinds[i];
	}
	/* Every family of signs ends with a row that takes all of it. */
	assert(false);
	return NULL;
}

enum ready_class ready_class_of(const char *sign, const char **kind, const char **sentence)
{
	const struct ready_kind *k = find_kind(sign);

	*kind = k->kind;
	*sentence = k->sentence;
	return k->class;
}

/* ---- collecting ------------------------------------------------------------------------ */

struct scan {
	struct ready_report *report;
	const struct view *view;
	const struct view_proc *self; /* us, or who made the recording; may be NULL */
	struct list inet;            /* struct inet_seen, of the network namespaces seen so far */
	struct list netlink;         /* struct proc_netlink, of the same */
	struct list inet_namespaces; /* const char * */
};

struct inet_seen {
	const char *table; /* "tcp", "udp", ... */
	struct proc_inet sock;
};

static void add(struct scan *s, const struct view_proc *p, const char *where, const char *sign,
                const char *shows)
{
	struct ready_resource r = {
		.pid = p->stat.pid, .where = where, .sign = sign, .shows = shows};

	r.class = ready_class_of(sign, &r.kind, &r.sentence);
	*LIST_ADD(&s->report->resources, &s->report->arena, struct ready_resource) = r;
}

static const char *path_of(struct scan *s, const struct view_proc *p, const char *file)
{
	return arena_printf(&s->report->arena, "proc/%d/%s", p->stat.pid, file);
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
	struct list tids = view_numbers(s->view, path_of(s, p, "task"));

	LIST_EACH(&tids, uint64_t, tid) {
		AUTO(buf) struct buf text = {0};
		struct proc_status status;
		const char *file = arena_printf(a, "task/%u/status", (unsigned)*tid);

		if (*tid == (uint64_t)p->stat.pid ||
		    view_read(s->view, path_of(s, p, file), &text) < 0 ||
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
		"user", "mnt", "pid",    "pid_for_children", "net",
		"ipc",  "uts", "cgroup", "time",             "time_for_children"};

	if (!s->self)
		return;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct arena *a = &s->report->arena;
		const char *file = arena_printf(a, "ns/%s", names[i]);
		const char *theirs = view_link(s->view, path_of(s, p, file));
		const char *ours = view_link(s->view, path_of(s, s->self, file));

		if (theirs && ours && strcmp(theirs, ours) != 0)
			add(s, p, "process", arena_printf(a, "task:namespace:%s", names[i]),
			    theirs);
	}
}

static bool is_in_tree(const struct view *v, pid_t pid)
{
	const struct view_proc *p = view_find(v, pid);

	return p && p->in_tree;
}

static bool read_fdinfo(const struct view *v, const struct view_fd *f, struct arena *a,
                        struct proc_fdinfo *out)
{
	AUTO(buf) struct buf text = {0};
	char path[64];

	snprintf(path, sizeof(path), "proc/%d/fdinfo/%u", f->pid, f->fd);
	return view_read(v, path, &text) == 0 && !proc_parse_fdinfo(buf_span(&text), a, out, NULL);
}

/* Is the master of pty @index held by nobody in the tree? */
static bool master_is_outside(struct scan *s, int index)
{
	LIST_EACH(&s->view->fds, struct view_fd, f) {
		AUTO(arena) struct arena a = {0};
		struct proc_fdinfo info;

		if (is_in_tree(s->view, f->pid) &&
		    (!strcmp(f->link, "/dev/ptmx") || !strcmp(f->link, "/dev/pts/ptmx")) &&
		    read_fdinfo(s->view, f, &a, &info) && info.tty_index == index)
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
		if (!is_in_tree(v, f->pid) && !strcmp(f->link, path))
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

	return view_read(s->view, path_of(s, p, "stat"), &text) < 0 ||
	       proc_parse_stat(buf_span(&text), &now.stat, NULL) < 0 || is_gone(&now);
}

static void scan_timers(struct scan *s, const struct view_proc *p)
{
	struct arena *a = &s->report->arena;
	AUTO(buf) struct buf text = {0};
	struct list timers = {0};

	if (view_read(s->view, path_of(s, p, "timers"), &text) < 0 ||
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

/* ---- sockets --------------------------------------------------------------------------- */

/* The sockets of @p's network namespace, once for each namespace. */
static void read_sockets(struct scan *s, const struct view_proc *p)
{
	static const char *const tables[] = {"tcp", "tcp6", "udp", "udp6", "raw", "raw6", "icmp"};
	struct arena *a = &s->report->arena;
	const char *netns = view_link(s->view, path_of(s, p, "ns/net"));
	AUTO(buf) struct buf netlink = {0};
	struct list netlinks = {0};

	if (!netns)
		netns = "?";
	LIST_EACH(&s->inet_namespaces, const char *, seen) {
		if (!strcmp(*seen, netns))
			return;
	}
	*LIST_ADD(&s->inet_namespaces, a, const char *) = netns;
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		AUTO(buf) struct buf text = {0};
		struct list socks = {0};

		if (view_read(s->view, path_of(s, p, arena_printf(a, "net/%s", tables[i])),
		              &text) ||
		    proc_parse_net_inet(buf_span(&text), a, &socks, NULL))
			continue;
		LIST_EACH(&socks, struct proc_inet, sock)
			*LIST_ADD(&s->inet, a, struct inet_seen) =
				(struct inet_seen){tables[i], *sock};
	}
	if (view_read(s->view, path_of(s, p, "net/netlink"), &netlink) == 0 &&
	    !proc_parse_net_netlink(buf_span(&netlink), a, &netlinks, NULL)) {
		LIST_EACH(&netlinks, struct proc_netlink, n)
			*LIST_ADD(&s->netlink, a, struct proc_netlink) = *n;
	}
}

static bool netlink_is_queued(const struct scan *s, uint64_t inode)
{
	LIST_EACH(&s->netlink, struct proc_netlink, n) {
		if (n->inode == inode)
			return n->receive_queue;
	}
	return false;
}

static const struct inet_seen *find_inet(const struct scan *s, uint64_t inode)
{
	LIST_EACH(&s->inet, struct inet_seen, i) {
		if (i->sock.inode == inode)
			return i;
	}
	return NULL;
}

/* Does a process of the tree hold this socket or pipe? */
static bool in_tree(const struct view *v, uint64_t inode)
{
	LIST_EACH(&v->fds, struct view_fd, f) {
		if (f->inode == inode && is_in_tree(v, f->pid))
			return true;
	}
	return false;
}

static const char *unix_state(struct scan *s, uint64_t inode)
{
	static const struct {
		const char *path, *state;
	} known[] = {
		{"/mnt/wslg/*", "wslg"},           {"@/tmp/.X11-unix/*", "wslg"},
		{"/tmp/.X11-unix/*", "wslg"},      {"/run/WSL/*_interop", "interop"},
		{"/run/user/*/bus", "dbus"},       {"/run/dbus/*", "dbus"},
		{"/var/run/dbus/*", "dbus"},       {"@*dbus*", "dbus"},
		{"/run/user/*/systemd/*", "dbus"},
	};
	const struct proc_unix *self = view_unix(s->view, inode), *other;
	uint64_t peer = view_unix_peer(s->view, inode);

	if (self && self->flags & 0x10000)
		return "listen";
	if (peer == UINT64_MAX)
		return self && self->state == 1 ? "loose" : "unknown";
	if (!peer)
		return "loose";
	if (in_tree(s->view, peer))
		return "pair";
	other = view_unix(s->view, peer);
	for (size_t i = 0; other && i < ARRAY_LEN(known); i++) {
		/* Windows exist in WSL only; elsewhere X11 is a program like any other. */
		if (!fnmatch(known[i].path, other->path, 0) &&
		    (s->report->wsl.version || strcmp(known[i].state, "wslg") != 0))
			return known[i].state;
	}
	return "outside";
}

static const char *inet_state(const struct inet_seen *i)
{
	if (!text_starts(i->table, "tcp"))
		return i->sock.receive_queue ? "queued" : "open";
	switch (i->sock.state) {
	case TCP_LISTEN:
		return i->sock.receive_queue ? "LISTEN-queued" : "LISTEN";
	case TCP_CLOSE:
		return "CLOSE";
	default:
		return "connection";
	}
}

static const char *socket_sign(struct scan *s, const struct view_proc *p, const struct view_fd *f)
{
	struct arena *a = &s->report->arena;
	const char *name = view_socket_name(s->view, f->pid, f->fd);
	const struct inet_seen *inet;
	struct proc_fdinfo info;
	uint32_t cid, port;

	read_sockets(s, p);
	inet = find_inet(s, f->inode);
	/* Without the attribute, the tables tell at least the common families. */
	if (!name && inet)
		name = text_starts(inet->table, "tcp")   ? "TCP"
		       : text_starts(inet->table, "udp") ? "UDP"
		       : text_starts(inet->table, "raw") ? "RAW"
		                                         : "PING";
	if (!name && view_unix(s->view, f->inode))
		name = "UNIX";
	if (!name)
		return "socket:unknown:";
	if (!strcmp(name, "NETLINK"))
		return netlink_is_queued(s, f->inode) ? "socket:NETLINK:queued" : "socket:NETLINK";
	if (text_starts(name, "UNIX") && read_fdinfo(s->view, f, a, &info) && info.scm_fds)
		return arena_printf(a, "socket:%s:descriptors", name);
	if (text_starts(name, "UNIX"))
		return arena_printf(a, "socket:%s:%s", name, unix_state(s, f->inode));
	if (!strcmp(name, "AF_VSOCK"))
		return view_vsock_peer(s->view, f->pid, f->fd, &cid, &port) &&
		                       wsl_is_service(cid, port)
		               ? "socket:AF_VSOCK:service"
		               : "socket:AF_VSOCK:user";
	/* A socket that was never bound is in no table. */
	if (text_starts(name, "TCP") || text_starts(name, "UDP"))
		return arena_printf(a, "socket:%s:%s", name, inet ? inet_state(inet) : "CLOSE");
	return arena_printf(a, "socket:%s", name);
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
		if (!is_in_tree(v, f->pid)) {
			outside = true;
		} else if (read_fdinfo(v, f, &a, &info)) {
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
	const char *theirs = view_link(s->view, path_of(s, p, "ns/mnt"));
	const char *ours = s->self ? view_link(s->view, path_of(s, s->self, "ns/mnt")) : NULL;
	struct proc_fdinfo info;

	if (*f->link != '/' || text_starts(f->link, "/memfd:") ||
	    text_starts(f->link, "/secretmem") || !theirs || !ours || strcmp(theirs, ours) != 0 ||
	    !s->view->mounts.count || !read_fdinfo(s->view, f, a, &info))
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
	own = view_link(s->view, path_of(s, p, arena_printf(a, "ns/%s", name)));
	return own && !strcmp(own, link);
}

/* A pidfd may be of one thread. */
static const char *pidfd_sign(struct scan *s, const struct view_fd *f)
{
	struct arena *a = &s->report->arena;
	struct proc_fdinfo info;

	if (!read_fdinfo(s->view, f, a, &info) || !info.has_pidfd)
		return "fd:anon_inode:[pidfd]:outside";
	if (info.pidfd_pid < 0)
		return "fd:anon_inode:[pidfd]:ended";
	LIST_EACH(&s->view->procs, struct view_proc, p) {
		const char *file = arena_printf(a, "task/%d", info.pidfd_pid);

		if (p->in_tree && view_exists(s->view, path_of(s, p, file)))
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
		return socket_sign(s, p, f);
	if (text_starts(f->link, "pipe:"))
		return pipe_sign(s->view, f->inode);
	if (text_starts(f->link, "anon_inode:[pidfd]"))
		return pidfd_sign(s, f);
	digits = text_starts(f->link, "/proc/") ? strspn(f->link + 6, "0123456789") : 0;
	if (digits && !is_in_tree(s->view, (pid_t)strtol(f->link + 6, NULL, 10)))
		return arena_printf(a, "fd:%s:outside", f->link);
	if (!strcmp(f->link, "/dev/ptmx") || !strcmp(f->link, "/dev/pts/ptmx"))
		return read_fdinfo(s->view, f, a, &info) &&
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
	if (*f->link != '/' || !read_fdinfo(s->view, f, a, &info))
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

	if (view_read(s->view, path_of(s, p, "smaps"), &text) < 0 ||
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
	} words[] = {{"descriptor ", "descriptor "}, {"memory at ", "mapping "}, {"timer ", "timer "}};

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
			*known = (struct ready_resource){.pid = o->pid, .where = "process",
			                                 .sign = "task:refused", .shows = "asked",
			                                 .kind = "obstacle"};
		}
		known->class = READY_NOT;
		known->sentence = arena_text(&r->arena, o->text);
	}
}

void ready_classify_tree(struct ready_report *r, const struct view *v,
                         const struct list *obstacles)
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
		if (!view_link(v, path_of(&s, p, "root"))) {
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
