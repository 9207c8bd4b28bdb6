/* SPDX-License-Identifier: MIT */
/* What is asked of a dump and a restore, and what is told of them. */
#ifndef WSLX_KINDS_OPTIONS_H
#define WSLX_KINDS_OPTIONS_H

#include <sys/types.h>

#include "base/base.h"

/*
 * The code of an error that is an obstacle: a refusal whose sentence says what cannot be done
 * and what would help. Not a number that a system call returns.
 */
#define OBSTACLE (-524)

struct obstacle {
	pid_t pid;
	const char *text;
};

enum engine_profile { PROFILE_MINIMAL, PROFILE_NET, PROFILE_FULL };

struct restore_options {
	bool pidns;         /* in a new pid namespace, with a small init of ours */
	int tty;            /* the caller's terminal takes the place of the program's, or -1 */
	bool changed_files; /* accept files whose size or time changed */
	/*
	 * Called when all is built and nothing of it has run yet; what it returns below 0 ends the
	 * restore. NULL: nobody wants to know.
	 */
	int (*about_to_run)(void *arg, struct err *e);
	void *arg;
};

struct restored {
	pid_t root;  /* the root task, as we see it */
	pid_t child; /* what the caller may wait for: the root, or the init of its namespace */
	pid_t tty;   /* carries the caller's terminal, and ends after the tree: a child too; or 0 */
	struct list notes;  /* const char *: sentences about what is not quite as it was */
	struct arena arena; /* owns them */
};

#endif
