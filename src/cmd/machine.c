/* SPDX-License-Identifier: MIT */
/* A machine on this terminal. */
#include "cmd/machine.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "cmd/supervisor.h"
#include "cmd/terminal.h"
#include "flow/vm.h"

#define ESCAPE 0x01 /* Ctrl-a */

/* ---- between the terminal and the machine ----------------------------------------------- */

static void print(void *arg, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t n = write(1, data, len);

		if (n < 0 && errno != EINTR)
			return; /* nobody reads any more; the guest need not care */
		data += MAX(n, 0);
		len -= (size_t)MAX(n, 0);
	}
}

/* @why: what the guest says of it; nothing from one that was baked by an earlier version */
static void say_twin(const char *why)
{
	AUTO(buf) struct buf reason = {0};

	text_add_printable(&reason, why, strlen(why));
	fprintf(stderr,
	        "wslx: the machine could not re-key its random numbers%s%s; it is stopped\r\n",
	        *why ? ":" : "", buf_text(&reason));
}

static void on_agent(void *arg, const char *line)
{
	struct session *s = arg;
	int status;

	if (sscanf(line, "exit %d", &status) == 1) {
		s->status = status & 0xff;
		/* Nothing of a baked machine outlives it: there is nothing to switch off in order. */
		if (s->leave >= 0) {
			s->ended = true;
			vm_stop(s->vm);
		}
	}
	/* A baked machine whose random numbers are those of its brothers must not go on. */
	if (s->leave >= 0 && text_starts(line, "failed reseed") && !fallback_forced("twins")) {
		say_twin(line + strlen("failed reseed"));
		s->failed = true;
		vm_stop(s->vm);
	}
}

/* Nobody else than the supervisor may keep it. One that is gone cannot: the machine runs on. */
static void ask_to_be_kept(struct session *s)
{
	if (supervisor_tell(s->leave, LEAVE_ASKED))
		fprintf(stderr, "wslx: the process that would keep this machine has died; wslx "
		                "stop keeps it\r\n");
}

/*
 * A machine that has not all arrived can only be kept when it has, which may take long, or forever.
 * Who does not want to wait says so by asking twice.
 */
static void leave(struct session *s)
{
	struct arrival *a = s->control.arrival;

	if (s->leave < 0) {
		vm_stop(s->vm);
		return;
	}
	if (a && !arrival_is_complete(a)) {
		if (s->leaves) {
			terminal_restore();
			supervisor_tell(s->leave, LEAVE_LOST);
			_exit(EXIT_DONE);
		}
		fprintf(stderr, "wslx: it is kept when all of it has arrived; Ctrl-a x again ends "
		                "it now, and it is not kept\r\n");
	}
	s->leaves = true;
	ask_to_be_kept(s);
}

static void typed(struct session *s, uint8_t byte)
{
	if (s->escape) {
		s->escape = false;
		if (byte == 'x') {
			leave(s);
			return;
		}
		if (byte == 'p') {
			vm_power_button(s->vm);
			return;
		}
	} else if (byte == ESCAPE && terminal_is_raw()) {
		s->escape = true;
		return;
	}
	vm_console_input(s->vm, &byte, 1);
}

static void on_input(void *arg, int fd, short revents)
{
	struct session *s = arg;
	uint8_t bytes[1024];
	ssize_t n;

	n = read(fd, bytes, sizeof(bytes));
	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		s->unheard = true;
		vm_unwatch(s->vm, fd);
		return;
	}
	for (ssize_t i = 0; i < n; i++)
		typed(s, bytes[i]);
}

static bool on_input_in_a_wait(void *arg)
{
	struct session *s = arg;

	on_input(s, 0, POLLIN);
	return !s->unheard && vm_takes_input(s->vm);
}

static void resize(struct session *s)
{
	struct winsize w;

	if (!ioctl(1, TIOCGWINSZ, &w) && w.ws_col && w.ws_row)
		vm_console_resize(s->vm, w.ws_col, w.ws_row);
}

static void on_signal(void *arg, int fd, short revents)
{
	struct session *s = arg;
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGWINCH)
		resize(s);
	/* A key that was typed to interrupt what runs here, at a terminal that is not the guest's. */
	else if (s->leave < 0 || (info.ssi_signo == SIGINT && info.ssi_code == SI_KERNEL))
		vm_stop(s->vm);
	else
		ask_to_be_kept(s);
}

static int watch_signals(struct session *s, struct err *e)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN); /* the copies that write snapshots */
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_set(e, -errno, "signalfd");
	vm_watch(s->vm, fd, POLLIN, on_signal, s);
	return 0;
}

void session_config(struct session *s, struct vm_config *config)
{
	*s = (struct session){.status = -1, .lock = -1, .leave = -1};
	config->console = (struct byte_sink){.write = print};
	config->agent = on_agent;
	config->agent_arg = s;
}

int session_name(struct session *s, struct store *store, const char *name, const char *control,
                 struct err *e)
{
	if (name && control)
		return err_say(e, -EINVAL,
		               "a machine listens under its name or at a socket, not both");
	if (control)
		s->socket = xstrdup(control);
	return name ? flow_name_machine(store, name, &s->socket, &s->lock, e) : 0;
}

int session_share(struct session *s, const struct args *args, struct err *e)
{
	const char *text;
	int at = 0, r = 0;

	while (!r && (text = arg_next(args, "share", &at)))
		r = shares_add(&s->shares, text, e);
	return r;
}

