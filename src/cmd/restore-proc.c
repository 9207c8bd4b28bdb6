/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/cmd.h"

static const struct verb_option options[] = {
	{"name", "NAME", "the snapshot", true},
	{"pidns", NULL, "in a new pid namespace; always so without root", false},
	{"clone", NULL, "restore it again, although it was restored already", false},
	{"eager", NULL, "fill all memory before it runs, which is done always now", false},
	{"tty", NULL, "give it this terminal, and wait for it", false},
	{"changed-files", NULL, "accept files whose size or time changed since", false},
	{"json", NULL, "say what was done as JSON", false},
	{"quiet", NULL, "do not print the pid", false},
};

/* With a terminal we stay, as a shell would: its job is in the foreground until it ends. */
static int attend(const struct restored *done)
{
	int status;

	signal(SIGTTOU, SIG_IGN);
	/* A terminal of its own, with a child of ours between, leaves this one to the child. */
	if (!done->tty)
		tcsetpgrp(0, getpgid(done->root));
	while (waitpid(done->child, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILED;
	if (done->tty)
		waitpid(done->tty, NULL, 0);
	else
		tcsetpgrp(0, getpgrp());
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run(struct args *args)
{
	AUTO(store) struct store *store = NULL;
	struct restore_proc what = {
		.name = arg_value(args, "name"),
		.clone = arg_is_set(args, "clone"),
		.options = {.pidns = arg_is_set(args, "pidns"),
	                    .tty = -1,
	                    .changed_files = arg_is_set(args, "changed-files")}};
	struct restored done = {0};
	struct err e = {0};
	int r;

	/* Choosing pids is a right; in a namespace of one's own everybody has it. */
	if (geteuid() != 0)
		what.options.pidns = true;
	if (arg_is_set(args, "tty")) {
		if (!isatty(0))
			return say_usage(args, "--tty: standard input is not a terminal");
		what.options.tty = 0;
	}
	r = cmd_open_store(&store, &e);
	if (!r)
		r = flow_restore_proc(store, &what, &done, &e);
	if (r < 0) {
		restored_finish(&done);
		return say_error(&e);
	}
	LIST_EACH(&done.notes, const char *, note)
		say_note(*note);
	restored_finish(&done);
	if (what.options.tty >= 0)
		return attend(&done);
	if (arg_is_set(args, "json"))
		printf("{\"pid\":%d}\n", done.root);
	else if (!arg_is_set(args, "quiet"))
		printf("%d\n", done.root);
	return EXIT_DONE;
}

const struct verb verb_restore_proc = {
	.name = "restore proc",
	.summary = "Bring a process tree back; prints the pid of its root",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};
