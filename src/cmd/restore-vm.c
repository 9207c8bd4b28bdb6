/* SPDX-License-Identifier: MIT */
#include "cmd/machine.h"
#include "flow/vm.h"

static const struct verb_option options[] = {
	{"name", "NAME", "the snapshot", true},
	{"distro", "NAME", "call the machine so: wslx snap vm --distro NAME finds it", false},
	{"control", "SOCKET", "listen there for requests, such as wslx snap vm", false},
	{"share", "HOSTDIR:GUESTDIR[:ro]", "a directory of the host; may repeat", false},
	NET_OPTIONS,
	{"stats", NULL, "say at the end what the machine did", false},
};

/* A machine has the devices it was started with: shares cannot come later. */
static int attach_shares(const struct args *args, struct session *s, const struct opened_vm *from,
                         struct vm_config *config, struct err *e)
{
	int r = session_share(s, args, e);

	if (r)
		return r;
	if (from->needs.n_shares && from->needs.n_shares != VM_SHARES_MAX)
		return err_say(e, -EBADMSG, "a machine with an impossible number of shares");
	if (!from->needs.n_shares && s->shares.n_dirs)
		return err_say(e, OBSTACLE,
		               "this machine was started without shares and has no device for "
		               "them; start it with --share");
	return from->needs.n_shares ? shares_attach(&s->shares, config, e) : 0;
}

static int run(struct args *args)
{
	const char *name = arg_value(args, "name");
	struct store *store = NULL;
	struct opened_vm from = {.ram_fd = -1};
	struct vm_config config = {0};
	struct session s;
	struct err e = {0};
	int r, code;

	session_config(&s, &config);
	flow_guess_vm(&name, 1, &from);
	r = net_choose(args, true, &s.choice, &e);
	if (!r)
		r = session_begin(&s, &from, &e);
	if (!r)
		r = cmd_open_store(&store, &e);
	if (!r)
		r = session_name(&s, store, arg_value(args, "distro"), arg_value(args, "control"),
		                 &e);
	if (!r)
		r = flow_open_vm(store, name, &from, &e);
	/* The machine process must not have the store's key. */
	store_close(store);
	if (!r)
		r = net_check_restored(&s.choice, from.needs.has_net, &e);
	config.has_net = from.needs.has_net;
	if (!r)
		r = net_attach(&s.choice, &config, &s.net, &e);
	if (!r)
		r = attach_shares(args, &s, &from, &config, &e);
	if (!r)
		r = session_restore(&s, &config, &from, &e);
	code = r ? say_error(&e) : session_run(&s, arg_is_set(args, "stats"));
	session_finish(&s);
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
