/* SPDX-License-Identifier: MIT */
/*
 * From a registry to the store, in two ways that begin alike: the manifest is fetched and chosen,
 * its signature verified, its sizes looked at, and its records fetched. Then flow_pull() fetches
 * the pages, and flow_remote_open() leaves them to whoever reads them.
 *
 * Blobs are fetched several at a time, since much of the time of a small one is the way there.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "flow/registry.h"
#include "os/os.h"
#include "store/transfer.h"

#define COMMITS_MAX 3u
#define FETCHERS_MAX 4u
/* Of pages, with the records: a start uses them, and what they are is not known before. */
#define BEGINNING_BYTES ((size_t)512 << 10)

/* Progress that several threads make. */
struct shared_progress {
	struct oci_progress progress; /* first, so that the progress is this */
	struct oci_progress *to;
	pthread_mutex_t lock;
};

struct source {
	struct arena arena;
	struct oci_policy policy;
	struct shared_progress progress;
	struct oci_client *client;
	struct oci_ref ref;
	const char *name;
	const char *origin;
	struct oci_manifest manifest;
};

static void moved(struct oci_progress *p, uint64_t bytes)
{
	struct shared_progress *s = (struct shared_progress *)p;

	pthread_mutex_lock(&s->lock);
	if (s->to && s->to->moved)
		s->to->moved(s->to, bytes);
	pthread_mutex_unlock(&s->lock);
}

static void waits(struct oci_progress *p, const char *why, uint64_t wait_ms)
{
	struct shared_progress *s = (struct shared_progress *)p;

	pthread_mutex_lock(&s->lock);
	if (s->to && s->to->waits)
		s->to->waits(s->to, why, wait_ms);
	pthread_mutex_unlock(&s->lock);
}

static void source_finish(struct source *s)
{
	oci_client_close(s->client);
	oci_manifest_finish(&s->manifest);
	oci_policy_finish(&s->policy);
	arena_finish(&s->arena);
}

const char *flow_pull_name(const struct oci_ref *ref, struct arena *a)
{
	const char *slash = strrchr(ref->repository, '/');
	const char *last = slash ? slash + 1 : ref->repository;

	if (!ref->tag || !strcmp(ref->tag, "latest"))
		return last;
	return arena_printf(a, "%s:%s", last, ref->tag);
}

static int source_open(struct source *s, const struct pull_snapshot *what, struct err *e)
{
	struct oci_options options = {.policy = &s->policy,
	                              .progress = &s->progress.progress,
	                              .insecure = what->insecure};
	int r = oci_ref_parse(what->ref, &s->arena, &s->ref, e);

	s->progress = (struct shared_progress){.progress = {.moved = moved, .waits = waits},
	                                       .to = what->progress,
	                                       .lock = PTHREAD_MUTEX_INITIALIZER};
	if (!r)
		r = oci_policy_load(&s->policy, e);
	if (r < 0)
		return r;
	s->origin = oci_ref_text(&s->ref, &s->arena);
	s->name = what->name ? what->name : flow_pull_name(&s->ref, &s->arena);
	r = store_name_check(s->name, e);
	if (r < 0)
		return what->name ? r
		                  : err_say(e, r,
		                            "%s suggests no name for a snapshot: choose one "
		                            "with --name",
		                            what->ref);
	return oci_client_open(&s->ref, &options, &s->client, e);
}

/* ---- what the store has ------------------------------------------------------------------ */

/* @out: zero if the store has no such name */
static int find_kept(struct store *store, const char *name, struct arena *a, struct store_meta *out,
                     struct err *e)
{
	struct list all = {0};
	int r = store_list(store, a, &all, e);

	*out = (struct store_meta){0};
	LIST_EACH(&all, const struct store_meta, m)
		if (!r && !strcmp(m->name, name))
			*out = *m;
	return r;
}

static bool is_kept_as(const struct store_meta *kept, const char *digest)
{
	return kept->name && !kept->damage && !strcmp(kept->digest, digest);
}

