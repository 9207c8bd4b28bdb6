/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* NUMA policies of threads (set_mempolicy). */
#include "second-thread.h"

#include <linux/mempolicy.h>

static void set(int mode, unsigned long nodes)
{
	if (syscall(SYS_set_mempolicy, mode, &nodes, 65ul))
		zoo_skip("set_mempolicy: %s", strerror(errno));
}

static void must_be(int mode, unsigned long nodes)
{
	unsigned long now[16] = {0};
	int policy = -1;

	must(syscall(SYS_get_mempolicy, &policy, now, 8 * sizeof(now), 0ul, 0ul));
	check_eq(policy, mode);
	check_eq(now[0], nodes);
}

static void set_up(void)
{
	set(MPOL_INTERLEAVE | MPOL_F_STATIC_NODES, 1);
}

static void verify(void)
{
	must_be(MPOL_INTERLEAVE | MPOL_F_STATIC_NODES, 1);
}

int main(int argc, char **argv)
{
	zoo_init(argc, argv);
	second_start(set_up, verify);
	set(MPOL_BIND, 1);

	zoo_snapshot_here();
	zoo_spoil(set(MPOL_DEFAULT, 0));
	zoo_spoil(set(MPOL_PREFERRED, 1));
	must_be(MPOL_BIND, 1);
	second_finish();
	zoo_pass();
}
