/* SPDX-License-Identifier: MIT */
/* Records as text, as JSON, as documentation, and the difference of two. */
#include "image/rec.h"

#include <inttypes.h>
#include <string.h>

#define SHOW_BYTES_MAX 32 /* of a byte string, in text; JSON has them all */

static const void *member(const struct field *f, const void *rec)
{
	return (const uint8_t *)rec + f->offset;
}

static const uint8_t *item_at(const struct field *f, const struct list *l, size_t i)
{
	return (const uint8_t *)l->items + i * (f->type ? f->type->bytes : sizeof(uint64_t));
}

static void add_hex(struct buf *out, struct span s, size_t most)
{
	for (size_t i = 0; i < MIN(s.len, most); i++)
		buf_printf(out, "%02x", s.data[i]);
	if (s.len > most)
		buf_printf(out, "... (%zu bytes)", s.len);
}

static void add_scalar(struct buf *out, const struct field *f, const void *rec, bool json)
{
	const void *m = member(f, rec);
	uint64_t v;

	switch (f->kind) {
	case FIELD_UINT:
		v = field_number_get(f, rec);
		buf_printf(out, f->hex && !json ? "0x%" PRIx64 : "%" PRIu64, v);
		break;
	case FIELD_INT:
		buf_printf(out, "%" PRId64, (int64_t)field_number_get(f, rec));
		break;
	case FIELD_BOOL:
		buf_add_text(out, field_number_get(f, rec) ? (json ? "true" : "yes")
		                                           : (json ? "false" : "no"));
		break;
	case FIELD_TEXT: {
		const char *text = *(const char *const *)m;

		text = text ? text : "";
		if (json)
			text_add_json_string(out, text, strlen(text));
		else
			text_add_printable(out, text, strlen(text));
		break;
	}
	case FIELD_SPAN:
	case FIELD_FIXED: {
		struct span s = f->kind == FIELD_SPAN ? *(const struct span *)m : SPAN(m, f->width);

		if (json)
			buf_add_byte(out, '"');
		add_hex(out, s, json ? SIZE_MAX : SHOW_BYTES_MAX);
		if (json)
			buf_add_byte(out, '"');
		break;
	}
	default:
		assert(false); /* not a scalar */
	}
}

static bool is_default(const struct field *f, const void *rec)
{
	static const uint8_t zero[64];
	const void *m = member(f, rec);

	switch (f->kind) {
	case FIELD_SPAN:
		return !((const struct span *)m)->len;
	case FIELD_TEXT:
		return !*(const char *const *)m || !**(const char *const *)m;
	case FIELD_STRUCT:
		for (size_t i = 0; i < f->type->n_fields; i++)
			if (!is_default(&f->type->fields[i], m))
				return false;
		return true;
	case FIELD_ITEMS:
	case FIELD_UINTS:
		return !((const struct list *)m)->count;
	default:
		return f->width <= sizeof(zero) && !memcmp(m, zero, f->width);
	}
}

/* The record that a byte string is the encoding of; NULL if it is none, or a damaged one. */
static const void *decode_inner(const struct field *f, const void *rec, struct arena *a,
                                const struct rec_type **type)
{
	void *inner;

	*type = f->kind == FIELD_SPAN && f->inner ? f->inner(rec) : NULL;
	if (!*type)
		return NULL;
	inner = arena_alloc(a, (*type)->bytes);
	return rec_decode(*(const struct span *)member(f, rec), *type, a, inner, NULL) ? NULL
	                                                                               : inner;
}

void rec_show_text(struct buf *out, const struct rec_type *type, const void *rec, int indent)
{
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct field *f = &type->fields[i];
		const struct list *l = member(f, rec);
		AUTO(arena) struct arena a = {0};
		const struct rec_type *inner_type;
		const void *inner;

		if (is_default(f, rec))
			continue;
		buf_printf(out, "%*s%s:", indent, "", f->name);
		inner = decode_inner(f, rec, &a, &inner_type);
		if (inner) {
			buf_add_byte(out, '\n');
			rec_show_text(out, inner_type, inner, indent + 2);
			continue;
		}
		switch (f->kind) {
		case FIELD_STRUCT:
			buf_add_byte(out, '\n');
			rec_show_text(out, f->type, member(f, rec), indent + 2);
			break;
		case FIELD_ITEMS:
			buf_printf(out, " (%zu)\n", l->count);
			for (size_t n = 0; n < l->count; n++) {
				size_t start;

				buf_printf(out, "%*s- ", indent + 2, "");
				start = out->len;
				rec_show_text(out, f->type, item_at(f, l, n), indent + 4);
				if (out->len == start) {
					buf_add_byte(out, '\n');
				} else {
					/* The first field stands behind the dash. */
					memmove(out->data + start, out->data + start + indent + 4,
					        out->len - start - (size_t)indent - 4);
					out->len -= (size_t)indent + 4;
				}
			}
			break;
		case FIELD_UINTS:
			for (size_t n = 0; n < l->count; n++)
				buf_printf(out, " %" PRIu64, *LIST_AT(l, uint64_t, n));
			buf_add_byte(out, '\n');
			break;
		default:
			buf_add_byte(out, ' ');
			add_scalar(out, f, rec, false);
			buf_add_byte(out, '\n');
		}
	}
}

