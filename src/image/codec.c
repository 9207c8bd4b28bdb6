/* SPDX-License-Identifier: MIT */
/* Encode and decode: the two directions of the CBOR form described in rec.h. */
#include "image/rec.h"

#include <stdlib.h>
#include <string.h>

/* CBOR major types (RFC 8949, 3.1). */
enum { CBOR_UINT, CBOR_NINT, CBOR_BYTES, CBOR_TEXT, CBOR_ARRAY, CBOR_MAP, CBOR_TAG, CBOR_SIMPLE };
#define CBOR_FALSE 20
#define CBOR_TRUE 21

static const void *member(const struct field *f, const void *rec)
{
	return (const uint8_t *)rec + f->offset;
}

uint64_t field_number_get(const struct field *f, const void *rec)
{
	const void *m = member(f, rec);

	switch (f->kind == FIELD_BOOL ? 0 : f->width) {
	case 0:
		return *(const bool *)m;
	case 1:
		return *(const uint8_t *)m;
	case 2:
		return *(const uint16_t *)m;
	case 4:
		return f->kind == FIELD_INT ? (uint64_t)(int64_t) * (const int32_t *)m
		                            : *(const uint32_t *)m;
	default:
		return *(const uint64_t *)m;
	}
}

static bool is_utf8(const uint8_t *p, size_t len)
{
	AUTO(buf) struct buf json = {0};

	/* The writer of JSON strings knows UTF-8 already: a replacement grows the string. */
	for (size_t i = 0; i < len; i++)
		if (p[i] >= 0x80)
			goto look;
	return true;
look:
	text_add_json_string(&json, (const char *)p, len);
	return !strstr(buf_text(&json), "\\ufffd");
}

/* ---- encode ---------------------------------------------------------------------------- */

static void put_head(struct buf *out, unsigned major, uint64_t value)
{
	uint8_t m = (uint8_t)(major << 5);
	unsigned bytes;

	if (value < 24) {
		buf_add_byte(out, m | (uint8_t)value);
		return;
	}
	bytes = value <= 0xff ? 1 : value <= 0xffff ? 2 : value <= 0xffffffff ? 4 : 8;
	buf_add_byte(out, m | (bytes == 1 ? 24 : bytes == 2 ? 25 : bytes == 4 ? 26 : 27));
	while (bytes--)
		buf_add_byte(out, (uint8_t)(value >> (8 * bytes)));
}

static bool is_zero(const void *p, size_t len)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < len; i++)
		if (b[i])
			return false;
	return true;
}

static bool rec_is_empty(const struct rec_type *type, const void *rec);

static bool field_is_empty(const struct field *f, const void *rec)
{
	const void *m = member(f, rec);

	switch (f->kind) {
	case FIELD_SPAN:
		return !((const struct span *)m)->len;
	case FIELD_TEXT: {
		const char *text = *(const char *const *)m;

		return !text || !*text;
	}
	case FIELD_STRUCT:
		return rec_is_empty(f->type, m);
	case FIELD_ITEMS:
	case FIELD_UINTS:
		return !((const struct list *)m)->count;
	default:
		return is_zero(m, f->width);
	}
}

static bool rec_is_empty(const struct rec_type *type, const void *rec)
{
	for (size_t i = 0; i < type->n_fields; i++)
		if (!field_is_empty(&type->fields[i], rec))
			return false;
	return true;
}

