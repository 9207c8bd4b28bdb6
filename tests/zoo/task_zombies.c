/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Zombies: ended with a code, by a signal, one whose leader of a group it was; and a grandchild's.
 */
#include "zoo.h"

static void await_zombie(pid_t pid)
{
	siginfo_t i;

	must(waitid(P_PID, (id_t)pid, &i, WEXITED | WNOWAIT));
}

int main(int argc, char **argv)
{
	pid_t code, killed, leader, parent, member;
	struct zoo_gate gate;
	siginfo_t info;
	int status;

	zoo_init(argc, argv);
	code = must(fork());
	if (!code)
		_exit(42);
	killed = must(fork());
	if (!killed) {
		signal(SIGUSR2, SIG_DFL);
		raise(SIGUSR2);
	}
	leader = must(fork());
	if (!leader) {
		setpgid(0, 0);
		_exit(0);
	}
	setpgid(leader, leader);
	member = must(fork());
	if (!member) {
		zoo_await_go();
		zoo_spoil(_exit(3));
		check_eq(getpgrp(), leader); /* the group of a zombie */
		_exit(0);
	}
	must(setpgid(member, leader));
	zoo_gate_make(&gate);
	parent = must(fork());
	if (!parent) {
		pid_t child = must(fork());

		if (!child)
			_exit(5);
		await_zombie(child);
		zoo_gate_pass(&gate);
		zoo_await_go();
		zoo_spoil(waitpid(child, NULL, 0));
		check_eq(waitpid(child, &status, 0), child);
		check_eq(WEXITSTATUS(status), 5);
		_exit(0);
	}
	zoo_gate_wait(&gate, 1);
	await_zombie(code);
	await_zombie(killed);
	await_zombie(leader);

	zoo_snapshot_here();
	zoo_spoil(waitpid(code, NULL, 0));
	zoo_finish_child(member);
	zoo_finish_child(parent);
	memset(&info, 0, sizeof(info));
	must(waitid(P_PID, (id_t)code, &info, WEXITED));
	check_eq(info.si_code, CLD_EXITED);
	check_eq(info.si_status, 42);
	check_eq(waitpid(killed, &status, 0), killed);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR2, "status 0x%x", status);
	check_eq(waitpid(leader, &status, 0), leader);
	check_eq(status, 0);
	must_refuse(wait(NULL), ECHILD);
	zoo_pass();
}
