/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle hidden=yes */
/* A segment in the local descriptor table, as Wine and old runtimes make. */
#include "zoo.h"

#include <asm/ldt.h>

enum { READ, WRITE_OLD, READ_DEFAULT, WRITE = 0x11 };

static struct user_desc segment = {
	.entry_number = 3, .base_addr = 0x1000, .limit = 0xfff, .seg_32bit = 1, .useable = 1};

int main(int argc, char **argv)
{
	uint64_t table[4] = {0};
	uint16_t selector;
	uint32_t limit;

	zoo_init(argc, argv);
	if (syscall(SYS_modify_ldt, WRITE, &segment, sizeof(segment)) && errno == ENOSYS)
		zoo_skip("this kernel has no modify_ldt");

	zoo_snapshot_here();
	zoo_spoil({
		segment.limit = 0xff;
		syscall(SYS_modify_ldt, WRITE, &segment, sizeof(segment));
	});
	/* An int, which the C library's syscall() does not know. */
	check_eq((int)syscall(SYS_modify_ldt, READ, table, sizeof(table)), sizeof(table));
	check(table[3], "the segment has gone");
	selector = 3 << 3 | 7;
	__asm__ volatile("lsl %k1, %0" : "=r"(limit) : "r"((uint32_t)selector));
	check_eq(limit, 0xfff);
	zoo_pass();
}
