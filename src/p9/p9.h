/* SPDX-License-Identifier: MIT */
/*
 * p9: directories of the host, shared with a guest. A server of 9P2000.L, the protocol of Linux's
 * v9fs (include/net/9p/9p.h), that answers one message at a time.
 *
 * What a guest mounts is a directory that holds exports by their names: directories of the host,
 * and small files that exist only here, such as what a guest is told when it wakes up. So one mount
 * serves any number of shares, and those can differ each time a machine is restored.
 *
 * Trust
 *	Requests are hostile. Every name is looked up with openat2(2) below the export's own
 *	descriptor, with RESOLVE_BENEATH and without following symbolic links, which are the
 *	guest's to follow. Fids, open files and messages are bounded. Special files are never
 *	opened, and what a read-only export is asked to change is refused here.
 *
 * State
 *	A fid is a name, and perhaps an open file. Both are saved by name; loading opens the
 *	file again and compares it, and answers ESTALE for one that is gone or another.
 */
#ifndef WSLX_P9_H
#define WSLX_P9_H

#include "base/base.h"
#include "dev/virtio.h"

#define P9_EXPORTS_MAX 16
#define P9_FIDS_MAX 4096u
#define P9_OPEN_MAX 512u
#define P9_MESSAGE_MAX (512u << 10)
#define P9_NAME_MAX 255u
#define P9_PATH_MAX 4096u

struct p9_server;

/**
 * p9_create() - a server with no exports
 * @tag: by which the guest mounts it
 */
struct p9_server *p9_create(const char *tag);
void p9_destroy(struct p9_server *s); /* NULL is fine */

/* What the device talks to; the server keeps owning it. */
struct share *p9_share(struct p9_server *s);

/**
 * p9_add_dir() - export a directory
 * @name: its name in the share
 * @fd:   of the directory; the server's own from now on, also on failure
 *
 * Return: 0; -EINVAL for a name that is none, -ENOSPC for one too many, -ENOTDIR.
 */
MUST_CHECK int p9_add_dir(struct p9_server *s, const char *name, int fd, bool read_only,
                          struct err *e);

/**
 * p9_add_file() - export bytes as a read-only file; they are copied
 * @once: they are wiped when they have been read, and are in no snapshot
 */
MUST_CHECK int p9_add_file(struct p9_server *s, const char *name, struct span data, bool once,
                           struct err *e);

/**
 * p9_confine() - have the kernel keep this process within its exports, where it can (Landlock)
 *
 * Irrevocable; sets no_new_privs. After this nothing else can be opened by name.
 * Return: 0; -ENOSYS or -EOPNOTSUPP where the kernel has no Landlock.
 */
MUST_CHECK int p9_confine(struct p9_server *const *servers, size_t n);

#endif
