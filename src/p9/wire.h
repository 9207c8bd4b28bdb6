/* SPDX-License-Identifier: MIT */
/* 9P2000.L on the wire: numbers are little-endian, a text is its length in two bytes and itself. */
#ifndef WSLX_P9_WIRE_H
#define WSLX_P9_WIRE_H

#include <string.h>

#include "base/base.h"

#define P9_HEADER_BYTES 7u /* size[4] type[1] tag[2] */
#define P9_QID_BYTES 13u
#define P9_NO_FID UINT32_MAX

/* Requests; an answer has the next number. */
enum p9_type {
	P9_RLERROR = 7,
	P9_STATFS = 8,
	P9_LOPEN = 12,
	P9_LCREATE = 14,
	P9_SYMLINK = 16,
	P9_MKNOD = 18,
	P9_RENAME = 20,
	P9_READLINK = 22,
	P9_GETATTR = 24,
	P9_SETATTR = 26,
	P9_XATTRWALK = 30,
	P9_XATTRCREATE = 32,
	P9_READDIR = 40,
	P9_FSYNC = 50,
	P9_LOCK = 52,
	P9_GETLOCK = 54,
	P9_LINK = 70,
	P9_MKDIR = 72,
	P9_RENAMEAT = 74,
	P9_UNLINKAT = 76,
	P9_VERSION = 100,
	P9_AUTH = 102,
	P9_ATTACH = 104,
	P9_FLUSH = 108,
	P9_WALK = 110,
	P9_READ = 116,
	P9_WRITE = 118,
	P9_CLUNK = 120,
	P9_REMOVE = 122,
};

enum p9_qid_type { P9_QT_DIR = 0x80, P9_QT_LINK = 0x02, P9_QT_FILE = 0x00 };

struct p9_qid {
	uint8_t type;
	uint32_t version;
	uint64_t path;
};

/* A request being taken apart. Beyond its end everything is zero and @bad is set. */
struct p9_in {
	struct span in;
	size_t at;
	bool bad;
};

static inline uint64_t p9_get(struct p9_in *r, unsigned bytes)
{
	uint64_t value = 0;

	if (r->in.len - r->at < bytes) {
		r->bad = true;
		return 0;
	}
	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)r->in.data[r->at++] << (8 * i);
	return value;
}

static inline struct span p9_get_bytes(struct p9_in *r, size_t len)
{
	struct span out = {0};

	if (r->in.len - r->at < len) {
		r->bad = true;
		return out;
	}
	out = SPAN(r->in.data + r->at, len);
	r->at += len;
	return out;
}

/* A text as a C string. Longer ones than @size, and ones with a NUL in them, are bad. */
static inline void p9_get_text(struct p9_in *r, char *out, size_t size)
{
	struct span text = p9_get_bytes(r, (size_t)p9_get(r, 2));

	*out = '\0';
	if (r->bad || text.len >= size || memchr(text.data, 0, text.len)) {
		r->bad = true;
		return;
	}
	memcpy(out, text.data, text.len);
	out[text.len] = '\0';
}

/* An answer being put together. What does not fit is left out and @full is set. */
struct p9_out {
	uint8_t *data;
	size_t len, room;
	bool full;
};

static inline uint8_t *p9_extend(struct p9_out *w, size_t bytes)
{
	uint8_t *at = w->data + w->len;

	if (w->room - w->len < bytes) {
		w->full = true;
		return NULL;
	}
	w->len += bytes;
	return at;
}

static inline void p9_put(struct p9_out *w, uint64_t value, unsigned bytes)
{
	uint8_t *at = p9_extend(w, bytes);

	for (unsigned i = 0; at && i < bytes; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static inline void p9_put_text(struct p9_out *w, const char *text, size_t len)
{
	uint8_t *at;

	p9_put(w, len, 2);
	at = p9_extend(w, len);
	if (at)
		memcpy(at, text, len);
}

static inline void p9_put_qid(struct p9_out *w, const struct p9_qid *q)
{
	p9_put(w, q->type, 1);
	p9_put(w, q->version, 4);
	p9_put(w, q->path, 8);
}

#endif
