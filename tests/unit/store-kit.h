/* SPDX-License-Identifier: MIT */
/* What the tests of the store have in common: stores to break, contents to recognise. */
#ifndef WSLX_STORE_KIT_H
#define WSLX_STORE_KIT_H

#include "../random.h"
#include "store/parts.h"

#include "tap.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

static inline void must(int r, const struct err *e)
{
	if (r >= 0)
		return;
	printf("Bail out! %s (%s)\n", e->text, e->where);
	exit(1);
}

/* A folder of this test's own; removed by remove_tree(). */
static inline char *make_folder(void)
{
	const char *tmp = getenv("TMPDIR");
	char *path = xprintf("%s/wslx-store-XXXXXX", tmp && *tmp ? tmp : "/tmp");

	if (!mkdtemp(path)) {
		perror(path);
		exit(1);
	}
	return path;
}

static inline void remove_tree(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *it;

	while (dir && (it = readdir(dir))) {
		AUTO(text) char *inner = xprintf("%s/%s", path, it->d_name);

		if (!strcmp(it->d_name, ".") || !strcmp(it->d_name, ".."))
			continue;
		if (unlink(inner) < 0)
			remove_tree(inner);
	}
	if (dir)
		closedir(dir);
	rmdir(path);
}

static inline struct store *open_store(const char *root)
{
	struct err e = {0};
	struct store *s = NULL;

	must(store_open(root, NULL, &s, &e), &e);
	return s;
}

/* ---- files ----------------------------------------------------------------------------- */

static inline void slurp(const char *path, struct buf *out)
{
	struct err e = {0};

	out->len = 0;
	must(read_file(AT_FDCWD, path, 1u << 30, out, &e) == -ENOENT ? -ENOENT : 0, &e);
}

static inline void spew(const char *path, struct span data)
{
	AUTO(fd) int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT, 0600);
	struct err e = {0};

	must(fd < 0 ? err_set(&e, -errno, "%s", path) : 0, &e);
	must(write_all(fd, data.data, data.len, &e, path), &e);
}

/* All regular files below @path, as paths in @a. */
static inline void find_files(const char *path, struct arena *a, struct list *out)
{
	DIR *dir = opendir(path);
	struct dirent *it;

	while (dir && (it = readdir(dir))) {
		char *inner = arena_printf(a, "%s/%s", path, it->d_name);
		struct stat st;

		if (!strcmp(it->d_name, ".") || !strcmp(it->d_name, "..") || lstat(inner, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			find_files(inner, a, out);
		else
			*LIST_ADD(out, a, char *) = inner;
	}
	if (dir)
		closedir(dir);
}

static inline int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Every file of a store and its content, as one digest; the lock and empty folders are not it. */
static inline void fingerprint(const char *root, uint8_t out[DIGEST_BYTES])
{
	AUTO(arena) struct arena a = {0};
	AUTO(buf) struct buf all = {0};
	struct list files = {0};

	find_files(root, &a, &files);
	qsort(files.items, files.count, sizeof(char *), by_text);
	LIST_EACH(&files, char *, path) {
		AUTO(buf) struct buf content = {0};

		slurp(*path, &content);
		buf_printf(&all, "%s %zu ", *path + strlen(root), content.len);
		buf_add(&all, content.data, content.len);
	}
	must(digest_of(buf_span(&all), out, NULL), &(struct err){.text = "digest"});
}

/* ---- contents -------------------------------------------------------------------------- */

struct content {
	struct buf pages;
	const char *state;
};

/* Pages of every sort in an order that @seed gives: zero, patterns, text, random. */
static inline void make_pages(struct buf *out, size_t pages, uint64_t seed)
{
	seed = seed * 2654435761u + 88172645463325252u;
	out->len = 0;
	for (size_t i = 0; i < pages; i++) {
		uint8_t *page = buf_extend(out, PAGE_BYTES);
		uint64_t sort = random_next(&seed) % 8;

		memset(page, sort == 1 ? 0x55 : 0, PAGE_BYTES);
		for (size_t at = 0; sort > 1 && at < PAGE_BYTES; at += 8) {
			uint64_t word = random_next(&seed);

			if (sort == 2) /* text-like */
				word = 0x6161616161616161 + (word & 0x0f0f0f0f0f0f0f0f);
			if (sort == 3) /* pointer-like */
				word = 0x7f0000000000 + (word & 0xfff8);
			memcpy(page + at, &word, 8);
		}
		if (sort == 6) { /* zeros at its end, from any byte on */
			size_t full = 1 + random_next(&seed) % PAGE_BYTES;

			memset(page + full, 0, PAGE_BYTES - full);
		}
		if (sort == 7) /* only its last byte is not zero */
			memset(page, 0, PAGE_BYTES - 1);
	}
}

static inline int commit(struct store *s, const char *name, const struct content *c,
                         const struct store_options *options, struct err *e)
{
	AUTO(store_writer) struct store_writer *w = NULL;
	struct page_sink *sink;
	int r = store_writer_begin(s, "proc", options, &w, e);

	if (r < 0)
		return r;
	sink = store_writer_sink(w);
	r = sink->write(sink, c->pages.data, c->pages.len / PAGE_BYTES, e);
	if (r < 0)
		return r;
	return store_writer_commit(w, name, span_of_text(c->state), NULL, e);
}

/*
 * Reads a snapshot as a whole. Return: 0 if it is exactly @c; what refused it; 1 if it is
 * something else, which must never be.
 */
static inline int compare(struct store *s, const char *name, const struct content *c, struct err *e)
{
	AUTO(store_reader) struct store_reader *reader = NULL;
	AUTO(buf) struct buf pages = {0};
	struct page_source *source;
	int r = store_reader_open(s, name, &reader, e);

	if (r < 0)
		return r;
	source = store_reader_source(reader);
	if (source->n_pages * PAGE_BYTES != c->pages.len ||
	    strcmp(store_reader_meta(reader)->name, name) ||
	    strcmp(store_reader_meta(reader)->kind, "proc") ||
	    !span_equal(store_reader_state(reader), span_of_text(c->state)))
		return 1;
	buf_extend(&pages, c->pages.len);
	r = source->read(source, 0, source->n_pages, pages.data, e);
	if (r < 0)
		return r;
	return span_equal(buf_span(&pages), buf_span(&c->pages)) ? 0 : 1;
}

#endif
