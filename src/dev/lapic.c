/* SPDX-License-Identifier: MIT */
/*
 * The local APIC (Intel SDM volume 3, chapter 11 "APIC"): xAPIC page and x2APIC registers,
 * the three timer modes, priorities, self interrupts.
 *
 * Vectors wait in IRR, are in service in ISR, and are taken when their priority class is above
 * that of the task priority and of everything in service. Whenever one of the four changes,
 * update() tells the CPU whether lapic_ack() would give it a vector.
 *
 * The timer counts machine time: its clock is the TSC's, one tick a nanosecond before the
 * divider. Nothing ticks: the count is computed when it is read, and the one moment that
 * matters is the deadline.
 */
#include "dev/dev.h"

#include <string.h>

enum {
	REG_ID = 0x02,
	REG_VERSION = 0x03,
	REG_TPR = 0x08,
	REG_APR = 0x09,
	REG_PPR = 0x0a,
	REG_EOI = 0x0b,
	REG_LDR = 0x0d,
	REG_DFR = 0x0e,
	REG_SVR = 0x0f,
	REG_ISR = 0x10,
	REG_TMR = 0x18,
	REG_IRR = 0x20,
	REG_ESR = 0x28,
	REG_ICR = 0x30,
	REG_ICR_HIGH = 0x31,
	REG_LVT_TIMER = 0x32,
	REG_LVT_THERMAL = 0x33,
	REG_LVT_PERF = 0x34,
	REG_LVT_LINT0 = 0x35,
	REG_LVT_LINT1 = 0x36,
	REG_LVT_ERROR = 0x37,
	REG_TIMER_INITIAL = 0x38,
	REG_TIMER_CURRENT = 0x39,
	REG_TIMER_DIVIDE = 0x3e,
	REG_SELF_IPI = 0x3f,
};

#define MSR_APIC_BASE 0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC 0x800

#define BASE_BSP (1u << 8)
#define BASE_X2APIC (1u << 10)
#define BASE_ENABLED (1u << 11)

#define SVR_ENABLED (1u << 8)
#define LVT_MASKED (1u << 16)
#define LVT_TIMER_MODE (3u << 17)
#define TIMER_ONE_SHOT (0u << 17)
#define TIMER_PERIODIC (1u << 17)
#define TIMER_DEADLINE (2u << 17)
#define ESR_ILLEGAL_REGISTER (1u << 7)
#define ESR_ILLEGAL_VECTOR_SENT (1u << 5)
#define ESR_ILLEGAL_VECTOR_RECEIVED (1u << 6)

/* Version 0x14, six local vectors. */
#define VERSION 0x00050014u

#define F(m, n, lim, ...) FIELD_HEX(struct lapic_state, m, n, lim, __VA_ARGS__)
static const struct field lapic_fields[] = {
	F(base, 1, UINT64_MAX, "APIC_BASE MSR"),
	F(icr, 2, UINT64_MAX, "interrupt command"),
	F(timer_start, 3, UINT64_MAX, "machine time at which the count began"),
	F(tsc_deadline, 4, UINT64_MAX, "armed TSC deadline, 0: none"),
	F(id, 5, UINT32_MAX, "APIC id"),
	F(tpr, 6, 0xff, "task priority"),
	F(ldr, 7, UINT32_MAX, "logical destination"),
	F(dfr, 8, UINT32_MAX, "destination format"),
	F(svr, 9, UINT32_MAX, "spurious vector and enable"),
	F(esr, 10, 0xff, "error status, as last latched"),
	F(esr_latch, 11, 0xff, "errors since"),
	F(lvt_timer, 12, UINT32_MAX, "local vector: timer"),
	F(lvt_thermal, 13, UINT32_MAX, "local vector: thermal"),
	F(lvt_perf, 14, UINT32_MAX, "local vector: performance counters"),
	F(lvt_lint0, 15, UINT32_MAX, "local vector: LINT0"),
	F(lvt_lint1, 16, UINT32_MAX, "local vector: LINT1"),
	F(lvt_error, 17, UINT32_MAX, "local vector: error"),
	F(timer_initial, 18, UINT32_MAX, "initial count"),
	F(timer_divide, 19, 0xf, "divide configuration"),
	F(irr, 20, 0, "vectors requested"),
	F(isr, 21, 0, "vectors in service"),
	F(tmr, 22, 0, "vectors that are level-triggered"),
};
#undef F

