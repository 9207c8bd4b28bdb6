/* SPDX-License-Identifier: MIT */
/*
 * What all that takes part in a restore does with it. Descriptors go into the tasks through one
 * socket that every stub was born with.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "kinds/kinds.h"

void restore_note(struct restore *r, const char *fmt, ...)
{
	AUTO(buf) struct buf text = {0};
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	*LIST_ADD(&r->out->notes, &r->out->arena, const char *) =
		arena_text(&r->out->arena, buf_text(&text));
}

struct rtask *restore_find(struct restore *r, uint32_t pid)
{
	const struct task_number *number = task_numbers_find(&r->numbers, pid);

	return number && !number->thread ? &r->tasks[number->task] : NULL;
}

pid_t restore_pid_here(struct restore *r, uint32_t pid)
{
	const struct task_number *number = task_numbers_find(&r->numbers, pid);
	const struct rtask *t = number ? &r->tasks[number->task] : NULL;

	if (!t || !number->thread)
		return t ? t->pid : 0;
	return number->thread < t->n_threads ? t->threads[number->thread].tracee.tid : 0;
}

/* ---- CPUs ------------------------------------------------------------------------------ */

/*
 * A task that is being built and we take turns. On one CPU the next turn is a switch; on two each
 * wakes a CPU that has gone to sleep, which takes several times longer. What is born is on ours,
 * too, until it gets its own affinity. Memory is filled on all.
 */
void restore_use_one_cpu(struct restore *r)
{
	int cpu = sched_getcpu();
	cpu_set_t one;

	CPU_ZERO(&r->cpus);
	/* More CPUs than the set has room for: then so be it. */
	if (cpu < 0 || sched_getaffinity(0, sizeof(r->cpus), &r->cpus) < 0)
		return;
	CPU_ZERO(&one);
	CPU_SET((unsigned)cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

bool restore_other_cpus(const struct restore *r, cpu_set_t *out)
{
	cpu_set_t ours;

	if (sched_getaffinity(0, sizeof(ours), &ours) < 0)
		return false;
	CPU_XOR(out, &r->cpus, &ours);
	return CPU_COUNT(out) > 0;
}

void restore_use_all_cpus(const struct restore *r)
{
	if (CPU_COUNT(&r->cpus))
		sched_setaffinity(0, sizeof(r->cpus), &r->cpus);
}

/* ---- transport --------------------------------------------------------------------------- */

int restore_send_fds(struct restore *r, struct remote *to, const int *fds, size_t n, int *there,
                     struct err *e)
{
	union {
		struct cmsghdr head;
		uint8_t bytes[CMSG_SPACE(SEND_FDS_MAX * sizeof(int))];
	} control = {0}, answer = {0};
	uint8_t byte = 'f';
	struct iovec iov = {&byte, 1}, iov_there;
	struct msghdr msg = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = control.bytes,
	                     .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct msghdr msg_there = {0};
	size_t call;
	int ret;

	assert(n && n <= SEND_FDS_MAX);
	control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(n * sizeof(int)),
	                                .cmsg_level = SOL_SOCKET,
	                                .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
	if (sendmsg(r->transport, &msg, MSG_NOSIGNAL) != 1)
		return err_set(e, -errno, "sending %zu descriptors", n);
	iov_there.iov_base = (void *)(uintptr_t)remote_in(to, &byte, 1);
	iov_there.iov_len = 1;
	msg_there.msg_iov = (void *)(uintptr_t)remote_in(to, &iov_there, sizeof(iov_there));
	msg_there.msg_iovlen = 1;
	msg_there.msg_control = (void *)(uintptr_t)remote_out(to, &answer, sizeof(answer));
	msg_there.msg_controllen = CMSG_SPACE(n * sizeof(int));
	call = REMOTE_QUEUE(to, SYS_recvmsg, U(r->transport_there),
	                    remote_in(to, &msg_there, sizeof(msg_there)), U(MSG_DONTWAIT));
	ret = remote_run(to, e);
	if (ret < 0)
		return ret;
	if (remote_result(to, call) != 1)
		return err_set(e, (int)MIN(remote_result(to, call), (int64_t)-1),
		               "receiving descriptors");
	if (answer.head.cmsg_type != SCM_RIGHTS ||
	    answer.head.cmsg_len != CMSG_LEN(n * sizeof(int)))
		return err_say(
			e, -EMFILE,
			"a task received fewer descriptors than were sent: raise the limit of "
			"open files (ulimit -n)");
	memcpy(there, CMSG_DATA(&answer.head), n * sizeof(int));
	return 0;
}
