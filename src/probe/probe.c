/* SPDX-License-Identifier: MIT */
/* The table of probes and what runs them. */
#include "probe/probe.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "os/os.h"
#include "probe/probe-int.h"

#define PROBE_TIMEOUT_MS 5000

/* FEATURE(name, function, need, enables, lost, .instead = ...) */
#define FEATURE(name_, fn, need_, enables_, lost_, ...)                                            \
	{                                                                                          \
		.name = (name_), .need = (need_), .enables = (enables_), .lost = (lost_),          \
		.run = probe_##fn, __VA_ARGS__                                                     \
	}
#define POLICY(name_, fn, enables_, lost_, ...)                                                    \
	{                                                                                          \
		.name = (name_), .policy = true, .need = PROBE_HELPS, .enables = (enables_),       \
		.lost = (lost_), .run = probe_##fn, __VA_ARGS__                                    \
	}

const struct probe probes[] = {
	/* Asking a task */
	FEATURE("ptrace", ptrace, PROBE_NEEDED, "stopping a program and asking it",
                "nothing can be snapshotted"),
	FEATURE("ptrace-xstate", xstate, PROBE_NEEDED, "all registers: x87, SSE, AVX, AMX, PKRU",
                "registers would be lost, so nothing is snapshotted"),
	FEATURE("ptrace-peeksiginfo", peeksiginfo, PROBE_HELPS,
                "pending signals with their senders", "a program with pending signals is refused"),
	FEATURE("ptrace-rseq", rseq, PROBE_HELPS, "restartable sequences registered again",
                "programs of glibc 2.35 and later are refused"),
	FEATURE("ptrace-seccomp-filter", seccomp_get_filter, PROBE_HELPS,
                "a program's own seccomp filters read and restored",
                "a program with seccomp filters of its own is refused"),
	FEATURE("ptrace-suspend-seccomp", suspend_seccomp, PROBE_HELPS,
                "asking a program that its filters keep from answering",
                "a program whose filters forbid the questions is refused"),
	FEATURE("ptrace-set-syscall-info", set_syscall_info, PROBE_HELPS,
                "system calls changed without regard to the architecture's registers",
                "the registers are written instead, nothing is lost on x86-64",
                .instead = "ptrace"),
	FEATURE("process-vm-readv", vm_readv, PROBE_HELPS, "memory read in large batches",
                "memory is read through /proc/PID/mem, a little slower", .instead = "ptrace"),
	FEATURE("proc-mem-force", mem_force, PROBE_HELPS,
                "writing a traced program's read-only pages",
                "pages are made writable first, with two more remote calls each",
                .instead = "ptrace"),
	FEATURE("kcmp", kcmp, PROBE_NEEDED, "finding out which files and tables are shared",
                "shared descriptors cannot be told from equal ones, so nothing is snapshotted"),
	FEATURE("pidfd-open", pidfd_open, PROBE_HELPS, "naming a process without a race",
                "a pid that is reused meanwhile would not be noticed"),
	FEATURE("pidfd-getfd", pidfd_getfd, PROBE_HELPS, "copies of a program's sockets and pipes",
                "sockets and anonymous files are refused"),
	FEATURE("map-files", map_files, PROBE_HELPS,
                "files that are mapped but neither open nor linked",
                "a program that maps deleted files is refused"),
	FEATURE("procmap-query", procmap_query, PROBE_HELPS,
                "the mapping at an address without reading all of maps",
                "maps is read, a few milliseconds for 10,000 mappings", .instead = "ptrace"),
	/* Memory */
	FEATURE("pagemap", pagemap, PROBE_NEEDED, "which pages hold anything",
                "untouched memory cannot be told from data, so nothing is snapshotted"),
	FEATURE("pagemap-scan", pagemap_scan, PROBE_HELPS,
                "present and changed pages found in one call",
                "pagemap is read, eight bytes for every page of address space"),
	FEATURE("soft-dirty", soft_dirty, PROBE_HELPS, "incremental snapshots without userfaultfd",
                "changes are tracked with userfaultfd, or every snapshot is a full one",
                .instead = "userfaultfd-wp-async"),
	FEATURE("userfaultfd", userfaultfd, PROBE_HELPS,
                "a restored program that runs before its memory is there",
                "a restore loads all memory first (--eager)", .instead = "userfaultfd-kernel"),
	FEATURE("userfaultfd-kernel", userfaultfd_kernel, PROBE_HELPS,
                "the same while system calls touch memory that is not there yet",
                "a restore loads all memory first (--eager)"),
	FEATURE("userfaultfd-wp-async", userfaultfd_wp_async, PROBE_HELPS,
                "incremental snapshots: the kernel notes what is written",
                "soft-dirty is used where it works, else every snapshot is a full one"),
	FEATURE("memfd", memfd, PROBE_HELPS, "anonymous files with their seals",
                "programs that use memfd are refused"),
	FEATURE("mseal", mseal, PROBE_HELPS, "sealed mappings sealed again",
                "programs with sealed mappings are refused"),
	FEATURE("guard-regions", guard_regions, PROBE_HELPS, "guard pages without a mapping",
                "programs that use them do not exist on this kernel", .instead = "ptrace"),
	/* Building a task */
	FEATURE("clone3-set-tid", set_tid, PROBE_HELPS, "the same pids after a restore",
                "a restore needs --pidns"),
	FEATURE("ns-last-pid", ns_last_pid, PROBE_HELPS,
                "choosing the next pid where clone3 cannot",
                "nothing: clone3-set-tid or --pidns is used", .instead = "ptrace"),
	FEATURE("prctl-set-mm-map", set_mm_map, PROBE_HELPS,
                "arguments, environment, heap and code where they were",
                "ps and /proc/PID/cmdline show wrong texts, and brk cannot grow"),
	FEATURE("timer-ids", timer_ids, PROBE_HELPS, "POSIX timers created with a given id",
                "timers are created and deleted until the id is reached"),
	FEATURE("close-range", close_range, PROBE_HELPS, "closing what a restore does not hand on",
                "descriptors are closed one by one", .instead = "ptrace"),
	FEATURE("pid-namespace", pid_namespace, PROBE_HELPS,
                "--pidns: the same pids though they are taken",
                "a restore fails when one of its pids is taken", .instead = "user-namespace"),
	FEATURE("user-namespace", user_namespace, PROBE_HELPS,
                "snapshots of the caller's own programs without root",
                "root, or CAP_CHECKPOINT_RESTORE and CAP_SYS_PTRACE, are needed",
                .instead = "cap-sys-admin"),
	/* Sockets */
	FEATURE("tcp-repair", tcp_repair, PROBE_HELPS,
                "established TCP connections (--profile net)",
                "a program with TCP connections is refused"),
	FEATURE("diag-inet", diag_inet, PROBE_HELPS, "TCP and UDP sockets named by inode",
                "sockets are asked through copies of them", .instead = "pidfd-getfd"),
	FEATURE("diag-unix", diag_unix, PROBE_HELPS, "the peers of UNIX sockets",
                "a program with connected UNIX sockets is refused"),
	FEATURE("diag-netlink", diag_netlink, PROBE_HELPS, "netlink sockets",
                "sockets are asked through copies of them", .instead = "pidfd-getfd"),
	FEATURE("diag-packet", diag_packet, PROBE_HELPS, "packet sockets",
                "sockets are asked through copies of them", .instead = "pidfd-getfd"),
	FEATURE("diag-vsock", diag_vsock, PROBE_HELPS,
                "the ends of vsock connections of every program",
                "only vsock descriptors that can be copied are named"),
	/* What the administrator and the kernel's configuration allow */
	POLICY("seccomp-init", seccomp_init, "no filter on everything that init starts",
               "every program carries a filter: it is a baseline that a restore inherits"),
	POLICY("seccomp-self", seccomp_self, "reading other programs' filters",
               "filters can neither be read nor suspended: only the same number of them restores"),
	POLICY("yama", yama, "tracing programs of the same user",
               "only root with CAP_SYS_PTRACE can snapshot what it did not start",
               .instead = "cap-sys-ptrace"),
	POLICY("cap-checkpoint-restore", cap_checkpoint_restore, "pids, map_files, PR_SET_MM_MAP",
               "CAP_SYS_ADMIN does the same; without both, --pidns and a user namespace",
               .instead = "cap-sys-admin"),
	POLICY("cap-sys-admin", cap_sys_admin, "filters, namespaces, mounts",
               "programs with seccomp filters of their own are refused"),
	POLICY("cap-sys-ptrace", cap_sys_ptrace, "programs of other users",
               "only the caller's own programs"),
	POLICY("cap-sys-resource", cap_sys_resource, "raising limits and reading those of others",
               "limits are asked from inside the program; hard limits cannot be raised again"),
	POLICY("cap-net-admin", cap_net_admin, "established TCP connections",
               "a program with TCP connections is refused"),
	POLICY("lockdown", lockdown, "a kernel that may be looked into",
               "nothing that a snapshot uses today", .instead = "ptrace"),
	POLICY("user-namespace-limit", user_namespace_limit, "user namespaces for the caller",
               "no snapshots without root", .instead = "cap-sys-admin"),
};
const size_t n_probes = ARRAY_LEN(probes);

