/* SPDX-License-Identifier: MIT */
/*
 * Snapshots that leave for another store, or come from one. A parcel is what travels: a manifest,
 * byte for byte, and the blobs that it names. Who carries it is not our business.
 *
 * Fault points of an import: store-import-open, store-import-sync, store-import-rename, and those
 * of the index.
 */
#ifndef WSLX_STORE_TRANSFER_H
#define WSLX_STORE_TRANSFER_H

#include "store/store.h"

enum store_blob_role { STORE_CONFIG, STORE_STATE, STORE_TABLE, STORE_PAGES };

struct store_parcel_blob {
	enum store_blob_role role;
	char digest[72]; /* "sha256:..." */
	uint64_t bytes;
	/*
	 * Of an export: the blob. Of an import: the file to be filled, from its end on, which
	 * may not be empty; -1 if the blob is here already.
	 */
	int fd;
};

#define STORE_PARCEL_BLOBS_MAX 68

struct store_parcel {
	struct span manifest;
	char digest[72];   /* of the manifest */
	struct list blobs; /* struct store_parcel_blob; each digest once */
};

/* ---- leaving --------------------------------------------------------------------------- */

struct store_export;

/**
 * store_export_open() - open what a snapshot consists of
 *
 * Manifest and config are authenticated, the other blobs have their sizes; who receives them
 * compares digests. Removing the snapshot does not disturb an export that is open.
 * Return: 0; -ENOENT; -EBADMSG.
 */
MUST_CHECK int store_export_open(struct store *s, const char *name, struct store_export **out,
                                 struct err *e);
const struct store_parcel *store_export_parcel(const struct store_export *x);
const struct store_meta *store_export_meta(const struct store_export *x);
void store_export_close(struct store_export *x); /* accepts NULL */
static inline void auto_store_export(struct store_export **x)
{
	store_export_close(*x);
}

/*
 * Where an upload goes on that was broken off: a line of text under a key, which is 64 digits or
 * letters. It is kept until it is replaced by NULL, or by gc. What cannot be kept costs time only.
 */
char *store_upload_load(struct store *s, const char *key); /* allocated; NULL: none */
void store_upload_save(struct store *s, const char *key, const char *location);

/* ---- coming ---------------------------------------------------------------------------- */

struct store_import;

/**
 * store_import_begin() - make room for a snapshot
 * @manifest: copied; of an artifact that is no snapshot of ours it is refused with -EBADMSG
 *
 * What an earlier import could not finish is found again. Waits for another import that is about
 * to bring one of the same blobs. Nothing becomes visible before the commit.
 */
MUST_CHECK int store_import_begin(struct store *s, struct span manifest, struct store_import **out,
                                  struct err *e);
const struct store_parcel *store_import_parcel(const struct store_import *x);

/* Whether a start from afar has left some of a page blob's frames: store_import_reader() has them. */
bool store_import_has_frames(const struct store_import *x, const char *digest);

/* Bytes that are not here yet, and whether the disk has room for them. Return: 0; -ENOSPC. */
MUST_CHECK int store_import_room(const struct store_import *x, uint64_t *missing, struct err *e);

/**
 * store_import_check() - whether this store could use the snapshot at all
 *
 * To be asked when its config has arrived, before the rest. Return: 0; -ENOKEY for one that is
 * sealed with the key of another store; -EBADMSG.
 */
MUST_CHECK int store_import_check(struct store_import *x, struct err *e);

/* Have it listed while it arrives: what it will be called, and where it is from. */
MUST_CHECK int store_import_note(struct store_import *x, const char *name, const char *origin,
                                 struct err *e);

/* Whether what was noted is still there: store_remove_partial() takes it away. */
bool store_import_is_wanted(const struct store_import *x);

struct store_import_options {
	const char *name;
	const char *origin; /* where it is from: kept, and covered by the seal of the name */
	bool replace;       /* an existing snapshot of that name gives way */
	bool update;        /* it gives way if it has the same origin */
};

/**
 * store_import_commit() - make the snapshot durable, then visible
 *
 * All of its files are complete, and the caller has compared their digests.
 * Return: 0; -EEXIST; -ESTALE if a blob that was here has been removed in the meantime.
 */
MUST_CHECK int store_import_commit(struct store_import *x,
                                   const struct store_import_options *options, struct err *e);

/* What has arrived is kept for the next import, or for gc. Accepts NULL. */
void store_import_close(struct store_import *x);
static inline void auto_store_import(struct store_import **x)
{
	store_import_close(*x);
}

/* ---- reading what has not all arrived ----------------------------------------------------- */

/* Brings bytes of a page blob that are not here. Called from any thread. */
struct store_fetcher {
	/* Return: 0 and all @len bytes, not authenticated; negative errno. */
	int (*fetch)(struct store_fetcher *f, const char *digest, uint64_t offset, uint8_t *out,
	             size_t len, struct err *e);
};

/**
 * store_import_reader() - read a public snapshot whose page blobs may be incomplete
 * @fetcher: lives as long as the reader
 *
 * Config, state and frame table are complete. A frame that is not here is fetched, compared with
 * its digest and kept: the next reader has it, also after a restart. The import is not used for
 * anything else meanwhile, and closed after the reader.
 */
MUST_CHECK int store_import_reader(struct store_import *x, struct store_fetcher *fetcher,
                                   struct store_reader **out, struct err *e);

/* Have @n pages from @first on here, in as few requests as may be, without reading them. */
MUST_CHECK int store_reader_fetch(struct store_reader *r, uint64_t first, uint64_t n,
                                  struct err *e);

/* The first bytes of a blob: frames in them that are right need not be fetched. Before any read. */
void store_reader_offer(struct store_reader *r, const char *digest, struct span bytes);

/**
 * store_reader_fill() - fetch all frames that are missing
 * @stop: asked before each request, from this thread; NULL: never
 *
 * Return: 0 when all are here: then the import can be committed; -ECANCELED.
 */
MUST_CHECK int store_reader_fill(struct store_reader *r, bool (*stop)(void *arg), void *arg,
                                 struct err *e);

/* ---- copies ---------------------------------------------------------------------------- */

/**
 * store_copy() - store a snapshot once more, under another name
 * @options: how; with .is_public what was sealed can be read by all who have the copy
 */
MUST_CHECK int store_copy(struct store *s, const char *from, const char *to,
                          const struct store_options *options, struct err *e);

#endif
