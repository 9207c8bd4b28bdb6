/* SPDX-License-Identifier: MIT */
/*
 * The machine runs what an image brings, so it is a process of its own that has given up everything
 * before its first instruction. What it writes is a log in memory that we share with it, and of
 * which nothing is believed but its bounds.
 *
 * Its life: the barrier opens; when it has settled the prompt is there, and what was used so far is
 * what a start needs; then `ls` is typed, and when it has settled again that is the end. An image
 * that does not settle is stopped after REHEARSAL_S; what it had used by then is of use as well.
 */
#include "cmd/rehearse.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cmd/share.h"
#include "net/net.h"
#include "os/os.h"

#define REHEARSAL_S 20
#define OPEN_BARRIER "=\n"
#define FIRST_COMMAND "ls /\n"

/* Quiet for so long: shorter than for a bake, since nothing is decided by it but an order. */
static const struct settle_rule quiet = {
	.window_ns = 250000000, .long_ns = 10000000, .permille = 900};

struct log {
	uint64_t n;
	uint64_t n_start; /* 0: the prompt did not come */
	struct vm_touch touch[];
};

/* RAM, or a disk. */
struct target {
	struct stage *stage;
	uint32_t number; /* as in struct vm_touch */
	uint64_t pages;
	uint8_t *seen; /* a byte a page */
};

struct stage {
	struct vm *vm;
	struct log *log;
	struct shares shares;
	struct target target[1 + VM_DISKS_MAX];
};

static void note(void *arg, uint64_t at, uint64_t bytes)
{
	struct target *t = arg;
	uint64_t end = MIN((at + bytes + PAGE_BYTES - 1) / PAGE_BYTES, t->pages);

	for (uint64_t page = at / PAGE_BYTES; page < end; page++) {
		if (t->seen[page])
			continue;
		t->seen[page] = 1;
		t->stage->log->touch[t->stage->log->n++] = (struct vm_touch){page, t->number};
	}
}

static struct vm_need watch_pages(struct stage *s, uint32_t number, uint64_t bytes)
{
	struct target *t = &s->target[number];

	*t = (struct target){
		.stage = s, .number = number, .pages = (bytes + PAGE_BYTES - 1) / PAGE_BYTES};
	t->seen = xalloc((size_t)t->pages + 1);
	return (struct vm_need){note, t};
}

static void on_console(void *arg, const uint8_t *data, size_t len)
{
}

static void on_agent(void *arg, const char *line)
{
}

static void on_quiet(void *arg)
{
	struct stage *s = arg;

	if (s->log->n_start) {
		vm_stop(s->vm);
		return;
	}
	s->log->n_start = s->log->n;
	vm_watch_settling(s->vm, &quiet, on_quiet, s);
	vm_barrier(s->vm);
	vm_console_input(s->vm, (const uint8_t *)FIRST_COMMAND, strlen(FIRST_COMMAND));
}

/* What a run on a terminal tells. */
static void tell(struct shares *to, const char *name)
{
	shares_tell_clock(to);
	if (name)
		shares_tell(to, "h", name);
	shares_tell(to, "env", "TERM=xterm-256color");
}

static int prepare(struct stage *s, const struct opened_vm *from, const char *name, struct err *e)
{
	struct vm_config config = {.ram_bytes = from->needs.ram_bytes,
	                           .ram_fd = from->ram_fd,
	                           .ram_need = watch_pages(s, 0, from->needs.ram_bytes),
	                           .console = {.write = on_console},
	                           .agent = on_agent,
	                           .has_net = from->needs.has_net,
	                           .n_disks = from->n_disks};
	int r;

	for (unsigned i = 0; i < from->n_disks; i++) {
		config.disk[i] = from->disk[i].disk;
		disk_watch(config.disk[i], watch_pages(s, i + 1, config.disk[i]->bytes));
	}
	tell(&s->shares, name);
	if (config.has_net) {
		net_make_mac(config.mac);
		shares_tell_mac(&s->shares, config.mac);
	}
	r = shares_attach(&s->shares, &config, e);
	if (r)
		return r;
	s->vm = vm_create(&config, e);
	if (!s->vm)
		return e->code;
	r = vm_load(s->vm, from->state, NULL, e);
	if (r)
		return r;
	vm_console_resize(s->vm, 80, 24);
	vm_agent_last(s->vm);
	vm_console_input(s->vm, (const uint8_t *)OPEN_BARRIER, strlen(OPEN_BARRIER));
	vm_watch_settling(s->vm, &quiet, on_quiet, s);
	vm_barrier(s->vm);
	return shares_confine(&s->shares, e);
}

static void play(struct log *log, const struct opened_vm *from, const char *name)
{
	struct stage s = {.log = log};
	struct err e = {0};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGALRM, SIG_DFL);
	alarm(REHEARSAL_S);
	if (!prepare(&s, from, name, &e))
		vm_run(s.vm);
}

int rehearse(void *arg, const struct opened_vm *from, struct arena *a, struct list *touches,
             size_t *n_start, struct err *e)
{
	uint64_t pages = from->needs.ram_bytes / PAGE_BYTES;
	struct log *log;
	size_t bytes;
	uint64_t n;
	pid_t child;

	for (unsigned i = 0; i < from->n_disks; i++)
		pages += (from->disk[i].disk->bytes + PAGE_BYTES - 1) / PAGE_BYTES;
	bytes = sizeof(*log) + (size_t)pages * sizeof(log->touch[0]);
	log = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
	           -1, 0);
	if (log == MAP_FAILED)
		return err_set(e, -errno, "memory for a rehearsal");
	fflush(NULL);
	child = fork();
	if (!child) {
		play(log, from, arg);
		_exit(0);
	}
	if (child < 0) {
		munmap(log, bytes);
		return err_set(e, -errno, "starting a rehearsal");
	}
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	n = MIN(log->n, pages);
	for (uint64_t i = 0; i < n; i++)
		*LIST_ADD(touches, a, struct vm_touch) = log->touch[i];
	*n_start = (size_t)(log->n_start ? MIN(log->n_start, n) : n);
	munmap(log, bytes);
	return 0;
}
