/* SPDX-License-Identifier: MIT */
/* A second thread, which makes state of its own before the snapshot and verifies it afterwards. */
#ifndef WSLX_ZOO_SECOND_THREAD_H
#define WSLX_ZOO_SECOND_THREAD_H

#include "zoo.h"

#include <pthread.h>

static pthread_barrier_t second_ready, second_go;
static pthread_t second_thread;
static void (*second_verify)(void);

static void *second_main(void *set_up)
{
	void (**made)(void) = set_up;

	(*made)();
	pthread_barrier_wait(&second_ready);
	pthread_barrier_wait(&second_go);
	second_verify();
	return NULL;
}

/* Returns when @set_up has run in it. */
static void second_start(void (*set_up)(void), void (*verify)(void))
{
	second_verify = verify;
	must_zero(pthread_barrier_init(&second_ready, NULL, 2));
	must_zero(pthread_barrier_init(&second_go, NULL, 2));
	must_zero(pthread_create(&second_thread, NULL, second_main, &set_up));
	pthread_barrier_wait(&second_ready);
}

/* Returns when @verify has run in it. */
static void second_finish(void)
{
	pthread_barrier_wait(&second_go);
	must_zero(pthread_join(second_thread, NULL));
}

#endif
