/* SPDX-License-Identifier: MIT */
/*
 * The machine that a bake starts: a process of its own, since it runs what the image brings, while
 * we hold the store and its key. It tells what happens in lines:
 *
 * | line                      | meaning                                                          |
 * |---------------------------|------------------------------------------------------------------|
 * | barrier NS                | the guest has reached its barrier, at this time of its own       |
 * | settled NS PERMILLE       | it has settled: now is the time for the snapshot                 |
 * | timeout REACHED PERMILLE WHAT | it has not, in time; WHAT names what was running             |
 * | ended WHY                 | it has ended by itself                                           |
 */
#ifndef WSLX_CMD_BAKE_MACHINE_H
#define WSLX_CMD_BAKE_MACHINE_H

#include <sys/types.h>

#include "cmd/share.h"
#include "flow/flow.h"
#include "vm/control.h"

struct bake_machine {
	const struct vm_boot *boot;
	struct store *store; /* closed by the machine's process, which must not have its key */
	uint64_t ram_bytes;
	const char *disk;    /* path of the image's disk */
	const char *control; /* where the machine shall listen */
	struct settle_rule rule;
	unsigned timeout_s;
	bool verbose; /* the guest's console goes to standard error */
};

/**
 * bake_machine_start() - start it
 * @lines: where its lines arrive
 * Return: its pid; negative errno.
 */
pid_t bake_machine_start(const struct bake_machine *what, int *lines, struct err *e);

#endif
