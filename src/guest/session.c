/* SPDX-License-Identifier: MIT */
/*
 * Sessions: commands that the host starts in a running machine, beside what runs there. Each is a
 * process of ours (fork of the agent) that starts the command on a terminal or on pipes, and moves
 * bytes between it and the agent's channel. Lines of a session are "x ID ..." there:
 *
 * | line           | from  | meaning                                                            |
 * |----------------|-------|--------------------------------------------------------------------|
 * | begin t COLS ROWS | host | a session with a terminal; "begin p" with pipes                 |
 * | a HEX          | host  | more of what to start, in the form of the file info: c, env, u, w  |
 * | go             | host  | start it                                                           |
 * | up bytes       | guest | it was started; "up" alone: the next three are hexadecimal          |
 * | i BYTES, o, r  |       | for its input, of its output, of its errors                        |
 * | e              | host  | its input ends                                                     |
 * | w COLS ROWS    | host  | its terminal's size                                                |
 * | s NUMBER       | host  | a signal for its process group                                     |
 * | q              | host  | nobody is there any more: it is hung up                            |
 * | k COST         |       | so much of what was sent has been taken                            |
 * | exit STATUS    | guest | it has ended: the last line of a session                           |
 *
 * BYTES are exclusive-ored with SESSION_MASK, and where that gives a NUL, a newline, or ESCAPE
 * itself, ESCAPE and SESSION_FLIP of it. So neither text nor code nor zeroes have many of these.
 *
 * Neither side sends more than SESSION_WINDOW ahead of what the other has taken, where a line costs
 * its bytes and SESSION_LINE_COST. So nobody in between ever has to hold back anything else.
 */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define SESSIONS_MAX 16
#define TOLD_MAX (64u << 10)
#define OUTPUT_BYTES (16u << 10) /* what a command may say at once */

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

/* ---- the agent's side --------------------------------------------------------------------- */

static struct {
	unsigned id;
	int sock; /* where its process hears us */
	pid_t pid;
} sessions[SESSIONS_MAX];

static void forget(unsigned slot)
{
	close(sessions[slot].sock);
	sessions[slot].pid = 0;
}

static void reap(void)
{
	for (unsigned i = 0; i < SESSIONS_MAX; i++)
		if (sessions[i].pid && waitpid(sessions[i].pid, NULL, WNOHANG) == sessions[i].pid)
			forget(i);
}

static void session_main(unsigned id, int sock, int channel) __attribute__((noreturn));

static void begin(unsigned id, int channel)
{
	unsigned slot = 0;
	int ends[2];

	while (slot < SESSIONS_MAX && sessions[slot].pid)
		slot++;
	if (slot == SESSIONS_MAX || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return; /* the host hears no "up" */
	sessions[slot].id = id;
	sessions[slot].sock = ends[1];
	sessions[slot].pid = fork();
	if (!sessions[slot].pid) {
		/* It ends when nobody but the dead holds the other end. */
		for (unsigned i = 0; i < SESSIONS_MAX; i++)
			if (i != slot && sessions[i].pid)
				close(sessions[i].sock);
		close(ends[1]);
		session_main(id, ends[0], channel);
	}
	close(ends[0]);
	if (sessions[slot].pid < 0)
		forget(slot);
}

void session_line(int channel, const char *line)
{
	char *what;
	unsigned id = (unsigned)strtoul(line, &what, 10);

	if (*what++ != ' ')
		return;
	reap();
	if (!strncmp(what, "begin ", 6))
		begin(id, channel);
	for (unsigned i = 0; i < SESSIONS_MAX; i++)
		if (sessions[i].pid && sessions[i].id == id)
			send(sessions[i].sock, what, strlen(what), MSG_NOSIGNAL);
}

void session_end_all(void)
{
	for (unsigned i = 0; i < SESSIONS_MAX; i++)
		if (sessions[i].pid)
			shutdown(sessions[i].sock, SHUT_RDWR);
}

/* ---- a session's process ------------------------------------------------------------------ */

struct session {
	unsigned id;
	int sock, channel; /* from the agent, to the host */
	bool terminal;
	int in, out, err; /* ends of the command's; -1. With a terminal in and out are one */
	pid_t child;
	int child_fd;
	size_t ahead; /* cost of what the host has not taken */
	struct winsize size;
	char *told;
	size_t told_len;
	char input[SESSION_WINDOW]; /* for the command, which has not read it yet */
	size_t input_len, input_cost;
	bool input_ends, gone;
};

static void say(struct session *s, const char *text)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "x %u %s\n", s->id, text);

	if (write(s->channel, line, (size_t)n) != n)
		s->gone = true;
}

