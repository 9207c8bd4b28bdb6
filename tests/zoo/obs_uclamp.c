/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle hidden=yes */
/* Bounds of what the scheduler thinks that a thread uses of a CPU (sched_setattr). */
#include "zoo.h"

#define KEEP_POLICY 0x08
#define KEEP_PARAMETERS 0x10
#define CLAMP_MAX 0x40

static int clamp(uint32_t max)
{
	struct zoo_sched_attr a = {.size = sizeof(a),
	                           .flags = KEEP_POLICY | KEEP_PARAMETERS | CLAMP_MAX,
	                           .util_max = max};

	return (int)syscall(SYS_sched_setattr, 0, &a, 0);
}

int main(int argc, char **argv)
{
	struct zoo_sched_attr now = {0};

	zoo_init(argc, argv);
	if (clamp(700))
		zoo_skip("this kernel has no utilisation clamps: %s", strerror(errno));

	zoo_snapshot_here();
	zoo_spoil(clamp(600));
	must(syscall(SYS_sched_getattr, 0, &now, sizeof(now), 0));
	check_eq(now.util_max, 700);
	zoo_pass();
}
