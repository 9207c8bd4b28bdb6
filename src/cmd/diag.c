/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "cmd/cmd.h"
#include "ready/ready.h"

static const struct verb_option options[] = {
	{"pid", "PID", "the process whose tree is to be snapshotted", false},
	{"passive", NULL, "do not stop the process for a moment to ask it, only look", false},
	{"json", NULL, "as JSON", false},
	{"all", NULL, "also what is in order, and every channel in full", false},
	{"root", "DIR", "a recorded machine (tools/record-proc) instead of this one", false},
};

static int run(struct args *args)
{
	AUTO(ready) struct ready_report report = {0};
	struct ready_options what = {.root = arg_value(args, "root")};
	AUTO(asked_proc) struct asked_proc asked = {0};
	AUTO(buf) struct buf out = {0};
	struct err e = {0};
	uint64_t pid;

	if (arg_is_set(args, "pid")) {
		if (text_to_u64(arg_value(args, "pid"), 10, INT32_MAX, &pid) || !pid)
			return say_usage(args, "--pid: \"%s\" is no process id",
			                 arg_value(args, "pid"));
		what.pid = (pid_t)pid;
	}
	if (what.pid && !what.root && !arg_is_set(args, "passive")) {
		struct err why = {0};
		int r = flow_ask_proc(what.pid, &asked, &why);

		if (!r)
			what.obstacles = &asked.obstacles;
		else if (r != -EDEADLK)
			return say_error(&why);
	}
	if (ready_build(&what, &report, &e) < 0)
		return say_error(&e);
	if (arg_is_set(args, "json"))
		ready_add_json(&out, &report);
	else
		ready_add_text(&out, &report, arg_is_set(args, "all"));
	fputs(buf_text(&out), stdout);
	return report.verdict == READY_NO ? EXIT_OBSTACLE : EXIT_DONE;
}

const struct verb verb_diag_ready = {
	.name = "diag snapshot-readiness",
	.summary = "Say whether this machine, and a program on it, can be snapshotted",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};
