/* SPDX-License-Identifier: MIT */
#include "guest.h"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define GROUPS_MAX 256

void launch_args(struct launch *l, char *words)
{
	while (*words) {
		char *from = words, *to = words;

		if (*words == ' ') {
			words++;
			continue;
		}
		for (; *from && *from != ' '; *to++ = *from++)
			if (from[0] == '\\' && from[1])
				from++;
		if (l->n_args < WORDS_MAX - 1)
			l->argv[l->n_args++] = words;
		words = from + (*from == ' ');
		*to = '\0';
	}
}

void launch_env(struct launch *l, char *assignment)
{
	size_t name = strcspn(assignment, "=");

	for (unsigned i = 0; i < l->n_env; i++) {
		if (!strncmp(l->env[i], assignment, name) && l->env[i][name] == '=') {
			l->env[i] = assignment;
			return;
		}
	}
	if (assignment[name] && l->n_env < WORDS_MAX - 1)
		l->env[l->n_env++] = assignment;
}

const char *launch_get(const struct launch *l, const char *name)
{
	size_t len = strlen(name);

	for (unsigned i = 0; i < l->n_env; i++)
		if (!strncmp(l->env[i], name, len) && l->env[i][len] == '=')
			return l->env[i] + len + 1;
	return NULL;
}

/* ---- users -------------------------------------------------------------------------------- */

/*
 * Not the C library's functions: linked statically they may still want to load others. Finds the
 * line of a file like /etc/passwd whose column @key is @value, and takes it apart.
 */
static bool look_up(const char *path, unsigned key, const char *value, char *columns[7])
{
	char *text = read_whole(path, NULL), *save = NULL, *line;
	bool found = false;

	for (line = text ? strtok_r(text, "\n", &save) : NULL; line && !found;
	     line = strtok_r(NULL, "\n", &save)) {
		unsigned n = 0;

		for (char *at = line; n < 7 && at; n++) {
			columns[n] = at;
			at = strchr(at, ':');
			if (at)
				*at++ = '\0';
		}
		found = n > key && n >= 4 && !strcmp(columns[key], value);
		for (; n < 7; n++)
			columns[n] = "";
	}
	/* What was found points into it, and lives as long as the program that is started. */
	if (!found)
		free(text);
	return found;
}

static bool is_number(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text);
}

static unsigned groups_of(const char *user, gid_t *out, unsigned max)
{
	char *text = read_whole("/etc/group", NULL), *save = NULL, *line;
	unsigned n = 0;

	for (line = text ? strtok_r(text, "\n", &save) : NULL; line && n < max;
	     line = strtok_r(NULL, "\n", &save)) {
		char *members = strrchr(line, ':'), *id, *member, *rest = NULL;

		if (!members)
			continue;
		*members++ = '\0';
		id = strrchr(line, ':');
		for (member = strtok_r(members, ",", &rest); member && id && n < max;
		     member = strtok_r(NULL, ",", &rest))
			if (!strcmp(member, user))
				out[n++] = (gid_t)strtoul(id + 1, NULL, 10);
	}
	free(text);
	return n;
}

/* "USER", "USER:GROUP", each a name or a number; NULL is root. */
static bool become(struct launch *l)
{
	char user[128] = "0", *group, *columns[7] = {0}, *home, *gcolumns[7];
	gid_t groups[GROUPS_MAX + 1], gid = 0;
	unsigned n_groups = 0;
	uid_t uid;
	bool known;

	if (l->user && *l->user)
		snprintf(user, sizeof(user), "%s", l->user);
	group = strchr(user, ':');
	if (group)
		*group++ = '\0';
	known = look_up("/etc/passwd", is_number(user) ? 2 : 0, user, columns);
	if (!known && !is_number(user)) {
		errno = ENOENT;
		return false;
	}
	uid = (uid_t)strtoul(known ? columns[2] : user, NULL, 10);
	if (known) {
		gid = (gid_t)strtoul(columns[3], NULL, 10);
		n_groups = groups_of(columns[0], groups, GROUPS_MAX);
	}
	if (group && *group) {
		if (is_number(group))
			gid = (gid_t)strtoul(group, NULL, 10);
		else if (look_up("/etc/group", 0, group, gcolumns))
			gid = (gid_t)strtoul(gcolumns[2], NULL, 10);
		else
			return false;
	}
	groups[n_groups++] = gid;
	home = known && *columns[5] ? columns[5] : uid ? "/" : "/root";
	if (!launch_get(l, "HOME")) {
		char *line = malloc(strlen(home) + 6);

		if (line) {
			sprintf(line, "HOME=%s", home);
			launch_env(l, line);
		}
	}
	return !setgroups(n_groups, groups) && !setgid(gid) && !setuid(uid);
}

void launch_exec(struct launch *l, char *const *argv)
{
	const char *path;

	/* Whoever had the terminal: its end will not hang it up. */
	setsid();
	ioctl(0, TIOCSCTTY, 1);
	if (!launch_get(l, "PATH"))
		launch_env(l, "PATH=" PATH_DEFAULT);
	if (!become(l)) {
		dprintf(2, "wslx: user %s: %s\n", l->user, strerror(errno));
		return;
	}
	l->env[l->n_env] = NULL;
	if (l->workdir && *l->workdir && chdir(l->workdir))
		dprintf(2, "wslx: %s: %s\n", l->workdir, strerror(errno));
	path = launch_get(l, "PATH");
	if (setenv("PATH", path, 1))
		return;
	execvpe(argv[0], argv, l->env);
	dprintf(2, "wslx: %s: %s\n", argv[0], strerror(errno));
}

struct start {
	struct launch *launch;
	char *const *argv;
	const int *fds;
};

static int be_child(void *arg)
{
	const struct start *s = arg;

	for (int i = 0; s->fds && i < 3; i++)
		dup2(s->fds[i], i);
	signal(SIGHUP, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	launch_exec(s->launch, s->argv);
	_exit(errno == ENOENT ? 127 : 126);
}

pid_t launch_start(struct launch *l, char *const *argv, const int *fds)
{
	static uint8_t stack[128 << 10] __attribute__((aligned(16)));
	struct start s = {l, argv, fds};

	return clone(be_child, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, &s);
}
