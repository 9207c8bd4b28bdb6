/* SPDX-License-Identifier: MIT */
/*
 * The smallest TAP producer that serves us. A test is a function named by its promise:
 *
 *	static void a_pipe_keeps_its_bytes(void) { ok(n == 5, "%d bytes", n); }
 *	int main(void) { RUN(a_pipe_keeps_its_bytes); return tap_done(); }
 *
 * ok() with a false condition fails the test that is running and says where.
 */
#ifndef WSLX_TAP_H
#define WSLX_TAP_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_count, tap_failed;
static bool tap_now_failed;

#define ok(cond, ...)                                                                              \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			tap_now_failed = true;                                                     \
			/* A harness of TAP shows what is here. */                                 \
			fprintf(stderr, "# %s:%d: not true: %s: ", __FILE__, __LINE__, #cond);     \
			fprintf(stderr, " " __VA_ARGS__);                                          \
			fprintf(stderr, "\n");                                                     \
		}                                                                                  \
	} while (0)

#define RUN(fn)                                                                                    \
	do {                                                                                       \
		tap_now_failed = false;                                                            \
		fn();                                                                              \
		tap_count++;                                                                       \
		tap_failed += tap_now_failed;                                                      \
		printf("%sok %d - %s\n", tap_now_failed ? "not " : "", tap_count, #fn);            \
		fflush(stdout);                                                                    \
	} while (0)

static inline int tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed ? 1 : 0;
}

#endif
