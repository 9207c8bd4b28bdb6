/* SPDX-License-Identifier: MIT */
/*
 * pidfds. One of a process in the tree is opened anew at the restored process; one of a process
 * that is gone becomes one of a process of ours that ended in the same way, because no other can
 * be had. Both directions.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kinds/kinds.h"
#include "os/abi.h"

#define PIDFD_FLAGS (O_NONBLOCK | PIDFD_THREAD) /* what pidfd_open(2) takes */

/* ---- dump ------------------------------------------------------------------------------ */

static bool pidfd_claims(const struct fd_view *v)
{
	return v->info.has_pidfd;
}

/* Linux 6.15 keeps the status of a process that was waited for as long as a pidfd of it is open. */
static uint32_t status_of_gone(int pidfd)
{
	struct pidfd_info info = {.mask = PIDFD_INFO_EXIT};

	if (ioctl(pidfd, PIDFD_GET_INFO, &info) < 0 || !(info.mask & PIDFD_INFO_EXIT))
		return 0;
	return (uint32_t)info.exit_code;
}

static bool is_thread(const struct dump *d, pid_t tid)
{
	for (size_t i = 0; i < d->n_tasks; i++)
		for (size_t n = 1; n < d->tasks[i]->n_threads; n++)
			if (d->tasks[i]->threads[n].tid == tid)
				return true;
	return false;
}

static int pidfd_dump(struct dump *d, const struct fd_view *v, struct file_rec *f, struct err *e)
{
	pid_t pid = v->info.pidfd_pid;

	f->pos = 0;
	if (pid == -1) {
		f->status = status_of_gone(v->local);
		return 0;
	}
	f->count = (uint64_t)pid;
	if (!pid)
		dump_obstacle(d, v->task->pid,
		              "descriptor %d is a pidfd of a process that cannot be seen from here "
		              "(another pid namespace)",
		              v->fd);
	else if (!dump_find(d, pid) && !is_thread(d, pid))
		dump_obstacle(
			d, v->task->pid,
			"descriptor %d is a pidfd of process %d, which is outside of the tree: "
			"close it, or snapshot a parent of both",
			v->fd, pid);
	return 0;
}

/* ---- restore --------------------------------------------------------------------------- */

static void end_like(int status)
{
	struct rlimit none = {0};
	sigset_t all;

	if (WIFSIGNALED(status)) {
		setrlimit(RLIMIT_CORE, &none);
		sigfillset(&all);
		sigprocmask(SIG_UNBLOCK, &all, NULL);
		signal(WTERMSIG(status), SIG_DFL);
		kill(getpid(), WTERMSIG(status));
	}
	_exit(WEXITSTATUS(status));
}

/* Into the namespaces of the tree: a pidfd of a process elsewhere tells nothing about it. */
static void enter_tree(pid_t init)
{
	static const char *const names[] = {"user", "pid"};

	for (size_t i = 0; init > 0 && i < ARRAY_LEN(names); i++) {
		char path[64];
		int fd;

		snprintf(path, sizeof(path), "/proc/%d/ns/%s", init, names[i]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		/* Without a user namespace of the tree we are in it already, which is an error. */
		if (fd >= 0)
			setns(fd, 0);
		os_close(&fd);
	}
}

/* A child of a child, because a namespace is entered by those who are born after it. */
static int open_gone(struct restore *r, const struct file_rec *f, int *out, struct err *e)
{
	int *answer = mmap(NULL, sizeof(*answer), PROT_READ | PROT_WRITE,
	                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t init = r->init.state == TRACEE_GONE ? 0 : r->init.tid;
	long helper, ended;
	int ret;

	if (answer == MAP_FAILED)
		return err_set(e, -errno, "pidfd");
	*answer = -ECHILD;
	/* Both have our descriptor table, where the pidfd is to be. */
	helper = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (!helper) {
		enter_tree(init);
		ended = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
		if (!ended)
			end_like((int)f->status);
		/* Its number is taken until it is waited for, even if it has ended already. */
		if (ended > 0)
			*answer = os_pidfd_open((pid_t)ended, f->flags & PIDFD_FLAGS);
		syscall(SYS_wait4, ended, NULL, 0, NULL);
		_exit(0);
	}
	ret = helper < 0 ? -errno : 0;
	while (!ret && waitpid((pid_t)helper, NULL, 0) < 0)
		if (errno != EINTR)
			ret = -errno;
	if (!ret)
		ret = *answer;
	munmap(answer, sizeof(*answer));
	if (ret < 0)
		return err_set(e, ret, "pidfd of a process that has ended");
	*out = ret;
	return 0;
}

static int pidfd_restore(struct restore *r, const struct file_rec *f, int *out, struct err *e)
{
	unsigned flags = f->flags & PIDFD_FLAGS;
	pid_t tid;
	int fd;

	if (!f->count)
		return open_gone(r, f, out, e);
	tid = f->count <= INT32_MAX ? restore_pid_here(r, (uint32_t)f->count) : 0;
	if (!tid)
		return err_say(e, -EBADMSG, "a pidfd names task %" PRIu64 ", which is not there",
		               f->count);
	fd = os_pidfd_open(tid, flags);
	if (fd < 0)
		return err_set(e, fd, "pidfd of task %" PRIu64, f->count);
	*out = fd;
	return 0;
}

const struct kind kind_pidfd = {
	.name = "pidfd",
	.kind = FILE_PIDFD,
	.claims = pidfd_claims,
	.dump = pidfd_dump,
	.restore = pidfd_restore,
};
