/* SPDX-License-Identifier: MIT */
/*
 * UNIX sockets, the restore: making them, connecting them, filling them.
 *
 * Who made a pair, listens or connects is told to the other side for ever (SO_PEERCRED). So
 * these three calls are made by the task that made them then, under the ids that it had then;
 * where it is not in the tree, by a process of ours that is gone afterwards, as it is.
 *
 * Order of a socket: name, queue, connection of datagrams, options, shutdown. A connected pair is
 * made at once, with both queues, when the first of the two is asked for. A socket that
 * accept(2) gave has the name of the listener: it is made by connecting to that listener, or to
 * one that stands there for a moment. Datagram sockets that send to others by name are filled
 * and connected late, when all names are there.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sockets/sock-unix.h"

#define FILL_BUFFER (16 << 20) /* while a queue is filled: how it was split up may differ */

/* ---- calls whose maker is remembered ------------------------------------------------------ */

struct deed {
	enum { MAKE_PAIR, LISTEN, CONNECT } what;
	const struct sock_rec *creator; /* .creator, .creator_uid, .creator_gid */
	int fd;                         /* LISTEN, CONNECT: ours */
	int type, backlog;
	const struct sockaddr_un *address;
	socklen_t address_len;
	int pair[2];
};

static long deed_call(const struct deed *deed, int fd, int pair[2])
{
	switch (deed->what) {
	case MAKE_PAIR:
		return syscall(SYS_socketpair, AF_UNIX, deed->type | SOCK_CLOEXEC, 0, pair);
	case LISTEN:
		return syscall(SYS_listen, fd, deed->backlog);
	default:
		return syscall(SYS_connect, fd, deed->address, deed->address_len);
	}
}

static int deed_by_stranger(struct deed *deed, struct err *e)
{
	struct answer {
		int result, pair[2];
	} *answer = mmap(NULL, sizeof(*answer), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
	                 -1, 0);
	long child;
	int ret;

	if (answer == MAP_FAILED)
		return err_set(e, -errno, "socket");
	answer->result = -ECHILD;
	/* A process of its own, but with our descriptors. */
	child = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (!child) {
		long r = syscall(SYS_setresgid, -1, deed->creator->creator_gid, -1);

		if (!r)
			r = syscall(SYS_setresuid, -1, deed->creator->creator_uid, -1);
		if (!r)
			r = deed_call(deed, deed->fd, answer->pair);
		answer->result = r < 0 ? -errno : 0;
		_exit(0);
	}
	ret = child < 0 ? -errno : 0;
	while (!ret && waitpid((pid_t)child, NULL, 0) < 0)
		if (errno != EINTR)
			ret = -errno;
	if (!ret)
		ret = answer->result;
	deed->pair[0] = answer->pair[0];
	deed->pair[1] = answer->pair[1];
	munmap(answer, sizeof(*answer));
	return ret;
}

