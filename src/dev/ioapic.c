/* SPDX-License-Identifier: MIT */
/*
 * The I/O APIC (Intel 82093AA data sheet; version 0x20 of the ICH, with an EOI register): pins
 * become messages to local APICs.
 *
 * An edge-triggered pin sends when its level rises. A level-triggered one sends while it is
 * high and has no message in service, which is what "remote IRR" remembers until the EOI.
 */
#include "dev/dev.h"

#include <string.h>

#define SELECT 0x00
#define WINDOW 0x10
#define EOI 0x40

#define ENTRY_VECTOR 0xffull
#define ENTRY_MODE 0x700ull
#define ENTRY_LOGICAL (1ull << 11)
#define ENTRY_REMOTE_IRR (1ull << 14)
#define ENTRY_LEVEL (1ull << 15)
#define ENTRY_MASKED (1ull << 16)
#define ENTRY_READ_ONLY (ENTRY_REMOTE_IRR | 1ull << 12)
#define ENTRY_WRITABLE 0xff0000000001afffull

#define F(m, n, lim, ...) FIELD_HEX(struct ioapic_state, m, n, lim, __VA_ARGS__)
static const struct field ioapic_fields[] = {
	F(id, 1, UINT32_MAX, "identifier, as the guest set it"),
	F(select, 2, 0xff, "register behind the data window"),
	F(lines, 3, UINT32_MAX, "level of each pin"),
	F(redirect, 4, 0, "redirection entries, eight little-endian bytes each"),
};
#undef F
const struct rec_type ioapic_state_type = REC_TYPE(ioapic_state, ioapic_fields, .doc = "I/O APIC");

static uint64_t entry_get(const struct ioapic *io, unsigned pin)
{
	const uint8_t *p = io->state.redirect + (size_t)8 * pin;
	uint64_t v = 0;

	for (unsigned i = 0; i < 8; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static void entry_set(struct ioapic *io, unsigned pin, uint64_t v)
{
	uint8_t *p = io->state.redirect + (size_t)8 * pin;

	for (unsigned i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void send(struct ioapic *io, uint64_t entry)
{
	struct apic_message m = {
		.dest = (uint32_t)(entry >> 56),
		.logical = entry & ENTRY_LOGICAL,
		.level = entry & ENTRY_LEVEL,
		.mode = (uint8_t)((entry & ENTRY_MODE) >> 8),
		.vector = (uint8_t)(entry & ENTRY_VECTOR),
	};

	apic_send(io->fabric, &m);
}

/* A level-triggered pin that is high, unmasked and not in service sends. */
static void update_level(struct ioapic *io, unsigned pin)
{
	uint64_t entry = entry_get(io, pin);

	if (!(io->state.lines >> pin & 1) || !(entry & ENTRY_LEVEL) ||
	    (entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR)))
		return;
	entry_set(io, pin, entry | ENTRY_REMOTE_IRR);
	send(io, entry);
}

static void set_line(void *arg, unsigned pin, bool high)
{
	struct ioapic *io = arg;
	uint32_t bit = 1u << pin, old = io->state.lines;
	uint64_t entry = entry_get(io, pin);

	io->state.lines = high ? old | bit : old & ~bit;
	if (entry & ENTRY_LEVEL)
		update_level(io, pin);
	else if (high && !(old & bit) && !(entry & ENTRY_MASKED))
		send(io, entry);
}

struct irq_line ioapic_line(struct ioapic *io, unsigned pin)
{
	assert(pin < IOAPIC_PINS);
	return (struct irq_line){.set = set_line, .arg = io, .pin = pin};
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t entry = entry_get(io, pin);

		if ((entry & ENTRY_VECTOR) != vector || !(entry & ENTRY_LEVEL) ||
		    !(entry & ENTRY_REMOTE_IRR))
			continue;
		entry_set(io, pin, entry & ~ENTRY_REMOTE_IRR);
		update_level(io, pin);
	}
}

static uint32_t reg_read(const struct ioapic *io)
{
	uint32_t reg = io->state.select;

	switch (reg) {
	case 0: /* identifier */
	case 2: /* arbitration */
		return io->state.id;
	case 1: /* version, last entry */
		return 0x20 | (IOAPIC_PINS - 1) << 16;
	default:
		if (reg < 0x10 || reg >= 0x10 + 2 * IOAPIC_PINS)
			return 0;
		return (uint32_t)(entry_get(io, (reg - 0x10) / 2) >> (reg & 1 ? 32 : 0));
	}
}

static void reg_write(struct ioapic *io, uint32_t value)
{
	uint32_t reg = io->state.select;
	unsigned pin = (reg - 0x10) / 2;
	uint64_t old, entry;

	if (reg == 0)
		io->state.id = value & 0x0f000000;
	if (reg < 0x10 || pin >= IOAPIC_PINS)
		return;
	old = entry_get(io, pin);
	entry = reg & 1 ? (uint32_t)old | (uint64_t)value << 32
	                : (old & 0xffffffff00000000) | value;
	entry = (entry & ENTRY_WRITABLE) | (old & ENTRY_READ_ONLY);
	/* An edge-triggered entry has nothing in service: Linux clears a stuck remote IRR so. */
	if (!(entry & ENTRY_LEVEL))
		entry &= ~ENTRY_REMOTE_IRR;
	entry_set(io, pin, entry);
	update_level(io, pin);
}

static uint64_t ioapic_read(struct dev *d, unsigned window, uint64_t offset, unsigned width)
{
	struct ioapic *io = (struct ioapic *)d;

	switch (offset) {
	case SELECT:
		return io->state.select;
	case WINDOW:
		return reg_read(io);
	default:
		return 0;
	}
}

static void ioapic_write(struct dev *d, unsigned window, uint64_t offset, unsigned width,
                         uint64_t value)
{
	struct ioapic *io = (struct ioapic *)d;

	switch (offset) {
	case SELECT:
		io->state.select = value & 0xff;
		break;
	case WINDOW:
		if (width == 4)
			reg_write(io, (uint32_t)value);
		break;
	case EOI:
		ioapic_eoi(io, (uint8_t)value);
		break;
	default:
		break;
	}
}

static const struct dev_class ioapic_class = {
	.name = "ioapic",
	.read = ioapic_read,
	.write = ioapic_write,
};

void ioapic_init(struct ioapic *io, const char *name, struct apic_fabric *f)
{
	*io = (struct ioapic){
		.dev = {&ioapic_class, name, &ioapic_state_type, NULL},
		.fabric = f,
	};
	io->dev.state = &io->state;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		entry_set(io, pin, ENTRY_MASKED);
	f->ioapic = io;
}
