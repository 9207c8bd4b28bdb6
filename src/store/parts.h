/* SPDX-License-Identifier: MIT */
/*
 * What the files of this room share. From the bottom up:
 *
 *	seal.c      ciphers, digests and MACs: the only file that knows OpenSSL
 *	key.c       the store's key, and the keys that are derived from it or wrapped by it
 *	disk.c      files and folders of a store, durable writing, the lock
 *	format.c    config, frame table and reference: records and their checks
 *	json.c      index.json and manifests: the only file that knows JSON
 *	frame.c     what the pages of a frame are stored as
 *	pack.c      pages to frames to page blobs, on several threads
 *	writer.c    one snapshot from begin to commit
 *	settle.c    digests that a commit did not wait for
 *	reader.c    one snapshot from name to pages
 *	transfer.c  snapshots that leave for another store, or come from one
 *	partial.c   snapshots that are used and have not all arrived
 *	lazy.c      page blobs of which frames may be missing, and are fetched when read
 *	mark.c      which snapshots were restored
 *	whole.c     list, rm, verify, gc
 */
#ifndef WSLX_STORE_PARTS_H
#define WSLX_STORE_PARTS_H

#include "os/json.h"
#include "os/os.h"
#include "store/store.h"
#include "store/transfer.h"

#include <fcntl.h>

#define DIGEST_BYTES 32
#define ID_BYTES 16
#define SEAL_TAG_BYTES 16
#define SEAL_NONCE_BYTES 12
#define ID_TEXT_BYTES (2 * ID_BYTES + 1)
#define WRAPPED_KEY_BYTES (STORE_KEY_BYTES + SEAL_TAG_BYTES)
#define KEY_ID_BYTES 8
#define KEY_NEW_PREFIX "key.new." /* of a key file before it has its name */

#define GENERATION_MAX (1ull << 53) /* what every JSON reader can hold */

#define FRAME_PAGES STORE_FRAME_PAGES /* 128 KiB: one bit a page in a uint32_t */
#define FRAME_BYTES (FRAME_PAGES * PAGE_BYTES)
#define BLOBS_MAX 64u          /* page blobs of a snapshot */
#define PAGES_MAX (1ull << 30) /* 4 TiB: its frame table is still sealed in one piece */

#define INDEX_MAX_BYTES (16u << 20)
#define MANIFEST_MAX_BYTES (4u << 20)
#define CONFIG_MAX_BYTES (1u << 20)
#define STATE_MAX_BYTES (1ull << 30)
#define TABLE_MAX_BYTES (1ull << 30)

/* fault_point() as a failing step: returns from the caller like a failed system call. */
#define FAULT_STEP(name, e)                                                                        \
	do {                                                                                       \
		if (fault_point(name) == FAULT_FAIL)                                               \
			return err_set((e), -EIO, "store: fault point %s", (name));                \
	} while (0)

/* ---- seal.c ---------------------------------------------------------------------------- */

/* Before anything else of this kind; as often as one likes. */
void seal_init(void);

/* Says what sealed bytes are, so that no kind can stand for another. On disk. */
enum seal_kind { SEAL_PAGES = 1, SEAL_STATE = 2, SEAL_TABLE = 3, SEAL_KEY = 4 };

/* AES-256-GCM under one key for one snapshot. For one thread at a time. */
struct sealer {
	void *seal_ctx; /* EVP_CIPHER_CTX */
	void *open_ctx;
	struct quick_gcm *quick; /* seals in the place of seal_ctx; or NULL */
	uint8_t id[ID_BYTES];
};

MUST_CHECK int sealer_init(struct sealer *s, const uint8_t key[STORE_KEY_BYTES],
                           const uint8_t id[ID_BYTES], struct err *e);
void sealer_finish(struct sealer *s);
static inline void auto_sealer(struct sealer *s)
{
	sealer_finish(s);
}
/* Writes len + SEAL_TAG_BYTES bytes; a pair of kind and index is used once under a key. */
MUST_CHECK int sealer_seal(struct sealer *s, enum seal_kind kind, uint64_t index, const uint8_t *in,
                           size_t len, uint8_t *out, struct err *e);
/* Writes len - SEAL_TAG_BYTES bytes, all zero if the seal is broken (-EBADMSG, no sentence). */
MUST_CHECK int sealer_open(struct sealer *s, enum seal_kind kind, uint64_t index, const uint8_t *in,
                           size_t len, uint8_t *out);

