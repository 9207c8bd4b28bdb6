/* SPDX-License-Identifier: MIT */
/*
 * Blobs that come.
 *
 * A download is a file that grows. What is in it when we begin is hashed and taken as the blob's
 * beginning, and the rest is asked for by a range; what breaks off goes on from where it was. A
 * registry that answers with the whole blob (200 instead of 206) is taken at its word: the file
 * begins anew. So it does when only the head of the blob was asked for: what comes is the download,
 * rather than cut off and asked for once more. Only when all bytes are there is there a digest to
 * compare, so one wrong byte costs the file; it is then asked for once more in full, as the wrong
 * byte may be of an earlier try.
 */
#include "oci/oci-int.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define HASH_BYTES (256u << 10)

struct pull {
	struct http_sink sink; /* first, so that the sink is the pull */
	const char *digest;
	const char *name; /* of the endpoint */
	uint64_t bytes;
	int fd;
	uint64_t have;
	struct sha256 hash;
	struct oci_progress *progress;
	struct oci_head *head; /* asked for instead of the file; NULL: not, or not any more */
	size_t head_have;
};

static int start_over(struct pull *p, struct err *e)
{
	if (ftruncate(p->fd, 0) < 0)
		return err_set(e, -errno, "blob %s", p->digest);
	p->have = 0;
	sha256_finish(&p->hash);
	return sha256_begin(&p->hash, e);
}

/* Takes what the file has. */
static int hash_file(struct pull *p, struct err *e)
{
	uint8_t *room = xalloc(HASH_BYTES);
	struct stat st;
	int r = fstat(p->fd, &st) < 0 ? err_set(e, -errno, "blob %s", p->digest)
	                              : sha256_begin(&p->hash, e);

	if (!r && (uint64_t)st.st_size > p->bytes)
		r = start_over(p, e);
	else if (!r)
		p->have = (uint64_t)st.st_size;
	for (uint64_t at = 0; !r && at < p->have; at += HASH_BYTES) {
		size_t n = (size_t)MIN(HASH_BYTES, p->have - at);

		r = os_pread_all(p->fd, room, n, at);
		r = r < 0 ? err_set(e, r, "blob %s", p->digest) : sha256_add(&p->hash, room, n, e);
	}
	free(room);
	return r;
}

static int check_range(const struct exchange *x, const char *name, uint64_t offset, uint64_t bytes,
                       struct err *e)
{
	uint64_t first, last, total;
	size_t at = 0;
	const char *field = exchange_field(x, "Content-Range", &at);

	if (!field || content_range_parse(field, &first, &last, &total) < 0 || first != offset ||
	    (total != UINT64_MAX && total != bytes))
		return err_say(e, -EBADMSG, "%s sends another range than it was asked for", name);
	return 0;
}

static int pull_begin(struct http_sink *s, const struct exchange *x, struct err *e)
{
	struct pull *p = (struct pull *)s;

	p->head_have = 0;
	if (x->status == 206)
		return check_range(x, p->name, p->head ? 0 : p->have, p->bytes, e);
	if (p->head) {
		int r = p->head->whole ? p->head->whole(p->head, e) : 0;

		if (r < 0)
			return r;
		p->head = NULL;
		return start_over(p, e);
	}
	return p->have ? start_over(p, e) : 0;
}

static int take_head(struct pull *p, const uint8_t *data, size_t len, struct err *e)
{
	if (len > p->head->len - p->head_have)
		return err_say(e, -EBADMSG, "%s: more of blob %s than it was asked for", p->name,
		               p->digest);
	memcpy(p->head->bytes + p->head_have, data, len);
	p->head_have += len;
	if (p->progress)
		p->progress->moved(p->progress, len);
	return 0;
}

static int pull_write(struct http_sink *s, const uint8_t *data, size_t len, struct err *e)
{
	struct pull *p = (struct pull *)s;
	int r;

	if (p->head)
		return take_head(p, data, len, e);
	if (len > p->bytes - p->have)
		return err_say(e, -EBADMSG, "%s: blob %s is longer than its manifest says", p->name,
		               p->digest);
	r = os_pwrite_all(p->fd, data, len, p->have);
	if (r < 0)
		return err_set(e, r, "blob %s", p->digest);
	p->have += len;
	if (p->progress)
		p->progress->moved(p->progress, len);
	return sha256_add(&p->hash, data, len, e);
}

