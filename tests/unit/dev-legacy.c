/* SPDX-License-Identifier: MIT */
/* Serial port, real-time clock, power registers, the bus. */
#include "dev/dev.h"
#include "tap.h"

static bool line;
static uint8_t sent[256];
static size_t n_sent;
static uint64_t now;
static int64_t wall;
static enum power_request requested;

static void on_line(void *arg, unsigned pin, bool high)
{
	line = high;
}

static void on_sent(void *arg, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len && n_sent < sizeof(sent); i++)
		sent[n_sent++] = data[i];
}

static uint64_t clock_read(void *arg)
{
	return now;
}

static int64_t wall_read(void *arg)
{
	return wall;
}

static void on_request(void *arg, enum power_request r)
{
	requested = r;
}

static const struct dev_clock test_clock = {clock_read, wall_read, NULL};
static const struct irq_line test_line = {on_line, NULL, 4};
static unsigned pulses;

static void on_pulse(void *arg, unsigned pin, bool high)
{
	pulses += high;
}

static const struct irq_line pulse_line = {on_pulse, NULL, 5};

static uint8_t rd(struct dev *d, unsigned reg)
{
	return (uint8_t)d->class->read(d, 0, reg, 1);
}

static void wr(struct dev *d, unsigned reg, uint8_t value)
{
	d->class->write(d, 0, reg, 1, value);
}

/* ---- serial ----------------------------------------------------------------------------- */

static struct serial serial;

static void serial_setup(void)
{
	line = false;
	n_sent = 0;
	serial_init(&serial, "serial", test_line, (struct byte_sink){on_sent, NULL});
	wr(&serial.dev, 4, 0x0b);
	wr(&serial.dev, 2, 0x01);
}

static void serial_sends_and_says_that_it_can_send_more(void)
{
	serial_setup();
	wr(&serial.dev, 1, 0x02);
	ok(line && (rd(&serial.dev, 2) & 0xf) == 0x02);
	ok(!line && (rd(&serial.dev, 2) & 0xf) == 0x01, "reading IIR clears it");
	wr(&serial.dev, 0, 'h');
	wr(&serial.dev, 0, 'i');
	ok(line && n_sent == 2 && !memcmp(sent, "hi", 2));
	ok(rd(&serial.dev, 5) == 0x60);
}

static void serial_receives_up_to_its_fifo(void)
{
	serial_setup();
	wr(&serial.dev, 1, 0x01);
	ok(serial_input(&serial, (const uint8_t *)"0123456789abcdefXYZ", 19) == 16);
	ok(line && (rd(&serial.dev, 2) & 0xf) == 0x04);
	for (int i = 0; i < 16; i++)
		ok(rd(&serial.dev, 0) == "0123456789abcdef"[i]);
	ok(!line && !(rd(&serial.dev, 5) & 1));
}

static void serial_loopback_is_what_drivers_probe_for(void)
{
	serial_setup();
	wr(&serial.dev, 4, 0x1a);
	ok((rd(&serial.dev, 6) & 0xf0) == 0x90, "%x", rd(&serial.dev, 6));
	wr(&serial.dev, 0, 'x');
	ok(n_sent == 0 && rd(&serial.dev, 0) == 'x');
}

static void serial_divisor_hides_behind_dlab(void)
{
	serial_setup();
	wr(&serial.dev, 3, 0x83);
	wr(&serial.dev, 0, 0x0c);
	wr(&serial.dev, 1, 0x01);
	wr(&serial.dev, 3, 0x03);
	ok(n_sent == 0 && rd(&serial.dev, 1) == 0);
	wr(&serial.dev, 3, 0x83);
	ok(rd(&serial.dev, 0) == 0x0c && rd(&serial.dev, 1) == 0x01);
}

static void serial_state_survives(void)
{
	AUTO(buf) struct buf b = {0};
	struct err e = {0};

	serial_setup();
	wr(&serial.dev, 1, 0x01);
	serial_input(&serial, (const uint8_t *)"ok", 2);
	dev_save(&serial.dev, &b);
	serial_setup();
	ok(!dev_load(&serial.dev, buf_span(&b), &e), "%s", e.text);
	ok(line && rd(&serial.dev, 0) == 'o' && rd(&serial.dev, 0) == 'k');
}

/* ---- real-time clock -------------------------------------------------------------------- */

static struct rtc rtc;

static uint8_t cmos(uint8_t reg)
{
	wr(&rtc.dev, 0, reg);
	return rd(&rtc.dev, 1);
}

static void set_cmos(uint8_t reg, uint8_t value)
{
	wr(&rtc.dev, 0, reg);
	wr(&rtc.dev, 1, value);
}

static void rtc_setup(int64_t seconds)
{
	wall = seconds * 1000000000;
	now = 0;
	line = false;
	rtc_init(&rtc, "rtc", &test_clock, test_line);
}

static void ok_date(int64_t seconds, const char *want)
{
	char got[32];

	rtc_setup(seconds);
	snprintf(got, sizeof(got), "%02x%02x-%02x-%02x %02x:%02x:%02x/%x", cmos(0x32), cmos(9),
	         cmos(8), cmos(7), cmos(4), cmos(2), cmos(0), cmos(6));
	ok(!strcmp(got, want), "%s is not %s", got, want);
}

static void rtc_knows_the_calendar(void)
{
	ok_date(0, "1970-01-01 00:00:00/5");
	ok_date(951782399, "2000-02-28 23:59:59/2");
	ok_date(951782400, "2000-02-29 00:00:00/3");
	ok_date(1709164800, "2024-02-29 00:00:00/5");
	ok_date(1735689599, "2024-12-31 23:59:59/3");
	ok_date(4102444800, "2100-01-01 00:00:00/6");
	ok_date(4107542400, "2100-03-01 00:00:00/2");
}

