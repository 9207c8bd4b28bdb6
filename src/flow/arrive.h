/* SPDX-License-Identifier: MIT */
/*
 * Machines that start before they have arrived (arrive.c has the theory, vm/arrival.h what the
 * machine sees of it).
 */
#ifndef WSLX_FLOW_ARRIVE_H
#define WSLX_FLOW_ARRIVE_H

#include <sys/types.h>

#include "flow/registry.h"
#include "flow/vm.h"

struct arrive_vm {
	struct pull_snapshot pull; /* .may_begin is ours */
	/* Called by the process that pulls when .pull.progress will not be told any more; or NULL */
	void (*pulled)(struct oci_progress *p);
	/* The store is not there yet: whoever makes it does so while the registry is asked. */
	bool without_store;
};

struct arrived_vm {
	struct pull_result pull; /* .bytes and .fetched_bytes are not told */
	struct opened_vm vm;     /* with PULL_BEGUN: what flow_open_vm() gives */
	pid_t carrier;           /* with PULL_BEGUN; else 0 */
	bool is_started;         /* the caller's: the machine runs, or has run */
	bool is_begun;           /* by flow_arrive_begin(), and flow_arrive_vm() has not taken it */
	int line;                /* then: to the carrier */
};

/**
 * flow_arrive_begin() - ask a registry for a machine, while the caller does something else
 * @root: of the store; NULL: the usual one
 * @out:  for flow_arrive_vm(); finish it always
 *
 * The network is another process's business, so that neither connections nor credentials are in the
 * memory of the machine that the caller will fork(). Call it while there is one thread only.
 */
MUST_CHECK int flow_arrive_begin(const char *root, const struct arrive_vm *what,
                                 struct arrived_vm *out, struct err *e);

/**
 * flow_arrive_vm() - have what was asked for, all of it or enough of it to start
 *
 * With PULL_BEGUN the machine can be made
 * at once; its pages arrive while it runs and, if it ends before, afterwards, by a process that
 * nobody waits for (flow_pull() of the same would); then the snapshot is in the store.
 * Otherwise it is there already.
 */
MUST_CHECK int flow_arrive_vm(struct store *store, struct arrived_vm *out, struct err *e);
/* A carrier whose machine was not started ends; any other when everything has arrived. */
void arrived_vm_finish(struct arrived_vm *a);

#endif