/* From here on by another implementation, if there is a faster one. @key: that of sealer_init(). */
void sealer_quicken(struct sealer *s, const uint8_t key[STORE_KEY_BYTES]);

/* ---- quick.c --------------------------------------------------------------------------- */

/* NULL where it cannot be had. */
struct quick_gcm *quick_gcm_new(const uint8_t key[STORE_KEY_BYTES]);
/* Writes in.len + SEAL_TAG_BYTES bytes. */
void quick_gcm_seal(struct quick_gcm *q, const uint8_t *nonce, struct span aad, struct span in,
                    uint8_t *out);
void quick_gcm_free(struct quick_gcm *q); /* accepts NULL */

struct hasher {
	void *ctx; /* EVP_MD_CTX */
};
MUST_CHECK int hasher_init(struct hasher *h, struct err *e);
MUST_CHECK int hasher_add(struct hasher *h, const void *data, size_t len, struct err *e);
MUST_CHECK int hasher_end(struct hasher *h, uint8_t out[DIGEST_BYTES], struct err *e);
void hasher_finish(struct hasher *h);
static inline void auto_hasher(struct hasher *h)
{
	hasher_finish(h);
}
MUST_CHECK int digest_of(struct span data, uint8_t out[DIGEST_BYTES], struct err *e);

MUST_CHECK int mac_of(const uint8_t key[STORE_KEY_BYTES], struct span data,
                      uint8_t out[DIGEST_BYTES], struct err *e);
/* In a time that does not depend on the bytes. */
bool secret_equal(const uint8_t *a, const uint8_t *b, size_t len);
void secret_forget(void *data, size_t len);
MUST_CHECK int derive_key(const uint8_t key[STORE_KEY_BYTES], const char *use, uint8_t *out,
                          size_t len, struct err *e);
MUST_CHECK int random_bytes(void *out, size_t len, struct err *e);

/* ---- key.c ----------------------------------------------------------------------------- */

/* What a store uses of its key; the key itself is forgotten after this is derived. */
struct keys {
	uint8_t wrap[STORE_KEY_BYTES]; /* wraps the keys of snapshots */
	uint8_t name[STORE_KEY_BYTES]; /* MACs that bind names to manifests */
	uint8_t id[KEY_ID_BYTES];      /* not secret: tells one store's key from another's */
};
MUST_CHECK int keys_derive(struct keys *keys, const uint8_t key[STORE_KEY_BYTES], struct err *e);
/* The key of a snapshot, sealed by a key that is derived for that snapshot alone. */
MUST_CHECK int key_wrap(const struct keys *keys, const uint8_t id[ID_BYTES],
                        const uint8_t key[STORE_KEY_BYTES], uint8_t out[WRAPPED_KEY_BYTES],
                        struct err *e);
MUST_CHECK int key_unwrap(const struct keys *keys, const uint8_t id[ID_BYTES],
                          const uint8_t wrapped[WRAPPED_KEY_BYTES], uint8_t out[STORE_KEY_BYTES],
                          struct err *e);

/* ---- disk.c ---------------------------------------------------------------------------- */

struct store {
	char *root;
	int root_fd;
	int blobs_fd;  /* blobs/sha256 */
	int sealed_fd; /* blobs/sealed */
	int tmp_fd;
	const struct store_key_source *source;
	struct keys keys;
};

/* The store's lock, held while the descriptor is open. @how: LOCK_SH or LOCK_EX. */
MUST_CHECK int store_lock(struct store *s, int how, int *out_fd, struct err *e);

/* As the functions of os, with the sentence. */
MUST_CHECK int write_all(int fd, const void *data, size_t len, struct err *e, const char *what);
MUST_CHECK int read_at(int fd, void *data, size_t len, uint64_t offset, struct err *e,
                       const char *what);
/* A regular file as a whole, of at most @max bytes. Return: 0; -ENOENT without a sentence. */
MUST_CHECK int read_file(int dir_fd, const char *name, uint64_t max, struct buf *out,
                         struct err *e);
/* Starts writing a file to the disk, from an offset on. Its errors come back when it is synced. */
void push_file(int fd, uint64_t from);
MUST_CHECK int sync_dir(int fd, const char *point, struct err *e);

/* Removes a folder of tmp, held open as @dir_fd, with what is in it. */
MUST_CHECK int remove_leftover(struct store *s, const char *name, int dir_fd,
                               struct store_report *report, struct err *e);

/* What a digest begins with, and so the folder of a blob; both have the same length. */
#define ALGORITHM_SHA256 "sha256:"
#define ALGORITHM_SEALED "sealed:"
#define DIGEST_HEX_AT 7

