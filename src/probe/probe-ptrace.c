/* SPDX-License-Identifier: MIT */
/* Probes of what may be asked of a stopped task. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "os/os.h"
#include "probe/probe-int.h"

#define REGSET_XSTATE 0x202 /* NT_X86_XSTATE, whose header does not go with sys/ptrace.h */
/* Requests that the C library does not name yet. */
#define REQUEST_GET_RSEQ_CONFIGURATION 0x420f /* Linux 5.13 */
#define REQUEST_SET_SYSCALL_INFO 0x4212       /* Linux 6.16 */

/* What the kernel's struct ptrace_rseq_configuration holds. */
struct rseq_configuration {
	uint64_t pointer;
	uint32_t bytes, signature, flags, pad;
};

static volatile char word_to_read[] = "read from another process";
/* A page of constants: mapped read-only, as code is. */
static const char constant[64] __attribute__((aligned(64))) = "constant";

static long ask(int request, pid_t pid, uintptr_t address, uintptr_t data)
{
	return ptrace((enum __ptrace_request)request, pid, (void *)address, (void *)data);
}

/* Seize a target and bring it to a stop. Return: its pid, or -1 with the answer in @r. */
static pid_t stopped_target(struct probe_result *r, int (*prepare)(void), uintptr_t options)
{
	pid_t pid = probe_target_start(prepare);
	int status;

	if (pid < 0) {
		probe_unknown(r, "no process to ask: %s", strerror(errno));
		return -1;
	}
	if (ask(PTRACE_SEIZE, pid, 0, options))
		probe_no_errno(r, "PTRACE_SEIZE");
	else if (ask(PTRACE_INTERRUPT, pid, 0, 0))
		probe_no_errno(r, "PTRACE_INTERRUPT");
	else if (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status))
		return pid;
	else
		probe_no(r, "the process did not stop");
	probe_target_end(pid);
	return -1;
}

void probe_ptrace(int root, struct probe_result *r)
{
	pid_t pid = stopped_target(r, NULL, PTRACE_O_TRACECLONE | PTRACE_O_TRACESYSGOOD);

	if (pid < 0)
		return;
	probe_yes(r, "a child was seized and stopped");
	probe_target_end(pid);
}

void probe_xstate(int root, struct probe_result *r)
{
	pid_t pid = stopped_target(r, NULL, 0);
	AUTO(buf) struct buf area = {0};
	struct iovec v;

	if (pid < 0)
		return;
	/* The largest there is today: AMX makes it 11 KiB. */
	v = (struct iovec){buf_extend(&area, 64 * 1024), 64 * 1024};
	if (ask(PTRACE_GETREGSET, pid, REGSET_XSTATE, (uintptr_t)&v))
		probe_no_errno(r, "PTRACE_GETREGSET");
	else if (ask(PTRACE_SETREGSET, pid, REGSET_XSTATE, (uintptr_t)&v))
		probe_no_errno(r, "PTRACE_SETREGSET");
	else
		probe_yes(r, "%zu bytes were read and written back", v.iov_len);
	probe_target_end(pid);
}

static int block_and_raise(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return sigprocmask(SIG_BLOCK, &set, NULL) || raise(SIGUSR1);
}

void probe_peeksiginfo(int root, struct probe_result *r)
{
	struct __ptrace_peeksiginfo_args args = {.nr = 2};
	pid_t pid = stopped_target(r, block_and_raise, 0);
	siginfo_t info[2] = {0};
	long n;

	if (pid < 0)
		return;
	n = ask(PTRACE_PEEKSIGINFO, pid, (uintptr_t)&args, (uintptr_t)info);
	if (n < 0)
		probe_no_errno(r, "PTRACE_PEEKSIGINFO");
	else if (n == 1 && info[0].si_signo == SIGUSR1 && info[0].si_pid == pid)
		probe_yes(r, "a pending signal and its sender were read");
	else
		probe_no(r, "%ld signals were found pending where there is one", n);
	probe_target_end(pid);
}

