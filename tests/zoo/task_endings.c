/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore skip=live */
/*
 * Processes that end all the time, so that some do while they are being stopped: each parent gets
 * to wait for every child that it made. Their memory makes their ends take a while.
 */
#include "zoo.h"

#define PARENTS 4
#define CHILD_BYTES (4ul << 20)

struct shared {
	volatile int over;
	volatile int rounds[PARENTS];
};

static void make_and_wait(struct shared *s, int n)
{
	while (!s->over) {
		pid_t child = must(fork());
		int status;

		if (!child) {
			memset(must(mmap(NULL, CHILD_BYTES, PROT_READ | PROT_WRITE,
			                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)),
			       1, CHILD_BYTES);
			_exit(7);
		}
		check_eq(must(waitpid(child, &status, 0)), child);
		check_eq(WIFEXITED(status) ? WEXITSTATUS(status) : -status, 7);
		s->rounds[n]++;
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	struct shared *s =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t parents[PARENTS];

	zoo_init(argc, argv);
	for (int n = 0; n < PARENTS; n++) {
		parents[n] = must(fork());
		if (!parents[n])
			make_and_wait(s, n);
	}
	zoo_snapshot_here();
	zoo_spoil(kill(parents[0], SIGKILL));
	for (int n = 0; n < PARENTS; n++) {
		int before = s->rounds[n];

		while (s->rounds[n] < before + 2)
			check_eq(waitpid(parents[n], NULL, WNOHANG), 0);
	}
	s->over = 1;
	for (int n = 0; n < PARENTS; n++) {
		int status;

		check_eq(must(waitpid(parents[n], &status, 0)), parents[n]);
		check_eq(status, 0);
	}
	zoo_pass();
}