static void say_number(struct session *s, const char *what, size_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%s %zu", what, number);
	say(s, text);
}

/* The byte eight times. */
#define EIGHT(byte) ((byte)*UINT64_C(0x0101010101010101))
/* Where a byte of the word is zero the result has bits. */
#define ZEROES(word) (((word)-EIGHT(1)) & ~(word)&EIGHT(0x80))

/* Return: where the line ends. A word at a time: this CPU is interpreted. */
static char *put_line(char *out, unsigned id, char what, const uint8_t *data, size_t len,
                      size_t *used)
{
	char *end;
	size_t n = 0;

	out += sprintf(out, "x %u %c ", id, what);
	end = out + SESSION_LINE_BYTES - 1;
	while (n < len && out < end) {
		uint64_t word;
		uint8_t c;

		if (len - n >= sizeof(word) && (size_t)(end - out) >= sizeof(word)) {
			memcpy(&word, data + n, sizeof(word));
			word ^= EIGHT(SESSION_MASK);
			if (!(ZEROES(word) | ZEROES(word ^ EIGHT('\n')) |
			      ZEROES(word ^ EIGHT(SESSION_ESCAPE)))) {
				memcpy(out, &word, sizeof(word));
				out += sizeof(word);
				n += sizeof(word);
				continue;
			}
		}
		c = data[n++] ^ SESSION_MASK;
		if (!c || c == '\n' || c == SESSION_ESCAPE) {
			*out++ = SESSION_ESCAPE;
			c ^= SESSION_FLIP;
		}
		*out++ = (char)c;
	}
	*out++ = '\n';
	*used = n;
	return out;
}

/* A write for each line: those of several processes must not mix. */
static void say_bytes(struct session *s, char what, const uint8_t *data, size_t len)
{
	char line[AGENT_LINE_BYTES];

	for (size_t at = 0, used; at < len && !s->gone; at += used) {
		char *end = put_line(line, s->id, what, data + at, len - at, &used);

		s->gone = write(s->channel, line, (size_t)(end - line)) != end - line;
		s->ahead += used + SESSION_LINE_COST;
	}
}

/* ---- starting ----------------------------------------------------------------------------- */

static void take_lines(struct launch *l, char *text)
{
	char *key, *value;

	while (text && info_next(&text, &key, &value)) {
		if (!strcmp(key, "c"))
			launch_args(l, value);
		else if (!strcmp(key, "env"))
			launch_env(l, value);
		else if (!strcmp(key, "w"))
			l->workdir = value;
		else if (!strcmp(key, "u"))
			l->user = value;
	}
}

/* The root that programs see is PID 1's. An image's configuration is in ours. */
static bool prepare(struct session *s, struct launch *l)
{
	char *image = read_whole("/lib/wslx/image", NULL);

	take_lines(l, image);
	l->n_args = 0; /* what the image starts runs already */
	take_lines(l, s->told);
	if (chroot("1/root") || chdir("/"))
		return false;
	if (!l->n_args) {
		l->argv[l->n_args++] = access("/bin/bash", X_OK) ? "/bin/sh" : "/bin/bash";
		if (!l->workdir)
			l->workdir = "/";
	}
	return true;
}

static int open_terminal(struct session *s)
{
	int unlock = 0, theirs;

	s->out = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->out < 0 || ioctl(s->out, TIOCSPTLCK, &unlock))
		return -1;
	s->in = s->out;
	ioctl(s->out, TIOCSWINSZ, &s->size);
	theirs = ioctl(s->out, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	return theirs;
}

