/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle hidden=yes */
/* A core scheduling cookie: only threads with the same one run beside each other on a core. */
#include "zoo.h"

#include <sys/prctl.h>

#define SCHED_CORE 62 /* PR_SCHED_CORE */
#define CORE_GET 0
#define CORE_CREATE 1

int main(int argc, char **argv)
{
	uint64_t cookie = 0, now = 0;

	zoo_init(argc, argv);
	if (prctl(SCHED_CORE, CORE_CREATE, 0, 0, 0))
		zoo_skip("no core scheduling here (a kernel with CONFIG_SCHED_CORE, CPUs with "
		         "SMT): %s",
		         strerror(errno));
	must(prctl(SCHED_CORE, CORE_GET, 0, 0, &cookie));

	zoo_snapshot_here();
	zoo_spoil(prctl(SCHED_CORE, CORE_CREATE, 0, 0, 0));
	must(prctl(SCHED_CORE, CORE_GET, 0, 0, &now));
	check(cookie && now == cookie, "the cookie is %" PRIx64 ", was %" PRIx64, now, cookie);
	zoo_pass();
}
