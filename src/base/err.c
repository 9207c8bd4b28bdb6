/* SPDX-License-Identifier: MIT */
#include "base.h"

#include <stdio.h>
#include <string.h>

#undef err_set_at /* the analyzer has macros of these names */
#undef err_wrap

/* Add as much of it as there is room for. */
static void add_text(struct err *e, const char *text)
{
	size_t at = strlen(e->text), len = MIN(strlen(text), sizeof(e->text) - 1 - at);

	memcpy(e->text + at, text, len);
	e->text[at + len] = 0;
}

int err_set_at(struct err *e, int code, const char *where, bool add_errno, const char *fmt, ...)
{
	va_list ap;

	assert(code < 0);
	if (!e)
		return code;
	e->code = code;
	e->where = where;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	if (add_errno) {
		add_text(e, ": ");
		add_text(e, strerror(-code));
	}
	return code;
}

int err_wrap(struct err *e, int code, const char *fmt, ...)
{
	char inner[sizeof(e->text)];
	va_list ap;

	assert(code < 0);
	if (!e)
		return code;
	memcpy(inner, e->text, sizeof(inner));
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	add_text(e, ": ");
	add_text(e, inner);
	if (!e->code)
		e->code = code;
	return code;
}
