/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/*
 * Threads that wait in system calls without a timeout, one kind each. A stop is not seen by any of
 * them: each returns once its own event comes, and with that event's result.
 */
#include "waiters.h"

#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
	READ,
	WRITE,
	POLL,
	PPOLL,
	SELECT,
	FUTEX,
	SUSPEND,
	ACCEPT,
	FLOCK,
	FCNTL_LOCK,
	EVENTFD,
	RECV,
	WAIT,
	OPEN,
	COUNT
};

static const long number[COUNT] = {
	[READ] = SYS_read,
	[WRITE] = SYS_write,
	[POLL] = SYS_poll,
	[PPOLL] = SYS_ppoll,
	[SELECT] = SYS_pselect6,
	[FUTEX] = SYS_futex,
	[SUSPEND] = SYS_rt_sigsuspend,
	[ACCEPT] = SYS_accept4,
	[FLOCK] = SYS_flock,
	[FCNTL_LOCK] = SYS_fcntl,
	[EVENTFD] = SYS_read,
	[RECV] = SYS_recvfrom,
	[WAIT] = SYS_wait4,
	[OPEN] = SYS_openat,
};

static int pipes[COUNT][2], sockets[2], listener, event, held, wanted, posix_held, posix_wanted;
static uint32_t word;
static pid_t child;
static char fifo[PATH_MAX], name[PATH_MAX];
static sigset_t empty_but_usr2;

static void nothing(int sig)
{
	(void)sig;
}

static long wait_in(long which)
{
	static char big[PAGE];
	struct pollfd p = {.fd = pipes[which][0], .events = POLLIN};
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	sigset_t mask;
	uint64_t v;
	fd_set set;
	char c;

	sigemptyset(&mask);
	switch (which) {
	case READ:
		return syscall(SYS_read, pipes[READ][0], &c, 1);
	case WRITE:
		return syscall(SYS_write, pipes[WRITE][1], big, sizeof(big));
	case POLL:
		return syscall(SYS_poll, &p, 1, -1);
	case PPOLL:
		sigaddset(&mask, SIGUSR1);
		return syscall(SYS_ppoll, &p, 1, NULL, &mask, 8);
	case SELECT:
		FD_ZERO(&set);
		FD_SET(pipes[SELECT][0], &set);
		return syscall(SYS_pselect6, pipes[SELECT][0] + 1, &set, NULL, NULL, NULL, NULL);
	case FUTEX:
		return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	case SUSPEND:
		return syscall(SYS_rt_sigsuspend, &empty_but_usr2, 8);
	case ACCEPT:
		return syscall(SYS_accept4, listener, NULL, NULL, 0);
	case FLOCK:
		return syscall(SYS_flock, wanted, LOCK_EX);
	case FCNTL_LOCK:
		return syscall(SYS_fcntl, posix_wanted, F_OFD_SETLKW, &lock);
	case EVENTFD:
		return syscall(SYS_read, event, &v, 8);
	case RECV:
		return syscall(SYS_recvfrom, sockets[0], &c, 1, 0, NULL, NULL);
	case WAIT:
		return syscall(SYS_wait4, child, NULL, 0, NULL);
	default:
		return syscall(SYS_openat, AT_FDCWD, fifo, O_RDONLY, 0);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = ""};
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	static char data[65536];
	uint64_t one = 1;
	sigset_t usr2;
	int caller;

	zoo_init(argc, argv);
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	must(sigprocmask(SIG_BLOCK, &usr2, NULL));
	sigfillset(&empty_but_usr2);
	sigdelset(&empty_but_usr2, SIGUSR2);
	must(sigaction(SIGUSR2, &(struct sigaction){.sa_handler = nothing}, NULL));

	for (int i = 0; i < COUNT; i++)
		must(pipe(pipes[i]));
	check_eq(write(pipes[WRITE][1], data, 65536), 65536);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	listener = must(socket(AF_UNIX, SOCK_STREAM, 0));
	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "zoo waiters %d", getpid());
	must(bind(listener, (void *)&address, sizeof(address)));
	must(listen(listener, 3));
	event = must(eventfd(0, 0));
	snprintf(name, sizeof(name), "%s", zoo_beside("lock"));
	held = must(open(name, O_RDWR | O_CREAT, 0600));
	wanted = must(open(name, O_RDWR));
	must(flock(held, LOCK_EX));
	posix_held = must(open(name, O_RDWR));
	posix_wanted = must(open(name, O_RDWR));
	must(fcntl(posix_held, F_OFD_SETLK, &lock));
	snprintf(fifo, sizeof(fifo), "%s", zoo_beside("fifo"));
	unlink(fifo);
	must(mkfifo(fifo, 0600));
	child = must(fork());
	if (!child) {
		zoo_await_go();
		_exit(0);
	}
	waiters_start(COUNT, number, wait_in);

	zoo_snapshot_here();
	waiters_await();
	must(write(pipes[READ][1], "x", 1));
	must(read(pipes[WRITE][0], data, 65536));
	must(write(pipes[POLL][1], "x", 1));
	must(write(pipes[PPOLL][1], "x", 1));
	must(write(pipes[SELECT][1], "x", 1));
	word = 1;
	must(syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
	must_zero(pthread_kill(waiters[SUSPEND].thread, SIGUSR2));
	caller = must(socket(AF_UNIX, SOCK_STREAM, 0));
	must(connect(caller, (void *)&address, sizeof(address)));
	must(flock(held, LOCK_UN));
	lock.l_type = F_UNLCK;
	must(fcntl(posix_held, F_OFD_SETLK, &lock));
	must(write(event, &one, 8));
	must(send(sockets[1], "x", 1, 0));
	must(kill(child, SIGUSR1));
	close(must(open(fifo, O_WRONLY)));
	waiters_join();
	zoo_spoil(waiters[WRITE].result--);
	zoo_spoil(waiters[ACCEPT].result = -1);
	for (int i = 0; i < COUNT; i++) {
		const struct waiter *w = &waiters[i];
		long want = i == WRITE                                    ? (long)PAGE
		            : i == FUTEX || i == FLOCK || i == FCNTL_LOCK ? 0
		            : i == SUSPEND                                ? -1
		            : i == EVENTFD                                ? 8
		            : i == WAIT                                   ? child
		            : i == ACCEPT || i == OPEN                    ? w->result
		                                                          : 1;

		check(w->result == want && (w->result >= 0 || w->error == EINTR),
		      "case %d: result %ld (%s), want %ld", i, w->result, strerror(w->error), want);
	}
	check(waiters[ACCEPT].result > 2 && waiters[OPEN].result > 2, "accept %ld, open %ld",
	      waiters[ACCEPT].result, waiters[OPEN].result);
	zoo_pass();
}
