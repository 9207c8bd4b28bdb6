/* SPDX-License-Identifier: MIT */
/* The mode of the terminal on standard input, while a machine has it. */
#ifndef WSLX_CMD_TERMINAL_H
#define WSLX_CMD_TERMINAL_H

#include <stdbool.h>

/* Note the mode as it is now; what follows comes back to it, also in a child. */
void terminal_remember(void);
/* Pass every key on. Undone by terminal_restore(), at the latest when the process exits. */
void terminal_make_raw(void);
bool terminal_is_raw(void); /* by us */
void terminal_restore(void);
/* As another process than the one that has made it raw; unless somebody has changed it since. */
void terminal_put_back(void);

#endif
