/* SPDX-License-Identifier: MIT */
/*
 * virtio network (virtio-v1.2, 5.1): one pair of queues, large frames.
 *
 * Offloads are few, because the other end of the wire is in this host's memory: frames are large,
 * which saves the guest what segmentation would; checksums that its driver leaves to us are made
 * here; and those of received frames are said to be right, since nothing can have damaged them.
 *
 * A frame that waits for buffers here, and those that are on the wire, are lost in a snapshot, as
 * frames may be. What the driver has queued is state, and is sent after a restore.
 */
#include <string.h>

#include "dev/virtio.h"

#define F_CSUM (1ull << 0)       /* we make checksums that are left to do */
#define F_GUEST_CSUM (1ull << 1) /* so does the driver; and it can be told that one is right */
#define F_MTU (1ull << 3)
#define F_MAC (1ull << 5)
#define F_MRG_RXBUF (1ull << 15) /* a frame may fill several chains */
#define F_STATUS (1ull << 16)

#define STATUS_LINK_UP 1u
#define NEEDS_CSUM 1u
#define DATA_VALID 2u

enum { QUEUE_RX, QUEUE_TX, QUEUES };

/* Before each frame, both ways (5.1.6); segmentation is not offered, so most of it stays zero. */
enum {
	HEADER_FLAGS = 0,
	HEADER_CSUM_START = 6,
	HEADER_CSUM_OFFSET = 8,
	HEADER_BUFFERS = 10,
	HEADER_BYTES = 12
};

static const struct field vnet_fields[] = {
	FIELD_REC(struct vnet_state, virtio, 1, &virtio_state_type, "transport"),
	FIELD(struct vnet_state, mac, 2, NET_MAC_BYTES, "address"),
	FIELD(struct vnet_state, is_down, 3, 1,
              "nothing is plugged in, as far as the driver knows"),
	FIELD(struct vnet_state, wire, 4, 4 << 20, "the wire's own record"),
};
const struct rec_type vnet_state_type =
	REC_TYPE(vnet_state, vnet_fields, .doc = "virtio network device");

/* ---- a wire that leads nowhere ------------------------------------------------------------ */

static bool lose(struct wire *w, struct span frame)
{
	return true;
}

static size_t never(struct wire *w, uint8_t *frame)
{
	return 0;
}

static bool is_not_cut(struct wire *w)
{
	return false;
}

static void save_nothing(struct wire *w, struct buf *out)
{
}

static int load_anything(struct wire *w, struct span in, struct err *e)
{
	return 0;
}

struct wire wire_to_nowhere = {.fd = -1,
                               .send = lose,
                               .receive = never,
                               .is_cut = is_not_cut,
                               .save = save_nothing,
                               .load = load_anything};

/* ---- from the driver ---------------------------------------------------------------------- */

static uint16_t get_le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static void put_le16(uint8_t *p, size_t value)
{
	p[0] = (uint8_t)value;
	p[1] = (uint8_t)(value >> 8);
}

