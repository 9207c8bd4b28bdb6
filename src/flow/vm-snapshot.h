/* SPDX-License-Identifier: MIT */
/*
 * What the files about machine snapshots share: the record, whose state is the snapshot's.
 *
 * Pages of a snapshot have numbers, and a page of RAM or of a disk says which number it has: a run
 * of pages that lie together there may lie anywhere here, and equal pages may be one.
 */
#ifndef WSLX_FLOW_VM_SNAPSHOT_H
#define WSLX_FLOW_VM_SNAPSHOT_H

#include "flow/vm.h"

#define DISK_PAGES_MAX (UINT64_C(1) << 40)

struct disk_rec {
	const char *kind; /* "ro", "cow" or "own" */
	const char *base;
	uint64_t bytes;
	struct list runs; /* struct vm_run, ascending by .page: its own or what was written */
};

struct vm_snapshot {
	struct span machine;
	struct list disks;    /* struct disk_rec */
	uint64_t start_pages; /* so many of the first are what a start wants, in that order */
	uint64_t soon_pages;  /* and so many what is likely to be wanted soon after */
};

static inline uint64_t pages_of_bytes(uint64_t bytes)
{
	return (bytes + PAGE_BYTES - 1) / PAGE_BYTES;
}

/* ---- rehearsed.c --------------------------------------------------------------------------- */

/* What is stored, before anything is: @ram a mapping of its RAM, disk n is that of record n. */
struct rehearsed {
	struct span machine; /* as it came from the machine */
	const uint8_t *ram;
	uint64_t ram_bytes;
	struct disk *disk[VM_DISKS_MAX];
	struct list touches; /* struct vm_touch, in the order of first use */
	size_t n_start;      /* so many of them belong to the start */
};

/**
 * rehearsed_store() - hand all pages over, those that were used first coming first
 * @snapshot: its disks' records gain runs; .machine, in @a, and .start_pages and .soon_pages are set
 * @n_pages:  how many were handed over
 */
MUST_CHECK int rehearsed_store(const struct rehearsed *r, struct page_sink *sink,
                               struct vm_snapshot *snapshot, struct arena *a, uint64_t *n_pages,
                               struct err *e);

#endif
