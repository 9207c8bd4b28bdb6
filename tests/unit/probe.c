/* SPDX-License-Identifier: MIT */
#include "probe/probe.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

static void every_probe_answers_and_says_what_it_saw(void)
{
	for (size_t i = 0; i < n_probes; i++) {
		struct probe_result r = {0};

		probe_run(&probes[i], AT_FDCWD, &r);
		printf("# %-26s %-8s %s\n", probes[i].name, probe_answer_name(r.answer), r.detail);
		ok(r.detail[0], "%s", probes[i].name);
		ok(r.answer != PROBE_UNKNOWN, "%s: %s", probes[i].name, r.detail);
		ok(*probes[i].enables && *probes[i].lost, "%s", probes[i].name);
		ok(probe_find(probes[i].name) == &probes[i], "%s is there twice", probes[i].name);
		ok(!probes[i].instead || probe_find(probes[i].instead), "%s", probes[i].name);
	}
}

/* What a probe answers after @prepare, which cannot be undone and so happens in a child. */
static enum probe_answer answer_after(void (*prepare)(void), const char *name)
{
	pid_t pid = fork();
	int status = 0;

	if (!pid) {
		struct probe_result r = {0};

		prepare();
		probe_run(probe_find(name), AT_FDCWD, &r);
		_exit((int)r.answer);
	}
	ok(waitpid(pid, &status, 0) == pid && WIFEXITED(status), "%s", name);
	return (enum probe_answer)WEXITSTATUS(status);
}

static void become_nobody(void)
{
	/* A change of ids makes a process undumpable, and then not even its own user may trace. */
	if (setgid(65534) || setuid(65534) || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
		_exit(99);
}

static void what_needs_root_is_a_no_without_it(void)
{
	static const char *const needs_root[] = {
		"clone3-set-tid",
		"ns-last-pid",
		"pid-namespace",
		"tcp-repair",
		"map-files",
		"cap-sys-admin",
		"cap-sys-ptrace",
		"cap-net-admin",
		"ptrace-suspend-seccomp",
		"ptrace-seccomp-filter",
	};

	if (geteuid()) {
		printf("# skipped without root\n");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(needs_root); i++)
		ok(answer_after(become_nobody, needs_root[i]) == PROBE_NO, "%s", needs_root[i]);
	ok(answer_after(become_nobody, "ptrace") == PROBE_YES);
	ok(answer_after(become_nobody, "close-range") == PROBE_YES);
}

static long forbidden_call;

/* A sandbox that answers one system call with ENOSYS, as an older kernel would. */
static void forbid_call(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)forbidden_call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = ARRAY_LEN(code), .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(99);
}

