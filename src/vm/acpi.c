/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables of the machine (ACPI 6.5), written from scratch for each boot: RSDP, XSDT,
 * FADT (hardware-reduced), MADT, and a DSDT whose AML is put together by the few functions
 * below.
 *
 * Hardware-reduced means: no 8259, no PIT, no PM timer, no SCI, no fixed events. The guest
 * takes its time from the TSC and the local APIC, both of known frequency, and events from the
 * generic event device.
 *
 * In AML, a thing with a body has a length before it. We always write the three-byte form and
 * fill it in when the body is closed; ACPI does not ask for the shortest.
 */
#include "vm/vm-int.h"

#include <string.h>

/* ---- AML (ACPI 6.5, chapter 20) --------------------------------------------------------- */

enum {
	AML_ZERO = 0x00,
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,
	AML_WORD = 0x0b,
	AML_DWORD = 0x0c,
	AML_STRING = 0x0d,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_METHOD = 0x14,
	AML_MULTI_NAME = 0x2f,
	AML_LOCAL0 = 0x60,
	AML_STORE = 0x70,
	AML_AND = 0x7b,
	AML_NOTIFY = 0x86,
	AML_IF = 0xa0,
	AML_RETURN = 0xa4,
	AML_EXT = 0x5b,
	AML_EXT_REGION = 0x80,
	AML_EXT_FIELD = 0x81,
	AML_EXT_DEVICE = 0x82,
};

static void put_le(struct buf *b, uint64_t v, unsigned bytes)
{
	while (bytes--) {
		buf_add_byte(b, (uint8_t)v);
		v >>= 8;
	}
}

/* Opens a body; the answer goes to aml_close(). */
static size_t aml_open(struct buf *b)
{
	size_t at = b->len;

	put_le(b, 0, 3);
	return at;
}

static void aml_close(struct buf *b, size_t at)
{
	size_t len = b->len - at;

	assert(len < 1u << 20);
	b->data[at] = (uint8_t)(0x80 | (len & 15));
	b->data[at + 1] = (uint8_t)(len >> 4);
	b->data[at + 2] = (uint8_t)(len >> 12);
}

static void aml_integer(struct buf *b, uint32_t v)
{
	buf_add_byte(b, v > 0xffff ? AML_DWORD : v > 0xff ? AML_WORD : AML_BYTE);
	put_le(b, v, v > 0xffff ? 4 : v > 0xff ? 2 : 1);
}

static void aml_string(struct buf *b, const char *text)
{
	buf_add_byte(b, AML_STRING);
	buf_add(b, text, strlen(text) + 1);
}

/* Names are four characters; "\\" before one is the root. */
static void aml_name(struct buf *b, const char *name)
{
	buf_add_byte(b, AML_NAME);
	buf_add_text(b, name);
}

/* "PNP0501" as the 32-bit number that AML wants: three letters of five bits, four digits. */
static void aml_eisa_id(struct buf *b, const char *id)
{
	uint32_t v = (uint32_t)((id[0] & 31) << 26 | (id[1] & 31) << 21 | (id[2] & 31) << 16);
	uint64_t number;
	int r = text_to_u64(id + 3, 16, 0xffff, &number);

	assert(!r);
	buf_add_byte(b, AML_DWORD);
	put_le(b, __builtin_bswap32(v | (uint32_t)number), 4);
}

static size_t aml_device(struct buf *b, const char *name)
{
	size_t at;

	buf_add_byte(b, AML_EXT);
	buf_add_byte(b, AML_EXT_DEVICE);
	at = aml_open(b);
	buf_add_text(b, name);
	return at;
}

static size_t aml_method(struct buf *b, const char *name, uint8_t n_args)
{
	size_t at;

	buf_add_byte(b, AML_METHOD);
	at = aml_open(b);
	buf_add_text(b, name);
	buf_add_byte(b, n_args);
	return at;
}

/* Resource descriptors (6.4) gather in a buffer of their own. */
static void crs_port(struct buf *crs, uint16_t port, uint8_t count)
{
	buf_add(crs, (uint8_t[]){0x47, 1}, 2);
	put_le(crs, port, 2);
	put_le(crs, port, 2);
	buf_add(crs, (uint8_t[]){1, count}, 2);
}

static void crs_isa_irq(struct buf *crs, unsigned irq)
{
	buf_add_byte(crs, 0x22);
	put_le(crs, 1u << irq, 2);
}

