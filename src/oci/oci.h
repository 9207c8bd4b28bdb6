/* SPDX-License-Identifier: MIT */
/*
 * oci: images and artifacts in registries. A client speaks OCI distribution 1.1 with one
 * repository: manifests, blobs, referrers. What it carries is not its business, with one
 * exception: what has a digest is compared with it before anyone else sees it as complete.
 *
 * libcurl is loaded when the first request is made, not when the program starts.
 */
#ifndef WSLX_OCI_H
#define WSLX_OCI_H

#include "base/base.h"

#define OCI_MANIFEST_MAX_BYTES (4u << 20)
#define OCI_DIGEST_TEXT 72 /* "sha256:", 64 digits, NUL */

#define OCI_MEDIA_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_MEDIA_INDEX "application/vnd.oci.image.index.v1+json"
#define OCI_MEDIA_EMPTY "application/vnd.oci.empty.v1+json"

/* ---- references ------------------------------------------------------------------------ */

/* HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]; without a host it is Docker Hub's. */
struct oci_ref {
	const char *host; /* "docker.io", "localhost:5000" */
	const char *repository;
	const char *tag;    /* "latest" if neither tag nor digest is given; else may be NULL */
	const char *digest; /* or NULL; counts for more than the tag */
};

/**
 * oci_ref_parse() - take a reference apart
 * @text: as users write it; "docker://" in front is accepted
 * @a:    owns what @out points to
 *
 * Return: 0; -EINVAL with a sentence.
 */
MUST_CHECK int oci_ref_parse(const char *text, struct arena *a, struct oci_ref *out, struct err *e);
/* The whole form, that oci_ref_parse() reads back as the same. */
const char *oci_ref_text(const struct oci_ref *ref, struct arena *a);
/* What names the manifest: the digest, else the tag. */
const char *oci_ref_manifest(const struct oci_ref *ref);

/* Whether it is "sha256:" and 64 lower-case hexadecimal digits. */
bool oci_digest_valid(const char *text);
MUST_CHECK int oci_digest_of(struct span data, char out[OCI_DIGEST_TEXT], struct err *e);

/* ---- what the user's file says about registries ------------------------------------------ */

struct oci_registry {
	const char *match;   /* host, or host/repository prefix; "*" for all others */
	struct list mirrors; /* const char *: host, or host/prefix; asked first, in order */
	struct list keys;    /* const char *: public key files; a signature by one is needed */
	const char *ca;      /* file of certificates to trust besides; or NULL */
	bool insecure;       /* plain http, and certificates that nobody vouches for */
	uint64_t stall_s;    /* give up when nothing moves for so long; 0: the default */
};

struct oci_policy {
	struct arena arena;
	struct list registries; /* struct oci_registry */
};

/**
 * oci_policy_load() - read $WSLX_REGISTRIES, else $XDG_CONFIG_HOME/wslx/registries.json, else
 *                     ~/.config/wslx/registries.json; no file says nothing
 *
 * Return: 0; -EBADMSG for a file that does not say what it means: it may be about trust.
 */
MUST_CHECK int oci_policy_load(struct oci_policy *out, struct err *e);
MUST_CHECK int oci_policy_parse(struct span in, struct oci_policy *out, struct err *e);
void oci_policy_finish(struct oci_policy *p);
static inline void auto_oci_policy(struct oci_policy *p)
{
	oci_policy_finish(p);
}
/* The longest match for a repository; all empty if nothing matches. */
struct oci_registry oci_policy_find(const struct oci_policy *p, const struct oci_ref *ref);
/**
 * oci_signers() - the keys of which one must have signed what a registry gives
 * @given: file of the key that the user asks for; if it is NULL, the policy's count
 *
 * Return: for oci_verify(); valid as long as @p and @given; empty if no signature is needed.
 */
struct list oci_signers(const struct oci_policy *p, const struct oci_ref *ref,
                        const char *const *given);

/* ---- a client -------------------------------------------------------------------------- */

