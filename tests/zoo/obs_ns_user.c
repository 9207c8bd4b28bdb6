/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle */
/* A child in a user namespace of its own. */
#define NAMESPACE "user"
#define FLAG CLONE_NEWUSER
#include "namespace.h"
