/* SPDX-License-Identifier: MIT */
/*
 * Digests that a commit did not wait for.
 *
 * Theory of operation
 *
 * An OCI blob is named by its SHA-256, which takes longer than everything else that is done with
 * the pages of a large snapshot. Nobody who restores it needs that digest: each frame has a seal,
 * and the frame table, itself sealed, says which frames there are. So a commit may leave large page
 * blobs *unsettled*. Such a blob is named by its snapshot's id and its number, "sealed:HEX" in
 * the manifest, and lies in blobs/sealed/HEX; everything else about the snapshot is as ever:
 * durable, under its name, read by the same code. OCI allows algorithms that are not
 * registered, and a tool that does not know ours refuses to copy the snapshot until it is settled.
 *
 * Settling hashes the blobs, without a lock, and then with the lock
 *
 *	1. looks whether the name still leads to that manifest; if not, nothing is to be done;
 *	2. writes the settled manifest in tmp/, syncs it, renames it into blobs/sha256/;
 *	3. links the page blobs into blobs/sha256/ under their digests, and syncs that folder;
 *	4. replaces index.json, whose entry keeps its name and its generation;
 *	5. removes what only the old manifest led to, so the names in blobs/sealed/.
 *
 * A crash before 4 leaves the unsettled snapshot whole, one after it the settled one, and gc
 * removes the rest. Two that settle the same snapshot do the work twice, which is harmless, and
 * neither waits for the other, of whom one may have no CPU time.
 */
#include "store/parts.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define HASH_STEP_BYTES (256u << 10)

int hash_file(int fd, uint64_t bytes, bool while_linked, uint8_t out[DIGEST_BYTES], struct err *e)
{
	AUTO(hasher) struct hasher hasher = {0};
	AUTO(buf) struct buf room = {0};
	int r = hasher_init(&hasher, e);

	buf_reserve(&room, HASH_STEP_BYTES);
	for (uint64_t at = 0; !r && at < bytes; at += HASH_STEP_BYTES) {
		size_t n = (size_t)MIN(bytes - at, HASH_STEP_BYTES);
		struct stat st;

		if (while_linked && !fstat(fd, &st) && !st.st_nlink)
			return -ESTALE;
		r = read_at(fd, room.data, n, at, e, "a page blob");
		if (!r)
			r = hasher_add(&hasher, room.data, n, e);
	}
	return r < 0 ? r : hasher_end(&hasher, out, e);
}

/* A snapshot that is being settled. */
struct settling {
	struct store *store;
	const struct entry *entry;
	struct arena *arena;
	struct head head;
	struct manifest next; /* with digests */
	int fds[BLOBS_MAX];   /* of unsettled blobs, else -1 */
	bool idle;            /* hash on CPU time that nobody wants */
	struct err *e;
	int result; /* of hashing */
};

/* Step 0, part 1. Return: -ENOENT if it has gone, or was settled, since index.json was read. */
static int open_blobs(struct settling *g)
{
	AUTO(arena) struct arena a = {0};
	AUTO(index) struct index x = {0};
	const struct entry *now;
	struct store_meta meta;
	AUTO(fd) int lock = -1;
	int r = store_lock(g->store, LOCK_SH, &lock, g->e);

	if (!r)
		r = index_read(g->store, &a, &x, g->e);
	if (!r)
		r = index_find(&x, g->entry->name, &now, NULL);
	if (r < 0)
		return r;
	if (memcmp(now->manifest.digest, g->entry->manifest.digest, DIGEST_BYTES))
		return -ENOENT;
	r = head_read(g->store, now, g->arena, &g->head, &meta, g->e);
	if (r < 0)
		return r;
	g->next = g->head.manifest;
	for (size_t i = 0; !r && i < g->next.n_pages; i++)
		if (g->next.pages[i].unsettled)
			r = blob_open(g->store, &g->next.pages[i], &g->fds[i], g->e);
	return r;
}

