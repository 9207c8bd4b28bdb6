/* SPDX-License-Identifier: MIT */
/*
 * A machine with a name is two processes. The one that the user has started becomes the machine: so
 * what takes time can begin at once, in threads, which a fork would lose. Before that it forks the
 * other one, the supervisor, which keeps what the machine gives up: the right to open the store.
 *
 *	machine  --- which distro, its lock (once) ------> supervisor
 *	         --- LEAVE_ASKED: it keeps the machine -->
 *	         --- LEAVE_ENDED, or its end ------------>
 *	         <-- whether all went well, at the end ---
 *
 * The supervisor has the terminal (of which it only wants to know when it hangs up, and in which mode
 * it was), standard error, the line, the lock on the machine's name, and nothing else; signals
 * of the terminal are not its own. It needs neither memory nor time until one of these speaks:
 *
 *	LEAVE_ASKED, or the terminal has hung up
 *			keep the machine, as `wslx stop` would. That ends the machine. If it cannot be
 *			kept it runs on, and may be asked again.
 *	LEAVE_ENDED	nothing of it shall go on: what was kept of the distro is removed
 *	the line or the machine has ended
 *			remove its socket, put the terminal's mode back if nobody else did, answer, end
 *
 * The machine may become hostile when its guest runs, and so may others that it has forked. The
 * supervisor believes no message that is not from the very process it was forked by, and which distro
 * it looks after only once, from before the guest runs. All that is left to a hostile machine is to
 * have itself kept or forgotten.
 *
 * Both hold the lock, so that the name is free when neither is there any more, and no other machine's
 * socket can be at the place of this one's. Either may be killed: a supervisor is missed only by a
 * machine that wants to be kept, which then runs on; one whose machine was killed tidies up.
 */
#include "cmd/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/terminal.h"
#include "os/os.h"

#define IS_NAMED                                                                                   \
	'n' /* "nNAME\nSOCKET", with the lock; "r" instead if it goes on with what was kept */
#define IS_NAMED_RESUMED 'r'
#define MESSAGE_MAX 512
#define ALL_WELL '1'
#define NOT_WELL '0'

/* ---- the supervisor ----------------------------------------------------------------------- */

struct charge {
	pid_t machine;
	int line, lock;
	char *name, *socket; /* NULL: not known yet */
	bool resumes;        /* something was kept under that name, or may be by now */
	bool is_kept;
	bool has_ended; /* by itself */
};

/* The machine's next message. Return: false if there will be none any more. */
static bool hear(const struct charge *c, char text[MESSAGE_MAX], int *fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec iov = {text, MESSAGE_MAX - 1};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = control.bytes,
	                   .msg_controllen = sizeof(control.bytes)};
	struct ucred from = {0};
	ssize_t n;

	do
		n = recvmsg(c->line, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return false;
	*fd = -1;
	for (struct cmsghdr *it = CMSG_FIRSTHDR(&m); it; it = CMSG_NXTHDR(&m, it)) {
		if (it->cmsg_level == SOL_SOCKET && it->cmsg_type == SCM_CREDENTIALS)
			memcpy(&from, CMSG_DATA(it), sizeof(from));
		else if (it->cmsg_level == SOL_SOCKET && it->cmsg_type == SCM_RIGHTS)
			memcpy(fd, CMSG_DATA(it), sizeof(*fd));
	}
	/* The end is from nobody; what is empty or from others says nothing. */
	text[from.pid == c->machine ? n : 0] = '\0';
	return n || from.pid;
}

static void take_name(struct charge *c, char *text, int *fd)
{
	char *socket = strchr(text, '\n');

	if (c->name || !socket)
		return;
	*socket++ = '\0';
	c->resumes = text[0] == IS_NAMED_RESUMED;
	c->name = xstrdup(text + 1);
	c->socket = xstrdup(socket);
	c->lock = take_fd(fd);
}

/* Whether the machine has said meanwhile that nobody wants to know why it could not be kept. */
static bool is_over(const struct charge *c)
{
	char what;

	return recv(c->line, &what, 1, MSG_PEEK | MSG_DONTWAIT) == 1 &&
	       (what == LEAVE_LOST || what == LEAVE_ENDED);
}

static void keep(struct charge *c)
{
	AUTO(store) struct store *store = NULL;
	struct err e = {0};
	int r;

	if (!c->name || c->is_kept)
		return;
	r = cmd_open_store(&store, &e);
	if (!r)
		r = flow_stop_machine(store, c->name, true, &e);
	c->is_kept = !r;
	c->resumes = true;
	if (r && !is_over(c))
		say_error(&e);
}

/* A machine that has ended by itself has nothing left that could go on. */
static bool forget(const struct charge *c)
{
	AUTO(store) struct store *store = NULL;
	AUTO(arena) struct arena a = {0};
	struct err e = {0};
	int r = cmd_open_store(&store, &e);

	if (!r)
		r = store_remove(store, flow_saved_name(&a, c->name), &e);
	if (r && r != -ENOENT)
		say_error(&e);
	return !r || r == -ENOENT;
}

