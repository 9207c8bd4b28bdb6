/* SPDX-License-Identifier: MIT */
/* The bytes that wait inside of a pty. */
#ifndef WSLX_KINDS_TTY_QUEUE_H
#define WSLX_KINDS_TTY_QUEUE_H

#include "kinds/kinds.h"

#define TTY_QUEUE_MAX 4095 /* what a line discipline holds; more is on its way to it */

struct tty_queue {
	uint8_t to_slave[TTY_QUEUE_MAX], to_master[TTY_QUEUE_MAX];
	size_t n_slave, n_master;
	/* Ends of lines: 2 * position, + 1 if the line was ended by the end-of-file character. */
	uint64_t ends[TTY_QUEUE_MAX];
	size_t n_ends;
};

/* May we put back what waits for a master? Tried on a pty of our own. */
bool tty_queue_allowed(void);

/**
 * tty_queue_look() - what waits in a pty that nobody is using now
 * @has_slave: its slave is open somewhere; if it is not, opening it would be noticed
 *
 * What waits for the master is looked at only if tty_queue_allowed(). Return: 0; -EFBIG if
 * more may wait for the slave than can be seen, and nothing was touched; other negative errnos.
 */
MUST_CHECK int tty_queue_look(int master, bool has_slave, struct tty_queue *out);
/*
 * Put it into an empty pty. @slave may be -1 if nothing goes there, and what goes to the master may
 * be put with TIOCSTI. Return: 0; negative errno.
 */
MUST_CHECK int tty_queue_put(const struct tty_queue *q, int master, int slave);

#endif
