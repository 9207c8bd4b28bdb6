/* SPDX-License-Identifier: MIT */
/*
 * cmd: the command line. One verb a file, each exporting one `const struct verb`; dispatch,
 * help and completion come from the table in main.c. Only this room prints.
 */
#ifndef WSLX_CMD_H
#define WSLX_CMD_H

#include <stdio.h>

#include "base/base.h"
#include "flow/flow.h"

enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_OBSTACLE = 3, /* refused: the sentence says by what, and what would help */
};

struct verb_option {
	const char *name; /* without the dashes */
	const char *arg;  /* what its value is called; NULL for a switch */
	const char *help;
	bool required;
	char letter; /* also "-u VALUE"; 0: has none */
};

#define OPTIONS_MAX 24

struct given_option {
	int option; /* its place in the table */
	const char *value;
};

struct args {
	const struct verb *verb;
	const char *values[OPTIONS_MAX]; /* by the option's place in the table; "" for a switch */
	struct given_option *given;      /* all of them, in order, for options that may repeat */
	int n_given;
	char **operands;
	int n_operands;
};

struct verb {
	const char *name;     /* "snap proc" */
	const char *operands; /* "NAME...", or NULL */
	int min_operands, max_operands;
	const char *summary;
	const struct verb_option *options;
	size_t n_options;
	int (*run)(struct args *args); /* Return: enum exit_code */
};

/* The value of an option, NULL if it was not given. */
const char *arg_value(const struct args *args, const char *name);
bool arg_is_set(const struct args *args, const char *name);
/* The next value of an option that may repeat, from @*at on, which starts as 0; NULL at the end. */
const char *arg_next(const struct args *args, const char *name, int *at);
/* Print "wslx: ..." and return the exit code that fits the error. */
int say_error(const struct err *e);
/* Print all obstacles of a refusal (struct obstacle), one a line. */
void say_obstacles(const struct list *obstacles);
/* Print a sentence that is no error: "wslx: ...". */
void say_note(const char *text);
/* Print what was used wrongly. Return: EXIT_USAGE. */
int say_usage(const struct args *args, const char *fmt, ...) PRINTF(2, 3);
/* The store that the environment names. */
MUST_CHECK int cmd_open_store(struct store **out, struct err *e);

extern const struct verb verb_snap_proc, verb_restore_proc, verb_diff_proc, verb_list, verb_show,
	verb_rm, verb_verify, verb_gc, verb_formats, verb_diag_ready, verb_boot, verb_snap_vm,
	verb_restore_vm, verb_bake, verb_run, verb_stop, verb_exec, verb_shell, verb_copy,
	verb_push, verb_pull, verb_login, verb_logout;

#endif
