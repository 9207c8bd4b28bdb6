/* SPDX-License-Identifier: MIT */
/*
 * The machine runs what an image brings, so it is a process of its own that has given up everything
 * before its first instruction. What it writes is a log in memory that we share with it, and of
 * which nothing is believed but its bounds.
 *
 * Its life: the barrier opens; when it has settled the prompt is there, and what was used so far is
 * what a start needs; then `ls` is typed, and when it has settled again that is the end. An image
 * that does not settle is stopped after REHEARSAL_S; what it had used by then is of use as well.
 *
 * Starts differ: a shell reads what it has to know of the terminal, a name that is not the baked one
 * is written to files, a window of another size tells everybody. So there are several machines, all
 * at the same time, and what a start needs is what any of them has used, the most usual one first.
 * One of them starts a command instead of the shell.
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

/* Quiet for so long: shorter than for a bake, since nothing is decided by it but an order. */
static const struct settle_rule quiet = {
	.window_ns = 250000000, .long_ns = 10000000, .permille = 900};

/* How a start may be. */
struct start {
	const char *term; /* NULL: no terminal */
	uint16_t cols, rows;
	bool renamed;     /* has another name than it was baked with */
	const char *says; /* at the prompt; NULL: nothing */
	const char *command;
};

static const struct start starts[] = {
	{.term = "xterm-256color", .cols = 80, .rows = 24, .says = "ls /\n"},
	{.term = "xterm", .cols = 132, .rows = 43, .renamed = true},
	{.term = "screen-256color", .cols = 100, .rows = 30, .renamed = true},
	{.term = "tmux-256color", .cols = 200, .rows = 50, .renamed = true},
	{.term = "xterm-kitty", .cols = 120, .rows = 40, .renamed = true},
	{.term = "linux", .cols = 80, .rows = 25, .renamed = true},
	{.renamed = true},
	{.command = "true", .renamed = true},
};

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
	const struct start *start;
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

/* What the guest gives back and takes again need not come. */
static void forget(void *arg, uint64_t at, uint64_t bytes)
{
	struct target *t = arg;

	memset(t->seen + at / PAGE_BYTES, 1, (size_t)(bytes / PAGE_BYTES));
}

static struct vm_need watch_pages(struct stage *s, uint32_t number, uint64_t bytes)
{
	struct target *t = &s->target[number];

	*t = (struct target){
		.stage = s, .number = number, .pages = (bytes + PAGE_BYTES - 1) / PAGE_BYTES};
	t->seen = xalloc((size_t)t->pages + 1);
	return (struct vm_need){.need = note, .forget = number ? NULL : forget, .arg = t};
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

	const char *says = s->start->says;

	if (s->log->n_start || !says) {
		if (!s->log->n_start)
			s->log->n_start = s->log->n;
		vm_stop(s->vm);
		return;
	}
	s->log->n_start = s->log->n;
	vm_watch_settling(s->vm, &quiet, on_quiet, s);
	vm_barrier(s->vm);
	vm_console_input(s->vm, (const uint8_t *)says, strlen(says));
}

/* What a run tells. */
static void tell(struct shares *to, const struct start *start, const char *name)
{
	AUTO(text) char *renamed = xprintf("%s-2", name ? name : "");

	shares_tell_clock(to);
	if (name)
		shares_tell(to, "h", start->renamed ? renamed : name);
	if (start->term) {
		AUTO(text) char *assignment = xprintf("TERM=%s", start->term);

		shares_tell(to, "env", assignment);
	}
	if (start->command) {
		shares_tell(to, "e", "");
		shares_tell(to, "c", start->command);
	}
}

