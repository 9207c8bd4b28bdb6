/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* A socket pair between parent and child with a conversation under way. */
#include "zoo.h"

#include <sys/socket.h>

int main(int argc, char **argv)
{
	pid_t child;
	char text[64];
	int s[2], status;
	ssize_t n;

	zoo_init(argc, argv);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	child = must(fork());
	if (!child) {
		close(s[0]);
		while ((n = must(read(s[1], text, sizeof(text)))) > 0) {
			for (ssize_t i = 0; i < n; i++)
				text[i] = (char)(text[i] - 'a' + 'A');
			must(write(s[1], text, (size_t)n));
		}
		_exit(7);
	}
	close(s[1]);
	must(write(s[0], "before", 6));
	check_eq(recv(s[0], text, 6, MSG_WAITALL), 6);
	zoo_await_syscall(child, SYS_read);

	zoo_snapshot_here();
	zoo_spoil(must(kill(child, SIGKILL)));
	zoo_spoil(must(write(s[0], "q", 1)));
	must(write(s[0], "after", 5));
	check_eq(recv(s[0], text, 64, 0), 5);
	check(!memcmp(text, "AFTER", 5), "%.5s", text);
	must(shutdown(s[0], SHUT_WR));
	check_eq(recv(s[0], text, 64, 0), 0);
	check_eq(waitpid(child, &status, 0), child);
	check_eq(WEXITSTATUS(status), 7);
	zoo_pass();
}
