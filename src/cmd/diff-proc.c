/* SPDX-License-Identifier: MIT */
#include "cmd/cmd.h"

static const struct verb_option options[] = {
	{"name", "NAME", "a snapshot; given twice", true},
};

static int run(struct args *args)
{
	AUTO(store) struct store *store = NULL;
	AUTO(buf) struct buf out = {0};
	struct err e = {0};
	size_t differences = 0;
	int at = 0, r;
	const char *a = arg_next(args, "name", &at), *b = arg_next(args, "name", &at);

	if (!b || arg_next(args, "name", &at))
		return say_usage(args, "--name is given twice: what shall be compared with what");
	r = cmd_open_store(&store, &e);

	if (!r)
		r = flow_diff_proc(store, a, b, &out, &differences, &e);
	if (r < 0)
		return say_error(&e);
	fputs(buf_text(&out), stdout);
	printf("%zu difference%s\n", differences, differences == 1 ? "" : "s");
	return EXIT_DONE;
}

const struct verb verb_diff_proc = {
	.name = "diff proc",
	.summary = "Show what differs between two process snapshots",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};
