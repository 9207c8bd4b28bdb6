/* SPDX-License-Identifier: MIT */
/* What registries and users write is understood, and what they should not have written is not. */
#include "oci/oci-int.h"

#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

static const char hex[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* ---- references ------------------------------------------------------------------------ */

static void a_reference_is_taken_apart_as_docker_does(void)
{
	static const struct {
		const char *text, *whole;
	} good[] = {
		{"debian", "docker.io/library/debian:latest"},
		{"docker://debian:12", "docker.io/library/debian:12"},
		{"team/app", "docker.io/team/app:latest"},
		{"docker.io/team/app", "docker.io/team/app:latest"},
		{"index.docker.io/debian", "docker.io/library/debian:latest"},
		{"localhost/x", "localhost/x:latest"},
		{"localhost:5000/x/y/z:1.2_3-a", "localhost:5000/x/y/z:1.2_3-a"},
		{"[::1]:5000/x", "[::1]:5000/x:latest"},
		{"ghcr.io/a.b/c__d/e---f:V1", "ghcr.io/a.b/c__d/e---f:V1"},
		{"r.example/x@" DIGEST, "r.example/x@" DIGEST},
		{"r.example/x:1@" DIGEST, "r.example/x:1@" DIGEST},
	};
	static const char *const bad[] = {
		"",
		":",
		"/",
		"x:",
		"x:-a",
		"x/",
		"/x",
		"x//y",
		"X",
		"a..b",
		"a___b",
		"-a",
		"a-",
		"a_",
		"x@",
		"x@sha256:12",
		("x@sha512:" DIGEST),
		"x:1:2",
		"a b",
		"a\nb",
		"localhost:/x",
		"localhost:0/x",
		"localhost:65536/x",
		"a.b:5x/x",
		"user@host.x/y",
		"[::1/x",
		"a/../b",
		".a/x",
		"x.y/\x1b[31m",
		"http://r.example/x",
	};
	AUTO(arena) struct arena a = {0};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct oci_ref ref, again;
		struct err e = {0};

		ok(oci_ref_parse(good[i].text, &a, &ref, &e) == 0, "%s: %s", good[i].text, e.text);
		if (e.code)
			continue;
		ok(!strcmp(oci_ref_text(&ref, &a), good[i].whole), "%s", oci_ref_text(&ref, &a));
		ok(oci_ref_parse(good[i].whole, &a, &again, &e) == 0 &&
		           !strcmp(oci_ref_text(&again, &a), good[i].whole),
		   "%s", good[i].whole);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct oci_ref ref;
		struct err e = {0};

		ok(oci_ref_parse(bad[i], &a, &ref, &e) == -EINVAL && e.text[0], "%s", bad[i]);
	}
	ok(oci_digest_valid(DIGEST) && strlen(hex) == 64);
	ok(!oci_digest_valid("sha256:0123456789ABCDEF") && !oci_digest_valid(DIGEST "0"));
}

/* ---- headers --------------------------------------------------------------------------- */

static void challenges_of_every_form(void)
{
	AUTO(arena) struct arena a = {0};
	struct list l = {0};
	const struct challenge *c;

	challenges_parse("Bearer realm=\"https://a.example/t?x=1\" , service=\"s \\\"q\\\"\","
	                 "scope=\"repository:x:pull,push\", Basic realm=r,, Negotiate, "
	                 "NTLM abc==, Digest nonce=\"a\", error=odd",
	                 &a, &l);
	ok(l.count == 5, "%zu", l.count);
	c = LIST_AT(&l, struct challenge, 0);
	ok(!strcmp(c->scheme, "Bearer") && !strcmp(c->realm, "https://a.example/t?x=1"));
	ok(!strcmp(c->service, "s \"q\"") && !strcmp(c->scope, "repository:x:pull,push"), "%s",
	   c->service);
	c = LIST_AT(&l, struct challenge, 1);
	ok(!strcmp(c->scheme, "Basic") && !strcmp(c->realm, "r"));
	ok(!strcmp(LIST_AT(&l, struct challenge, 2)->scheme, "Negotiate"));
	c = LIST_AT(&l, struct challenge, 4);
	ok(!strcmp(c->scheme, "Digest") && !strcmp(c->error, "odd"), "%s", c->scheme);
}

