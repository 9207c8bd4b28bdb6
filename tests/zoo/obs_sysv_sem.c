/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle hidden=yes */
/* A System V semaphore with an undo that is still to come (semadj). */
#include "zoo.h"

#include <sys/ipc.h>
#include <sys/sem.h>

int main(int argc, char **argv)
{
	struct zoo_gate gate;
	pid_t child;
	int id, value;

	zoo_init(argc, argv);
	id = must(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));
	zoo_gate_make(&gate);
	child = must(fork());
	if (!child) {
		if (semop(id, &(struct sembuf){.sem_op = 3, .sem_flg = SEM_UNDO}, 1)) {
			semctl(id, 0, IPC_RMID);
			_exit(1);
		}
		zoo_gate_pass(&gate);
		zoo_await_go();
		zoo_spoil(semctl(id, 0, SETVAL, 9));
		_exit(0);
	}
	zoo_gate_wait(&gate, 1);

	zoo_snapshot_here();
	value = semctl(id, 0, GETVAL);
	must(kill(child, SIGUSR1));
	waitpid(child, NULL, 0);
	int after = semctl(id, 0, GETVAL);
	semctl(id, 0, IPC_RMID);
	check_eq(value, 3);
	check_eq(after, 0);
	zoo_pass();
}
