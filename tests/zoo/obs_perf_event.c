/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle needs=root unprivileged=no */
/* A perf event. */
#include "zoo.h"

#include <linux/perf_event.h>

int main(int argc, char **argv)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
	                               .size = sizeof(attr),
	                               .config = PERF_COUNT_SW_PAGE_FAULTS};
	uint64_t before, after;
	int fd;

	zoo_init(argc, argv);
	fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	if (fd < 0)
		zoo_skip("perf_event_open: %s", strerror(errno));

	zoo_snapshot_here();
	zoo_spoil(must(dup2(must(open("/dev/zero", O_RDONLY)), fd)));
	check_eq(read(fd, &before, 8), 8);
	uint8_t *m =
		must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	m[0] = 1;
	check_eq(read(fd, &after, 8), 8);
	check(after > before, "it does not count: %llu", (unsigned long long)after);
	zoo_pass();
}
