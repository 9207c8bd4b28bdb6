/* SPDX-License-Identifier: MIT */
/* Buffers, arenas and lists. */
#include "base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BLOCK_BYTES (64u * 1024)

struct arena_block {
	struct arena_block *next;
	size_t used;
	size_t cap;
	_Alignas(16) uint8_t data[];
};

static void out_of_memory(size_t bytes)
{
	fprintf(stderr, "wslx: out of memory: %zu more bytes are not to be had\n", bytes);
	abort();
}

void *xalloc(size_t bytes)
{
	void *p = calloc(1, bytes ? bytes : 1);

	if (!p)
		out_of_memory(bytes);
	return p;
}

void *xrealloc(void *p, size_t bytes)
{
	p = realloc(p, bytes ? bytes : 1);
	if (!p)
		out_of_memory(bytes);
	return p;
}

char *xstrdup(const char *text)
{
	size_t n = strlen(text) + 1;

	return memcpy(xalloc(n), text, n);
}

char *xprintf(const char *fmt, ...)
{
	AUTO(buf) struct buf b = {0};
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	return xstrdup(buf_text(&b));
}

bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && (!a.len || !memcmp(a.data, b.data, a.len));
}

void span_copy(void *to, struct span from)
{
	if (from.len)
		memcpy(to, from.data, from.len);
}

struct span span_of_text(const char *text)
{
	return SPAN(text, strlen(text));
}

void buf_finish(struct buf *b)
{
	if (!b)
		return;
	free(b->data);
	*b = (struct buf){0};
}

void buf_reserve(struct buf *b, size_t more)
{
	size_t cap;

	if (more <= b->cap - b->len)
		return;
	if (more > SIZE_MAX / 2 - b->len)
		out_of_memory(more);
	cap = MAX(b->cap + b->cap / 2, b->len + more);
	cap = MAX(cap, (size_t)64);
	b->data = xrealloc(b->data, cap);
	b->cap = cap;
}

uint8_t *buf_extend(struct buf *b, size_t more)
{
	uint8_t *p;

	buf_reserve(b, more);
	p = b->data + b->len;
	b->len += more;
	return p;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
	if (len)
		memcpy(buf_extend(b, len), data, len);
}

void buf_add_byte(struct buf *b, uint8_t byte)
{
	*buf_extend(b, 1) = byte;
}

void buf_add_text(struct buf *b, const char *text)
{
	buf_add(b, text, strlen(text));
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	assert(fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	assert(n >= 0);
	/* The zero at the end is room that the next bytes take. */
	vsnprintf((char *)buf_extend(b, (size_t)n + 1), (size_t)n + 1, fmt, again);
	va_end(again);
	b->len--;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

const char *buf_text(struct buf *b)
{
	buf_reserve(b, 1);
	b->data[b->len] = 0;
	return (const char *)b->data;
}

struct span buf_span(const struct buf *b)
{
	return SPAN(b->data, b->len);
}

void arena_finish(struct arena *a)
{
	struct arena_block *block, *next;

	if (!a)
		return;
	for (block = a->head; block; block = next) {
		next = block->next;
		free(block);
	}
	a->head = NULL;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
	struct arena_block *block = a->head;
	void *p;

	if (bytes > SIZE_MAX / 2)
		out_of_memory(bytes);
	bytes = (bytes + 15) & ~(size_t)15;
	if (!block || bytes > block->cap - block->used) {
		size_t cap = MAX(bytes, (size_t)ARENA_BLOCK_BYTES);

		block = xalloc(sizeof(*block) + cap);
		block->cap = cap;
		/* A big allocation must not hide the room left in the current block. */
		if (a->head && bytes > ARENA_BLOCK_BYTES / 4) {
			block->next = a->head->next;
			a->head->next = block;
		} else {
			block->next = a->head;
			a->head = block;
		}
	}
	p = block->data + block->used;
	block->used += bytes;
	return p;
}

void *arena_array(struct arena *a, size_t item_bytes, size_t n)
{
	if (n && item_bytes > SIZE_MAX / 2 / n)
		out_of_memory(SIZE_MAX);
	return arena_alloc(a, item_bytes * n);
}

void *arena_copy(struct arena *a, const void *data, size_t bytes)
{
	void *p = arena_alloc(a, bytes);

	if (bytes)
		memcpy(p, data, bytes);
	return p;
}

char *arena_text(struct arena *a, const char *text)
{
	return arena_copy(a, text, strlen(text) + 1);
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	AUTO(buf) struct buf b = {0};
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&b, fmt, ap);
	va_end(ap);
	return arena_text(a, buf_text(&b));
}

void *list_add(struct list *l, struct arena *a, size_t item_bytes)
{
	if (l->count == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 8;
		void *items = arena_array(a, item_bytes, cap);

		if (l->count)
			memcpy(items, l->items, l->count * item_bytes);
		l->items = items;
		l->cap = cap;
	}
	return (uint8_t *)l->items + item_bytes * l->count++;
}
