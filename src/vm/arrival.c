/* SPDX-License-Identifier: MIT */
#include "vm/arrival.h"

#include "vm/vm-int.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEAD_BYTES 64u

/* ---- the board ------------------------------------------------------------------------------ */

static size_t words_of(uint64_t pages)
{
	return (size_t)((pages + 63) / 64);
}

static size_t lay_out(struct arrival_board *b, const uint64_t *pages, unsigned n)
{
	size_t bytes = HEAD_BYTES;

	assert(n <= ARRIVAL_TARGETS_MAX);
	*b = (struct arrival_board){.n = n};
	for (unsigned i = 0; i < n; i++) {
		b->bits[i].pages = pages[i];
		bytes += words_of(pages[i]) * sizeof(uint64_t);
	}
	return bytes;
}

static int map(struct arrival_board *b, size_t bytes, int fd, int protection, struct err *e)
{
	void *at = mmap(NULL, bytes, protection, MAP_SHARED, fd, 0);
	uint64_t *next;

	if (at == MAP_FAILED)
		return err_set(e, -errno, "board of what has arrived");
	b->memory = at;
	b->bytes = bytes;
	b->complete = at;
	next = (uint64_t *)at + HEAD_BYTES / sizeof(*next);
	for (unsigned i = 0; i < b->n; i++) {
		b->bits[i].words = next;
		next += words_of(b->bits[i].pages);
	}
	return 0;
}

int arrival_board_make(struct arrival_board *b, const uint64_t *pages, unsigned n, int *out,
                       struct err *e)
{
	size_t bytes = lay_out(b, pages, n);
	int fd = memfd_create("wslx-board", MFD_CLOEXEC | MFD_ALLOW_SEALING), r;

	if (fd < 0 || ftruncate(fd, (off_t)bytes)) {
		r = err_set(e, -errno, "board of what has arrived");
		if (fd >= 0)
			close(fd);
		return r;
	}
	r = map(b, bytes, fd, PROT_READ | PROT_WRITE, e);
	/* The machine runs what is not trusted, and must not make its own pages arrive. */
	if (!r &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL))
		r = err_set(e, -errno, "board of what has arrived");
	if (r) {
		arrival_board_finish(b);
		close(fd);
		return r;
	}
	*out = fd;
	return 0;
}

int arrival_board_map(struct arrival_board *b, const uint64_t *pages, unsigned n, int fd,
                      struct err *e)
{
	return map(b, lay_out(b, pages, n), fd, PROT_READ, e);
}

void arrival_board_finish(struct arrival_board *b)
{
	if (b->memory)
		munmap(b->memory, b->bytes);
	*b = (struct arrival_board){.n = 0};
}

bool arrival_is_there(const struct arrival_bits *bits, uint64_t page)
{
	uint64_t word = __atomic_load_n(&bits->words[page / 64], __ATOMIC_ACQUIRE);

	return word >> (page % 64) & 1;
}

void arrival_is_here_now(struct arrival_bits *bits, uint64_t page)
{
	__atomic_fetch_or(&bits->words[page / 64], UINT64_C(1) << (page % 64), __ATOMIC_RELEASE);
}

/* ---- the machine's end ---------------------------------------------------------------------- */

struct part {
	struct arrival *arrival;
	uint32_t target;
};

struct arrival {
	struct arrival_board board;
	struct part part[ARRIVAL_TARGETS_MAX];
	uint64_t *given_up; /* bits of pages of RAM whose content the machine does not want */
	int line;
	uint64_t waited_ns;
	int input; /* looked after during a wait; -1: none is */
	bool (*input_ready)(void *arg);
	void *input_arg;
	void (*lost)(void *arg, const char *why);
	void *arg;
};

const uint64_t *arrival_waited_ns(const struct arrival *a)
{
	return &a->waited_ns;
}

void arrival_attend(struct arrival *a, int fd, bool (*ready)(void *arg), void *arg)
{
	a->input = fd;
	a->input_ready = ready;
	a->input_arg = arg;
}

