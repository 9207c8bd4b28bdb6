/* SPDX-License-Identifier: MIT */
/* zoo: expect=either */
/* A bound UDP socket, and a connected one: restored with their addresses, or refused. */
#include "zoo.h"

#include <netinet/in.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
			   now;
	socklen_t len = sizeof(a);
	int bound, connected;
	char got[16];

	zoo_init(argc, argv);
	bound = must(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
	must(setsockopt(bound, SOL_SOCKET, SO_BROADCAST, &(int){1}, sizeof(int)));
	must(bind(bound, (void *)&a, sizeof(a)));
	must(getsockname(bound, (void *)&a, &len));
	connected = must(socket(AF_INET, SOCK_DGRAM, 0));
	must(connect(connected, (void *)&a, sizeof(a)));

	zoo_snapshot_here();
	zoo_spoil(close(bound); bound = must(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)));
	zoo_spoil(must(setsockopt(bound, SOL_SOCKET, SO_BROADCAST, &(int){0}, sizeof(int))));
	len = sizeof(now);
	must(getsockname(bound, (void *)&now, &len));
	check_eq(now.sin_port, a.sin_port);
	len = sizeof(now);
	must(getpeername(connected, (void *)&now, &len));
	check_eq(now.sin_port, a.sin_port);
	must(send(connected, "datagram", 8, 0));
	check(zoo_readable(bound, 5), "nothing arrives");
	check_eq(recv(bound, got, sizeof(got), 0), 8);
	int value;
	must(getsockopt(bound, SOL_SOCKET, SO_BROADCAST, &value, &(socklen_t){sizeof(value)}));
	check_eq(value, 1);
	zoo_pass();
}
