/* SPDX-License-Identifier: MIT */
/*
 * A listening TCP socket: address, port, backlog, options; a client can connect afterwards. A
 * program says of which FAMILY with which ADDRESS and PORT in it, where to LISTEN_AT, how a client
 * gets there (CONNECT_TO), and its OWN_OPTIONS.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "zoo.h"

static const struct {
	int level, name, value;
} options[] = {
	{SOL_SOCKET, SO_REUSEADDR, 1},
	{SOL_SOCKET, SO_REUSEPORT, 1},
	{SOL_SOCKET, SO_KEEPALIVE, 1},
	{SOL_SOCKET, SO_RCVBUF, 30000},
	{SOL_SOCKET, SO_SNDBUF, 40000},
	{IPPROTO_TCP, TCP_NODELAY, 1},
	{IPPROTO_TCP, TCP_KEEPIDLE, 111},
	{IPPROTO_TCP, TCP_KEEPINTVL, 22},
	{IPPROTO_TCP, TCP_KEEPCNT, 3},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT, 3},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, 12345},
	{IPPROTO_TCP, TCP_FASTOPEN, 5},
	OWN_OPTIONS,
};

static int option(int fd, size_t i)
{
	int value = -1;

	must(getsockopt(fd, options[i].level, options[i].name, &value,
	                &(socklen_t){sizeof(value)}));
	return value;
}

static struct tcp_info info(int fd)
{
	struct tcp_info t;

	must(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &t, &(socklen_t){sizeof(t)}));
	return t;
}

int main(int argc, char **argv)
{
	ADDRESS a = LISTEN_AT, now;
	int was[ZOO_LEN(options)], fd, client, server;
	socklen_t len = sizeof(a);
	char got[8];

	zoo_init(argc, argv);
	fd = must(socket(FAMILY, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
	for (size_t i = 0; i < ZOO_LEN(options); i++)
		must(setsockopt(fd, options[i].level, options[i].name, &options[i].value,
		                sizeof(int)));
	must(bind(fd, (void *)&a, sizeof(a)));
	must(listen(fd, 17));
	must(getsockname(fd, (void *)&a, &len));
	for (size_t i = 0; i < ZOO_LEN(options); i++)
		was[i] = option(fd, i);

	zoo_snapshot_here();
	zoo_spoil(must(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){99}, sizeof(int))));
	zoo_spoil(must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){0}, sizeof(int))));
	zoo_spoil(must(listen(fd, 18)));
	zoo_spoil(must(shutdown(fd, SHUT_RD)));
	for (size_t i = 0; i < ZOO_LEN(options); i++)
		check(option(fd, i) == was[i], "option %d of level %d is %d, was %d",
		      options[i].name, options[i].level, option(fd, i), was[i]);
	check_eq(info(fd).tcpi_state, TCP_LISTEN);
	check_eq(info(fd).tcpi_sacked, 17); /* of a listener: the backlog */
	check_eq(info(fd).tcpi_unacked, 0); /* and nobody in it */
	memset(&now, 0, sizeof(now));
	len = sizeof(now);
	must(getsockname(fd, (void *)&now, &len));
	check(!memcmp(&now, &a, sizeof(a)), "bound elsewhere: port %u, was %u", ntohs(now.PORT),
	      ntohs(a.PORT));
	check_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	must_refuse(accept(fd, NULL, NULL), EAGAIN);
	client = must(socket(FAMILY, SOCK_STREAM, 0));
	CONNECT_TO(a);
	must(connect(client, (void *)&a, sizeof(a)));
	must(send(client, "hello", 5, 0));
	check(zoo_readable(fd, 5), "no connection arrives");
	server = must(accept(fd, NULL, NULL));
	check_eq(recv(server, got, 8, 0), 5);
	zoo_pass();
}
