/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle */
/* Descriptors under way in a socket (SCM_RIGHTS): refused rather than lost. */
#include "zoo.h"

#include <sys/socket.h>

int main(int argc, char **argv)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0}, c = 'x', got[16];
	struct iovec io = {&c, 1};
	struct msghdr m = {.msg_iov = &io,
	                   .msg_iovlen = 1,
	                   .msg_control = control,
	                   .msg_controllen = sizeof(control)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	int s[2], p[2], fd;

	zoo_init(argc, argv);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	must(pipe(p));
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &p[0], sizeof(int));
	must(sendmsg(s[0], &m, 0));
	close(p[0]); /* only the message holds it now */
	must(write(p[1], "through", 7));

	zoo_snapshot_here();
	zoo_spoil(must(recv(s[1], got, 1, 0)); must(send(s[0], "x", 1, 0)));
	memset(control, 0, sizeof(control));
	check_eq(recvmsg(s[1], &m, 0), 1);
	h = CMSG_FIRSTHDR(&m);
	check(h && h->cmsg_type == SCM_RIGHTS, "the descriptor is lost");
	memcpy(&fd, CMSG_DATA(h), sizeof(int));
	check_eq(read(fd, got, sizeof(got)), 7);
	zoo_pass();
}
