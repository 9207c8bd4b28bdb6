/* SPDX-License-Identifier: MIT */
/*
 * The frame of a zoo program: one kind of kernel state, set up, snapshotted, verified.
 *
 *	NAME RESULT		appends to the file RESULT: READY, then PASS or FAIL: reason
 *
 * A program sets its state up, calls zoo_snapshot_here(), and afterwards looks at everything it
 * can see of that state. Between the two it sits in a system call and waits for SIGUSR1, the go
 * signal, which whoever took the snapshot sends to the first process. Run by hand without any
 * snapshot it must pass as well.
 *
 * A test that cannot fail proves nothing. So each program has at least one zoo_spoil(): a
 * statement that breaks the state behind the program's back. With ZOO_SPOIL=n in the environment
 * the n-th of them (counted from 1 in the order of the source) runs, and the program must then
 * say FAIL. The runner's mode "spoil" tries every one.
 *
 * The comment on the first lines of a program is read by the runner:
 *
 *	zoo: expect=restore|obstacle|either  needs=root  unprivileged=no  skip=MODE,MODE  hidden=yes
 *
 * restore: a snapshot and its restore succeed. obstacle: the snapshot is refused with exit code 3
 * and a sentence, and the program goes on unharmed. either: one of the two, but nothing else.
 * hidden: /proc does not tell which; a program must be asked.
 */
#ifndef WSLX_ZOO_H
#define WSLX_ZOO_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
#define ZOO_UNUSED __attribute__((unused))
#define ZOO_LEN(a) (sizeof(a) / sizeof((a)[0]))

static char zoo_path[PATH_MAX];
static int zoo_held = -1; /* the result file, where a program holds it open */
static int zoo_spoiled;   /* which zoo_spoil() runs, from 1; 0: none */

#ifndef __FILE_NAME__
#define __FILE_NAME__ (strrchr("/" __FILE__, '/') + 1)
#endif

/* ---- saying what happened --------------------------------------------------------------- */

