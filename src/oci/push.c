/* SPDX-License-Identifier: MIT */
/*
 * Blobs that go.
 *
 *	HEAD blobs/DIGEST		200: it is there
 *	POST blobs/uploads/?mount=	201: taken from another repository; 202: an upload begins
 *	POST blobs/uploads/		202 and a Location: an upload begins
 *	PATCH Location			some bytes; each answer has the next Location
 *	PUT Location?digest=		the last bytes; 201
 *	GET Location			204 and a Range: how many bytes are there
 *
 * A blob of one chunk is sent with the PUT alone. When anything goes wrong in between, the registry
 * is asked how far it has got, and we go on from there; if it does not remember the upload, it
 * begins anew. The address of an upload is handed to the caller as it changes, so that another
 * run of the program may go on with it.
 */
#include "oci/oci-int.h"

#include <stdio.h>
#include <string.h>

#define CHUNK_BYTES (16u << 20)
#define CHUNK_MAX_BYTES (1u << 30)
#define RESTARTS_MAX 3u

struct push {
	struct oci_client *c;
	struct endpoint *ep;
	const char *digest;
	uint64_t bytes;
	int fd;
	struct oci_upload *upload;
	uint64_t sent;
	uint64_t chunk;
	uint64_t told; /* what progress knows of */
};

static void set_location(struct push *p, const char *location)
{
	char *next = location ? xstrdup(location) : NULL;

	free(p->upload->location);
	p->upload->location = next;
	if (p->upload->moved)
		p->upload->moved(p->upload);
}

/* The newest Location counts, whatever it was the answer to. */
static int take_location(struct push *p, struct exchange *x, struct err *e)
{
	size_t at = 0;
	const char *location = exchange_field(x, "Location", &at), *field;
	struct url here;
	uint64_t least;

	if (!location || !url_parse(x->url, &x->arena, &here))
		return err_say(e, -EBADMSG, "%s begins an upload but does not say where",
		               p->ep->name);
	set_location(p, url_resolve(&here, location, &x->arena));
	at = 0;
	field = exchange_field(x, "OCI-Chunk-Min-Length", &at);
	if (field && !text_to_u64(field, 10, CHUNK_MAX_BYTES, &least))
		p->chunk = MAX(p->chunk, least);
	return 0;
}

static int refused(const struct push *p, const struct exchange *x, struct err *e)
{
	AUTO(text) char *what = xprintf("blob %s", p->digest);

	return client_refused(p->ep, x, what, e);
}

static int is_there(struct push *p, bool *there, struct err *e)
{
	AUTO(exchange) struct exchange x = {.method = "HEAD"};
	AUTO(text) char *path = xprintf("/blobs/%s", p->digest);
	int r = client_send(p->c, p->ep, path, SEND_FOLLOW, &x, e);

	if (!r && (x.status == 401 || x.status == 403))
		r = refused(p, &x, e);
	*there = !r && x.status == 200;
	return r;
}

/* Return: 0, the blob was mounted if @mounted, else an upload has begun. */
static int begin(struct push *p, bool *mounted, struct err *e)
{
	AUTO(exchange)
	struct exchange x = {.method = "POST", .has_body = true, .data = span_of_text("")};
	const char *from = p->c->options.mount_from;
	AUTO(text)
	char *path = from ? xprintf("/blobs/uploads/?mount=%s&from=%s", p->digest, from)
	                  : xstrdup("/blobs/uploads/");
	int r = client_send(p->c, p->ep, path, 0, &x, e);

	p->sent = 0;
	*mounted = !r && from && x.status == 201;
	if (r < 0 || *mounted)
		return r;
	if (x.status != 202)
		return refused(p, &x, e);
	return take_location(p, &x, e);
}

/* How far the registry has got. Return: 0; -ENOENT if it does not know of the upload. */
static int ask_status(struct push *p, struct err *e)
{
	AUTO(exchange) struct exchange x = {.method = "GET"};
	const char *field;
	size_t at = 0;
	int r = client_send(p->c, p->ep, p->upload->location, 0, &x, e);

	if (r < 0)
		return r;
	field = exchange_field(&x, "Range", &at);
	if (x.status != 204 || (field && upload_range_parse(field, &p->sent) < 0) ||
	    p->sent > p->bytes)
		return err_say(e, -ENOENT, "%s does not know of the upload any more", p->ep->name);
	if (!field)
		p->sent = 0;
	at = 0;
	return exchange_field(&x, "Location", &at) ? take_location(p, &x, e) : 0;
}

