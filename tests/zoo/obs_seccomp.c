/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle */
/* A seccomp filter of the process's own. */
#include "zoo.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

int main(int argc, char **argv)
{
	/* chroot() fails with EDOM, which nothing else would say. */
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_chroot, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {ZOO_LEN(rules), rules};
	struct zoo_gate gate;
	pid_t child;

	zoo_init(argc, argv);
	zoo_gate_make(&gate);
	child = must(fork());
	if (!child) {
		must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
		zoo_gate_pass(&gate);
		zoo_await_go();
		zoo_spoil(_exit(1));
		must_refuse(chroot("/nowhere"), EDOM);
		_exit(0);
	}
	zoo_gate_wait(&gate, 1);

	zoo_snapshot_here();
	zoo_finish_child(child);
	check(chroot("/nowhere") && errno != EDOM, "the parent is filtered too");
	zoo_pass();
}
