/* SPDX-License-Identifier: MIT */
/* What goes into the store comes out of it, and only by its name. */
#include "store-kit.h"

#include <pthread.h>
#include <sys/prctl.h>

static const struct store_options unsettled = {.unsettled_bytes = 1};

static bool all_zero(const uint8_t *data, size_t pages)
{
	for (size_t i = 0; i < pages * PAGE_BYTES; i++)
		if (data[i])
			return false;
	return true;
}

static void read_in_pieces(struct store_reader *reader, const struct buf *pages, uint64_t seed)
{
	struct page_source *source = store_reader_source(reader);
	AUTO(buf) struct buf out = {0};
	struct err e = {0};

	buf_extend(&out, pages->len + 1);
	for (int i = 0; i < 200 && source->n_pages; i++) {
		uint64_t first = random_next(&seed) % source->n_pages;
		size_t n = (size_t)(random_next(&seed) % MIN(source->n_pages - first, 80)) + 1;

		must(source->read(source, first, n, out.data, &e), &e);
		ok(source->is_zero(source, first, n) == all_zero(out.data, n));
		ok(!memcmp(out.data, pages->data + first * PAGE_BYTES, n * PAGE_BYTES),
		   "pages %llu + %zu", (unsigned long long)first, n);
	}
	ok(source->read(source, source->n_pages, 1, out.data, &e) == -EINVAL);
	ok(source->read(source, UINT64_MAX, 2, out.data, &e) == -EINVAL);
}

static int read_buffer(const struct page_reader *from, const struct stretch *what, size_t n,
                       uint8_t *to, struct err *e)
{
	(void)from, (void)e;
	for (size_t i = 0; i < n; i++) {
		memcpy(to, (const void *)(uintptr_t)what[i].at, what[i].pages * PAGE_BYTES);
		to += what[i].pages * PAGE_BYTES;
	}
	return 0;
}

static int read_nothing(const struct page_reader *from, const struct stretch *what, size_t n,
                        uint8_t *to, struct err *e)
{
	(void)from, (void)what, (void)n, (void)to;
	return err_say(e, -EFAULT, "there is nothing to read");
}

/* By all ways, and in between waits for all of it. */
static void hand_over(struct page_sink *sink, const struct buf *pages, uint64_t seed)
{
	static const struct page_reader one = {read_buffer}, two = {read_buffer};
	size_t left = pages->len / PAGE_BYTES;
	const uint8_t *at = pages->data;
	struct err e = {0};

	while (left) {
		size_t n = (size_t)(random_next(&seed) % 70) + 1;

		n = MIN(n, left);
		switch (random_next(&seed) % 4) {
		case 0:
			must(sink->write(sink, at, n, &e), &e);
			break;
		case 1:
			must(sink->drain(sink, &e), &e);
			/* fall through */
		default:
			must(sink->fetch(sink, random_next(&seed) % 3 ? &one : &two,
			                 (struct stretch){(uint64_t)(uintptr_t)at, n}, &e),
			     &e);
		}
		at += n * PAGE_BYTES;
		left -= n;
	}
	must(sink->drain(sink, &e), &e);
}

static void what_cannot_be_read_is_no_snapshot(void)
{
	static const struct page_reader nothing = {read_nothing};
	AUTO(text) char *root = make_folder();
	AUTO(store) struct store *s = open_store(root);

	for (size_t pages = 1; pages < 5000; pages = 7 * pages + 3) {
		AUTO(store_writer) struct store_writer *w = NULL;
		struct page_sink *sink;
		struct err e = {0};
		bool has = true;
		int r;

		must(store_writer_begin(s, "proc", NULL, &w, &e), &e);
		sink = store_writer_sink(w);
		r = sink->fetch(sink, &nothing, (struct stretch){0, pages}, &e);
		if (!r)
			r = sink->drain(sink, &e);
		ok(r == -EFAULT && !strcmp(e.text, "there is nothing to read"), "%zu pages: %s",
		   pages, e.text);
		ok(store_has(s, "it", &has, &e) == 0 && !has);
	}
	remove_tree(root);
}

