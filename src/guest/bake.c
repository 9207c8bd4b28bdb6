/* SPDX-License-Identifier: MIT */
/*
 * The life of a container image in a machine.
 *
 *	the shell starts, reads its files, and waits at a gate
 *	-- barrier: "==========" goes out; "=" and newline come in --
 *	info and entropy are read; random numbers, clock, names, shares are made right; hooks
 *	the gate opens, or the command that was asked for starts
 *
 * The barrier and the two files are container2wasm's. The cut is a deeper one: there the container
 * starts after the barrier, here its shell has started before, and has only its prompt to print.
 *
 * The gate is reading from a named pipe: the last line of the file that an interactive shell reads
 * when it starts; in bash, what it does before its first prompt, when its line editor, history and job
 * control are ready as well. What is known at run time only, such as TERM, it reads from a file
 * after that; through the gate comes the seed of its own generator ($RANDOM). Anything but a shell is
 * started after the barrier, because only a shell is known to have done nothing by then that must
 * not be done twice.
 *
 * Whatever can be done beforehand is: an interpreted CPU takes longer for the way to the prompt than
 * all the rest of a restore. So identities are made once before the snapshot, after which only
 * the contents of open files change; what there is to do is found out; `ls` has run; and the last
 * thing before the barrier is what comes after it, for pages that fork(2) has left to be copied.
 */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define ROOT "/newroot"
#define DIR_OF_OURS "/run/wslx"
#define GATE DIR_OF_OURS "/gate"
#define RC DIR_OF_OURS "/rc"
#define BASH_GATE DIR_OF_OURS "/bash-gate"
#define GO DIR_OF_OURS "/go"
#define INFO_BYTES 4095 /* mostly much less */
#define ENTROPY_BYTES 255
#define DROP_S 1
#define USUAL_TERM "TERM=xterm-256color"

/*
 * A line comes through the gate, the seed. If there is a file to read the line has no end, which
 * read(1) reports. In bash it is the last command before the prompt: even "true" would cost more than
 * all that PID 1 does.
 */
static const char rc[] = "if [ -n \"${BASH_VERSION-}\" ]; then\n"
			 "\t[ -r /etc/bash.bashrc ] && . /etc/bash.bashrc\n"
			 "\t[ -r ~/.bashrc ] && . ~/.bashrc\n"
			 "\tbind -q self-insert > /dev/null 2>&1\n"
			 "\twslx_prompt=${PROMPT_COMMAND-}\n"
			 "\tPROMPT_COMMAND='. " BASH_GATE "'\n"
			 "\t[ -z \"$wslx_prompt\" ] ||\n"
			 "\t\tPROMPT_COMMAND='. " BASH_GATE "; eval \"$PROMPT_COMMAND\"'\n"
			 "else\n"
			 "\tunset ENV\n"
			 "\tread -r wslx_seed < " GATE " || . " GO "\n"
			 "\t[ -n \"${RANDOM-}\" ] && RANDOM=$wslx_seed\n"
			 "\tunset wslx_seed\n"
			 "fi\n";

static const char bash_gate[] = "PROMPT_COMMAND=$wslx_prompt\n"
				"[ -n \"$wslx_prompt\" ] || unset 'PROMPT_COMMAND[0]'\n"
				"unset wslx_prompt ENV\n"
				"read -r ${RANDOM:+RANDOM} < " GATE " || . " GO "\n";

/* ---- before the barrier ------------------------------------------------------------------- */

bool bake_enter(const char *disk, char **image)
{
	*image = read_whole("/lib/wslx/image", NULL);
	mkdir("/lower", 0755);
	mkdir("/upper", 0755);
	mkdir(ROOT, 0755);
	if (mount(disk, "/lower", "erofs", MS_RDONLY, NULL) ||
	    mount("tmpfs", "/upper", "tmpfs", 0, "mode=0755")) {
		complain("mount", disk);
		return false;
	}
	mkdir("/upper/data", 0755);
	mkdir("/upper/work", 0755);
	if (mount("overlay", ROOT, "overlay", 0,
	          "lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work")) {
		complain("mount", "overlay");
		return false;
	}
	shares_mount();
	shares_show(ROOT);
	return *image && enter_root(ROOT);
}

