/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* One memfd, held by two processes through different open file descriptions. */
#include "zoo.h"

int main(int argc, char **argv)
{
	struct zoo_gate gate;
	char path[64], c;
	pid_t child;
	int fd;

	zoo_init(argc, argv);
	fd = must(memfd_create("both", 0));
	must(write(fd, "0123456789", 10));
	zoo_gate_make(&gate);
	child = must(fork());
	if (!child) {
		int other;
		uint8_t *m;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		other = must(open(path, O_RDWR));
		close(fd);
		must(lseek(other, 4, SEEK_SET));
		m = must(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, other, 0));
		zoo_gate_pass(&gate);
		zoo_await_go();
		zoo_spoil(close(other); other = must(memfd_create("own", 0)));
		check_eq(read(other, &c, 1), 1);
		check_eq(c, '4');
		check_eq(m[9], 'X');
		must(pwrite(other, "Y", 1, 8));
		exit(0);
	}
	zoo_gate_wait(&gate, 1);

	zoo_snapshot_here();
	check_eq(lseek(fd, 0, SEEK_CUR), 10);
	must(pwrite(fd, "X", 1, 9));
	zoo_finish_child(child);
	must(pread(fd, &c, 1, 8));
	zoo_spoil(c = 'n');
	check_eq(c, 'Y');
	zoo_pass();
}
