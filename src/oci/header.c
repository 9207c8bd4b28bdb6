/* SPDX-License-Identifier: MIT */
/*
 * Header fields and addresses that a registry sends: functions of bytes. What is not understood is
 * left out, because a field may name schemes and parameters that nobody has thought of yet.
 */
#include "oci/oci-int.h"

#include <string.h>
#include <strings.h>
#include <time.h>

static bool is_token(char c)
{
	return c > ' ' && c < 127 && !strchr("()<>@,;:\\\"/[]?={}", c);
}

static const char *skip_space(const char *at)
{
	return at + strspn(at, " \t");
}

static char *take_token(const char **at, struct arena *a)
{
	const char *begin = *at;
	char *out;

	while (is_token(**at))
		++*at;
	out = arena_copy(a, begin, (size_t)(*at - begin) + 1);
	out[*at - begin] = 0;
	return out;
}

/* A token or a quoted string. */
static char *take_value(const char **at, struct arena *a)
{
	char *out, *to;

	if (**at != '"')
		return take_token(at, a);
	out = to = arena_alloc(a, strlen(*at) + 1);
	for (++*at; **at && **at != '"'; ++*at) {
		if (**at == '\\' && (*at)[1])
			++*at;
		*to++ = **at;
	}
	if (**at)
		++*at;
	*to = 0;
	return out;
}

/* ---- WWW-Authenticate (RFC 9110, 11.6.1; RFC 6750, 3) ------------------------------------ */

void challenges_parse(const char *text, struct arena *a, struct list *out)
{
	struct challenge *c = NULL;
	const char *at = text;

	while (*(at = at + strspn(at, " \t,"))) {
		char *name = take_token(&at, a), *value;

		at = skip_space(at);
		if (!*name) {
			/* Not a token where one has to be: go on after the next comma. */
			at += strcspn(at, ",");
			continue;
		}
		if (*at != '=') {
			c = LIST_ADD(out, a, struct challenge);
			*c = (struct challenge){.scheme = name,
			                        .realm = "",
			                        .service = "",
			                        .scope = "",
			                        .error = ""};
			continue;
		}
		at = skip_space(at + 1);
		value = take_value(&at, a);
		if (*at == '=')
			at += strspn(at, "="); /* padding of a token68 */
		if (!c)
			continue;
		if (!strcasecmp(name, "realm"))
			c->realm = value;
		else if (!strcasecmp(name, "service"))
			c->service = value;
		else if (!strcasecmp(name, "scope"))
			c->scope = value;
		else if (!strcasecmp(name, "error"))
			c->error = value;
	}
}

/* ---- Link (RFC 8288) ------------------------------------------------------------------- */

static bool says_next(const char *rels)
{
	while (*(rels = skip_space(rels))) {
		size_t len = strcspn(rels, " \t");

		if (len == 4 && !strncasecmp(rels, "next", 4))
			return true;
		rels += len;
	}
	return false;
}

const char *link_next(const char *text, struct arena *a)
{
	const char *at = text;

	while (*(at = at + strspn(at, " \t,"))) {
		size_t len;
		char *url;
		bool next = false;

		if (*at != '<')
			return NULL;
		len = strcspn(++at, ">");
		if (!at[len])
			return NULL;
		url = arena_copy(a, at, len + 1);
		url[len] = 0;
		at = skip_space(at + len + 1);
		while (*at == ';') {
			char *name, *value = NULL;

			at = skip_space(at + 1);
			name = take_token(&at, a);
			at = skip_space(at);
			if (*at == '=') {
				at = skip_space(at + 1);
				value = take_value(&at, a);
			}
			if (value && !strcasecmp(name, "rel") && says_next(value))
				next = true;
			at = skip_space(at);
		}
		if (next)
			return url;
		if (*at && *at != ',')
			return NULL;
	}
	return NULL;
}

/* ---- numbers --------------------------------------------------------------------------- */

static int take_number(const char **at, uint64_t *out)
{
	char digits[24] = "";
	size_t len = strspn(*at, "0123456789");

	if (!len || len >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, *at, len);
	*at += len;
	return text_to_u64(digits, 10, INT64_MAX, out);
}

