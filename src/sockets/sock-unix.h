/* SPDX-License-Identifier: MIT */
/*
 * What the files of UNIX sockets share.
 *
 *	sock-unix.c	 dump
 *	sock-unix-diag.c what only sock_diag(7) tells
 *	sock-unix-make.c restore: making and connecting sockets
 */
#ifndef WSLX_SOCKETS_SOCK_UNIX_H
#define WSLX_SOCKETS_SOCK_UNIX_H

#include <sys/un.h>

#include "sockets/sockets.h"

#define SHUT_IN 1u /* sock_rec.shut: nothing can be received any more */
#define SHUT_OUT 2u

struct unix_seen {
	uint32_t ino;
	bool has_peer;
	uint32_t peer; /* inode number of the other end; 0: it is closed, or was not accepted yet */
	uint8_t shut;
	uint32_t waiting, backlog;   /* of a listening one */
	uint32_t file_dev, file_ino; /* bound to this file, as the kernel numbers it */
};

/**
 * unix_ask() - one socket by its inode number
 * @d: a dump, during which nothing changes, and so all sockets are asked for at once; or NULL
 * Return: 0; -ENOENT: not in our network namespace.
 */
MUST_CHECK int unix_ask(struct dump *d, uint64_t ino, struct unix_seen *out, struct err *e);
/* The inode number of a socket that is bound to a file; 0: nobody is. */
uint64_t unix_file_user(dev_t dev, ino_t ino);

#define UNIX_NAME_TEXT 128
/* A socket's name for people. */
const char *unix_name_text(struct span address, char out[UNIX_NAME_TEXT]);
/* Bound to a path of the file system; @path gets it with its end. */
bool unix_path(struct span address, char path[sizeof(struct sockaddr_un)]);

#endif
