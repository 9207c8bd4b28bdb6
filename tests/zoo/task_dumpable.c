/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore unprivileged=no */
/* A process that made itself undumpable stays so. */
#include "zoo.h"

#include <sys/prctl.h>

int main(int argc, char **argv)
{
	zoo_init(argc, argv);
	must(prctl(PR_SET_DUMPABLE, 0));

	zoo_snapshot_here();
	zoo_spoil(must(prctl(PR_SET_DUMPABLE, 1)));
	check_eq(prctl(PR_GET_DUMPABLE), 0);
	zoo_pass();
}
