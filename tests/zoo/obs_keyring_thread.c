/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle hidden=yes */
/* A second thread with a keyring of its own. */
#include "second-thread.h"

#include <linux/keyctl.h>

static long key = -1;

static void set_up(void)
{
	key = syscall(SYS_add_key, "user", "zoo", "hidden", 6ul, (long)KEY_SPEC_THREAD_KEYRING);
}

static void verify(void)
{
	char text[8] = "";

	zoo_spoil(must(syscall(SYS_keyctl, KEYCTL_CLEAR, (long)KEY_SPEC_THREAD_KEYRING)));
	check_eq(
		syscall(SYS_keyctl, KEYCTL_SEARCH, (long)KEY_SPEC_THREAD_KEYRING, "user", "zoo", 0),
		key);
	check_eq(syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof(text)), 6);
	check_text(text, "hidden");
}

int main(int argc, char **argv)
{
	zoo_init(argc, argv);
	second_start(set_up, verify);
	if (key < 0)
		zoo_skip("add_key: no keys here");

	zoo_snapshot_here();
	second_finish();
	zoo_pass();
}
