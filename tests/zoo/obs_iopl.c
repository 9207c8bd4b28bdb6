/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle needs=root unprivileged=no hidden=yes */
/* The right to all I/O ports. */
#include "zoo.h"

#include <sys/io.h>

#define DELAY_PORT 0x80 /* of power-on self tests: writing there does nothing */

int main(int argc, char **argv)
{
	zoo_init(argc, argv);
	if (iopl(3))
		zoo_skip("no I/O ports here: %s", strerror(errno));

	zoo_snapshot_here();
	zoo_spoil(iopl(0));
	outb(0, DELAY_PORT); /* SIGSEGV without the right */
	zoo_pass();
}
