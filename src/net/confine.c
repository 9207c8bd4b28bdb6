/* SPDX-License-Identifier: MIT */
#include "net/net-int.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/os.h"
#include "vm/sandbox.h"

#define NOBODY 65534
#define RESOLVER "/etc/resolv.conf"
#define RIGHTS_ALL ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1) /* those of its first version */

static const struct call_rule allowed[] = {
	/* the loop */
	CALL(poll),
	CALL(ppoll),
	CALL(clock_gettime),
	CALL(gettimeofday),
	CALL(time),
	CALL(restart_syscall),
	CALL(rt_sigreturn),
	CALL(rt_sigprocmask),
	CALL(getpid),
	CALL(gettid),
	CALL(getrandom),
	CALL(exit),
	CALL(exit_group),
	/* sockets that are there; no bind(2), no listen(2) */
	CALL(read),
	CALL(write),
	CALL(readv),
	CALL(writev),
	CALL(recvfrom),
	CALL(recvmsg),
	CALL(sendto),
	CALL(sendmsg),
	CALL(connect),
	CALL(accept),
	CALL(accept4),
	CALL(getsockname),
	CALL(getpeername),
	CALL(getsockopt),
	CALL(setsockopt),
	CALL(shutdown),
	CALL(close),
	CALL(dup2),
	CALL_IF_EQUAL(socket, 0, AF_INET),
	CALL_IF_EQUAL(socket, 0, AF_INET6),
	CALL_IF_EQUAL(fcntl, 1, F_GETFL),
	CALL_IF_EQUAL(fcntl, 1, F_SETFL),
	CALL_IF_EQUAL(fcntl, 1, F_GETFD),
	CALL_IF_EQUAL(fcntl, 1, F_SETFD),
	CALL_IF_EQUAL(ioctl, 1, FIONREAD),
	CALL_IF_EQUAL(ioctl, 1, FIONBIO),
	CALL_IF_EQUAL(ioctl, 1, SIOCGIFINDEX),
	/* the resolver's configuration: for reading, and of names Landlock leaves only the resolver's */
	CALL_WHERE(openat, 2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY),
	CALL(fstat),
	CALL(newfstatat),
	CALL(statx),
	CALL(lseek),
	/* memory */
	CALL(brk),
	CALL(munmap),
	CALL(madvise),
	CALL(mremap),
	CALL(futex),
	CALL_WHERE(mmap, 2, PROT_EXEC, 0),
	CALL_WHERE(mprotect, 2, PROT_EXEC, 0),
#ifdef WITH_ASAN
	CALL(sigaltstack),
#endif
};

/*
 * What is not listed fails, and does not end us: another version of the library may try something
 * that it can do without.
 */
static int filter_calls(struct err *e)
{
	struct call_rule rules[ARRAY_LEN(allowed)];
	struct call_filter filter;

	memcpy(rules, allowed, sizeof(allowed));
	call_filter_make(&filter, rules, ARRAY_LEN(allowed), SECCOMP_RET_ERRNO | EPERM);
	return call_filter_load(&filter, e);
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
