/* SPDX-License-Identifier: MIT */
/* virtio entropy source (virtio-v1.2, 5.4). */
#include "dev/virtio.h"

static const struct field vrng_fields[] = {
	FIELD_REC(struct vrng_state, virtio, 1, &virtio_state_type, "transport"),
};
const struct rec_type vrng_state_type =
	REC_TYPE(vrng_state, vrng_fields, .doc = "virtio entropy source");

/* A guest cannot have us make more than this for one buffer; less than asked for is allowed. */
#define REQUEST_MAX 4096

static void vrng_notify(struct virtio *v, unsigned q)
{
	struct vrng *r = (struct vrng *)v;
	struct virtq_chain chain;
	bool any = false;

	while (virtq_pop(v, q, &chain)) {
		uint8_t bytes[REQUEST_MAX];
		size_t n = MIN(chain.in_bytes, sizeof(bytes));

		r->random(bytes, n);
		virtq_push(v, q, &chain, chain_write(v, &chain, 0, bytes, n));
		any = true;
	}
	if (any)
		virtq_interrupt(v, q);
}

static const struct virtio_class vrng_class = {
	.id = 4,
	.n_queues = 1,
	.notify = vrng_notify,
};

void vrng_init(struct vrng *r, const char *name, const struct dev_ram *ram, struct irq_line irq,
               void (*random)(void *out, size_t len))
{
	*r = (struct vrng){.random = random};
	virtio_init(&r->virtio, name, &vrng_class, &vrng_state_type, &r->state, &r->state.virtio,
	            ram, irq);
}
