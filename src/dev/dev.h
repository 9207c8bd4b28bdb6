/* SPDX-License-Identifier: MIT */
/*
 * dev: the devices of a machine. No device knows which CPU runs, which files or terminals are
 * behind it, or what a snapshot is: it answers reads and writes in its windows, moves an
 * interrupt line, names the moment at which it wants to be called, and keeps everything that
 * a guest could observe in one record with a field table.
 *
 * Time
 *	All times are nanoseconds of the machine's own clock, which is also its TSC (one tick is
 *	one nanosecond). It stands still while the machine is suspended.
 *
 * Trust
 *	Whatever a guest writes into a window or leaves in its memory is hostile. A device that
 *	is asked for nonsense does nothing, or stops and says "needs reset" in its status; it
 *	never touches memory outside of the guest's RAM and no loop runs longer than its queue.
 *
 * State
 *	`struct dev.state` points to the record. Saving encodes it; loading decodes and checks a
 *	record, replaces the state and calls loaded(), which derives the rest (line levels,
 *	deadlines). Host ends (output, input, disks) are not state.
 */
#ifndef WSLX_DEV_H
#define WSLX_DEV_H

#include "base/base.h"
#include "image/rec.h"

#define DEV_NEVER UINT64_MAX /* a deadline that does not come */

/* ---- what a device stands on ------------------------------------------------------------ */

/* Guest RAM: [0, low_bytes) and, when there is more, [4 GiB, 4 GiB + bytes - low_bytes). */
struct dev_ram {
	uint8_t *host;
	uint64_t bytes;
	uint64_t low_bytes;
	/* A device has written: whoever caches what was there must forget it. */
	void (*wrote)(void *arg, uint64_t gpa, uint64_t bytes);
	/* The guest does not need the content of these pages; they must read as zero after. */
	void (*discard)(void *arg, uint64_t gpa, uint64_t bytes);
	/* Returns when these bytes of host may be used. NULL: all of them may. */
	void (*need)(void *arg, uint64_t offset, uint64_t bytes);
	void *arg;
};

#define RAM_HIGH_GPA (1ull << 32)

/**
 * ram_at() - where guest-physical bytes are on the host
 * Return: NULL unless all of [@gpa, @gpa + @bytes) is RAM without a gap.
 */
uint8_t *ram_at(const struct dev_ram *ram, uint64_t gpa, uint64_t bytes);
/* Where they are in a flat image of RAM; UINT64_MAX unless all is RAM. Nothing is waited for. */
uint64_t ram_offset(const struct dev_ram *ram, uint64_t gpa, uint64_t bytes);
void ram_wrote(const struct dev_ram *ram, uint64_t gpa, uint64_t bytes);

struct dev_clock {
	uint64_t (*now)(void *arg); /* machine time */
	int64_t (*wall)(void *arg); /* CLOCK_REALTIME of the host, nanoseconds */
	void *arg;
};

static inline uint64_t clock_now(const struct dev_clock *c)
{
	return c->now(c->arg);
}

/* An interrupt line and the pin it ends at. */
struct irq_line {
	void (*set)(void *arg, unsigned pin, bool high);
	void *arg;
	unsigned pin;
};

static inline void irq_set(const struct irq_line *l, bool high)
{
	if (l->set)
		l->set(l->arg, l->pin, high);
}

/* Where a device's output bytes go. The host takes all of them. */
struct byte_sink {
	void (*write)(void *arg, const uint8_t *data, size_t len);
	void *arg;
};

/* ---- devices and the bus ---------------------------------------------------------------- */

struct dev;

struct dev_class {
	const char *name;
	/* A window of the device; @window is the number given to bus_add(). */
	uint64_t (*read)(struct dev *d, unsigned window, uint64_t offset, unsigned width);
	void (*write)(struct dev *d, unsigned window, uint64_t offset, unsigned width,
	              uint64_t value);
	/* The state is about to be saved: bring it up to date. NULL: it always is. */
	void (*saving)(struct dev *d);
	/* The state was replaced by a checked record. NULL if nothing derives from it. */
	int (*loaded)(struct dev *d, struct err *e);
	/* Machine time at which expire() is due. NULL: never. */
	uint64_t (*deadline)(const struct dev *d);
	void (*expire)(struct dev *d, uint64_t now);
};

