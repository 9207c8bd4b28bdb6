/* SPDX-License-Identifier: MIT */
/* The order of a dump, and which object is which. */
#include <elf.h>
#include <inttypes.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/utsname.h>
#include <time.h>

#include "engine/engine-int.h"

/* ---- sets of kernel objects ------------------------------------------------------------- */

int kset_find(struct kset *set, pid_t pid, unsigned long index, uint32_t next_id, uint32_t *id,
              struct err *e)
{
	size_t low = 0, high = set->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct kset_item *item = &set->items[mid];
		int order = os_kcmp(pid, item->pid, set->type, index, item->index);

		if (order < 0)
			return err_set(e, order,
			               "process %d: kcmp (a kernel with CONFIG_KCMP is needed)",
			               pid);
		if (!order) {
			*id = item->id;
			return 0;
		}
		if (order == 1)
			high = mid;
		else
			low = mid + 1;
	}
	if (set->n == set->cap) {
		set->cap = set->cap ? 2 * set->cap : 16;
		set->items = xrealloc(set->items, set->cap * sizeof(*set->items));
	}
	memmove(&set->items[low + 1], &set->items[low], (set->n - low) * sizeof(*set->items));
	set->items[low] = (struct kset_item){.pid = pid, .index = index, .id = next_id};
	set->n++;
	*id = next_id;
	return 1;
}

/* ---- tasks ----------------------------------------------------------------------------- */

static void dump_zombie(struct dump *d, struct dtask *t, struct task_rec *rec)
{
	rec->state = TASK_ZOMBIE;
	rec->exit_status = (uint32_t)t->stat.exit_code;
	rec->comm = arena_text(&d->arena, t->stat.comm);
}

static int dump_fs(struct dump *d, struct dtask *t, pid_t tid, struct fs_rec *fs, struct err *e)
{
	char path[64];
	struct stat st;
	int r;

	fs->umask = t->status.umask;
	snprintf(path, sizeof(path), "task/%d/cwd", tid);
	r = os_readlink_at(t->proc, path, &d->arena, &fs->cwd);
	if (!r && fstatat(t->proc, path, &st, 0) == 0 && !st.st_nlink)
		fs->cwd_gone = true;
	snprintf(path, sizeof(path), "task/%d/root", tid);
	if (!r)
		r = os_readlink_at(t->proc, path, &d->arena, &fs->root);
	if (r < 0)
		return err_set(e, r, "process %d: its directories", t->pid);
	if (fs->cwd_gone)
		dump_obstacle(d, t->pid,
		              "its working directory %s was deleted: change to one that exists",
		              fs->cwd);
	return 0;
}

/* The object that a thread uses: known already, or dumped now. */
static int dump_shared_tables(struct dump *d, struct dtask *t, struct thread_rec *th, struct err *e)
{
	uint32_t next = (uint32_t)d->image.tables.count + 1;
	int r = kset_find(&d->tables, (pid_t)th->tid, 0, next, &th->table, e);

	if (r < 0)
		return r;
	if (r) {
		struct table_rec *table = LIST_ADD(&d->image.tables, &d->arena, struct table_rec);
		struct table_rec filled = {.id = next};

		r = dump_table(d, t, (pid_t)th->tid, &filled, e);
		if (r < 0)
			return r;
		*table = filled;
	}
	next = (uint32_t)d->image.fss.count + 1;
	r = kset_find(&d->fss, (pid_t)th->tid, 0, next, &th->fs, e);
	if (r > 0) {
		struct fs_rec *fs = LIST_ADD(&d->image.fss, &d->arena, struct fs_rec);

		fs->id = next;
		r = dump_fs(d, t, (pid_t)th->tid, fs, e);
	}
	return r;
}

