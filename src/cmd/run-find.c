/* SPDX-License-Identifier: MIT */
/*
 * What a run starts from: a snapshot that is here, one that has to be fetched, or an image that was
 * never run here and is baked now.
 *
 * An image's snapshot is known by its labels: "image" (which one), "image.stamp" (what it was
 * then), "bake.kernel" and "bake.options" (how). It is called after the image; if that name is
 * taken by something else, or by a bake of the same image in another way, the name gets a suffix.
 * When image or kernel have changed, it is baked anew and replaced.
 */
#include "cmd/run.h"

#include <stdio.h>
#include <string.h>

#include "cmd/bake.h"
#include "cmd/kernel.h"
#include "cmd/progress.h"
#include "flow/registry.h"
#include "os/os.h"
#include "rootfs/rootfs.h"

struct search {
	const char *what; /* as the user named it */
	struct store **store;
	struct arrived_vm *arrived;
	struct arena arena;
	struct bake bake;  /* how it would be baked */
	const char *image; /* which one, whole; NULL: none that is known */
	const char *stamp; /* what it is now */
	/* What is here of it. */
	const char *name;
	bool is_here;
	bool was_baked; /* from that image, and not pulled as a snapshot */
	const char *had_stamp, *had_kernel, *digest;
};

/* ---- what is here ------------------------------------------------------------------------- */

static const char *label(struct search *s, const struct store_meta *meta, const char *key)
{
	const char *value = store_meta_label(meta, key);

	return arena_text(&s->arena, value ? value : "");
}

/* Whether a name is that of our image's snapshot. @is_free: told: nobody has that name */
static int look_at(struct search *s, const char *name, bool *is_free, struct err *e)
{
	AUTO(store_reader) struct store_reader *reader = NULL;
	AUTO(text) char *options = bake_options_text(&s->bake);
	const struct store_meta *meta;
	bool taken = false;
	int r = store_has(*s->store, name, &taken, e);

	*is_free = !taken;
	if (!r && taken)
		r = store_reader_open(*s->store, name, &reader, e);
	if (r || !taken)
		return r;
	meta = store_reader_meta(reader);
	/* What was pulled from there is ours too, whoever has baked it. */
	if (text_starts(s->image, "docker://") &&
	    !strcmp(meta->origin, s->image + strlen("docker://"))) {
		s->is_here = true;
	} else if (!*meta->origin && !strcmp(label(s, meta, "image"), s->image) &&
	           !strcmp(label(s, meta, "bake.options"), options)) {
		s->is_here = s->was_baked = true;
	} else {
		return 0;
	}
	s->name = arena_text(&s->arena, name);
	s->had_stamp = label(s, meta, "image.stamp");
	s->had_kernel = label(s, meta, "bake.kernel");
	s->digest = arena_text(&s->arena, meta->digest);
	return 0;
}

/* Find the image's snapshot, or the name that it shall have. */
static int look(struct search *s, const char *name, struct err *e)
{
	AUTO(text) char *options = bake_options_text(&s->bake);
	const char *known = arena_printf(&s->arena, "%s %s", s->image, options);
	const char *longer =
		arena_printf(&s->arena, "%s+%08x", name,
	                     (unsigned)(os_quick_hash(known, strlen(known)) & UINT32_MAX));
	bool is_free, longer_is_free;
	int r = look_at(s, name, &is_free, e);

	if (!r && !s->is_here)
		r = look_at(s, longer, &longer_is_free, e);
	if (!r && !s->is_here)
		s->name = is_free ? name : longer;
	return r;
}

/* The kernel that a bake would take now; one that cannot be found is no reason for anything. */
static bool kernel_has_changed(const struct search *s)
{
	AUTO(text)
	char *kernel = s->bake.kernel ? xstrdup(s->bake.kernel)
	                              : cmd_find_kernel(store_root(*s->store), NULL);
	AUTO(text) char *id = kernel ? bake_kernel_id(kernel) : NULL;

	return id && strcmp(id, s->had_kernel) != 0;
}

/* ---- the first run ------------------------------------------------------------------------ */

/* Have a current snapshot of the image. */
static int bake_if_needed(struct search *s, struct err *e)
{
	bool same = s->was_baked && !strcmp(s->stamp, s->had_stamp), taken = false;
	AUTO(text) char *line = NULL;
	int r, opened;

	if (same && !kernel_has_changed(s))
		return 0;
	if (!s->is_here)
		line = xprintf("%s runs here for the first time: it is started once, and is at its "
		               "prompt ever after",
		               s->image);
	else
		line = xprintf("%s has changed since it was started: it is started anew",
		               same ? "the kernel" : s->image);
	say_note(line);
	s->bake.image = s->what;
	s->bake.name = s->name;
	s->bake.replace = s->is_here;
	s->bake.one_line = true;
	s->bake.fast = true;
	/* The machine's process must not have the store's key. */
	store_close(*s->store);
	*s->store = NULL;
	r = bake_image(&s->bake, e);
	if (r && r != -EEXIST)
		return r;
	opened = cmd_open_store(s->store, e);
	/* Two that run it for the first time: the other one was faster. */
	if (!opened && r && !store_has(*s->store, s->name, &taken, NULL) && taken)
		r = 0;
	return opened ? opened : r;
}