static void crs_memory(struct buf *crs, uint32_t gpa, uint32_t bytes)
{
	buf_add(crs, (uint8_t[]){0x86, 9, 0, 1}, 4);
	put_le(crs, gpa, 4);
	put_le(crs, bytes, 4);
}

static void crs_interrupt(struct buf *crs, uint32_t gsi, bool edge)
{
	/* A consumer's, active high, exclusive. */
	buf_add(crs, (uint8_t[]){0x89, 6, 0, (uint8_t)(1 | (edge ? 2 : 0)), 1}, 5);
	put_le(crs, gsi, 4);
}

static void aml_crs(struct buf *b, struct buf *crs)
{
	size_t at;

	buf_add(crs, (uint8_t[]){0x79, 0}, 2);
	aml_name(b, "_CRS");
	buf_add_byte(b, AML_BUFFER);
	at = aml_open(b);
	aml_integer(b, (uint32_t)crs->len);
	buf_add(b, crs->data, crs->len);
	aml_close(b, at);
	buf_finish(crs);
}

/* ---- what is in the DSDT ---------------------------------------------------------------- */

static void add_serial(struct buf *b)
{
	struct buf crs = {0};
	size_t at = aml_device(b, "COM1");

	aml_name(b, "_HID");
	aml_eisa_id(b, "PNP0501");
	aml_name(b, "_UID");
	aml_integer(b, 1);
	crs_port(&crs, PORT_SERIAL, 8);
	crs_isa_irq(&crs, PIN_SERIAL);
	aml_crs(b, &crs);
	aml_close(b, at);
}

static void add_rtc(struct buf *b)
{
	struct buf crs = {0};
	size_t at = aml_device(b, "RTC0");

	aml_name(b, "_HID");
	aml_eisa_id(b, "PNP0B00");
	crs_port(&crs, PORT_RTC, 2);
	crs_isa_irq(&crs, PIN_RTC);
	aml_crs(b, &crs);
	aml_close(b, at);
}

static void add_virtio(struct buf *b, unsigned i)
{
	char name[8] = {'V', 'I', "0123456789ABCDEF"[i >> 4 & 15], "0123456789ABCDEF"[i & 15]};
	struct buf crs = {0};
	size_t at = aml_device(b, name);

	aml_name(b, "_HID");
	aml_string(b, "LNRO0005");
	aml_name(b, "_UID");
	aml_integer(b, i);
	/* Coherent: the guest need not flush caches for us (6.2.17). */
	aml_name(b, "_CCA");
	aml_integer(b, 1);
	crs_memory(&crs, (uint32_t)(VIRTIO_GPA + i * VIRTIO_STRIDE), VIRTIO_BYTES);
	crs_interrupt(&crs, PIN_VIRTIO + i, false);
	aml_crs(b, &crs);
	aml_close(b, at);
}

static void add_power_button(struct buf *b)
{
	size_t at = aml_device(b, "PWRB");

	aml_name(b, "_HID");
	aml_eisa_id(b, "PNP0C0C");
	aml_close(b, at);
}

/* As QEMU's is found: the driver knows no other name. */
static void add_panic(struct buf *b)
{
	struct buf crs = {0};
	size_t at = aml_device(b, "PEVT");

	aml_name(b, "_HID");
	aml_string(b, "QEMU0001");
	crs_port(&crs, PORT_POWER + POWER_PANIC, 1);
	aml_crs(b, &crs);
	aml_close(b, at);
}

static void add_generation(struct buf *b)
{
	size_t at = aml_device(b, "VGEN"), package, body;

	aml_name(b, "_HID");
	aml_string(b, "WSLX0001");
	/* The driver knows the second name; the first is the one that Microsoft documents. */
	aml_name(b, "_CID");
	buf_add_byte(b, AML_PACKAGE);
	package = aml_open(b);
	buf_add_byte(b, 2);
	aml_string(b, "VM_Gen_Counter");
	aml_string(b, "VMGENCTR");
	aml_close(b, package);
	aml_name(b, "_DDN");
	aml_string(b, "VM_Gen_Counter");
	/*
	 * Low and high half of the identifier's address. Only a driver asks for it, and only with a
	 * driver are events of any use: a guest without one is spared the interpreter's run.
	 */
	body = aml_method(b, "ADDR", 0);
	buf_add_byte(b, AML_STORE);
	aml_integer(b, POWER_EVENT_GENERATION_PULSE);
	buf_add(b, (uint8_t[]){'\\', AML_MULTI_NAME, 3}, 3);
	buf_add_text(b, "_SB_GED0EVTS");
	buf_add_byte(b, AML_RETURN);
	buf_add_byte(b, AML_PACKAGE);
	package = aml_open(b);
	buf_add_byte(b, 2);
	aml_integer(b, GENERATION_GPA);
	aml_integer(b, 0);
	aml_close(b, package);
	aml_close(b, body);
	aml_close(b, at);
}

