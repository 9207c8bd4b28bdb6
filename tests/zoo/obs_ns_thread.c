/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle needs=root unprivileged=no hidden=yes */
/* A thread in a host name namespace of its own; the first thread is in ours. */
#include "second-thread.h"

static bool left;

static ino_t uts_of(pid_t tid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/self/task/%d/ns/uts", tid);
	must(stat(path, &st));
	return st.st_ino;
}

static void set_up(void)
{
	left = !unshare(CLONE_NEWUTS);
}

static void verify(void)
{
	zoo_spoil(left = false);
	check((uts_of(zoo_tid()) != uts_of(getpid())) == left, "it is in another namespace now");
}

int main(int argc, char **argv)
{
	zoo_init(argc, argv);
	second_start(set_up, verify);
	if (!left)
		zoo_skip("no namespace of its own");

	zoo_snapshot_here();
	second_finish();
	zoo_pass();
}
