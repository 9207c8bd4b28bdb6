/* SPDX-License-Identifier: MIT */
#include "image/rec.h"

#include "../random.h"
#include "tap.h"

struct leaf {
	uint32_t fd;
	int32_t signed_one;
	bool set;
};

static const struct field leaf_fields[] = {
	FIELD(struct leaf, fd, 1, 1000),
	FIELD(struct leaf, signed_one, 2, 0),
	FIELD(struct leaf, set, 3, 0),
};
static const struct rec_type leaf_type = REC_TYPE(leaf, leaf_fields, .key = 1);

struct tree {
	uint64_t big;
	uint8_t small;
	const char *name;
	struct span data;
	uint8_t id[4];
	struct leaf one;
	struct list leaves;
	struct list numbers;
};

static const struct field tree_fields[] = {
	FIELD_HEX(struct tree, big, 1, UINT64_MAX, "a big number"),
	FIELD(struct tree, small, 2, 200),
	FIELD(struct tree, name, 3, 16),
	FIELD(struct tree, data, 4, 64),
	FIELD(struct tree, id, 5, 0),
	FIELD_REC(struct tree, one, 6, &leaf_type),
	FIELD_LIST(struct tree, leaves, 7, &leaf_type, 3),
	FIELD_LIST_U64(struct tree, numbers, 8, 4),
};
static const struct rec_type tree_type = REC_TYPE(tree, tree_fields);

static struct tree sample(struct arena *a)
{
	struct tree t = {.big = 0x123456789abcdef0,
	                 .small = 23,
	                 .name = "a name",
	                 .data = SPAN("bytes", 5),
	                 .id = {1, 2, 3, 4}};

	t.one = (struct leaf){.fd = 24, .signed_one = -500, .set = true};
	*LIST_ADD(&t.leaves, a, struct leaf) = (struct leaf){.fd = 3};
	*LIST_ADD(&t.leaves, a, struct leaf) = (struct leaf){.fd = 1000, .signed_one = INT32_MIN};
	*LIST_ADD(&t.numbers, a, uint64_t) = 0;
	*LIST_ADD(&t.numbers, a, uint64_t) = UINT64_MAX;
	return t;
}

static void what_is_encoded_decodes_to_the_same(void)
{
	AUTO(arena) struct arena a = {0};
	AUTO(buf) struct buf once = {0}, twice = {0}, diff = {0};
	struct tree in = sample(&a), out;
	struct err e = {0};

	rec_encode(&once, &tree_type, &in);
	ok(!rec_decode(buf_span(&once), &tree_type, &a, &out, &e), "%s", e.text);
	ok(!rec_diff(&diff, &tree_type, &in, &out), "%s", buf_text(&diff));
	rec_encode(&twice, &tree_type, &out);
	ok(span_equal(buf_span(&once), buf_span(&twice)));
}

static void the_bytes_are_those_of_rfc_8949(void)
{
	AUTO(buf) struct buf b = {0};
	struct tree t = {.small = 24, .name = "n"};
	static const uint8_t want[] = {0xa2, 2, 0x18, 24, 3, 0x61, 'n'};

	rec_encode(&b, &tree_type, &t);
	ok(span_equal(buf_span(&b), SPAN(want, sizeof(want))));
}