static bool open_pipes(struct session *s, int theirs[3])
{
	int in[2], out[2], err[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		return false;
	theirs[0] = in[0];
	theirs[1] = out[1];
	theirs[2] = err[1];
	s->in = in[1];
	s->out = out[0];
	s->err = err[0];
	return true;
}

static bool start(struct session *s)
{
	static struct launch l;
	int theirs[3] = {-1, -1, -1};

	if (!prepare(s, &l))
		return false;
	if (s->terminal)
		theirs[0] = theirs[1] = theirs[2] = open_terminal(s);
	if (s->terminal ? theirs[0] < 0 : !open_pipes(s, theirs))
		return false;
	s->child = launch_start(&l, l.argv, theirs);
	for (int i = 0; i < (s->terminal ? 1 : 3); i++)
		close(theirs[i]);
	if (s->child < 0)
		return false;
	fcntl(s->in, F_SETFL, O_NONBLOCK);
	fcntl(s->out, F_SETFL, O_NONBLOCK);
	if (s->err >= 0)
		fcntl(s->err, F_SETFL, O_NONBLOCK);
	s->child_fd = (int)syscall(SYS_pidfd_open, s->child, 0);
	say(s, "up bytes");
	return s->child_fd >= 0;
}

/* ---- what the host says ------------------------------------------------------------------- */

static size_t unhex(const char *hex, char *out, size_t max)
{
	size_t n = 0;

	for (; n < max && hex[0] && hex[1]; hex += 2) {
		/* '0' to '9', 'a' to 'f': who sends others gets other bytes. */
		int high = hex[0] <= '9' ? hex[0] - '0' : hex[0] - 'a' + 10;
		int low = hex[1] <= '9' ? hex[1] - '0' : hex[1] - 'a' + 10;

		out[n++] = (char)(high << 4 | (low & 15));
	}
	return n;
}

/* Of @len bytes; what does not belong there becomes something else. */
static size_t take_bytes(const char *text, size_t len, char *out, size_t max)
{
	const char *end = text + len;
	size_t n = 0;

	while (n < max && text < end) {
		uint64_t word;
		uint8_t c;

		if ((size_t)(end - text) >= sizeof(word) && max - n >= sizeof(word)) {
			memcpy(&word, text, sizeof(word));
			if (!ZEROES(word ^ EIGHT(SESSION_ESCAPE))) {
				word ^= EIGHT(SESSION_MASK);
				memcpy(out + n, &word, sizeof(word));
				text += sizeof(word);
				n += sizeof(word);
				continue;
			}
		}
		c = (uint8_t)*text++;
		if (c == SESSION_ESCAPE && text < end)
			c = (uint8_t)*text++ ^ SESSION_FLIP;
		out[n++] = (char)(c ^ SESSION_MASK);
	}
	return n;
}

static void be_told(struct session *s, const char *hex)
{
	char *more = realloc(s->told, s->told_len + AGENT_LINE_BYTES);

	if (!more || s->told_len > TOLD_MAX) {
		s->gone = true;
		return;
	}
	s->told = more;
	s->told_len += unhex(hex, more + s->told_len, AGENT_LINE_BYTES - 1);
	more[s->told_len] = '\0';
}

/* It cannot be started. */
static void fail(struct session *s)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "wslx: the guest cannot start it: %s\n",
	                 strerror(errno));

	say_bytes(s, 'r', (const uint8_t *)text, (size_t)n);
	s->gone = true;
}

static void resize(struct session *s, const char *text)
{
	unsigned cols, rows;

	if (sscanf(text, "%u %u", &cols, &rows) != 2)
		return;
	s->size = (struct winsize){.ws_col = (unsigned short)cols, .ws_row = (unsigned short)rows};
	if (s->terminal && s->out >= 0)
		ioctl(s->out, TIOCSWINSZ, &s->size);
}

static void obey(struct session *s, const char *line, size_t len)
{
	if (!strncmp(line, "begin ", 6)) {
		s->terminal = line[6] == 't';
		resize(s, line + 7);
	} else if (!strncmp(line, "a ", 2)) {
		be_told(s, line + 2);
	} else if (!strcmp(line, "go") && !s->child) {
		if (!start(s))
			fail(s);
	} else if (!strncmp(line, "i ", 2)) {
		size_t n = take_bytes(line + 2, len - 2, s->input + s->input_len,
		                      SESSION_WINDOW - s->input_len);

		s->input_len += n;
		s->input_cost += n + SESSION_LINE_COST;
	} else if (!strcmp(line, "e")) {
		s->input_ends = true;
	} else if (!strncmp(line, "w ", 2)) {
		resize(s, line + 2);
	} else if (!strncmp(line, "s ", 2) && s->child > 0) {
		pid_t front = s->terminal ? tcgetpgrp(s->out) : s->child;

		kill(front > 0 ? -front : -s->child, atoi(line + 2));
	} else if (!strncmp(line, "k ", 2)) {
		size_t taken = strtoul(line + 2, NULL, 10);

		s->ahead -= taken < s->ahead ? taken : s->ahead;
	} else if (!strcmp(line, "q")) {
		s->gone = true;
	}
}

static void hear(struct session *s)
{
	char line[AGENT_LINE_BYTES];
	ssize_t n = recv(s->sock, line, sizeof(line) - 1, 0);

	if (n <= 0) {
		s->gone = true; /* the agent is gone, or wants us to be */
		return;
	}
	line[n] = '\0';
	obey(s, line, (size_t)n);
}

