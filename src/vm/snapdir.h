/* SPDX-License-Identifier: MIT */
/*
 * A machine snapshot as a plain directory, for machines that have no store around them.
 *
 * | file      | what                                                             |
 * |-----------|------------------------------------------------------------------|
 * | machine   | the machine's record (CBOR)                                      |
 * | ram       | flat image of RAM, sparse; a restore maps it privately           |
 * | disks     | a line a disk: kind, number of overlays, path of the base        |
 * | diskN.M   | overlay M of disk N, lowest first; never written again           |
 */
#ifndef WSLX_VM_SNAPDIR_H
#define WSLX_VM_SNAPDIR_H

#include "vm/control.h"

/**
 * snapdir_save() - have the machine behind a control socket write itself to a new directory
 *
 * The directory appears under its name when it is complete. Return: 0 or negative errno.
 */
MUST_CHECK int snapdir_save(const char *socket, const char *dir, uint64_t *pause_ns,
			    struct err *e);

struct snapdir {
	struct buf state;
	int ram_fd;
	struct control_disk disk[VM_DISKS_MAX];
	unsigned n_disks;
	char *text; /* where the paths are */
};

/**
 * snapdir_open() - what vm_create() and vm_load() need, with fresh overlays on the disks
 */
MUST_CHECK int snapdir_open(struct snapdir *s, const char *dir, struct err *e);

/* An overlay file that lives as long as somebody has it open. */
int snapdir_temporary(void);

#endif
