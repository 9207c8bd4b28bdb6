/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle needs=root unprivileged=no */
/* A child in a network namespace of its own. */
#define NAMESPACE "net"
#define FLAG CLONE_NEWNET
#include "namespace.h"
