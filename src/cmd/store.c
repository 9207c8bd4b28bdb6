/* SPDX-License-Identifier: MIT */
/* The verbs that look at the store as a whole: list, rm, verify, gc. */
#include <string.h>
#include <time.h>

#include "cmd/cmd.h"
#include "flow/container.h"
#include "flow/own-disk.h"
#include "flow/vm.h"

/* ---- list --------------------------------------------------------------------------------- */

static const struct verb_option list_options[] = {
	{"json", NULL, "as JSON", false},
	{"distros", NULL, "only the machines that have a name: they run, or were kept", false},
	{"running", NULL, "instead the machines that are running, a name a line", false},
};

static void print_cell(const char *text, int width)
{
	AUTO(buf) struct buf b = {0};

	text_add_printable(&b, text, strlen(text));
	printf("%-*s ", width, buf_text(&b));
}

static void list_text(const struct list *all)
{
	if (!all->count) {
		printf("There are no snapshots yet: wslx snap proc --pid PID --name NAME\n");
		return;
	}
	print_cell("NAME", 24);
	printf("%-8s %-16s %10s  %s\n", "KIND", "TAKEN", "STORED", "COMMAND");
	LIST_EACH(all, struct store_meta, m) {
		time_t taken = (time_t)(m->created_ns / 1000000000u);
		char when[32] = "", size[16];
		const char *command = m->damage ? NULL : store_meta_label(m, "command");
		struct tm tm;

		print_cell(m->name, 24);
		if (m->damage) {
			printf("damaged: ");
			print_cell(m->damage_text, 0);
			printf("\n");
			continue;
		}
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M", localtime_r(&taken, &tm));
		printf("%-8s %-16s %10s  ", m->kind, when, text_of_bytes(size, m->stored_bytes));
		print_cell(command ? command : "", 0);
		printf("\n");
	}
}

static void add_json(struct buf *b, const char *key, const char *text)
{
	buf_printf(b, ",\"%s\":", key);
	text_add_json_string(b, text ? text : "", text ? strlen(text) : 0);
}

static void list_distros(const struct list *all)
{
	print_cell("DISTRO", 24);
	printf("%-8s %-16s %10s  %s\n", "STATE", "KEPT", "STORED", "FROM");
	LIST_EACH(all, const struct distro_state, d) {
		char when[32] = "", size[16] = "";
		time_t kept = (time_t)(d->kept_ns / 1000000000u);
		struct tm tm;

		if (d->is_kept) {
			strftime(when, sizeof(when), "%Y-%m-%d %H:%M", localtime_r(&kept, &tm));
			text_of_bytes(size, d->stored_bytes);
		}
		print_cell(d->name, 24);
		printf("%-8s %-16s %10s  ", d->runs ? "running" : "kept", when, size);
		print_cell(d->from, 0);
		printf("\n");
	}
}

static void list_json(const struct list *all)
{
	AUTO(buf) struct buf b = {0};

	buf_add_byte(&b, '[');
	LIST_EACH(all, struct store_meta, m) {
		buf_printf(&b, "%s{\"damaged\":%s", b.len > 1 ? ",\n " : "",
		           m->damage ? "true" : "false");
		add_json(&b, "name", m->name);
		if (!m->damage) {
			add_json(&b, "kind", m->kind);
			add_json(&b, "digest", m->digest);
			add_json(&b, "command", store_meta_label(m, "command"));
			add_json(&b, "origin", m->origin);
			buf_printf(&b, ",\"public\":%s", m->is_public ? "true" : "false");
			buf_printf(&b, ",\"created_ns\":%llu,\"stored_bytes\":%llu,\"pages\":%llu",
			           (unsigned long long)m->created_ns,
			           (unsigned long long)m->stored_bytes,
			           (unsigned long long)m->pages);
		} else {
			add_json(&b, "damage", m->damage_text);
		}
		buf_add_byte(&b, '}');
	}
	buf_add_text(&b, "]\n");
	fputs(buf_text(&b), stdout);
}

static void distros_json(const struct list *all)
{
	AUTO(buf) struct buf b = {0};

	buf_add_byte(&b, '[');
	LIST_EACH(all, const struct distro_state, d) {
		buf_printf(&b, "%s{\"running\":%s,\"kept\":%s", b.len > 1 ? ",\n " : "",
		           d->runs ? "true" : "false", d->is_kept ? "true" : "false");
		add_json(&b, "name", d->name);
		add_json(&b, "from", d->from);
		if (d->is_kept)
			buf_printf(&b, ",\"kept_ns\":%llu,\"stored_bytes\":%llu",
			           (unsigned long long)d->kept_ns,
			           (unsigned long long)d->stored_bytes);
		buf_add_byte(&b, '}');
	}
	buf_add_text(&b, "]\n");
	fputs(buf_text(&b), stdout);
}

static int list_running(struct args *args)
{
	AUTO(store) struct store *store = NULL;
	AUTO(arena) struct arena a = {0};
	struct list names = {0};
	struct err e = {0};
	int r = cmd_open_store(&store, &e);

	if (!r)
		r = flow_running_machines(store, &a, &names, &e);
	if (r)
		return say_error(&e);
	LIST_EACH(&names, const char *, name)
		printf("%s\n", *name);
	return EXIT_DONE;
}

