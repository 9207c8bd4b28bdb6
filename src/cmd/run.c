/* SPDX-License-Identifier: MIT */
/*
 * A baked machine, at its prompt.
 *
 * Two processes: the machine, which has given up everything, and we, who wait for it. When the
 * terminal goes away or the user leaves we keep the machine under its name, and the next run of
 * that name goes on with it.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cmd/machine.h"
#include "cmd/run.h"
#include "flow/vm.h"
#include "os/os.h"

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

/* @what: the snapshot or image to start from; NULL: only what was kept */
static int open_machine(struct launch *l, const char *what, struct err *e)
{
	AUTO(store) struct store *store = NULL;
	AUTO(text) char *snapshot = NULL;
	int r = what ? run_ask_early(what, &l->bake, &l->arrived, e) : 0;

	if (!r)
		r = cmd_open_store(&store, e);
	if (!r && what)
		r = run_find_snapshot(what, &l->bake, &store, &l->arrived, &snapshot, e);
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

static int be_machine(struct launch *l)
{
	struct err e = {0};

	opened_vm_begin(&l->distro.vm);
	if (net_attach(&l->session.choice, &l->config, &l->session.net, &e) ||
	    session_restore(&l->session, &l->config, &l->distro.vm, &e))
		return say_error(&e);
	if (!l->distro.resumes)
		shares_open_barrier(l->session.vm);
	return session_run(&l->session, arg_is_set(l->args, "stats"));
}

static int keep(const struct launch *l, struct err *e)
{
	AUTO(store) struct store *store = NULL;
	int r = cmd_open_store(&store, e);

	return r ? r : flow_stop_machine(store, l->distro.name, true, e);
}

/* Whether the user has left while the machine could not be kept. */
static bool is_lost(int leave)
{
	struct pollfd fd = {.fd = leave, .events = POLLIN};
	char what;

	return poll(&fd, 1, 0) > 0 && read(leave, &what, 1) == 1 && what == LEAVE_LOST;
}

/* A machine that has ended by itself has nothing left that could go on. */
static int forget(const struct launch *l)
{
	AUTO(store) struct store *store = NULL;
	AUTO(arena) struct arena a = {0};
	struct err e = {0};
	int r = cmd_open_store(&store, &e);

	if (!r)
		r = store_remove(store, flow_saved_name(&a, l->distro.name), &e);
	return r && r != -ENOENT ? say_error(&e) : EXIT_DONE;
}

static int status_of(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
}

/* Signals that would end us; the machine sees none of them. */
static int watch_hangup(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGINT, SIG_IGN); /* it goes to the machine too, which decides */
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int wait_for_machine(struct launch *l, pid_t child, int leave, int hangup)
{
	/* A terminal that is not ours to control hangs up without a signal. */
	struct pollfd fds[] = {{.fd = leave, .events = POLLIN},
	                       {.fd = hangup, .events = POLLIN},
	                       {.fd = isatty(STDIN_FILENO) ? STDIN_FILENO : -1}};
	struct signalfd_siginfo signal;
	bool kept = false;
	char what = 0;
	int code;

	/* The pipe closes when the machine has ended. */
	for (;;) {
		if (poll(fds, ARRAY_LEN(fds), -1) < 0)
			continue;
		if (fds[0].revents && read(leave, &what, 1) != 1)
			break;
		if (what == LEAVE_ENDED || what == LEAVE_LOST)
			break;
		/* One try for each signal: a machine that cannot be kept runs on. */
		if (fds[1].revents && read(hangup, &signal, sizeof(signal)) < 0)
			continue;
		if (fds[2].revents)
			fds[2].fd = -1;
		if (!kept) {
			struct err e = {0};

			kept = keep(l, &e) == 0;
			if (!kept && is_lost(leave))
				break;
			if (!kept)
				say_error(&e);
		}
		fds[1].fd = kept ? -1 : hangup;
		what = 0;
	}
	code = status_of(child);
	if (what == LEAVE_ENDED && l->distro.resumes && forget(l) != EXIT_DONE)
		return EXIT_FAILED;
	return code;
}

static int start(struct launch *l)
{
	int ends[2], hangup = watch_hangup(), code;
	struct err e = {0};
	pid_t child;

	if (hangup < 0 || pipe2(ends, O_CLOEXEC)) {
		err_set(&e, -errno, "pipe");
		return say_error(&e);
	}
	l->arrived.is_started = true;
	child = fork();
	if (child < 0) {
		err_set(&e, -errno, "starting a machine");
		return say_error(&e);
	}
	if (!child) {
		close(ends[0]);
		close(hangup);
		l->session.leave = ends[1];
		code = be_machine(l);
		fflush(stdout);
		_exit(code);
	}
	close(ends[1]);
	/* The machine alone has its line, so that its end is heard there. */
	opened_vm_finish(&l->distro.vm);
	opened_vm_finish(&l->arrived.vm);
	code = wait_for_machine(l, child, ends[0], hangup);
	/* Nobody listens there any more. The next machine of this name would remove it as well. */
	unlink(l->distro.socket);
	close(ends[0]);
	close(hangup);
	return code;
}

static int launch(struct launch *l, const char *what)
{
	struct err e = {0};
	int code;

	session_config(&l->session, &l->config);
	if (net_choose(l->args, true, &l->session.choice, &e) || open_machine(l, what, &e))
		code = say_error(&e);
	else
		code = start(l);
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
