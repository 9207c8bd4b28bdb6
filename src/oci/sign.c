/* SPDX-License-Identifier: MIT */
/*
 * Signatures: an artifact that refers to a manifest, whose one layer is the ed25519 signature of
 *
 *	wslx-signature-v1\n
 *	sha256:HEX\n
 *
 * the digest being the manifest's. It says nothing of the repository, so that a mirror or a copy
 * is as good as the original. Who must have signed is for the one who verifies to say.
 */
#include "oci/oci-int.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define SIGNATURES_MAX 64u /* of one manifest that are looked at */

static void message_of(const char *digest, struct buf *out)
{
	buf_printf(out, "wslx-signature-v1\n%s\n", digest);
}

static int push_bytes(struct oci_client *c, struct span data, char digest[OCI_DIGEST_TEXT],
                      struct err *e)
{
	AUTO(fd) int fd = memfd_create("wslx-blob", MFD_CLOEXEC);
	struct oci_upload upload = {0};
	int r = fd < 0 ? -errno : os_write_all(fd, data.data, data.len);

	if (r < 0)
		return err_set(e, r, "a small blob");
	r = oci_digest_of(data, digest, e);
	if (!r)
		r = oci_blob_push(c, digest, data.len, fd, &upload, NULL, e);
	free(upload.location);
	return r;
}

int oci_sign(struct oci_client *c, const char *key, const struct oci_descriptor *manifest,
             struct err *e)
{
	char layer[OCI_DIGEST_TEXT], config[OCI_DIGEST_TEXT], key_id[OCI_DIGEST_TEXT];
	char digest[OCI_DIGEST_TEXT];
	uint8_t signature[SIGNATURE_BYTES];
	AUTO(buf) struct buf message = {0};
	AUTO(buf) struct buf text = {0};
	int r;

	message_of(manifest->digest, &message);
	r = ed25519_sign(key, buf_span(&message), signature, key_id, e);
	if (!r)
		r = push_bytes(c, span_of_text("{}"), config, e);
	if (!r)
		r = push_bytes(c, SPAN(signature, sizeof(signature)), layer, e);
	if (r < 0)
		return r;
	json_signature(manifest, layer, sizeof(signature), key_id, &text);
	r = oci_digest_of(buf_span(&text), digest, e);
	if (!r)
		r = oci_manifest_put(c, digest, OCI_MEDIA_MANIFEST, buf_span(&text), e);
	return r < 0 ? err_wrap(e, r, "signature") : 0;
}

/* Return: 0 if one of the keys made it; -EKEYREJECTED; other errnos. */
static int check_one(struct oci_client *c, const struct oci_descriptor *d, const struct list *keys,
                     struct span message, struct err *e)
{
	AUTO(oci_manifest) struct oci_manifest m = {0};
	AUTO(buf) struct buf signature = {0};
	AUTO(arena) struct arena a = {0};
	const struct oci_descriptor *layer;
	struct oci_outline outline;
	int r = oci_manifest_get(c, d->digest, &m, e);

	if (!r)
		r = oci_manifest_outline(buf_span(&m.bytes), &a, &outline, e);
	if (r < 0)
		return r;
	layer = outline.layers.count == 1 ? LIST_AT(&outline.layers, struct oci_descriptor, 0)
	                                  : NULL;
	if (outline.is_index || !layer || strcmp(layer->media, OCI_SIGNATURE_TYPE) ||
	    layer->bytes != SIGNATURE_BYTES)
		return -EKEYREJECTED;
	r = oci_blob_get(c, layer->digest, layer->bytes, &signature, e);
	if (r < 0)
		return r;
	r = -EKEYREJECTED;
	LIST_EACH(keys, const char *, key) {
		if (r == -EKEYREJECTED)
			r = ed25519_verify(*key, message, buf_span(&signature), e);
	}
	return r;
}

int oci_verify(struct oci_client *c, const struct list *keys, const char *digest, struct err *e)
{
	AUTO(arena) struct arena a = {0};
	AUTO(buf) struct buf message = {0};
	struct list signatures = {0};
	unsigned seen = 0;
	int r = oci_referrers(c, digest, OCI_SIGNATURE_TYPE, &a, &signatures, e);

	if (r < 0)
		return err_wrap(e, r, "looking for a signature");
	message_of(digest, &message);
	LIST_EACH(&signatures, const struct oci_descriptor, d) {
		if (++seen > SIGNATURES_MAX)
			break;
		r = check_one(c, d, keys, buf_span(&message), e);
		if (!r)
			return 0;
		/* A signature that somebody broke must not hide one that is whole. */
		if (r != -EKEYREJECTED && r != -EBADMSG && r != -ENOENT)
			return err_wrap(e, r, "looking for a signature");
	}
	if (!seen)
		return err_say(e, -EKEYREJECTED, "it is not signed");
	return err_say(e, -EKEYREJECTED, "none of its %u signatures is by a key that we trust",
	               seen);
}
