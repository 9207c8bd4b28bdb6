/* SPDX-License-Identifier: MIT */
/*
 * A store that was damaged or tampered with: every byte changed, every file cut at every length,
 * every file exchanged for every other. Each must end in a refusal with a sentence, or be
 * provably harmless: what is read is then exactly what was written. Different data, a crash or
 * a hang is a failure.
 */
#include "store-kit.h"

/* Two snapshots of equal sizes, so that their blobs differ in nothing but their content. */
static struct content one, two;
static uint64_t unsettled_bytes; /* of the options that they are written with */

struct outcome {
	unsigned tried;
	unsigned harmless; /* both snapshots read as they were */
};

#define PAGES 3

/* A page of zeros between two that are not; small, because each of its bytes is tried. */
static void make_contents(void)
{
	uint64_t seed = 1;

	for (size_t i = 0; i < PAGES * PAGE_BYTES; i++) {
		uint8_t byte = i / PAGE_BYTES == 1 ? 0 : (uint8_t)random_next(&seed);

		buf_add_byte(&one.pages, byte);
		buf_add_byte(&two.pages, byte ? byte ^ 0x80 : 0);
	}
	one.state = "the state of the first";
	two.state = "the state of the other";
}

static char *make_victim(void)
{
	static const struct store_label label = {"host.kernel", "6.18"};
	const struct store_meta meta = {.labels = &label, .n_labels = 1, .created_ns = 1};
	const struct store_options options = {.unsettled_bytes = unsettled_bytes};
	const struct content *contents[] = {&one, &two};
	static const char *const names[] = {"one", "two"};
	char *root = make_folder();
	AUTO(store) struct store *s = open_store(root);
	struct err e = {0};

	for (int i = 0; i < 2; i++) {
		AUTO(store_writer) struct store_writer *w = NULL;
		struct page_sink *sink;

		must(store_writer_begin(s, "proc", &options, &w, &e), &e);
		sink = store_writer_sink(w);
		must(sink->write(sink, contents[i]->pages.data, PAGES, &e), &e);
		must(store_writer_commit(w, names[i], span_of_text(contents[i]->state), &meta, &e),
		     &e);
	}
	return root;
}

/* A refusal is one printable sentence, and says that the data is bad, or lost, or not ours. */
static bool is_refusal(int r, const struct err *e)
{
	size_t len = strlen(e->text);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)e->text[i] < ' ')
			return false;
	return len > 10 && (r == -EBADMSG || r == -ENOENT || r == -EPERM);
}

/* Looks at a store that something was done to. */
static void probe(const char *root, struct outcome *out, const char *what, size_t detail)
{
	const struct content *contents[] = {&one, &two};
	static const char *const names[] = {"one", "two"};
	struct store *s = NULL;
	struct store_report report;
	struct err e = {0};
	int r = store_open(root, NULL, &s, &e), whole = 0, verified;

	out->tried++;
	if (r < 0) {
		ok(is_refusal(r, &e), "%s at %zu: %d %s", what, detail, r, e.text);
		return;
	}
	for (int i = 0; i < 2; i++) {
		e = (struct err){0};
		r = compare(s, names[i], contents[i], &e);
		ok(r <= 0, "%s at %zu: %s is DIFFERENT", what, detail, names[i]);
		ok(!r || is_refusal(r, &e), "%s at %zu: %d %s", what, detail, r, e.text);
		whole += !r;
	}
	e = (struct err){0};
	verified = store_verify(s, NULL, &report, &e);
	if (whole == 2) {
		ok(!verified && report.snapshots == 2, "%s at %zu: %s", what, detail, e.text);
		out->harmless++;
	} else {
		/* What cannot be read does not verify; a name that is gone is not there. */
		ok(verified || report.snapshots < 2, "%s at %zu", what, detail);
		ok(!verified || is_refusal(verified, &e), "%s at %zu: %s", what, detail, e.text);
	}
	store_close(s);
}

/* JSON has bytes that say nothing: spaces, and what only other tools look at. */
static bool may_be_harmless(const char *path)
{
	return text_ends(path, "/index.json") || text_ends(path, "/oci-layout");
}

static struct list files_of(const char *root, struct arena *a)
{
	struct list files = {0};

