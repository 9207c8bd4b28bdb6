/* SPDX-License-Identifier: MIT */
/* zoo: expect=either */
/* A program whose own file was deleted while it runs. */
#include "zoo.h"

int main(int argc, char **argv)
{
	char copy[PATH_MAX], link[PATH_MAX] = "";
	ssize_t n;

	zoo_init(argc, argv);
	if (argc < 3) { /* run a copy of ourselves */
		char data[65536];
		int from = must(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
		int to;

		strcpy(copy, zoo_beside("program"));
		unlink(copy);
		to = must(open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700));
		while ((n = must(read(from, data, sizeof(data)))) > 0)
			must(write(to, data, (size_t)n));
		must(fsync(to));
		close(to);
		must(execl(copy, copy, zoo_path, "copied", NULL));
	}
	must(unlink(argv[0]));

	zoo_snapshot_here();
	zoo_spoil(argv[0][5] = '#');
	must(readlink("/proc/self/exe", link, sizeof(link) - 1));
	check(!strncmp(link, argv[0], strlen(argv[0])), "exe is %s", link);
	check(strstr(link, " (deleted)"), "exe is %s", link);
	check(access(argv[0], F_OK), "the deleted program has its name back");
	zoo_pass();
}
