/* SPDX-License-Identifier: MIT */
/*
 * Socket options. One row each serves both directions: what getsockopt(2) gives is what
 * setsockopt(2) takes. A row that a socket does not know is skipped: families and kernels differ.
 *
 * Only what differs from a fresh socket is kept, and only what differs is set, so that a restore
 * asks for no right that the program did not use.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/in6.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>

#include "sockets/sockets.h"

#define VALUE_MAX 256
#define FILTER_MAX 4096 /* BPF_MAXINSNS */

/* Newer than Debian 12's headers. */
enum {
	OPT_SO_RCVMARK = 75,          /* 5.19 */
	OPT_SO_PASSPIDFD = 76,        /* 6.5 */
	OPT_SO_RCVPRIORITY = 82,      /* 6.14 */
	OPT_SO_PASSRIGHTS = 83,       /* 6.16 */
	OPT_IP_LOCAL_PORT_RANGE = 51, /* 6.3 */
	OPT_TCP_RTO_MAX_MS = 44,      /* 6.15 */
};

enum how {
	PLAIN,
	BUFFER, /* the kernel doubles what it is told; a privileged form knows no limit */
	FILTER, /* classic BPF: lengths are in instructions */
};

static const struct option {
	int level, name;
	enum how how;
	const char *text;
} options[] = {
#define OPT(level, name)                                                                           \
	{                                                                                          \
		level, name, PLAIN, #name                                                          \
	}
	{SOL_SOCKET, SO_RCVBUF, BUFFER, "SO_RCVBUF"},
	{SOL_SOCKET, SO_SNDBUF, BUFFER, "SO_SNDBUF"},
	OPT(SOL_SOCKET, SO_BUF_LOCK), /* behind the two that set it */
	OPT(SOL_SOCKET, SO_REUSEADDR),
	OPT(SOL_SOCKET, SO_REUSEPORT),
	OPT(SOL_SOCKET, SO_KEEPALIVE),
	OPT(SOL_SOCKET, SO_LINGER),
	OPT(SOL_SOCKET, SO_BROADCAST),
	OPT(SOL_SOCKET, SO_OOBINLINE),
	OPT(SOL_SOCKET, SO_DONTROUTE),
	OPT(SOL_SOCKET, SO_RCVLOWAT),
	OPT(SOL_SOCKET, SO_RCVTIMEO),
	OPT(SOL_SOCKET, SO_SNDTIMEO),
	OPT(SOL_SOCKET, SO_BINDTODEVICE),
	OPT(SOL_SOCKET, SO_MARK),
	OPT(SOL_SOCKET, SO_PASSCRED),
	OPT(SOL_SOCKET, SO_PASSSEC),
	OPT(SOL_SOCKET, OPT_SO_PASSPIDFD),
	OPT(SOL_SOCKET, OPT_SO_PASSRIGHTS),
	OPT(SOL_SOCKET, SO_TIMESTAMP_OLD),
	OPT(SOL_SOCKET, SO_TIMESTAMPNS_OLD),
	OPT(SOL_SOCKET, SO_TIMESTAMP_NEW),
	OPT(SOL_SOCKET, SO_TIMESTAMPNS_NEW),
	OPT(SOL_SOCKET, SO_TIMESTAMPING_OLD),
	OPT(SOL_SOCKET, SO_NO_CHECK),
	OPT(SOL_SOCKET, SO_RXQ_OVFL),
	OPT(SOL_SOCKET, SO_WIFI_STATUS),
	OPT(SOL_SOCKET, SO_PEEK_OFF),
	OPT(SOL_SOCKET, SO_SELECT_ERR_QUEUE),
	OPT(SOL_SOCKET, SO_BUSY_POLL),
	OPT(SOL_SOCKET, SO_PREFER_BUSY_POLL),
	OPT(SOL_SOCKET, SO_MAX_PACING_RATE),
	OPT(SOL_SOCKET, SO_ZEROCOPY),
	OPT(SOL_SOCKET, SO_TXTIME),
	OPT(SOL_SOCKET, OPT_SO_RCVMARK),
	OPT(SOL_SOCKET, OPT_SO_RCVPRIORITY),
	OPT(IPPROTO_IP, IP_TOS), /* sets the priority too, so that comes behind */
	OPT(SOL_SOCKET, SO_PRIORITY),
	OPT(IPPROTO_IP, IP_TTL),
	OPT(IPPROTO_IP, IP_OPTIONS),
	OPT(IPPROTO_IP, IP_MTU_DISCOVER),
	OPT(IPPROTO_IP, IP_PKTINFO),
	OPT(IPPROTO_IP, IP_RECVERR),
	OPT(IPPROTO_IP, IP_RECVERR_RFC4884),
	OPT(IPPROTO_IP, IP_RECVTTL),
	OPT(IPPROTO_IP, IP_RECVTOS),
	OPT(IPPROTO_IP, IP_RECVOPTS),
	OPT(IPPROTO_IP, IP_RETOPTS),
	OPT(IPPROTO_IP, IP_RECVORIGDSTADDR),
	OPT(IPPROTO_IP, IP_RECVFRAGSIZE),
	OPT(IPPROTO_IP, IP_FREEBIND),
	OPT(IPPROTO_IP, IP_TRANSPARENT),
	OPT(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT),
	OPT(IPPROTO_IP, IP_MINTTL),
	OPT(IPPROTO_IP, IP_NODEFRAG),
	OPT(IPPROTO_IP, IP_CHECKSUM),
	OPT(IPPROTO_IP, IP_PASSSEC),
	OPT(IPPROTO_IP, IP_UNICAST_IF),
	OPT(IPPROTO_IP, IP_MULTICAST_TTL),
	OPT(IPPROTO_IP, IP_MULTICAST_LOOP),
	OPT(IPPROTO_IP, IP_MULTICAST_ALL),
	OPT(IPPROTO_IP, IP_MULTICAST_IF),
	OPT(IPPROTO_IP, OPT_IP_LOCAL_PORT_RANGE),
	OPT(IPPROTO_IPV6, IPV6_V6ONLY),
	OPT(IPPROTO_IPV6, IPV6_UNICAST_HOPS),
	OPT(IPPROTO_IPV6, IPV6_TCLASS),
	OPT(IPPROTO_IPV6, IPV6_MTU_DISCOVER),
	OPT(IPPROTO_IPV6, IPV6_DONTFRAG),
	OPT(IPPROTO_IPV6, IPV6_RECVERR),
	OPT(IPPROTO_IPV6, IPV6_RECVPKTINFO),
	OPT(IPPROTO_IPV6, IPV6_RECVHOPLIMIT),
	OPT(IPPROTO_IPV6, IPV6_RECVTCLASS),
	OPT(IPPROTO_IPV6, IPV6_RECVRTHDR),
	OPT(IPPROTO_IPV6, IPV6_RECVHOPOPTS),
	OPT(IPPROTO_IPV6, IPV6_RECVDSTOPTS),
	OPT(IPPROTO_IPV6, IPV6_RECVPATHMTU),
	OPT(IPPROTO_IPV6, IPV6_RECVORIGDSTADDR),
	OPT(IPPROTO_IPV6, IPV6_RECVFRAGSIZE),
	OPT(IPPROTO_IPV6, IPV6_FREEBIND),
	OPT(IPPROTO_IPV6, IPV6_TRANSPARENT),
	OPT(IPPROTO_IPV6, IPV6_MINHOPCOUNT),
	OPT(IPPROTO_IPV6, IPV6_AUTOFLOWLABEL),
	OPT(IPPROTO_IPV6, IPV6_FLOWINFO_SEND),
	OPT(IPPROTO_IPV6, IPV6_ADDR_PREFERENCES),
	OPT(IPPROTO_IPV6, IPV6_UNICAST_IF),
	OPT(IPPROTO_IPV6, IPV6_MULTICAST_HOPS),
	OPT(IPPROTO_IPV6, IPV6_MULTICAST_LOOP),
	OPT(IPPROTO_IPV6, IPV6_MULTICAST_ALL),
	OPT(IPPROTO_IPV6, IPV6_MULTICAST_IF),
	OPT(IPPROTO_TCP, TCP_CONGESTION), /* sets parameters that follow */
	OPT(IPPROTO_TCP, TCP_NODELAY),
	OPT(IPPROTO_TCP, TCP_CORK),
	OPT(IPPROTO_TCP, TCP_MAXSEG),
	OPT(IPPROTO_TCP, TCP_KEEPIDLE),
	OPT(IPPROTO_TCP, TCP_KEEPINTVL),
	OPT(IPPROTO_TCP, TCP_KEEPCNT),
	OPT(IPPROTO_TCP, TCP_SYNCNT),
	OPT(IPPROTO_TCP, TCP_LINGER2),
	OPT(IPPROTO_TCP, TCP_DEFER_ACCEPT),
	OPT(IPPROTO_TCP, TCP_WINDOW_CLAMP),
	OPT(IPPROTO_TCP, TCP_USER_TIMEOUT),
	OPT(IPPROTO_TCP, TCP_FASTOPEN),
	OPT(IPPROTO_TCP, TCP_FASTOPEN_CONNECT),
	OPT(IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE),
	OPT(IPPROTO_TCP, TCP_NOTSENT_LOWAT),
	OPT(IPPROTO_TCP, TCP_SAVE_SYN),
	OPT(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS),
	OPT(IPPROTO_TCP, TCP_INQ),
	OPT(IPPROTO_TCP, TCP_TX_DELAY),
	OPT(IPPROTO_TCP, OPT_TCP_RTO_MAX_MS),
	OPT(IPPROTO_UDP, UDP_CORK),
	OPT(IPPROTO_UDP, UDP_ENCAP),
	OPT(IPPROTO_UDP, UDP_NO_CHECK6_TX),
	OPT(IPPROTO_UDP, UDP_NO_CHECK6_RX),
	OPT(IPPROTO_UDP, UDP_SEGMENT),
	OPT(IPPROTO_UDP, UDP_GRO),
	OPT(SOL_NETLINK, NETLINK_PKTINFO),
	OPT(SOL_NETLINK, NETLINK_BROADCAST_ERROR),
	OPT(SOL_NETLINK, NETLINK_NO_ENOBUFS),
	OPT(SOL_NETLINK, NETLINK_LISTEN_ALL_NSID),
	OPT(SOL_NETLINK, NETLINK_CAP_ACK),
	OPT(SOL_NETLINK, NETLINK_EXT_ACK),
	OPT(SOL_NETLINK, NETLINK_GET_STRICT_CHK),
	{SOL_SOCKET, SO_ATTACH_FILTER, FILTER, "SO_ATTACH_FILTER"},
	OPT(SOL_SOCKET, SO_LOCK_FILTER), /* behind what it locks */
#undef OPT
};

