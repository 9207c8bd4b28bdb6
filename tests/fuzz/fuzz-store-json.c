/* SPDX-License-Identifier: MIT */
/*
 * index.json and manifests: what anybody could write into a store. Whatever the bytes are, what
 * is accepted keeps the promises of parts.h, and nothing of it passes for an entry that this
 * store made.
 */
#include "store/parts.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct keys keys = {.name = {1, 2, 3}};

static void try_index(struct span in)
{
	AUTO(arena) struct arena a = {0};
	AUTO(index) struct index x = {0};
	const struct entry *found;
	struct err e = {0};
	int r = index_parse(in, &a, &x, &e);

	if (r < 0) {
		assert(r == -EBADMSG && e.text[0] && !x.json);
		return;
	}
	assert(x.generation <= GENERATION_MAX);
	LIST_EACH(&x.entries, struct entry, entry) {
		assert(entry_check(&keys, entry, &e) == -EBADMSG);
		if (entry->name && index_find(&x, entry->name, &found, &e) == 0)
			assert(found == entry);
		if (!entry->sealed)
			continue;
		assert(entry->ours && store_name_check(entry->name, NULL) == 0);
		/* A seal that is right is accepted, so it was the MAC that refused. */
		assert(entry_seal(&keys, entry, &e) == 0);
		assert(entry_check(&keys, entry, &e) == 0);
		index_drop(&x, entry->name);
		index_add(&x, entry);
	}
}

static void try_manifest(struct span in)
{
	AUTO(buf) struct buf text = {0};
	struct manifest m = {0}, again = {0};
	struct err e = {0};
	int r = manifest_parse(in, &m, &e);

	if (r < 0) {
		assert(r == -EBADMSG && e.text[0]);
		return;
	}
	assert(m.n_pages <= BLOBS_MAX && m.config.bytes <= CONFIG_MAX_BYTES);
	manifest_print(&text, &m, &(struct config_rec){.kind = "vm"});
	assert(manifest_parse(buf_span(&text), &again, &e) == 0);
	assert(!memcmp(&m, &again, sizeof(m)));
}

static void try_children(struct span in)
{
	AUTO(arena) struct arena a = {0};
	struct list digests = {0}, manifests = {0};
	struct err e = {0};
	int r = json_children(in, &a, &digests, &manifests, &e);

	assert(!r || (r == -EBADMSG && e.text[0]));
	if (r)
		return;
	LIST_EACH(&manifests, struct blob, blob)
		assert(blob->bytes <= MANIFEST_MAX_BYTES);
	assert(digests.count >= manifests.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = SPAN(data, size);

	try_index(in);
	try_manifest(in);
	try_children(in);
	return 0;
}