/* ---- moving bytes ------------------------------------------------------------------------- */

static void give_input(struct session *s)
{
	ssize_t n = s->input_len ? write(s->in, s->input, s->input_len) : 0;

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		n = (ssize_t)s->input_len; /* nobody will read it */
	if (n > 0) {
		s->input_len -= (size_t)n;
		memmove(s->input, s->input + n, s->input_len);
	}
	if (s->input_len)
		return;
	if (s->input_cost)
		say_number(s, "k", s->input_cost);
	s->input_cost = 0;
	/* A terminal's input has no end but the key that says so. */
	if (s->input_ends && !s->terminal) {
		close(s->in);
		s->in = -1;
	}
}

/* Return: whether there was something. */
static bool take_output(struct session *s, int *fd, char what)
{
	static uint8_t data[OUTPUT_BYTES];
	ssize_t n = read(*fd, data, sizeof(data));

	if (n > 0) {
		say_bytes(s, what, data, (size_t)n);
		return true;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	/* The end; of a terminal it is an error. */
	if (s->in == *fd)
		s->in = -1;
	close(*fd);
	*fd = -1;
	return false;
}

/* Wait for something to do. Return: whether output may be read. */
static bool await(struct session *s, struct pollfd fds[5], bool exited)
{
	bool may_send = s->ahead < SESSION_WINDOW;
	bool feeds = s->in >= 0 && (s->input_len || (s->input_ends && !s->terminal));

	fds[0] = (struct pollfd){.fd = s->sock, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = may_send ? s->out : -1, .events = POLLIN};
	fds[2] = (struct pollfd){.fd = may_send ? s->err : -1, .events = POLLIN};
	fds[3] = (struct pollfd){.fd = feeds ? s->in : -1, .events = POLLOUT};
	fds[4] = (struct pollfd){.fd = exited ? -1 : s->child_fd, .events = POLLIN};
	/* What has ended says what it still has to say, and no more is waited for. */
	if (poll(fds, 5, exited && may_send ? 0 : -1) < 0)
		memset(fds, 0, 5 * sizeof(fds[0]));
	return may_send;
}

/* Return: how the command has ended, as a shell has it. */
static int move(struct session *s)
{
	bool exited = false;
	int status = 0;

	while (!s->gone) {
		struct pollfd fds[5];
		bool any = false, may_send = await(s, fds, exited);

		if (fds[0].revents)
			hear(s);
		if (fds[1].revents && s->out >= 0)
			any |= take_output(s, &s->out, 'o');
		if (fds[2].revents && s->err >= 0)
			any |= take_output(s, &s->err, 'r');
		if (fds[3].revents && s->in >= 0)
			give_input(s);
		if (exited && may_send && !any && !fds[0].revents)
			break;
		if (fds[4].revents && waitpid(s->child, &status, 0) == s->child)
			exited = true;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/*
 * Nobody is there any more. A command on pipes that tidies up first must not die of a message that
 * nobody reads; one that does not want to end goes on like this.
 */
static void hang_up(struct session *s)
{
	struct pollfd fds[] = {{.fd = s->out, .events = POLLIN},
	                       {.fd = s->err, .events = POLLIN},
	                       {.fd = s->child_fd, .events = POLLIN}};
	char ignored[4096];

	kill(-s->child, SIGHUP);
	/* The end of a terminal hangs up by itself. */
	if (s->terminal)
		return;
	if (s->in >= 0)
		close(s->in);
	while (!fds[2].revents) {
		if (poll(fds, 3, -1) < 0)
			continue;
		for (int i = 0; i < 2; i++)
			if (fds[i].revents && read(fds[i].fd, ignored, sizeof(ignored)) == 0)
				fds[i].fd = -1;
	}
}

static void session_main(unsigned id, int sock, int channel)
{
	static struct session s;
	int status;

	s = (struct session){.id = id,
	                     .sock = sock,
	                     .channel = channel,
	                     .in = -1,
	                     .out = -1,
	                     .err = -1,
	                     .child_fd = -1};
	signal(SIGPIPE, SIG_IGN); /* a command need not read what it is given */
	while (!s.gone && !s.child)
		hear(&s);
	status = s.child > 0 ? move(&s) : 127;
	if (s.gone && s.child > 0)
		hang_up(&s);
	else
		say_number(&s, "exit", (size_t)status);
	_exit(0);
}