void digest_text(char out[72], const uint8_t digest[DIGEST_BYTES]); /* "sha256:..." */
MUST_CHECK int digest_parse(uint8_t out[DIGEST_BYTES], const char *text);

/* A blob that a manifest names: what must be there. */
struct blob {
	uint8_t digest[DIGEST_BYTES]; /* SHA-256; if unsettled, what blob_unsettled() makes */
	uint64_t bytes;
	bool unsettled; /* nobody has hashed it yet: its frames' seals alone say what it is */
};

/* Names page blob @n of a snapshot before it has a digest. */
void blob_unsettled(struct blob *blob, const uint8_t id[ID_BYTES], unsigned n);
void blob_text(char out[72], const struct blob *blob); /* "sha256:..." or "sealed:..." */
MUST_CHECK int blob_parse(struct blob *out, const char *text);
int blob_folder(const struct store *s, const struct blob *blob); /* its descriptor; borrowed */

/* Opens a blob and compares its size; the content is not looked at. */
MUST_CHECK int blob_open(struct store *s, const struct blob *blob, int *out_fd, struct err *e);
/* A small blob as a whole, its digest compared. */
MUST_CHECK int blob_read(struct store *s, const struct blob *blob, uint64_t max, struct buf *out,
                         struct err *e);

/* ---- format.c -------------------------------------------------------------------------- */

struct config_rec {
	uint32_t version;
	uint8_t id[ID_BYTES];
	const char *kind;
	uint64_t created_ns;
	uint64_t pages;
	uint64_t stored_pages;
	uint64_t state_bytes; /* before compression */
	uint64_t table_bytes;
	uint8_t key_id[KEY_ID_BYTES];
	uint8_t wrapped_key[WRAPPED_KEY_BYTES];
	struct list labels; /* struct store_label */
	uint8_t seal;       /* enum config_seal */
};
#define CONFIG_VERSION 1
enum config_seal {
	CONFIG_SEALED = 0, /* with the snapshot's key, which the store's key wraps */
	CONFIG_PUBLIC = 1, /* not at all; no key, and each frame has its digest in the table */
};

enum frame_codec { FRAME_RAW = 0, FRAME_ZSTD = 1, FRAME_TRIMMED = 2 };

/*
 * A trimmed frame: for each present page, in a head of fixed length, how many units of it follow,
 * less one (there is no page of none); then these. What is missing of a page is zero.
 */
#define TRIM_UNIT_BYTES 16u
#define TRIM_UNITS (PAGE_BYTES / TRIM_UNIT_BYTES)
#define TRIM_HEAD_BYTES FRAME_PAGES
static_assert(TRIM_UNITS == 256, "a byte tells the units of a page");

struct frame_rec {
	uint32_t present; /* bit n: page n of the frame is stored; else it is zero */
	uint32_t bytes;   /* in the blob, with the tag; 0 if nothing is present */
	uint8_t blob;     /* which of the page blobs, in the manifest's order */
	uint8_t codec;    /* enum frame_codec */
	/* Of a public snapshot: SHA-256 of these bytes. A sealed frame has a tag in its place. */
	uint8_t digest[DIGEST_BYTES];
};

struct table_rec {
	uint64_t pages;
	uint32_t frame_pages;
	struct list frames; /* struct frame_rec */
};

/* What the MAC of a name covers. */
struct ref_rec {
	const char *name;
	uint8_t manifest[DIGEST_BYTES];
	uint64_t bytes; /* of the manifest */
	uint64_t generation;
	const char *origin; /* "": made here */
};

extern const struct rec_type config_type, table_type, ref_type;

/* Both are functions of bytes and the blobs' sizes: untrusted input, though authenticated. */
MUST_CHECK int config_parse(struct span in, struct arena *a, struct config_rec *out, struct err *e);
/**
 * table_parse() - decode and check a frame table
 * @seal:       how the snapshot's frames have to be protected
 * @blob_bytes: sizes of the page blobs
 * @offsets:    where each frame begins in its blob; in the arena
 */
MUST_CHECK int table_parse(struct span in, enum config_seal seal, const uint64_t *blob_bytes,
                           size_t n_blobs, struct arena *a, struct table_rec *out,
                           uint64_t **offsets, struct err *e);

/* ---- json.c ---------------------------------------------------------------------------- */