/* The internet checksum (RFC 1071) of all from @start on, put where @offset says. */
static void make_checksum(uint8_t *frame, size_t len, size_t start, size_t offset)
{
	uint64_t sum = 0;
	size_t i;

	if (start + offset + 2 > len)
		return;
	for (i = start; i + 1 < len; i += 2)
		sum += (uint64_t)(frame[i] << 8 | frame[i + 1]);
	if (i < len)
		sum += (uint64_t)frame[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	sum = ~sum & 0xffff;
	/* In UDP a zero would mean that there is none; the other zero is as good everywhere. */
	if (!sum)
		sum = 0xffff;
	frame[start + offset] = (uint8_t)(sum >> 8);
	frame[start + offset + 1] = (uint8_t)sum;
}

/* Return: false if the wire has no room for it. */
static bool send_frame(struct vnet *n, const struct virtq_chain *c)
{
	uint8_t header[HEADER_BYTES];
	size_t len;

	if (chain_read(c, 0, header, sizeof(header)) != sizeof(header))
		return true;
	len = chain_read(c, HEADER_BYTES, n->out, NET_FRAME_MAX);
	if (len < NET_ETHERNET_BYTES || c->out_bytes - HEADER_BYTES > len || !n->wire)
		return true;
	if (header[HEADER_FLAGS] & NEEDS_CSUM)
		make_checksum(n->out, len, get_le16(header + HEADER_CSUM_START),
		              get_le16(header + HEADER_CSUM_OFFSET));
	return n->wire->send(n->wire, SPAN(n->out, len));
}

static void transmit(struct vnet *n)
{
	struct virtio *v = &n->virtio;
	bool any = false;

	n->is_blocked = false;
	while (virtq_pop(v, QUEUE_TX, &n->first)) {
		if (!send_frame(n, &n->first)) {
			virtq_rewind(v, QUEUE_TX, 1);
			n->is_blocked = true;
			break;
		}
		virtq_push(v, QUEUE_TX, &n->first, 0);
		any = true;
	}
	if (any)
		virtq_interrupt(v, QUEUE_TX);
}

/* ---- to the driver ------------------------------------------------------------------------ */

/*
 * Put the waiting frame into the driver's buffers; its chains are given back only when all of it
 * is there. Return: false if they are not enough.
 */
static bool deliver(struct vnet *n)
{
	struct virtio *v = &n->virtio;
	bool may_split = v->state->driver_features & F_MRG_RXBUF;
	size_t total = HEADER_BYTES + n->waiting, at = 0;
	struct {
		uint16_t head;
		uint32_t bytes;
	} filled[VIRTQ_SIZE_MAX];
	unsigned count = 0;
	uint8_t number[2];

	memset(n->in, 0, HEADER_BYTES);
	if (v->state->driver_features & F_GUEST_CSUM)
		n->in[HEADER_FLAGS] = DATA_VALID;
	while (at < total) {
		struct virtq_chain *c = count ? &n->rest : &n->first;
		size_t part;

		if (count == VIRTQ_SIZE_MAX || !virtq_pop(v, QUEUE_RX, c)) {
			virtq_rewind(v, QUEUE_RX, count);
			return false;
		}
		part = (size_t)MIN(c->in_bytes, total - at);
		/* No driver offers buffers in which not even an ordinary frame has room. */
		if (!count && part < HEADER_BYTES + MIN(n->waiting, NET_ETHERNET_BYTES)) {
			virtio_break(v);
			return false;
		}
		if (part < total && !may_split) {
			virtq_rewind(v, QUEUE_RX, 1);
			n->waiting = 0;
			return true;
		}
		chain_write(v, c, 0, n->in + at, part);
		filled[count].head = c->head;
		filled[count++].bytes = (uint32_t)part;
		at += part;
	}
	put_le16(number, count);
	chain_write(v, &n->first, HEADER_BUFFERS, number, sizeof(number));
	for (unsigned i = 0; i < count; i++)
		virtq_push_head(v, QUEUE_RX, filled[i].head, filled[i].bytes);
	n->waiting = 0;
	return true;
}

/* The link goes down when the wire is cut, and is not mended before the machine is restored. */
static void look_at_wire(struct vnet *n)
{
	bool is_down = !n->wire || n->wire->is_cut(n->wire);

	if (is_down == n->state.is_down)
		return;
	n->state.is_down = is_down;
	virtio_config_changed(&n->virtio);
}

static void receive(struct vnet *n)
{
	bool any = false;

	/* As many at a time as there can be buffers: then the guest gets its turn. */
	for (unsigned i = 0; n->wire && i < VIRTQ_SIZE_MAX; i++) {
		if (!n->waiting) {
			if (!virtq_has_chain(&n->virtio, QUEUE_RX))
				break;
			n->waiting = n->wire->receive(n->wire, n->in + HEADER_BYTES);
		}
		if (!n->waiting || !deliver(n))
			break;
		any = true;
	}
	if (any)
		virtq_interrupt(&n->virtio, QUEUE_RX);
}

bool vnet_can_receive(struct vnet *n)
{
	return n->wire && !n->state.is_down && !n->waiting && virtq_has_chain(&n->virtio, QUEUE_RX);
}

bool vnet_wants_to_send(const struct vnet *n)
{
	return n->wire && !n->state.is_down && n->is_blocked;
}

void vnet_move(struct vnet *n)
{
	receive(n);
	if (n->is_blocked)
		transmit(n);
	look_at_wire(n);
}

/* ---- the device --------------------------------------------------------------------------- */

static void vnet_notify(struct virtio *v, unsigned q)
{
	struct vnet *n = (struct vnet *)v;

	if (q == QUEUE_TX)
		transmit(n);
	else
		receive(n);
}

static struct span vnet_config(struct virtio *v)
{
	struct vnet *n = (struct vnet *)v;

	memcpy(n->config, n->state.mac, NET_MAC_BYTES);
	put_le16(n->config + 6, n->state.is_down ? 0 : STATUS_LINK_UP);
	put_le16(n->config + 8, 1); /* pairs of queues */
	put_le16(n->config + 10, NET_MTU);
	return SPAN(n->config, sizeof(n->config));
}

static void vnet_reset(struct virtio *v)
{
	struct vnet *n = (struct vnet *)v;

	n->waiting = 0;
	n->is_blocked = false;
}

static void vnet_saving(struct virtio *v)
{
	struct vnet *n = (struct vnet *)v;

	/* Without a wire there is still what the last one has left. */
	if (n->wire) {
		n->saved.len = 0;
		n->wire->save(n->wire, &n->saved);
	}
	n->state.wire = buf_span(&n->saved);
}

static int vnet_loaded(struct virtio *v, struct err *e)
{
	static const uint8_t none[NET_MAC_BYTES];
	struct vnet *n = (struct vnet *)v;
	int r = 0;

	n->saved.len = 0;
	buf_add(&n->saved, n->state.wire.data, n->state.wire.len);
	n->state.wire = (struct span){0};
	if (n->wire)
		r = n->wire->load(n->wire, buf_span(&n->saved), e);
	if (memcmp(n->mac, none, NET_MAC_BYTES) != 0)
		memcpy(n->state.mac, n->mac, NET_MAC_BYTES);
	n->waiting = 0;
	/* What was queued when the snapshot was taken is found when the wire is first looked at. */
	n->is_blocked = virtio_is_ready(v);
	if (!r)
		look_at_wire(n);
	return r;
}

static const struct virtio_class vnet_class = {
	.id = 1,
	.n_queues = QUEUES,
	.features = F_CSUM | F_GUEST_CSUM | F_MTU | F_MAC | F_MRG_RXBUF | F_STATUS,
	.notify = vnet_notify,
	.config = vnet_config,
	.reset = vnet_reset,
	.saving = vnet_saving,
	.loaded = vnet_loaded,
};

void vnet_init(struct vnet *n, const char *name, const struct dev_ram *ram, struct irq_line irq,
               struct wire *wire, const uint8_t mac[NET_MAC_BYTES])
{
	*n = (struct vnet){.wire = wire,
	                   .state.is_down = !wire,
	                   .out = xalloc(NET_FRAME_MAX),
	                   .in = xalloc(HEADER_BYTES + NET_FRAME_MAX)};
	memcpy(n->mac, mac, NET_MAC_BYTES);
	memcpy(n->state.mac, mac, NET_MAC_BYTES);
	virtio_init(&n->virtio, name, &vnet_class, &vnet_state_type, &n->state, &n->state.virtio,
	            ram, irq);
}

void vnet_finish(struct vnet *n)
{
	free(n->out);
	free(n->in);
	buf_finish(&n->saved);
}
