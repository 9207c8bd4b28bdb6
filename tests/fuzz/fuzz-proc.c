/* SPDX-License-Identifier: MIT */
/*
 * Every parser of os/proc.h on any bytes. The first byte chooses the parser; what a parser
 * accepts must hold what its interface promises.
 */
#include "os/proc.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An address the compiler cannot know to be unused, so that reads are not optimized away. */
static volatile size_t sink;

static void touch_text(const char *text)
{
	sink += strlen(text);
}

static void fuzz_stat(struct span text, struct arena *a)
{
	struct proc_stat s;

	if (!proc_parse_stat(text, &s, NULL))
		assert(memchr(s.comm, 0, sizeof(s.comm)) && s.state);
}

static void fuzz_status(struct span text, struct arena *a)
{
	struct proc_status s;

	if (proc_parse_status(text, a, &s, NULL))
		return;
	assert(memchr(s.name, 0, sizeof(s.name)) && s.ns_levels >= 1);
	assert(s.groups.count <= PROC_GROUPS_MAX);
}

static void fuzz_maps(struct span text, struct arena *a)
{
	struct list l;
	uint64_t end = 0;

	if (proc_parse_maps(text, a, &l, NULL))
		return;
	LIST_EACH(&l, struct proc_vma, v) {
		assert(v->start >= end && v->start < v->end);
		end = v->end;
		touch_text(v->name);
		if (v->unknown_flag)
			touch_text(v->unknown_flag);
	}
}

static void fuzz_fdinfo(struct span text, struct arena *a)
{
	struct proc_fdinfo f;

	if (proc_parse_fdinfo(text, a, &f, NULL))
		return;
	assert(f.has_epoll == (f.epoll.count > 0) && f.has_inotify == (f.inotify.count > 0));
	LIST_EACH(&f.inotify, struct proc_inotify_watch, w) {
		for (size_t i = 0; i < w->handle.len; i++)
			sink += w->handle.data[i];
	}
	LIST_EACH(&f.locks, struct proc_lock, l)
		assert(l->kind && strchr("FPOL", l->kind));
}

static void fuzz_mountinfo(struct span text, struct arena *a)
{
	struct list l;

	if (proc_parse_mountinfo(text, a, &l, NULL))
		return;
	LIST_EACH(&l, struct proc_mount, m) {
		touch_text(m->root);
		touch_text(m->point);
		touch_text(m->options);
		touch_text(m->optional);
		touch_text(m->fstype);
		touch_text(m->source);
		touch_text(m->super_options);
	}
}

static void fuzz_timers(struct span text, struct arena *a)
{
	struct list l;

	if (!proc_parse_timers(text, a, &l, NULL))
		sink += l.count;
}

static void fuzz_limits(struct span text, struct arena *a)
{
	struct proc_limit limits[PROC_LIMITS];

	if (!proc_parse_limits(text, limits, NULL)) {
		for (size_t i = 0; i < PROC_LIMITS; i++)
			sink += limits[i].soft + limits[i].hard;
	}
}

static void fuzz_net_unix(struct span text, struct arena *a)
{
	struct list l;

	if (proc_parse_net_unix(text, a, &l, NULL))
		return;
	LIST_EACH(&l, struct proc_unix, u)
		touch_text(u->path);
}

static void fuzz_net_inet(struct span text, struct arena *a)
{
	struct list l;

	if (!proc_parse_net_inet(text, a, &l, NULL))
		sink += l.count;
}

static void fuzz_net_netlink(struct span text, struct arena *a)
{
	struct list l;

	if (!proc_parse_net_netlink(text, a, &l, NULL))
		sink += l.count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parsers[])(struct span, struct arena *) = {
		fuzz_stat,   fuzz_status, fuzz_maps,     fuzz_fdinfo,   fuzz_mountinfo,
		fuzz_timers, fuzz_limits, fuzz_net_unix, fuzz_net_inet, fuzz_net_netlink,
	};
	AUTO(arena) struct arena a = {0};

	if (!size)
		return 0;
	/* Letters, so that a corpus can be written with an editor: s, t, m, f, ... */
	for (size_t i = 0; i < ARRAY_LEN(parsers); i++) {
		if (data[0] == "Ssmfotluin"[i])
			parsers[i](SPAN(data + 1, size - 1), &a);
	}
	return 0;
}
