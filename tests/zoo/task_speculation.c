/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Speculation control, of a thread: what was forbidden stays so. */
#include "zoo.h"

#include <linux/prctl.h>
#include <pthread.h>
#include <sys/prctl.h>

static pthread_barrier_t ready, go;

static int mode(int kind)
{
	return prctl(PR_GET_SPECULATION_CTRL, kind, 0, 0, 0);
}

static void *thread(void *kind)
{
	int which = *(int *)kind;

	must(prctl(PR_SET_SPECULATION_CTRL, which, PR_SPEC_FORCE_DISABLE, 0, 0));
	pthread_barrier_wait(&ready);
	pthread_barrier_wait(&go);
	check_eq(mode(which), PR_SPEC_PRCTL | PR_SPEC_FORCE_DISABLE);
	return NULL;
}

int main(int argc, char **argv)
{
	int kind, want = PR_SPEC_PRCTL | PR_SPEC_DISABLE;
	pthread_t t;

	zoo_init(argc, argv);
	for (kind = 0; kind < 2; kind++)
		if (mode(kind) == (PR_SPEC_PRCTL | PR_SPEC_ENABLE))
			break;
	if (kind == 2)
		zoo_skip("this CPU, or kernel, has no speculation that could be forbidden");
	must_zero(pthread_barrier_init(&ready, NULL, 2));
	must_zero(pthread_barrier_init(&go, NULL, 2));
	must_zero(pthread_create(&t, NULL, thread, &kind));
	pthread_barrier_wait(&ready);
	must(prctl(PR_SET_SPECULATION_CTRL, kind, PR_SPEC_DISABLE, 0, 0));

	zoo_snapshot_here();
	zoo_spoil(must(prctl(PR_SET_SPECULATION_CTRL, kind, PR_SPEC_ENABLE, 0, 0)));
	check_eq(mode(kind), want);
	pthread_barrier_wait(&go);
	must_zero(pthread_join(t, NULL));
	zoo_pass();
}
