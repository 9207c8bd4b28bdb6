/* SPDX-License-Identifier: MIT */
/*
 * A baked machine, at its prompt.
 *
 * This process becomes the machine, and gives up everything. So what takes longest, RAM and CPU, is
 * begun by a thread before it is known whether the guess is right, while the store is opened and the
 * snapshot is authenticated; a wrong guess costs time. Before that a supervisor is forked: when
 * the terminal goes away or the user leaves it keeps the machine under its name, and the next run
 * of that name goes on with it.
 */
#include <stdlib.h>

#include "cmd/machine.h"
#include "cmd/run.h"
#include "cmd/supervisor.h"
#include "flow/vm.h"

static const struct verb_option options[] = {
	{"distro", "NAME", "call the machine so; the snapshot's name if it is not given", false},
	{"share", "HOSTDIR:GUESTDIR[:ro]", "a directory of the host; may repeat", false},
	NET_OPTIONS,
	{"fresh", NULL, "start from the baked snapshot, and forget what was kept", false},
	{"env", "NAME=VALUE", "for what runs there; may repeat", false},
	{"verify", "FILE", "of a registry: only if this public key (PEM) has signed it", false},
	{"limit", "BYTES", "of a registry: refuse what is larger (K, M, G); 64G", false},
	{"insecure", NULL, "allow plain http and unknown certificates of a registry", false},
	BAKE_OPTIONS,
	{"stats", NULL, "say at the end what the machine did", false},
};