static void every_cut_and_every_flipped_bit_is_survived(void)
{
	AUTO(arena) struct arena a = {0};
	AUTO(buf) struct buf b = {0};
	struct tree in = sample(&a), out;
	struct err e;

	rec_encode(&b, &tree_type, &in);
	for (size_t n = 0; n < b.len; n++)
		ok(rec_decode(SPAN(b.data, n), &tree_type, &a, &out, &e) == -EBADMSG);
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		AUTO(buf) struct buf again = {0};

		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		/* What is accepted is in its one form: it encodes to the bytes it came from. */
		if (!rec_decode(buf_span(&b), &tree_type, &a, &out, &e)) {
			rec_encode(&again, &tree_type, &out);
			ok(span_equal(buf_span(&b), buf_span(&again)), "bit %zu", bit);
		}
		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void refused(const char *what, const uint8_t *data, size_t len)
{
	AUTO(arena) struct arena a = {0};
	struct tree out;
	struct err e = {0};

	ok(rec_decode(SPAN(data, len), &tree_type, &a, &out, &e) == -EBADMSG, "%s", what);
}
#define REFUSED(what, ...)                                                                         \
	refused(what, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void what_breaks_the_rules_is_refused(void)
{
	REFUSED("not a map", 0x80);
	REFUSED("a long form", 0xa1, 2, 0x18, 5);
	REFUSED("over its limit", 0xa1, 2, 0x18, 201);
	REFUSED("over its width", 0xa1, 2, 0x19, 1, 0);
	REFUSED("out of order", 0xa2, 2, 1, 1, 1);
	REFUSED("twice", 0xa2, 2, 1, 2, 1);
	REFUSED("unknown and required", 0xa1, 0x18, 100, 1);
	REFUSED("a zero in text", 0xa1, 3, 0x61, 0);
	REFUSED("too much text", 0xa1, 3, 0x71, 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a',
	        'a', 'a', 'a', 'a', 'a', 'a', 'a');
	REFUSED("short id", 0xa1, 5, 0x43, 1, 2, 3);
	REFUSED("endless", 0xbf, 0xff);
	REFUSED("trailing", 0xa0, 0);
	REFUSED("a default that is written", 0xa1, 2, 0);
	REFUSED("false", 0xa1, 6, 0xa1, 3, 0xf4);
}

static void an_unknown_optional_field_is_skipped(void)
{
	static const uint8_t in[] = {0xa2, 2, 5, 0x18, 130, 0x82, 0xa1, 1, 2, 0x61, 'x'};
	AUTO(arena) struct arena a = {0};
	struct tree out;
	struct err e = {0};

	ok(!rec_decode(SPAN(in, sizeof(in)), &tree_type, &a, &out, &e), "%s", e.text);
	ok(out.small == 5 && out.name && !*out.name);
}

static void text_that_is_not_utf8_goes_both_ways(void)
{
	AUTO(arena) struct arena a = {0};
	AUTO(buf) struct buf b = {0};
	struct tree in = {.name = "\xff/x"}, out;
	struct err e = {0};

	rec_encode(&b, &tree_type, &in);
	ok(!rec_decode(buf_span(&b), &tree_type, &a, &out, &e), "%s", e.text);
	ok(!strcmp(out.name, in.name));
}

static void a_difference_names_its_path(void)
{
	AUTO(arena) struct arena a = {0};
	AUTO(buf) struct buf b = {0};
	struct tree x = sample(&a), y = sample(&a);

	LIST_AT(&y.leaves, struct leaf, 1)->set = true;
	*LIST_ADD(&y.leaves, &a, struct leaf) = (struct leaf){.fd = 9};
	ok(rec_diff(&b, &tree_type, &x, &y) == 2);
	ok(strstr(buf_text(&b), "leaves[1000].set: no -> yes\n"), "%s", buf_text(&b));
	ok(strstr(buf_text(&b), "leaves[9]: only in the second: fd=9\n"), "%s", buf_text(&b));
}

static void a_record_is_shown_as_text_and_json(void)
{
	AUTO(arena) struct arena a = {0};
	AUTO(buf) struct buf text = {0}, json = {0}, doc = {0};
	struct tree t = sample(&a);

	rec_show_text(&text, &tree_type, &t, 0);
	ok(strstr(buf_text(&text), "big: 0x123456789abcdef0\n"), "%s", buf_text(&text));
	ok(strstr(buf_text(&text), "  - fd: 1000\n"), "%s", buf_text(&text));
	rec_show_json(&json, &tree_type, &t);
	ok(strstr(buf_text(&json), "\"data\":\"6279746573\""), "%s", buf_text(&json));
	ok(strstr(buf_text(&json), "\"signed_one\":-500"), "%s", buf_text(&json));
	rec_describe(&doc, &tree_type);
	ok(strstr(buf_text(&doc), "| 1 | big | unsigned | 64 bits | a big number |"), "%s",
	   buf_text(&doc));
}

/* Lists of records that are numbers and digests, and nothing else, are decoded in another way. */
struct place {
	uint64_t page;
	uint32_t count;
	uint16_t first;
	uint8_t digest[24], tag[2];
	bool never; /* with it the record is decoded as any other */
};

#define PLAIN_FIELDS                                                                               \
	FIELD(struct place, page, 1, 1ull << 33), FIELD(struct place, count, 2, UINT64_MAX),       \
		FIELD(struct place, first, 20, 70000), FIELD(struct place, digest, 21, 0),         \
		FIELD(struct place, tag, 22, 0)

static const struct field place_fields[] = {PLAIN_FIELDS};
static const struct field other_fields[] = {PLAIN_FIELDS, FIELD(struct place, never, 100, 0)};

static int check_place(const void *rec, struct err *e)
{
	const struct place *p = rec;

	return p->count == p->first && p->count
	               ? err_say(e, -EBADMSG, "%u and %u", p->count, p->first)
	               : 0;
}

static const struct rec_type plain_type = REC_TYPE(place, place_fields, .check = check_place);
static const struct rec_type other_type = REC_TYPE(place, other_fields, .check = check_place);

struct places {
	struct list all;
};

static const struct field plain_list_fields[] = {FIELD_LIST(struct places, all, 1, &plain_type, 9)};
static const struct field other_list_fields[] = {FIELD_LIST(struct places, all, 1, &other_type, 9)};
static const struct rec_type plain_list_type = REC_TYPE(places, plain_list_fields);
static const struct rec_type other_list_type = REC_TYPE(places, other_list_fields);

static bool both_agree(struct span in, unsigned *accepted)
{
	AUTO(arena) struct arena a = {0};
	struct places plain = {0}, other = {0};
	struct err e1 = {0}, e2 = {0};
	int r1 = rec_decode(in, &plain_list_type, &a, &plain, &e1);
	int r2 = rec_decode(in, &other_list_type, &a, &other, &e2);

	if (r1 || r2)
		return r1 == r2 && !strcmp(e1.text, e2.text);
	(*accepted)++;
	return plain.all.count == other.all.count &&
	       (!plain.all.count ||
	        !memcmp(plain.all.items, other.all.items, plain.all.count * sizeof(struct place)));
}

static void records_of_numbers_decode_as_others_do(void)
{
	static const uint64_t values[] = {0, 1, 23, 24, 255, 256, 300, 65535, 65536, 1ull << 33};
	const size_t n = ARRAY_LEN(values);
	unsigned wrong = 0, accepted = 0, rounds = 200000;
	uint64_t state = 5;

	for (unsigned i = 0; i < rounds; i++) {
		AUTO(arena) struct arena a = {0};
		AUTO(buf) struct buf b = {0};
		struct places all = {0};

		for (uint64_t k = random_next(&state) % 3; k; k--) {
			struct place *p = LIST_ADD(&all.all, &a, struct place);

			*p = (struct place){
				.page = values[random_next(&state) % n],
				.count = (uint32_t)values[random_next(&state) % (n - 1)],
				.first = (uint16_t)values[random_next(&state) % (n - 2)]};
			p->digest[23] = random_next(&state) % 2;
			p->tag[0] = random_next(&state) % 2;
		}
		rec_encode(&b, &plain_list_type, &all);
		for (uint64_t k = random_next(&state) % 3; b.len && k; k--) {
			uint64_t r = random_next(&state);
			uint8_t *at = &b.data[(r >> 8) % b.len];

			/* A field's number, a larger head, a flipped bit, or an end. */
			if (r % 4 == 3)
				b.len = (size_t)(at - b.data);
			else if (r % 4 == 2)
				*at ^= (uint8_t)(1u << (r >> 56 & 7));
			else
				*at = (uint8_t)((r >> 48) % 32);
		}
		wrong += !both_agree(buf_span(&b), &accepted);
	}
	ok(!wrong, "%u of %u differ", wrong, rounds);
	ok(accepted > rounds / 10 && accepted < rounds, "%u are right", accepted);
}

int main(void)
{
	RUN(what_is_encoded_decodes_to_the_same);
	RUN(the_bytes_are_those_of_rfc_8949);
	RUN(every_cut_and_every_flipped_bit_is_survived);
	RUN(what_breaks_the_rules_is_refused);
	RUN(an_unknown_optional_field_is_skipped);
	RUN(text_that_is_not_utf8_goes_both_ways);
	RUN(a_difference_names_its_path);
	RUN(a_record_is_shown_as_text_and_json);
	RUN(records_of_numbers_decode_as_others_do);
	return tap_done();
}
