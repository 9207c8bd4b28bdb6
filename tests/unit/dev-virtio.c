/* SPDX-License-Identifier: MIT */
/*
 * virtio: the transport, queues with hostile content, and each device, with a driver written
 * here that lays out rings in a small RAM.
 */
#include "dev/virtio.h"
#include "tap.h"

#include <stdlib.h>

#define RAM_BYTES (64u << 10)
#define DESC 0x1000u
#define AVAIL 0x2000u
#define USED 0x3000u
#define DATA 0x4000u
#define QUEUE_STRIDE 0x200u /* further queues lie behind the first in each part */
#define SIZE 8u

static uint8_t bytes[RAM_BYTES];
static bool line;
static uint64_t discarded;

static void on_discard(void *arg, uint64_t gpa, uint64_t n)
{
	memset(bytes + gpa, 0, n);
	discarded += n;
}

/* Whether a device has looked at what the guest gave back. */
static bool looked;

static void on_need(void *arg, uint64_t offset, uint64_t n)
{
	looked |= offset >= 0x8000 && offset < 0xc000;
}

static void on_line(void *arg, unsigned pin, bool high)
{
	line = high;
}

static const struct dev_ram ram = {.host = bytes,
                                   .bytes = RAM_BYTES,
                                   .low_bytes = RAM_BYTES,
                                   .discard = on_discard,
                                   .need = on_need};
static const struct irq_line test_line = {on_line, NULL, 16};

static uint32_t rd(struct virtio *v, unsigned reg)
{
	return (uint32_t)v->dev.class->read(&v->dev, 0, reg, 4);
}

static void wr(struct virtio *v, unsigned reg, uint32_t value)
{
	v->dev.class->write(&v->dev, 0, reg, 4, value);
}

