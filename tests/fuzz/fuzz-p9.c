/* SPDX-License-Identifier: MIT */
/*
 * The 9P server on any messages, and its record on any bytes. The first byte chooses: a record, or
 * messages of a length byte and a body each; their size field is made right, so that what is in
 * them gets looked at. The share is a directory of this process that nothing else is in.
 */
#include "p9/p9.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char top[] = "/tmp/wslx-fuzz-p9-XXXXXX";

static void remove_top(void)
{
	char command[128];

	snprintf(command, sizeof(command), "chmod -R u+rwx %s; rm -rf %s", top, top);
	if (system(command))
		perror(command);
}

static struct p9_server *serve(void)
{
	static bool made;
	struct p9_server *s = p9_create("fuzz");
	char path[64];
	int fd;

	if (!made) {
		assert(mkdtemp(top));
		atexit(remove_top);
		snprintf(path, sizeof(path), "%s/in", top);
		assert(!mkdir(path, 0700));
		snprintf(path, sizeof(path), "%s/canary", top);
		fd = open(path, O_CREAT | O_WRONLY, 0600);
		assert(fd >= 0);
		close(fd);
		made = true;
	}
	snprintf(path, sizeof(path), "%s/in", top);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* A message may have made it unreadable. */
	assert(fd >= 0 || (!chmod(path, 0700) && (fd = open(path, O_RDONLY | O_DIRECTORY)) >= 0));
	assert(!p9_add_dir(s, "0", fd, false, NULL));
	assert(!p9_add_file(s, "info", span_of_text("x"), true, NULL));
	return s;
}

static void send(struct p9_server *s, const uint8_t *body, size_t len)
{
	static uint8_t message[4 + 255], reply[8192];
	size_t n;

	memcpy(message + 4, body, len);
	message[0] = (uint8_t)(4 + len);
	message[1] = (uint8_t)((4 + len) >> 8);
	n = p9_share(s)->answer(p9_share(s), SPAN(message, 4 + len), reply, sizeof(reply));
	assert(n >= 7 && n <= sizeof(reply) && (reply[0] | reply[1] << 8) == (int)n);
}

static void start(struct p9_server *s)
{
	static const uint8_t attach[] = {104, 1, 0, 0, 0, 0, 0, 255, 255, 255,
	                                 255, 0, 0, 0, 0, 0, 0, 0,   0};
	static const uint8_t walk[] = {110, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, '0'};

	send(s, attach, sizeof(attach));
	send(s, walk, sizeof(walk));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct p9_server *s;
	char canary[64];

	if (!size)
		return 0;
	s = serve();
	start(s);
	if (data[0] & 1) {
		AUTO(buf) struct buf again = {0};

		if (!p9_share(s)->load(p9_share(s), SPAN(data + 1, size - 1), NULL))
			p9_share(s)->save(p9_share(s), &again);
	} else {
		for (size_t at = 1; at < size;) {
			size_t len = MIN(data[at], size - at - 1);

			send(s, data + at + 1, len);
			at += 1 + len;
		}
	}
	p9_destroy(s);
	snprintf(canary, sizeof(canary), "%s/canary", top);
	assert(!access(canary, F_OK));
	return 0;
}
