/* SPDX-License-Identifier: MIT */
/* Recognising WSL and its channels by the signs in data/wsl-channels.tsv. */
#include "ready/channels.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "os/wsl.h"

#define VSOCK_HOST_CID 2

const char *channel_class_name(enum channel_class class)
{
	static const char *const names[] = {
		[CHANNEL_APART] = "never part of it",
		[CHANNEL_RESTORABLE] = "restorable",
		[CHANNEL_HANDSHAKE] = "re-handshake",
		[CHANNEL_LOST] = "not restorable",
	};

	return names[class];
}

static const char *const mode_names[] = {
	[WSL_MODE_UNKNOWN] = "unknown",   [WSL_MODE_NAT] = "nat",
	[WSL_MODE_BRIDGED] = "bridged",   [WSL_MODE_MIRRORED] = "mirrored",
	[WSL_MODE_CONSOMME] = "consomme", [WSL_MODE_NONE] = "none",
};

const char *wsl_mode_name(enum wsl_mode mode)
{
	return mode_names[mode];
}

bool wsl_is_service(uint32_t cid, uint32_t port)
{
	return cid == VSOCK_HOST_CID &&
	       ((port >= 50000 && port <= 50005) || (port >= 51000 && port <= 51005));
}

/* ---- patterns -------------------------------------------------------------------------- */

static const struct view_proc *find_comm(const struct view *v, const char *pattern)
{
	LIST_EACH(&v->procs, struct view_proc, p) {
		if (!fnmatch(pattern, p->stat.comm, 0))
			return p;
	}
	return NULL;
}

bool wsl_is_own_process(const struct view_proc *p)
{
	return os_is_wsl_process(p->stat.comm, p->command);
}

/* ---- is this WSL? ---------------------------------------------------------------------- */

static enum wsl_mode mode_of_name(const char *name)
{
	/* consomme was called virtioproxy before. */
	if (!strcmp(name, "virtioproxy"))
		return WSL_MODE_CONSOMME;
	for (size_t i = 0; i < ARRAY_LEN(mode_names); i++) {
		if (!strcmp(name, mode_names[i]))
			return (enum wsl_mode)i;
	}
	return WSL_MODE_UNKNOWN;
}

static void detect_mode(const struct view *v, struct wsl *w)
{
	const char *told = view_networking_mode(v);

	if (told)
		w->mode = mode_of_name(told);
	if (w->mode != WSL_MODE_UNKNOWN) {
		w->mode_how = "wslinfo --networking-mode";
	} else if (w->filtered) {
		/* Only these two modes filter; a snapshot need not know which it is. */
		w->mode = WSL_MODE_MIRRORED;
		w->mode_how = "PID 1 has a filter (it may be consomme as well)";
	} else if (view_glob(v, "sys/class/net/*/device/driver").count) {
		w->mode = WSL_MODE_NAT;
		w->mode_how = "a network interface and no filter (it may be bridged as well)";
	} else {
		w->mode = WSL_MODE_NONE;
		w->mode_how = "no network interface with a driver";
	}
}

void wsl_detect(const struct view *v, struct wsl *out)
{
	const char *release = view_line(v, "proc/sys/kernel/osrelease");
	const struct view_proc *init = view_find(v, 1), *own;
	struct wsl w = {0};

	if (release && strstr(release, "microsoft-standard-WSL2")) {
		w.version = 2;
		w.how = arena_printf(v->a, "the kernel calls itself %s", release);
	} else if (release && strstr(release, "-Microsoft")) {
		w.version = 1;
		w.how = arena_printf(v->a, "the kernel calls itself %s", release);
	} else if (view_glob(v, "proc/sys/fs/binfmt_misc/WSLInterop*").count) {
		/* With a kernel of the user's own. */
		w.version = 2;
		w.how = "binfmt_misc has an entry WSLInterop";
	} else if ((own = find_comm(v, "init-systemd(*")) ||
	           (own = find_comm(v, "SessionLeader"))) {
		w.version = 2;
		w.how = arena_printf(v->a, "process %d is called %s", own->stat.pid,
		                     own->stat.comm);
	}
	w.filtered = init && init->has_status && init->status.seccomp;
	if (w.version == 2)
		detect_mode(v, &w);
	*out = w;
}

/* ---- signs ----------------------------------------------------------------------------- */

/* The next word of a sign's arguments, cut off in place; "" at the end. */
static char *next_word(char **at)
{
	char *word = *at + strspn(*at, " ");
	size_t n = strcspn(word, " ");

	*at = word + n + (word[n] ? 1 : 0);
	word[n] = 0;
	return word;
}

/* Paths in the table begin with a slash, those of a view do not. */
static const char *below(const char *path)
{
	return *path == '/' ? path + 1 : path;
}

/*
 * One function for each kind of sign. @args is scratch. Return: what was seen, in the arena of
 * the view; NULL if it was not.
 */
static const char *sign_comm(char *args, const struct view *v, const struct wsl *w)
{
	const struct view_proc *p = find_comm(v, args);

	return p ? arena_printf(v->a, "process %d, %s", p->stat.pid, p->stat.comm) : NULL;
}

static const char *sign_command(char *args, const struct view *v, const struct wsl *w)
{
	LIST_EACH(&v->procs, struct view_proc, p) {
		if (!fnmatch(args, p->command, 0))
			return arena_printf(v->a, "process %d, %.60s", p->stat.pid, p->command);
	}
	return NULL;
}

static const char *sign_fd(char *args, const struct view *v, const struct wsl *w)
{
	LIST_EACH(&v->fds, struct view_fd, f) {
		if (!fnmatch(args, f->link, 0))
			return arena_printf(v->a, "process %d, descriptor %u, %s", f->pid, f->fd,
			                    f->link);
	}
	return NULL;
}

