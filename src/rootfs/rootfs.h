/* SPDX-License-Identifier: MIT */
/*
 * From a container image to a disk: what kind of image it is, its configuration, its layers one
 * upon the other, and a read-only EROFS file system of the result.
 *
 * No step needs privileges: layers are applied to a tree in memory (tree.h), file contents to an
 * unnamed spool file, and the file system is written from both (erofs.c). So owners, device nodes,
 * set-user-id bits and attributes are what the image says, whoever runs this. The disk depends on
 * nothing but the tree: the same image gives the same bytes.
 *
 *	tarball.c      archives: the only file that knows libarchive
 *	tree.c         a file system in memory, to which layers are applied
 *	layers.c       layers to trees
 *	layout.c       where an image keeps its manifest, configuration and layers
 *	erofs.c        a tree to a disk
 *	rootfs.c       an image to a disk
 */
#ifndef WSLX_ROOTFS_H
#define WSLX_ROOTFS_H

#include "base/base.h"

/* What an image wants to be run as; texts live in the arena given to rootfs_build(). */
struct rootfs_config {
	const char *digest; /* of the manifest, "sha256:..."; NULL: the image has none */
	struct list entrypoint, cmd, env; /* const char * */
	const char *workdir, *user;       /* NULL: not said */
};

struct rootfs_report {
	struct rootfs_config config;
	const char *source; /* where it came from, in words: "OCI layout", "root tree" */
	unsigned layers;
	uint64_t inodes;
	uint64_t disk_bytes;
	char disk_digest[65]; /* SHA-256 of the disk, hexadecimal */
};

struct rootfs_options {
	/* A step begins: @done of @total; NULL: nobody wants to know. */
	void (*progress)(void *arg, const char *step, uint64_t done, uint64_t total);
	void *arg;
};

/**
 * rootfs_build() - make a disk of an image
 * @image: "oci:DIR[:TAG]", "oci-archive:TAR", "docker-archive:TAR", "rootfs:DIR-OR-TAR", or a path
 *         by itself, whose kind is found out
 * @out:   an empty file, open for reading and writing
 *
 * The image may be hostile: no name of it is ever used on this host, every digest that the image
 * gives is compared, and its numbers have limits.
 *
 * Return: 0; -EINVAL if it is no image; -EBADMSG if it is damaged; -ENOTSUP without libarchive.
 */
MUST_CHECK int rootfs_build(const char *image, int out, const struct rootfs_options *options,
                            struct arena *a, struct rootfs_report *report, struct err *e);

/* Whether it names something on this host: by one of the prefixes, or because it is there. */
bool rootfs_is_here(const char *image);

/**
 * rootfs_stamp() - what tells whether an image is still the one that it was, at little cost
 * @source: where it is, whole: "oci:/srv/images:tag"
 * @stamp:  the digest of a layout's manifest; of an archive its file's number, size and time; of a
 *          root tree a digest of names, numbers, sizes and times of all files. Both in @a.
 *
 * Return: 0; -ENOENT and other errnos of the file system; what reading a layout returns.
 */
MUST_CHECK int rootfs_stamp(const char *image, struct arena *a, const char **source,
                            const char **stamp, struct err *e);

#endif