static void put(uint32_t gpa, uint64_t value, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		bytes[gpa + i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get(uint32_t gpa, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)bytes[gpa + i] << (8 * i);
	return v;
}

static void desc(unsigned q, unsigned i, uint64_t addr, uint32_t len, unsigned flags, unsigned next)
{
	uint32_t at = DESC + q * QUEUE_STRIDE + 16 * i;

	put(at, addr, 8);
	put(at + 8, len, 4);
	put(at + 12, flags, 2);
	put(at + 14, next, 2);
}

enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

static void offer(unsigned q, unsigned head)
{
	uint32_t at = AVAIL + q * QUEUE_STRIDE;
	uint16_t idx = (uint16_t)get(at + 2, 2);

	put(at + 4 + 2 * (idx % SIZE), head, 2);
	put(at + 2, (uint16_t)(idx + 1), 2);
}

static void notify(struct virtio *v, unsigned q)
{
	wr(v, 0x50, q);
}

static unsigned used_count(unsigned q)
{
	return (unsigned)get(USED + q * QUEUE_STRIDE + 2, 2);
}

static uint32_t used_len(unsigned q, unsigned slot)
{
	return (uint32_t)get(USED + q * QUEUE_STRIDE + 8 + 8 * slot, 4);
}

/* What a driver does from reset to DRIVER_OK. */
static void drive(struct virtio *v, uint64_t features, unsigned n_queues)
{
	memset(bytes, 0, sizeof(bytes));
	line = false;
	discarded = 0;
	wr(v, 0x70, 0);
	wr(v, 0x70, 1);
	wr(v, 0x70, 3);
	for (unsigned i = 0; i < 2; i++) {
		wr(v, 0x24, i);
		wr(v, 0x20, (uint32_t)((features | VIRTIO_F_VERSION_1) >> (32 * i)));
	}
	wr(v, 0x70, 11);
	for (unsigned q = 0; q < n_queues; q++) {
		wr(v, 0x30, q);
		wr(v, 0x38, SIZE);
		wr(v, 0x80, DESC + q * QUEUE_STRIDE);
		wr(v, 0x90, AVAIL + q * QUEUE_STRIDE);
		wr(v, 0xa0, USED + q * QUEUE_STRIDE);
		wr(v, 0x44, 1);
	}
	wr(v, 0x70, 15);
}

static bool is_broken(struct virtio *v)
{
	return rd(v, 0x70) & VIRTIO_NEEDS_RESET;
}

/* ---- transport and queues, with the entropy source as the simplest device --------------- */

static struct vrng rng;

static void not_random(void *out, size_t len)
{
	memset(out, 0xa5, len);
}

static struct virtio *fresh_rng(void)
{
	vrng_init(&rng, "rng", &ram, test_line, not_random);
	drive(&rng.virtio, VIRTIO_F_INDIRECT, 1);
	return &rng.virtio;
}

static void the_transport_says_who_it_is(void)
{
	struct virtio *v = fresh_rng();

	ok(rd(v, 0) == 0x74726976 && rd(v, 4) == 2 && rd(v, 8) == 4);
	ok(rd(v, 0x34) == 256 && rd(v, 0x44) == 1);
	wr(v, 0x30, 7);
	ok(rd(v, 0x34) == 0 && rd(v, 0x44) == 0, "no eighth queue");
	ok(rd(v, 0x70) == 15);
}

static void features_that_were_not_offered_are_not_ok(void)
{
	vrng_init(&rng, "rng", &ram, test_line, not_random);
	drive(&rng.virtio, 1ull << 40, 1);
	ok(!(rd(&rng.virtio, 0x70) & VIRTIO_FEATURES_OK));
	ok(!(rd(&rng.virtio, 0x70) & VIRTIO_DRIVER_OK));
}

static void a_chain_is_filled_and_announced(void)
{
	struct virtio *v = fresh_rng();

	desc(0, 3, DATA, 16, WRITE | NEXT, 5);
	desc(0, 5, DATA + 100, 10, WRITE, 0);
	offer(0, 3);
	notify(v, 0);
	ok(used_count(0) == 1 && used_len(0, 0) == 26 && get(USED + 4, 4) == 3);
	ok(bytes[DATA] == 0xa5 && bytes[DATA + 15] == 0xa5 && bytes[DATA + 16] == 0);
	ok(bytes[DATA + 100] == 0xa5 && bytes[DATA + 110] == 0);
	ok(line && rd(v, 0x60) == 1);
	wr(v, 0x64, 1);
	ok(!line);
}

static void a_driver_that_wants_no_interrupt_gets_none(void)
{
	struct virtio *v = fresh_rng();

	desc(0, 0, DATA, 16, WRITE, 0);
	put(AVAIL, 1, 2);
	offer(0, 0);
	notify(v, 0);
	ok(used_count(0) == 1 && !line);
}

static void an_indirect_chain_works_and_nests_not(void)
{
	struct virtio *v = fresh_rng();

	put(DATA, DATA + 256, 8);
	put(DATA + 8, 20, 4);
	put(DATA + 12, WRITE, 2);
	desc(0, 0, DATA, 16, INDIRECT, 0);
	offer(0, 0);
	notify(v, 0);
	ok(used_len(0, 0) == 20 && bytes[DATA + 256] == 0xa5 && !is_broken(v));
	put(DATA + 12, INDIRECT, 2);
	offer(0, 0);
	notify(v, 0);
	ok(is_broken(v) && used_count(0) == 1);
}

/* Each of these must break the device, touch nothing, and leave it usable after a reset. */
static void hostile_chains_break_the_device(void)
{
	static const struct {
		const char *what;
		uint64_t addr;
		uint32_t len;
		unsigned flags, next;
	} cases[] = {
		{"beyond RAM", RAM_BYTES, 16, WRITE, 0},
		{"across the end of RAM", RAM_BYTES - 8, 16, WRITE, 0},
		{"length that wraps", DATA, UINT32_MAX, WRITE, 0},
		{"address that wraps", UINT64_MAX - 3, 16, WRITE, 0},
		{"a loop", DATA, 16, WRITE | NEXT, 0},
		{"next beyond the table", DATA, 16, WRITE | NEXT, SIZE},
		{"indirect table beyond RAM", RAM_BYTES - 8, 16, INDIRECT, 0},
		{"indirect table of half a descriptor", DATA, 24, INDIRECT, 0},
		{"indirect table without a descriptor", DATA, 0, INDIRECT, 0},
		{"indirect and next", DATA, 16, INDIRECT | NEXT, 1},
		{"indirect table that is too long", 0, 16 * 257, INDIRECT, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct virtio *v = fresh_rng();

		desc(0, 0, cases[i].addr, cases[i].len, cases[i].flags, cases[i].next);
		offer(0, 0);
		notify(v, 0);
		ok(is_broken(v) && used_count(0) == 0, "%s", cases[i].what);
		ok(rd(v, 0x60) & 2, "%s: the driver is told", cases[i].what);
		v = fresh_rng();
		desc(0, 0, DATA, 16, WRITE, 0);
		offer(0, 0);
		notify(v, 0);
		ok(!is_broken(v) && used_count(0) == 1, "%s: after a reset", cases[i].what);
	}
}

static void readable_after_writable_is_refused(void)
{
	struct virtio *v = fresh_rng();

	desc(0, 0, DATA, 16, WRITE | NEXT, 1);
	desc(0, 1, DATA, 16, 0, 0);
	offer(0, 0);
	notify(v, 0);
	ok(is_broken(v));
}

static void hostile_rings_break_the_device(void)
{
	struct virtio *v = fresh_rng();

	put(AVAIL + 2, SIZE + 1, 2);
	notify(v, 0);
	ok(is_broken(v), "more available than there are");

	v = fresh_rng();
	offer(0, SIZE);
	notify(v, 0);
	ok(is_broken(v), "a head that is no descriptor");

	for (unsigned part = 0; part < 3; part++) {
		vrng_init(&rng, "rng", &ram, test_line, not_random);
		drive(&rng.virtio, 0, 0);
		v = &rng.virtio;
		wr(v, 0x38, SIZE);
		wr(v, 0x80, part == 0 ? RAM_BYTES - 64 : DESC);
		wr(v, 0x90, part == 1 ? RAM_BYTES - 8 : AVAIL);
		wr(v, 0xa0, part == 2 ? RAM_BYTES - 8 : USED);
		wr(v, 0x44, 1);
		notify(v, 0);
		ok(is_broken(v), "part %u is not in RAM", part);
	}
}

static void a_record_that_no_device_could_have_is_refused(void)
{
	AUTO(buf) struct buf b = {0};
	struct err e = {0};
	struct virtio *v = fresh_rng();

	rng.state.virtio.q0.size = 12;
	dev_save(&v->dev, &b);
	fresh_rng();
	ok(dev_load(&v->dev, buf_span(&b), &e) == -EBADMSG, "12 entries");
	b.len = 0;
	rng.state.virtio.driver_features = 1ull << 50;
	dev_save(&v->dev, &b);
	fresh_rng();
	ok(dev_load(&v->dev, buf_span(&b), &e) == -EBADMSG, "unknown features");
	ok(rng.state.virtio.driver_features & VIRTIO_F_VERSION_1, "unchanged");
}

/* ---- devices ---------------------------------------------------------------------------- */

static uint8_t printed[64];
static size_t n_printed;

static void on_print(void *arg, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len && n_printed < sizeof(printed); i++)
		printed[n_printed++] = data[i];
}

static void a_console_prints_takes_input_and_resizes(void)
{
	static struct vconsole c;

	n_printed = 0;
	vconsole_init(&c, "console", &ram, test_line, (struct byte_sink){on_print, NULL});
	drive(&c.virtio, 1, 2);
	memcpy(bytes + DATA, "hello", 5);
	desc(1, 0, DATA, 2, NEXT, 1);
	desc(1, 1, DATA + 2, 3, 0, 0);
	offer(1, 0);
	notify(&c.virtio, 1);
	ok(n_printed == 5 && !memcmp(printed, "hello", 5) && used_count(1) == 1);

	ok(vconsole_input(&c, (const uint8_t *)"abc", 3) == 0, "there is no room yet");
	desc(0, 0, DATA, 2, WRITE, 0);
	desc(0, 1, DATA + 64, 2, WRITE, 0);
	offer(0, 0);
	offer(0, 1);
	ok(vconsole_input(&c, (const uint8_t *)"abcde", 5) == 4);
	ok(!memcmp(bytes + DATA, "ab", 2) && !memcmp(bytes + DATA + 64, "cd", 2));
	ok(used_len(0, 1) == 2);

	line = false;
	vconsole_resize(&c, 132, 50);
	ok(line && rd(&c.virtio, 0x60) & 2);
	ok(rd(&c.virtio, 0x100) == (132 | 50 << 16));
}

static uint8_t medium[8192];
static int flushes;

static int medium_read(struct disk *d, uint64_t at, uint8_t *out, size_t len)
{
	memcpy(out, medium + at, len);
	return 0;
}

static int medium_write(struct disk *d, uint64_t at, const uint8_t *data, size_t len)
{
	memcpy(medium + at, data, len);
	return 0;
}

static int medium_flush(struct disk *d)
{
	flushes++;
	return 0;
}

static struct vblock block;
static struct disk disk;

static struct virtio *fresh_block(bool read_only)
{
	disk = (struct disk){.bytes = sizeof(medium),
	                     .read_only = read_only,
	                     .read = medium_read,
	                     .write = medium_write,
	                     .flush = medium_flush};
	vblock_init(&block, "disk0", &ram, test_line, &disk);
	drive(&block.virtio, 0, 1);
	for (size_t i = 0; i < sizeof(medium); i++)
		medium[i] = (uint8_t)(i / 512 + 1);
	return &block.virtio;
}

/* A request with @len bytes of data at DATA, status behind. Return: the status. */
static uint8_t request(struct virtio *v, uint32_t type, uint64_t sector, uint32_t len, bool write)
{
	put(0x800, type, 4);
	put(0x808, sector, 8);
	bytes[0x900] = 0xff;
	desc(0, 0, 0x800, 16, NEXT, len ? 1 : 2);
	desc(0, 1, DATA, len, (write ? 0 : WRITE) | NEXT, 2);
	desc(0, 2, 0x900, 1, WRITE, 0);
	offer(0, 0);
	notify(v, 0);
	return bytes[0x900];
}

static void a_disk_reads_writes_and_flushes(void)
{
	struct virtio *v = fresh_block(false);

	ok(rd(v, 0x100) == 16, "sectors");
	ok(request(v, 0, 3, 1024, false) == 0 && used_len(0, 0) == 1025);
	ok(bytes[DATA] == 4 && bytes[DATA + 512] == 5 && bytes[DATA + 1024] == 0);
	memset(bytes + DATA, 0x77, 512);
	ok(request(v, 1, 15, 512, true) == 0 && medium[15 * 512] == 0x77 && medium[14 * 512] == 15);
	flushes = 0;
	ok(request(v, 4, 0, 0, true) == 0 && flushes == 1);
	ok(request(v, 8, 0, 20, false) == 0 && !memcmp(bytes + DATA, "disk0", 6));
	ok(request(v, 11, 0, 512, true) == 2, "discard is not offered");
}

static void a_disk_stays_within_itself(void)
{
	struct virtio *v = fresh_block(false);

	ok(request(v, 0, 15, 1024, false) == 1);
	ok(request(v, 0, 16, 512, false) == 1);
	ok(request(v, 0, UINT64_MAX / 512, 512, false) == 1);
	ok(request(v, 1, UINT64_MAX, 512, true) == 1);
	ok(request(v, 0, 0, 100, false) == 1, "not a sector");
	v = fresh_block(true);
	ok(request(v, 1, 0, 512, true) == 1 && medium[0] == 1, "read-only");
	ok(rd(v, 0x70) == 15, "a failed request is no reason to stop");
}

static void a_request_may_be_cut_anywhere(void)
{
	struct virtio *v = fresh_block(false);
	uint32_t at = DATA, lens[] = {100, 600, 323, 1};

	/* Header in two pieces; 1024 bytes of data and the status in odd ones. */
	put(0x808, 2, 8);
	desc(0, 0, 0x800, 5, NEXT, 1);
	desc(0, 1, 0x805, 11, NEXT, 2);
	for (unsigned i = 0; i < 4; i++) {
		desc(0, 2 + i, at, lens[i], WRITE | (i < 3 ? NEXT : 0), 3 + i);
		at += 1000;
	}
	/* 100 + 600 + 323 + 1 is 1024: the status has to come in a piece of its own. */
	desc(0, 5, DATA + 3000, 2, WRITE, 0);
	offer(0, 0);
	notify(v, 0);
	ok(used_len(0, 0) == 1025, "%u", used_len(0, 0));
	ok(bytes[DATA] == 3 && bytes[DATA + 99] == 3 && bytes[DATA + 1000] == 3);
	ok(bytes[DATA + 1000 + 411] == 3 && bytes[DATA + 1000 + 412] == 4);
	ok(bytes[DATA + 2322] == 4 && bytes[DATA + 3000] == 4 && bytes[DATA + 3001] == 0);
}

static void a_request_without_room_for_the_status_breaks_the_disk(void)
{
	struct virtio *v = fresh_block(false);

	desc(0, 0, 0x800, 16, 0, 0);
	offer(0, 0);
	notify(v, 0);
	ok(is_broken(v));
}

static void another_disk_is_not_taken_for_the_saved_one(void)
{
	AUTO(buf) struct buf b = {0};
	struct err e = {0};

	fresh_block(false);
	dev_save(&block.virtio.dev, &b);
	disk.bytes = 4096;
	vblock_init(&block, "disk0", &ram, test_line, &disk);
	ok(dev_load(&block.virtio.dev, buf_span(&b), &e) == -EBADMSG, "%s", e.text);
}

static void a_balloon_gives_pages_back(void)
{
	static struct vballoon b;

	vballoon_init(&b, "balloon", &ram, test_line);
	drive(&b.virtio, 1ull << 5, 3);
	looked = false;
	memset(bytes + 0x8000, 1, 0x4000);
	put(DATA, 8, 4);
	put(DATA + 4, 10, 4);
	put(DATA + 8, 0xfffffff, 4); /* not RAM */
	desc(0, 0, DATA, 12, 0, 0);
	offer(0, 0);
	notify(&b.virtio, 0);
	ok(discarded == 8192 && bytes[0x8000] == 0 && bytes[0x9000] == 1 && bytes[0xa000] == 0);
	desc(2, 0, 0x9000, 0x1000, WRITE, 0);
	offer(2, 0);
	notify(&b.virtio, 2);
	ok(discarded == 12288 && bytes[0x9000] == 0 && used_count(2) == 1);
	ok(!looked, "what they held is not waited for");
	vballoon_set_target(&b, 77);
	ok(rd(&b.virtio, 0x100) == 77 && line);
	wr(&b.virtio, 0x104, 50);
	ok(rd(&b.virtio, 0x104) == 50);
}

/* ---- network ---------------------------------------------------------------------------- */

enum { RX, TX };
enum { F_CSUM = 1 << 0, F_GUEST_CSUM = 1 << 1, F_MRG_RXBUF = 1 << 15 };

static struct vnet net;

/* A wire that keeps what is sent and gives what it was given. */
static struct {
	struct wire wire;
	uint8_t sent[NET_FRAME_MAX], given[NET_FRAME_MAX];
	size_t n_sent, sent_bytes, given_bytes;
	bool is_full, is_cut;
} end;

static bool end_send(struct wire *w, struct span frame)
{
	if (end.is_full)
		return false;
	span_copy(end.sent, frame);
	end.sent_bytes = frame.len;
	end.n_sent++;
	return true;
}

static size_t end_receive(struct wire *w, uint8_t *frame)
{
	size_t n = end.given_bytes;

	memcpy(frame, end.given, n);
	end.given_bytes = 0;
	return n;
}

static bool end_is_cut(struct wire *w)
{
	return end.is_cut;
}

static void end_save(struct wire *w, struct buf *out)
{
	buf_add_text(out, "kept");
}

static int end_load(struct wire *w, struct span in, struct err *e)
{
	return span_equal(in, span_of_text("kept")) ? 0 : err_say(e, -EBADMSG, "not kept");
}

static const uint8_t mac[NET_MAC_BYTES] = {2, 1, 2, 3, 4, 5};

static void plug_in(struct wire *wire, const uint8_t *address)
{
	vnet_finish(&net);
	vnet_init(&net, "net", &ram, test_line, wire, address);
}

static struct virtio *fresh_net(uint64_t features)
{
	memset(&end, 0, sizeof(end));
	end.wire = (struct wire){-1, end_send, end_receive, end_is_cut, end_save, end_load};
	plug_in(&end.wire, mac);
	drive(&net.virtio, features, 2);
	return &net.virtio;
}

static void give(size_t len)
{
	for (size_t i = 0; i < len; i++)
		end.given[i] = (uint8_t)i;
	end.given_bytes = len;
	vnet_move(&net);
}

static void a_frame_is_sent_once_there_is_room(void)
{
	struct virtio *v = fresh_net(0);

	for (unsigned i = 0; i < 72; i++)
		put(DATA + i, i, 1);
	put(DATA, 0, 8);
	put(DATA + 8, 0, 4);
	desc(TX, 0, DATA, 12, NEXT, 1);
	desc(TX, 1, DATA + 12, 60, 0, 0);
	end.is_full = true;
	offer(TX, 0);
	notify(v, TX);
	ok(used_count(TX) == 0 && vnet_wants_to_send(&net), "it waits");
	end.is_full = false;
	vnet_move(&net);
	ok(used_count(TX) == 1 && end.n_sent == 1 && end.sent_bytes == 60 && end.sent[0] == 12);
	ok(!vnet_wants_to_send(&net) && line);
}

static void a_checksum_that_was_left_to_us_is_right(void)
{
	struct virtio *v = fresh_net(F_CSUM);
	unsigned sum = 0;

	put(DATA, 1, 1); /* NEEDS_CSUM */
	put(DATA + 6, 14, 2);
	put(DATA + 8, 6, 2);
	for (unsigned i = 0; i < 33; i++)
		put(DATA + 12 + 14 + i, 7 * i, 1);
	desc(TX, 0, DATA, 12 + 14 + 33, 0, 0);
	offer(TX, 0);
	notify(v, TX);
	for (unsigned i = 0; i < 33; i++)
		sum += (unsigned)end.sent[14 + i] << (i % 2 ? 0 : 8);
	/* The old value of the field was part of it, as a pseudo-header's sum is. */
	sum += (7 * 6) << 8 | 7 * 7;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ok(sum == 0xffff, "%x", sum);
	/* Outside of the frame there is nothing to sum up. */
	put(DATA + 6, 0xffff, 2);
	offer(TX, 0);
	notify(v, TX);
	put(DATA + 6, 14, 2);
	put(DATA + 8, 32, 2);
	offer(TX, 0);
	notify(v, TX);
	ok(end.n_sent == 3 && end.sent[14 + 32] == (uint8_t)(7 * 32) && !is_broken(v));
}

static void a_frame_fills_as_many_buffers_as_it_needs(void)
{
	struct virtio *v = fresh_net(F_MRG_RXBUF | F_GUEST_CSUM);

	ok(!vnet_can_receive(&net), "no buffers yet");
	for (unsigned i = 0; i < 3; i++)
		desc(RX, i, DATA + 0x100 * i, 100, WRITE, 0);
	offer(RX, 0);
	offer(RX, 1);
	ok(vnet_can_receive(&net));
	give(250);
	ok(used_count(RX) == 0 && !vnet_can_receive(&net), "it waits for a third");
	offer(RX, 2);
	notify(v, RX);
	ok(used_count(RX) == 3 && line && net.waiting == 0);
	ok(used_len(RX, 0) == 100 && used_len(RX, 1) == 100 && used_len(RX, 2) == 62);
	ok(get(DATA, 1) == 2 && get(DATA + 10, 2) == 3, "valid, in three");
	ok(get(DATA + 12, 1) == 0 && get(DATA + 99, 1) == 87 && get(DATA + 0x100, 1) == 88 &&
	   get(DATA + 0x200 + 61, 1) == 249);
}

static void a_frame_that_is_too_long_for_its_one_buffer_is_lost(void)
{
	struct virtio *v = fresh_net(0);

	desc(RX, 0, DATA, 100, WRITE, 0);
	offer(RX, 0);
	give(89);
	ok(used_count(RX) == 0 && net.waiting == 0 && vnet_can_receive(&net));
	give(88);
	ok(used_count(RX) == 1 && used_len(RX, 0) == 100 && get(DATA + 10, 2) == 1);
	desc(RX, 1, DATA, 20, WRITE, 0);
	offer(RX, 1);
	give(60);
	ok(is_broken(v), "a buffer without room for headers");
}

static void a_link_goes_down_when_the_wire_is_cut_and_the_driver_hears_of_it(void)
{
	struct virtio *v = fresh_net(0);

	ok((rd(v, 0x104) >> 16 & 1) == 1 && (rd(v, 0x100) & 0xffff) == 0x0102);
	ok(rd(v, 0x108) >> 16 == NET_MTU && !line);
	end.is_cut = true;
	vnet_move(&net);
	ok((rd(v, 0x104) >> 16 & 1) == 0 && rd(v, 0x60) == 2 && line);
	ok(!vnet_can_receive(&net));
}

static void a_network_is_restored_with_and_without_a_wire(void)
{
	static const uint8_t same[NET_MAC_BYTES], fresh[NET_MAC_BYTES] = {2, 9, 9, 9, 9, 9};
	AUTO(buf) struct buf first = {0};
	AUTO(buf) struct buf second = {0};
	struct virtio *v = fresh_net(0);

	desc(TX, 0, DATA, 72, 0, 0);
	end.is_full = true;
	offer(TX, 0);
	notify(v, TX);
	dev_save(&v->dev, &first);
	plug_in(NULL, same);
	ok(!dev_load(&v->dev, buf_span(&first), NULL));
	ok(!memcmp(net.state.mac, mac, sizeof(mac)) && net.state.is_down && line);
	dev_save(&v->dev, &second);
	end.is_full = false;
	plug_in(&end.wire, fresh);
	ok(!dev_load(&v->dev, buf_span(&second), NULL), "what the wire kept came along");
	ok(!memcmp(net.state.mac, fresh, sizeof(fresh)) && !net.state.is_down);
	vnet_move(&net);
	ok(end.n_sent == 1 && used_count(TX) == 1, "what was queued is sent");
	vnet_finish(&net);
	net = (struct vnet){0};
}

/* 2.7.10: the driver names the buffer it waits for. */
static void an_event_index_is_waited_for(void)
{
	struct virtio *v = fresh_net(VIRTIO_F_EVENT_IDX);

	desc(TX, 0, DATA, 72, 0, 0);
	for (unsigned i = 0; i < 4; i++) {
		wr(v, 0x64, 1);
		put(AVAIL + QUEUE_STRIDE + 4 + 2 * SIZE, 2, 2); /* the third */
		offer(TX, 0);
		notify(v, TX);
		/* The first time nothing is known of the driver yet. */
		ok(line == (i == 0 || i == 2), "buffer %u", i);
	}
}

int main(void)
{
	RUN(the_transport_says_who_it_is);
	RUN(features_that_were_not_offered_are_not_ok);
	RUN(a_chain_is_filled_and_announced);
	RUN(a_driver_that_wants_no_interrupt_gets_none);
	RUN(an_indirect_chain_works_and_nests_not);
	RUN(hostile_chains_break_the_device);
	RUN(readable_after_writable_is_refused);
	RUN(hostile_rings_break_the_device);
	RUN(a_record_that_no_device_could_have_is_refused);
	RUN(a_console_prints_takes_input_and_resizes);
	RUN(a_disk_reads_writes_and_flushes);
	RUN(a_disk_stays_within_itself);
	RUN(a_request_may_be_cut_anywhere);
	RUN(a_request_without_room_for_the_status_breaks_the_disk);
	RUN(another_disk_is_not_taken_for_the_saved_one);
	RUN(a_balloon_gives_pages_back);
	RUN(a_frame_is_sent_once_there_is_room);
	RUN(a_checksum_that_was_left_to_us_is_right);
	RUN(a_frame_fills_as_many_buffers_as_it_needs);
	RUN(a_frame_that_is_too_long_for_its_one_buffer_is_lost);
	RUN(a_link_goes_down_when_the_wire_is_cut_and_the_driver_hears_of_it);
	RUN(an_event_index_is_waited_for);
	RUN(a_network_is_restored_with_and_without_a_wire);
	return tap_done();
}
