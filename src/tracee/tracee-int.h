/* SPDX-License-Identifier: MIT */
/* What the two files of this room share. */
#ifndef WSLX_TRACEE_INT_H
#define WSLX_TRACEE_INT_H

#include "tracee/tracee.h"

/* Record a failed ptrace(2); -ESRCH marks the task as gone. Return: @code. */
int tracee_fail(struct tracee *t, int code, const char *what, struct err *e);
/* The next stop of the task. Return: 0, -ESRCH, -ETIME (without a sentence). */
int tracee_wait(struct tracee *t, int timeout_ms, int *status, struct err *e);
/* Write to memory that the task itself may not write: code. */
int tracee_poke(struct tracee *t, remote_t to, const void *from, size_t len, struct err *e);

#endif