static int deed_in(struct restore *r, struct rtask *t, struct deed *deed, struct err *e)
{
	const struct sock_rec *c = deed->creator;
	bool other = c->creator_uid != geteuid() || c->creator_gid != getegid();
	AUTO(fd) int pidfd = os_pidfd_open(t->pid, 0);
	int pair[2] = {-1, -1}, there = -1, ret, result = 0;
	struct remote in;
	size_t call = 0;

	ret = remote_begin(&in, &t->threads[0].tracee, &r->place, e);
	if (ret < 0)
		return ret;
	if (deed->what != MAKE_PAIR)
		ret = restore_send_fds(r, &in, &deed->fd, 1, &there, e);
	if (ret < 0)
		goto end;
	if (other) {
		REMOTE_QUEUE(&in, SYS_setresgid, U(-1), U(c->creator_gid), U(-1));
		REMOTE_QUEUE(&in, SYS_setresuid, U(-1), U(c->creator_uid), U(-1));
	}
	if (deed->what == MAKE_PAIR)
		call = REMOTE_QUEUE(&in, SYS_socketpair, U(AF_UNIX), U(deed->type | SOCK_CLOEXEC),
		                    U(0), remote_out(&in, pair, sizeof(pair)));
	else if (deed->what == LISTEN)
		call = REMOTE_QUEUE(&in, SYS_listen, U(there), U(deed->backlog));
	else
		call = REMOTE_QUEUE(&in, SYS_connect, U(there),
		                    remote_in(&in, deed->address, deed->address_len),
		                    U(deed->address_len));
	if (other) {
		REMOTE_QUEUE(&in, SYS_setresuid, U(-1), U(geteuid()), U(-1));
		REMOTE_QUEUE(&in, SYS_setresgid, U(-1), U(getegid()), U(-1));
	}
	if (there >= 0)
		REMOTE_QUEUE(&in, SYS_close, U(there));
	ret = remote_run(&in, e);
	if (ret < 0)
		goto end;
	result = (int)remote_result(&in, call);
	if (!result && other && (remote_result(&in, 0) < 0 || remote_result(&in, 1) < 0))
		result = -EPERM;
	for (int i = 0; i < 2 && pair[i] >= 0 && deed->what == MAKE_PAIR; i++) {
		int64_t ignored;

		deed->pair[i] = os_pidfd_getfd(pidfd, pair[i]);
		if (deed->pair[i] < 0 && !result)
			result = deed->pair[i];
		ret = REMOTE_CALL(&in, &ignored, e, SYS_close, U(pair[i]));
	}
end:
	ret = remote_close(&in, ret, e);
	return ret ? ret : result;
}

/* Return: 0; what the call returned; an error of the way there has its sentence already. */
static int deed_do(struct restore *r, struct deed *deed, struct err *e)
{
	struct rtask *t = deed->creator->creator ? restore_find(r, deed->creator->creator) : NULL;
	int ret;

	deed->pair[0] = deed->pair[1] = -1;
	if (t && t->rec->state != TASK_ZOMBIE)
		ret = deed_in(r, t, deed, e);
	else
		ret = deed_by_stranger(deed, e);
	if (ret < 0)
		return err_set(e, ret, "UNIX socket of process %u (user %u)",
		               deed->creator->creator, deed->creator->creator_uid);
	return 0;
}

/* ---- names ------------------------------------------------------------------------------- */

/* Where the socket's file is, or was. */
static bool full_path(const struct sock_rec *s, char out[IMAGE_PATH_MAX + 256])
{
	char path[sizeof(struct sockaddr_un)];

	if (!unix_path(s->local, path))
		return false;
	if (path[0] == '/' || !s->dir)
		snprintf(out, IMAGE_PATH_MAX + 256, "%s", path);
	else
		snprintf(out, IMAGE_PATH_MAX + 256, "%s/%s", s->dir, path);
	return true;
}

/* The address under which a socket is reached from everywhere. */
static int reach(const struct sock_rec *s, struct sockaddr_un *out, socklen_t *len, struct err *e)
{
	char full[IMAGE_PATH_MAX + 256];

	if (!full_path(s, full)) {
		if (s->local.len > sizeof(*out))
			return err_say(e, -EBADMSG, "socket: its name is malformed");
		span_copy(out, s->local);
		*len = (socklen_t)s->local.len;
		return 0;
	}
	if (strlen(full) >= sizeof(out->sun_path))
		return err_say(e, OBSTACLE, "the path of a socket is too long to connect to: %s",
		               full);
	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(out->sun_path, full, strlen(full));
	*len = sizeof(*out);
	return 0;
}

static int bind_here(const struct sock_rec *s, int fd)
{
	return bind(fd, (const struct sockaddr *)s->local.data, (socklen_t)s->local.len) < 0
	               ? -errno
	               : 0;
}

/* A relative name is bound where it was bound. */
static int bind_from(const struct sock_rec *s, int fd)
{
	AUTO(fd) int back = -1;
	int ret;

	if (!s->dir || !s->dir[0])
		return bind_here(s, fd);
	back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (back < 0 || chdir(s->dir) < 0)
		return -errno;
	ret = bind_here(s, fd);
	return fchdir(back) < 0 ? -errno : ret;
}

