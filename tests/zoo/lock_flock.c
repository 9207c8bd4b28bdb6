/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* flock: shared and exclusive, held by the description and so by whoever has it. */
#include "zoo.h"

#include <sys/file.h>

int main(int argc, char **argv)
{
	int exclusive, shared, probe, in_child;
	struct zoo_gate gate;
	pid_t child;

	zoo_init(argc, argv);
	exclusive = must(open(zoo_beside("a"), O_RDWR | O_CREAT, 0600));
	shared = must(open(zoo_beside("b"), O_RDWR | O_CREAT, 0600));
	must(flock(exclusive, LOCK_EX));
	must(flock(shared, LOCK_SH));
	zoo_gate_make(&gate);
	child = must(fork());
	if (!child) {
		close(exclusive);
		in_child = must(open(zoo_beside("b"), O_RDWR));
		must(flock(in_child, LOCK_SH));
		zoo_gate_pass(&gate);
		zoo_await_go();
		zoo_spoil(close(in_child));
		/* Through the shared description the child can give up the parent's lock, not its
		 * own. */
		must(flock(shared, LOCK_UN));
		probe = must(open(zoo_beside("b"), O_RDWR));
		must_refuse(flock(probe, LOCK_EX | LOCK_NB), EWOULDBLOCK);
		zoo_spoil(close(shared));
		must(flock(in_child, LOCK_UN));
		must(flock(probe, LOCK_EX | LOCK_NB));
		must(flock(probe, LOCK_UN));
		must(flock(shared, LOCK_SH));
		_exit(0);
	}
	zoo_gate_wait(&gate, 1);

	zoo_snapshot_here();
	zoo_spoil(must(flock(exclusive, LOCK_UN)));
	zoo_spoil(must(flock(exclusive, LOCK_SH)));
	probe = must(open(zoo_beside("a"), O_RDWR));
	must_refuse(flock(probe, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	must(flock(exclusive, LOCK_UN)); /* it is ours to give up */
	must(flock(probe, LOCK_EX | LOCK_NB));
	probe = must(open(zoo_beside("b"), O_RDWR));
	must(flock(probe, LOCK_SH | LOCK_NB));
	must_refuse(flock(probe, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	must(flock(probe, LOCK_UN));
	zoo_finish_child(child);
	must_refuse(flock(probe, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	must(flock(shared, LOCK_UN));
	must(flock(probe, LOCK_EX | LOCK_NB));
	zoo_pass();
}
