/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle hidden=yes */
/* A segment of a thread (set_thread_area), which only kernels that run 32-bit programs have. */
#include "zoo.h"

#include <asm/ldt.h>

int main(int argc, char **argv)
{
	struct user_desc segment = {.entry_number = (unsigned)-1,
	                            .base_addr = 0x1000,
	                            .limit = 0xfff,
	                            .seg_32bit = 1,
	                            .useable = 1};
	uint32_t limit;

	zoo_init(argc, argv);
	if (syscall(SYS_set_thread_area, &segment))
		zoo_skip("this kernel has no set_thread_area: %s", strerror(errno));

	zoo_snapshot_here();
	zoo_spoil({
		segment.limit = 0xff;
		syscall(SYS_set_thread_area, &segment);
	});
	__asm__ volatile("lsl %k1, %0" : "=r"(limit) : "r"(segment.entry_number << 3 | 3));
	check_eq(limit, 0xfff);
	zoo_pass();
}