void rec_show_json(struct buf *out, const struct rec_type *type, const void *rec)
{
	buf_add_byte(out, '{');
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct field *f = &type->fields[i];
		const struct list *l = member(f, rec);
		AUTO(arena) struct arena a = {0};
		const struct rec_type *inner_type;
		const void *inner = decode_inner(f, rec, &a, &inner_type);

		buf_printf(out, "%s\"%s\":", i ? "," : "", f->name);
		if (inner) {
			rec_show_json(out, inner_type, inner);
			continue;
		}
		switch (f->kind) {
		case FIELD_STRUCT:
			rec_show_json(out, f->type, member(f, rec));
			break;
		case FIELD_ITEMS:
		case FIELD_UINTS:
			buf_add_byte(out, '[');
			for (size_t n = 0; n < l->count; n++) {
				if (n)
					buf_add_byte(out, ',');
				if (f->kind == FIELD_ITEMS)
					rec_show_json(out, f->type, item_at(f, l, n));
				else
					buf_printf(out, "%" PRIu64, *LIST_AT(l, uint64_t, n));
			}
			buf_add_byte(out, ']');
			break;
		default:
			add_scalar(out, f, rec, true);
		}
	}
	buf_add_byte(out, '}');
}

/* ---- documentation --------------------------------------------------------------------- */

static const struct rec_type *type_within(const struct field *f)
{
	return f->inner ? f->inner(NULL) : f->type;
}

static const char *kind_name(const struct field *f)
{
	switch (f->kind) {
	case FIELD_UINT:
		return "unsigned";
	case FIELD_INT:
		return "integer";
	case FIELD_BOOL:
		return "bool";
	case FIELD_SPAN:
	case FIELD_FIXED:
		return "bytes";
	case FIELD_TEXT:
		return "text";
	case FIELD_STRUCT:
		return "map";
	case FIELD_ITEMS:
		return "array of maps";
	default:
		return "array of unsigned";
	}
}

struct described {
	const struct rec_type *types[128];
	size_t n;
};

static void describe(struct buf *out, const struct rec_type *type, struct described *done)
{
	for (size_t i = 0; i < done->n; i++)
		if (done->types[i] == type)
			return;
	if (done->n < ARRAY_LEN(done->types))
		done->types[done->n++] = type;
	buf_printf(out, "### %s\n\n", type->name);
	if (type->doc)
		buf_printf(out, "%s\n\n", type->doc);
	buf_add_text(out, "| number | field | form | limit | meaning |\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct field *f = &type->fields[i];

		buf_printf(out, "| %u | %s | %s", f->number, f->name, kind_name(f));
		if (type_within(f))
			buf_printf(out, " (%s)", type_within(f)->name);
		if (f->kind == FIELD_FIXED)
			buf_printf(out, " | %u bytes", f->width);
		else if (f->kind == FIELD_BOOL || f->kind == FIELD_STRUCT)
			buf_add_text(out, " | -");
		else if (f->limit == UINT64_MAX || !f->limit)
			buf_add_text(out, " | 64 bits");
		else
			buf_printf(out, " | %" PRIu64, f->limit);
		buf_printf(out, " | %s |\n", f->doc);
	}
	buf_add_byte(out, '\n');
	for (size_t i = 0; i < type->n_fields; i++)
		if (type_within(&type->fields[i]))
			describe(out, type_within(&type->fields[i]), done);
}

void rec_describe(struct buf *out, const struct rec_type *type)
{
	struct described done = {.n = 0};

	describe(out, type, &done);
}

/* ---- diff ------------------------------------------------------------------------------ */