static const struct option *find(uint32_t level, uint32_t name)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if ((uint32_t)options[i].level == level && (uint32_t)options[i].name == name)
			return &options[i];
	return NULL;
}

/* Levels that a socket of another family answers to, with what means nothing to it. */
static bool is_of(const struct option *o, const struct sock_rec *s)
{
	switch (o->level) {
	case IPPROTO_IP:
		return s->family == AF_INET || s->family == AF_INET6;
	case IPPROTO_IPV6:
		return s->family == AF_INET6;
	case IPPROTO_TCP:
		return s->protocol == IPPROTO_TCP;
	case IPPROTO_UDP:
		return s->protocol == IPPROTO_UDP;
	case SOL_NETLINK:
		return s->family == AF_NETLINK;
	default:
		return true;
	}
}

/*
 * The value as setsockopt(2) wants it.
 * Return: bytes; -ENOPROTOOPT if the socket does not know the option; other errnos.
 */
static int get(int fd, const struct option *o, uint8_t *value, size_t room)
{
	socklen_t len = (socklen_t)room;

	if (o->how == FILTER) {
		len = (socklen_t)(room / sizeof(struct sock_filter));
		if (getsockopt(fd, o->level, o->name, value, &len) < 0)
			return errno == EACCES ? -EACCES : -ENOPROTOOPT;
		return (int)(len * sizeof(struct sock_filter));
	}
	if (getsockopt(fd, o->level, o->name, value, &len) < 0)
		return -ENOPROTOOPT;
	return (int)len;
}