static void put_field(struct buf *out, const struct field *f, const void *rec)
{
	const void *m = member(f, rec);

	switch (f->kind) {
	case FIELD_UINT: {
		uint64_t v = field_number_get(f, rec);

		assert(v <= f->limit);
		put_head(out, CBOR_UINT, v);
		break;
	}
	case FIELD_INT: {
		int64_t v = (int64_t)field_number_get(f, rec);

		if (v < 0)
			put_head(out, CBOR_NINT, (uint64_t)(-1 - v));
		else
			put_head(out, CBOR_UINT, (uint64_t)v);
		break;
	}
	case FIELD_BOOL:
		put_head(out, CBOR_SIMPLE, CBOR_TRUE);
		break;
	case FIELD_SPAN: {
		const struct span *s = m;

		assert(s->len <= f->limit);
		put_head(out, CBOR_BYTES, s->len);
		buf_add(out, s->data, s->len);
		break;
	}
	case FIELD_TEXT: {
		const char *text = *(const char *const *)m;
		size_t n = strlen(text);

		assert(n <= f->limit);
		put_head(out, is_utf8((const uint8_t *)text, n) ? CBOR_TEXT : CBOR_BYTES, n);
		buf_add(out, text, n);
		break;
	}
	case FIELD_FIXED:
		put_head(out, CBOR_BYTES, f->width);
		buf_add(out, m, f->width);
		break;
	case FIELD_STRUCT:
		rec_encode(out, f->type, m);
		break;
	case FIELD_ITEMS: {
		const struct list *l = m;

		assert(l->count <= f->limit);
		put_head(out, CBOR_ARRAY, l->count);
		for (size_t i = 0; i < l->count; i++)
			rec_encode(out, f->type, (const uint8_t *)l->items + i * f->type->bytes);
		break;
	}
	case FIELD_UINTS: {
		const struct list *l = m;

		assert(l->count <= f->limit);
		put_head(out, CBOR_ARRAY, l->count);
		for (size_t i = 0; i < l->count; i++)
			put_head(out, CBOR_UINT, *LIST_AT(l, uint64_t, i));
		break;
	}
	default:
		assert(false); /* a field kind without an encoder */
	}
}

void rec_encode(struct buf *out, const struct rec_type *type, const void *rec)
{
	size_t present = 0;

	for (size_t i = 0; i < type->n_fields; i++) {
		assert(!i || type->fields[i].number > type->fields[i - 1].number);
		present += !field_is_empty(&type->fields[i], rec);
	}
	put_head(out, CBOR_MAP, present);
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct field *f = &type->fields[i];

		if (field_is_empty(f, rec))
			continue;
		put_head(out, CBOR_UINT, f->number);
		put_field(out, f, rec);
	}
}

/* ---- decode ---------------------------------------------------------------------------- */

struct reader {
	const uint8_t *at, *end;
	struct arena *arena;
	struct err *e;
	unsigned depth;
};

static size_t left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

static int bad(struct reader *r, const char *what)
{
	return err_say(r->e, -EBADMSG, "%s", what);
}

static int get_head(struct reader *r, unsigned *major, uint64_t *value)
{
	unsigned info, bytes;
	uint64_t v = 0;

	if (r->at == r->end)
		return bad(r, "the data ends too early");
	*major = *r->at >> 5;
	info = *r->at++ & 31;
	if (info < 24) {
		*value = info;
		return 0;
	}
	if (info > 27)
		return bad(r, "an indefinite length or a reserved form of CBOR");
	bytes = 1u << (info - 24);
	if (left(r) < bytes)
		return bad(r, "the data ends too early");
	for (unsigned i = 0; i < bytes; i++)
		v = v << 8 | *r->at++;
	if (*major != CBOR_SIMPLE && (v < 24 || (bytes > 1 && v >> (4 * bytes) == 0)))
		return bad(r, "a number that is not in its shortest form");
	*value = v;
	return 0;
}

/* Step over one item of any type: the value of an optional field that we do not know. */
static int skip_item(struct reader *r, unsigned depth)
{
	unsigned major;
	uint64_t v;
	int ret;

	if (depth > REC_DEPTH_MAX)
		return bad(r, "nested too deeply");
	ret = get_head(r, &major, &v);
	if (ret < 0)
		return ret;
	switch (major) {
	case CBOR_BYTES:
	case CBOR_TEXT:
		if (v > left(r))
			return bad(r, "the data ends too early");
		r->at += v;
		return 0;
	case CBOR_MAP:
	case CBOR_ARRAY:
		/* Each item takes a byte at least, which bounds the loop by the input. */
		if (v > left(r))
			return bad(r, "the data ends too early");
		for (uint64_t n = major == CBOR_MAP ? 2 * v : v; n; n--) {
			ret = skip_item(r, depth + 1);
			if (ret < 0)
				return ret;
		}
		return 0;
	case CBOR_TAG:
		return skip_item(r, depth + 1);
	default:
		return 0;
	}
}

