/* SPDX-License-Identifier: MIT */
/*
 * When a guest has settled, so that a snapshot of it catches it waiting for us and for nothing
 *else:
 *
 *	it has reached its barrier, and since then, over a whole window of its own time, it was
 *	halted for nearly all of it, in halts that were long; and no request to a device is open.
 *
 * Short halts do not count, because a guest that waits for a disk or for a step of its own init
 * halts too. A program that wakes ten times a second to look at something is settled: it will do
 * the same after a restore. One that computes never is.
 *
 * A pure function of the halts it is told of: times are machine time, which stands still with the
 * machine.
 */
#ifndef WSLX_VM_SETTLE_H
#define WSLX_VM_SETTLE_H

#include "base/base.h"

struct settle_rule {
	uint64_t window_ns;
	uint64_t long_ns;  /* a halt counts from this on */
	unsigned permille; /* of the window that long halts must fill */
};

/* One second, 20 ms, 900 in a thousand. */
extern const struct settle_rule settle_rule_default;

#define SETTLE_HALTS 256u

struct settle {
	struct settle_rule rule;
	uint64_t barrier_ns; /* 0: not reached */
	struct settle_halt {
		uint64_t from, to;
	} halt[SETTLE_HALTS]; /* the latest long ones, a ring */
	unsigned next;
};

void settle_init(struct settle *s, const struct settle_rule *rule);
/* The guest has reached its barrier; only the first time counts. */
void settle_barrier(struct settle *s, uint64_t now);
/* The guest was halted. A halt that goes on from the one before is one with it. */
void settle_halted(struct settle *s, uint64_t from, uint64_t to);

/* Of the window before @now, how much in a thousand was spent in long halts. */
unsigned settle_share(const struct settle *s, uint64_t now);
/**
 * settle_is_settled() - the rule
 * @pending: a request to a device is open, or input waits to be taken
 */
bool settle_is_settled(const struct settle *s, uint64_t now, bool pending);

#endif
