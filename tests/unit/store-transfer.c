/* SPDX-License-Identifier: MIT */
/* Snapshots that are published, copied, and carried from one store to another. */
#include "store-kit.h"

#include <pthread.h>
#include <sys/file.h>

static const struct store_options as_public = {.replace = true, .is_public = true};

static void some_content(struct content *c, size_t pages, uint64_t seed)
{
	c->state = "the state of it";
	make_pages(&c->pages, pages, seed);
}

static bool contains(struct span hay, struct span needle)
{
	return memmem(hay.data, hay.len, needle.data, needle.len) != NULL;
}

/* Whether any blob of the store has these bytes in it. */
static bool store_shows(const char *root, struct span needle)
{
	AUTO(arena) struct arena a = {0};
	struct list files = {0};
	bool found = false;

	find_files(root, &a, &files);
	LIST_EACH(&files, char *, path) {
		AUTO(buf) struct buf content = {0};

		slurp(*path, &content);
		found |= contains(buf_span(&content), needle);
	}
	return found;
}

static void a_public_snapshot_is_not_encrypted_and_a_sealed_one_is(void)
{
	AUTO(text) char *root = make_folder();
	AUTO(store) struct store *s = open_store(root);
	struct content c = {.state = "x"};
	struct err e = {0};
	uint64_t seed = 5;

	for (int i = 0; i < 512; i++)
		*(uint64_t *)(void *)buf_extend(&c.pages, 8) = random_next(&seed);
	must(commit(s, "it", &c, NULL, &e), &e);
	ok(!store_shows(root, SPAN(c.pages.data, 64)));
	must(commit(s, "it", &c, &as_public, &e), &e);
	ok(store_shows(root, SPAN(c.pages.data, 64)));
	ok(compare(s, "it", &c, &e) == 0, "%s", e.text);
	buf_finish(&c.pages);
	remove_tree(root);
}

/* However many compress it: the frames are in one blob, in their order. */
static void equal_public_content_is_equal(const struct store_options *by_one,
                                          const struct store_options *by_many)
{
	AUTO(text) char *root = make_folder();
	AUTO(store) struct store *s = open_store(root);
	AUTO(store_export) struct store_export *one = NULL, *two = NULL;
	struct content c = {0};
	struct err e = {0};
	size_t same = 0;

	some_content(&c, 700, 3);
	must(commit(s, "one", &c, by_one, &e), &e);
	must(commit(s, "two", &c, by_many, &e), &e);
	must(store_export_open(s, "one", &one, &e), &e);
	must(store_export_open(s, "two", &two, &e), &e);
	ok(store_export_parcel(one)->blobs.count == 4, "one page blob");
	LIST_EACH(&store_export_parcel(one)->blobs, const struct store_parcel_blob, a)
		LIST_EACH(&store_export_parcel(two)->blobs, const struct store_parcel_blob, b)
			same += !strcmp(a->digest, b->digest);
	ok(same == 3, "all but the config: %zu", same);
	/* The blobs that both have stay for the other. */
	must(store_remove(s, "one", &e), &e);
	ok(compare(s, "two", &c, &e) == 0, "%s", e.text);
	buf_finish(&c.pages);
	remove_tree(root);
}

static void equal_public_content_gives_equal_page_blobs(void)
{
	static const enum store_compression how[] = {STORE_COMPRESS_SMALL, STORE_COMPRESS_DENSE};

	for (size_t i = 0; i < ARRAY_LEN(how); i++) {
		struct store_options by_one = as_public, by_many = as_public;

		by_one.compression = by_many.compression = how[i];
		by_one.workers = 1;
		by_many.workers = 7;
		equal_public_content_is_equal(&by_one, &by_many);
	}
}

/* Who waits for his turn does not wait for one who has given up. */
static void a_public_snapshot_that_fails_ends(void)
{
	struct store_options options = as_public;
	AUTO(text) char *root = make_folder();
	AUTO(store) struct store *s = open_store(root);
	struct content c = {0};
	struct err e = {0};
	bool has;

	options.workers = 5;
	some_content(&c, 3000, 8);
	fault_arm("store-page-write");
	ok(commit(s, "it", &c, &options, &e) == -EIO, "%s", e.text);
	fault_arm(NULL);
	ok(store_has(s, "it", &has, &e) == 0 && !has);
	/* And one that its caller gives up. */
	for (size_t pages = 1; pages < 700; pages += 37) {
		AUTO(store_writer) struct store_writer *w = NULL;

		must(store_writer_begin(s, "proc", &options, &w, &e), &e);
		must(store_writer_sink(w)->write(store_writer_sink(w), c.pages.data, pages, &e),
		     &e);
	}
	must(commit(s, "it", &c, &options, &e), &e);
	ok(compare(s, "it", &c, &e) == 0, "%s", e.text);
	buf_finish(&c.pages);
	remove_tree(root);
}

