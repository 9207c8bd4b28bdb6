/* SPDX-License-Identifier: MIT */
#include "cmd/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static bool is_known; /* standard input is a terminal, and that was its mode */
static bool is_raw;

void terminal_remember(void)
{
	is_known = is_known || !tcgetattr(STDIN_FILENO, &before);
}

void terminal_restore(void)
{
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
	is_raw = false;
}

void terminal_make_raw(void)
{
	struct termios raw;

	terminal_remember();
	if (!is_known)
		return;
	is_raw = true;
	atexit(terminal_restore);
	raw = before;
	cfmakeraw(&raw);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

bool terminal_is_raw(void)
{
	return is_raw;
}

void terminal_put_back(void)
{
	struct termios raw = before, now;

	cfmakeraw(&raw);
	/* It may be a shell's by now, which waits for input in a mode of its own. */
	if (!is_known || tcgetattr(STDIN_FILENO, &now) || now.c_iflag != raw.c_iflag ||
	    now.c_oflag != raw.c_oflag || now.c_cflag != raw.c_cflag ||
	    now.c_lflag != raw.c_lflag || memcmp(now.c_cc, raw.c_cc, sizeof(now.c_cc)) != 0)
		return;
	/* Without waiting for output: the terminal may have stopped for good. */
	tcsetattr(STDIN_FILENO, TCSANOW, &before);
}
