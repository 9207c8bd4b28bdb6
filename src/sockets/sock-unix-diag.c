/* SPDX-License-Identifier: MIT */
/* What the kernel knows about UNIX sockets beyond getsockopt(2): sock_diag(7). */
#include <errno.h>
#include <inttypes.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#include "sockets/sock-unix.h"

#define ANSWER_BYTES 32768
#define SHOW_ALL (UDIAG_SHOW_VFS | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN)

static int ask(int flags, uint32_t ino, uint32_t show, int *out, struct err *e)
{
	struct {
		struct nlmsghdr head;
		struct unix_diag_req body;
	} request = {
		.head = {.nlmsg_len = sizeof(request),
	                 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
	                 .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)},
		.body = {.sdiag_family = AF_UNIX,
	                 .udiag_states = UINT32_MAX,
	                 .udiag_ino = ino,
	                 .udiag_show = show,
	                 .udiag_cookie = {UINT32_MAX, UINT32_MAX}},
	};
	AUTO(fd) int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0 || send(fd, &request, sizeof(request), 0) < 0)
		return err_set(e, -errno, "sock_diag (a kernel with CONFIG_UNIX_DIAG is needed)");
	*out = take_fd(&fd);
	return 0;
}

static void parse(const struct nlmsghdr *head, struct unix_seen *out)
{
	const struct unix_diag_msg *msg = NLMSG_DATA(head);
	const uint8_t *at = (const uint8_t *)(msg + 1),
		      *end = (const uint8_t *)head + head->nlmsg_len;

	*out = (struct unix_seen){.ino = msg->udiag_ino};
	for (struct rtattr a; end - at >= (ptrdiff_t)sizeof(a); at += RTA_ALIGN(a.rta_len)) {
		const uint8_t *data = at + sizeof(a);
		struct unix_diag_vfs vfs;
		struct unix_diag_rqlen queue;
		size_t len;

		memcpy(&a, at, sizeof(a));
		if (a.rta_len < sizeof(a) || a.rta_len > end - at)
			return;
		len = a.rta_len - sizeof(a);
		switch (a.rta_type) {
		case UNIX_DIAG_PEER:
			out->has_peer = true;
			memcpy(&out->peer, data, MIN(len, sizeof(out->peer)));
			break;
		case UNIX_DIAG_SHUTDOWN:
			memcpy(&out->shut, data, MIN(len, sizeof(out->shut)));
			break;
		case UNIX_DIAG_VFS:
			memcpy(&vfs, data, MIN(len, sizeof(vfs)));
			out->file_ino = vfs.udiag_vfs_ino;
			out->file_dev = vfs.udiag_vfs_dev;
			break;
		case UNIX_DIAG_RQLEN:
			memcpy(&queue, data, MIN(len, sizeof(queue)));
			out->waiting = queue.udiag_rqueue;
			out->backlog = queue.udiag_wqueue;
			break;
		default:
			break;
		}
	}
}

static int ask_one(uint64_t ino, struct unix_seen *out, struct err *e)
{
	uint32_t room[ANSWER_BYTES / sizeof(uint32_t)];
	const struct nlmsghdr *head = (const void *)room;
	AUTO(fd) int fd = -1;
	ssize_t n;
	int r = ask(0, (uint32_t)ino, SHOW_ALL, &fd, e);

	if (r < 0)
		return r;
	n = recv(fd, room, sizeof(room), 0);
	if (n < 0)
		return err_set(e, -errno, "sock_diag");
	if (!NLMSG_OK(head, (size_t)n) || head->nlmsg_type != SOCK_DIAG_BY_FAMILY) {
		const struct nlmsgerr *why = NLMSG_DATA(head);

		r = head->nlmsg_type == NLMSG_ERROR ? why->error : -EBADMSG;
		return err_set(e, r ? r : -EBADMSG, "sock_diag knows no socket %" PRIu64, ino);
	}
	parse(head, out);
	return 0;
}

/* All sockets that are there, in no order. */
static int ask_all(uint32_t show, struct arena *a, struct list *out, struct err *e)
{
	uint32_t room[ANSWER_BYTES / sizeof(uint32_t)];
	AUTO(fd) int fd = -1;
	int r = ask(NLM_F_DUMP, 0, show, &fd, e);

	while (!r) {
		ssize_t n = recv(fd, room, sizeof(room), 0);
		size_t left = n < 0 ? 0 : (size_t)n;

		if (n <= 0)
			return err_set(e, n ? -errno : -EBADMSG, "sock_diag");
		for (const struct nlmsghdr *head = (const void *)room; NLMSG_OK(head, left);
		     head = NLMSG_NEXT(head, left)) {
			if (head->nlmsg_type == NLMSG_DONE)
				return 0;
			if (head->nlmsg_type != SOCK_DIAG_BY_FAMILY)
				return err_say(e, -EBADMSG, "sock_diag answers with an error");
			parse(head, LIST_ADD(out, a, struct unix_seen));
		}
	}
	return r;
}

static int compare(const void *a, const void *b)
{
	const struct unix_seen *left = a, *right = b;

	return left->ino < right->ino ? -1 : left->ino > right->ino;
}

int unix_ask(struct dump *d, uint64_t ino, struct unix_seen *out, struct err *e)
{
	struct unix_seen key = {.ino = (uint32_t)ino};
	const struct unix_seen *found;

	if (!d)
		return ask_one(ino, out, e);
	if (!d->unix_seen.count) {
		int r = ask_all(SHOW_ALL, &d->arena, &d->unix_seen, e);

		if (r < 0)
			return r;
		if (d->unix_seen.count)
			qsort(d->unix_seen.items, d->unix_seen.count, sizeof(key), compare);
	}
	found = d->unix_seen.count ? bsearch(&key, d->unix_seen.items, d->unix_seen.count,
	                                     sizeof(key), compare)
	                           : NULL;
	/* Not among them: closed meanwhile, or one that a dump in parts has missed. */
	if (!found)
		return ask_one(ino, out, e);
	*out = *found;
	return 0;
}

uint64_t unix_file_user(dev_t dev, ino_t ino)
{
	AUTO(arena) struct arena a = {0};
	struct list all = {0};

	if (ask_all(UDIAG_SHOW_VFS, &a, &all, NULL) < 0)
		return 0;
	/* The kernel's own dev_t: 12 bits major, 20 bits minor; inode numbers cut to 32 bits. */
	LIST_EACH(&all, struct unix_seen, s)
		if (s->file_ino == (uint32_t)ino && s->file_dev >> 20 == major(dev) &&
		    (s->file_dev & 0xfffff) == minor(dev))
			return s->ino;
	return 0;
}
