/* SPDX-License-Identifier: MIT */
#include "os/diag.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>

#include "os/os.h"

/* Return: 1 for another message, 0 at the end of the dump, negative errno. */
static int take_message(const struct nlmsghdr *head, struct arena *a, struct list *out)
{
	const struct unix_diag_msg *msg = NLMSG_DATA(head);
	size_t at = NLMSG_LENGTH(sizeof(*msg));
	uint32_t peer;

	if (head->nlmsg_type == NLMSG_DONE)
		return 0;
	if (head->nlmsg_type == NLMSG_ERROR) {
		if (head->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr)))
			return -EBADMSG;
		return ((const struct nlmsgerr *)NLMSG_DATA(head))->error;
	}
	if (head->nlmsg_type != SOCK_DIAG_BY_FAMILY || head->nlmsg_len < NLMSG_LENGTH(sizeof(*msg)))
		return -EBADMSG;
	while (at + sizeof(struct rtattr) <= head->nlmsg_len) {
		const struct rtattr *attr = (const void *)((const uint8_t *)head + at);

		if (attr->rta_len < sizeof(*attr) || attr->rta_len > head->nlmsg_len - at)
			return -EBADMSG;
		if (attr->rta_type == UNIX_DIAG_PEER && RTA_PAYLOAD(attr) == sizeof(peer)) {
			memcpy(&peer, RTA_DATA(attr), sizeof(peer));
			*LIST_ADD(out, a, struct os_unix_peer) =
				(struct os_unix_peer){msg->udiag_ino, peer};
		}
		at += RTA_ALIGN(attr->rta_len);
	}
	return 1;
}

int os_unix_peers(struct arena *a, struct list *out, struct err *e)
{
	AUTO(fd) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	AUTO(buf) struct buf answer = {0};
	struct list peers = {0};
	struct {
		struct nlmsghdr head;
		struct unix_diag_req request;
	} ask = {
		.head = {.nlmsg_len = sizeof(ask),
	                 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
	                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.request = {.sdiag_family = AF_UNIX,
	                    .udiag_states = UINT32_MAX,
	                    .udiag_show = UDIAG_SHOW_PEER},
	};
	const size_t room = 64 * 1024;
	int more = 1;

	if (fd < 0 || send(fd, &ask, sizeof(ask), 0) < 0)
		return err_set(e, -errno, "sock_diag of UNIX sockets");
	buf_extend(&answer, room);
	while (more > 0) {
		ssize_t n = recv(fd, answer.data, room, 0);
		size_t at = 0;

		if (n <= 0)
			return err_set(e, n ? -errno : -EBADMSG, "sock_diag of UNIX sockets");
		while (more > 0 && at + sizeof(struct nlmsghdr) <= (size_t)n) {
			const struct nlmsghdr *head = (const void *)(answer.data + at);

			if (head->nlmsg_len < sizeof(*head) || head->nlmsg_len > (size_t)n - at)
				return err_set(e, -EBADMSG, "sock_diag of UNIX sockets");
			more = take_message(head, a, &peers);
			at += NLMSG_ALIGN(head->nlmsg_len);
		}
	}
	if (more < 0)
		return err_set(e, more, "sock_diag of UNIX sockets");
	*out = peers;
	return 0;
}
