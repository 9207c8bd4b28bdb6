/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* What /proc tells about a process: exe, cmdline, environ, auxv, comm, the areas in stat, start of
 * the stack. */
#include "zoo.h"

#define FIELDS 8

static const int fields[FIELDS] = {26, 27, 28, 45, 46, 47, 48, 49};

/* Code, data, stack, brk, argument and environment addresses, fields of stat counted from 1. */
static void areas(unsigned long long *out)
{
	char text[2048], *p;

	must(zoo_read_file("/proc/self/stat", text, sizeof(text)));
	p = strrchr(text, ')') + 1; /* field 3 follows */
	for (int field = 3, k = 0; k < FIELDS; field++) {
		p += strspn(p, " ");
		if (field == fields[k])
			out[k++] = strtoull(p, NULL, 10);
		p += strcspn(p, " ");
	}
}

int main(int argc, char **argv)
{
	static char cmdline[2][8192], environment[2][65536], auxv[2][2048], exe[2][PATH_MAX],
		comm[2][32];
	unsigned long long was[FIELDS], now[FIELDS];
	long n[2][3];

	zoo_init(argc, argv);
	for (int i = 0;; i = 1) {
		n[i][0] = must(zoo_read_file("/proc/self/cmdline", cmdline[i], sizeof(cmdline[i])));
		n[i][1] = must(zoo_read_file("/proc/self/environ", environment[i],
		                             sizeof(environment[i])));
		n[i][2] = must(zoo_read_file("/proc/self/auxv", auxv[i], sizeof(auxv[i])));
		must(readlink("/proc/self/exe", exe[i], PATH_MAX - 1));
		must(zoo_read_file("/proc/self/comm", comm[i], sizeof(comm[i])));
		areas(i ? now : was);
		if (i)
			break;
		zoo_snapshot_here();
		zoo_spoil(argv[0][0] = '!');
		zoo_spoil(must(sbrk(5000)); free(malloc(1)); was[6]++);
		zoo_spoil(exe[0][1] = '#');
	}
	for (int k = 0; k < 3; k++)
		check_eq(n[1][k], n[0][k]);
	check(!memcmp(cmdline[0], cmdline[1], (size_t)n[0][0]), "cmdline");
	check(!memcmp(environment[0], environment[1], (size_t)n[0][1]), "environ");
	check(!memcmp(auxv[0], auxv[1], (size_t)n[0][2]), "auxv");
	check_text(exe[1], exe[0]);
	check_text(comm[1], comm[0]);
	for (int k = 0; k < FIELDS; k++)
		check(was[k] == now[k], "field %d of stat is %llx, was %llx", fields[k], now[k],
		      was[k]);
	zoo_pass();
}
