/* SPDX-License-Identifier: MIT */
/*
 * Split virtqueues (virtio-v1.2, 2.7), with indirect descriptors and event indexes.
 *
 * Everything here is read from memory that the guest can write at any time. Each word is read
 * once and checked after it was read; a chain is at most VIRTQ_SIZE_MAX descriptors long, and
 * at most a queue's size of chains is taken before the driver must have done something; a
 * buffer that is not wholly RAM, or a ring that is not, breaks the device.
 */
#include "dev/virtio.h"

#include <string.h>

#define DESC_NEXT 1u
#define DESC_WRITE 2u
#define DESC_INDIRECT 4u
#define DESC_BYTES 16u
#define AVAIL_NO_INTERRUPT 1u
#define INTERRUPT_USED 1u

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

static struct virtq_state *queue(struct virtio *v, unsigned q)
{
	struct virtio_state *s = v->state;
	struct virtq_state *all[VIRTIO_QUEUES_MAX] = {&s->q0, &s->q1, &s->q2, &s->q3};

	assert(q < v->vclass->n_queues);
	return all[q];
}

/* The guest may run on another thread one day: each access is one load or store. */
static uint16_t load16(const uint8_t *p)
{
	uint16_t v = __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE);

	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? v : __builtin_bswap16(v);
}

/* The check does not see that __atomic_store_n() writes. */
/* NOLINTNEXTLINE(readability-non-const-parameter) */
static void store16(uint8_t *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)(void *)p,
	                 __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? v : __builtin_bswap16(v),
	                 __ATOMIC_RELEASE);
}