/* What the image's configuration or the host says about a start. */
struct plan {
	struct launch launch;
	struct launch entry; /* only its arguments: the entry point */
	const char *hostname, *clock, *mac;
	bool has_command;
};

static void take_lines(struct plan *p, char *text)
{
	char *key, *value;

	while (info_next(&text, &key, &value)) {
		if (!strcmp(key, "c")) {
			p->launch.n_args = 0;
			launch_args(&p->launch, value);
			p->has_command = true;
		} else if (!strcmp(key, "e")) {
			p->entry.n_args = 0;
			launch_args(&p->entry, value);
		} else if (!strcmp(key, "env")) {
			launch_env(&p->launch, value);
		} else if (!strcmp(key, "w")) {
			p->launch.workdir = value;
		} else if (!strcmp(key, "u")) {
			p->launch.user = value;
		} else if (!strcmp(key, "h")) {
			p->hostname = value;
		} else if (!strcmp(key, "t")) {
			p->clock = value;
		} else if (!strcmp(key, "n")) {
			p->mac = value;
		}
	}
}

static bool is_shell(const char *path)
{
	static const char *const shells[] = {"bash", "sh", "dash", "ash"};
	const char *slash = strrchr(path, '/');

	for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++)
		if (!strcmp(slash ? slash + 1 : path, shells[i]))
			return true;
	return false;
}

/* The shell that an image starts by itself; NULL if it starts something else. */
static const char *shell_of(const struct plan *p)
{
	const struct launch *only = p->entry.n_args ? &p->entry : &p->launch;

	if (p->entry.n_args + p->launch.n_args == 0)
		return !access("/bin/bash", X_OK) ? "/bin/bash"
		       : !access("/bin/sh", X_OK) ? "/bin/sh"
		                                  : NULL;
	if (p->entry.n_args + p->launch.n_args == 1 && is_shell(only->argv[0]))
		return only->argv[0];
	return NULL;
}

/* Nothing to do but interrupt what PID 1 waits for. */
static void on_child(int signal)
{
}

/*
 * Start the shell and wait until it stands at the gate.
 * Return: our end of the gate; -1 if it has ended instead.
 */
static int start_shell(struct plan *p, const char *path, pid_t *child, int agent)
{
	const char *slash = strrchr(path, '/');
	bool bash = !strcmp(slash ? slash + 1 : path, "bash");
	char rc_file[] = RC, *const with_rc[] = {(char *)path, "--rcfile", rc_file, "-i", NULL};
	char *const plain[] = {(char *)path, "-i", NULL};
	struct sigaction interrupt = {.sa_handler = on_child};
	int gate;

	mkdir(DIR_OF_OURS, 0755);
	if (!write_whole(RC, rc, sizeof(rc) - 1, 0644) ||
	    !write_whole(BASH_GATE, bash_gate, sizeof(bash_gate) - 1, 0644) || mkfifo(GATE, 0600))
		return -1;
	chmod(GATE, 0644);
	sigaction(SIGCHLD, &interrupt, NULL);
	*child = fork();
	if (!*child) {
		struct launch l = p->launch;

		signal(SIGCHLD, SIG_DFL);
		launch_env(&l, "ENV=" RC);
		launch_exec(&l, bash ? with_rc : plain);
		_exit(127);
	}
	/* Returns when the shell reads, or with EINTR when it has ended. */
	gate = open(GATE, O_WRONLY | O_CLOEXEC);
	signal(SIGCHLD, SIG_DFL);
	if (gate < 0) {
		char line[64];

		kill(*child, SIGKILL);
		snprintf(line, sizeof(line), "failed shell %d", wait_for(*child));
		agent_say(agent, line);
		*child = -1;
	}
	return gate;
}

static void run_quietly(const struct plan *p, char *const *argv)
{
	pid_t child = fork();

	if (!child) {
		int null = open("/dev/null", O_RDWR);
		struct launch l = p->launch;

		for (int fd = 0; null >= 0 && fd < 3; fd++)
			dup2(null, fd);
		launch_exec(&l, argv);
		_exit(127);
	}
	if (child > 0)
		waitpid(child, NULL, 0);
}

