/* SPDX-License-Identifier: MIT */
/* A baked machine, at its prompt. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd/machine.h"
#include "flow/vm.h"
#include "os/os.h"

#define OPEN_BARRIER "=\n"

static const struct verb_option options[] = {
	{"distro", "NAME", "call the machine so; the snapshot's name if it is not given", false},
	{"share", "HOSTDIR:GUESTDIR[:ro]", "a directory of the host; may repeat", false},
	{"env", "NAME=VALUE", "for what runs there; may repeat", false},
	{"stats", NULL, "say at the end what the machine did", false},
};

static void tell(struct args *args, struct shares *to, const char *distro)
{
	const char *term = getenv("TERM"), *text;
	uint64_t now = os_clock_ns(CLOCK_REALTIME);
	AUTO(text)
	char *clock = xprintf("%llu.%09llu", (unsigned long long)(now / 1000000000),
	                      (unsigned long long)(now % 1000000000));
	AUTO(buf) struct buf line = {0};
	int at = 0;

	shares_tell(to, "t", clock);
	shares_tell(to, "h", distro);
	if (term && *term) {
		AUTO(text) char *assignment = xprintf("TERM=%s", term);

		shares_tell(to, "env", assignment);
	}
	while ((text = arg_next(args, "env", &at)))
		shares_tell(to, "env", text);
	for (int i = 0; i < args->n_operands - 1; i++)
		shares_add_word(&line, args->operands[i + 1]);
	if (line.len) {
		shares_tell(to, "e", "");
		shares_tell(to, "c", buf_text(&line));
	}
}

static int start(struct args *args, struct session *s, struct vm_config *config,
                 struct opened_vm *from, struct err *e)
{
	const char *snapshot = args->operands[0], *given = arg_value(args, "distro");
	AUTO(text) char *distro = given ? xstrdup(given) : machine_name_of(snapshot);
	AUTO(store) struct store *store = NULL;
	int r = cmd_open_store(&store, e);

	if (!r)
		r = session_name(s, store, distro, NULL, e);
	if (!r)
		r = flow_open_vm(store, snapshot, from, e);
	if (!r && !from->at_barrier)
		r = err_say(e, OBSTACLE,
		            "%s was not baked; wslx restore vm --name %s goes on with it", snapshot,
		            snapshot);
	if (!r)
		r = session_share(s, args, e);
	if (r)
		return r;
	tell(args, &s->shares, distro);
	r = shares_attach(&s->shares, config, e);
	return r ? r : session_restore(s, config, from, e);
}

static int run(struct args *args)
{
	struct opened_vm from = {.ram_fd = -1};
	struct vm_config config = {0};
	struct session s;
	struct err e = {0};
	int r, code;

	session_config(&s, &config);
	r = start(args, &s, &config, &from, &e);
	if (!r)
		vm_console_input(s.vm, (const uint8_t *)OPEN_BARRIER, strlen(OPEN_BARRIER));
	code = r ? say_error(&e) : session_run(&s, arg_is_set(args, "stats"));
	session_finish(&s);
	opened_vm_finish(&from);
	return code;
}

const struct verb verb_run = {
	.name = "run",
	.operands = "NAME [-- COMMAND ARGUMENT...]",
	.min_operands = 1,
	.max_operands = 1000,
	.summary = "Start a machine from a baked snapshot, at its prompt",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};
