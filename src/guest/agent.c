/* SPDX-License-Identifier: MIT */
/*
 * The agent: a line each way over the machine's second virtio console.
 *
 * | line            | from  | meaning                                                       |
 * |-----------------|-------|---------------------------------------------------------------|
 * | ready           | guest | the agent listens                                             |
 * | wake NS SEED    | host  | this machine was restored: the wall clock is NS nanoseconds   |
 * |                 |       | since 1970, SEED is entropy in hexadecimal, used once         |
 * | woke            | guest | clock and random numbers are right again                      |
 * | failed WHAT     | guest | they are not                                                  |
 * | exit N          | guest | what PID 1 ran has ended with status N                        |
 *
 * Adding entropy alone would not do: a generator that is ready mixes it in only when it is
 * next re-keyed, up to a minute later. So it is added with full credit and re-keyed at once.
 */
#include "guest.h"

#include <fcntl.h>
#include <linux/random.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define SEED_MAX 64
#define LINE_MAX_BYTES 256

void agent_say(int fd, const char *line)
{
	char out[LINE_MAX_BYTES];
	int n = snprintf(out, sizeof(out), "%s\n", line);

	if (fd >= 0 && n > 0 && (size_t)n < sizeof(out) && write(fd, out, (size_t)n) == n)
		tcdrain(fd);
}

static size_t unhex(uint8_t *out, size_t max, const char *hex)
{
	size_t n = 0;
	unsigned byte;

	while (n < max && sscanf(hex + 2 * n, "%2x", &byte) == 1)
		out[n++] = (uint8_t)byte;
	return n;
}

static bool reseed(const char *hex)
{
	struct {
		int entropy_count, buf_size;
		uint8_t seed[SEED_MAX];
	} pool = {0};
	size_t n = unhex(pool.seed, SEED_MAX, hex);
	int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return false;
	pool.entropy_count = (int)(8 * n);
	pool.buf_size = (int)n;
	ok = n >= 32 && !ioctl(fd, RNDADDENTROPY, &pool) && !ioctl(fd, RNDRESEEDCRNG);
	close(fd);
	explicit_bzero(&pool, sizeof(pool));
	return ok;
}

static bool step_clock(long long ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = ns % 1000000000};

	return ns > 0 && !clock_settime(CLOCK_REALTIME, &t);
}

static void obey(int fd, const char *line)
{
	char seed[2 * SEED_MAX + 1];
	long long ns;

	if (sscanf(line, "wake %lld %128[0-9a-f]", &ns, seed) != 2)
		return;
	/* Entropy first: it protects keys, the clock only comforts. */
	if (!reseed(seed))
		agent_say(fd, "failed reseed");
	else if (!step_clock(ns))
		agent_say(fd, "failed clock");
	else
		agent_say(fd, "woke");
	explicit_bzero(seed, sizeof(seed));
}

/* Whole lines at a time: a restored machine's first moments are spent here. */
static void serve(int fd)
{
	char line[LINE_MAX_BYTES];
	size_t len = 0;
	ssize_t n;

	agent_say(fd, "ready");
	while ((n = read(fd, line + len, sizeof(line) - 1 - len)) > 0) {
		char *start = line, *end;

		len += (size_t)n;
		line[len] = '\0';
		while ((end = strchr(start, '\n'))) {
			*end = '\0';
			obey(fd, start);
			start = end + 1;
		}
		len -= (size_t)(start - line);
		memmove(line, start, len);
		explicit_bzero(line + len, sizeof(line) - len);
		/* A line that does not fit is no line of ours. */
		if (len == sizeof(line) - 1)
			len = 0;
	}
}

int agent_start(void)
{
	int fd = open(AGENT_TTY, O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios t;

	if (fd < 0)
		return -1;
	if (tcgetattr(fd, &t) == 0) {
		cfmakeraw(&t);
		tcsetattr(fd, TCSANOW, &t);
	}
	switch (fork()) {
	case -1:
		complain("fork", "agent");
		return fd;
	case 0:
		/* An init that stops everything at shutdown leaves alone what is named so. */
		setsid();
		signal(SIGHUP, SIG_IGN);
		serve(fd);
		_exit(0);
	default:
		return fd;
	}
}
