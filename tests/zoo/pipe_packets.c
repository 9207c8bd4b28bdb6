/* SPDX-License-Identifier: MIT */
/* zoo: expect=either */
/* A packet pipe (O_DIRECT): each read gives one write's bytes, so the borders must survive. */
#include "zoo.h"

int main(int argc, char **argv)
{
	char got[PAGE];
	int p[2];

	zoo_init(argc, argv);
	must(pipe2(p, O_DIRECT | O_NONBLOCK));
	must(write(p[1], "one", 3));
	must(write(p[1], "three", 5));
	must(write(p[1], "seventeen", 9));

	zoo_snapshot_here();
	zoo_spoil(must(read(p[0], got, 100)));
	zoo_spoil(must(fcntl(p[1], F_SETFL, O_NONBLOCK)));
	check_eq(read(p[0], got, sizeof(got)), 3);
	check(!memcmp(got, "one", 3), "first packet");
	check_eq(read(p[0], got, 2), 2); /* the rest of a packet is dropped */
	check_eq(read(p[0], got, sizeof(got)), 9);
	must_refuse(read(p[0], got, 1), EAGAIN);
	must(write(p[1], "a", 1));
	must(write(p[1], "b", 1));
	check_eq(read(p[0], got, sizeof(got)), 1);
	check(must(fcntl(p[1], F_GETFL)) & O_DIRECT, "O_DIRECT was lost");
	zoo_pass();
}
