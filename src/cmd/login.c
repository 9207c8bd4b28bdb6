/* SPDX-License-Identifier: MIT */
/* login and logout: a name and a password for a registry. */
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "oci/oci.h"
#include "os/os.h"

#define LINE_MAX_BYTES 8192

static const struct verb_option login_options[] = {
	{"user", "NAME", "who you are there; else it is asked for", false, 'u'},
	{"password-stdin", NULL, "read the password from standard input", false},
	{"insecure", NULL, "allow plain http and unknown certificates", false},
	{"quiet", NULL, "say nothing when it went well", false},
};

/* A line without its end. Return: 0; -ENODATA. */
static int read_line(FILE *from, char out[LINE_MAX_BYTES])
{
	if (!fgets(out, LINE_MAX_BYTES, from))
		return -ENODATA;
	out[strcspn(out, "\r\n")] = 0;
	return *out ? 0 : -ENODATA;
}

/* Asks on the terminal, whatever standard input is. */
static int ask(const char *prompt, bool secret, char out[LINE_MAX_BYTES])
{
	FILE *tty = fopen("/dev/tty", "r+e");
	struct termios before, silent;
	bool silenced = false;
	int r;

	if (!tty)
		return -ENODATA;
	fputs(prompt, tty);
	fflush(tty);
	if (secret && !tcgetattr(fileno(tty), &before)) {
		silent = before;
		silent.c_lflag &= ~(tcflag_t)ECHO;
		silenced = !tcsetattr(fileno(tty), TCSAFLUSH, &silent);
	}
	r = read_line(tty, out);
	if (silenced) {
		tcsetattr(fileno(tty), TCSAFLUSH, &before);
		fputs("\n", tty);
	}
	fclose(tty);
	return r;
}

static int run_login(struct args *args)
{
	struct oci_options options = {.insecure = arg_is_set(args, "insecure")};
	const char *host = args->operands[0], *given = arg_value(args, "user");
	AUTO(oci_policy) struct oci_policy policy = {0};
	AUTO(text) char *where = NULL;
	char user[LINE_MAX_BYTES] = "", password[LINE_MAX_BYTES] = "";
	struct err e = {0};
	bool plain;
	int r = 0;

	if (given)
		snprintf(user, sizeof(user), "%s", given);
	else
		r = ask("Name: ", false, user);
	if (r < 0 || !*user)
		return say_usage(args, "who are you? --user NAME");
	r = arg_is_set(args, "password-stdin") ? read_line(stdin, password)
	                                       : ask("Password: ", true, password);
	if (r < 0)
		return say_usage(args, "there is no password: give it on standard input, with "
		                       "--password-stdin");
	r = oci_policy_load(&policy, &e);
	options.policy = &policy;
	if (!r)
		r = oci_login(host, user, password, &options, &where, &plain, &e);
	explicit_bzero(password, sizeof(password));
	if (r)
		return say_error(&e);
	if (!arg_is_set(args, "quiet"))
		printf("%s knows %s; kept %s %s\n", host, user,
		       plain ? "readable to you alone in" : "by", where);
	return EXIT_DONE;
}

const struct verb verb_login = {
	.name = "login",
	.operands = "REGISTRY",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "Keep a name and a password for a registry",
	.options = login_options,
	.n_options = ARRAY_LEN(login_options),
	.run = run_login,
};

static int run_logout(struct args *args)
{
	struct err e = {0};

	return oci_logout(args->operands[0], &e) < 0 ? say_error(&e) : EXIT_DONE;
}

const struct verb verb_logout = {
	.name = "logout",
	.operands = "REGISTRY",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "Forget the name and password for a registry",
	.run = run_logout,
};
