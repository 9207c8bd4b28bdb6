/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "cmd/cmd.h"

static const struct verb_option options[] = {
	{"pid", "PID", "the root of the tree", true},
	{"name", "NAME", "what to call the snapshot", true},
	{"profile", "PROFILE", "minimal (the default), net or full: how much is attempted", false},
	{"stop", NULL, "end the tree once the snapshot is safe on disk", false},
	{"replace", NULL, "an existing snapshot of that name gives way", false},
	{"json", NULL, "say what was done as JSON", false},
	{"quiet", NULL, "say nothing when it went well", false},
};

static int parse_profile(const char *text, enum engine_profile *out)
{
	static const char *const names[] = {"minimal", "net", "full"};

	for (size_t i = 0; text && i < ARRAY_LEN(names); i++)
		if (!strcmp(text, names[i])) {
			*out = (enum engine_profile)i;
			return 0;
		}
	return text ? -EINVAL : 0;
}

static void report(const struct args *args, const struct snap_proc *what,
                   const struct snap_proc_result *result)
{
	char size[16];

	if (arg_is_set(args, "json")) {
		AUTO(buf) struct buf name = {0};

		text_add_json_string(&name, what->name, strlen(what->name));
		printf("{\"name\":%s,\"tasks\":%zu,\"threads\":%zu,\"pages\":%llu,"
		       "\"frozen_ms\":%.3f,\"total_ms\":%.3f}\n",
		       buf_text(&name), result->tasks, result->threads,
		       (unsigned long long)result->pages, (double)result->frozen_ns / 1e6,
		       (double)result->total_ns / 1e6);
	} else if (!arg_is_set(args, "quiet")) {
		printf("%s: %zu task%s, %s of memory, frozen %.1f ms, %s\n", what->name,
		       result->tasks, result->tasks == 1 ? "" : "s",
		       text_of_bytes(size, result->pages * PAGE_BYTES),
		       (double)result->frozen_ns / 1e6,
		       what->stop ? "ended; wslx restore proc brings it back" : "runs on");
	}
}

static int run(struct args *args)
{
	AUTO(store) struct store *store = NULL;
	struct snap_proc what = {.name = arg_value(args, "name"),
	                         .stop = arg_is_set(args, "stop"),
	                         .replace = arg_is_set(args, "replace")};
	struct snap_proc_result result = {0};
	struct err e = {0};
	uint64_t pid;
	int r, code = EXIT_DONE;

	if (text_to_u64(arg_value(args, "pid"), 10, INT32_MAX, &pid) < 0 || !pid)
		return say_usage(args, "--pid %s: not a process number", arg_value(args, "pid"));
	if (parse_profile(arg_value(args, "profile"), &what.profile) < 0)
		return say_usage(args, "--profile is minimal, net or full");
	what.pid = (pid_t)pid;
	r = cmd_open_store(&store, &e);
	if (!r)
		r = flow_snap_proc(store, &what, &result, &e);
	if (r < 0) {
		code = say_error(&e);
		if (result.obstacles.count > 1)
			say_obstacles(&result.obstacles);
	} else {
		report(args, &what, &result);
	}
	snap_proc_result_finish(&result);
	return code;
}

const struct verb verb_snap_proc = {
	.name = "snap proc",
	.summary = "Take a snapshot of a running process tree",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};
