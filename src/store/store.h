/* SPDX-License-Identifier: MIT */
/*
 * store: where snapshots live. An OCI image layout in which every snapshot is a manifest, a
 * config, a sealed state and sealed pages. docs/store.md has the format and the threats.
 *
 * A snapshot is written through a writer and appears under its name when all of it is durable;
 * it is read through a reader, which authenticates before it believes. Everything here is told
 * by `struct err`; nothing prints.
 *
 * Fault points. First use: store-key-write, store-key-link, store-key-dir-sync,
 * store-layout-rename, store-root-dir-sync. A commit: store-writer-begin, store-page-write,
 * store-blob-write, store-blob-sync, store-index-write, store-index-sync,
 * store-blob-rename, store-blobs-dir-sync, store-index-rename, store-root-dir-sync,
 * store-writer-end. A removal has those of the index, and store-blob-unlink; settling has
 * store-settle-hash, store-settle-manifest, store-settle-link, store-blobs-dir-sync and those of
 * a removal; gc has store-gc-leftover, and those of settling. A claim has restore-mark.
 */
#ifndef WSLX_STORE_H
#define WSLX_STORE_H

#include "base/base.h"
#include "image/image.h"

/* ---- a store --------------------------------------------------------------------------- */

struct store;

#define STORE_KEY_BYTES 32
#define STORE_NAME_MAX 128   /* bytes of a snapshot's name */
#define STORE_ORIGIN_MAX 512 /* bytes of what a snapshot was pulled from */

/*
 * Where a store's key comes from. A store opened without one uses the file `key` in its root,
 * 0600, made on first use. A passphrase, systemd-creds or the kernel keyring are other sources.
 */
struct store_key_source {
	const char *name; /* for sentences: "the file key" */
	/**
	 * load() - get the store's key
	 * @root_fd: the store's directory
	 * @create:  make one if there is none yet; else -ENOENT
	 */
	int (*load)(const struct store_key_source *source, int root_fd, bool create,
	            uint8_t key[STORE_KEY_BYTES], struct err *e);
};

extern const struct store_key_source store_key_file;

/**
 * store_open() - open the store, making it (0700) if it is not there
 * @root: its directory; NULL: $WSLX_HOME, else $XDG_DATA_HOME/wslx, else ~/.local/share/wslx
 * @key:  NULL: &store_key_file
 *
 * Return: 0; -EPERM if others can read the key; -EBADMSG for a damaged key; other errnos of
 *         the file system.
 */
MUST_CHECK int store_open(const char *root, const struct store_key_source *key, struct store **out,
                          struct err *e);
/* Whether store_open() would find one, rather than make it. */
bool store_exists(const char *root);
void store_close(struct store *s);
static inline void auto_store(struct store **s)
{
	store_close(*s);
}
const char *store_root(const struct store *s);

struct store_guess {
	char *root;      /* where store_open(NULL) will find the store; the caller frees it */
	char digest[65]; /* of the snapshot's manifest, in hexadecimal */
};

/**
 * store_guess() - what a name probably leads to, before the store is open
 * @names: the first one of them that there is
 *
 * Opening a store and a snapshot takes as long as a small restore does, and most of that is the
 * crypto library's. What is begun meanwhile is of no use unless the reader's meta has this digest:
 * nothing here was authenticated. Return: false if there is nothing to begin with.
 */
bool store_guess(const char *const *names, size_t n, struct store_guess *out);

/**
 * store_name_check() - whether a string can name a snapshot
 *
 * Letters, digits, and between them any of "._-/:@+", as image-spec allows for a reference.
 * Return: 0; -EINVAL with a sentence.
 */
MUST_CHECK int store_name_check(const char *name, struct err *e);

/* ---- what is known about a snapshot without opening its state --------------------------- */

/* Not secret: any OCI tool shows it. Keys as in annotations, e.g. "host.kernel". */
struct store_label {
	const char *key;
	const char *value;
};

#define STORE_LABELS_MAX 64
#define STORE_LABEL_KEY_MAX 255    /* bytes */
#define STORE_LABEL_VALUE_MAX 4096 /* bytes */