static int set(int fd, const struct option *o, struct span value)
{
	struct sock_fprog program;
	int bytes;

	switch (o->how) {
	case BUFFER:
		if (value.len != sizeof(int))
			return -EBADMSG;
		memcpy(&bytes, value.data, sizeof(bytes));
		bytes /= 2;
		if (!setsockopt(fd, SOL_SOCKET,
		                o->name == SO_RCVBUF ? SO_RCVBUFFORCE : SO_SNDBUFFORCE, &bytes,
		                sizeof(bytes)))
			return 0;
		return setsockopt(fd, SOL_SOCKET, o->name, &bytes, sizeof(bytes)) < 0 ? -errno : 0;
	case FILTER:
		program.len = (unsigned short)(value.len / sizeof(struct sock_filter));
		program.filter = (struct sock_filter *)(uintptr_t)value.data;
		if (!program.len)
			return 0;
		return setsockopt(fd, o->level, o->name, &program, sizeof(program)) < 0 ? -errno
		                                                                        : 0;
	default:
		return setsockopt(fd, o->level, o->name, value.data, (socklen_t)value.len) < 0
		               ? -errno
		               : 0;
	}
}

/* What a socket of one sort has when it is new: asked once per dump. */
struct fresh_options {
	uint32_t family, type, protocol;
	struct span values[ARRAY_LEN(options)];
};

