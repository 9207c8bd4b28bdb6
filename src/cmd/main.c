/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <string.h>

#include "cmd/cmd.h"

static const struct verb *const verbs[] = {
	&verb_snap_proc, &verb_restore_proc, &verb_diff_proc,  &verb_list,    &verb_show,
	&verb_rm,        &verb_verify,       &verb_gc,         &verb_formats, &verb_diag_ready,
	&verb_boot,      &verb_snap_vm,      &verb_restore_vm, &verb_bake,    &verb_run,
	&verb_shell,     &verb_exec,         &verb_stop,       &verb_copy,    &verb_push,
	&verb_pull,      &verb_login,        &verb_logout,
};

/* ---- for the verbs ----------------------------------------------------------------------- */

static int option_index(const struct verb *v, const char *name, size_t len)
{
	for (size_t i = 0; i < v->n_options; i++)
		if (strlen(v->options[i].name) == len && !memcmp(v->options[i].name, name, len))
			return (int)i;
	return -1;
}

/* The option that "-u" stands for, which has a value. */
static int letter_index(const struct verb *v, const char *word)
{
	for (size_t i = 0; i < v->n_options; i++)
		if (v->options[i].letter && word[0] == '-' && word[1] == v->options[i].letter &&
		    !word[2])
			return (int)i;
	return -1;
}

const char *arg_value(const struct args *args, const char *name)
{
	int i = option_index(args->verb, name, strlen(name));

	assert(i >= 0);
	return args->values[i];
}

bool arg_is_set(const struct args *args, const char *name)
{
	return arg_value(args, name) != NULL;
}

const char *arg_next(const struct args *args, const char *name, int *at)
{
	int i = option_index(args->verb, name, strlen(name));

	assert(i >= 0);
	while (*at < args->n_given) {
		const struct given_option *g = &args->given[(*at)++];

		if (g->option == i)
			return g->value;
	}
	return NULL;
}

/* What was given or read may hold escapes that a terminal would obey. */
static void say_line(const char *before, const char *text)
{
	AUTO(buf) struct buf line = {0};

	text_add_printable(&line, text, strlen(text));
	fprintf(stderr, "%s%s\n", before, buf_text(&line));
}

int say_error(const struct err *e)
{
	say_line("wslx: ", e->text);
	if (getenv("WSLX_DEBUG"))
		fprintf(stderr, "wslx: first seen at %s\n", e->where ? e->where : "?");
	return e->code == OBSTACLE ? EXIT_OBSTACLE : EXIT_FAILED;
}

void say_note(const char *text)
{
	say_line("wslx: ", text);
}

void say_obstacles(const struct list *obstacles)
{
	LIST_EACH(obstacles, struct obstacle, o) {
		AUTO(buf) struct buf text = {0};

		buf_printf(&text, "  process %d: %s", o->pid, o->text);
		say_line("", buf_text(&text));
	}
}

int say_usage(const struct args *args, const char *fmt, ...)
{
	AUTO(buf) struct buf text = {0};
	va_list ap;

	buf_printf(&text, "wslx %s: ", args->verb->name);
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	say_line("", buf_text(&text));
	fprintf(stderr, "Try: wslx %s --help\n", args->verb->name);
	return EXIT_USAGE;
}

int cmd_open_store(struct store **out, struct err *e)
{
	return store_open(NULL, NULL, out, e);
}

/* ---- help --------------------------------------------------------------------------------- */

static void print_synopsis(FILE *to, const struct verb *v)
{
	fprintf(to, "wslx %s", v->name);
	for (size_t i = 0; i < v->n_options; i++) {
		const struct verb_option *o = &v->options[i];

		fprintf(to, o->required ? " --%s%s%s" : " [--%s%s%s]", o->name, o->arg ? " " : "",
		        o->arg ? o->arg : "");
	}
	if (v->operands)
		fprintf(to, " %s", v->operands);
	fprintf(to, "\n");
}

static void print_verb_help(const struct verb *v)
{
	printf("%s\n\n  ", v->summary);
	print_synopsis(stdout, v);
	if (v->n_options)
		printf("\n");
	for (size_t i = 0; i < v->n_options; i++) {
		const struct verb_option *o = &v->options[i];
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", o->name, o->arg ? " " : "",
		         o->arg ? o->arg : "");
		printf("  %-24s %s\n", left, o->help);
	}
}

static void print_help(FILE *to)
{
	fprintf(to, "wslx takes snapshots of running Linux and brings them back.\n\n");
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		fprintf(to, "  %-22s %s\n", verbs[i]->name, verbs[i]->summary);
	fprintf(to, "\nwslx VERB --help says more. Snapshots are kept under $WSLX_HOME, else\n"
	            "$XDG_DATA_HOME/wslx, else ~/.local/share/wslx.\n"
	            "Exit status: 0 done, 1 failed, 2 used wrongly, 3 refused by an obstacle.\n");
}

