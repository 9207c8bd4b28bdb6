/* SPDX-License-Identifier: MIT */
/* What a socket is, by the tables of its network namespace and by who holds its other end. */
#include "ready/scan.h"

#include <fnmatch.h>
#include <netinet/tcp.h>
#include <string.h>

/* The sockets of @p's network namespace, once for each namespace. */
static void read_sockets(struct scan *s, const struct view_proc *p)
{
	static const char *const tables[] = {"tcp", "tcp6", "udp", "udp6", "raw", "raw6", "icmp"};
	struct arena *a = &s->report->arena;
	const char *netns = view_link(s->view, scan_path(s, p, "ns/net"));
	AUTO(buf) struct buf netlink = {0};
	struct list netlinks = {0};

	if (!netns)
		netns = "?";
	LIST_EACH(&s->inet_namespaces, const char *, seen) {
		if (!strcmp(*seen, netns))
			return;
	}
	*LIST_ADD(&s->inet_namespaces, a, const char *) = netns;
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		AUTO(buf) struct buf text = {0};
		struct list socks = {0};

		if (view_read(s->view, scan_path(s, p, arena_printf(a, "net/%s", tables[i])),
		              &text) ||
		    proc_parse_net_inet(buf_span(&text), a, &socks, NULL))
			continue;
		LIST_EACH(&socks, struct proc_inet, sock)
			*LIST_ADD(&s->inet, a, struct inet_seen) =
				(struct inet_seen){tables[i], *sock};
	}
	if (view_read(s->view, scan_path(s, p, "net/netlink"), &netlink) == 0 &&
	    !proc_parse_net_netlink(buf_span(&netlink), a, &netlinks, NULL)) {
		LIST_EACH(&netlinks, struct proc_netlink, n)
			*LIST_ADD(&s->netlink, a, struct proc_netlink) = *n;
	}
}

static bool netlink_is_queued(const struct scan *s, uint64_t inode)
{
	LIST_EACH(&s->netlink, struct proc_netlink, n) {
		if (n->inode == inode)
			return n->receive_queue;
	}
	return false;
}

static const struct inet_seen *find_inet(const struct scan *s, uint64_t inode)
{
	LIST_EACH(&s->inet, struct inet_seen, i) {
		if (i->sock.inode == inode)
			return i;
	}
	return NULL;
}

static const char *unix_state(struct scan *s, uint64_t inode)
{
	static const struct {
		const char *path, *state;
	} known[] = {
		{"/mnt/wslg/*", "wslg"},           {"@/tmp/.X11-unix/*", "wslg"},
		{"/tmp/.X11-unix/*", "wslg"},      {"/run/WSL/*_interop", "interop"},
		{"/run/user/*/bus", "dbus"},       {"/run/dbus/*", "dbus"},
		{"/var/run/dbus/*", "dbus"},       {"@*dbus*", "dbus"},
		{"/run/user/*/systemd/*", "dbus"},
	};
	const struct proc_unix *self = view_unix(s->view, inode), *other;
	uint64_t peer = view_unix_peer(s->view, inode);

	if (self && self->flags & 0x10000)
		return "listen";
	if (peer == UINT64_MAX)
		return self && self->state == 1 ? "loose" : "unknown";
	if (!peer)
		return "loose";
	if (scan_holds(s->view, peer))
		return "pair";
	other = view_unix(s->view, peer);
	for (size_t i = 0; other && i < ARRAY_LEN(known); i++) {
		/* Windows exist in WSL only; elsewhere X11 is a program like any other. */
		if (!fnmatch(known[i].path, other->path, 0) &&
		    (s->report->wsl.version || strcmp(known[i].state, "wslg") != 0))
			return known[i].state;
	}
	return "outside";
}

static const char *inet_state(const struct inet_seen *i)
{
	if (!text_starts(i->table, "tcp"))
		return i->sock.receive_queue ? "queued" : "open";
	switch (i->sock.state) {
	case TCP_LISTEN:
		return i->sock.receive_queue ? "LISTEN-queued" : "LISTEN";
	case TCP_CLOSE:
		return "CLOSE";
	default:
		return "connection";
	}
}

const char *scan_socket_sign(struct scan *s, const struct view_proc *p, const struct view_fd *f)
{
	struct arena *a = &s->report->arena;
	const char *name = view_socket_name(s->view, f->pid, f->fd);
	const struct inet_seen *inet;
	struct proc_fdinfo info;
	uint32_t cid, port;

	read_sockets(s, p);
	inet = find_inet(s, f->inode);
	/* Without the attribute, the tables tell at least the common families. */
	if (!name && inet)
		name = text_starts(inet->table, "tcp")   ? "TCP"
		       : text_starts(inet->table, "udp") ? "UDP"
		       : text_starts(inet->table, "raw") ? "RAW"
		                                         : "PING";
	if (!name && view_unix(s->view, f->inode))
		name = "UNIX";
	if (!name)
		return "socket:unknown:";
	if (!strcmp(name, "NETLINK"))
		return netlink_is_queued(s, f->inode) ? "socket:NETLINK:queued" : "socket:NETLINK";
	if (text_starts(name, "UNIX") && scan_fdinfo(s->view, f, a, &info) && info.scm_fds)
		return arena_printf(a, "socket:%s:descriptors", name);
	if (text_starts(name, "UNIX"))
		return arena_printf(a, "socket:%s:%s", name, unix_state(s, f->inode));
	if (!strcmp(name, "AF_VSOCK"))
		return view_vsock_peer(s->view, f->pid, f->fd, &cid, &port) &&
		                       wsl_is_service(cid, port)
		               ? "socket:AF_VSOCK:service"
		               : "socket:AF_VSOCK:user";
	/* A socket that was never bound is in no table. */
	if (text_starts(name, "TCP") || text_starts(name, "UDP"))
		return arena_printf(a, "socket:%s:%s", name, inet ? inet_state(inet) : "CLOSE");
	return arena_printf(a, "socket:%s", name);
}
