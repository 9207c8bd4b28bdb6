/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle needs=root unprivileged=no hidden=yes */
/* A thread in a host name namespace of its own; the first thread is in ours. */
#include "zoo.h"

#include <pthread.h>

static pthread_barrier_t ready, go;
static bool left;

static ino_t uts_of(pid_t tid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/self/task/%d/ns/uts", tid);
	must(stat(path, &st));
	return st.st_ino;
}

static void *thread(void *unused)
{
	left = !unshare(CLONE_NEWUTS);
	pthread_barrier_wait(&ready);
	pthread_barrier_wait(&go);
	zoo_spoil(left = false);
	check((uts_of(zoo_tid()) != uts_of(getpid())) == left, "it is in another namespace now");
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t t;

	zoo_init(argc, argv);
	must_zero(pthread_barrier_init(&ready, NULL, 2));
	must_zero(pthread_barrier_init(&go, NULL, 2));
	must_zero(pthread_create(&t, NULL, thread, NULL));
	pthread_barrier_wait(&ready);
	if (!left)
		zoo_skip("no namespace of its own");

	zoo_snapshot_here();
	pthread_barrier_wait(&go);
	must_zero(pthread_join(t, NULL));
	zoo_pass();
}
