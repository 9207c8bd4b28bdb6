/* SPDX-License-Identifier: MIT */
/* Filling a tree: from layers, or from a directory of the host. */
#ifndef WSLX_ROOTFS_LAYERS_H
#define WSLX_ROOTFS_LAYERS_H

#include "rootfs/tarball.h"

struct spool {
	int fd;
	uint64_t end;
};

/* An unnamed file in TMPDIR. */
MUST_CHECK int spool_open(struct spool *s, struct err *e);

/**
 * layer_apply() - apply a layer, a tar archive with whiteouts
 * @number: from 1, growing
 * @digest: NULL, or what its bytes must have
 */
MUST_CHECK int layer_apply(struct tree *t, struct spool *s, unsigned number, struct stretch in,
                           const char *digest, struct err *e);

/**
 * layer_from_dir() - take a directory of the host as it is, without what is mounted in it
 *
 * Unless we are root, what belongs to us is taken to belong to root.
 */
MUST_CHECK int layer_from_dir(struct tree *t, struct spool *s, int dir, struct err *e);

#endif
