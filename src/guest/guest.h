/* SPDX-License-Identifier: MIT */
/*
 * guest: the small static program that is PID 1 in a machine's initramfs, and its agent.
 *
 * It stands alone: C library and system calls only, because it is built against another C
 * library than the rest, and every byte of it is in every snapshot.
 *
 *	init.c     PID 1: mounts, modules, and what the kernel's command line asks for
 *	agent.c    the process that answers the host
 *	session.c  commands that the host starts beside what runs
 *	bake.c     an image's own life: before the barrier, and after it
 *	launch.c   users, environment and arguments, as container images give them
 *	fresh.c    what makes a restored machine another one than its brothers
 *	info.c     what the host tells over the shares
 *	net.c      the network's addresses
 */
#ifndef WSLX_GUEST_H
#define WSLX_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The lines between agent and host (see agent.c). */
#define AGENT_TTY "/dev/hvc1"

/* Say on the kernel log what went wrong; there may be no console yet. */
void complain(const char *what, const char *about);
/* Have the machine's console as standard input and outputs. */
void open_console(void);
/* Make @dir, which holds a whole file system, the root; /dev, /proc, /sys and /run come along. */
bool enter_root(const char *dir);
/* Wait for @child, reaping all others. Return: its exit status as a shell has it. */
int wait_for(pid_t child);

/**
 * agent_start() - fork the process that answers the host
 * Return: a descriptor on which agent_say() can be used; -1 if the machine has no channel.
 */
int agent_start(void);
void agent_say(int fd, const char *line);
/* "failed WHAT WHO: " and what errno says. */
void agent_fail(int fd, const char *what, const char *who);

#define AGENT_LINE_BYTES 2304 /* also of the host: AGENT_LINE_MAX in vm-int.h */

/* ---- session.c ---------------------------------------------------------------------------- */

/* As the host has them (vm/control.h). */
#define SESSION_WINDOW (64u << 10)
#define SESSION_LINE_COST 512u
/*
 * Of a command's bytes in a line, as they are written there. A terminal passes on up to 2048 bytes at
 * once, so a line comes whole, and no snapshot finds the half of one that ends like another.
 */
#define SESSION_LINE_BYTES 1984u
#define SESSION_MASK 0xf7u
#define SESSION_ESCAPE '\f'
#define SESSION_FLIP 0x40u

/* A line "x ...", without its "x ". */
void session_line(int channel, const char *line);
/* Whoever they were for is not there any more. */
void session_end_all(void);

/* ---- info.c ------------------------------------------------------------------------------- */

#define SHARE_DIR "/mnt/wasi0" /* of directories */
#define TOLD_DIR "/mnt/wasi1"  /* of the files info and entropy */

/* A whole file, NUL after its end; the caller frees it. NULL: errno says why. */
char *read_whole(const char *path, size_t *len);
bool write_whole(const char *path, const char *data, size_t len, unsigned mode);

/**
 * info_next() - the next "KEY: VALUE" line of a text, which is taken apart
 * @at: starts as the text
 *
 * A backslash before a newline keeps the value going.
 */
bool info_next(char **at, char **key, char **value);

/* Mount the two shares, where the machine has them. */
void shares_mount(void);

/* What the host tells in a file that was opened before a snapshot, when its content was another. */
struct told {
	int fd;
	char *text; /* NUL after its end */
	size_t len, room;
};

bool told_open(struct told *t, const char *path, size_t room);
/* Return: the text; NULL if there is none. */
char *told_read(struct told *t);
/* Have them at the same places below @root too. */
void shares_show(const char *root);
/* Mount what the info's lines "s" and "sr" ask for, below @root. */
void shares_bind(const char *info, const char *root);
/* Whether they ask for anything. */
bool shares_asked(const char *info);

/* ---- fresh.c ------------------------------------------------------------------------------ */

#define HOOKS_DIR "/etc/wslx/restore.d"

/**
 * fresh_entropy() - re-key the kernel's generator from the host's
 * @random: /dev/urandom, opened beforehand
 * @hex:    at least 32 bytes
 *
 * Adding entropy alone would not do: a generator that is ready mixes it in only when it is
 * next re-keyed, up to a minute later. So it is added with full credit and re-keyed at once.
 * Return: whether it was; errno says why not, EBADMSG for bytes that are too few.
 */
bool fresh_entropy(int random, const char *hex);
bool fresh_clock(long long ns); /* since 1970 */
/* Have the files of an identity at hand, for fresh_identity(). Again: those that are there now. */
void fresh_open(void);
/* Names that no two machines may share. @hostname: NULL leaves it. May be called again. */
void fresh_identity(const char *hostname);
/* Keys that every holder of an image knows are none. Return: whether new ones have to be made. */
bool fresh_drop_ssh_keys(void);
void fresh_ssh_keys(void);
/* The programs in HOOKS_DIR, for generators that the kernel does not know of. */
void fresh_hooks(void);

/* ---- net.c -------------------------------------------------------------------------------- */

/**
 * net_configure() - loopback; and where there is a network device, its addresses and routes
 * Return: whether there is one.
 */
bool net_configure(void);
/*
 * Write /etc/resolv.conf and /etc/hosts. @is_ours: the root is an image's, or the initramfs; of
 * another one only what is not there.
 */
void net_name_servers(bool is_ours);
/* The machine is another one now. @text: as "02:00:00:00:00:01" */
void net_set_mac(const char *text);

/* ---- launch.c ----------------------------------------------------------------------------- */

#define WORDS_MAX 256

/* How to start a program. Texts point into what was parsed. */
struct launch {
	char *argv[WORDS_MAX], *env[WORDS_MAX];
	unsigned n_args, n_env;
	const char *workdir, *user;
};

/* Words that are separated by spaces; a backslash keeps a space. */
void launch_args(struct launch *l, char *words);
void launch_env(struct launch *l, char *assignment); /* the last one of a name counts */
const char *launch_get(const struct launch *l, const char *name);
/* Become it, in a session of its own. Only returns if that fails. */
void launch_exec(struct launch *l, char *const *argv);
/**
 * launch_start() - start it as a child, which exits with 127 or 126 if it cannot be
 * @fds: its standard descriptors; NULL: ours
 *
 * Until it is another program the child works in our memory, while we stand still: that spares a copy
 * of all page tables, and a fault for each page that is touched again. What it changes there is *@l,
 * our PATH and errno.
 */
pid_t launch_start(struct launch *l, char *const *argv, const int *fds);

/* ---- bake.c ------------------------------------------------------------------------------- */

/**
 * bake_enter() - make an overlay in memory over the image's disk the root
 * @image: its configuration, from the initramfs, NULL on failure; the caller frees it
 */
bool bake_enter(const char *disk, char **image);
/* Start what the image says, stop at the barrier, go on as the host says. Return: exit status. */
int bake_run(char *image, int agent);

#endif
