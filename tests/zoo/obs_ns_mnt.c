/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle needs=root unprivileged=no */
/* A child in a mount namespace of its own. */
#define NAMESPACE "mnt"
#define FLAG CLONE_NEWNS
#define INSIDE must(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
#include "namespace.h"
