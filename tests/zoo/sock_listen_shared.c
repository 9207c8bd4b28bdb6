/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* A pre-forked server: one listening socket in three processes, and SO_REUSEPORT siblings on one
 * port. */
#include "zoo.h"

#include <netinet/in.h>
#include <sys/socket.h>

static int listener(struct sockaddr_in *a)
{
	int fd = must(socket(AF_INET, SOCK_STREAM, 0));
	socklen_t len = sizeof(*a);

	must(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int)));
	must(bind(fd, (void *)a, sizeof(*a)));
	must(listen(fd, 10));
	must(getsockname(fd, (void *)a, &len));
	return fd;
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in b = a;
	int shared, sibling[2], client, server;
	pid_t child[2];
	uint16_t port;
	char c;

	zoo_init(argc, argv);
	shared = listener(&a);
	sibling[0] = listener(&b);
	port = b.sin_port;
	sibling[1] = listener(&b);
	check_eq(b.sin_port, port);
	for (int i = 0; i < 2; i++) {
		child[i] = must(fork());
		if (!child[i]) {
			int s = must(accept(shared, NULL, NULL));

			must(send(s, i ? "1" : "0", 1, 0));
			_exit(0);
		}
		zoo_await_syscall(child[i], SYS_accept);
	}

	zoo_snapshot_here();
	zoo_spoil(close(sibling[0]); close(sibling[1]));
	zoo_spoil(kill(child[0], SIGKILL));
	for (int i = 0; i < 2; i++) {
		struct timeval limit = {10, 0};
		int status;

		client = must(socket(AF_INET, SOCK_STREAM, 0));
		must(setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
		must(connect(client, (void *)&a, sizeof(a)));
		check_eq(recv(client, &c, 1, 0), 1);
		check(c == '0' || c == '1', "%c", c);
		pid_t who = child[c - '0'];
		check_eq(waitpid(who, &status, 0), who);
		check_eq(status, 0);
	}
	client = must(socket(AF_INET, SOCK_STREAM, 0));
	must(connect(client, (void *)&b, sizeof(b)));
	struct pollfd p[2] = {{sibling[0], POLLIN, 0}, {sibling[1], POLLIN, 0}};
	check_eq(poll(p, 2, 5000), 1);
	server = must(accept(p[0].revents ? sibling[0] : sibling[1], NULL, NULL));
	close(server);
	zoo_pass();
}