static const char *sign_vsock(char *args, const struct view *v, const struct wsl *w)
{
	const bool want_service = !strcmp(args, "service");

	LIST_EACH(&v->fds, struct view_fd, f) {
		const char *name = NULL;
		uint32_t cid = 0, port = 0;
		bool connected;

		if (text_starts(f->link, "socket:"))
			name = view_socket_name(v, f->pid, f->fd);
		if (!name || strcmp(name, "AF_VSOCK") != 0)
			continue;
		connected = view_vsock_peer(v, f->pid, f->fd, &cid, &port);
		if ((connected && wsl_is_service(cid, port)) != want_service)
			continue;
		/* The ends that WSL's own processes hold are channels with rows of their own. */
		if (!want_service && wsl_is_own_process(view_find(v, f->pid)))
			continue;
		if (connected)
			return arena_printf(v->a, "process %d, descriptor %u, vsock to %u:%u",
			                    f->pid, f->fd, cid, port);
		return arena_printf(v->a, "process %d, descriptor %u, vsock", f->pid, f->fd);
	}
	return NULL;
}

static const char *sign_unix(char *args, const struct view *v, const struct wsl *w)
{
	LIST_EACH(&v->socks, struct proc_unix, u) {
		if (*u->path && !fnmatch(args, u->path, 0))
			return arena_printf(v->a, "UNIX socket %s", u->path);
	}
	return NULL;
}

static const char *sign_mount(char *args, const struct view *v, const struct wsl *w)
{
	const char *type = next_word(&args);
	char *point = strchr(type, '@');

	if (point)
		*point++ = 0;
	LIST_EACH(&v->mounts, struct proc_mount, m) {
		char *rest = arena_text(v->a, args);
		const char *text = NULL;
		bool all = !fnmatch(type, m->fstype, 0) && (!point || !fnmatch(point, m->point, 0));

		while (all && *(text = next_word(&rest)))
			all = strstr(m->source, text) || strstr(m->super_options, text);
		if (all)
			return arena_printf(v->a, "%s on %s, %s", m->source, m->point, m->fstype);
	}
	return NULL;
}

static const char *sign_file(char *args, const struct view *v, const struct wsl *w)
{
	struct list found = view_glob(v, below(args));

	return found.count ? arena_printf(v->a, "/%s", *LIST_AT(&found, const char *, 0)) : NULL;
}

static const char *sign_text(char *args, const struct view *v, const struct wsl *w)
{
	struct list found = view_glob(v, below(next_word(&args)));

	LIST_EACH(&found, const char *, path) {
		AUTO(buf) struct buf text = {0};

		if (view_read(v, *path, &text) == 0 && strstr(buf_text(&text), args))
			return arena_printf(v->a, "/%s says %s", *path, args);
	}
	return NULL;
}

static const char *sign_link(char *args, const struct view *v, const struct wsl *w)
{
	struct list found = view_glob(v, below(next_word(&args)));

	LIST_EACH(&found, const char *, path) {
		const char *target = view_link(v, *path);
		const char *name = target ? strrchr(target, '/') : NULL;

		if (target && !fnmatch(args, name ? name + 1 : target, 0))
			return arena_printf(v->a, "/%s is %s", *path, name ? name + 1 : target);
	}
	return NULL;
}

static const char *sign_seccomp(char *args, const struct view *v, const struct wsl *w)
{
	return w->filtered ? "PID 1 has a seccomp filter" : NULL;
}

static const char *sign_wsl2(char *args, const struct view *v, const struct wsl *w)
{
	return w->version == 2 ? "every WSL2 machine has it" : NULL;
}

static const char *sign_mode(char *args, const struct view *v, const struct wsl *w)
{
	char *name, *save = NULL;

	for (name = strtok_r(args, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		if (w->version == 2 && !strcmp(name, wsl_mode_name(w->mode)))
			return arena_printf(v->a, "networking mode %s has it", name);
	}
	return NULL;
}

static const struct sign {
	const char *word;
	enum channel_presence tells;
	const char *(*look)(char *args, const struct view *v, const struct wsl *w);
} signs[] = {
	{"wsl2", CHANNEL_IMPLIED, sign_wsl2}, {"mode", CHANNEL_IMPLIED, sign_mode},
	{"comm", CHANNEL_SEEN, sign_comm},    {"command", CHANNEL_SEEN, sign_command},
	{"fd", CHANNEL_SEEN, sign_fd},        {"vsock", CHANNEL_SEEN, sign_vsock},
	{"unix", CHANNEL_SEEN, sign_unix},    {"mount", CHANNEL_SEEN, sign_mount},
	{"file", CHANNEL_SEEN, sign_file},    {"text", CHANNEL_SEEN, sign_text},
	{"link", CHANNEL_SEEN, sign_link},    {"seccomp", CHANNEL_SEEN, sign_seccomp},
};

static const struct sign *find_sign(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
		if (!strcmp(signs[i].word, word))
			return &signs[i];
	}
	return NULL;
}

enum channel_presence channel_look(const struct channel *c, const struct view *v,
                                   const struct wsl *wsl, const char **seen)
{
	static const char between[] = " | ";
	char *sign = arena_text(v->a, c->signs), *rest;

	for (; sign; sign = rest) {
		const struct sign *s;
		const char *found;

		rest = strstr(sign, between);
		if (rest) {
			*rest = 0;
			rest += sizeof(between) - 1;
		}
		s = find_sign(next_word(&sign));
		/* The table is ours: a word that is not there is our mistake. */
		assert(s);
		found = s->look(sign, v, wsl);
		if (found) {
			*seen = found;
			return s->tells;
		}
	}
	return CHANNEL_ABSENT;
}
