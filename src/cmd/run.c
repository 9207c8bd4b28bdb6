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
#include "cmd/progress.h"
#include "flow/vm.h"
#include "os/os.h"

#define OPEN_BARRIER "=\n"

static const struct verb_option options[] = {
	{"distro", "NAME", "call the machine so; the snapshot's name if it is not given", false},
	{"share", "HOSTDIR:GUESTDIR[:ro]", "a directory of the host; may repeat", false},
	NET_OPTIONS,
	{"fresh", NULL, "start from the baked snapshot, and forget what was kept", false},
	{"env", "NAME=VALUE", "for what runs there; may repeat", false},
	{"insecure", NULL, "allow plain http and unknown certificates of a registry", false},
	{"stats", NULL, "say at the end what the machine did", false},
};

static void tell_mac(struct shares *to, const uint8_t *mac)
{
	AUTO(text)
	char *text = xprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
	                     mac[4], mac[5]);

	shares_tell(to, "n", text);
}

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

/* ---- which machine ------------------------------------------------------------------------ */

struct launch {
	struct args *args;
	char *distro;
	char *pulled; /* the name of what came from a registry, or NULL */
	bool resumes; /* what was kept, not what was baked */
	struct session session;
	struct vm_config config;
	struct opened_vm from;
};

/* Whether the machine of this name was kept; with --fresh it is forgotten. */
static int find_saved(struct launch *l, struct store *store, const char *saved, struct err *e)
{
	int r = store_has(store, saved, &l->resumes, e);

	if (r || !l->resumes)
		return r;
	if (arg_is_set(l->args, "fresh")) {
		l->resumes = false;
		return store_remove(store, saved, e);
	}
	if (l->args->n_operands > 1)
		return err_say(
			e, OBSTACLE,
			"%s was kept while something ran in it, which goes on without a command; "
			"--fresh forgets it, another --distro leaves it alone",
			l->distro);
	return 0;
}

/* What is no name here, and has a slash, is somewhere else; of that, what is missing is fetched. */
static int find_snapshot(struct launch *l, struct store *store, const char **name, struct err *e)
{
	struct pull_snapshot what = {.ref = l->args->operands[0],
	                             .insecure = arg_is_set(l->args, "insecure")};
	struct pull_result result = {0};
	struct progress progress;
	bool is_here;
	int r = store_has(store, what.ref, &is_here, e);

	*name = what.ref;
	if (r || is_here || !strchr(what.ref, '/'))
		return r;
	progress_begin(&progress, "pull", false);
	what.progress = &progress.oci;
	r = flow_pull(store, &what, &result, e);
	progress_end(&progress);
	if (!r && result.state == PULL_OFFLINE)
		say_offline(&result);
	if (!r)
		*name = l->pulled = xstrdup(result.name);
	pull_result_finish(&result);
	return r;
}

static int open_machine(struct launch *l, struct err *e)
{
	const char *snapshot, *given = arg_value(l->args, "distro");
	AUTO(store) struct store *store = NULL;
	AUTO(arena) struct arena a = {0};
	const char *saved;
	int r = net_choose(l->args, true, &l->session.choice, e);

	if (!r)
		r = cmd_open_store(&store, e);
	if (!r)
		r = find_snapshot(l, store, &snapshot, e);
	if (r)
		return r;
	l->distro = given ? xstrdup(given) : machine_name_of(snapshot);
	saved = flow_saved_name(&a, l->distro);
	r = session_name(&l->session, store, l->distro, NULL, e);
	if (!r)
		r = find_saved(l, store, saved, e);
	if (!r)
		r = flow_open_vm(store, l->resumes ? saved : snapshot, &l->from, e);
	if (!r && !l->resumes && !l->from.at_barrier)
		r = err_say(e, OBSTACLE,
		            "%s was not baked; wslx restore vm --name %s goes on with it", snapshot,
		            snapshot);
	if (!r)
		r = net_check_restored(&l->session.choice, l->from.needs.has_net, e);
	if (!r)
		r = session_share(&l->session, l->args, e);
	if (r)
		return r;
	tell(l->args, &l->session.shares, l->distro);
	l->config.has_net = l->from.needs.has_net;
	if (l->config.has_net && !l->resumes) {
		net_make_mac(l->config.mac);
		tell_mac(&l->session.shares, l->config.mac);
	}
	return shares_attach(&l->session.shares, &l->config, e);
}

/* ---- its life ----------------------------------------------------------------------------- */

static int be_machine(struct launch *l)
{
	struct err e = {0};

	if (net_attach(&l->session.choice, &l->config, &l->session.net, &e) ||
	    session_restore(&l->session, &l->config, &l->from, &e))
		return say_error(&e);
	if (!l->resumes)
		vm_console_input(l->session.vm, (const uint8_t *)OPEN_BARRIER,
		                 strlen(OPEN_BARRIER));
	return session_run(&l->session, arg_is_set(l->args, "stats"));
}

static int keep(const struct launch *l)
{
	AUTO(store) struct store *store = NULL;
	struct err e = {0};
	int r = cmd_open_store(&store, &e);

	if (!r)
		r = flow_stop_machine(store, l->distro, true, &e);
	return r ? say_error(&e) : EXIT_DONE;
}

/* A machine that has ended by itself has nothing left that could go on. */
static int forget(const struct launch *l)
{
	AUTO(store) struct store *store = NULL;
	AUTO(arena) struct arena a = {0};
	struct err e = {0};
	int r = cmd_open_store(&store, &e);

	if (!r)
		r = store_remove(store, flow_saved_name(&a, l->distro), &e);
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
	struct pollfd fds[2] = {{.fd = leave, .events = POLLIN}, {.fd = hangup, .events = POLLIN}};
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
		if (what == LEAVE_ENDED)
			break;
		/* One try for each signal: a machine that cannot be kept runs on. */
		if (fds[1].revents && read(hangup, &signal, sizeof(signal)) < 0)
			continue;
		if (!kept)
			kept = keep(l) == EXIT_DONE;
		fds[1].fd = kept ? -1 : hangup;
		what = 0;
	}
	code = status_of(child);
	if (what == LEAVE_ENDED && l->resumes && forget(l) != EXIT_DONE)
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
	code = wait_for_machine(l, child, ends[0], hangup);
	close(ends[0]);
	close(hangup);
	return code;
}

static int run(struct args *args)
{
	struct launch l = {.args = args, .from.ram_fd = -1};
	struct err e = {0};
	int code;

	session_config(&l.session, &l.config);
	code = open_machine(&l, &e) ? say_error(&e) : start(&l);
	session_finish(&l.session);
	opened_vm_finish(&l.from);
	free(l.distro);
	free(l.pulled);
	return code;
}

const struct verb verb_run = {
	.name = "run",
	.operands = "NAME|REF [-- COMMAND ARGUMENT...]",
	.min_operands = 1,
	.max_operands = 1000,
	.summary = "Start a machine from a baked snapshot, here or in a registry, at its prompt",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};
