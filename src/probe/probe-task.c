/* SPDX-License-Identifier: MIT */
/* Probes of what makes and names tasks. */
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "os/abi.h"
#include "os/os.h"
#include "probe/probe-int.h"

/* A pid that is free at this moment: that of a child that has just been waited for. */
static pid_t free_pid(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	if (pid > 0 && waitpid(pid, NULL, 0) != pid)
		return -1;
	return pid;
}

static pid_t clone_with_pid(pid_t want)
{
	pid_t set_tid[1] = {want};
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)set_tid,
		.set_tid_size = 1,
	};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (!pid)
		_exit(getpid() == want ? 0 : 1);
	return pid;
}

void probe_set_tid(int root, struct probe_result *r)
{
	/* Somebody else may take the pid between the two calls; not ten times in a row. */
	for (int tries = 0; tries < 10; tries++) {
		pid_t want = free_pid(), pid;
		int status;

		if (want < 0) {
			probe_unknown(r, "fork: %s", strerror(errno));
			return;
		}
		pid = clone_with_pid(want);
		if (pid < 0 && errno == EEXIST)
			continue;
		if (pid < 0)
			probe_no_errno(r, "clone3 with set_tid");
		else if (waitpid(pid, &status, 0) == pid && pid == want && !status)
			probe_yes(r, "clone3 made a process with the pid %d as asked", want);
		else
			probe_no(r, "clone3 made pid %d where %d was asked for", pid, want);
		return;
	}
	probe_unknown(r, "every pid that was asked for was taken at once");
}

void probe_ns_last_pid(int root, struct probe_result *r)
{
	AUTO(fd) int fd = open("/proc/sys/kernel/ns_last_pid", O_RDWR | O_CLOEXEC);
	char text[32];
	ssize_t n;

	if (fd < 0) {
		probe_no_errno(r, "/proc/sys/kernel/ns_last_pid");
		return;
	}
	/* Writing what is there already changes nothing for anybody. */
	n = read(fd, text, sizeof(text));
	if (n <= 0 || pwrite(fd, text, (size_t)n, 0) != n)
		probe_no_errno(r, "writing ns_last_pid");
	else
		probe_yes(r, "ns_last_pid can be written");
}

void probe_kcmp(int root, struct probe_result *r)
{
	AUTO(fd) int a = open("/dev/null", O_RDONLY | O_CLOEXEC);
	AUTO(fd) int b = open("/dev/null", O_RDONLY | O_CLOEXEC);
	AUTO(fd) int copy = fcntl(a, F_DUPFD_CLOEXEC, 0);
	pid_t self = getpid();
	int same, other;

	same = os_kcmp(self, self, KCMP_FILE, (unsigned long)a, (unsigned long)copy);
	other = os_kcmp(self, self, KCMP_FILE, (unsigned long)a, (unsigned long)b);
	if (same < 0)
		probe_no(r, "kcmp: %s", strerror(-same));
	else if (same == 0 && other > 0)
		probe_yes(r, "a duplicated descriptor is told from a second open");
	else
		probe_no(r, "kcmp answers %d for the same file and %d for another", same, other);
}

void probe_pidfd_open(int root, struct probe_result *r)
{
	int target = probe_target_start(NULL);
	AUTO(fd) int pidfd = -1;

	if (target < 0) {
		probe_unknown(r, "fork: %s", strerror(errno));
		return;
	}
	pidfd = os_pidfd_open(target, 0);
	if (pidfd < 0)
		probe_no(r, "pidfd_open: %s", strerror(-pidfd));
	else
		probe_yes(r, "a child was opened");
	probe_target_end(target);
}

void probe_pidfd_getfd(int root, struct probe_result *r)
{
	AUTO(fd) int read_end = -1, write_end = -1, pidfd = -1, copy = -1;
	int ends[2], target;
	char byte = 0;

	if (pipe2(ends, O_CLOEXEC)) {
		probe_unknown(r, "pipe2: %s", strerror(errno));
		return;
	}
	read_end = ends[0];
	write_end = ends[1];
	target = probe_target_start(NULL);
	if (target < 0) {
		probe_unknown(r, "fork: %s", strerror(errno));
		return;
	}
	/* Only the target's copy can then have written what comes out at our end. */
	pidfd = os_pidfd_open(target, 0);
	copy = pidfd < 0 ? pidfd : os_pidfd_getfd(pidfd, write_end);
	os_close(&write_end);
	if (copy < 0)
		probe_no(r, "pidfd_getfd: %s", strerror(-copy));
	else if (write(copy, "x", 1) != 1 || read(read_end, &byte, 1) != 1 || byte != 'x')
		probe_no(r, "pidfd_getfd gave another file");
	else
		probe_yes(r, "a byte went through a child's pipe");
	probe_target_end(target);
}

