/* SPDX-License-Identifier: MIT */
/*
 * Stubs: the empty processes that become the tasks.
 *
 * The first stub is a copy of us that is emptied at once: all of our memory goes but one area,
 * which was put at an address that no task of the image uses. The area holds the working page
 * of remote calls and, parked behind it, the kernel's own mappings (vvar, vdso), which only
 * move and cannot be made. Every other stub is born from a stub, and so as small.
 *
 * With a pid namespace there is one more process, its init: it reaps what is orphaned inside
 * and ends when its last child has.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/rseq.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/rseq.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "engine/engine-int.h"

#define PARKED_MAX (64ul * 1024)
#define ADDRESS_END 0x7ffffffff000
#define TRACE_OPTIONS                                                                              \
	(PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEVFORK)

/* ---- a place for our area ---------------------------------------------------------------- */

static bool is_free(const struct process_image *im, const struct list *own, uint64_t start,
                    uint64_t end, uint64_t *next)
{
	LIST_EACH(own, struct proc_vma, v)
		if (start < v->end && v->start < end) {
			*next = v->end;
			return false;
		}
	LIST_EACH(&im->mms, struct mm_rec, mm)
		LIST_EACH(&mm->vmas, struct vma_rec, v)
			if (start < v->end && v->start < end) {
				*next = v->end;
				return false;
			}
	return true;
}

