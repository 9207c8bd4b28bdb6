/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Stopped children: one whose stop was reported, one whose was not; both stay stopped until
 * SIGCONT. */
#include "zoo.h"

int main(int argc, char **argv)
{
	struct zoo_gate gate;
	pid_t child[2];
	int status;

	zoo_init(argc, argv);
	zoo_gate_make(&gate);
	for (int i = 0; i < 2; i++) {
		child[i] = must(fork());
		if (!child[i]) {
			if (i) /* SIGTSTP has no effect in an orphaned group */
				must(setpgid(0, 0));
			zoo_gate_pass(&gate);
			raise(i ? SIGTSTP : SIGSTOP);
			zoo_await_go();
			_exit(20 + i);
		}
	}
	zoo_gate_wait(&gate, 2);
	for (int i = 0; i < 2; i++)
		must(waitid(P_PID, (id_t)child[i], &(siginfo_t){0}, WSTOPPED | WNOWAIT));
	check_eq(waitpid(child[0], &status, WUNTRACED), child[0]);

	zoo_snapshot_here();
	zoo_spoil(must(kill(child[0], SIGCONT)));
	zoo_spoil(waitpid(child[1], NULL, WUNTRACED));
	for (int i = 0; i < 2; i++)
		check(zoo_status(child[i], "State")[0] == 'T', "child %d is %s", i,
		      zoo_status(child[i], "State"));
	check_eq(waitpid(child[0], &status, WUNTRACED | WNOHANG), 0); /* reported before */
	check_eq(waitpid(child[1], &status, WUNTRACED | WNOHANG), child[1]);
	check(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP, "status 0x%x", status);
	for (int i = 0; i < 2; i++) {
		must(kill(child[i], SIGUSR1));
		must(kill(child[i], SIGCONT));
		check_eq(waitpid(child[i], &status, WCONTINUED), child[i]);
		if (WIFCONTINUED(status))
			check_eq(waitpid(child[i], &status, 0), child[i]);
		check(WIFEXITED(status) && WEXITSTATUS(status) == 20 + i, "status 0x%x", status);
	}
	zoo_pass();
}