	find_files(root, a, &files);
	qsort(files.items, files.count, sizeof(char *), by_text);
	/* key, index.json, oci-layout, lock; twice manifest, config, state, table, pages */
	ok(files.count == 14, "%zu files", files.count);
	return files;
}

static void every_changed_byte_is_refused_or_harmless(void)
{
	static const uint8_t changes[] = {0x01, 0x20, 0x80, 0xff};
	AUTO(text) char *root = make_victim();
	AUTO(arena) struct arena a = {0};
	struct list files = files_of(root, &a);
	struct outcome all = {0};

	LIST_EACH(&files, char *, path) {
		AUTO(buf) struct buf was = {0};
		AUTO(fd) int fd = open(*path, O_WRONLY);
		struct outcome here = {0};

		slurp(*path, &was);
		for (size_t at = 0; at < was.len; at++)
			for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
				uint8_t byte = was.data[at] ^ changes[i];

				/* One change a byte is enough where only a seal looks. */
				if (was.len > 4096 && i != at % ARRAY_LEN(changes))
					continue;
				if (pwrite(fd, &byte, 1, (off_t)at) != 1)
					ok(false, "%s", *path);
				probe(root, &here, *path, at);
				if (pwrite(fd, &was.data[at], 1, (off_t)at) != 1)
					ok(false, "%s", *path);
			}
		ok(!here.harmless || may_be_harmless(*path), "%s: %u harmless", *path,
		   here.harmless);
		all.tried += here.tried;
		all.harmless += here.harmless;
	}
	printf("# %u changes, %u harmless\n", all.tried, all.harmless);
	ok(all.tried > 10000);
	probe(root, &all, "restored", 0);
	remove_tree(root);
}

static void every_cut_or_grown_file_is_refused(void)
{
	AUTO(text) char *root = make_victim();
	AUTO(arena) struct arena a = {0};
	struct list files = files_of(root, &a);
	struct outcome all = {0};

	LIST_EACH(&files, char *, path) {
		AUTO(buf) struct buf was = {0};
		struct outcome here = {0};

		slurp(*path, &was);
		for (size_t len = was.len; len--;) {
			if (truncate(*path, (off_t)len) < 0)
				ok(false, "%s", *path);
			probe(root, &here, *path, len);
		}
		/* An empty oci-layout or lock has nothing to lose; all others have. */
		ok(!here.harmless, "%s: %u harmless", *path, here.harmless);
		spew(*path, buf_span(&was));
		if (!text_ends(*path, "/lock")) {
			buf_add_byte(&was, 'x');
			spew(*path, buf_span(&was));
			probe(root, &here, *path, was.len);
			ok(!here.harmless, "%s: grown", *path);
			was.len--;
			spew(*path, buf_span(&was));
		}
		all.tried += here.tried;
	}
	printf("# %u lengths\n", all.tried);
	ok(all.tried > 10000);
	remove_tree(root);
}

static void every_exchanged_or_missing_file_is_refused(void)
{
	AUTO(text) char *root = make_victim();
	AUTO(text) char *aside = xprintf("%s/aside", root);
	AUTO(arena) struct arena a = {0};
	struct list files = files_of(root, &a);
	struct outcome all = {0};

	LIST_EACH(&files, char *, x) {
		AUTO(buf) struct buf was = {0}, other = {0};
		struct outcome here = {0};

		if (text_ends(*x, "/lock"))
			continue;
		slurp(*x, &was);
		LIST_EACH(&files, char *, y) {
			if (x == y)
				continue;
			slurp(*y, &other);
			/* One for the other, then each for the other. */
			spew(*x, buf_span(&other));
			probe(root, &here, *x, 0);
			spew(*y, buf_span(&was));
			probe(root, &here, *x, 1);
			spew(*x, buf_span(&was));
			spew(*y, buf_span(&other));
		}
		if (rename(*x, aside) < 0)
			ok(false, "%s", *x);
		if (!text_ends(*x, "/oci-layout")) /* this one is simply made again */
			probe(root, &here, *x, 2);
		if (symlink(aside, *x) == 0)
			probe(root, &here, *x, 3);
		unlink(*x);
		if (mkfifo(*x, 0600) == 0)
			probe(root, &here, *x, 4);
		unlink(*x);
		if (rename(aside, *x) < 0)
			ok(false, "%s", *x);
		ok(!here.harmless, "%s: %u harmless", *x, here.harmless);
		all.tried += here.tried;
	}
	printf("# %u exchanges\n", all.tried);
	ok(all.tried > 300);
	all.harmless = 0;
	probe(root, &all, "restored", 0);
	ok(all.harmless == 1);
	remove_tree(root);
}