static void tell(struct args *args, struct shares *to, const char *distro)
{
	const char *term = getenv("TERM"), *text;
	AUTO(buf) struct buf line = {0};
	int at = 0;

	shares_tell_clock(to);
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

/* ---- which machine ------------------------------------------------------------------------ */

struct launch {
	struct args *args;
	struct bake bake;          /* how an image is baked that was never run */
	struct arrived_vm arrived; /* what came from a registry, or is coming */
	struct distro_choice choice;
	struct distro distro;
	struct supervisor supervisor;
	struct session session;
	struct vm_config config;
};

static void say_other(const struct launch *l, const char *snapshot)
{
	const struct distro *d = &l->distro;
	AUTO(text) char *line = NULL;

	if (d->left && !d->resumes)
		line = xprintf(
			"%s has changed since the distro %s was kept: this is a new one, %s; "
			"--distro %s goes on with the old one, wslx rm --distro %s forgets it",
			snapshot, d->left, d->name, d->left, d->left);
	else if (d->outdated)
		line = xprintf("%s has changed since the distro %s was kept, which goes on as it "
		               "was; --fresh starts the new one",
		               snapshot, d->name);
	if (line)
		say_note(line);
}

static int open_distro(struct launch *l, struct store *store, struct err *e)
{
	const char *snapshot = l->choice.snapshot;
	struct distro *d = &l->distro;
	int r = flow_open_distro(store, &l->choice, d, e);

	if (r)
		return r;
	if (d->resumes && l->args->n_operands > 1)
		return err_say(
			e, OBSTACLE,
			"%s was kept while something ran in it, which goes on without a command: "
			"wslx shell %s, and wslx exec beside it; --fresh forgets it, another "
			"--distro leaves it alone",
			d->name, d->name);
	if (!d->resumes && !d->vm.at_barrier)
		return err_say(e, OBSTACLE,
		               "%s was not baked; wslx restore vm --name %s goes on with it",
		               snapshot, snapshot);
	say_other(l, snapshot);
	return 0;
}

/* What can be begun before anything is known for sure; @what as for open_machine(). */
static int begin(struct launch *l, const char *what, struct err *e)
{
	int r = net_choose(l->args, true, &l->session.choice, e);

	if (!r && what)
		r = run_ask_early(what, &l->bake, &l->arrived, e);
	if (!r)
		r = supervisor_start(&l->supervisor, e);
	l->choice.snapshot = what;
	if (r)
		return r;
	flow_guess_distro(&l->choice, &l->distro);
	return session_begin(&l->session, &l->distro.vm, e);
}

static int find_snapshot(struct launch *l, const char *what, struct store **store, char **out,
                         struct err *e)
{
	bool is_name;
	int r = store_has(*store, what, &is_name, e);

	if (r)
		return r;
	if (is_name) {
		*out = xstrdup(what);
		return 0;
	}
	/* Its thread must not be there when others are forked, and its network is none of theirs. */
	opened_vm_finish(&l->distro.vm);
	net_destroy(l->session.net);
	l->session.net = NULL;
	return run_find_snapshot(what, &l->bake, store, &l->arrived, out, e);
}

/* @what: the snapshot or image to start from; NULL: only what was kept */
static int open_machine(struct launch *l, const char *what, struct err *e)
{
	AUTO(store) struct store *store = NULL;
	AUTO(text) char *snapshot = NULL;
	int r = cmd_open_store(&store, e);

	if (!r && what)
		r = find_snapshot(l, what, &store, &snapshot, e);
	l->choice.snapshot = snapshot;
	if (l->arrived.pull.state == PULL_BEGUN)
		l->choice.coming = &l->arrived.vm;
	if (!r)
		r = open_distro(l, store, e);
	if (!r)
		r = net_check_restored(&l->session.choice, l->distro.vm.needs.has_net, e);
	if (!r)
		r = session_share(&l->session, l->args, e);
	if (r)
		return r;
	l->session.socket = xstrdup(l->distro.socket);
	tell(l->args, &l->session.shares, l->distro.name);
	l->config.has_net = l->distro.vm.needs.has_net;
	if (l->config.has_net && !l->distro.resumes) {
		net_make_mac(l->config.mac);
		shares_tell_mac(&l->session.shares, l->config.mac);
	}
	return shares_attach(&l->session.shares, &l->config, e);
}

/* ---- its life ----------------------------------------------------------------------------- */

/* Be the machine. Return: its exit status. */
static int live(struct launch *l, struct err *e)
{
	opened_vm_begin(&l->distro.vm);
	if (net_attach(&l->session.choice, &l->config, &l->session.net, e) ||
	    session_restore(&l->session, &l->config, &l->distro.vm, e))
		return say_error(e);
	if (!l->distro.resumes)
		shares_open_barrier(l->session.vm);
	return session_run(&l->session, arg_is_set(l->args, "stats"));
}

static int start(struct launch *l)
{
	struct err e = {0};

	/* Its end shall be heard at its own line alone. */
	opened_vm_finish(&l->arrived.vm);
	l->arrived.is_started = true;
	if (supervisor_name(&l->supervisor, &l->distro, &e))
		return say_error(&e);
	l->session.leave = l->supervisor.line;
	return live(l, &e);
}

/* Have the supervisor do its part. Return: the exit status. */
static int end(struct launch *l, int code)
{
	int r = supervisor_end(&l->supervisor);

	if (r == -EPIPE && l->session.is_off && l->distro.resumes) {
		AUTO(text)
		char *line = xprintf(
			"what was kept of %s is still there, since the process that would remove "
			"it has died; wslx rm --distro %s forgets it",
			l->distro.name, l->distro.name);

		say_note(line);
		return EXIT_FAILED;
	}
	return r == -EIO ? EXIT_FAILED : code;
}

static int launch(struct launch *l, const char *what)
{
	struct err e = {0};
	int code;

	session_config(&l->session, &l->config);
	if (begin(l, what, &e) || open_machine(l, what, &e))
		code = say_error(&e);
	else
		code = start(l);
	code = end(l, code);
	session_finish(&l->session);
	distro_finish(&l->distro);
	arrived_vm_finish(&l->arrived);
	return code;
}

static int run(struct args *args)
{
	struct launch l = {
		.args = args,
		.arrived.vm.ram_fd = -1,
		.choice = {.name = arg_value(args, "distro"), .fresh = arg_is_set(args, "fresh")},
		.distro = {.lock = -1, .vm.ram_fd = -1}};
	int code = bake_take_options(args, &l.bake);

	return code ? code : launch(&l, args->operands[0]);
}

int run_kept(struct args *args)
{
	struct launch l = {.args = args,
	                   .arrived.vm.ram_fd = -1,
	                   .choice.name = args->operands[0],
	                   .distro = {.lock = -1, .vm.ram_fd = -1}};

	return launch(&l, NULL);
}

const struct verb verb_run = {
	.name = "run",
	.operands = "NAME|REF|IMAGE [-- COMMAND ARGUMENT...]",
	.min_operands = 1,
	.max_operands = 1000,
	.summary = "Be at the prompt of a baked snapshot, or of an image, here or in a registry",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};
