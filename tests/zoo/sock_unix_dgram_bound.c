/* SPDX-License-Identifier: MIT */
/* zoo: expect=either */
/* Bound UNIX datagram sockets and one connected to another by name, with datagrams waiting. */
#include "zoo.h"

#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char **argv)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = ""}, from;
	socklen_t len;
	int server, client;
	char got[16];

	zoo_init(argc, argv);
	server = must(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
	check(strlen(zoo_beside("s")) < sizeof(a.sun_path), "too long a path");
	strcpy(a.sun_path, zoo_beside("s"));
	unlink(a.sun_path);
	must(bind(server, (void *)&a, sizeof(a)));
	client = must(socket(AF_UNIX, SOCK_DGRAM, 0));
	must(bind(client, (void *)&(struct sockaddr_un){.sun_family = AF_UNIX},
	          sizeof(sa_family_t)));
	must(connect(client, (void *)&a, sizeof(a)));
	must(send(client, "waiting", 7, 0));

	zoo_snapshot_here();
	zoo_spoil(must(recv(server, got, 16, 0)));
	zoo_spoil(close(client); client = must(socket(AF_UNIX, SOCK_DGRAM, 0)));
	len = sizeof(from);
	check_eq(recvfrom(server, got, 16, 0, (void *)&from, &len), 7);
	check(len > sizeof(sa_family_t), "the sender has no name any more");
	must(sendto(server, "answer", 6, 0, (void *)&from, len));
	check_eq(recv(client, got, 16, 0), 6);
	must(send(client, "more", 4, 0));
	check_eq(recv(server, got, 16, 0), 4);
	zoo_pass();
}
