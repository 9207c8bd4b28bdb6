/* SPDX-License-Identifier: MIT */
/* The table of rows whose functions are the host's own instructions. */
#include "x86/simd-op.h"

#if X86_HOST_FP
#include "x86/simd-host.h"
#include "x86/simd-ops.h"

const struct simd_row simd_rows[] = {
#define ROW SIMD_ROW
#include "x86/simd-rows.h"
#undef ROW
};
#endif
