/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* A pty in line mode: whole lines and a line begun wait for the reader, the end of file too. */
#include "zoo.h"

#include <termios.h>

int main(int argc, char **argv)
{
	char name[64], text[128];
	struct termios t;
	int master, slave;

	zoo_init(argc, argv);
	master = must(posix_openpt(O_RDWR | O_NOCTTY));
	must(grantpt(master));
	must(unlockpt(master));
	must_zero(ptsname_r(master, name, sizeof(name)));
	slave = must(open(name, O_RDWR | O_NOCTTY | O_NONBLOCK));
	must(tcgetattr(slave, &t));
	t.c_lflag &= ~(tcflag_t)ECHO;
	must(tcsetattr(slave, TCSANOW, &t));
	must(write(master, "first line\nsecond\n\004half a li", 28));

	zoo_snapshot_here();
	zoo_spoil(must(read(slave, text, 100)));
	zoo_spoil(must(write(master, "\025", 1))); /* kills the line begun */
	check_eq(read(slave, text, 100), 11);
	check(!memcmp(text, "first line\n", 11), "%.11s", text);
	check_eq(read(slave, text, 100), 7);
	check_eq(read(slave, text, 100), 0); /* the end-of-file character on an empty line */
	must_refuse(read(slave, text, 100), EAGAIN);
	must(write(master, "ne\n", 3));
	check_eq(read(slave, text, 100), 12);
	check(!memcmp(text, "half a line\n", 12), "%.12s", text);
	zoo_pass();
}
