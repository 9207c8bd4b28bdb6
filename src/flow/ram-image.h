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

#endif
