/* SPDX-License-Identifier: MIT */
/*
 * Container images in registries. One is fetched into an OCI layout of its own in the store's
 * folder, `images/HEX` by the digest of its manifest, which rootfs_build() takes as "oci:DIR". The
 * layout is temporary: it is removed once the image has become a disk. One that could not be
 * completed stays for the next try, which goes on with it, or for flow_sweep_images().
 */
#ifndef WSLX_FLOW_CONTAINER_H
#define WSLX_FLOW_CONTAINER_H

#include "oci/oci.h"
#include "store/store.h"

struct container;

struct container_source {
	const char *ref;    /* "docker://" in front is accepted */
	const char *verify; /* file of a public key that must have signed it; NULL: the policy's */
	uint64_t limit;     /* bytes; of more is refused before anything is written; 0: none */
	bool insecure;
	struct oci_progress *progress; /* or NULL */
};

/**
 * container_open() - find an image for linux/amd64 in a registry
 *
 * Its manifest is fetched, over indexes if it has to be, and its signature verified where one is
 * asked for; nothing is written.
 * Return: 0; -EMEDIUMTYPE if it is a snapshot of ours and no container image; -ENOENT if there is
 * none for linux/amd64; -EKEYREJECTED; -EFBIG over the limit; what oci.h lists.
 */
MUST_CHECK int container_open(const struct container_source *what, struct container **out,
                              struct err *e);
void container_close(struct container *c); /* accepts NULL */
static inline void auto_container(struct container **c)
{
	container_close(*c);
}
const char *container_origin(const struct container *c); /* the whole reference */
const char *container_digest(const struct container *c); /* of its manifest, "sha256:..." */
uint64_t container_bytes(const struct container *c);     /* of configuration and layers */
unsigned container_layers(const struct container *c);

/**
 * container_begin() - make its layout in the store's folder, or find the one of an earlier try
 * @missing: bytes that are still to come
 *
 * Waits for another that fetches the same image.
 * Return: 0; -ENOSPC if the disk has no room for what is missing.
 */
MUST_CHECK int container_begin(struct container *c, struct store *store, uint64_t *missing,
                               struct err *e);
/* Fetch what is missing. What has arrived stays, whatever happens. */
MUST_CHECK int container_fetch(struct container *c, struct err *e);
const char *container_layout(const struct container *c); /* its folder */
/* Remove the layout. */
void container_drop(struct container *c);

/* Whether what is nothing on this host can be meant as a reference: paths of "/" and "." are not.
 */
bool container_may_be_ref(const char *text);

/* Remove what no fetch has completed and nobody works on. @freed: bytes, added to */
MUST_CHECK int flow_sweep_images(struct store *store, uint64_t *freed, struct err *e);

#endif
