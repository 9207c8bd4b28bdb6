/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore needs=root unprivileged=no */
/* Different ids of every sort, groups, capability sets, securebits, keepcaps, no_new_privs,
 * ambient; per child. */
#include "zoo.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

static const char *const lines[] = {"Uid",    "Gid",    "Groups", "CapInh",    "CapPrm",
                                    "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"};

static void caps(uint64_t inheritable, uint64_t permitted, uint64_t effective)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2] = {
		{(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
		{(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32),
	         (uint32_t)(inheritable >> 32)}};

	must(syscall(SYS_capset, &h, d));
}

#define BIT(cap) (1ull << (cap))

static void become(int which)
{
	gid_t groups[] = {7, 100, 33, 65533};

	must(prctl(PR_CAPBSET_DROP, CAP_SYS_MODULE));
	must_zero(setgroups(which ? 4 : 0, groups));
	if (which == 1) {
		must(prctl(PR_SET_SECUREBITS,
		           SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS | SECBIT_NOROOT));
		must(setresgid(1000, 2000, 3000));
		must(setresuid(1000, 2000, 3000));
		setfsgid(4000);
		setfsuid(5000);
		caps(BIT(CAP_CHOWN) | BIT(CAP_NET_RAW),
		     BIT(CAP_CHOWN) | BIT(CAP_NET_RAW) | BIT(CAP_KILL), BIT(CAP_KILL));
		must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
	} else if (which == 2) {
		must(setresgid(1234, 1234, 1234));
		must(setresuid(1234, 1234, 1234));
		must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		must(prctl(PR_SET_DUMPABLE, 1)); /* or the ordinary parent could not look at it */
	}
}

int main(int argc, char **argv)
{
	struct zoo_gate gate;
	pid_t child[3];

	zoo_init(argc, argv);
	zoo_gate_make(&gate);
	for (int i = 0; i < 3; i++) {
		char was[ZOO_LEN(lines)][256];
		int bits, keep;

		child[i] = must(fork());
		if (child[i])
			continue;
		become(i);
		for (size_t k = 0; k < ZOO_LEN(lines); k++)
			snprintf(was[k], sizeof(was[k]), "%s", zoo_status(getpid(), lines[k]));
		bits = must(prctl(PR_GET_SECUREBITS));
		keep = must(prctl(PR_GET_KEEPCAPS));
		zoo_gate_pass(&gate);
		zoo_await_go();
		if (i == 1) {
			zoo_spoil(setfsuid(1000));
			zoo_spoil(must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)));
			zoo_spoil(caps(0, BIT(CAP_KILL), BIT(CAP_KILL)));
		}
		if (i == 0) {
			zoo_spoil(must_zero(setgroups(1, &(gid_t){5})));
			zoo_spoil(must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)));
			zoo_spoil(must(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT)));
		}
		for (size_t k = 0; k < ZOO_LEN(lines); k++)
			check(!strcmp(was[k], zoo_status(getpid(), lines[k])),
			      "child %d: %s is '%s', was '%s'", i, lines[k],
			      zoo_status(getpid(), lines[k]), was[k]);
		check_eq(prctl(PR_GET_SECUREBITS), bits);
		check_eq(prctl(PR_GET_KEEPCAPS), keep);
		exit(0);
	}
	zoo_gate_wait(&gate, 3);

	zoo_snapshot_here();
	for (int i = 0; i < 3; i++)
		zoo_finish_child(child[i]);
	zoo_pass();
}
