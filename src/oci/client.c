/* SPDX-License-Identifier: MIT */
/*
 * A client of a repository: where it is reached, and what happens to a request on its way.
 *
 * Plain http is spoken with this machine, or where the user said so; it is found out once, with
 * the base request /v2/, whether a host that may speak it does. With everyone else it is https.
 *
 * What may succeed later is tried again: connections that broke, 429, and 5xx, after a time that
 * doubles, or the time that the registry names. What cannot be reached at all is told at once,
 * because whoever is offline wants to know.
 *
 * The right to do something is never shown to another host, nor sent in the clear.
 */
#include "oci/oci-int.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define TRIES_MAX 6u
#define BACKOFF_MS 150u
#define BACKOFF_MAX_MS 8000u
#define RETRY_AFTER_MAX_S 120u
#define HOPS_MAX 6u
#define REFUSALS_MAX 2u

/* ---- endpoints ------------------------------------------------------------------------- */

static const char *ca_of(struct oci_client *c, const char *host)
{
	static const char *const dirs[] = {"/etc/containers/certs.d", "/etc/docker/certs.d"};
	const char *home = getenv("HOME");
	const char *path = arena_printf(&c->arena, "%s/.config/containers/certs.d/%s/ca.crt",
	                                home ? home : "", host);

	if (!access(path, R_OK))
		return path;
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		path = arena_printf(&c->arena, "%s/%s/ca.crt", dirs[i], host);
		if (!access(path, R_OK))
			return path;
	}
	return NULL;
}

static void endpoint_init(struct oci_client *c, struct endpoint *ep, const char *host,
                          const char *repository, bool insecure)
{
	const struct oci_ref whole = {.host = host, .repository = repository};
	struct oci_registry rule = oci_policy_find(c->options.policy, &whole);

	insecure |= rule.insecure;
	*ep = (struct endpoint){
		.name = host,
		.host = strcmp(host, "docker.io") ? host : "registry-1.docker.io",
		.repository = repository,
		.may_be_plain = insecure || host_is_loopback(host),
		.trust = {.insecure = insecure, .stall_s = rule.stall_s},
	};
	ep->trust.ca = rule.ca ? arena_text(&c->arena, rule.ca) : ca_of(c, host);
	pthread_mutex_init(&ep->lock, NULL);
}

/* "HOST/PREFIX" as a mirror: what is at REPOSITORY is there at PREFIX/REPOSITORY. */
static int mirror_init(struct oci_client *c, struct endpoint *ep, const char *mirror,
                       const char *repository, struct err *e)
{
	char *host = arena_text(&c->arena, mirror);
	char *slash = strchr(host, '/');
	const char *found;
	int r;

	if (slash)
		*slash = 0;
	r = host_parse(host, &c->arena, &found, e);
	if (r < 0)
		return err_wrap(e, r, "mirror %s", mirror);
	endpoint_init(c, ep, found,
	              slash && slash[1] ? arena_printf(&c->arena, "%s/%s", slash + 1, repository)
	                                : repository,
	              false);
	return 0;
}

static int add_endpoints(struct oci_client *c, const struct oci_ref *ref, struct err *e)
{
	struct oci_registry rule = oci_policy_find(c->options.policy, ref);
	/* What is written goes to the registry itself. */
	size_t mirrors = c->options.push ? 0 : rule.mirrors.count;
	int r = 0;

	c->endpoints = xalloc((mirrors + 1) * sizeof(*c->endpoints));
	for (size_t i = 0; !r && i < mirrors; i++) {
		r = mirror_init(c, &c->endpoints[c->n_endpoints],
		                *LIST_AT(&rule.mirrors, const char *, i), ref->repository, e);
		c->n_endpoints += !r;
	}
	if (r < 0)
		return r;
	endpoint_init(c, &c->endpoints[c->n_endpoints++], arena_text(&c->arena, ref->host),
	              arena_text(&c->arena, ref->repository), c->options.insecure);
	return 0;
}

