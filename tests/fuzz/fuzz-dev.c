/* SPDX-License-Identifier: MIT */
/*
 * Every device's register window, queue and record on any bytes. The input is a program of
 * small steps: poke guest memory, read and write registers, let time pass, type on a console,
 * save and load. Guest memory is an allocation of exactly its size, so that a sanitizer sees
 * whatever a device touches outside of it.
 */
#include "dev/virtio.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM_BYTES 0x4000u
#define DISK_BYTES 8192u
#define DEVICES 12

struct machine {
	uint8_t *bytes;
	struct dev_ram ram;
	struct apic_fabric fabric;
	struct dev_clock clock;
	uint64_t now;
	struct lapic lapic;
	struct ioapic ioapic;
	struct serial serial;
	struct rtc rtc;
	struct power power;
	struct vconsole console;
	struct vrng rng;
	struct vballoon balloon;
	struct vblock block, read_only;
	struct disk disk[2];
	uint8_t medium[DISK_BYTES];
	struct vnet net;
	struct wire wire;
	size_t on_wire; /* bytes of the frame that waits there */
	bool wire_is_full;
	struct dev *dev[DEVICES];
	unsigned n_devs;
};

struct reader {
	const uint8_t *data;
	size_t len;
};

static volatile size_t sink;

static uint64_t take(struct reader *r, unsigned n)
{
	uint64_t v = 0;

	while (n-- && r->len) {
		v = v << 8 | *r->data++;
		r->len--;
	}
	return v;
}

static void swallow(void *arg, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sink += data[i];
}

static void discard(void *arg, uint64_t gpa, uint64_t n)
{
	struct machine *m = arg;

	assert(gpa % PAGE_BYTES == 0 && n % PAGE_BYTES == 0);
	memset(ram_at(&m->ram, gpa, n), 0, n);
}

static void wrote(void *arg, uint64_t gpa, uint64_t n)
{
	struct machine *m = arg;

	assert(ram_at(&m->ram, gpa, n));
}

static uint64_t now(void *arg)
{
	return ((struct machine *)arg)->now;
}

static int64_t wall(void *arg)
{
	return (int64_t)((struct machine *)arg)->now;
}

static void requested(void *arg, enum power_request r)
{
}

static void interrupted(void *arg, bool high)
{
}

static void nmi(void *arg)
{
}

static void not_random(void *out, size_t len)
{
	memset(out, 1, len);
}

static int disk_read(struct disk *d, uint64_t at, uint8_t *out, size_t len)
{
	struct machine *m = (struct machine *)((char *)(d - (d->read_only ? 1 : 0)) -
	                                       offsetof(struct machine, disk));

	assert(at % 512 == 0 && len % 512 == 0 && at + len <= DISK_BYTES);
	memcpy(out, m->medium + at, len);
	return 0;
}

static int disk_write(struct disk *d, uint64_t at, const uint8_t *data, size_t len)
{
	struct machine *m = (struct machine *)((char *)d - offsetof(struct machine, disk));

	assert(!d->read_only && at % 512 == 0 && len % 512 == 0 && at + len <= DISK_BYTES);
	memcpy(m->medium + at, data, len);
	return 0;
}

static int disk_flush(struct disk *d)
{
	return 0;
}

static struct machine *machine_of(struct wire *w)
{
	return (struct machine *)((char *)w - offsetof(struct machine, wire));
}

static bool wire_send(struct wire *w, struct span frame)
{
	assert(frame.len >= NET_ETHERNET_BYTES && frame.len <= NET_FRAME_MAX);
	swallow(NULL, frame.data, frame.len);
	return !machine_of(w)->wire_is_full;
}

static size_t wire_receive(struct wire *w, uint8_t *frame)
{
	size_t n = machine_of(w)->on_wire;

	memset(frame, 7, n);
	machine_of(w)->on_wire = 0;
	return n;
}

static bool wire_is_cut(struct wire *w)
{
	return false;
}

static void wire_save(struct wire *w, struct buf *out)
{
}

static int wire_load(struct wire *w, struct span in, struct err *e)
{
	return 0;
}

static struct machine *create(void)
{
	struct machine *m = xalloc(sizeof(*m));
	const struct byte_sink out = {swallow, NULL};
	struct ioapic *io = &m->ioapic;

	m->bytes = xalloc(RAM_BYTES);
	m->ram = (struct dev_ram){.host = m->bytes,
	                          .bytes = RAM_BYTES,
	                          .low_bytes = RAM_BYTES - PAGE_BYTES,
	                          .wrote = wrote,
	                          .discard = discard,
	                          .arg = m};
	m->clock = (struct dev_clock){now, wall, m};
	lapic_init(&m->lapic, "lapic", 0, &m->fabric, &m->clock,
	           (struct lapic_cpu){interrupted, nmi, NULL});
	ioapic_init(io, "ioapic", &m->fabric);
	serial_init(&m->serial, "serial", ioapic_line(io, 4), out);
	rtc_init(&m->rtc, "rtc", &m->clock, ioapic_line(io, 8));
	power_init(&m->power, "power", ioapic_line(io, 9), ioapic_line(io, 10), requested, NULL);
	vconsole_init(&m->console, "console", &m->ram, ioapic_line(io, 16), out);
	vrng_init(&m->rng, "rng", &m->ram, ioapic_line(io, 17), not_random);
	vballoon_init(&m->balloon, "balloon", &m->ram, ioapic_line(io, 18));
	for (unsigned i = 0; i < 2; i++)
		m->disk[i] = (struct disk){.bytes = DISK_BYTES,
		                           .read_only = i,
		                           .read = disk_read,
		                           .write = disk_write,
		                           .flush = disk_flush};
	vblock_init(&m->block, "disk0", &m->ram, ioapic_line(io, 19), &m->disk[0]);
	vblock_init(&m->read_only, "disk1", &m->ram, ioapic_line(io, 20), &m->disk[1]);