static void what_a_filter_forbids_is_a_no_whatever_the_version(void)
{
	static const struct {
		long call;
		const char *probe;
	} rows[] = {
		{SYS_kcmp, "kcmp"},
		{SYS_clone3, "clone3-set-tid"},
		{SYS_pidfd_getfd, "pidfd-getfd"},
		{SYS_pidfd_open, "pidfd-open"},
		{SYS_process_vm_readv, "process-vm-readv"},
		{SYS_userfaultfd, "userfaultfd"},
		{SYS_userfaultfd, "userfaultfd-wp-async"},
		{SYS_memfd_create, "memfd"},
		{SYS_close_range, "close-range"},
		{SYS_ptrace, "ptrace-xstate"},
		{SYS_unshare, "user-namespace"},
		{SYS_socket, "diag-unix"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		forbidden_call = rows[i].call;
		ok(answer_after(forbid_call, rows[i].probe) == PROBE_NO, "%s", rows[i].probe);
		ok(answer_after(forbid_call, "seccomp-self") == PROBE_NO, "%s", rows[i].probe);
	}
}

static void die(int root, struct probe_result *r)
{
	abort();
}

static void a_probe_that_dies_takes_nobody_with_it(void)
{
	static const struct probe deadly = {.name = "deadly", .run = die};
	struct probe_result r = {.answer = PROBE_YES};

	probe_run(&deadly, AT_FDCWD, &r);
	ok(r.answer == PROBE_UNKNOWN && strstr(r.detail, "killed"), "%s", r.detail);
	ok(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

static void put(int dir, const char *path, const char *text)
{
	char parent[64];
	int fd;

	for (const char *p = path; (p = strchr(p, '/')); p++) {
		snprintf(parent, sizeof(parent), "%.*s", (int)(p - path), path);
		mkdirat(dir, parent, 0755);
	}
	fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ok(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s", path);
	close(fd);
}

#define STATUS(tail)                                                                               \
	"Name:\tx\nState:\tS (sleeping)\nTgid:\t1\nPid:\t1\nPPid:\t0\nTracerPid:\t0\n"             \
	"Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t\nSigPnd:\t0\nShdPnd:\t0\nSigBlk:\t0\n"      \
	"SigIgn:\t0\nSigCgt:\t0\nCapInh:\t0\n" tail

static void expect(int dir, const char *name, enum probe_answer answer, const char *detail)
{
	struct probe_result r = {0};

	probe_run(probe_find(name), dir, &r);
	ok(r.answer == answer && strstr(r.detail, detail), "%s: %s: %s", name,
	   probe_answer_name(r.answer), r.detail);
}

static void policy_is_read_from_a_recording_and_features_are_not(void)
{
	char path[] = "/tmp/wslx-probe-XXXXXX", command[64];
	int dir;

	ok(mkdtemp(path) != NULL);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(dir, "proc/1/status",
	    STATUS("CapPrm:\t0\nCapEff:\t0\nCapBnd:\t0\nSeccomp:\t2\nSeccomp_filters:\t1\n"));
	put(dir, "proc/self/status",
	    STATUS("CapPrm:\t280000\nCapEff:\t200000\nCapBnd:\t12a0000\nSeccomp:\t0\n"));
	put(dir, "proc/sys/kernel/yama/ptrace_scope", "2\n");
	put(dir, "proc/sys/user/max_user_namespaces", "0\n");
	put(dir, "sys/kernel/security/lockdown", "none [integrity] confidentiality\n");

	expect(dir, "seccomp-init", PROBE_NO, "PID 1 has 1 filter");
	expect(dir, "seccomp-self", PROBE_YES, "no filter");
	expect(dir, "yama", PROBE_NO, "2: only CAP_SYS_PTRACE");
	expect(dir, "cap-sys-admin", PROBE_YES, "effective");
	expect(dir, "cap-sys-ptrace", PROBE_NO, "permitted but not effective");
	expect(dir, "cap-sys-resource", PROBE_NO, "root would have it");
	expect(dir, "cap-net-admin", PROBE_NO, "not even in the bounding set");
	expect(dir, "lockdown", PROBE_NO, "[integrity]");
	expect(dir, "user-namespace-limit", PROBE_NO, "max_user_namespaces is 0");
	put(dir, "proc/sys/user/max_user_namespaces", "500\n");
	expect(dir, "user-namespace-limit", PROBE_YES, "500");
	put(dir, "proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n");
	expect(dir, "user-namespace-limit", PROBE_NO, "AppArmor");
	put(dir, "proc/1/status", "Name:\tx\n");
	expect(dir, "seccomp-init", PROBE_UNKNOWN, "there is no line");
	expect(dir, "kcmp", PROBE_UNKNOWN, "recording");

	close(dir);
	snprintf(command, sizeof(command), "rm -rf %s", path);
	ok(!system(command));
}

int main(void)
{
	RUN(every_probe_answers_and_says_what_it_saw);
	RUN(what_needs_root_is_a_no_without_it);
	RUN(what_a_filter_forbids_is_a_no_whatever_the_version);
	RUN(a_probe_that_dies_takes_nobody_with_it);
	RUN(policy_is_read_from_a_recording_and_features_are_not);
	return tap_done();
}