static int dump_task(struct dump *d, struct dtask *t, struct task_rec *rec, struct err *e)
{
	uint32_t next;
	int r;

	rec->pid = (uint32_t)t->pid;
	rec->ppid = t->parent ? (uint32_t)t->parent->pid : 0;
	rec->pgid = (uint32_t)t->stat.pgrp;
	rec->sid = (uint32_t)t->stat.session;
	rec->exit_signal = (uint32_t)t->stat.exit_signal;
	if (t->zombie) {
		dump_zombie(d, t, rec);
		return 0;
	}
	next = (uint32_t)d->image.mms.count + 1;
	r = kset_find(&d->mms, t->pid, 0, next, &rec->mm, e);
	if (r < 0)
		return r;
	t->mm = rec->mm;
	t->mm_owner = r > 0;
	/* What is being read must not be worked in by another one that has it. */
	if (!t->mm_owner && d->sink) {
		r = d->sink->drain(d->sink, e);
		if (r < 0)
			return r;
	}
	if (t->mm_owner)
		*LIST_ADD(&d->image.mms, &d->arena, struct mm_rec) = (struct mm_rec){.id = next};
	next = (uint32_t)d->image.sighands.count + 1;
	r = kset_find(&d->sighands, t->pid, 0, next, &rec->sighand, e);
	if (r < 0)
		return r;
	if (r > 0)
		*LIST_ADD(&d->image.sighands, &d->arena, struct sighand_rec) =
			(struct sighand_rec){.id = next};
	r = dump_task_state(d, t, rec, e);
	if (r < 0)
		return r;
	if (t->mm_owner) {
		r = dump_mappings(d, t, LIST_AT(&d->image.mms, struct mm_rec, rec->mm - 1), e);
		if (r < 0)
			return r;
	}
	LIST_EACH(&rec->threads, struct thread_rec, th) {
		r = dump_shared_tables(d, t, th, e);
		if (r < 0)
			return r;
	}
	r = FAULT(e, "dump-task");
	/* The sink reads it while the next task is asked, which mostly means to wait. */
	if (!r && d->sink && t->mm_owner && !d->obstacles.count)
		r = dump_memory(d, t, e);
	return r;
}

/* The kernel maps the same code into every task: ours stands for all. */
uint64_t own_vdso_hash(void)
{
	const uint8_t *vdso = (const uint8_t *)(uintptr_t)getauxval(AT_SYSINFO_EHDR);
	const Elf64_Ehdr *elf = (const Elf64_Ehdr *)(const void *)vdso;

	if (!vdso)
		return 0;
	return os_quick_hash(vdso, elf->e_shoff + (size_t)elf->e_shnum * elf->e_shentsize);
}

static const char *command_of(struct dump *d, const struct dtask *t)
{
	AUTO(buf) struct buf text = {0};

	if (os_read_file_at(t->proc, "cmdline", &text) < 0 || !text.len)
		return arena_printf(&d->arena, "[%s]", t->stat.comm);
	while (text.len && !text.data[text.len - 1])
		text.len--;
	for (size_t i = 0; i < text.len; i++)
		if (!text.data[i])
			text.data[i] = ' ';
	text.len = MIN(text.len, (size_t)1000);
	return arena_text(&d->arena, buf_text(&text));
}

static int dump_head(struct dump *d, struct err *e)
{
	struct process_image *im = &d->image;
	struct utsname uts;
	char boot_id[37] = "";
	int r = os_boot_id(boot_id);

	if (r < 0)
		return err_set(e, r, "the boot id");
	uname(&uts);
	im->version = PROCESS_IMAGE_VERSION;
	im->wslx = WSLX_VERSION;
	im->kernel = arena_text(&d->arena, uts.release);
	im->boot_id = arena_text(&d->arena, boot_id);
	im->taken_ns = os_clock_ns(CLOCK_REALTIME);
	im->monotonic_ns = os_clock_ns(CLOCK_MONOTONIC);
	im->boottime_ns = os_clock_ns(CLOCK_BOOTTIME);
	im->root = (uint32_t)d->tasks[0]->pid;
	im->vdso_hash = own_vdso_hash();
	im->command = command_of(d, d->tasks[0]);
	im->profile = d->profile == PROFILE_MINIMAL ? "minimal"
	              : d->profile == PROFILE_NET   ? "net"
	                                            : "full";
	return 0;
}

