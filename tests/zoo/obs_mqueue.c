/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle */
/* A POSIX message queue with a message. */
#include "zoo.h"

#include <mqueue.h>

int main(int argc, char **argv)
{
	struct mq_attr attr = {.mq_maxmsg = 3, .mq_msgsize = 64};
	char name[32], got[64];
	unsigned int priority;
	mqd_t q;

	zoo_init(argc, argv);
	snprintf(name, sizeof(name), "/zoo-%d", getpid());
	q = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &attr);
	if (q < 0)
		zoo_skip("mq_open: %s", strerror(errno));
	must(mq_unlink(name));
	must(mq_send(q, "message", 7, 5));

	zoo_snapshot_here();
	zoo_spoil(must(mq_receive(q, got, 64, NULL)));
	check_eq(mq_receive(q, got, 64, &priority), 7);
	check_eq(priority, 5);
	zoo_pass();
}
