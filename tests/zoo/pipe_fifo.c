/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* FIFOs: bytes inside, opened three ways, by two processes. */
#include "zoo.h"

int main(int argc, char **argv)
{
	struct zoo_gate gate;
	char got[64];
	int reader, writer, both;
	struct stat st;
	pid_t child;

	zoo_init(argc, argv);
	unlink(zoo_beside("fifo"));
	must(mkfifo(zoo_beside("fifo"), 0600));
	reader = must(open(zoo_beside("fifo"), O_RDONLY | O_NONBLOCK));
	writer = must(open(zoo_beside("fifo"), O_WRONLY | O_CLOEXEC));
	must(write(writer, "queued", 6));
	unlink(zoo_beside("fifo2"));
	must(mkfifo(zoo_beside("fifo2"), 0600));
	both = must(open(zoo_beside("fifo2"), O_RDWR));
	must(write(both, "self", 4));
	zoo_gate_make(&gate);
	child = must(fork());
	if (!child) {
		int own = must(open(zoo_beside("fifo"), O_WRONLY));

		close(reader);
		close(writer);
		zoo_gate_pass(&gate);
		zoo_await_go();
		zoo_spoil(exit(0));
		must(write(own, " child", 6));
		exit(0);
	}
	zoo_gate_wait(&gate, 1);

	zoo_snapshot_here();
	zoo_spoil(must(write(writer, "!", 1)));
	zoo_spoil(must(unlink(zoo_beside("fifo2"))));
	zoo_finish_child(child);
	check_eq(read(reader, got, 64), 12);
	check(!memcmp(got, "queued child", 12), "%.12s", got);
	must_refuse(read(reader, got, 1), EAGAIN);
	check_eq(fcntl(writer, F_GETFD), FD_CLOEXEC);
	must(write(writer, "more", 4));
	close(writer);
	check_eq(read(reader, got, 64), 4);
	check_eq(read(reader, got, 64), 0);
	check_eq(read(both, got, 64), 4);
	writer = must(open(zoo_beside("fifo2"), O_WRONLY | O_NONBLOCK));
	must(write(writer, "by name", 7));
	check_eq(read(both, got, 64), 7);
	must(fstat(both, &st));
	check(S_ISFIFO(st.st_mode), "mode %o", st.st_mode);
	zoo_pass();
}
