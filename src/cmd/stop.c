/* SPDX-License-Identifier: MIT */
#include "cmd/cmd.h"
#include "flow/vm.h"

static const struct verb_option options[] = {
	{"discard", NULL, "do not keep it: what it has written is lost", false},
};

static int run(struct args *args)
{
	AUTO(store) struct store *store = NULL;
	struct err e = {0};
	int r = cmd_open_store(&store, &e);

	if (!r)
		r = flow_stop_machine(store, args->operands[0], !arg_is_set(args, "discard"), &e);
	return r ? say_error(&e) : EXIT_DONE;
}

const struct verb verb_stop = {
	.name = "stop",
	.operands = "NAME",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "Keep a running machine for its next run, and end it",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};
