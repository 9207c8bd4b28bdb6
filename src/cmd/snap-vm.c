/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "cmd/cmd.h"
#include "flow/vm.h"

static const struct verb_option options[] = {
	{"distro", "NAME", "the machine, as wslx boot --name called it", false},
	{"machine", "SOCKET", "instead: where it listens, as given to --control", false},
	{"name", "NAME", "what to call the snapshot", true},
	{"replace", NULL, "an existing snapshot of that name gives way", false},
	{"fast", NULL, "compress less: half the work, up to three times the size", false},
	{"public", NULL, "do not encrypt it: it is for others (wslx push)", false},
	{"json", NULL, "say what was done as JSON", false},
	{"quiet", NULL, "say nothing when it went well", false},
};

static int run(struct args *args)
{
	AUTO(store) struct store *store = NULL;
	AUTO(buf) struct buf name = {0};
	AUTO(text) char *socket = NULL;
	const char *distro = arg_value(args, "distro");
	struct snap_vm what = {
		.socket = arg_value(args, "machine"),
		.name = arg_value(args, "name"),
		.machine = distro,
		.replace = arg_is_set(args, "replace"),
		.compression =
			arg_is_set(args, "fast") ? STORE_COMPRESS_AUTO : STORE_COMPRESS_SMALL,
		.is_public = arg_is_set(args, "public"),
	};
	struct snap_vm_result result = {0};
	struct err e = {0};
	char size[16];
	int r;

	if (!distro == !what.socket)
		return say_usage(args, "either --distro or --machine is needed");
	r = cmd_open_store(&store, &e);
	if (!r && distro)
		r = flow_find_machine(store, distro, &socket, &e);
	if (!r && distro)
		what.socket = socket;
	if (!r)
		r = flow_snap_vm(store, &what, &result, &e);
	if (r)
		return say_error(&e);
	if (arg_is_set(args, "json")) {
		text_add_json_string(&name, what.name, strlen(what.name));
		printf("{\"name\":%s,\"pages\":%llu,\"pause_ms\":%.3f,\"total_ms\":%.3f}\n",
		       buf_text(&name), (unsigned long long)result.pages,
		       (double)result.pause_ns / 1e6, (double)result.total_ns / 1e6);
	} else if (!arg_is_set(args, "quiet")) {
		printf("%s: %s of memory and disks, the machine stood still for %.2f ms\n",
		       what.name, text_of_bytes(size, result.pages * PAGE_BYTES),
		       (double)result.pause_ns / 1e6);
	}
	return EXIT_DONE;
}

const struct verb verb_snap_vm = {
	.name = "snap vm",
	.summary = "Take a snapshot of a machine, which runs on",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};