static void set_body(const struct push *p, struct exchange *x, uint64_t len)
{
	char range[64];

	x->has_body = true;
	x->fd = p->fd;
	x->offset = p->sent;
	x->bytes = len;
	exchange_header(x, "Content-Type", "application/octet-stream");
	if (!len)
		x->data = span_of_text("");
	snprintf(range, sizeof(range), "%llu-%llu", (unsigned long long)p->sent,
	         (unsigned long long)(p->sent + len - 1));
	if (len && len < p->bytes)
		exchange_header(x, "Content-Range", range);
}

/* Tells what is new, not what is sent for the second time. */
static void tell_progress(struct push *p)
{
	struct oci_progress *progress = p->c->options.progress;

	if (progress && p->sent > p->told)
		progress->moved(progress, p->sent - p->told);
	p->told = MAX(p->told, p->sent);
}

static int send_chunk(struct push *p, struct err *e)
{
	AUTO(exchange) struct exchange x = {.method = "PATCH"};
	const char *field;
	uint64_t got;
	size_t at = 0;
	int r;

	set_body(p, &x, p->chunk);
	r = client_send(p->c, p->ep, p->upload->location, SEND_ONCE, &x, e);
	if (r < 0)
		return r;
	if (x.status == 416 || x.status == 404)
		return err_say(e, -ECONNRESET, "%s lost count of an upload", p->ep->name);
	if (x.status != 202)
		return refused(p, &x, e);
	field = exchange_field(&x, "Range", &at);
	if (field && !upload_range_parse(field, &got) && got != p->sent + p->chunk)
		return err_say(e, -ECONNRESET, "%s lost count of an upload", p->ep->name);
	p->sent += p->chunk;
	return take_location(p, &x, e);
}

static int send_last(struct push *p, struct err *e)
{
	AUTO(exchange) struct exchange x = {.method = "PUT"};
	const char *before = strchr(p->upload->location, '?') ? "&" : "?";
	AUTO(text) char *url = xprintf("%s%sdigest=%s", p->upload->location, before, p->digest);
	int r;

	set_body(p, &x, p->bytes - p->sent);
	r = client_send(p->c, p->ep, url, SEND_ONCE, &x, e);
	if (r < 0)
		return r;
	if (x.status == 416 || x.status == 404)
		return err_say(e, -ECONNRESET, "%s lost count of an upload", p->ep->name);
	if (x.status != 201 && x.status != 204)
		return refused(p, &x, e);
	p->sent = p->bytes;
	set_location(p, NULL);
	return 0;
}

/* From where the upload is to its end, or to the first failure. */
static int send_rest(struct push *p, struct err *e)
{
	int r = 0;

	assert(p->upload->location); /* it has begun */
	while (!r && p->bytes - p->sent > p->chunk) {
		r = send_chunk(p, e);
		tell_progress(p);
	}
	if (!r)
		r = send_last(p, e);
	tell_progress(p);
	return r;
}

/* @how: unchanged if the blob was sent */
static int upload(struct push *p, enum oci_pushed *how, struct err *e)
{
	unsigned tries = 0, restarts = 0;
	bool mounted = false;
	int r;

	for (;;) {
		uint64_t before = p->sent;

		r = p->upload->location ? ask_status(p, e) : begin(p, &mounted, e);
		if (mounted) {
			*how = OCI_MOUNTED;
			return 0;
		}
		if (!r)
			r = send_rest(p, e);
		if (!r || r == -EACCES)
			return r;
		if (p->sent > before)
			tries = 0;
		if (r == -ENOENT && p->upload->location && ++restarts <= RESTARTS_MAX) {
			set_location(p, NULL);
			continue;
		}
		if (!client_retries(p->c, r, &tries, p->ep->name, 0))
			return r;
	}
}

int oci_blob_push(struct oci_client *c, const char *digest, uint64_t bytes, int fd,
                  struct oci_upload *up, enum oci_pushed *how, struct err *e)
{
	struct push p = {.c = c,
	                 .ep = client_registry(c),
	                 .digest = digest,
	                 .bytes = bytes,
	                 .fd = fd,
	                 .upload = up,
	                 .chunk = CHUNK_BYTES};
	enum oci_pushed done = OCI_SENT;
	bool there;
	int r = is_there(&p, &there, e);

	if (!r && there) {
		if (up->location)
			set_location(&p, NULL);
		done = OCI_WAS_THERE;
	} else if (!r) {
		r = upload(&p, &done, e);
	}
	if (!r && how)
		*how = done;
	return r;
}
