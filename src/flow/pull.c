/* SPDX-License-Identifier: MIT */
/*
 * From a registry to the store, in two ways that begin alike: the manifest is fetched and chosen,
 * its signature verified, its sizes looked at, and its records fetched. Then flow_pull() fetches
 * the pages, and flow_remote_open() leaves them to whoever reads them.
 */
#include <string.h>

#include "flow/registry.h"
#include "os/os.h"
#include "store/transfer.h"

#define COMMITS_MAX 3u

struct source {
	struct arena arena;
	struct oci_policy policy;
	struct oci_client *client;
	struct oci_ref ref;
	const char *name;
	const char *origin;
	struct oci_manifest manifest;
};

static void source_finish(struct source *s)
{
	oci_client_close(s->client);
	oci_manifest_finish(&s->manifest);
	oci_policy_finish(&s->policy);
	arena_finish(&s->arena);
}
static inline void auto_source(struct source *s)
{
	source_finish(s);
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
	struct oci_options options = {
		.policy = &s->policy, .progress = what->progress, .insecure = what->insecure};
	int r = oci_ref_parse(what->ref, &s->arena, &s->ref, e);

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
	struct oci_registry rule = oci_policy_find(&s->policy, &s->ref);
	struct list given = {.items = (void *)(uintptr_t)&what->verify, .count = 1};
	const struct list *keys = what->verify ? &given : &rule.keys;

	return keys->count ? oci_verify(s->client, keys, s->manifest.digest, e) : 0;
}

static bool needs_signature(const struct source *s, const struct pull_snapshot *what)
{
	return what->verify || oci_policy_find(&s->policy, &s->ref).keys.count;
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

static int pull_blobs(struct source *s, const struct store_import *import, bool pages,
                      struct err *e)
{
	int r = 0;

	LIST_EACH(&store_import_parcel(import)->blobs, const struct store_parcel_blob, b) {
		if (!r && b->fd >= 0 && (b->role == STORE_PAGES) == pages)
			r = oci_blob_pull(s->client, b->digest, b->bytes, b->fd, e);
	}
	return r;
}

/* Config, table and state; and whether we could use them. */
static int pull_records(struct source *s, struct store_import *import, struct err *e)
{
	int r = pull_blobs(s, import, false, e);

	return r < 0 ? r : store_import_check(import, e);
}

static int import_once(struct store *store, struct source *s, const struct pull_snapshot *what,
                       struct pull_result *result, struct err *e)
{
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
		r = pull_blobs(s, import, true, e);
	return r < 0 ? r : store_import_commit(import, &options, e);
}

/* ---- pull ------------------------------------------------------------------------------ */

bool flow_is_offline(int code)
{
	return code == -EHOSTUNREACH || code == -ETIMEDOUT || code == -ECONNRESET;
}

static int pull(struct store *store, struct source *s, const struct pull_snapshot *what,
                struct pull_result *result, struct err *e)
{
	struct store_meta kept;
	int r = find_kept(store, s->name, &result->arena, &kept, e);
	unsigned tries = 0;

	if (!r)
		r = may_take_name(&kept, s, what, e);
	if (r < 0)
		return r;
	r = get_snapshot_manifest(s, e);
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
	/* A blob that was here may be removed while others arrive: then it is fetched, too. */
	do
		r = import_once(store, s, what, result, e);
	while (r == -ESTALE && ++tries < COMMITS_MAX);
	return r;
}

int flow_pull(struct store *store, const struct pull_snapshot *what, struct pull_result *result,
              struct err *e)
{
	AUTO(source) struct source s = {0};
	int r = source_open(&s, what, e);

	*result = (struct pull_result){0};
	if (r < 0)
		return r;
	result->name = arena_text(&result->arena, s.name);
	result->origin = arena_text(&result->arena, s.origin);
	r = pull(store, &s, what, result, e);
	return r < 0 ? err_wrap(e, r, "pull %s", s.origin) : 0;
}

void pull_result_finish(struct pull_result *r)
{
	arena_finish(&r->arena);
}

/* ---- use before it has all arrived ----------------------------------------------------- */

struct remote {
	struct store_fetcher fetcher; /* first, so that the fetcher is the remote */
	struct source source;
	struct store_import *import;
	struct store_reader *reader;
	bool replace;
	uint64_t fetched; /* atomic */
};

static int remote_fetch(struct store_fetcher *f, const char *digest, uint64_t offset, uint8_t *out,
                        size_t len, struct err *e)
{
	struct remote *r = (struct remote *)f;
	bool ranged;

	LIST_EACH(&store_import_parcel(r->import)->blobs, const struct store_parcel_blob, b) {
		if (strcmp(b->digest, digest))
			continue;
		__atomic_add_fetch(&r->fetched, len, __ATOMIC_RELAXED);
		return oci_blob_read(r->source.client, digest, b->bytes, offset, out, len, &ranged,
		                     e);
	}
	return err_say(e, -ENOENT, "blob %s is not of this snapshot", digest);
}

/* Whether the registry knows ranges: the first byte of a blob that is missing is asked for. */
static int knows_ranges(struct remote *r, bool *out, struct err *e)
{
	uint8_t byte;

	*out = true;
	LIST_EACH(&store_import_parcel(r->import)->blobs, const struct store_parcel_blob, b)
		if (b->role == STORE_PAGES && b->fd >= 0 && b->bytes > 1)
			return oci_blob_read(r->source.client, b->digest, b->bytes, 0, &byte, 1,
			                     out, e);
	return 0;
}

static int remote_open(struct store *store, struct remote *r, const struct pull_snapshot *what,
                       struct err *e)
{
	uint64_t missing;
	bool ranged;
	int ret = source_open(&r->source, what, e);

	if (!ret)
		ret = get_snapshot_manifest(&r->source, e);
	if (!ret)
		ret = verify_signature(&r->source, what, e);
	if (!ret)
		ret = store_import_begin(store, buf_span(&r->source.manifest.bytes), &r->import, e);
	if (!ret)
		ret = check_size(r->import, what, &missing, e);
	if (!ret)
		ret = pull_records(&r->source, r->import, e);
	if (!ret)
		ret = knows_ranges(r, &ranged, e);
	if (!ret && !ranged)
		ret = pull_blobs(&r->source, r->import, true, e);
	r->fetcher.fetch = remote_fetch;
	r->replace = what->replace;
	return ret < 0 ? ret : store_import_reader(r->import, &r->fetcher, &r->reader, e);
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

void flow_remote_close(struct remote *r)
{
	if (!r)
		return;
	store_reader_close(r->reader);
	store_import_close(r->import);
	source_finish(&r->source);
	free(r);
}