/* Returns when there is an answer, or will be none. */
static void wait_for_answer(struct arrival *a)
{
	struct pollfd fds[] = {{.fd = a->line, .events = POLLIN},
	                       {.fd = a->input, .events = POLLIN}};

	for (;;) {
		if (poll(fds, ARRAY_LEN(fds), -1) < 0)
			continue;
		if (fds[0].revents)
			return;
		if (fds[1].revents && !a->input_ready(a->input_arg))
			fds[1].fd = -1;
	}
}

/* Says what is waited for, and waits. Return: 0; negative errno with a sentence. */
static int ask(struct arrival *a, uint32_t target, uint64_t page, struct err *e)
{
	const struct arrival_ask question = {.target = target, .page = page};
	struct arrival_answer answer;
	uint64_t began = host_monotonic_ns();
	ssize_t n;

	do
		n = write(a->line, &question, sizeof(question));
	while (n < 0 && errno == EINTR);
	if (n == sizeof(question))
		wait_for_answer(a);
	do
		n = read(a->line, &answer, sizeof(answer));
	while (n < 0 && errno == EINTR);
	a->waited_ns += host_monotonic_ns() - began;
	if (n != sizeof(answer))
		return err_say(e, -EPIPE, "the process that fetches what is missing has ended");
	answer.text[sizeof(answer.text) - 1] = '\0';
	return answer.code ? err_say(e, answer.code < 0 ? answer.code : -EIO, "%s", answer.text)
	                   : 0;
}

static bool is_given_up(const struct part *p, uint64_t page)
{
	return !p->target && p->arrival->given_up[page / 64] >> (page % 64) & 1;
}

static void forget(void *arg, uint64_t at, uint64_t bytes)
{
	const struct part *p = arg;

	for (uint64_t page = at / PAGE_BYTES; page < (at + bytes) / PAGE_BYTES; page++)
		p->arrival->given_up[page / 64] |= UINT64_C(1) << (page % 64);
}

static void need(void *arg, uint64_t at, uint64_t bytes)
{
	const struct part *p = arg;
	struct arrival *a = p->arrival;
	const struct arrival_bits *bits = &a->board.bits[p->target];
	uint64_t end = MIN((at + bytes + PAGE_BYTES - 1) / PAGE_BYTES, bits->pages);
	struct err e = {0};

	if (arrival_is_complete(a))
		return;
	for (uint64_t page = at / PAGE_BYTES; page < end; page++)
		while (!arrival_is_there(bits, page) && !is_given_up(p, page))
			if (ask(a, p->target, page, &e))
				a->lost(a->arg, e.text);
}

int arrival_open(const uint64_t *pages, unsigned n, int fd, int line,
                 void (*lost)(void *arg, const char *why), void *arg, struct arrival **out,
                 struct err *e)
{
	struct arrival *a = xalloc(sizeof(*a));
	int r = arrival_board_map(&a->board, pages, n, fd, e);

	close(fd);
	if (r) {
		free(a);
		return r;
	}
	for (uint32_t i = 0; i < n; i++)
		a->part[i] = (struct part){a, i};
	a->given_up = xalloc(words_of(pages[0]) * sizeof(uint64_t));
	a->line = line;
	a->input = -1;
	a->lost = lost;
	a->arg = arg;
	*out = a;
	return 0;
}

struct vm_need arrival_need(struct arrival *a, unsigned target)
{
	assert(target < a->board.n);
	return (struct vm_need){
		.need = need, .forget = target ? NULL : forget, .arg = &a->part[target]};
}

bool arrival_is_complete(const struct arrival *a)
{
	return __atomic_load_n(a->board.complete, __ATOMIC_ACQUIRE);
}

int arrival_wait_for_all(struct arrival *a, struct err *e)
{
	int r = ask(a, ARRIVAL_ALL, 0, e);

	return r ? err_wrap(e, r, "it has not all arrived") : 0;
}

void arrival_close(struct arrival *a)
{
	if (!a)
		return;
	arrival_board_finish(&a->board);
	close(a->line);
	free(a->given_up);
	free(a);
}
