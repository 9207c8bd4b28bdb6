/* SPDX-License-Identifier: MIT */
/*
 * The right to do what we ask for.
 *
 * A registry answers 401 with challenges. Bearer is preferred: a token is fetched from the server
 * that the challenge names, for the repositories and actions that this client is about; with the
 * name and password that are kept for the registry, with an identity token, or with nothing. Else
 * Basic. What was got is sent with every later request to the same endpoint, and got anew when it
 * is refused: a token may expire in the middle of a download.
 *
 * Two threads may be refused at once. The first one asks anew; the other finds that what it had
 * sent is not what would be sent now, and just tries again.
 */
#include "oci/oci-int.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define TOKEN_MAX_BYTES (1u << 20)

static void add_escaped(struct buf *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    strchr("-._~", c))
			buf_add_byte(out, c);
		else
			buf_printf(out, "%%%02X", c);
	}
}

static void add_parameter(struct buf *out, char before, const char *name, const char *value)
{
	buf_printf(out, "%c%s=", before, name);
	add_escaped(out, value);
}

static char *basic_of(const struct credentials *c)
{
	AUTO(buf) struct buf plain = {0};
	AUTO(buf) struct buf coded = {0};

	buf_printf(&plain, "%s:%s", c->user, c->password);
	base64_encode(buf_span(&plain), &coded);
	forget(plain.data, plain.len);
	return xprintf("Basic %s", buf_text(&coded));
}

/* ---- Bearer ---------------------------------------------------------------------------- */

static void ask_with_identity(struct exchange *x, const struct challenge *ch, const char *scopes,
                              const char *identity, struct buf *form)
{
	buf_add_text(form, "grant_type=refresh_token");
	add_parameter(form, '&', "service", ch->service);
	add_parameter(form, '&', "client_id", "wslx");
	add_parameter(form, '&', "scope", scopes);
	add_parameter(form, '&', "refresh_token", identity);
	x->method = "POST";
	x->has_body = true;
	x->data = buf_span(form);
	exchange_header(x, "Content-Type", "application/x-www-form-urlencoded");
}

static void ask_by_address(struct buf *url, const struct challenge *ch, const char *scopes,
                           const struct credentials *c)
{
	AUTO(text) char *copy = xstrdup(scopes);
	char *save = NULL;

	add_parameter(url, strchr(ch->realm, '?') ? '&' : '?', "service", ch->service);
	for (char *scope = strtok_r(copy, " ", &save); scope; scope = strtok_r(NULL, " ", &save))
		add_parameter(url, '&', "scope", scope);
	if (c->user)
		add_parameter(url, '&', "account", c->user);
}

/* Who is at that address will see our credentials. */
static int check_realm(const struct endpoint *ep, const struct challenge *ch, struct arena *a,
                       struct err *e)
{
	struct url url;

	if (!url_parse(ch->realm, a, &url))
		return err_say(e, -EBADMSG, "%s: its token server is not an address", ep->name);
	if (!url.https && !host_is_loopback(url.host) && !ep->may_be_plain)
		return err_say(e, -EACCES,
		               "%s sends us to a token server that speaks plain http (%s), where "
		               "anybody could listen: --insecure allows it",
		               ep->name, url.host);
	return 0;
}

static int get_token(struct oci_client *c, struct endpoint *ep, const struct challenge *ch,
                     struct arena *a, struct token *out, struct err *e)
{
	AUTO(exchange) struct exchange x = {.method = "GET", .trust = ep->trust};
	AUTO(text) char *basic = NULL;
	AUTO(buf) struct buf url = {0};
	AUTO(buf) struct buf form = {0};
	/* A service that is challenged about nothing of ours (login) names the scope itself. */
	const char *scopes = c->scopes[0] ? c->scopes : ch->scope;
	int r = check_realm(ep, ch, a, e);