/*
 * Something is at the path: whose is it? @keep: it must be there afterwards, and waits aside.
 */
static int make_way(const struct sock_rec *s, const char *path, bool keep, char *aside,
                    size_t aside_room, struct err *e)
{
	struct stat st;
	uint64_t user;
	char link[32];
	pid_t holder;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_set(e, -errno, "%s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_say(
			e, OBSTACLE,
			"the program had a socket at %s, where something else is now: move it "
			"away",
			path);
	user = unix_file_user(st.st_dev, st.st_ino);
	if (user) {
		snprintf(link, sizeof(link), "socket:[%" PRIu64 "]", user);
		holder = holder_of_link(link);
		return err_say(
			e, OBSTACLE,
			"the program had a socket at %s, which process %d uses now: end that "
			"one first",
			path, holder);
	}
	/* A file that nobody listens at any more: the program's own, if it had not removed it. */
	if (!keep)
		return unlink(path) < 0 ? err_set(e, -errno, "the old socket %s", path) : 0;
	snprintf(aside, aside_room, "%s.wslx-%d", path, getpid());
	return rename(path, aside) < 0 ? err_set(e, -errno, "the socket %s", path) : 0;
}

/* A name on its way to a socket. */
struct naming {
	char path[IMAGE_PATH_MAX + 256];  /* "": not in the file system */
	char aside[IMAGE_PATH_MAX + 300]; /* where the file waits that must be there afterwards */
	bool passing;                     /* nothing of ours stays at the path */
};

/* Afterwards the path is as it was, or ours. */
static int settle(struct naming *n, struct err *e)
{
	int ret = 0;

	if (n->path[0] && n->passing && unlink(n->path) < 0)
		ret = err_set(e, -errno, "socket %s", n->path);
	if (n->aside[0] && rename(n->aside, n->path) < 0 && !ret)
		ret = err_set(e, -errno, "socket %s, which was there before", n->path);
	return ret;
}

/* @uid, @gid, @mode: of the file, if there will be one. On success settle() is due. */
static int take_name(const struct sock_rec *s, int fd, struct naming *n, uint32_t uid, uint32_t gid,
                     uint32_t mode, struct err *e)
{
	char name[UNIX_NAME_TEXT];
	mode_t mask;
	int ret;

	if (!full_path(s, n->path)) {
		n->path[0] = 0;
		ret = bind_here(s, fd);
		if (ret == -EADDRINUSE)
			return err_say(e, OBSTACLE,
			               "the socket name %s that the program had is in use",
			               unix_name_text(s->local, name));
		return ret < 0 ? err_set(e, ret, "socket name %s", unix_name_text(s->local, name))
		               : 0;
	}
	ret = make_way(s, n->path, n->passing, n->aside, sizeof(n->aside), e);
	if (ret < 0)
		return ret;
	/* Nobody else may connect before it is what it was. */
	mask = umask(0777);
	ret = bind_from(s, fd);
	umask(mask);
	if (ret < 0) {
		err_set(e, ret, "socket %s", n->path);
		if (n->aside[0])
			rename(n->aside, n->path);
		return ret;
	}
	if ((uid != geteuid() || gid != getegid()) && lchown(n->path, uid, gid) < 0)
		ret = err_set(e, -errno, "socket %s: owner", n->path);
	else if (chmod(n->path, mode) < 0)
		ret = err_set(e, -errno, "socket %s: mode", n->path);
	if (ret < 0)
		settle(n, NULL);
	return ret;
}

static int bind_name(const struct sock_rec *s, int fd, struct err *e)
{
	struct naming n = {.passing = s->path_gone};
	int ret;

	if (!s->local.len)
		return 0;
	ret = take_name(s, fd, &n, s->path_uid, s->path_gid, s->path_mode, e);
	return ret ? ret : settle(&n, e);
}

/* ---- queues ------------------------------------------------------------------------------ */

