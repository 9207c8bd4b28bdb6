/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle needs=root unprivileged=no */
/* A child in a host name (UTS) namespace of its own. */
#define NAMESPACE "uts"
#define FLAG CLONE_NEWUTS
#define INSIDE must(sethostname("zoo", 3))
#include "namespace.h"