static void links_and_numbers(void)
{
	AUTO(arena) struct arena a = {0};
	uint64_t x = 0, y = 0, z = 0;
	const char *next;

	next = link_next("</a>; rel=prev, </v2/x?n=1>; title=\"a, b\"; rel=\"last next\"", &a);
	ok(next && !strcmp(next, "/v2/x?n=1"));
	ok(!link_next("</a>; rel=\"nextish\"", &a) && !link_next("/a; rel=next", &a));
	ok(!link_next("<a", &a) && !link_next("", &a));

	ok(!upload_range_parse("0-99", &x) && x == 100);
	ok(!upload_range_parse("bytes=0-99", &x) && x == 100);
	ok(!upload_range_parse("0-0", &x) && x == 0, "nothing yet");
	ok(upload_range_parse("1-99", &x) < 0 && upload_range_parse("0-99x", &x) < 0 &&
	   upload_range_parse("", &x) < 0);
	ok(!content_range_parse("bytes 5-9/10", &x, &y, &z) && x == 5 && y == 9 && z == 10);
	ok(!content_range_parse("bytes 5-9/*", &x, &y, &z) && z == UINT64_MAX);
	ok(content_range_parse("bytes 5-10/10", &x, &y, &z) < 0);
	ok(content_range_parse("bytes 9-5/10", &x, &y, &z) < 0);
	ok(content_range_parse("bytes */10", &x, &y, &z) < 0);
	ok(content_range_parse("bytes 0-18446744073709551616/*", &x, &y, &z) < 0);
	ok(!retry_after_parse("120", 0, &x) && x == 120);
	ok(!retry_after_parse("Sun, 06 Nov 1994 08:49:37 GMT", 784111770, &x) && x == 7);
	ok(!retry_after_parse("Sun, 06 Nov 1994 08:49:37 GMT", 784111779, &x) && x == 0);
	ok(retry_after_parse("soon", 0, &x) < 0);
}

static void addresses(void)
{
	AUTO(arena) struct arena a = {0};
	struct url u;

	ok(url_parse("https://h.example:1/a/b?c=d", &a, &u) && u.https);
	ok(!strcmp(u.host, "h.example:1") && !strcmp(u.path, "/a/b?c=d"));
	ok(!strcmp(url_resolve(&u, "/x", &a), "https://h.example:1/x"));
	ok(!strcmp(url_resolve(&u, "x?y", &a), "https://h.example:1/a/x?y"));
	ok(!strcmp(url_resolve(&u, "//o/x", &a), "https://o/x"));
	ok(!strcmp(url_resolve(&u, "http://o/x", &a), "http://o/x"));
	ok(!url_parse("ftp://x/", &a, &u) && !url_parse("https://u:p@h/", &a, &u) &&
	   !url_parse("https:///x", &a, &u) && !url_parse("http://a b/", &a, &u));
	ok(url_parse("http://h", &a, &u) && !strcmp(u.path, "/"));
	ok(host_is(&u, "h") && host_is(&u, "H:80") && !host_is(&u, "h:443") && !host_is(&u, "hh"));
	ok(url_parse("https://h:443/", &a, &u) && host_is(&u, "h") && !host_is(&u, "h:80"));
	ok(host_is_loopback("localhost:5000") && host_is_loopback("127.1.2.3") &&
	   host_is_loopback("[::1]:1") && host_is_loopback("a.localhost"));
	ok(!host_is_loopback("localhost.example") && !host_is_loopback("127.0.0.1.example") &&
	   !host_is_loopback("10.0.0.1") && !host_is_loopback("[::2]"));
}

/* ---- JSON ------------------------------------------------------------------------------ */

static int outline(const char *text, struct arena *a, struct oci_outline *out)
{
	struct err e = {0};
	int r = oci_manifest_outline(span_of_text(text), a, out, &e);

	ok(!r || (r == -EBADMSG && e.text[0]));
	return r;
}