static int fresh_of(struct dump *d, const struct sock_rec *s, const struct fresh_options **out,
                    struct err *e)
{
	struct fresh_options *f;
	AUTO(fd) int fd = -1;
	int r;

	LIST_EACH(&d->fresh, struct fresh_options, known) {
		*out = known;
		if (known->family == s->family && known->type == s->type &&
		    known->protocol == s->protocol)
			return 0;
	}
	r = sock_open(s, &fd, e);
	if (r < 0)
		return r;
	f = LIST_ADD(&d->fresh, &d->arena, struct fresh_options);
	*out = f;
	f->family = s->family;
	f->type = s->type;
	f->protocol = s->protocol;
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		uint8_t value[VALUE_MAX];
		int len = is_of(&options[i], s) ? get(fd, &options[i], value, sizeof(value)) : -1;

		if (len > 0)
			f->values[i] = SPAN(arena_copy(&d->arena, value, (size_t)len), (size_t)len);
	}
	return 0;
}

int sock_options_dump(struct dump *d, const struct fd_view *v, struct sock_rec *s, struct err *e)
{
	uint8_t value[FILTER_MAX * sizeof(struct sock_filter)];
	const struct fresh_options *fresh = NULL;
	int ret = fresh_of(d, s, &fresh, e);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		const struct option *o = &options[i];
		int len;

		if (!is_of(o, s))
			continue;
		len = get(v->local, o, value, o->how == FILTER ? sizeof(value) : VALUE_MAX);
		if (len == -EACCES)
			dump_obstacle(d, v->task->pid,
			              "descriptor %d is a socket with an eBPF filter, which nobody "
			              "may read",
			              v->fd);
		if (len <= 0 || span_equal(SPAN(value, (size_t)len), fresh->values[i]))
			continue;
		*LIST_ADD(&s->options, &d->arena, struct sockopt_rec) = (struct sockopt_rec){
			.level = (uint32_t)o->level,
			.name = (uint32_t)o->name,
			.value = SPAN(arena_copy(&d->arena, value, (size_t)len), (size_t)len),
		};
	}
	return 0;
}

int sock_options_restore(const struct sock_rec *s, int fd, struct err *e)
{
	LIST_EACH(&s->options, struct sockopt_rec, rec) {
		const struct option *o = find(rec->level, rec->name);
		uint8_t now[VALUE_MAX];
		int len, ret;

		if (!o)
			return err_say(e, -EBADMSG, "socket: option %u of level %u is not known",
			               rec->name, rec->level);
		len = o->how == FILTER ? -1 : get(fd, o, now, sizeof(now));
		if (len >= 0 && (size_t)len == rec->value.len &&
		    !memcmp(now, rec->value.data, (size_t)len))
			continue;
		ret = set(fd, o, rec->value);
		if (ret < 0)
			return err_set(e, ret, "socket: option %s", o->text);
	}
	return 0;
}