static int check_state(const void *rec, struct err *e)
{
	const struct lapic_state *s = rec;

	if ((s->base & ~0xfffull) != LAPIC_GPA)
		return err_say(e, -EBADMSG, "a local APIC at an address that we do not offer");
	if ((s->base & BASE_X2APIC) && !(s->base & BASE_ENABLED))
		return err_say(e, -EBADMSG, "a local APIC in a mode that does not exist");
	return 0;
}

const struct rec_type lapic_state_type =
	REC_TYPE(lapic_state, lapic_fields, .doc = "local APIC", .check = check_state);

static struct lapic *lapic_of(const struct dev *d)
{
	return (struct lapic *)d;
}

static bool is_x2apic(const struct lapic *l)
{
	return l->state.base & BASE_X2APIC;
}

/* ---- vectors ---------------------------------------------------------------------------- */

static bool vector_test(const uint8_t set[32], unsigned v)
{
	return set[v / 8] >> (v % 8) & 1;
}

static void vector_set(uint8_t set[32], unsigned v, bool on)
{
	uint8_t bit = (uint8_t)(1u << (v % 8));

	set[v / 8] = (uint8_t)(on ? set[v / 8] | bit : set[v / 8] & ~bit);
}

static int vector_highest(const uint8_t set[32])
{
	for (int i = 31; i >= 0; i--)
		if (set[i])
			return i * 8 + 31 - __builtin_clz(set[i]);
	return -1;
}

static uint32_t vector_word(const uint8_t set[32], unsigned word)
{
	const uint8_t *p = set + (size_t)word * 4;

	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t processor_priority(const struct lapic *l)
{
	int top = vector_highest(l->state.isr);
	uint32_t service = top < 0 ? 0 : (uint32_t)top & 0xf0;

	return (l->state.tpr & 0xf0) >= service ? l->state.tpr : service;
}

/* The vector that can be taken now, or -1. */
static int deliverable(const struct lapic *l)
{
	int v = vector_highest(l->state.irr);

	if (v < 0 || !(l->state.svr & SVR_ENABLED) || !(l->state.base & BASE_ENABLED))
		return -1;
	return ((uint32_t)v & 0xf0) > (processor_priority(l) & 0xf0) ? v : -1;
}

static void update(struct lapic *l)
{
	if (l->cpu.intr)
		l->cpu.intr(l->cpu.arg, deliverable(l) >= 0);
}

static void error(struct lapic *l, uint32_t bit);

static void accept_fixed(struct lapic *l, uint8_t vector, bool level)
{
	if (!(l->state.svr & SVR_ENABLED) || !(l->state.base & BASE_ENABLED))
		return;
	if (vector < 16) {
		error(l, ESR_ILLEGAL_VECTOR_RECEIVED);
		return;
	}
	vector_set(l->state.irr, vector, true);
	vector_set(l->state.tmr, vector, level);
	update(l);
}

static void fire_local(struct lapic *l, uint32_t lvt)
{
	if (lvt & LVT_MASKED)
		return;
	switch (lvt >> 8 & 7) {
	case APIC_FIXED:
		accept_fixed(l, (uint8_t)lvt, false);
		break;
	case APIC_NMI:
		if (l->cpu.nmi)
			l->cpu.nmi(l->cpu.arg);
		break;
	default:
		break;
	}
}

static void error(struct lapic *l, uint32_t bit)
{
	bool known = l->state.esr_latch & bit;

	l->state.esr_latch |= bit;
	/* A bad error vector reports itself once, not forever. */
	if (!known)
		fire_local(l, l->state.lvt_error);
}

int lapic_ack(struct lapic *l)
{
	int v = deliverable(l);

	if (v < 0)
		return -1;
	vector_set(l->state.irr, (unsigned)v, false);
	vector_set(l->state.isr, (unsigned)v, true);
	update(l);
	return v;
}

static void end_of_interrupt(struct lapic *l)
{
	int v = vector_highest(l->state.isr);

	if (v < 0)
		return;
	vector_set(l->state.isr, (unsigned)v, false);
	if (vector_test(l->state.tmr, (unsigned)v) && l->fabric->ioapic)
		ioapic_eoi(l->fabric->ioapic, (uint8_t)v);
	update(l);
}

uint8_t lapic_cr8(const struct lapic *l)
{
	return (uint8_t)(l->state.tpr >> 4);
}

void lapic_set_cr8(struct lapic *l, uint8_t value)
{
	l->state.tpr = (uint32_t)(value & 0xf) << 4;
	update(l);
}

/* ---- messages --------------------------------------------------------------------------- */

static bool is_addressed(const struct lapic *l, const struct apic_message *m)
{
	if (m->dest == (is_x2apic(l) ? UINT32_MAX : 0xff))
		return true;
	/* I/O APICs send eight bits whatever the mode of the local one. */
	if (!m->logical)
		return m->dest == l->state.id || m->dest == 0xff;
	if (is_x2apic(l)) {
		uint32_t logical = 1u << (l->state.id & 0xf) | (l->state.id >> 4) << 16;

		return m->dest >> 16 == logical >> 16 && (m->dest & logical & 0xffff);
	}
	if (l->state.dfr >> 28 == 0xf)
		return m->dest & l->state.ldr >> 24;
	return (m->dest & 0xf0) == (l->state.ldr >> 24 & 0xf0) &&
	       (m->dest & 0xf & l->state.ldr >> 24);
}

static void deliver(struct lapic *l, const struct apic_message *m)
{
	switch (m->mode) {
	case APIC_FIXED:
	case APIC_LOWEST:
		accept_fixed(l, m->vector, m->level);
		break;
	case APIC_NMI:
		if (l->cpu.nmi)
			l->cpu.nmi(l->cpu.arg);
		break;
	default:
		/* INIT and STARTUP concern CPUs that wait to be started: there are none yet. */
		break;
	}
}

void apic_send(struct apic_fabric *f, const struct apic_message *m)
{
	struct lapic *lowest = NULL;

	for (unsigned i = 0; i < f->n_lapics; i++) {
		struct lapic *l = f->lapic[i];

		if (!is_addressed(l, m))
			continue;
		if (m->mode != APIC_LOWEST)
			deliver(l, m);
		else if (!lowest || processor_priority(l) < processor_priority(lowest))
			lowest = l;
	}
	if (lowest)
		deliver(lowest, m);
}

static void send_command(struct lapic *l)
{
	uint64_t icr = l->state.icr;
	uint32_t dest = (uint32_t)(icr >> 32);
	struct apic_message m = {
		.dest = is_x2apic(l) ? dest : dest >> 24,
		.logical = icr >> 11 & 1,
		.mode = icr >> 8 & 7,
		.vector = (uint8_t)icr,
	};

	if ((m.mode == APIC_FIXED || m.mode == APIC_LOWEST) && m.vector < 16) {
		error(l, ESR_ILLEGAL_VECTOR_SENT);
		return;
	}
	switch (icr >> 18 & 3) {
	case 0:
		apic_send(l->fabric, &m);
		break;
	case 1: /* self */
		deliver(l, &m);
		break;
	default: /* all, with and without us */
		for (unsigned i = 0; i < l->fabric->n_lapics; i++)
			if (l->fabric->lapic[i] != l || (icr >> 18 & 3) == 2)
				deliver(l->fabric->lapic[i], &m);
	}
}

/* ---- timer ------------------------------------------------------------------------------ */

static unsigned timer_shift(const struct lapic *l)
{
	uint32_t d = l->state.timer_divide;

	return ((d & 3) | (d >> 1 & 4)) == 7 ? 0 : ((d & 3) | (d >> 1 & 4)) + 1;
}

static uint64_t timer_period(const struct lapic *l)
{
	return (uint64_t)l->state.timer_initial << timer_shift(l);
}

static bool timer_counts(const struct lapic *l)
{
	return l->state.timer_initial && l->state.timer_start != UINT64_MAX &&
	       (l->state.lvt_timer & LVT_TIMER_MODE) <= TIMER_PERIODIC;
}

static uint32_t timer_current(const struct lapic *l)
{
	uint64_t gone, now = clock_now(l->clock);

	if (!timer_counts(l) || now < l->state.timer_start)
		return timer_counts(l) ? l->state.timer_initial : 0;
	gone = now - l->state.timer_start;
	if ((l->state.lvt_timer & LVT_TIMER_MODE) == TIMER_PERIODIC)
		gone %= timer_period(l);
	if (gone >= timer_period(l))
		return 0;
	return l->state.timer_initial - (uint32_t)(gone >> timer_shift(l));
}

static uint64_t lapic_deadline(const struct dev *d)
{
	const struct lapic *l = lapic_of(d);

	if ((l->state.lvt_timer & LVT_TIMER_MODE) == TIMER_DEADLINE)
		return l->state.tsc_deadline ? l->state.tsc_deadline : DEV_NEVER;
	return timer_counts(l) ? l->state.timer_start + timer_period(l) : DEV_NEVER;
}

static void lapic_expire(struct dev *d, uint64_t now)
{
	struct lapic *l = lapic_of(d);
	uint64_t period = timer_period(l);

	if (lapic_deadline(d) > now)
		return;
	if ((l->state.lvt_timer & LVT_TIMER_MODE) == TIMER_DEADLINE)
		l->state.tsc_deadline = 0;
	else if ((l->state.lvt_timer & LVT_TIMER_MODE) == TIMER_PERIODIC && period)
		/* A slow host loses ticks; it does not get them all at once. */
		/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): period is not 0 */
		l->state.timer_start += (now - l->state.timer_start) / period * period;
	else
		l->state.timer_start = UINT64_MAX;
	fire_local(l, l->state.lvt_timer);
}

static void set_timer_lvt(struct lapic *l, uint32_t value)
{
	/* Leaving or entering deadline mode disarms (SDM 11.5.4.1). */
	if ((value ^ l->state.lvt_timer) & TIMER_DEADLINE) {
		l->state.tsc_deadline = 0;
		l->state.timer_start = UINT64_MAX;
		l->state.timer_initial = 0;
	}
	l->state.lvt_timer = value;
}

/* ---- registers -------------------------------------------------------------------------- */

static uint32_t *lvt_register(struct lapic *l, unsigned reg)
{
	switch (reg) {
	case REG_LVT_THERMAL:
		return &l->state.lvt_thermal;
	case REG_LVT_PERF:
		return &l->state.lvt_perf;
	case REG_LVT_LINT0:
		return &l->state.lvt_lint0;
	case REG_LVT_LINT1:
		return &l->state.lvt_lint1;
	case REG_LVT_ERROR:
		return &l->state.lvt_error;
	default:
		return NULL;
	}
}

static bool reg_read(struct lapic *l, unsigned reg, uint32_t *out)
{
	switch (reg) {
	case REG_ID:
		*out = is_x2apic(l) ? l->state.id : l->state.id << 24;
		return true;
	case REG_VERSION:
		*out = VERSION;
		return true;
	case REG_TPR:
		*out = l->state.tpr;
		return true;
	case REG_APR:
	case REG_PPR:
		*out = processor_priority(l);
		return true;
	case REG_LDR:
		*out = is_x2apic(l) ? 1u << (l->state.id & 0xf) | (l->state.id >> 4) << 16
		                    : l->state.ldr;
		return true;
	case REG_DFR:
		*out = l->state.dfr;
		return !is_x2apic(l);
	case REG_SVR:
		*out = l->state.svr;
		return true;
	case REG_ISR ... REG_ISR + 7:
		*out = vector_word(l->state.isr, reg - REG_ISR);
		return true;
	case REG_TMR ... REG_TMR + 7:
		*out = vector_word(l->state.tmr, reg - REG_TMR);
		return true;
	case REG_IRR ... REG_IRR + 7:
		*out = vector_word(l->state.irr, reg - REG_IRR);
		return true;
	case REG_ESR:
		*out = l->state.esr;
		return true;
	case REG_ICR:
		*out = (uint32_t)l->state.icr;
		return true;
	case REG_ICR_HIGH:
		*out = (uint32_t)(l->state.icr >> 32);
		return !is_x2apic(l);
	case REG_LVT_TIMER:
		*out = l->state.lvt_timer;
		return true;
	case REG_LVT_THERMAL ... REG_LVT_ERROR:
		*out = *lvt_register(l, reg);
		return true;
	case REG_TIMER_INITIAL:
		*out = l->state.timer_initial;
		return true;
	case REG_TIMER_CURRENT:
		*out = timer_current(l);
		return true;
	case REG_TIMER_DIVIDE:
		*out = l->state.timer_divide;
		return true;
	default:
		return false;
	}
}