struct dev {
	const struct dev_class *class;
	const char *name; /* unique in its machine; snapshots pair devices by it */
	const struct rec_type *state_type;
	void *state;
};

/**
 * dev_save() - append the device's state as a record
 */
void dev_save(struct dev *d, struct buf *out);
/**
 * dev_load() - replace the device's state
 * @in: untrusted
 * Return: 0; -EBADMSG with a sentence, the device unchanged.
 */
MUST_CHECK int dev_load(struct dev *d, struct span in, struct err *e);

enum bus_space { BUS_MMIO, BUS_PORT, BUS_SPACES };
#define BUS_WINDOWS_MAX 32

struct bus_window {
	uint64_t first, bytes;
	struct dev *dev;
	unsigned number;
};

struct bus {
	struct bus_window window[BUS_SPACES][BUS_WINDOWS_MAX];
	unsigned n_windows[BUS_SPACES];
};

/* Windows must not overlap: that would be our own mistake. */
void bus_add(struct bus *b, enum bus_space space, uint64_t first, uint64_t bytes, struct dev *d,
             unsigned number);
/* Where nothing answers, a read gives ones and a write is lost. @width is 1, 2, 4 or 8. */
uint64_t bus_read(struct bus *b, enum bus_space space, uint64_t addr, unsigned width);
void bus_write(struct bus *b, enum bus_space space, uint64_t addr, unsigned width, uint64_t value);

/* ---- interrupt controllers -------------------------------------------------------------- */

#define APIC_CPUS_MAX 8

enum apic_mode {
	APIC_FIXED = 0,
	APIC_LOWEST = 1,
	APIC_SMI = 2,
	APIC_NMI = 4,
	APIC_INIT = 5,
	APIC_STARTUP = 6,
	APIC_EXTINT = 7,
};

/* An interrupt message on its way to local APICs. */
struct apic_message {
	uint32_t dest;
	bool logical;
	bool level;
	uint8_t mode; /* enum apic_mode */
	uint8_t vector;
};

struct lapic;
struct ioapic;

/* Who can be sent a message, and who wants to hear of an EOI. */
struct apic_fabric {
	struct lapic *lapic[APIC_CPUS_MAX];
	unsigned n_lapics;
	struct ioapic *ioapic;
};

void apic_send(struct apic_fabric *f, const struct apic_message *m);

struct lapic_state {
	uint64_t base; /* the APIC_BASE MSR */
	uint64_t icr;
	uint64_t timer_start; /* machine time at which the count began, or UINT64_MAX */
	uint64_t tsc_deadline;
	uint32_t id;
	uint32_t tpr, ldr, dfr, svr, esr, esr_latch;
	uint32_t lvt_timer, lvt_thermal, lvt_perf, lvt_lint0, lvt_lint1, lvt_error;
	uint32_t timer_initial, timer_divide;
	uint8_t irr[32], isr[32], tmr[32]; /* bit n of byte n / 8: vector n */
};

/* How a local APIC reaches its CPU. */
struct lapic_cpu {
	void (*intr)(void *arg, bool high); /* an interrupt could be taken */
	void (*nmi)(void *arg);
	void *arg;
};

struct lapic {
	struct dev dev;
	struct lapic_state state;
	struct apic_fabric *fabric;
	const struct dev_clock *clock;
	struct lapic_cpu cpu;
};

#define LAPIC_GPA 0xfee00000u
#define LAPIC_BYTES 0x1000u

extern const struct rec_type lapic_state_type;
void lapic_init(struct lapic *l, const char *name, uint32_t id, struct apic_fabric *f,
                const struct dev_clock *clock, struct lapic_cpu cpu);
/**
 * lapic_ack() - the CPU takes the interrupt
 * Return: its vector; -1 when there is none after all.
 */
