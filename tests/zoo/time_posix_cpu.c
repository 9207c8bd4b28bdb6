/* SPDX-License-Identifier: MIT */
/* zoo: expect=either */
/* POSIX timers on CPU time, of the process and of a thread: carried over, or refused. */
#include "zoo.h"

static long left(timer_t id)
{
	struct itimerspec t;

	must(timer_gettime(id, &t));
	return t.it_value.tv_sec;
}

int main(int argc, char **argv)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
	timer_t process, thread;

	zoo_init(argc, argv);
	must(timer_create(CLOCK_PROCESS_CPUTIME_ID, &ev, &process));
	must(timer_create(CLOCK_THREAD_CPUTIME_ID, &ev, &thread));
	must(timer_settime(process, 0, &(struct itimerspec){{0, 0}, {700, 0}}, NULL));
	must(timer_settime(thread, 0, &(struct itimerspec){{0, 0}, {800, 0}}, NULL));

	zoo_snapshot_here();
	zoo_spoil(must(timer_delete(thread)));
	check(left(process) <= 700 && left(process) > 690, "process: %ld s", left(process));
	check(left(thread) <= 800 && left(thread) > 790, "thread: %ld s", left(thread));
	zoo_pass();
}
