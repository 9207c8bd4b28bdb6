/* SPDX-License-Identifier: MIT */
/* What every process gives up that handles what a guest sends. */
#ifndef WSLX_VM_SANDBOX_H
#define WSLX_VM_SANDBOX_H

#include <linux/filter.h>
#include <sys/syscall.h>

#include "base/base.h"

/* gcc and clang each say in their own way that this is built with AddressSanitizer. */
#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN
#endif
#endif

/**
 * sandbox_drop_privileges() - no new privileges, no dumping, no capabilities; irrevocable
 */
MUST_CHECK int sandbox_drop_privileges(struct err *e);

/* ---- filters of system calls (filter.c) --------------------------------------------------- */

#define CALL_CONDITIONS_MAX 2
#define CALL_FILTER_MAX 1024 /* instructions */

struct call_condition {
	uint64_t mask, value; /* (argument & mask) == value; a mask of 0 is no condition */
	unsigned argument;
};

/* A system call that is allowed where all of its conditions hold; of several rules one is enough. */
struct call_rule {
	int call; /* SYS_... */
	struct call_condition when[CALL_CONDITIONS_MAX];
};
#define CALL(name)                                                                                 \
	{                                                                                          \
		.call = SYS_##name                                                                 \
	}
#define CALL_WHERE(name, n, mask_, value_)                                                         \
	{                                                                                          \
		.call = SYS_##name, .when = {                                                      \
			{.argument = (n), .mask = (mask_), .value = (value_)}                      \
		}                                                                                  \
	}
#define CALL_IF_EQUAL(name, n, value_) CALL_WHERE(name, n, UINT64_MAX, value_)

struct call_filter {
	struct sock_filter code[CALL_FILTER_MAX];
	unsigned n;
};

/**
 * call_filter_make() - what the kernel shall do with each system call
 * @rules:     sorted here
 * @otherwise: SECCOMP_RET_...
 *
 * System calls of another architecture end the process.
 */
void call_filter_make(struct call_filter *out, struct call_rule *rules, size_t n,
                      uint32_t otherwise);
/* For this thread and those that it starts; needs no_new_privs. Irrevocable. */
MUST_CHECK int call_filter_load(const struct call_filter *f, struct err *e);

#endif
