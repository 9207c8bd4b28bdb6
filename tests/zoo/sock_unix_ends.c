/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* UNIX sockets with one end: a closed peer with bytes left, a reset, a listener that is gone,
 * names. */
#include "zoo.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	check(strlen(path) < sizeof(a.sun_path), "too long a path: %s", path);
	strcpy(a.sun_path, path);
	return a;
}

static int bound(const char *path, int type)
{
	struct sockaddr_un a = address(path);
	int fd = must(socket(AF_UNIX, type, 0));

	unlink(path);
	must(bind(fd, (void *)&a, sizeof(a)));
	return fd;
}

int main(int argc, char **argv)
{
	int closed[2], reset[2], half[2], listener, client, server, relative, sender, receiver,
		lost[2];
	struct sockaddr_un name, from, a;
	char got[64], inbox[PATH_MAX], door[PATH_MAX], dir[PATH_MAX], *base;
	socklen_t len;
	struct stat st;

	zoo_init(argc, argv);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, closed));
	must(send(closed[1], "last words", 10, 0));
	close(closed[1]);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, reset));
	must(send(reset[0], "never read", 10, 0));
	close(reset[1]);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, half));
	must(send(half[0], "before", 6, 0));
	must(shutdown(half[0], SHUT_WR));

	/* Accepted, and then the listener and its file went. */
	strcpy(door, zoo_beside("d"));
	listener = bound(door, SOCK_SEQPACKET);
	must(listen(listener, 1));
	client = must(socket(AF_UNIX, SOCK_SEQPACKET, 0));
	a = address(door);
	must(connect(client, (void *)&a, sizeof(a)));
	server = must(accept(listener, NULL, NULL));
	must(send(client, "to the server", 13, 0));
	close(listener);
	must(unlink(door));

	/* A relative name. */
	strcpy(dir, zoo_beside("r"));
	base = strrchr(dir, '/') + 1;
	base[-1] = 0;
	must(chdir(dir));
	relative = bound(base, SOCK_DGRAM);
	must(chmod(base, 0640));

	/* A datagram from one who has a name to one who is not connected; it remains. */
	strcpy(inbox, zoo_beside("i"));
	receiver = bound(inbox, SOCK_DGRAM);
	sender = bound(zoo_beside("o"), SOCK_DGRAM);
	a = address(inbox);
	must(connect(sender, (void *)&a, sizeof(a)));
	must(send(sender, "hello", 5, 0));
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, lost));
	close(lost[1]);

	zoo_snapshot_here();
	zoo_spoil(must(recv(closed[0], got, 4, 0)));
	zoo_spoil(must(recv(server, got, 4, 0)));
	zoo_spoil(must(unlink(base)));
	zoo_spoil(must(recv(receiver, got, 4, 0)));
	zoo_spoil(must(recv(half[1], got, 1, 0)));
	zoo_spoil(must(socketpair(AF_UNIX, SOCK_STREAM, 0, reset));
	          fcntl(reset[0], F_SETFL, O_NONBLOCK));
	check_eq(recv(closed[0], got, sizeof(got), MSG_DONTWAIT), 10);
	check(!memcmp(got, "last words", 10), "%.10s", got);
	check_eq(recv(closed[0], got, sizeof(got), MSG_DONTWAIT), 0);
	must_refuse(send(closed[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	must_refuse(recv(reset[0], got, sizeof(got), MSG_DONTWAIT), ECONNRESET);
	check_eq(recv(reset[0], got, sizeof(got), MSG_DONTWAIT), 0);
	must_refuse(send(half[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	must(send(half[1], "back", 4, 0));
	check_eq(recv(half[0], got, sizeof(got), MSG_DONTWAIT), 4);
	check_eq(recv(half[1], got, sizeof(got), MSG_DONTWAIT), 6);
	check_eq(recv(half[1], got, sizeof(got), MSG_DONTWAIT), 0);

	len = sizeof(name);
	must(getsockname(server, (void *)&name, &len));
	check_text(name.sun_path, door);
	len = sizeof(name);
	must(getpeername(client, (void *)&name, &len));
	check_text(name.sun_path, door);
	check(stat(door, &st) < 0, "the listener's file is there again");
	check_eq(recv(server, got, sizeof(got), MSG_DONTWAIT), 13);
	must(send(server, "answer", 6, 0));
	check_eq(recv(client, got, sizeof(got), MSG_DONTWAIT), 6);

	len = sizeof(name);
	must(getsockname(relative, (void *)&name, &len));
	check_text(name.sun_path, base);
	must(stat(base, &st));
	check_eq(st.st_mode & 07777, 0640);

	len = sizeof(from);
	memset(&from, 0, sizeof(from));
	check_eq(recvfrom(receiver, got, sizeof(got), MSG_DONTWAIT, (void *)&from, &len), 5);
	check_text(from.sun_path, zoo_beside("o"));
	must(send(sender, "again", 5, 0));
	check_eq(recv(receiver, got, sizeof(got), MSG_DONTWAIT), 5);
	must_refuse(send(lost[0], "x", 1, 0), ECONNREFUSED);
	zoo_pass();
}
