/* SPDX-License-Identifier: MIT */
/* zoo: expect=either hidden=yes */
/* A UDP socket in a multicast group: it still gets what is sent to the group. */
#include "zoo.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct ip_mreqn group = {.imr_address.s_addr = htonl(INADDR_LOOPBACK), .imr_ifindex = 1};
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	int in, out;

	zoo_init(argc, argv);
	inet_pton(AF_INET, "239.7.7.7", &group.imr_multiaddr);
	a.sin_addr = group.imr_multiaddr;
	in = must(socket(AF_INET, SOCK_DGRAM, 0));
	must(bind(in, (void *)&a, sizeof(a)));
	must(getsockname(in, (void *)&a, &len));
	if (setsockopt(in, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)))
		zoo_skip("no multicast on the loopback interface");
	out = must(socket(AF_INET, SOCK_DGRAM, 0));
	must(setsockopt(out, IPPROTO_IP, IP_MULTICAST_IF, &group, sizeof(group)));

	zoo_snapshot_here();
	zoo_spoil(must(setsockopt(in, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof(group))));
	must(sendto(out, "hello", 5, 0, (void *)&a, sizeof(a)));
	check(zoo_readable(in, 1), "nothing comes");
	zoo_pass();
}
