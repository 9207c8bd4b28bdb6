/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle */
/* An established TCP connection within the tree. */
#include "zoo.h"

#include <netinet/in.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd, client, server;
	char got[16];

	zoo_init(argc, argv);
	fd = must(socket(AF_INET, SOCK_STREAM, 0));
	must(bind(fd, (void *)&a, sizeof(a)));
	must(listen(fd, 2));
	must(getsockname(fd, (void *)&a, &len));
	client = must(socket(AF_INET, SOCK_STREAM, 0));
	must(connect(client, (void *)&a, sizeof(a)));
	server = must(accept(fd, NULL, NULL));
	close(fd);
	must(send(client, "under way", 9, 0));

	zoo_snapshot_here();
	zoo_spoil(must(recv(server, got, 3, 0)));
	check_eq(recv(server, got, sizeof(got), 0), 9);
	must(send(server, "back", 4, 0));
	check_eq(recv(client, got, sizeof(got), 0), 4);
	zoo_pass();
}