/* Part 2. Takes no lock, for if there is no CPU time for it nobody must wait for it. */
static void *hash_blobs(void *arg)
{
	const struct sched_param none = {0};
	struct settling *g = arg;

	/* Of this thread alone: one without rights cannot go back to the normal policy. */
	if (g->idle)
		(void)sched_setscheduler(0, SCHED_IDLE, &none);
	for (size_t i = 0; !g->result && i < g->next.n_pages; i++) {
		struct blob *blob = &g->next.pages[i];

		if (g->fds[i] < 0)
			continue;
		g->result = hash_file(g->fds[i], blob->bytes, true, blob->digest, g->e);
		blob->unsettled = false;
	}
	return NULL;
}

/*
 * Sessions get equal shares of the CPUs whatever the policies of their threads (sched(7),
 * "The autogroup feature"), so our session's share has to become small too.
 */
static void nice_session(const char *nice)
{
	AUTO(fd) int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		(void)!write(fd, nice, strlen(nice));
}

static int hash_now(struct settling *g)
{
	hash_blobs(g);
	return g->result;
}

static int hash_idly(struct settling *g)
{
	pthread_t thread;

	nice_session("19");
	if (pthread_create(&thread, NULL, hash_blobs, g))
		hash_blobs(g);
	else
		pthread_join(thread, NULL);
	/* What follows holds the lock, for which others wait. */
	nice_session("0");
	return g->result;
}

