/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Settings of prctl() that belong to the process, each away from its default. */
#include "zoo.h"

#include <sys/prctl.h>

#ifndef PR_GET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif

static int merges;

int main(int argc, char **argv)
{
	int death = 0, subreaper = 0;
	char name[17] = "";

	zoo_init(argc, argv);
	must(prctl(PR_SET_NAME, "renamed (zoo) )"));
	must(prctl(PR_SET_TIMERSLACK, 777777ul));
	must(prctl(PR_SET_PDEATHSIG, SIGWINCH));
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	must(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	must(prctl(PR_SET_KEEPCAPS, 1));
	must(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
	prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0); /* where KSM exists and we may */
	merges = prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0);
	must(prctl(PR_SET_TSC, PR_TSC_SIGSEGV));

	zoo_snapshot_here();
	zoo_spoil(must(prctl(PR_SET_NAME, "other")));
	zoo_spoil(must(prctl(PR_SET_PDEATHSIG, 0)));
	zoo_spoil(must(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0)));
	zoo_spoil(must(prctl(PR_SET_TIMERSLACK, 50000ul)));
	zoo_spoil(must(prctl(PR_SET_TSC, PR_TSC_ENABLE)));
	zoo_spoil(must(prctl(PR_SET_KEEPCAPS, 0)));
	zoo_spoil(must(prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0)));
	int tsc = 0;
	must(prctl(PR_GET_TSC, &tsc));
	check_eq(tsc, PR_TSC_SIGSEGV);
	must(prctl(PR_SET_TSC, PR_TSC_ENABLE)); /* the vDSO reads it */
	must(prctl(PR_GET_NAME, name));
	check_text(name, "renamed (zoo) )");
	check_text(zoo_status(getpid(), "Name"), "renamed (zoo) )");
	check_eq(prctl(PR_GET_TIMERSLACK), 777777);
	must(prctl(PR_GET_PDEATHSIG, &death));
	check_eq(death, SIGWINCH);
	must(prctl(PR_GET_CHILD_SUBREAPER, &subreaper));
	check_eq(subreaper, 1);
	check_eq(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
	check_eq(prctl(PR_GET_KEEPCAPS), 1);
	check_eq(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_EARLY);
	check_eq(prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0), merges);
	zoo_pass();
}
