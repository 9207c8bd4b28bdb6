/* SPDX-License-Identifier: MIT */
/* The rule for a settled guest, on lives of guests that are told in milliseconds. */
#include "vm/settle.h"
#include "tap.h"

#define MS 1000000ull

static struct settle s;
static uint64_t now;

static void begin(void)
{
	settle_init(&s, &settle_rule_default);
	now = 5000 * MS;
}

static void halt(uint64_t us)
{
	settle_halted(&s, now, now + us * 1000);
	now += us * 1000;
}

static void work(uint64_t us)
{
	now += us * 1000;
}

static bool settled(void)
{
	return settle_is_settled(&s, now, false);
}

static void a_guest_that_waits_is_settled_one_window_after_its_barrier(void)
{
	begin();
	work(400000);
	settle_barrier(&s, now);
	halt(990000);
	ok(!settled());
	halt(11000);
	ok(settled(), "%u in a thousand", settle_share(&s, now));
}

static void without_a_barrier_nothing_is_settled(void)
{
	begin();
	for (unsigned i = 0; i < 10; i++) {
		halt(3000000);
		ok(!settled());
	}
}

static void an_init_that_pauses_between_steps_is_not_settled_before_its_barrier(void)
{
	begin();
	for (unsigned step = 0; step < 5; step++) {
		work(30000);
		halt(1000000 + step * 500000);
		ok(!settled(), "step %u", step);
	}
	settle_barrier(&s, now);
	ok(!settled(), "the pauses before the barrier do not count");
	halt(1000000);
	ok(settled());
}

static void steps_after_the_barrier_are_waited_for(void)
{
	begin();
	settle_barrier(&s, now);
	for (unsigned i = 0; i < 8; i++) {
		work(150000);
		halt(600000);
		ok(!settled(), "a fifth of the time at work");
	}
	halt(1000000);
	ok(settled());
}

static void a_service_that_polls_is_settled(void)
{
	begin();
	settle_barrier(&s, now);
	for (unsigned i = 0; i < 12; i++) {
		halt(98000);
		work(2000);
	}
	ok(settled(), "%u in a thousand", settle_share(&s, now));
}

static void short_halts_do_not_count(void)
{
	begin();
	settle_barrier(&s, now);
	for (unsigned i = 0; i < 3000; i++) {
		halt(990);
		work(150);
	}
	ok(!settled() && settle_share(&s, now) == 0);
}

static void a_busy_guest_never_settles(void)
{
	begin();
	settle_barrier(&s, now);
	for (unsigned i = 0; i < 1000; i++) {
		work(50000);
		halt(25000);
		ok(!settled());
	}
}

static void a_halt_that_the_host_interrupts_is_one_halt(void)
{
	begin();
	settle_barrier(&s, now);
	for (unsigned i = 0; i < 600; i++) {
		halt(2000);
		work(5);
	}
	ok(settled(), "%u in a thousand", settle_share(&s, now));
}

static void an_open_request_keeps_it_from_being_settled(void)
{
	begin();
	settle_barrier(&s, now);
	halt(2000000);
	ok(settled() && !settle_is_settled(&s, now, true));
}

int main(void)
{
	RUN(a_guest_that_waits_is_settled_one_window_after_its_barrier);
	RUN(without_a_barrier_nothing_is_settled);
	RUN(an_init_that_pauses_between_steps_is_not_settled_before_its_barrier);
	RUN(steps_after_the_barrier_are_waited_for);
	RUN(a_service_that_polls_is_settled);
	RUN(short_halts_do_not_count);
	RUN(a_busy_guest_never_settles);
	RUN(a_halt_that_the_host_interrupts_is_one_halt);
	RUN(an_open_request_keeps_it_from_being_settled);
	return tap_done();
}
