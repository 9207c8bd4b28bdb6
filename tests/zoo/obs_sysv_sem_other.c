/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle hidden=yes */
/* Semaphores with an undo that is still to come, above and below 0, which others have used since. */
#include "zoo.h"

#include <sys/ipc.h>
#include <sys/sem.h>

static int id;

static void step(unsigned index, int by, int flags)
{
	struct sembuf op = {
		.sem_num = (unsigned short)index, .sem_op = (short)by, .sem_flg = (short)flags};

	if (semop(id, &op, 1)) {
		int error = errno;

		semctl(id, 0, IPC_RMID);
		zoo_fail("semop: %s", strerror(error));
	}
}

int main(int argc, char **argv)
{
	struct zoo_gate gate;
	pid_t child;
	int before[2], after[2];

	zoo_init(argc, argv);
	id = must(semget(IPC_PRIVATE, 2, IPC_CREAT | 0600));
	step(1, 1, 0);
	zoo_gate_make(&gate);
	child = must(fork());
	if (!child) {
		step(0, 1, SEM_UNDO);
		step(1, -1, SEM_UNDO);
		zoo_gate_pass(&gate);
		zoo_await_go();
		zoo_spoil(semctl(id, 0, SETVAL, 5));
		_exit(0);
	}
	zoo_gate_wait(&gate, 1);
	for (unsigned i = 0; i < 2; i++)
		step(i, 7, 0);

	zoo_snapshot_here();
	for (int i = 0; i < 2; i++)
		before[i] = semctl(id, i, GETVAL);
	must(kill(child, SIGUSR1));
	waitpid(child, NULL, 0);
	for (int i = 0; i < 2; i++)
		after[i] = semctl(id, i, GETVAL);
	semctl(id, 0, IPC_RMID);
	check_eq(before[0], 8);
	check_eq(before[1], 7);
	check_eq(after[0], 7);
	check_eq(after[1], 8);
	zoo_pass();
}
