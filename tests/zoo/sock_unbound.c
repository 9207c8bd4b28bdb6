/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Sockets that were made and given options but are neither bound nor connected. */
#include "zoo.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static int option(int fd, int level, int name)
{
	int value = -1;

	must(getsockopt(fd, level, name, &value, &(socklen_t){sizeof(value)}));
	return value;
}

int main(int argc, char **argv)
{
	int un, dgram, tcp, tcp6;

	zoo_init(argc, argv);
	un = must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	dgram = must(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
	tcp = must(socket(AF_INET, SOCK_STREAM, 0));
	tcp6 = must(socket(AF_INET6, SOCK_STREAM, 0));
	must(setsockopt(tcp, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
	must(setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)));
	must(setsockopt(tcp6, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int)));

	zoo_snapshot_here();
	zoo_spoil(must(dup2(un, dgram)));
	zoo_spoil(must(setsockopt(tcp, IPPROTO_TCP, TCP_NODELAY, &(int){0}, sizeof(int))));
	check_eq(option(un, SOL_SOCKET, SO_DOMAIN), AF_UNIX);
	check_eq(option(dgram, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
	check_eq(option(tcp, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
	check_eq(option(tcp6, SOL_SOCKET, SO_DOMAIN), AF_INET6);
	check_eq(option(tcp, IPPROTO_TCP, TCP_NODELAY), 1);
	check_eq(option(tcp, SOL_SOCKET, SO_REUSEADDR), 1);
	check_eq(option(tcp6, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	check_eq(fcntl(un, F_GETFD), FD_CLOEXEC);
	zoo_pass();
}
