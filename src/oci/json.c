/* SPDX-License-Identifier: MIT */
/*
 * All that is JSON: manifests, indexes, errors and tokens of registries, and the files in which
 * credentials and trust are written down. Functions of bytes. Of what others made, what we do not
 * know is skipped; of the file that says whom to trust it is refused.
 */
#include "oci/oci-int.h"

#include <string.h>

#include "os/json.h"

#define LAYERS_MAX 65536

static json_t *parse(struct span in, const char *what, struct err *e)
{
	return os_json_parse(in, JSON_REJECT_DUPLICATES, what, e);
}

static const char *get_text(const json_t *object, const char *key)
{
	return os_json_text(json_object_get(object, key));
}

static const char *copy_text(const json_t *object, const char *key, struct arena *a)
{
	const char *value = get_text(object, key);

	return value ? arena_text(a, value) : "";
}

static void print(const json_t *json, size_t flags, struct buf *out)
{
	char *text = json_dumps(json, flags | JSON_ENSURE_ASCII);

	assert(text);
	buf_add_text(out, text);
	free(text);
}

/* ---- manifests ------------------------------------------------------------------------- */

static bool descriptor_of(const json_t *json, struct arena *a, struct oci_descriptor *out)
{
	const json_t *platform = json_object_get(json, "platform");
	const json_t *size = json_object_get(json, "size");
	const char *digest = get_text(json, "digest");

	if (!digest || !oci_digest_valid(digest) || !json_is_integer(size) ||
	    json_integer_value(size) < 0)
		return false;
	*out = (struct oci_descriptor){
		.media = copy_text(json, "mediaType", a),
		.digest = arena_text(a, digest),
		.bytes = (uint64_t)json_integer_value(size),
		.artifact_type = copy_text(json, "artifactType", a),
		.architecture = copy_text(platform, "architecture", a),
		.os = copy_text(platform, "os", a),
	};
	return true;
}

static json_t *descriptor_json(const struct oci_descriptor *d)
{
	json_t *json = json_pack("{s:s, s:s, s:I}", "mediaType", d->media, "digest", d->digest,
	                         "size", (json_int_t)d->bytes);

	assert(json);
	if (d->artifact_type && d->artifact_type[0])
		json_object_set_new(json, "artifactType", json_string(d->artifact_type));
	return json;
}

int oci_manifest_outline(struct span in, struct arena *a, struct oci_outline *out, struct err *e)
{
	AUTO(json_t) json_t *json = parse(in, "manifest", e);
	const json_t *manifests = json_object_get(json, "manifests");
	const json_t *config = json_object_get(json, "config");
	const json_t *subject = json_object_get(json, "subject");
	const json_t *items = manifests ? manifests : json_object_get(json, "layers");
	struct oci_outline o = {.is_index = manifests != NULL};

	if (!json)
		return -EBADMSG;
	if (json_integer_value(json_object_get(json, "schemaVersion")) != 2 ||
	    !json_is_array(items) || json_array_size(items) > LAYERS_MAX)
		return err_say(e, -EBADMSG, "manifest: neither an image nor an index of version 2");
	for (size_t i = 0; i < json_array_size(items); i++)
		if (!descriptor_of(json_array_get(items, i), a,
		                   LIST_ADD(&o.layers, a, struct oci_descriptor)))
			return err_say(e, -EBADMSG, "manifest: part %zu has no digest and size", i);
	if (config && !descriptor_of(config, a, &o.config))
		return err_say(e, -EBADMSG, "manifest: its config has no digest and size");
	if (subject && !descriptor_of(subject, a, &o.subject))
		return err_say(e, -EBADMSG, "manifest: its subject has no digest and size");
	o.artifact_type = copy_text(json, "artifactType", a);
	if (!o.artifact_type[0] && config)
		o.artifact_type = o.config.media;
	*out = o;
	return 0;
}

int oci_manifest_set_subject(struct span in, const struct oci_descriptor *subject, struct buf *out,
                             struct err *e)
{
	AUTO(json_t) json_t *json = parse(in, "manifest", e);

	if (!json)
		return -EBADMSG;
	if (!json_is_object(json))
		return err_say(e, -EBADMSG, "manifest: not an object");
	json_object_set_new(json, "subject", descriptor_json(subject));
	print(json, JSON_COMPACT, out);
	return 0;
}

static json_t *empty_index(void)
{
	return json_pack("{s:i, s:s, s:[]}", "schemaVersion", 2, "mediaType", OCI_MEDIA_INDEX,
	                 "manifests");
}

int json_index_add(struct span in, struct span manifest, const struct oci_descriptor *entry,
                   struct buf *out, bool *changed, struct err *e)
{
	AUTO(json_t) json_t *json = in.len ? parse(in, "index of referrers", e) : empty_index();
	AUTO(json_t) json_t *referrer = parse(manifest, "manifest", e);
	json_t *list = json_object_get(json, "manifests"), *added, *notes;

