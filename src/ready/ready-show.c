/* SPDX-License-Identifier: MIT */
/* The readiness report as text and as JSON. Names that programs chose are made printable. */
#include "ready/ready.h"

#include <string.h>

/* ---- text ------------------------------------------------------------------------------ */

static void add_printable(struct buf *out, const char *text)
{
	text_add_printable(out, text, strlen(text));
}

/* @text, then blanks up to @width columns and two more. */
static void add_column(struct buf *out, const char *text, size_t width)
{
	size_t start = out->len;

	add_printable(out, text);
	while (out->len - start < width + 2)
		buf_add_byte(out, ' ');
}

static void add_feature(struct buf *out, const struct ready_feature *f)
{
	buf_add_text(out, "  ");
	add_column(out, probe_answer_name(f->result.answer), 7);
	add_column(out, f->probe->name, 23);
	add_printable(out, f->result.detail);
	buf_add_byte(out, '\n');
	if (f->result.answer == PROBE_YES)
		return;
	buf_printf(out, "%36sfor: %s\n", "", f->probe->enables);
	buf_printf(out, "%36swithout it: %s\n", "", f->probe->lost);
}

static void add_features(struct buf *out, const struct ready_report *r, bool policy, bool all)
{
	size_t fine = 0, shown = 0;

	buf_add_text(out, policy ? "\nPolicy\n" : "\nKernel features\n");
	if (!policy && r->recording) {
		buf_add_text(out, "  not tried: this is a recording\n");
		return;
	}
	LIST_EACH(&r->features, struct ready_feature, f) {
		if (f->probe->policy != policy)
			continue;
		if (!all && f->result.answer == PROBE_YES) {
			fine++;
		} else {
			add_feature(out, f);
			shown++;
		}
	}
	if (fine)
		buf_printf(out, "  yes      %zu%s\n", fine, shown ? " others" : "");
}

static void add_class(struct buf *out, const char *snapshot, enum channel_class class,
                      const char *reason)
{
	buf_printf(out, "        %-8s %s%s%s\n", snapshot, channel_class_name(class),
	           *reason ? ": " : "", reason);
}

static const char *presence_name(enum channel_presence presence)
{
	return presence == CHANNEL_SEEN ? "seen" : "implied";
}

static void add_channel(struct buf *out, const struct ready_channel *c)
{
	buf_printf(out, "  %2u  %s: %s\n        owner    %s\n        %-8s ", c->channel->number,
	           c->channel->name, c->channel->transport, c->channel->owner,
	           presence_name(c->presence));
	add_printable(out, c->seen);
	buf_printf(out, "\n        cut      %s\n        again    %s\n", c->channel->cut,
	           c->channel->again);
	add_class(out, "process", c->channel->process, c->channel->process_reason);
	add_class(out, "machine", c->channel->machine, c->channel->machine_reason);
}

/* One line a channel: enough to see which ones are there and which are trouble. */
static void add_channel_row(struct buf *out, const struct ready_channel *c)
{
	buf_printf(out, "  %2u  ", c->channel->number);
	add_column(out, c->channel->name, 42);
	add_column(out, channel_class_name(c->channel->process), 16);
	add_column(out, channel_class_name(c->channel->machine), 16);
	buf_printf(out, "%s: ", presence_name(c->presence));
	add_printable(out, c->seen);
	buf_add_byte(out, '\n');
}

static void add_wsl(struct buf *out, const struct ready_report *r, bool all)
{
	if (!r->wsl.version) {
		buf_add_text(out, "\nNot WSL\n");
		return;
	}
	buf_printf(out, "\nWSL %d: ", r->wsl.version);
	add_printable(out, r->wsl.how);
	buf_add_byte(out, '\n');
	if (r->wsl.version != 2)
		return;
	buf_printf(out, "  networking mode %s: %s\n", wsl_mode_name(r->wsl.mode), r->wsl.mode_how);
	buf_add_text(out, "\nChannels to the host\n");
	if (!all)
		buf_printf(out, "      %-44s%-18s%-18s%s\n", "", "process snapshot",
		           "machine snapshot", "recognised by");
	LIST_EACH(&r->channels, struct ready_channel, c) {
		if (all)
			add_channel(out, c);
		else
			add_channel_row(out, c);
	}
}