/* Told now rather than after the download; the commit decides. */
static int may_take_name(const struct store_meta *kept, const struct source *s,
                         const struct pull_snapshot *what, struct err *e)
{
	if (!kept->name || what->replace || (!kept->damage && !strcmp(kept->origin, s->origin)))
		return 0;
	return err_say(e, -EEXIST,
	               "there is a snapshot %s already, and it is not known to be from there: "
	               "choose another name (--name), or replace it (--replace)",
	               s->name);
}

/* ---- the manifest ------------------------------------------------------------------------ */

static const struct oci_descriptor *choose(const struct oci_outline *index)
{
	LIST_EACH(&index->layers, const struct oci_descriptor, d)
		if (!strcmp(d->artifact_type, FLOW_SNAPSHOT_TYPE) &&
		    (!d->architecture[0] || !strcmp(d->architecture, "amd64")))
			return d;
	return NULL;
}

static int get_snapshot_manifest(struct source *s, struct err *e)
{
	const struct oci_descriptor *one;
	struct oci_outline outline;
	int r = oci_manifest_get(s->client, oci_ref_manifest(&s->ref), &s->manifest, e);

	if (!r)
		r = oci_manifest_outline(buf_span(&s->manifest.bytes), &s->arena, &outline, e);
	if (r)
		return r;
	if (outline.is_index) {
		one = choose(&outline);
		if (!one)
			return err_say(e, -EMEDIUMTYPE, "it is an index without a snapshot in it");
		r = oci_manifest_get(s->client, one->digest, &s->manifest, e);
		if (!r)
			r = oci_manifest_outline(buf_span(&s->manifest.bytes), &s->arena, &outline,
			                         e);
		if (r)
			return r;
	}
	if (strcmp(outline.artifact_type, FLOW_SNAPSHOT_TYPE))
		return err_say(e, -EMEDIUMTYPE, "it is no snapshot of ours but %.80s",
		               outline.artifact_type[0] ? outline.artifact_type : "an artifact");
	return 0;
}

static int verify_signature(struct source *s, const struct pull_snapshot *what, struct err *e)
{
	const struct list keys = oci_signers(&s->policy, &s->ref, &what->verify);

	return keys.count ? oci_verify(s->client, &keys, s->manifest.digest, e) : 0;
}

static bool needs_signature(const struct source *s, const struct pull_snapshot *what)
{
	return oci_signers(&s->policy, &s->ref, &what->verify).count;
}

/* ---- blobs ----------------------------------------------------------------------------- */

static uint64_t all_bytes(const struct store_parcel *parcel)
{
	uint64_t sum = 0;

	LIST_EACH(&parcel->blobs, const struct store_parcel_blob, b)
		if (__builtin_add_overflow(sum, b->bytes, &sum))
			return UINT64_MAX;
	return sum;
}

/* Before anything is written: how much it is, and whether that is too much. */
static int check_size(const struct store_import *import, const struct pull_snapshot *what,
                      uint64_t *missing, struct err *e)
{
	uint64_t bytes = all_bytes(store_import_parcel(import));
	char is[16], may[16];

	if (what->limit && bytes > what->limit)
		return err_say(e, -EFBIG, "it has %s, and the limit is %s (--limit)",
		               text_of_bytes(is, bytes), text_of_bytes(may, what->limit));
	return store_import_room(import, missing, e);
}

/* The first bytes of a blob of pages. */
struct beginning {
	char digest[72]; /* empty: there are none */
	struct buf bytes;
};

/* Blobs that are to be fetched, by threads that take the next one. */
struct fetching {
	struct oci_head head; /* first, so that it is this; of the last blob, if it has .len */
	const struct store_parcel_blob *blob[STORE_PARCEL_BLOBS_MAX];
	unsigned n, next;
	struct oci_client *client;
	struct store_import *import;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t moved;
	unsigned n_here;
	int failed;
	struct err first;
};

/*
 * The registry knows no ranges and sends all pages: they wait until the others are here and can be
 * used. Those were taken before, so somebody is fetching them.
 */