/*
 * What first commands need is in the page cache, and looked up: it needs no disk then. Twice, since
 * the second use of a page makes it one that is used often, which takes longer than its use.
 */
static void warm_up(const struct plan *p)
{
	char *const ls[] = {"ls", "/", NULL}, *const cat[] = {"cat", "/dev/null", NULL};
	char *const nothing[] = {"true", NULL}, *const sh[] = {"sh", "-c", ":", NULL};

	for (unsigned i = 0; i < 2; i++) {
		run_quietly(p, ls);
		run_quietly(p, cat);
		run_quietly(p, nothing);
		run_quietly(p, sh);
	}
}

/* ---- the barrier -------------------------------------------------------------------------- */

static void barrier(void)
{
	struct termios before, raw;
	char last = 0, byte = 0;

	if (!tcgetattr(0, &before)) {
		raw = before;
		cfmakeraw(&raw);
		tcsetattr(0, TCSANOW, &raw);
	}
	if (write(1, "==========", 10) == 10)
		tcdrain(1);
	while (!(last == '=' && byte == '\n')) {
		last = byte;
		if (read(0, &byte, 1) != 1) {
			complain("read", "console");
			break;
		}
	}
	tcsetattr(0, TCSANOW, &before);
}

/* ---- after it ----------------------------------------------------------------------------- */

/* "SECONDS" or "SECONDS.DECIMALS", as nanoseconds. */
static long long ns_of(const char *seconds)
{
	char *end;
	long long ns = strtoll(seconds, &end, 10) * 1000000000, digit = 100000000;

	if (*end == '.')
		for (end++; *end >= '0' && *end <= '9'; end++, digit /= 10)
			ns += (*end - '0') * digit;
	return ns;
}

/* What is opened, and found out, before the barrier. */
struct prepared {
	int random;
	struct told info, entropy;
	bool has_hooks, needs_keys;
};

static void prepare(struct prepared *p)
{
	p->random = open("/dev/urandom", O_RDWR | O_CLOEXEC);
	if (!told_open(&p->info, TOLD_DIR "/info", INFO_BYTES) ||
	    !told_open(&p->entropy, TOLD_DIR "/entropy", ENTROPY_BYTES))
		complain("open", TOLD_DIR);
	p->has_hooks = !access(HOOKS_DIR, F_OK);
	p->needs_keys = fresh_drop_ssh_keys();
	fresh_open();
	/* What is told now is of the machine that is baked: it is read for the way there. */
	told_read(&p->info);
	if (told_read(&p->entropy))
		fresh_entropy(p->random, p->entropy.text);
	fresh_identity(NULL);
	/*
	 * A young kernel re-keys every few seconds, when it is next asked. Done now, it is not due in
	 * the first moments of a restore: these depend on nothing but what we do there.
	 */
	if (ioctl(p->random, RNDRESEEDCRNG))
		complain("re-key", "random numbers");
}

static void make_fresh(struct prepared *prepared, const struct plan *p, const struct plan *before,
                       int agent)
{
	const char *name = p->hostname, *seed = told_read(&prepared->entropy);

	if (!seed || !fresh_entropy(prepared->random, seed))
		agent_fail(agent, "reseed", "PID 1");
	else if (!p->clock || !fresh_clock(ns_of(p->clock)))
		agent_say(agent, "failed clock");
	if (seed)
		explicit_bzero(prepared->entropy.text, prepared->entropy.len);
	if (name && before->hostname && !strcmp(name, before->hostname))
		name = NULL;
	fresh_identity(name);
	if (prepared->needs_keys)
		fresh_ssh_keys();
	if (p->mac)
		net_set_mac(p->mac);
}

/* ---- the waiting shell -------------------------------------------------------------------- */

