/* SPDX-License-Identifier: MIT */
/*
 * The order of a restore. Until the last step every task is a tracee of ours that dies with us
 * (PTRACE_O_EXITKILL), so nothing is left behind however it ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "engine/engine-int.h"

#define OWN_FDS_MAX 255

void restored_finish(struct restored *done)
{
	arena_finish(&done->arena);
}

static int *fd_array(struct restore *r, size_t n)
{
	int *fds = ARENA_ARRAY(&r->arena, int, n + 1);

	for (size_t i = 0; i <= n; i++)
		fds[i] = -1;
	return fds;
}

static void close_array(int *fds, size_t n)
{
	for (size_t i = 0; fds && i < n; i++)
		os_close(&fds[i]);
}

static void prepare(struct restore *r)
{
	const struct process_image *im = r->image;

	r->n_tasks = im->tasks.count;
	task_numbers_init(&r->numbers, im);
	r->tasks = ARENA_ARRAY(&r->arena, struct rtask, r->n_tasks);
	for (size_t i = 0; i < r->n_tasks; i++) {
		struct rtask *t = &r->tasks[i];

		t->rec = LIST_AT(&im->tasks, struct task_rec, i);
		t->threads = ARENA_ARRAY(&r->arena, struct rthread,
		                         MAX(t->rec->threads.count, (size_t)1));
		for (size_t n = 0; n < MAX(t->rec->threads.count, (size_t)1); n++)
			t->threads[n].tracee.state = TRACEE_GONE;
	}
	for (size_t i = r->n_tasks; i-- > 1;) {
		struct rtask *t = &r->tasks[i], *parent = restore_find(r, t->rec->ppid);

		t->next_sister = parent->children;
		parent->children = t;
	}
	r->files = fd_array(r, im->files.count);
	r->inodes = fd_array(r, im->inodes.count);
	r->pipe_fds = fd_array(r, 2 * im->pipes.count);
	r->tty_masters = fd_array(r, im->ttys.count);
	r->tty_slaves = fd_array(r, im->ttys.count);
	r->sock_fds = fd_array(r, im->socks.count);
	r->transport = r->init_control = -1;
	r->init.state = TRACEE_GONE;
	r->userns = r->options->pidns && geteuid() != 0;
}

/* What this machine must have in common with the one the snapshot was taken on. */
static int check_host(const struct restore *r, struct err *e)
{
	uint32_t low = 0, high = 0;
	uint64_t host;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	host = (uint64_t)high << 32 | low;
	if (r->image->xfeatures & ~host)
		return err_say(e, OBSTACLE,
		               "the program uses CPU state that this machine does not have (XCR0 "
		               "%" PRIx64 " there, %" PRIx64 " here)",
		               r->image->xfeatures, host);
	if (r->image->vdso_hash && own_vdso_hash() && r->image->vdso_hash != own_vdso_hash())
		return err_say(
			e, OBSTACLE,
			"the kernel maps another vdso than when the snapshot was taken (%s): "
			"boot that kernel to restore it",
			r->image->kernel);
	return 0;
}

static int read_own_rights(struct restore *r, struct err *e)
{
	r->own_securebits = (uint32_t)prctl(PR_GET_SECUREBITS);
	return os_read_status_at(AT_FDCWD, "/proc/self/status", &r->arena, &r->own, e);
}

/* Descriptors of the whole tree pass through our table, and the transport is above them all. */
static int raise_fd_limit(struct restore *r, struct err *e)
{
	struct rlimit limit;
	/* Above what we have open ourselves, too: a stub begins with our table. */
	uint32_t highest = OWN_FDS_MAX;

	LIST_EACH(&r->image->tables, struct table_rec, table)
		LIST_EACH(&table->fds, struct fd_rec, fd)
			highest = MAX(highest, fd->fd);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return err_set(e, -errno, "limit of open files");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return err_set(e, -errno, "limit of open files");
	r->transport_there = (int)highest + 1;
	if ((rlim_t)r->transport_there + r->image->files.count + 64 >= limit.rlim_max)
		return err_say(e, OBSTACLE,
		               "the program has %zu open files and descriptor %u, your limit is "
		               "%llu: raise it (ulimit -Hn)",
		               r->image->files.count, highest, (unsigned long long)limit.rlim_max);
	return 0;
}

