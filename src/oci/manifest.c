/* SPDX-License-Identifier: MIT */
/*
 * Manifests, and what refers to them.
 *
 * What refers to a manifest is asked of the referrers API. A registry that has none answers 404;
 * then those who push keep an index under the tag "sha256-HEX" of what they refer to. A
 * registry that has it says OCI-Subject when a manifest with a subject is put.
 */
#include "oci/oci-int.h"

#include <stdio.h>
#include <string.h>

#define ACCEPT                                                                                     \
	OCI_MEDIA_MANIFEST ", " OCI_MEDIA_INDEX                                                    \
			   ", application/vnd.docker.distribution.manifest.v2+json"                \
			   ", application/vnd.docker.distribution.manifest.list.v2+json"
#define PAGES_MAX 64u /* of one list of referrers */

void oci_manifest_finish(struct oci_manifest *m)
{
	buf_finish(&m->bytes);
}

/* ---- get ------------------------------------------------------------------------------- */

struct get_manifest {
	const char *reference;
	struct oci_manifest *out;
};

static int get_manifest(struct oci_client *c, struct endpoint *ep, void *arg, struct err *e)
{
	const struct get_manifest *g = arg;
	AUTO(exchange) struct exchange x = {.method = "GET", .body_max = OCI_MANIFEST_MAX_BYTES};
	AUTO(text) char *path = xprintf("/manifests/%s", g->reference);
	AUTO(text) char *what = xprintf("%s:%s", ep->repository, g->reference);
	const char *media;
	size_t at = 0;
	int r;

	if (oci_digest_valid(g->reference))
		what[strlen(ep->repository)] = '@';
	exchange_header(&x, "Accept", ACCEPT);
	r = client_send(c, ep, path, SEND_FOLLOW, &x, e);
	if (!r && x.status != 200)
		r = client_refused(ep, &x, what, e);
	if (!r)
		r = oci_digest_of(buf_span(&x.body), g->out->digest, e);
	if (!r && oci_digest_valid(g->reference) && strcmp(g->reference, g->out->digest))
		r = err_say(e, -EBADMSG, "%s: the manifest %s arrived with other content", ep->name,
		            what);
	if (r < 0)
		return r;
	media = exchange_field(&x, "Content-Type", &at);
	snprintf(g->out->media, sizeof(g->out->media), "%.*s",
	         media ? (int)strcspn(media, "; ") : 0, media ? media : "");
	buf_finish(&g->out->bytes);
	g->out->bytes = x.body;
	x.body = (struct buf){0};
	return 0;
}

int oci_manifest_get(struct oci_client *c, const char *reference, struct oci_manifest *out,
                     struct err *e)
{
	struct get_manifest g = {reference, out};

	return client_read(c, get_manifest, &g, e);
}

/* ---- put ------------------------------------------------------------------------------- */

static int put(struct oci_client *c, const char *reference, const char *media, struct span bytes,
               bool *knows_subjects, struct err *e)
{
	AUTO(exchange) struct exchange x = {.method = "PUT", .has_body = true, .data = bytes};
	AUTO(text) char *path = xprintf("/manifests/%s", reference);
	struct endpoint *ep = client_registry(c);
	AUTO(text) char *what = xprintf("%s:%s", ep->repository, reference);
	size_t at = 0;
	int r;

	exchange_header(&x, "Content-Type", media);
	r = client_send(c, ep, path, 0, &x, e);
	if (!r && x.status != 201 && x.status != 200)
		r = client_refused(ep, &x, what, e);
	*knows_subjects = exchange_field(&x, "OCI-Subject", &at) != NULL;
	return r;
}

static void fallback_tag(char out[OCI_DIGEST_TEXT], const char *digest)
{
	memcpy(out, digest, OCI_DIGEST_TEXT);
	out[strlen("sha256")] = '-';
}

/* The registry does not note who refers to what, so we do. */
static int add_referrer(struct oci_client *c, struct span manifest, const char *media,
                        const struct oci_outline *outline, struct err *e)
{
	AUTO(oci_manifest) struct oci_manifest before = {0};
	AUTO(buf) struct buf after = {0};
	char tag[OCI_DIGEST_TEXT], digest[OCI_DIGEST_TEXT];
	struct oci_descriptor entry = {.media = media,
	                               .digest = digest,
	                               .bytes = manifest.len,
	                               .artifact_type = outline->artifact_type};
	bool changed, ignored;
	int r = oci_digest_of(manifest, digest, e);

	fallback_tag(tag, outline->subject.digest);
	if (!r)
		r = oci_manifest_get(c, tag, &before, e);
	if (r == -ENOENT)
		r = 0;
	if (!r)
		r = json_index_add(buf_span(&before.bytes), manifest, &entry, &after, &changed, e);
	if (!r && changed)
		r = put(c, tag, OCI_MEDIA_INDEX, buf_span(&after), &ignored, e);
	return r < 0 ? err_wrap(e, r, "list of referrers") : 0;
}

