/* SPDX-License-Identifier: MIT */
/*
 * flow: what the verbs do, without printing. It joins the engine with the store.
 */
#ifndef WSLX_FLOW_H
#define WSLX_FLOW_H

#include <sys/types.h>

#include "base/base.h"
#include "engine/engine.h"
#include "image/process.h"
#include "store/store.h"

/* ---- process snapshots -------------------------------------------------------------------- */

struct snap_proc {
	pid_t pid;
	const char *name;
	enum engine_profile profile;
	bool stop;    /* end the tree once the snapshot is durable */
	bool replace; /* an existing snapshot of that name gives way */
};

struct snap_proc_result {
	struct arena arena;
	struct list obstacles; /* struct obstacle: why it was refused */
	size_t tasks, threads;
	uint64_t pages;     /* handed to the store */
	uint64_t frozen_ns; /* from the first stop to the last resume, or to the end */
	uint64_t total_ns;
};

/**
 * flow_snap_proc() - snapshot a process tree into the store
 * @result: obstacles are listed there when OBSTACLE is returned; finish it always
 *
 * On failure the tree runs on as it was and the store is as it was. With .stop the tree stays
 * frozen until the snapshot is durable, and ends then.
 */
MUST_CHECK int flow_snap_proc(struct store *store, const struct snap_proc *what,
                              struct snap_proc_result *result, struct err *e);
void snap_proc_result_finish(struct snap_proc_result *result);

/* What a snapshot of a tree would be refused for. */
struct asked_proc {
	struct arena arena;
	struct list obstacles; /* struct obstacle; none: it would be taken */
};

/**
 * flow_ask_proc() - stop a tree, look at everything as a snapshot would, let it go on
 * @out: finished by the caller with asked_proc_finish(), also after a failure
 *
 * Return: 0 and the obstacles, if any, and whatever else would make a snapshot fail; -EDEADLK if
 * we are in that tree; -ESRCH.
 */
MUST_CHECK int flow_ask_proc(pid_t pid, struct asked_proc *out, struct err *e);
void asked_proc_finish(struct asked_proc *asked);
static inline void auto_asked_proc(struct asked_proc *asked)
{
	asked_proc_finish(asked);
}

struct restore_proc {
	const char *name;
	bool clone; /* restore again what was restored already */
	struct restore_options options;
};

/**
 * flow_restore_proc() - bring a process tree back
 *
 * Once: that it was restored is durable before the program runs, and forgotten if that fails.
 * Return: 0; OBSTACLE; -EEXIST when a pid is taken; -EBADMSG for a damaged snapshot.
 */
MUST_CHECK int flow_restore_proc(struct store *store, const struct restore_proc *what,
                                 struct restored *out, struct err *e);

/* An image and its pages, read from the store and checked. */
struct loaded_proc {
	struct arena arena;
	struct store_reader *reader;
	struct process_image image;
};
MUST_CHECK int flow_load_proc(struct store *store, const char *name, struct loaded_proc *out,
                              struct err *e);
void loaded_proc_finish(struct loaded_proc *l);
static inline void auto_loaded_proc(struct loaded_proc *l)
{
	loaded_proc_finish(l);
}

/**
 * flow_diff_proc() - what differs between two process snapshots
 * @out: one line a difference: records first, then pages by mapping
 * @differences: how many lines
 */
MUST_CHECK int flow_diff_proc(struct store *store, const char *a, const char *b, struct buf *out,
                              size_t *differences, struct err *e);

#endif
