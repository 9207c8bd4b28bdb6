/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle */
/* A listening socket with a client that nobody has accepted yet. */
#include "zoo.h"

#include <netinet/in.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd, client;

	zoo_init(argc, argv);
	fd = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	must(bind(fd, (void *)&a, sizeof(a)));
	must(listen(fd, 2));
	must(getsockname(fd, (void *)&a, &len));
	client = must(socket(AF_INET, SOCK_STREAM, 0));
	must(connect(client, (void *)&a, sizeof(a)));
	check(zoo_readable(fd, 5), "no client");

	zoo_snapshot_here();
	zoo_spoil(close(must(accept(fd, NULL, NULL))));
	must(accept(fd, NULL, NULL));
	zoo_pass();
}