	if (r < 0)
		return r;
	buf_add_text(&url, ch->realm);
	x.body_max = TOKEN_MAX_BYTES;
	if (ep->credentials.identity) {
		ask_with_identity(&x, ch, scopes, ep->credentials.identity, &form);
	} else {
		ask_by_address(&url, ch, scopes, &ep->credentials);
		if (ep->credentials.user) {
			basic = basic_of(&ep->credentials);
			exchange_header(&x, "Authorization", basic);
		}
	}
	x.url = buf_text(&url);
	for (unsigned tries = 0;;) {
		r = http_exchange(c->http, &x, e);
		if (!r && x.status < 500 && x.status != 429)
			break;
		if (!r)
			r = client_refused(ep, &x, "its token server", e);
		if (!client_retries(c, r, &tries, "token server", 0))
			return r;
	}
	if (x.status == 401 || x.status == 403)
		return err_say(
			e, -EACCES, "%s does not accept the name and password%s: wslx login %s",
			ep->name, ep->credentials.user ? "" : " that it was not given", ep->name);
	if (x.status != 200)
		return client_refused(ep, &x, "its token server", e);
	r = json_token(buf_span(&x.body), a, out, e);
	return r < 0 ? err_wrap(e, r, "%s", ep->name) : 0;
}

/* ---- challenges ------------------------------------------------------------------------ */

static const struct challenge *find_challenge(const struct list *all, const char *scheme)
{
	LIST_EACH(all, const struct challenge, it)
		if (!strcasecmp(it->scheme, scheme))
			return it;
	return NULL;
}

static int learn_credentials(struct endpoint *ep, struct err *e)
{
	int r = 0;

	if (!ep->asked_credentials)
		r = credentials_find(ep->name, &ep->arena, &ep->credentials, e);
	ep->asked_credentials = !r;
	return r;
}

/* The lock is held. */
static int answer(struct oci_client *c, struct endpoint *ep, const struct list *challenges,
                  bool refused, struct err *e)
{
	const struct challenge *bearer = find_challenge(challenges, "bearer");
	const struct challenge *basic = find_challenge(challenges, "basic");
	AUTO(arena) struct arena a = {0};
	struct token token;
	int r = learn_credentials(ep, e);

	if (r < 0)
		return r;
	if (bearer && bearer->realm[0]) {
		r = get_token(c, ep, bearer, &a, &token, e);
		if (r)
			return r;
		free(ep->authorization);
		ep->authorization = xprintf("Bearer %s", token.text);
		ep->expires_ns = os_clock_ns(CLOCK_MONOTONIC) + token.expires_in_s * 1000000000u;
		return 0;
	}
	if (!basic)
		return err_say(e, -EACCES, "%s wants to be asked in a way that we do not know",
		               ep->name);
	if (refused)
		return err_say(e, -EACCES,
		               "%s does not accept the name and password that are kept for it: "
		               "wslx login %s",
		               ep->name, ep->name);
	if (!ep->credentials.user)
		return err_say(e, -EACCES, "%s wants a name and a password: wslx login %s",
		               ep->name, ep->name);
	free(ep->authorization);
	ep->authorization = basic_of(&ep->credentials);
	ep->expires_ns = 0;
	return 0;
}

int endpoint_authorize(struct oci_client *c, struct endpoint *ep, const struct exchange *x,
                       const char *used, struct err *e)
{
	AUTO(arena) struct arena a = {0};
	struct list challenges = {0};
	const char *field;
	size_t at = 0;
	int r = 0;

	while ((field = exchange_field(x, "WWW-Authenticate", &at)))
		challenges_parse(field, &a, &challenges);
	pthread_mutex_lock(&ep->lock);
	if (!ep->authorization || (used && !strcmp(used, ep->authorization)))
		r = answer(c, ep, &challenges, used != NULL, e);
	pthread_mutex_unlock(&ep->lock);
	return r;
}

void endpoint_finish(struct endpoint *ep)
{
	if (ep->authorization)
		forget(ep->authorization, strlen(ep->authorization));
	free(ep->authorization);
	arena_finish(&ep->arena);
	pthread_mutex_destroy(&ep->lock);
}