struct oci_client;

/* Told as bytes move; from the thread that moves them. */
struct oci_progress {
	uint64_t total; /* bytes that are to move, as far as the caller knows */
	void (*moved)(struct oci_progress *p, uint64_t bytes);
	/* Before a wait: a sentence that says for what. May be NULL. */
	void (*waits)(struct oci_progress *p, const char *why, uint64_t wait_ms);
};

struct oci_options {
	const struct oci_policy *policy; /* NULL: nothing is special */
	struct oci_progress *progress;   /* or NULL */
	bool insecure;                   /* as in struct oci_registry */
	bool push;                       /* it will write: asks for that right at once */
	const char *mount_from;          /* and read this other repository; or NULL */
};

/**
 * oci_client_open() - make a client for a repository; nothing is sent yet
 * @ref: its host and repository count; copied
 */
MUST_CHECK int oci_client_open(const struct oci_ref *ref, const struct oci_options *options,
                               struct oci_client **out, struct err *e);
void oci_client_close(struct oci_client *c); /* accepts NULL */
static inline void auto_oci_client(struct oci_client **c)
{
	oci_client_close(*c);
}
/*
 * All functions below may be called from several threads. They return 0 or
 *	-ENOENT		the registry does not have it
 *	-EACCES		it does not let us
 *	-EHOSTUNREACH	it cannot be reached, or stays silent
 *	-EBADMSG	what it sent is not what it has to be
 *	-EAGAIN		it is overloaded or failed, several times: later may help
 *	-EIO		it refused
 */

/* ---- manifests ------------------------------------------------------------------------- */

struct oci_manifest {
	struct buf bytes; /* as they came */
	char digest[OCI_DIGEST_TEXT];
	char media[128];
};

void oci_manifest_finish(struct oci_manifest *m);
static inline void auto_oci_manifest(struct oci_manifest *m)
{
	oci_manifest_finish(m);
}

/**
 * oci_manifest_get() - fetch a manifest or an index
 * @reference: tag or digest; of a digest the bytes are compared with it
 */
MUST_CHECK int oci_manifest_get(struct oci_client *c, const char *reference,
                                struct oci_manifest *out, struct err *e);

/**
 * oci_manifest_put() - store a manifest, whose blobs are there
 * @reference: tag or digest
 *
 * One with a subject becomes a referrer of it, by the fallback tag where the registry does not
 * see to that itself.
 */
MUST_CHECK int oci_manifest_put(struct oci_client *c, const char *reference, const char *media,
                                struct span bytes, struct err *e);

/* What a manifest, an index or a list of referrers says of something else. */
struct oci_descriptor {
	const char *media;
	const char *digest;
	uint64_t bytes;
	const char *artifact_type; /* or "" */
	const char *architecture;  /* or "" */
	const char *os;            /* or "" */
};

/* What matters of a manifest to those who do not know its type. */
struct oci_outline {
	bool is_index;
	const char *artifact_type;     /* its own, or its config's media type; or "" */
	struct oci_descriptor config;  /* no digest if there is none */
	struct oci_descriptor subject; /* no digest if there is none */
	struct list layers;            /* struct oci_descriptor: or, of an index, manifests */
};

/* A function of bytes. Return: 0; -EBADMSG. */
MUST_CHECK int oci_manifest_outline(struct span in, struct arena *a, struct oci_outline *out,
                                    struct err *e);
/* The same manifest with a subject. Return: 0; -EBADMSG. */
MUST_CHECK int oci_manifest_set_subject(struct span in, const struct oci_descriptor *subject,
                                        struct buf *out, struct err *e);

/**
 * oci_referrers() - what refers to a manifest, by the referrers API or the fallback tag
 * @type: only those of this artifact type; NULL: all
 * @out:  struct oci_descriptor, in @a
 */
MUST_CHECK int oci_referrers(struct oci_client *c, const char *digest, const char *type,
                             struct arena *a, struct list *out, struct err *e);