static int send_one(struct restore *r, int from, const struct message_rec *m,
                    const struct sockaddr_un *to, socklen_t to_len, struct err *e)
{
	union {
		struct cmsghdr head;
		uint8_t bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control = {.head = {.cmsg_len = CMSG_LEN(sizeof(struct ucred)),
	                      .cmsg_level = SOL_SOCKET,
	                      .cmsg_type = SCM_CREDENTIALS}};
	struct ucred creds = {.uid = m->uid, .gid = m->gid};
	struct iovec iov = {(void *)(uintptr_t)m->data.data, m->data.len};
	struct msghdr msg = {.msg_name = (void *)(uintptr_t)to,
	                     .msg_namelen = to_len,
	                     .msg_iov = &iov,
	                     .msg_iovlen = 1};
	ssize_t n;

	if (m->has_creds) {
		creds.pid = restore_pid_here(r, m->pid);
		memcpy(CMSG_DATA(&control.head), &creds, sizeof(creds));
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control);
	}
	do {
		n = sendmsg(from, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0 && (size_t)n < iov.iov_len) {
			iov.iov_base = (uint8_t *)iov.iov_base + n;
			iov.iov_len -= (size_t)n;
			continue;
		}
		break;
	} while (true);
	return n < 0 ? err_set(e, -errno, "socket: %zu queued bytes", m->data.len) : 0;
}

/* Room for what goes out of @fd, for as long as its partner is filled. Return: what it was. */
static int widen(int fd)
{
	int before = 0, wide = FILL_BUFFER;
	socklen_t len = sizeof(before);

	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &before, &len) < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &wide, sizeof(wide)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &wide, sizeof(wide));
	return before;
}

static void narrow(int fd, int before)
{
	int half = before / 2, unlocked = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &half, sizeof(half)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &half, sizeof(half));
	setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &unlocked, sizeof(unlocked));
}

/* What @s had in its queue, sent by its partner. */
static int fill_from(struct restore *r, const struct sock_rec *s, int partner, struct err *e)
{
	int before, ret = 0;

	if (!s->queue.count)
		return 0;
	before = widen(partner);
	LIST_EACH(&s->queue, struct message_rec, m)
		if (!ret)
			ret = send_one(r, partner, m, NULL, 0, e);
	narrow(partner, before);
	return ret;
}

/* Options and what comes last. */
static int finish(const struct sock_rec *s, int fd, struct err *e)
{
	int ret = sock_restore_owner(s, fd, e);

	if (!ret)
		ret = sock_options_restore(s, fd, e);
	if (ret < 0)
		return ret;
	if (s->shut & SHUT_OUT && shutdown(fd, SHUT_WR) < 0 && errno != ENOTCONN)
		return err_set(e, -errno, "socket: shutdown");
	if (s->shut & SHUT_IN && shutdown(fd, SHUT_RD) < 0 && errno != ENOTCONN)
		return err_set(e, -errno, "socket: shutdown");
	return 0;
}

/* ---- streams and packets ----------------------------------------------------------------- */

static const struct sock_rec *find_listener(struct restore *r, const struct sock_rec *server)
{
	LIST_EACH(&r->image->socks, struct sock_rec, s)
		if (s->family == AF_UNIX && s->listening && s->type == server->type &&
		    span_equal(s->local, server->local))
			return s;
	return NULL;
}

/*
 * Connect @fd to @listener and take the connection. Who else came while the listener stood
 * there is turned away, as by a server that starts again.
 */
static int connect_accept(struct restore *r, const struct sock_rec *server, int listener, int fd,
                          int *accepted, struct err *e)
{
	struct sockaddr_un address = {0};
	struct deed deed = {.what = CONNECT, .creator = server, .fd = fd, .address = &address};
	struct stat ours;
	int ret = reach(server, &address, &deed.address_len, e);

	if (!ret)
		ret = deed_do(r, &deed, e);
	if (ret < 0)
		return ret;
	if (fstat(fd, &ours) < 0)
		return err_set(e, -errno, "socket");
	for (;;) {
		AUTO(fd) int got = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		struct unix_seen seen;
		struct stat st;

		if (got < 0 || fstat(got, &st) < 0)
			return err_set(e, -errno, "socket: accept");
		ret = unix_ask(NULL, st.st_ino, &seen, e);
		if (ret < 0)
			return ret;
		if (seen.peer == (uint32_t)ours.st_ino) {
			*accepted = take_fd(&got);
			return 0;
		}
	}
}

