/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle needs=root unprivileged=no */
/* A child in a System V IPC namespace of its own. */
#define NAMESPACE "ipc"
#define FLAG CLONE_NEWIPC
#include "namespace.h"