	static const uint8_t mac[NET_MAC_BYTES] = {2};

	m->wire = (struct wire){-1, wire_send, wire_receive, wire_is_cut, wire_save, wire_load};
	vnet_init(&m->net, "net", &m->ram, ioapic_line(io, 21), &m->wire, mac);

	struct dev *all[] = {&m->lapic.dev,        &m->ioapic.dev,
	                     &m->serial.dev,       &m->rtc.dev,
	                     &m->power.dev,        &m->console.virtio.dev,
	                     &m->rng.virtio.dev,   &m->balloon.virtio.dev,
	                     &m->block.virtio.dev, &m->read_only.virtio.dev,
	                     &m->net.virtio.dev};

	m->n_devs = ARRAY_LEN(all);
	memcpy(m->dev, all, sizeof(all));
	return m;
}

/* What a driver does up to DRIVER_OK, so that random steps get to the queues. */
static void drive(struct machine *m, struct dev *d, uint32_t features)
{
	static const uint32_t prologue[][2] = {
		{0x70, 0}, {0x70, 3}, {0x24, 1}, {0x20, 1}, {0x24, 0}};

	for (size_t i = 0; i < ARRAY_LEN(prologue); i++)
		d->class->write(d, 0, prologue[i][0], 4, prologue[i][1]);
	d->class->write(d, 0, 0x20, 4, features);
	d->class->write(d, 0, 0x70, 4, 11);
	for (uint32_t q = 0; q < 3; q++) {
		const uint32_t setup[][2] = {{0x30, q},
		                             {0x38, 8},
		                             {0x80, q * 0x400},
		                             {0x90, q * 0x400 + 0x100},
		                             {0xa0, q * 0x400 + 0x200},
		                             {0x44, 1}};

		for (size_t i = 0; i < ARRAY_LEN(setup); i++)
			d->class->write(d, 0, setup[i][0], 4, setup[i][1]);
	}
	d->class->write(d, 0, 0x70, 4, 15);
}

static void save_and_load(struct dev *d)
{
	AUTO(buf) struct buf first = {0};
	AUTO(buf) struct buf second = {0};
	struct err e = {0};

	dev_save(d, &first);
	if (dev_load(d, buf_span(&first), &e))
		abort(); /* whatever state a guest brings about must be one that can be loaded */
	dev_save(d, &second);
	/* The clock's next second depends on when it is loaded. */
	if (strcmp(d->name, "rtc") != 0 && !span_equal(buf_span(&first), buf_span(&second)))
		abort();
}

static void step(struct machine *m, struct reader *r)
{
	unsigned op = (unsigned)take(r, 1);
	struct dev *d = m->dev[take(r, 1) % m->n_devs];
	uint64_t at, n, value;
	struct span rest = SPAN(r->data, MIN(r->len, 64));

	switch (op % 9) {
	case 0:
		at = take(r, 2) & 0xfff;
		d->class->write(d, 0, at, 1u << (at >> 10 & 3), take(r, 8));
		break;
	case 1:
		at = take(r, 2) & 0xfff;
		d->class->write(d, 0, at & ~3ull, 4, take(r, 4));
		break;
	case 2:
		at = take(r, 2) & 0xfff;
		sink += d->class->read(d, 0, at, 1u << (at >> 10 & 3));
		break;
	case 3: /* poke */
		at = take(r, 2) % RAM_BYTES;
		n = take(r, 1);
		for (; n-- && at < RAM_BYTES; at++)
			m->bytes[at] = (uint8_t)take(r, 1);
		break;
	case 4:
		if (!strcmp(d->class->name, "virtio"))
			drive(m, d, (uint32_t)take(r, 4));
		break;
	case 5:
		if (!strcmp(d->class->name, "virtio"))
			d->class->write(d, 0, 0x50, 4, take(r, 1) & 3);
		break;
	case 6:
		m->now += take(r, 4);
		for (unsigned i = 0; i < m->n_devs; i++)
			if (m->dev[i]->class->deadline &&
			    m->dev[i]->class->deadline(m->dev[i]) <= m->now)
				m->dev[i]->class->expire(m->dev[i], m->now);
		sink += (size_t)lapic_ack(&m->lapic);
		break;
	case 7:
		sink += serial_input(&m->serial, rest.data, rest.len);
		sink += vconsole_input(&m->console, rest.data, rest.len);
		m->on_wire = (size_t)take(r, 2) % (NET_FRAME_MAX + 1);
		m->wire_is_full = take(r, 1) & 1;
		vnet_move(&m->net);
		sink += vnet_can_receive(&m->net) + vnet_wants_to_send(&m->net);
		at = take(r, 2);
		value = take(r, 8);
		sink += lapic_msr_write(&m->lapic, (uint32_t)at, value);
		sink += lapic_msr_read(&m->lapic, (uint32_t)at, &value);
		break;
	default:
		save_and_load(d);
		if (op & 0x80)
			sink += (size_t)dev_load(d, rest, NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = {data, size};
	struct machine *m = create();

	while (r.len)
		step(m, &r);
	vnet_finish(&m->net);
	free(m->bytes);
	free(m);
	return 0;
}
