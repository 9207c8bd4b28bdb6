/* SPDX-License-Identifier: MIT */
#include "cmd/bake-machine.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define BARRIER_BYTES 10u /* of '=' */
#define ANSWER_S 3        /* how long an agent may take to say what is running */
#define TAIL_BYTES 240u

struct machine {
	const struct bake_machine *what;
	struct vm *vm;
	struct control control;
	struct shares shares;
	int out;
	unsigned equals; /* in a row at the console's end */
	bool at_barrier, was_asked;
	char tail[TAIL_BYTES + 1]; /* the console's last words */
	size_t tail_len;
};

static void say(struct machine *m, const char *line)
{
	AUTO(text) char *out = xprintf("%s\n", line);

	if (write(m->out, out, strlen(out)) < 0)
		vm_stop(m->vm); /* whoever wanted to know is gone */
}

static uint64_t now_of(struct machine *m)
{
	struct vm_stats stats;

	vm_get_stats(m->vm, &stats);
	return stats.machine_ns;
}

/* ---- what the guest says ------------------------------------------------------------------ */

static void keep_tail(struct machine *m, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (m->tail_len == TAIL_BYTES) {
			memmove(m->tail, m->tail + TAIL_BYTES / 2, TAIL_BYTES / 2);
			m->tail_len = TAIL_BYTES / 2;
		}
		m->tail[m->tail_len++] = (char)data[i];
	}
}

static void on_console(void *arg, const uint8_t *data, size_t len)
{
	struct machine *m = arg;

	keep_tail(m, data, len);
	if (m->what->verbose && write(2, data, len) < 0)
		return;
	for (size_t i = 0; i < len && !m->at_barrier; i++) {
		m->equals = data[i] == '=' ? m->equals + 1 : 0;
		if (m->equals == BARRIER_BYTES) {
			AUTO(text)
			char *line = xprintf("barrier %llu", (unsigned long long)now_of(m));

			m->at_barrier = true;
			vm_barrier(m->vm);
			say(m, line);
		}
	}
}

static void say_timeout(struct machine *m, const char *names)
{
	AUTO(text)
	char *line = xprintf("timeout %d %u %s", m->at_barrier, vm_halted_permille(m->vm), names);

	say(m, line);
	vm_stop(m->vm);
}

static void on_agent(void *arg, const char *line)
{
	struct machine *m = arg;
	unsigned status;

	/* Without a space it is our own question: nobody has switched the echo off yet. */
	if (m->was_asked && text_starts(line, "busy "))
		say_timeout(m, line + 5);
	if (sscanf(line, "failed shell %u", &status) == 1) {
		AUTO(text)
		char *end = xprintf("ended the image's shell has ended with status %u before its "
		                    "prompt",
		                    status);

		say(m, end);
		vm_stop(m->vm);
	}
}

static void on_settled(void *arg)
{
	struct machine *m = arg;
	AUTO(text)
	char *line = xprintf("settled %llu %u", (unsigned long long)now_of(m),
	                     vm_halted_permille(m->vm));

	say(m, line);
}

static void on_timer(void *arg, int fd, short revents)
{
	struct machine *m = arg;
	uint64_t times;

	if (read(fd, &times, sizeof(times)) != sizeof(times))
		return;
	if (m->was_asked) {
		say_timeout(m, "");
		return;
	}
	m->was_asked = true;
	vm_agent_say(m->vm, "busy?");
}

/* ---- its life ----------------------------------------------------------------------------- */

static int watch_timer(struct machine *m, struct err *e)
{
	const struct itimerspec t = {.it_value.tv_sec = m->what->timeout_s,
	                             .it_interval.tv_sec = ANSWER_S};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	if (fd < 0 || timerfd_settime(fd, 0, &t, NULL))
		return err_set(e, -errno, "timer");
	vm_watch(m->vm, fd, POLLIN, on_timer, m);
	return 0;
}

static int prepare(struct machine *m, struct err *e)
{
	struct vm_config config = {.ram_bytes = m->what->ram_bytes,
	                           .ram_fd = -1,
	                           .console = {on_console, m},
	                           .agent = on_agent,
	                           .agent_arg = m};
	int fd = open(m->what->disk, O_RDONLY | O_CLOEXEC), r;

	if (fd < 0)
		return err_set(e, -errno, "disk %s", m->what->disk);
	m->control.disk[0] = (struct control_disk){disk_open_raw(fd, true, e), m->what->disk};
	config.disk[0] = m->control.disk[0].disk;
	if (!config.disk[0])
		return e->code;
	config.n_disks = m->control.n_disks = 1;
	r = shares_attach(&m->shares, &config, e);
	if (r)
		return r;
	m->vm = vm_create(&config, e);
	if (!m->vm)
		return e->code;
	m->control.vm = m->vm;
	vm_console_resize(m->vm, 80, 24);
	vm_watch_settling(m->vm, &m->what->rule, on_settled, m);
	r = vm_boot(m->vm, m->what->boot, e);
	if (!r)
		r = control_listen(&m->control, m->what->control, e);
	if (!r)
		r = watch_timer(m, e);
	if (!r)
		r = shares_confine(&m->shares, e);
	return r;
}

static const char *why(struct machine *m, enum vm_outcome outcome)
{
	switch (outcome) {
	case VM_POWER_OFF:
		return "the guest has switched itself off";
	case VM_RESET:
		return "the guest's kernel has panicked, or wants to be started again";
	case VM_PANICKED:
		return "the guest's kernel has panicked";
	case VM_HALTED:
		return "the guest has halted for good";
	case VM_CRASHED:
		return vm_error(m->vm);
	case VM_STOPPED:
		break;
	}
	return NULL;
}

static void live(struct machine *m)
{
	AUTO(text) char *line = NULL;
	AUTO(buf) struct buf last = {0};
	const char *end;
	struct err e = {0};

	if (prepare(m, &e)) {
		line = xprintf("ended %s", e.text);
		say(m, line);
		return;
	}
	end = why(m, vm_run(m->vm));
	if (!end)
		return;
	text_add_printable(&last, m->tail, m->tail_len);
	line = xprintf("ended %s; its last words: %s", end, buf_text(&last));
	say(m, line);
}

pid_t bake_machine_start(const struct bake_machine *what, int *lines, struct err *e)
{
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC))
		return err_set(e, -errno, "pipe");
	fflush(NULL);
	child = fork();
	if (child < 0) {
		close(ends[0]);
		close(ends[1]);
		return err_set(e, -errno, "starting a machine");
	}
	if (!child) {
		struct machine *m = xalloc(sizeof(*m));

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		store_close(what->store);
		signal(SIGCHLD, SIG_IGN); /* the copy that writes the snapshot */
		m->what = what;
		m->out = ends[1];
		close(ends[0]);
		live(m);
		_exit(0);
	}
	close(ends[1]);
	*lines = ends[0];
	return child;
}
