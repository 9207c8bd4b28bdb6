/* SPDX-License-Identifier: MIT */
/*
 * The agent: a line each way over the machine's second virtio console.
 *
 * | line            | from  | meaning                                                       |
 * |-----------------|-------|---------------------------------------------------------------|
 * | ready           | guest | the agent listens                                             |
 * | wake NS SEED    | host  | this machine was restored: the wall clock is NS nanoseconds   |
 * |                 |       | since 1970, SEED is entropy in hexadecimal, used once         |
 * | failed WHAT     | guest | clock or random numbers could not be put right; else: silence |
 * | exit N          | guest | what PID 1 ran has ended with status N                        |
 *
 * Adding entropy alone would not do: a generator that is ready mixes it in only when it is
 * next re-keyed, up to a minute later. So it is added with full credit and re-keyed at once.
 *
 * A restored machine does all of this before it answers anybody, on a CPU to which all code is
 * new: so it opens and parses little, and says nothing when it went well.
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

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Up to the first character that is none. Return: bytes. */
static size_t unhex(uint8_t *out, size_t max, const char *hex)
{
	size_t n = 0;

	for (; n < max; n++, hex += 2) {
		int high = hex_digit(hex[0]), low = high < 0 ? -1 : hex_digit(hex[1]);

		if (low < 0)
			break;
		out[n] = (uint8_t)(high << 4 | low);
	}
	return n;
}

static bool reseed(int random, const char *hex)
{
	struct {
		int entropy_count, buf_size;
		uint8_t seed[SEED_MAX];
	} pool = {0};
	size_t n = unhex(pool.seed, SEED_MAX, hex);
	bool ok;

	pool.entropy_count = (int)(8 * n);
	pool.buf_size = (int)n;
	ok = n >= 32 && !ioctl(random, RNDADDENTROPY, &pool) && !ioctl(random, RNDRESEEDCRNG);
	explicit_bzero(&pool, sizeof(pool));
	return ok;
}

static bool step_clock(long long ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = ns % 1000000000};

	return ns > 0 && !clock_settime(CLOCK_REALTIME, &t);
}

static void obey(int fd, int random, const char *line)
{
	char *seed;
	long long ns;

	if (strncmp(line, "wake ", 5) != 0)
		return;
	ns = strtoll(line + 5, &seed, 10);
	/* Entropy first: it protects keys, the clock only comforts. */
	if (!reseed(random, seed + (*seed == ' ')))
		agent_say(fd, "failed reseed");
	else if (!step_clock(ns))
		agent_say(fd, "failed clock");
}

/* Whole lines at a time: a restored machine's first moments are spent here. */
static void serve(int fd)
{
	int random = open("/dev/urandom", O_RDWR | O_CLOEXEC);
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
			obey(fd, random, start);
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
