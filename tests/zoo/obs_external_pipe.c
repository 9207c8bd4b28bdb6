/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle */
/* A pipe whose other end is held by a process outside the tree. */
#include "zoo.h"

int main(int argc, char **argv)
{
	int to[2], from[2];
	struct zoo_gate gate;
	pid_t child;
	char c;

	zoo_init(argc, argv);
	must(pipe(to));
	must(pipe(from));
	zoo_gate_make(&gate);
	child = must(fork());
	if (!child) {
		/* A daemon, on its own: an echo for a single byte. */
		if (fork())
			_exit(0);
		setsid();
		close(to[1]);
		close(from[0]);
		zoo_gate_pass(&gate);
		if (read(to[0], &c, 1) == 1)
			_exit(write(from[1], &c, 1) != 1);
		_exit(0);
	}
	check_eq(waitpid(child, NULL, 0), child);
	close(to[0]);
	close(from[1]);
	zoo_gate_wait(&gate, 1);

	zoo_snapshot_here();
	zoo_spoil(must(dup2(must(open("/dev/null", O_WRONLY)), to[1])));
	must(write(to[1], "e", 1));
	check(zoo_readable(from[0], 5), "nobody answers");
	check_eq(read(from[0], &c, 1), 1);
	check_eq(c, 'e');
	zoo_pass();
}