/* ---- dispatch ----------------------------------------------------------------------------- */

/* How many words of the command line name this verb; 0: they name another. */
static int words_of(const struct verb *v, int argc, char **argv)
{
	const char *at = v->name;
	int n = 0;

	while (*at) {
		size_t len = strcspn(at, " ");

		if (n >= argc || strlen(argv[n]) != len || memcmp(argv[n], at, len))
			return 0;
		n++;
		at += len + (at[len] == ' ');
	}
	return n;
}

static void take_option(struct args *args, int option, const char *value)
{
	args->values[option] = value;
	args->given[args->n_given++] = (struct given_option){option, value};
}

/* Beside 0 and EXIT_USAGE, what parsing returns. */
#define HELP_WAS_SHOWN (-1)

/* "--name", "--name VALUE", "--name=VALUE" or "-n VALUE" at @argv[*at], which goes to its last word. */
static int parse_option(struct args *args, int argc, char **argv, int *at)
{
	const struct verb *v = args->verb;
	const char *word = argv[*at], *equals = NULL;
	int option = letter_index(v, word), len = (int)strlen(word);

	if (option < 0) {
		equals = strchr(word, '=');
		len = equals ? (int)(equals - word) : len;
		if (len == 6 && !memcmp(word, "--help", 6)) {
			print_verb_help(v);
			return HELP_WAS_SHOWN;
		}
		option = option_index(v, word + 2, (size_t)len - 2);
	}
	if (option < 0)
		return say_usage(args, "there is no option %.*s", len, word);
	if (!v->options[option].arg && equals)
		return say_usage(args, "%.*s takes no value", len, word);
	if (v->options[option].arg && !equals && *at + 1 >= argc)
		return say_usage(args, "%s needs a value", word);
	if (!v->options[option].arg)
		take_option(args, option, "");
	else
		take_option(args, option, equals ? equals + 1 : argv[++*at]);
	return 0;
}

static int check_needed(const struct args *args)
{
	const struct verb *v = args->verb;

	for (size_t i = 0; i < v->n_options; i++)
		if (v->options[i].required && !args->values[i])
			return say_usage(args, "--%s is needed", v->options[i].name);
	if (args->n_operands < v->min_operands)
		return say_usage(args, "%s is needed", v->operands);
	if (args->n_operands > v->max_operands)
		return say_usage(args, "what is \"%s\"?", args->operands[v->max_operands]);
	return 0;
}

static bool is_option(const struct verb *v, const char *word)
{
	return letter_index(v, word) >= 0 || (text_starts(word, "--") && word[2]);
}

static int parse(struct args *args, int argc, char **argv)
{
	bool only_operands = false;

	args->operands = xalloc((size_t)(argc + 1) * sizeof(char *));
	args->given = xalloc((size_t)(argc + 1) * sizeof(*args->given));
	for (int i = 0; i < argc; i++) {
		if (!only_operands && !strcmp(argv[i], "--")) {
			only_operands = true;
		} else if (only_operands || !is_option(args->verb, argv[i])) {
			args->operands[args->n_operands++] = argv[i];
		} else {
			int r = parse_option(args, argc, argv, &i);

			if (r)
				return r;
		}
	}
	return check_needed(args);
}

/* An answer that did not get through is a failure, whatever was done. */
static int end_output(int code)
{
	if (!ferror(stdout) && !fflush(stdout))
		return code;
	fprintf(stderr, "wslx: standard output cannot be written: %s\n", strerror(errno));
	return EXIT_FAILED;
}

int main(int argc, char **argv)
{
	/* A reader that went away and a limit on file sizes are errors like others. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if (argc < 2 || !strcmp(argv[1], "help") || !strcmp(argv[1], "--help")) {
		print_help(argc < 2 ? stderr : stdout);
		return end_output(argc < 2 ? EXIT_USAGE : EXIT_DONE);
	}
	if (!strcmp(argv[1], "--version")) {
		printf("wslx %s\n", WSLX_VERSION);
		return end_output(EXIT_DONE);
	}
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		struct args args = {.verb = verbs[i]};
		int words = words_of(verbs[i], argc - 1, argv + 1), r;

		if (!words)
			continue;
		r = parse(&args, argc - 1 - words, argv + 1 + words);
		if (!r)
			r = verbs[i]->run(&args);
		free(args.operands);
		free(args.given);
		return end_output(r == HELP_WAS_SHOWN ? EXIT_DONE : r);
	}
	say_line("wslx: there is no such verb (wslx --help lists them): ", argv[1]);
	return EXIT_USAGE;
}
