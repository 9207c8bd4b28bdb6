/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* All sixteen resource limits, soft and hard, of two processes. */
#include "zoo.h"

#include <sys/resource.h>

static void compare(const struct rlimit *was)
{
	struct rlimit now;

	for (int i = 0; i < RLIMIT_NLIMITS; i++) {
		must(getrlimit((__rlimit_resource_t)i, &now));
		check(now.rlim_cur == was[i].rlim_cur && now.rlim_max == was[i].rlim_max,
		      "limit %d is %llx/%llx, was %llx/%llx", i, (unsigned long long)now.rlim_cur,
		      (unsigned long long)now.rlim_max, (unsigned long long)was[i].rlim_cur,
		      (unsigned long long)was[i].rlim_max);
	}
}

static void lower(struct rlimit *was, rlim_t by)
{
	for (int i = 0; i < RLIMIT_NLIMITS; i++) {
		must(getrlimit((__rlimit_resource_t)i, &was[i]));
		if (was[i].rlim_max == RLIM_INFINITY)
			was[i].rlim_max = 1ull << 40;
		was[i].rlim_max -= was[i].rlim_max > 5000 ? by : 0;
		if (was[i].rlim_cur > was[i].rlim_max)
			was[i].rlim_cur = was[i].rlim_max;
		was[i].rlim_cur -= was[i].rlim_cur > 5000 ? 2 * by : 0;
		must(setrlimit((__rlimit_resource_t)i, &was[i]));
	}
}

int main(int argc, char **argv)
{
	struct rlimit was[RLIMIT_NLIMITS];
	struct zoo_gate gate;
	pid_t child;

	zoo_init(argc, argv);
	zoo_gate_make(&gate);
	child = must(fork());
	if (!child) {
		lower(was, 100);
		zoo_gate_pass(&gate);
		zoo_await_go();
		zoo_spoil(must(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0})));
		compare(was);
		exit(0);
	}
	zoo_gate_wait(&gate, 1);
	lower(was, 7);

	zoo_snapshot_here();
	zoo_spoil(must(setrlimit(RLIMIT_FSIZE, &(struct rlimit){5000, 6000})));
	compare(was);
	zoo_finish_child(child);
	zoo_pass();
}