/* Do two resources say the same to a reader? */
static bool alike(const struct ready_resource *a, const struct ready_resource *b)
{
	return a->class == b->class && !strcmp(a->kind, b->kind) && !strcmp(a->shows, b->shows) &&
	       a->sentence == b->sentence;
}

/* How many rows before and behind @res say the same as it. */
static void count_alike(const struct ready_report *r, const struct ready_resource *res,
                        size_t *before, size_t *behind)
{
	*before = *behind = 0;
	LIST_EACH(&r->resources, struct ready_resource, other) {
		if (other != res && alike(other, res))
			(*(other < res ? before : behind))++;
	}
}

static void add_resource(struct buf *out, const struct ready_report *r,
                         const struct ready_resource *res, bool all)
{
	size_t before = 0, behind = 0;

	if (!all)
		count_alike(r, res, &before, &behind);
	if (before)
		return;
	buf_printf(out, "    process %d, %s", res->pid, res->where);
	if (behind)
		buf_printf(out, " and %zu more", behind);
	buf_printf(out, ": %s (", res->kind);
	add_printable(out, res->shows);
	buf_add_text(out, ")\n");
	if (res->sentence)
		buf_printf(out, "      %s\n", res->sentence);
}

static void add_tree(struct buf *out, const struct ready_report *r, bool all)
{
	buf_printf(out, "\nProcess tree of %d, ", r->pid);
	add_printable(out, r->command);
	buf_printf(out, ": %zu process%s, %zu resources\n", r->n_tasks, r->n_tasks == 1 ? "" : "es",
	           r->resources.count);
	for (int class = READY_NOT; class >= READY_RESTORABLE; class --) {
		if (!r->counts[class])
			continue;
		buf_printf(out, "  %s: %zu\n", ready_class_name((enum ready_class) class),
		           r->counts[class]);
		LIST_EACH(&r->resources, struct ready_resource, res) {
			if ((int)res->class != class || (!all && !res->sentence))
				continue;
			add_resource(out, r, res, all);
		}
	}
}

void ready_add_text(struct buf *out, const struct ready_report *r, bool all)
{
	buf_add_text(out, "Linux ");
	add_printable(out, r->kernel);
	if (r->recording) {
		buf_add_text(out, ", recorded in ");
		add_printable(out, r->recording);
	}
	buf_add_byte(out, '\n');
	add_features(out, r, false, all);
	add_features(out, r, true, all);
	add_wsl(out, r, all);
	if (r->pid)
		add_tree(out, r, all);
	buf_printf(out, "\nVerdict: %s\n", ready_verdict_name(r->verdict));
	LIST_EACH(&r->reasons, const char *, reason) {
		buf_add_text(out, "  ");
		add_printable(out, *reason);
		buf_add_byte(out, '\n');
	}
}

/* ---- JSON ------------------------------------------------------------------------------ */

static void add_string(struct buf *out, const char *text)
{
	if (text)
		text_add_json_string(out, text, strlen(text));
	else
		buf_add_text(out, "null");
}

/* "key": before a value; the comma before all but the first of an object. */
static void add_key(struct buf *out, const char *key)
{
	if (out->len && out->data[out->len - 1] != '{')
		buf_add_byte(out, ',');
	add_string(out, key);
	buf_add_byte(out, ':');
}

static void add_member(struct buf *out, const char *key, const char *text)
{
	add_key(out, key);
	add_string(out, text);
}

static void begin_item(struct buf *out)
{
	if (out->data[out->len - 1] != '[')
		buf_add_byte(out, ',');
	buf_add_byte(out, '{');
}