/* ---- index.json, by one who knows the format --------------------------------------------- */

static json_t *load_index(const char *root)
{
	AUTO(text) char *path = xprintf("%s/index.json", root);
	json_t *json = json_load_file(path, 0, NULL);

	ok(json_array_size(json_object_get(json, "manifests")) > 0);
	return json;
}

static void save_index(const char *root, json_t *json)
{
	AUTO(text) char *path = xprintf("%s/index.json", root);

	ok(json_dump_file(json, path, 0) == 0);
}

static json_t *entry_at(json_t *json, size_t i)
{
	return json_array_get(json_object_get(json, "manifests"), i);
}

static json_t *notes_at(json_t *json, size_t i)
{
	return json_object_get(entry_at(json, i), "annotations");
}

static void set_note(json_t *json, size_t i, const char *key, const char *value)
{
	json_object_set_new(notes_at(json, i), key, json_string(value));
}

static void a_name_is_bound_to_its_manifest(void)
{
	static const char *const name = "org.opencontainers.image.ref.name";
	AUTO(text) char *root = make_victim();
	AUTO(json_t) json_t *was = load_index(root);
	AUTO(json_t) json_t *json = NULL;
	AUTO(store) struct store *s = open_store(root);
	struct outcome out = {0};
	struct err e = {0};

	/* Names exchanged. */
	json = json_deep_copy(was);
	set_note(json, 0, name, "two");
	set_note(json, 1, name, "one");
	save_index(root, json);
	ok(compare(s, "one", &two, &e) == -EBADMSG, "%s", e.text);
	ok(compare(s, "two", &one, &e) == -EBADMSG, "%s", e.text);
	probe(root, &out, "names exchanged", 0);

	/* A name that steers the terminal of who reads of it. */
	set_note(json, 0, name, "\033[2J");
	save_index(root, json);
	probe(root, &out, "an unprintable name", 0);

	/* A new name for an old manifest, with all that its entry has. */
	json_decref(json);
	json = json_deep_copy(was);
	json_array_append_new(json_object_get(json, "manifests"), json_deep_copy(entry_at(was, 0)));
	set_note(json, 2, name, "three");
	save_index(root, json);
	ok(compare(s, "three", &one, &e) == -EBADMSG, "%s", e.text);
	ok(compare(s, "one", &one, &e) == 0, "%s", e.text);

	/* The same name twice: which would be it? */
	set_note(json, 2, name, "one");
	save_index(root, json);
	ok(compare(s, "one", &one, &e) == -EBADMSG, "%s", e.text);
	ok(compare(s, "two", &two, &e) == 0, "%s", e.text);

	/* Generation, digest, size, seal. */
	for (int i = 0; i < 6; i++) {
		json_decref(json);
		json = json_deep_copy(was);
		if (i == 0)
			set_note(json, 0, "vnd.wslx.generation", "3");
		if (i == 1)
			json_object_set(entry_at(json, 0), "digest",
			                json_object_get(entry_at(json, 1), "digest"));
		if (i == 2)
			json_object_set_new(entry_at(json, 0), "size", json_integer(1));
		if (i == 3)
			json_object_del(notes_at(json, 0), "vnd.wslx.seal");
		if (i == 4)
			json_object_set(notes_at(json, 0), "vnd.wslx.seal",
			                json_object_get(notes_at(json, 1), "vnd.wslx.seal"));
		if (i == 5)
			json_object_del(entry_at(json, 0), "digest");
		save_index(root, json);
		ok(compare(s, "one", &one, &e) == -EBADMSG, "%d: %s", i, e.text);
		ok(compare(s, "two", &two, &e) == 0, "%d: %s", i, e.text);
	}
	ok(out.harmless == 0);
	remove_tree(root);
}