static int prepare(struct stage *s, const struct opened_vm *from, const char *name, struct err *e)
{
	struct vm_config config = {.ram_bytes = from->needs.ram_bytes,
	                           .ram_fd = from->ram_fd,
	                           .ram_need = watch_pages(s, 0, from->needs.ram_bytes),
	                           .console = {.write = on_console},
	                           .agent = on_agent,
	                           .has_net = from->needs.has_net,
	                           .wire = &wire_to_nowhere,
	                           .n_disks = from->n_disks};
	int r;

	for (unsigned i = 0; i < from->n_disks; i++) {
		config.disk[i] = from->disk[i].disk;
		disk_watch(config.disk[i], watch_pages(s, i + 1, config.disk[i]->bytes));
	}
	tell(&s->shares, s->start, name);
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
	r = vm_load(s->vm, from->needs.rec, e);
	if (r)
		return r;
	if (s->start->cols)
		vm_console_resize(s->vm, s->start->cols, s->start->rows);
	shares_open_barrier(s->vm);
	vm_watch_settling(s->vm, &quiet, on_quiet, s);
	vm_barrier(s->vm);
	return shares_confine(&s->shares, e);
}

static void play(const struct start *start, struct log *log, const struct opened_vm *from,
                 const char *name)
{
	struct stage s = {.start = start, .log = log};
	struct err e = {0};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGALRM, SIG_DFL);
	alarm(REHEARSAL_S);
	if (!prepare(&s, from, name, &e))
		vm_run(s.vm);
}

/* ---- all of them -------------------------------------------------------------------------- */

#define STARTS ARRAY_LEN(starts)

struct cast {
	struct log *log[STARTS];
	pid_t child[STARTS];
	size_t log_bytes;
};

static uint64_t pages_of(const struct opened_vm *from)
{
	uint64_t pages = from->needs.ram_bytes / PAGE_BYTES;

	for (unsigned i = 0; i < from->n_disks; i++)
		pages += (from->disk[i].disk->bytes + PAGE_BYTES - 1) / PAGE_BYTES;
	return pages;
}

static int begin(struct cast *c, unsigned i, const struct opened_vm *from, const char *name,
                 struct err *e)
{
	void *log = mmap(NULL, c->log_bytes, PROT_READ | PROT_WRITE,
	                 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (log == MAP_FAILED)
		return err_set(e, -errno, "memory for a rehearsal");
	c->log[i] = log;
	fflush(NULL);
	c->child[i] = fork();
	if (!c->child[i]) {
		play(&starts[i], log, from, name);
		_exit(0);
	}
	return c->child[i] < 0 ? err_set(e, -errno, "starting a rehearsal") : 0;
}

/* Touches @from to @to of a log; from now on they are no longer shared. */
static void take(struct arena *a, struct list *touches, const struct log *log, uint64_t from,
                 uint64_t to)
{
	for (uint64_t i = from; i < to; i++)
		*LIST_ADD(touches, a, struct vm_touch) = log->touch[i];
}

/* Of each machine what it needed for its prompt, then of each the rest. */
static void take_all(const struct cast *c, uint64_t pages, struct arena *a, struct list *touches,
                     size_t *n_start)
{
	uint64_t n[STARTS], start[STARTS];

	for (unsigned i = 0; i < STARTS; i++) {
		n[i] = MIN(c->log[i]->n, pages);
		start[i] = MIN(c->log[i]->n_start, n[i]);
		/* One that never was quiet: there is no telling what it took. */
		if (!i && !start[i])
			start[i] = n[i];
		take(a, touches, c->log[i], 0, start[i]);
	}
	*n_start = touches->count;
	for (unsigned i = 0; i < STARTS; i++)
		take(a, touches, c->log[i], start[i], n[i]);
}

int rehearse(void *arg, const struct opened_vm *from, struct arena *a, struct list *touches,
             size_t *n_start, struct err *e)
{
	uint64_t pages = pages_of(from);
	struct cast c = {.log_bytes = sizeof(struct log) + (size_t)pages * sizeof(struct vm_touch)};
	int r = 0;

	for (unsigned i = 0; !r && i < STARTS; i++)
		r = begin(&c, i, from, arg, e);
	for (unsigned i = 0; i < STARTS; i++) {
		if (c.child[i] > 0 && r)
			kill(c.child[i], SIGKILL);
		while (c.child[i] > 0 && waitpid(c.child[i], NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (!r)
		take_all(&c, pages, a, touches, n_start);
	for (unsigned i = 0; i < STARTS; i++)
		if (c.log[i])
			munmap(c.log[i], c.log_bytes);
	return r;
}