static int dump_all(struct dump *d, pid_t pid, struct err *e)
{
	struct task_rec *recs;
	int r = collect_tree(d, pid, e);

	if (r < 0)
		return r;
	r = FAULT(e, "dump-frozen");
	if (!r)
		r = dump_head(d, e);
	if (r < 0)
		return r;
	/* All at once, so that pointers into the list hold. */
	recs = arena_array(&d->arena, sizeof(*recs), d->n_tasks);
	d->image.tasks = (struct list){.items = recs, .count = d->n_tasks, .cap = d->n_tasks};
	for (size_t i = 0; i < d->n_tasks; i++) {
		r = dump_task(d, d->tasks[i], &recs[i], e);
		if (r < 0)
			return err_wrap(e, r, "process %d (%s)", d->tasks[i]->pid,
			                d->tasks[i]->stat.comm);
	}
	r = dump_files_late(d, e);
	if (!r)
		r = dump_ttys_late(d, e);
	if (!r)
		r = FAULT(e, "dump-files");
	if (r < 0)
		return r;
	if (!d->obstacles.count) {
		struct err why = {0};

		if (plan_tree(&d->image, &why) < 0)
			dump_obstacle(d, pid, "%s", why.text);
	}
	if (d->obstacles.count) {
		const struct obstacle *first = LIST_AT(&d->obstacles, struct obstacle, 0);

		if (d->obstacles.count == 1)
			return err_say(e, OBSTACLE, "process %d: %s", first->pid, first->text);
		return err_say(e, OBSTACLE, "process %d: %s (and %zu more obstacles)", first->pid,
		               first->text, d->obstacles.count - 1);
	}
	return 0;
}

int dump_begin(pid_t pid, enum engine_profile profile, struct page_sink *sink, struct dump **out,
               struct err *e)
{
	struct dump *d = xalloc(sizeof(*d));
	int r;

	d->profile = profile;
	d->sink = sink;
	d->mms.type = KCMP_VM;
	d->tables.type = KCMP_FILES;
	d->fss.type = KCMP_FS;
	d->sighands.type = KCMP_SIGHAND;
	if (!e)
		e = &d->ignored;
	r = dump_all(d, pid, e);
	dump_hidden_finish(d);
	if (r < 0) {
		if (sink)
			(void)!sink->drain(sink, &d->ignored);
		collect_thaw(d);
		if (r != OBSTACLE) {
			dump_finish(d);
			return r;
		}
	}
	*out = d;
	return r;
}

struct process_image *dump_image(struct dump *d)
{
	return &d->image;
}

const struct list *dump_obstacles(const struct dump *d)
{
	return &d->obstacles;
}

int dump_pages(struct dump *d, struct err *e)
{
	int r = FAULT(e, "dump-memory"), drained;

	if (!r)
		r = dump_inode_pages(d, d->sink, e);
	/* Whatever failed: when this returns the tree may go, and nobody reads it. */
	drained = d->sink->drain(d->sink, r < 0 ? NULL : e);
	if (!r)
		r = drained;
	return r ? r : FAULT(e, "dump-pages");
}

void dump_thaw(struct dump *d)
{
	collect_thaw(d);
}

void dump_kill(struct dump *d)
{
	collect_kill(d);
}

uint64_t dump_frozen_ns(const struct dump *d)
{
	return d->frozen_ns;
}

void dump_finish(struct dump *d)
{
	if (!d)
		return;
	collect_thaw(d);
	collect_free(d);
	free(d->mms.items);
	free(d->tables.items);
	free(d->fss.items);
	free(d->sighands.items);
	dump_files_free(d);
	arena_finish(&d->arena);
	free(d);
}
