/* SPDX-License-Identifier: MIT */
/*
 * Who else holds a file: processes outside of the tree, by the text of their links in /proc.
 * All of /proc is read once per dump, at the first question.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "kinds/kinds.h"

struct held {
	uint64_t link; /* os_quick_hash() of the text */
	pid_t pid;
};

static void add_links(int proc, const char *name, pid_t pid, struct arena *a, struct list *out)
{
	char path[32], text[4096];
	struct dirent *entry;
	DIR *fds;
	int dir;

	snprintf(path, sizeof(path), "%.16s/fd", name);
	dir = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fds = dir < 0 ? NULL : fdopendir(dir);
	if (!fds) {
		os_close(&dir);
		return;
	}
	while ((entry = readdir(fds))) {
		ssize_t n = readlinkat(dir, entry->d_name, text, sizeof(text));

		if (n > 0)
			*LIST_ADD(out, a, struct held) =
				(struct held){os_quick_hash(text, (size_t)n), pid};
	}
	closedir(fds);
}

static int compare(const void *a, const void *b)
{
	const struct held *left = a, *right = b;

	return left->link < right->link ? -1 : left->link > right->link;
}

/* @d: whose tasks do not count; NULL: none. */
static void scan(const struct dump *d, struct arena *a, struct list *out)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	while (proc && (entry = readdir(proc))) {
		uint64_t pid;

		if (text_to_u64(entry->d_name, 10, INT32_MAX, &pid) < 0 ||
		    pid == (uint64_t)getpid() || (d && dump_find(d, (pid_t)pid)))
			continue;
		add_links(dirfd(proc), entry->d_name, (pid_t)pid, a, out);
	}
	if (proc)
		closedir(proc);
	if (out->count)
		qsort(out->items, out->count, sizeof(struct held), compare);
}

static pid_t find(const struct list *held, const char *link)
{
	struct held key = {.link = os_quick_hash(link, strlen(link))};
	const struct held *found =
		held->count ? bsearch(&key, held->items, held->count, sizeof(key), compare) : NULL;

	return found ? found->pid : 0;
}

pid_t dump_outside_holder(struct dump *d, const char *link)
{
	if (!d->outside_known)
		scan(d, &d->arena, &d->outside);
	d->outside_known = true;
	return find(&d->outside, link);
}

pid_t holder_of_link(const char *link)
{
	AUTO(arena) struct arena a = {0};
	struct list held = {0};

	scan(NULL, &a, &held);
	return find(&held, link);
}
