/* SPDX-License-Identifier: MIT */
/* The table of rows whose functions are the host's own instructions. */
#include "simd/simd-op.h"

#if X86_HOST_FP
#include "simd/simd-host.h"
#include "simd/simd-ops.h"

const struct simd_row simd_rows[] = {
#define ROW SIMD_ROW
#include "simd/simd-rows.h"
#undef ROW
};
#endif
