/* SPDX-License-Identifier: MIT */
/*
 * The registers of a hardware-reduced ACPI machine (ACPI 6.5, 4.8.3.7 "Sleep Control and Status
 * Registers", 4.8.3.6 "Reset Register", 5.6.9 "Interrupt-signaled ACPI events"): power-off,
 * reset, and the events for which the generic event device's method asks. A guest that writes an
 * event to their register has a driver for it; those of the button it need not ask for. One port
 * is the interface of pvpanic (QEMU, docs/specs/pvpanic).
 */
#include "dev/dev.h"

#define SLEEP_ENABLE 0x20
#define SLEEP_TYPE(v) ((v) >> 2 & 7)

static const struct field power_fields[] = {
	FIELD_HEX(struct power_state, events, 1, UINT32_MAX, "events not yet read by the guest"),
	FIELD_HEX(struct power_state, wanted, 2, UINT32_MAX, "events the guest has drivers for"),
};
const struct rec_type power_state_type =
	REC_TYPE(power_state, power_fields, .doc = "ACPI power and event registers");

static uint64_t power_read(struct dev *d, unsigned window, uint64_t offset, unsigned width)
{
	struct power *p = (struct power *)d;
	uint32_t events = p->state.events;

	if (offset == POWER_PANIC)
		return POWER_PANIC_EVENT;
	if (offset != POWER_EVENTS)
		return 0;
	p->state.events = 0;
	irq_set(&p->irq, false);
	return events;
}

static void power_write(struct dev *d, unsigned window, uint64_t offset, unsigned width,
                        uint64_t value)
{
	struct power *p = (struct power *)d;

	if (offset == POWER_SLEEP_CONTROL && (value & SLEEP_ENABLE) &&
	    SLEEP_TYPE(value) == POWER_S5_TYPE)
		p->request(p->arg, POWER_OFF);
	else if (offset == POWER_RESET_REG && value == POWER_RESET_VALUE)
		p->request(p->arg, POWER_RESET);
	else if (offset == POWER_PANIC && value == POWER_PANIC_EVENT)
		p->request(p->arg, POWER_PANICKED);
	else if (offset == POWER_EVENTS)
		p->state.wanted |=
			(uint32_t)value & (POWER_EVENT_GENERATION | POWER_EVENT_GENERATION_PULSE);
}

void power_raise(struct power *p, enum power_event event)
{
	if (event == POWER_EVENT_GENERATION && p->state.wanted & POWER_EVENT_GENERATION_PULSE) {
		irq_set(&p->generation, true);
		irq_set(&p->generation, false);
		return;
	}
	if (event != POWER_EVENT_BUTTON && !(p->state.wanted & event))
		return;
	p->state.events |= event;
	irq_set(&p->irq, true);
}

static int power_loaded(struct dev *d, struct err *e)
{
	struct power *p = (struct power *)d;

	irq_set(&p->irq, p->state.events);
	return 0;
}

static const struct dev_class power_class = {
	.name = "power",
	.read = power_read,
	.write = power_write,
	.loaded = power_loaded,
};

void power_init(struct power *p, const char *name, struct irq_line irq, struct irq_line generation,
                void (*request)(void *, enum power_request), void *arg)
{
	*p = (struct power){
		.dev = {&power_class, name, &power_state_type, NULL},
		.irq = irq,
		.generation = generation,
		.request = request,
		.arg = arg,
	};
	p->dev.state = &p->state;
}