int oci_client_open(const struct oci_ref *ref, const struct oci_options *options,
                    struct oci_client **out, struct err *e)
{
	struct oci_client *c = xalloc(sizeof(*c));
	int r;

	c->options = *options;
	c->http = http_create();
	if (options->mount_from)
		c->options.mount_from = arena_text(&c->arena, options->mount_from);
	if (!ref->repository[0])
		c->scopes = "";
	else
		c->scopes = arena_printf(&c->arena, "repository:%s:pull%s%s%s%s", ref->repository,
		                         options->push ? ",push" : "",
		                         options->mount_from ? " repository:" : "",
		                         options->mount_from ? options->mount_from : "",
		                         options->mount_from ? ":pull" : "");
	r = add_endpoints(c, ref, e);
	if (r < 0) {
		oci_client_close(c);
		return r;
	}
	*out = c;
	return 0;
}

void oci_client_close(struct oci_client *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_endpoints; i++)
		endpoint_finish(&c->endpoints[i]);
	free(c->endpoints);
	http_destroy(c->http);
	arena_finish(&c->arena);
	free(c);
}

/* ---- waiting --------------------------------------------------------------------------- */

bool client_retries(struct oci_client *c, int code, unsigned *tries, const char *why,
                    uint64_t wait_ms)
{
	struct oci_progress *p = c->options.progress;
	uint64_t backoff = MIN((uint64_t)BACKOFF_MS << *tries, BACKOFF_MAX_MS);
	struct timespec t;

	if (code != -ECONNRESET && code != -ETIMEDOUT && code != -EAGAIN)
		return false;
	if (++*tries >= TRIES_MAX || wait_ms > RETRY_AFTER_MAX_S * 1000u)
		return false;
	/* Clients that were turned away together shall not come back together. */
	backoff += os_clock_ns(CLOCK_MONOTONIC) % (backoff / 2);
	if (!wait_ms)
		wait_ms = fallback_forced("no-backoff") ? 1 : backoff;
	if (p && p->waits)
		p->waits(p, why, wait_ms);
	t = (struct timespec){.tv_sec = (time_t)(wait_ms / 1000),
	                      .tv_nsec = (long)(wait_ms % 1000) * 1000000};
	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
	return true;
}

static uint64_t wanted_wait_ms(const struct exchange *x)
{
	size_t at = 0;
	const char *field = exchange_field(x, "Retry-After", &at);
	uint64_t wait_s;

	if (!field || retry_after_parse(field, (int64_t)time(NULL), &wait_s) < 0)
		return 0;
	return MAX(MIN(wait_s, 1000000u) * 1000u, 1);
}

/* ---- sentences ------------------------------------------------------------------------- */

int client_refused(const struct endpoint *ep, const struct exchange *x, const char *what,
                   struct err *e)
{
	AUTO(arena) struct arena a = {0};
	const char *detail = json_error_text(buf_span(&x->body), &a);
	const char *open = *detail ? " (" : "", *close = *detail ? ")" : "";

	switch (x->status) {
	case 401:
	case 403:
		return err_say(e, -EACCES, "%s: %s: access is denied%s%s%s", ep->name, what, open,
		               detail, close);
	case 404:
		return err_say(e, -ENOENT, "%s: %s is not there%s%s%s", ep->name, what, open,
		               detail, close);
	case 429:
		return err_say(e, -EAGAIN, "%s: %s: too many requests, try later%s%s%s", ep->name,
		               what, open, detail, close);
	default:
		return err_say(e, x->status >= 500 ? -EAGAIN : -EIO,
		               "%s: %s: it answers with status %d%s%s%s", ep->name, what, x->status,
		               open, detail, close);
	}
}

/* ---- reaching an endpoint ---------------------------------------------------------------- */

static int try_base(struct oci_client *c, struct endpoint *ep, bool plain, int *status,
                    struct err *e)
{
	AUTO(exchange) struct exchange x = {.method = "GET", .trust = ep->trust};
	int r;