int upload_range_parse(const char *text, uint64_t *received)
{
	uint64_t first, last;

	if (text_starts(text, "bytes="))
		text += 6;
	if (take_number(&text, &first) < 0 || *text++ != '-' || take_number(&text, &last) < 0 ||
	    *text || first || last < first)
		return -EINVAL;
	/* A session without a byte says so too; one of a single byte is none of ours. */
	*received = last ? last + 1 : 0;
	return 0;
}

int content_range_parse(const char *text, uint64_t *first, uint64_t *last, uint64_t *total)
{
	uint64_t from, to, all = UINT64_MAX;

	if (strncasecmp(text, "bytes ", 6))
		return -EINVAL;
	text = skip_space(text + 6);
	if (take_number(&text, &from) < 0 || *text++ != '-' || take_number(&text, &to) < 0 ||
	    *text++ != '/' || to < from)
		return -EINVAL;
	if (!strcmp(text, "*"))
		text++;
	else if (take_number(&text, &all) < 0 || to >= all)
		return -EINVAL;
	if (*text)
		return -EINVAL;
	*first = from;
	*last = to;
	*total = all;
	return 0;
}

int retry_after_parse(const char *text, int64_t now_s, uint64_t *wait_s)
{
	const char *at = text;
	struct tm tm = {0};
	const char *end;
	int64_t when;

	if (!take_number(&at, wait_s) && !*at)
		return 0;
	end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	if (!end || *end)
		return -EINVAL;
	when = timegm(&tm);
	*wait_s = when > now_s ? (uint64_t)(when - now_s) : 0;
	return 0;
}

/* ---- addresses ------------------------------------------------------------------------- */

bool url_parse(const char *text, struct arena *a, struct url *out)
{
	const char *host, *end;
	size_t len;

	if (!strncasecmp(text, "http://", 7))
		out->https = false;
	else if (!strncasecmp(text, "https://", 8))
		out->https = true;
	else
		return false;
	for (const char *c = text; *c; c++)
		if (*c <= ' ' || *c >= 127)
			return false;
	host = strstr(text, "//") + 2;
	len = strcspn(host, "/?#");
	end = host + len;
	out->host = arena_copy(a, host, len + 1);
	((char *)(uintptr_t)out->host)[len] = 0;
	out->path = arena_printf(a, "%s%s", *end == '/' ? "" : "/", end);
	/* Also refuses "user:password@host", which no registry needs. */
	return host_valid(out->host);
}

const char *url_resolve(const struct url *base, const char *text, struct arena *a)
{
	const char *scheme = base->https ? "https" : "http";
	const char *path = base->path, *last;

	if (text[strcspn(text, ":/?#")] == ':')
		return arena_text(a, text); /* it names its scheme */
	if (text_starts(text, "//"))
		return arena_printf(a, "%s:%s", scheme, text);
	if (*text == '/')
		return arena_printf(a, "%s://%s%s", scheme, base->host, text);
	path = arena_copy(a, base->path, strlen(base->path) + 1);
	((char *)(uintptr_t)path)[strcspn(path, "?#")] = 0;
	last = strrchr(path, '/');
	return arena_printf(a, "%s://%s%.*s%s", scheme, base->host, (int)(last - path + 1), path,
	                    text);
}

bool host_is(const struct url *url, const char *host)
{
	const char *port = url->https ? ":443" : ":80";
	AUTO(text) char *with = xprintf("%s%s", host, port);
	AUTO(text) char *also = xprintf("%s%s", url->host, port);

	return !strcasecmp(url->host, host) || !strcasecmp(url->host, with) ||
	       !strcasecmp(also, host);
}

/* 127.0.0.0/8, ::1 and localhost never leave this machine. */
bool host_is_loopback(const char *host)
{
	char name[256];
	size_t len;

	if (*host == '[')
		return text_starts(host, "[::1]");
	len = strcspn(host, ":");
	if (len >= sizeof(name))
		return false;
	memcpy(name, host, len);
	name[len] = 0;
	if (!strcasecmp(name, "localhost") ||
	    (len > 10 && !strcasecmp(name + len - 10, ".localhost")))
		return true;
	return text_starts(name, "127.") && strspn(name, "0123456789.") == len;
}
