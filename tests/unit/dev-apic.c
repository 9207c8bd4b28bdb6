/* SPDX-License-Identifier: MIT */
/* Local and I/O APIC: delivery, priorities, end of interrupt, the three timer modes. */
#include "dev/dev.h"
#include "tap.h"

static struct apic_fabric fabric;
static struct lapic lapic;
static struct ioapic ioapic;
static uint64_t now;
static bool intr;
static int nmis;

static uint64_t clock_read(void *arg)
{
	return now;
}

static int64_t wall_read(void *arg)
{
	return 0;
}

static const struct dev_clock test_clock = {clock_read, wall_read, NULL};

static void on_intr(void *arg, bool high)
{
	intr = high;
}

static void on_nmi(void *arg)
{
	nmis++;
}

enum {
	ID = 0x20,
	TPR = 0x80,
	PPR = 0xa0,
	EOI = 0xb0,
	SVR = 0xf0,
	ISR = 0x100,
	IRR = 0x200,
	ESR = 0x280,
	ICR = 0x300,
	ICR_HIGH = 0x310,
	TIMER = 0x320,
	LINT0 = 0x350,
	ERROR = 0x370,
	INITIAL = 0x380,
	CURRENT = 0x390,
	DIVIDE = 0x3e0
};

static uint32_t rd(unsigned reg)
{
	return (uint32_t)lapic.dev.class->read(&lapic.dev, 0, reg, 4);
}

static void wr(unsigned reg, uint32_t value)
{
	lapic.dev.class->write(&lapic.dev, 0, reg, 4, value);
}

static void io_wr(uint32_t reg, uint32_t value)
{
	ioapic.dev.class->write(&ioapic.dev, 0, 0x00, 4, reg);
	ioapic.dev.class->write(&ioapic.dev, 0, 0x10, 4, value);
}

static uint32_t io_rd(uint32_t reg)
{
	ioapic.dev.class->write(&ioapic.dev, 0, 0x00, 4, reg);
	return (uint32_t)ioapic.dev.class->read(&ioapic.dev, 0, 0x10, 4);
}

static void setup(void)
{
	fabric = (struct apic_fabric){0};
	lapic_init(&lapic, "lapic0", 0, &fabric, &test_clock,
	           (struct lapic_cpu){on_intr, on_nmi, NULL});
	ioapic_init(&ioapic, "ioapic", &fabric);
	intr = false;
	nmis = 0;
	now = 1000;
	wr(SVR, 0x1ff);
}

static void self(uint8_t vector)
{
	wr(ICR_HIGH, 0);
	wr(ICR, 0x40000u | vector);
}

static void a_disabled_apic_takes_nothing(void)
{
	setup();
	wr(SVR, 0xff);
	self(0x40);
	ok(!intr && lapic_ack(&lapic) == -1);
	wr(SVR, 0x1ff);
	ok(!intr, "it must not have been remembered");
}

static void the_highest_class_goes_first_and_nests(void)
{
	setup();
	self(0x41);
	self(0x82);
	self(0x85);
	ok(intr);
	ok(lapic_ack(&lapic) == 0x85);
	ok(!intr, "0x82 is of the same class as what is in service");
	wr(TPR, 0);
	self(0x91);
	ok(intr && lapic_ack(&lapic) == 0x91);
	wr(EOI, 0);
	ok(!intr);
	wr(EOI, 0);
	ok(intr && lapic_ack(&lapic) == 0x82);
	wr(EOI, 0);
	ok(lapic_ack(&lapic) == 0x41);
	wr(EOI, 0);
	ok(!intr && lapic_ack(&lapic) == -1);
}

static void task_priority_holds_back_and_cr8_is_its_upper_half(void)
{
	setup();
	lapic_set_cr8(&lapic, 5);
	ok(rd(TPR) == 0x50, "%x", rd(TPR));
	self(0x5f);
	ok(!intr);
	self(0x60);
	ok(intr);
	lapic_set_cr8(&lapic, 4);
	ok(lapic_ack(&lapic) == 0x60 && rd(PPR) == 0x60);
	ok(lapic_cr8(&lapic) == 4);
}

