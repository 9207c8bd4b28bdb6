/* SPDX-License-Identifier: MIT */
/*
 * What a machine that runs untrusted code may still ask of the host's kernel. Files are opened
 * before, or arrive as descriptors; so nothing here can name a path. Whatever is not listed
 * ends the process.
 */
#include "vm/sandbox.h"

#include "vm/vm-int.h"

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

static const int allowed[] = {
	/* the run loop */
	SCMP_SYS(ppoll),
	SCMP_SYS(poll),
	SCMP_SYS(timer_settime),
	SCMP_SYS(timer_delete),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(getrandom),
	SCMP_SYS(restart_syscall),
	/* consoles, disks, snapshot files */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(fdatasync),
	SCMP_SYS(fsync),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(lseek),
	SCMP_SYS(ftruncate),
	SCMP_SYS(close),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(accept4),
	SCMP_SYS(shutdown),
	/* memory */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(madvise),
	SCMP_SYS(mremap),
	SCMP_SYS(futex),
	/* the forked child of a live snapshot */
	SCMP_SYS(wait4),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
#ifdef WITH_ASAN
	/* Its runtime asks where the signal stack is before each longjmp(3). */
	SCMP_SYS(sigaltstack),
#endif
};

/*
 * What a share needs besides: names. A filter cannot see them; Landlock does, where there is one
 * (p9_confine()). Modes, owners and times are changed by descriptor only, since Landlock does not
 * look at those.
 */
static const int allowed_for_shares[] = {
	SCMP_SYS(openat2),    SCMP_SYS(mkdirat),    SCMP_SYS(mknodat),  SCMP_SYS(symlinkat),
	SCMP_SYS(linkat),     SCMP_SYS(unlinkat),   SCMP_SYS(renameat), SCMP_SYS(renameat2),
	SCMP_SYS(readlinkat), SCMP_SYS(getdents64), SCMP_SYS(fchmod),   SCMP_SYS(fchown),
	SCMP_SYS(fstatfs),
};

/* Terminal size and mode, and nothing else that can be done to a terminal (TIOCSTI!). */
static const unsigned long allowed_ioctl[] = {TIOCGWINSZ, TCGETS, TCSETS, TCSETSW, TCSETSF};

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

static int add_rules(scmp_filter_ctx f, bool with_shares)
{
	/* Memory may be mapped, but never executable: what is for generated code is there already. */
	int r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
	                         SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

	if (!r)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
		                     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	/* fork(), as the C library does it: no namespaces, no shared memory. */
	if (!r)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
		                     SCMP_A0(SCMP_CMP_MASKED_EQ,
		                             CLONE_VM | CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET |
		                                     CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
		                                     CLONE_NEWCGROUP,
		                             0));
	/* Who is at the other end of the control socket. */
	if (!r)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(getsockopt), 2,
		                     SCMP_A1(SCMP_CMP_EQ, SOL_SOCKET),
		                     SCMP_A2(SCMP_CMP_EQ, SO_PEERCRED));
	for (size_t i = 0; !r && i < ARRAY_LEN(allowed_ioctl); i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
		                     SCMP_A1(SCMP_CMP_EQ, allowed_ioctl[i]));
	for (size_t i = 0; !r && i < ARRAY_LEN(allowed); i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; !r && with_shares && i < ARRAY_LEN(allowed_for_shares); i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed_for_shares[i], 0);
	/* futimens(3): without a name. */
	if (!r && with_shares)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(utimensat), 1,
		                     SCMP_A1(SCMP_CMP_EQ, 0));
	return r;
}

/* ---- the filter as the kernel takes it ----------------------------------------------------- */

#define FILTER_MAX 1024 /* instructions */

struct vm_filter {
	struct sock_fprog program;
	struct sock_filter code[FILTER_MAX];
};

/* The library writes it to a file only. */
static int export(scmp_filter_ctx f, struct vm_filter *out)
{
	int fd = memfd_create("wslx-filter", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : seccomp_export_bpf(f, fd);
	ssize_t n = r ? 0 : pread(fd, out->code, sizeof(out->code), 0);

	if (fd >= 0)
		close(fd);
	if (!r && (n <= 0 || n == sizeof(out->code)))
		r = n < 0 ? -errno : -E2BIG;
	out->program.len = (unsigned short)((size_t)n / sizeof(out->code[0]));
	out->program.filter = out->code;
	return r;
}

struct vm_filter *vm_filter_make(bool with_shares, struct err *e)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	struct vm_filter *out = xalloc(sizeof(*out));
	int r = f ? add_rules(f, with_shares) : -ENOMEM;

	/* A tree instead of a list: the kernel tries each number there is when it loads a filter. */
	if (!r)
		r = seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!r)
		r = export(f, out);
	seccomp_release(f);
	if (!r)
		return out;
	err_set(e, r, "system call filter");
	free(out);
	return NULL;
}

int vm_sandbox_by(const struct vm_filter *filter, struct err *e)
{
	int r = sandbox_drop_privileges(e);

	if (r)
		return r;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter->program)
	               ? err_set(e, -errno, "system call filter")
	               : 0;
}

int vm_sandbox(bool with_shares, struct err *e)
{
	struct vm_filter *filter = vm_filter_make(with_shares, e);
	int r = filter ? vm_sandbox_by(filter, e) : e->code;

	free(filter);
	return r;
}
