/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle */
/* A netlink socket with an answer that was not read yet. */
#include "zoo.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct {
		struct nlmsghdr h;
		struct rtgenmsg g;
	} ask = {.h = {.nlmsg_len = sizeof(ask),
	               .nlmsg_type = RTM_GETLINK,
	               .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
	               .nlmsg_seq = 1},
	         .g = {.rtgen_family = AF_UNSPEC}};
	char answer[65536];
	int fd;

	zoo_init(argc, argv);
	fd = must(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	must(send(fd, &ask, sizeof(ask), 0));
	check(zoo_readable(fd, 5), "no answer");

	zoo_snapshot_here();
	zoo_spoil(must(recv(fd, answer, sizeof(answer), 0)); must(fcntl(fd, F_SETFL, O_NONBLOCK));
	          while (recv(fd, answer, sizeof(answer), 0) > 0));
	check(must(recv(fd, answer, sizeof(answer), MSG_DONTWAIT)) > 0, "the answer is lost");
	check_eq(((struct nlmsghdr *)(void *)answer)->nlmsg_type, RTM_NEWLINK);
	zoo_pass();
}
