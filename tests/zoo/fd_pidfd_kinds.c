/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* pidfds of one thread, and of children that were waited for: how they ended is still told. */
#include "zoo.h"

#include <linux/ioctl.h>
#include <pthread.h>
#include <sys/ioctl.h>

struct info { /* struct pidfd_info of linux/pidfd.h */
	uint64_t mask, cgroup;
	uint32_t ids[11];
	int32_t status;
};
#define GET_INFO _IOWR(0xff, 11, struct info)
#define INFO_EXIT 8u

static pthread_barrier_t started;
static volatile int tid;

static void *thread(void *unused)
{
	tid = zoo_tid();
	pthread_barrier_wait(&started);
	for (;;)
		pause();
	return unused;
}

static int ended_child(int code, int sig)
{
	pid_t child = must(fork());
	int fd;

	if (!child) {
		if (sig)
			raise(sig);
		_exit(code);
	}
	fd = must((int)syscall(SYS_pidfd_open, child, 0));
	must(waitpid(child, NULL, 0));
	return fd;
}

static int how(int fd)
{
	struct info info = {.mask = INFO_EXIT};

	return ioctl(fd, GET_INFO, &info) || !(info.mask & INFO_EXIT) ? -1 : info.status;
}

int main(int argc, char **argv)
{
	int exited, killed, one, told;
	pthread_t t;

	zoo_init(argc, argv);
	must_zero(pthread_barrier_init(&started, NULL, 2));
	must_zero(pthread_create(&t, NULL, thread, NULL));
	pthread_barrier_wait(&started);
	exited = ended_child(5, 0);
	killed = ended_child(0, SIGTERM);
	told = how(exited) != -1;                        /* since Linux 6.15 */
	one = (int)syscall(SYS_pidfd_open, tid, O_EXCL); /* PIDFD_THREAD, since Linux 6.9 */
	if (one < 0)
		zoo_skip("no pidfds of threads");

	zoo_snapshot_here();
	zoo_spoil(must(dup2(killed, exited)));
	zoo_spoil(must(dup2(exited, killed)));
	zoo_spoil(must(dup2(must((int)syscall(SYS_pidfd_open, getpid(), 0)), one)));
	if (told) {
		check_eq(how(exited), 5 << 8);
		check_eq(how(killed), SIGTERM);
	}
	must_refuse(syscall(SYS_pidfd_send_signal, killed, 0, NULL, 0), ESRCH);
	check(must(fcntl(one, F_GETFL)) & O_EXCL, "it is of the whole process");
	check(!zoo_readable(one, 0), "the thread's pidfd says that it ended");
	must_zero(pthread_cancel(t));
	must_zero(pthread_join(t, NULL));
	check(zoo_readable(one, 5), "the thread's end is not seen");
	zoo_pass();
}
