/* SPDX-License-Identifier: MIT */
/*
 * What the files of the engine share.
 *
 *	collect.c	freeze a tree; thaw or kill it
 *	dump.c		the order of a dump, ids of shared objects
 *	dump-task.c	what is asked of threads and processes
 *	dump-hidden.c	restrictions and resources that nothing lists: found by trying
 *	dump-undo.c	System V semaphores that its end would undo
 *	dump-rare.c	settings that hardly any program has
 *	dump-mem.c	mappings and their pages
 *	dump-fd.c	descriptor tables and open file descriptions
 *	restore.c	the order of a restore
 *	restore-stub.c	the empty processes that become the tasks
 *	restore-tree.c	tasks with their pids, groups and sessions
 *	restore-mem.c	address spaces
 *	restore-task.c	state of threads and processes
 *	restore-fd.c	descriptions, and their way into the tasks
 *
 * What descriptions and inodes are, and struct dump and struct restore, is below in kinds/kinds.h.
 */
#ifndef WSLX_ENGINE_INT_H
#define WSLX_ENGINE_INT_H

#include "engine/engine.h"
#include "kinds/kinds.h"

#define FAULT(e, name) (fault_point(name) ? err_say((e), -EIO, "fault point %s", (name)) : 0)

/* ---- dump ------------------------------------------------------------------------------ */

/**
 * kset_find() - the id of an object, a new one if it was not seen before
 * @next_id: what a new one gets
 * Return: 1 if new, 0 if known; negative errno.
 */
MUST_CHECK int kset_find(struct kset *set, pid_t pid, unsigned long index, uint32_t next_id,
                         uint32_t *id, struct err *e);

/* dump.c: a quick hash of the vdso that this kernel maps; 0: none */
uint64_t own_vdso_hash(void);

MUST_CHECK int collect_tree(struct dump *d, pid_t root, struct err *e);
void collect_thaw(struct dump *d);
void collect_kill(struct dump *d);
void collect_free(struct dump *d);

/*
 * A call that our stop alone has ended (EINTR, where the kernel restarts nothing) is made again,
 * whatever becomes of the dump. For a thread that has just stopped.
 */
MUST_CHECK int dump_call_again(struct dump *d, struct dtask *t, struct tracee *th, struct err *e);
MUST_CHECK int dump_task_state(struct dump *d, struct dtask *t, struct task_rec *rec,
                               struct err *e);
/* dump-hidden.c: what no file of /proc tells; @rec has the limits already */
MUST_CHECK int dump_hidden(struct dump *d, struct dtask *t, const struct task_rec *rec,
                           struct remote *r, struct err *e);
void dump_hidden_finish(struct dump *d);
/* dump-undo.c: has the process semaphores with SEM_UNDO? Notes an obstacle then. */
MUST_CHECK int dump_undo(struct dump *d, struct dtask *t, struct remote *r, struct err *e);
MUST_CHECK int dump_mappings(struct dump *d, struct dtask *t, struct mm_rec *mm, struct err *e);
/* Of a task that was asked and does not share it with one that was asked before. */
MUST_CHECK int dump_memory(struct dump *d, struct dtask *t, struct err *e);
MUST_CHECK int dump_table(struct dump *d, struct dtask *t, pid_t tid, struct table_rec *table,
                          struct err *e);
void dump_files_free(struct dump *d);
/* After all tables: what needs to know every description (epoll targets, peers, locks). */
MUST_CHECK int dump_files_late(struct dump *d, struct err *e);

extern const struct kind *const kinds[];
extern const size_t n_kinds;

/* ---- restore --------------------------------------------------------------------------- */

/* restore-stub.c */
MUST_CHECK int stub_choose_place(struct restore *r, struct err *e);
MUST_CHECK int stub_spawn(struct restore *r, const struct task_rec *root, int there, struct err *e);
void stub_release_init(struct restore *r);

/* restore-tree.c */
MUST_CHECK int restore_tree(struct restore *r, int there, struct err *e);
/* Could this tree be built? Said at dump time already. */
MUST_CHECK int plan_tree(const struct process_image *im, struct err *e);
/* A task that is to be born. */
struct birth {
	uint64_t flags, exit_signal; /* as for clone3(2) */
	uint32_t pid;                /* what it shall see itself as */
	struct tracee *out;
};
/**
 * remote_births() - make @creator create tasks, which stand still with everything blocked
 *
 * Return: 0; negative errno, where those that are there are tracees and the others TRACEE_GONE.
 */
MUST_CHECK int remote_births(struct restore *r, struct tracee *creator, const struct birth *births,
                             size_t n, struct err *e);
/* One process, of which nothing is blocked. */
MUST_CHECK int remote_clone(struct restore *r, struct tracee *creator, uint64_t flags,
                            uint64_t exit_signal, uint32_t pid, struct tracee *out, struct err *e);
/* One call in a stub, with two arguments and zeros. */
MUST_CHECK int remote_one(struct restore *r, struct tracee *t, int64_t *result, struct err *e,
                          long nr, uint64_t a, uint64_t b);
/*
 * What to do when a task could not be made with the number that it had. Waits for a holder that has
 * ended, and for nobody. Return: 0: try again; @code with a sentence that names the holder.
 */
MUST_CHECK int restore_pid_taken(struct restore *r, pid_t pid, int code, struct err *e);

/* restore-mem.c: map all, and begin to fill it, which goes on meanwhile */
MUST_CHECK int restore_memory_begin(struct restore *r, struct err *e);
/* The memory of a task is filled after this, and has what only a filled mapping can get. */
MUST_CHECK int restore_memory_finish(struct restore *r, struct rtask *t, struct err *e);
/* Nothing is filled any more. Needed on every way out. */
void restore_memory_stop(struct restore *r);

/* restore-task.c */
MUST_CHECK int restore_threads(struct restore *r, struct err *e);
MUST_CHECK int restore_states(struct restore *r, struct err *e);
MUST_CHECK int restore_zombies(struct restore *r, struct err *e);

/* restore-fd.c */
MUST_CHECK int restore_files_open(struct restore *r, struct err *e);
MUST_CHECK int restore_tables(struct restore *r, struct err *e);
MUST_CHECK int restore_files_late(struct restore *r, struct err *e);

#endif
