/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Listening UNIX sockets, by path and abstract: clients can connect afterwards, peer credentials
 * are right. */
#include "zoo.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static int listener(const char *name, int type, struct sockaddr_un *a, socklen_t *len)
{
	int fd = must(socket(AF_UNIX, type | SOCK_NONBLOCK, 0));

	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	if (name) {
		check(strlen(name) < sizeof(a->sun_path), "too long a path: %s", name);
		strcpy(a->sun_path, name);
		unlink(name);
		*len = sizeof(*a);
	} else {
		*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
		                   (size_t)snprintf(a->sun_path + 1, 90, "zoo %d %d", getpid(),
		                                    type));
	}
	must(bind(fd, (void *)a, *len));
	must(listen(fd, 2));
	return fd;
}

static void converse(int fd, int type, const struct sockaddr_un *a, socklen_t len)
{
	int client = must(socket(AF_UNIX, type, 0)), server, value;
	struct ucred cred;
	char got[8];

	must_refuse(accept(fd, NULL, NULL), EAGAIN);
	must(connect(client, (const void *)a, len));
	server = must(accept(fd, NULL, NULL));
	must(send(client, "hello", 5, 0));
	check_eq(recv(server, got, 8, 0), 5);
	must(getsockopt(server, SOL_SOCKET, SO_PEERCRED, &cred, &(socklen_t){sizeof(cred)}));
	check_eq(cred.pid, getpid());
	must(getsockopt(client, SOL_SOCKET, SO_PEERCRED, &cred, &(socklen_t){sizeof(cred)}));
	check_eq(cred.uid, geteuid());
	must(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &(socklen_t){sizeof(value)}));
	check_eq(value, 1);
	close(client);
	close(server);
}

int main(int argc, char **argv)
{
	struct sockaddr_un path, abstract, packet, now;
	socklen_t path_len, abstract_len, packet_len, len = sizeof(now);
	int by_path, by_name, seq;

	zoo_init(argc, argv);
	by_path = listener(zoo_beside("s"), SOCK_STREAM, &path, &path_len);
	must(chmod(path.sun_path, 0610));
	by_name = listener(NULL, SOCK_STREAM, &abstract, &abstract_len);
	seq = listener(NULL, SOCK_SEQPACKET, &packet, &packet_len);

	zoo_snapshot_here();
	zoo_spoil(must(unlink(path.sun_path)));
	zoo_spoil(close(seq); seq = must(socket(AF_UNIX, SOCK_SEQPACKET, 0)));
	zoo_spoil(must(chmod(path.sun_path, 0600)));
	zoo_spoil(must(fcntl(by_name, F_SETFL, 0)); alarm(2));
	converse(by_path, SOCK_STREAM, &path, path_len);
	converse(by_name, SOCK_STREAM, &abstract, abstract_len);
	converse(seq, SOCK_SEQPACKET, &packet, packet_len);
	must(getsockname(by_path, (void *)&now, &len));
	check_text(now.sun_path, path.sun_path);
	struct stat st;
	must(stat(path.sun_path, &st));
	check_eq(st.st_mode, S_IFSOCK | 0610);
	zoo_pass();
}
