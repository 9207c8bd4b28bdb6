/* SPDX-License-Identifier: MIT */
/* What the verbs that run a machine share: the terminal, the control socket, the end. */
#ifndef WSLX_CMD_MACHINE_H
#define WSLX_CMD_MACHINE_H

#include "cmd/cmd.h"
#include "cmd/net.h"
#include "cmd/share.h"
#include "vm/control.h"

struct session {
	struct vm *vm;
	struct control control;
	bool escape;  /* the last byte was Ctrl-a */
	bool leaves;  /* the user has asked to */
	bool unheard; /* nothing more will be typed */
	bool failed;  /* it had to be stopped, and why was said */
	bool ended;   /* what it was for has ended, and it was stopped */
	bool is_off;  /* it has ended by itself, and not because somebody kept or stopped it */
	int status;   /* what the guest's command returned, or -1 */
	char *socket; /* where it listens for requests; NULL: nowhere */
	int lock;     /* on its name */
	int leave;    /* -1, or the line to a supervisor, which keeps it when it is left */
	struct shares shares;
	struct net_choice choice;
	struct net *net; /* NULL: nothing is plugged in */
};

/* Have the machine print on this terminal and tell us what its command returns. */
void session_config(struct session *s, struct vm_config *config);
/**
 * session_name() - have the machine listen under a name, or where --control says
 * @name: of the machine, or NULL
 */
MUST_CHECK int session_name(struct session *s, struct store *store, const char *name,
                            const char *control, struct err *e);
/* Open all directories that --share names. */
MUST_CHECK int session_share(struct session *s, const struct args *args, struct err *e);
/*
 * Begin what a guess found, if it found something: the network that was chosen, while this process is
 * small, and then RAM and CPU, by a thread.
 */
struct opened_vm;
MUST_CHECK int session_begin(struct session *s, struct opened_vm *guess, struct err *e);
/* Make the machine of an opened snapshot, with what was begun; @config has its shares already. */
MUST_CHECK int session_restore(struct session *s, struct vm_config *config, struct opened_vm *from,
                               struct err *e);
/**
 * session_run() - run a machine on this terminal until it ends
 * @stats: say at the end what it did
 *
 * Gives up privileges. Return: the guest's status, or enum exit_code.
 */
int session_run(struct session *s, bool stats);
void session_finish(struct session *s);

#endif
