/* SPDX-License-Identifier: MIT */
/* /proc/PID/mountinfo and /proc/net/unix: what a namespace holds. */
#include "os/proc.h"

#include "os/cursor.h"

/* ---- mountinfo ------------------------------------------------------------------------- */

/*
 * "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard"
 * Exactly one space stands between two fields: a source may be empty.
 */
static bool parse_mount(struct cursor c, struct arena *a, struct proc_mount *m)
{
	struct cursor field;

	if (!cursor_i32(&c, &m->id) || !cursor_char(&c, ' ') || !cursor_i32(&c, &m->parent) ||
	    !cursor_char(&c, ' ') || !cursor_u32(&c, 10, &m->dev_major) || !cursor_char(&c, ':') ||
	    !cursor_u32(&c, 10, &m->dev_minor) || !cursor_char(&c, ' '))
		return false;
	m->root = cursor_unescape(cursor_until(&c, ' '), 0, a);
	m->point = cursor_unescape(cursor_until(&c, ' '), 0, a);
	m->options = cursor_unescape(cursor_until(&c, ' '), 0, a);
	if (!*m->root || !*m->point || cursor_done(&c))
		return false;
	/* Zero or more optional fields ("shared:1", "master:2") and a lone dash. */
	field = (struct cursor){c.at, c.at};
	while (!cursor_text(&c, "- ")) {
		if (cursor_done(&c))
			return false;
		field.end = cursor_until(&c, ' ').end;
	}
	m->optional = cursor_copy(field, a);
	m->fstype = cursor_unescape(cursor_until(&c, ' '), 0, a);
	if (!*m->fstype || cursor_done(&c))
		return false;
	m->source = cursor_unescape(cursor_until(&c, ' '), 0, a);
	m->super_options = cursor_unescape(c, 0, a);
	return true;
}

int proc_parse_mountinfo(struct span text, struct arena *a, struct list *out, struct err *e)
{
	struct cursor c = cursor_of(text), line;
	struct list mounts = {0};

	while (cursor_line(&c, &line)) {
		struct proc_mount m = {0};

		if (!parse_mount(line, a, &m))
			return cursor_refuse(e, "mountinfo", line);
		*LIST_ADD(&mounts, a, struct proc_mount) = m;
	}
	*out = mounts;
	return 0;
}

/* ---- net/unix -------------------------------------------------------------------------- */

#define UNIX_NAME_MAX 108 /* bytes of sun_path */

/*
 * "000000008996768e: 00000003 00000000 00000000 0001 03  1599 /path"
 * @path is all zero if the socket has no name.
 */
static bool parse_unix(struct cursor c, struct proc_unix *u, struct cursor *path)
{
	struct cursor pointer, count;
	uint32_t protocol, type, state;

	if (!cursor_word(&c, &pointer) || pointer.end[-1] != ':' || !cursor_blanks(&c) ||
	    !cursor_word(&c, &count) || !cursor_blanks(&c) || !cursor_u32(&c, 16, &protocol) ||
	    !cursor_blanks(&c) || !cursor_u32(&c, 16, &u->flags) || !cursor_blanks(&c) ||
	    !cursor_u32(&c, 16, &type) || type > UINT16_MAX || !cursor_blanks(&c) ||
	    !cursor_u32(&c, 16, &state) || state > UINT8_MAX || !cursor_blanks(&c) ||
	    !cursor_u64(&c, 10, UINT64_MAX, &u->inode))
		return false;
	u->type = (int32_t)type;
	u->state = (int32_t)state;
	*path = (struct cursor){0};
	if (cursor_done(&c))
		return true;
	if (!cursor_char(&c, ' '))
		return false;
	*path = c;
	return true;
}

int proc_parse_net_unix(struct span text, struct arena *a, struct list *out, struct err *e)
{
	struct cursor c = cursor_of(text), line, path = {0};
	struct list sockets = {0};
	struct proc_unix *last = NULL;

	/* The heading; a file of an empty namespace has nothing else. */
	if (cursor_line(&c, &line) && !cursor_text(&line, "Num "))
		return cursor_refuse(e, "net/unix", line);
	while (cursor_line(&c, &line)) {
		struct proc_unix u = {.path = ""};
		struct cursor name;

		if (parse_unix(line, &u, &name)) {
			path = name;
			last = LIST_ADD(&sockets, a, struct proc_unix);
			*last = u;
		} else if (path.at && line.end - path.at <= UNIX_NAME_MAX) {
			/* The kernel does not escape here: a newline in the name of the socket
			 * before has made this line. */
			path.end = line.end;
		} else {
			return cursor_refuse(e, "net/unix", line);
		}
		if (path.at)
			last->path = cursor_copy(path, a);
	}
	*out = sockets;
	return 0;
}