static int whole_comes(struct oci_head *h, struct err *e)
{
	struct fetching *f = (struct fetching *)h;
	int r;

	pthread_mutex_lock(&f->lock);
	while (f->n_here + 1 < f->n && !f->failed)
		pthread_cond_wait(&f->moved, &f->lock);
	r = f->failed ? -ECANCELED : 0;
	pthread_mutex_unlock(&f->lock);
	return r ? r : store_import_check(f->import, e);
}

static int fetch_blob(struct fetching *f, unsigned i, struct err *e)
{
	const struct store_parcel_blob *b = f->blob[i];

	return f->head.len && i + 1 == f->n
	               ? oci_blob_begin(f->client, b->digest, b->bytes, b->fd, &f->head, e)
	               : oci_blob_pull(f->client, b->digest, b->bytes, b->fd, e);
}

static void *fetch_blobs(void *arg)
{
	struct fetching *f = arg;

	for (;;) {
		unsigned i = __atomic_fetch_add(&f->next, 1, __ATOMIC_RELAXED);
		struct err e = {0};
		int r;

		if (i >= f->n || __atomic_load_n(&f->failed, __ATOMIC_RELAXED))
			return NULL;
		r = fetch_blob(f, i, &e);
		pthread_mutex_lock(&f->lock);
		f->n_here += !r;
		if (r && !f->failed) {
			f->first = e;
			__atomic_store_n(&f->failed, r, __ATOMIC_RELAXED);
		}
		pthread_cond_broadcast(&f->moved);
		pthread_mutex_unlock(&f->lock);
	}
}

static int fetch_all(struct fetching *f, struct err *e)
{
	pthread_t thread[FETCHERS_MAX];
	sigset_t all, before;
	unsigned n = 0;

	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->moved, NULL);
	/* Signals are the caller's business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	/* We are one of them; what cannot be started is done by the others. */
	while (n + 1 < MIN(f->n, FETCHERS_MAX) && !pthread_create(&thread[n], NULL, fetch_blobs, f))
		n++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	fetch_blobs(f);
	while (n)
		pthread_join(thread[--n], NULL);
	pthread_cond_destroy(&f->moved);
	pthread_mutex_destroy(&f->lock);
	if (f->failed && e)
		*e = f->first;
	return f->failed;
}

static void add_blobs(struct fetching *f, const struct store_import *import, bool pages)
{
	LIST_EACH(&store_import_parcel(import)->blobs, const struct store_parcel_blob, b) {
		if (b->fd >= 0 && (b->role == STORE_PAGES) == pages && f->n < ARRAY_LEN(f->blob))
			f->blob[f->n++] = b;
	}
}

static int pull_blobs(struct source *s, const struct store_import *import, bool pages,
                      struct err *e)
{
	struct fetching f = {.client = s->client};

	add_blobs(&f, import, pages);
	return f.n ? fetch_all(&f, e) : 0;
}

/* Config, table and state; and whether we could use them. */
static int pull_records(struct source *s, struct store_import *import, struct err *e)
{
	int r = pull_blobs(s, import, false, e);

	return r < 0 ? r : store_import_check(import, e);
}

/* ---- use before it has all arrived ----------------------------------------------------- */

struct remote {
	struct store_fetcher fetcher; /* first, so that the fetcher is the remote */
	struct source source;
	struct store_import *import;
	struct store_reader *reader;
	struct beginning beginning;
	bool is_asked; /* flow_pull_ask() has: the source is open, and this is what came of it */
	int answer;
	struct err why;
	bool replace;
	uint64_t fetched; /* atomic */
};

static int remote_fetch(struct store_fetcher *f, const char *digest, uint64_t offset, uint8_t *out,
                        size_t len, struct err *e)
{
	struct remote *r = (struct remote *)f;

	LIST_EACH(&store_import_parcel(r->import)->blobs, const struct store_parcel_blob, b) {
		if (strcmp(b->digest, digest))
			continue;
		__atomic_add_fetch(&r->fetched, len, __ATOMIC_RELAXED);
		return oci_blob_read(r->source.client, digest, b->bytes, offset, out, len, e);
	}
	return err_say(e, -ENOENT, "blob %s is not of this snapshot", digest);
}

