/* SPDX-License-Identifier: MIT */
/*
 * The agent: a line each way over the machine's second virtio console.
 *
 * | line            | from  | meaning                                                       |
 * |-----------------|-------|---------------------------------------------------------------|
 * | ready           | guest | the agent listens                                             |
 * | wake NS SEED    | host  | this machine was restored: the wall clock is NS nanoseconds   |
 * |                 |       | since 1970, SEED is entropy in hexadecimal, used once         |
 * | wake barrier    | host  | it was, but PID 1 reads clock and entropy behind its barrier  |
 * | time NS         | host  | it was stopped for a while: the wall clock is that now        |
 * | failed WHAT     | guest | clock or random numbers could not be put right, and why; else:|
 * |                 |       | silence                                                       |
 * | failed shell N  | guest | the image's shell ended with status N before the barrier      |
 * | exit N          | guest | what PID 1 ran has ended with status N                        |
 * | busy?           | host  | what is running?                                              |
 * | busy WHAT       | guest | names of up to eight processes that are, most of CPU first    |
 * | x ID ...        |       | a line of a session: session.c                                |
 *
 * A restored machine does all of this before it answers anybody, on a CPU to which all code is
 * new: so it opens and parses little, and says nothing when it went well.
 */
#include "guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define LINE_MAX_BYTES AGENT_LINE_BYTES
#define SEED_DIGITS 64

void agent_say(int fd, const char *line)
{
	char out[LINE_MAX_BYTES];
	int n = snprintf(out, sizeof(out), "%s\n", line);

	if (fd >= 0 && n > 0 && (size_t)n < sizeof(out) && write(fd, out, (size_t)n) == n)
		tcdrain(fd);
}

void agent_fail(int fd, const char *what, const char *who)
{
	char line[128];

	snprintf(line, sizeof(line), "failed %s %s: %s", what, who, strerror(errno));
	agent_say(fd, line);
}

/* ---- waking up ---------------------------------------------------------------------------- */

/* The root that programs see is PID 1's; ours is still the initramfs. */
static void in_their_root(const char *info)
{
	pid_t child = fork();

	if (child > 0)
		waitpid(child, NULL, 0);
	if (child)
		return;
	if (info)
		shares_bind(info, "1/root");
	if (chroot("1/root") || chdir("/"))
		complain("enter", "root");
	else
		fresh_hooks();
	_exit(0);
}

static void wake(int fd, int random, const char *line)
{
	char *seed, *info;
	long long ns = strtoll(line, &seed, 10);

	/* Entropy first: it protects keys, the clock only comforts. */
	if (!fresh_entropy(random, seed + (*seed == ' ')))
		agent_fail(fd, "reseed", "the agent");
	else if (!fresh_clock(ns))
		agent_say(fd, "failed clock");
	info = read_whole(TOLD_DIR "/info", NULL);
	if (info || !access("1/root" HOOKS_DIR, F_OK))
		in_their_root(info);
	free(info);
}

/* ---- what is running ---------------------------------------------------------------------- */

struct task {
	char name[32];
	unsigned long long ticks;
};

static int by_ticks(const void *a, const void *b)
{
	const struct task *x = a, *y = b;

	return x->ticks < y->ticks ? 1 : x->ticks > y->ticks ? -1 : 0;
}

static void say_busy(int fd)
{
	struct task tasks[256];
	char line[LINE_MAX_BYTES] = "busy";
	struct dirent *entry;
	DIR *d = opendir(".");
	size_t n = 0;

	while (d && n < 256 && (entry = readdir(d))) {
		unsigned long long user, system;
		struct task *t = &tasks[n];
		char path[300], state;
		FILE *f;

		snprintf(path, sizeof(path), "%s/stat", entry->d_name);
		f = entry->d_name[0] >= '0' && entry->d_name[0] <= '9' ? fopen(path, "re") : NULL;
		if (!f)
			continue;
		if (fscanf(f, "%*d (%31[^)]) %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
		           t->name, &state, &user, &system) == 4 &&
		    (user + system || state == 'R' || state == 'D')) {
			t->ticks = user + system + (state == 'R' ? 1000000 : 0);
			n++;
		}
		fclose(f);
	}
	if (d)
		closedir(d);
	qsort(tasks, n, sizeof(tasks[0]), by_ticks);
	for (size_t i = 0; i < n && i < 8; i++)
		snprintf(line + strlen(line), sizeof(line) - strlen(line), " %s", tasks[i].name);
	agent_say(fd, line);
}

/*
 * Clock and entropy. Not so "barrier"; nor a line that was on its way when a snapshot was taken, of
 * which the rest never comes.
 */
static bool is_whole(const char *wake)
{
	const char *seed = strchr(wake, ' ');

	return seed && strspn(seed + 1, "0123456789abcdef") == SEED_DIGITS &&
	       !seed[1 + SEED_DIGITS];
}

static void obey(int fd, int random, const char *line)
{
	if (!strncmp(line, "x ", 2))
		session_line(fd, line + 2);
	if (!strcmp(line, "busy?"))
		say_busy(fd);
	if (!strncmp(line, "time ", 5) && !fresh_clock(strtoll(line + 5, NULL, 10)))
		agent_say(fd, "failed clock");
	if (strncmp(line, "wake ", 5) != 0)
		return;
	session_end_all();
	if (is_whole(line + 5))
		wake(fd, random, line + 5);
}

/* Whole lines at a time: a restored machine's first moments are spent here. */
static void serve(int fd, int random)
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
	/* PID 1 moves to another root, and these with it, while the agent perhaps has not run yet. */
	int random = open("/dev/urandom", O_RDWR | O_CLOEXEC);
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct termios t;

	if (fd < 0)
		goto out;
	if (tcgetattr(fd, &t) == 0) {
		cfmakeraw(&t);
		tcsetattr(fd, TCSANOW, &t);
	}
	switch (fork()) {
	case -1:
		complain("fork", "agent");
		break;
	case 0:
		/* An init that stops everything at shutdown leaves alone what is named so. */
		setsid();
		signal(SIGHUP, SIG_IGN);
		if (fchdir(proc))
			complain("enter", "/proc");
		close(proc);
		serve(fd, random);
		_exit(0);
	}
out:
	if (random >= 0)
		close(random);
	if (proc >= 0)
		close(proc);
	return fd;
}
