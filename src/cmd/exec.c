/* SPDX-License-Identifier: MIT */
/*
 * exec and shell: a command, or another shell, in a machine that is running. We are one end of a
 * session (vm/control.h), whose lines src/guest/session.c describes; the other is in the guest.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "cmd/machine.h"
#include "cmd/run.h"
#include "flow/vm.h"
#include "os/os.h"

#define ANSWER_MS 10000 /* in which the guest has to start it */
#define TOLD_LINE_BYTES 900u

static const struct verb_option exec_options[] = {
	{"user", "USER[:GROUP]", "run it as that user; the image's if it is not given", false, 'u'},
	{"workdir", "DIR", "start it there", false, 'w'},
	{"env", "NAME=VALUE", "for its environment; may repeat", false, 'e'},
};

static const struct verb_option shell_options[] = {
	{"user", "USER[:GROUP]", "of a running machine: as that user", false, 'u'},
	{"workdir", "DIR", "of a running machine: start it there", false, 'w'},
	{"env", "NAME=VALUE", "of a running machine: for its environment; may repeat", false, 'e'},
	{"share", "HOSTDIR:GUESTDIR[:ro]",
         "of one that was kept: a directory of the host; may repeat", false},
	NET_OPTIONS,
	{"stats", NULL, "of one that was kept: say at the end what the machine did", false},
};

struct client {
	int session, signals;
	bool terminal;
	bool is_up;
	bool input_ended;
	bool is_unread; /* nobody wants what the command says */
	bool is_gone;   /* nobody hears what we say; what was said before is still to be heard */
	size_t ahead;   /* cost of what the guest has not taken */
	size_t taken;   /* of what we have, and have not said yet */
	struct termios mode;
	int status; /* -1: it has not ended */
};

static int say(struct client *c, struct err *e, const char *fmt, ...) PRINTF(3, 4);

static int say(struct client *c, struct err *e, const char *fmt, ...)
{
	AUTO(buf) struct buf line = {0};
	va_list ap;
	int r;

	va_start(ap, fmt);
	buf_vprintf(&line, fmt, ap);
	va_end(ap);
	r = control_say(c->session, buf_text(&line));
	c->is_gone |= r == -EPIPE || r == -ECONNRESET;
	return r && !c->is_gone ? err_set(e, r, "the machine") : 0;
}

static int say_hex(struct client *c, struct span data, struct err *e)
{
	AUTO(text) char *hex = xalloc(2 * data.len + 1);

	text_hex(hex, data.data, data.len);
	return say(c, e, "a %s", hex);
}

/* ---- starting it --------------------------------------------------------------------------- */

static void describe(const struct args *args, struct shares *to)
{
	const char *term = getenv("TERM"), *text;
	AUTO(buf) struct buf words = {0};
	int at = 0;

	if (term && *term) {
		AUTO(text) char *assignment = xprintf("TERM=%s", term);

		shares_tell(to, "env", assignment);
	}
	while ((text = arg_next(args, "env", &at)))
		shares_tell(to, "env", text);
	if ((text = arg_value(args, "user")))
		shares_tell(to, "u", text);
	if ((text = arg_value(args, "workdir")))
		shares_tell(to, "w", text);
	for (int i = 1; i < args->n_operands; i++)
		shares_add_word(&words, args->operands[i]);
	if (words.len)
		shares_tell(to, "c", buf_text(&words));
}

static void read_size(struct winsize *size)
{
	if (ioctl(1, TIOCGWINSZ, size) || !size->ws_col || !size->ws_row)
		*size = (struct winsize){.ws_col = 80, .ws_row = 24};
}

static int start(struct client *c, const struct args *args, struct err *e)
{
	struct shares what = {0};
	struct winsize size;
	int r;

	describe(args, &what);
	read_size(&size);
	r = say(c, e, "begin %c %u %u", c->terminal ? 't' : 'p', size.ws_col, size.ws_row);
	for (size_t at = 0; !r && at < what.info.len; at += TOLD_LINE_BYTES)
		r = say_hex(c, SPAN(what.info.data + at, MIN(TOLD_LINE_BYTES, what.info.len - at)),
		            e);
	shares_finish(&what);
	return r ? r : say(c, e, "go");
}

/* ---- while it runs -------------------------------------------------------------------------- */

static int on_input(struct client *c, struct err *e)
{
	char line[SESSION_LINE_BYTES + 1];
	uint8_t data[SESSION_LINE_BYTES];
	ssize_t n = read(0, data, sizeof(data));
	int r = 0;

	if (n < 0 && errno == EINTR)
		return 0;
	if (n <= 0) {
		c->input_ended = true;
		return say(c, e, "e");
	}
	for (size_t at = 0, used; !r && at < (size_t)n; at += used) {
		session_encode(line, SPAN(data + at, (size_t)n - at), &used);
		c->ahead += used + SESSION_LINE_COST;
		r = say(c, e, "i %s", line);
	}
	return r;
}

static int on_output(struct client *c, int fd, const char *text, struct err *e)
{
	uint8_t data[SESSION_LINE_BYTES];
	int n = session_decode(data, text), r = 0;

	if (n < 0)
		return err_say(e, n, "the guest talks nonsense");
	/* Whoever read it may have gone: then the command goes on for nobody, as in a pipe. */
	c->is_unread = os_write_all(fd, data, (size_t)n);
	if (c->is_unread)
		return 0;
	c->taken += (size_t)n + SESSION_LINE_COST;
	/* Not each time: the guest has to be woken to hear it. */
	if (c->taken >= SESSION_WINDOW / 4) {
		r = say(c, e, "k %zu", c->taken);
		c->taken = 0;
	}
	return r;
}