/* It was interrupted when only its name was missing. */
static bool has_come(const struct store_parcel_blob *b)
{
	struct stat st;

	return !fstat(b->fd, &st) && (uint64_t)st.st_size == b->bytes;
}

/*
 * The records, and at the same time the beginning of the first page blob that is missing, which
 * tells whether the registry knows ranges. Of one that was begun before a byte is enough for that.
 * From a registry that knows none all of that blob has come.
 */
static int fetch_records(struct remote *r, bool *ranged, struct err *e)
{
	struct fetching f = {.client = r->source.client, .import = r->import};
	struct buf *beginning = &r->beginning.bytes;

	add_blobs(&f, r->import, false);
	LIST_EACH(&store_import_parcel(r->import)->blobs, const struct store_parcel_blob, b) {
		if (b->role != STORE_PAGES || b->fd < 0 || b->bytes < 2 || has_come(b))
			continue;
		assert(f.n < ARRAY_LEN(f.blob));
		memcpy(r->beginning.digest, b->digest, sizeof(b->digest));
		f.head.len = store_import_has_frames(r->import, b->digest)
		                     ? 1
		                     : (size_t)MIN(b->bytes, BEGINNING_BYTES);
		f.head.bytes = buf_extend(beginning, f.head.len);
		f.head.whole = whole_comes;
		f.blob[f.n++] = b;
		break;
	}
	if (f.n && fetch_all(&f, e))
		return f.failed;
	*ranged = !f.head.len || f.head.ranged;
	if (!*ranged)
		beginning->len = 0;
	return store_import_check(r->import, e);
}

/* The records are here. What came with them of the pages has not to be fetched. */
static int remote_read(struct remote *r, struct err *e)
{
	int ret = store_import_reader(r->import, &r->fetcher, &r->reader, e);

	if (!ret && r->beginning.bytes.len)
		store_reader_offer(r->reader, r->beginning.digest, buf_span(&r->beginning.bytes));
	buf_finish(&r->beginning.bytes);
	return ret;
}

/* From the manifest on. */
static int remote_begin(struct store *store, struct remote *r, const struct pull_snapshot *what,
                        bool *ranged, struct err *e)
{
	uint64_t missing;
	int ret = store_import_begin(store, buf_span(&r->source.manifest.bytes), &r->import, e);

	if (!ret)
		ret = check_size(r->import, what, &missing, e);
	if (!ret)
		ret = fetch_records(r, ranged, e);
	r->fetcher.fetch = remote_fetch;
	r->replace = what->replace;
	return ret;
}

static int remote_open(struct store *store, struct remote *r, const struct pull_snapshot *what,
                       struct err *e)
{
	bool ranged;
	int ret = source_open(&r->source, what, e);

	if (!ret)
		ret = get_snapshot_manifest(&r->source, e);
	if (!ret)
		ret = verify_signature(&r->source, what, e);
	if (!ret)
		ret = remote_begin(store, r, what, &ranged, e);
	if (!ret && !ranged)
		ret = pull_blobs(&r->source, r->import, true, e);
	return ret < 0 ? ret : remote_read(r, e);
}

int flow_remote_open(struct store *store, const struct pull_snapshot *what, struct remote **out,
                     struct err *e)
{
	struct remote *r = xalloc(sizeof(*r));
	int ret = remote_open(store, r, what, e);

	if (ret < 0) {
		flow_remote_close(r);
		return err_wrap(e, ret, "%s", what->ref);
	}
	*out = r;
	return 0;
}

struct store_reader *flow_remote_reader(struct remote *r)
{
	return r->reader;
}

bool flow_remote_wanted(struct remote *r)
{
	return store_import_is_wanted(r->import);
}

void flow_remote_silence(struct remote *r)
{
	pthread_mutex_lock(&r->source.progress.lock);
	r->source.progress.to = NULL;
	pthread_mutex_unlock(&r->source.progress.lock);
}

