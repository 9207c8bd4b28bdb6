/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle */
/* A process in 32-bit mode: it can be told by its code segment. */
#include "zoo.h"

/* The helper is a 32-bit program of a few instructions, written as an ELF file by hand. */
static const uint8_t program[] = {
	/* ELF header: 32-bit, little endian, i386, entry 0x8048054 */
	0x7f,
	'E',
	'L',
	'F',
	1,
	1,
	1,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	2,
	0,
	3,
	0,
	1,
	0,
	0,
	0,
	0x54,
	0x80,
	0x04,
	0x08,
	0x34,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0x34,
	0,
	0x20,
	0,
	1,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	/* One segment: the whole file at 0x8048000 */
	1,
	0,
	0,
	0,
	0,
	0,
	0,
	0,
	0x00,
	0x80,
	0x04,
	0x08,
	0x00,
	0x80,
	0x04,
	0x08,
	0x68,
	0,
	0,
	0,
	0x68,
	0,
	0,
	0,
	5,
	0,
	0,
	0,
	0,
	0x10,
	0,
	0,
	/* pause(), exit(0) */
	0xb8,
	29,
	0,
	0,
	0,
	0xcd,
	0x80, /* mov eax, 29; int 0x80 */
	0xb8,
	1,
	0,
	0,
	0,
	0x31,
	0xdb,
	0xcd,
	0x80, /* mov eax, 1; xor ebx, ebx; int 0x80 */
	0x90,
	0x90,
	0x90,
	0x90,
};

int main(int argc, char **argv)
{
	int fd, status;
	pid_t child;

	zoo_init(argc, argv);
	fd = must(open(zoo_beside("elf32"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700));
	must(write(fd, program, sizeof(program)));
	close(fd);
	child = must(fork());
	if (!child) {
		execl(zoo_beside("elf32"), "elf32", NULL);
		if (errno == ENOEXEC)
			_exit(77);
		_exit(1);
	}
	for (;;) { /* until it is in pause(), which is number 29 there */
		char path[64], text[256] = "";

		if (waitpid(child, &status, WNOHANG) == child)
			zoo_skip("no 32-bit programs here");
		snprintf(path, sizeof(path), "/proc/%d/syscall", child);
		zoo_read_file(path, text, sizeof(text));
		if (!strncmp(text, "29 ", 3))
			break;
		sched_yield();
	}

	zoo_snapshot_here();
	zoo_spoil(kill(child, SIGKILL));
	must(kill(child, SIGTERM));
	check_eq(waitpid(child, &status, 0), child);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "status 0x%x", status);
	zoo_pass();
}
