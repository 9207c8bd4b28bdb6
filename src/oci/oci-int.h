/* SPDX-License-Identifier: MIT */
/*
 * What the files of this room share. From the bottom up:
 *
 *	reference.c    references and hosts
 *	header.c       header fields and addresses
 *	json.c         manifests, indexes, errors, tokens, the policy file: all that is JSON
 *	crypto.c       SHA-256 and ed25519: the only file that knows OpenSSL
 *	curl.c         one request and its answer: the only file that knows libcurl
 *	credentials.c  where names and passwords are kept, and their helpers
 *	auth.c         the right to do what we ask for: challenges and tokens
 *	client.c       endpoints, redirects, retries
 *	manifest.c     manifests and referrers
 *	pull.c         blobs that come
 *	push.c         blobs that go
 *	sign.c         signatures
 */
#ifndef WSLX_OCI_INT_H
#define WSLX_OCI_INT_H

#include <pthread.h>

#include "oci/hash.h"
#include "oci/oci.h"
#include "os/os.h"

/* ---- reference.c ----------------------------------------------------------------------- */

bool host_valid(const char *host);
MUST_CHECK int host_parse(const char *text, struct arena *a, const char **out, struct err *e);

/* ---- header.c -------------------------------------------------------------------------- */

/* Functions of bytes; what comes out is in the arena. */

struct challenge {
	const char *scheme; /* as it was spelled */
	const char *realm, *service, *scope, *error;
};
/* All challenges of a WWW-Authenticate field, appended to @out. */
void challenges_parse(const char *text, struct arena *a, struct list *out);
/* The target of rel="next" in a Link field, or NULL. */
const char *link_next(const char *text, struct arena *a);
/* "0-99" of an upload: 100 bytes are there. Return: 0; -EINVAL. */
MUST_CHECK int upload_range_parse(const char *text, uint64_t *received);
/* "bytes 0-99/1000"; a total that is not told is UINT64_MAX. Return: 0; -EINVAL. */
MUST_CHECK int content_range_parse(const char *text, uint64_t *first, uint64_t *last,
                                   uint64_t *total);
/* Seconds or a date. Return: 0; -EINVAL. */
MUST_CHECK int retry_after_parse(const char *text, int64_t now_s, uint64_t *wait_s);

struct url {
	bool https;
	const char *host; /* with the port */
	const char *path; /* from the slash on, with the query */
};
bool url_parse(const char *text, struct arena *a, struct url *out);
/* What a Location means on the page @base. */
const char *url_resolve(const struct url *base, const char *text, struct arena *a);
/* Whether an address is at a host, be its usual port spelled out or not. */
bool host_is(const struct url *url, const char *host);
bool host_is_loopback(const char *host);

/* ---- json.c ---------------------------------------------------------------------------- */

/* What a registry says about an error, in one line; "" if it says nothing. */
const char *json_error_text(struct span in, struct arena *a);

struct token {
	const char *text;
	uint64_t expires_in_s;
};
MUST_CHECK int json_token(struct span in, struct arena *a, struct token *out, struct err *e);

/* An index of referrers with one more, or as it is if it has it. @in empty: a new one. */
MUST_CHECK int json_index_add(struct span in, struct span manifest,
                              const struct oci_descriptor *entry, struct buf *out, bool *changed,
                              struct err *e);
/* A signature's manifest. */
void json_signature(const struct oci_descriptor *subject, const char *layer_digest,
                    uint64_t layer_bytes, const char *key_id, struct buf *out);

/* What is kept for a registry. */
struct credentials {
	const char *user; /* NULL: none */
	const char *password;
	const char *identity; /* an identity token instead; or NULL */
};

/*
 * Docker's config.json. @key: a registry's name there. What is not there leaves the outputs NULL.
 */
MUST_CHECK int json_auths_find(struct span in, const char *key, struct arena *a,
                               struct credentials *out, const char **helper, struct err *e);
/* @auth: base64 of user and password; NULL removes the entry. @found: there was one */
MUST_CHECK int json_auths_set(struct span in, const char *key, const char *auth, struct buf *out,
                              bool *found, struct err *e);
MUST_CHECK int json_helper_answer(struct span in, struct arena *a, struct credentials *out,
                                  struct err *e);
void json_helper_question(const char *key, const char *user, const char *password, struct buf *out);

/* ---- crypto.c -------------------------------------------------------------------------- */

#define SIGNATURE_BYTES 64
/* The key's own digest goes to @key_id: that of its public half. */
MUST_CHECK int ed25519_sign(const char *key_file, struct span message, uint8_t out[SIGNATURE_BYTES],
                            char key_id[OCI_DIGEST_TEXT], struct err *e);
/* Return: 0; -EKEYREJECTED, without a sentence, if the signature is not by that key. */
MUST_CHECK int ed25519_verify(const char *key_file, struct span message, struct span signature,
                              struct err *e);
void base64_encode(struct span in, struct buf *out);
MUST_CHECK int base64_decode(const char *text, struct buf *out);
void forget(void *data, size_t len);

/* ---- curl.c ---------------------------------------------------------------------------- */

struct http;
struct exchange;

struct http_field {
	const char *name, *value;
};