/* Step 2. */
static int put_manifest(struct settling *g, struct blob *out)
{
	static const char name[] = "manifest";
	AUTO(buf) struct buf text = {0};
	struct store *s = g->store;
	AUTO(fd) int fd = -1;
	char digest[72];
	int r;

	manifest_print(&text, &g->next, &g->head.config);
	*out = (struct blob){.bytes = text.len};
	r = digest_of(buf_span(&text), out->digest, g->e);
	if (r < 0)
		return r;
	unlinkat(s->tmp_fd, name, 0); /* left by one that died here */
	fd = openat(s->tmp_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(g->e, -errno, "store: making the %s", name);
	r = write_all(fd, text.data, text.len, g->e, name);
	if (r < 0)
		return r;
	FAULT_STEP("store-settle-manifest", g->e);
	if (fdatasync(fd) < 0)
		return err_set(g->e, -errno, "store: syncing the %s", name);
	digest_text(digest, out->digest);
	if (renameat(s->tmp_fd, name, s->blobs_fd, digest + DIGEST_HEX_AT) < 0)
		return err_set(g->e, -errno, "store: putting the %s in its place", name);
	return 0;
}

/* Step 3. Their content was synced by the commit. */
static int link_blobs(struct settling *g)
{
	struct store *s = g->store;

	for (size_t i = 0; i < g->next.n_pages; i++) {
		char from[72], to[72];

		if (g->fds[i] < 0)
			continue;
		FAULT_STEP("store-settle-link", g->e);
		blob_text(from, &g->head.manifest.pages[i]);
		blob_text(to, &g->next.pages[i]);
		/* It can be there: from one who died before step 4. */
		if (linkat(s->sealed_fd, from + DIGEST_HEX_AT, s->blobs_fd, to + DIGEST_HEX_AT, 0) <
		            0 &&
		    errno != EEXIST)
			return err_set(g->e, -errno, "store: giving a page blob its digest");
	}
	return sync_dir(s->blobs_fd, "store-blobs-dir-sync", g->e);
}

/* Steps 1 to 5. */
static int publish(struct settling *g)
{
	struct store *s = g->store;
	AUTO(fd) int lock = -1, index_fd = -1;
	AUTO(index) struct index x = {0};
	struct entry entry = *g->entry;
	struct list old_blobs = {0};
	const struct entry *now;
	int r = store_lock(s, LOCK_EX, &lock, g->e);

	if (!r)
		r = index_read(s, g->arena, &x, g->e);
	if (!r)
		r = index_find(&x, entry.name, &now, NULL);
	if (r < 0)
		return r;
	if (memcmp(now->manifest.digest, entry.manifest.digest, DIGEST_BYTES))
		return -ENOENT;
	blobs_of_entry(s, now, g->arena, &old_blobs);
	r = put_manifest(g, &entry.manifest);
	if (!r)
		r = link_blobs(g);
	entry.unsettled = false;
	if (!r)
		r = entry_seal(&s->keys, &entry, g->e);
	if (r < 0)
		return r;
	index_drop(&x, entry.name);
	index_add(&x, &entry);
	unlinkat(s->tmp_fd, "index.json", 0); /* left by one that died here */
	r = index_prepare(&x, s->tmp_fd, &index_fd, g->e);
	if (!r)
		r = index_sync(index_fd, g->e);
	if (!r)
		r = index_publish(s, s->tmp_fd, g->e);
	/* It is settled; what this cannot remove is for gc. */
	if (!r)
		(void)!sweep_blobs(s, &old_blobs, NULL, NULL);
	return r;
}

static int settle_one(struct store *s, const struct entry *entry, bool idle, struct arena *a,
                      struct err *e)
{
	struct settling g = {.store = s, .entry = entry, .arena = a, .idle = idle, .e = e};
	int r;

	for (size_t i = 0; i < BLOBS_MAX; i++)
		g.fds[i] = -1;
	r = open_blobs(&g);
	if (!r && fault_point("store-settle-hash") == FAULT_FAIL)
		r = err_set(e, -EIO, "store: fault point store-settle-hash");
	if (!r && idle)
		r = hash_idly(&g);
	else if (!r)
		r = hash_now(&g);
	if (!r)
		r = publish(&g);
	for (size_t i = 0; i < BLOBS_MAX; i++)
		os_close(&g.fds[i]);
	/* Removed, replaced or settled by another. */
	if (r == -ENOENT || r == -ESTALE)
		return 0;
	return r < 0 ? err_wrap(e, r, "settling %s", entry->name) : 0;
}

static int settle(struct store *s, const char *name, bool idle, struct err *e)
{
	AUTO(arena) struct arena a = {0};
	AUTO(index) struct index x = {0};
	struct err first = {0};
	int r = index_read(s, &a, &x, e);

	if (r < 0)
		return r;
	LIST_EACH(&x.entries, const struct entry, it) {
		struct err why = {0};

		if (!it->unsettled || !it->name || (name && strcmp(name, it->name)))
			continue;
		r = settle_one(s, it, idle, &a, &why);
		if (r < 0 && !first.code)
			first = why;
	}
	if (first.code && e)
		*e = first;
	return first.code;
}

int store_settle(struct store *s, const char *name, struct err *e)
{
	return settle(s, name, false, e);
}

/* ---- in a process of its own ------------------------------------------------------------- */

/*
 * Nothing of the caller's may be kept alive: neither its pipes, for whose end somebody waits,
 * nor its locks, nor the file system that it stands in. So the store is opened again.
 */
static void settle_and_exit(struct store *s)
{
	const struct store_key_source *source = s->source;
	struct err e = {0};
	char *root = realpath(s->root, NULL);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* For those who wonder what is there still of a snapshot that is done. */
	prctl(PR_SET_NAME, "wslx-settle");
	if (null < 0 || !root || chdir("/") < 0)
		_exit(1);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	closefrom(3);
	if (store_open(root, source, &s, &e) < 0)
		_exit(1);
	_exit(settle(s, NULL, true, &e) < 0);
}

int store_settle_detached(struct store *s, struct err *e)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return err_set(e, -errno, "store: starting a process that settles");
	if (!pid) {
		/* The second fork gives it to init, so that nobody of ours has to wait for it. */
		setsid();
		pid = fork();
		if (!pid)
			settle_and_exit(s);
		_exit(pid < 0);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set(e, -errno, "store: starting a process that settles");
	return 0;
}
