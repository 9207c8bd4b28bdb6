/* SPDX-License-Identifier: MIT */
/* What a run starts from, and runs that start from nothing else than what was kept. */
#ifndef WSLX_CMD_RUN_H
#define WSLX_CMD_RUN_H

#include "cmd/bake.h"
#include "flow/arrive.h"

/**
 * run_find_snapshot() - have in the store what a user names, if it is not a snapshot's name
 * @how:   an image would be baked
 * @store: may be closed and opened again
 * @arrived: with .pull.state PULL_BEGUN the snapshot is not in the store yet, but can be started;
 *           finish it always
 * @out:   name of the snapshot; the caller frees it
 *
 * What is named is an image of this host (by one of bake's prefixes, or a path with a slash in it);
 * or, with a slash, a reference to a snapshot or an image; else it is a name, and nothing is done. What
 * is not here is fetched; an image is baked unless it was before, with these options and this
 * kernel. Processes are started for that: call it while there is one thread only.
 */
MUST_CHECK int run_find_snapshot(const char *what, const struct bake *how, struct store **store,
                                 struct arrived_vm *arrived, char **out, struct err *e);

/**
 * run_ask_early() - have a registry asked while a store is made
 *
 * That takes as long as asking does. In a store that is there something else may have the name, and
 * then it is not asked for now. To be called before any store is opened; then run_find_snapshot().
 */
MUST_CHECK int run_ask_early(const char *what, const struct bake *how, struct arrived_vm *arrived,
                             struct err *e);

/*
 * Go on with the distro that the first operand names, which was kept, on this terminal. Takes the
 * options "share" and "stats". Return: the exit status.
 */
int run_kept(struct args *args);

#endif
