/* SPDX-License-Identifier: MIT */
/* SHA-256, as digests want it. */
#ifndef WSLX_OCI_HASH_H
#define WSLX_OCI_HASH_H

#include "oci/oci.h"

struct sha256 {
	void *ctx;
};
MUST_CHECK int sha256_begin(struct sha256 *h, struct err *e);
MUST_CHECK int sha256_add(struct sha256 *h, const void *data, size_t len, struct err *e);
/* The digest so far; more may be added. */
MUST_CHECK int sha256_text(const struct sha256 *h, char out[OCI_DIGEST_TEXT], struct err *e);
void sha256_finish(struct sha256 *h);
static inline void auto_sha256(struct sha256 *h)
{
	sha256_finish(h);
}

#endif