static void manifests_of_every_kind(void)
{
	AUTO(arena) struct arena a = {0};
	AUTO(buf) struct buf with = {0};
	struct oci_descriptor subject = {.media = "m", .digest = DIGEST, .bytes = 5};
	struct oci_outline o;
	struct err e = {0};

	ok(!outline("{\"schemaVersion\":2,\"layers\":[]}", &a, &o) && !o.is_index);
	ok(!o.config.digest && !o.artifact_type[0]);
	ok(!outline("{\"schemaVersion\":2,\"config\":{\"mediaType\":\"c\",\"digest\":\"" DIGEST
	            "\",\"size\":3},\"layers\":[{\"digest\":\"" DIGEST "\",\"size\":0}]}",
	            &a, &o));
	ok(!strcmp(o.artifact_type, "c") && o.config.bytes == 3 && o.layers.count == 1);
	ok(!outline("{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"" DIGEST
	            "\",\"size\":7,\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}}]}",
	            &a, &o) &&
	   o.is_index);
	ok(!strcmp(LIST_AT(&o.layers, struct oci_descriptor, 0)->architecture, "amd64"));
	ok(outline("{\"schemaVersion\":1,\"layers\":[]}", &a, &o) < 0);
	ok(outline("[]", &a, &o) < 0 && outline("", &a, &o) < 0);
	ok(outline("{\"schemaVersion\":2,\"layers\":[{\"digest\":\"" DIGEST "\",\"size\":-1}]}", &a,
	           &o) < 0);
	ok(outline("{\"schemaVersion\":2,\"layers\":[{\"digest\":\"sha256:../..\",\"size\":1}]}",
	           &a, &o) < 0);

	ok(!oci_manifest_set_subject(span_of_text("{\"schemaVersion\":2,\"layers\":[]}"), &subject,
	                             &with, &e));
	ok(!outline(buf_text(&with), &a, &o) && !strcmp(o.subject.digest, DIGEST) &&
	   o.subject.bytes == 5);
}

static void a_list_of_referrers_has_each_once(void)
{
	AUTO(arena) struct arena a = {0};
	AUTO(buf) struct buf one = {0};
	AUTO(buf) struct buf two = {0};
	const struct oci_descriptor d = {
		.media = "m", .digest = DIGEST, .bytes = 5, .artifact_type = "t"};
	struct span manifest = span_of_text("{\"annotations\":{\"k\":\"v\"}}");
	struct oci_outline o;
	struct err e = {0};
	bool changed;

	ok(!json_index_add(SPAN(NULL, 0), manifest, &d, &one, &changed, &e) && changed);
	ok(strstr(buf_text(&one), "\"annotations\":{\"k\":\"v\"}") != NULL, "%s", buf_text(&one));
	ok(!json_index_add(buf_span(&one), manifest, &d, &two, &changed, &e) && !changed);
	ok(!outline(buf_text(&two), &a, &o) && o.layers.count == 1);
}

static void credentials_in_every_form(void)
{
	static const char file[] =
		"{\"auths\":{\"a.example\":{\"auth\":\"bWU6cDphc3M=\"},"
		"\"https://b.example\":{\"auth\":\"bWU6\"},"
		"\"c.example\":{\"auth\":\"!\"},\"d.example\":{\"identitytoken\":\"t\"}},"
		"\"credHelpers\":{\"e.example\":\"own\"}}";
	AUTO(arena) struct arena a = {0};
	const struct span in = span_of_text(file);
	struct credentials c = {0};
	const char *helper = NULL;
	struct err e = {0};

	ok(!json_auths_find(in, "a.example", &a, &c, &helper, &e) && !helper);
	ok(!strcmp(c.user, "me") && !strcmp(c.password, "p:ass"));
	ok(!json_auths_find(in, "b.example", &a, &c, &helper, &e) && !c.password[0]);
	ok(json_auths_find(in, "c.example", &a, &c, &helper, &e) == -EBADMSG);
	c = (struct credentials){0};
	ok(!json_auths_find(in, "d.example", &a, &c, &helper, &e) && !strcmp(c.identity, "t"));
	ok(!json_auths_find(in, "e.example", &a, &c, &helper, &e) && !strcmp(helper, "own"));
	c = (struct credentials){0};
	ok(!json_auths_find(in, "f.example", &a, &c, &helper, &e) && !c.user && !c.identity);
	ok(!json_helper_answer(span_of_text("{\"Username\":\"<token>\",\"Secret\":\"i\"}"), &a, &c,
	                       &e) &&
	   !strcmp(c.identity, "i"));
}

