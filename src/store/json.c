/* SPDX-License-Identifier: MIT */
/*
 * index.json and manifests, the JSON that OCI tools read and write too.
 *
 * index.json cannot be authenticated as a whole, because other tools may add to it. So nothing
 * in it is believed but what the seal of an entry covers: name, manifest digest, manifest size,
 * generation. What else an entry says is for other tools. Entries of others are kept as they
 * are, and never opened. A manifest is parsed after its digest was compared.
 */
#include "store/parts.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MEDIA_INDEX "application/vnd.oci.image.index.v1+json"
#define MEDIA_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define ARTIFACT_TYPE "application/vnd.wslx.snapshot.v1"
#define NOTE_CREATED "org.opencontainers.image.created"
#define NOTE_NAME "org.opencontainers.image.ref.name"
#define NOTE_GENERATION "vnd.wslx.generation"
#define NOTE_SEAL "vnd.wslx.seal"
#define NOTE_ORIGIN "vnd.wslx.origin"
#define NOTE_UNSETTLED "vnd.wslx.unsettled"
/* Of a manifest, for people and other tools; we read the config. */
#define NOTE_KIND "vnd.wslx.kind"
#define NOTE_PLATFORM "vnd.wslx.platform"
#define NOTE_PUBLIC "vnd.wslx.public"
#define NOTE_LABEL "vnd.wslx.label."

static bool text_is(const json_t *json, const char *text)
{
	const char *value = json_string_value(json);

	return value && !strcmp(value, text);
}

/* Text without a zero byte in it, at most @max bytes long; else NULL. */
static const char *text_of(const json_t *json, size_t max)
{
	const char *value = os_json_text(json);

	return value && strlen(value) <= max ? value : NULL;
}

/* Also of one that has no digest yet. */
static bool any_blob_of(const json_t *descriptor, uint64_t max, struct blob *out)
{
	const json_t *size = json_object_get(descriptor, "size");
	const char *digest = text_of(json_object_get(descriptor, "digest"), 71);
	json_int_t bytes = json_integer_value(size);

	if (!digest || blob_parse(out, digest) < 0 || !json_is_integer(size) || bytes < 0 ||
	    (uint64_t)bytes > max)
		return false;
	out->bytes = (uint64_t)bytes;
	return true;
}

static bool blob_of(const json_t *descriptor, uint64_t max, struct blob *out)
{
	return any_blob_of(descriptor, max, out) && !out->unsettled;
}

/* ---- manifests ------------------------------------------------------------------------- */

static void print_blob(struct buf *out, const char *media, const struct blob *blob)
{
	char digest[72];

	blob_text(digest, blob);
	buf_printf(out, "{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%llu}", media, digest,
	           (unsigned long long)blob->bytes);
}

static void print_note(struct buf *out, const char *prefix, const char *key, const char *value)
{
	AUTO(text) char *name = xprintf("%s%s", prefix, key);

	buf_add_byte(out, ',');
	text_add_json_string(out, name, strlen(name));
	buf_add_byte(out, ':');
	text_add_json_string(out, value, strlen(value));
}

