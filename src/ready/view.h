/* SPDX-License-Identifier: MIT */
/*
 * A machine as its files tell it: this one, or a recording of another made by
 * tools/record-proc. Everything the readiness report says about processes, mounts and devices
 * is read through here, so that it says the same of a recording.
 *
 * A recording is a directory with proc/, sys/ and perhaps etc/ as they were, links as links,
 * and a file `facts` for what files cannot hold, one fact a line, cells divided by tabs:
 *
 *	socket PID FD NAME         extended attribute system.sockprotoname
 *	vsock PID FD CID PORT      getpeername() of an AF_VSOCK socket
 *	unix-peer INODE PEER       peers of UNIX sockets, as sock_diag tells
 *	networking-mode MODE       wslinfo --networking-mode
 *
 * All paths are resolved below the root: a link in a recording cannot lead out of it.
 */
#ifndef WSLX_READY_VIEW_H
#define WSLX_READY_VIEW_H

#include "os/diag.h"
#include "os/os.h"

struct view_proc {
	struct proc_stat stat;
	struct proc_status status;
	bool has_status;     /* false: it ended meanwhile, or may not be read */
	const char *command; /* its arguments, joined with blanks; "" for kernel threads */
	bool in_tree;        /* set by view_tree() */
};

struct view_fd {
	pid_t pid;
	uint32_t fd;
	const char *link;
	uint64_t inode; /* in "pipe:[N]" and "socket:[N]", else 0 */
};

struct view {
	int root;
	bool live;
	struct arena *a;
	struct list procs;  /* struct view_proc, ascending pid */
	struct list fds;    /* struct view_fd of all processes that may be read, by pid and fd */
	struct list mounts; /* struct proc_mount, as PID 1 or we see them */
	struct list socks;  /* struct proc_unix */
	struct list facts;  /* const char *[]: lines of the file `facts` */
	struct list peers;  /* struct os_unix_peer */
	bool has_peers;
};

/**
 * view_open() - look at a machine
 * @root: directory of a recording, or NULL for this machine
 * @a:    owns everything that the view gives out
 * Return: 0; -ENOENT, -EINVAL with a sentence if @root is no recording.
 */
MUST_CHECK int view_open(struct view *v, const char *root, struct arena *a, struct err *e);
/* Accepts a view that was never opened, if it is all zero. */
void view_close(struct view *v);

/* @path has no leading slash. Return: 0 or negative errno. */
MUST_CHECK int view_read(const struct view *v, const char *path, struct buf *out);
/* The first line of a file, or NULL; in the view's arena. */
const char *view_line(const struct view *v, const char *path);
/* Where a link leads, or NULL; in the view's arena. */
const char *view_link(const struct view *v, const char *path);
bool view_exists(const struct view *v, const char *path);
/* Paths that match @pattern, in which one component may be a pattern; const char *. */
struct list view_glob(const struct view *v, const char *pattern);

/* Numbers that name entries of a directory, ascending, uint64_t; none if it may not be read. */
struct list view_numbers(const struct view *v, const char *path);

const struct view_proc *view_find(const struct view *v, pid_t pid);
/* Mark @pid and its descendants. Return: how many; 0 if there is no such process. */
size_t view_tree(struct view *v, pid_t pid);

/* What kind of socket a descriptor is ("TCP", "AF_VSOCK"), or NULL if that cannot be found out. */
const char *view_socket_name(const struct view *v, pid_t pid, uint32_t fd);
bool view_vsock_peer(const struct view *v, pid_t pid, uint32_t fd, uint32_t *cid, uint32_t *port);
/* The peer of a UNIX socket; 0 if it has none, UINT64_MAX if that cannot be found out. */
uint64_t view_unix_peer(const struct view *v, uint64_t inode);
const struct proc_unix *view_unix(const struct view *v, uint64_t inode);
/* What wslinfo --networking-mode says, or NULL. */
const char *view_networking_mode(const struct view *v);

#endif
