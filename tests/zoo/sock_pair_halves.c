/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Socket pairs half shut down, with data before the end; and one whose other end is closed. */
#include "zoo.h"

#include <sys/socket.h>

int main(int argc, char **argv)
{
	int write_shut[2], read_shut[2], both_shut[2], closed[2];
	char got[64];

	zoo_init(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, write_shut));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, read_shut));
	must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, both_shut));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, closed));
	must(send(write_shut[0], "last words", 10, 0));
	must(shutdown(write_shut[0], SHUT_WR));
	must(shutdown(read_shut[0], SHUT_RD));
	must(shutdown(both_shut[0], SHUT_RDWR));
	must(send(closed[1], "bye", 3, 0));
	close(closed[1]);

	zoo_snapshot_here();
	zoo_spoil(must(recv(write_shut[1], got, 1, 0)));
	zoo_spoil(must(socketpair(AF_UNIX, SOCK_STREAM, 0, read_shut)));
	zoo_spoil(must(recv(closed[0], got, 64, 0)));
	check_eq(recv(write_shut[1], got, 64, 0), 10);
	check_eq(recv(write_shut[1], got, 64, 0), 0);
	must_refuse(send(write_shut[0], "x", 1, 0), EPIPE);
	must(send(write_shut[1], "still", 5, 0));
	check_eq(recv(write_shut[0], got, 64, 0), 5);
	check_eq(recv(read_shut[0], got, 64, MSG_DONTWAIT), 0);
	must_refuse(send(read_shut[1], "x", 1, 0), EPIPE);
	must(send(read_shut[0], "y", 1, 0));
	check_eq(recv(read_shut[1], got, 64, 0), 1);
	check_eq(recv(both_shut[0], got, 64, MSG_DONTWAIT), 0);
	check_eq(recv(both_shut[1], got, 64, MSG_DONTWAIT), 0);
	must_refuse(send(both_shut[1], "x", 1, 0), EPIPE);
	check_eq(recv(closed[0], got, 64, 0), 3);
	check_eq(recv(closed[0], got, 64, 0), 0);
	must_refuse(send(closed[0], "x", 1, 0), EPIPE);
	zoo_pass();
}
