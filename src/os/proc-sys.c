/* SPDX-License-Identifier: MIT */
/* /proc/PID/mountinfo and /proc/net: what a namespace holds. */
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

/* ---- net/tcp and its like -------------------------------------------------------------- */

/* An address of 8 or 32 digits, and a port. */
static bool parse_address(struct cursor *c, uint16_t *port)
{
	struct cursor address = cursor_until(c, ':');
	uint64_t value;

	if ((cursor_left(&address) != 8 && cursor_left(&address) != 32) ||
	    !cursor_u64(c, 16, UINT16_MAX, &value))
		return false;
	*port = (uint16_t)value;
	return true;
}

/*
 * "  0: 0100007F:1F90 00000000:0000 0A 00000000:00000001 00:00000000 00000000  0  0 4711 1 .."
 * What stands between the queues and the inode number: timer, retransmits, uid, time-out.
 */
static bool parse_inet(struct cursor c, struct proc_inet *s)
{
	struct cursor skipped;
	uint64_t number, state;

	if (!cursor_blanks(&c) || !cursor_u64(&c, 10, UINT64_MAX, &number) ||
	    !cursor_text(&c, ": ") || !parse_address(&c, &s->local_port) || !cursor_char(&c, ' ') ||
	    !parse_address(&c, &s->remote_port) || !cursor_char(&c, ' ') ||
	    !cursor_u64(&c, 16, UINT8_MAX, &state) || !cursor_char(&c, ' ') ||
	    !cursor_u32(&c, 16, &s->send_queue) || !cursor_char(&c, ':') ||
	    !cursor_u32(&c, 16, &s->receive_queue))
		return false;
	for (int i = 0; i < 4; i++) {
		if (!cursor_blanks(&c) || !cursor_word(&c, &skipped))
			return false;
	}
	s->state = (uint8_t)state;
	return cursor_blanks(&c) && cursor_u64(&c, 10, UINT64_MAX, &s->inode);
}

int proc_parse_net_inet(struct span text, struct arena *a, struct list *out, struct err *e)
{
	struct cursor c = cursor_of(text), line;
	struct list sockets = {0};

	/* The heading. */
	if (cursor_line(&c, &line) && cursor_blanks(&line) && !cursor_text(&line, "sl "))
		return cursor_refuse(e, "net", line);
	while (cursor_line(&c, &line)) {
		struct proc_inet s = {0};

		if (!parse_inet(line, &s))
			return cursor_refuse(e, "net", line);
		*LIST_ADD(&sockets, a, struct proc_inet) = s;
	}
	*out = sockets;
	return 0;
}

/* ---- net/netlink ----------------------------------------------------------------------- */

/* "00000000fa9f8135 0   2867       00000000 4352     0        1     2        0        387782" */
static bool parse_netlink(struct cursor c, struct proc_netlink *n)
{
	struct cursor skipped;
	uint64_t receive;

	if (!cursor_word(&c, &skipped) || !cursor_blanks(&c) || !cursor_u32(&c, 10, &n->protocol) ||
	    !cursor_blanks(&c) || !cursor_word(&c, &skipped) || !cursor_blanks(&c) ||
	    !cursor_word(&c, &skipped) || !cursor_blanks(&c) ||
	    !cursor_u64(&c, 10, UINT32_MAX, &receive))
		return false;
	n->receive_queue = (uint32_t)receive;
	/* Sent bytes, a dump in progress, references, drops. */
	for (int i = 0; i < 4; i++) {
		if (!cursor_blanks(&c) || !cursor_word(&c, &skipped))
			return false;
	}
	return cursor_blanks(&c) && cursor_u64(&c, 10, UINT64_MAX, &n->inode);
}

int proc_parse_net_netlink(struct span text, struct arena *a, struct list *out, struct err *e)
{
	struct cursor c = cursor_of(text), line;
	struct list sockets = {0};

	/* The heading. */
	if (cursor_line(&c, &line) && !cursor_text(&line, "sk "))
		return cursor_refuse(e, "net/netlink", line);
	while (cursor_line(&c, &line)) {
		struct proc_netlink n = {0};

		if (!parse_netlink(line, &n))
			return cursor_refuse(e, "net/netlink", line);
		*LIST_ADD(&sockets, a, struct proc_netlink) = n;
	}
	*out = sockets;
	return 0;
}
