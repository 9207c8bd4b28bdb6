/* SPDX-License-Identifier: MIT */
/*
 * Settings that hardly any program has, and that would be lost without a word if nobody asked:
 * each is noted for the restore, or an obstacle.
 *
 *	restored	speculation control, NUMA policy
 *	obstacles	system call dispatch, I/O ports, segments, masked addresses, core scheduling,
 *			utilisation clamps, keyrings of threads, NUMA policies of single mappings
 */
#include <asm/ldt.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "engine/dump-rare.h"

#define GET_SYSCALL_DISPATCH 0x4211 /* PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, Linux 6.4 */
#define IO_PERMISSIONS 0x201        /* NT_386_IOPERM */
#define GET_THREAD_AREA 25          /* PTRACE_GET_THREAD_AREA */
#define TLS_FIRST 12                /* of the three segments that a thread may set */
#define GET_UNTAG_MASK 0x4001       /* ARCH_GET_UNTAG_MASK */
#define CORE_SCHEDULING 62          /* PR_SCHED_CORE; 0: get, of one thread */

struct dispatch {
	uint64_t mode, selector, offset, bytes;
};

static bool has_segments(pid_t tid)
{
	struct user_desc s;

	for (long i = TLS_FIRST; i < TLS_FIRST + 3; i++)
		if (ptrace((enum __ptrace_request)GET_THREAD_AREA, tid, i, &s) == 0 &&
		    (s.base_addr || s.limit || !s.seg_not_present))
			return true;
	return false;
}

void rare_by_ptrace(struct dump *d, struct dtask *t, pid_t tid)
{
	struct dispatch dispatch = {0};
	uint8_t ports[8192];
	struct iovec iov = {ports, sizeof(ports)};

	if (ptrace((enum __ptrace_request)GET_SYSCALL_DISPATCH, tid, sizeof(dispatch), &dispatch) ==
	            0 &&
	    dispatch.mode)
		dump_obstacle(
			d, t->pid,
			"thread %d handles system calls itself (PR_SET_SYSCALL_USER_DISPATCH, as "
			"Wine does): it cannot be asked",
			tid);
	if (ptrace(PTRACE_GETREGSET, tid, IO_PERMISSIONS, &iov) == 0 && iov.iov_len)
		dump_obstacle(d, t->pid, "thread %d may use I/O ports (ioperm)", tid);
	if (has_segments(tid))
		dump_obstacle(d, t->pid, "thread %d has set segments (set_thread_area)", tid);
}

void rare_queue(struct rare *q, struct remote *r)
{
	for (unsigned i = 0; i < SPECULATION_KINDS; i++)
		q->calls.speculation[i] = REMOTE_QUEUE(r, SYS_prctl, U(PR_GET_SPECULATION_CTRL),
		                                       U(i), U(0), U(0), U(0));
	q->calls.policy = REMOTE_QUEUE(r, SYS_get_mempolicy, remote_out(r, &q->policy, 4),
	                               remote_out(r, q->nodes, sizeof(q->nodes)),
	                               U(8 * sizeof(q->nodes)), U(0), U(0));
	q->calls.keyring = REMOTE_QUEUE(r, SYS_keyctl, U(KEYCTL_GET_KEYRING_ID),
	                                U((int64_t)KEY_SPEC_THREAD_KEYRING), U(0));
	q->calls.untag = REMOTE_QUEUE(r, SYS_arch_prctl, U(GET_UNTAG_MASK),
	                              remote_out(r, &q->untag_mask, 8));
	q->calls.cookie = REMOTE_QUEUE(r, SYS_prctl, U(CORE_SCHEDULING), U(0), U(0), U(0),
	                               remote_out(r, &q->cookie, 8));
	q->calls.ldt = REMOTE_QUEUE(r, SYS_modify_ldt, U(0), remote_out(r, q->ldt, sizeof(q->ldt)),
	                            U(sizeof(q->ldt)));
}

void rare_read(const struct rare *q, struct dump *d, struct dtask *t, const struct remote *r,
               struct thread_rec *rec)
{
	int32_t ldt_bytes = (int32_t)remote_result(r, q->calls.ldt);

	for (unsigned i = 0; i < SPECULATION_KINDS; i++) {
		int64_t mode = remote_result(r, q->calls.speculation[i]);

		if (mode > 0 && (uint64_t)mode & PR_SPEC_PRCTL)
			rec->speculation |= (uint32_t)(mode & 0xff) << (8 * i);
	}
	if (remote_result(r, q->calls.policy) == 0 && q->policy) {
		rec->numa_policy = (uint32_t)q->policy;
		rec->numa_nodes =
			SPAN(arena_copy(&d->arena, q->nodes, sizeof(q->nodes)), sizeof(q->nodes));
	}
	if (remote_result(r, q->calls.keyring) > 0)
		dump_obstacle(d, t->pid,
		              "thread %u has a keyring of its own, which stays in the kernel",
		              rec->tid);
	if (remote_result(r, q->calls.untag) == 0 && q->untag_mask != UINT64_MAX)
		dump_obstacle(d, t->pid, "uses masked addresses (LAM)");
	if (remote_result(r, q->calls.cookie) == 0 && q->cookie)
		dump_obstacle(d, t->pid, "thread %u has a core scheduling cookie (PR_SCHED_CORE)",
		              rec->tid);
	/* This one call returns an int. */
	if (ldt_bytes > 0)
		dump_obstacle(d, t->pid, "has set segments (modify_ldt)");
}

/* Is there a choice of nodes at all? "numa" forces yes. */
static bool has_many_nodes(void)
{
	AUTO(buf) struct buf text = {0};

	return fallback_forced("numa") ||
	       (!os_read_file_at(AT_FDCWD, "/sys/devices/system/node/has_memory", &text) &&
	        strpbrk(buf_text(&text), "-,"));
}

int rare_mappings(struct dump *d, struct dtask *t, struct err *e)
{
	AUTO(buf) struct buf text = {0};
	char first[64] = "", policy[sizeof(first)] = "", *line, *save;
	int r;

	if (!has_many_nodes())
		return 0;
	r = os_read_file_at(t->proc, "numa_maps", &text);
	if (r < 0)
		return r == -ENOENT ? 0 : err_set(e, r, "numa_maps");
	buf_text(&text);
	/* A mapping without a policy shows that of the task. */
	for (line = strtok_r((char *)text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "%*x %63s", policy) != 1)
			continue;
		if (!*first)
			memcpy(first, policy, sizeof(first));
		if (!strcmp(first, policy))
			continue;
		dump_obstacle(d, t->pid, "has bound some of its memory to NUMA nodes (mbind)");
		break;
	}
	return 0;
}
