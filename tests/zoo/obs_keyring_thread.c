/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle hidden=yes */
/* A second thread with a keyring of its own. */
#include "zoo.h"

#include <linux/keyctl.h>
#include <pthread.h>

static pthread_barrier_t ready, go;
static long key = -1;

static void *thread(void *unused)
{
	char text[8] = "";

	key = syscall(SYS_add_key, "user", "zoo", "hidden", 6ul, (long)KEY_SPEC_THREAD_KEYRING);
	pthread_barrier_wait(&ready);
	pthread_barrier_wait(&go);
	zoo_spoil(must(syscall(SYS_keyctl, KEYCTL_CLEAR, (long)KEY_SPEC_THREAD_KEYRING)));
	check_eq(
		syscall(SYS_keyctl, KEYCTL_SEARCH, (long)KEY_SPEC_THREAD_KEYRING, "user", "zoo", 0),
		key);
	check_eq(syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof(text)), 6);
	check_text(text, "hidden");
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
	if (key < 0)
		zoo_skip("add_key: no keys here");

	zoo_snapshot_here();
	pthread_barrier_wait(&go);
	must_zero(pthread_join(t, NULL));
	zoo_pass();
}
