/* SPDX-License-Identifier: MIT */
/* zoo: expect=either */
/* Descriptors of /proc files of the process itself: they must answer for this process, or be
 * refused. */
#include "zoo.h"

int main(int argc, char **argv)
{
	char text[4096] = "", want[32];
	int stat, maps, dir;

	zoo_init(argc, argv);
	stat = must(open("/proc/self/stat", O_RDONLY));
	maps = must(open("/proc/self/maps", O_RDONLY));
	dir = must(open("/proc/self", O_RDONLY | O_DIRECTORY));

	zoo_snapshot_here();
	zoo_spoil(must(dup2(must(open("/proc/1/stat", O_RDONLY)), stat)));
	must(read(stat, text, sizeof(text) - 1));
	snprintf(want, sizeof(want), "%d (", getpid());
	check(!strncmp(text, want, strlen(want)), "stat says %.30s", text);
	must(read(maps, text, sizeof(text) - 1));
	check(strstr(text, "file_proc"), "maps says %.200s", text);
	must(readlinkat(dir, "exe", text, sizeof(text) - 1));
	check(strstr(text, "file_proc"), "exe is %.100s", text);
	zoo_pass();
}