/* Our own descriptors out of the way of a fork, which gets one end of the transport. */
static int open_transport(struct restore *r, int *there, struct err *e)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_set(e, -errno, "socketpair");
	r->transport = ends[0];
	*there = ends[1];
	return 0;
}

static void release(struct restore *r)
{
	/* Children first, so that no parent runs while a child still stands still. */
	for (size_t i = r->n_tasks; i--;) {
		struct rtask *t = &r->tasks[i];

		for (size_t n = t->n_threads; n--;)
			tracee_release(&t->threads[n].tracee);
		if (t->rec->state == TASK_STOPPED)
			tracee_await_group_stop(t->pid);
	}
	stub_release_init(r);
}

static void destroy(struct restore *r)
{
	bool any = r->init.state != TRACEE_GONE;

	if (any)
		kill(r->init.tid, SIGKILL);
	for (size_t i = r->n_tasks; i--;)
		if (r->tasks[i].n_threads && r->tasks[i].threads[0].tracee.state != TRACEE_GONE)
			kill(r->tasks[i].threads[0].tracee.tid, SIGKILL);
	for (size_t i = r->n_tasks; i--;)
		for (size_t n = r->tasks[i].n_threads; n--;) {
			struct tracee *t = &r->tasks[i].threads[n].tracee;
			int status;

			if (t->state == TRACEE_GONE)
				continue;
			while (waitpid(t->tid, &status, __WALL) >= 0 && WIFSTOPPED(status))
				;
		}
	if (any)
		waitpid(r->init.tid, NULL, __WALL);
	/* Zombies that were made, and whose parents are gone now, are nobody's but init's. */
}

static int build(struct restore *r, struct err *e)
{
	int there = -1, ret = check_host(r, e);

	if (!ret)
		ret = read_own_rights(r, e);
	if (!ret)
		ret = raise_fd_limit(r, e);
	if (!ret)
		ret = stub_choose_place(r, e);
	if (!ret)
		ret = open_transport(r, &there, e);
	if (!ret)
		ret = FAULT(e, "restore-begin");
	if (ret < 0) {
		os_close(&there);
		return ret;
	}
	ret = restore_tree(r, there, e);
	if (!ret)
		ret = FAULT(e, "restore-tree");
	if (!ret)
		ret = restore_memory_begin(r, e);
	if (!ret)
		ret = restore_threads(r, e);
	if (!ret)
		ret = FAULT(e, "restore-threads");
	if (!ret)
		ret = restore_files_open(r, e);
	if (!ret)
		ret = restore_tables(r, e);
	if (!ret)
		ret = restore_files_late(r, e);
	if (!ret)
		ret = restore_ttys(r, e);
	if (!ret)
		ret = restore_locks(r, e);
	if (!ret)
		ret = restore_seal_memfds(r, e);
	if (!ret)
		ret = FAULT(e, "restore-files");
	if (!ret)
		ret = restore_zombies(r, e);
	if (!ret)
		ret = restore_states(r, e);
	if (!ret)
		ret = FAULT(e, "restore-state");
	return ret;
}

int restore_run(struct process_image *im, struct page_source *pages,
                const struct restore_options *options, struct restored *out, struct err *e)
{
	struct restore r = {.image = im, .pages = pages, .options = options, .out = out};
	int ret;

	prepare(&r);
	restore_use_one_cpu(&r);
	ret = build(&r, e);
	restore_memory_stop(&r);
	if (!ret)
		ret = FAULT(e, "restore-release");
	if (!ret && options->about_to_run)
		ret = options->about_to_run(options->arg, e);
	if (!ret) {
		out->root = r.tasks[0].pid;
		out->child = r.options->pidns ? r.init.tid : out->root;
		out->tty = r.tty_holder;
		release(&r);
	} else {
		destroy(&r);
	}
	restore_use_all_cpus(&r);
	os_close(&r.transport);
	os_close(&r.init_control);
	close_array(r.files, im->files.count);
	close_array(r.inodes, im->inodes.count);
	close_array(r.pipe_fds, 2 * im->pipes.count);
	close_array(r.tty_masters, im->ttys.count);
	close_array(r.tty_slaves, im->ttys.count);
	close_array(r.sock_fds, im->socks.count);
	if (r.place.page.at)
		munmap((void *)(uintptr_t)r.place.page.at, REMOTE_PAGE_BYTES + 64 * 1024);
	task_numbers_finish(&r.numbers);
	arena_finish(&r.arena);
	return ret;
}
