/* SPDX-License-Identifier: MIT */
/*
 * base: words that every other room uses. Standard C and GNU attributes only: this room is
 * also built for machines that have no Linux underneath.
 *
 * Errors
 *	A function that can fail returns 0 or a negative errno and takes a `struct err *` as its
 *	last argument. The sentence is written where the failure happens and gains context on the
 *	way up ("restore: task 12: pipe 7: capacity of 1048576 bytes"). Outputs are untouched on
 *	failure. Nothing in a library room prints.
 *
 * Ownership
 *	AUTO(type) runs auto_type() when the variable leaves its scope. A const pointer is
 *	borrowed. What is allocated from a `struct arena` lives as long as the arena.
 */
#ifndef WSLX_BASE_H
#define WSLX_BASE_H

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define AUTO(type) __attribute__((cleanup(auto_##type)))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define MUST_CHECK __attribute__((warn_unused_result))

#define PAGE_BYTES 4096u
#define PAGE_SHIFT 12

/* ---- errors ---------------------------------------------------------------------------- */

struct err {
	int code;          /* 0, or the negative errno of the first failure */
	const char *where; /* "file:line" of that first failure */
	char text[400];    /* outermost context first */
};

#define ERR_STR2(x) #x
#define ERR_STR(x) ERR_STR2(x)
#define ERR_HERE __FILE__ ":" ERR_STR(__LINE__)

/**
 * err_set() - record the first failure
 * @e:    where to record it; NULL drops the text
 * @code: negative errno
 *
 * The format is a sentence without the errno's own text, which is added.
 * Return: @code, so that a caller can `return err_set(...)`.
 */
#define err_set(e, code, ...) err_set_at((e), (code), ERR_HERE, true, __VA_ARGS__)

/**
 * err_say() - record a failure whose sentence says everything
 *
 * As err_set(), but the errno's own text is not added: for refusals, where "Operation not
 * supported" after a whole sentence would only be noise.
 */
#define err_say(e, code, ...) err_set_at((e), (code), ERR_HERE, false, __VA_ARGS__)

int err_set_at(struct err *e, int code, const char *where, bool add_errno, const char *fmt, ...)
	PRINTF(5, 6);

/**
 * err_wrap() - put context in front of a failure that is already recorded
 * Return: @code.
 */
int err_wrap(struct err *e, int code, const char *fmt, ...) PRINTF(3, 4);

/* ---- bytes ----------------------------------------------------------------------------- */

/* Borrowed bytes. */
struct span {
	const uint8_t *data;
	size_t len;
};

#define SPAN(ptr, n) ((struct span){.data = (const uint8_t *)(ptr), .len = (n)})
bool span_equal(struct span a, struct span b);
/* All of @from to @to: memcpy(3) must not be given the NULL of an empty span. */
void span_copy(void *to, struct span from);
struct span span_of_text(const char *text);

/* Bytes that grow. All zero is an empty buffer. */
struct buf {
	uint8_t *data;
	size_t len;
	size_t cap;
};

void buf_finish(struct buf *b);
static inline void auto_buf(struct buf *b)
{
	buf_finish(b);
}
/* Running out of memory aborts: no caller could do better, and a dump undoes itself on death. */
void buf_reserve(struct buf *b, size_t more);
uint8_t *buf_extend(struct buf *b, size_t more); /* uninitialized room for @more bytes */
void buf_add(struct buf *b, const void *data, size_t len);
void buf_add_byte(struct buf *b, uint8_t byte);
void buf_add_text(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap);
/* The content as a C string; it stays the buffer's. */
const char *buf_text(struct buf *b);
struct span buf_span(const struct buf *b);

/* ---- memory ---------------------------------------------------------------------------- */

/* Allocations that are freed together. All zero is an empty arena. Memory comes zeroed. */
struct arena {
	struct arena_block *head;
};

void arena_finish(struct arena *a);
static inline void auto_arena(struct arena *a)
{
	arena_finish(a);
}
void *arena_alloc(struct arena *a, size_t bytes);
void *arena_copy(struct arena *a, const void *data, size_t bytes);
char *arena_text(struct arena *a, const char *text);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);
#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_array((a), sizeof(type), (n)))
void *arena_array(struct arena *a, size_t item_bytes, size_t n);

/* malloc and friends that abort instead of returning NULL; results are zeroed. */
void *xalloc(size_t bytes);
void *xrealloc(void *p, size_t bytes);
char *xstrdup(const char *text);
char *xprintf(const char *fmt, ...) PRINTF(1, 2);
static inline void auto_text(char **p)
{
	free(*p);
}

/* A typed list that grows in an arena: items, count. */
struct list {
	void *items;
	size_t count;
	size_t cap;
};
/* Room for one more zeroed item at the end; earlier pointers into the list become stale. */
void *list_add(struct list *l, struct arena *a, size_t item_bytes);
#define LIST_ADD(l, a, type) ((type *)list_add((l), (a), sizeof(type)))
#define LIST_AT(l, type, i) (&((type *)(l)->items)[i])
#define LIST_EACH(l, type, it)                                                                     \
	for (type *it = (type *)(l)->items; it && it < (type *)(l)->items + (l)->count; it++)

/* ---- text ------------------------------------------------------------------------------ */

/**
 * text_to_u64() - parse a whole string as an unsigned number
 * @base: 10, 16, 8, or 0 for C's prefixes
 * Return: 0; -EINVAL if it is empty or something follows; -ERANGE over @max.
 */
MUST_CHECK int text_to_u64(const char *text, int base, uint64_t max, uint64_t *out);
/* Bytes with an optional K, M, G suffix (powers of 1024). */
MUST_CHECK int text_to_bytes(const char *text, uint64_t max, uint64_t *out);
bool text_starts(const char *text, const char *prefix);
bool text_ends(const char *text, const char *suffix);
/* "1.5 MiB"; @out holds at least 16 bytes. Return: @out. */
char *text_of_bytes(char out[16], uint64_t bytes);
void text_hex(char *out, const uint8_t *data, size_t len); /* 2 * len + 1 bytes */
MUST_CHECK int text_unhex(uint8_t *out, const char *hex, size_t len);
/* A JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void text_add_json_string(struct buf *out, const char *text, size_t len);
/* One line for a terminal: control bytes and the escape character as \xNN. */
void text_add_printable(struct buf *out, const char *text, size_t len);

/* ---- fault points ---------------------------------------------------------------------- */

/*
 * A numbered place where a test makes us fail or die: WSLX_FAULT=NAME or NAME:kill (NAME is
 * the point's own, e.g. "dump-frozen"), or NAME:N for its N-th passage. Costs one comparison
 * when the variable is not set. The points of a room are listed in its door.
 */
enum fault_answer { FAULT_NONE, FAULT_FAIL };
enum fault_answer fault_point(const char *name);
/* For a build without environment (guest, wasm) nothing is ever set. */
void fault_arm(const char *spec);

/*
 * A fallback is forced by naming it in WSLX_FORCE, comma-separated, e.g. "no-pagemap-scan".
 */
bool fallback_forced(const char *name);

#ifdef __clang_analyzer__
/* The analyzer sees one file at a time, and not what err.c asserts: a failure is negative. */
static inline int err_negative(int code)
{
	if (code >= 0)
		__builtin_unreachable();
	return code;
}
#define err_set_at(...) err_negative(err_set_at(__VA_ARGS__))
#define err_wrap(...) err_negative(err_wrap(__VA_ARGS__))
#endif

#endif
