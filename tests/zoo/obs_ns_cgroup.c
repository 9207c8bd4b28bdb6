/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle needs=root unprivileged=no */
/* A child in a cgroup namespace of its own. */
#define NAMESPACE "cgroup"
#define FLAG CLONE_NEWCGROUP
#include "namespace.h"