/* Where the body of an answer 200 or 206 goes. */
struct http_sink {
	/* Before the first byte. Return: 0; or a failure, which ends the exchange. */
	int (*begin)(struct http_sink *s, const struct exchange *x, struct err *e);
	int (*write)(struct http_sink *s, const uint8_t *data, size_t len, struct err *e);
};

/* How to reach a host. */
struct http_trust {
	bool insecure;  /* do not ask who it is */
	const char *ca; /* certificates to trust besides; or NULL */
	uint64_t stall_s;
};

struct exchange {
	/* Asked: */
	const char *method;
	const char *url;
	struct list headers; /* const char *: "Name: value", in @arena */
	bool has_body;
	struct span data; /* the body; or, if it has no data, */
	int fd;           /* these bytes of a file */
	uint64_t offset, bytes;
	struct http_sink *sink; /* NULL: @body takes all */
	size_t body_max;        /* of an answer that succeeded; 0: BODY_MAX_BYTES */
	struct http_trust trust;
	struct oci_progress *progress; /* told what was sent */
	/* Answered: */
	struct arena arena;
	int status;
	bool sink_used;     /* the sink was told of an answer, now or in an earlier exchange */
	struct list fields; /* struct http_field */
	struct buf body;
};
#define BODY_MAX_BYTES (64u << 10)

void exchange_finish(struct exchange *x);
static inline void auto_exchange(struct exchange *x)
{
	exchange_finish(x);
}
void exchange_header(struct exchange *x, const char *name, const char *value);
/* The next field of that name after *@at, which starts as 0; NULL at the end. */
const char *exchange_field(const struct exchange *x, const char *name, size_t *at);

struct http *http_create(void);
void http_destroy(struct http *h);
/**
 * http_exchange() - send a request, get the answer
 *
 * Return: 0, whatever the status; -EHOSTUNREACH; -ECONNRESET if it broke off; -ETIMEDOUT if it
 *         stalled; -EPROTO if TLS is not spoken there; -EKEYREJECTED for a certificate that nobody
 *         vouches for; -EFBIG for a body over its limit; what the sink returned.
 */
MUST_CHECK int http_exchange(struct http *h, struct exchange *x, struct err *e);

/* ---- credentials.c --------------------------------------------------------------------- */

/* What is kept for a host; nothing is no failure. */
MUST_CHECK int credentials_find(const char *host, struct arena *a, struct credentials *out,
                                struct err *e);

MUST_CHECK int credentials_keep(const char *host, const char *user, const char *password,
                                char **where, bool *plain, struct err *e);

/* ---- client.c, auth.c ------------------------------------------------------------------ */

/* One place where a repository can be reached: the registry, or a mirror of it. */
struct endpoint {
	const char *name; /* for sentences: the host as the user knows it */
	const char *host; /* to connect to */
	const char *repository;
	struct http_trust trust;
	bool may_be_plain; /* http is allowed */

	pthread_mutex_t lock; /* of what follows */
	bool reached;         /* plain is known */
	bool plain;           /* it speaks http */
	char *authorization;  /* to be sent; NULL: none so far */
	uint64_t expires_ns;  /* CLOCK_MONOTONIC; 0: never */
	bool asked_credentials;
	struct arena arena; /* of the credentials */
	struct credentials credentials;
};

struct oci_client {
	struct arena arena;
	struct http *http;
	struct oci_options options;
	const char *scopes;         /* space-separated */
	struct endpoint *endpoints; /* mirrors, then the registry itself */
	size_t n_endpoints;
	size_t current; /* atomic: the one that served us last */
};

static inline struct endpoint *client_registry(struct oci_client *c)
{
	return &c->endpoints[c->n_endpoints - 1];
}

/**
 * endpoint_authorize() - answer a challenge
 * @x:    the answer 401
 * @used: the authorization that was refused; NULL: none was sent
 *
 * Return: 0 if another try may succeed; -EACCES.
 */
MUST_CHECK int endpoint_authorize(struct oci_client *c, struct endpoint *ep,
                                  const struct exchange *x, const char *used, struct err *e);
void endpoint_finish(struct endpoint *ep);

enum client_flags {
	SEND_ONCE = 1,   /* do not repeat what failed: the caller knows better how to go on */
	SEND_FOLLOW = 2, /* redirects, for GET and HEAD */
};

/**
 * client_send() - send a request with the right to do so
 * @path: below the repository, "/manifests/latest"; or a whole address, of an upload
 * @x:    method, headers, body and sink are set; the rest is filled in
 *
 * Repeats what may succeed later, unless the sink has been given bytes.
 * Return: 0, whatever the status but 401, 429 and 5xx; negative errno.
 */
MUST_CHECK int client_send(struct oci_client *c, struct endpoint *ep, const char *path,
                           unsigned flags, struct exchange *x, struct err *e);
/* A sentence about an answer that is not what we hoped for. Return: the errno that fits. */
int client_refused(const struct endpoint *ep, const struct exchange *x, const char *what,
                   struct err *e);
/* Whether another try may help, and it is not the last one; waits before it returns true. */
bool client_retries(struct oci_client *c, int code, unsigned *tries, const char *why,
                    uint64_t wait_ms);

/* Calls @fn for each endpoint until one succeeds, with the one that served us last first. */
MUST_CHECK int client_read(struct oci_client *c,
                           int (*fn)(struct oci_client *c, struct endpoint *ep, void *arg,
                                     struct err *e),
                           void *arg, struct err *e);

#endif
