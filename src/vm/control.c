/* SPDX-License-Identifier: MIT */
/* The control socket, both ends. The protocol is in control.h. */
#include "vm/control.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vm/vm-int.h"

void control_message_close(struct control_message *m)
{
	for (unsigned i = 0; i < m->n_fds; i++)
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	m->n_fds = 0;
}

/* @flags: of sendmsg(2) */
static int send_text(int sock, const char *text, const int *fds, unsigned n_fds, int flags)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * CONTROL_FDS_MAX)];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	assert(n_fds <= CONTROL_FDS_MAX);
	if (n_fds) {
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * n_fds);
	}
	return sendmsg(sock, &m, MSG_NOSIGNAL | flags) < 0 ? -errno : 0;
}

static int send_message(int sock, const char *text, const int *fds, unsigned n_fds)
{
	return send_text(sock, text, fds, n_fds, 0);
}

/* Return: 0; -ECONNRESET at the end; -EBADMSG for one that was cut. */
static int receive_message(int sock, struct control_message *out)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * CONTROL_FDS_MAX)];
	} control;
	struct iovec iov = {out->text, sizeof(out->text) - 1};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = control.bytes,
	                   .msg_controllen = sizeof(control.bytes)};
	ssize_t n;

	out->n_fds = 0;
	do {
		n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	out->text[n] = '\0';
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		unsigned fds = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		fds = MIN(fds, CONTROL_FDS_MAX - out->n_fds);
		memcpy(out->fds + out->n_fds, CMSG_DATA(c), sizeof(int) * fds);
		out->n_fds += fds;
	}
	if (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		control_message_close(out);
		return -EBADMSG;
	}
	return n ? 0 : -ECONNRESET;
}

/* ---- the machine's end ------------------------------------------------------------------ */

static void add_disks(const struct control *c, bool frozen, struct buf *out)
{
	for (unsigned i = 0; i < c->n_disks; i++) {
		const struct disk *d = c->disk[i].disk;
		unsigned layers = disk_layers(d, NULL, 0);

		buf_printf(out, "\n%s %u %s",
		           disk_is_overlay(d) ? "cow"
		           : d->read_only     ? "ro"
		                              : "raw",
		           frozen && layers ? layers - 1 : 0, c->disk[i].base);
	}
}

/* Whether the request brings what it needs, before anything is changed. */
static int check_snap(const struct control *c, const struct control_message *request, struct err *e)
{
	unsigned needed = 1, frozen = 0;

	for (unsigned i = 0; i < c->n_disks; i++) {
		const struct disk *d = c->disk[i].disk;

		needed += disk_is_overlay(d);
		frozen += disk_layers(d, NULL, 0);
		if (!disk_is_overlay(d) && !d->read_only)
			return err_say(e, -EOPNOTSUPP,
			               "disk %s is written in place and would change "
			               "under the snapshot; start the machine with "
			               "\"cow\" for it",
			               c->disk[i].base);
	}
	if (frozen > CONTROL_FDS_MAX)
		return err_say(e, -E2BIG,
		               "the disks have %u overlays, more than can be handed over", frozen);
	if (request->n_fds != needed)
		return err_say(e, -EINVAL, "a snapshot needs %u descriptors, not %u", needed,
		               request->n_fds);
	return 0;
}

static int snap(struct control *c, struct control_message *request, struct buf *answer, int *fds,
                unsigned *n_fds, struct err *e)
{
	unsigned next = 1;
	uint64_t pause_ns;
	int r = check_snap(c, request, e);

	for (unsigned i = 0; !r && i < c->n_disks; i++) {
		if (!disk_is_overlay(c->disk[i].disk))
			continue;
		r = disk_push_overlay(c->disk[i].disk, request->fds[next], e);
		request->fds[next++] = -1; /* it is the disk's now */
	}
	if (!r)
		r = vm_stream_live(c->vm, request->fds[0], &pause_ns, e);
	if (r)
		return r;
	buf_printf(answer, "ok %llu", (unsigned long long)pause_ns);
	add_disks(c, true, answer);
	for (unsigned i = 0; i < c->n_disks; i++) {
		unsigned layers =
			disk_layers(c->disk[i].disk, fds + *n_fds, CONTROL_FDS_MAX - *n_fds);

		*n_fds += layers ? layers - 1 : 0;
	}
	return 0;
}

/* ---- sessions --------------------------------------------------------------------------- */

static void tell_session(struct control *c, const struct control_session *s, const char *line)
{
	AUTO(text) char *whole = xprintf("x %u %s", s->id, line);

	/* Within their windows they cannot lose anything; who leaves his has himself to blame. */
	(void)vm_agent_say(c->vm, whole);
}

static struct control_session *session_of(struct control *c, int sock)
{
	for (unsigned i = 0; i < CONTROL_SESSIONS_MAX; i++)
		if (c->sessions[i].id && c->sessions[i].sock == sock)
			return &c->sessions[i];
	return NULL;
}