int oci_manifest_put(struct oci_client *c, const char *reference, const char *media,
                     struct span bytes, struct err *e)
{
	AUTO(arena) struct arena a = {0};
	struct oci_outline outline;
	bool knows_subjects;
	int r = oci_manifest_outline(bytes, &a, &outline, e);

	if (!r)
		r = put(c, reference, media, bytes, &knows_subjects, e);
	if (!r && outline.subject.digest && !knows_subjects)
		r = add_referrer(c, bytes, media, &outline, e);
	return r;
}

/* ---- referrers ------------------------------------------------------------------------- */

struct get_referrers {
	const char *digest;
	struct arena *a;
	struct list *out;
};

/* One page. @next: the address of the next, or NULL */
static int get_page(struct oci_client *c, struct endpoint *ep, const char *path,
                    struct get_referrers *g, const char **next, struct err *e)
{
	AUTO(exchange) struct exchange x = {.method = "GET", .body_max = OCI_MANIFEST_MAX_BYTES};
	struct oci_outline outline;
	const char *field, *link = NULL;
	struct url here;
	size_t at = 0;
	int r;

	exchange_header(&x, "Accept", OCI_MEDIA_INDEX);
	r = client_send(c, ep, path, SEND_FOLLOW, &x, e);
	if (r < 0)
		return r;
	/* Not every registry that has no such API says 404 to it. */
	if (x.status == 404 || x.status == 405 || x.status == 400)
		return -ENOENT;
	if (x.status != 200)
		return client_refused(ep, &x, "the list of referrers", e);
	r = oci_manifest_outline(buf_span(&x.body), g->a, &outline, e);
	if (r < 0 || !outline.is_index)
		return -ENOENT; /* a page for people */
	LIST_EACH(&outline.layers, const struct oci_descriptor, d)
		*LIST_ADD(g->out, g->a, struct oci_descriptor) = *d;
	while (!link && (field = exchange_field(&x, "Link", &at)))
		link = link_next(field, g->a);
	*next = link && url_parse(x.url, g->a, &here) ? url_resolve(&here, link, g->a) : NULL;
	return 0;
}

static int get_referrers(struct oci_client *c, struct endpoint *ep, void *arg, struct err *e)
{
	struct get_referrers *g = arg;
	const char *path = arena_printf(g->a, "/referrers/%s", g->digest), *next;

	g->out->count = 0;
	for (unsigned page = 0; page < PAGES_MAX; page++) {
		int r = get_page(c, ep, path, g, &next, e);

		if (r < 0 || !next)
			return r;
		path = next;
	}
	return err_say(e, -EBADMSG, "%s: the list of referrers does not end", ep->name);
}

static int get_fallback(struct oci_client *c, struct get_referrers *g, struct err *e)
{
	AUTO(oci_manifest) struct oci_manifest m = {0};
	struct oci_outline outline = {0};
	char tag[OCI_DIGEST_TEXT];
	int r;

	fallback_tag(tag, g->digest);
	r = oci_manifest_get(c, tag, &m, e);
	if (!r)
		r = oci_manifest_outline(buf_span(&m.bytes), g->a, &outline, e);
	if (!r)
		*g->out = outline.layers;
	return r;
}

int oci_referrers(struct oci_client *c, const char *digest, const char *type, struct arena *a,
                  struct list *out, struct err *e)
{
	struct list all = {0};
	struct get_referrers g = {digest, a, &all};
	int r = client_read(c, get_referrers, &g, e);

	if (r == -ENOENT)
		r = get_fallback(c, &g, e);
	if (r == -ENOENT) {
		all.count = 0;
		r = 0;
	}
	if (r < 0)
		return r;
	*out = (struct list){0};
	LIST_EACH(&all, const struct oci_descriptor, d)
		if (!type || !strcmp(d->artifact_type, type))
			*LIST_ADD(out, a, struct oci_descriptor) = *d;
	return 0;
}
