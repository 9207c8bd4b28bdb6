/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/*
 * System V semaphores that were used and have nothing to be undone: by a process with threads, which
 * has a list of undos, and with an undo that was taken back since.
 */
#include "second-thread.h"

#include <sys/ipc.h>
#include <sys/sem.h>

static int id;

static void step(int by, int flags)
{
	struct sembuf op = {.sem_op = (short)by, .sem_flg = (short)flags};

	if (semop(id, &op, 1)) {
		int error = errno;

		semctl(id, 0, IPC_RMID);
		zoo_fail("semop: %s", strerror(error));
	}
}

static void use(void)
{
	step(4, SEM_UNDO);
	step(-4, SEM_UNDO);
}

static void use_again(void)
{
	step(1, 0);
}

int main(int argc, char **argv)
{
	int value;

	zoo_init(argc, argv);
	id = must(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));
	second_start(use, use_again);
	step(4, 0);

	zoo_snapshot_here();
	zoo_spoil(semctl(id, 0, SETVAL, 7));
	second_finish();
	value = semctl(id, 0, GETVAL);
	semctl(id, 0, IPC_RMID);
	check_eq(value, 5);
	zoo_pass();
}
