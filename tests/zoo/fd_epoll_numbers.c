/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* epoll: watches whose numbers are other files' now, two under one number, spent ones on pipes,
 * signalfd. */
#include "zoo.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

static void add(int ep, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = {.events = events, .data.u64 = data};

	must(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
}

/* The sum of the data of all that is ready now. */
static uint64_t ready(int ep)
{
	struct epoll_event e[8];
	int n = must(epoll_wait(ep, e, 8, 0));
	uint64_t sum = 0;

	while (n)
		sum += e[--n].data.u64;
	return sum;
}

int main(int argc, char **argv)
{
	int ep, number, first, second, third, quiet[2], alone[2], signals;
	uint64_t one = 1;
	sigset_t set;

	zoo_init(argc, argv);
	ep = must(epoll_create1(0));
	/* Two descriptions under one number, and a third has it now. */
	number = must(eventfd(0, EFD_NONBLOCK));
	add(ep, number, EPOLLIN, 1);
	first = must(fcntl(number, F_DUPFD, 50));
	must(dup2(must(eventfd(0, EFD_NONBLOCK)), number));
	add(ep, number, EPOLLIN, 2);
	second = must(fcntl(number, F_DUPFD, 50));
	third = must(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	must(dup3(third, number, O_CLOEXEC));
	/* Spent on an empty pipe whose writer goes later: no EPOLLHUP may come of it. */
	must(pipe(quiet));
	add(ep, quiet[0], EPOLLIN | EPOLLONESHOT, 4);
	must(write(quiet[1], "x", 1));
	check_eq(ready(ep), 4);
	must(read(quiet[0], &(char){0}, 1));
	/* Not spent: EPOLLHUP does come. */
	must(pipe(alone));
	add(ep, alone[0], EPOLLIN | EPOLLONESHOT, 8);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	must(sigprocmask(SIG_BLOCK, &set, NULL));
	signals = must(signalfd(-1, &set, SFD_NONBLOCK));
	add(ep, signals, EPOLLIN, 16);

	zoo_snapshot_here();
	zoo_spoil(must(epoll_ctl(ep, EPOLL_CTL_MOD, quiet[0],
	                         &(struct epoll_event){.events = EPOLLIN, .data.u64 = 4})));
	zoo_spoil(must(dup2(first, second)));
	zoo_spoil(must(dup2(number, first)));
	zoo_spoil(must(epoll_ctl(ep, EPOLL_CTL_DEL, signals, NULL)));
	check_eq(ready(ep), 0);
	check_eq(fcntl(number, F_GETFD), FD_CLOEXEC);
	must(write(first, &one, 8));
	check_eq(ready(ep), 1);
	must(write(second, &one, 8));
	check_eq(ready(ep), 3);
	must(write(number, &one, 8));
	check_eq(ready(ep), 3);
	must(read(third, &one, 8)); /* it is the same as the number */
	must(read(first, &one, 8));
	must(read(second, &one, 8));
	close(quiet[1]);
	check_eq(ready(ep), 0);
	close(alone[1]);
	check_eq(ready(ep), 8);
	must(kill(getpid(), SIGUSR2));
	check_eq(ready(ep), 16);
	zoo_pass();
}
