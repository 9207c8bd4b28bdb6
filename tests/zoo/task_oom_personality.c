/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* oom_score_adj, and a personality without randomized addresses. */
#include "zoo.h"

#include <sys/personality.h>

static int oom_score_adj(const char *set)
{
	char text[32] = "";
	int fd = must(open("/proc/self/oom_score_adj", O_RDWR));

	if (set)
		must(write(fd, set, strlen(set)));
	must(pread(fd, text, sizeof(text) - 1, 0));
	close(fd);
	return atoi(text);
}

int main(int argc, char **argv)
{
	int before;

	zoo_init(argc, argv);
	before = oom_score_adj("321");
	must(personality(ADDR_NO_RANDOMIZE | STICKY_TIMEOUTS));

	zoo_snapshot_here();
	zoo_spoil(oom_score_adj("322"));
	zoo_spoil(must(personality(0)));
	check_eq(oom_score_adj(NULL), before);
	check_eq(personality(0xffffffff), ADDR_NO_RANDOMIZE | STICKY_TIMEOUTS);
	zoo_pass();
}