int stub_choose_place(struct restore *r, struct err *e)
{
	AUTO(buf) struct buf text = {0};
	struct list own = {0};
	uint64_t at = 0x10000000, bytes = REMOTE_PAGE_BYTES + PARKED_MAX, low = UINT64_MAX,
		 high = 0;
	void *map;
	int ret = os_read_file_at(AT_FDCWD, "/proc/self/maps", &text);

	if (ret < 0)
		return err_set(e, ret, "our own mappings");
	ret = proc_parse_maps(buf_span(&text), &r->arena, &own, e);
	if (ret < 0)
		return ret;
	while (!is_free(r->image, &own, at, at + bytes, &at))
		if (at + bytes > ADDRESS_END)
			return err_say(e, -ENOMEM, "no address is free in all of the tasks");
	map = mmap((void *)(uintptr_t)at, bytes, PROT_READ | PROT_WRITE,
	           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (map == MAP_FAILED)
		return err_set(e, -errno, "working memory");
	memcpy(map, remote_code, remote_code_bytes);
	if (mprotect(map, PAGE_BYTES, PROT_READ | PROT_EXEC) < 0)
		return err_set(e, -errno, "working memory");
	r->place.page = remote_at(at);
	r->place.stub = true;
	r->place.gate = remote_at(at + REMOTE_GATE_AT);
	r->parked = remote_at(at + REMOTE_PAGE_BYTES);
	LIST_EACH(&own, struct proc_vma, v) {
		uint64_t *start = !strcmp(v->name, "[vdso]")          ? &r->vdso_start
		                  : !strcmp(v->name, "[vvar]")        ? &r->vvar_start
		                  : !strcmp(v->name, "[vvar_vclock]") ? &r->vclock_start
		                                                      : NULL;
		uint64_t *len = start == &r->vdso_start   ? &r->vdso_bytes
		                : start == &r->vvar_start ? &r->vvar_bytes
		                                          : &r->vclock_bytes;

		if (!start)
			continue;
		*start = v->start;
		*len = v->end - v->start;
		low = MIN(low, v->start);
		high = MAX(high, v->end);
	}
	if (high && high - low > PARKED_MAX)
		return err_say(e, -ENOMEM, "the vdso is larger than was thought");
	r->parked_bytes = high ? high - low : 0;
	return 0;
}

/* ---- inside of a stub -------------------------------------------------------------------- */

/*
 * Nothing here may need memory that glibc shares with the kernel: rseq goes first, because the
 * kernel would write to it when all of our memory is gone.
 */
static void become_stub(int transport, int there, int keep)
{
	uint64_t none = 0;

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
	if (__rseq_size)
		syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset,
		        sizeof(struct rseq), RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
	if (transport != there) {
		syscall(SYS_dup2, transport, there);
		syscall(SYS_close, transport);
	}
	if (keep < 0) {
		syscall(SYS_close_range, 0, there - 1, 0);
	} else {
		if (keep)
			syscall(SYS_close_range, 0, keep - 1, 0);
		syscall(SYS_close_range, keep + 1, there - 1, 0);
	}
	syscall(SYS_close_range, there + 1, ~0u, 0);
}

static _Noreturn void stub_main(int transport, int there)
{
	uint8_t byte;

	become_stub(transport, there, -1);
	syscall(SYS_write, there, "r", 1);
	/* Until we are seized nothing else would end us when the restore dies. */
	syscall(SYS_read, there, &byte, 1);
	for (;;)
		syscall(SYS_exit_group, 1);
}

/* PID 1 of a new namespace: our copy with our memory, which lives on. */
static _Noreturn void init_main(const struct restore *r, int transport, int control, uint32_t root)
{
	int status, root_status = 0;
	uint8_t byte;
	pid_t pid;

	/* Until the user namespace has its maps, we are nobody. */
	if (read(control, &byte, 1) != 1)
		_exit(1);
	prctl(PR_SET_NAME, "wslx-init");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	become_stub(transport, r->transport_there, control);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		_exit(1);
	syscall(SYS_write, r->transport_there, "r", 1);
	if (read(control, &byte, 1) != 1)
		_exit(1); /* the restore failed: all of the namespace ends with us */
	prctl(PR_SET_PDEATHSIG, 0);
	syscall(SYS_close_range, 0, ~0u, 0);
	while ((pid = wait4(-1, &status, 0, NULL)) > 0 || errno == EINTR)
		if (pid == (pid_t)root)
			root_status = status;
	_exit(WIFEXITED(root_status) ? WEXITSTATUS(root_status) : 128 + WTERMSIG(root_status));
}

/* ---- outside ----------------------------------------------------------------------------- */

static int wait_ready(struct restore *r, struct err *e)
{
	uint8_t byte;
	ssize_t n;

	do
		n = recv(r->transport, &byte, 1, 0);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		return err_say(e, -EIO, "the first process of the restore ended early%s",
		               r->options->pidns ? " (mounting /proc in a new namespace may be "
		                                   "forbidden here)"
		                                 : "");
	return 0;
}

static int write_map(pid_t pid, const char *file, const char *text)
{
	char path[64];
	AUTO(fd) int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : os_write_all(fd, text, strlen(text));
}

static int map_ids(pid_t pid, struct err *e)
{
	char text[64];
	int ret = write_map(pid, "setgroups", "deny");

	snprintf(text, sizeof(text), "%u %u 1\n", geteuid(), geteuid());
	if (!ret)
		ret = write_map(pid, "uid_map", text);
	snprintf(text, sizeof(text), "%u %u 1\n", getegid(), getegid());
	if (!ret)
		ret = write_map(pid, "gid_map", text);
	return ret < 0 ? err_set(e, ret, "user namespace: its maps") : 0;
}

static int spawn_init(struct restore *r, uint32_t root, int transport, struct err *e)
{
	struct clone_args args = {.flags = CLONE_CLEAR_SIGHAND | CLONE_NEWPID | CLONE_NEWNS |
	                                   (r->userns ? (uint64_t)CLONE_NEWUSER : 0),
	                          .exit_signal = SIGCHLD};
	int control[2], ret = 0;
	long pid;

	if (pipe2(control, O_CLOEXEC) < 0)
		return err_set(e, -errno, "pipe");
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0) {
		ret = err_set(e, -errno,
		              "a new pid namespace (are user namespaces allowed here? "
		              "user.max_user_namespaces)");
	} else if (!pid) {
		close(control[1]);
		restore_use_all_cpus(r);
		init_main(r, transport, control[0], root);
	}
	close(control[0]);
	r->init_control = control[1];
	if (!ret && r->userns)
		ret = map_ids((pid_t)pid, e);
	if (!ret)
		ret = os_write_all(control[1], "m", 1);
	close(transport);
	if (!ret)
		ret = wait_ready(r, e);
	if (!ret)
		ret = tracee_seize(&r->init, (pid_t)pid, TRACE_OPTIONS, e);
	if (!ret)
		ret = tracee_stop(&r->init, 5000, e);
	return ret;
}

/*
 * The root is born from a helper that ends at once, so that its parent is whoever adopts
 * orphans and not us: our end is then no event for the program (PR_SET_PDEATHSIG). With a
 * terminal we stay, as its parent.
 */
