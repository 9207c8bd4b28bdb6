/* SPDX-License-Identifier: MIT */
/* The process that looks after a machine which has given up everything. Theory in supervisor.c. */
#ifndef WSLX_CMD_SUPERVISOR_H
#define WSLX_CMD_SUPERVISOR_H

#include <sys/types.h>

#include "flow/vm.h"

/* What a machine tells its supervisor. */
#define LEAVE_ASKED 'x' /* the user wants to leave */
#define LEAVE_ENDED 'e' /* the guest has switched itself off */
#define LEAVE_LOST 'l'  /* the user does not want to wait until it can be kept */

struct supervisor {
	pid_t pid; /* 0: there is none */
	int line;  /* to it */
};

/**
 * supervisor_start() - fork the supervisor of the machine that this process will become
 *
 * Call it while the process is small, and there is one thread only: the supervisor is a copy of it.
 */
MUST_CHECK int supervisor_start(struct supervisor *out, struct err *e);

/* Tell it which distro this is, once, and before the guest runs: what comes later is not believed. */
MUST_CHECK int supervisor_name(const struct supervisor *s, const struct distro *d, struct err *e);

/*
 * @line: of the supervisor. After LEAVE_ENDED nobody may wait for an answer of the machine any more.
 * Return: -EPIPE if there is no supervisor any more.
 */
int supervisor_tell(int line, char what);

/**
 * supervisor_end() - the machine has ended, or will not run: have the supervisor do its part, and end
 *
 * Nobody may be waiting for an answer of the machine any more, since the supervisor could be the one.
 * Return: 0; -EIO if it has failed, and has said so; -EPIPE if it had died.
 */
int supervisor_end(struct supervisor *s);

#endif