static void what_others_change_in_index_json_is_harmless(void)
{
	AUTO(text) char *root = make_victim();
	AUTO(json_t) json_t *json = load_index(root);
	struct outcome out = {0};

	json_object_del(json, "annotations");
	json_object_del(json, "mediaType");
	json_object_del(entry_at(json, 0), "artifactType");
	set_note(json, 1, "org.example", "text");
	json_array_append_new(
		json_object_get(json, "manifests"),
		json_pack("{s:s, s:s, s:i}", "mediaType", "x", "digest", "y", "size", 1));
	json_array_append_new(json_object_get(json, "manifests"), json_integer(5));
	save_index(root, json);
	probe(root, &out, "others", 0);
	ok(out.harmless == 1);
	remove_tree(root);
}

static void a_snapshot_of_another_store_is_refused(void)
{
	AUTO(text) char *root = make_victim();
	AUTO(text) char *other = make_victim();
	AUTO(text) char *key = xprintf("%s/key", root);
	AUTO(text) char *other_key = xprintf("%s/key", other);
	AUTO(buf) struct buf bytes = {0};
	struct outcome out = {0};

	slurp(other_key, &bytes);
	spew(key, buf_span(&bytes));
	probe(root, &out, "another key", 0);
	ok(out.tried == 1 && out.harmless == 0);
	remove_tree(root);
	remove_tree(other);
}

/* ---- seals ----------------------------------------------------------------------------- */

static void a_seal_opens_only_in_its_place(void)
{
	uint8_t key[STORE_KEY_BYTES] = {1}, id[ID_BYTES] = {2}, other_id[ID_BYTES] = {3};
	uint8_t plain[100], sealed[100 + SEAL_TAG_BYTES], back[100];
	AUTO(sealer) struct sealer s = {0};
	AUTO(sealer) struct sealer other_snapshot = {0};
	struct err e = {0};

	memset(plain, 7, sizeof(plain));
	must(sealer_init(&s, key, id, &e), &e);
	must(sealer_init(&other_snapshot, key, other_id, &e), &e);
	must(sealer_seal(&s, SEAL_PAGES, 5, plain, sizeof(plain), sealed, &e), &e);
	ok(sealer_open(&s, SEAL_PAGES, 5, sealed, sizeof(sealed), back) == 0);
	ok(!memcmp(back, plain, sizeof(plain)));
	ok(sealer_open(&s, SEAL_PAGES, 6, sealed, sizeof(sealed), back) == -EBADMSG);
	ok(sealer_open(&s, SEAL_STATE, 5, sealed, sizeof(sealed), back) == -EBADMSG);
	ok(sealer_open(&other_snapshot, SEAL_PAGES, 5, sealed, sizeof(sealed), back) == -EBADMSG);
	ok(sealer_open(&s, SEAL_PAGES, 5, sealed, sizeof(sealed) - 1, back) == -EBADMSG);
	ok(sealer_open(&s, SEAL_PAGES, 5, sealed, SEAL_TAG_BYTES - 1, back) == -EBADMSG);
	for (size_t i = 0; i < sizeof(back); i++)
		ok(back[i] == 0, "a byte that was not authenticated is seen");
}

/* Where there is no faster one, it is the same one twice. */
static void a_faster_cipher_seals_the_same(void)
{
	enum { LONGEST = 140000 };
	uint8_t key[STORE_KEY_BYTES], id[ID_BYTES] = {2};
	uint8_t *plain = xalloc(LONGEST), *back = xalloc(LONGEST);
	uint8_t *by_slow = xalloc(LONGEST + SEAL_TAG_BYTES),
		*by_quick = xalloc(LONGEST + SEAL_TAG_BYTES);
	uint64_t seed = 11;
	struct err e = {0};

	for (size_t len = 0, round = 0; len < LONGEST; len = len < 300 ? len + 1 : len * 5 / 4) {
		AUTO(sealer) struct sealer slow = {0}, quick = {0};
		uint64_t index = random_next(&seed);

		for (size_t i = 0; i < sizeof(key); i++)
			key[i] = (uint8_t)random_next(&seed);
		for (size_t i = 0; i<len; i += len> 300 ? 14 : 1)
			plain[i] = (uint8_t)random_next(&seed);
		must(sealer_init(&slow, key, id, &e), &e);
		must(sealer_init(&quick, key, id, &e), &e);
		sealer_quicken(&quick, key);
		if (!round++)
			printf("# %s\n", quick.quick ? "libipsec-mb" : "OpenSSL only");
		must(sealer_seal(&slow, SEAL_PAGES, index, plain, len, by_slow, &e), &e);
		must(sealer_seal(&quick, SEAL_PAGES, index, plain, len, by_quick, &e), &e);
		ok(!memcmp(by_slow, by_quick, len + SEAL_TAG_BYTES), "%zu bytes", len);
		ok(!sealer_open(&quick, SEAL_PAGES, index, by_quick, len + SEAL_TAG_BYTES, back) &&
		           !memcmp(back, plain, len),
		   "%zu bytes", len);
	}
	free(plain);
	free(back);
	free(by_slow);
	free(by_quick);
}

