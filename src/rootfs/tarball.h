/* SPDX-License-Identifier: MIT */
/* Reading tar archives, compressed or not. libarchive is loaded when one is read first. */
#ifndef WSLX_ROOTFS_TARBALL_H
#define WSLX_ROOTFS_TARBALL_H

#include "oci/oci.h"
#include "rootfs/tree.h"

/* Bytes of a file: an archive, or a blob. */
struct stretch {
	int fd; /* borrowed */
	uint64_t at, bytes;
};

struct archive_member;

/**
 * archive_each() - call @member for each member of an archive, in its order
 * @digest: NULL, or "sha256:..." that the archive's own bytes must have
 *
 * Return: 0; -EBADMSG if it is damaged or is not what the digest says; -ENOTSUP without
 *         libarchive; what @member returned.
 */
MUST_CHECK int archive_each(struct stretch in, const char *digest,
                            int (*member)(void *arg, struct archive_member *m,
                                          const struct tree_item *item, struct err *e),
                            void *arg, struct err *e);

/**
 * archive_spool() - append a regular file's content to a spool
 * @end: of the spool; moves on. Holes of the file become holes.
 */
MUST_CHECK int archive_spool(struct archive_member *m, const struct tree_item *item, int spool,
                             uint64_t *end, struct err *e);

/* "sha256:..." of a stretch. */
MUST_CHECK int stretch_digest(struct stretch in, char out[OCI_DIGEST_TEXT]);
/* Compare the digest of a stretch. Return: 0; -EBADMSG. */
MUST_CHECK int stretch_check(struct stretch in, const char *digest, struct err *e);

#endif
