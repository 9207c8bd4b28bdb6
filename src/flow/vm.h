/* SPDX-License-Identifier: MIT */
/* Machine snapshots: a running machine on one side, the store on the other. */
#ifndef WSLX_FLOW_VM_H
#define WSLX_FLOW_VM_H

#include "store/store.h"
#include "vm/control.h"

struct snap_vm {
	const char *socket; /* where the machine listens */
	const char *name;
	bool replace;
	bool small; /* compress for distribution */
};

struct snap_vm_result {
	uint64_t pause_ns; /* for which the machine stood still */
	uint64_t pages;    /* of RAM and of overlays; zero ones are not among them */
	uint64_t total_ns;
};

/**
 * flow_snap_vm() - snapshot the machine that listens on a socket, into the store
 *
 * The machine runs on. Its disks' overlays are frozen and go into the snapshot with their
 * pages; their bases are named by path and size and have to stay as they are.
 * Return: 0; OBSTACLE for a disk that is written in place; negative errno.
 */
MUST_CHECK int flow_snap_vm(struct store *store, const struct snap_vm *what,
                            struct snap_vm_result *result, struct err *e);

/* What a machine is made from: vm_create() and vm_load() take it as it is. */
struct opened_vm {
	struct arena arena;
	struct span state; /* the machine's record */
	uint64_t ram_bytes;
	int ram_fd; /* flat image of RAM */
	struct control_disk disk[VM_DISKS_MAX];
	unsigned n_disks;
};

/**
 * flow_open_vm() - open a machine snapshot, with fresh overlays on its disks
 *
 * The first time, RAM is unpacked to a flat image in memory (below $XDG_RUNTIME_DIR, else
 * /dev/shm), which is 0600 and shared by all restores of this snapshot; later ones map it.
 * Return: 0; -ENOENT; -EBADMSG for a damaged snapshot; -ESTALE if a base has changed its size.
 */
MUST_CHECK int flow_open_vm(struct store *store, const char *name, struct opened_vm *out,
                            struct err *e);
void opened_vm_finish(struct opened_vm *o);

#endif
