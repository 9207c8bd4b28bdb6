/* SPDX-License-Identifier: MIT */
/* The 9P server, spoken to as a guest would, on a directory of its own. */
#include "p9/p9.h"
#include "p9/wire.h"
#include "tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char top[] = "/tmp/wslx-p9-XXXXXX";
static uint8_t reply[SHARE_MESSAGE_MAX];
static size_t reply_len;

/*
 * Send a message whose body is described by @form: b w d q are 1, 2, 4, 8 bytes, s a text.
 * Return: 0, or the error that the server answers, negative.
 */
static int call(struct p9_server *s, unsigned type, const char *form, ...)
{
	uint8_t data[8192];
	struct p9_out w = {.data = data, .room = sizeof(data), .len = P9_HEADER_BYTES};
	struct p9_in in;
	va_list ap;

	va_start(ap, form);
	for (; *form; form++) {
		const char *text;

		switch (*form) {
		case 'b':
			p9_put(&w, va_arg(ap, unsigned), 1);
			break;
		case 'w':
			p9_put(&w, va_arg(ap, unsigned), 2);
			break;
		case 'd':
			p9_put(&w, va_arg(ap, unsigned), 4);
			break;
		case 'q':
			p9_put(&w, va_arg(ap, uint64_t), 8);
			break;
		default:
			text = va_arg(ap, const char *);
			p9_put_text(&w, text, strlen(text));
		}
	}
	va_end(ap);
	data[0] = (uint8_t)w.len;
	data[1] = (uint8_t)(w.len >> 8);
	data[2] = data[3] = 0;
	data[4] = (uint8_t)type;
	data[5] = 7;
	data[6] = 0;
	reply_len = p9_share(s)->answer(p9_share(s), SPAN(data, w.len), reply, sizeof(reply));
	in = (struct p9_in){.in = SPAN(reply, reply_len)};
	ok(p9_get(&in, 4) == reply_len && reply_len >= P9_HEADER_BYTES);
	if (p9_get(&in, 1) == P9_RLERROR) {
		p9_get(&in, 2);
		return -(int)p9_get(&in, 4);
	}
	ok(reply[4] == type + 1 && reply[5] == 7);
	return 0;
}

static int walk(struct p9_server *s, unsigned from, unsigned to, const char *name)
{
	return call(s, P9_WALK, "ddws", from, to, 1u, name);
}

static struct p9_server *serve(bool read_only)
{
	struct p9_server *s = p9_create("test");
	struct err e = {0};

	ok(!p9_add_dir(s, "0", open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC), read_only, &e), "%s",
	   e.text);
	ok(!p9_add_file(s, "info", span_of_text("line\n"), false, &e));
	ok(!p9_add_file(s, "secret", span_of_text("once"), true, &e));
	ok(!call(s, P9_VERSION, "ds", 65536u, "9P2000.L"));
	ok(!call(s, P9_ATTACH, "ddssd", 0u, P9_NO_FID, "root", "", 0u));
	ok(!walk(s, 0, 1, "0"));
	return s;
}