struct store_meta {
	/* For a commit: */
	uint64_t created_ns; /* CLOCK_REALTIME; 0 at commit: now */
	const struct store_label *labels;
	size_t n_labels;
	/* Filled in for a reader and for a listing, ignored by a commit: */
	const char *name;
	const char *kind;      /* "proc", "session", "vm" */
	const char *digest;    /* of the manifest, "sha256:..." */
	char id[33];           /* random, given when the writer began; hexadecimal */
	uint64_t generation;   /* of this store; grows with each commit */
	uint64_t pages;        /* as many as were written to the sink */
	uint64_t stored_pages; /* of these, neither zero nor equal to an earlier one */
	uint64_t stored_bytes; /* size of all of its blobs */
	bool is_public;        /* not encrypted: every frame is pinned by its digest */
	const char *origin;    /* what it was pulled from; "" if it was made here */
	int damage;            /* 0, or why a listing could not read it; then only name is set */
	const char *damage_text;
};

const char *store_meta_label(const struct store_meta *meta, const char *key); /* or NULL */

/* ---- writing --------------------------------------------------------------------------- */

enum store_compression {
	STORE_COMPRESS_AUTO, /* zstd where it saves time, or costs none */
	STORE_COMPRESS_NONE,
	STORE_COMPRESS_SMALL, /* zstd level 3: for machines, and for what will be distributed */
	STORE_COMPRESS_DENSE, /* zstd level 14 or 9: for what is made once and fetched by many */
};

struct store_options {
	bool replace; /* an existing snapshot of that name gives way, at the moment of commit */
	enum store_compression compression;
	unsigned workers; /* threads that compress and seal; 0: one a CPU, at most 16 */
	/*
	 * For publication: nothing is encrypted, and the digests of all frames are in the frame
	 * table. Equal content then gives equal blobs: it is compressed, at least small, and
	 * all frames are in one page blob, in their order.
	 */
	bool is_public;
	/* Page blobs of so many bytes, and larger ones, are left to store_settle(); 0: none. */
	uint64_t unsettled_bytes;
	/* A cipher that is faster may be loaded (dlopen) when there is much to seal. */
	bool may_load;
};

/*
 * A snapshot being written. Invisible until it is committed, and gone if it is not. All calls
 * for one writer come from one thread at a time.
 */
struct store_writer;

/**
 * store_writer_begin() - begin a snapshot
 * @kind:    "proc", "session" or "vm"
 * @options: NULL for the defaults
 * @out:     for store_writer_close(), committed or not
 */
MUST_CHECK int store_writer_begin(struct store *s, const char *kind,
                                  const struct store_options *options, struct store_writer **out,
                                  struct err *e);

/* Where its pages go; lives as long as the writer. */
struct page_sink *store_writer_sink(struct store_writer *w);

/**
 * store_writer_commit() - make the snapshot durable, then visible under @name
 * @state: deterministic CBOR, sealed as it is; borrowed
 * @meta:  created_ns and labels, or NULL
 *
 * Return: 0; -EEXIST if the name is taken and options.replace was not set; what the sink or the
 *         file system reported. After a failure the store is as it was, and only close is left.
 */
MUST_CHECK int store_writer_commit(struct store_writer *w, const char *name, struct span state,
                                   const struct store_meta *meta, struct err *e);

/* Whether what was committed waits for store_settle(). */
bool store_writer_left_unsettled(const struct store_writer *w);

/* Frees the writer; what was not committed is removed. Accepts NULL. */
void store_writer_close(struct store_writer *w);
static inline void auto_store_writer(struct store_writer **w)
{
	store_writer_close(*w);
}

/* ---- reading --------------------------------------------------------------------------- */

struct store_reader;

/* Pages are read cheapest by so many, from a multiple of it on. */
#define STORE_FRAME_PAGES 32u

/**
 * store_reader_open() - open a snapshot; name, manifest, config, state and frame table are
 *                       authenticated before this returns, pages when they are read
 *
 * Removing the snapshot does not disturb a reader that is open.
 * Return: 0; -ENOENT; -EBADMSG for anything that is not what was committed.
 */
MUST_CHECK int store_reader_open(struct store *s, const char *name, struct store_reader **out,
                                 struct err *e);
struct span store_reader_state(const struct store_reader *r);    /* CBOR */
struct page_source *store_reader_source(struct store_reader *r); /* thread-safe */
const struct store_meta *store_reader_meta(const struct store_reader *r);
void store_reader_close(struct store_reader *r); /* accepts NULL */
static inline void auto_store_reader(struct store_reader **r)
{
	store_reader_close(*r);
}