static const struct field *key_field(const struct rec_type *type)
{
	for (size_t i = 0; type->key && i < type->n_fields; i++)
		if (type->fields[i].number == type->key)
			return &type->fields[i];
	return NULL;
}

struct differ {
	struct buf *out;
	struct buf path;
	size_t count;
};

static void add_one_line(struct buf *out, const struct rec_type *type, const void *rec)
{
	const char *comma = "";

	for (size_t i = 0; i < type->n_fields; i++) {
		const struct field *f = &type->fields[i];

		if (is_default(f, rec) || f->kind >= FIELD_STRUCT)
			continue;
		buf_printf(out, "%s%s=", comma, f->name);
		add_scalar(out, f, rec, false);
		comma = ", ";
	}
}

static void diff_rec(struct differ *d, const struct rec_type *type, const void *a, const void *b);

static void say(struct differ *d)
{
	buf_printf(d->out, "%s: ", buf_text(&d->path));
	d->count++;
}

static const uint8_t *find_by_key(const struct field *f, const struct field *key,
                                  const struct list *l, const void *want, size_t hint)
{
	uint64_t v = field_number_get(key, want);

	/* Lists are mostly alike, so the partner is mostly at the same place. */
	if (hint < l->count && field_number_get(key, item_at(f, l, hint)) == v)
		return item_at(f, l, hint);
	for (size_t i = 0; i < l->count; i++)
		if (field_number_get(key, item_at(f, l, i)) == v)
			return item_at(f, l, i);
	return NULL;
}

static void push_index(struct differ *d, const struct field *key, const void *item, size_t i)
{
	if (!key)
		buf_printf(&d->path, "[%zu]", i);
	else if (key->hex)
		buf_printf(&d->path, "[0x%" PRIx64 "]", field_number_get(key, item));
	else
		buf_printf(&d->path, "[%" PRIu64 "]", field_number_get(key, item));
}

static void diff_items(struct differ *d, const struct field *f, const struct list *a,
                       const struct list *b)
{
	const struct field *key = key_field(f->type);
	size_t mark = d->path.len;

	for (size_t side = 0; side < 2; side++) {
		const struct list *mine = side ? b : a, *other = side ? a : b;

		for (size_t i = 0; i < mine->count; i++) {
			const uint8_t *item = item_at(f, mine, i);
			const uint8_t *twin =
				key ? find_by_key(f, key, other, item, i)
				    : (i < other->count ? item_at(f, other, i) : NULL);

			push_index(d, key, item, i);
			if (!twin) {
				say(d);
				buf_add_text(d->out,
				             side ? "only in the second: " : "only in the first: ");
				add_one_line(d->out, f->type, item);
				buf_add_byte(d->out, '\n');
			} else if (!side) {
				diff_rec(d, f->type, item, twin);
			}
			d->path.len = mark;
		}
	}
}

static void diff_rec(struct differ *d, const struct rec_type *type, const void *a, const void *b)
{
	size_t mark = d->path.len;

	for (size_t i = 0; i < type->n_fields; i++) {
		const struct field *f = &type->fields[i];
		AUTO(buf) struct buf left = {0}, right = {0};

		buf_printf(&d->path, "%s%s", mark ? "." : "", f->name);
		if (f->kind == FIELD_STRUCT) {
			diff_rec(d, f->type, member(f, a), member(f, b));
		} else if (f->kind == FIELD_ITEMS) {
			diff_items(d, f, member(f, a), member(f, b));
		} else if (f->kind == FIELD_UINTS) {
			const struct list *la = member(f, a), *lb = member(f, b);

			if (la->count != lb->count ||
			    (la->count && memcmp(la->items, lb->items, la->count * 8))) {
				say(d);
				buf_printf(d->out, "%zu numbers -> %zu, not the same\n", la->count,
				           lb->count);
			}
		} else {
			/* Compared in full, shown shortened. */
			add_scalar(&left, f, a, true);
			add_scalar(&right, f, b, true);
			if (!span_equal(buf_span(&left), buf_span(&right))) {
				say(d);
				add_scalar(d->out, f, a, false);
				buf_add_text(d->out, " -> ");
				add_scalar(d->out, f, b, false);
				buf_add_byte(d->out, '\n');
			}
		}
		d->path.len = mark;
	}
}

size_t rec_diff(struct buf *out, const struct rec_type *type, const void *a, const void *b)
{
	struct differ d = {.out = out};

	diff_rec(&d, type, a, b);
	buf_finish(&d.path);
	return d.count;
}