/* ---- blobs ----------------------------------------------------------------------------- */

/**
 * oci_blob_pull() - complete a file
 * @fd: what it holds is taken as the blob's beginning; in the end it has the blob's digest. Of a
 *      failure it keeps what may be of use to the next try.
 */
MUST_CHECK int oci_blob_pull(struct oci_client *c, const char *digest, uint64_t bytes, int fd,
                             struct err *e);

/* The first bytes of a blob. */
struct oci_head {
	uint8_t *bytes; /* room for .len */
	size_t len;
	/*
	 * Asked before a file is written: the registry knows no ranges and sends all of the blob.
	 * NULL: it is welcome. Return: 0; a negative errno, which is then that of the call.
	 */
	int (*whole)(struct oci_head *h, struct err *e);
	bool ranged; /* told: .bytes is filled in, and the registry knows ranges */
};

/**
 * oci_blob_begin() - the head of a blob, or all of it from a registry that knows no ranges
 * @fd: then becomes the blob, as by oci_blob_pull(); what it held is lost. Else it is not touched
 *
 * The head is not authenticated: a digest is of the whole.
 */
MUST_CHECK int oci_blob_begin(struct oci_client *c, const char *digest, uint64_t bytes, int fd,
                              struct oci_head *head, struct err *e);

/**
 * oci_blob_read() - some bytes of a blob
 *
 * They are not authenticated: a digest is of the whole. A registry that knows no ranges sends the
 * blob from its beginning, until they have come.
 */
MUST_CHECK int oci_blob_read(struct oci_client *c, const char *digest, uint64_t blob_bytes,
                             uint64_t offset, uint8_t *out, size_t len, struct err *e);

/* A small blob as a whole, compared with its digest. */
MUST_CHECK int oci_blob_get(struct oci_client *c, const char *digest, uint64_t bytes,
                            struct buf *out, struct err *e);

/* How a blob came to be in the repository. */
enum oci_pushed { OCI_WAS_THERE, OCI_MOUNTED, OCI_SENT };

/* An upload, which another run of the program may go on with. */
struct oci_upload {
	char *location; /* NULL: it has not begun, or has ended; allocated, the caller frees it */
	void (*moved)(struct oci_upload *u); /* told when the location has changed; or NULL */
};

/**
 * oci_blob_push() - see to it that a blob is in the repository
 * @fd:     the blob, from its beginning
 * @upload: one that was broken off is gone on with
 * @how:    filled in; or NULL
 */
MUST_CHECK int oci_blob_push(struct oci_client *c, const char *digest, uint64_t bytes, int fd,
                             struct oci_upload *upload, enum oci_pushed *how, struct err *e);

/* ---- credentials ------------------------------------------------------------------------- */

/**
 * oci_login() - try a name and a password, then keep them where docker and podman find them
 * @where: told: the file or the helper that keeps them; allocated
 * @plain: told: whether they lie there readable
 */
MUST_CHECK int oci_login(const char *host, const char *user, const char *password,
                         const struct oci_options *options, char **where, bool *plain,
                         struct err *e);
/* Return: 0; -ENOENT if there are none. */
MUST_CHECK int oci_logout(const char *host, struct err *e);

/* ---- signatures -------------------------------------------------------------------------- */

#define OCI_SIGNATURE_TYPE "application/vnd.wslx.signature.v1"

/**
 * oci_sign() - sign a manifest and store the signature as a referrer of it
 * @key: file of an ed25519 private key, PEM
 */
MUST_CHECK int oci_sign(struct oci_client *c, const char *key,
                        const struct oci_descriptor *manifest, struct err *e);
/**
 * oci_verify() - find a signature of a manifest that one of some keys made
 * @keys: const char *: files of ed25519 public keys, PEM
 *
 * Return: 0; -EKEYREJECTED if there is none.
 */
MUST_CHECK int oci_verify(struct oci_client *c, const struct list *keys, const char *digest,
                          struct err *e);

#endif
