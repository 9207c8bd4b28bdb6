/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore needs=root unprivileged=no */
/* SO_PEERCRED: who made a pair, who listened and who connected, under which ids; SCM_CREDENTIALS
 * queued. */
#include "zoo.h"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#define OTHER 65534

static void check_peer(int fd, pid_t pid, uid_t uid, const char *whose)
{
	struct ucred c;

	must(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &(socklen_t){sizeof(c)}));
	check(c.pid == pid, "%s: made by process %d, want %d", whose, c.pid, pid);
	check(c.uid == uid, "%s: made by user %u, want %u", whose, c.uid, uid);
	check(c.gid == uid, "%s: made by group %u, want %u", whose, c.gid, uid);
}

static void become(uid_t id)
{
	if (!id)
		must(seteuid(0));
	must(setegid(id));
	must(seteuid(id));
	must(prctl(PR_SET_DUMPABLE, 1));
}

int main(int argc, char **argv)
{
	int mine[2], his[2], childs[2], listener, client, server, on = 1;
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(sa_family_t);
	char data[64], control[256];
	struct iovec iov = {data, sizeof(data)};
	struct msghdr msg = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = control,
	                     .msg_controllen = sizeof(control)};
	struct ucred cred;
	struct zoo_gate gate;
	pid_t child;

	zoo_init(argc, argv);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, mine));
	become(OTHER);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, his));
	become(0);
	listener = must(socket(AF_UNIX, SOCK_STREAM, 0));
	must(bind(listener, (void *)&a, len));
	len = sizeof(a);
	must(getsockname(listener, (void *)&a, &len));
	must(listen(listener, 5));
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, childs));
	must(setsockopt(childs[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	zoo_gate_make(&gate);
	child = must(fork());
	if (!child) {
		must(setresgid(OTHER, OTHER, 0));
		must(setresuid(OTHER, OTHER, 0));
		must(prctl(PR_SET_DUMPABLE, 1));
		client = must(socket(AF_UNIX, SOCK_STREAM, 0));
		must(connect(client, (void *)&a, len));
		must(send(childs[0], "from the child", 14, 0));
		zoo_gate_pass(&gate);
		zoo_await_go();
		check_peer(client, getppid(), 0, "the client's");
		exit(0);
	}
	server = must(accept(listener, NULL, NULL));
	zoo_gate_wait(&gate, 1);

	zoo_snapshot_here();
	zoo_spoil(must(socketpair(AF_UNIX, SOCK_STREAM, 0, his)));
	zoo_spoil(server = mine[0]);
	zoo_spoil(must(setsockopt(childs[1], SOL_SOCKET, SO_PASSCRED, &(int){0}, sizeof(int))));
	check_peer(mine[0], getpid(), 0, "a pair");
	check_peer(his[1], getpid(), OTHER, "a pair of another user");
	check_peer(server, child, OTHER, "the server's");
	check_eq(recvmsg(childs[1], &msg, MSG_DONTWAIT), 14);
	check(CMSG_FIRSTHDR(&msg) && CMSG_FIRSTHDR(&msg)->cmsg_type == SCM_CREDENTIALS,
	      "no credentials");
	memcpy(&cred, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(cred));
	check_eq(cred.pid, child);
	check_eq(cred.uid, OTHER);
	check_eq(geteuid(), 0);
	zoo_finish_child(child);
	zoo_pass();
}
