/* SPDX-License-Identifier: MIT */
/*
 * A 16550A serial port (National Semiconductor PC16550D data sheet). The line is infinitely
 * fast: what is written is sent at once, so the transmitter is always empty, and its interrupt
 * is pending from the write until the guest reads IIR or writes again.
 */
#include "dev/dev.h"

#include <string.h>

enum { REG_DATA, REG_IER, REG_IIR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };

#define IER_RX 0x01
#define IER_THR 0x02
#define IER_LINE 0x04
#define IER_MODEM 0x08
#define IIR_NONE 0x01
#define IIR_THR 0x02
#define IIR_RX 0x04
#define IIR_LINE 0x06
#define IIR_FIFO 0xc0
#define FCR_ENABLE 0x01
#define FCR_CLEAR_RX 0x02
#define LCR_DLAB 0x80
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10
#define LSR_DATA 0x01
#define LSR_OVERRUN 0x02
#define LSR_THR_EMPTY 0x20
#define LSR_EMPTY 0x40
#define MSR_CTS_DSR_DCD 0xb0

#define F(m, n, lim, ...) FIELD_HEX(struct serial_state, m, n, lim, __VA_ARGS__)
static const struct field serial_fields[] = {
	F(ier, 1, 0x0f, "interrupt enable"),
	F(iir_thr, 2, 1, "transmitter-empty interrupt is pending"),
	F(lcr, 3, 0xff, "line control"),
	F(mcr, 4, 0x1f, "modem control"),
	F(scr, 5, 0xff, "scratch"),
	F(dll, 6, 0xff, "divisor, low"),
	F(dlm, 7, 0xff, "divisor, high"),
	F(fcr, 8, 0xff, "FIFO control"),
	FIELD(struct serial_state, overrun, 9, 1, "a byte was lost in loopback"),
	F(rx, 11, 0, "received, oldest first"),
	FIELD(struct serial_state, rx_count, 12, SERIAL_FIFO, "bytes received"),
};
#undef F
const struct rec_type serial_state_type =
	REC_TYPE(serial_state, serial_fields, .doc = "16550A serial port");