void probe_timer_ids(int root, struct probe_result *r)
{
	struct sigevent event = {.sigev_notify = SIGEV_NONE};
	const int want = 12345;
	int id = want;

	if (prctl(PR_TIMER_CREATE_RESTORE_IDS, 1, 0, 0, 0)) {
		probe_no_errno(r, "PR_TIMER_CREATE_RESTORE_IDS");
		return;
	}
	/* The C library's timer_create() has ids of its own. */
	if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id))
		probe_no_errno(r, "timer_create");
	else if (id == want)
		probe_yes(r, "a timer was created with the id %d as asked", want);
	else
		probe_no(r, "timer_create gave the id %d where %d was asked for", id, want);
}

void probe_set_mm_map(int root, struct probe_result *r)
{
	AUTO(buf) struct buf text = {0};
	struct prctl_mm_map map = {.exe_fd = (uint32_t)-1};
	uint64_t brk_now = (uintptr_t)sbrk(0);
	struct proc_stat s;
	int code = os_read_file_at(AT_FDCWD, "/proc/self/stat", &text);

	if (code < 0 || proc_parse_stat(buf_span(&text), &s, NULL)) {
		probe_unknown(r, "/proc/self/stat cannot be read");
		return;
	}
	map.start_code = s.start_code;
	map.end_code = s.end_code;
	map.start_data = s.start_data;
	map.end_data = s.end_data;
	map.start_brk = s.start_brk;
	map.brk = brk_now;
	map.start_stack = s.start_stack;
	map.arg_start = s.arg_start;
	/* One byte shorter, to see that it is really set. */
	map.arg_end = s.arg_end - 1;
	map.env_start = s.env_start;
	map.env_end = s.env_end;
	if (prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0)) {
		probe_no_errno(r, "PR_SET_MM_MAP");
		return;
	}
	text.len = 0;
	code = os_read_file_at(AT_FDCWD, "/proc/self/stat", &text);
	if (code < 0 || proc_parse_stat(buf_span(&text), &s, NULL) || s.arg_end != map.arg_end)
		probe_no(r, "PR_SET_MM_MAP succeeded and changed nothing");
	else
		probe_yes(r, "the end of the arguments was moved");
}

void probe_close_range(int root, struct probe_result *r)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 200);

	if (fd < 0)
		probe_unknown(r, "fcntl: %s", strerror(errno));
	else if (syscall(SYS_close_range, (unsigned)fd, (unsigned)fd, 0))
		probe_no_errno(r, "close_range");
	else if (fcntl(fd, F_GETFD) >= 0)
		probe_no(r, "close_range left the descriptor open");
	else
		probe_yes(r, "a descriptor was closed");
}

/* ---- namespaces ------------------------------------------------------------------------ */

/* Is a child of ours the first process of a namespace now? */
static void tell_first_child(struct probe_result *r, const char *yes)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(getpid() == 1 ? 0 : 1);
	if (pid < 0)
		probe_no_errno(r, "fork in the new namespace");
	else if (waitpid(pid, &status, 0) == pid && !status)
		probe_yes(r, "%s", yes);
	else
		probe_no(r, "the first process of the namespace does not have pid 1");
}

void probe_pid_namespace(int root, struct probe_result *r)
{
	if (unshare(CLONE_NEWPID))
		probe_no_errno(r, "unshare(CLONE_NEWPID)");
	else
		tell_first_child(r, "a process with pid 1 was made");
}

void probe_user_namespace(int root, struct probe_result *r)
{
	uid_t uid = geteuid();
	AUTO(fd) int map = -1;
	char line[64];
	int n;

	if (unshare(CLONE_NEWUSER)) {
		probe_no_errno(r, "unshare(CLONE_NEWUSER)");
		return;
	}
	n = snprintf(line, sizeof(line), "0 %u 1", uid);
	map = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
	if (map < 0 || write(map, line, (size_t)n) != n) {
		probe_no_errno(r, "/proc/self/uid_map");
		return;
	}
	/* AppArmor lets a namespace be made and takes its capabilities away. */
	if (unshare(CLONE_NEWPID))
		probe_no_errno(r, "unshare(CLONE_NEWPID) in a new user namespace");
	else
		tell_first_child(r, "a user namespace with a pid namespace in it was made");
}
