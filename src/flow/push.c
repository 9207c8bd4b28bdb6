/* SPDX-License-Identifier: MIT */
/* From the store to a registry. */
#include <string.h>

#include "flow/flow.h"
#include "flow/registry.h"
#include "os/os.h"
#include "store/transfer.h"

int flow_copy(struct store *store, const struct copy_snapshot *what, struct err *e)
{
	const struct store_options options = {.replace = what->replace,
	                                      .is_public = what->is_public,
	                                      .compression = STORE_COMPRESS_SMALL};

	return store_copy(store, what->name, what->copy, &options, e);
}

/* An upload that the store remembers. */
struct kept_upload {
	struct oci_upload upload; /* first, so that it is the kept one */
	struct store *store;
	char key[OCI_DIGEST_TEXT];
};

static void keep_upload(struct oci_upload *u)
{
	struct kept_upload *k = (struct kept_upload *)u;

	store_upload_save(k->store, k->key + strlen("sha256:"), u->location);
}

static int push_blob(struct store *store, struct oci_client *client, const struct oci_ref *ref,
                     const struct store_parcel_blob *b, struct push_result *result,
                     struct oci_progress *progress, struct err *e)
{
	struct kept_upload kept = {.upload = {.moved = keep_upload}, .store = store};
	AUTO(text) char *place = xprintf("%s/%s@%s", ref->host, ref->repository, b->digest);
	enum oci_pushed how;
	int r = oci_digest_of(span_of_text(place), kept.key, e);

	if (r < 0)
		return r;
	kept.upload.location = store_upload_load(store, kept.key + strlen("sha256:"));
	r = oci_blob_push(client, b->digest, b->bytes, b->fd, &kept.upload, &how, e);
	free(kept.upload.location);
	if (r < 0)
		return r;
	result->bytes += b->bytes;
	result->sent_bytes += how == OCI_SENT ? b->bytes : 0;
	result->sent += how == OCI_SENT;
	result->mounted += how == OCI_MOUNTED;
	result->were_there += how == OCI_WAS_THERE;
	if (how != OCI_SENT && progress)
		progress->moved(progress, b->bytes);
	return 0;
}

/* The manifest as it is to be in the registry. */
static int make_manifest(struct oci_client *client, const struct push_snapshot *what,
                         const struct oci_ref *ref, const struct store_parcel *parcel,
                         struct oci_options *options, struct buf *out, struct err *e)
{
	AUTO(oci_client) struct oci_client *other = NULL;
	AUTO(oci_manifest) struct oci_manifest image = {0};
	AUTO(arena) struct arena a = {0};
	struct oci_descriptor subject;
	struct oci_ref from;
	int r;

	if (!what->subject) {
		buf_add(out, parcel->manifest.data, parcel->manifest.len);
		return 0;
	}
	r = oci_ref_parse(what->subject, &a, &from, e);
	if (r < 0)
		return r;
	if (strcmp(from.host, ref->host) || strcmp(from.repository, ref->repository)) {
		struct oci_options reading = {.policy = options->policy,
		                              .insecure = options->insecure};

		r = oci_client_open(&from, &reading, &other, e);
	}
	if (!r)
		r = oci_manifest_get(other ? other : client, oci_ref_manifest(&from), &image, e);
	if (r < 0)
		return err_wrap(e, r, "subject %s", what->subject);
	subject = (struct oci_descriptor){
		.media = image.media, .digest = image.digest, .bytes = image.bytes.len};
	return oci_manifest_set_subject(parcel->manifest, &subject, out, e);
}

static int push(struct store *store, struct oci_client *client, const struct oci_ref *ref,
                const struct push_snapshot *what, const struct store_parcel *parcel,
                struct oci_options *options, struct push_result *result, struct err *e)
{
	AUTO(buf) struct buf manifest = {0};
	struct oci_descriptor self = {.media = OCI_MEDIA_MANIFEST, .digest = result->digest};
	/* A subject that is not there is told before gigabytes are sent. */
	int r = make_manifest(client, what, ref, parcel, options, &manifest, e);

	LIST_EACH(&parcel->blobs, const struct store_parcel_blob, b) {
		if (!r)
			r = push_blob(store, client, ref, b, result, what->progress, e);
	}
	if (!r)
		r = oci_digest_of(buf_span(&manifest), result->digest, e);
	self.bytes = manifest.len;
	/* Signed before the tag leads there: who pulls by the tag finds the signature. */
	if (!r && what->sign)
		r = oci_manifest_put(client, result->digest, OCI_MEDIA_MANIFEST,
		                     buf_span(&manifest), e);
	if (!r && what->sign)
		r = oci_sign(client, what->sign, &self, e);
	return r < 0 ? r
	             : oci_manifest_put(client, ref->tag, OCI_MEDIA_MANIFEST, buf_span(&manifest),
	                                e);
}

/* Another repository of the same registry that has the blobs, if we know of one. */
static const char *mountable(const struct store_meta *meta, const struct oci_ref *to,
                             struct arena *a)
{
	struct oci_ref from;

	if (!meta->origin[0] || oci_ref_parse(meta->origin, a, &from, NULL) < 0 ||
	    strcmp(from.host, to->host) || !strcmp(from.repository, to->repository))
		return NULL;
	return from.repository;
}

int flow_push(struct store *store, const struct push_snapshot *what, struct push_result *result,
              struct err *e)
{
	AUTO(arena) struct arena a = {0};
	AUTO(store_export) struct store_export *export = NULL;
	AUTO(oci_policy) struct oci_policy policy = {0};
	AUTO(oci_client) struct oci_client *client = NULL;
	struct oci_options options = {.policy = &policy,
	                              .progress = what->progress,
	                              .insecure = what->insecure,
	                              .push = true};
	const struct store_parcel *parcel;
	struct oci_ref ref;
	int r = oci_ref_parse(what->ref, &a, &ref, e);

	*result = (struct push_result){0};
	if (!r && ref.digest)
		r = err_say(e, -EINVAL, "push %s: a tag is needed, not a digest", what->ref);
	if (!r)
		r = store_export_open(store, what->name, &export, e);
	if (!r && !store_export_meta(export)->is_public && !what->sealed)
		r = err_say(
			e, OBSTACLE,
			"%s is sealed with this store's key, so nobody else could use it: publish "
			"a copy that all can read (wslx copy --public), or push it as it is, for "
			"yourself (--sealed)",
			what->name);
	if (!r)
		r = oci_policy_load(&policy, e);
	if (r < 0)
		return r;
	parcel = store_export_parcel(export);
	options.mount_from = mountable(store_export_meta(export), &ref, &a);
	if (what->progress)
		LIST_EACH(&parcel->blobs, const struct store_parcel_blob, b)
			what->progress->total += b->bytes;
	r = oci_client_open(&ref, &options, &client, e);
	if (!r)
		r = push(store, client, &ref, what, parcel, &options, result, e);
	return r < 0 ? err_wrap(e, r, "push %s", oci_ref_text(&ref, &a)) : 0;
}
