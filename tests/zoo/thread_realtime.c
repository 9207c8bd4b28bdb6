/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore needs=root unprivileged=no */
/* Real-time and deadline scheduling with their parameters. */
#include "zoo.h"

#include <pthread.h>
#include <semaphore.h>

static sem_t started, go;
static const struct zoo_sched_attr want[] = {
	{.size = sizeof(struct zoo_sched_attr), .policy = SCHED_FIFO, .priority = 3},
	{.size = sizeof(struct zoo_sched_attr), .policy = SCHED_RR, .priority = 7, .flags = 1},
	{.size = sizeof(struct zoo_sched_attr),
         .policy = 6,
         .runtime = 1000000,
         .deadline = 50000000,
         .period = 100000000},
};

static void *thread(void *arg)
{
	const struct zoo_sched_attr *w = arg;
	struct zoo_sched_attr now = {0};

	if (syscall(SYS_sched_setattr, 0, w, 0))
		zoo_skip("sched_setattr of policy %u: %s", w->policy, strerror(errno));
	sem_post(&started);
	while (sem_wait(&go))
		;
	if (w == &want[0])
		zoo_spoil(must(sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0})));
	if (w == &want[2])
		zoo_spoil(must(syscall(SYS_sched_setattr, 0, &want[0], 0)));
	must(syscall(SYS_sched_getattr, 0, &now, sizeof(now), 0));
	check_eq(now.policy, w->policy);
	check_eq(now.priority, w->priority);
	check_eq(now.flags & 1, w->flags & 1);
	if (w->policy == 6) {
		check_eq(now.runtime, w->runtime);
		check_eq(now.deadline, w->deadline);
		check_eq(now.period, w->period);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[ZOO_LEN(want)];

	zoo_init(argc, argv);
	for (size_t i = 0; i < ZOO_LEN(want); i++)
		must_zero(pthread_create(&t[i], NULL, thread, (void *)(uintptr_t)&want[i]));
	for (size_t i = 0; i < ZOO_LEN(want); i++)
		sem_wait(&started);

	zoo_snapshot_here();
	for (size_t i = 0; i < ZOO_LEN(want); i++)
		sem_post(&go);
	for (size_t i = 0; i < ZOO_LEN(want); i++)
		must_zero(pthread_join(t[i], NULL));
	check_eq(sched_getscheduler(0), SCHED_OTHER);
	zoo_pass();
}
