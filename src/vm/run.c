/* SPDX-License-Identifier: MIT */
/*
 * The run loop: one thread.
 *
 *	timers that are due -> host descriptors that are ready -> typed input -> the CPU
 *
 * The CPU runs until the guest halts or somebody kicks it. While it runs, a POSIX timer does
 * the kicking: at the next device deadline, and every LOOK_NS so that somebody looks at the
 * host's descriptors. While the guest is halted the loop sleeps in ppoll() until the next
 * deadline, and no timer is set: an idle guest uses no host CPU.
 */
#include "vm/vm-int.h"

#include <signal.h>
#include <string.h>

#define LOOK_NS 2000000u
#define KICK_SIGNAL SIGRTMIN

static void on_kick(int signal, siginfo_t *info, void *context)
{
	const struct vm *vm = info->si_value.sival_ptr;

	if (info->si_code == SI_TIMER && vm)
		x86_kick(vm->cpu);
}

int run_create(struct vm *vm, struct err *e)
{
	struct sigaction sa = {.sa_sigaction = on_kick, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = KICK_SIGNAL};

	event.sigev_value.sival_ptr = vm;
	if (sigaction(KICK_SIGNAL, &sa, NULL) || timer_create(CLOCK_MONOTONIC, &event, &vm->timer))
		return err_set(e, -errno, "timer");
	vm->has_timer = true;
	return 0;
}

void run_destroy(struct vm *vm)
{
	if (vm->has_timer)
		timer_delete(vm->timer);
	vm->has_timer = false;
}

void run_kick(struct vm *vm)
{
	if (vm->cpu)
		x86_kick(vm->cpu);
}

static uint64_t next_deadline(const struct vm *vm)
{
	uint64_t next = DEV_NEVER;

	for (unsigned i = 0; i < vm->n_timed; i++) {
		uint64_t d = vm->timed[i]->class->deadline(vm->timed[i]);

		next = MIN(next, d);
	}
	return next;
}

/* Set the timer to machine time @at, or switch it off. */
static void arm(struct vm *vm, uint64_t at)
{
	struct itimerspec t = {0};
	uint64_t host = at - vm->clock.offset;

	if (at != DEV_NEVER) {
		t.it_value.tv_sec = (time_t)(host / 1000000000u);
		t.it_value.tv_nsec = (long)(host % 1000000000u);
	}
	timer_settime(vm->timer, TIMER_ABSTIME, &t, NULL);
	vm->armed = at;
}

void run_deadlines_changed(struct vm *vm)
{
	uint64_t next;

	if (!vm->is_running)
		return;
	next = next_deadline(vm);
	if (next >= vm->armed)
		return;
	if (next <= vm_clock_now(&vm->clock))
		run_kick(vm);
	else
		arm(vm, next);
}

static void expire(struct vm *vm)
{
	uint64_t now = vm_clock_now(&vm->clock);

	for (unsigned i = 0; i < vm->n_timed; i++) {
		struct dev *d = vm->timed[i];

		if (d->class->deadline(d) <= now)
			d->class->expire(d, now);
	}
}

/* ---- the host's descriptors ------------------------------------------------------------- */

void vm_watch(struct vm *vm, int fd, short events, void (*ready)(void *arg, int fd, short revents),
              void *arg)
{
	assert(vm->n_watches < VM_WATCHES_MAX);
	vm->watch[vm->n_watches++] =
		(struct vm_watch){.fd = fd, .events = events, .ready = ready, .arg = arg};
}

void vm_watch_input(struct vm *vm, int fd, void (*ready)(void *arg, int fd, short revents),
                    void *arg)
{
	vm_watch(vm, fd, POLLIN, ready, arg);
	vm->watch[vm->n_watches - 1].is_input = true;
}

bool vm_can_watch(const struct vm *vm)
{
	return vm->n_watches < VM_WATCHES_MAX;
}

void vm_unwatch(struct vm *vm, int fd)
{
	for (unsigned i = 0; i < vm->n_watches; i++)
		if (vm->watch[i].fd == fd)
			vm->watch[i] = vm->watch[--vm->n_watches];
}

static bool input_is_full(const struct vm *vm)
{
	return vm->input.len > INPUT_MAX - VM_INPUT_ROOM;
}

