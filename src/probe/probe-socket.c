/* SPDX-License-Identifier: MIT */
/*
 * Probes of sockets. The kernel loads the module for a family when it is first asked about it,
 * here as it would for a snapshot; asking changes nothing else.
 */
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/netlink_diag.h>
#include <linux/packet_diag.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <linux/vm_sockets_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "os/os.h"
#include "probe/probe-int.h"

void probe_tcp_repair(int root, struct probe_result *r)
{
	AUTO(fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1, queue = TCP_SEND_QUEUE, sequence = 0x1234, got = 0;
	socklen_t len = sizeof(got);

	if (fd < 0)
		probe_unknown(r, "socket: %s", strerror(errno));
	else if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)))
		probe_no_errno(r, "TCP_REPAIR");
	else if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) ||
	         setsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &sequence, sizeof(sequence)) ||
	         getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &got, &len))
		probe_no_errno(r, "TCP_QUEUE_SEQ");
	else if (got != sequence)
		probe_no(r, "a sequence number was set and reads differently");
	else
		probe_yes(r, "a sequence number was set");
}

/* Ask for all sockets of a family. The first answer says whether the family can be asked. */
static void dump_family(const void *request, size_t len, struct probe_result *r)
{
	AUTO(fd) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	struct {
		struct nlmsghdr head;
		uint8_t body[128];
	} ask = {0};
	union {
		struct nlmsghdr head;
		uint8_t bytes[32 * 1024];
	} answer;
	ssize_t n;

	if (fd < 0) {
		probe_no_errno(r, "NETLINK_SOCK_DIAG");
		return;
	}
	assert(len <= sizeof(ask.body));
	ask.head.nlmsg_len = (uint32_t)NLMSG_LENGTH(len);
	ask.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	ask.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	memcpy(NLMSG_DATA(&ask.head), request, len);
	if (send(fd, &ask, ask.head.nlmsg_len, 0) < 0 ||
	    (n = recv(fd, &answer, sizeof(answer), 0)) < 0) {
		probe_no_errno(r, "sock_diag");
		return;
	}
	if ((size_t)n < sizeof(answer.head)) {
		probe_no(r, "sock_diag answered %zd bytes", n);
	} else if (answer.head.nlmsg_type == NLMSG_ERROR &&
	           (size_t)n >= NLMSG_LENGTH(sizeof(struct nlmsgerr))) {
		errno = -((const struct nlmsgerr *)NLMSG_DATA(&answer.head))->error;
		probe_no_errno(r, "sock_diag");
	} else {
		probe_yes(r, answer.head.nlmsg_type == NLMSG_DONE ? "no sockets of this family"
		                                                  : "its sockets are listed");
	}
}

void probe_diag_inet(int root, struct probe_result *r)
{
	struct inet_diag_req_v2 q = {
		.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = UINT32_MAX};

	dump_family(&q, sizeof(q), r);
}

void probe_diag_unix(int root, struct probe_result *r)
{
	struct unix_diag_req q = {
		.sdiag_family = AF_UNIX, .udiag_states = UINT32_MAX, .udiag_show = UDIAG_SHOW_PEER};

	dump_family(&q, sizeof(q), r);
}

void probe_diag_netlink(int root, struct probe_result *r)
{
	struct netlink_diag_req q = {.sdiag_family = AF_NETLINK, .sdiag_protocol = NDIAG_PROTO_ALL};

	dump_family(&q, sizeof(q), r);
}

void probe_diag_packet(int root, struct probe_result *r)
{
	struct packet_diag_req q = {.sdiag_family = AF_PACKET, .pdiag_show = PACKET_SHOW_INFO};

	dump_family(&q, sizeof(q), r);
}

void probe_diag_vsock(int root, struct probe_result *r)
{
	struct vsock_diag_req q = {.sdiag_family = AF_VSOCK, .vdiag_states = UINT32_MAX};

	dump_family(&q, sizeof(q), r);
}
