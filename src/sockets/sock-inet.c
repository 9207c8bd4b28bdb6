/* SPDX-License-Identifier: MIT */
/*
 * Internet and netlink sockets that have no connection: listening ones that nobody waits at,
 * bound and unbound ones, UDP with or without a chosen peer. Both directions.
 *
 * An address is bound again with SO_REUSEADDR on for the moment, because connections that the
 * old listener had may still be in TIME_WAIT; the option is then as it was.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "sockets/sockets.h"

/* ---- addresses as text ------------------------------------------------------------------ */

#define ADDRESS_TEXT 80

static const char *address_text(struct span address, char out[ADDRESS_TEXT])
{
	struct sockaddr_storage any = {0};
	const struct sockaddr_in *v4 = (const void *)&any;
	const struct sockaddr_in6 *v6 = (const void *)&any;
	char host[INET6_ADDRSTRLEN] = "?";

	span_copy(&any, SPAN(address.data, MIN(address.len, sizeof(any))));
	if (any.ss_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		snprintf(out, ADDRESS_TEXT, "%s:%u", host, ntohs(v4->sin_port));
	} else {
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		snprintf(out, ADDRESS_TEXT, "[%s]:%u", host, ntohs(v6->sin6_port));
	}
	return out;
}

static bool is_bound(const struct sockaddr_storage *address)
{
	static const struct in6_addr any;
	const struct sockaddr_in *v4 = (const void *)address;
	const struct sockaddr_in6 *v6 = (const void *)address;

	if (address->ss_family == AF_INET)
		return v4->sin_port || v4->sin_addr.s_addr;
	return v6->sin6_port || memcmp(&v6->sin6_addr, &any, sizeof(any)) != 0;
}

/* ---- dump ------------------------------------------------------------------------------ */

static const char *tcp_state(unsigned state)
{
	static const char *const names[] = {
		[TCP_ESTABLISHED] = "established",
		[TCP_SYN_SENT] = "being opened",
		[TCP_SYN_RECV] = "being opened",
		[TCP_FIN_WAIT1] = "closed on this side",
		[TCP_FIN_WAIT2] = "closed on this side",
		[TCP_TIME_WAIT] = "closed",
		[TCP_CLOSE_WAIT] = "closed by its peer",
		[TCP_LAST_ACK] = "closed",
		[TCP_CLOSING] = "closed",
	};

	return state < ARRAY_LEN(names) && names[state] ? names[state] : "in an unknown state";
}

static void look_at_tcp(struct dump *d, const struct fd_view *v, struct sock_rec *s)
{
	char text[ADDRESS_TEXT] = "an unknown address";
	struct sockaddr_storage peer = {0};
	socklen_t len = sizeof(peer);
	struct tcp_info info = {0};
	socklen_t info_len = sizeof(info);
	struct pollfd p = {.fd = v->local, .events = POLLRDHUP};

	if (getsockopt(v->local, IPPROTO_TCP, TCP_INFO, &info, &info_len) < 0) {
		dump_obstacle(d, v->task->pid,
		              "descriptor %d is a TCP socket that says nothing "
		              "about itself (TCP_INFO)",
		              v->fd);
		return;
	}
	switch (info.tcpi_state) {
	case TCP_LISTEN:
		s->backlog = info.tcpi_sacked;
		if (info.tcpi_unacked)
			dump_obstacle(
				d, v->task->pid,
				"descriptor %d is a listening TCP socket with %u connections "
				"that the program has not accepted yet: let it accept them first",
				v->fd, info.tcpi_unacked);
		break;
	case TCP_CLOSE:
		/* A socket that was never connected has not been shut down either. */
		if (poll(&p, 1, 0) > 0 && p.revents & POLLRDHUP)
			dump_obstacle(d, v->task->pid,
			              "descriptor %d is a TCP connection that has ended: let the "
			              "program close it",
			              v->fd);
		break;
	default:
		if (getpeername(v->local, (struct sockaddr *)&peer, &len) == 0)
			address_text(SPAN(&peer, len), text);
		dump_obstacle(d, v->task->pid,
		              "descriptor %d is a TCP connection to %s (%s): connections cannot be "
		              "snapshotted yet; close it first",
		              v->fd, text, tcp_state(info.tcpi_state));
	}
}

/* Would this socket get what is sent to @group? Memberships can be asked for, not listed. */
static bool is_member(int fd, int level, int interface, const void *group, size_t bytes)
{
	struct group_filter filter = {.gf_interface = (uint32_t)interface};
	socklen_t len = sizeof(filter);

	memcpy(&filter.gf_group, group, bytes);
	return getsockopt(fd, level, MCAST_MSFILTER, &filter, &len) == 0;
}