static int begin_session(struct control *c, int sock, struct err *e)
{
	for (unsigned i = 0; i < CONTROL_SESSIONS_MAX; i++) {
		if (c->sessions[i].id)
			continue;
		c->last_session++;
		c->sessions[i] = (struct control_session){sock, c->last_session};
		return 0;
	}
	return err_say(e, -EBUSY, "it has %u sessions already", CONTROL_SESSIONS_MAX);
}

static void end_session(struct control *c, struct control_session *s)
{
	vm_unwatch(c->vm, s->sock);
	close(s->sock);
	s->id = 0;
}

/* The guest says something: "ID ...". It may be hostile, and what is of no session is dropped. */
static void on_session_line(void *arg, const char *line)
{
	struct control *c = arg;
	char *rest;
	unsigned long id = strtoul(line, &rest, 10);

	for (unsigned i = 0; *rest == ' ' && i < CONTROL_SESSIONS_MAX; i++) {
		struct control_session *s = &c->sessions[i];

		if (!s->id || s->id != id)
			continue;
		/* Nothing here waits for a reader. */
		if (send_text(s->sock, rest + 1, NULL, 0, MSG_DONTWAIT)) {
			tell_session(c, s, "q");
			end_session(c, s);
		}
		return;
	}
}

/* Its owner says something. */
static void on_session(struct control *c, struct control_session *s,
                       const struct control_message *said)
{
	if (strlen(said->text) < SESSION_LINE_BYTES + 16 && !strchr(said->text, '\n'))
		tell_session(c, s, said->text);
}

static void answer(struct control *c, int sock, struct control_message *request)
{
	AUTO(buf) struct buf text = {0};
	int fds[CONTROL_FDS_MAX];
	unsigned n_fds = 0;
	struct err e = {0};
	int r = 0;

	if (c->arrival && (!strcmp(request->text, "snap") || !strcmp(request->text, "disks")))
		r = arrival_wait_for_all(c->arrival, &e);
	if (r) {
		/* It is said below. */
	} else if (!strcmp(request->text, "snap")) {
		r = snap(c, request, &text, fds, &n_fds, &e);
	} else if (!strcmp(request->text, "disks")) {
		buf_add_text(&text, "ok");
		add_disks(c, false, &text);
	} else if (!strcmp(request->text, "session")) {
		r = begin_session(c, sock, &e);
		buf_add_text(&text, "ok");
	} else if (!strcmp(request->text, "button")) {
		vm_power_button(c->vm);
		buf_add_text(&text, "ok");
	} else if (!strcmp(request->text, "stop")) {
		c->stopped = true;
		vm_stop(c->vm);
		buf_add_text(&text, "ok");
	} else {
		r = err_say(&e, -EINVAL, "a machine does not know this request");
	}
	if (r) {
		text.len = 0;
		n_fds = 0;
		buf_printf(&text, "error %s", e.text);
	}
	/* Whoever asked may have gone; that is no concern of the machine's. */
	(void)send_message(sock, buf_text(&text), fds, n_fds);
}

static void on_request(void *arg, int sock, short revents)
{
	struct control *c = arg;
	struct control_session *session = session_of(c, sock);
	struct control_message request;

	if (receive_message(sock, &request)) {
		if (session) {
			tell_session(c, session, "q");
			end_session(c, session);
			return;
		}
		vm_unwatch(c->vm, sock);
		close(sock);
		return;
	}
	if (session)
		on_session(c, session, &request);
	else
		answer(c, sock, &request);
	control_message_close(&request);
}

/* The socket's mode keeps others out; but modes can be changed, and descriptors given away. */
static bool may_ask(const struct control *c, int sock)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return !getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) &&
	       (peer.uid == c->owner || peer.uid == 0);
}

static void on_connection(void *arg, int listener, short revents)
{
	struct control *c = arg;
	int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	const char *refusal = NULL;

	if (sock < 0)
		return;
	if (!may_ask(c, sock))
		refusal = "error this machine is another user's";
	else if (!vm_can_watch(c->vm))
		refusal = "error too many are talking to this machine";
	if (refusal) {
		(void)send_message(sock, refusal, NULL, 0);
		close(sock);
		return;
	}
	vm_watch(c->vm, sock, POLLIN, on_request, c);
}

static int make_address(const char *path, struct sockaddr_un *out, struct err *e)
{
	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(out->sun_path))
		return err_say(e, -ENAMETOOLONG, "%s: longer than a socket's path may be", path);
	memcpy(out->sun_path, path, strlen(path));
	return 0;
}