int lapic_ack(struct lapic *l);
/* CR8 is the upper half of the task priority register. */
uint8_t lapic_cr8(const struct lapic *l);
void lapic_set_cr8(struct lapic *l, uint8_t value);
/**
 * lapic_msr_read(), lapic_msr_write() - APIC_BASE, TSC_DEADLINE and the x2APIC range
 * Return: false if that raises #GP.
 */
bool lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *value);
bool lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t value);

#define IOAPIC_GPA 0xfec00000u
#define IOAPIC_BYTES 0x1000u
#define IOAPIC_PINS 32

struct ioapic_state {
	uint32_t id, select;
	uint32_t lines;                    /* level of each pin */
	uint8_t redirect[IOAPIC_PINS * 8]; /* little-endian redirection entries */
};

struct ioapic {
	struct dev dev;
	struct ioapic_state state;
	struct apic_fabric *fabric;
};

extern const struct rec_type ioapic_state_type;
void ioapic_init(struct ioapic *io, const char *name, struct apic_fabric *f);
struct irq_line ioapic_line(struct ioapic *io, unsigned pin);
/* A local APIC has finished a level-triggered vector. */
void ioapic_eoi(struct ioapic *io, uint8_t vector);

/* ---- legacy devices --------------------------------------------------------------------- */

#define SERIAL_FIFO 16

struct serial_state {
	uint8_t ier, iir_thr, lcr, mcr, scr, dll, dlm, fcr;
	bool overrun;
	uint8_t rx[SERIAL_FIFO];
	uint8_t rx_count;
};

struct serial {
	struct dev dev;
	struct serial_state state;
	struct irq_line irq;
	struct byte_sink out;
};

extern const struct rec_type serial_state_type;
void serial_init(struct serial *s, const char *name, struct irq_line irq, struct byte_sink out);
/**
 * serial_input() - bytes that arrive on the line
 * Return: how many fit.
 */
size_t serial_input(struct serial *s, const uint8_t *data, size_t len);

struct rtc_state {
	uint8_t index;
	uint8_t cmos[128];
	int64_t offset_s;     /* what the guest has set, relative to the host's wall clock */
	uint64_t next_second; /* machine time of the next update, while one is asked for */
	uint64_t next_period;
};

struct rtc {
	struct dev dev;
	struct rtc_state state;
	struct irq_line irq;
	const struct dev_clock *clock;
};

extern const struct rec_type rtc_state_type;
void rtc_init(struct rtc *r, const char *name, const struct dev_clock *clock, struct irq_line irq);

/*
 * Hardware-reduced ACPI: sleep control and status, reset, the register that a generic
 * event device's method reads to learn what happened, and the one to which the driver pvpanic
 * writes that the kernel has panicked: it prints what it knows after that, and then asks for a
 * reset.
 */
enum power_request { POWER_NONE, POWER_OFF, POWER_RESET, POWER_PANICKED };
enum power_event {
	POWER_EVENT_BUTTON = 1,
	POWER_EVENT_GENERATION = 2, /* machines of older snapshots ask for it like this */
	/* As a driver asks for it that is told by an interrupt of its own, which needs no reading. */
	POWER_EVENT_GENERATION_PULSE = 4,
};
/* Offsets in the port window. */
enum power_port {
	POWER_SLEEP_CONTROL,
	POWER_SLEEP_STATUS,
	POWER_RESET_REG,
	POWER_PANIC,
	POWER_EVENTS = 4,
	POWER_PORTS = 8
};
#define POWER_RESET_VALUE 0x5a
#define POWER_S5_TYPE 5
#define POWER_PANIC_EVENT 1 /* of pvpanic's events the one we take */

struct power_state {
	uint32_t events; /* pending enum power_event */
	uint32_t wanted; /* those that the guest has drivers for */
};

struct power {
	struct dev dev;
	struct power_state state;
	struct irq_line irq, generation; /* the second is edge-triggered */
	void (*request)(void *arg, enum power_request r);
	void *arg;
};

extern const struct rec_type power_state_type;
void power_init(struct power *p, const char *name, struct irq_line irq, struct irq_line generation,
                void (*request)(void *, enum power_request), void *arg);
/* Does nothing if the guest has no driver for it. */
void power_raise(struct power *p, enum power_event event);

#endif
