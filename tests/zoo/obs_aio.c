/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle */
/* A context of the kernel's asynchronous I/O (io_setup). */
#include "zoo.h"

#include <linux/aio_abi.h>

int main(int argc, char **argv)
{
	struct iocb cb = {.aio_lio_opcode = IOCB_CMD_PREAD, .aio_nbytes = 8}, *list[] = {&cb};
	aio_context_t context = 0;
	struct io_event done;
	char data[8] = "";

	zoo_init(argc, argv);
	if (syscall(SYS_io_setup, 5, &context))
		zoo_skip("io_setup: %s", strerror(errno));
	cb.aio_fildes = (uint32_t)must(open("/proc/self/exe", O_RDONLY));
	cb.aio_buf = (uintptr_t)data;

	zoo_snapshot_here();
	zoo_spoil(must(syscall(SYS_io_destroy, context)));
	must(syscall(SYS_io_submit, context, 1, list));
	check_eq(syscall(SYS_io_getevents, context, 1, 1, &done, NULL), 1);
	check_eq(done.res, 8);
	check(!memcmp(data, "\177ELF", 4), "what was read");
	zoo_pass();
}
