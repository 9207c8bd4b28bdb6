/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle */
/* An attached System V shared memory segment. */
#include "zoo.h"

#include <sys/ipc.h>
#include <sys/shm.h>

int main(int argc, char **argv)
{
	struct shmid_ds ds;
	uint8_t *m;
	int id;

	zoo_init(argc, argv);
	id = must(shmget(IPC_PRIVATE, 3 * PAGE, IPC_CREAT | 0600));
	m = must((uint8_t *)shmat(id, NULL, 0));
	must(shmctl(id, IPC_RMID, NULL)); /* goes with us */
	zoo_fill(m, 3 * PAGE, 1);

	zoo_snapshot_here();
	zoo_spoil(must(shmdt(m)); m = must(malloc(3 * PAGE)));
	check_eq(zoo_first_wrong(m, 3 * PAGE, 1), -1);
	must(shmctl(id, IPC_STAT, &ds));
	check_eq(ds.shm_nattch, 1);
	zoo_pass();
}