static int run_list(struct args *args)
{
	bool json = arg_is_set(args, "json"), only_distros = arg_is_set(args, "distros");
	AUTO(store) struct store *store = NULL;
	AUTO(arena) struct arena a = {0};
	struct list all = {0}, distros = {0};
	struct err e = {0};
	int r;

	if (arg_is_set(args, "running"))
		return list_running(args);
	r = cmd_open_store(&store, &e);
	if (!r && !only_distros)
		r = store_list(store, &a, &all, &e);
	if (!r && (only_distros || !json))
		r = flow_distros(store, &a, &distros, &e);
	if (r < 0)
		return say_error(&e);
	if (json) {
		only_distros ? distros_json(&distros) : list_json(&all);
		return EXIT_DONE;
	}
	if (!only_distros)
		list_text(&all);
	if (!only_distros && distros.count)
		printf("\n");
	if (only_distros || distros.count)
		list_distros(&distros);
	return EXIT_DONE;
}

const struct verb verb_list = {
	.name = "list",
	.summary = "List the snapshots and the distros",
	.options = list_options,
	.n_options = ARRAY_LEN(list_options),
	.run = run_list,
};

/* ---- rm ----------------------------------------------------------------------------------- */

static const struct verb_option rm_options[] = {
	{"distro", NULL, "what was kept of a distro, also if a snapshot has that name", false},
};

/* A name is that of a snapshot, or else of a distro. */
static int remove_one(struct store *store, const char *name, bool distro, struct err *e)
{
	AUTO(arena) struct arena a = {0};
	bool is_snapshot = false, is_kept = false;
	int r = distro ? 0 : store_has(store, name, &is_snapshot, e);

	if (!r)
		r = store_has(store, flow_saved_name(&a, name), &is_kept, e);
	if (r)
		return r;
	if (distro && !is_kept)
		return err_say(e, -ENOENT, "nothing was kept of a distro %s", name);
	if (!is_snapshot && is_kept)
		return flow_forget_distro(store, name, e);
	r = store_remove(store, name, e);
	if (!r && is_kept) {
		AUTO(text)
		char *line = xprintf("what was kept of the distro %s stays; wslx rm --distro %s "
		                     "removes it",
		                     name, name);

		say_note(line);
	}
	return r;
}

static int run_rm(struct args *args)
{
	AUTO(store) struct store *store = NULL;
	bool distro = arg_is_set(args, "distro");
	struct err e = {0};
	int r = cmd_open_store(&store, &e), code = EXIT_DONE;
	uint64_t freed = 0;

	if (r < 0)
		return say_error(&e);
	for (int i = 0; i < args->n_operands; i++)
		if (remove_one(store, args->operands[i], distro, &e) < 0)
			code = say_error(&e);
	/* Memory of machines must not outlive what it was restored from. */
	if (flow_sweep_ram(store, &freed, &e) < 0)
		code = say_error(&e);
	return code;
}

const struct verb verb_rm = {
	.name = "rm",
	.operands = "NAME...",
	.min_operands = 1,
	.max_operands = INT32_MAX,
	.summary = "Remove snapshots, or what was kept of distros",
	.options = rm_options,
	.n_options = ARRAY_LEN(rm_options),
	.run = run_rm,
};

/* ---- verify, gc ----------------------------------------------------------------------------- */

static int run_verify(struct args *args)
{
	AUTO(store) struct store *store = NULL;
	struct store_report report = {0};
	struct err e = {0};
	char size[16];
	int r = cmd_open_store(&store, &e);

	if (!r)
		r = store_verify(store, args->n_operands ? args->operands[0] : NULL, &report, &e);
	if (r < 0)
		return say_error(&e);
	printf("%llu snapshot%s, %llu frames, %s: all as they were written\n",
	       (unsigned long long)report.snapshots, report.snapshots == 1 ? "" : "s",
	       (unsigned long long)report.frames, text_of_bytes(size, report.bytes));
	return EXIT_DONE;
}

const struct verb verb_verify = {
	.name = "verify",
	.operands = "[NAME]",
	.max_operands = 1,
	.summary = "Read snapshots in full and check every byte",
	.run = run_verify,
};

static int run_gc(struct args *args)
{
	AUTO(store) struct store *store = NULL;
	struct store_report report = {0};
	struct err e = {0};
	uint64_t memory = 0;
	char size[16];
	int r = cmd_open_store(&store, &e);

	if (!r)
		r = store_gc(store, &report, &e);
	if (!r)
		r = flow_sweep_ram(store, &memory, &e);
	if (r >= 0)
		r = own_disk_sweep(store, &report.bytes, &e);
	if (r >= 0)
		r = flow_sweep_images(store, &report.bytes, &e);
	if (r < 0)
		return say_error(&e);
	printf("%llu blobs removed, %s freed", (unsigned long long)report.blobs,
	       text_of_bytes(size, report.bytes));
	if (memory)
		printf(", and %s of memory", text_of_bytes(size, memory));
	printf("\n");
	return EXIT_DONE;
}

const struct verb verb_gc = {
	.name = "gc",
	.summary = "Remove what no snapshot needs",
	.run = run_gc,
};