static void pages_and_state_come_back_as_they_were(void)
{
	static const size_t counts[] = {0, 1, 2, 31, 32, 33, 64, 65, 500, 3000};
	AUTO(text) char *root = make_folder();
	AUTO(store) struct store *s = open_store(root);
	struct err e = {0};

	for (size_t i = 0; i < ARRAY_LEN(counts) * 4; i++) {
		struct store_options options = {
			.replace = true, .compression = i % 4, .workers = (unsigned)(i % 5)};
		struct content c = {.state = i % 2 ? "the state" : ""};
		AUTO(store_writer) struct store_writer *w = NULL;
		AUTO(store_reader) struct store_reader *reader = NULL;

		make_pages(&c.pages, counts[i / 4], i);
		must(store_writer_begin(s, "proc", &options, &w, &e), &e);
		hand_over(store_writer_sink(w), &c.pages, i + 1);
		must(store_writer_commit(w, "it", span_of_text(c.state), NULL, &e), &e);
		ok(compare(s, "it", &c, &e) == 0, "%zu: %s", i, e.text);
		must(store_reader_open(s, "it", &reader, &e), &e);
		read_in_pieces(reader, &c.pages, i + 7);
		buf_finish(&c.pages);
	}
	remove_tree(root);
}

struct parallel {
	pthread_t thread;
	struct store_reader *reader;
	const struct buf *pages;
	uint64_t seed;
};

static void *read_in_parallel(void *arg)
{
	struct parallel *p = arg;

	read_in_pieces(p->reader, p->pages, p->seed);
	return NULL;
}

static void many_threads_read_at_once(void)
{
	AUTO(text) char *root = make_folder();
	AUTO(store) struct store *s = open_store(root);
	AUTO(store_reader) struct store_reader *reader = NULL;
	struct content c = {.state = "s"};
	struct parallel threads[8];
	struct err e = {0};

	make_pages(&c.pages, 2000, 3);
	must(commit(s, "it", &c, NULL, &e), &e);
	must(store_reader_open(s, "it", &reader, &e), &e);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		threads[i] = (struct parallel){.reader = reader, .pages = &c.pages, .seed = i + 1};
		must(-pthread_create(&threads[i].thread, NULL, read_in_parallel, &threads[i]), &e);
	}
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i].thread, NULL);
	buf_finish(&c.pages);
	remove_tree(root);
}

static void zero_pages_cost_nothing(void)
{
	AUTO(text) char *root = make_folder();
	AUTO(store) struct store *s = open_store(root);
	AUTO(store_reader) struct store_reader *reader = NULL;
	struct content c = {.state = "s"};
	struct err e = {0};

	memset(buf_extend(&c.pages, 64u << 20), 0, 64u << 20);
	must(commit(s, "it", &c, NULL, &e), &e);
	ok(compare(s, "it", &c, &e) == 0, "%s", e.text);
	must(store_reader_open(s, "it", &reader, &e), &e);
	ok(store_reader_meta(reader)->pages == 16384);
	ok(store_reader_meta(reader)->stored_pages == 0);
	ok(store_reader_meta(reader)->stored_bytes < 4096, "%llu bytes",
	   (unsigned long long)store_reader_meta(reader)->stored_bytes);
	buf_finish(&c.pages);
	remove_tree(root);
}

static void a_snapshot_is_invisible_until_it_is_committed(void)
{
	AUTO(text) char *root = make_folder();
	AUTO(store) struct store *s = open_store(root);
	AUTO(arena) struct arena a = {0};
	struct content c = {.state = "s"};
	struct store_writer *w;
	struct list list;
	struct err e = {0};
	uint8_t before[DIGEST_BYTES], after[DIGEST_BYTES];

	make_pages(&c.pages, 100, 1);
	fingerprint(root, before);
	must(store_writer_begin(s, "vm", NULL, &w, &e), &e);
	must(store_writer_sink(w)->write(store_writer_sink(w), c.pages.data, 100, &e), &e);
	must(store_list(s, &a, &list, &e), &e);
	ok(list.count == 0);
	store_writer_close(w);
	fingerprint(root, after);
	ok(!memcmp(before, after, sizeof(after)));
	buf_finish(&c.pages);
	remove_tree(root);
}

static void gc_leaves_a_living_writer_alone(void)
{
	AUTO(text) char *root = make_folder();
	AUTO(store) struct store *s = open_store(root);
	AUTO(store_writer) struct store_writer *w = NULL;
	struct content c = {.state = "s"};
	struct store_report report;
	struct page_sink *sink;
	struct err e = {0};

	make_pages(&c.pages, 100, 1);
	must(store_writer_begin(s, "proc", NULL, &w, &e), &e);
	sink = store_writer_sink(w);
	must(sink->write(sink, c.pages.data, 100, &e), &e);
	must(store_gc(s, &report, &e), &e);
	ok(store_writer_commit(w, "it", span_of_text(c.state), NULL, &e) == 0, "%s", e.text);
	ok(compare(s, "it", &c, &e) == 0, "%s", e.text);
	buf_finish(&c.pages);
	remove_tree(root);
}