/* "debian" of "/srv/debian.tar.gz", as far as a snapshot's name may have its characters. */
static const char *name_of_path(struct search *s)
{
	const char *slash = strrchr(s->image, '/');
	char *name = arena_text(&s->arena, slash ? slash + 1 : s->image), *tar;

	for (char *c = name; *c; c++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:",
		            *c))
			*c = '-';
	tar = strstr(name, ".tar");
	if (tar && tar > name)
		*tar = '\0';
	return store_name_check(name, NULL) ? "image" : name;
}

static int find_image_here(struct search *s, struct err *e)
{
	int r = rootfs_stamp(s->what, &s->arena, &s->image, &s->stamp, e);

	if (!r)
		r = look(s, name_of_path(s), e);
	return r ? r : bake_if_needed(s, e);
}

/* ---- of a registry ------------------------------------------------------------------------ */

static void end_progress(struct oci_progress *p)
{
	progress_end((struct progress *)p);
}

/* Have it asked for. */
static int begin_pull(struct search *s, const char *root, bool without_store, struct err *e)
{
	struct arrive_vm what = {
		.pull = {.ref = s->what,
	                 .name = s->name,
	                 .verify = s->bake.from.verify,
	                 .limit = s->bake.from.limit,
	                 /* What was baked from there is not more than what is there. */
	                 .replace = s->was_baked,
	                 .insecure = s->bake.from.insecure},
		.pulled = end_progress,
		.without_store = without_store};
	struct progress progress;

	progress_begin(&progress, "pull", false);
	what.pull.progress = &progress.oci;
	arrived_vm_finish(s->arrived);
	return flow_arrive_begin(root, &what, s->arrived, e);
}

/* Have it here, or as much of it as a start needs. */
static int pull(struct search *s, struct err *e)
{
	int r = s->arrived->is_begun ? 0 : begin_pull(s, store_root(*s->store), false, e);

	if (!r)
		r = flow_arrive_vm(*s->store, s->arrived, e);
	if (!r && s->arrived->pull.state == PULL_OFFLINE)
		say_offline(&s->arrived->pull);
	return r;
}

/* What there is now, as far as it can be asked. */
static int ask(struct search *s, struct err *e)
{
	AUTO(container) struct container *c = NULL;
	struct container_source from = s->bake.from;
	int r;

	from.ref = s->what;
	r = container_open(&from, &c, e);
	if (!r)
		s->stamp = arena_text(&s->arena, container_digest(c));
	return r;
}

static int find_image_there(struct search *s, struct err *e)
{
	int r = ask(s, e);

	if (flow_is_offline(r) && s->was_baked) {
		AUTO(text)
		char *line = xprintf("%s; %s is here as it was baked before, from %s",
		                     e ? e->text : "", s->name, s->had_stamp);

		say_note(line);
		return 0;
	}
	return r ? r : bake_if_needed(s, e);
}

static int find_there(struct search *s, struct err *e)
{
	struct oci_ref ref;
	int r = oci_ref_parse(s->what, &s->arena, &ref, e);

	if (r)
		return r;
	s->image = arena_printf(&s->arena, "docker://%s", oci_ref_text(&ref, &s->arena));
	r = look(s, flow_pull_name(&ref, &s->arena), e);
	if (r)
		return r;
	/* What it was is asked for first; it may have become the other. */
	if (s->was_baked) {
		r = find_image_there(s, e);
		return r == -EMEDIUMTYPE ? pull(s, e) : r;
	}
	r = pull(s, e);
	return r == -EMEDIUMTYPE ? find_image_there(s, e) : r;
}

/* Whether it can only be a reference to a registry, or the name of a snapshot that is here. */
static bool is_remote(const char *what)
{
	return strchr(what, '/') && what[0] != '/' && what[0] != '.' && !rootfs_is_here(what);
}

int run_ask_early(const char *what, const struct bake *how, struct arrived_vm *arrived,
                  struct err *e)
{
	struct search s = {.what = what, .arrived = arrived, .bake = *how};
	struct oci_ref ref;
	int r = 0;

	/* What cannot be right is told by who looks closer. */
	if (is_remote(what) && !store_exists(NULL) && !oci_ref_parse(what, &s.arena, &ref, NULL)) {
		s.name = flow_pull_name(&ref, &s.arena);
		r = begin_pull(&s, NULL, true, e);
	}
	arena_finish(&s.arena);
	return r;
}

int run_find_snapshot(const char *what, const struct bake *how, struct store **store,
                      struct arrived_vm *arrived, char **out, struct err *e)
{
	struct search s = {
		.what = what, .store = store, .arrived = arrived, .bake = *how, .name = what};
	bool may_be_path = strchr(what, '/') || strchr(what, ':');
	int r = 0;

	if (what[0] == '/' || what[0] == '.' || (may_be_path && rootfs_is_here(what)))
		r = find_image_here(&s, e);
	else if (strchr(what, '/'))
		r = find_there(&s, e);
	if (!r)
		*out = xstrdup(s.name);
	arena_finish(&s.arena);
	return r;
}
