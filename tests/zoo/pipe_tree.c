/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* A pipeline of three processes with a blocked reader, bytes on the way, and the end of file at its
 * end. */
#include "zoo.h"

int main(int argc, char **argv)
{
	int a[2], b[2];
	char got[64];
	pid_t first, second;
	ssize_t n, at = 0;

	zoo_init(argc, argv);
	must(pipe(a));
	must(pipe(b));
	first = must(fork());
	if (!first) {
		/* Reads a, writes twice each byte to b, until the end of a. */
		char c;

		close(a[1]);
		close(b[0]);
		while (must(read(a[0], &c, 1)) == 1)
			must(write(b[1], (char[2]){c, c}, 2));
		_exit(0);
	}
	second = must(fork());
	if (!second) {
		close(a[0]);
		close(a[1]);
		close(b[0]);
		close(b[1]);
		zoo_await_go();
		_exit(0);
	}
	close(a[0]);
	close(b[1]);
	must(write(a[1], "abc", 3));
	zoo_await_syscall(first, SYS_read);

	zoo_snapshot_here();
	zoo_spoil(must(write(a[1], "x", 1)));
	zoo_spoil(kill(first, SIGKILL));
	must(write(a[1], "de", 2));
	close(a[1]);
	zoo_spoil(b[0] = must(open("/dev/null", O_RDONLY)));
	while ((n = read(b[0], got + at, sizeof(got) - (size_t)at)) > 0)
		at += n;
	check_eq(n, 0);
	check_eq(at, 10);
	check(!memcmp(got, "aabbccddee", 10), "%.10s", got);
	zoo_finish_child(second);
	check_eq(waitpid(first, NULL, 0), first);
	zoo_pass();
}
