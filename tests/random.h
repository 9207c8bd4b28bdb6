/* SPDX-License-Identifier: MIT */
/* Numbers that look random and are the same in every run, for tests and benchmarks. */
#ifndef TESTS_RANDOM_H
#define TESTS_RANDOM_H

#include <stdint.h>

/* xorshift64 (Marsaglia 2003). @state is anything but 0 in the beginning. */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif
