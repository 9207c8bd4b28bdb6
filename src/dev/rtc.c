/* SPDX-License-Identifier: MIT */
/*
 * The MC146818 real-time clock with its CMOS RAM. The time is the host's wall clock plus what
 * the guest has set, so that it is right after a snapshot has slept for a year.
 *
 * Update, alarm and periodic interrupts exist as deadlines, and only while they are enabled: a
 * guest that does not ask for them costs nothing.
 */
#include "dev/dev.h"

#include <string.h>

enum {
	RTC_SECONDS = 0,
	RTC_SECONDS_ALARM = 1,
	RTC_MINUTES = 2,
	RTC_MINUTES_ALARM = 3,
	RTC_HOURS = 4,
	RTC_HOURS_ALARM = 5,
	RTC_WEEKDAY = 6,
	RTC_DAY = 7,
	RTC_MONTH = 8,
	RTC_YEAR = 9,
	RTC_A = 10,
	RTC_B = 11,
	RTC_C = 12,
	RTC_D = 13,
	RTC_CENTURY = 0x32,
};

#define B_SET 0x80
#define B_PERIODIC 0x40
#define B_ALARM 0x20
#define B_UPDATE 0x10
#define B_BINARY 0x04
#define B_24H 0x02
#define C_IRQ 0x80
#define D_VALID 0x80

#define NS 1000000000ll

#define F(m, n, lim, ...) FIELD(struct rtc_state, m, n, lim, __VA_ARGS__)
static const struct field rtc_fields[] = {
	F(index, 1, 127, "register behind port 0x71"),
	F(cmos, 2, 0, "CMOS RAM; bytes 0 to 13 are registers"),
	F(offset_s, 3, INT64_C(1) << 40, "guest's time minus the host's, seconds"),
	F(next_second, 4, UINT64_MAX, "machine time of the next update interrupt"),
	F(next_period, 5, UINT64_MAX, "machine time of the next periodic interrupt"),
};
#undef F
const struct rec_type rtc_state_type = REC_TYPE(rtc_state, rtc_fields, .doc = "real-time clock");

struct civil {
	int64_t year;
	unsigned month, day, hour, minute, second, weekday; /* month and day from 1, Sunday 1 */
};

/* Days since 1970-01-01 of the proleptic Gregorian calendar, counting years from March. */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static struct civil civil_of(int64_t seconds)
{
	int64_t days = seconds / 86400, left = seconds % 86400;
	struct civil c;

	if (left < 0) {
		left += 86400;
		days--;
	}
	c.hour = (unsigned)(left / 3600);
	c.minute = (unsigned)(left / 60 % 60);
	c.second = (unsigned)(left % 60);
	c.weekday = (unsigned)(((days + 4) % 7 + 7) % 7 + 1);
	/* A guess that is never late and at most two years early, then the exact year. */
	c.year = 1970 + days / 366 - (days < 0);
	while (days_of(c.year + 1, 1, 1) <= days)
		c.year++;
	for (c.month = 12; c.month > 1 && days_of(c.year, c.month, 1) > days;)
		c.month--;
	c.day = (unsigned)(days - days_of(c.year, c.month, 1) + 1);
	return c;
}

static int64_t seconds_now(const struct rtc *r)
{
	int64_t ns = r->clock->wall(r->clock->arg);

	return ns / NS + r->state.offset_s;
}

static uint8_t to_cmos(const struct rtc *r, unsigned v)
{
	return (uint8_t)(r->state.cmos[RTC_B] & B_BINARY ? v : v / 10 * 16 + v % 10);
}

static unsigned from_cmos(const struct rtc *r, uint8_t v)
{
	return r->state.cmos[RTC_B] & B_BINARY ? v : (v >> 4) * 10u + (v & 15u);
}

static uint8_t hour_to_cmos(const struct rtc *r, unsigned hour)
{
	if (r->state.cmos[RTC_B] & B_24H)
		return to_cmos(r, hour);
	return (uint8_t)(to_cmos(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0));
}

static unsigned hour_from_cmos(const struct rtc *r, uint8_t v)
{
	if (r->state.cmos[RTC_B] & B_24H)
		return from_cmos(r, v);
	return from_cmos(r, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

/* Bring the time registers up to date, unless the guest holds them to set them. */
static void refresh(struct rtc *r)
{
	uint8_t *m = r->state.cmos;
	struct civil c;

	if (m[RTC_B] & B_SET)
		return;
	c = civil_of(seconds_now(r));
	m[RTC_SECONDS] = to_cmos(r, c.second);
	m[RTC_MINUTES] = to_cmos(r, c.minute);
	m[RTC_HOURS] = hour_to_cmos(r, c.hour);
	m[RTC_WEEKDAY] = to_cmos(r, c.weekday);
	m[RTC_DAY] = to_cmos(r, c.day);
	m[RTC_MONTH] = to_cmos(r, c.month);
	m[RTC_YEAR] = to_cmos(r, (unsigned)(c.year % 100));
	m[RTC_CENTURY] = to_cmos(r, (unsigned)(c.year / 100 % 100));
}

/* The guest has set the registers: what is our distance from the host's clock now? */
static void adopt(struct rtc *r)
{
	const uint8_t *m = r->state.cmos;
	int64_t year = from_cmos(r, m[RTC_CENTURY]) * 100 + from_cmos(r, m[RTC_YEAR]);
	unsigned month = from_cmos(r, m[RTC_MONTH]), day = from_cmos(r, m[RTC_DAY]);
	int64_t then;

	if (month < 1 || month > 12 || day < 1 || day > 31)
		return;
	then = days_of(year, month, day) * 86400 + hour_from_cmos(r, m[RTC_HOURS]) * 3600LL +
	       from_cmos(r, m[RTC_MINUTES]) * 60LL + from_cmos(r, m[RTC_SECONDS]);
	r->state.offset_s += then - seconds_now(r);
}

/* ---- interrupts ------------------------------------------------------------------------- */

static uint64_t period_ns(const struct rtc *r)
{
	unsigned rate = r->state.cmos[RTC_A] & 15;

	if (!rate)
		return 0;
	/* Rates 1 and 2 are those of 8 and 9 (data sheet, table 3). */
	return (uint64_t)NS * (1u << ((rate <= 2 ? rate + 7 : rate) - 1)) / 32768;
}

static void schedule(struct rtc *r)
{
	uint64_t now = clock_now(r->clock);
	uint8_t b = r->state.cmos[RTC_B];

	if (!(b & (B_ALARM | B_UPDATE)) || (b & B_SET))
		r->state.next_second = 0;
	else if (!r->state.next_second)
		r->state.next_second = now + (uint64_t)(NS - r->clock->wall(r->clock->arg) % NS);
	if (!(b & B_PERIODIC) || !period_ns(r))
		r->state.next_period = 0;
	else if (!r->state.next_period)
		r->state.next_period = now + period_ns(r);
}

static void update(struct rtc *r)
{
	uint8_t *m = r->state.cmos;

	if (m[RTC_C] & m[RTC_B] & (B_PERIODIC | B_ALARM | B_UPDATE))
		m[RTC_C] |= C_IRQ;
	irq_set(&r->irq, m[RTC_C] & C_IRQ);
}

static bool alarm_matches(const struct rtc *r)
{
	const uint8_t *m = r->state.cmos;

	/* The two top bits set mean "any". */
	for (unsigned reg = RTC_SECONDS; reg <= RTC_HOURS; reg += 2)
		if (m[reg + 1] < 0xc0 && m[reg + 1] != m[reg])
			return false;
	return true;
}

static uint64_t rtc_deadline(const struct dev *d)
{
	const struct rtc *r = (const struct rtc *)d;
	uint64_t second = r->state.next_second ? r->state.next_second : DEV_NEVER;
	uint64_t period = r->state.next_period ? r->state.next_period : DEV_NEVER;

	return MIN(second, period);
}

static void rtc_expire(struct dev *d, uint64_t now)
{
	struct rtc *r = (struct rtc *)d;

	if (r->state.next_second && r->state.next_second <= now) {
		r->state.next_second = 0;
		refresh(r);
		r->state.cmos[RTC_C] |= B_UPDATE;
		if (alarm_matches(r))
			r->state.cmos[RTC_C] |= B_ALARM;
	}
	if (r->state.next_period && r->state.next_period <= now) {
		r->state.next_period = 0;
		r->state.cmos[RTC_C] |= B_PERIODIC;
	}
	schedule(r);
	update(r);
}

/* ---- registers -------------------------------------------------------------------------- */

static uint64_t rtc_read(struct dev *d, unsigned window, uint64_t offset, unsigned width)
{
	struct rtc *r = (struct rtc *)d;
	uint8_t value;

	if (offset == 0)
		return r->state.index;
	refresh(r);
	value = r->state.cmos[r->state.index];
	if (r->state.index == RTC_C) {
		r->state.cmos[RTC_C] = 0;
		update(r);
	}
	return value;
}

static void rtc_write(struct dev *d, unsigned window, uint64_t offset, unsigned width,
                      uint64_t value)
{
	struct rtc *r = (struct rtc *)d;
	uint8_t v = (uint8_t)value, *m = r->state.cmos;

	if (offset == 0) {
		r->state.index = v & 127;
		return;
	}
	switch (r->state.index) {
	case RTC_SECONDS:
	case RTC_MINUTES:
	case RTC_HOURS:
	case RTC_WEEKDAY ... RTC_YEAR:
	case RTC_CENTURY:
		refresh(r);
		m[r->state.index] = v;
		if (!(m[RTC_B] & B_SET))
			adopt(r);
		break;
	case RTC_A:
		m[RTC_A] = v & 0x7f;
		r->state.next_period = 0;
		break;
	case RTC_B:
		if (!(m[RTC_B] & B_SET))
			refresh(r);
		if ((m[RTC_B] & B_SET) && !(v & B_SET)) {
			m[RTC_B] = v;
			adopt(r);
		}
		m[RTC_B] = v;
		break;
	case RTC_C:
	case RTC_D:
		break;
	default:
		m[r->state.index] = v;
		break;
	}
	schedule(r);
	update(r);
}

static int rtc_loaded(struct dev *d, struct err *e)
{
	struct rtc *r = (struct rtc *)d;

	/* The wall clock has moved on: its seconds begin elsewhere in machine time. */
	r->state.next_second = 0;
	schedule(r);
	update(r);
	return 0;
}

static const struct dev_class rtc_class = {
	.name = "rtc",
	.read = rtc_read,
	.write = rtc_write,
	.loaded = rtc_loaded,
	.deadline = rtc_deadline,
	.expire = rtc_expire,
};

void rtc_init(struct rtc *r, const char *name, const struct dev_clock *clock, struct irq_line irq)
{
	*r = (struct rtc){
		.dev = {&rtc_class, name, &rtc_state_type, NULL},
		.irq = irq,
		.clock = clock,
	};
	r->dev.state = &r->state;
	r->state.cmos[RTC_A] = 0x26; /* 32768 Hz, 1024 Hz */
	r->state.cmos[RTC_B] = B_24H;
	r->state.cmos[RTC_D] = D_VALID;
}