/*
 * A pair of which @server was accepted: out[0] is the server, out[1] its partner.
 * @client: the record of the other end; NULL if that is closed.
 */
static int connect_to_name(struct restore *r, const struct sock_rec *server,
                           const struct sock_rec *client, int out[2], struct err *e)
{
	const struct sock_rec *listener = find_listener(r, server);
	struct naming n = {.passing = true};
	AUTO(fd) int passing = -1, fd = -1;
	/* The client was told who listened, the server who connected. */
	struct deed deed = {.what = LISTEN, .creator = client ? client : server, .backlog = 16};
	int ret = sock_open(server, &fd, e);

	if (!ret && client)
		ret = bind_name(client, fd, e);
	if (ret < 0)
		return ret;
	if (listener) {
		ret = sock_unix_restore(r, listener, e);
		if (!ret)
			ret = connect_accept(r, server, r->sock_fds[listener->id - 1], fd, &out[0],
			                     e);
	} else {
		ret = sock_open(server, &passing, e);
		if (!ret)
			ret = take_name(server, passing, &n, server->creator_uid,
			                server->creator_gid, 0600, e);
		if (ret < 0)
			return ret;
		deed.fd = passing;
		ret = deed_do(r, &deed, e);
		if (!ret)
			ret = connect_accept(r, server, passing, fd, &out[0], e);
		if (settle(&n, ret ? NULL : e) < 0 && !ret)
			ret = -EIO;
	}
	if (!ret)
		out[1] = take_fd(&fd);
	return ret;
}

/* Both ends: out[0] is @a, out[1] is @b, or its stand-in if that is closed. */
static int make_ends(struct restore *r, const struct sock_rec *a, const struct sock_rec *b,
                     int out[2], struct err *e)
{
	struct deed deed = {.what = MAKE_PAIR, .creator = a, .type = (int)a->type};
	bool a_accepted = a->local.len && (!b || !b->local.len || find_listener(r, a));
	int ends[2] = {-1, -1}, ret;

	if (a_accepted)
		return connect_to_name(r, a, b, out, e);
	if (b && b->local.len) {
		ret = connect_to_name(r, b, a, ends, e);
		out[0] = ends[1];
		out[1] = ends[0];
		return ret;
	}
	ret = deed_do(r, &deed, e);
	out[0] = deed.pair[0];
	out[1] = deed.pair[1];
	return ret;
}