/* A page will not come: what runs there can neither go on nor be kept. */
static void lost(void *arg, const char *why)
{
	struct err e = {0};

	terminal_restore();
	err_say(&e, -EIO, "%s; the machine cannot go on", why);
	_exit(say_error(&e));
}

static int await_pages(struct session *s, struct vm_config *config, const struct opened_vm *from,
                       struct err *e)
{
	uint64_t pages[ARRIVAL_TARGETS_MAX] = {from->needs.ram_bytes / PAGE_BYTES};
	int board, line, r;

	for (unsigned i = 0; i < from->n_disks; i++)
		pages[i + 1] = (from->disk[i].disk->bytes + PAGE_BYTES - 1) / PAGE_BYTES;
	board = dup(from->board_fd);
	line = dup(from->line);
	if (board < 0 || line < 0)
		return err_set(e, -errno, "files of the machine");
	r = arrival_open(pages, from->n_disks + 1, board, line, lost, NULL, &s->control.arrival, e);
	if (r)
		return r;
	config->ram_need = arrival_need(s->control.arrival, 0);
	config->waited_ns = arrival_waited_ns(s->control.arrival);
	for (unsigned i = 0; i < from->n_disks; i++)
		disk_watch(from->disk[i].disk, arrival_need(s->control.arrival, i + 1));
	return 0;
}

int session_begin(struct session *s, struct opened_vm *guess, struct err *e)
{
	int r = guess->ram_fd >= 0 ? net_begin(&s->choice, &s->net, e) : 0;

	if (!r)
		opened_vm_begin(guess);
	return r;
}

int session_restore(struct session *s, struct vm_config *config, struct opened_vm *from,
                    struct err *e)
{
	config->ram_bytes = from->needs.ram_bytes;
	config->ram_fd = from->ram_fd;
	if (from->arrives) {
		int r = await_pages(s, config, from, e);

		if (r)
			return r;
	}
	/* Before RAM and CPU are waited for, below. */
	if (shares_prepare(&s->shares, e))
		return e->code;
	config->code = from->code;
	config->code_log = from->code_log;
	config->begun = from->begun;
	from->begun = NULL;
	for (unsigned i = 0; i < from->n_disks; i++) {
		s->control.disk[i] = from->disk[i];
		config->disk[i] = from->disk[i].disk;
	}
	s->control.n_disks = config->n_disks = from->n_disks;
	s->vm = vm_create(config, e);
	return s->vm ? vm_load(s->vm, from->needs.rec, e) : e->code;
}

void session_finish(struct session *s)
{
	vm_destroy(s->vm);
	arrival_close(s->control.arrival);
	net_destroy(s->net);
	shares_finish(&s->shares);
	free(s->socket);
	if (s->lock >= 0)
		close(s->lock);
}

/* ---- the end ------------------------------------------------------------------------------ */

static void say_stats(struct vm *vm)
{
	struct timespec t;
	struct vm_stats s;
	double busy;

	vm_get_stats(vm, &s);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	busy = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
	fprintf(stderr,
	        "wslx: %.3f s, idle for %.3f s, %.3f s of host CPU, %llu instructions (%.0f "
	        "million a "
	        "second), %llu MiB reported free\n",
	        (double)s.machine_ns / 1e9, (double)s.idle_ns / 1e9, busy,
	        (unsigned long long)s.instructions, (double)s.instructions / busy / 1e6,
	        (unsigned long long)(s.reported_bytes >> 20));
}

static int say_outcome(struct session *s, enum vm_outcome outcome)
{
	switch (outcome) {
	case VM_POWER_OFF:
		return s->status < 0 ? EXIT_DONE : s->status;
	case VM_STOPPED:
		return EXIT_DONE;
	case VM_RESET:
		fprintf(stderr, "wslx: the guest wants to be started again: it was told to, or its "
		                "kernel panicked before it had a driver to say so\n");
		return EXIT_FAILED;
	case VM_PANICKED:
		fprintf(stderr, "wslx: the guest's kernel has panicked\n");
		return EXIT_FAILED;
	case VM_HALTED:
		fprintf(stderr, "wslx: the guest has halted for good\n");
		return s->status < 0 ? EXIT_FAILED : s->status;
	case VM_CRASHED:
		fprintf(stderr, "wslx: %s\n", vm_error(s->vm));
		return EXIT_FAILED;
	}
	return EXIT_FAILED;
}

int session_run(struct session *s, bool stats)
{
	enum vm_outcome outcome;
	struct err e = {0};
	int code;

	s->control.vm = s->vm;
	if (watch_signals(s, &e) || (s->socket && control_listen(&s->control, s->socket, &e)))
		return say_error(&e);
	vm_watch_input(s->vm, 0, on_input, s);
	if (s->control.arrival)
		arrival_attend(s->control.arrival, 0, on_input_in_a_wait, s);
	resize(s);
	terminal_make_raw();
	if ((s->choice.options.n_publish && net_wait(s->net, &e)) ||
	    shares_confine(&s->shares, &e)) {
		terminal_restore();
		return say_error(&e);
	}
	outcome = vm_run(s->vm);
	if (outcome == VM_STOPPED && s->ended)
		outcome = VM_POWER_OFF;
	control_finish(&s->control);
	s->is_off = outcome == VM_POWER_OFF;
	if (s->is_off && s->leave >= 0)
		supervisor_tell(s->leave, LEAVE_ENDED);
	terminal_restore();
	code = s->failed ? EXIT_FAILED : say_outcome(s, outcome);
	if (stats)
		say_stats(s->vm);
	return code;
}