static void aml_notify(struct buf *b, const char *device)
{
	buf_add_byte(b, AML_NOTIFY);
	buf_add_text(b, device);
	aml_integer(b, 0x80);
}

static void add_notify_if(struct buf *b, uint8_t bit, const char *device)
{
	size_t at;

	buf_add_byte(b, AML_IF);
	at = aml_open(b);
	buf_add_byte(b, AML_AND);
	buf_add_byte(b, AML_LOCAL0);
	aml_integer(b, bit);
	buf_add_byte(b, AML_ZERO); /* the result goes nowhere else */
	aml_notify(b, device);
	aml_close(b, at);
}

/* Reading the event register is the acknowledgement; an edge needs none. */
static void add_event_device(struct buf *b)
{
	struct buf crs = {0};
	size_t at = aml_device(b, "GED0"), body;

	aml_name(b, "_HID");
	aml_string(b, "ACPI0013");
	crs_interrupt(&crs, PIN_POWER, false);
	crs_interrupt(&crs, PIN_GENERATION, true);
	aml_crs(b, &crs);

	buf_add(b, (uint8_t[]){AML_EXT, AML_EXT_REGION}, 2);
	buf_add_text(b, "EREG");
	buf_add_byte(b, 1); /* system I/O */
	aml_integer(b, PORT_POWER + POWER_EVENTS);
	aml_integer(b, 4);
	buf_add(b, (uint8_t[]){AML_EXT, AML_EXT_FIELD}, 2);
	body = aml_open(b);
	buf_add_text(b, "EREG");
	buf_add_byte(b, 3); /* accessed as 32-bit words */
	buf_add_text(b, "EVTS");
	buf_add_byte(b, 32);
	aml_close(b, body);

	body = aml_method(b, "_EVT", 1);
	buf_add_byte(b, AML_STORE);
	buf_add_text(b, "EVTS");
	buf_add_byte(b, AML_LOCAL0);
	add_notify_if(b, POWER_EVENT_BUTTON, "PWRB");
	aml_close(b, body);

	/*
	 * Every restored machine runs this before anything else, and each term of AML takes a guest's
	 * kernel thousands of instructions.
	 */
	body = aml_method(b, "_E0A", 1);
	aml_notify(b, "VGEN");
	aml_close(b, body);
	aml_close(b, at);
}

static void build_dsdt(struct buf *b, unsigned n_virtio)
{
	size_t at;

	buf_add_byte(b, AML_SCOPE);
	at = aml_open(b);
	buf_add_text(b, "\\_SB_");
	add_serial(b);
	add_rtc(b);
	for (unsigned i = 0; i < n_virtio; i++)
		add_virtio(b, i);
	add_power_button(b);
	add_panic(b);
	add_generation(b);
	add_event_device(b);
	aml_close(b, at);

	aml_name(b, "\\_S5_");
	buf_add_byte(b, AML_PACKAGE);
	at = aml_open(b);
	buf_add_byte(b, 2);
	aml_integer(b, POWER_S5_TYPE);
	aml_integer(b, POWER_S5_TYPE);
	aml_close(b, at);
}

/* ---- tables (5.2) ----------------------------------------------------------------------- */

#define HEADER_BYTES 36u

static void table_open(struct buf *t, const char *signature, uint8_t revision)
{
	buf_add(t, signature, 4);
	put_le(t, 0, 4); /* length */
	buf_add_byte(t, revision);
	buf_add_byte(t, 0); /* checksum */
	buf_add(t, "WSLX  WSLXVM  ", 14);
	put_le(t, 1, 4);
	buf_add(t, "WSLX", 4);
	put_le(t, 1, 4);
}

static uint8_t checksum(const uint8_t *data, size_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *data++);
	return (uint8_t)-sum;
}

static void set_le(struct buf *t, size_t at, uint64_t v, unsigned bytes)
{
	assert(at + bytes <= t->len);
	for (unsigned i = 0; i < bytes; i++)
		t->data[at + i] = (uint8_t)(v >> (8 * i));
}

