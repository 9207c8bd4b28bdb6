/* SPDX-License-Identifier: MIT */
/*
 * Uses a snapshot before it has all arrived, for tests/registry/run:
 *
 *	remote REF look N	reads N pages here and there
 *	remote REF keep		reads all, and keeps it
 *
 * Prints how many bytes of pages were fetched and a digest of what was read.
 */
#include "flow/registry.h"
#include "image/image.h"
#include "os/os.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static int fail(const struct err *e)
{
	fprintf(stderr, "remote: %s\n", e->text);
	return 1;
}

static int look(struct page_source *pages, uint64_t n, struct err *e)
{
	uint8_t page[PAGE_BYTES];
	uint64_t hash = 0;

	for (uint64_t i = 0; i < n; i++) {
		int r = pages->read(pages, i * pages->n_pages / n, 1, page, e);

		if (r < 0)
			return r;
		hash = hash * 31 + os_quick_hash(page, sizeof(page));
	}
	printf("%016llx\n", (unsigned long long)hash);
	return 0;
}

int main(int argc, char **argv)
{
	AUTO(store) struct store *store = NULL;
	AUTO(remote) struct remote *remote = NULL;
	struct pull_snapshot what = {.ref = argc > 2 ? argv[1] : "", .name = "kept"};
	bool keep = argc > 2 && !strcmp(argv[2], "keep");
	struct page_source *pages;
	struct err e = {0};
	int r = store_open(NULL, NULL, &store, &e);

	signal(SIGPIPE, SIG_IGN);
	if (!r)
		r = flow_remote_open(store, &what, &remote, &e);
	if (r < 0)
		return fail(&e);
	pages = store_reader_source(flow_remote_reader(remote));
	r = look(pages, argc > 3 ? strtoull(argv[3], NULL, 10) : pages->n_pages, &e);
	if (!r && keep)
		r = flow_remote_keep(remote, NULL, NULL, &e);
	if (r < 0)
		return fail(&e);
	printf("%llu\n", (unsigned long long)flow_remote_fetched(remote));
	return 0;
}
