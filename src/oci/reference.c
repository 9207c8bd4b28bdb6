/* SPDX-License-Identifier: MIT */
/*
 * References, as users write them and as distribution/reference defines them:
 *
 *	[docker://][HOST[:PORT]/]PATH[:TAG][@DIGEST]
 *
 * The first component is a host if it has a dot or a colon in it or is "localhost"; else all of it
 * is a path on Docker Hub, where a path of one component is below library/.
 */
#include "oci/oci-int.h"

#include <string.h>

#define NAME_MAX_BYTES 255
#define TAG_MAX_BYTES 128

static bool is_lower(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_word(char c)
{
	return is_lower(c) || (c >= 'A' && c <= 'Z') || c == '_';
}

/* [a-z0-9]+ with ".", "_", "__" or any number of "-" between. */
static bool component_valid(const char *at, size_t len)
{
	size_t i = 0;

	while (i < len) {
		size_t begin = i, dots;

		while (i < len && is_lower(at[i]))
			i++;
		if (i == begin)
			return false;
		if (i == len)
			return true;
		begin = i;
		dots = strspn(at + i, at[i] == '.' ? "." : at[i] == '_' ? "_" : "-");
		if (!dots || (at[i] == '.' && dots > 1) || (at[i] == '_' && dots > 2))
			return false;
		i += dots;
	}
	return false;
}

static bool path_valid(const char *path)
{
	if (strlen(path) > NAME_MAX_BYTES)
		return false;
	for (;;) {
		size_t len = strcspn(path, "/");

		if (!component_valid(path, len))
			return false;
		if (!path[len])
			return true;
		path += len + 1;
	}
}

static bool tag_valid(const char *tag)
{
	size_t len = strlen(tag);

	if (!len || len > TAG_MAX_BYTES || !is_word(tag[0]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_word(tag[i]) && tag[i] != '.' && tag[i] != '-')
			return false;
	return true;
}

bool oci_digest_valid(const char *text)
{
	return text_starts(text, "sha256:") && strlen(text) == OCI_DIGEST_TEXT - 1 &&
	       strspn(text + 7, "0123456789abcdef") == 64;
}

bool host_valid(const char *host)
{
	const char *at = host, *port;
	uint64_t number;

	if (*at == '[') {
		size_t len = strspn(at + 1, "0123456789abcdefABCDEF:.");

		if (len < 2 || at[1 + len] != ']')
			return false;
		at += len + 2;
	} else {
		size_t len = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		                        "0123456789.-");

		if (!len || len > NAME_MAX_BYTES || at[0] == '-' || at[0] == '.')
			return false;
		at += len;
	}
	port = *at == ':' ? at + 1 : NULL;
	if (!port)
		return !*at;
	return strspn(port, "0123456789") == strlen(port) &&
	       !text_to_u64(port, 10, 65535, &number) && number > 0;
}

static bool names_docker_hub(const char *host)
{
	return !strcmp(host, "docker.io") || !strcmp(host, "index.docker.io") ||
	       !strcmp(host, "registry-1.docker.io");
}

/* The host as we call it; for login too, where there is nothing behind it. */
int host_parse(const char *text, struct arena *a, const char **out, struct err *e)
{
	if (!host_valid(text))
		return err_say(e, -EINVAL, "%.80s is not a registry: HOST or HOST:PORT is", text);
	*out = arena_text(a, names_docker_hub(text) ? "docker.io" : text);
	return 0;
}

static int bad(const char *text, const char *why, struct err *e)
{
	return err_say(e, -EINVAL, "%.120s is not a reference: %s", text, why);
}

int oci_ref_parse(const char *text, struct arena *a, struct oci_ref *out, struct err *e)
{
	struct oci_ref ref = {.host = "docker.io"};
	char *rest, *at, *slash, *colon;
	int r;

	if (strlen(text) > 2 * NAME_MAX_BYTES)
		return bad(text, "it is too long", e);
	rest = arena_text(a, text_starts(text, "docker://") ? text + 9 : text);
	at = strchr(rest, '@');
	if (at) {
		*at = 0;
		if (!oci_digest_valid(at + 1))
			return bad(text, "what follows the @ is not sha256: and 64 digits", e);
		ref.digest = at + 1;
	}
	slash = strchr(rest, '/');
	if (slash) {
		size_t len = (size_t)(slash - rest);
		char *first = arena_copy(a, rest, len + 1);

		first[len] = 0;
		if (strpbrk(first, ".:") || !strcmp(first, "localhost")) {
			r = host_parse(first, a, &ref.host, e);
			if (r < 0)
				return r;
			rest = slash + 1;
		}
	}
	colon = strrchr(rest, ':');
	if (colon) {
		*colon = 0;
		if (!tag_valid(colon + 1))
			return bad(text, "a tag has 1 to 128 of A-Z a-z 0-9 _ . -", e);
		ref.tag = colon + 1;
	}
	if (!ref.tag && !ref.digest)
		ref.tag = "latest";
	ref.repository = rest;
	if (!strcmp(ref.host, "docker.io") && *rest && !strchr(rest, '/'))
		ref.repository = arena_printf(a, "library/%s", rest);
	if (!path_valid(ref.repository))
		return bad(text,
		           "a repository is made of a-z and 0-9, with single . _ / or - between",
		           e);
	*out = ref;
	return 0;
}

const char *oci_ref_text(const struct oci_ref *ref, struct arena *a)
{
	return arena_printf(a, "%s/%s%s%s%s%s", ref->host, ref->repository, ref->tag ? ":" : "",
	                    ref->tag ? ref->tag : "", ref->digest ? "@" : "",
	                    ref->digest ? ref->digest : "");
}

const char *oci_ref_manifest(const struct oci_ref *ref)
{
	return ref->digest ? ref->digest : ref->tag;
}