/* ---- restored once ------------------------------------------------------------------------ */

/*
 * A program goes on once. Who restores a snapshot claims it, keeps the claim when the program is
 * about to run, and ends it by every way out; what was not kept is as if it had never been.
 */
struct store_claim;

/**
 * store_claim() - claim a snapshot for one restore
 * @meta:  of a reader; its name and digest
 * @again: also one that was restored, or is being restored
 * Return: 0; -EALREADY with a sentence that says when it was restored.
 */
MUST_CHECK int store_claim(struct store *s, const struct store_meta *meta, bool again,
                           struct store_claim **out, struct err *e);
/* The snapshot counts as restored from now on, durably. */
MUST_CHECK int store_claim_keep(struct store_claim *c, struct err *e);
void store_claim_end(struct store_claim *c); /* accepts NULL */
static inline void auto_store_claim(struct store_claim **c)
{
	store_claim_end(*c);
}

/* ---- the whole store ------------------------------------------------------------------- */

/**
 * store_list() - all snapshots, sorted by name
 * @a:   owns what @out points to
 * @out: list of struct store_meta. A snapshot that cannot be read is listed with its damage,
 *       and with the name "" if that is damaged too.
 */
MUST_CHECK int store_list(struct store *s, struct arena *a, struct list *out, struct err *e);

/**
 * store_has() - whether a name is taken, by a whole snapshot or a damaged one
 *
 * For refusing early. Only the commit decides: another may take the name in between.
 */
MUST_CHECK int store_has(struct store *s, const char *name, bool *out, struct err *e);

/* A snapshot that is used, or was, and has not all arrived from its registry. */
struct store_partial {
	const char *name;   /* that it will have */
	const char *origin; /* where it is from */
	const char *digest; /* of the manifest */
	uint64_t bytes;     /* of all of its blobs */
	uint64_t here_bytes;
	bool arrives; /* somebody is bringing it */
};

/* All of them by name, as struct store_partial, in @a. */
MUST_CHECK int store_partials(struct store *s, struct arena *a, struct list *out, struct err *e);
/* Remove what has arrived of one; if it is arriving, it will not be kept. Return: 0; -ENOENT, not said. */
MUST_CHECK int store_remove_partial(struct store *s, const char *name, struct err *e);

/* Remove a snapshot, also a damaged one, and its blobs. Return: 0; -ENOENT. */
MUST_CHECK int store_remove(struct store *s, const char *name, struct err *e);

struct store_report {
	uint64_t snapshots;
	uint64_t blobs;
	uint64_t bytes;  /* verify: read; gc: freed */
	uint64_t frames; /* verify: opened */
};

/**
 * store_settle() - give page blobs the digests that a commit did not wait for
 * @name: NULL: all snapshots
 *
 * A snapshot is durable, authenticated and restorable before; after it, other OCI tools can read
 * it too. Whoever hands the store, or a manifest of it, to such a tool calls this first.
 *
 * Return: 0, also if there was nothing to do or the snapshot was removed meanwhile; -EBADMSG.
 */
MUST_CHECK int store_settle(struct store *s, const char *name, struct err *e);

/**
 * store_settle_detached() - as store_settle(), by a process that nobody waits for, on CPU time
 *                           that nobody else wants
 *
 * The process has none of the caller's descriptors. If it dies nothing is lost: gc settles too.
 * Call it while there is one thread only. Return: 0; a failure of fork(2).
 */
MUST_CHECK int store_settle_detached(struct store *s, struct err *e);

/**
 * store_verify() - read everything: every digest, every seal, every page
 * @name: NULL: all snapshots; goes on to the others after a damaged one
 *
 * Return: 0; -EBADMSG with a sentence about the first damage.
 */
MUST_CHECK int store_verify(struct store *s, const char *name, struct store_report *report,
                            struct err *e);

/**
 * store_gc() - settle all, and remove what no name leads to and what dead writers left behind
 *
 * Writers that are alive are not disturbed. If a manifest cannot be read no blob is removed,
 * since it could be one of that manifest's.
 */
MUST_CHECK int store_gc(struct store *s, struct store_report *report, struct err *e);

#endif