static uint64_t get_le(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static void put_le(uint8_t *p, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* The three parts of a ring on the host. */
struct ring {
	uint8_t *desc, *avail, *used;
};

static bool ring_of(struct virtio *v, const struct virtq_state *q, struct ring *r)
{
	uint64_t n = q->size;

	if (!virtio_is_ready(v) || !q->ready)
		return false;
	/* Alignment as 2.7 demands it; the two event words are there in any case. */
	if (!(q->desc & 15) && !(q->avail & 1) && !(q->used & 3)) {
		r->desc = ram_at(v->ram, q->desc, DESC_BYTES * n);
		r->avail = ram_at(v->ram, q->avail, 6 + 2 * n);
		r->used = ram_at(v->ram, q->used, 6 + 8 * n);
		if (r->desc && r->avail && r->used)
			return true;
	}
	virtio_break(v);
	return false;
}

static bool has_event_idx(const struct virtio *v)
{
	return v->state->driver_features & VIRTIO_F_EVENT_IDX;
}

/* How many chains wait; more than the queue holds is nonsense. */
static bool waiting(struct virtio *v, const struct virtq_state *q, const struct ring *r,
                    uint16_t *n)
{
	*n = (uint16_t)(load16(r->avail + 2) - q->next_avail);
	if (*n <= q->size)
		return true;
	virtio_break(v);
	return false;
}

bool virtq_has_chain(struct virtio *v, unsigned qi)
{
	struct virtq_state *q = queue(v, qi);
	struct ring r;
	uint16_t n;

	return ring_of(v, q, &r) && waiting(v, q, &r, &n) && n;
}

static struct desc desc_at(const uint8_t *table, unsigned i)
{
	uint8_t copy[DESC_BYTES];

	memcpy(copy, table + (size_t)DESC_BYTES * i, sizeof(copy));
	return (struct desc){
		.addr = get_le(copy, 8),
		.len = (uint32_t)get_le(copy + 8, 4),
		.flags = (uint16_t)get_le(copy + 12, 2),
		.next = (uint16_t)get_le(copy + 14, 2),
	};
}

static bool add_segment(struct virtio *v, struct virtq_chain *c, const struct desc *d)
{
	unsigned n = c->n_out + c->n_in;

	if (n == VIRTQ_SIZE_MAX)
		return false;
	/* Device-readable ones come first (2.7.4.2). */
	if (!(d->flags & DESC_WRITE) && c->n_in)
		return false;
	if (ram_offset(v->ram, d->addr, d->len) == UINT64_MAX)
		return false;
	c->segment[n] = (struct virtq_segment){d->addr, d->len};
	if (d->flags & DESC_WRITE) {
		c->n_in++;
		c->in_bytes += d->len;
	} else {
		c->n_out++;
		c->out_bytes += d->len;
	}
	return true;
}

/* A table of descriptors from @i on: the queue's own, or an indirect one. */
static bool walk(struct virtio *v, const uint8_t *table, unsigned size, unsigned i,
                 struct virtq_chain *c, bool indirect)
{
	for (unsigned steps = 0; steps < size; steps++) {
		struct desc d;

		if (i >= size)
			return false;
		d = desc_at(table, i);
		if (d.flags & DESC_INDIRECT) {
			const uint8_t *inner = ram_at(v->ram, d.addr, d.len);

			/* It ends the chain, and there is no second level (2.7.5.3.1). */
			if (indirect || (d.flags & DESC_NEXT) || !inner || !d.len ||
			    d.len % DESC_BYTES || d.len / DESC_BYTES > VIRTQ_SIZE_MAX ||
			    !(v->state->driver_features & VIRTIO_F_INDIRECT))
				return false;
			return walk(v, inner, d.len / DESC_BYTES, 0, c, true);
		}
		if (!add_segment(v, c, &d))
			return false;
		if (!(d.flags & DESC_NEXT))
			return true;
		i = d.next;
	}
	return false; /* a loop */
}

bool virtq_pop(struct virtio *v, unsigned qi, struct virtq_chain *c)
{
	struct virtq_state *q = queue(v, qi);
	struct ring r;
	uint16_t n;

	if (!ring_of(v, q, &r) || !waiting(v, q, &r, &n))
		return false;
	if (!n && has_event_idx(v)) {
		/* Ask for a notification, then look again: the driver may just have missed it. */
		store16(r.used + 4 + 8ul * q->size, q->next_avail);
		ram_wrote(v->ram, q->used + 4 + 8ull * q->size, 2);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (!waiting(v, q, &r, &n))
			return false;
	}
	if (!n)
		return false;
	c->head = load16(r.avail + 4 + 2ul * (q->next_avail & (q->size - 1u)));
	c->n_out = c->n_in = 0;
	c->out_bytes = c->in_bytes = 0;
	c->ram = v->ram;
	if (!walk(v, r.desc, q->size, c->head, c, false)) {
		virtio_break(v);
		return false;
	}
	q->next_avail++;
	return true;
}

void virtq_rewind(struct virtio *v, unsigned qi, unsigned n)
{
	struct virtq_state *q = queue(v, qi);

	q->next_avail = (uint16_t)(q->next_avail - n);
}

void virtq_push_head(struct virtio *v, unsigned qi, uint16_t head, uint64_t written)
{
	struct virtq_state *q = queue(v, qi);
	unsigned slot;
	struct ring r;

	if (!ring_of(v, q, &r))
		return;
	slot = q->next_used & (q->size - 1u);
	put_le(r.used + 4 + 8ul * slot, head, 4);
	put_le(r.used + 8 + 8ul * slot, written > UINT32_MAX ? UINT32_MAX : written, 4);
	q->next_used++;
	store16(r.used + 2, q->next_used);
	ram_wrote(v->ram, q->used, 4 + 8ull * q->size);
}

/*
 * With event indexes a driver names the buffer that it waits for: it is interrupted when that is
 * among those that it has not been told of yet (2.7.10). An interrupt too many is allowed, one too
 * few is not, so when it is not known how far it was told it is told again.
 */
static bool wants_interrupt(struct virtio *v, unsigned qi, const struct virtq_state *q,
                            const struct ring *r)
{
	uint16_t event, before = v->told[qi].used;
	bool known = v->told[qi].known;

	if (!has_event_idx(v))
		return !(load16(r->avail) & AVAIL_NO_INTERRUPT);
	event = load16(r->avail + 4 + 2 * q->size);
	v->told[qi].used = q->next_used;
	v->told[qi].known = true;
	return !known || (uint16_t)(q->next_used - event - 1) < (uint16_t)(q->next_used - before);
}

void virtq_interrupt(struct virtio *v, unsigned qi)
{
	struct virtq_state *q = queue(v, qi);
	struct ring r;

	if (!ring_of(v, q, &r))
		return;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!wants_interrupt(v, qi, q, &r))
		return;
	v->state->interrupt |= INTERRUPT_USED;
	irq_set(&v->irq, true);
}

size_t chain_read(const struct virtq_chain *c, uint64_t at, void *out, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < c->n_out && done < len; i++) {
		const struct virtq_segment *s = &c->segment[i];

		if (at >= s->bytes) {
			at -= s->bytes;
			continue;
		}
		size_t n = MIN(len - done, s->bytes - at);

		memcpy((uint8_t *)out + done, ram_at(c->ram, s->gpa + at, n), n);
		done += n;
		at = 0;
	}
	return done;
}

size_t chain_write(struct virtio *v, const struct virtq_chain *c, uint64_t at, const void *data,
                   size_t len)
{
	size_t done = 0;

	for (unsigned i = c->n_out; i < c->n_out + c->n_in && done < len; i++) {
		const struct virtq_segment *s = &c->segment[i];

		if (at >= s->bytes) {
			at -= s->bytes;
			continue;
		}
		size_t n = MIN(len - done, s->bytes - at);

		memcpy(ram_at(c->ram, s->gpa + at, n), (const uint8_t *)data + done, n);
		ram_wrote(v->ram, s->gpa + at, n);
		done += n;
		at = 0;
	}
	return done;
}