#define MEDIA_CONFIG "application/vnd.wslx.snapshot.config.v1+cbor"
#define MEDIA_STATE "application/vnd.wslx.snapshot.state.v1"
#define MEDIA_TABLE "application/vnd.wslx.snapshot.table.v1"
#define MEDIA_PAGES "application/vnd.wslx.snapshot.pages.v1"

struct manifest {
	struct blob config, state, table;
	struct blob pages[BLOBS_MAX];
	size_t n_pages;
};

/* @config: its kind, labels and seal become annotations */
void manifest_print(struct buf *out, const struct manifest *m, const struct config_rec *config);
MUST_CHECK int manifest_parse(struct span in, struct manifest *out, struct err *e);

/* One entry of index.json. */
struct entry {
	const char *name; /* NULL: it has none that store_name_check() allows */
	bool ours;        /* says that it is a snapshot */
	struct blob manifest;
	uint64_t generation;
	const char *origin; /* "": made here */
	uint8_t seal[DIGEST_BYTES];
	bool sealed;    /* it has a seal and all that the seal covers; not yet compared */
	bool unsettled; /* only a hint, for the manifest says it */
};

struct index {
	json_t *json;        /* all of it, entries of others too */
	struct list entries; /* struct entry, in the file's order */
	uint64_t generation; /* the highest that was ever given */
};

/* Fills an empty index from the bytes of index.json. The arena owns the entries. */
MUST_CHECK int index_parse(struct span in, struct arena *a, struct index *out, struct err *e);
MUST_CHECK int index_read(struct store *s, struct arena *a, struct index *out, struct err *e);
void index_finish(struct index *x);
static inline void auto_index(struct index *x)
{
	index_finish(x);
}
/* The only entry of that name. Return: 0; -ENOENT; -EBADMSG if there are two. */
MUST_CHECK int index_find(const struct index *x, const char *name, const struct entry **out,
                          struct err *e);
/* Refuses a name that another snapshot has. */
MUST_CHECK int index_taken(const char *name, struct err *e);
/* Takes out all entries of that name. */
void index_drop(struct index *x, const char *name);
void index_add(struct index *x, const struct entry *entry);
/* Writes the next index.json in @dir_fd; syncs it; puts it in place, durably. */
MUST_CHECK int index_prepare(const struct index *x, int dir_fd, int *out_fd, struct err *e);
MUST_CHECK int index_sync(int fd, struct err *e);
MUST_CHECK int index_publish(struct store *s, int dir_fd, struct err *e);
/**
 * json_children() - what a manifest or an index of any tool leads to
 * @digests:   gains uint8_t [DIGEST_BYTES] for all that is named anywhere in it
 * @manifests: gains a struct blob for each manifest of an index
 */
MUST_CHECK int json_children(struct span in, struct arena *a, struct list *digests,
                             struct list *manifests, struct err *e);

MUST_CHECK int entry_seal(const struct keys *keys, struct entry *entry, struct err *e);
/* Whether this store bound this name to this manifest. Return: 0; -EBADMSG. */
MUST_CHECK int entry_check(const struct keys *keys, const struct entry *entry, struct err *e);

/* ---- frame.c --------------------------------------------------------------------------- */

struct ZSTD_CCtx_s;

/**
 * frame_content() - what the pages of a frame are stored as, before they are sealed
 * @pages:    they are changed; TRIM_HEAD_BYTES before them are there to be written, too
 * @n:        pages, up to FRAME_PAGES
 * @squeezed: FRAME_BYTES
 * @rec:      all zero; present and codec are set
 *
 * Return: bytes in or before @pages, or in @squeezed; none if all pages are zero.
 */
struct span frame_content(struct ZSTD_CCtx_s *zstd, enum store_compression how, uint8_t *pages,
                          uint32_t n, uint8_t *squeezed, struct frame_rec *rec);

/* ---- pack.c ---------------------------------------------------------------------------- */

struct packed_blob {
	struct blob blob;
	char name[16]; /* in the writer's folder */
	int fd;        /* the packer's; to be synced */
};

struct packed {
	struct packed_blob blobs[BLOBS_MAX];
	size_t n_blobs;
	uint64_t pages;
	uint64_t stored_pages;
	struct list frames; /* struct frame_rec */
};

struct packer;
MUST_CHECK int packer_create(int dir_fd, const uint8_t key[STORE_KEY_BYTES],
                             const uint8_t id[ID_BYTES], const struct store_options *options,
                             struct packer **out, struct err *e);
