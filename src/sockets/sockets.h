/* SPDX-License-Identifier: MIT */
/*
 * sockets: the kind of descriptor that needs the most files, and what they share. The engine knows
 * kind_socket alone.
 *
 *	kind-socket.c	the kind, and which family is whose
 *	sock-options.c	options, one table for both directions
 *	sock-unix*.c	UNIX sockets, see sock-unix.h
 *	sock-inet.c	TCP, UDP and netlink sockets without a connection
 */
#ifndef WSLX_SOCKETS_H
#define WSLX_SOCKETS_H

#include "kinds/kinds.h"

extern const struct kind kind_socket;

/* Options that differ from those of a fresh socket of the same sort. */
MUST_CHECK int sock_options_dump(struct dump *d, const struct fd_view *v, struct sock_rec *s,
                                 struct err *e);
/* Set those that differ from what the socket has now. */
MUST_CHECK int sock_options_restore(const struct sock_rec *s, int fd, struct err *e);
/* A new socket with the family, type and protocol of the record, closed on exec. */
MUST_CHECK int sock_open(const struct sock_rec *s, int *fd, struct err *e);

/* First sight of a socket; peers and queues come late. */
MUST_CHECK int sock_unix_dump(struct dump *d, const struct fd_view *v, struct sock_rec *s,
                              struct err *e);
MUST_CHECK int sock_unix_dump_late(struct dump *d, const struct fd_view *v, struct sock_rec *s,
                                   struct err *e);
MUST_CHECK int sock_inet_dump(struct dump *d, const struct fd_view *v, struct sock_rec *s,
                              struct err *e);
MUST_CHECK int sock_netlink_dump(struct dump *d, const struct fd_view *v, struct sock_rec *s,
                                 struct err *e);

/* Make the socket, and what it hangs together with, in r->sock_fds. */
MUST_CHECK int sock_unix_restore(struct restore *r, const struct sock_rec *s, struct err *e);
MUST_CHECK int sock_unix_restore_late(struct restore *r, const struct sock_rec *s, struct err *e);
MUST_CHECK int sock_inet_restore(struct restore *r, const struct sock_rec *s, struct err *e);
MUST_CHECK int sock_netlink_restore(struct restore *r, const struct sock_rec *s, struct err *e);

/* The socket of the image with an inode number; 0: it is not in the tree. */
uint32_t sock_find(const struct dump *d, uint64_t ino);
/* Owner of the socket, as firewalls and /proc/net see it. */
MUST_CHECK int sock_restore_owner(const struct sock_rec *s, int fd, struct err *e);

static inline struct sock_rec *sock_rec_of(const struct restore *r, uint32_t id)
{
	return LIST_AT(&r->image->socks, struct sock_rec, id - 1);
}

#endif
