/* SPDX-License-Identifier: MIT */
/*
 * Frames of a guest's, as far as they are looked at before libslirp has them, and the record of
 * connections on any bytes. The first byte chooses: a record, or frames of a length byte and a body
 * each. Frames are copied to allocations of their size, so that a sanitizer sees what is read
 * behind them; and of a type that is IP, so that something is.
 */
#include "net/net-int.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sink;

static void look_at(struct flows *flows, struct span bytes, unsigned how)
{
	static const struct net_options closed;
	uint8_t *copy = xalloc(bytes.len ? bytes.len : 1);
	struct span frame = SPAN(copy, bytes.len);
	struct packet p;

	span_copy(copy, bytes);
	if (frame.len >= NET_ETHERNET_BYTES) {
		copy[12] = how & 1 ? 0x86 : 0x08;
		copy[13] = how & 1 ? 0xdd : 0x00;
	}
	if (packet_parse(frame, &p)) {
		assert(p.body.data >= copy && p.body.data + p.body.len <= copy + frame.len);
		assert(p.to + p.address_bytes <= copy + frame.len);
		/* The promise: nothing that goes to the host's loopback passes. */
		if (p.address_bytes == 4 && p.to[0] == 127)
			assert(!filter_passes(&closed, frame));
		sink += packet_tcp_flags(&p) + packet_port_from(&p) + packet_port_to(&p);
	}
	sink += filter_passes(&closed, frame);
	flows_note(flows, frame, how & 2);
	free(copy);
}

static void frames(struct span in)
{
	struct flows *flows = flows_create();
	AUTO(arena) struct arena a = {0};
	struct list l = {0};

	while (in.len >= 2) {
		size_t n = MIN(in.data[0], in.len - 2);

		look_at(flows, SPAN(in.data + 2, n), in.data[1]);
		in = SPAN(in.data + 2 + n, in.len - 2 - n);
	}
	flows_list(flows, &l, &a);
	LIST_EACH(&l, const struct flow, f)
		assert(f->address_bytes == 4 || f->address_bytes == 16);
	flows_destroy(flows);
}

/* Whatever is accepted comes out again as it went in, and every reset is a frame. */
static void record(struct span in)
{
	AUTO(buf) struct buf first = {0};
	AUTO(buf) struct buf second = {0};
	struct net *n = wire_create(-1);
	struct wire *w = net_wire(n);
	static uint8_t frame[NET_FRAME_MAX];
	size_t len;

	if (!w->load(w, in, NULL)) {
		w->save(w, &first);
		if (w->load(w, buf_span(&first), NULL))
			abort();
		w->save(w, &second);
		assert(span_equal(buf_span(&first), buf_span(&second)));
		while ((len = w->receive(w, frame)))
			assert(len <= PACKET_SYN_MAX);
	}
	net_destroy(n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] & 1)
		frames(SPAN(data + 1, size - 1));
	else
		record(SPAN(data + 1, size - 1));
	return 0;
}