bool vm_takes_input(const struct vm *vm)
{
	return !input_is_full(vm);
}

/* What to wait for on a watch's descriptor at this moment; 0: nothing. */
static short wanted(struct vm *vm, const struct vm_watch *w)
{
	if (w->is_wire)
		return (short)((vnet_can_receive(&vm->net) ? POLLIN : 0) |
		               (vnet_wants_to_send(&vm->net) ? POLLOUT : 0));
	return w->is_input && input_is_full(vm) ? 0 : w->events;
}

/*
 * Look at the watched descriptors, waiting up to @wait_ns for one; DEV_NEVER waits as long as
 * it takes.
 */
static void look(struct vm *vm, uint64_t wait_ns)
{
	struct timespec t = {.tv_sec = (time_t)(wait_ns / 1000000000u),
	                     .tv_nsec = (long)(wait_ns % 1000000000u)};
	struct pollfd fds[VM_WATCHES_MAX];
	struct vm_watch watch[VM_WATCHES_MAX];
	unsigned n = vm->n_watches;

	if (!n && !wait_ns)
		return;
	/* A callback may add and remove watches: it gets those of this moment. */
	memcpy(watch, vm->watch, n * sizeof(watch[0]));
	for (unsigned i = 0; i < n; i++) {
		short events = wanted(vm, &watch[i]);

		fds[i] = (struct pollfd){.fd = events ? watch[i].fd : -1, .events = events};
	}
	if (ppoll(fds, n, wait_ns == DEV_NEVER ? NULL : &t, NULL) <= 0)
		return;
	for (unsigned i = 0; i < n; i++)
		if (fds[i].revents)
			watch[i].ready(watch[i].arg, watch[i].fd, fds[i].revents);
}

static void consume(struct buf *b, size_t n)
{
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
}

/* Return: whether the guest took anything, and so has an interrupt to look at. */
static bool feed(struct vm *vm)
{
	size_t typed = 0, said = 0;

	/* What the agent is told comes first: fresh entropy is for what is typed next, too. */
	if (vm->agent_input.len && !vm->agent_waits) {
		said = vconsole_input(&vm->agent, vm->agent_input.data, vm->agent_input.len);
		consume(&vm->agent_input, said);
	}
	if (vm->input.len) {
		typed = virtio_is_ready(&vm->console.virtio)
		                ? vconsole_input(&vm->console, vm->input.data, vm->input.len)
		                : serial_input(&vm->serial, vm->input.data, vm->input.len);
		consume(&vm->input, typed);
	}
	return typed || said;
}

size_t vm_console_input(struct vm *vm, const uint8_t *data, size_t len)
{
	size_t n = MIN(len, INPUT_MAX - vm->input.len);

	buf_add(&vm->input, data, n);
	return n;
}

void vm_console_resize(struct vm *vm, uint16_t cols, uint16_t rows)
{
	vconsole_resize(&vm->console, cols, rows);
}

bool vm_agent_say(struct vm *vm, const char *line)
{
	/* An agent that never reads must not fill our memory. */
	if (vm->agent_input.len > AGENT_INPUT_MAX)
		return false;
	buf_add_text(&vm->agent_input, line);
	buf_add_byte(&vm->agent_input, '\n');
	return true;
}

void vm_watch_sessions(struct vm *vm, void (*line)(void *arg, const char *line), void *arg)
{
	vm->session_line = line;
	vm->session_arg = arg;
}

void vm_agent_spare(struct vm *vm)
{
	explicit_bzero(vm->agent_input.data, vm->agent_input.len);
	vm->agent_input.len = 0;
	vm_agent_say(vm, "\nwake barrier");
	vm->agent_waits = true;
}

void vm_power_button(struct vm *vm)
{
	power_raise(&vm->power, POWER_EVENT_BUTTON);
}

void vm_stop(struct vm *vm)
{
	vm->stop = true;
	run_kick(vm);
}

const char *vm_error(const struct vm *vm)
{
	return x86_error(vm->cpu);
}

/* ---- the loop --------------------------------------------------------------------------- */

static enum x86_exit run_cpu(struct vm *vm)
{
	uint64_t now = vm_clock_now(&vm->clock);
	enum x86_exit exit;