/* Whether a shell can be told of a variable, and has to be. */
static bool is_new(const struct plan *before, const char *assignment, size_t name)
{
	const char *old;
	char copy[256];

	if (name >= sizeof(copy) ||
	    strspn(assignment, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789") !=
	            name)
		return false;
	memcpy(copy, assignment, name);
	copy[name] = '\0';
	old = launch_get(&before->launch, copy);
	return !old || strcmp(old, assignment + name + 1);
}

/* What it reads if its environment is another one now. Return: whether it is. */
static bool write_go(const struct plan *p, const struct plan *before)
{
	FILE *f = NULL;

	for (unsigned i = 0; i < p->launch.n_env; i++) {
		const char *line = p->launch.env[i];
		size_t name = strcspn(line, "=");

		if (!is_new(before, line, name))
			continue;
		if (!f)
			f = fopen(GO, "we");
		if (!f)
			break;
		fprintf(f, "export %.*s='", (int)name, line);
		for (const char *c = line + name + 1; *c; c++)
			*c == '\'' ? fputs("'\\''", f) : fputc(*c, f);
		fputs("'\n", f);
	}
	if (f && (fclose(f) || chmod(GO, 0644)))
		complain("write", GO);
	return f;
}

static void open_gate(int gate, bool has_news)
{
	uint32_t seed = 0;
	char line[32];
	int n;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		complain("read", "random numbers");
	n = snprintf(line, sizeof(line), "%u%s", seed >> 1, has_news ? "" : "\n");
	if (write(gate, line, (size_t)n) != n)
		complain("open", GATE);
	close(gate);
}

/*
 * The shell that waits for nothing ends a moment later. The end of a large process keeps the CPU busy
 * for longer than a small command does, after which the machine is gone anyway. It must not see the
 * gate close, after which it would go on with its prompt.
 */
static pid_t unwanted_shell;

static void on_alarm(int signal)
{
	kill(unwanted_shell, SIGKILL);
}

static void drop_shell(pid_t shell)
{
	struct sigaction once = {.sa_handler = on_alarm, .sa_flags = SA_RESETHAND};

	unwanted_shell = shell;
	sigaction(SIGALRM, &once, NULL);
	alarm(DROP_S);
}

static pid_t start_command(struct plan *p)
{
	char *argv[2 * WORDS_MAX] = {0};
	unsigned n = 0;

	for (unsigned i = 0; i < p->entry.n_args; i++)
		argv[n++] = p->entry.argv[i];
	for (unsigned i = 0; i < p->launch.n_args; i++)
		argv[n++] = p->launch.argv[i];
	if (!n)
		argv[n++] = "/bin/sh";
	return launch_start(&p->launch, argv, NULL);
}

static pid_t start(struct plan *after, const struct plan *before, pid_t shell, int gate)
{
	if (gate >= 0 && !after->has_command) {
		open_gate(gate, write_go(after, before));
		return shell;
	}
	if (shell > 0)
		drop_shell(shell);
	return start_command(after);
}

int bake_run(char *image, int agent)
{
	static struct plan before, after;
	static struct prepared prepared;
	char *info, *shares = NULL;
	const char *shell;
	pid_t child = -1;
	int gate = -1;

	if (net_configure())
		net_name_servers(true);
	take_lines(&before, image);
	if (!launch_get(&before.launch, "TERM"))
		launch_env(&before.launch, USUAL_TERM);
	/* A shell notes the name for its prompt when it starts. */
	fresh_open();
	fresh_identity(before.hostname);
	shell = shell_of(&before);
	if (shell)
		warm_up(&before);
	if (shell)
		gate = start_shell(&before, shell, &child, agent);
	/* What cannot start now would not later either. */
	if (shell && gate < 0)
		return 127;
	after = before;
	after.has_command = false;
	prepare(&prepared);
	barrier();
	info = told_read(&prepared.info);
	if (info && shares_asked(info))
		shares = strdup(info);
	if (info)
		take_lines(&after, info);
	make_fresh(&prepared, &after, &before, agent);
	if (shares)
		shares_bind(shares, "");
	if (prepared.has_hooks || shares)
		fresh_hooks();
	free(shares);
	child = start(&after, &before, child, gate);
	return child < 0 ? 127 : wait_for(child);
}
