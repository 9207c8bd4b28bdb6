/* SPDX-License-Identifier: MIT */
/*
 * kinds: what a descriptor can refer to, and the inodes behind descriptors and mappings; how each is
 * taken and how it is made again, side by side in one file.
 *
 *	kind-*.c	one sort of description each
 *	tty-holder.c	who keeps a pty's master that nobody else has
 *	tty-queue.c	the bytes that wait inside of a pty
 *	inode.c		files by path, by content, memfds, shared memory
 *	outside.c	what processes outside of the tree hold
 *	dump-job.c	what all that takes part in a dump does with it
 *	restore-job.c	what all that takes part in a restore does with it
 *
 * The room knows a dump and a restore as jobs (struct dump, struct restore), not their order: that
 * is the engine's. Sockets, which are many files, have a room of their own.
 */
#ifndef WSLX_KINDS_H
#define WSLX_KINDS_H

#include <sched.h>
#include <sys/stat.h>

#include "image/image.h"
#include "image/process.h"
#include "kinds/options.h"
#include "os/os.h"
#include "tracee/tracee.h"

/* ---- dump ------------------------------------------------------------------------------ */

/* A process of the tree while it is dumped. */
struct dtask {
	pid_t pid;
	struct dtask *parent;                 /* NULL for the root */
	struct dtask *children, *next_sister; /* once the tree is complete */
	bool zombie;
	struct tracee *threads; /* leader first; none for a zombie */
	size_t n_threads, cap_threads;
	struct proc_stat stat;
	struct proc_status status;
	struct list vmas; /* struct proc_vma, ascending */
	struct remote_place place;
	int proc;  /* /proc/PID */
	int pidfd; /* -1 for a zombie */
	uint32_t mm;
	bool mm_owner;  /* the first task that has this mm */
	bool stop_news; /* stopped, and the parent has not waited for that yet */
};

/*
 * Which kernel object is which: a sorted set under kcmp(2)'s order. Two members are the same
 * object or different ones; an id is given at the first sight.
 */
struct kset_item {
	pid_t pid;
	unsigned long index; /* descriptor, for KCMP_FILE */
	uint32_t id;
};
struct kset {
	int type; /* KCMP_* */
	struct kset_item *items;
	size_t n, cap;
};

#define NAMESPACES 10 /* that a thread may have of its own */

/* Which record stands for what the kernel knows by a number. */
struct object_key {
	uint64_t dev, ino;
	uint32_t id;
};

struct dump {
	struct arena arena;
	enum engine_profile profile;
	struct process_image image;
	struct page_sink *sink; /* NULL: nobody wants the pages */
	struct list obstacles;  /* struct obstacle */
	struct dtask **tasks;   /* parents before children */
	size_t n_tasks, cap_tasks;
	struct dtask **by_pid; /* the same, ascending, once the tree is complete */
	struct kset mms, tables, fss, sighands;
	struct list file_sets;                      /* struct file_set: descriptions by inode */
	struct list file_users;                     /* by file id - 1: struct file_user */
	struct list inode_keys;                     /* by inode id - 1: struct inode_key */
	struct list mapped_files;                   /* struct mapped_file, see dump-mem.c */
	struct list pipe_keys, tty_keys, sock_keys; /* struct object_key */
	struct list outside;                        /* what other processes hold, see outside.c */
	bool outside_known;
	struct list unix_seen; /* struct unix_seen: all UNIX sockets of the host, by inode number */
	struct list fresh;     /* struct fresh_options: of sockets that were just made */
	pid_t witness; /* a process with the rights of the tree and without restrictions; 0 */
	uint32_t witness_uid;
	uint64_t max_mappings;          /* vm.max_map_count; 0: not asked yet */
	struct stat own_ns[NAMESPACES]; /* ours, in an order of dump-task.c's; 0: not asked yet */
	struct err ignored;             /* where errors go that the caller does not want */
	bool frozen;
	uint64_t frozen_at_ns, frozen_ns;
};

/* Note why something cannot be snapshotted; the dump goes on looking for more. */
void dump_obstacle(struct dump *d, pid_t pid, const char *fmt, ...) PRINTF(3, 4);

struct dtask *dump_find(const struct dump *d, pid_t pid);
/* The next pages that the sink gets are these. */
void dump_note_pages(struct dump *d, struct list *runs, uint64_t at, size_t pages);
/* The same, and the sink gets them. */
MUST_CHECK int dump_add_pages(struct dump *d, struct page_sink *sink, struct list *runs,
                              uint64_t at, const uint8_t *data, size_t pages, struct err *e);

/* ---- restore --------------------------------------------------------------------------- */

/* A thread or a process while it is restored. */
struct rthread {
	const struct thread_rec *rec;
	struct tracee tracee;
};

struct rtask {
	const struct task_rec *rec;
	struct rtask *children, *next_sister; /* in the image's order */
	pid_t pid;                            /* as we see it; rec->pid is what it sees itself */
	struct rthread *threads;
	size_t n_threads; /* made so far */
	bool acts;        /* its signal actions are there, but for SIGTRAP's */
};

