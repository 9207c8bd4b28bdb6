/* SPDX-License-Identifier: MIT */
/*
 * Flat images of RAM, so that a restore maps instead of reading: one for each machine snapshot
 * that was taken or restored since the host started, in memory. Theory in ram-image.c.
 */
#ifndef WSLX_FLOW_RAM_IMAGE_H
#define WSLX_FLOW_RAM_IMAGE_H

#include "store/store.h"

/**
 * ram_image_open() - the image of a snapshot's RAM: there already, or made now
 * @machine: the machine's record
 * @bytes:   of RAM
 *
 * Return: a descriptor that cannot be written through; -EBADMSG for damaged pages; other errnos.
 */
MUST_CHECK int ram_image_open(struct store *store, struct store_reader *reader, struct span machine,
                              uint64_t bytes, struct err *e);

/**
 * ram_image_find() - the image of a snapshot, if it is there
 * @store_path: the store's folder
 * @digest:     of the snapshot's manifest, in hexadecimal
 * @out_dir:    the directory of the store's images
 *
 * Return: as ram_image_open(), or -1.
 */
int ram_image_find(const char *store_path, const char *digest, int *out_dir, uint64_t *bytes);

/* The directory of a store's images, made if it is not there. Return: a descriptor or -errno. */
int ram_image_dir(struct store *store);
/* Of a snapshot's manifest, in hexadecimal: what names of images begin with. */
const char *ram_image_digest(struct store_reader *reader);

/**
 * ram_image_prepare() - make the image of a snapshot that may be restored soon
 *
 * A favour: not done where memory is short, and then the first restore makes it.
 */
void ram_image_prepare(struct store *store, struct store_reader *reader, struct span machine,
                       uint64_t bytes);

/**
 * ram_image_begin() - an image that the caller fills, of which all pages are zero yet
 * @out:      to write to
 * @readable: the same, which cannot be written through
 */
MUST_CHECK int ram_image_begin(struct store *store, uint64_t bytes, int *out, int *readable,
                               struct err *e);
/* It is the whole image of the snapshot of that digest, and others may use it. A favour. */
void ram_image_name(struct store *store, const char *digest, int fd);

#endif
