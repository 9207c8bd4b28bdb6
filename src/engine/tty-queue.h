/* SPDX-License-Identifier: MIT */
/* The bytes that wait inside of a pty. */
#ifndef WSLX_ENGINE_TTY_QUEUE_H
#define WSLX_ENGINE_TTY_QUEUE_H

#include "engine/engine-int.h"

#define TTY_QUEUE_MAX 4095 /* what a line discipline holds; more is on its way to it */

struct tty_queue {
	uint8_t to_slave[TTY_QUEUE_MAX], to_master[TTY_QUEUE_MAX];
	size_t n_slave, n_master;
	/* Ends of lines: 2 * position, + 1 if the line was ended by the end-of-file character. */
	uint64_t ends[TTY_QUEUE_MAX];
	size_t n_ends;
};

/* May we put bytes back? Tried on a pty of our own. */
bool tty_queue_allowed(void);

/**
 * tty_queue_look() - what waits in a pty that nobody is using now
 * @has_slave: its slave is open somewhere; if it is not, opening it would be noticed
 * Return: 0; -EPERM if it could not be put back, and so was not touched; other negative errnos.
 */
MUST_CHECK int tty_queue_look(int master, bool has_slave, struct tty_queue *out);
/* Put it into an empty pty. @slave may be -1 if nothing goes there. Return: 0; negative errno. */
MUST_CHECK int tty_queue_put(const struct tty_queue *q, int master, int slave);

#endif
