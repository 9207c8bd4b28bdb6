/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* What a thread has told the kernel: robust list, clear_child_tid, rseq area; and that each still
 * works. */
#include "zoo.h"

#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/rseq.h>

static sem_t started, go;
static pthread_mutex_t robust;
static volatile pid_t tid;

static void *robust_head(pid_t of)
{
	void *head;
	size_t len;

	must(syscall(SYS_get_robust_list, of, &head, &len));
	check_eq(len, 24);
	return head;
}

static volatile struct rseq *own_rseq(void)
{
	return (void *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

static void check_rseq(void)
{
	cpu_set_t one;

	if (!__rseq_size)
		return;
	for (size_t cpu = 0; cpu < 2; cpu++) {
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (sched_setaffinity(0, sizeof(one), &one))
			continue;                  /* not ours to use */
		check_eq(own_rseq()->cpu_id, cpu); /* the kernel wrote it on the way back */
	}
	/* Registered already, with this area: EBUSY. Another area would be EINVAL. */
	must_refuse(syscall(SYS_rseq, own_rseq(), sizeof(struct rseq), 0, RSEQ_SIG), EBUSY);
}

static void *thread(void *head_out)
{
	void **head = head_out;

	tid = zoo_tid();
	pthread_mutex_lock(&robust);
	*head = robust_head(tid);
	sem_post(&started);
	while (sem_wait(&go))
		;
	check(robust_head(tid) == *head, "the robust list moved");
	zoo_spoil(must(syscall(SYS_rseq, own_rseq(), sizeof(struct rseq), 1, RSEQ_SIG)));
	zoo_spoil(must(syscall(SYS_set_robust_list, calloc(1, 24), 24)));
	check_rseq();
	return NULL; /* with the mutex: the kernel must hand it on as "owner died" */
}

int main(int argc, char **argv)
{
	pthread_mutexattr_t attr;
	void *head, *own;
	pthread_t t;

	zoo_init(argc, argv);
	sem_init(&started, 0, 0);
	sem_init(&go, 0, 0);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&robust, &attr);
	must_zero(pthread_create(&t, NULL, thread, &head));
	sem_wait(&started);
	own = robust_head(0);

	zoo_snapshot_here();
	check(robust_head(0) == own, "the main thread's robust list moved");
	check_rseq();
	check(!syscall(SYS_tgkill, getpid(), tid, 0), "no thread %d", tid);
	sem_post(&go);
	must_zero(pthread_join(t, NULL)); /* by clear_child_tid */
	check_eq(pthread_mutex_trylock(&robust), EOWNERDEAD);
	zoo_pass();
}
