/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* epoll: data, events, EPOLLONESHOT (armed and spent), EPOLLET, nested, and a target whose own
 * number is gone. */
#include "zoo.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

static uint64_t one = 1;

static void add(int ep, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = {.events = events, .data.u64 = data};

	must(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
}

/* The data of the single event that is ready now; 0: none. */
static uint64_t ready(int ep)
{
	struct epoll_event e[8];
	int n = must(epoll_wait(ep, e, 8, 0));

	if (n > 1)
		zoo_fail("%d events at once", n);
	return n ? e[0].data.u64 : 0;
}

int main(int argc, char **argv)
{
	int ep, inner, level, spent, armed, edge, hidden, kept, deep;

	zoo_init(argc, argv);
	ep = must(epoll_create1(EPOLL_CLOEXEC));
	inner = must(epoll_create1(0));
	level = must(eventfd(0, EFD_NONBLOCK));
	spent = must(eventfd(0, EFD_NONBLOCK));
	armed = must(eventfd(0, EFD_NONBLOCK));
	edge = must(eventfd(0, EFD_NONBLOCK));
	hidden = must(eventfd(0, EFD_NONBLOCK));
	deep = must(eventfd(0, EFD_NONBLOCK));
	add(ep, level, EPOLLIN, 0x1111111122222222);
	add(ep, spent, EPOLLIN | EPOLLONESHOT, 2);
	add(ep, armed, EPOLLIN | EPOLLONESHOT, 3);
	add(ep, edge, EPOLLIN | EPOLLET, 4);
	add(ep, hidden, EPOLLIN, 5);
	add(ep, inner, EPOLLIN, 6);
	add(inner, deep, EPOLLIN | EPOLLRDHUP, UINT64_MAX);
	kept = must(fcntl(hidden, F_DUPFD, 80));
	close(hidden); /* the registration stays with the description */
	must(write(spent, &one, 8));
	check_eq(ready(ep), 2);

	zoo_snapshot_here();
	zoo_spoil(must(epoll_ctl(ep, EPOLL_CTL_DEL, level, NULL)));
	zoo_spoil(must(epoll_ctl(ep, EPOLL_CTL_MOD, spent,
	                         &(struct epoll_event){.events = EPOLLIN, .data.u64 = 2})));
	zoo_spoil(must(epoll_ctl(ep, EPOLL_CTL_MOD, level,
	                         &(struct epoll_event){.events = EPOLLIN, .data.u64 = 8})));
	zoo_spoil(must(epoll_ctl(ep, EPOLL_CTL_DEL, inner, NULL)));
	zoo_spoil(must(dup2(must(eventfd(0, 0)), kept)));
	zoo_spoil(must(epoll_ctl(ep, EPOLL_CTL_MOD, edge,
	                         &(struct epoll_event){.events = EPOLLIN, .data.u64 = 4})));
	check_eq(fcntl(ep, F_GETFD), FD_CLOEXEC);
	check_eq(ready(ep), 0);
	must(write(level, &one, 8));
	check_eq(ready(ep), 0x1111111122222222);
	check_eq(ready(ep), 0x1111111122222222); /* level: again and again */
	must(read(level, &(uint64_t){0}, 8));
	check_eq(ready(ep), 0);
	must(write(armed, &one, 8));
	check_eq(ready(ep), 3);
	check_eq(ready(ep), 0);
	must(write(edge, &one, 8));
	check_eq(ready(ep), 4);
	check_eq(ready(ep), 0); /* edge: once */
	must(write(kept, &one, 8));
	check_eq(ready(ep), 5);
	must(read(kept, &(uint64_t){0}, 8));
	must(write(deep, &one, 8));
	check_eq(ready(inner), -1);
	check_eq(ready(ep), 6);
	must_refuse(epoll_ctl(ep, EPOLL_CTL_ADD, level, &(struct epoll_event){0}), EEXIST);
	zoo_pass();
}