struct page_sink *packer_sink(struct packer *p);
/* Ends the stream: all page blobs are written when it returns 0, not yet synced. Called once. */
MUST_CHECK int packer_end(struct packer *p, struct arena *a, struct packed *out, struct err *e);
void packer_destroy(struct packer *p);

/* Whole blobs that are compressed and sealed at once: state and table. @sealer NULL: no seal. */
MUST_CHECK int pack_blob(struct sealer *sealer, enum seal_kind kind, struct span in,
                         struct buf *out, struct err *e);
MUST_CHECK int unpack_blob(struct sealer *sealer, enum seal_kind kind, struct span in,
                           uint64_t plain_bytes, struct buf *out, struct err *e);

/* ---- settle.c -------------------------------------------------------------------------- */

/* A file's digest. Return: 0; -ESTALE if @while_linked and the file has lost its last name. */
MUST_CHECK int hash_file(int fd, uint64_t bytes, bool while_linked, uint8_t out[DIGEST_BYTES],
                         struct err *e);

/* ---- reader.c -------------------------------------------------------------------------- */

/* What of a snapshot can be read without its key. */
struct head {
	struct manifest manifest;
	struct config_rec config;
};

/**
 * head_read() - read and authenticate manifest and config
 * @meta: filled in, from @a and from @entry
 */
MUST_CHECK int head_read(struct store *s, const struct entry *entry, struct arena *a,
                         struct head *head, struct store_meta *meta, struct err *e);

/* Every digest and every frame of a snapshot that is open. */
MUST_CHECK int reader_verify(struct store_reader *r, struct store_report *report, struct err *e);

/* Reads a blob as a whole and compares its digest. */
MUST_CHECK int blob_verify(int fd, const struct blob *blob, struct err *e);

/* ---- transfer.c ------------------------------------------------------------------------ */

struct store_import {
	struct store *store;
	struct arena arena;
	struct buf bytes; /* the manifest's */
	struct blob self;
	struct manifest manifest;
	struct store_parcel parcel;
	int partial_fd;
	int note_fd; /* -1: it has none (partial.c) */
};

/* Blobs that have arrived or were here; their digests are compared. */
MUST_CHECK int import_read_config(struct store_import *x, struct arena *a, struct config_rec *out,
                                  struct err *e);
MUST_CHECK int import_read_blob(struct store_import *x, const struct blob *blob, struct buf *out,
                                struct err *e);

/* ---- partial.c ------------------------------------------------------------------------- */

/* What was noted is a snapshot now. */
void import_forget_note(struct store_import *x);

/* ---- lazy.c ---------------------------------------------------------------------------- */

struct lazy;

/**
 * lazy_open() - the page blobs of an import, of which frames may be missing
 * @table, @offsets: checked; they and @x outlive it
 */
MUST_CHECK int lazy_open(struct store_import *x, const struct table_rec *table,
                         const uint64_t *offsets, struct store_fetcher *fetcher, struct lazy **out,
                         struct err *e);
/* The bytes of a frame, fetched if they are not here; they have their digest. */
MUST_CHECK int lazy_read(struct lazy *l, uint64_t frame, uint8_t *out, struct err *e);
/* Has frames of [@first, @last) here; whether they are right is found out when they are read. */
MUST_CHECK int lazy_fetch(struct lazy *l, uint64_t first, uint64_t last, struct err *e);
/* The first bytes of a blob, from whoever has them; before anybody reads. */
void lazy_offer(struct lazy *l, const char *digest, struct span bytes);
MUST_CHECK int lazy_fill(struct lazy *l, bool (*stop)(void *arg), void *arg, struct err *e);
void lazy_close(struct lazy *l); /* accepts NULL */

/* ---- mark.c ---------------------------------------------------------------------------- */

/* A snapshot goes, and with it the mark that says that it was restored. */
void mark_forget(struct store *s, const struct entry *entry);
/* Remove the marks of snapshots that are gone; the lock is held exclusively. */
MUST_CHECK int mark_sweep(struct store *s, struct err *e);

/* ---- whole.c --------------------------------------------------------------------------- */

/* Adds the digests of a snapshot's manifest and of all that it leads to. */
void blobs_of_entry(struct store *s, const struct entry *entry, struct arena *a,
                    struct list *digests);
/**
 * sweep_blobs() - remove blobs to which index.json does not lead; the lock is held exclusively
 * @candidates: digests; NULL: all blobs
 */
MUST_CHECK int sweep_blobs(struct store *s, const struct list *candidates,
                           struct store_report *report, struct err *e);

#endif
