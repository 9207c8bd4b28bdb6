/* SPDX-License-Identifier: MIT */
/*
 * A rehearsal: a baked machine is started once, as `wslx run` would, by a process of its own, and
 * what it uses of RAM and disk is noted in the order of first use.
 */
#ifndef WSLX_CMD_REHEARSE_H
#define WSLX_CMD_REHEARSE_H

#include "flow/vm.h"

/* Of struct snap_vm. @arg: the machine's host name, or NULL. */
MUST_CHECK int rehearse(void *arg, const struct opened_vm *from, struct arena *a,
                        struct list *touches, size_t *n_start, struct err *e);

#endif
