/* SPDX-License-Identifier: MIT */
/* zoo: expect=either needs=root unprivileged=no hidden=yes */
/* A session keyring of its own with a key: found again, or refused. */
#include "zoo.h"

#include <linux/keyctl.h>

int main(int argc, char **argv)
{
	long ring, key;
	char got[16];

	zoo_init(argc, argv);
	ring = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
	if (ring < 0)
		zoo_skip("keyctl: %s", strerror(errno));
	key = must(syscall(SYS_add_key, "user", "zoo", "secret", 6, KEY_SPEC_SESSION_KEYRING));

	zoo_snapshot_here();
	zoo_spoil(must(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL)));
	check_eq(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0), ring);
	key = must(syscall(SYS_request_key, "user", "zoo", NULL, 0));
	check_eq(syscall(SYS_keyctl, KEYCTL_READ, key, got, sizeof(got)), 6);
	zoo_pass();
}
