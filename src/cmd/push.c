/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/progress.h"
#include "flow/registry.h"

static const struct verb_option options[] = {
	{"sealed", NULL, "also one that only this store's key opens", false},
	{"sign", "FILE", "sign it with this ed25519 private key (PEM)", false},
	{"subject", "REF", "the image that it was made from, of which it becomes a referrer",
         false},
	{"insecure", NULL, "allow plain http and unknown certificates", false},
	{"json", NULL, "say what was done as JSON", false},
	{"quiet", NULL, "say nothing when it went well", false},
};

static void say_json(const struct push_snapshot *what, const struct push_result *r)
{
	AUTO(buf) struct buf b = {0};

	buf_add_text(&b, "{\"name\":");
	text_add_json_string(&b, what->name, strlen(what->name));
	buf_add_text(&b, ",\"ref\":");
	text_add_json_string(&b, what->ref, strlen(what->ref));
	buf_printf(&b,
	           ",\"digest\":\"%s\",\"bytes\":%llu,\"sent_bytes\":%llu,\"sent\":%u,"
	           "\"mounted\":%u,\"were_there\":%u}\n",
	           r->digest, (unsigned long long)r->bytes, (unsigned long long)r->sent_bytes,
	           r->sent, r->mounted, r->were_there);
	fwrite(b.data, 1, b.len, stdout);
}

static int run(struct args *args)
{
	AUTO(store) struct store *store = NULL;
	bool quiet = arg_is_set(args, "quiet");
	struct push_snapshot what = {
		.name = args->operands[0],
		.ref = args->operands[1],
		.sign = arg_value(args, "sign"),
		.subject = arg_value(args, "subject"),
		.sealed = arg_is_set(args, "sealed"),
		.insecure = arg_is_set(args, "insecure"),
	};
	struct push_result result;
	struct progress progress;
	struct err e = {0};
	char all[16], sent[16];
	int r = cmd_open_store(&store, &e);

	progress_begin(&progress, "push", quiet);
	what.progress = &progress.oci;
	if (!r)
		r = flow_push(store, &what, &result, &e);
	progress_end(&progress);
	if (r)
		return say_error(&e);
	if (arg_is_set(args, "json"))
		say_json(&what, &result);
	else if (!quiet)
		printf("%s: %s, of which %s were sent, %s\n", what.name,
		       text_of_bytes(all, result.bytes), text_of_bytes(sent, result.sent_bytes),
		       result.digest);
	return EXIT_DONE;
}

const struct verb verb_push = {
	.name = "push",
	.operands = "NAME REF",
	.min_operands = 2,
	.max_operands = 2,
	.summary = "Store a snapshot in a registry",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};