void probe_rseq(int root, struct probe_result *r)
{
	pid_t pid = stopped_target(r, NULL, 0);
	struct rseq_configuration c = {0};
	long n;

	if (pid < 0)
		return;
	n = ask(REQUEST_GET_RSEQ_CONFIGURATION, pid, sizeof(c), (uintptr_t)&c);
	if (n < 0)
		probe_no_errno(r, "PTRACE_GET_RSEQ_CONFIGURATION");
	else
		probe_yes(r, c.pointer ? "%u bytes are registered" : "nothing is registered",
		          c.bytes);
	probe_target_end(pid);
}

static int filter_self(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {.len = 1, .filter = &allow};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

void probe_seccomp_get_filter(int root, struct probe_result *r)
{
	pid_t pid = stopped_target(r, filter_self, 0);
	struct sock_filter program[1] = {0};
	long n;

	if (pid < 0)
		return;
	n = ask(PTRACE_SECCOMP_GET_FILTER, pid, 0, 0);
	if (n < 0)
		probe_no_errno(r, "PTRACE_SECCOMP_GET_FILTER");
	else if (n == 1 && ask(PTRACE_SECCOMP_GET_FILTER, pid, 0, (uintptr_t)program) == 1 &&
	         program[0].k == SECCOMP_RET_ALLOW)
		probe_yes(r, "a filter was read");
	else
		probe_no(r, "a filter of %ld instructions was read where there is one of 1", n);
	probe_target_end(pid);
}

void probe_suspend_seccomp(int root, struct probe_result *r)
{
	pid_t pid = stopped_target(r, filter_self, PTRACE_O_SUSPEND_SECCOMP);

	if (pid < 0)
		return;
	probe_yes(r, "a filter was suspended");
	probe_target_end(pid);
}

void probe_set_syscall_info(int root, struct probe_result *r)
{
	pid_t pid = stopped_target(r, NULL, PTRACE_O_TRACESYSGOOD);
	uint8_t info[128] = {0}; /* struct ptrace_syscall_info with room to grow */
	int status;

	if (pid < 0)
		return;
	/* It was interrupted in pause(), which it enters again. */
	if (ask(PTRACE_SYSCALL, pid, 0, 0) || waitpid(pid, &status, __WALL) != pid ||
	    !WIFSTOPPED(status) || WSTOPSIG(status) != (SIGTRAP | 0x80)) {
		probe_unknown(r, "the process did not come to a system call");
	} else {
		if (ask(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), (uintptr_t)info) < 0)
			probe_no_errno(r, "PTRACE_GET_SYSCALL_INFO");
		else if (ask(REQUEST_SET_SYSCALL_INFO, pid, sizeof(info), (uintptr_t)info))
			probe_no_errno(r, "PTRACE_SET_SYSCALL_INFO");
		else
			probe_yes(r, "what was read at a system call was written back");
	}
	probe_target_end(pid);
}

void probe_vm_readv(int root, struct probe_result *r)
{
	int target = probe_target_start(NULL);
	char got[sizeof(word_to_read)] = {0};
	struct iovec local = {got, sizeof(got)};
	struct iovec remote = {(void *)(uintptr_t)word_to_read, sizeof(got)};

	if (target < 0) {
		probe_unknown(r, "fork: %s", strerror(errno));
		return;
	}
	if (process_vm_readv(target, &local, 1, &remote, 1, 0) < 0)
		probe_no_errno(r, "process_vm_readv");
	else if (memcmp(got, (const void *)(uintptr_t)word_to_read, sizeof(got)) != 0)
		probe_no(r, "process_vm_readv read something else");
	else
		probe_yes(r, "a child's memory was read");
	probe_target_end(target);
}

void probe_mem_force(int root, struct probe_result *r)
{
	pid_t pid = stopped_target(r, NULL, 0);
	AUTO(fd) int mem = -1;
	char path[32], byte = 'C';

	if (pid < 0)
		return;
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	mem = open(path, O_RDWR | O_CLOEXEC);
	if (mem < 0)
		probe_no_errno(r, path);
	else if (pwrite(mem, &byte, 1, (off_t)(uintptr_t)constant) != 1)
		probe_no_errno(r, "writing a read-only page");
	else if (pread(mem, &byte, 1, (off_t)(uintptr_t)constant) != 1 || byte != 'C')
		probe_no(r, "what was written to a read-only page is not there");
	else
		probe_yes(r, "a read-only page of a child was written");
	probe_target_end(pid);
}