	if (!json || !referrer)
		return -EBADMSG;
	if (!json_is_array(list))
		return err_say(e, -EBADMSG, "index of referrers: not an index");
	*changed = true;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *digest = get_text(json_array_get(list, i), "digest");

		if (digest && !strcmp(digest, entry->digest))
			*changed = false;
	}
	added = descriptor_json(entry);
	notes = json_object_get(referrer, "annotations");
	if (notes)
		json_object_set(added, "annotations", notes);
	if (*changed)
		json_array_append(list, added);
	json_decref(added);
	print(json, JSON_COMPACT, out);
	return 0;
}

#define EMPTY_DIGEST "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

void json_signature(const struct oci_descriptor *subject, const char *layer_digest,
                    uint64_t layer_bytes, const char *key_id, struct buf *out)
{
	AUTO(json_t)
	json_t *json =
		json_pack("{s:i, s:s, s:s, s:{s:s, s:s, s:i}, s:[{s:s, s:s, s:I}], s:o, s:{s:s}}",
	                  "schemaVersion", 2, "mediaType", OCI_MEDIA_MANIFEST, "artifactType",
	                  OCI_SIGNATURE_TYPE, "config", "mediaType", OCI_MEDIA_EMPTY, "digest",
	                  EMPTY_DIGEST, "size", 2, "layers", "mediaType", OCI_SIGNATURE_TYPE,
	                  "digest", layer_digest, "size", (json_int_t)layer_bytes, "subject",
	                  descriptor_json(subject), "annotations", "vnd.wslx.key", key_id);

	assert(json);
	print(json, JSON_COMPACT, out);
}

/* ---- what a registry answers ------------------------------------------------------------- */

const char *json_error_text(struct span in, struct arena *a)
{
	AUTO(json_t) json_t *json = parse(in, "", NULL);
	const json_t *first = json_array_get(json_object_get(json, "errors"), 0);
	const char *code = get_text(first, "code"), *message = get_text(first, "message");
	char *text;

	if (!code && !message)
		message = get_text(json, "details"); /* of a token server */
	if (!code && !message)
		return "";
	text = arena_printf(a, "%.60s%s%.120s", code ? code : "", code && message ? ": " : "",
	                    message ? message : "");
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = ' ';
	return text;
}

int json_token(struct span in, struct arena *a, struct token *out, struct err *e)
{
	AUTO(json_t) json_t *json = parse(in, "token", e);
	const char *text = get_text(json, "token");
	json_int_t seconds = json_integer_value(json_object_get(json, "expires_in"));

	if (!json)
		return -EBADMSG;
	if (!text)
		text = get_text(json, "access_token");
	if (!text || !*text)
		return err_say(e, -EBADMSG, "token: the answer has none");
	for (const char *c = text; *c; c++)
		if (*c <= ' ' || *c >= 127)
			return err_say(e, -EBADMSG, "token: it has characters that no token has");
	out->text = arena_text(a, text);
	/* The specification's default, and its advice not to trust less. */
	out->expires_in_s = seconds < 60 ? 60 : (uint64_t)seconds;
	return 0;
}

/* ---- credentials ----------------------------------------------------------------------- */

/* base64 of "user:password" */
static bool split_auth(const char *text, struct arena *a, struct credentials *out)
{
	AUTO(buf) struct buf plain = {0};
	char *copy, *colon;

	if (base64_decode(text, &plain) < 0 || memchr(plain.data, 0, plain.len))
		return false;
	copy = arena_text(a, buf_text(&plain));
	forget(plain.data, plain.len);
	colon = strchr(copy, ':');
	if (!colon)
		return false;
	*colon = 0;
	out->user = copy;
	out->password = colon + 1;
	return true;
}

static const json_t *auth_of(const json_t *json, const char *key)
{
	const json_t *auths = json_object_get(json, "auths");
	AUTO(text) char *https = xprintf("https://%s", key);
	AUTO(text) char *v1 = xprintf("https://%s/v1/", key);
	const json_t *entry = json_object_get(auths, key);

	if (!entry)
		entry = json_object_get(auths, https);
	return entry ? entry : json_object_get(auths, v1);
}

int json_auths_find(struct span in, const char *key, struct arena *a, struct credentials *out,
                    const char **helper, struct err *e)
{
	AUTO(json_t) json_t *json = parse(in, "credentials", e);
	const json_t *entry = auth_of(json, key);
	const char *name = get_text(json_object_get(json, "credHelpers"), key);
	const char *auth = get_text(entry, "auth"), *identity = get_text(entry, "identitytoken");

	if (!json)
		return -EBADMSG;
	if (!name)
		name = get_text(json, "credsStore");
	if (name && *name)
		*helper = arena_text(a, name);
	if (auth && *auth && !split_auth(auth, a, out))
		return err_say(e, -EBADMSG, "credentials: those of %s make no sense", key);
	if (identity && *identity)
		out->identity = arena_text(a, identity);
	if (!out->user && get_text(entry, "username")) {
		out->user = copy_text(entry, "username", a);
		out->password = copy_text(entry, "password", a);
	}
	return 0;
}

