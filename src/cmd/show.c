/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "cmd/cmd.h"
#include "flow/vm.h"

static const struct verb_option options[] = {
	{"json", NULL, "as JSON", false},
	{"cbor", NULL, "the state as it is: deterministic CBOR", false},
};

/* What a state blob of each kind decodes to. */
static const struct {
	const char *kind;
	const struct rec_type *type;
} types[] = {
	{"proc", &process_image_type},
	{"vm", &vm_snapshot_type},
};

static int show(const struct args *args, struct store_reader *reader, struct buf *out,
                struct err *e)
{
	const struct store_meta *meta = store_reader_meta(reader);
	AUTO(arena) struct arena a = {0};
	const struct rec_type *type = NULL;
	void *rec;
	int r;

	if (arg_is_set(args, "cbor")) {
		struct span state = store_reader_state(reader);

		buf_add(out, state.data, state.len);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (!strcmp(types[i].kind, meta->kind))
			type = types[i].type;
	if (!type)
		return err_say(e, -EINVAL, "%s is of kind \"%s\", which cannot be shown",
		               meta->name, meta->kind);
	rec = arena_alloc(&a, type->bytes);
	r = rec_decode(store_reader_state(reader), type, &a, rec, e);
	if (r < 0)
		return r;
	if (arg_is_set(args, "json")) {
		rec_show_json(out, type, rec);
		buf_add_byte(out, '\n');
	} else {
		rec_show_text(out, type, rec, 0);
	}
	return 0;
}

static int run(struct args *args)
{
	AUTO(store) struct store *store = NULL;
	AUTO(store_reader) struct store_reader *reader = NULL;
	AUTO(buf) struct buf out = {0};
	struct err e = {0};
	int r = cmd_open_store(&store, &e);

	if (!r)
		r = store_reader_open(store, args->operands[0], &reader, &e);
	if (!r)
		r = show(args, reader, &out, &e);
	if (r < 0)
		return say_error(&e);
	fwrite(out.data, 1, out.len, stdout);
	return EXIT_DONE;
}

const struct verb verb_show = {
	.name = "show",
	.operands = "NAME",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "Show everything that a snapshot holds",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};

/* ---- formats -------------------------------------------------------------------------------- */

static int run_formats(struct args *args)
{
	AUTO(buf) struct buf out = {0};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		buf_printf(&out, "## State of a snapshot of kind \"%s\"\n\n", types[i].kind);
		rec_describe(&out, types[i].type);
	}
	fputs(buf_text(&out), stdout);
	return EXIT_DONE;
}

const struct verb verb_formats = {
	.name = "diag formats",
	.summary = "Document the state records as Markdown tables",
	.run = run_formats,
};
