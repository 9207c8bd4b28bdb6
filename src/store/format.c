/* SPDX-License-Identifier: MIT */
/*
 * The records of this room: config, frame table and reference, described once. docs/store.md
 * prints these tables. All of it is authenticated before it comes here; it is checked all the
 * same, because a snapshot may have been made by a program that was not ours.
 */
#include "store/parts.h"

#include <string.h>

static bool all_zero(const uint8_t *data, size_t len)
{
	uint8_t any = 0;

	for (size_t i = 0; i < len; i++)
		any |= data[i];
	return !any;
}

static const struct field label_fields[] = {
	FIELD(struct store_label, key, 1, STORE_LABEL_KEY_MAX, "as in an annotation"),
	FIELD(struct store_label, value, 2, STORE_LABEL_VALUE_MAX, "text"),
};
static const struct rec_type label_type = REC_TYPE(store_label, label_fields, .key = 1);

static const struct field config_fields[] = {
	FIELD(struct config_rec, version, 1, 255, "of this format"),
	FIELD(struct config_rec, id, 2, 0, "random; names the snapshot in every seal"),
	FIELD(struct config_rec, kind, 3, 16, "proc, session or vm"),
	FIELD(struct config_rec, created_ns, 4, INT64_MAX, "ns since 1970"),
	FIELD(struct config_rec, pages, 5, PAGES_MAX, "pages that were written"),
	FIELD(struct config_rec, stored_pages, 6, PAGES_MAX, "pages that are in the page blobs"),
	FIELD(struct config_rec, state_bytes, 7, STATE_MAX_BYTES, "bytes of the state's CBOR"),
	FIELD(struct config_rec, table_bytes, 8, TABLE_MAX_BYTES, "bytes of the table's CBOR"),
	FIELD_HEX(struct config_rec, key_id, 9, 0, "which store's key wrapped ours"),
	FIELD_HEX(struct config_rec, wrapped_key, 10, 0, "the snapshot's key, sealed"),
	FIELD_LIST(struct config_rec, labels, 11, &label_type, STORE_LABELS_MAX, "not secret"),
	FIELD(struct config_rec, seal, 12, CONFIG_PUBLIC, "0 sealed with a key, 1 public"),
};

static int config_check(const void *rec, struct err *e)
{
	const struct config_rec *c = rec;

	if (c->version != CONFIG_VERSION)
		return err_say(e, -EBADMSG, "version %u of the format is not known here",
		               c->version);
	if (!c->kind || !c->kind[0])
		return err_say(e, -EBADMSG, "no kind");
	if (c->stored_pages > c->pages)
		return err_say(e, -EBADMSG, "more pages stored than there are");
	if (!c->table_bytes)
		return err_say(e, -EBADMSG, "no frame table");
	if (c->seal == CONFIG_PUBLIC &&
	    (!all_zero(c->key_id, KEY_ID_BYTES) || !all_zero(c->wrapped_key, WRAPPED_KEY_BYTES)))
		return err_say(e, -EBADMSG, "it is public and yet has a key");
	return 0;
}

const struct rec_type config_type =
	REC_TYPE(config_rec, config_fields, .doc = "What a snapshot is", .check = config_check);

static const struct field frame_fields[] = {
	FIELD_HEX(struct frame_rec, present, 1, UINT32_MAX, "bit n: page n is stored, else zero"),
	FIELD(struct frame_rec, bytes, 2, FRAME_BYTES + SEAL_TAG_BYTES, "in the blob, with tag"),
	FIELD(struct frame_rec, blob, 3, BLOBS_MAX - 1, "page blob, in the manifest's order"),
	FIELD(struct frame_rec, codec, 4, FRAME_TRIMMED, "0 as it is, 1 zstd, 2 trimmed"),
	FIELD_HEX(struct frame_rec, digest, 5, 0, "SHA-256 of these bytes, if it is public"),
};

/* Else it is sealed, and ends with a tag. */
static bool frame_is_public(const struct frame_rec *f)
{
	return !all_zero(f->digest, DIGEST_BYTES);
}

