/* SPDX-License-Identifier: MIT */
/* Questions about sockets that only sock_diag(7) answers. */
#ifndef WSLX_OS_DIAG_H
#define WSLX_OS_DIAG_H

#include "base/base.h"

struct os_unix_peer {
	uint64_t inode, peer;
};

/**
 * os_unix_peers() - who is connected with whom, of all UNIX sockets in our network namespace
 * @out: struct os_unix_peer; sockets without a peer are left out
 * Return: 0; -ENOENT if this kernel has no unix_diag; other negative errnos.
 */
MUST_CHECK int os_unix_peers(struct arena *a, struct list *out, struct err *e);

#endif