static void the_longest_rule_counts(void)
{
	static const char file[] = "{\"registries\":{\"*\":{\"insecure\":true},"
				   "\"r.example\":{\"ca\":\"one\"},"
				   "\"r.example/team\":{\"ca\":\"two\",\"mirrors\":[\"m\"]}}}";
	static const struct {
		const char *host, *repository, *ca;
	} cases[] = {
		{"r.example", "x", "one"},      {"r.example", "team", "two"},
		{"r.example", "team/x", "two"}, {"r.example", "teams/x", "one"},
		{"r.example:5", "x", NULL},
	};
	struct oci_policy p;
	struct err e = {0};

	ok(oci_policy_parse(span_of_text(file), &p, &e) == 0, "%s", e.text);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct oci_ref ref = {.host = cases[i].host,
		                            .repository = cases[i].repository};
		struct oci_registry r = oci_policy_find(&p, &ref);

		ok(cases[i].ca ? r.ca && !strcmp(r.ca, cases[i].ca) : !r.ca && r.insecure, "%zu",
		   i);
	}
	oci_policy_finish(&p);
}

/* ---- signatures ------------------------------------------------------------------------ */

static void base64_there_and_back(void)
{
	for (size_t n = 0; n < 40; n++) {
		AUTO(buf) struct buf text = {0};
		AUTO(buf) struct buf back = {0};
		uint8_t data[40];

		for (size_t i = 0; i < n; i++)
			data[i] = (uint8_t)(i * 37 + n);
		base64_encode(SPAN(data, n), &text);
		ok(text.len == (n + 2) / 3 * 4);
		ok(!base64_decode(buf_text(&text), &back) &&
		   span_equal(buf_span(&back), SPAN(data, n)));
	}
}

static char *write_file(const char *text)
{
	char *path = xprintf("%s/wslx-oci-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	int fd = mkstemp(path);

	ok(fd >= 0 && os_write_all(fd, text, strlen(text)) == 0);
	close(fd);
	return path;
}

/* RFC 8032, 7.1, test 3. */
static void a_signature_of_the_rfc(void)
{
	static const char public_key[] =
		"-----BEGIN PUBLIC KEY-----\n"
		"MCowBQYDK2VwAyEA/FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU=\n"
		"-----END PUBLIC KEY-----\n";
	static const char private_key[] =
		"-----BEGIN PRIVATE KEY-----\n"
		"MC4CAQAwBQYDK2VwBCIEIMWqjfQ/n4N77bdELzHct7Fm04U1B28JS4XOOi4LRFj3\n"
		"-----END PRIVATE KEY-----\n";
	static const char wanted[] =
		"6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
		"18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";
	static const uint8_t message[] = {0xaf, 0x82};
	AUTO(text) char *public_file = write_file(public_key);
	AUTO(text) char *private_file = write_file(private_key);
	uint8_t signature[SIGNATURE_BYTES];
	char found[2 * SIGNATURE_BYTES + 1], id[OCI_DIGEST_TEXT];
	struct err e = {0};

	ok(!ed25519_sign(private_file, SPAN(message, 2), signature, id, &e), "%s", e.text);
	text_hex(found, signature, sizeof(signature));
	ok(!strcmp(found, wanted), "%s", found);
	ok(!ed25519_verify(public_file, SPAN(message, 2), SPAN(signature, 64), &e));
	ok(ed25519_verify(public_file, SPAN(message, 1), SPAN(signature, 64), &e) == -EKEYREJECTED);
	ok(ed25519_verify(public_file, SPAN(message, 2), SPAN(signature, 63), &e) == -EKEYREJECTED);
	ok(ed25519_verify(private_file, SPAN(message, 2), SPAN(signature, 64), &e) == -EINVAL);
	unlink(public_file);
	unlink(private_file);
}

int main(void)
{
	RUN(a_reference_is_taken_apart_as_docker_does);
	RUN(challenges_of_every_form);
	RUN(links_and_numbers);
	RUN(addresses);
	RUN(manifests_of_every_kind);
	RUN(a_list_of_referrers_has_each_once);
	RUN(credentials_in_every_form);
	RUN(the_longest_rule_counts);
	RUN(base64_there_and_back);
	RUN(a_signature_of_the_rfc);
	return tap_done();
}