void manifest_print(struct buf *out, const struct manifest *m, const struct config_rec *config)
{
	time_t seconds = (time_t)(config->created_ns / 1000000000u);
	struct tm tm = {0};
	char when[32] = "";

	gmtime_r(&seconds, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	buf_printf(out, "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_MANIFEST "\","
	                "\"artifactType\":\"" ARTIFACT_TYPE "\",\"config\":");
	print_blob(out, MEDIA_CONFIG, &m->config);
	buf_add_text(out, ",\"layers\":[");
	print_blob(out, MEDIA_STATE, &m->state);
	buf_add_text(out, ",");
	print_blob(out, MEDIA_TABLE, &m->table);
	for (size_t i = 0; i < m->n_pages; i++) {
		buf_add_text(out, ",");
		print_blob(out, MEDIA_PAGES, &m->pages[i]);
	}
	buf_printf(out, "],\"annotations\":{\"" NOTE_CREATED "\":\"%s\"", when);
	print_note(out, "", NOTE_KIND, config->kind);
	print_note(out, "", NOTE_PLATFORM, "linux/amd64");
	print_note(out, "", NOTE_PUBLIC, config->seal == CONFIG_PUBLIC ? "yes" : "no");
	LIST_EACH(&config->labels, const struct store_label, label)
		print_note(out, NOTE_LABEL, label->key, label->value);
	buf_add_text(out, "}}");
}

static bool layer_of(const json_t *layers, size_t i, const char *media, struct blob *out)
{
	const json_t *layer = json_array_get(layers, i);

	return text_is(json_object_get(layer, "mediaType"), media) &&
	       any_blob_of(layer, INT64_MAX, out);
}

int manifest_parse(struct span in, struct manifest *out, struct err *e)
{
	AUTO(json_t) json_t *json = os_json_parse(in, JSON_REJECT_DUPLICATES, "manifest", e);
	const json_t *layers = json_object_get(json, "layers");
	const json_t *config = json_object_get(json, "config");
	struct manifest m = {0};
	size_t n = json_array_size(layers);

	if (!json)
		return -EBADMSG;
	if (!text_is(json_object_get(json, "artifactType"), ARTIFACT_TYPE))
		return err_say(e, -EBADMSG, "manifest: not that of a snapshot of version 1");
	if (!text_is(json_object_get(config, "mediaType"), MEDIA_CONFIG) ||
	    !blob_of(config, CONFIG_MAX_BYTES, &m.config))
		return err_say(e, -EBADMSG, "manifest: its config is not that of a snapshot");
	if (n < 2 || n > 2 + BLOBS_MAX || !layer_of(layers, 0, MEDIA_STATE, &m.state) ||
	    !layer_of(layers, 1, MEDIA_TABLE, &m.table) || m.state.unsettled || m.table.unsettled)
		return err_say(e, -EBADMSG, "manifest: its layers are not those of a snapshot");
	for (m.n_pages = 0; m.n_pages < n - 2; m.n_pages++)
		if (!layer_of(layers, m.n_pages + 2, MEDIA_PAGES, &m.pages[m.n_pages]))
			return err_say(e, -EBADMSG, "manifest: layer %zu does not hold pages",
			               m.n_pages + 2);
	*out = m;
	return 0;
}

/* ---- index.json ------------------------------------------------------------------------ */

static json_t *index_manifests(const struct index *x)
{
	return json_object_get(x->json, "manifests");
}

static uint64_t generation_of(const json_t *notes, bool *found)
{
	const char *text = text_of(json_object_get(notes, NOTE_GENERATION), 20);
	uint64_t generation = 0;

	*found = text && text_to_u64(text, 10, GENERATION_MAX, &generation) == 0;
	return generation;
}

static void entry_parse(const json_t *descriptor, struct arena *a, struct entry *out)
{
	const json_t *notes = json_object_get(descriptor, "annotations");
	const char *name = text_of(json_object_get(notes, NOTE_NAME), STORE_NAME_MAX);
	const char *seal = text_of(json_object_get(notes, NOTE_SEAL), 2 * DIGEST_BYTES);
	const char *origin = text_of(json_object_get(notes, NOTE_ORIGIN), STORE_ORIGIN_MAX);
	bool numbered;

	/* A name that we would not have given is none: it could steer a terminal. */
	if (name && store_name_check(name, NULL) < 0)
		name = NULL;
	*out = (struct entry){.name = name ? arena_text(a, name) : NULL,
	                      .origin = arena_text(a, origin ? origin : "")};
	out->unsettled = text_of(json_object_get(notes, NOTE_UNSETTLED), 16) != NULL;
	out->ours = seal || text_is(json_object_get(descriptor, "artifactType"), ARTIFACT_TYPE);
	out->generation = generation_of(notes, &numbered);
	out->sealed = seal && numbered && name && strlen(seal) == 2 * DIGEST_BYTES &&
	              text_unhex(out->seal, seal, DIGEST_BYTES) == 0 &&
	              blob_of(descriptor, MANIFEST_MAX_BYTES, &out->manifest);
}

int index_parse(struct span in, struct arena *a, struct index *out, struct err *e)
{
	AUTO(json_t) json_t *json = os_json_parse(in, JSON_REJECT_DUPLICATES, "index.json", e);
	const json_t *manifests = json_object_get(json, "manifests");
	struct index x = {0};
	bool numbered;

	if (!json)
		return -EBADMSG;
	if (!json_is_array(manifests) ||
	    json_integer_value(json_object_get(json, "schemaVersion")) != 2)
		return err_say(e, -EBADMSG, "index.json is not an OCI image index");
	x.generation = generation_of(json_object_get(json, "annotations"), &numbered);
	for (size_t i = 0; i < json_array_size(manifests); i++) {
		struct entry *entry = LIST_ADD(&x.entries, a, struct entry);

		entry_parse(json_array_get(manifests, i), a, entry);
		x.generation = MAX(x.generation, entry->generation);
	}
	x.json = json;
	json = NULL;
	*out = x;
	return 0;
}

int index_read(struct store *s, struct arena *a, struct index *out, struct err *e)
{
	AUTO(buf) struct buf text = {0};
	int r = read_file(s->root_fd, "index.json", INDEX_MAX_BYTES, &text, e);

	if (r == -ENOENT)
		return err_say(e, -EBADMSG, "%s/index.json is missing", s->root);
	return r < 0 ? r : index_parse(buf_span(&text), a, out, e);
}

void index_finish(struct index *x)
{
	json_decref(x->json);
	x->json = NULL;
}

int index_find(const struct index *x, const char *name, const struct entry **out, struct err *e)
{
	const struct entry *found = NULL;

	LIST_EACH(&x->entries, const struct entry, entry) {
		if (!entry->name || strcmp(entry->name, name))
			continue;
		if (found)
			return err_say(e, -EBADMSG, "index.json has the name %s twice", name);
		found = entry;
	}
	if (!found)
		return err_say(e, -ENOENT, "there is no snapshot %s", name);
	*out = found;
	return 0;
}

int index_taken(const char *name, struct err *e)
{
	return err_say(e, -EEXIST,
	               "there is a snapshot %s already: choose another name, or say --replace",
	               name);
}

void index_drop(struct index *x, const char *name)
{
	json_t *manifests = index_manifests(x);

	for (size_t i = json_array_size(manifests); i--;) {
		const json_t *notes = json_object_get(json_array_get(manifests, i), "annotations");

		if (text_is(json_object_get(notes, NOTE_NAME), name))
			json_array_remove(manifests, i);
	}
}

void index_add(struct index *x, const struct entry *entry)
{
	json_t *notes = json_object_get(x->json, "annotations");
	char digest[72], seal[2 * DIGEST_BYTES + 1], generation[24], highest[24];
	json_t *descriptor;

	digest_text(digest, entry->manifest.digest);
	text_hex(seal, entry->seal, DIGEST_BYTES);
	snprintf(generation, sizeof(generation), "%llu", (unsigned long long)entry->generation);
	descriptor = json_pack("{s:s, s:s, s:s, s:I, s:{s:s, s:s, s:s}}", "mediaType",
	                       MEDIA_MANIFEST, "artifactType", ARTIFACT_TYPE, "digest", digest,
	                       "size", (json_int_t)entry->manifest.bytes, "annotations", NOTE_NAME,
	                       entry->name, NOTE_GENERATION, generation, NOTE_SEAL, seal);
	assert(descriptor); /* all of it is ASCII that we made */
	if (entry->origin && entry->origin[0])
		json_object_set_new(json_object_get(descriptor, "annotations"), NOTE_ORIGIN,
		                    json_string(entry->origin));
	if (entry->unsettled)
		json_object_set_new(json_object_get(descriptor, "annotations"), NOTE_UNSETTLED,
		                    json_string("true"));
	json_array_append_new(index_manifests(x), descriptor);
	if (!json_is_object(notes)) {
		notes = json_object();
		json_object_set_new(x->json, "annotations", notes);
	}
	/* What is settled keeps its generation, and others may have been given since. */
	snprintf(highest, sizeof(highest), "%llu",
	         (unsigned long long)MAX(x->generation, entry->generation));
	json_object_set_new(notes, NOTE_GENERATION, json_string(highest));
	x->generation = MAX(x->generation, entry->generation);
}

int index_prepare(const struct index *x, int dir_fd, int *out_fd, struct err *e)
{
	AUTO(text) char *text = json_dumps(x->json, JSON_INDENT(1) | JSON_ENSURE_ASCII);
	AUTO(fd) int fd = -1;
	int r;

	assert(text);
	FAULT_STEP("store-index-write", e);
	fd = openat(dir_fd, "index.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, -errno, "store: making the next index.json");
	r = write_all(fd, text, strlen(text), e, "index.json");
	if (r < 0)
		return r;
	push_file(fd, 0);
	*out_fd = take_fd(&fd);
	return 0;
}

int index_sync(int fd, struct err *e)
{
	FAULT_STEP("store-index-sync", e);
	return fsync(fd) < 0 ? err_set(e, -errno, "store: syncing index.json") : 0;
}

int index_publish(struct store *s, int dir_fd, struct err *e)
{
	FAULT_STEP("store-index-rename", e);
	if (renameat(dir_fd, "index.json", s->root_fd, "index.json") < 0)
		return err_set(e, -errno, "store: replacing index.json");
	return sync_dir(s->root_fd, "store-root-dir-sync", e);
}

static void json_digests(json_t *json, struct arena *a, struct list *out)
{
	for (size_t i = 0; i < json_array_size(json); i++)
		json_digests(json_array_get(json, i), a, out);
	for (void *it = json_object_iter(json); it; it = json_object_iter_next(json, it)) {
		json_t *value = json_object_iter_value(it);
		bool named = !strcmp(json_object_iter_key(it), "digest");
		const char *text = named ? text_of(value, 71) : NULL;
		struct blob blob;

		if (text && !blob_parse(&blob, text))
			memcpy(list_add(out, a, DIGEST_BYTES), blob.digest, DIGEST_BYTES);
		json_digests(value, a, out);
	}
}

int json_children(struct span in, struct arena *a, struct list *digests, struct list *manifests,
                  struct err *e)
{
	AUTO(json_t) json_t *json = os_json_parse(in, JSON_REJECT_DUPLICATES, "manifest", e);
	const json_t *list = json_object_get(json, "manifests");

	if (!json)
		return -EBADMSG;
	json_digests(json, a, digests);
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct blob blob;

		if (!blob_of(json_array_get(list, i), MANIFEST_MAX_BYTES, &blob))
			return err_say(e, -EBADMSG, "manifest: entry %zu names no blob of ours", i);
		*LIST_ADD(manifests, a, struct blob) = blob;
	}
	return 0;
}

/* ---- the seal of a name ---------------------------------------------------------------- */

static int entry_mac(const struct keys *keys, const struct entry *entry, uint8_t out[DIGEST_BYTES],
                     struct err *e)
{
	AUTO(buf) struct buf bytes = {0};
	struct ref_rec ref = {
		.name = entry->name,
		.bytes = entry->manifest.bytes,
		.generation = entry->generation,
		.origin = entry->origin,
	};

	memcpy(ref.manifest, entry->manifest.digest, DIGEST_BYTES);
	rec_encode(&bytes, &ref_type, &ref);
	return mac_of(keys->name, buf_span(&bytes), out, e);
}

int entry_seal(const struct keys *keys, struct entry *entry, struct err *e)
{
	return entry_mac(keys, entry, entry->seal, e);
}

int entry_check(const struct keys *keys, const struct entry *entry, struct err *e)
{
	uint8_t mac[DIGEST_BYTES];
	int r;

	if (!entry->ours)
		return err_say(e, -EBADMSG, "it is not a snapshot but an artifact of another tool");
	if (!entry->sealed)
		return err_say(e, -EBADMSG,
		               "its entry in index.json has no whole seal: it was damaged, or put "
		               "there by another tool");
	r = entry_mac(keys, entry, mac, e);
	if (r < 0)
		return r;
	if (!secret_equal(mac, entry->seal, DIGEST_BYTES))
		return err_say(
			e, -EBADMSG,
			"its entry in index.json is not what this store wrote: name, manifest "
			"or generation were changed, or it was sealed with another key");
	return 0;
}
