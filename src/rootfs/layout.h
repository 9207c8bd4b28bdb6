/* SPDX-License-Identifier: MIT */
/* What is in an OCI layout or a docker archive: files by name, and which of them are the image. */
#ifndef WSLX_ROOTFS_LAYOUT_H
#define WSLX_ROOTFS_LAYOUT_H

#include "rootfs/layers.h"
#include "rootfs/rootfs.h"

#define LAYERS_MAX 1024u

/* Files by name: those of a directory, or those of an archive, which were spooled. */
struct image_files {
	int dir; /* -1: an archive */
	struct spool spool;
	struct arena arena;
	struct list files; /* struct image_file */
};

MUST_CHECK int image_files_of_dir(struct image_files *b, int dir, struct err *e);
MUST_CHECK int image_files_of_archive(struct image_files *b, struct stretch in, struct err *e);
void image_files_finish(struct image_files *b);
bool image_files_have(struct image_files *b, const char *name);

/* One layer: what its bytes are, and what they should be. */
struct image_layer {
	const char *name;   /* of the file */
	const char *digest; /* NULL: nobody says */
};

struct image_parts {
	struct rootfs_config config;
	struct list layers; /* struct image_layer, lowest first */
};

/**
 * layout_read() - find the image for linux/amd64 in an OCI layout
 * @tag: which one; NULL: there is only one
 *
 * Return: 0; -ENOENT without such an image; -EBADMSG for what is no layout.
 */
MUST_CHECK int layout_read(struct image_files *b, const char *tag, struct arena *a,
                           struct image_parts *out, struct err *e);
/* The image in an archive that docker save has made. */
MUST_CHECK int docker_read(struct image_files *b, struct arena *a, struct image_parts *out,
                           struct err *e);

/* A file of the image. @fd is the caller's. */
MUST_CHECK int image_file_open(struct image_files *b, const char *name, int *fd,
                               struct stretch *out, struct err *e);

/* An image's configuration (image-spec, config.md). Untrusted. */
MUST_CHECK int image_config_parse(struct span json, struct arena *a, struct rootfs_config *out,
                                  struct err *e);

#endif
