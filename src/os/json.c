/* SPDX-License-Identifier: MIT */
#include "os/json.h"

#include <errno.h>
#include <string.h>

json_t *os_json_parse(struct span in, size_t flags, const char *what, struct err *e)
{
	json_error_t where;
	json_t *json = json_loadb((const char *)in.data, in.len, flags, &where);

	/* jansson's own text quotes what it found there, which may be anything. */
	if (!json)
		err_say(e, -EBADMSG, "%s: not JSON at line %d, column %d", what, where.line,
		        where.column);
	return json;
}

const char *os_json_text(const json_t *json)
{
	const char *value = json_string_value(json);

	return value && strlen(value) == json_string_length(json) ? value : NULL;
}
