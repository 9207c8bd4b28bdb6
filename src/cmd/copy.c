/* SPDX-License-Identifier: MIT */
#include "cmd/cmd.h"
#include "flow/registry.h"

static const struct verb_option options[] = {
	{"public", NULL, "do not encrypt the copy: who has it can read all of its memory", false},
	{"replace", NULL, "an existing snapshot of that name gives way", false},
	{"quiet", NULL, "say nothing when it went well", false},
};

static int run(struct args *args)
{
	AUTO(store) struct store *store = NULL;
	const struct copy_snapshot what = {.name = args->operands[0],
	                                   .copy = args->operands[1],
	                                   .replace = arg_is_set(args, "replace"),
	                                   .is_public = arg_is_set(args, "public")};
	struct err e = {0};
	int r = cmd_open_store(&store, &e);

	if (!r)
		r = flow_copy(store, &what, &e);
	if (r)
		return say_error(&e);
	if (!arg_is_set(args, "quiet"))
		printf("%s: a %s copy of %s\n", what.copy, what.is_public ? "public" : "sealed",
		       what.name);
	return EXIT_DONE;
}

const struct verb verb_copy = {
	.name = "copy",
	.operands = "NAME NEW",
	.min_operands = 2,
	.max_operands = 2,
	.summary = "Store a snapshot once more, sealed anew or for the public",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};