	arm(vm, MIN(next_deadline(vm), now + LOOK_NS));
	vm->is_running = true;
	exit = x86_run(vm->cpu);
	vm->is_running = false;
	return exit;
}

static bool can_wake(struct vm *vm)
{
	struct x86_state state;

	x86_get_state(vm->cpu, &state);
	return state.rflags & 0x200;
}

/* ---- settling --------------------------------------------------------------------------- */

#define SETTLE_LOOK_NS 20000000u /* how often an idle guest is looked at while somebody waits */

void vm_watch_settling(struct vm *vm, const struct settle_rule *rule, void (*settled)(void *arg),
                       void *arg)
{
	settle_init(&vm->settle, rule);
	vm->settled = settled;
	vm->settled_arg = arg;
}

void vm_barrier(struct vm *vm)
{
	settle_barrier(&vm->settle, vm_clock_now(&vm->clock));
}

unsigned vm_halted_permille(struct vm *vm)
{
	return settle_share(&vm->settle, vm_clock_now(&vm->clock));
}

/* Disks and shares answer at once; what they have not taken they will not before it is asked. */
static bool is_pending(struct vm *vm)
{
	bool pending = vm->input.len || vm->agent_input.len || vm->serial.state.rx_count;

	for (unsigned i = 0; i < vm->config.n_disks; i++)
		pending |= virtio_is_ready(&vm->disk[i].virtio) &&
		           virtq_has_chain(&vm->disk[i].virtio, 0);
	for (unsigned i = 0; i < vm->config.n_shares; i++)
		pending |= virtio_is_ready(&vm->share[i].virtio) &&
		           virtq_has_chain(&vm->share[i].virtio, 0);
	return pending || (vm->config.has_net && vnet_wants_to_send(&vm->net));
}

static void look_for_settling(struct vm *vm, uint64_t halted_from)
{
	uint64_t now = vm_clock_now(&vm->clock);
	void (*settled)(void *arg) = vm->settled;

	settle_halted(&vm->settle, halted_from, now);
	if (!settle_is_settled(&vm->settle, now, is_pending(vm)))
		return;
	vm->settled = NULL;
	settled(vm->settled_arg);
}

static void sleep_until_deadline(struct vm *vm)
{
	uint64_t now = vm_clock_now(&vm->clock), next = next_deadline(vm);

	if (vm->settled)
		next = MIN(next, now + SETTLE_LOOK_NS);
	if (vm->armed != DEV_NEVER)
		arm(vm, DEV_NEVER);
	look(vm, next == DEV_NEVER ? DEV_NEVER : next > now ? next - now : 0);
	vm_clock_slept(&vm->clock, next);
	vm->idle_ns += vm_clock_now(&vm->clock) - now;
	if (vm->settled)
		look_for_settling(vm, now);
}

/* Time of day went on when the machine's clock did not. */
static void tell_time(struct vm *vm)
{
	AUTO(buf) struct buf line = {0};

	buf_printf(&line, "time %lld", (long long)host_wall_ns());
	vm_agent_say(vm, buf_text(&line));
}

static enum vm_outcome loop(struct vm *vm)
{
	for (;;) {
		expire(vm);
		if (vm_clock_is_behind(&vm->clock))
			tell_time(vm);
		feed(vm);
		switch (run_cpu(vm)) {
		case X86_EXIT_KICKED:
			look(vm, 0);
			break;
		case X86_EXIT_HLT:
			/* Input that waited is an event itself: no sleep before it. */
			vm->agent_waits = false;
			if (feed(vm))
				break;
			if (!can_wake(vm))
				return VM_HALTED;
			sleep_until_deadline(vm);
			break;
		case X86_EXIT_SHUTDOWN:
		case X86_EXIT_ERROR:
			return VM_CRASHED;
		}
		if (vm->request == POWER_OFF)
			return VM_POWER_OFF;
		if (vm->request == POWER_RESET)
			return vm->panicked ? VM_PANICKED : VM_RESET;
		if (vm->stop) {
			vm->stop = false;
			return VM_STOPPED;
		}
	}
}

enum vm_outcome vm_run(struct vm *vm)
{
	enum vm_outcome outcome;

	vm_clock_start(&vm->clock);
	outcome = loop(vm);
	arm(vm, DEV_NEVER);
	vm_clock_stop(&vm->clock);
	return outcome;
}
