/* SPDX-License-Identifier: MIT */
/*
 * UNIX sockets, the dump. The other end must be in the tree too, or be gone, or be somebody who
 * is found again by a name (a datagram socket such as that of a system log).
 *
 * Queued bytes are copied by peeking at rising offsets (SO_PEEK_OFF), which leaves them where
 * they are; the offset that the program may have set is put back.
 */
#include "sockets/sock-unix.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#define PEEK_BYTES (1u << 20)
#define CONTROL_BYTES 8192 /* room for the kernel's most descriptors, credentials and labels */
#define MESSAGES_MAX 65536

/* ---- names ------------------------------------------------------------------------------ */

#define NAME_AT offsetof(struct sockaddr_un, sun_path)

bool unix_path(struct span address, char path[sizeof(struct sockaddr_un)])
{
	if (address.len <= NAME_AT || address.len > sizeof(struct sockaddr_un) ||
	    !address.data[NAME_AT])
		return false;
	memcpy(path, address.data + NAME_AT, address.len - NAME_AT);
	path[address.len - NAME_AT] = 0;
	return true;
}

const char *unix_name_text(struct span address, char out[UNIX_NAME_TEXT])
{
	char path[sizeof(struct sockaddr_un)];
	size_t len = address.len > NAME_AT ? address.len - NAME_AT : 0;

	if (unix_path(address, path)) {
		snprintf(out, UNIX_NAME_TEXT, "%s", path);
		return out;
	}
	snprintf(out, UNIX_NAME_TEXT, len ? "@" : "(without a name)");
	for (size_t i = 1; i < len && i < UNIX_NAME_TEXT - 1; i++) {
		uint8_t c = address.data[NAME_AT + i];

		out[i] = c > 32 && c < 127 ? (char)c : '.';
		out[i + 1] = 0;
	}
	return out;
}

/* Is the file that it was bound to still there, and where? */
static int dump_path(struct dump *d, const struct fd_view *v, const struct unix_seen *seen,
                     const char *path, struct sock_rec *s, struct err *e)
{
	const char *full = path, *cwd;
	struct stat st;
	bool there;

	if (path[0] != '/') {
		int r = os_readlink_at(v->task->proc, "cwd", &d->arena, &cwd);

		if (r < 0)
			return err_set(e, r, "process %d: working directory", v->task->pid);
		full = arena_printf(&d->arena, "%s/%s", cwd, path);
		s->dir = cwd;
	}
	there = lstat(full, &st) == 0 && seen->file_ino == (uint32_t)st.st_ino &&
	        seen->file_dev >> 20 == major(st.st_dev) &&
	        (seen->file_dev & 0xfffff) == minor(st.st_dev);
	if (there) {
		s->path_mode = st.st_mode & 07777;
		s->path_uid = st.st_uid;
		s->path_gid = st.st_gid;
		return 0;
	}
	s->path_gone = true;
	if (path[0] != '/')
		dump_obstacle(
			d, v->task->pid,
			"descriptor %d is a socket bound to %s in a directory that is not the "
			"program's working directory any more",
			v->fd, path);
	else if (lstat(full, &st) == 0)
		dump_obstacle(d, v->task->pid,
		              "descriptor %d is a socket bound to %s, where something else is now",
		              v->fd, path);
	return 0;
}

int sock_unix_dump(struct dump *d, const struct fd_view *v, struct sock_rec *s, struct err *e)
{
	char path[sizeof(struct sockaddr_un)];
	struct sockaddr_un local = {0};
	socklen_t len = sizeof(local), creds_len = sizeof(struct ucred);
	struct ucred creds = {0};
	struct unix_seen seen;
	int r = unix_ask(d, s->ino, &seen, e);

	if (r < 0)
		return r;
	if (getsockname(v->local, (struct sockaddr *)&local, &len) < 0)
		return err_set(e, -errno, "socket: its name");
	if (len > NAME_AT)
		s->local = SPAN(arena_copy(&d->arena, &local, len), len);
	if (s->listening)
		s->backlog = seen.backlog;
	if (s->listening && seen.waiting)
		dump_obstacle(d, v->task->pid,
		              "descriptor %d is a listening socket with %u connections that the "
		              "program has not accepted yet: let it accept them first",
		              v->fd, seen.waiting);
	s->shut = seen.shut;
	if (getsockopt(v->local, SOL_SOCKET, SO_PEERCRED, &creds, &creds_len) == 0 &&
	    creds.uid != UINT32_MAX) {
		s->creator = (uint32_t)MAX(creds.pid, 0);
		s->creator_uid = creds.uid;
		s->creator_gid = creds.gid;
	} else {
		s->creator_uid = s->uid;
		s->creator_gid = s->gid;
	}
	if (unix_path(s->local, path)) {
		r = dump_path(d, v, &seen, path, s, e);
		if (r < 0)
			return r;
	}
	return sock_options_dump(d, v, s, e);
}

