/* SPDX-License-Identifier: MIT */
/* Are we inside of WSL, and which processes are WSL's own? */
#ifndef WSLX_OS_WSL_H
#define WSLX_OS_WSL_H

#include <stdbool.h>

/* Does this kernel call itself one of WSL2's? "wsl" forces yes. */
bool os_is_wsl(void);

/**
 * os_is_wsl_process() - does a process keep the distribution or its terminals alive?
 * @comm:    its name, as /proc/PID/stat tells it
 * @command: its arguments, joined with blanks
 */
bool os_is_wsl_process(const char *comm, const char *command);

#endif