static void each_byte_of_a_public_snapshot_counts(void)
{
	AUTO(text) char *root = make_folder();
	AUTO(store) struct store *s = open_store(root);
	AUTO(arena) struct arena a = {0};
	AUTO(text) char *blobs = xprintf("%s/blobs", root);
	struct content c = {0};
	struct list files = {0};
	struct err e = {0};
	size_t changes = 0;

	some_content(&c, 40, 9);
	must(commit(s, "it", &c, &as_public, &e), &e);
	find_files(blobs, &a, &files);
	LIST_EACH(&files, char *, path) {
		AUTO(buf) struct buf content = {0};

		slurp(*path, &content);
		for (size_t at = 0; at < content.len; at += MAX(1, content.len / 50)) {
			content.data[at] ^= 4;
			spew(*path, buf_span(&content));
			ok(compare(s, "it", &c, &e) == -EBADMSG, "%s at %zu", *path, at);
			content.data[at] ^= 4;
			changes++;
		}
		spew(*path, buf_span(&content));
	}
	ok(changes > 200 && compare(s, "it", &c, &e) == 0, "%s", e.text);
	buf_finish(&c.pages);
	remove_tree(root);
}

static void a_copy_is_what_it_was_made_from(void)
{
	AUTO(text) char *root = make_folder();
	AUTO(store) struct store *s = open_store(root);
	struct content c = {0};
	struct err e = {0};

	some_content(&c, 333, 4);
	must(commit(s, "sealed", &c, NULL, &e), &e);
	must(store_copy(s, "sealed", "public", &as_public, &e), &e);
	must(store_copy(s, "public", "again", NULL, &e), &e);
	ok(compare(s, "public", &c, &e) == 0, "%s", e.text);
	ok(compare(s, "again", &c, &e) == 0, "%s", e.text);
	ok(store_copy(s, "sealed", "public", NULL, &e) == -EEXIST);
	ok(store_copy(s, "none", "new", NULL, &e) == -ENOENT);
	buf_finish(&c.pages);
	remove_tree(root);
}

/* ---- between stores -------------------------------------------------------------------- */

static void carry(const struct store_parcel *from, const struct store_parcel *to)
{
	struct err e = {0};

	LIST_EACH(&to->blobs, const struct store_parcel_blob, b) {
		AUTO(buf) struct buf data = {0};
		off_t have;

		if (b->fd < 0)
			continue;
		have = lseek(b->fd, 0, SEEK_END);
		LIST_EACH(&from->blobs, const struct store_parcel_blob, f)
			if (!strcmp(f->digest, b->digest))
				must(os_pread_all(f->fd, buf_extend(&data, b->bytes), b->bytes, 0),
				     &e);
		must(os_write_all(b->fd, data.data + have, b->bytes - (uint64_t)have), &e);
	}
}

struct two_stores {
	char *root[2];
	struct store *store[2];
	struct content content;
	struct store_export *export;
};

static void two_stores_init(struct two_stores *t, const struct store_options *options)
{
	struct err e = {0};

	*t = (struct two_stores){0};
	for (int i = 0; i < 2; i++) {
		t->root[i] = make_folder();
		t->store[i] = open_store(t->root[i]);
	}
	some_content(&t->content, 900, 77);
	must(commit(t->store[0], "it", &t->content, options, &e), &e);
	must(store_export_open(t->store[0], "it", &t->export, &e), &e);
}

static void two_stores_finish(struct two_stores *t)
{
	store_export_close(t->export);
	for (int i = 0; i < 2; i++) {
		store_close(t->store[i]);
		remove_tree(t->root[i]);
		free(t->root[i]);
	}
	buf_finish(&t->content.pages);
}

static struct store_import *begin(struct two_stores *t)
{
	struct store_import *x = NULL;
	struct err e = {0};

	must(store_import_begin(t->store[1], store_export_parcel(t->export)->manifest, &x, &e), &e);
	return x;
}

