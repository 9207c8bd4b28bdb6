/* SPDX-License-Identifier: MIT */
/*
 * engine: process snapshots. A tree of tasks becomes a struct process_image and a stream of
 * pages, and comes back from them. Knows nothing of the store.
 *
 * Dump
 *	dump_begin()	freezes the tree and looks at everything, and begins to hand the memory of
 *			tasks that have been looked at to the sink: afterwards either the image is
 *			complete but for page contents, or the obstacles are listed
 *	dump_pages()	hands all the rest to the sink, and waits until it has been read
 *	dump_thaw()	lets the tree run on;  dump_kill() ends it
 *	dump_finish()	frees; thaws what is still frozen. By every way out the tree is as it was
 * Restore
 *	restore_run()	builds the tree, fills it and lets it go; by a failure nothing is left
 *
 * Fault points. dump-seized, dump-frozen, dump-task, dump-files, dump-memory, dump-pages,
 * restore-begin, restore-tree, restore-memory, restore-files, restore-threads,
 * restore-state, restore-release.
 * Fallbacks. no-batch, borrow-page, no-pagemap-scan, no-timer-ids. As if there were: wsl (WSL2),
 * numa (several nodes).
 */
#ifndef WSLX_ENGINE_H
#define WSLX_ENGINE_H

#include <sys/types.h>

#include "base/base.h"
#include "image/image.h"
#include "image/process.h"
#include "kinds/options.h"

/* ---- dump ------------------------------------------------------------------------------ */

struct dump;

/**
 * dump_begin() - freeze a tree and describe it
 * @pid:  root of the tree; the caller blocks SIGCHLD
 * @sink: where the memory goes, until dump_finish(); NULL: it is not wanted
 *
 * On failure the tree runs on as it was. Return: 0; OBSTACLE, and @out lists them all (free it
 * with dump_finish()); -ESRCH; other negative errnos.
 */
MUST_CHECK int dump_begin(pid_t pid, enum engine_profile profile, struct page_sink *sink,
                          struct dump **out, struct err *e);
struct process_image *dump_image(struct dump *d);
/* struct obstacle items; empty after a success. */
const struct list *dump_obstacles(const struct dump *d);
/* With a sink only. */
MUST_CHECK int dump_pages(struct dump *d, struct err *e);
void dump_thaw(struct dump *d);
void dump_kill(struct dump *d);
/* Accepts NULL. */
void dump_finish(struct dump *d);
/* Nanoseconds from the first stop to the last resume; 0 while frozen. */
uint64_t dump_frozen_ns(const struct dump *d);

/* ---- restore --------------------------------------------------------------------------- */

void restored_finish(struct restored *done);

/**
 * restore_run() - bring a tree back
 * @im:    checked image
 * @pages: its pages
 *
 * Return: 0; OBSTACLE; -EEXIST when a pid is taken, with its holder's name; other errnos.
 */
MUST_CHECK int restore_run(struct process_image *im, struct page_source *pages,
                           const struct restore_options *options, struct restored *out,
                           struct err *e);

#endif
