/* SPDX-License-Identifier: MIT */
/*
 * What bench/proc takes snapshots of: a process that has one thing in quantity and then waits.
 *
 *	bench-load memory MIB | tree TASKS | sleepers TASKS | threads N | fds N | mappings N
 *
 * Memory holds what programs hold: a quarter text-like, a quarter pointers, a quarter numbers
 * that do not compress, a quarter zero. Prints "ready", then waits for ever.
 */
#include "../tests/random.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static uint64_t state = 88172645463325252u;

static uint64_t draw(void)
{
	return random_next(&state);
}

static void fill_page(uint8_t *page, unsigned kind)
{
	static const char *const words[] = {"snapshot ", "process ", "memory ", "the ", "of ",
	                                    "restore ",  "page ",    "kernel ", "a ",   "file "};
	size_t at = 0;

	switch (kind % 4) {
	case 0:
		while (at < 4080) {
			const char *word = words[draw() % 10];

			memcpy(page + at, word, strlen(word));
			at += strlen(word);
		}
		break;
	case 1:
		for (at = 0; at < 4096; at += 8) {
			uint64_t pointer = 0x7f0000000000u + (draw() & 0xffffff0);

			memcpy(page + at, &pointer, 8);
		}
		break;
	case 2:
		for (at = 0; at < 4096; at += 8) {
			uint64_t number = draw();

			memcpy(page + at, &number, 8);
		}
		break;
	default:
		page[0] = 1; /* touched */
	}
}

static void memory(size_t mib)
{
	uint8_t *p =
		mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mib && p == MAP_FAILED)
		exit(1);
	for (size_t page = 0; page < mib << 8; page++)
		fill_page(p + (page << 12), (unsigned)(page >> 4));
}

static void *wait_thread(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void many(const char *what, int n)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 1; i < n; i++) {
		pthread_t t;
		char *page;

		if (!strcmp(what, "tree")) {
			int filled[2];
			char none;

			if (pipe(filled))
				exit(1);
			if (!fork()) {
				close(filled[0]);
				memory(1);
				close(filled[1]);
				for (;;)
					pause();
			}
			/* "ready" is said of all of them; nothing of the pipe stays. */
			close(filled[1]);
			if (read(filled[0], &none, 1) != 0)
				exit(1);
			close(filled[0]);
		} else if (!strcmp(what, "sleepers")) {
			pid_t child = fork();

			if (child < 0)
				exit(1);
			while (!child)
				pause();
		} else if (!strcmp(what, "threads")) {
			if (pthread_create(&t, NULL, wait_thread, NULL))
				exit(1);
		} else if (!strcmp(what, "fds")) {
			if (open("/etc/passwd", O_RDONLY) < 0)
				exit(1);
		} else {
			/* Every second one of another protection, so that they stay apart. */
			page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			            -1, 0);
			if (page == MAP_FAILED)
				exit(1);
			page[0] = 1;
			if (i % 2)
				mprotect(page, 4096, PROT_READ);
		}
	}
}

int main(int argc, char **argv)
{
	int n = argc > 2 ? atoi(argv[2]) : 0;

	if (argc != 3)
		return 2;
	if (!strcmp(argv[1], "memory"))
		memory((size_t)n);
	else
		many(argv[1], n);
	printf("ready\n");
	fflush(stdout);
	for (;;)
		pause();
}
