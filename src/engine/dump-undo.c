/* SPDX-License-Identifier: MIT */
/*
 * SEM_UNDO: what the end of a process would undo at System V semaphores. Nothing lists it.
 *
 * kcmp(2) tells whether a process has an undo list, which is there also when it is empty: every
 * process that has threads has one. What stands in it the kernel tells by refusing: an operation
 * with SEM_UNDO whose undo value would leave the range of a short integer fails with ERANGE. Of
 * several operations in one semop(2) all are done or none, in their order, and the last of ours can
 * never be done. So the task is asked for two such rows; nothing is changed, and the answer is
 * ERANGE when there is an undo above 0, or below.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/syscall.h>

#include "engine/engine-int.h"

#define VALUE_MAX SHRT_MAX /* SEMVMX, and of an undo too (SEMAEM) */
#define TRIES 16
#define ROW_MAX 5

/* Does the task have an undo list? We have none: threads of ours would otherwise give us one. */
static bool has_list(const struct dtask *t)
{
	return !unshare(CLONE_SYSVSEM) &&
	       os_kcmp((pid_t)syscall(SYS_gettid), t->pid, KCMP_SYSVSEM, 0, 0) > 0;
}

/* One semaphore of an array and what it is worth. */
struct semaphore {
	int id;
	uint16_t index;
	int value;
};

static size_t queue_row(struct remote *r, const struct semaphore *s, const int *steps, size_t n,
                        unsigned undo)
{
	struct sembuf row[ROW_MAX];
	size_t used = 0;

	for (size_t i = 0; i < n; i++)
		if (steps[i]) /* 0 would wait for the value 0 */
			row[used++] = (struct sembuf){
				.sem_num = s->index,
				.sem_op = (short)steps[i],
				.sem_flg = (short)(IPC_NOWAIT | (undo >> i & 1 ? SEM_UNDO : 0))};
	return REMOTE_QUEUE(r, SYS_semop, U(s->id), remote_in(r, row, used * sizeof(row[0])),
	                    U(used));
}

/*
 * With value 0 first and then +max, -1, +1, an undo of -1 is one too far; with max first and then
 * -max, one of +1 is.
 */
static int ask(struct remote *r, const struct semaphore *s, int64_t answers[2], struct err *e)
{
	const int below[] = {-s->value, VALUE_MAX, -1, 1, SHRT_MIN};
	const int above[] = {VALUE_MAX - s->value, -VALUE_MAX, SHRT_MIN};
	size_t calls[] = {queue_row(r, s, below, ARRAY_LEN(below), 1u << 1 | 1u << 3),
	                  queue_row(r, s, above, ARRAY_LEN(above), 1u << 1)};
	int ret = remote_run(r, e);

	for (size_t i = 0; !ret && i < 2; i++)
		answers[i] = remote_result(r, calls[i]);
	return ret;
}

/* Has the task an undo at this semaphore? Again if somebody outside of the tree changed its value. */
static int ask_semaphore(struct dtask *t, struct remote *r, struct semaphore *s, bool *found,
                         struct err *e)
{
	for (int tries = 0; tries < TRIES; tries++) {
		int64_t answers[2];
		int ret, after;

		s->value = semctl(s->id, s->index, GETVAL);
		if (s->value < 0)
			return 0; /* the array is gone, and all undos with it */
		ret = ask(r, s, answers, e);
		after = semctl(s->id, s->index, GETVAL);
		if (ret < 0 || after < 0)
			return ret;
		if (after != s->value)
			continue;
		*found = answers[0] == -ERANGE || answers[1] == -ERANGE;
		/* It may not ask (its rights have changed): then who was there last is a hint. */
		if (answers[0] != -EAGAIN || answers[1] != -EAGAIN)
			*found |= semctl(s->id, s->index, GETPID) == t->pid;
		return 0;
	}
	*found = true; /* not to be told */
	return 0;
}

int dump_undo(struct dump *d, struct dtask *t, struct remote *r, struct err *e)
{
	AUTO(buf) struct buf text = {0};
	char *save, *line;
	bool found = false;
	int ret = 0;

	if (!has_list(t) || os_read_file_at(AT_FDCWD, "/proc/sysvipc/sem", &text) < 0)
		return 0;
	buf_text(&text);
	line = strtok_r((char *)text.data, "\n", &save); /* the heading */
	while (!ret && !found && line && (line = strtok_r(NULL, "\n", &save))) {
		struct semid_ds info;
		int key, id;

		if (sscanf(line, "%d %d", &key, &id) != 2 || semctl(id, 0, IPC_STAT, &info) < 0)
			continue;
		for (size_t i = 0; !ret && !found && i < info.sem_nsems; i++) {
			struct semaphore s = {.id = id, .index = (uint16_t)i};

			ret = ask_semaphore(t, r, &s, &found, e);
		}
	}
	if (found)
		dump_obstacle(d, t->pid,
		              "holds System V semaphores with SEM_UNDO, which its end would undo: "
		              "POSIX semaphores can be snapshotted");
	return ret;
}