static int get_rec(struct reader *r, const struct rec_type *type, void *out);

static int get_uint(struct reader *r, uint64_t limit, uint64_t *out)
{
	unsigned major;
	int ret = get_head(r, &major, out);

	if (ret < 0)
		return ret;
	if (major != CBOR_UINT)
		return bad(r, "is not an unsigned number");
	if (*out > limit)
		return err_say(r->e, -EBADMSG, "is %llu, the limit is %llu",
		               (unsigned long long)*out, (unsigned long long)limit);
	return 0;
}

/* Return: false if it does not fit. */
static bool set_uint(void *m, uint32_t width, uint64_t v)
{
	if (width < sizeof(v) && v >> (8 * width))
		return false;
	switch (width) {
	case 1:
		*(uint8_t *)m = (uint8_t)v;
		break;
	case 2:
		*(uint16_t *)m = (uint16_t)v;
		break;
	case 4:
		*(uint32_t *)m = (uint32_t)v;
		break;
	default:
		*(uint64_t *)m = v;
	}
	return true;
}

static int get_int(struct reader *r, const struct field *f, void *m)
{
	unsigned major;
	uint64_t v;
	int64_t value;
	int ret = get_head(r, &major, &v);

	if (ret < 0)
		return ret;
	if (major != CBOR_UINT && major != CBOR_NINT)
		return bad(r, "is not an integer");
	if (v > INT64_MAX || (f->limit && v > f->limit))
		return bad(r, "is out of range");
	value = major == CBOR_NINT ? -1 - (int64_t)v : (int64_t)v;
	if (f->width == 4) {
		if (value < INT32_MIN || value > INT32_MAX)
			return bad(r, "is out of range");
		*(int32_t *)m = (int32_t)value;
	} else {
		*(int64_t *)m = value;
	}
	return 0;
}

static int get_bytes(struct reader *r, bool text, uint64_t limit, struct span *out)
{
	unsigned major;
	uint64_t n;
	int ret = get_head(r, &major, &n);

	if (ret < 0)
		return ret;
	if (major != CBOR_BYTES && !(text && major == CBOR_TEXT))
		return bad(r, text ? "is not text" : "is not a byte string");
	if (n > limit)
		return err_say(r->e, -EBADMSG, "has %llu bytes, the limit is %llu",
		               (unsigned long long)n, (unsigned long long)limit);
	if (n > left(r))
		return bad(r, "the data ends too early");
	*out = SPAN(r->at, n);
	r->at += n;
	if (text && (major == CBOR_TEXT) != is_utf8(out->data, out->len))
		return bad(r, "is not in the form that its bytes call for");
	return 0;
}

/* Records of which there may be tens of thousands are numbers and digests, and nothing else. */
static bool is_plain(const struct rec_type *type)
{
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct field *f = &type->fields[i];

		if (f->number >= 24 || (f->kind != FIELD_UINT && f->kind != FIELD_FIXED) ||
		    f->width > UINT8_MAX)
			return false;
	}
	return true;
}

/* A number other than 0 in its shortest form. Return: NULL if it is not that, else what follows. */
static const uint8_t *get_plain_number(const uint8_t *at, const uint8_t *end, uint64_t *out)
{
	unsigned bytes;
	uint64_t v;

	if (at == end || *at > (CBOR_UINT << 5 | 26))
		return NULL;
	v = *at++;
	if (v < 24) {
		*out = v;
		return v ? at : NULL;
	}
	bytes = 1u << (v - 24);
	if ((size_t)(end - at) < bytes)
		return NULL;
	v = 0;
	for (unsigned i = 0; i < bytes; i++)
		v = v << 8 | *at++;
	*out = v;
	return v < 24 || (bytes > 1 && v >> (4 * bytes) == 0) ? NULL : at;
}

