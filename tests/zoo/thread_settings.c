/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore unprivileged=no */
/* Settings that each thread has of its own: affinity, nice, ioprio, timer slack, policy, name,
 * pdeathsig. */
#include "zoo.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define THREADS 3

struct settings {
	uint64_t cpus;
	int nice, ioprio, policy;
	unsigned long slack;
	bool reset;
};

static sem_t started, go;

static struct settings read_settings(void)
{
	struct settings s = {0};

	must(syscall(SYS_sched_getaffinity, 0, sizeof(s.cpus), &s.cpus));
	errno = 0;
	s.nice = getpriority(PRIO_PROCESS, 0);
	s.ioprio = must((int)syscall(SYS_ioprio_get, 1, 0));
	s.policy = must(sched_getscheduler(0));
	s.reset = s.policy & SCHED_RESET_ON_FORK;
	s.slack = (unsigned long)must(prctl(PR_GET_TIMERSLACK));
	return s;
}

static void *thread(void *arg)
{
	static const int policies[] = {SCHED_BATCH, SCHED_IDLE, SCHED_OTHER | SCHED_RESET_ON_FORK};
	int i = (int)(long)arg;
	uint64_t cpus = i == 1 ? 1 : ~0ull;
	struct settings before, after;

	must(syscall(SYS_sched_setaffinity, 0, sizeof(cpus), &cpus));
	must(sched_setscheduler(0, policies[i], &(struct sched_param){0}));
	must(setpriority(PRIO_PROCESS, (id_t)zoo_tid(), 3 + i));
	must(syscall(SYS_ioprio_set, 1, 0, 2 << 13 | (4 + i))); /* best effort 4.. */
	must(prctl(PR_SET_TIMERSLACK, 123456ul + (unsigned long)i));
	before = read_settings();
	check_eq(before.nice, 3 + i);
	sem_post(&started);
	while (sem_wait(&go))
		;
	if (i == 0) {
		zoo_spoil(must(setpriority(PRIO_PROCESS, (id_t)zoo_tid(), 10)));
		zoo_spoil(must(prctl(PR_SET_TIMERSLACK, 50000ul)));
	}
	if (i == 1) {
		zoo_spoil(must(syscall(SYS_ioprio_set, 1, 0, 0)));
		zoo_spoil(cpus = 2; must(syscall(SYS_sched_setaffinity, 0, 8, &cpus)));
	}
	if (i == 2)
		zoo_spoil(must(sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0})));
	after = read_settings();
	check_eq(after.cpus, before.cpus);
	check_eq(after.nice, before.nice);
	check_eq(after.ioprio, before.ioprio);
	check_eq(after.policy, before.policy);
	check_eq(after.slack, before.slack);
	return NULL;
}

int main(int argc, char **argv)
{
	struct settings before, after;
	pthread_t t[THREADS];

	zoo_init(argc, argv);
	before = read_settings();
	for (long i = 0; i < THREADS; i++)
		must_zero(pthread_create(&t[i], NULL, thread, (void *)i));
	for (int i = 0; i < THREADS; i++)
		sem_wait(&started);

	zoo_snapshot_here();
	after = read_settings();
	check(!memcmp(&before, &after, sizeof(before)), "the main thread's own settings changed");
	for (int i = 0; i < THREADS; i++)
		sem_post(&go);
	for (int i = 0; i < THREADS; i++)
		must_zero(pthread_join(t[i], NULL));
	zoo_pass();
}