static void a_snapshot_is_carried_to_another_store(void)
{
	const struct store_import_options options = {.name = "here", .origin = "there/it:1"};
	struct store_import *x;
	struct two_stores t;
	struct err e = {0};
	uint64_t missing;

	two_stores_init(&t, &as_public);
	x = begin(&t);
	must(store_import_room(x, &missing, &e), &e);
	ok(missing > 1000000, "%llu", (unsigned long long)missing);
	carry(store_export_parcel(t.export), store_import_parcel(x));
	must(store_import_check(x, &e), &e);
	must(store_import_commit(x, &options, &e), &e);
	store_import_close(x);
	ok(compare(t.store[1], "here", &t.content, &e) == 0, "%s", e.text);

	/* Once more: nothing is missing, and only the same origin may update. */
	x = begin(&t);
	must(store_import_room(x, &missing, &e), &e);
	ok(missing == 0);
	ok(store_import_commit(x, &options, &e) == -EEXIST);
	ok(store_import_commit(x,
	                       &(struct store_import_options){
				       .name = "here", .origin = "else/it:1", .update = true},
	                       &e) == -EEXIST);
	ok(store_import_commit(x,
	                       &(struct store_import_options){
				       .name = "here", .origin = "there/it:1", .update = true},
	                       &e) == 0,
	   "%s", e.text);
	store_import_close(x);
	ok(compare(t.store[1], "here", &t.content, &e) == 0, "%s", e.text);
	two_stores_finish(&t);
}

static void a_sealed_snapshot_is_refused_where_its_key_is_not(void)
{
	struct store_import *x;
	struct two_stores t;
	struct err e = {0};

	two_stores_init(&t, NULL);
	x = begin(&t);
	carry(store_export_parcel(t.export), store_import_parcel(x));
	ok(store_import_check(x, &e) == -ENOKEY, "%s", e.text);
	store_import_close(x);
	two_stores_finish(&t);
}

static void what_an_import_left_is_found_again_and_swept_by_gc(void)
{
	struct store_report report = {0};
	struct store_import *x;
	struct two_stores t;
	struct err e = {0};
	uint64_t all, rest;

	two_stores_init(&t, &as_public);
	x = begin(&t);
	must(store_import_room(x, &all, &e), &e);
	LIST_EACH(&store_import_parcel(x)->blobs, const struct store_parcel_blob, b)
		if (b->role == STORE_PAGES)
			must(os_write_all(b->fd, t.content.pages.data, 100000), &e);
	must(store_gc(t.store[1], &report, &e), &e);
	store_import_close(x);
	x = begin(&t);
	must(store_import_room(x, &rest, &e), &e);
	ok(rest == all - 100000, "gc does not disturb an import");
	store_import_close(x);
	must(store_gc(t.store[1], &report, &e), &e);
	x = begin(&t);
	must(store_import_room(x, &rest, &e), &e);
	ok(rest == all, "gc removes what nobody works on");
	store_import_close(x);
	two_stores_finish(&t);
}

static void a_blob_that_is_removed_meanwhile_is_noticed(void)
{
	const struct store_import_options one = {.name = "one", .origin = ""};
	const struct store_import_options two = {.name = "two", .origin = ""};
	struct store_import *x;
	struct two_stores t;
	struct err e = {0};

	two_stores_init(&t, &as_public);
	x = begin(&t);
	carry(store_export_parcel(t.export), store_import_parcel(x));
	must(store_import_commit(x, &one, &e), &e);
	store_import_close(x);
	x = begin(&t);
	must(store_remove(t.store[1], "one", &e), &e);
	ok(store_import_commit(x, &two, &e) == -ESTALE, "%s", e.text);
	store_import_close(x);
	two_stores_finish(&t);
}

static void a_failed_import_shows_nothing_and_the_next_one_succeeds(void)
{
	static const char *const points[] = {
		"store-import-sync", "store-import-rename",  "store-import-rename:3",
		"store-index-write", "store-blobs-dir-sync", "store-index-rename",
	};
	const struct store_import_options options = {.name = "here", .origin = ""};

	for (size_t i = 0; i < ARRAY_LEN(points); i++) {
		struct store_import *x;
		struct two_stores t;
		struct err e = {0};
		bool has = true;

		two_stores_init(&t, &as_public);
		x = begin(&t);
		carry(store_export_parcel(t.export), store_import_parcel(x));
		fault_arm(points[i]);
		ok(store_import_commit(x, &options, &e) == -EIO, "%s", points[i]);
		fault_arm(NULL);
		store_import_close(x);
		must(store_has(t.store[1], "here", &has, &e), &e);
		ok(!has, "%s", points[i]);
		x = begin(&t);
		carry(store_export_parcel(t.export), store_import_parcel(x));
		ok(store_import_commit(x, &options, &e) == 0, "%s", e.text);
		store_import_close(x);
		ok(compare(t.store[1], "here", &t.content, &e) == 0, "%s", e.text);
		two_stores_finish(&t);
	}
}