static int on_line(struct client *c, const char *line, struct err *e)
{
	unsigned long taken;
	int status;

	if (!strcmp(line, "up"))
		return err_say(
			e, -EOPNOTSUPP,
			"its guest program is an older one: bake it again, or copy files over "
			"a share");
	if (!strcmp(line, "up bytes")) {
		c->is_up = true;
		if (c->terminal) {
			struct termios raw = c->mode;

			cfmakeraw(&raw);
			tcsetattr(0, TCSADRAIN, &raw);
		}
		return 0;
	}
	if (text_starts(line, "o "))
		return on_output(c, 1, line + 2, e);
	if (text_starts(line, "r "))
		return on_output(c, 2, line + 2, e);
	if (sscanf(line, "k %lu", &taken) == 1)
		c->ahead -= MIN(c->ahead, taken);
	else if (sscanf(line, "exit %d", &status) == 1)
		c->status = status & 0xff;
	return 0;
}

static int on_session(struct client *c, struct err *e)
{
	struct control_message said;
	int r = control_hear(c->session, &said);

	if (r)
		return err_say(e, r, "the machine has ended, or was kept, while it ran");
	return on_line(c, said.text, e);
}

static int on_signal(struct client *c, struct err *e)
{
	struct signalfd_siginfo info;
	struct winsize size;

	if (read(c->signals, &info, sizeof(info)) != sizeof(info))
		return 0;
	if (info.ssi_signo != SIGWINCH)
		return say(c, e, "s %u", info.ssi_signo);
	read_size(&size);
	return say(c, e, "w %u %u", size.ws_col, size.ws_row);
}

static int attend(struct client *c, struct err *e)
{
	int r = 0;

	while (!r && c->status < 0 && !c->is_unread) {
		bool may_send =
			c->is_up && !c->is_gone && !c->input_ended && c->ahead < SESSION_WINDOW;
		struct pollfd fds[] = {{.fd = c->session, .events = POLLIN},
		                       {.fd = c->is_gone ? -1 : c->signals, .events = POLLIN},
		                       {.fd = may_send ? 0 : -1, .events = POLLIN}};
		int n = poll(fds, ARRAY_LEN(fds), c->is_up ? -1 : ANSWER_MS);

		if (!n)
			return err_say(e, -ETIMEDOUT,
			               "the machine does not answer: its guest program is an older "
			               "one, or is not ours");
		if (n < 0)
			continue;
		if (fds[0].revents)
			r = on_session(c, e);
		if (!r && fds[1].revents)
			r = on_signal(c, e);
		if (!r && fds[2].revents)
			r = on_input(c, e);
	}
	return r;
}

/* ---- the verbs ------------------------------------------------------------------------------ */

static int watch_signals(void)
{
	static const int all[] = {SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		sigaddset(&set, all[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int talk(const struct args *args, const char *socket)
{
	struct client c = {.status = -1};
	struct err e = {0};
	int r;

	c.terminal = isatty(0) && isatty(1) && !tcgetattr(0, &c.mode);
	c.signals = watch_signals();
	c.session = control_open_session(socket, &e);
	/* It has its name until after it has ended. */
	if (c.session == -ECONNREFUSED)
		err_say(&e, c.session, "the machine %s is ending", args->operands[0]);
	r = c.session < 0 ? c.session : start(&c, args, &e);
	if (!r)
		r = attend(&c, &e);
	if (c.terminal)
		tcsetattr(0, TCSADRAIN, &c.mode);
	os_close(&c.session);
	os_close(&c.signals);
	if (r < 0)
		return say_error(&e);
	return c.status < 0 ? EXIT_FAILED : c.status;
}

/* Where it listens. Return: 0; -ENOENT if it does not run. */
static int find(const char *name, char **socket, struct err *e)
{
	AUTO(store) struct store *store = NULL;
	int r = cmd_open_store(&store, e);

	return r ? r : flow_find_machine(store, name, socket, e);
}

static int run_exec(struct args *args)
{
	AUTO(text) char *socket = NULL;
	struct err e = {0};

	if (find(args->operands[0], &socket, &e))
		return say_error(&e);
	return talk(args, socket);
}

static int run_shell(struct args *args)
{
	AUTO(text) char *socket = NULL;
	struct err e = {0};
	int r = find(args->operands[0], &socket, &e);

	/* One that does not run goes on where it was kept: with the shell that it had. */
	if (r == -ENOENT)
		return run_kept(args);
	return r ? say_error(&e) : talk(args, socket);
}

const struct verb verb_exec = {
	.name = "exec",
	.operands = "NAME -- COMMAND ARGUMENT...",
	.min_operands = 2,
	.max_operands = 1000,
	.summary = "Run a command in a running machine",
	.options = exec_options,
	.n_options = ARRAY_LEN(exec_options),
	.run = run_exec,
};

const struct verb verb_shell = {
	.name = "shell",
	.operands = "NAME",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "Another shell in a running machine, or go on with one that was kept",
	.options = shell_options,
	.n_options = ARRAY_LEN(shell_options),
	.run = run_shell,
};
