/* SPDX-License-Identifier: MIT */
/* A bar on the terminal for what takes more than a moment. */
#ifndef WSLX_CMD_PROGRESS_H
#define WSLX_CMD_PROGRESS_H

#include "flow/registry.h"

struct progress {
	struct oci_progress oci; /* first, so that it is the progress */
	const char *what;
	bool quiet;
	bool shown; /* there is a line to be cleared */
	uint64_t done;
	uint64_t began_ns, drawn_ns;
};

/* @what: stands before the bar; @quiet: show nothing, also not on a terminal */
void progress_begin(struct progress *p, const char *what, bool quiet);
/* Takes the bar away, before anything else is printed. */
void progress_end(struct progress *p);

/* That a registry could not be asked; also with --quiet: that something may be outdated is no
 * detail. */
void say_offline(const struct pull_result *r);

#endif