/* Return: false if it was the last. */
static bool take_message(struct charge *c)
{
	AUTO(fd) int fd = -1;
	char text[MESSAGE_MAX];

	if (!hear(c, text, &fd))
		return false;
	switch (text[0]) {
	case IS_NAMED:
	case IS_NAMED_RESUMED:
		take_name(c, text, &fd);
		break;
	case LEAVE_ASKED:
		keep(c);
		break;
	case LEAVE_ENDED:
		c->has_ended = true;
		break;
	}
	return true;
}

static void look_after(struct charge *c)
{
	struct pollfd fds[] = {
		{.fd = c->line, .events = POLLIN},
		/* Copies of the machine that write snapshots have the line, too. */
		{.fd = os_pidfd_open(c->machine, 0), .events = POLLIN},
		/* A terminal that is not the machine's to control hangs up without a signal. */
		{.fd = -1},
	};
	bool is_hung_up = !isatty(STDIN_FILENO);

	for (;;) {
		fds[2].fd = c->name && !is_hung_up ? STDIN_FILENO : -1;
		if (poll(fds, ARRAY_LEN(fds), -1) < 0)
			continue;
		if (fds[0].revents ? !take_message(c) : fds[1].revents)
			return;
		if (fds[2].revents) {
			is_hung_up = true;
			keep(c);
		}
	}
}

/* Keep nothing of the caller's but the terminal, standard error and the line. */
static void let_go(struct charge *c)
{
	const int first = STDERR_FILENO + 1;
	int null;

	if (c->line != first)
		dup3(c->line, first, O_CLOEXEC);
	c->line = first;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0 && !isatty(STDIN_FILENO))
		dup2(null, STDIN_FILENO);
	if (null >= 0)
		dup2(null, STDOUT_FILENO);
	close_range((unsigned)first + 1, ~0u, 0);
}

static _Noreturn void supervise(int line, pid_t machine)
{
	struct charge c = {.machine = machine, .line = line, .lock = -1};
	bool is_well = true;
	char answer;

	setsid(); /* signals of the terminal are the machine's */
	prctl(PR_SET_NAME, "wslx-keep");
	let_go(&c);
	if (getppid() == machine)
		look_after(&c);
	if (c.has_ended && c.resumes && c.name)
		is_well = forget(&c);
	if (c.socket)
		unlink(c.socket);
	terminal_put_back();
	os_close(&c.lock);
	answer = is_well ? ALL_WELL : NOT_WELL;
	send(c.line, &answer, 1, MSG_NOSIGNAL);
	_exit(EXIT_DONE);
}

/* ---- the machine's side ------------------------------------------------------------------- */

int supervisor_start(struct supervisor *out, struct err *e)
{
	const int on = 1;
	pid_t machine = getpid(), child = -1;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return err_set(e, -errno, "socket");
	terminal_remember();
	if (!setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)))
		child = fork();
	if (!child) {
		close(ends[0]);
		supervise(ends[1], machine);
	}
	if (child < 0)
		err_set(e, -errno, "starting a process that looks after the machine");
	close(ends[1]);
	if (child < 0) {
		close(ends[0]);
		return e->code;
	}
	*out = (struct supervisor){.pid = child, .line = ends[0]};
	return 0;
}

int supervisor_name(const struct supervisor *s, const struct distro *d, struct err *e)
{
	AUTO(text)
	char *text =
		xprintf("%c%s\n%s", d->resumes ? IS_NAMED_RESUMED : IS_NAMED, d->name, d->socket);
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_level = SOL_SOCKET,
	                        .cmsg_type = SCM_RIGHTS,
	                        .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct iovec iov = {text, strlen(text)};
	const struct msghdr m = {.msg_iov = &iov,
	                         .msg_iovlen = 1,
	                         .msg_control = control.bytes,
	                         .msg_controllen = sizeof(control.bytes)};

	if (strlen(text) >= MESSAGE_MAX)
		return err_say(e, -ENAMETOOLONG, "%s: longer than a socket's path may be",
		               d->socket);
	memcpy(CMSG_DATA(&control.header), &d->lock, sizeof(d->lock));
	return sendmsg(s->line, &m, MSG_NOSIGNAL) < 0
	               ? err_set(e, -errno, "the process that looks after the machine")
	               : 0;
}

int supervisor_tell(int line, char what)
{
	struct iovec iov = {&what, 1};
	const struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	/* One that is busy, perhaps with waiting for us, has been asked often enough. */
	const int flags = MSG_NOSIGNAL | (what == LEAVE_ENDED ? 0 : MSG_DONTWAIT);

	return sendmsg(line, &m, flags) < 0 && errno != EAGAIN ? -EPIPE : 0;
}

int supervisor_end(struct supervisor *s)
{
	ssize_t n = 0;
	char answer;

	if (!s->pid)
		return 0;
	shutdown(s->line, SHUT_WR);
	do
		n = read(s->line, &answer, 1);
	while (n < 0 && errno == EINTR);
	close(s->line);
	/* With its end the name is free. A confined machine has no status of its children. */
	while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
		;
	s->pid = 0;
	if (n != 1)
		return -EPIPE;
	return answer == ALL_WELL ? 0 : -EIO;
}