uint64_t flow_remote_fetched(struct remote *r)
{
	return __atomic_load_n(&r->fetched, __ATOMIC_RELAXED);
}

int flow_remote_keep(struct remote *r, bool (*stop)(void *arg), void *arg, struct err *e)
{
	const struct store_import_options options = {.name = r->source.name,
	                                             .origin = r->source.origin,
	                                             .replace = r->replace,
	                                             .update = true};
	int ret = store_reader_fill(r->reader, stop, arg, e);

	return ret < 0 ? ret : store_import_commit(r->import, &options, e);
}

static void remote_finish(struct remote *r)
{
	store_reader_close(r->reader);
	store_import_close(r->import);
	buf_finish(&r->beginning.bytes);
	source_finish(&r->source);
}

void flow_remote_close(struct remote *r)
{
	if (!r)
		return;
	remote_finish(r);
	free(r);
}

/* ---- pull ------------------------------------------------------------------------------ */

bool flow_is_offline(int code)
{
	return code == -EHOSTUNREACH || code == -ETIMEDOUT || code == -ECONNRESET;
}

/*
 * Whether it can be used before it has all arrived; if so, @remote is ready for that. If not it is
 * as it was before.
 */
static int try_remote(struct store *store, struct remote *remote, const struct pull_snapshot *what,
                      bool *can, struct err *e)
{
	bool ranged;
	int r = remote_begin(store, remote, what, &ranged, e);

	*can = false;
	if (r)
		return r;
	/* A sealed one cannot. */
	if (ranged)
		r = remote_read(remote, e);
	*can = ranged && !r &&
	       what->may_begin(store_reader_meta(remote->reader),
	                       store_reader_state(remote->reader));
	if (*can)
		r = store_import_note(remote->import, remote->source.name, remote->source.origin,
		                      e);
	if (*can || (r && r != -ENOTSUP))
		return r;
	store_reader_close(remote->reader);
	store_import_close(remote->import);
	remote->reader = NULL;
	remote->import = NULL;
	return 0;
}

/* What a start from afar has left of a blob; NULL if there was none. */
static const struct store_parcel_blob *begun_blob(const struct store_import *import)
{
	LIST_EACH(&store_import_parcel(import)->blobs, const struct store_parcel_blob, b)
		if (b->role == STORE_PAGES && b->fd >= 0 &&
		    store_import_has_frames(import, b->digest))
			return b;
	return NULL;
}

/* Fetches the frames that are missing. Return: 0; -ENOTSUP if it has to be done in another way. */
static int fill_frames(struct remote *r, struct store_import *import,
                       const struct store_parcel_blob *b, struct err *e)
{
	struct store_reader *reader = NULL;
	uint8_t byte;
	struct oci_head head = {.bytes = &byte, .len = 1};
	int ret = oci_blob_begin(r->source.client, b->digest, b->bytes, b->fd, &head, e);

	if (!ret && !head.ranged)
		return -ENOTSUP;
	r->fetcher.fetch = remote_fetch;
	r->import = import;
	if (!ret)
		ret = store_import_reader(import, &r->fetcher, &reader, e);
	if (!ret)
		ret = store_reader_fill(reader, NULL, NULL, e);
	store_reader_close(reader);
	r->import = NULL;
	return ret;
}

static int pull_pages(struct remote *r, struct store_import *import, struct err *e)
{
	const struct store_parcel_blob *begun = begun_blob(import);
	int ret = begun ? fill_frames(r, import, begun, e) : -ENOTSUP;

	return ret == -ENOTSUP ? pull_blobs(&r->source, import, true, e) : ret;
}

static int import_once(struct store *store, struct remote *remote, const struct pull_snapshot *what,
                       struct pull_result *result, struct err *e)
{
	struct source *s = &remote->source;
	const struct store_import_options options = {
		.name = s->name, .origin = s->origin, .replace = what->replace, .update = true};
	AUTO(store_import) struct store_import *import = NULL;
	int r = store_import_begin(store, buf_span(&s->manifest.bytes), &import, e);

