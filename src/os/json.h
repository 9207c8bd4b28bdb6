/* SPDX-License-Identifier: MIT */
/* JSON from elsewhere, read by jansson. */
#ifndef WSLX_OS_JSON_H
#define WSLX_OS_JSON_H

#include <jansson.h>

#include "base/base.h"

static inline void auto_json_t(json_t **j)
{
	json_decref(*j);
}

/**
 * os_json_parse() - JSON of bytes
 * @flags: jansson's, such as JSON_REJECT_DUPLICATES
 * @what: names the bytes in the sentence of a refusal
 *
 * Return: a new reference; NULL and -EBADMSG in @e.
 */
json_t *os_json_parse(struct span in, size_t flags, const char *what, struct err *e);

/* Text without a zero byte in it; else NULL. */
const char *os_json_text(const json_t *json);

#endif
