/* SPDX-License-Identifier: MIT */
/*
 * Distros: machines that have a name, and are kept under it when they stop. What was kept names
 * the snapshot that the machine was started from, by its id and its name, in two labels. While it
 * runs the two stand in the file of its lock, so that whoever stops it finds them there.
 */
#include "flow/vm.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "os/os.h"

#define KEPT_SUFFIX "@saved"
#define NOTE_MAX_BYTES 256
#define SHORT_ID 8

const char *flow_saved_name(struct arena *a, const char *distro)
{
	return arena_printf(a, "%s" KEPT_SUFFIX, distro);
}

char *flow_distro_name(const char *snapshot)
{
	const char *slash = strrchr(snapshot, '/');
	char *name = xstrdup(slash ? slash + 1 : snapshot);

	name[strcspn(name, ":@+")] = '\0';
	return name;
}

/* ---- what it was started from ------------------------------------------------------------- */

struct note {
	char id[40], from[STORE_NAME_MAX + 1];
};

static int write_note(int lock, const char *id, const char *from, struct err *e)
{
	AUTO(text) char *line = xprintf("%s %s\n", id, from);
	int r = os_pwrite_all(lock, line, strlen(line) + 1, 0);

	return r ? err_set(e, r, "noting what the machine was started from") : 0;
}

/* Of a machine that notes nothing, or was not started from a snapshot, it is empty. */
static void read_note(struct store *store, const char *distro, struct note *out)
{
	AUTO(text) char *path = xprintf("%s/run/%s.lock", store_root(store), distro);
	AUTO(buf) struct buf text = {0};

	*out = (struct note){.id = ""};
	if (!os_read_file_at(AT_FDCWD, path, &text) && text.len < NOTE_MAX_BYTES &&
	    sscanf(buf_text(&text), "%39s %128s", out->id, out->from) != 2)
		*out = (struct note){.id = ""};
}

/* ---- opening ------------------------------------------------------------------------------ */

void distro_finish(struct distro *d)
{
	opened_vm_finish(&d->vm);
	os_close(&d->lock);
	free(d->name);
	free(d->socket);
	free(d->left);
}

/* Another name than the one that was tried first. */
static int take_name(struct store *store, struct distro *d, char *name, struct err *e)
{
	os_close(&d->lock);
	free(d->socket);
	d->socket = NULL;
	free(d->name);
	d->name = name;
	return flow_name_machine(store, name, &d->socket, &d->lock, e);
}

/* Whether something was kept under the distro's name; if so it is opened. */
static int open_kept(struct store *store, struct distro *d, bool fresh, struct err *e)
{
	AUTO(arena) struct arena a = {0};
	const char *saved = flow_saved_name(&a, d->name);
	int r = store_has(store, saved, &d->resumes, e);

	if (r || !d->resumes)
		return r;
	if (!fresh)
		return flow_open_vm(store, saved, &d->vm, e);
	d->resumes = false;
	return store_remove(store, saved, e);
}

static int snapshot_id(struct store *store, const struct distro_choice *what, char id[40],
                       struct err *e)
{
	AUTO(store_reader) struct store_reader *reader = NULL;
	int r;

	if (what->coming) {
		snprintf(id, 40, "%s", what->coming->id);
		return 0;
	}
	r = store_reader_open(store, what->snapshot, &reader, e);
	if (!r)
		snprintf(id, 40, "%s", store_reader_meta(reader)->id);
	return r;
}

static char *name_with_id(const char *name, const char *id)
{
	return xprintf("%s-%.*s", name, SHORT_ID, id);
}

/*
 * What was kept is of another snapshot than there is now: with a name that was said it goes on,
 * else the new machine gets a name of its own.
 */
static int choose(struct store *store, const struct distro_choice *what, struct distro *d,
                  struct err *e)
{
	char id[40];
	int r = snapshot_id(store, what, id, e);

	if (r)
		return r;
	if (!d->vm.base || !strcmp(d->vm.base, id))
		return 0;
	if (what->name) {
		d->outdated = true;
		return 0;
	}
	opened_vm_finish(&d->vm);
	d->vm = (struct opened_vm){.ram_fd = -1};
	d->left = xstrdup(d->name);
	r = take_name(store, d, name_with_id(d->name, id), e);
	if (!r)
		r = open_kept(store, d, false, e);
	return r;
}

/* A distro that got the longer name goes on also when the one that had the short one is gone. */
static int look_for_longer(struct store *store, struct distro *d, struct err *e)
{
	AUTO(arena) struct arena a = {0};
	char *longer = name_with_id(d->name, d->vm.id);
	bool is_there;
	int r = store_has(store, flow_saved_name(&a, longer), &is_there, e);

	if (r || !is_there) {
		free(longer);
		return r;
	}
	opened_vm_finish(&d->vm);
	d->vm = (struct opened_vm){.ram_fd = -1};
	r = take_name(store, d, longer, e);
	return r ? r : open_kept(store, d, false, e);
}