static pid_t clone_root(struct restore *r, uint32_t pid, int transport)
{
	int32_t set_tid = (int32_t)pid;
	struct clone_args args = {.flags = CLONE_CLEAR_SIGHAND,
	                          .exit_signal = SIGCHLD,
	                          .set_tid = (uint64_t)(uintptr_t)&set_tid,
	                          .set_tid_size = 1};
	bool detached = r->options->tty < 0;
	/*
	 * A child that copies nothing of us is born as fast in a large process as in a small one. It
	 * sets one variable, which we do not read.
	 */
	/* NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork,clang-analyzer-unix.Vfork) */
	pid_t helper = detached ? vfork() : 0;
	int status;
	long born;

	if (helper < 0)
		return -errno;
	if (!helper) {
		born = syscall(SYS_clone3, &args, sizeof(args));
		if (!born)
			stub_main(transport, r->transport_there);
		if (!detached)
			return born < 0 ? -errno : (pid_t)born;
		_exit(born < 0 ? errno : 0);
	}
	while (waitpid(helper, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? (WEXITSTATUS(status) ? -WEXITSTATUS(status) : set_tid) : -EIO;
}

static int spawn_root(struct restore *r, const struct task_rec *root, int transport, struct err *e)
{
	struct tracee *t = &r->tasks[0].threads[0].tracee;
	pid_t pid;
	int ret = 0;

	do {
		pid = clone_root(r, root->pid, transport);
		if (pid < 0)
			ret = restore_pid_taken(r, (pid_t)root->pid, pid, e);
	} while (!ret && pid < 0);
	close(transport);
	if (ret < 0)
		return ret;
	ret = wait_ready(r, e);
	if (!ret)
		ret = tracee_seize(t, pid, TRACE_OPTIONS, e);
	if (!ret)
		ret = tracee_stop(t, 5000, e);
	if (ret < 0) {
		kill(pid, SIGKILL);
		t->state = TRACEE_GONE;
	}
	return ret;
}

/* Only our area is left, and no descriptor but the transport. */
static int clear(struct restore *r, struct tracee *t, struct err *e)
{
	const uint64_t end = r->parked.at + r->parked_bytes;
	uint64_t *starts[] = {&r->vvar_start, &r->vclock_start, &r->vdso_start};
	uint64_t *sizes[] = {&r->vvar_bytes, &r->vclock_bytes, &r->vdso_bytes};
	uint64_t low = UINT64_MAX;
	struct remote in;
	int64_t results[8];
	size_t calls[8], n = 0;
	int ret = remote_begin(&in, t, &r->place, e);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < 3; i++)
		if (*starts[i])
			low = MIN(low, *starts[i]);
	for (size_t i = 0; i < 3; i++) {
		uint64_t to = r->parked.at + *starts[i] - low;

		if (!*starts[i])
			continue;
		calls[n++] = REMOTE_QUEUE(&in, SYS_mremap, *starts[i], *sizes[i], *sizes[i],
		                          U(MREMAP_MAYMOVE | MREMAP_FIXED), to);
		*starts[i] = to;
	}
	calls[n++] = REMOTE_QUEUE(&in, SYS_munmap, U(0), r->place.page.at);
	calls[n++] = REMOTE_QUEUE(&in, SYS_munmap, end, ADDRESS_END - end);
	calls[n++] = REMOTE_QUEUE(&in, SYS_close_range, U(0), U(r->transport_there - 1), U(0));
	calls[n++] = REMOTE_QUEUE(&in, SYS_close_range, U(r->transport_there + 1), U(~0u), U(0));
	ret = remote_run(&in, e);
	for (size_t i = 0; !ret && i < n; i++) {
		results[i] = remote_result(&in, calls[i]);
		if (results[i] < 0 && results[i] > -4096)
			ret = err_set(e, (int)results[i], "emptying the first process, step %zu",
			              i);
	}
	return remote_close(&in, ret, e);
}

int stub_spawn(struct restore *r, const struct task_rec *root, int there, struct err *e)
{
	struct rtask *t = &r->tasks[0];
	int ret;

	if (r->options->pidns) {
		ret = spawn_init(r, root->pid, there, e);
		if (!ret)
			ret = remote_clone(r, &r->init, 0, SIGCHLD, root->pid,
			                   &t->threads[0].tracee, e);
	} else {
		ret = spawn_root(r, root, there, e);
	}
	if (ret < 0)
		return ret;
	t->n_threads = 1;
	t->threads[0].rec = LIST_AT(&root->threads, struct thread_rec, 0);
	return clear(r, &t->threads[0].tracee, e);
}

void stub_release_init(struct restore *r)
{
	uint8_t byte;

	if (r->init_control < 0)
		return;
	tracee_release(&r->init);
	(void)!write(r->init_control, "g", 1);
	os_close(&r->init_control);
	/* It would die with us until it has taken note; then it closes its end, as all others did. */
	while (recv(r->transport, &byte, 1, 0) > 0 || errno == EINTR)
		errno = 0;
}
