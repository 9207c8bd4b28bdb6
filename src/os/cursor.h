/* SPDX-License-Identifier: MIT */
/*
 * A cursor over text that need not end in NUL: the one way in which the parsers of this room
 * look at bytes. A step that does not fit leaves its output untouched and returns false, so a
 * line is a chain of && that stops where the text stops making sense.
 */
#ifndef WSLX_OS_CURSOR_H
#define WSLX_OS_CURSOR_H

#include "base/base.h"

#include <string.h>

struct cursor {
	const char *at, *end;
};

static inline struct cursor cursor_of(struct span text)
{
	return (struct cursor){(const char *)text.data, (const char *)text.data + text.len};
}

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->at);
}

static inline bool cursor_done(const struct cursor *c)
{
	return c->at == c->end;
}

/* The next line, without its newline. Return: false at the end of the text. */
static inline bool cursor_line(struct cursor *text, struct cursor *line)
{
	const char *newline;

	if (cursor_done(text))
		return false;
	newline = memchr(text->at, '\n', cursor_left(text));
	line->at = text->at;
	line->end = newline ? newline : text->end;
	text->at = newline ? newline + 1 : text->end;
	return true;
}

/* What stands before @stop, which is stepped over; all that is left if there is none. */
static inline struct cursor cursor_until(struct cursor *c, char stop)
{
	const char *found = cursor_done(c) ? NULL : memchr(c->at, stop, cursor_left(c));
	struct cursor before = {c->at, found ? found : c->end};

	c->at = found ? found + 1 : c->end;
	return before;
}

static inline bool cursor_char(struct cursor *c, char want)
{
	if (cursor_done(c) || *c->at != want)
		return false;
	c->at++;
	return true;
}

static inline bool cursor_text(struct cursor *c, const char *want)
{
	size_t n = strlen(want);

	if (cursor_left(c) < n || memcmp(c->at, want, n) != 0)
		return false;
	c->at += n;
	return true;
}

/* Is what is left exactly @want? */
static inline bool cursor_is(struct cursor c, const char *want)
{
	return cursor_text(&c, want) && cursor_done(&c);
}

/* Blanks are spaces and tabs; there may be none. Always true, to stand in a chain. */
static inline bool cursor_blanks(struct cursor *c)
{
	while (!cursor_done(c) && (*c->at == ' ' || *c->at == '\t'))
		c->at++;
	return true;
}

/* A run of bytes that are not blanks; false if there is none. */
static inline bool cursor_word(struct cursor *c, struct cursor *word)
{
	const char *start = c->at;

	while (!cursor_done(c) && *c->at != ' ' && *c->at != '\t')
		c->at++;
	if (c->at == start)
		return false;
	*word = (struct cursor){start, c->at};
	return true;
}

static inline unsigned cursor_digit(char ch)
{
	if (ch >= '0' && ch <= '9')
		return (unsigned)(ch - '0');
	if (ch >= 'a' && ch <= 'f')
		return (unsigned)(ch - 'a' + 10);
	if (ch >= 'A' && ch <= 'F')
		return (unsigned)(ch - 'A' + 10);
	return 99;
}

/* Digits of @base up to the first byte that is none; false if there are none or over @max. */
static inline bool cursor_u64(struct cursor *c, unsigned base, uint64_t max, uint64_t *out)
{
	const char *p = c->at;
	uint64_t value = 0;
	unsigned digit;

	for (; p < c->end && (digit = cursor_digit(*p)) < base; p++) {
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return false;
	}
	if (p == c->at || value > max)
		return false;
	c->at = p;
	*out = value;
	return true;
}

static inline bool cursor_u32(struct cursor *c, unsigned base, uint32_t *out)
{
	uint64_t value;

	if (!cursor_u64(c, base, UINT32_MAX, &value))
		return false;
	*out = (uint32_t)value;
	return true;
}

/* Decimal, with an optional minus. */
static inline bool cursor_i64(struct cursor *c, int64_t *out)
{
	struct cursor at = *c;
	bool minus = cursor_char(&at, '-');
	uint64_t value;

	if (!cursor_u64(&at, 10, (uint64_t)INT64_MAX + (minus ? 1 : 0), &value))
		return false;
	*out = (int64_t)(minus ? 0 - value : value);
	*c = at;
	return true;
}

static inline bool cursor_i32(struct cursor *c, int32_t *out)
{
	struct cursor at = *c;
	int64_t value;

	if (!cursor_i64(&at, &value) || value < INT32_MIN || value > INT32_MAX)
		return false;
	*out = (int32_t)value;
	*c = at;
	return true;
}

static inline char *cursor_copy(struct cursor c, struct arena *a)
{
	char *text = arena_alloc(a, cursor_left(&c) + 1);

	if (!cursor_done(&c))
		memcpy(text, c.at, cursor_left(&c));
	return text;
}

/* Is @p three octal digits of one byte, as seq_file escapes with a backslash? */
static inline bool cursor_octal(const char *p)
{
	return p[0] >= '0' && p[0] <= '3' && p[1] >= '0' && p[1] <= '7' && p[2] >= '0' &&
	       p[2] <= '7';
}

/**
 * cursor_unescape() - copy a name, with \ooo undone
 * @only: the one byte that was escaped, or 0 where every backslash was escaped too
 *
 * The kernel chooses by file what it escapes: mountinfo all blanks and the backslash, maps only
 * the newline, and there `\040` are four bytes of the name itself.
 */
static inline char *cursor_unescape(struct cursor c, char only, struct arena *a)
{
	char *text = arena_alloc(a, cursor_left(&c) + 1), *out = text;

	while (!cursor_done(&c)) {
		if (*c.at == '\\' && cursor_left(&c) >= 4 && cursor_octal(c.at + 1)) {
			char byte = (char)((c.at[1] - '0') << 6 | (c.at[2] - '0') << 3 |
			                   (c.at[3] - '0'));

			if (!only || byte == only) {
				*out++ = byte;
				c.at += 4;
				continue;
			}
		}
		*out++ = *c.at++;
	}
	*out = 0;
	return text;
}

/* -EBADMSG with the beginning of the line, made printable: it quotes names others chose. */
static inline int cursor_refuse(struct err *e, const char *file, struct cursor line)
{
	AUTO(buf) struct buf shown = {0};

	text_add_printable(&shown, line.at, MIN(cursor_left(&line), (size_t)80));
	return err_say(e, -EBADMSG, "%s: this line cannot be understood: \"%s\"", file,
	               buf_text(&shown));
}

#endif
