/* SPDX-License-Identifier: MIT */
#include "net/net-int.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/landlock.h>
#include <net/if.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/os.h"
#include "vm/sandbox.h"

#define NOBODY 65534
#define RESOLVER "/etc/resolv.conf"
#define RIGHTS_ALL ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1) /* those of its first version */

static const int allowed[] = {
	/* the loop */
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getrandom),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	/* sockets that are there; no bind(2), no listen(2) */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(connect),
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(shutdown),
	SCMP_SYS(close),
	SCMP_SYS(dup2),
	/* the resolver's configuration */
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(lseek),
	/* memory */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(madvise),
	SCMP_SYS(mremap),
	SCMP_SYS(futex),
#ifdef WITH_ASAN
	SCMP_SYS(sigaltstack),
#endif
};

static const unsigned long allowed_fcntl[] = {F_GETFL, F_SETFL, F_GETFD, F_SETFD};
static const unsigned long allowed_ioctl[] = {FIONREAD, FIONBIO, SIOCGIFINDEX};
static const unsigned long allowed_domain[] = {AF_INET, AF_INET6};

static int allow_values(scmp_filter_ctx f, int call, unsigned argument, const unsigned long *values,
                        size_t n)
{
	int r = 0;

	for (size_t i = 0; !r && i < n; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, call, 1,
		                     SCMP_CMP(argument, SCMP_CMP_EQ, values[i]));
	return r;
}

static int add_rules(scmp_filter_ctx f)
{
	int r = allow_values(f, SCMP_SYS(fcntl), 1, allowed_fcntl, ARRAY_LEN(allowed_fcntl));

	if (!r)
		r = allow_values(f, SCMP_SYS(ioctl), 1, allowed_ioctl, ARRAY_LEN(allowed_ioctl));
	if (!r)
		r = allow_values(f, SCMP_SYS(socket), 0, allowed_domain, ARRAY_LEN(allowed_domain));
	/* For reading, and of names Landlock leaves only the resolver's. */
	if (!r)
		r = seccomp_rule_add(
			f, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));
	if (!r)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
		                     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!r)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
		                     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	for (size_t i = 0; !r && i < ARRAY_LEN(allowed); i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
	return r;
}

/*
 * What is not listed fails, and does not end us: another version of the library may try something
 * that it can do without.
 */
static int filter_calls(struct err *e)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!f)
		return err_set(e, -ENOMEM, "system call filter");
	r = add_rules(f);
	if (!r)
		r = seccomp_load(f);
	seccomp_release(f);
	return r ? err_set(e, r, "system call filter") : 0;
}

static int allow_reading(int rules, const char *path)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE};
	AUTO(fd) int fd = open(path, O_PATH | O_CLOEXEC);

	/* What is not there cannot be read either. */
	if (fd < 0)
		return 0;
	rule.parent_fd = fd;
	return syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) ? -errno
	                                                                                   : 0;
}

/*
 * The resolver's configuration is replaced when the host moves to another network, so what is
 * allowed is the directory that it is in: mostly /etc, of which nobody can read what is secret. But
 * root could: who could not become somebody else gets the file as it is now.
 */
static int confine_names(void)
{
	const struct landlock_ruleset_attr attributes = {.handled_access_fs = RIGHTS_ALL};
	AUTO(fd)
	int rules = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);
	AUTO(text) char *real = realpath(RESOLVER, NULL);
	int r;

	/* Without Landlock the modes of files are what is left. */
	if (rules < 0)
		return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -errno;
	if (!geteuid()) {
		r = allow_reading(rules, RESOLVER);
	} else {
		char *slash = real ? strrchr(real, '/') : NULL;

		r = allow_reading(rules, "/etc");
		if (slash && slash != real) {
			*slash = '\0';
			r = r ? r : allow_reading(rules, real);
		}
	}
	if (!r && syscall(SYS_landlock_restrict_self, rules, 0))
		r = -errno;
	return r;
}

/* In a user namespace of its own there may be no such user; then we stay who we are. */
static void stop_being_root(void)
{
	if (geteuid() || setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY))
		return;
	if (setresuid(NOBODY, NOBODY, NOBODY))
		return;
	/* A change of user has undone this. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

int confine_helper(struct err *e)
{
	int r;

	stop_being_root();
	r = sandbox_drop_privileges(e);
	if (r)
		return r;
	r = confine_names();
	if (r)
		return err_set(e, r, "confining the network to the resolver's files");
	return filter_calls(e);
}