static int make_connected(struct restore *r, const struct sock_rec *a, struct err *e)
{
	const struct sock_rec *b = a->peer ? sock_rec_of(r, a->peer) : NULL;
	AUTO(fd) int fd_a = -1, fd_b = -1;
	int ends[2] = {-1, -1}, ret;
	char byte = 0;

	if (b && (b->peer != a->id || b == a || b->family != AF_UNIX || b->type != a->type))
		return err_say(e, -EBADMSG, "socket %u: its peer is not its peer", a->id);
	ret = make_ends(r, a, b, ends, e);
	fd_a = ends[0];
	fd_b = ends[1];
	if (!ret)
		ret = fill_from(r, a, fd_b, e);
	if (!ret && b)
		ret = fill_from(r, b, fd_a, e);
	if (ret < 0)
		return ret;
	/* A partner that leaves without having read all resets the connection. */
	if (a->reset && !b && send(fd_a, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
		return err_set(e, -errno, "socket: reset");
	if (!b)
		os_close(&fd_b);
	ret = finish(a, fd_a, e);
	if (!ret && b)
		ret = finish(b, fd_b, e);
	if (ret < 0)
		return ret;
	r->sock_fds[a->id - 1] = take_fd(&fd_a);
	if (b)
		r->sock_fds[b->id - 1] = take_fd(&fd_b);
	return 0;
}

static int make_listening(struct restore *r, const struct sock_rec *s, struct err *e)
{
	AUTO(fd) int fd = -1;
	struct deed deed = {.what = LISTEN, .creator = s, .backlog = (int)s->backlog};
	int ret = sock_open(s, &fd, e);

	if (!ret)
		ret = bind_name(s, fd, e);
	deed.fd = fd;
	if (!ret)
		ret = deed_do(r, &deed, e);
	if (!ret)
		ret = finish(s, fd, e);
	if (!ret)
		r->sock_fds[s->id - 1] = take_fd(&fd);
	return ret;
}

static int make_alone(struct restore *r, const struct sock_rec *s, struct err *e)
{
	AUTO(fd) int fd = -1;
	int ret = sock_open(s, &fd, e);

	if (!ret)
		ret = bind_name(s, fd, e);
	if (!ret)
		ret = finish(s, fd, e);
	if (!ret)
		r->sock_fds[s->id - 1] = take_fd(&fd);
	return ret;
}

/* ---- datagrams --------------------------------------------------------------------------- */

static const struct sock_rec *find_sender(struct restore *r, struct span name)
{
	LIST_EACH(&r->image->socks, struct sock_rec, s)
		if (s->family == AF_UNIX && s->type == SOCK_DGRAM && span_equal(s->local, name))
			return s;
	return NULL;
}

/* Datagrams from anybody who has or had a name, or none. */
static int fill_datagrams(struct restore *r, const struct sock_rec *s, struct err *e)
{
	AUTO(fd) int nameless = -1;
	struct sockaddr_un to = {0};
	socklen_t to_len = 0;
	int ret = reach(s, &to, &to_len, e);

	LIST_EACH(&s->queue, struct message_rec, m) {
		const struct sock_rec *sender = m->from.len ? find_sender(r, m->from) : NULL;
		int from, before;

		if (ret < 0)
			return ret;
		if (m->from.len && !sender)
			return err_say(e, -EBADMSG, "a datagram's sender is not there");
		if (!sender && nameless < 0)
			ret = sock_open(s, &nameless, e);
		if (ret < 0)
			return ret;
		from = sender ? r->sock_fds[sender->id - 1] : nameless;
		before = widen(from);
		ret = send_one(r, from, m, &to, to_len, e);
		narrow(from, before);
	}
	return ret;
}

/* Two that are connected to each other. */
static int make_datagram_pair(struct restore *r, const struct sock_rec *a, const struct sock_rec *b,
                              struct err *e)
{
	struct deed deed = {.what = MAKE_PAIR, .creator = a, .type = SOCK_DGRAM};
	AUTO(fd) int fd_a = -1, fd_b = -1;
	int ret = deed_do(r, &deed, e);

	fd_a = deed.pair[0];
	fd_b = deed.pair[1];
	if (!ret)
		ret = bind_name(a, fd_a, e);
	if (!ret)
		ret = bind_name(b, fd_b, e);
	if (!ret)
		ret = fill_from(r, a, fd_b, e);
	if (!ret)
		ret = fill_from(r, b, fd_a, e);
	if (!ret)
		ret = finish(a, fd_a, e);
	if (!ret)
		ret = finish(b, fd_b, e);
	if (ret < 0)
		return ret;
	r->sock_fds[a->id - 1] = take_fd(&fd_a);
	r->sock_fds[b->id - 1] = take_fd(&fd_b);
	return 0;
}

/* Connected to somebody who is gone: the next datagram is refused. */
static int connect_to_nobody(int fd, struct err *e)
{
	AUTO(fd) int gone = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(name);

	/* A name of two bytes makes the kernel choose one. */
	if (gone < 0 || bind(gone, (struct sockaddr *)&name, sizeof(sa_family_t)) < 0 ||
	    getsockname(gone, (struct sockaddr *)&name, &len) < 0 ||
	    connect(fd, (struct sockaddr *)&name, len) < 0)
		return err_set(e, -errno, "socket: a peer that is gone");
	return 0;
}

static int connect_datagrams(struct restore *r, const struct sock_rec *s, int fd, struct err *e)
{
	struct sockaddr_un to = {0};
	socklen_t len = 0;
	char name[UNIX_NAME_TEXT];
	int ret;

	if (s->peer_closed)
		return connect_to_nobody(fd, e);
	if (s->peer) {
		ret = reach(sock_rec_of(r, s->peer), &to, &len, e);
		if (!ret && connect(fd, (struct sockaddr *)&to, len) < 0)
			ret = err_set(e, -errno, "socket: its peer");
		return ret;
	}
	if (s->remote.len &&
	    connect(fd, (const struct sockaddr *)s->remote.data, (socklen_t)s->remote.len) < 0)
		return err_set(e, -errno, "the socket %s, to which the program sends",
		               unix_name_text(s->remote, name));
	return 0;
}

/* A closed partner that had no name: what it sent is sent before it goes. */
static int make_half_pair(struct restore *r, const struct sock_rec *s, struct err *e)
{
	struct deed deed = {.what = MAKE_PAIR, .creator = s, .type = SOCK_DGRAM};
	AUTO(fd) int fd = -1, gone = -1;
	int ret = deed_do(r, &deed, e);

	fd = deed.pair[0];
	gone = deed.pair[1];
	if (!ret)
		ret = fill_from(r, s, gone, e);
	if (!ret)
		ret = finish(s, fd, e);
	if (!ret)
		r->sock_fds[s->id - 1] = take_fd(&fd);
	return ret;
}

/* Connected to each other, and so made together. */
static bool is_pair(struct restore *r, const struct sock_rec *s)
{
	return s->peer && s->peer != s->id && sock_rec_of(r, s->peer)->peer == s->id;
}

/* Is the name all that it has until the others are there? */
static bool is_loose(struct restore *r, const struct sock_rec *s)
{
	return s->type == SOCK_DGRAM && !is_pair(r, s) && (!s->peer_closed || s->local.len);
}

static int make_datagrams(struct restore *r, const struct sock_rec *s, struct err *e)
{
	const struct sock_rec *peer = s->peer ? sock_rec_of(r, s->peer) : NULL;
	AUTO(fd) int fd = -1;
	int ret;

	if (peer && (peer->family != AF_UNIX || peer->type != SOCK_DGRAM))
		return err_say(e, -EBADMSG, "socket %u: its peer is not its peer", s->id);
	if (is_pair(r, s))
		return make_datagram_pair(r, s, peer, e);
	if (!is_loose(r, s))
		return make_half_pair(r, s, e);
	ret = sock_open(s, &fd, e);
	if (!ret)
		ret = bind_name(s, fd, e);
	if (!ret)
		r->sock_fds[s->id - 1] = take_fd(&fd);
	return ret;
}

/* All sockets have their names now: queues first, for then only the peer may send. */
int sock_unix_restore_late(struct restore *r, const struct sock_rec *s, struct err *e)
{
	int fd = r->sock_fds[s->id - 1], ret = 0;

	if (!is_loose(r, s))
		return 0;
	if (s->queue.count)
		ret = fill_datagrams(r, s, e);
	if (!ret)
		ret = connect_datagrams(r, s, fd, e);
	return ret ? ret : finish(s, fd, e);
}

int sock_unix_restore(struct restore *r, const struct sock_rec *s, struct err *e)
{
	if (s->family != AF_UNIX)
		return err_say(e, -EBADMSG, "socket %u is not a UNIX socket", s->id);
	if (r->sock_fds[s->id - 1] >= 0)
		return 0;
	if (s->type == SOCK_DGRAM)
		return make_datagrams(r, s, e);
	if (s->listening)
		return make_listening(r, s, e);
	if (s->peer || s->peer_closed)
		return make_connected(r, s, e);
	return make_alone(r, s, e);
}