static void vectors_below_16_are_errors(void)
{
	setup();
	wr(ERROR, 0x33);
	self(5);
	ok(intr && lapic_ack(&lapic) == 0x33);
	wr(ESR, 0);
	ok(rd(ESR) == 0x20, "send illegal vector: %x", rd(ESR));
	wr(ESR, 0);
	ok(rd(ESR) == 0);
}

static void one_shot_fires_once_and_counts_down(void)
{
	setup();
	wr(DIVIDE, 0x3); /* by 16 */
	wr(TIMER, 0x30);
	wr(INITIAL, 100);
	ok(lapic.dev.class->deadline(&lapic.dev) == 1000 + 1600);
	now += 160;
	ok(rd(CURRENT) == 90, "%u", rd(CURRENT));
	now = 2599;
	lapic.dev.class->expire(&lapic.dev, now);
	ok(!intr);
	now = 2600;
	lapic.dev.class->expire(&lapic.dev, now);
	ok(lapic_ack(&lapic) == 0x30 && rd(CURRENT) == 0);
	ok(lapic.dev.class->deadline(&lapic.dev) == DEV_NEVER);
}

static void periodic_keeps_its_phase_and_does_not_pile_up(void)
{
	setup();
	wr(DIVIDE, 0xb); /* by 1 */
	wr(TIMER, 0x20030);
	wr(INITIAL, 1000);
	now = 2000;
	lapic.dev.class->expire(&lapic.dev, now);
	ok(lapic.dev.class->deadline(&lapic.dev) == 3000);
	now = 7300; /* the host was busy */
	lapic.dev.class->expire(&lapic.dev, now);
	ok(lapic.dev.class->deadline(&lapic.dev) == 8000);
	ok(rd(CURRENT) == 700, "%u", rd(CURRENT));
	ok(lapic_ack(&lapic) == 0x30);
	wr(EOI, 0);
	ok(lapic_ack(&lapic) == -1);
}

static void the_tsc_deadline_is_armed_by_its_msr_only_in_its_mode(void)
{
	uint64_t v;

	setup();
	ok(lapic_msr_write(&lapic, 0x6e0, 5000));
	ok(lapic.dev.class->deadline(&lapic.dev) == DEV_NEVER);
	wr(TIMER, 0x40031);
	ok(lapic_msr_write(&lapic, 0x6e0, 5000));
	ok(lapic.dev.class->deadline(&lapic.dev) == 5000);
	wr(INITIAL, 10);
	ok(rd(INITIAL) == 0, "the count is ignored in this mode");
	lapic.dev.class->expire(&lapic.dev, 5000);
	ok(lapic_ack(&lapic) == 0x31);
	ok(lapic_msr_read(&lapic, 0x6e0, &v) && v == 0);
	ok(lapic_msr_write(&lapic, 0x6e0, 9000));
	wr(TIMER, 0x31);
	ok(lapic_msr_read(&lapic, 0x6e0, &v) && v == 0, "leaving the mode disarms");
}

static void x2apic_is_entered_and_left_by_the_rules(void)
{
	uint64_t v;

	setup();
	ok(!lapic_msr_read(&lapic, 0x802, &v), "#GP before");
	ok(lapic_msr_write(&lapic, 0x1b, 0xfee00d00));
	ok(rd(ID) == UINT32_MAX, "the page is gone");
	ok(lapic_msr_read(&lapic, 0x802, &v) && v == 0);
	ok(lapic_msr_read(&lapic, 0x80d, &v) && v == 1, "logical id");
	ok(!lapic_msr_write(&lapic, 0x80d, 2), "which is read-only");
	ok(lapic_msr_write(&lapic, 0x83f, 0x77));
	ok(lapic_ack(&lapic) == 0x77);
	ok(!lapic_msr_write(&lapic, 0x80b, 1), "EOI takes zero only");
	ok(lapic_msr_write(&lapic, 0x80b, 0));
	ok(lapic_msr_write(&lapic, 0x830, 0x4500), "NMI to self");
	ok(nmis == 0, "without a shorthand it goes to logical destination 0: nobody");
	ok(lapic_msr_write(&lapic, 0x830, 0x44400) && nmis == 1);
	ok(!lapic_msr_write(&lapic, 0x1b, 0xfee00900), "x2APIC to xAPIC");
	ok(lapic_msr_write(&lapic, 0x1b, 0xfee00100), "but off");
	ok(!lapic_msr_write(&lapic, 0x1b, 0xfee00d00), "and not straight back");
	ok(!lapic_msr_write(&lapic, 0x1b, 0xfed00900), "it cannot move");
}