/* ---- reading what has not all arrived -------------------------------------------------- */

struct far {
	struct store_fetcher fetcher;
	const struct store_parcel *parcel;
	pthread_mutex_t lock;
	uint64_t bytes;
	int requests;
	int fail_from;     /* this request and later ones fail; 0: none */
	int lie_at;        /* this one brings a wrong byte; 0: none */
	bool lie_at_start; /* in its first frame, else in the middle */
};

static int far_fetch(struct store_fetcher *f, const char *digest, uint64_t offset, uint8_t *out,
                     size_t len, struct err *e)
{
	struct far *far = (struct far *)f;
	int n;

	pthread_mutex_lock(&far->lock);
	n = ++far->requests;
	far->bytes += len;
	pthread_mutex_unlock(&far->lock);
	if (far->fail_from && n >= far->fail_from)
		return err_say(e, -EHOSTUNREACH, "far away");
	LIST_EACH(&far->parcel->blobs, const struct store_parcel_blob, b)
		if (!strcmp(b->digest, digest))
			must(os_pread_all(b->fd, out, len, offset), e);
	if (n == far->lie_at)
		out[far->lie_at_start ? 0 : len / 2] ^= 1;
	return 0;
}

/* Carries all but the pages. */
static void carry_records(const struct store_parcel *from, const struct store_parcel *to)
{
	struct store_parcel some = *to;
	size_t n = 0;

	LIST_EACH(&some.blobs, const struct store_parcel_blob, b)
		n += b->role != STORE_PAGES;
	some.blobs.count = n; /* pages come last */
	carry(from, &some);
}

static struct store_reader *open_far(struct store_import *x, struct far *far)
{
	struct store_reader *r = NULL;
	struct err e = {0};

	far->fetcher.fetch = far_fetch;
	pthread_mutex_init(&far->lock, NULL);
	must(store_import_reader(x, &far->fetcher, &r, &e), &e);
	return r;
}

static bool same_page(struct store_reader *r, const struct content *c, uint64_t page)
{
	uint8_t data[PAGE_BYTES];
	struct err e = {0};

	must(store_reader_source(r)->read(store_reader_source(r), page, 1, data, &e), &e);
	return !memcmp(data, c->pages.data + page * PAGE_BYTES, PAGE_BYTES);
}

static void pages_are_fetched_when_they_are_read_and_kept_for_the_next_time(void)
{
	const struct store_import_options options = {.name = "here", .origin = ""};
	struct two_stores t;
	struct far far = {0}, later = {0}, last = {0};
	struct store_import *x;
	struct store_reader *r;
	struct err e = {0};

	two_stores_init(&t, &as_public);
	far.parcel = later.parcel = last.parcel = store_export_parcel(t.export);
	x = begin(&t);
	carry_records(far.parcel, store_import_parcel(x));
	r = open_far(x, &far);
	ok(far.requests == 0);
	ok(same_page(r, &t.content, 899) && same_page(r, &t.content, 0));
	ok(far.requests == 2 && far.bytes < 2u << 20, "%d", far.requests);
	store_reader_close(r);
	store_import_close(x);

	/* "A restart": what was fetched is here. */
	x = begin(&t);
	r = open_far(x, &later);
	ok(same_page(r, &t.content, 899) && same_page(r, &t.content, 0));
	ok(later.requests == 0);
	ok(store_reader_fill(r, NULL, NULL, &e) == 0, "%s", e.text);
	ok(later.requests > 0);
	store_reader_close(r);
	must(store_import_commit(x, &options, &e), &e);
	store_import_close(x);
	ok(compare(t.store[1], "here", &t.content, &e) == 0, "%s", e.text);
	ok(last.requests == 0);
	two_stores_finish(&t);
}

