/* SPDX-License-Identifier: MIT */
/*
 * Config and frame table. A table that is accepted leads a reader nowhere but into its blobs,
 * and no frame holds more than a frame.
 */
#include "store/parts.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_config(struct span in)
{
	AUTO(arena) struct arena a = {0};
	AUTO(buf) struct buf again = {0};
	struct config_rec c;
	struct err e = {0};
	int r = config_parse(in, &a, &c, &e);

	if (r < 0) {
		assert(r == -EBADMSG && e.text[0]);
		return;
	}
	assert(c.version == CONFIG_VERSION && c.stored_pages <= c.pages && c.kind[0]);
	assert(c.labels.count <= STORE_LABELS_MAX);
	/* What can be skipped is not written again, so it may become shorter. */
	rec_encode(&again, &config_type, &c);
	assert(again.len <= in.len);
}

static void try_table(struct span in)
{
	AUTO(arena) struct arena a = {0};
	uint64_t sizes[BLOBS_MAX] = {0}, *offsets = NULL;
	enum config_seal seal = CONFIG_SEALED;
	struct table_rec t;
	struct err e = {0};
	size_t n = 0, i = 0;
	int r;

	/* Sizes that fit, where there are any: else nothing of interest would be reached. */
	if (rec_decode(in, &table_type, &a, &t, &e) == 0)
		LIST_EACH(&t.frames, struct frame_rec, f) {
			if (f->digest[0])
				seal = CONFIG_PUBLIC;
			sizes[f->blob] += f->bytes;
			n = MAX(n, f->blob + 1u);
		}
	r = table_parse(in, seal, sizes, n, &a, &t, &offsets, &e);
	if (r < 0) {
		assert(r == -EBADMSG && e.text[0]);
		return;
	}
	LIST_EACH(&t.frames, struct frame_rec, f) {
		assert(f->bytes <= FRAME_BYTES + SEAL_TAG_BYTES);
		assert(!f->bytes == !f->present);
		assert(!f->bytes || (f->blob < n && offsets[i] + f->bytes <= sizes[f->blob]));
		i++;
	}
	assert((t.pages + FRAME_PAGES - 1) / FRAME_PAGES == i);
	if (n) {
		sizes[n - 1]++;
		assert(table_parse(in, seal, sizes, n, &a, &t, &offsets, &e) == -EBADMSG);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_config(SPAN(data, size));
	try_table(SPAN(data, size));
	return 0;
}