void flow_guess_distro(const struct distro_choice *what, struct distro *out)
{
	AUTO(text) char *name = what->name ? xstrdup(what->name) : flow_distro_name(what->snapshot);
	AUTO(arena) struct arena a = {0};
	const char *names[] = {flow_saved_name(&a, name), what->snapshot};
	size_t from = what->fresh, to = what->snapshot ? 2 : 1;

	*out = (struct distro){.lock = -1, .vm.ram_fd = -1};
	flow_guess_vm(names + from, to - from, &out->vm);
}

static int open_distro(struct store *store, const struct distro_choice *what, struct distro *d,
                       struct err *e)
{
	char *name = what->name ? xstrdup(what->name) : flow_distro_name(what->snapshot);
	int r = take_name(store, d, name, e);

	if (!r)
		r = open_kept(store, d, what->fresh, e);
	if (!r && d->resumes && what->snapshot)
		r = choose(store, what, d, e);
	if (!r && !d->resumes && !what->snapshot)
		r = err_say(e, -ENOENT, "there is no distro %s: it neither runs nor was it kept",
		            name);
	if (r || d->resumes)
		return r;
	if (what->coming) {
		opened_vm_finish(&d->vm);
		d->vm = *what->coming;
		*what->coming = (struct opened_vm){.ram_fd = -1};
	} else {
		r = flow_open_vm(store, what->snapshot, &d->vm, e);
	}
	if (!r && !what->name && !d->left && !what->fresh)
		r = look_for_longer(store, d, e);
	return r;
}

int flow_open_distro(struct store *store, const struct distro_choice *what, struct distro *out,
                     struct err *e)
{
	int r = open_distro(store, what, out, e);

	if (r)
		return r;
	if (out->resumes && !out->vm.base)
		return 0;
	return write_note(out->lock, out->resumes ? out->vm.base : out->vm.id,
	                  out->resumes ? out->vm.from : what->snapshot, e);
}

/* ---- stopping ----------------------------------------------------------------------------- */

int flow_stop_machine(struct store *store, const char *distro, bool save, struct err *e)
{
	AUTO(arena) struct arena a = {0};
	AUTO(text) char *socket = NULL;
	struct control_message answer = {.n_fds = 0};
	struct snap_vm_result result;
	struct note note;
	const struct store_label labels[] = {{"machine.base", note.id},
	                                     {"machine.from", note.from}};
	struct snap_vm what = {.machine = distro,
	                       .name = flow_saved_name(&a, distro),
	                       .replace = true,
	                       .local = true,
	                       .compression = STORE_COMPRESS_AUTO,
	                       .labels = labels};
	int r = flow_find_machine(store, distro, &socket, e);

	what.socket = socket;
	read_note(store, distro, &note);
	what.n_labels = note.id[0] ? ARRAY_LEN(labels) : 0;
	if (!r && save)
		r = flow_snap_vm(store, &what, &result, e);
	if (!r)
		r = control_call(socket, "stop", NULL, 0, &answer, e);
	if (!r)
		control_message_close(&answer);
	return r;
}

int flow_forget_distro(struct store *store, const char *distro, struct err *e)
{
	AUTO(arena) struct arena a = {0};
	AUTO(text) char *socket = NULL;
	AUTO(fd) int lock = -1;
	int r = flow_name_machine(store, distro, &socket, &lock, e);

	if (r == -EEXIST)
		return err_say(e, -EBUSY,
		               "the distro %s is running; wslx stop %s --discard ends it and "
		               "forgets it",
		               distro, distro);
	return r ? r : store_remove(store, flow_saved_name(&a, distro), e);
}

/* ---- all of them -------------------------------------------------------------------------- */

static struct distro_state *state_of(struct list *all, struct arena *a, const char *name)
{
	struct distro_state *state;

	LIST_EACH(all, struct distro_state, it)
		if (!strcmp(it->name, name))
			return it;
	state = LIST_ADD(all, a, struct distro_state);
	state->name = name;
	state->from = "";
	return state;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct distro_state *)a)->name,
	              ((const struct distro_state *)b)->name);
}

int flow_distros(struct store *store, struct arena *a, struct list *out, struct err *e)
{
	struct list snapshots = {0}, running = {0};
	int r = store_list(store, a, &snapshots, e);

	if (!r)
		r = flow_running_machines(store, a, &running, e);
	if (r)
		return r;
	LIST_EACH(&snapshots, const struct store_meta, m) {
		struct distro_state *state;
		const char *from;

		if (!text_ends(m->name, KEPT_SUFFIX))
			continue;
		state = state_of(out, a,
		                 arena_printf(a, "%.*s",
		                              (int)(strlen(m->name) - strlen(KEPT_SUFFIX)),
		                              m->name));
		from = m->damage ? NULL : store_meta_label(m, "machine.from");
		state->is_kept = true;
		state->kept_ns = m->created_ns;
		state->stored_bytes = m->stored_bytes;
		state->from = from ? from : "";
	}
	LIST_EACH(&running, const char *, name) {
		struct distro_state *state = state_of(out, a, *name);
		struct note note;

		state->runs = true;
		read_note(store, *name, &note);
		if (note.id[0])
			state->from = arena_text(a, note.from);
	}
	if (out->count)
		qsort(out->items, out->count, sizeof(struct distro_state), by_name);
	return 0;
}
