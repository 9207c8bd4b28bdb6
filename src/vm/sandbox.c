/* SPDX-License-Identifier: MIT */
/*
 * What a machine that runs untrusted code may still ask of the host's kernel. Files are opened
 * before, or arrive as descriptors; so nothing here can name a path. Whatever is not listed
 * ends the process.
 */
#include "vm/sandbox.h"

#include "vm/vm-int.h"

#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#define NOT_OF_FORK                                                                                \
	(CLONE_VM | CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC |     \
	 CLONE_NEWUTS | CLONE_NEWCGROUP)

static const struct call_rule allowed[] = {
	/* the run loop */
	CALL(ppoll),
	CALL(poll),
	CALL(timer_settime),
	CALL(timer_delete),
	CALL(rt_sigreturn),
	CALL(rt_sigprocmask),
	CALL(rt_sigaction),
	CALL(clock_gettime),
	CALL(getrandom),
	CALL(restart_syscall),
	/* consoles, disks, snapshot files */
	CALL(read),
	CALL(write),
	CALL(readv),
	CALL(writev),
	CALL(pread64),
	CALL(pwrite64),
	CALL(fdatasync),
	CALL(fsync),
	CALL(fstat),
	CALL(newfstatat),
	CALL(lseek),
	CALL(ftruncate),
	CALL(close),
	CALL(recvmsg),
	CALL(sendmsg),
	CALL(accept4),
	CALL(shutdown),
	/* memory */
	CALL(brk),
	CALL(munmap),
	CALL(madvise),
	CALL(mremap),
	CALL(futex),
	/* the forked child of a live snapshot */
	CALL(wait4),
	CALL(set_robust_list),
	CALL(rseq),
	CALL(getpid),
	CALL(gettid),
	CALL(exit),
	CALL(exit_group),
	/* Memory may be mapped, but never executable: what is for generated code is there already. */
	CALL_WHERE(mmap, 2, PROT_EXEC, 0),
	CALL_WHERE(mprotect, 2, PROT_EXEC, 0),
	/* fork(), as the C library does it: no namespaces, no shared memory. */
	CALL_WHERE(clone, 0, NOT_OF_FORK, 0),
	/* Who is at the other end of the control socket. */
	{.call = SYS_getsockopt,
         .when = {{.argument = 1, .mask = UINT64_MAX, .value = SOL_SOCKET},
                  {.argument = 2, .mask = UINT64_MAX, .value = SO_PEERCRED}}},
	/* Terminal size and mode, and nothing else that can be done to a terminal (TIOCSTI!). */
	CALL_IF_EQUAL(ioctl, 1, TIOCGWINSZ),
	CALL_IF_EQUAL(ioctl, 1, TCGETS),
	CALL_IF_EQUAL(ioctl, 1, TCSETS),
	CALL_IF_EQUAL(ioctl, 1, TCSETSW),
	CALL_IF_EQUAL(ioctl, 1, TCSETSF),
#ifdef WITH_ASAN
	/* Its runtime asks where the signal stack is before each longjmp(3). */
	CALL(sigaltstack),
#endif
};

/*
 * What a share needs besides: names. A filter cannot see them; Landlock does, where there is one
 * (p9_confine()). Modes, owners and times are changed by descriptor only, since Landlock does not
 * look at those.
 */
static const struct call_rule allowed_for_shares[] = {
	CALL(openat2),
	CALL(mkdirat),
	CALL(mknodat),
	CALL(symlinkat),
	CALL(linkat),
	CALL(unlinkat),
	CALL(renameat),
	CALL(renameat2),
	CALL(readlinkat),
	CALL(getdents64),
	CALL(fchmod),
	CALL(fchown),
	CALL(fstatfs),
	/* futimens(3): without a name. */
	CALL_IF_EQUAL(utimensat, 1, 0),
};

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};

	/* It fails for whoever may not drop them, and has none; and after the last one that there is. */
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &header, none) ? -errno : 0;
}

int sandbox_drop_privileges(struct err *e)
{
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return err_set(e, -errno, "giving up privileges");
	r = drop_capabilities();
	return r ? err_set(e, r, "giving up capabilities") : 0;
}

int vm_sandbox(bool with_shares, struct err *e)
{
	struct call_rule rules[ARRAY_LEN(allowed) + ARRAY_LEN(allowed_for_shares)];
	size_t n = ARRAY_LEN(allowed);
	struct call_filter filter;
	int r;

	memcpy(rules, allowed, sizeof(allowed));
	if (with_shares) {
		memcpy(rules + n, allowed_for_shares, sizeof(allowed_for_shares));
		n += ARRAY_LEN(allowed_for_shares);
	}
	call_filter_make(&filter, rules, n, SECCOMP_RET_KILL_PROCESS);
	r = sandbox_drop_privileges(e);
	return r ? r : call_filter_load(&filter, e);
}
