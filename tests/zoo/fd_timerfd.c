/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* timerfd: disarmed, relative, absolute, with interval, expired with unread ticks; per clock. */
#include "zoo.h"

#include <sys/timerfd.h>

static int make(clockid_t clock, int flags, time_t in, long every_ns)
{
	struct itimerspec t = {.it_value.tv_sec = in, .it_interval.tv_nsec = every_ns};
	int fd = must(timerfd_create(clock, TFD_NONBLOCK | TFD_CLOEXEC));

	must(timerfd_settime(fd, flags, &t, NULL));
	return fd;
}

int main(int argc, char **argv)
{
	int disarmed, relative, absolute, ticking, one_shot, real;
	struct itimerspec t;
	uint64_t ticks;

	zoo_init(argc, argv);
	disarmed = must(timerfd_create(CLOCK_MONOTONIC, 0));
	relative = make(CLOCK_MONOTONIC, 0, 5000, 0);
	absolute =
		make(CLOCK_BOOTTIME, TFD_TIMER_ABSTIME, (time_t)zoo_now(CLOCK_BOOTTIME) + 7000, 0);
	real = make(CLOCK_REALTIME, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
	            (time_t)zoo_now(CLOCK_REALTIME) + 9000, 0);
	ticking = must(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	t = (struct itimerspec){.it_value.tv_nsec = 1000000, .it_interval.tv_nsec = 10000000};
	must(timerfd_settime(ticking, 0, &t, NULL));
	check(zoo_readable(ticking, 5), "the timer does not tick");
	one_shot = must(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	t = (struct itimerspec){.it_value.tv_nsec = 1};
	must(timerfd_settime(one_shot, 0, &t, NULL));
	check(zoo_readable(one_shot, 5), "the timer does not expire");

	zoo_snapshot_here();
	zoo_spoil(must(read(one_shot, &ticks, 8)));
	zoo_spoil(must(
		timerfd_settime(relative, 0, &(struct itimerspec){.it_value.tv_sec = 1}, NULL)));
	zoo_spoil(must(timerfd_settime(ticking, 0, &(struct itimerspec){{0, 0}, {0, 0}}, NULL)));
	zoo_spoil(must(
		timerfd_settime(disarmed, 0, &(struct itimerspec){.it_value.tv_sec = 1}, NULL)));
	zoo_spoil(must(
		timerfd_settime(absolute, 0, &(struct itimerspec){.it_value.tv_sec = 1}, NULL)));
	zoo_spoil(must(fcntl(relative, F_SETFL, 0)));
	must(timerfd_gettime(disarmed, &t));
	check_eq(t.it_value.tv_sec | t.it_value.tv_nsec | t.it_interval.tv_sec |
	                 t.it_interval.tv_nsec,
	         0);
	must(timerfd_gettime(relative, &t));
	check(t.it_value.tv_sec > 4900 && t.it_value.tv_sec <= 5000, "%ld s",
	      (long)t.it_value.tv_sec);
	check_eq(t.it_interval.tv_sec | t.it_interval.tv_nsec, 0);
	check(must(fcntl(relative, F_GETFL)) & O_NONBLOCK, "O_NONBLOCK was lost");
	must_refuse(read(relative, &ticks, 8), EAGAIN);
	must(timerfd_gettime(absolute, &t));
	check(t.it_value.tv_sec > 6900 && t.it_value.tv_sec <= 7000, "%ld s",
	      (long)t.it_value.tv_sec);
	must(timerfd_gettime(real, &t));
	check(t.it_value.tv_sec > 8900 && t.it_value.tv_sec <= 9000, "%ld s",
	      (long)t.it_value.tv_sec);
	must(timerfd_gettime(ticking, &t));
	check_eq(t.it_interval.tv_nsec, 10000000);
	check_eq(read(ticking, &ticks, 8), 8);
	check(ticks >= 1, "no tick was kept");
	check(zoo_readable(ticking, 5), "the timer ticks no more");
	check_eq(read(one_shot, &ticks, 8), 8);
	check_eq(ticks, 1);
	must(timerfd_gettime(one_shot, &t));
	check_eq(t.it_value.tv_sec | t.it_value.tv_nsec, 0);
	check_eq(fcntl(absolute, F_GETFD), FD_CLOEXEC);
	zoo_pass();
}
