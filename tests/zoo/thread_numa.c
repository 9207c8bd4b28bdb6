/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* NUMA policies of threads (set_mempolicy). */
#include "zoo.h"

#include <linux/mempolicy.h>
#include <pthread.h>

static pthread_barrier_t ready, go;

static void set(int mode, unsigned long nodes)
{
	if (syscall(SYS_set_mempolicy, mode, &nodes, 65ul))
		zoo_skip("set_mempolicy: %s", strerror(errno));
}

static void must_be(int mode, unsigned long nodes)
{
	unsigned long now[16] = {0};
	int policy = -1;

	must(syscall(SYS_get_mempolicy, &policy, now, 8 * sizeof(now), 0ul, 0ul));
	check_eq(policy, mode);
	check_eq(now[0], nodes);
}

static void *thread(void *unused)
{
	set(MPOL_INTERLEAVE | MPOL_F_STATIC_NODES, 1);
	pthread_barrier_wait(&ready);
	pthread_barrier_wait(&go);
	must_be(MPOL_INTERLEAVE | MPOL_F_STATIC_NODES, 1);
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
	set(MPOL_BIND, 1);

	zoo_snapshot_here();
	zoo_spoil(set(MPOL_DEFAULT, 0));
	zoo_spoil(set(MPOL_PREFERRED, 1));
	must_be(MPOL_BIND, 1);
	pthread_barrier_wait(&go);
	must_zero(pthread_join(t, NULL));
	zoo_pass();
}
