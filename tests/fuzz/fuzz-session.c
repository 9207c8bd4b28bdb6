/* SPDX-License-Identifier: MIT */
/*
 * Sessions of `exec`, both ends. The first byte chooses:
 *
 *	bytes  of a command: what one end writes the other reads as it was, in either direction
 *	lines  of a guest that is hostile, or a host that is: the parsers stay within their buffers
 */
#include "vm/control.h"

#include <string.h>

enum {
	HOST_WINDOW = SESSION_WINDOW,
	HOST_LINE_COST = SESSION_LINE_COST,
	HOST_LINE_BYTES = SESSION_LINE_BYTES,
	HOST_MASK = SESSION_MASK,
	HOST_ESCAPE = SESSION_ESCAPE,
	HOST_FLIP = SESSION_FLIP
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wunused-function"
#undef SESSION_WINDOW
#undef SESSION_LINE_COST
#undef SESSION_LINE_BYTES
#undef SESSION_MASK
#undef SESSION_ESCAPE
#undef SESSION_FLIP
#include "../../src/guest/session.c"
#pragma GCC diagnostic pop

_Static_assert(HOST_WINDOW == SESSION_WINDOW && HOST_LINE_COST == SESSION_LINE_COST &&
                       HOST_LINE_BYTES == SESSION_LINE_BYTES && HOST_MASK == SESSION_MASK &&
                       HOST_ESCAPE == SESSION_ESCAPE && HOST_FLIP == SESSION_FLIP,
               "both ends know the same");

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of the guest program's other files. Nothing is started here. */
char *read_whole(const char *path, size_t *len)
{
	abort();
}

bool info_next(char **at, char **key, char **value)
{
	abort();
}

void launch_args(struct launch *l, char *words)
{
	abort();
}

void launch_env(struct launch *l, char *assignment)
{
	abort();
}

void launch_exec(struct launch *l, char *const *argv)
{
	abort();
}

static void guest_to_host(const uint8_t *data, size_t size)
{
	char line[AGENT_LINE_BYTES];
	uint8_t read[SESSION_LINE_BYTES];

	for (size_t at = 0, used; at < size; at += used) {
		char *end = put_line(line, UINT32_MAX, 'o', data + at, size - at, &used);
		const char *text = strchr(line, 'o') + 2;

		assert(used && end <= line + sizeof(line) && end[-1] == '\n');
		end[-1] = '\0';
		assert(strlen(line) == (size_t)(end - line) - 1 && !strchr(line, '\n'));
		assert(strlen(text) <= SESSION_LINE_BYTES);
		assert(session_decode(read, text) == (int)used && !memcmp(read, data + at, used));
	}
}

static void host_to_guest(const uint8_t *data, size_t size)
{
	char line[SESSION_LINE_BYTES + 1], read[SESSION_LINE_BYTES];

	for (size_t at = 0, used; at < size; at += used) {
		session_encode(line, SPAN(data + at, size - at), &used);
		assert(used && strlen(line) <= SESSION_LINE_BYTES && !strchr(line, '\n'));
		assert(take_bytes(line, strlen(line), read, sizeof(read)) == used);
		assert(!memcmp(read, data + at, used));
	}
}

static void hostile_guest(char *text)
{
	uint8_t read[SESSION_LINE_BYTES];
	int n = session_decode(read, text);

	assert(n == -EBADMSG || (n >= 0 && (size_t)n <= strlen(text)));
}

static void hostile_host(char *text)
{
	static struct session s;

	s = (struct session){.sock = -1, .channel = -1, .in = -1, .out = -1, .err = -1};
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		/* Which forks. */
		if (strcmp(line, "go") != 0)
			obey(&s, line, strlen(line));
		assert(s.input_len <= sizeof(s.input));
		assert(s.told_len <= TOLD_MAX + AGENT_LINE_BYTES);
	}
	free(s.told);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (!size)
		return 0;
	if (*data & 1) {
		guest_to_host(data + 1, size - 1);
		host_to_guest(data + 1, size - 1);
		return 0;
	}
	text = strndup((const char *)data + 1, size - 1);
	assert(text);
	/* As no line can be longer. */
	if (*data & 2)
		hostile_host(text);
	else
		hostile_guest(text);
	free(text);
	return 0;
}
