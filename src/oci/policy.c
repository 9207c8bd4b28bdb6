/* SPDX-License-Identifier: MIT */
/* What the user's file says about registries: which file, and which of its rules. */
#include "oci/oci-int.h"

#include <fcntl.h>
#include <string.h>

static char *policy_path(void)
{
	const char *dir = getenv("WSLX_REGISTRIES");

	if (dir && *dir)
		return xstrdup(dir);
	dir = getenv("XDG_CONFIG_HOME");
	if (dir && dir[0] == '/')
		return xprintf("%s/wslx/registries.json", dir);
	dir = getenv("HOME");
	return dir && *dir ? xprintf("%s/.config/wslx/registries.json", dir) : NULL;
}

int oci_policy_load(struct oci_policy *out, struct err *e)
{
	AUTO(text) char *path = policy_path();
	AUTO(buf) struct buf text = {0};
	const char *named = getenv("WSLX_REGISTRIES");
	int r = path ? os_read_file_at(AT_FDCWD, path, &text) : -ENOENT;

	/* A file that somebody named has to be there: it may say whom not to trust. */
	if (r == -ENOENT && !(named && *named)) {
		*out = (struct oci_policy){0};
		return 0;
	}
	if (r < 0)
		return err_set(e, r, "%s", path);
	r = oci_policy_parse(buf_span(&text), out, e);
	return r < 0 ? err_wrap(e, r, "%s", path) : 0;
}

void oci_policy_finish(struct oci_policy *p)
{
	arena_finish(&p->arena);
	p->registries.count = 0;
}

/* How much of a repository's name a rule names; 0: not this one. */
static size_t match_length(const char *match, const char *name)
{
	size_t len = strlen(match);

	if (!strcmp(match, "*"))
		return 1;
	if (strncmp(match, name, len) || (name[len] && name[len] != '/'))
		return 0;
	return len + 1;
}

struct oci_registry oci_policy_find(const struct oci_policy *p, const struct oci_ref *ref)
{
	AUTO(text) char *name = xprintf("%s/%s", ref->host, ref->repository);
	struct oci_registry found = {.match = ""};
	size_t best = 0;

	if (!p)
		return found;
	LIST_EACH(&p->registries, const struct oci_registry, it) {
		size_t len = match_length(it->match, name);

		if (len <= best)
			continue;
		best = len;
		found = *it;
	}
	return found;
}

struct list oci_signers(const struct oci_policy *p, const struct oci_ref *ref,
                        const char *const *given)
{
	if (*given)
		return (struct list){.items = (void *)(uintptr_t)given, .count = 1};
	return oci_policy_find(p, ref).keys;
}
