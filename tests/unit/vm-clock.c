/* SPDX-License-Identifier: MIT */
/* The machine's clock while its process does not run: the host's time is put back instead. */
#include "tap.h"
#include "vm/vm-int.h"

#define SECOND 1000000000u

/* As if @ns had gone by since somebody looked. */
static void let_pass(struct vm_clock *c, uint64_t ns)
{
	c->seen -= ns;
	c->offset += ns;
}

static bool is_about(uint64_t t, uint64_t want)
{
	return t >= want && t - want < SECOND;
}

static struct vm_clock start_at(uint64_t at)
{
	struct vm_clock c = {.frozen = at};

	vm_clock_start(&c);
	return c;
}

static void it_stands_still_while_it_is_stopped(void)
{
	struct vm_clock c = start_at(100);

	ok(is_about(vm_clock_now(&c), 100));
	vm_clock_stop(&c);
	let_pass(&c, 3600 * (uint64_t)SECOND);
	vm_clock_start(&c);
	ok(is_about(vm_clock_now(&c), 100) && !c.was_stopped);
}

static void a_slow_process_loses_no_time(void)
{
	struct vm_clock c = start_at(0);

	let_pass(&c, 4 * (uint64_t)SECOND);
	ok(is_about(vm_clock_now(&c), 4 * (uint64_t)SECOND) && !c.was_stopped);
}

static void a_stopped_process_stops_it(void)
{
	struct vm_clock c = start_at(7);

	let_pass(&c, 3600 * (uint64_t)SECOND);
	ok(is_about(vm_clock_now(&c), 7) && c.was_stopped);
	let_pass(&c, SECOND);
	ok(is_about(vm_clock_now(&c), SECOND), "it goes on");
}

static void a_long_sleep_is_not_a_stop(void)
{
	const uint64_t hour = 3600 * (uint64_t)SECOND;
	struct vm_clock c = start_at(0);

	let_pass(&c, hour);
	vm_clock_slept(&c, hour);
	ok(is_about(vm_clock_now(&c), hour) && !c.was_stopped, "until its end");
	let_pass(&c, hour / 2);
	vm_clock_slept(&c, DEV_NEVER);
	ok(is_about(vm_clock_now(&c), hour + hour / 2) && !c.was_stopped,
	   "for as long as it takes");
	let_pass(&c, hour);
	vm_clock_slept(&c, 10 * hour);
	ok(is_about(vm_clock_now(&c), 2 * hour + hour / 2) && !c.was_stopped, "woken early");
}

static void a_stop_during_a_sleep_begins_at_the_sleep_s_end(void)
{
	struct vm_clock c = start_at(0);

	let_pass(&c, 3600 * (uint64_t)SECOND);
	vm_clock_slept(&c, 600 * (uint64_t)SECOND);
	ok(is_about(vm_clock_now(&c), 600 * (uint64_t)SECOND) && c.was_stopped);
}

static void a_wait_for_a_page_is_no_time(void)
{
	uint64_t waited = 0;
	struct vm_clock c = start_at(7);

	c.waited = &waited;
	let_pass(&c, 3 * (uint64_t)SECOND);
	waited += 3 * (uint64_t)SECOND;
	ok(is_about(vm_clock_now(&c), 7) && !c.was_stopped);
	ok(!vm_clock_is_behind(&c), "another one may follow");
	c.waited_last -= 3 * (uint64_t)SECOND;
	ok(vm_clock_is_behind(&c) && !vm_clock_is_behind(&c), "told once");
	ok(is_about(vm_clock_now(&c), 7), "and not taken off twice");
}

int main(void)
{
	RUN(it_stands_still_while_it_is_stopped);
	RUN(a_slow_process_loses_no_time);
	RUN(a_stopped_process_stops_it);
	RUN(a_long_sleep_is_not_a_stop);
	RUN(a_stop_during_a_sleep_begins_at_the_sleep_s_end);
	RUN(a_wait_for_a_page_is_no_time);
	return tap_done();
}
