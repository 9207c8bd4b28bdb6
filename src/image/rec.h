/* SPDX-License-Identifier: MIT */
/*
 * Records: C structs that are described once by a field table, from which they are encoded,
 * decoded, checked, printed, compared and documented.
 *
 * On disk a record is a deterministic CBOR map (RFC 8949, 4.2.1): unsigned keys in ascending
 * order, shortest forms, definite lengths. A field whose value is zero or empty is left out,
 * and a field that is absent decodes as zero or empty, so equal records have equal bytes.
 *
 * Evolution: a reader refuses a key below REC_OPTIONAL that it does not know and skips one at
 * or above it. A number is never used again for something else.
 *
 * | C type              | CBOR           | limit means          |
 * |---------------------|----------------|----------------------|
 * | uint8_t .. uint64_t | unsigned       | largest value        |
 * | int32_t, int64_t    | integer        | largest magnitude    |
 * | bool                | true           | -                    |
 * | struct span         | byte string    | most bytes           |
 * | const char *        | text string    | most bytes           |
 * | uint8_t [N]         | byte string    | exactly N bytes      |
 * | struct              | map            | -                    |
 * | struct list         | array of maps  | most items           |
 * | struct list         | array of ints  | most items           |
 *
 * A text string holds a Linux name and so any bytes but NUL: it is written as CBOR text when
 * it is UTF-8 and as a byte string when not; both are read.
 */
#ifndef WSLX_IMAGE_REC_H
#define WSLX_IMAGE_REC_H

#include "base/base.h"

#define REC_OPTIONAL 128 /* fields from this number on may be skipped by an older reader */
#define REC_DEPTH_MAX 16

enum field_kind {
	FIELD_UINT, /* width 1, 2, 4 or 8 */
	FIELD_INT,  /* width 4 or 8 */
	FIELD_BOOL,
	FIELD_SPAN,
	FIELD_TEXT,
	FIELD_FIXED, /* uint8_t [width] */
	FIELD_STRUCT,
	FIELD_ITEMS, /* struct list of structs */
	FIELD_UINTS, /* struct list of uint64_t */
};

struct field {
	const char *name;
	const char *doc; /* unit and meaning, for show and for docs/ */
	uint16_t number;
	uint8_t kind; /* enum field_kind */
	bool hex;     /* print as hexadecimal */
	uint32_t offset;
	uint32_t width; /* bytes of the member */
	uint64_t limit;
	const struct rec_type *type; /* FIELD_STRUCT, FIELD_ITEMS */
	/*
	 * FIELD_SPAN: what the bytes in @rec are the encoding of, for show; NULL if of nothing.
	 * With @rec NULL: what they always are, for docs/. Who uses them decodes them.
	 */
	const struct rec_type *(*inner)(const void *rec);
};

struct rec_type {
	const char *name;
	const char *doc;
	size_t bytes; /* sizeof the struct */
	const struct field *fields;
	size_t n_fields;
	uint16_t key; /* field by which diff pairs the items of a list; 0: by position */
	/* What the limits cannot say; NULL if they say it all. */
	int (*check)(const void *rec, struct err *e);
};

#define REC_TYPE(type, table, ...)                                                                 \
	{                                                                                          \
		.name = #type, .bytes = sizeof(struct type), .fields = (table),                    \
		.n_fields = ARRAY_LEN(table), __VA_ARGS__                                          \
	}

#define FIELD_KIND_OF(member)                                                                      \
	_Generic((member),                                                                         \
		uint8_t: FIELD_UINT,                                                               \
		uint16_t: FIELD_UINT,                                                              \
		uint32_t: FIELD_UINT,                                                              \
		uint64_t: FIELD_UINT,                                                              \
		int32_t: FIELD_INT,                                                                \
		int64_t: FIELD_INT,                                                                \
		bool: FIELD_BOOL,                                                                  \
		struct span: FIELD_SPAN,                                                           \
		char *: FIELD_TEXT,                                                                \
		const char *: FIELD_TEXT,                                                          \
		const uint8_t *: FIELD_FIXED,                                                      \
		uint8_t *: FIELD_FIXED)

#define FIELD_INIT(s, m, num, kind_, lim)                                                          \
	.name = #m, .number = (num), .kind = (kind_), .offset = offsetof(s, m),                    \
	.width = sizeof(((s *)0)->m), .limit = (lim)

/* FIELD(struct, member, number on disk, limit, "meaning") */
#define FIELD(s, m, num, lim, ...)                                                                 \
	{                                                                                          \
		FIELD_INIT(s, m, num, FIELD_KIND_OF(((s *)0)->m), lim), .doc = "" __VA_ARGS__      \
	}
#define FIELD_HEX(s, m, num, lim, ...)                                                             \
	{                                                                                          \
		FIELD_INIT(s, m, num, FIELD_KIND_OF(((s *)0)->m), lim), .hex = true,               \
									.doc = "" __VA_ARGS__      \
	}
/* FIELD_REC(struct, member, number, &type, "meaning"): one struct inside another */
#define FIELD_REC(s, m, num, t, ...)                                                               \
	{                                                                                          \
		FIELD_INIT(s, m, num, FIELD_STRUCT, 0), .type = (t), .doc = "" __VA_ARGS__         \
	}
/* FIELD_LIST(struct, member, number, &type, most items, "meaning") */
#define FIELD_LIST(s, m, num, t, lim, ...)                                                         \
	{                                                                                          \
		FIELD_INIT(s, m, num, FIELD_ITEMS, lim), .type = (t), .doc = "" __VA_ARGS__        \
	}
#define FIELD_LIST_U64(s, m, num, lim, ...)                                                        \
	{                                                                                          \
		FIELD_INIT(s, m, num, FIELD_UINTS, lim), .doc = "" __VA_ARGS__                     \
	}

/**
 * rec_encode() - append a record's deterministic CBOR
 *
 * A value over its limit is our own mistake and stops the program: dump checks before.
 */
void rec_encode(struct buf *out, const struct rec_type *type, const void *rec);

/**
 * rec_decode() - decode and check a whole record
 * @in:  exactly one CBOR map; anything after it is refused
 * @a:   owns what the record points to; spans and byte strings are copied into it
 * @out: struct of @type; zeroed first, undefined on failure
 *
 * Untrusted input. Return: 0; -EBADMSG with a sentence naming the field.
 */
MUST_CHECK int rec_decode(struct span in, const struct rec_type *type, struct arena *a, void *out,
                          struct err *e);

/* The record as indented text for people, one field a line; every byte is printable. */
void rec_show_text(struct buf *out, const struct rec_type *type, const void *rec, int indent);
/* The record as one JSON object; byte strings as lower-case hexadecimal. */
void rec_show_json(struct buf *out, const struct rec_type *type, const void *rec);
/* A Markdown table of the fields, then of the records within, for docs/. */
void rec_describe(struct buf *out, const struct rec_type *type);
/**
 * rec_diff() - one line a difference: "tasks[12].fds[3].flags: 2 -> 0"
 * Return: the number of differences.
 */
size_t rec_diff(struct buf *out, const struct rec_type *type, const void *a, const void *b);

/* Field access for whoever walks a table: the member as an unsigned number (UINT, INT, BOOL). */
uint64_t field_number_get(const struct field *f, const void *rec);

#endif
