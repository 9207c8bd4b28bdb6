/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* FS and GS base of each thread, set by arch_prctl() and by instruction. */
#include "zoo.h"

#include <asm/prctl.h>
#include <pthread.h>
#include <semaphore.h>

#define THREADS 4

static sem_t started, go;
static uint64_t area[THREADS + 1][16];

static void set_gs(int i)
{
	area[i][2] = 1000 + (uint64_t)i;
	must(syscall(SYS_arch_prctl, ARCH_SET_GS, area[i]));
}

static void check_gs(int i, uint64_t fs)
{
	uint64_t value, base, fs_now;

	must(syscall(SYS_arch_prctl, ARCH_GET_GS, &base));
	check_eq(base, (uintptr_t)area[i]);
	__asm__ volatile("movq %%gs:16, %0" : "=r"(value));
	check_eq(value, 1000 + i);
	must(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs_now));
	check_eq(fs_now, fs);
}

static void *thread(void *arg)
{
	int i = (int)(long)arg;
	uint64_t fs;

	must(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs));
	set_gs(i);
	sem_post(&started);
	while (sem_wait(&go))
		;
	if (i == 3)
		zoo_spoil(set_gs(2));
	check_gs(i, fs);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[THREADS];
	uint64_t fs;

	zoo_init(argc, argv);
	must(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs));
	set_gs(THREADS);
	for (long i = 0; i < THREADS; i++)
		must_zero(pthread_create(&t[i], NULL, thread, (void *)i));
	for (int i = 0; i < THREADS; i++)
		sem_wait(&started);

	zoo_snapshot_here();
	zoo_spoil(set_gs(0));
	check_gs(THREADS, fs);
	for (int i = 0; i < THREADS; i++)
		sem_post(&go);
	for (int i = 0; i < THREADS; i++)
		must_zero(pthread_join(t[i], NULL));
	zoo_pass();
}