static void a_taken_name_is_kept_unless_replaced(void)
{
	AUTO(text) char *root = make_folder();
	AUTO(store) struct store *s = open_store(root);
	const struct store_options replace = {.replace = true};
	struct content one = {.state = "1"}, two = {.state = "2"};
	uint8_t before[DIGEST_BYTES], after[DIGEST_BYTES];
	struct store_report report;
	struct err e = {0};
	bool has = true;

	ok(store_has(s, "it", &has, &e) == 0 && !has);
	make_pages(&one.pages, 50, 1);
	make_pages(&two.pages, 40, 2);
	must(commit(s, "it", &one, NULL, &e), &e);
	ok(store_has(s, "it", &has, &e) == 0 && has);
	fingerprint(root, before);
	ok(commit(s, "it", &two, NULL, &e) == -EEXIST, "%s", e.text);
	fingerprint(root, after);
	ok(!memcmp(before, after, sizeof(after)));
	ok(compare(s, "it", &one, &e) == 0);
	must(commit(s, "it", &two, &replace, &e), &e);
	ok(compare(s, "it", &two, &e) == 0);
	/* The old one's blobs went with its name. */
	must(store_gc(s, &report, &e), &e);
	ok(report.blobs == 0);
	must(store_verify(s, NULL, &report, &e), &e);
	ok(report.snapshots == 1);
	buf_finish(&one.pages);
	buf_finish(&two.pages);
	remove_tree(root);
}

static void a_listing_tells_kind_labels_and_sizes(void)
{
	AUTO(text) char *root = make_folder();
	AUTO(store) struct store *s = open_store(root);
	AUTO(arena) struct arena a = {0};
	static const struct store_label labels[] = {{"host.kernel", "6.18"}, {"title", "b\xff"}};
	struct store_meta meta = {
		.created_ns = 1234567890123456789u, .labels = labels, .n_labels = 2};
	static const char *const names[] = {"b/c:1", "a"};
	struct store_writer *w;
	struct list list;
	struct err e = {0};

	for (int i = 0; i < 2; i++) {
		must(store_writer_begin(s, i ? "vm" : "session", NULL, &w, &e), &e);
		must(store_writer_commit(w, names[i], SPAN("x", 1), &meta, &e), &e);
		store_writer_close(w);
	}
	must(store_list(s, &a, &list, &e), &e);
	ok(list.count == 2);
	for (size_t i = 0; i < list.count; i++) {
		const struct store_meta *m = LIST_AT(&list, struct store_meta, i);

		ok(!m->damage && !strcmp(m->name, names[1 - i]), "%s", m->name);
		ok(!strcmp(m->kind, i ? "session" : "vm"));
		ok(m->created_ns == meta.created_ns && m->generation == 2 - i && m->pages == 0);
		ok(strlen(m->id) == 32 && strlen(m->digest) == 71 && m->stored_bytes > 100);
		ok(!strcmp(store_meta_label(m, "host.kernel"), "6.18"));
		ok(!strcmp(store_meta_label(m, "title"), "b\xff"));
		ok(!store_meta_label(m, "nothing"));
	}
	remove_tree(root);
}

static void what_was_removed_is_gone_but_a_reader_keeps_it(void)
{
	AUTO(text) char *root = make_folder();
	AUTO(store) struct store *s = open_store(root);
	struct content c = {.state = "s"};
	struct store_reader *reader;
	struct store_report report;
	struct err e = {0};

	make_pages(&c.pages, 400, 9);
	must(commit(s, "keep", &c, NULL, &e), &e);
	must(commit(s, "it", &c, NULL, &e), &e);
	must(store_reader_open(s, "it", &reader, &e), &e);
	must(store_remove(s, "it", &e), &e);
	ok(compare(s, "it", &c, &e) == -ENOENT, "%s", e.text);
	ok(store_remove(s, "it", &e) == -ENOENT);
	read_in_pieces(reader, &c.pages, 5);
	store_reader_close(reader);
	must(store_gc(s, &report, &e), &e);
	ok(report.blobs == 0);
	ok(compare(s, "keep", &c, &e) == 0);
	buf_finish(&c.pages);
	remove_tree(root);
}

