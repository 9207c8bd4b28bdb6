/* SPDX-License-Identifier: MIT */
/*
 * References, header fields and addresses. The first byte chooses the parser. What is accepted
 * keeps the promises of oci-int.h, and means the same when it is written down again.
 */
#include "oci/oci-int.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_reference(const char *text, struct arena *a)
{
	struct oci_ref ref, again;
	struct err e = {0};
	const char *whole;
	int r = oci_ref_parse(text, a, &ref, &e);

	if (r < 0) {
		assert(r == -EINVAL && e.text[0]);
		return;
	}
	assert(host_valid(ref.host) && ref.repository[0] && (ref.tag || ref.digest));
	assert(!ref.digest || oci_digest_valid(ref.digest));
	/* It becomes part of addresses and of file names. */
	assert(!strpbrk(ref.repository, " ?#%\\") && !strstr(ref.repository, ".."));
	whole = oci_ref_text(&ref, a);
	assert(oci_ref_parse(whole, a, &again, &e) == 0);
	assert(!strcmp(oci_ref_text(&again, a), whole));
}

static void try_challenges(const char *text, struct arena *a)
{
	struct list l = {0};

	challenges_parse(text, a, &l);
	assert(l.count <= strlen(text));
	LIST_EACH(&l, const struct challenge, c)
		assert(c->scheme[0] && strlen(c->realm) + strlen(c->service) <= strlen(text));
}

static void try_link(const char *text, struct arena *a)
{
	const char *next = link_next(text, a);

	assert(!next || (strstr(text, next) && !strchr(next, '>')));
}

static void try_numbers(const char *text)
{
	uint64_t x, y, z;

	if (!upload_range_parse(text, &x))
		assert(x <= (uint64_t)INT64_MAX + 1);
	if (!content_range_parse(text, &x, &y, &z))
		assert(x <= y && y < z);
	if (!retry_after_parse(text, 1000, &x))
		assert(x <= (uint64_t)INT64_MAX);
}

static void try_url(const char *text, struct arena *a)
{
	static const struct url base = {.https = true, .host = "h.example", .path = "/v2/x/?a=/b"};
	const char *resolved = url_resolve(&base, text, a);
	struct url u;

	if (!url_parse(resolved, a, &u))
		return;
	assert(host_valid(u.host) && u.path[0] == '/' && !strpbrk(u.path, " \r\n"));
	(void)host_is_loopback(u.host);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(arena) struct arena a = {0};
	char *text;

	if (!size)
		return 0;
	text = arena_copy(&a, data, size);
	memmove(text, text + 1, size - 1);
	text[size - 1] = 0;
	switch (data[0] % 5) {
	case 0:
		try_reference(text, &a);
		break;
	case 1:
		try_challenges(text, &a);
		break;
	case 2:
		try_link(text, &a);
		break;
	case 3:
		try_numbers(text);
		break;
	default:
		try_url(text, &a);
	}
	return 0;
}