static void set_port(struct buf *t, size_t at, uint16_t port)
{
	const uint8_t gas[4] = {1, 8, 0, 1}; /* system I/O, 8 bits, byte access */

	memcpy(t->data + at, gas, sizeof(gas));
	set_le(t, at + 4, port, 8);
}

#define FADT_BYTES 276u
#define FADT_WBINVD (1u << 0)
#define FADT_PROC_C1 (1u << 2)
#define FADT_POWER_BUTTON (1u << 4) /* a control-method device, not a fixed register */
#define FADT_SLEEP_BUTTON (1u << 5)
#define FADT_RESET_REG (1u << 10)
#define FADT_HW_REDUCED (1u << 20)
#define BOOT_NO_VGA (1u << 2)
#define BOOT_NO_MSI (1u << 3)

static void build_fadt(struct buf *t, uint64_t dsdt)
{
	table_open(t, "FACP", 6);
	memset(buf_extend(t, FADT_BYTES - HEADER_BYTES), 0, FADT_BYTES - HEADER_BYTES);
	set_le(t, 40, dsdt, 4);
	set_le(t, 108, 0x32, 1); /* century register of the RTC */
	set_le(t, 109, BOOT_NO_VGA | BOOT_NO_MSI, 2);
	set_le(t, 112,
	       FADT_WBINVD | FADT_PROC_C1 | FADT_POWER_BUTTON | FADT_SLEEP_BUTTON | FADT_RESET_REG |
	               FADT_HW_REDUCED,
	       4);
	set_port(t, 116, PORT_POWER + POWER_RESET_REG);
	set_le(t, 128, POWER_RESET_VALUE, 1);
	set_le(t, 131, 5, 1); /* minor version */
	set_le(t, 140, dsdt, 8);
	set_port(t, 244, PORT_POWER + POWER_SLEEP_CONTROL);
	set_port(t, 256, PORT_POWER + POWER_SLEEP_STATUS);
}

static void build_madt(struct buf *t)
{
	table_open(t, "APIC", 5);
	put_le(t, LAPIC_GPA, 4);
	put_le(t, 0, 4);                         /* no 8259 */
	buf_add(t, (uint8_t[]){0, 8, 0, 0}, 4);  /* local APIC, processor 0, id 0 */
	put_le(t, 1, 4);                         /* enabled */
	buf_add(t, (uint8_t[]){1, 12, 0, 0}, 4); /* I/O APIC */
	put_le(t, IOAPIC_GPA, 4);
	put_le(t, 0, 4); /* its first interrupt */
}

/* Where the next table goes. */
struct place {
	const struct dev_ram *ram;
	uint64_t next;
};

static uint64_t put_table(struct place *p, struct buf *t)
{
	uint64_t at = p->next;

	set_le(t, 4, t->len, 4);
	t->data[9] = checksum(t->data, t->len);
	assert(at + t->len <= GENERATION_GPA);
	memcpy(ram_at(p->ram, at, t->len), t->data, t->len);
	p->next = (at + t->len + 63) & ~63ull;
	buf_finish(t);
	return at;
}

uint64_t acpi_build(const struct dev_ram *ram, unsigned n_virtio)
{
	struct place p = {ram, ACPI_GPA + 64};
	uint8_t rsdp[36] = "RSD PTR ";
	uint64_t dsdt, fadt, madt, xsdt;
	struct buf t = {0};

	table_open(&t, "DSDT", 2);
	build_dsdt(&t, n_virtio);
	dsdt = put_table(&p, &t);
	build_fadt(&t, dsdt);
	fadt = put_table(&p, &t);
	build_madt(&t);
	madt = put_table(&p, &t);
	table_open(&t, "XSDT", 1);
	put_le(&t, fadt, 8);
	put_le(&t, madt, 8);
	xsdt = put_table(&p, &t);

	memcpy(rsdp + 9, "WSLX  ", 6);
	rsdp[15] = 2;
	rsdp[20] = sizeof(rsdp);
	for (unsigned i = 0; i < 8; i++)
		rsdp[24 + i] = (uint8_t)(xsdt >> (8 * i));
	rsdp[8] = checksum(rsdp, 20);
	rsdp[32] = checksum(rsdp, sizeof(rsdp));
	memcpy(ram_at(ram, ACPI_GPA, sizeof(rsdp)), rsdp, sizeof(rsdp));
	return ACPI_GPA;
}