	x.url = arena_printf(&x.arena, "%s://%s/v2/", plain ? "http" : "https", ep->host);
	r = http_exchange(c->http, &x, e);
	*status = x.status;
	return r;
}

static int try_schemes(struct oci_client *c, struct endpoint *ep, struct err *e)
{
	bool plain_first = host_is_loopback(ep->host);
	struct err first = {0};
	int status;

	for (int i = 0; i < 2; i++) {
		bool plain = plain_first == !i;
		struct err why = {0};
		int r = try_base(c, ep, plain, &status, &why);

		if (!r && (!plain || status != 400)) {
			ep->plain = plain;
			return 0;
		}
		if (r < 0 && !first.code)
			first = why;
		/* Somebody who is not who he should be is not asked again in the clear. */
		if (r == -EKEYREJECTED || r == -ELIBACC || (r == -EHOSTUNREACH && plain_first))
			break;
	}
	if (!first.code)
		err_say(&first, -EIO, "%s answers neither to https nor to http", ep->name);
	if (e)
		*e = first;
	return first.code;
}

/*
 * Finds out whether http is spoken. A server that expects TLS answers it with 400, or not at all.
 * The lock is held.
 */
static int find_scheme(struct oci_client *c, struct endpoint *ep, struct err *e)
{
	unsigned tries = 0;
	int r;

	do
		r = try_schemes(c, ep, e);
	while (client_retries(c, r, &tries, ep->name, 0));
	return r;
}

static int reach(struct oci_client *c, struct endpoint *ep, bool *plain, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&ep->lock);
	if (!ep->reached && ep->may_be_plain)
		r = find_scheme(c, ep, e);
	ep->reached = !r;
	*plain = ep->plain;
	pthread_mutex_unlock(&ep->lock);
	return r;
}

/* What to send, allocated; NULL if there is nothing, or nothing that is still good. */
static char *authorization_of(struct endpoint *ep)
{
	char *out = NULL;

	pthread_mutex_lock(&ep->lock);
	if (ep->authorization && (!ep->expires_ns || ep->expires_ns > os_clock_ns(CLOCK_MONOTONIC)))
		out = xstrdup(ep->authorization);
	pthread_mutex_unlock(&ep->lock);
	return out;
}

/* ---- sending --------------------------------------------------------------------------- */

struct sending {
	struct oci_client *c;
	struct endpoint *ep;
	struct exchange *x;
	unsigned flags;
	unsigned tries, refusals, hops;
	bool ours; /* the address is the endpoint's: it may see who we are */
};

static int check_address(struct sending *s, bool plain, struct err *e)
{
	struct url url;

	if (!url_parse(s->x->url, &s->x->arena, &url))
		return err_say(e, -EBADMSG, "%s sends us to an address that is none", s->ep->name);
	s->ours = host_is(&url, s->ep->host) && url.https == !plain;
	if (!url.https && !s->ep->may_be_plain && !host_is_loopback(url.host))
		return err_say(e, -EACCES,
		               "%s sends us to %s, which speaks plain http: --insecure allows it",
		               s->ep->name, url.host);
	return 0;
}

static bool is_redirect(const struct exchange *x)
{
	return x->status == 301 || x->status == 302 || x->status == 303 || x->status == 307 ||
	       x->status == 308;
}

static int follow(struct sending *s, bool plain, struct err *e)
{
	struct exchange *x = s->x;
	size_t at = 0;
	const char *location = exchange_field(x, "Location", &at);
	struct url here;

	if (!location || !url_parse(x->url, &x->arena, &here) || ++s->hops > HOPS_MAX)
		return err_say(e, -EBADMSG, "%s sends us from one address to another", s->ep->name);
	x->url = url_resolve(&here, location, &x->arena);
	return check_address(s, plain, e);
}

