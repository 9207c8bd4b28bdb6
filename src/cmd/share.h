/* SPDX-License-Identifier: MIT */
/*
 * What a machine gets of the host: directories, and what it is told when it starts or wakes up.
 *
 * Two 9P servers, as container2wasm's guests expect them: "wasi0" holds the directories under
 * names of ours; "wasi1" holds the files `info` (a line for each thing to know, see
 * docs/bake.md) and `entropy`, which can be read once.
 *
 * Fault point: share-entropy, with which there is none.
 */
#ifndef WSLX_CMD_SHARE_H
#define WSLX_CMD_SHARE_H

#include "p9/p9.h"
#include "vm/vm.h"

struct shares {
	struct p9_server *servers[VM_SHARES_MAX]; /* NULL: the machine has none */
	struct buf info;
	unsigned n_dirs;
	struct vm_filter *filter; /* of system calls, for shares_confine(); or NULL */
};

/**
 * shares_add() - share a directory
 * @text: "HOSTDIR:GUESTDIR" or "HOSTDIR:GUESTDIR:ro"
 */
MUST_CHECK int shares_add(struct shares *s, const char *text, struct err *e);

/**
 * shares_attach() - give a machine its shares, with fresh entropy; once all is in @s->info
 */
MUST_CHECK int shares_attach(struct shares *s, struct vm_config *config, struct err *e);
/* A machine that stands at its barrier goes on, and reads what it is told. */
void shares_open_barrier(struct vm *vm);
/* Add "KEY: VALUE" to what the guest is told; a newline in it is escaped as c2w does. */
void shares_tell(struct shares *s, const char *key, const char *value);
/* The time of day, now. */
void shares_tell_clock(struct shares *s);
/* The address of its network device. */
void shares_tell_mac(struct shares *s, const uint8_t *mac);
/* As an argument of a command: spaces and backslashes are escaped. */
void shares_add_word(struct buf *out, const char *word);
/* Do what shares_confine() can do before, while something else is waited for. */
MUST_CHECK int shares_prepare(struct shares *s, struct err *e);
/**
 * shares_confine() - give up privileges and everything but the shares, before the guest runs
 *
 * A kernel without Landlock leaves a machine that has shares able to open what its user can.
 */
MUST_CHECK int shares_confine(const struct shares *s, struct err *e);
void shares_finish(struct shares *s);

#endif
