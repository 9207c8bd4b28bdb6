/* SPDX-License-Identifier: MIT */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define WHOLE_MAX (4u << 20)
#define REQUEST_MAX (64u << 10) /* which the host answers in full, if there is so much */
#define MAGIC_9P 0x01021997

/*
 * One read for a small file: what is shorter than was asked for has ended, as files do that are
 * neither pipes nor of /proc.
 */
char *read_whole(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t room = 4096, n = 0;
	char *text = NULL;
	ssize_t got = -1;

	if (fd < 0)
		return NULL;
	for (; room <= WHOLE_MAX; room *= 2) {
		char *more = realloc(text, room + 1);

		got = -1;
		if (!more)
			break;
		text = more;
		got = read(fd, text + n, room - n);
		if (got < 0)
			break;
		n += (size_t)got;
		if (n < room)
			break;
	}
	close(fd);
	if (got < 0 || n == room) {
		free(text);
		return NULL;
	}
	text[n] = '\0';
	if (len)
		*len = n;
	return text;
}

/*
 * A read that does not wait is one request to the host, where another one would ask for a second
 * to hear that there is no more.
 */
bool told_open(struct told *t, const char *path, size_t room)
{
	*t = (struct told){.fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
	if (t->fd < 0)
		return false;
	t->text = malloc(room + 1);
	t->room = t->text ? room : 0;
	/* Its pages are ours from now on. */
	if (t->text)
		memset(t->text, 0, room + 1);
	return t->text;
}

char *told_read(struct told *t)
{
	size_t asked;
	ssize_t n;

	t->len = 0;
	do {
		if (t->len == t->room) {
			char *more = t->room && t->room < WHOLE_MAX
			                     ? realloc(t->text, 2 * t->room + 1)
			                     : NULL;

			if (!more)
				return NULL;
			t->text = more;
			t->room *= 2;
		}
		asked = t->room - t->len < REQUEST_MAX ? t->room - t->len : REQUEST_MAX;
		n = pread(t->fd, t->text + t->len, asked, (off_t)t->len);
		t->len += n > 0 ? (size_t)n : 0;
	} while (n == (ssize_t)asked);
	if (n < 0)
		return NULL;
	t->text[t->len] = '\0';
	return t->text;
}

bool write_whole(const char *path, const char *data, size_t len, unsigned mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	bool ok = fd >= 0 && write(fd, data, len) == (ssize_t)len;

	/* Whatever the umask was; a file of the kernel's keeps its own mode. */
	if (ok)
		fchmod(fd, mode);
	if (fd >= 0)
		close(fd);
	if (!ok)
		complain("write", path);
	return ok;
}

bool info_next(char **at, char **key, char **value)
{
	while (**at) {
		char *line = *at, *from = line, *to = line, *colon;

		for (; *from && *from != '\n'; *to++ = *from++)
			if (from[0] == '\\' && from[1] == '\n')
				from++;
		*at = from + (*from == '\n');
		*to = '\0';
		colon = strstr(line, ": ");
		if (!colon)
			continue;
		*colon = '\0';
		*key = line;
		*value = colon + 2;
		return true;
	}
	return false;
}

/* ---- shares ------------------------------------------------------------------------------- */

static void make_dirs(const char *path)
{
	char copy[4096];

	if (strlen(path) >= sizeof(copy))
		return;
	memcpy(copy, path, strlen(path) + 1);
	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(copy, 0755);
		*slash = '/';
	}
	mkdir(copy, 0755);
}

void shares_mount(void)
{
	static const char options[] = "trans=virtio,version=9p2000.L,msize=262144,cache=none";

	make_dirs(SHARE_DIR);
	make_dirs(TOLD_DIR);
	/* A machine without shares has no such device; a kernel without 9p cannot have them. */
	if (mount("wasi0", SHARE_DIR, "9p", 0, options) ||
	    mount("wasi1", TOLD_DIR, "9p", 0, options)) {
		if (errno != ENOENT && errno != ENODEV)
			complain("mount", "shares");
	}
}

void shares_show(const char *root)
{
	static const char *const dirs[] = {SHARE_DIR, TOLD_DIR};

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		char where[64];

		snprintf(where, sizeof(where), "%s%s", root, dirs[i]);
		make_dirs(where);
		if (mount(dirs[i], where, NULL, MS_BIND, NULL))
			complain("mount", where);
	}
}

static void bind(const char *name, const char *to, const char *root, bool read_only)
{
	char from[512], where[4096];
	struct statfs fs;

	snprintf(from, sizeof(from), SHARE_DIR "/%s", name);
	snprintf(where, sizeof(where), "%s%s", root, to);
	make_dirs(where);
	/* Mounted before the snapshot: it leads to the same name still. */
	if (!statfs(where, &fs) && fs.f_type == MAGIC_9P)
		return;
	if (mount(from, where, NULL, MS_BIND, NULL) ||
	    (read_only && mount(NULL, where, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL)))
		complain("share", where);
}

bool shares_asked(const char *info)
{
	for (const char *line = info; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, "s: ", 3) || !strncmp(line, "sr: ", 4) ||
		    !strncmp(line, "m: ", 3) || !strncmp(line, "mr: ", 4))
			return true;
	}
	return false;
}

void shares_bind(const char *info, const char *root)
{
	char *copy = strdup(info), *at = copy, *key, *value;

	while (copy && info_next(&at, &key, &value)) {
		bool ours = !strcmp(key, "s") || !strcmp(key, "sr");
		bool theirs = !strcmp(key, "m") || !strcmp(key, "mr");
		char *space = strchr(value, ' ');

		/* container2wasm's lines name one path for both sides. */
		if (theirs) {
			bind(value + (*value == '/'), value, root, key[1]);
		} else if (ours && space) {
			*space = '\0';
			bind(value, space + 1, root, key[1]);
		}
	}
	free(copy);
}