/* One exchange, and what its answer asks for. Return: 1 to send again; 0; negative errno. */
static int send_once(struct sending *s, bool plain, struct err *e)
{
	struct exchange *x = s->x;
	size_t n_headers = x->headers.count;
	char *authorization = s->ours ? authorization_of(s->ep) : NULL;
	int r;

	if (authorization)
		exchange_header(x, "Authorization", authorization);
	r = http_exchange(s->c->http, x, e);
	x->headers.count = n_headers;
	if (!r && x->status == 401 && s->ours) {
		if (s->refusals++ < REFUSALS_MAX)
			r = endpoint_authorize(s->c, s->ep, x, authorization, e);
		else
			r = client_refused(s->ep, x, s->ep->repository, e);
		r = r < 0 ? r : 1;
	} else if (!r && is_redirect(x) && s->flags & SEND_FOLLOW) {
		r = follow(s, plain, e);
		r = r < 0 ? r : 1;
	} else if (!r && (x->status == 429 || x->status >= 500)) {
		r = client_refused(s->ep, x, s->ep->repository, e);
	}
	free(authorization);
	if (r < 0 && !x->sink_used && !(s->flags & SEND_ONCE) &&
	    client_retries(s->c, r, &s->tries, s->ep->name, r == -EAGAIN ? wanted_wait_ms(x) : 0))
		r = 1;
	return r;
}

int client_send(struct oci_client *c, struct endpoint *ep, const char *path, unsigned flags,
                struct exchange *x, struct err *e)
{
	struct sending s = {.c = c, .ep = ep, .x = x, .flags = flags};
	bool plain;
	int r = reach(c, ep, &plain, e);

	if (r < 0)
		return r;
	x->trust = ep->trust;
	x->url = *path == '/' ? arena_printf(&x->arena, "%s://%s/v2/%s%s", plain ? "http" : "https",
	                                     ep->host, ep->repository,
	                                     ep->repository[0] ? path : path + 1)
	                      : path;
	r = check_address(&s, plain, e);
	if (r < 0)
		return r;
	do
		r = send_once(&s, plain, e);
	while (r > 0);
	return r;
}

int client_read(struct oci_client *c,
                int (*fn)(struct oci_client *c, struct endpoint *ep, void *arg, struct err *e),
                void *arg, struct err *e)
{
	size_t first = __atomic_load_n(&c->current, __ATOMIC_RELAXED);
	int r = fn(c, &c->endpoints[first], arg, e);

	/* The registry itself comes last, so what it says is what is told. */
	for (size_t i = 0; r < 0 && i < c->n_endpoints; i++) {
		if (i == first)
			continue;
		r = fn(c, &c->endpoints[i], arg, e);
		if (!r)
			__atomic_store_n(&c->current, i, __ATOMIC_RELAXED);
	}
	return r;
}

/* ---- login ----------------------------------------------------------------------------- */

int oci_login(const char *text, const char *user, const char *password,
              const struct oci_options *options, char **where, bool *plain, struct err *e)
{
	AUTO(oci_client) struct oci_client *c = NULL;
	AUTO(exchange) struct exchange x = {.method = "GET"};
	AUTO(arena) struct arena a = {0};
	struct oci_ref ref = {.repository = ""};
	struct endpoint *ep;
	int r = host_parse(text, &a, &ref.host, e);

	if (!r && strchr(user, ':'))
		r = err_say(e, -EINVAL, "a name has no colon in it");
	if (!r)
		r = oci_client_open(&ref, options, &c, e);
	if (r)
		return r;
	ep = client_registry(c);
	ep->asked_credentials = true;
	ep->credentials = (struct credentials){.user = user, .password = password};
	/* The repository is empty, so this is /v2/ itself. */
	r = client_send(c, ep, "/", 0, &x, e);
	if (!r && x.status != 200)
		r = client_refused(ep, &x, "login", e);
	return r < 0 ? r : credentials_keep(ref.host, user, password, where, plain, e);
}
