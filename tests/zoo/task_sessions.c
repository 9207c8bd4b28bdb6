/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Process groups across parents, a group whose leader is gone, a session whose leader is gone, an
 * orphaned group. */
#include "zoo.h"

#include <sys/prctl.h>

static struct zoo_gate gate;

static pid_t member(pid_t want_group, pid_t want_session)
{
	pid_t pid = must(fork());

	if (pid)
		return pid;
	if (want_group)
		must(setpgid(0, want_group));
	zoo_gate_pass(&gate);
	zoo_await_go();
	zoo_spoil(must(setpgid(0, 0)));
	zoo_spoil(must(setsid()));
	if (want_group)
		check_eq(getpgrp(), want_group);
	if (want_session)
		check_eq(getsid(0), want_session);
	_exit(0);
}

int main(int argc, char **argv)
{
	pid_t leader, a, b, session_leader, in_session, group = getpgrp(), session = getsid(0),
							*shared;

	zoo_init(argc, argv);
	shared = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	zoo_gate_make(&gate);
	leader = must(fork());
	if (!leader) {
		must(setpgid(0, 0));
		zoo_await_go();
		_exit(0);
	}
	while (setpgid(leader, leader) && errno == EACCES)
		;
	a = member(leader, session);
	b = member(leader, session);
	session_leader = must(fork());
	if (!session_leader) {
		must(setsid());
		shared[0] = member(0, getpid());
		_exit(0); /* its member is ours now, in a session whose leader does not exist */
	}
	zoo_gate_wait(&gate, 3);
	must(kill(leader, SIGUSR1));
	check_eq(waitpid(leader, NULL, 0), leader); /* the group's id is nobody's pid any more */
	check_eq(waitpid(session_leader, NULL, 0), session_leader);
	in_session = shared[0];

	zoo_snapshot_here();
	check_eq(getpgrp(), group);
	check_eq(getsid(0), session);
	check_eq(getpgid(a), leader);
	check_eq(getpgid(b), leader);
	check_eq(getsid(in_session), session_leader);
	check_eq(getpgid(in_session), session_leader);
	must_refuse(kill(leader, 0), ESRCH);
	must(kill(-leader, 0));
	zoo_finish_child(a);
	zoo_finish_child(b);
	must_refuse(kill(-leader, 0), ESRCH);
	zoo_finish_child(in_session);
	zoo_pass();
}