static ZOO_UNUSED void zoo_report(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static ZOO_UNUSED void zoo_report(const char *fmt, ...)
{
	char line[1000];
	va_list ap;
	int n, fd = zoo_held;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	line[n++] = '\n';
	if (fd < 0)
		fd = open(zoo_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		_exit(9);
	if (fd != zoo_held)
		close(fd);
}

/* The verdict of any process of the tree: the first FAIL counts. */
#define zoo_fail(fmt, ...)                                                                         \
	do {                                                                                       \
		zoo_report("FAIL: %s:%d: " fmt, __FILE_NAME__, __LINE__, ##__VA_ARGS__);           \
		_exit(1);                                                                          \
	} while (0)

/* This kernel, CPU or user cannot have the state at all. */
#define zoo_skip(...)                                                                              \
	do {                                                                                       \
		zoo_report("SKIP: " __VA_ARGS__);                                                  \
		_exit(77);                                                                         \
	} while (0)

static ZOO_UNUSED void zoo_pass(void)
{
	zoo_report("PASS");
	_exit(0);
}

#define check(cond, fmt, ...)                                                                      \
	do {                                                                                       \
		if (!(cond))                                                                       \
			zoo_fail("not true: %s: " fmt, #cond, ##__VA_ARGS__);                      \
	} while (0)

#define check_eq(got, want)                                                                        \
	do {                                                                                       \
		long long g_ = (long long)(got), w_ = (long long)(want);                           \
		if (g_ != w_)                                                                      \
			zoo_fail("%s is %lld (0x%llx), want %lld (0x%llx)", #got, g_, g_, w_, w_); \
	} while (0)

#define check_text(got, want)                                                                      \
	do {                                                                                       \
		const char *g_ = (got), *w_ = (want);                                              \
		if (strcmp(g_, w_))                                                                \
			zoo_fail("%s is '%s', want '%s'", #got, g_, w_);                           \
	} while (0)

/* What sched_setattr(2) takes; Debian 12's glibc has no name for it. */
struct zoo_sched_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

static inline intptr_t zoo_must(intptr_t value, const char *expr)
{
	if (value == -1)
		zoo_fail("%s: %s", expr, strerror(errno));
	return value;
}

/* The expression works, or the program ends: its value is handed on. -1 and MAP_FAILED are
 * failures. */
#define must(expr) ({ (__typeof__(expr))zoo_must((intptr_t)(expr), #expr); })

/* As must(), for the pthread family, which returns its errno. */
#define must_zero(expr)                                                                            \
	do {                                                                                       \
		int r_ = (expr);                                                                   \
		if (r_)                                                                            \
			zoo_fail("%s: %s", #expr, strerror(r_ < 0 ? errno : r_));                  \
	} while (0)

/* The expression fails with this errno and no other. */
#define must_refuse(expr, want_errno)                                                              \
	do {                                                                                       \
		errno = 0;                                                                         \
		long r_ = (long)(expr);                                                            \
		if (r_ != -1 || errno != (want_errno))                                             \
			zoo_fail("%s is %ld (%s), want -1 with %s", #expr, r_, strerror(errno),    \
			         strerror(want_errno));                                            \
	} while (0)

#define zoo_spoil(statement)                                                                       \
	do {                                                                                       \
		if (__COUNTER__ + 1 == zoo_spoiled) {                                              \
			statement;                                                                 \
		}                                                                                  \
	} while (0)

/* ---- the course of a program ------------------------------------------------------------- */

static ZOO_UNUSED void zoo_init(int argc, char **argv)
{
	const char *spoil = getenv("ZOO_SPOIL");
	sigset_t go;

	if (argc > 1 && argv[1][0] == '/')
		snprintf(zoo_path, sizeof(zoo_path), "%s", argv[1]);
	else if (argc > 1 && getcwd(zoo_path, sizeof(zoo_path) - 300))
		snprintf(strchr(zoo_path, 0), 300, "/%s", argv[1]);
	else
		strcpy(zoo_path, "/dev/stdout");
	zoo_spoiled = spoil ? atoi(spoil) : 0;
	sigemptyset(&go);
	sigaddset(&go, SIGUSR1);
	sigprocmask(SIG_BLOCK, &go, NULL);
}

/* Keep the result file open across the snapshot instead of opening it by its path at the end. */
static ZOO_UNUSED void zoo_hold_result(void)
{
	int fd = must(open(zoo_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666));

	zoo_held = must(fcntl(fd, F_DUPFD_CLOEXEC, 100));
	close(fd);
}

static ZOO_UNUSED void zoo_await_go(void)
{
	sigset_t go;

	sigemptyset(&go);
	sigaddset(&go, SIGUSR1);
	while (sigwaitinfo(&go, NULL) != SIGUSR1)
		if (errno != EINTR)
			zoo_fail("sigwaitinfo: %s", strerror(errno));
}

static ZOO_UNUSED void zoo_ready(void)
{
	zoo_report("READY");
}

static ZOO_UNUSED void zoo_snapshot_here(void)
{
	zoo_ready();
	zoo_await_go();
}

/* ---- children ---------------------------------------------------------------------------- */

/* Children say through a gate that they are set up; nothing of it is left when the parent goes on.
 */
struct zoo_gate {
	int fd[2];
};

static ZOO_UNUSED void zoo_gate_make(struct zoo_gate *g)
{
	must(pipe2(g->fd, O_CLOEXEC));
}

static ZOO_UNUSED void zoo_gate_pass(struct zoo_gate *g)
{
	must(write(g->fd[1], "x", 1));
	close(g->fd[0]);
	close(g->fd[1]);
}

static ZOO_UNUSED void zoo_gate_wait(struct zoo_gate *g, int children)
{
	char c;

	close(g->fd[1]);
	for (int i = 0; i < children; i++)
		if (read(g->fd[0], &c, 1) != 1)
			zoo_fail("child %d did not set itself up", i);
	close(g->fd[0]);
}

/* Send a child the go signal and expect that it is content. */
static ZOO_UNUSED void zoo_finish_child(pid_t child)
{
	int status;

	must(kill(child, SIGUSR1));
	if (waitpid(child, &status, 0) != child)
		zoo_fail("child %d: waitpid: %s", child, strerror(errno));
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		zoo_fail("child %d ended with status 0x%x", child, status);
}

/* ---- what the kernel says about us --------------------------------------------------------- */

/* A whole small file as text; its length, or -1. */
static ZOO_UNUSED long zoo_read_file(const char *path, char *text, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -1;
	while (len < room - 1 && (n = read(fd, text + len, room - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = 0;
	close(fd);
	return (long)len;
}

static ZOO_UNUSED int zoo_tid(void)
{
	return (int)syscall(SYS_gettid);
}

/* The value after "key:" in /proc/PID/status, without white space around it. */
static ZOO_UNUSED const char *zoo_status(pid_t tid, const char *key)
{
	static __thread char text[8192];
	char path[64], label[64], *p;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	if (zoo_read_file(path, text, sizeof(text)) < 0)
		return "(no such task)";
	snprintf(label, sizeof(label), "\n%s:", key);
	p = strncmp(text, label + 1, strlen(label + 1)) ? strstr(text, label) : text - 1;
	if (!p)
		return "(no such line)";
	p += strlen(label);
	p += strspn(p, " \t");
	p[strcspn(p, "\n")] = 0;
	return p;
}

/*
 * Wait until a thread sleeps in a system call: there is no event for that, so look again and again.
 * A call that was stopped goes on as restart_syscall().
 */
static ZOO_UNUSED void zoo_await_syscall(pid_t tid, long number)
{
	char path[64], text[256];

	snprintf(path, sizeof(path), "/proc/%d/syscall", tid);
	for (;;) {
		if (zoo_read_file(path, text, sizeof(text)) < 0)
			zoo_fail("%s: %s", path, strerror(errno));
		if (text[0] >= '0' && text[0] <= '9' &&
		    (atol(text) == number || atol(text) == SYS_restart_syscall))
			return;
		sched_yield();
	}
}

/* The paragraph of /proc/self/smaps for the mapping that holds an address; NULL: no mapping. */
static ZOO_UNUSED const char *zoo_smaps(const void *address)
{
	static char paragraph[4096];
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[1024];
	bool inside = false;

	if (!f)
		zoo_fail("smaps: %s", strerror(errno));
	paragraph[0] = 0;
	while (fgets(line, sizeof(line), f)) {
		uint64_t from, to;
		char dash;

		if (sscanf(line, "%" SCNx64 "%c%" SCNx64 " ", &from, &dash, &to) == 3 &&
		    dash == '-') {
			if (inside)
				break;
			inside = from <= (uintptr_t)address && (uintptr_t)address < to;
		}
		if (inside && strlen(paragraph) + strlen(line) < sizeof(paragraph))
			strcat(paragraph, line);
	}
	fclose(f);
	return paragraph[0] ? paragraph : NULL;
}

/* How many pages of an area are in memory. */
static ZOO_UNUSED int zoo_resident(void *area, size_t bytes)
{
	unsigned char in[64] = {0};
	int n = 0;

	if (bytes > sizeof(in) * PAGE || mincore(area, bytes, in))
		zoo_fail("mincore: %s", strerror(errno));
	for (size_t i = 0; i < bytes / PAGE; i++)
		n += in[i] & 1;
	return n;
}

/* Whether VmFlags of the mapping at an address has the two letters. */
static ZOO_UNUSED bool zoo_vma_has(const void *address, const char *flag)
{
	const char *text = zoo_smaps(address), *line = text ? strstr(text, "VmFlags:") : NULL;
	char word[8];

	snprintf(word, sizeof(word), " %s", flag);
	return line && strstr(line, word);
}

/* ---- patterns, time ------------------------------------------------------------------------ */

/* Bytes that depend on a seed and on their place, so that swapped pages are noticed. */
static ZOO_UNUSED void zoo_fill(void *memory, size_t bytes, uint32_t seed)
{
	uint8_t *p = memory;

	for (size_t i = 0; i < bytes; i++) {
		uint32_t x = (uint32_t)(i * 2654435761u) ^ seed * 0x9e3779b9u;

		p[i] = (uint8_t)(x >> 24 ^ x >> 11);
	}
}

/* The first byte that is not as zoo_fill() left it, or -1. */
static ZOO_UNUSED long zoo_first_wrong(const void *memory, size_t bytes, uint32_t seed)
{
	const uint8_t *p = memory;

	for (size_t i = 0; i < bytes; i++) {
		uint32_t x = (uint32_t)(i * 2654435761u) ^ seed * 0x9e3779b9u;

		if (p[i] != (uint8_t)(x >> 24 ^ x >> 11))
			return (long)i;
	}
	return -1;
}

static ZOO_UNUSED double zoo_now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A file of the program's own beside the result file, for state that needs a path. */
static ZOO_UNUSED const char *zoo_beside(const char *name)
{
	static char path[PATH_MAX + 64];

	if (!strncmp(zoo_path, "/dev/", 5))
		snprintf(path, sizeof(path), "/tmp/zoo-%d.%s", getpid(), name);
	else
		snprintf(path, sizeof(path), "%s.%s", zoo_path, name);
	return path;
}

/* Whether a descriptor can be read within some seconds. */
static ZOO_UNUSED bool zoo_readable(int fd, int seconds)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, seconds * 1000) == 1 && (p.revents & (POLLIN | POLLHUP));
}

#endif