/* Bytes, as many as they have to be and not all 0. Return: as get_plain_number(). */
static const uint8_t *get_plain_bytes(const uint8_t *at, const uint8_t *end, uint32_t width,
                                      void *out)
{
	const size_t head = width < 24 ? 1 : 2;

	if ((size_t)(end - at) < head + width ||
	    (width < 24 ? at[0] != (CBOR_BYTES << 5 | width)
	                : at[0] != (CBOR_BYTES << 5 | 24) || at[1] != width))
		return NULL;
	memcpy(out, at + head, width);
	return is_zero(out, width) ? NULL : at + head + width;
}

static const uint8_t *get_plain_field(const uint8_t *at, const uint8_t *end, const struct field *f,
                                      void *rec)
{
	void *m = (uint8_t *)rec + f->offset;
	uint64_t v;

	if (f->kind == FIELD_FIXED)
		return get_plain_bytes(at, end, f->width, m);
	at = get_plain_number(at, end, &v);
	return at && v <= f->limit && set_uint(m, f->width, v) ? at : NULL;
}

/*
 * What get_rec() does with a plain record, for one that is right but for its check. Return: false, with
 * nothing taken, if get_rec() has to say what is wrong.
 */
static bool get_plain_rec(struct reader *r, const struct rec_type *type, void *out)
{
	const struct field *f = type->fields, *last = f + type->n_fields;
	const uint8_t *at = r->at;

	if (r->depth == REC_DEPTH_MAX || at == r->end || *at >> 5 != CBOR_MAP ||
	    (*at & 31) > type->n_fields)
		return false;
	memset(out, 0, type->bytes);
	for (unsigned n = *at++ & 31; n; n--, f++) {
		while (f < last && at < r->end && f->number != *at)
			f++;
		if (f == last || at == r->end)
			return false;
		at = get_plain_field(at + 1, r->end, f, out);
		if (!at)
			return false;
	}
	r->at = at;
	return true;
}

static int get_item(struct reader *r, const struct field *f, bool plain, void *out)
{
	if (f->kind == FIELD_UINTS)
		return get_uint(r, UINT64_MAX, out);
	if (!plain || !get_plain_rec(r, f->type, out))
		return get_rec(r, f->type, out);
	return f->type->check ? f->type->check(out, r->e) : 0;
}

static int get_items(struct reader *r, const struct field *f, struct list *l)
{
	bool plain = f->kind == FIELD_ITEMS && is_plain(f->type);
	unsigned major;
	uint64_t n;
	size_t item = f->kind == FIELD_ITEMS ? f->type->bytes : sizeof(uint64_t);
	int ret = get_head(r, &major, &n);

	if (ret < 0)
		return ret;
	if (major != CBOR_ARRAY)
		return bad(r, "is not an array");
	if (n > f->limit)
		return err_say(r->e, -EBADMSG, "has %llu items, the limit is %llu",
		               (unsigned long long)n, (unsigned long long)f->limit);
	if (n > left(r))
		return bad(r, "the data ends too early");
	/* Grown as items arrive, so that a length alone cannot make us allocate. */
	for (uint64_t i = 0; i < n; i++) {
		ret = get_item(r, f, plain, list_add(l, r->arena, item));
		if (ret < 0)
			return err_wrap(r->e, ret, "[%llu]", (unsigned long long)i);
	}
	return 0;
}