static void put_file(const char *name, const char *text)
{
	AUTO(text) char *path = xprintf("%s/%s", top, name);
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);

	ok(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static bool file_is(const char *name, const char *text)
{
	AUTO(text) char *path = xprintf("%s/%s", top, name);
	char got[256] = "";
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		return false;
	ok(read(fd, got, sizeof(got) - 1) >= 0);
	close(fd);
	return !strcmp(got, text);
}

static bool read_is(struct p9_server *s, unsigned fid, const char *text)
{
	return !call(s, P9_READ, "dqd", fid, (uint64_t)0, 1000u) &&
	       reply_len == 11 + strlen(text) && !memcmp(reply + 11, text, strlen(text));
}

static void files_are_read_written_and_renamed(void)
{
	struct p9_server *s = serve(false);

	put_file("a", "hello");
	ok(!walk(s, 1, 2, "a") && !call(s, P9_LOPEN, "dd", 2u, O_RDWR) && read_is(s, 2, "hello"));
	ok(!call(s, P9_WRITE, "dqds", 2u, (uint64_t)5, 6u, "xxxx"), "two bytes of length, four x");
	ok(!walk(s, 1, 3, "a"));
	ok(!call(s, P9_MKDIR, "dsdd", 1u, "dir", 0755u, 0u));
	ok(!walk(s, 1, 4, "dir") && !call(s, P9_RENAMEAT, "dsds", 1u, "a", 4u, "b"));
	ok(!call(s, P9_GETATTR, "dq", 3u, (uint64_t)0x7ff), "a fid follows its file");
	ok(!call(s, P9_SETATTR, "dddddqqqqq", 3u, 1u | 8u, 0600u, 0u, 0u, (uint64_t)3, (uint64_t)0,
	         (uint64_t)0, (uint64_t)0, (uint64_t)0));
	ok(file_is("dir/b", "hel"));
	ok(!call(s, P9_LCREATE, "dsddd", 4u, "new", O_RDWR | O_CREAT | O_EXCL, 0640u, 0u));
	ok(!call(s, P9_WRITE, "dqd", 4u, (uint64_t)0, 0u));
	ok(!walk(s, 1, 5, "dir") && !call(s, P9_SYMLINK, "dssd", 5u, "link", "../../etc", 0u));
	ok(!call(s, P9_LINK, "dds", 5u, 3u, "hard"));
	ok(file_is("dir/hard", "hel"));
	ok(!walk(s, 5, 6, "link") && !call(s, P9_READLINK, "d", 6u) && reply_len == 7 + 2 + 9);
	for (unsigned i = 0; i < 4; i++)
		ok(!call(s, P9_UNLINKAT, "dsd", 5u, (const char *[]){"link", "hard", "new", "b"}[i],
		         0u));
	ok(!call(s, P9_UNLINKAT, "dsd", 1u, "dir", AT_REMOVEDIR));
	ok(!file_is("dir/b", "hel"));
	p9_destroy(s);
}

static void a_directory_is_listed_to_its_end(void)
{
	struct p9_server *s = serve(true);
	unsigned names = 0, calls = 0;
	uint64_t offset = 0;

	for (unsigned i = 0; i < 200; i++) {
		char name[32];

		snprintf(name, sizeof(name), "file-%u", i);
		put_file(name, "");
	}
	ok(!call(s, P9_WALK, "ddw", 1u, 2u, 0u) && !call(s, P9_LOPEN, "dd", 2u, O_DIRECTORY));
	for (;;) {
		struct p9_in in;

		ok(!call(s, P9_READDIR, "dqd", 2u, offset, 600u));
		ok(reply_len <= 600 + 11);
		in = (struct p9_in){.in = SPAN(reply, reply_len), .at = P9_HEADER_BYTES};
		if (!p9_get(&in, 4) || ++calls > 1000)
			break;
		while (in.at < reply_len && !in.bad) {
			char name[256];

			p9_get_bytes(&in, P9_QID_BYTES);
			offset = p9_get(&in, 8);
			p9_get(&in, 1);
			p9_get_text(&in, name, sizeof(name));
			names += !strncmp(name, "file-", 5);
		}
		ok(!in.bad);
	}
	ok(names == 200 && calls > 5, "%u names in %u calls", names, calls);
	for (unsigned i = 0; i < 200; i++) {
		AUTO(text) char *path = xprintf("%s/file-%u", top, i);

		unlink(path);
	}
	p9_destroy(s);
}

static void no_name_leads_out(void)
{
	struct p9_server *s = serve(false);
	AUTO(text) char *link = xprintf("%s/out", top);
	AUTO(text) char *absolute = xprintf("%s/root", top);
	AUTO(text) char *pipe = xprintf("%s/pipe", top);

	ok(!symlink("..", link) && !symlink("/", absolute) && !mkfifo(pipe, 0600));
	ok(walk(s, 1, 9, "a/b") == -ENOENT && walk(s, 1, 9, "") == -ENOENT);
	ok(!call(s, P9_WALK, "ddwsss", 1u, 9u, 3u, "..", "..", "..") && !walk(s, 9, 10, "0"),
	   "above the share is only the directory of shares");
	ok(!walk(s, 1, 11, "out") && walk(s, 11, 12, "etc") == -ELOOP);
	ok(!walk(s, 1, 13, "root") && walk(s, 13, 14, "etc") < 0);
	ok(call(s, P9_LOPEN, "dd", 11u, O_RDONLY) == -ELOOP);
	ok(call(s, P9_LCREATE, "dsddd", 11u, "x", O_RDWR, 0600u, 0u) < 0);
	ok(call(s, P9_MKDIR, "dsdd", 11u, "x", 0755u, 0u) < 0);
	ok(call(s, P9_MKDIR, "dsdd", 1u, "..", 0755u, 0u) == -EEXIST);
	ok(call(s, P9_MKDIR, "dsdd", 1u, "a/b", 0755u, 0u) == -EINVAL);
	ok(call(s, P9_UNLINKAT, "dsd", 1u, "../x", 0u) == -EINVAL);
	ok(call(s, P9_MKNOD, "dsdddd", 1u, "zero", S_IFCHR | 0666u, 1u, 5u, 0u) == -EPERM);
	ok(!walk(s, 1, 15, "pipe") && call(s, P9_LOPEN, "dd", 15u, O_RDWR) == -ENXIO);
	ok(!unlink(link) && !unlink(absolute) && !unlink(pipe));
	p9_destroy(s);
}

static void a_read_only_share_is_not_changed(void)
{
	struct p9_server *s = serve(true);

	put_file("f", "text");
	ok(!walk(s, 1, 2, "f"));
	ok(call(s, P9_LOPEN, "dd", 2u, O_RDWR) == -EROFS);
	ok(call(s, P9_LOPEN, "dd", 2u, O_TRUNC) == -EROFS);
	ok(call(s, P9_LCREATE, "dsddd", 1u, "x", O_RDWR, 0600u, 0u) == -EROFS);
	ok(call(s, P9_MKDIR, "dsdd", 1u, "x", 0755u, 0u) == -EROFS);
	ok(call(s, P9_RENAMEAT, "dsds", 1u, "f", 1u, "g") == -EROFS);
	ok(call(s, P9_UNLINKAT, "dsd", 1u, "f", 0u) == -EROFS);
	ok(call(s, P9_SYMLINK, "dssd", 1u, "x", "f", 0u) == -EROFS);
	ok(call(s, P9_LINK, "dds", 1u, 2u, "x") == -EROFS);
	ok(call(s, P9_SETATTR, "dddddqqqqq", 2u, 1u, 0600u, 0u, 0u, (uint64_t)0, (uint64_t)0,
	        (uint64_t)0, (uint64_t)0, (uint64_t)0) == -EROFS);
	ok(call(s, P9_REMOVE, "d", 2u) == -EROFS);
	ok(file_is("f", "text"));
	p9_destroy(s);
}

static void a_secret_is_read_once(void)
{
	struct p9_server *s = serve(true);

	ok(!walk(s, 0, 2, "secret") && !call(s, P9_LOPEN, "dd", 2u, O_RDONLY));
	ok(read_is(s, 2, "once") && read_is(s, 2, ""));
	ok(!walk(s, 0, 3, "info") && !call(s, P9_LOPEN, "dd", 3u, O_RDONLY));
	ok(read_is(s, 3, "line\n") && read_is(s, 3, "line\n"));
	ok(call(s, P9_WRITE, "dqd", 3u, (uint64_t)0, 0u) < 0);
	p9_destroy(s);
}

static void open_files_are_found_again_or_are_stale(void)
{
	struct p9_server *s = serve(false), *t;
	AUTO(buf) struct buf state = {0};
	AUTO(text) char *gone = xprintf("%s/gone", top);
	AUTO(text) char *other = xprintf("%s/other", top);
	AUTO(text) char *aside = xprintf("%s/aside", top);
	struct err e = {0};

	put_file("stays", "here");
	put_file("gone", "x");
	put_file("other", "old");
	for (unsigned i = 0; i < 3; i++) {
		ok(!walk(s, 1, 20 + i, (const char *[]){"stays", "gone", "other"}[i]));
		ok(!call(s, P9_LOPEN, "dd", 20 + i, O_RDWR));
	}
	p9_share(s)->save(p9_share(s), &state);
	p9_destroy(s);
	ok(!unlink(gone) && !rename(other, aside));
	put_file("other", "new");
	t = serve(false);
	ok(!p9_share(t)->load(p9_share(t), buf_span(&state), &e), "%s", e.text);
	ok(read_is(t, 20, "here") && !call(t, P9_WRITE, "dqd", 20u, (uint64_t)0, 0u));
	ok(call(t, P9_READ, "dqd", 21u, (uint64_t)0, 10u) == -ESTALE, "a file that is gone");
	ok(call(t, P9_READ, "dqd", 22u, (uint64_t)0, 10u) == -ESTALE, "another of that name");
	ok(!call(t, P9_CLUNK, "d", 21u) && !walk(t, 1, 21, "stays"));
	p9_destroy(t);
	ok(!unlink(aside) && !unlink(other));
}

static void fids_and_messages_are_bounded(void)
{
	struct p9_server *s = serve(true);
	unsigned n = 100;

	while (!call(s, P9_WALK, "ddw", 1u, n, 0u) && n < 100 + 2 * P9_FIDS_MAX)
		n++;
	ok(n == 100 + P9_FIDS_MAX - 2, "%u", n);
	ok(!call(s, P9_VERSION, "ds", UINT32_MAX, "9P2000.L"), "a new session has none");
	ok(call(s, P9_GETATTR, "dq", 1u, (uint64_t)0) == -EBADF);
	ok(call(s, 200, "") == -EOPNOTSUPP && call(s, P9_AUTH, "dss", 1u, "", "") == -EOPNOTSUPP);
	p9_destroy(s);
}

static void landlock_keeps_a_confined_process_within(void)
{
	pid_t child = fork();
	int status;

	if (!child) {
		struct p9_server *s = serve(false);
		int r = p9_confine(&s, 1);

		if (r == -ENOSYS || r == -EOPNOTSUPP)
			_exit(2);
		put_file("within", "yes");
		_exit(r || open("/etc/passwd", O_RDONLY) >= 0 ||
		      mkdir("/tmp/wslx-escape", 0700) == 0);
	}
	ok(waitpid(child, &status, 0) == child && WIFEXITED(status));
	if (WEXITSTATUS(status) == 2)
		printf("# this kernel has no Landlock\n");
	else
		ok(!WEXITSTATUS(status) && file_is("within", "yes"));
}

int main(void)
{
	char command[128];

	if (!mkdtemp(top))
		return 1;
	RUN(files_are_read_written_and_renamed);
	RUN(a_directory_is_listed_to_its_end);
	RUN(no_name_leads_out);
	RUN(a_read_only_share_is_not_changed);
	RUN(a_secret_is_read_once);
	RUN(open_files_are_found_again_or_are_stale);
	RUN(fids_and_messages_are_bounded);
	RUN(landlock_keeps_a_confined_process_within);
	snprintf(command, sizeof(command), "rm -r %s", top);
	return tap_done() | (system(command) != 0);
}
