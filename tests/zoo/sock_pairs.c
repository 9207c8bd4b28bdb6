/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* UNIX socket pairs of each type with bytes or packets queued in both directions, and their
 * options. */
#include "zoo.h"

#include <sys/socket.h>

static int option(int fd, int name)
{
	int value = -1;

	must(getsockopt(fd, SOL_SOCKET, name, &value, &(socklen_t){sizeof(value)}));
	return value;
}

int main(int argc, char **argv)
{
	static uint8_t data[100000];
	int stream[2], dgram[2], packet[2], sndbuf, rcvbuf;
	struct timeval tv = {7, 500000};
	char got[64];

	zoo_init(argc, argv);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream));
	must(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, dgram));
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, packet));
	zoo_fill(data, sizeof(data), 1);
	check_eq(send(stream[0], data, sizeof(data), 0), sizeof(data));
	must(send(stream[1], "back", 4, 0));
	must(send(dgram[0], "one", 3, 0));
	must(send(dgram[0], "", 0, 0));
	must(send(dgram[0], "three", 5, 0));
	must(send(dgram[1], "back", 4, 0));
	must(send(packet[0], "first", 5, 0));
	must(send(packet[0], "second", 6, 0));
	must(setsockopt(stream[0], SOL_SOCKET, SO_SNDBUF, &(int){70000}, sizeof(int)));
	must(setsockopt(stream[0], SOL_SOCKET, SO_RCVBUF, &(int){50000}, sizeof(int)));
	must(setsockopt(stream[1], SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)));
	must(setsockopt(stream[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	must(setsockopt(dgram[0], SOL_SOCKET, SO_PRIORITY, &(int){3}, sizeof(int)));
	sndbuf = option(stream[0], SO_SNDBUF);
	rcvbuf = option(stream[0], SO_RCVBUF);

	zoo_snapshot_here();
	zoo_spoil(must(recv(stream[1], got, 1, 0)));
	zoo_spoil(must(recv(dgram[1], got, 1, 0)));
	zoo_spoil(must(send(packet[0], "x", 1, 0)));
	zoo_spoil(must(setsockopt(stream[0], SOL_SOCKET, SO_SNDBUF, &(int){60000}, sizeof(int))));
	zoo_spoil(must(setsockopt(stream[1], SOL_SOCKET, SO_PASSCRED, &(int){0}, sizeof(int))));
	zoo_spoil(must(socketpair(AF_UNIX, SOCK_STREAM, 0, stream)));
	check_eq(fcntl(stream[0], F_GETFD), FD_CLOEXEC);
	check_eq(option(stream[0], SO_SNDBUF), sndbuf);
	check_eq(option(stream[0], SO_RCVBUF), rcvbuf);
	check_eq(option(stream[1], SO_PASSCRED), 1);
	check_eq(option(stream[0], SO_PASSCRED), 0);
	check_eq(option(dgram[0], SO_PRIORITY), 3);
	must(getsockopt(stream[1], SOL_SOCKET, SO_RCVTIMEO, &tv, &(socklen_t){sizeof(tv)}));
	check_eq(tv.tv_sec, 7);
	must(fcntl(stream[1], F_SETFL, O_NONBLOCK));
	memset(data, 0, sizeof(data));
	for (size_t at = 0; at < sizeof(data);) {
		ssize_t n = recv(stream[1], data + at, sizeof(data) - at, 0);

		check(n > 0, "the stream ends after %zu bytes: %s", at, strerror(errno));
		at += (size_t)n;
	}
	check_eq(zoo_first_wrong(data, sizeof(data), 1), -1);
	must_refuse(recv(stream[1], got, 1, 0), EAGAIN);
	check_eq(recv(stream[0], got, 64, 0), 4);
	check_eq(recv(dgram[1], got, 64, 0), 3);
	check_eq(recv(dgram[1], got, 64, 0), 0);
	check_eq(recv(dgram[1], got, 64, 0), 5);
	check(!memcmp(got, "three", 5), "third datagram");
	must_refuse(recv(dgram[1], got, 1, 0), EAGAIN);
	check_eq(recv(dgram[0], got, 64, 0), 4);
	check_eq(recv(packet[1], got, 3, 0), 3); /* the rest of a packet is dropped */
	check_eq(recv(packet[1], got, 64, 0), 6);
	must_refuse(recv(packet[1], got, 64, 0), EAGAIN);
	for (int i = 0; i < 2; i++) {
		must(send(stream[i], "s", 1, 0));
		check_eq(recv(stream[!i], got, 64, 0), 1);
		must(send(dgram[i], "d", 1, 0));
		check_eq(recv(dgram[!i], got, 64, 0), 1);
		must(send(packet[i], "p", 1, 0));
		check_eq(recv(packet[!i], got, 64, 0), 1);
	}
	zoo_pass();
}
