/* SPDX-License-Identifier: MIT */
/* Settings that hardly any program has. */
#ifndef WSLX_ENGINE_DUMP_RARE_H
#define WSLX_ENGINE_DUMP_RARE_H

#include "engine/engine-int.h"

#define SPECULATION_KINDS 3 /* store bypass, indirect branch, L1D flush */
#define NUMA_NODES_BYTES 128

/* What a thread answers; it may not move between rare_queue() and remote_run(). */
struct rare {
	struct {
		size_t speculation[SPECULATION_KINDS], policy, keyring, untag, cookie, ldt;
	} calls;
	int32_t policy;
	uint8_t nodes[NUMA_NODES_BYTES];
	uint64_t untag_mask, cookie;
	uint8_t ldt[8];
};

/* Before a thread is asked anything: ptrace tells that it cannot be, and more. */
void rare_by_ptrace(struct dump *d, struct dtask *t, pid_t tid);
/* The questions, among others of a batch; and what was answered. */
void rare_queue(struct rare *q, struct remote *r);
void rare_read(const struct rare *q, struct dump *d, struct dtask *t, const struct remote *r,
               struct thread_rec *rec);
MUST_CHECK int rare_mappings(struct dump *d, struct dtask *t, struct err *e);

#endif
