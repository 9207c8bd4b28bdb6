/* SPDX-License-Identifier: MIT */
/* Manifests, errors, tokens, credentials and the policy file: all that is JSON in the room oci. */
#include "oci/oci-int.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct oci_descriptor entry = {
	.media = OCI_MEDIA_MANIFEST,
	.digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	.bytes = 7,
	.artifact_type = "t",
};

static void try_outline(struct span in)
{
	AUTO(arena) struct arena a = {0};
	AUTO(buf) struct buf with = {0};
	struct oci_outline o, again;
	struct err e = {0};
	int r = oci_manifest_outline(in, &a, &o, &e);

	if (r < 0) {
		assert(r == -EBADMSG && e.text[0]);
		return;
	}
	LIST_EACH(&o.layers, const struct oci_descriptor, d)
		assert(oci_digest_valid(d->digest) && d->bytes <= INT64_MAX);
	assert(oci_manifest_set_subject(in, &entry, &with, &e) == 0);
	assert(oci_manifest_outline(buf_span(&with), &a, &again, &e) == 0);
	assert(!strcmp(again.subject.digest, entry.digest) && again.layers.count == o.layers.count);
}

static void try_index(struct span in)
{
	AUTO(buf) struct buf one = {0};
	AUTO(buf) struct buf two = {0};
	bool changed;

	if (json_index_add(in, span_of_text("{}"), &entry, &one, &changed, NULL) < 0)
		return;
	assert(json_index_add(buf_span(&one), span_of_text("{}"), &entry, &two, &changed, NULL) ==
	       0);
	assert(!changed && span_equal(buf_span(&one), buf_span(&two)));
}

static void try_answers(struct span in)
{
	AUTO(arena) struct arena a = {0};
	struct credentials c = {0};
	const char *helper = NULL;
	struct token token;

	assert(strlen(json_error_text(in, &a)) < 200);
	if (!json_token(in, &a, &token, NULL))
		assert(token.text[0] && !strpbrk(token.text, " \r\n") && token.expires_in_s >= 60);
	if (!json_auths_find(in, "r.example", &a, &c, &helper, NULL))
		assert(!c.user == !c.password);
	(void)!json_helper_answer(in, &a, &c, NULL);
}

static void try_auths(struct span in)
{
	AUTO(buf) struct buf one = {0};
	AUTO(buf) struct buf two = {0};
	AUTO(arena) struct arena a = {0};
	struct credentials c = {0};
	const char *helper = NULL;
	bool found;

	if (json_auths_set(in, "r.example", "bWU6eW91", &one, &found, NULL) < 0)
		return;
	assert(!json_auths_find(buf_span(&one), "r.example", &a, &c, &helper, NULL));
	assert(!strcmp(c.user, "me") && !strcmp(c.password, "you"));
	assert(!json_auths_set(buf_span(&one), "r.example", NULL, &two, &found, NULL) && found);
}

static void try_policy(struct span in)
{
	struct oci_policy p = {0};
	struct err e = {0};
	int r = oci_policy_parse(in, &p, &e);

	assert(!r || (r == -EBADMSG && e.text[0]));
	LIST_EACH(&p.registries, const struct oci_registry, it) {
		const struct oci_ref ref = {.host = it->match, .repository = "x"};

		(void)oci_policy_find(&p, &ref);
	}
	oci_policy_finish(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = SPAN(data, size);

	try_outline(in);
	try_index(in);
	try_answers(in);
	try_auths(in);
	try_policy(in);
	return 0;
}