static bool is_member_v4(int fd)
{
	AUTO(buf) struct buf text = {0};
	char *line, *save;
	unsigned interface = 0;

	if (os_read_file_at(AT_FDCWD, "/proc/net/igmp", &text) < 0)
		return false;
	buf_text(&text);
	for (line = strtok_r((char *)text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		struct sockaddr_in group = {.sin_family = AF_INET};
		unsigned address;

		/* An interface at the margin, its groups behind tabs. */
		if (line[0] != '\t')
			sscanf(line, "%u", &interface);
		else if (sscanf(line, " %x", &address) == 1) {
			group.sin_addr.s_addr = address;
			if (is_member(fd, IPPROTO_IP, (int)interface, &group, sizeof(group)))
				return true;
		}
	}
	return false;
}

static bool is_member_v6(int fd)
{
	AUTO(buf) struct buf text = {0};
	char *line, *save;

	if (os_read_file_at(AT_FDCWD, "/proc/net/igmp6", &text) < 0)
		return false;
	buf_text(&text);
	for (line = strtok_r((char *)text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		struct sockaddr_in6 group = {.sin6_family = AF_INET6};
		char name[32], hex[33];
		unsigned interface;

		if (sscanf(line, "%u %31s %32s", &interface, name, hex) == 3 &&
		    !text_unhex(group.sin6_addr.s6_addr, hex, 16) &&
		    is_member(fd, IPPROTO_IPV6, (int)interface, &group, sizeof(group)))
			return true;
	}
	return false;
}

static void look_at_udp(struct dump *d, const struct fd_view *v, struct sock_rec *s)
{
	struct pollfd p = {.fd = v->local, .events = POLLIN};
	struct sockaddr_storage peer = {0};
	socklen_t len = sizeof(peer);

	if (getpeername(v->local, (struct sockaddr *)&peer, &len) == 0)
		s->remote = SPAN(arena_copy(&d->arena, &peer, len), len);
	if (poll(&p, 1, 0) > 0 && p.revents & POLLIN)
		dump_obstacle(
			d, v->task->pid,
			"descriptor %d is a UDP socket with datagrams that the program has not "
			"read yet: let it read them first",
			v->fd);
	if (is_member_v4(v->local) || (s->family == AF_INET6 && is_member_v6(v->local)))
		dump_obstacle(d, v->task->pid,
		              "descriptor %d is a UDP socket in a multicast group, which is not "
		              "restored",
		              v->fd);
}

int sock_inet_dump(struct dump *d, const struct fd_view *v, struct sock_rec *s, struct err *e)
{
	struct sockaddr_storage local = {0};
	socklen_t len = sizeof(local);
	bool tcp = s->type == SOCK_STREAM && s->protocol == IPPROTO_TCP;
	bool udp = s->type == SOCK_DGRAM && s->protocol == IPPROTO_UDP;

	if (!tcp && !udp) {
		const char *what = s->type == SOCK_RAW ? "a raw socket"
		                   : s->protocol == IPPROTO_ICMP || s->protocol == IPPROTO_ICMPV6
		                           ? "a ping socket"
		                   : s->protocol == IPPROTO_MPTCP ? "a Multipath TCP socket"
		                   : s->protocol == IPPROTO_SCTP  ? "an SCTP socket"
		                                                  : "an internet socket";

		dump_obstacle(d, v->task->pid,
		              "descriptor %d is %s (type %u, protocol %u), which is not restored",
		              v->fd, what, s->type, s->protocol);
		return 0;
	}
	if (getsockname(v->local, (struct sockaddr *)&local, &len) < 0)
		return err_set(e, -errno, "socket: its address");
	if (is_bound(&local))
		s->local = SPAN(arena_copy(&d->arena, &local, len), len);
	if (tcp)
		look_at_tcp(d, v, s);
	else
		look_at_udp(d, v, s);
	return sock_options_dump(d, v, s, e);
}

/* ---- restore --------------------------------------------------------------------------- */

static int bind_again(const struct sock_rec *s, int fd, struct err *e)
{
	char text[ADDRESS_TEXT];
	socklen_t len = sizeof(int);
	int before = 0, on = 1, ret;

	if (s->local.len < sizeof(struct sockaddr_in) || s->local.len > sizeof(struct sockaddr_in6))
		return err_say(e, -EBADMSG, "socket: its address is malformed");
	if (getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &before, &len) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return err_set(e, -errno, "socket: SO_REUSEADDR");
	ret = bind(fd, (const struct sockaddr *)s->local.data, (socklen_t)s->local.len) < 0 ? -errno
	                                                                                    : 0;
	if (ret == -EADDRINUSE)
		return err_say(e, OBSTACLE,
		               "the address %s that the program had is in use: end who uses it "
		               "(ss -lntup)",
		               address_text(s->local, text));
	if (ret == -EADDRNOTAVAIL)
		return err_say(e, OBSTACLE,
		               "the address %s that the program had is not one of this host",
		               address_text(s->local, text));
	if (ret < 0)
		return err_set(e, ret, "the address %s", address_text(s->local, text));
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &before, sizeof(before)) < 0)
		return err_set(e, -errno, "socket: SO_REUSEADDR");
	return 0;
}

