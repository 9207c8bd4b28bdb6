/* SPDX-License-Identifier: MIT */
/* Builds the readiness report: features, policy, WSL and its channels, the tree, the verdict. */
#include "ready/ready.h"

#include <fcntl.h>
#include <string.h>

const char *ready_class_name(enum ready_class class)
{
	static const char *const names[] = {
		[READY_RESTORABLE] = "restorable",  [READY_NET] = "with profile net",
		[READY_FULL] = "with profile full", [READY_COOPERATIVE] = "cooperative",
		[READY_NOT] = "not restorable",
	};

	return names[class];
}

const char *ready_verdict_name(enum ready_verdict verdict)
{
	static const char *const names[] = {
		[READY_YES] = "ready", [READY_PARTLY] = "partly", [READY_NO] = "not ready"};

	return names[verdict];
}

static enum ready_verdict worse(enum ready_verdict a, enum ready_verdict b)
{
	return a > b ? a : b;
}

#define REASON(r, ...)                                                                             \
	(*LIST_ADD(&(r)->reasons, &(r)->arena, const char *) =                                     \
	         arena_printf(&(r)->arena, __VA_ARGS__))

/* ---- the machine ----------------------------------------------------------------------- */

static void run_probes(struct ready_report *r, const struct view *v)
{
	for (size_t i = 0; i < n_probes; i++) {
		struct ready_feature *f = LIST_ADD(&r->features, &r->arena, struct ready_feature);

		f->probe = &probes[i];
		probe_run(f->probe, v->live ? AT_FDCWD : v->root, &f->result);
	}
}

static bool is_yes(const struct ready_report *r, const char *name)
{
	LIST_EACH(&r->features, struct ready_feature, f) {
		if (!strcmp(f->probe->name, name))
			return f->result.answer == PROBE_YES;
	}
	return false;
}

static void look_at_channels(struct ready_report *r, const struct view *v)
{
	if (r->wsl.version != 2)
		return;
	for (size_t i = 0; i < n_channels; i++) {
		struct ready_channel c = {.channel = &channels[i]}, *kept;

		c.presence = channel_look(c.channel, v, &r->wsl, &c.seen);
		if (c.presence == CHANNEL_ABSENT)
			continue;
		kept = LIST_ADD(&r->channels, &r->arena, struct ready_channel);
		*kept = c;
	}
}

static void judge_host(struct ready_report *r)
{
	r->host_verdict = READY_YES;
	if (r->wsl.version == 1) {
		r->host_verdict = READY_NO;
		REASON(r, "this is WSL 1, which has no Linux kernel: convert the distribution with "
		          "wsl --set-version");
	}
	LIST_EACH(&r->features, struct ready_feature, f) {
		if (f->probe->need != PROBE_NEEDED || f->result.answer == PROBE_YES ||
		    (f->result.answer == PROBE_UNKNOWN && r->recording))
			continue;
		r->host_verdict = READY_NO;
		REASON(r, "%s: %s (%s)", f->probe->name, f->probe->lost, f->result.detail);
	}
	LIST_EACH(&r->features, struct ready_feature, f) {
		if (f->probe->need == PROBE_NEEDED || f->result.answer != PROBE_NO ||
		    (f->probe->instead && is_yes(r, f->probe->instead)))
			continue;
		r->host_verdict = worse(r->host_verdict, READY_PARTLY);
		REASON(r, "without %s: %s", f->probe->name, f->probe->lost);
	}
}

/* ---- the tree -------------------------------------------------------------------------- */

static void judge_tree(struct ready_report *r)
{
	r->tree_verdict = READY_YES;
	for (int class = READY_NOT; class > READY_RESTORABLE; class --) {
		if (!r->counts[class])
			continue;
		r->tree_verdict =
			worse(r->tree_verdict, class > READY_TAKEN ? READY_NO : READY_PARTLY);
		LIST_EACH(&r->resources, struct ready_resource, res) {
			if ((int)res->class != class)
				continue;
			/* The first stands for all of its class; the list has the others. */
			REASON(r, "tree: %s%s: %zu, the first is process %d, %s: %s: %s",
			       ready_class_name(res->class),
			       class > READY_TAKEN && class < READY_NOT
			               ? ", refused by this version"
			               : "",
			       r->counts[class], res->pid, res->where, res->kind, res->sentence);
			break;
		}
	}
}

int ready_build(const struct ready_options *options, struct ready_report *out, struct err *e)
{
	struct view v = {0};
	int r;

	*out = (struct ready_report){0};
	r = view_open(&v, options->root, &out->arena, e);
	if (r < 0)
		return r;
	if (options->pid) {
		const struct view_proc *p = view_find(&v, options->pid);

		if (!p) {
			view_close(&v);
			return err_say(e, -ESRCH, "there is no process %d", options->pid);
		}
		out->pid = options->pid;
		out->command = *p->command ? p->command : arena_text(&out->arena, p->stat.comm);
		view_tree(&v, options->pid);
	}
	out->recording = options->root ? arena_text(&out->arena, options->root) : NULL;
	out->kernel = view_line(&v, "proc/sys/kernel/osrelease");
	if (!out->kernel)
		out->kernel = "unknown";
	run_probes(out, &v);
	wsl_detect(&v, &out->wsl);
	look_at_channels(out, &v);
	if (options->pid) {
		ready_classify_tree(out, &v, options->obstacles);
		judge_tree(out);
	}
	judge_host(out);
	out->verdict = worse(out->host_verdict, out->tree_verdict);
	view_close(&v);
	return 0;
}

void ready_finish(struct ready_report *r)
{
	arena_finish(&r->arena);
	*r = (struct ready_report){0};
}