static int frame_check(const void *rec, struct err *e)
{
	const struct frame_rec *f = rec;
	uint32_t plain = (uint32_t)__builtin_popcount(f->present) * PAGE_BYTES;
	uint32_t tag = frame_is_public(f) ? 0 : SEAL_TAG_BYTES;
	bool fits;

	if (!f->present)
		fits = !f->bytes && !f->blob && f->codec == FRAME_RAW && tag;
	else if (f->codec == FRAME_RAW)
		fits = f->bytes == plain + tag;
	else if (f->codec == FRAME_TRIMMED)
		fits = f->bytes > TRIM_HEAD_BYTES + tag && f->bytes < plain + tag;
	else
		fits = f->bytes > tag && f->bytes < plain + tag;
	return fits ? 0 : err_say(e, -EBADMSG, "a frame of %u bytes for %u", f->bytes, plain);
}

static const struct rec_type frame_type = REC_TYPE(frame_rec, frame_fields, .check = frame_check);

static const struct field table_fields[] = {
	FIELD(struct table_rec, pages, 1, PAGES_MAX, "pages that were written"),
	FIELD(struct table_rec, frame_pages, 2, FRAME_PAGES, "pages of a frame; 32"),
	FIELD_LIST(struct table_rec, frames, 3, &frame_type, PAGES_MAX / FRAME_PAGES,
                   "in the order of pages"),
};

static int table_check(const void *rec, struct err *e)
{
	const struct table_rec *t = rec;
	uint64_t tail = t->pages % FRAME_PAGES;

	if (t->frame_pages != FRAME_PAGES)
		return err_say(e, -EBADMSG, "frames of %u pages are not known here",
		               t->frame_pages);
	if (t->frames.count != (t->pages + FRAME_PAGES - 1) / FRAME_PAGES)
		return err_say(e, -EBADMSG, "%zu frames for %llu pages", t->frames.count,
		               (unsigned long long)t->pages);
	if (tail && LIST_AT(&t->frames, struct frame_rec, t->frames.count - 1)->present >> tail)
		return err_say(e, -EBADMSG, "the last frame has pages after the last one");
	return 0;
}

const struct rec_type table_type =
	REC_TYPE(table_rec, table_fields, .doc = "Where pages are", .check = table_check);

static const struct field ref_fields[] = {
	FIELD(struct ref_rec, name, 1, STORE_NAME_MAX, "org.opencontainers.image.ref.name"),
	FIELD_HEX(struct ref_rec, manifest, 2, 0, "SHA-256 of the manifest"),
	FIELD(struct ref_rec, bytes, 3, MANIFEST_MAX_BYTES, "size of the manifest"),
	FIELD(struct ref_rec, generation, 4, GENERATION_MAX, "vnd.wslx.generation"),
	FIELD(struct ref_rec, origin, 5, STORE_ORIGIN_MAX, "vnd.wslx.origin; empty: made here"),
};
const struct rec_type ref_type = REC_TYPE(ref_rec, ref_fields, .doc = "What a name's seal covers");

int config_parse(struct span in, struct arena *a, struct config_rec *out, struct err *e)
{
	int r = rec_decode(in, &config_type, a, out, e);

	return r < 0 ? err_wrap(e, r, "config") : 0;
}

int table_parse(struct span in, enum config_seal seal, const uint64_t *blob_bytes, size_t n_blobs,
                struct arena *a, struct table_rec *out, uint64_t **offsets, struct err *e)
{
	uint64_t used[BLOBS_MAX] = {0};
	uint64_t *begins;
	size_t i = 0;
	int r = rec_decode(in, &table_type, a, out, e);

	if (r < 0)
		return err_wrap(e, r, "frame table");
	begins = ARENA_ARRAY(a, uint64_t, out->frames.count + 1);
	LIST_EACH(&out->frames, struct frame_rec, f) {
		begins[i++] = used[f->blob];
		if (f->bytes && f->blob >= n_blobs)
			return err_say(e, -EBADMSG, "frame table: page blob %u of %zu", f->blob,
			               n_blobs);
		if (f->present && frame_is_public(f) != (seal == CONFIG_PUBLIC))
			return err_say(e, -EBADMSG,
			               "frame table: a frame that is not protected as "
			               "its snapshot says");
		/* Cannot overflow: the limits allow 2^25 frames of 2^17 bytes. */
		used[f->blob] += f->bytes;
	}
	for (i = 0; i < n_blobs; i++)
		if (used[i] != blob_bytes[i])
			return err_say(e, -EBADMSG,
			               "frame table: page blob %zu has %llu bytes and not %llu", i,
			               (unsigned long long)blob_bytes[i],
			               (unsigned long long)used[i]);
	*offsets = begins;
	return 0;
}