/* ---- queues ----------------------------------------------------------------------------- */

/* What came along with a message. Return: it carried descriptors. */
static bool take_control(struct msghdr *msg, struct message_rec *m)
{
	bool rights = false;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		struct ucred creds;

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&creds, CMSG_DATA(c), sizeof(creds));
			/* None: it was sent when nobody had asked for credentials yet. */
			if (creds.pid <= 0)
				continue;
			m->has_creds = true;
			m->pid = (uint32_t)creds.pid;
			m->uid = creds.uid;
			m->gid = creds.gid;
		} else if (c->cmsg_type == SCM_RIGHTS || c->cmsg_type == 4 /* SCM_PIDFD */) {
			size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

			rights |= c->cmsg_type == SCM_RIGHTS;
			for (size_t i = 0; i < n; i++) {
				int fd;

				memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
				os_close(&fd); /* copies that peeking gave us */
			}
		}
	}
	return rights;
}

struct peeked {
	uint64_t bytes;
	bool rights, cut;
};

static int peek_all(struct dump *d, const struct fd_view *v, struct sock_rec *s, uint8_t *room,
                    uint64_t want, struct peeked *out, struct err *e)
{
	bool stream = s->type == SOCK_STREAM;

	/* Beyond the end of a stream there is nothing to see, but an error to be taken. */
	while (s->queue.count < MESSAGES_MAX && (!stream || out->bytes < want)) {
		union {
			struct cmsghdr head;
			uint8_t bytes[CONTROL_BYTES];
		} control;
		struct sockaddr_un from;
		struct iovec iov = {room,
		                    stream ? MIN((size_t)(want - out->bytes), (size_t)PEEK_BYTES)
		                           : PEEK_BYTES};
		struct msghdr msg = {.msg_name = &from,
		                     .msg_namelen = sizeof(from),
		                     .msg_iov = &iov,
		                     .msg_iovlen = 1,
		                     .msg_control = control.bytes,
		                     .msg_controllen = sizeof(control)};
		struct message_rec m = {0};
		ssize_t n = recvmsg(v->local, &msg, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return err_set(e, -errno, "socket: what is queued");
		if (!n && (stream || s->shut & SHUT_IN))
			return 0;
		out->rights |= take_control(&msg, &m);
		out->cut |= (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
		out->bytes += (uint64_t)n;
		m.data = SPAN(arena_copy(&d->arena, room, (size_t)n), (size_t)n);
		if (!stream && msg.msg_namelen > NAME_AT)
			m.from = SPAN(arena_copy(&d->arena, &from, msg.msg_namelen),
			              msg.msg_namelen);
		*LIST_ADD(&s->queue, &d->arena, struct message_rec) = m;
	}
	return 0;
}

static int dump_queue(struct dump *d, const struct fd_view *v, struct sock_rec *s, struct err *e)
{
	socklen_t len = sizeof(int);
	struct peeked seen = {0};
	int offset = -1, zero = 0, queued = 0, r;
	uint8_t *room;

	/* Of a stream and of packets: all; of datagrams: the first. */
	if (ioctl(v->local, FIONREAD, &queued) < 0)
		return err_set(e, -errno, "socket: what is queued");
	if (s->type == SOCK_STREAM && !queued)
		return 0;
	if (getsockopt(v->local, SOL_SOCKET, SO_PEEK_OFF, &offset, &len) < 0 ||
	    setsockopt(v->local, SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof(zero)) < 0)
		return err_set(e, -errno, "socket: SO_PEEK_OFF");
	room = xalloc(PEEK_BYTES);
	r = peek_all(d, v, s, room, (uint64_t)queued, &seen, e);
	free(room);
	if (setsockopt(v->local, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)) < 0 && !r)
		r = err_set(e, -errno, "socket: SO_PEEK_OFF");
	if (r < 0)
		return r;
	if (seen.rights)
		dump_obstacle(d, v->task->pid,
		              "descriptor %d is a socket in which descriptors are on their way "
		              "(SCM_RIGHTS): let the program receive them first",
		              v->fd);
	else if (seen.cut || s->queue.count == MESSAGES_MAX ||
	         (s->type != SOCK_DGRAM && seen.bytes != (uint64_t)queued))
		dump_obstacle(d, v->task->pid,
		              "descriptor %d is a socket whose queue cannot be copied (%d bytes, "
		              "urgent ones or very large messages among them)",
		              v->fd, queued);
	return 0;
}

/* Every datagram must find its sender again. */
static void check_senders(struct dump *d, const struct fd_view *v, const struct sock_rec *s)
{
	LIST_EACH(&s->queue, struct message_rec, m) {
		bool found = s->type != SOCK_DGRAM || (!m->from.len && (s->peer || s->local.len));
		char name[UNIX_NAME_TEXT];

		LIST_EACH(&d->image.socks, struct sock_rec, other)
			found |= m->from.len && other->type == SOCK_DGRAM &&
			         other->family == AF_UNIX && span_equal(other->local, m->from);
		if (!found)
			dump_obstacle(d, v->task->pid,
			              "descriptor %d is a socket with an unread datagram from %s, "
			              "which is outside of the tree or closed",
			              v->fd, unix_name_text(m->from, name));
		if (m->has_creds && !dump_find(d, (pid_t)m->pid))
			dump_obstacle(d, v->task->pid,
			              "descriptor %d is a socket with an unread message of process "
			              "%u, which is outside of the tree",
			              v->fd, m->pid);
	}
}

/* ---- the other end ----------------------------------------------------------------------- */

static int dump_outside_peer(struct dump *d, const struct fd_view *v, uint32_t peer,
                             struct sock_rec *s, struct err *e)
{
	struct sockaddr_un name = {0};
	socklen_t len = sizeof(name);
	char link[32], text[UNIX_NAME_TEXT];
	pid_t holder;

	if (getpeername(v->local, (struct sockaddr *)&name, &len) < 0)
		len = 0;
	if (s->type == SOCK_DGRAM && len > NAME_AT) {
		s->remote = SPAN(arena_copy(&d->arena, &name, len), len);
		return 0;
	}
	snprintf(link, sizeof(link), "socket:[%u]", peer);
	holder = dump_outside_holder(d, link);
	if (holder)
		dump_obstacle(
			d, v->task->pid,
			"descriptor %d is a UNIX socket %s%s whose other end is held by process "
			"%d, outside of the tree: close it, or snapshot a parent of both",
			v->fd, len > NAME_AT ? "connected to " : "",
			len > NAME_AT ? unix_name_text(SPAN(&name, len), text) : "", holder);
	else
		dump_obstacle(
			d, v->task->pid,
			"descriptor %d is a UNIX socket %s%s whose other end is held by somebody "
			"outside of the tree who cannot be seen from here",
			v->fd, len > NAME_AT ? "connected to " : "",
			len > NAME_AT ? unix_name_text(SPAN(&name, len), text) : "");
	return 0;
}

static int dump_peer(struct dump *d, const struct fd_view *v, struct sock_rec *s, struct err *e)
{
	struct unix_seen seen, back;
	int r = unix_ask(d, s->ino, &seen, e);

	if (r < 0 || !seen.has_peer)
		return r;
	if (!seen.peer) {
		s->peer_closed = s->type == SOCK_DGRAM || s->shut & SHUT_IN;
		if (!s->peer_closed)
			dump_obstacle(
				d, v->task->pid,
				"descriptor %d is a UNIX socket whose connection was not accepted "
				"yet: let that happen first",
				v->fd);
		return 0;
	}
	s->peer = sock_find(d, seen.peer);
	if (!s->peer)
		return dump_outside_peer(d, v, seen.peer, s, e);
	/* Datagrams can be sent to one who does not send back: it is found by its name then. */
	r = unix_ask(d, seen.peer, &back, e);
	if (r < 0)
		return r;
	if (s->type == SOCK_DGRAM && back.peer != s->ino &&
	    !LIST_AT(&d->image.socks, struct sock_rec, s->peer - 1)->local.len)
		dump_obstacle(d, v->task->pid,
		              "descriptor %d is a datagram socket connected to one without a name, "
		              "which is not connected back",
		              v->fd);
	return 0;
}

int sock_unix_dump_late(struct dump *d, const struct fd_view *v, struct sock_rec *s, struct err *e)
{
	struct pollfd p = {.fd = v->local};
	bool error = poll(&p, 1, 0) > 0 && p.revents & POLLERR;
	int r;

	if (s->listening)
		return 0;
	r = dump_peer(d, v, s, e);
	if (r < 0)
		return r;
	s->reset = error;
	if (error &&
	    (!s->peer_closed || s->type != SOCK_STREAM || s->shut != (SHUT_IN | SHUT_OUT))) {
		dump_obstacle(
			d, v->task->pid,
			"descriptor %d is a UNIX socket with an error that the program has not "
			"seen yet: let it read the error, or close the socket",
			v->fd);
		return 0;
	}
	if (s->type == SOCK_DGRAM || s->peer || s->peer_closed)
		r = dump_queue(d, v, s, e);
	if (!r)
		check_senders(d, v, s);
	return r;
}
