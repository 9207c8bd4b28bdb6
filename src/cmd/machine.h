/* SPDX-License-Identifier: MIT */
/* What the verbs that run a machine share: the terminal, the control socket, the end. */
#ifndef WSLX_CMD_MACHINE_H
#define WSLX_CMD_MACHINE_H

#include "cmd/cmd.h"
#include "vm/control.h"

struct session {
	struct vm *vm;
	struct control control;
	bool escape; /* the last byte was Ctrl-a */
	int status;  /* what the guest's command returned, or -1 */
};

/* Have the machine print on this terminal and tell us what its command returns. */
void session_config(struct session *s, struct vm_config *config);
/**
 * session_run() - run a machine on this terminal until it ends
 * @socket: where to listen for requests; NULL: nowhere
 * @stats:  say at the end what it did
 *
 * Gives up privileges. Return: the guest's status, or enum exit_code.
 */
int session_run(struct session *s, const char *socket, bool stats);

#endif
