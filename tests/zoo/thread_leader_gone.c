/* SPDX-License-Identifier: MIT */
/* zoo: expect=either */
/* The first thread ended with pthread_exit() while others go on: a zombie leader over living
 * threads. */
#include "zoo.h"

#include <pthread.h>

static pid_t leader;

static void *thread(void *unused)
{
	while (strcmp(zoo_status(leader, "State"), "Z (zombie)"))
		sched_yield();
	zoo_snapshot_here();
	zoo_spoil(leader = zoo_tid());
	check_eq(getpid(), leader);
	check(zoo_tid() != leader, "this is the first thread");
	check_text(zoo_status(leader, "State"), "Z (zombie)");
	check_eq(atoi(zoo_status(zoo_tid(), "Threads")), 2);
	zoo_pass();
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t;

	zoo_init(argc, argv);
	leader = getpid();
	must_zero(pthread_create(&t, NULL, thread, NULL));
	syscall(SYS_exit, 0); /* of this thread alone */
}