int json_auths_set(struct span in, const char *key, const char *auth, struct buf *out, bool *found,
                   struct err *e)
{
	AUTO(json_t) json_t *json = in.len ? parse(in, "credentials", e) : json_object();
	json_t *auths = json_object_get(json, "auths");

	if (!json)
		return -EBADMSG;
	if (!json_is_object(json) || (auths && !json_is_object(auths)))
		return err_say(e, -EBADMSG, "credentials: the file is not one of docker's");
	*found = json_object_get(auths, key) != NULL;
	if (!auths) {
		auths = json_object();
		json_object_set_new(json, "auths", auths);
	}
	if (auth)
		json_object_set_new(auths, key, json_pack("{s:s}", "auth", auth));
	else
		json_object_del(auths, key);
	print(json, JSON_INDENT(2), out);
	buf_add_byte(out, '\n');
	return 0;
}

int json_helper_answer(struct span in, struct arena *a, struct credentials *out, struct err *e)
{
	AUTO(json_t) json_t *json = parse(in, "credential helper", e);
	const char *user = get_text(json, "Username"), *secret = get_text(json, "Secret");

	if (!json)
		return -EBADMSG;
	if (!user || !secret)
		return err_say(e, -EBADMSG, "credential helper: no Username and Secret");
	if (!strcmp(user, "<token>")) {
		out->identity = arena_text(a, secret);
		return 0;
	}
	out->user = arena_text(a, user);
	out->password = arena_text(a, secret);
	return 0;
}

void json_helper_question(const char *key, const char *user, const char *password, struct buf *out)
{
	buf_add_text(out, "{\"ServerURL\":");
	text_add_json_string(out, key, strlen(key));
	buf_add_text(out, ",\"Username\":");
	text_add_json_string(out, user, strlen(user));
	buf_add_text(out, ",\"Secret\":");
	text_add_json_string(out, password, strlen(password));
	buf_add_text(out, "}\n");
}

/* ---- the policy file ------------------------------------------------------------------- */

static int texts_of(const json_t *json, const char *what, struct arena *a, struct list *out,
                    struct err *e)
{
	if (!json_is_array(json))
		return err_say(e, -EBADMSG, "%s is not a list", what);
	for (size_t i = 0; i < json_array_size(json); i++) {
		const char *text = os_json_text(json_array_get(json, i));

		if (!text || !*text)
			return err_say(e, -EBADMSG, "%s: item %zu is not a text", what, i);
		*LIST_ADD(out, a, const char *) = arena_text(a, text);
	}
	return 0;
}

static int registry_of(const char *match, const json_t *json, struct arena *a,
                       struct oci_registry *out, struct err *e)
{
	const char *key;
	json_t *value;
	int r = 0;

	*out = (struct oci_registry){.match = arena_text(a, match)};
	if (!json_is_object(json))
		return err_say(e, -EBADMSG, "%s is not an object", match);
	json_object_foreach((json_t *)(uintptr_t)json, key, value)
	{
		if (!strcmp(key, "mirrors"))
			r = texts_of(value, "mirrors", a, &out->mirrors, e);
		else if (!strcmp(key, "signed-by"))
			r = texts_of(value, "signed-by", a, &out->keys, e);
		else if (!strcmp(key, "ca") && os_json_text(value))
			out->ca = arena_text(a, os_json_text(value));
		else if (!strcmp(key, "insecure") && json_is_boolean(value))
			out->insecure = json_is_true(value);
		else if (!strcmp(key, "stall-seconds") && json_integer_value(value) > 0)
			out->stall_s = (uint64_t)json_integer_value(value);
		else
			r = err_say(e, -EBADMSG, "%s: \"%.40s\" is not understood", match, key);
		if (r < 0)
			return r;
	}
	/* An empty list is a rule that nothing can meet; it was surely not meant. */
	if (json_object_get(json, "signed-by") && !out->keys.count)
		return err_say(e, -EBADMSG, "%s: signed-by names no key", match);
	return 0;
}

int oci_policy_parse(struct span in, struct oci_policy *out, struct err *e)
{
	AUTO(json_t) json_t *json = parse(in, "registries", e);
	json_t *registries = json_object_get(json, "registries"), *value;
	struct oci_policy p = {0};
	const char *key;
	int r = 0;

	if (!json)
		return -EBADMSG;
	if (!json_is_object(registries) || json_object_size(json) != 1)
		return err_say(e, -EBADMSG, "registries: {\"registries\": {...}} is expected");
	json_object_foreach(registries, key, value)
	{
		if (!r)
			r = registry_of(key, value, &p.arena,
			                LIST_ADD(&p.registries, &p.arena, struct oci_registry), e);
	}
	if (r < 0) {
		oci_policy_finish(&p);
		return err_wrap(e, r, "registries");
	}
	*out = p;
	return 0;
}