static bool reg_write(struct lapic *l, unsigned reg, uint32_t value)
{
	switch (reg) {
	case REG_ID:
		/* Read-only since the Pentium 4; xAPIC software may still try. */
		return !is_x2apic(l);
	case REG_TPR:
		l->state.tpr = value & 0xff;
		break;
	case REG_EOI:
		end_of_interrupt(l);
		return true;
	case REG_LDR:
		if (is_x2apic(l))
			return false;
		l->state.ldr = value & 0xff000000;
		break;
	case REG_DFR:
		if (is_x2apic(l))
			return false;
		l->state.dfr = value | 0x0fffffff;
		break;
	case REG_SVR:
		l->state.svr = value & 0x1ff;
		if (!(value & SVR_ENABLED)) {
			/* While it is off, every local vector is masked (SDM 11.4.7.2). */
			l->state.lvt_timer |= LVT_MASKED;
			for (unsigned r = REG_LVT_THERMAL; r <= REG_LVT_ERROR; r++)
				*lvt_register(l, r) |= LVT_MASKED;
		}
		break;
	case REG_ESR:
		l->state.esr = l->state.esr_latch;
		l->state.esr_latch = 0;
		break;
	case REG_ICR:
		l->state.icr = (l->state.icr & 0xffffffff00000000) | (value & ~(1u << 12));
		send_command(l);
		break;
	case REG_ICR_HIGH:
		if (is_x2apic(l))
			return false;
		l->state.icr = (uint32_t)l->state.icr | (uint64_t)value << 32;
		break;
	case REG_LVT_TIMER:
		value &= 0x710ff;
		if (!(l->state.svr & SVR_ENABLED))
			value |= LVT_MASKED;
		if ((value & LVT_TIMER_MODE) == LVT_TIMER_MODE)
			value = (value & ~LVT_TIMER_MODE) | LVT_MASKED; /* reserved */
		set_timer_lvt(l, value & ~(1u << 12));
		break;
	case REG_LVT_THERMAL ... REG_LVT_ERROR:
		value &= 0x1a7ff;
		if (!(l->state.svr & SVR_ENABLED))
			value |= LVT_MASKED;
		*lvt_register(l, reg) = value;
		break;
	case REG_TIMER_INITIAL:
		/* Ignored in deadline mode. */
		if ((l->state.lvt_timer & LVT_TIMER_MODE) == TIMER_DEADLINE)
			break;
		l->state.timer_initial = value;
		l->state.timer_start = value ? clock_now(l->clock) : UINT64_MAX;
		break;
	case REG_TIMER_DIVIDE:
		l->state.timer_divide = value & 0xb;
		break;
	default:
		return false;
	}
	update(l);
	return true;
}

static uint64_t lapic_read(struct dev *d, unsigned window, uint64_t offset, unsigned width)
{
	struct lapic *l = lapic_of(d);
	uint32_t value = 0;

	if (is_x2apic(l) || !(l->state.base & BASE_ENABLED))
		return UINT64_MAX;
	/* Registers are the first four bytes of each sixteen. */
	if ((offset & 0xf) + width > 4)
		return 0;
	if (!reg_read(l, (unsigned)(offset >> 4), &value))
		error(l, ESR_ILLEGAL_REGISTER);
	return value >> (8 * (offset & 3));
}

static void lapic_write(struct dev *d, unsigned window, uint64_t offset, unsigned width,
                        uint64_t value)
{
	struct lapic *l = lapic_of(d);

	if (is_x2apic(l) || !(l->state.base & BASE_ENABLED) || (offset & 0xf) || width != 4)
		return;
	if (!reg_write(l, (unsigned)(offset >> 4), (uint32_t)value))
		error(l, ESR_ILLEGAL_REGISTER);
}