static void the_digests_and_macs_are_the_published_ones(void)
{
	/* FIPS 180-4, "abc"; RFC 4231, test case 2 with its key padded to our length by zeros. */
	static const char *const sha =
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
	static const char *const hmac =
		"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
	static const char *const data = "what do ya want for nothing?";
	/* openssl kdf -kdfopt digest:SHA256 -kdfopt hexkey:4a65666500... -kdfopt info:USE HKDF */
	static const char *const use = "wslx store: wrap";
	static const char *const hkdf =
		"f3438b5fbd3a306945edf87679248b1a0e4c1a5bbd218323c2fb22054f3e5e5f";
	uint8_t key[STORE_KEY_BYTES] = "Jefe", out[DIGEST_BYTES];
	char hex[2 * DIGEST_BYTES + 1];
	struct err e = {0};

	must(digest_of(SPAN("abc", 3), out, &e), &e);
	text_hex(hex, out, sizeof(out));
	ok(!strcmp(hex, sha), "%s", hex);
	must(mac_of(key, span_of_text(data), out, &e), &e);
	text_hex(hex, out, sizeof(out));
	ok(!strcmp(hex, hmac), "%s", hex);
	must(derive_key(key, use, out, sizeof(out), &e), &e);
	text_hex(hex, out, sizeof(out));
	ok(!strcmp(hex, hkdf), "%s", hex);
}

/* ---- frame tables ---------------------------------------------------------------------- */

static void the_same_holds_before_a_snapshot_is_settled(void)
{
	unsettled_bytes = 1;
	every_changed_byte_is_refused_or_harmless();
	every_cut_or_grown_file_is_refused();
	every_exchanged_or_missing_file_is_refused();
	unsettled_bytes = 0;
}

static int parse_table_of(enum config_seal seal, const struct frame_rec *frames, size_t n,
                          uint64_t pages, const uint64_t *blobs, size_t n_blobs)
{
	AUTO(arena) struct arena a = {0};
	AUTO(buf) struct buf bytes = {0};
	struct table_rec out, t = {
				      .pages = pages,
				      .frame_pages = FRAME_PAGES,
				      .frames = {.items = (void *)(uintptr_t)frames, .count = n},
			      };
	uint64_t *offsets;
	struct err e = {0};
	int r;

	rec_encode(&bytes, &table_type, &t);
	r = table_parse(buf_span(&bytes), seal, blobs, n_blobs, &a, &out, &offsets, &e);
	ok(!r || (r == -EBADMSG && e.text[0]));
	return r;
}

static int parse_table(const struct frame_rec *frames, size_t n, uint64_t pages,
                       const uint64_t *blobs, size_t n_blobs)
{
	return parse_table_of(CONFIG_SEALED, frames, n, pages, blobs, n_blobs);
}