struct restore {
	struct arena arena;
	struct process_image *image;
	struct page_source *pages;
	const struct restore_options *options;
	struct restored *out; /* the caller's, for notes */
	struct rtask *tasks;  /* as in the image */
	size_t n_tasks;
	struct task_numbers numbers; /* of the image */
	struct remote_place place; /* our working page is at the same free address in every task */
	remote_t parked;           /* where vvar and vdso wait, behind it */
	uint64_t parked_bytes;
	uint64_t vdso_start, vvar_start, vclock_start; /* parked addresses, 0: there is none */
	uint64_t vdso_bytes, vvar_bytes, vclock_bytes;
	struct filler *filler; /* restore-mem.c */
	cpu_set_t cpus;        /* that we may use; none: not known */
	int *files;            /* by file id - 1: our descriptor, -1 */
	int *inodes;           /* by inode id - 1: our descriptor (memfd, ghost, O_PATH), -1 */
	int *tty_masters, *tty_slaves; /* by tty id - 1 */
	int *pipe_fds;                 /* 2 * (pipe id - 1): read end, write end */
	int *sock_fds;                 /* by sock id - 1 */
	int transport;                 /* our end of the socket through which descriptors go */
	int transport_there;           /* number of the other end in every task */
	struct tracee init;            /* with pidns */
	int init_control;              /* what we tell it by, -1 */
	struct proc_status own;        /* our rights: what every stub was born with */
	uint32_t own_securebits;
	bool userns;            /* without root: in a user namespace of its own */
	pid_t tty_holder;       /* carries the caller's terminal, 0: there is none */
	uint64_t pids_until_ns; /* numbers that are taken are waited for until then; 0: none was */
	bool root_founded;      /* the root got a new session, because its own is not in the tree */
};

/* Whoever inherits that we stay on one CPU, and need not, leaves it. */
void restore_use_all_cpus(const struct restore *r);
void restore_use_one_cpu(struct restore *r);
/* Return: whether there are others than that one. */
bool restore_other_cpus(const struct restore *r, cpu_set_t *out);

/* Tell the caller of something that is not as it was and that a program could notice. */
void restore_note(struct restore *r, const char *fmt, ...) PRINTF(2, 3);
struct rtask *restore_find(struct restore *r, uint32_t pid);
/* The number by which we know a process or thread of the tree. 0: not in it. */
pid_t restore_pid_here(struct restore *r, uint32_t pid);
/**
 * restore_send_fds() - send descriptors of ours into a task
 * @there: their numbers in the task, the lowest that are free, ascending
 * Return: 0; negative errno.
 */
#define SEND_FDS_MAX 250 /* the kernel's SCM_MAX_FD is 253 */
MUST_CHECK int restore_send_fds(struct restore *r, struct remote *to, const int *fds, size_t n,
                                int *there, struct err *e);

/* ---- kinds of descriptions --------------------------------------------------------------- */

/* What there is to know about a descriptor of a frozen task. */
struct fd_view {
	struct dtask *task;
	pid_t tid;
	int fd;
	int local; /* the same description in our own table; -1 if it cannot be had */
	const char *link;
	struct stat st;
	struct proc_fdinfo info;
};

struct kind {
	const char *name;
	uint8_t kind; /* enum file_kind */
	/* Looks, never touches. */
	bool (*claims)(const struct fd_view *v);
	/* Fill the record, or note an obstacle. */
	int (*dump)(struct dump *d, const struct fd_view *v, struct file_rec *f, struct err *e);
	/* Once all descriptions are known; NULL if there is nothing to do. */
	int (*dump_late)(struct dump *d, const struct fd_view *v, struct file_rec *f,
	                 struct err *e);
	/* Make the description in our own table: *@fd is the caller's. */
	int (*restore)(struct restore *r, const struct file_rec *f, int *fd, struct err *e);
	/* In a task that has the description as @at, when all tables are filled; or NULL. */
	int (*restore_late)(struct restore *r, struct remote *in, const struct file_rec *f, int at,
	                    struct err *e);
};

extern const struct kind kind_inode, kind_device, kind_proc, kind_pipe, kind_fifo, kind_eventfd,
	kind_epoll, kind_timerfd, kind_signalfd, kind_inotify, kind_pidfd, kind_tty;

/* A process outside of the tree that has a file with this link text open; 0: none. */
pid_t dump_outside_holder(struct dump *d, const char *link);
/* Any process but us. */
pid_t holder_of_link(const char *link);

/* ---- inodes ---------------------------------------------------------------------------- */

/**
 * dump_inode() - the inode record for an open file or a mapped one
 * @local: descriptor of it in our table (O_PATH will do for what has a path)
 * @path:  where it was opened, as the kernel tells it
 *
 * Return: id; 0 if it cannot be snapshotted (an obstacle was noted); negative errno.
 */
int dump_inode(struct dump *d, pid_t pid, int local, const char *path, struct err *e);
/* The same for a mapped file without a name that we have no right to open. */
int dump_inode_mapped(struct dump *d, pid_t pid, const struct proc_vma *v);
/* Content of ghosts, memfds and shared memory. */
MUST_CHECK int dump_inode_pages(struct dump *d, struct page_sink *sink, struct err *e);
void dump_inodes_free(struct dump *d);
/* A new description of an inode, with O_* flags. */
MUST_CHECK int restore_inode_open(struct restore *r, uint32_t inode, int flags, int *fd,
                                  struct err *e);
MUST_CHECK int restore_seal_memfds(struct restore *r, struct err *e);

/* kind-tty.c, kind-lock.c: controlling terminals; locks, when all descriptions are there */
MUST_CHECK int restore_ttys(struct restore *r, struct err *e);
/* To a task that has just founded a session, before it has children: its terminal, if any. */
MUST_CHECK int restore_session_tty(struct restore *r, struct tracee *leader, uint32_t sid,
                                   struct err *e);
MUST_CHECK int restore_locks(struct restore *r, struct err *e);
MUST_CHECK int dump_ttys_late(struct dump *d, struct err *e);
/**
 * tty_hold() - start a process that keeps the master of a pty until nobody uses its slave
 * @terminal: what is written goes there, and what is typed there comes here; or -1: thrown away
 * @holder:   with a @terminal, a child to wait for: it leaves the terminal as it was
 */
MUST_CHECK int tty_hold(int master, int terminal, pid_t *holder, struct err *e);

#endif
