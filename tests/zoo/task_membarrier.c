/* SPDX-License-Identifier: MIT */
/* zoo: expect=either */
/* A registration for private expedited memory barriers: kept, or refused; without it the barrier
 * fails. */
#include "zoo.h"

#include <linux/membarrier.h>

int main(int argc, char **argv)
{
	zoo_init(argc, argv);
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0))
		zoo_skip("membarrier: %s", strerror(errno));

	zoo_snapshot_here();
	zoo_spoil(must(execl("/bin/false", "false", NULL)));
	must(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	zoo_pass();
}