static void ask_range(const struct pull *p, struct exchange *x)
{
	char range[64];

	if (p->head)
		snprintf(range, sizeof(range), "bytes=0-%zu", p->head->len - 1);
	else
		snprintf(range, sizeof(range), "bytes=%llu-", (unsigned long long)p->have);
	if (p->head || p->have)
		exchange_header(x, "Range", range);
}

static bool has_come(const struct pull *p)
{
	return p->head ? p->head_have == p->head->len : p->have == p->bytes;
}

/* Asks for what is missing, once. */
static int pull_some(struct oci_client *c, struct endpoint *ep, struct pull *p, struct err *e)
{
	AUTO(exchange) struct exchange x = {.method = "GET", .sink = &p->sink};
	AUTO(text) char *path = xprintf("/blobs/%s", p->digest);
	AUTO(text) char *what = xprintf("blob %s", p->digest);
	int r;

	ask_range(p, &x);
	r = client_send(c, ep, path, SEND_FOLLOW, &x, e);
	if (!r && x.status == 416 && p->have)
		return start_over(p, e); /* and be called again */
	if (!r && x.status != 200 && x.status != 206)
		return client_refused(ep, &x, what, e);
	if (!r && !has_come(p))
		return err_say(e, -ECONNRESET, "%s: blob %s broke off after %llu of %llu bytes",
		               ep->name, p->digest,
		               (unsigned long long)(p->head ? p->head_have : p->have),
		               (unsigned long long)(p->head ? p->head->len : p->bytes));
	return r;
}

static int pull_all(struct oci_client *c, struct endpoint *ep, struct pull *p, struct err *e)
{
	unsigned tries = 0, restarts = 0;
	char digest[OCI_DIGEST_TEXT];
	int r;

	while (!has_come(p)) {
		uint64_t before = p->have;

		r = pull_some(c, ep, p, e);
		/* Whoever gets on may go on. */
		if (p->have > before)
			tries = 0;
		if (p->have < before && ++restarts > 2)
			return err_say(e, -EBADMSG, "%s: blob %s begins anew again and again",
			               ep->name, p->digest);
		if (r < 0 && !client_retries(c, r, &tries, ep->name, 0))
			return r;
	}
	if (p->head)
		return 0; /* of which there is no digest */
	r = sha256_text(&p->hash, digest, e);
	if (!r && strcmp(digest, p->digest)) {
		r = start_over(p, e);
		if (!r)
			r = err_say(e, -EBADMSG, "%s: blob %s arrived with other content", ep->name,
			            p->digest);
	}
	return r;
}

static int pull_from(struct oci_client *c, struct endpoint *ep, void *arg, struct err *e)
{
	struct pull *p = arg;
	int r;

	p->name = ep->name;
	r = pull_all(c, ep, p, e);
	return r == -EBADMSG && !p->have ? pull_all(c, ep, p, e) : r;
}

int oci_blob_pull(struct oci_client *c, const char *digest, uint64_t bytes, int fd, struct err *e)
{
	struct pull p = {.sink = {pull_begin, pull_write},
	                 .digest = digest,
	                 .bytes = bytes,
	                 .fd = fd,
	                 .progress = c->options.progress};
	int r = hash_file(&p, e);

	if (!r)
		r = client_read(c, pull_from, &p, e);
	sha256_finish(&p.hash);
	return r;
}

int oci_blob_begin(struct oci_client *c, const char *digest, uint64_t bytes, int fd,
                   struct oci_head *head, struct err *e)
{
	struct pull p = {.sink = {pull_begin, pull_write},
	                 .digest = digest,
	                 .bytes = bytes,
	                 .fd = fd,
	                 .progress = c->options.progress,
	                 .head = head};
	int r = sha256_begin(&p.hash, e);