static void a_public_table_has_a_digest_for_each_frame_and_a_sealed_one_has_none(void)
{
	const uint64_t sealed_blob[] = {PAGE_BYTES + 16}, public_blob[] = {PAGE_BYTES};
	const struct frame_rec sealed = {.present = 1, .bytes = PAGE_BYTES + 16};
	struct frame_rec public = {.present = 1, .bytes = PAGE_BYTES, .digest = {1}};

	ok(parse_table_of(CONFIG_SEALED, &sealed, 1, 1, sealed_blob, 1) == 0);
	ok(parse_table_of(CONFIG_PUBLIC, &sealed, 1, 1, sealed_blob, 1) == -EBADMSG);
	ok(parse_table_of(CONFIG_PUBLIC, &public, 1, 1, public_blob, 1) == 0);
	ok(parse_table_of(CONFIG_SEALED, &public, 1, 1, public_blob, 1) == -EBADMSG);
	public.bytes += 16;
	ok(parse_table_of(CONFIG_PUBLIC, &public, 1, 1, sealed_blob, 1) == -EBADMSG);
	public = (struct frame_rec){.digest = {1}};
	ok(parse_table_of(CONFIG_PUBLIC, &public, 1, 1, NULL, 0) == -EBADMSG, "of nothing");
}

static void a_frame_table_that_contradicts_itself_is_refused(void)
{
	const struct frame_rec good[] = {
		{.present = 3, .bytes = 2 * PAGE_BYTES + 16},
		{0},
		{.present = 1, .bytes = 100, .blob = 1, .codec = FRAME_ZSTD},
		{.present = 1, .bytes = TRIM_HEAD_BYTES + 17, .blob = 1, .codec = FRAME_TRIMMED},
	};
	const uint64_t blobs[] = {2 * PAGE_BYTES + 16, 100, 0};
	const uint64_t more[] = {2 * PAGE_BYTES + 16, 100 + TRIM_HEAD_BYTES + 17};
	struct frame_rec bad[4];

	ok(parse_table(good, 3, 65, blobs, 2) == 0);
	ok(parse_table(good, 4, 97, more, 2) == 0);
	memcpy(bad, good, sizeof(bad));
	bad[3].bytes--;
	ok(parse_table(bad, 4, 97, (uint64_t[]){more[0], more[1] - 1}, 2) == -EBADMSG,
	   "a trimmed frame without a page");
	bad[3].bytes = PAGE_BYTES + 16;
	ok(parse_table(bad, 4, 97, (uint64_t[]){more[0], 100 + PAGE_BYTES + 16}, 2) == -EBADMSG,
	   "a trimmed frame that is longer than its pages");
	ok(parse_table(good, 3, 64, blobs, 2) == -EBADMSG, "a frame too many");
	ok(parse_table(good, 3, 97, blobs, 2) == -EBADMSG, "a frame too few");
	ok(parse_table(good, 3, 65, blobs, 1) == -EBADMSG, "no such blob");
	ok(parse_table(good, 3, 65, (uint64_t[]){2 * PAGE_BYTES + 16, 101}, 2) == -EBADMSG,
	   "bytes that no frame has");
	for (int i = 0; i < 6; i++) {
		memcpy(bad, good, sizeof(bad));
		if (i == 0)
			bad[0].bytes--;
		if (i == 1)
			bad[2].bytes = PAGE_BYTES + 16;
		if (i == 2)
			bad[1].bytes = 1;
		if (i == 3)
			bad[2].present = 2;
		if (i == 4)
			bad[1].blob = 1;
		if (i == 5)
			bad[2].bytes = 16;
		ok(parse_table(bad, 3, 65, blobs, 2) == -EBADMSG, "change %d", i);
	}
}

int main(void)
{
	make_contents();
	RUN(every_changed_byte_is_refused_or_harmless);
	RUN(every_cut_or_grown_file_is_refused);
	RUN(every_exchanged_or_missing_file_is_refused);
	RUN(the_same_holds_before_a_snapshot_is_settled);
	RUN(a_name_is_bound_to_its_manifest);
	RUN(what_others_change_in_index_json_is_harmless);
	RUN(a_snapshot_of_another_store_is_refused);
	RUN(a_seal_opens_only_in_its_place);
	RUN(a_faster_cipher_seals_the_same);
	RUN(the_digests_and_macs_are_the_published_ones);
	RUN(a_frame_table_that_contradicts_itself_is_refused);
	RUN(a_public_table_has_a_digest_for_each_frame_and_a_sealed_one_has_none);
	buf_finish(&one.pages);
	buf_finish(&two.pages);
	return tap_done();
}
