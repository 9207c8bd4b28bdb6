/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Three hundred threads, each with its own id, name, thread-local memory and place to wait. */
#include "zoo.h"

#include <pthread.h>

#define THREADS 300

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int started, finished;
static bool go;
static __thread uint64_t own;
static pid_t tids[THREADS];

static void *thread(void *arg)
{
	long me = (long)arg;
	char name[16], want[16];

	own = (uint64_t)me * 0x0123456789ull;
	snprintf(name, sizeof(name), "worker %ld", me);
	must_zero(pthread_setname_np(pthread_self(), name));
	pthread_mutex_lock(&lock);
	tids[me] = zoo_tid();
	started++;
	pthread_cond_broadcast(&changed);
	while (!go)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);

	if (me == 123)
		zoo_spoil(own++);
	if (me == 45)
		zoo_spoil(pthread_setname_np(pthread_self(), "somebody else"));
	check_eq(own, (uint64_t)me * 0x0123456789ull);
	check_eq(zoo_tid(), tids[me]);
	must_zero(pthread_getname_np(pthread_self(), want, sizeof(want)));
	check_text(want, name);
	pthread_mutex_lock(&lock);
	finished++;
	pthread_mutex_unlock(&lock);
	return (void *)(me * 3);
}

int main(int argc, char **argv)
{
	pthread_t t[THREADS];
	pthread_attr_t attr;
	void *result;

	zoo_init(argc, argv);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	for (long i = 0; i < THREADS; i++)
		must_zero(pthread_create(&t[i], &attr, thread, (void *)i));
	pthread_mutex_lock(&lock);
	while (started < THREADS)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);

	zoo_snapshot_here();
	zoo_spoil(tids[7]++);
	check_eq(atoi(zoo_status(getpid(), "Threads")), THREADS + 1);
	pthread_mutex_lock(&lock);
	go = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	for (long i = 0; i < THREADS; i++) {
		must_zero(pthread_join(t[i], &result)); /* needs clear_child_tid */
		check_eq((long)result, i * 3);
	}
	check_eq(finished, THREADS);
	check_eq(atoi(zoo_status(getpid(), "Threads")), 1);
	zoo_pass();
}
