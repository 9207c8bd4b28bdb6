/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Speculation control, of a thread: what was forbidden stays so. */
#include "second-thread.h"

#include <linux/prctl.h>
#include <sys/prctl.h>

static int kind;

static int mode(void)
{
	return prctl(PR_GET_SPECULATION_CTRL, kind, 0, 0, 0);
}

static void set_up(void)
{
	must(prctl(PR_SET_SPECULATION_CTRL, kind, PR_SPEC_FORCE_DISABLE, 0, 0));
}

static void verify(void)
{
	check_eq(mode(), PR_SPEC_PRCTL | PR_SPEC_FORCE_DISABLE);
}

int main(int argc, char **argv)
{
	zoo_init(argc, argv);
	for (kind = 0; kind < 2; kind++)
		if (mode() == (PR_SPEC_PRCTL | PR_SPEC_ENABLE))
			break;
	if (kind == 2)
		zoo_skip("this CPU, or kernel, has no speculation that could be forbidden");
	second_start(set_up, verify);
	must(prctl(PR_SET_SPECULATION_CTRL, kind, PR_SPEC_DISABLE, 0, 0));

	zoo_snapshot_here();
	zoo_spoil(must(prctl(PR_SET_SPECULATION_CTRL, kind, PR_SPEC_ENABLE, 0, 0)));
	check_eq(mode(), PR_SPEC_PRCTL | PR_SPEC_DISABLE);
	second_finish();
	zoo_pass();
}
