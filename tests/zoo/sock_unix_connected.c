/* SPDX-License-Identifier: MIT */
/* zoo: expect=either */
/* A connection made by connect() and accept() within the tree, its listener still there, bytes
 * under way. */
#include "zoo.h"

#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char **argv)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = ""}, now;
	socklen_t len = sizeof(now);
	int listener, client, server;
	struct ucred cred;
	char got[16];

	zoo_init(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	listener = must(socket(AF_UNIX, SOCK_STREAM, 0));
	snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "zoo connected %d", getpid());
	must(bind(listener, (void *)&a, sizeof(a)));
	must(listen(listener, 2));
	client = must(socket(AF_UNIX, SOCK_STREAM, 0));
	must(connect(client, (void *)&a, sizeof(a)));
	server = must(accept(listener, NULL, NULL));
	must(send(client, "to server", 9, 0));
	must(send(server, "to client", 9, 0));

	zoo_snapshot_here();
	zoo_spoil(must(recv(client, got, 1, 0)));
	zoo_spoil(must(shutdown(client, SHUT_RD)));
	check_eq(recv(server, got, 16, 0), 9);
	check_eq(recv(client, got, 16, 0), 9);
	must(getpeername(client, (void *)&now, &len));
	check(!memcmp(now.sun_path, a.sun_path, 60), "the client's peer lost its name");
	must(getsockopt(client, SOL_SOCKET, SO_PEERCRED, &cred, &(socklen_t){sizeof(cred)}));
	check_eq(cred.pid, getpid());
	must(send(server, "on", 2, 0));
	check_eq(recv(client, got, 16, 0), 2);
	close(client);
	client = must(socket(AF_UNIX, SOCK_STREAM, 0));
	must(connect(client, (void *)&a, sizeof(a)));
	must(accept(listener, NULL, NULL));
	zoo_pass();
}