static void update(struct serial *s)
{
	const struct serial_state *st = &s->state;
	bool want = ((st->ier & IER_RX) && st->rx_count) || ((st->ier & IER_THR) && st->iir_thr) ||
	            ((st->ier & IER_LINE) && st->overrun);

	/* On a PC, OUT2 connects the interrupt. */
	irq_set(&s->irq, want && (st->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2);
}

static size_t room(const struct serial *s)
{
	return (s->state.fcr & FCR_ENABLE ? SERIAL_FIFO : 1u) - s->state.rx_count;
}

static void receive(struct serial *s, uint8_t byte)
{
	if (s->state.rx_count >= SERIAL_FIFO || !room(s))
		s->state.overrun = true;
	else
		s->state.rx[s->state.rx_count++] = byte;
}

size_t serial_input(struct serial *s, const uint8_t *data, size_t len)
{
	size_t n = 0;

	if (s->state.mcr & MCR_LOOP)
		return 0;
	while (n < len && s->state.rx_count < SERIAL_FIFO && room(s))
		receive(s, data[n++]);
	update(s);
	return n;
}

static uint8_t pop(struct serial *s)
{
	uint8_t byte = s->state.rx[0];

	if (!s->state.rx_count)
		return 0;
	s->state.rx_count--;
	memmove(s->state.rx, s->state.rx + 1, s->state.rx_count);
	s->state.rx[s->state.rx_count] = 0;
	return byte;
}

static uint8_t identify(struct serial *s)
{
	uint8_t fifo = s->state.fcr & FCR_ENABLE ? IIR_FIFO : 0;

	if ((s->state.ier & IER_LINE) && s->state.overrun)
		return fifo | IIR_LINE;
	if ((s->state.ier & IER_RX) && s->state.rx_count)
		return fifo | IIR_RX;
	if ((s->state.ier & IER_THR) && s->state.iir_thr) {
		s->state.iir_thr = 0;
		return fifo | IIR_THR;
	}
	return fifo | IIR_NONE;
}

static uint8_t modem_status(const struct serial *s)
{
	uint8_t m = s->state.mcr;

	if (!(m & MCR_LOOP))
		return MSR_CTS_DSR_DCD;
	/* Loopback: RTS, DTR, OUT1, OUT2 come back as CTS, DSR, RI, DCD. */
	return (uint8_t)((m & 2) << 3 | (m & 1) << 5 | (m & 4) << 4 | (m & 8) << 4);
}

static uint64_t serial_read(struct dev *d, unsigned window, uint64_t offset, unsigned width)
{
	struct serial *s = (struct serial *)d;
	bool dlab = s->state.lcr & LCR_DLAB;
	uint8_t value;

	switch (offset) {
	case REG_DATA:
		value = dlab ? s->state.dll : pop(s);
		break;
	case REG_IER:
		value = dlab ? s->state.dlm : s->state.ier;
		break;
	case REG_IIR:
		value = identify(s);
		break;
	case REG_LCR:
		value = s->state.lcr;
		break;
	case REG_MCR:
		value = s->state.mcr;
		break;
	case REG_LSR:
		value = LSR_EMPTY | LSR_THR_EMPTY;
		value |= s->state.rx_count ? LSR_DATA : 0;
		value |= s->state.overrun ? LSR_OVERRUN : 0;
		s->state.overrun = false;
		break;
	case REG_MSR:
		value = modem_status(s);
		break;
	default:
		value = s->state.scr;
		break;
	}
	update(s);
	return value;
}

static void transmit(struct serial *s, uint8_t byte)
{
	if (s->state.mcr & MCR_LOOP)
		receive(s, byte);
	else if (s->out.write)
		s->out.write(s->out.arg, &byte, 1);
	/* The line drops between two bytes, so that an edge-triggered pin sees the next one. */
	s->state.iir_thr = 0;
	update(s);
	s->state.iir_thr = 1;
}

static void serial_write(struct dev *d, unsigned window, uint64_t offset, unsigned width,
                         uint64_t value)
{
	struct serial *s = (struct serial *)d;
	bool dlab = s->state.lcr & LCR_DLAB;
	uint8_t v = (uint8_t)value;

	switch (offset) {
	case REG_DATA:
		if (dlab)
			s->state.dll = v;
		else
			transmit(s, v);
		break;
	case REG_IER:
		if (dlab) {
			s->state.dlm = v;
			break;
		}
		/* Enabling the transmitter interrupt while it is empty raises it. */
		if ((v & IER_THR) && !(s->state.ier & IER_THR))
			s->state.iir_thr = 1;
		s->state.ier = v & 0x0f;
		break;
	case REG_IIR:
		if (((v ^ s->state.fcr) & FCR_ENABLE) || (v & FCR_CLEAR_RX)) {
			memset(s->state.rx, 0, sizeof(s->state.rx));
			s->state.rx_count = 0;
		}
		s->state.fcr = v & 0xc9;
		break;
	case REG_LCR:
		s->state.lcr = v;
		break;
	case REG_MCR:
		s->state.mcr = v & 0x1f;
		break;
	case REG_SCR:
		s->state.scr = v;
		break;
	default:
		break;
	}
	update(s);
}

static int serial_loaded(struct dev *d, struct err *e)
{
	update((struct serial *)d);
	return 0;
}

static const struct dev_class serial_class = {
	.name = "serial",
	.read = serial_read,
	.write = serial_write,
	.loaded = serial_loaded,
};

void serial_init(struct serial *s, const char *name, struct irq_line irq, struct byte_sink out)
{
	*s = (struct serial){
		.dev = {&serial_class, name, &serial_state_type, NULL},
		.state = {.dll = 1},
		.irq = irq,
		.out = out,
	};
	s->dev.state = &s->state;
}