static void add_features_json(struct buf *out, const struct ready_report *r, bool policy)
{
	add_key(out, policy ? "policy" : "features");
	buf_add_byte(out, '[');
	LIST_EACH(&r->features, struct ready_feature, f) {
		if (f->probe->policy != policy)
			continue;
		begin_item(out);
		add_member(out, "name", f->probe->name);
		add_member(out, "answer", probe_answer_name(f->result.answer));
		add_member(out, "detail", f->result.detail);
		add_member(out, "enables", f->probe->enables);
		add_member(out, "without_it", f->probe->lost);
		add_key(out, "needed");
		buf_add_text(out, f->probe->need == PROBE_NEEDED ? "true}" : "false}");
	}
	buf_add_byte(out, ']');
}

static void add_wsl_json(struct buf *out, const struct ready_report *r)
{
	add_key(out, "wsl");
	buf_printf(out, "{\"version\":%d", r->wsl.version);
	if (r->wsl.version) {
		add_member(out, "recognised_by", r->wsl.how);
		add_member(out, "networking_mode", wsl_mode_name(r->wsl.mode));
		add_member(out, "networking_mode_recognised_by", r->wsl.mode_how);
		add_key(out, "filtered");
		buf_add_text(out, r->wsl.filtered ? "true" : "false");
	}
	add_key(out, "channels");
	buf_add_byte(out, '[');
	LIST_EACH(&r->channels, struct ready_channel, c) {
		begin_item(out);
		add_key(out, "number");
		buf_printf(out, "%u", c->channel->number);
		add_member(out, "name", c->channel->name);
		add_member(out, "transport", c->channel->transport);
		add_member(out, "owner", c->channel->owner);
		add_member(out, "presence", c->presence == CHANNEL_SEEN ? "seen" : "implied");
		add_member(out, "recognised_by", c->seen);
		add_member(out, "when_cut", c->channel->cut);
		add_member(out, "comes_back_by", c->channel->again);
		add_member(out, "process_class", channel_class_name(c->channel->process));
		add_member(out, "process_reason", c->channel->process_reason);
		add_member(out, "machine_class", channel_class_name(c->channel->machine));
		add_member(out, "machine_reason", c->channel->machine_reason);
		buf_add_byte(out, '}');
	}
	buf_add_text(out, "]}");
}

static void add_tree_json(struct buf *out, const struct ready_report *r)
{
	add_key(out, "tree");
	buf_printf(out, "{\"pid\":%d", r->pid);
	add_member(out, "command", r->command);
	add_key(out, "processes");
	buf_printf(out, "%zu", r->n_tasks);
	add_member(out, "verdict", ready_verdict_name(r->tree_verdict));
	add_key(out, "counts");
	buf_add_byte(out, '{');
	for (int class = 0; class < READY_CLASSES; class ++) {
		add_key(out, ready_class_name((enum ready_class) class));
		buf_printf(out, "%zu", r->counts[class]);
	}
	buf_add_byte(out, '}');
	add_key(out, "resources");
	buf_add_byte(out, '[');
	LIST_EACH(&r->resources, struct ready_resource, res) {
		begin_item(out);
		add_key(out, "pid");
		buf_printf(out, "%d", res->pid);
		add_member(out, "where", res->where);
		add_member(out, "kind", res->kind);
		add_member(out, "shows", res->shows);
		add_member(out, "class", ready_class_name(res->class));
		add_member(out, "sentence", res->sentence);
		buf_add_byte(out, '}');
	}
	buf_add_text(out, "]}");
}

void ready_add_json(struct buf *out, const struct ready_report *r)
{
	buf_add_byte(out, '{');
	add_member(out, "verdict", ready_verdict_name(r->verdict));
	add_member(out, "host_verdict", ready_verdict_name(r->host_verdict));
	add_key(out, "reasons");
	buf_add_byte(out, '[');
	LIST_EACH(&r->reasons, const char *, reason) {
		if (out->data[out->len - 1] != '[')
			buf_add_byte(out, ',');
		add_string(out, *reason);
	}
	buf_add_byte(out, ']');
	add_member(out, "kernel", r->kernel);
	add_member(out, "recording", r->recording);
	add_features_json(out, r, false);
	add_features_json(out, r, true);
	add_wsl_json(out, r);
	if (r->pid)
		add_tree_json(out, r);
	buf_add_text(out, "}\n");
}
