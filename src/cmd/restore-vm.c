/* SPDX-License-Identifier: MIT */
#include "cmd/machine.h"
#include "flow/vm.h"

static const struct verb_option options[] = {
	{"name", "NAME", "the snapshot", true},
	{"control", "SOCKET", "listen there for requests, such as wslx snap vm", false},
	{"stats", NULL, "say at the end what the machine did", false},
};

static int run(struct args *args)
{
	AUTO(store) struct store *store = NULL;
	struct opened_vm from = {.ram_fd = -1};
	struct vm_config config = {0};
	struct session s;
	struct err e = {0};
	int r = cmd_open_store(&store, &e), code;

	session_config(&s, &config);
	if (!r)
		r = flow_open_vm(store, arg_value(args, "name"), &from, &e);
	if (!r) {
		config.ram_bytes = from.ram_bytes;
		config.ram_fd = from.ram_fd;
		for (unsigned i = 0; i < from.n_disks; i++) {
			s.control.disk[i] = from.disk[i];
			config.disk[i] = from.disk[i].disk;
		}
		s.control.n_disks = config.n_disks = from.n_disks;
		s.vm = vm_create(&config, &e);
		r = s.vm ? vm_load(s.vm, from.state, NULL, &e) : e.code;
	}
	code = r ? say_error(&e)
	         : session_run(&s, arg_value(args, "control"), arg_is_set(args, "stats"));
	vm_destroy(s.vm);
	opened_vm_finish(&from);
	return code;
}

const struct verb verb_restore_vm = {
	.name = "restore vm",
	.summary = "Go on with a machine from its snapshot, on this terminal",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};
