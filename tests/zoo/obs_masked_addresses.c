/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle hidden=yes */
/* Pointers with tags in their upper bits, which the CPU masks (LAM). */
#include "zoo.h"

#include <asm/prctl.h>

#define GET_UNTAG_MASK 0x4001     /* ARCH_GET_UNTAG_MASK */
#define ENABLE_TAGGED_ADDR 0x4002 /* ARCH_ENABLE_TAGGED_ADDR */
#define TAG (0x2aull << 57)

static volatile int value = 77;

int main(int argc, char **argv)
{
	volatile int *tagged = (volatile int *)((uintptr_t)&value | TAG);
	uint64_t mask = 0;

	zoo_init(argc, argv);
	if (syscall(SYS_arch_prctl, ENABLE_TAGGED_ADDR, 6))
		zoo_skip("no masked addresses here (LAM): %s", strerror(errno));

	zoo_snapshot_here();
	zoo_spoil(value = 1);
	must(syscall(SYS_arch_prctl, GET_UNTAG_MASK, &mask));
	check(!(mask & TAG), "the mask is %" PRIx64, mask);
	check_eq(*tagged, 77);
	zoo_pass();
}