static bool set_base(struct lapic *l, uint64_t value)
{
	uint64_t old = l->state.base;

	/* It cannot move, and x2APIC is left only through off (SDM 11.12.5). */
	if ((value & ~0xfffull) != LAPIC_GPA || (value & 0x2ff))
		return false;
	if ((value & BASE_X2APIC) && !(value & BASE_ENABLED))
		return false;
	if ((old & BASE_X2APIC) && (value & BASE_ENABLED) && !(value & BASE_X2APIC))
		return false;
	if (!(old & BASE_ENABLED) && (value & BASE_X2APIC))
		return false;
	l->state.base = (value & ~(uint64_t)BASE_BSP) | (old & BASE_BSP);
	update(l);
	return true;
}

bool lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *value)
{
	uint32_t word;

	if (msr == MSR_APIC_BASE) {
		*value = l->state.base;
		return true;
	}
	if (msr == MSR_TSC_DEADLINE) {
		*value = l->state.tsc_deadline;
		return true;
	}
	if (!is_x2apic(l) || msr < MSR_X2APIC || msr > MSR_X2APIC + 0xff)
		return false;
	msr -= MSR_X2APIC;
	if (msr == REG_ICR) {
		*value = l->state.icr;
		return true;
	}
	if (!reg_read(l, msr, &word))
		return false;
	*value = word;
	return true;
}

bool lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t value)
{
	if (msr == MSR_APIC_BASE)
		return set_base(l, value);
	if (msr == MSR_TSC_DEADLINE) {
		if ((l->state.lvt_timer & LVT_TIMER_MODE) == TIMER_DEADLINE)
			l->state.tsc_deadline = value;
		return true;
	}
	if (!is_x2apic(l) || msr < MSR_X2APIC || msr > MSR_X2APIC + 0xff)
		return false;
	msr -= MSR_X2APIC;
	if (msr == REG_ICR) {
		l->state.icr = value & ~(1ull << 12);
		send_command(l);
		return true;
	}
	if (value >> 32)
		return false;
	switch (msr) {
	case REG_SELF_IPI:
		if (value > 0xff)
			return false;
		accept_fixed(l, (uint8_t)value, false);
		return true;
	case REG_EOI:
	case REG_ESR:
		if (value)
			return false;
		break;
	case REG_TPR:
		if (value > 0xff)
			return false;
		break;
	case REG_ID:
	case REG_VERSION:
	case REG_PPR:
	case REG_TIMER_CURRENT:
		return false;
	default:
		break;
	}
	return reg_write(l, msr, (uint32_t)value);
}

static int lapic_loaded(struct dev *d, struct err *e)
{
	update(lapic_of(d));
	return 0;
}

static const struct dev_class lapic_class = {
	.name = "lapic",
	.read = lapic_read,
	.write = lapic_write,
	.loaded = lapic_loaded,
	.deadline = lapic_deadline,
	.expire = lapic_expire,
};

void lapic_init(struct lapic *l, const char *name, uint32_t id, struct apic_fabric *f,
                const struct dev_clock *clock, struct lapic_cpu cpu)
{
	*l = (struct lapic){
		.dev = {&lapic_class, name, &lapic_state_type, NULL},
		.state =
			{
				.base = LAPIC_GPA | BASE_ENABLED | (id ? 0 : BASE_BSP),
				.id = id,
				.dfr = UINT32_MAX,
				.svr = 0xff,
				.lvt_timer = LVT_MASKED,
				.lvt_thermal = LVT_MASKED,
				.lvt_perf = LVT_MASKED,
				.lvt_lint0 = LVT_MASKED,
				.lvt_lint1 = LVT_MASKED,
				.lvt_error = LVT_MASKED,
				.timer_start = UINT64_MAX,
			},
		.fabric = f,
		.clock = clock,
		.cpu = cpu,
	};
	l->dev.state = &l->state;
	assert(f->n_lapics < APIC_CPUS_MAX);
	f->lapic[f->n_lapics++] = l;
}
