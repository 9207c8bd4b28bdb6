/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* A netlink socket with a number, groups and options of its own: it answers, and hears its groups.
 */
#include "zoo.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK};
	struct {
		struct nlmsghdr head;
		struct rtgenmsg body;
	} ask = {{sizeof(ask), RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0}, {AF_UNSPEC}};
	uint32_t groups[8] = {0}, before[8] = {0};
	socklen_t len = sizeof(before);
	int fd, on = 1, group = RTNLGRP_IPV4_ROUTE, number;
	char answer[16384];

	zoo_init(argc, argv);
	fd = must(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
	a.nl_groups = RTMGRP_LINK;
	must(bind(fd, (void *)&a, sizeof(a)));
	len = sizeof(a);
	must(getsockname(fd, (void *)&a, &len));
	number = (int)a.nl_pid;
	must(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)));
	must(setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on)));
	len = sizeof(before);
	must(getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, before, &len));

	zoo_snapshot_here();
	zoo_spoil(
		must(setsockopt(fd, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof(group))));
	zoo_spoil(must(setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &(int){0}, sizeof(int))));
	zoo_spoil(number++);
	len = sizeof(groups);
	must(getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, groups, &len));
	check(!memcmp(groups, before, sizeof(groups)), "groups %x, were %x", groups[0], before[0]);
	len = sizeof(on);
	must(getsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, &len));
	check_eq(on, 1);
	len = sizeof(a);
	must(getsockname(fd, (void *)&a, &len));
	check_eq(a.nl_pid, number);
	must(send(fd, &ask, sizeof(ask), 0));
	check(zoo_readable(fd, 5), "no answer");
	check(must(recv(fd, answer, sizeof(answer), 0)) > 16, "an empty answer");
	zoo_pass();
}