int sock_inet_restore(struct restore *r, const struct sock_rec *s, struct err *e)
{
	AUTO(fd) int fd = -1;
	char text[ADDRESS_TEXT];
	int ret = sock_open(s, &fd, e);

	if (!ret)
		ret = sock_restore_owner(s, fd, e);
	if (!ret)
		ret = sock_options_restore(s, fd, e);
	if (!ret && s->local.len)
		ret = bind_again(s, fd, e);
	if (ret < 0)
		return ret;
	if (s->listening && listen(fd, (int)s->backlog) < 0)
		return err_set(e, -errno, "listening at %s", address_text(s->local, text));
	if (s->remote.len &&
	    connect(fd, (const struct sockaddr *)s->remote.data, (socklen_t)s->remote.len) < 0)
		return err_set(e, -errno, "UDP to %s", address_text(s->remote, text));
	r->sock_fds[s->id - 1] = take_fd(&fd);
	return 0;
}

/* ---- netlink --------------------------------------------------------------------------- */

/* Multicast groups as a bitmap; kept like an address, in words. */
static int groups_of(struct dump *d, const struct fd_view *v, struct sock_rec *s, struct err *e)
{
	uint32_t groups[64] = {0};
	socklen_t len = sizeof(groups);

	if (getsockopt(v->local, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, groups, &len) < 0)
		return err_set(e, -errno, "netlink: groups");
	for (uint32_t i = 0; i < len * 8 && i < sizeof(groups) * 8; i++)
		if (groups[i / 32] & 1u << i % 32)
			*LIST_ADD(&s->groups, &d->arena, uint64_t) = i + 1;
	return 0;
}

int sock_netlink_dump(struct dump *d, const struct fd_view *v, struct sock_rec *s, struct err *e)
{
	struct pollfd p = {.fd = v->local, .events = POLLIN};
	struct sockaddr_nl local = {0}, peer = {0};
	socklen_t len = sizeof(local), peer_len = sizeof(peer);
	int r;

	if (getsockname(v->local, (struct sockaddr *)&local, &len) < 0 ||
	    getpeername(v->local, (struct sockaddr *)&peer, &peer_len) < 0)
		return err_set(e, -errno, "netlink: its address");
	/* Groups come one by one: an address holds only the first 32. */
	local.nl_groups = 0;
	if (local.nl_pid)
		s->local = SPAN(arena_copy(&d->arena, &local, sizeof(local)), sizeof(local));
	if (peer.nl_pid || peer.nl_groups)
		s->remote = SPAN(arena_copy(&d->arena, &peer, sizeof(peer)), sizeof(peer));
	if (poll(&p, 1, 0) > 0 && p.revents & POLLIN)
		dump_obstacle(
			d, v->task->pid,
			"descriptor %d is a netlink socket with messages of the kernel that the "
			"program has not read yet: let it read them first",
			v->fd);
	r = groups_of(d, v, s, e);
	return r ? r : sock_options_dump(d, v, s, e);
}

int sock_netlink_restore(struct restore *r, const struct sock_rec *s, struct err *e)
{
	AUTO(fd) int fd = -1;
	int ret = sock_open(s, &fd, e);

	if (!ret)
		ret = sock_restore_owner(s, fd, e);
	if (!ret)
		ret = sock_options_restore(s, fd, e);
	if (ret < 0)
		return ret;
	if (s->local.len &&
	    bind(fd, (const struct sockaddr *)s->local.data, (socklen_t)s->local.len) < 0)
		return err_set(e, -errno, "netlink: its address");
	LIST_EACH(&s->groups, uint64_t, group) {
		int number = (int)*group;

		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &number, sizeof(number)) <
		    0)
			return err_set(e, -errno, "netlink: group %d", number);
	}
	if (s->remote.len &&
	    connect(fd, (const struct sockaddr *)s->remote.data, (socklen_t)s->remote.len) < 0)
		return err_set(e, -errno, "netlink: its peer");
	r->sock_fds[s->id - 1] = take_fd(&fd);
	return 0;
}