static void rtc_keeps_what_the_guest_sets(void)
{
	rtc_setup(1700000000);
	set_cmos(0x0b, 0x82);
	set_cmos(0, 0x30);
	set_cmos(2, 0x59);
	set_cmos(4, 0x23);
	set_cmos(7, 0x31);
	set_cmos(8, 0x12);
	set_cmos(9, 0x30);
	set_cmos(0x32, 0x20);
	set_cmos(0x0b, 0x02);
	wall += 31ll * 1000000000;
	ok(cmos(9) == 0x31 && cmos(8) == 1 && cmos(7) == 1 && cmos(4) == 0 && cmos(0) == 1,
	   "31 s later it is the year 2031");
}

static void rtc_alarm_rings_when_it_matches(void)
{
	rtc_setup(1700000000); /* 22:13:20 */
	set_cmos(1, 0x22);
	set_cmos(3, 0xff);
	set_cmos(5, 0xff);
	ok(rtc.dev.class->deadline(&rtc.dev) == DEV_NEVER);
	set_cmos(0x0b, 0x22);
	for (int i = 1; i <= 2; i++) {
		ok(rtc.dev.class->deadline(&rtc.dev) == (uint64_t)i * 1000000000);
		ok(!line);
		now += 1000000000;
		wall += 1000000000;
		rtc.dev.class->expire(&rtc.dev, now);
	}
	ok(line && (cmos(0x0c) & 0xa0) == 0xa0);
	ok(!line, "reading register C acknowledges");
}

/* ---- power and bus ---------------------------------------------------------------------- */

static struct power power;

static void power_off_and_reset_are_asked_for(void)
{
	power_init(&power, "power", test_line, pulse_line, on_request, NULL);
	requested = POWER_NONE;
	wr(&power.dev, POWER_SLEEP_CONTROL, 5 << 2);
	wr(&power.dev, POWER_SLEEP_CONTROL, 0x20 | 3 << 2);
	wr(&power.dev, POWER_RESET_REG, 0);
	ok(requested == POWER_NONE);
	wr(&power.dev, POWER_SLEEP_CONTROL, 0x20 | 5 << 2);
	ok(requested == POWER_OFF);
	wr(&power.dev, POWER_RESET_REG, POWER_RESET_VALUE);
	ok(requested == POWER_RESET);
	ok(rd(&power.dev, POWER_PANIC) == POWER_PANIC_EVENT);
	wr(&power.dev, POWER_PANIC, 2); /* a crash kernel takes over: not offered */
	ok(requested == POWER_RESET);
	wr(&power.dev, POWER_PANIC, POWER_PANIC_EVENT);
	ok(requested == POWER_PANICKED);
}

static void power_events_are_read_once(void)
{
	line = false;
	power_init(&power, "power", test_line, pulse_line, on_request, NULL);
	power_raise(&power, POWER_EVENT_GENERATION);
	ok(!line); /* no driver has asked for it */
	wr(&power.dev, POWER_EVENTS, POWER_EVENT_GENERATION);
	power_raise(&power, POWER_EVENT_BUTTON);
	power_raise(&power, POWER_EVENT_GENERATION);
	ok(line && rd(&power.dev, POWER_EVENTS) == 3);
	ok(!line && rd(&power.dev, POWER_EVENTS) == 0);
	ok(!pulses);
	wr(&power.dev, POWER_EVENTS, POWER_EVENT_GENERATION_PULSE);
	power_raise(&power, POWER_EVENT_GENERATION);
	ok(pulses == 1 && !line && rd(&power.dev, POWER_EVENTS) == 0, "by a line of its own");
}

static void nobody_answers_with_ones(void)
{
	struct bus bus = {0};

	power_init(&power, "power", test_line, pulse_line, on_request, NULL);
	bus_add(&bus, BUS_PORT, 0x600, POWER_PORTS, &power.dev, 0);
	ok(bus_read(&bus, BUS_PORT, 0x608, 1) == 0xff);
	ok(bus_read(&bus, BUS_PORT, 0x5ff, 2) == 0xffff);
	ok(bus_read(&bus, BUS_MMIO, 0x600, 8) == UINT64_MAX);
	ok(bus_read(&bus, BUS_PORT, 0x600, 1) == 0);
	bus_write(&bus, BUS_PORT, 0x10, 4, 1);
}

static void ram_has_its_hole(void)
{
	static uint8_t bytes[8192];
	struct dev_ram ram = {.host = bytes, .bytes = 8192, .low_bytes = 4096};

	ok(ram_at(&ram, 0, 4096) == bytes);
	ok(!ram_at(&ram, 1, 4096));
	ok(!ram_at(&ram, 4096, 1) && !ram_at(&ram, RAM_HIGH_GPA - 1, 1));
	ok(ram_at(&ram, RAM_HIGH_GPA, 4096) == bytes + 4096);
	ok(!ram_at(&ram, RAM_HIGH_GPA + 1, 4096));
	ok(!ram_at(&ram, UINT64_MAX, 2) && !ram_at(&ram, 0, UINT64_MAX));
}

int main(void)
{
	RUN(serial_sends_and_says_that_it_can_send_more);
	RUN(serial_receives_up_to_its_fifo);
	RUN(serial_loopback_is_what_drivers_probe_for);
	RUN(serial_divisor_hides_behind_dlab);
	RUN(serial_state_survives);
	RUN(rtc_knows_the_calendar);
	RUN(rtc_keeps_what_the_guest_sets);
	RUN(rtc_alarm_rings_when_it_matches);
	RUN(power_off_and_reset_are_asked_for);
	RUN(power_events_are_read_once);
	RUN(nobody_answers_with_ones);
	RUN(ram_has_its_hole);
	return tap_done();
}