	if (!r)
		r = check_size(import, what, &result->fetched_bytes, e);
	if (r < 0)
		return r;
	result->bytes = all_bytes(store_import_parcel(import));
	if (what->progress)
		what->progress->total = result->fetched_bytes;
	r = pull_records(s, import, e);
	if (!r)
		r = pull_pages(remote, import, e);
	return r < 0 ? r : store_import_commit(import, &options, e);
}

static int pull(struct store *store, struct remote *remote, const struct pull_snapshot *what,
                struct pull_result *result, struct err *e)
{
	struct source *s = &remote->source;
	struct store_meta kept;
	bool can;
	int r = find_kept(store, s->name, &result->arena, &kept, e);
	unsigned tries = 0;

	if (!r)
		r = may_take_name(&kept, s, what, e);
	if (r < 0)
		return r;
	r = remote->is_asked ? remote->answer : get_snapshot_manifest(s, e);
	if (remote->is_asked && r && e)
		*e = remote->why;
	/* What was pulled from there before will do, unless it has to be vouched for now. */
	if (flow_is_offline(r) && kept.name && !kept.damage && !strcmp(kept.origin, s->origin) &&
	    !needs_signature(s, what)) {
		result->state = PULL_OFFLINE;
		result->why_offline = arena_text(&result->arena, e ? e->text : "");
		result->digest = kept.digest;
		return 0;
	}
	if (!r)
		r = verify_signature(s, what, e);
	if (r < 0)
		return r;
	result->digest = arena_text(&result->arena, s->manifest.digest);
	if (is_kept_as(&kept, s->manifest.digest)) {
		result->state = PULL_CURRENT;
		return 0;
	}
	if (what->join && what->join(what->join_arg, result)) {
		result->state = PULL_BEGUN;
		return 0;
	}
	if (what->may_begin) {
		r = try_remote(store, remote, what, &can, e);
		if (!r && can)
			result->state = PULL_BEGUN;
		if (r || can)
			return r;
	}
	/* A blob that was here may be removed while others arrive: then it is fetched, too. */
	do
		r = import_once(store, remote, what, result, e);
	while (r == -ESTALE && ++tries < COMMITS_MAX);
	return r;
}

static int flow_pull_into(struct store *store, const struct pull_snapshot *what,
                          struct remote *remote, struct pull_result *result, struct err *e)
{
	struct source *s = &remote->source;
	int r = remote->is_asked ? 0 : source_open(s, what, e);

	*result = (struct pull_result){0};
	if (r < 0)
		return r;
	result->name = arena_text(&result->arena, s->name);
	result->origin = arena_text(&result->arena, s->origin);
	r = pull(store, remote, what, result, e);
	return r < 0 ? err_wrap(e, r, "pull %s", s->origin) : 0;
}

int flow_pull(struct store *store, const struct pull_snapshot *what, struct pull_result *result,
              struct err *e)
{
	struct remote remote = {0};
	int r;

	assert(!what->may_begin);
	r = flow_pull_into(store, what, &remote, result, e);
	remote_finish(&remote);
	return r;
}

struct remote *flow_pull_ask(const struct pull_snapshot *what)
{
	struct remote *remote = xalloc(sizeof(*remote));

	if (source_open(&remote->source, what, NULL)) {
		flow_remote_close(remote);
		return NULL;
	}
	remote->answer = get_snapshot_manifest(&remote->source, &remote->why);
	remote->is_asked = true;
	return remote;
}

int flow_pull_begin(struct store *store, const struct pull_snapshot *what,
                    struct pull_result *result, struct remote **out, struct err *e)
{
	struct remote *remote = *out ? *out : xalloc(sizeof(*remote));
	int r = flow_pull_into(store, what, remote, result, e);

	if (!r && result->state == PULL_BEGUN) {
		*out = remote;
		return 0;
	}
	flow_remote_close(remote);
	*out = NULL;
	return r;
}

void pull_result_finish(struct pull_result *r)
{
	arena_finish(&r->arena);
}