static int get_field(struct reader *r, const struct field *f, void *rec)
{
	void *m = (uint8_t *)rec + f->offset;
	struct span s;
	uint64_t v;
	unsigned major;
	int ret;

	switch (f->kind) {
	case FIELD_UINT:
		ret = get_uint(r, f->limit, &v);
		if (ret < 0)
			return ret;
		return set_uint(m, f->width, v) ? 0 : bad(r, "is out of range");
	case FIELD_INT:
		return get_int(r, f, m);
	case FIELD_BOOL:
		ret = get_head(r, &major, &v);
		if (ret < 0)
			return ret;
		if (major != CBOR_SIMPLE || v != CBOR_TRUE)
			return bad(r, "is not true");
		*(bool *)m = true;
		return 0;
	case FIELD_SPAN:
		ret = get_bytes(r, false, f->limit, &s);
		if (ret < 0)
			return ret;
		*(struct span *)m = SPAN(arena_copy(r->arena, s.data, s.len), s.len);
		return 0;
	case FIELD_TEXT: {
		char *text;

		ret = get_bytes(r, true, f->limit, &s);
		if (ret < 0)
			return ret;
		if (memchr(s.data, 0, s.len))
			return bad(r, "has a zero byte in its text");
		text = arena_alloc(r->arena, s.len + 1);
		span_copy(text, s);
		*(const char **)m = text;
		return 0;
	}
	case FIELD_FIXED:
		ret = get_bytes(r, false, f->width, &s);
		if (ret < 0)
			return ret;
		if (s.len != f->width)
			return bad(r, "has too few bytes");
		memcpy(m, s.data, s.len);
		return 0;
	case FIELD_STRUCT:
		return get_rec(r, f->type, m);
	default:
		return get_items(r, f, m);
	}
}

/* Text members of an absent field read as "", so that nobody tests for NULL. */
static void set_empty(const struct rec_type *type, void *rec)
{
	memset(rec, 0, type->bytes);
	for (size_t i = 0; i < type->n_fields; i++) {
		const struct field *f = &type->fields[i];
		void *m = (uint8_t *)rec + f->offset;

		if (f->kind == FIELD_TEXT)
			*(const char **)m = "";
		else if (f->kind == FIELD_STRUCT)
			set_empty(f->type, m);
	}
}

static int get_rec(struct reader *r, const struct rec_type *type, void *out)
{
	size_t i = 0;
	unsigned major;
	uint64_t n, number, last = 0;
	int ret;

	if (r->depth == REC_DEPTH_MAX)
		return bad(r, "nested too deeply");
	set_empty(type, out);
	ret = get_head(r, &major, &n);
	if (ret < 0)
		return ret;
	if (major != CBOR_MAP)
		return bad(r, "is not a map");
	r->depth++;
	for (; n; n--) {
		ret = get_uint(r, UINT16_MAX, &number);
		if (ret < 0)
			return err_wrap(r->e, ret, "%s: a field's number", type->name);
		if (number <= last)
			return err_say(r->e, -EBADMSG, "%s: fields are not in order", type->name);
		last = number;
		while (i < type->n_fields && type->fields[i].number < number)
			i++;
		if (i < type->n_fields && type->fields[i].number == number) {
			ret = get_field(r, &type->fields[i], out);
			if (!ret && field_is_empty(&type->fields[i], out))
				ret = bad(r, "is empty and yet written");
			if (ret < 0)
				return err_wrap(r->e, ret, "%s.%s", type->name,
				                type->fields[i].name);
		} else if (number >= REC_OPTIONAL) {
			ret = skip_item(r, r->depth);
			if (ret < 0)
				return err_wrap(r->e, ret, "%s: field %llu", type->name,
				                (unsigned long long)number);
		} else {
			return err_say(
				r->e, -EBADMSG,
				"%s: field %llu is not known to this version of wslx, and may "
				"not be skipped; a newer wslx can read it",
				type->name, (unsigned long long)number);
		}
	}
	r->depth--;
	return type->check ? type->check(out, r->e) : 0;
}

int rec_decode(struct span in, const struct rec_type *type, struct arena *a, void *out,
               struct err *e)
{
	struct reader r = {.at = in.data, .end = in.data + in.len, .arena = a, .e = e};
	int ret = get_rec(&r, type, out);

	if (ret < 0)
		return ret;
	if (r.at != r.end)
		return err_say(e, -EBADMSG, "%s: %zu bytes follow the record", type->name,
		               left(&r));
	return 0;
}
