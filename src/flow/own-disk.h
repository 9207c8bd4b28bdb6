/* SPDX-License-Identifier: MIT */
/*
 * Disks that belong to the store: made once, never written, named by what is in them. A snapshot
 * of a machine that has one holds its pages too, so that it can travel; the file in disks/ is what
 * machines of this store read, and is made from the pages where it is missing.
 */
#ifndef WSLX_FLOW_OWN_DISK_H
#define WSLX_FLOW_OWN_DISK_H

#include "store/store.h"

#define OWN_DISK_NAME_BYTES 65 /* SHA-256 of the content, hexadecimal */

/* The name of a store's own disk at @path; NULL if it is none. Points into @path. */
const char *own_disk_name(struct store *store, const char *path);
char *own_disk_path(struct store *store, const char *name); /* the caller frees it */

/* A place for a disk: an unnamed file in disks/. Return: its descriptor. */
int own_disk_begin(struct store *store, struct err *e);
/* Give it its name; one that is there already is the same. */
MUST_CHECK int own_disk_commit(struct store *store, int fd, const char *name, struct err *e);

/* Remove those that no snapshot names in its label "machine.disk". */
MUST_CHECK int own_disk_sweep(struct store *store, uint64_t *freed, struct err *e);

#endif
