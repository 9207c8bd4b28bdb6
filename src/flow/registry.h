/* SPDX-License-Identifier: MIT */
/* Snapshots and registries: the store on one side, a registry on the other. */
#ifndef WSLX_FLOW_REGISTRY_H
#define WSLX_FLOW_REGISTRY_H

#include "oci/oci.h"
#include "store/store.h"

#define FLOW_SNAPSHOT_TYPE "application/vnd.wslx.snapshot.v1" /* artifactType */

struct copy_snapshot {
	const char *name;
	const char *copy; /* the new name */
	bool is_public;   /* not encrypted; else sealed with this store's key */
	bool replace;
};

/* Store a snapshot once more, compressed to be small. Return: 0; -ENOENT; -EEXIST. */
MUST_CHECK int flow_copy(struct store *store, const struct copy_snapshot *what, struct err *e);

struct push_snapshot {
	const char *name;
	const char *ref;     /* where to */
	const char *sign;    /* file of a private key, to sign with; or NULL */
	const char *subject; /* reference of the image that it was made from; or NULL */
	bool sealed;         /* also one that is encrypted with the store's key */
	bool insecure;
	struct oci_progress *progress; /* or NULL */
};

struct push_result {
	char digest[OCI_DIGEST_TEXT]; /* of the manifest, as it is in the registry */
	uint64_t bytes;               /* of all blobs */
	uint64_t sent_bytes;
	unsigned sent, mounted, were_there; /* blobs */
};

/**
 * flow_push() - store a snapshot in a registry
 *
 * The tag appears last, when all that it leads to is there. What a broken push has sent is not
 * sent again.
 * Return: 0; OBSTACLE for a sealed snapshot without .sealed; what oci.h lists.
 */
MUST_CHECK int flow_push(struct store *store, const struct push_snapshot *what,
                         struct push_result *result, struct err *e);

struct pull_result;

struct pull_snapshot {
	const char *ref;
	const char *name;   /* under which to keep it; NULL: flow_pull_name() */
	const char *verify; /* file of a public key that must have signed it; NULL: the policy's */
	uint64_t limit;     /* bytes; of more is refused before anything is written; 0: none */
	bool replace;       /* a snapshot of that name from elsewhere gives way */
	bool insecure;
	struct oci_progress *progress; /* or NULL */
	/*
	 * Of flow_pull_begin(): whether a public snapshot is worth being used before it has all
	 * arrived; its records are here.
	 */
	bool (*may_begin)(const struct store_meta *meta, struct span state);
	/*
	 * Of the same: whether somebody is bringing the snapshot already, and gives it to us too. Told
	 * are the name, the origin and the digest that it has to have. NULL: we wait until it is here.
	 */
	bool (*join)(void *arg, const struct pull_result *what);
	void *join_arg;
};

enum pull_state {
	PULL_DONE,    /* it has arrived */
	PULL_CURRENT, /* it was here already, as the registry has it now */
	PULL_OFFLINE, /* the registry cannot be reached; an earlier one is here */
	PULL_BEGUN,   /* by flow_pull_begin() alone: its records are here */
};

struct pull_result {
	struct arena arena;
	const char *name;
	const char *origin; /* the whole reference */
	const char *digest;
	const char *why_offline;
	enum pull_state state;
	uint64_t bytes;         /* of all blobs */
	uint64_t fetched_bytes; /* of those that were not here */
};

/**
 * flow_pull() - have a snapshot of a registry in the store
 * @result: finish it always
 *
 * It is fetched only if the registry has another than the store, and of that only the blobs that
 * are missing. Where a signature is asked for, nothing is fetched before it is verified. Return: 0;
 * -EEXIST; -EKEYREJECTED; -EFBIG over the limit; -ENOSPC; -EMEDIUMTYPE if it is something else than a
 * snapshot; what oci.h lists.
 */
MUST_CHECK int flow_pull(struct store *store, const struct pull_snapshot *what,
                         struct pull_result *result, struct err *e);
void pull_result_finish(struct pull_result *r);

struct remote;

/**
 * flow_pull_ask() - ask the registry before there is a store to pull to
 *
 * Return: for flow_pull_begin() of the same, which tells what came of it; NULL if it has to begin
 * by itself.
 */
struct remote *flow_pull_ask(const struct pull_snapshot *what);

/**
 * flow_pull_begin() - as flow_pull(), but what can be used before it has all arrived is only begun
 * @out: NULL, or what flow_pull_ask() has given; told with PULL_BEGUN, else NULL
 *
 * A snapshot that is sealed, one that .may_begin() refuses, and a registry that knows no ranges
 * are pulled as by flow_pull().
 */
MUST_CHECK int flow_pull_begin(struct store *store, const struct pull_snapshot *what,
                               struct pull_result *result, struct remote **out, struct err *e);

/* Whether an error says that the registry could not be asked, rather than what it answered. */
bool flow_is_offline(int code);

/* The name that a reference suggests: the last part of its repository, and its tag. */
const char *flow_pull_name(const struct oci_ref *ref, struct arena *a);

/* ---- use before it has all arrived ----------------------------------------------------- */

/**
 * flow_remote_open() - open a public snapshot of a registry of which nothing need be here
 * @what: as for flow_pull(); .name is used by flow_remote_keep()
 *
 * Records are fetched now, pages when they are read; what an earlier one fetched is here. From a
 * registry that knows no ranges all is fetched now.
 */
MUST_CHECK int flow_remote_open(struct store *store, const struct pull_snapshot *what,
                                struct remote **out, struct err *e);
struct store_reader *flow_remote_reader(struct remote *r);
/* Whether nobody has removed it since flow_pull_begin(). */
bool flow_remote_wanted(struct remote *r);
void flow_remote_silence(struct remote *r);     /* progress is told no more */
uint64_t flow_remote_fetched(struct remote *r); /* bytes of pages that came from the registry */
/**
 * flow_remote_keep() - fetch what is missing, then keep the snapshot under its name
 * @stop: as in store_reader_fill()
 */
MUST_CHECK int flow_remote_keep(struct remote *r, bool (*stop)(void *arg), void *arg,
                                struct err *e);
void flow_remote_close(struct remote *r); /* accepts NULL */
static inline void auto_remote(struct remote **r)
{
	flow_remote_close(*r);
}

#endif
