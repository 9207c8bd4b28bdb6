/* SPDX-License-Identifier: MIT */
/*
 * A machine some of whose pages are still on their way. Another process, the carrier, puts them
 * into the files that the machine maps and reads (a flat image of RAM, disks), and the machine
 * waits for a page before it looks at it. The two have in common
 *
 *	a board		memory that only the carrier writes: whether all has arrived, and a bit for
 *			each page that has, of RAM and then of each disk
 *	a line		SOCK_SEQPACKET: the machine says which page it waits for, or that it waits for
 *			all, and is answered when that is there, or when it will never be
 *
 * So a page that has arrived costs a look at a bit, and only where the CPU's own translation has no
 * entry; and nothing is asked of the host's kernel that an ordinary user could not ask.
 */
#ifndef WSLX_VM_ARRIVAL_H
#define WSLX_VM_ARRIVAL_H

#include "vm/vm.h"

#define ARRIVAL_TARGETS_MAX (1 + VM_DISKS_MAX)
#define ARRIVAL_ALL UINT32_MAX /* as a target: everything, and the snapshot is kept */

struct arrival_ask {
	uint32_t target; /* 0: RAM; n: disk n - 1 */
	uint32_t unused;
	uint64_t page;
};

struct arrival_answer {
	int32_t code; /* 0: it is there; negative errno: it will not be */
	char text[396];
};

/* What the board says of one target. */
struct arrival_bits {
	uint64_t pages;
	uint64_t *words; /* bit n % 64 of word n / 64: page n is there */
};

struct arrival_board {
	uint32_t *complete; /* 1: everything is there */
	struct arrival_bits bits[ARRIVAL_TARGETS_MAX];
	unsigned n;
	void *memory;
	size_t bytes;
};

/**
 * arrival_board_make() - a board on which nothing has arrived
 * @pages: of each target
 * @fd:    of the memory, which nobody else can write; the caller's
 */
MUST_CHECK int arrival_board_make(struct arrival_board *b, const uint64_t *pages, unsigned n,
                                  int *fd, struct err *e);
MUST_CHECK int arrival_board_map(struct arrival_board *b, const uint64_t *pages, unsigned n, int fd,
                                 struct err *e);
void arrival_board_finish(struct arrival_board *b);
bool arrival_is_there(const struct arrival_bits *bits, uint64_t page);
/* What was written to the page's file before is seen by whoever sees the bit. */
void arrival_is_here_now(struct arrival_bits *bits, uint64_t page);

/* ---- the machine's end ---------------------------------------------------------------------- */

struct arrival;

/**
 * arrival_open() - wait for pages from now on
 * @fd:   the board's; closed
 * @line: kept
 * @lost: called when a page will not come, with a sentence; does not return
 */
MUST_CHECK int arrival_open(const uint64_t *pages, unsigned n, int fd, int line,
                            void (*lost)(void *arg, const char *why), void *arg,
                            struct arrival **out, struct err *e);
/* For vm_config.waited_ns: how long the machine has waited so far. */
const uint64_t *arrival_waited_ns(const struct arrival *a);
/* For vm_config.ram_need (target 0) and disk_watch(). */
struct vm_need arrival_need(struct arrival *a, unsigned target);
bool arrival_is_complete(const struct arrival *a);
/**
 * arrival_attend() - have input looked after while a page is waited for
 * @ready: called when there is some; Return: whether to go on looking for more in this wait
 */
void arrival_attend(struct arrival *a, int fd, bool (*ready)(void *arg), void *arg);
/* Returns when everything is there and kept, or cannot be. */
MUST_CHECK int arrival_wait_for_all(struct arrival *a, struct err *e);
void arrival_close(struct arrival *a); /* accepts NULL */

#endif