static void answer(struct probe_result *r, enum probe_answer a, const char *fmt, va_list ap)
{
	r->answer = a;
	vsnprintf(r->detail, sizeof(r->detail), fmt, ap);
}

void probe_yes(struct probe_result *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	answer(r, PROBE_YES, fmt, ap);
	va_end(ap);
}

void probe_no(struct probe_result *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	answer(r, PROBE_NO, fmt, ap);
	va_end(ap);
}

void probe_unknown(struct probe_result *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	answer(r, PROBE_UNKNOWN, fmt, ap);
	va_end(ap);
}

void probe_no_errno(struct probe_result *r, const char *what)
{
	probe_no(r, "%s: %s", what, strerror(errno));
}

/* ---- a process to try things on -------------------------------------------------------- */

int probe_target_start(int (*prepare)(void))
{
	AUTO(fd) int ready = -1;
	int ends[2];
	pid_t pid, parent = getpid();
	char byte;

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	ready = ends[0];
	pid = fork();
	if (pid) {
		int code = errno;

		close(ends[1]);
		if (pid > 0 && read(ready, &byte, 1) != 1) {
			probe_target_end(pid);
			errno = EOPNOTSUPP;
			return -1;
		}
		errno = code;
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || (prepare && prepare()) || write(ends[1], "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

void probe_target_end(int pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

/* ---- running --------------------------------------------------------------------------- */

static _Noreturn void run_in_child(const struct probe *p, int root, int out, pid_t parent)
{
	struct probe_result r = {0};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	signal(SIGCHLD, SIG_DFL);
	p->run(root, &r);
	_exit(os_write_all(out, &r, sizeof(r)) ? 1 : 0);
}

void probe_run(const struct probe *p, int root, struct probe_result *r)
{
	AUTO(fd) int in = -1;
	struct probe_result got;
	struct pollfd pfd;
	pid_t pid, parent = getpid();
	int ends[2], ready;

	if (root != AT_FDCWD && !p->policy) {
		probe_unknown(r, "not tried: this is a recording");
		return;
	}
	if (pipe2(ends, O_CLOEXEC)) {
		probe_unknown(r, "pipe2: %s", strerror(errno));
		return;
	}
	in = ends[0];
	pid = fork();
	if (!pid)
		run_in_child(p, root, ends[1], parent);
	close(ends[1]);
	if (pid < 0) {
		probe_unknown(r, "fork: %s", strerror(errno));
		return;
	}
	pfd = (struct pollfd){.fd = in, .events = POLLIN};
	while ((ready = poll(&pfd, 1, PROBE_TIMEOUT_MS)) < 0 && errno == EINTR)
		;
	/* The answer is one write of less than PIPE_BUF, so it comes whole or not at all. */
	if (ready > 0 && read(in, &got, sizeof(got)) == sizeof(got))
		*r = got;
	else if (ready > 0)
		probe_unknown(r, "the probe was killed");
	else
		probe_unknown(r, "no answer within %d seconds", PROBE_TIMEOUT_MS / 1000);
	probe_target_end(pid);
}

const struct probe *probe_find(const char *name)
{
	for (size_t i = 0; i < n_probes; i++) {
		if (!strcmp(probes[i].name, name))
			return &probes[i];
	}
	return NULL;
}

const char *probe_answer_name(enum probe_answer a)
{
	static const char *const names[] = {
		[PROBE_UNKNOWN] = "unknown", [PROBE_YES] = "yes", [PROBE_NO] = "no"};

	return names[a];
}
