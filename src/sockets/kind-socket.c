/* SPDX-License-Identifier: MIT */
/*
 * Sockets that have no partner outside of the tree. A socket has exactly one description, and
 * belongs to one of a few families; everything else is refused by name. Both directions.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "sockets/sockets.h"

static const struct family {
	int family;
	int (*dump)(struct dump *d, const struct fd_view *v, struct sock_rec *s, struct err *e);
	int (*dump_late)(struct dump *d, const struct fd_view *v, struct sock_rec *s,
	                 struct err *e);
	int (*restore)(struct restore *r, const struct sock_rec *s, struct err *e);
	int (*restore_late)(struct restore *r, const struct sock_rec *s, struct err *e);
} families[] = {
	{AF_UNIX, sock_unix_dump, sock_unix_dump_late, sock_unix_restore, sock_unix_restore_late},
	{AF_INET, sock_inet_dump, NULL, sock_inet_restore, NULL},
	{AF_INET6, sock_inet_dump, NULL, sock_inet_restore, NULL},
	{AF_NETLINK, sock_netlink_dump, NULL, sock_netlink_restore, NULL},
};

static const struct family *family_of(uint32_t number)
{
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		if ((uint32_t)families[i].family == number)
			return &families[i];
	return NULL;
}

static const char *family_name(uint32_t number)
{
	switch (number) {
	case AF_PACKET:
		return "a packet socket (AF_PACKET)";
	case AF_VSOCK:
		return "a socket to another machine (AF_VSOCK), whose partner is outside";
	case AF_ALG:
		return "a socket of the kernel's cryptography (AF_ALG)";
	case AF_BLUETOOTH:
		return "a Bluetooth socket";
	case AF_CAN:
		return "a CAN bus socket";
	case AF_KEY:
		return "an IPsec key socket (AF_KEY)";
	case AF_XDP:
		return "an XDP socket (AF_XDP)";
	case AF_TIPC:
		return "a TIPC socket";
	default:
		return NULL;
	}
}

static bool socket_claims(const struct fd_view *v)
{
	return S_ISSOCK(v->st.st_mode) && !(v->info.flags & O_PATH);
}

static uint32_t option(int fd, int name)
{
	socklen_t len = sizeof(int);
	int value = 0;

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? 0 : (uint32_t)value;
}

uint32_t sock_find(const struct dump *d, uint64_t ino)
{
	LIST_EACH(&d->sock_keys, struct object_key, key)
		if (key->ino == ino)
			return key->id;
	return 0;
}

static int socket_dump(struct dump *d, const struct fd_view *v, struct file_rec *f, struct err *e)
{
	struct pollfd p = {.fd = v->local};
	struct sock_rec *s;
	const struct family *family;
	const char *name;

	f->pos = 0;
	f->object = (uint32_t)d->image.socks.count + 1;
	*LIST_ADD(&d->sock_keys, &d->arena, struct object_key) =
		(struct object_key){.ino = v->st.st_ino, .id = f->object};
	s = LIST_ADD(&d->image.socks, &d->arena, struct sock_rec);
	s->id = f->object;
	s->ino = v->st.st_ino;
	s->uid = v->st.st_uid;
	s->gid = v->st.st_gid;
	s->family = option(v->local, SO_DOMAIN);
	s->type = option(v->local, SO_TYPE);
	s->protocol = option(v->local, SO_PROTOCOL);
	s->listening = option(v->local, SO_ACCEPTCONN);
	family = family_of(s->family);
	if (!family) {
		name = family_name(s->family);
		if (name)
			dump_obstacle(d, v->task->pid, "descriptor %d is %s", v->fd, name);
		else
			dump_obstacle(d, v->task->pid,
			              "descriptor %d is a socket of a family that wslx does not "
			              "know (%u)",
			              v->fd, s->family);
		return 0;
	}
	/* Asking for the error would take it. A UNIX stream is looked at when its peer is known. */
	if (s->family != AF_UNIX && poll(&p, 1, 0) > 0 && p.revents & POLLERR)
		dump_obstacle(
			d, v->task->pid,
			"descriptor %d is a socket with an error that the program has not seen "
			"yet: let it read the error, or close the socket",
			v->fd);
	return family->dump(d, v, s, e);
}

static int socket_dump_late(struct dump *d, const struct fd_view *v, struct file_rec *f,
                            struct err *e)
{
	struct sock_rec *s = LIST_AT(&d->image.socks, struct sock_rec, f->object - 1);
	const struct family *family = family_of(s->family);

	return family && family->dump_late ? family->dump_late(d, v, s, e) : 0;
}

int sock_open(const struct sock_rec *s, int *fd, struct err *e)
{
	*fd = socket((int)s->family, (int)s->type | SOCK_CLOEXEC, (int)s->protocol);
	return *fd < 0 ? err_set(e, -errno, "socket of family %u", s->family) : 0;
}

int sock_restore_owner(const struct sock_rec *s, int fd, struct err *e)
{
	if (s->uid == geteuid() && s->gid == getegid())
		return 0;
	if (fchown(fd, s->uid, s->gid) < 0)
		return err_set(e, -errno, "socket: owner %u:%u", s->uid, s->gid);
	return 0;
}

/* Files are made in the order of their numbers: after this one there may be no socket. */
static bool is_last(const struct restore *r, const struct file_rec *f)
{
	for (size_t i = f->id; i < r->image->files.count; i++)
		if (LIST_AT(&r->image->files, struct file_rec, i)->kind == FILE_SOCKET)
			return false;
	return true;
}

/* What needs all sockets to be there. */
static int restore_rest(struct restore *r, struct err *e)
{
	LIST_EACH(&r->image->socks, struct sock_rec, s) {
		const struct family *family = family_of(s->family);
		int ret;

		if (!family || !family->restore_late || r->sock_fds[s->id - 1] < 0)
			continue;
		ret = family->restore_late(r, s, e);
		if (ret < 0)
			return err_wrap(e, ret, "socket %u", s->id);
	}
	return 0;
}

static int socket_restore(struct restore *r, const struct file_rec *f, int *out, struct err *e)
{
	const struct sock_rec *s = sock_rec_of(r, f->object);
	const struct family *family = family_of(s->family);
	int ret;

	if (!family)
		return err_say(e, -EBADMSG, "a socket of family %u", s->family);
	ret = family->restore(r, s, e);
	if (!ret && is_last(r, f))
		ret = restore_rest(r, e);
	if (ret < 0)
		return ret;
	/* It may be needed here by another one: a listener, a sender. */
	*out = fcntl(r->sock_fds[s->id - 1], F_DUPFD_CLOEXEC, 0);
	return *out < 0 ? err_set(e, -errno, "socket") : 0;
}

const struct kind kind_socket = {
	.name = "socket",
	.kind = FILE_SOCKET,
	.claims = socket_claims,
	.dump = socket_dump,
	.dump_late = socket_dump_late,
	.restore = socket_restore,
};
