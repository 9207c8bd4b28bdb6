/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/progress.h"

#define LIMIT_BYTES (UINT64_C(64) << 30)

static const struct verb_option options[] = {
	{"name", "NAME", "what to call it here; else the last part of the reference", false},
	{"replace", NULL, "a snapshot of that name from elsewhere gives way", false},
	{"verify", "FILE", "only if this ed25519 public key (PEM) has signed it", false},
	{"limit", "BYTES", "refuse what is larger (K, M, G); 64G", false},
	{"insecure", NULL, "allow plain http and unknown certificates", false},
	{"json", NULL, "say what was done as JSON", false},
	{"quiet", NULL, "say nothing when it went well", false},
};

static const char *const states[] = {
	[PULL_DONE] = "pulled", [PULL_CURRENT] = "current", [PULL_OFFLINE] = "offline"};

static void say_json(const struct pull_result *r)
{
	AUTO(buf) struct buf b = {0};

	buf_add_text(&b, "{\"name\":");
	text_add_json_string(&b, r->name, strlen(r->name));
	buf_add_text(&b, ",\"origin\":");
	text_add_json_string(&b, r->origin, strlen(r->origin));
	buf_printf(&b,
	           ",\"digest\":\"%s\",\"state\":\"%s\",\"bytes\":%llu,\"fetched_bytes\":%llu}\n",
	           r->digest, states[r->state], (unsigned long long)r->bytes,
	           (unsigned long long)r->fetched_bytes);
	fwrite(b.data, 1, b.len, stdout);
}

static void say_text(const struct pull_result *r)
{
	char all[16], fetched[16];

	if (r->state == PULL_DONE)
		printf("%s: %s, of which %s were fetched, %s\n", r->name,
		       text_of_bytes(all, r->bytes), text_of_bytes(fetched, r->fetched_bytes),
		       r->digest);
	else if (r->state == PULL_CURRENT)
		printf("%s is what %s has: %s\n", r->name, r->origin, r->digest);
}

static int run(struct args *args)
{
	AUTO(store) struct store *store = NULL;
	bool quiet = arg_is_set(args, "quiet");
	const char *limit = arg_value(args, "limit");
	struct pull_snapshot what = {
		.ref = args->operands[0],
		.name = arg_value(args, "name"),
		.verify = arg_value(args, "verify"),
		.limit = LIMIT_BYTES,
		.replace = arg_is_set(args, "replace"),
		.insecure = arg_is_set(args, "insecure"),
	};
	struct pull_result result = {0};
	struct progress progress;
	struct err e = {0};
	int r;

	if (limit && text_to_bytes(limit, INT64_MAX, &what.limit) < 0)
		return say_usage(args, "%s is no number of bytes", limit);
	r = cmd_open_store(&store, &e);
	progress_begin(&progress, "pull", quiet);
	what.progress = &progress.oci;
	if (!r)
		r = flow_pull(store, &what, &result, &e);
	progress_end(&progress);
	if (!r && result.state == PULL_OFFLINE)
		say_offline(&result);
	if (!r && arg_is_set(args, "json"))
		say_json(&result);
	else if (!r && !quiet)
		say_text(&result);
	pull_result_finish(&result);
	return r ? say_error(&e) : EXIT_DONE;
}

const struct verb verb_pull = {
	.name = "pull",
	.operands = "REF",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "Fetch a snapshot from a registry, as far as it is not here",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};