static void a_frame_that_is_not_what_the_table_says_is_not_given_out(void)
{
	struct two_stores t;
	struct far far = {.lie_at = 1}, off = {.fail_from = 1};
	struct store_import *x;
	struct store_reader *r;
	uint8_t page[PAGE_BYTES];
	struct err e = {0};

	two_stores_init(&t, &as_public);
	far.parcel = off.parcel = store_export_parcel(t.export);
	x = begin(&t);
	carry_records(far.parcel, store_import_parcel(x));
	r = open_far(x, &far);
	/* What came before the lie is of use, and what was a lie is fetched again. */
	for (uint64_t i = 0; i < 900; i += 32)
		ok(same_page(r, &t.content, i), "%llu", (unsigned long long)i);
	ok(far.bytes > 900 * 1024, "%llu", (unsigned long long)far.bytes);
	store_reader_close(r);

	/* A map that promises what is not there is found out. */
	LIST_EACH(&store_import_parcel(x)->blobs, const struct store_parcel_blob, b) {
		AUTO(text) char *path = xprintf("%s/partial/%s.frames", t.root[1], b->digest + 7);

		if (b->role == STORE_PAGES)
			ok(truncate(path, 0) == 0);
	}
	r = open_far(x, &off);
	ok(store_reader_source(r)->read(store_reader_source(r), 0, 1, page, &e) < 0);
	ok(store_reader_fill(r, NULL, NULL, &e) < 0);
	off.fail_from = 0;
	off.lie_at = off.requests + 1;
	off.lie_at_start = true;
	ok(store_reader_source(r)->read(store_reader_source(r), 0, 1, page, &e) == -EBADMSG);
	ok(same_page(r, &t.content, 0), "and fetched again");
	store_reader_close(r);
	store_import_close(x);
	two_stores_finish(&t);
}

struct job {
	struct store_reader *r;
	const struct content *c;
	uint64_t seed;
	bool same;
};

static void *read_about(void *arg)
{
	struct job *job = arg;

	for (int i = 0; i < 300; i++)
		job->same &= same_page(job->r, job->c, random_next(&job->seed) % 900);
	return NULL;
}

static void many_threads_fetch_each_frame_once(void)
{
	struct job jobs[6];
	pthread_t threads[6];
	struct two_stores t;
	struct far far = {0};
	struct store_import *x;
	struct err e = {0};
	uint64_t bytes = 0;

	two_stores_init(&t, &as_public);
	far.parcel = store_export_parcel(t.export);
	x = begin(&t);
	carry_records(far.parcel, store_import_parcel(x));
	jobs[0].r = open_far(x, &far);
	for (unsigned i = 0; i < 6; i++) {
		jobs[i] = (struct job){jobs[0].r, &t.content, i + 1, true};
		must(-pthread_create(&threads[i], NULL, read_about, &jobs[i]), &e);
	}
	ok(store_reader_fill(jobs[0].r, NULL, NULL, &e) == 0, "%s", e.text);
	for (unsigned i = 0; i < 6; i++) {
		pthread_join(threads[i], NULL);
		ok(jobs[i].same);
	}
	LIST_EACH(&far.parcel->blobs, const struct store_parcel_blob, b)
		bytes += b->role == STORE_PAGES ? b->bytes : 0;
	ok(far.bytes == bytes, "%llu of %llu", (unsigned long long)far.bytes,
	   (unsigned long long)bytes);
	store_reader_close(jobs[0].r);
	store_import_close(x);
	two_stores_finish(&t);
}

int main(void)
{
	RUN(a_public_snapshot_is_not_encrypted_and_a_sealed_one_is);
	RUN(equal_public_content_gives_equal_page_blobs);
	RUN(a_public_snapshot_that_fails_ends);
	RUN(each_byte_of_a_public_snapshot_counts);
	RUN(a_copy_is_what_it_was_made_from);
	RUN(a_snapshot_is_carried_to_another_store);
	RUN(a_sealed_snapshot_is_refused_where_its_key_is_not);
	RUN(what_an_import_left_is_found_again_and_swept_by_gc);
	RUN(a_blob_that_is_removed_meanwhile_is_noticed);
	RUN(a_failed_import_shows_nothing_and_the_next_one_succeeds);
	RUN(pages_are_fetched_when_they_are_read_and_kept_for_the_next_time);
	RUN(a_frame_that_is_not_what_the_table_says_is_not_given_out);
	RUN(many_threads_fetch_each_frame_once);
	return tap_done();
}
