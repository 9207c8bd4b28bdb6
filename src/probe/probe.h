/* SPDX-License-Identifier: MIT */
/*
 * What this kernel can do and what this machine allows, found by trying it.
 *
 * Kernels are patched, configured, sandboxed and filtered, so neither a version nor a config
 * file says whether a call works: each probe makes the call, on a process or a page of its own,
 * and looks at what it did. Every probe runs in a forked child, so what it changes (a seccomp
 * filter, a namespace, a timer mode) ends with it, and one that hangs is killed.
 *
 * A probe of policy reads files only; it works on a recording of another machine too.
 */
#ifndef WSLX_PROBE_H
#define WSLX_PROBE_H

#include "base/base.h"

enum probe_answer {
	PROBE_UNKNOWN, /* could not be tried: it hung, or this is a recording */
	PROBE_YES,     /* works; for a policy: does not stand in the way */
	PROBE_NO,
};

enum probe_need {
	PROBE_NEEDED, /* no process snapshot without it */
	PROBE_HELPS,  /* something is lost without it, see probe.lost */
};

struct probe_result {
	enum probe_answer answer;
	char detail[160]; /* what was seen */
};

struct probe {
	const char *name;
	bool policy; /* reads files below a root instead of trying a call */
	enum probe_need need;
	const char *enables; /* what it is for */
	const char *lost;    /* what there is instead, without it */
	const char *instead; /* the probe whose yes makes up for a no here, or NULL */
	/* @root: directory that stands for /, where policy reads its files */
	void (*run)(int root, struct probe_result *r);
};

/* In the order in which they are shown. */
extern const struct probe probes[];
extern const size_t n_probes;

/**
 * probe_run() - find one answer
 * @root: AT_FDCWD for this machine (paths are then absolute), or the directory of a recording
 *
 * Takes a fork and some system calls, a millisecond at most; a probe that takes longer than
 * five seconds is killed and its answer is unknown. Never fails.
 */
void probe_run(const struct probe *p, int root, struct probe_result *r);
const struct probe *probe_find(const char *name);
const char *probe_answer_name(enum probe_answer answer); /* "yes", "no", "unknown" */

#endif