	assert(head->len && head->len <= bytes);
	if (!r)
		r = client_read(c, pull_from, &p, e);
	sha256_finish(&p.hash);
	head->ranged = p.head != NULL;
	return r;
}

/* ---- some bytes -------------------------------------------------------------------------- */

struct span_read {
	struct http_sink sink; /* first, so that the sink is the read */
	const char *digest;
	const char *name;
	uint64_t blob_bytes, offset;
	uint8_t *out;
	size_t len;
	uint64_t skip; /* bytes that come before those that are wanted */
	size_t have;
	struct oci_progress *progress;
};

static int read_begin(struct http_sink *s, const struct exchange *x, struct err *e)
{
	struct span_read *r = (struct span_read *)s;

	r->have = 0;
	r->skip = x->status == 206 ? 0 : r->offset;
	return x->status == 206 ? check_range(x, r->name, r->offset, r->blob_bytes, e) : 0;
}

static int read_write(struct http_sink *s, const uint8_t *data, size_t len, struct err *e)
{
	struct span_read *r = (struct span_read *)s;
	size_t skip = (size_t)MIN(r->skip, len), n = MIN(len - skip, r->len - r->have);

	if (r->progress)
		r->progress->moved(r->progress, len);
	r->skip -= skip;
	memcpy(r->out + r->have, data + skip, n);
	r->have += n;
	/* Nobody wants the rest. */
	return r->have == r->len && skip + n < len ? -ECANCELED : 0;
}

static int read_from(struct oci_client *c, struct endpoint *ep, void *arg, struct err *e)
{
	struct span_read *s = arg;
	AUTO(text) char *path = xprintf("/blobs/%s", s->digest);
	AUTO(text) char *what = xprintf("blob %s", s->digest);
	char range[64];

	s->name = ep->name;
	snprintf(range, sizeof(range), "bytes=%llu-%llu", (unsigned long long)s->offset,
	         (unsigned long long)(s->offset + s->len - 1));
	for (unsigned tries = 0;;) {
		AUTO(exchange) struct exchange x = {.method = "GET", .sink = &s->sink};
		int r;

		s->have = 0;
		exchange_header(&x, "Range", range);
		r = client_send(c, ep, path, SEND_FOLLOW, &x, e);
		if ((!r || r == -ECANCELED) && s->have == s->len)
			return 0;
		if (!r && x.status != 200 && x.status != 206)
			return client_refused(ep, &x, what, e);
		if (!r)
			r = err_say(e, -ECONNRESET, "%s: blob %s broke off", ep->name, s->digest);
		/* What has not begun to come was tried again already. */
		if (!x.sink_used || !client_retries(c, r, &tries, ep->name, 0))
			return r;
	}
}

int oci_blob_read(struct oci_client *c, const char *digest, uint64_t blob_bytes, uint64_t offset,
                  uint8_t *out, size_t len, struct err *e)
{
	struct span_read s = {.sink = {read_begin, read_write},
	                      .digest = digest,
	                      .blob_bytes = blob_bytes,
	                      .offset = offset,
	                      .len = len,
	                      .progress = c->options.progress};

	assert(len && offset <= blob_bytes && len <= blob_bytes - offset);
	s.out = out;
	return client_read(c, read_from, &s, e);
}

/* ---- small blobs ------------------------------------------------------------------------- */

int oci_blob_get(struct oci_client *c, const char *digest, uint64_t bytes, struct buf *out,
                 struct err *e)
{
	char found[OCI_DIGEST_TEXT];
	int r = 0;

	if (bytes > OCI_MANIFEST_MAX_BYTES)
		return err_say(e, -EFBIG, "blob %s is too large", digest);
	out->len = 0;
	if (bytes)
		r = oci_blob_read(c, digest, bytes, 0, buf_extend(out, (size_t)bytes),
		                  (size_t)bytes, e);
	if (!r)
		r = oci_digest_of(buf_span(out), found, e);
	if (!r && strcmp(found, digest))
		r = err_say(e, -EBADMSG, "blob %s arrived with other content", digest);
	return r;
}
