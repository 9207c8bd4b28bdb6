/* SPDX-License-Identifier: MIT */
/* What the files share that give signs to the resources of a tree. */
#ifndef WSLX_READY_SCAN_H
#define WSLX_READY_SCAN_H

#include "ready/ready.h"

struct scan {
	struct ready_report *report;
	const struct view *view;
	const struct view_proc *self; /* us, or who made the recording; may be NULL */
	struct list inet;             /* struct inet_seen, of the network namespaces seen so far */
	struct list netlink;          /* struct proc_netlink, of the same */
	struct list inet_namespaces;  /* const char * */
};

struct inet_seen {
	const char *table; /* "tcp", "udp", ... */
	struct proc_inet sock;
};

/* "proc/PID/FILE", in the report's arena. */
const char *scan_path(struct scan *s, const struct view_proc *p, const char *file);
bool scan_in_tree(const struct view *v, pid_t pid);
/* Return: whether there is one that can be understood. */
bool scan_fdinfo(const struct view *v, const struct view_fd *f, struct arena *a,
                 struct proc_fdinfo *out);
/* Does a process of the tree hold this socket or pipe? */
bool scan_holds(const struct view *v, uint64_t inode);

/* ready-socket.c: the sign of a descriptor that is a socket */
const char *scan_socket_sign(struct scan *s, const struct view_proc *p, const struct view_fd *f);

#endif
