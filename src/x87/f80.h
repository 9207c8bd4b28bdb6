/* SPDX-License-Identifier: MIT */
#ifndef WSLX_X87_F80_H
#define WSLX_X87_F80_H

#include <stdint.h>

/* An 80-bit x87 register. */
struct x86_f80 {
	uint64_t mantissa;
	uint16_t sign_exponent;
};

#endif