static size_t open_descriptors(void)
{
	AUTO(arena) struct arena a = {0};
	struct list fds = {0};

	must(os_list_numbers_at(AT_FDCWD, "/proc/self/fd", &a, &fds), &(struct err){0});
	return fds.count;
}

static void no_descriptor_stays_open(void)
{
	AUTO(text) char *root = make_folder();
	struct content c = {.state = "s"};
	struct store_report report;
	struct err e = {0};
	size_t before = open_descriptors();

	make_pages(&c.pages, 100, 6);
	for (int i = 0; i < 20; i++) {
		const struct store_options options = {.replace = i % 2};
		AUTO(store) struct store *s = open_store(root);
		int r = commit(s, "it", &c, &options, &e);

		ok(r == (i % 2 || !i ? 0 : -EEXIST), "%d: %d", i, r);
		ok(compare(s, "it", &c, &e) == 0 && compare(s, "no", &c, &e) == -ENOENT);
		must(store_verify(s, NULL, &report, &e), &e);
		must(store_gc(s, &report, &e), &e);
		ok(report.bytes == 0);
	}
	ok(open_descriptors() == before, "%zu, were %zu", open_descriptors(), before);
	buf_finish(&c.pages);
	remove_tree(root);
}

static void names_are_checked_before_they_are_written(void)
{
	static const char *const good[] = {"a", "a-b", "library/debian:12", "x@sha256:1", "A_1"};
	static const char *const bad[] = {"",    "-a",  "a-", "a//b",    "../a",
	                                  "a b", "a\n", ".",  "\xc3\xa9"};
	char longest[STORE_NAME_MAX + 2];

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		ok(store_name_check(good[i], NULL) == 0, "%s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ok(store_name_check(bad[i], NULL) == -EINVAL, "%s", bad[i]);
	memset(longest, 'a', sizeof(longest));
	longest[STORE_NAME_MAX + 1] = 0;
	ok(store_name_check(longest, NULL) == -EINVAL);
	longest[STORE_NAME_MAX] = 0;
	ok(store_name_check(longest, NULL) == 0);
}

static int try_open(const char *root, struct err *e)
{
	struct store *s;
	int r = store_open(root, NULL, &s, e);

	if (!r)
		store_close(s);
	return r;
}

static void a_store_that_others_can_touch_is_refused(void)
{
	AUTO(text) char *root = make_folder();
	AUTO(text) char *key = xprintf("%s/key", root);
	struct stat st;
	struct err e = {0};

	store_close(open_store(root));
	ok(!stat(key, &st) && (st.st_mode & 07777) == 0600);
	chmod(key, 0640);
	ok(try_open(root, &e) == -EPERM, "%s", e.text);
	chmod(key, 0600);
	chmod(root, 0770);
	ok(try_open(root, &e) == -EPERM, "%s", e.text);
	chmod(root, 0755);
	ok(try_open(root, &e) == 0, "%s", e.text);
	remove_tree(root);
}

static void a_lost_key_or_index_is_not_replaced_by_a_new_one(void)
{
	AUTO(text) char *root = make_folder();
	AUTO(text) char *key = xprintf("%s/key", root);
	AUTO(text) char *index = xprintf("%s/index.json", root);
	AUTO(buf) struct buf saved = {0};
	struct content c = {.state = "s"};
	struct store *s = open_store(root);
	struct err e = {0};

	must(commit(s, "it", &c, NULL, &e), &e);
	store_close(s);
	slurp(key, &saved);
	unlink(key);
	ok(try_open(root, &e) == -ENOENT, "%s", e.text);
	ok(access(key, F_OK) < 0);
	spew(key, buf_span(&saved));
	slurp(index, &saved);
	unlink(index);
	ok(try_open(root, &e) == -EBADMSG, "%s", e.text);
	ok(access(index, F_OK) < 0);
	spew(index, buf_span(&saved));
	s = open_store(root);
	ok(compare(s, "it", &c, &e) == 0, "%s", e.text);
	store_close(s);
	remove_tree(root);
}

static int load_given_key(const struct store_key_source *source, int root_fd, bool create,
                          uint8_t key[STORE_KEY_BYTES], struct err *e)
{
	memset(key, source->name[0], STORE_KEY_BYTES);
	return 0;
}

static void a_key_may_come_from_elsewhere(void)
{
	const struct store_key_source a = {.name = "a", .load = load_given_key};
	const struct store_key_source b = {.name = "b", .load = load_given_key};
	AUTO(text) char *root = make_folder();
	AUTO(text) char *key = xprintf("%s/key", root);
	struct content c = {.state = "s"};
	struct store *s;
	struct err e = {0};

	must(store_open(root, &a, &s, &e), &e);
	must(commit(s, "it", &c, NULL, &e), &e);
	ok(access(key, F_OK) < 0);
	ok(compare(s, "it", &c, &e) == 0);
	store_close(s);
	must(store_open(root, &b, &s, &e), &e);
	ok(compare(s, "it", &c, &e) == -EBADMSG, "%s", e.text);
	store_close(s);
	remove_tree(root);
}

static void other_tools_images_are_kept_and_not_opened(void)
{
	static const char blob[] =
		"{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:"
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\","
		"\"size\":0},\"layers\":[]}";
	AUTO(text) char *root = make_folder();
	AUTO(text) char *index = xprintf("%s/index.json", root);
	AUTO(text) char *blobs = xprintf("%s/blobs/sha256", root);
	AUTO(text)
	char *empty = xprintf("%s/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca4"
	                      "95991b7852b855",
	                      blobs);
	AUTO(text) char *orphan = xprintf("%s/%064d", blobs, 1);
	AUTO(buf) struct buf text = {0};
	AUTO(store) struct store *s = open_store(root);
	AUTO(arena) struct arena a = {0};
	uint8_t digest[DIGEST_BYTES];
	char hex[65];
	struct content c = {.state = "s"};
	struct store_report report;
	struct list list;
	struct err e = {0};

	must(digest_of(SPAN(blob, sizeof(blob) - 1), digest, &e), &e);
	text_hex(hex, digest, sizeof(digest));
	buf_printf(&text,
	           "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/vnd.oci.image."
	           "manifest.v1+json\",\"digest\":\"sha256:%s\",\"size\":%zu,\"annotations\":{"
	           "\"org.opencontainers.image.ref.name\":\"theirs\"}}]}",
	           hex, sizeof(blob) - 1);
	spew(index, buf_span(&text));
	spew(empty, SPAN("", 0));
	AUTO(text) char *manifest = xprintf("%s/%s", blobs, hex);
	spew(manifest, SPAN(blob, sizeof(blob) - 1));
	spew(orphan, SPAN("x", 1));

	must(commit(s, "ours", &c, NULL, &e), &e);
	must(store_gc(s, &report, &e), &e);
	ok(report.blobs == 1 && report.bytes == 1);
	ok(access(orphan, F_OK) < 0 && !access(empty, F_OK) && !access(manifest, F_OK));
	must(store_list(s, &a, &list, &e), &e);
	ok(list.count == 1);
	ok(compare(s, "theirs", &c, &e) == -EBADMSG, "%s", e.text);
	ok(store_remove(s, "theirs", &e) == -ENOENT);
	slurp(index, &text);
	ok(strstr(buf_text(&text), "\"theirs\"") != NULL);
	must(store_verify(s, NULL, &report, &e), &e);
	ok(report.snapshots == 1);
	/* With their manifest unreadable nothing of theirs or ours is thrown away. */
	unlink(manifest);
	spew(orphan, SPAN("x", 1));
	ok(store_gc(s, &report, &e) == -EBADMSG, "%s", e.text);
	ok(!access(orphan, F_OK) && !access(empty, F_OK));
	remove_tree(root);
}

/* Whether index.json says that something is to be settled, and whether there are blobs for it. */
static void waits_to_be_settled(const char *root, bool waits)
{
	AUTO(text) char *index = xprintf("%s/index.json", root);
	AUTO(text) char *sealed = xprintf("%s/blobs/sealed", root);
	AUTO(arena) struct arena a = {0};
	AUTO(buf) struct buf text = {0};
	struct list files = {0};

	slurp(index, &text);
	find_files(sealed, &a, &files);
	ok(!strstr(buf_text(&text), "vnd.wslx.unsettled") == !waits);
	ok(!files.count == !waits, "%zu files in blobs/sealed", files.count);
}

static void a_snapshot_is_whole_before_it_is_settled_and_after(void)
{
	AUTO(text) char *root = make_folder();
	struct content c = {.state = "s"};
	struct store *s = open_store(root);
	struct store_report report;
	struct err e = {0};
	struct list all = {0};
	AUTO(arena) struct arena a = {0};
	uint64_t generation;

	make_pages(&c.pages, 300, 4);
	must(commit(s, "it", &c, &unsettled, &e), &e);
	waits_to_be_settled(root, true);
	ok(compare(s, "it", &c, &e) == 0, "%s", e.text);
	ok(store_verify(s, NULL, &report, &e) == 0 && report.snapshots == 1, "%s", e.text);
	ok(store_list(s, &a, &all, &e) == 0 && all.count == 1, "%s", e.text);
	generation = LIST_AT(&all, struct store_meta, 0)->generation;

	must(commit(s, "later", &c, NULL, &e), &e);
	ok(store_settle(s, "it", &e) == 0, "%s", e.text);
	waits_to_be_settled(root, false);
	ok(compare(s, "it", &c, &e) == 0, "%s", e.text);
	ok(store_verify(s, NULL, &report, &e) == 0 && report.snapshots == 2, "%s", e.text);
	ok(store_list(s, &a, &all, &e) == 0 && all.count == 2, "%s", e.text);
	ok(LIST_AT(&all, struct store_meta, 0)->generation == generation);
	/* No generation is given twice because an older one was settled last. */
	must(commit(s, "latest", &c, NULL, &e), &e);
	ok(store_list(s, &a, &all, &e) == 0 && all.count == 3, "%s", e.text);
	ok(LIST_AT(&all, struct store_meta, 2)->generation == generation + 2);
	store_close(s);
	buf_finish(&c.pages);
	remove_tree(root);
}

static void a_reader_does_not_notice_that_a_snapshot_is_settled(void)
{
	AUTO(text) char *root = make_folder();
	struct content c = {.state = "s"};
	struct store *s = open_store(root);
	struct store_reader *reader = NULL;
	AUTO(buf) struct buf pages = {0};
	struct err e = {0};

	make_pages(&c.pages, 300, 4);
	must(commit(s, "it", &c, &unsettled, &e), &e);
	must(store_reader_open(s, "it", &reader, &e), &e);
	must(store_settle(s, NULL, &e), &e);
	buf_extend(&pages, c.pages.len);
	ok(store_reader_source(reader)->read(store_reader_source(reader), 0, 300, pages.data, &e) ==
	           0,
	   "%s", e.text);
	ok(span_equal(buf_span(&pages), buf_span(&c.pages)));
	store_reader_close(reader);
	store_close(s);
	buf_finish(&c.pages);
	remove_tree(root);
}

static void what_was_restored_stays_restored_when_it_is_settled(void)
{
	AUTO(text) char *root = make_folder();
	struct content c = {.state = "s"};
	struct store *s = open_store(root);
	struct store_claim *claim = NULL;
	struct err e = {0};

	make_pages(&c.pages, 300, 4);
	must(commit(s, "it", &c, &unsettled, &e), &e);
	for (int round = 0; round < 3; round++) {
		struct store_reader *reader = NULL;
		struct store_report report;
		int r;

		must(store_reader_open(s, "it", &reader, &e), &e);
		r = store_claim(s, store_reader_meta(reader), false, &claim, &e);
		if (!round) {
			/* Settled between the claim and its end. */
			must(r, &e);
			must(store_settle(s, NULL, &e), &e);
			must(store_claim_keep(claim, &e), &e);
			store_claim_end(claim);
		} else {
			ok(r == -EALREADY, "round %d: %d", round, r);
			ok(store_gc(s, &report, &e) == 0, "%s", e.text);
		}
		store_reader_close(reader);
	}
	store_close(s);
	buf_finish(&c.pages);
	remove_tree(root);
}

static void a_detached_process_settles_and_keeps_nothing_open(void)
{
	AUTO(text) char *root = make_folder();
	struct content c = {.state = "s"};
	struct store *s = open_store(root);
	struct err e = {0};
	int ends[2], status = -1;
	char byte;

	make_pages(&c.pages, 300, 4);
	must(commit(s, "it", &c, &unsettled, &e), &e);
	ok(pipe(ends) == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	ok(store_settle_detached(s, &e) == 0, "%s", e.text);
	close(ends[1]);
	ok(read(ends[0], &byte, 1) == 0); /* it has closed its end */
	ok(wait(&status) > 0 && status == 0, "status %x", status);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	close(ends[0]);
	waits_to_be_settled(root, false);
	ok(compare(s, "it", &c, &e) == 0, "%s", e.text);
	store_close(s);
	buf_finish(&c.pages);
	remove_tree(root);
}

static void oci_tools_can_copy_a_snapshot(void)
{
	AUTO(text) char *root = make_folder();
	AUTO(text) char *other = make_folder();
	AUTO(text)
	char *command = xprintf("exec skopeo --insecure-policy copy -q oci:%s:it oci:%s:it "
	                        ">&2",
	                        root, other);
	AUTO(text) char *their_index = xprintf("%s/index.json", other);
	AUTO(text) char *our_index = xprintf("%s/index.json", root);
	AUTO(text) char *their_key = xprintf("%s/key", other);
	AUTO(text) char *our_key = xprintf("%s/key", root);
	AUTO(buf) struct buf bytes = {0};
	struct content c = {.state = "s"};
	struct store *s = open_store(root);
	struct store_report report;
	struct err e = {0};

	make_pages(&c.pages, 300, 4);
	must(commit(s, "it", &c, &unsettled, &e), &e);
	must(store_settle(s, "it", &e), &e);
	store_close(s);
	if (system("exec skopeo --version >/dev/null 2>&1")) {
		printf("# skopeo is not installed: not copied\n");
	} else {
		ok(system(command) == 0);
		/* All that a copy lacks to be a store is key and sealed names. */
		slurp(our_key, &bytes);
		spew(their_key, buf_span(&bytes));
		s = open_store(other);
		ok(compare(s, "it", &c, &e) == -EBADMSG, "%s", e.text);
		slurp(our_index, &bytes);
		spew(their_index, buf_span(&bytes));
		ok(compare(s, "it", &c, &e) == 0, "%s", e.text);
		ok(store_verify(s, NULL, &report, &e) == 0 && report.snapshots == 1);
		store_close(s);
	}
	buf_finish(&c.pages);
	remove_tree(root);
	remove_tree(other);
}

static void the_default_place_follows_the_environment(void)
{
	AUTO(text) char *root = make_folder();
	AUTO(text) char *data = xprintf("%s/data", root);
	AUTO(text) char *home = xprintf("%s/home", root);
	AUTO(text) char *in_data = xprintf("%s/wslx", data);
	AUTO(text) char *in_home = xprintf("%s/.local/share/wslx", home);
	struct store *s;
	struct stat st;

	setenv("WSLX_HOME", root, 1);
	setenv("XDG_DATA_HOME", data, 1);
	setenv("HOME", home, 1);
	s = open_store(NULL);
	ok(!strcmp(store_root(s), root));
	store_close(s);
	unsetenv("WSLX_HOME");
	s = open_store(NULL);
	ok(!strcmp(store_root(s), in_data));
	store_close(s);
	setenv("XDG_DATA_HOME", "relative", 1);
	s = open_store(NULL);
	ok(!strcmp(store_root(s), in_home), "%s", store_root(s));
	ok(!stat(in_home, &st) && (st.st_mode & 07777) == 0700);
	store_close(s);
	remove_tree(root);
}

int main(void)
{
	RUN(pages_and_state_come_back_as_they_were);
	RUN(what_cannot_be_read_is_no_snapshot);
	RUN(many_threads_read_at_once);
	RUN(zero_pages_cost_nothing);
	RUN(a_snapshot_is_invisible_until_it_is_committed);
	RUN(gc_leaves_a_living_writer_alone);
	RUN(a_taken_name_is_kept_unless_replaced);
	RUN(a_listing_tells_kind_labels_and_sizes);
	RUN(what_was_removed_is_gone_but_a_reader_keeps_it);
	RUN(no_descriptor_stays_open);
	RUN(names_are_checked_before_they_are_written);
	RUN(a_store_that_others_can_touch_is_refused);
	RUN(a_lost_key_or_index_is_not_replaced_by_a_new_one);
	RUN(a_key_may_come_from_elsewhere);
	RUN(other_tools_images_are_kept_and_not_opened);
	RUN(a_snapshot_is_whole_before_it_is_settled_and_after);
	RUN(a_reader_does_not_notice_that_a_snapshot_is_settled);
	RUN(what_was_restored_stays_restored_when_it_is_settled);
	RUN(a_detached_process_settles_and_keeps_nothing_open);
	RUN(oci_tools_can_copy_a_snapshot);
	RUN(the_default_place_follows_the_environment);
	return tap_done();
}