static void an_edge_sends_once(void)
{
	struct irq_line l;

	setup();
	l = ioapic_line(&ioapic, 4);
	irq_set(&l, true);
	ok(!intr, "masked");
	io_wr(0x10 + 8, 0x34);
	ok(!intr, "an edge is not remembered");
	irq_set(&l, false);
	irq_set(&l, true);
	ok(lapic_ack(&lapic) == 0x34);
	wr(EOI, 0);
	irq_set(&l, true);
	ok(lapic_ack(&lapic) == -1);
}

static void a_level_sends_again_until_it_falls(void)
{
	struct irq_line l;

	setup();
	l = ioapic_line(&ioapic, 17);
	io_wr(0x10 + 34, 0x8000 | 0x51);
	irq_set(&l, true);
	ok(lapic_ack(&lapic) == 0x51);
	ok(io_rd(0x10 + 34) & 0x4000, "remote IRR");
	ok(!intr, "in service");
	wr(EOI, 0);
	ok(lapic_ack(&lapic) == 0x51, "still high");
	irq_set(&l, false);
	wr(EOI, 0);
	ok(lapic_ack(&lapic) == -1 && !(io_rd(0x10 + 34) & 0x4000));
	irq_set(&l, true);
	ok(intr);
}

static void unmasking_a_high_level_sends(void)
{
	struct irq_line l;

	setup();
	l = ioapic_line(&ioapic, 20);
	io_wr(0x10 + 40, 0x18000 | 0x61);
	irq_set(&l, true);
	ok(!intr);
	io_wr(0x10 + 40, 0x8000 | 0x61);
	ok(intr && lapic_ack(&lapic) == 0x61);
}

static void state_survives_a_snapshot_and_restores_the_line(void)
{
	AUTO(buf) struct buf a = {0};
	AUTO(buf) struct buf b = {0};
	struct err e = {0};

	setup();
	self(0x81);
	dev_save(&lapic.dev, &a);
	dev_save(&ioapic.dev, &b);
	setup();
	ok(!intr);
	ok(!dev_load(&lapic.dev, buf_span(&a), &e), "%s", e.text);
	ok(!dev_load(&ioapic.dev, buf_span(&b), &e), "%s", e.text);
	ok(intr && lapic_ack(&lapic) == 0x81);
}

static void a_record_that_no_apic_could_have_is_refused(void)
{
	AUTO(buf) struct buf a = {0};
	struct err e = {0};

	setup();
	lapic.state.base = 0x12345000;
	rec_encode(&a, lapic.dev.state_type, &lapic.state);
	setup();
	ok(dev_load(&lapic.dev, buf_span(&a), &e) == -EBADMSG);
	ok(lapic.state.base == 0xfee00900, "unchanged");
	ok(strstr(e.text, "device lapic0"), "%s", e.text);
}

int main(void)
{
	RUN(a_disabled_apic_takes_nothing);
	RUN(the_highest_class_goes_first_and_nests);
	RUN(task_priority_holds_back_and_cr8_is_its_upper_half);
	RUN(vectors_below_16_are_errors);
	RUN(one_shot_fires_once_and_counts_down);
	RUN(periodic_keeps_its_phase_and_does_not_pile_up);
	RUN(the_tsc_deadline_is_armed_by_its_msr_only_in_its_mode);
	RUN(x2apic_is_entered_and_left_by_the_rules);
	RUN(an_edge_sends_once);
	RUN(a_level_sends_again_until_it_falls);
	RUN(unmasking_a_high_level_sends);
	RUN(state_survives_a_snapshot_and_restores_the_line);
	RUN(a_record_that_no_apic_could_have_is_refused);
	return tap_done();
}
