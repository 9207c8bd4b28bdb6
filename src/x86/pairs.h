/* SPDX-License-Identifier: MIT */
#ifndef WSLX_X86_PAIRS_H
#define WSLX_X86_PAIRS_H

#include "x86/x86-int.h"

/* Give pairs of ops that often follow each other one handler; @n without the stubs. */
void x86_pair_ops(struct op *ops, unsigned n);

/* The handlers of pairs, one after the other, and what their first ops had. False: no more. */
bool x86_pair_at(unsigned i, op_fn **pair, op_fn **plain_first);

#endif
