/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* The main stack still grows on demand, down to its limit, and keeps its name. */
#include "zoo.h"

#include <sys/resource.h>

static uint32_t dig(int depth)
{
	volatile uint8_t frame[16 * 1024];

	memset((uint8_t *)frame, depth, sizeof(frame));
	return depth ? dig(depth - 1) + frame[depth & 1023] : frame[0];
}

static size_t stack_bytes(const void *address)
{
	uint64_t from, to;

	check(sscanf(zoo_smaps(address), "%" SCNx64 "-%" SCNx64, &from, &to) == 2, "smaps");
	return to - from;
}

int main(int argc, char **argv)
{
	size_t before, after;

	zoo_init(argc, argv);
	before = stack_bytes(&before);

	zoo_snapshot_here();
	zoo_spoil(must(setrlimit(RLIMIT_STACK, &(struct rlimit){256 << 10, 256 << 10})));
	check(zoo_vma_has(&before, "gd"), "the stack does not grow down");
	check(strstr(zoo_smaps(&before), "[stack]"), "the stack is not known as stack");
	dig(200); /* more than 3 MiB */
	after = stack_bytes(&before);
	check(after > before + 3000000, "from %zu to %zu bytes", before, after);
	zoo_pass();
}
