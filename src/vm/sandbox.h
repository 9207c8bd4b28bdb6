/* SPDX-License-Identifier: MIT */
/* What every process gives up that handles what a guest sends. */
#ifndef WSLX_VM_SANDBOX_H
#define WSLX_VM_SANDBOX_H

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

#endif
