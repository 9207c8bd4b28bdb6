/* SPDX-License-Identifier: MIT */
/* What every process gives up that handles what a guest sends. */
#ifndef WSLX_VM_SANDBOX_H
#define WSLX_VM_SANDBOX_H

#include "base/base.h"

/**
 * sandbox_drop_privileges() - no new privileges, no dumping, no capabilities; irrevocable
 */
MUST_CHECK int sandbox_drop_privileges(struct err *e);

#endif