/* A socket that a dead machine has left behind may give way; nothing else does. */
static int look_for_others(const char *path, const struct sockaddr_un *address, struct err *e)
{
	struct stat st;
	int sock, r;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : err_set(e, -errno, "control socket %s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_say(e, -EEXIST, "%s is there already and is no socket", path);
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return err_set(e, -errno, "control socket");
	r = connect(sock, (const struct sockaddr *)address, sizeof(*address));
	close(sock);
	return r ? 0 : err_say(e, -EADDRINUSE, "another machine listens at %s", path);
}

/* It gets its name when it listens already: who sees it can connect. */
static int listen_at(int sock, const char *path, struct err *e)
{
	AUTO(text) char *first = xprintf("%s~", path);
	struct sockaddr_un address;
	struct stat st;
	mode_t mask;
	int r = make_address(first, &address, e);

	if (r)
		return r;
	/* What a machine has left behind that ended at this point. */
	if (!lstat(first, &st) && S_ISSOCK(st.st_mode))
		unlink(first);
	/* Who may connect may read all of the guest's memory: its owner, and nobody else. */
	mask = umask(0177);
	r = bind(sock, (const struct sockaddr *)&address, sizeof(address)) || listen(sock, 4) ||
	                    rename(first, path)
	            ? err_set(e, -errno, "control socket %s", path)
	            : 0;
	umask(mask);
	return r;
}

int control_listen(struct control *c, const char *path, struct err *e)
{
	struct sockaddr_un address;
	int r = make_address(path, &address, e);

	if (!r)
		r = look_for_others(path, &address, e);
	if (r)
		return r;
	c->owner = geteuid();
	c->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (c->listener < 0)
		return err_set(e, -errno, "control socket");
	r = listen_at(c->listener, path, e);
	if (r)
		return r;
	vm_watch(c->vm, c->listener, POLLIN, on_connection, c);
	/* What the guest says of sessions that it had before a snapshot is of none of ours. */
	c->last_session = (unsigned)(getpid() & 0xffff) << 12;
	vm_watch_sessions(c->vm, on_session_line, c);
	return 0;
}

void control_finish(struct control *c)
{
	struct vm *vm = c->vm;

	for (unsigned i = vm->n_watches; i--;) {
		const struct vm_watch w = vm->watch[i];

		if (w.ready != on_connection && w.ready != on_request)
			continue;
		vm_unwatch(vm, w.fd);
		close(w.fd);
	}
}

/* ---- the other end ---------------------------------------------------------------------- */

/* Connect, ask, and hear the answer. Return: the connection. */
static int ask(const char *path, const char *request, const int *fds, unsigned n_fds,
               struct control_message *out, struct err *e)
{
	struct sockaddr_un address;
	int sock, r = make_address(path, &address, e);

	if (r)
		return r;
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (sock < 0 || connect(sock, (const struct sockaddr *)&address, sizeof(address)))
		r = err_set(e, -errno, "machine at %s", path);
	if (!r && (r = send_message(sock, request, fds, n_fds)))
		err_set(e, r, "asking the machine at %s", path);
	if (!r && (r = receive_message(sock, out)))
		err_set(e, r, "answer of the machine at %s", path);
	if (!r && !text_starts(out->text, "ok")) {
		control_message_close(out);
		r = text_starts(out->text, "error ")
		            ? err_say(e, -EIO, "%s", out->text + 6)
		            : err_say(e, -EBADMSG, "the machine at %s answers nonsense", path);
	}
	if (!r)
		return sock;
	if (sock >= 0)
		close(sock);
	return r;
}

int control_call(const char *path, const char *request, const int *fds, unsigned n_fds,
                 struct control_message *out, struct err *e)
{
	int sock = ask(path, request, fds, n_fds, out, e);

	if (sock < 0)
		return sock;
	close(sock);
	memmove(out->text, out->text + 2, strlen(out->text + 2) + 1);
	return 0;
}

int control_open_session(const char *path, struct err *e)
{
	struct control_message answer;
	int sock = ask(path, "session", NULL, 0, &answer, e);

	if (sock >= 0)
		control_message_close(&answer);
	return sock;
}

void session_encode(char *out, struct span data, size_t *used)
{
	const char *end = out + SESSION_LINE_BYTES - 1;
	size_t n = 0;

	for (; n < data.len && out < end; n++) {
		uint8_t c = data.data[n] ^ SESSION_MASK;

		if (!c || c == '\n' || c == SESSION_ESCAPE) {
			*out++ = SESSION_ESCAPE;
			c ^= SESSION_FLIP;
		}
		*out++ = (char)c;
	}
	*out = '\0';
	*used = n;
}

int session_decode(uint8_t *out, const char *text)
{
	int n = 0;

	for (; *text; text++, n++) {
		uint8_t c = (uint8_t)*text;

		if (n == (int)SESSION_LINE_BYTES)
			return -EBADMSG;
		if (c == SESSION_ESCAPE) {
			c = (uint8_t) * ++text ^ SESSION_FLIP;
			if (c && c != '\n' && c != SESSION_ESCAPE)
				return -EBADMSG;
		}
		out[n] = c ^ SESSION_MASK;
	}
	return n;
}

int control_say(int session, const char *line)
{
	return send_message(session, line, NULL, 0);
}

int control_hear(int session, struct control_message *out)
{
	int r = receive_message(session, out);

	if (!r)
		control_message_close(out);
	return r;
}
