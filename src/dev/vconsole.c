/* SPDX-License-Identifier: MIT */
/* virtio console (virtio-v1.2, 5.3): one port, with its size. */
#include "dev/virtio.h"

#define F_SIZE (1ull << 0)

enum { QUEUE_RX, QUEUE_TX, QUEUES };

static const struct field vconsole_fields[] = {
	FIELD_REC(struct vconsole_state, virtio, 1, &virtio_state_type, "transport"),
	FIELD(struct vconsole_state, cols, 2, UINT16_MAX, "columns"),
	FIELD(struct vconsole_state, rows, 3, UINT16_MAX, "rows"),
};
const struct rec_type vconsole_state_type =
	REC_TYPE(vconsole_state, vconsole_fields, .doc = "virtio console");

static void vconsole_notify(struct virtio *v, unsigned q)
{
	struct vconsole *c = (struct vconsole *)v;
	struct virtq_chain chain;
	bool any = false;

	/* Input waits on the host's side until there is room, and its owner looks for that. */
	if (q != QUEUE_TX)
		return;
	while (virtq_pop(v, q, &chain)) {
		for (unsigned i = 0; i < chain.n_out && c->out.write; i++) {
			const struct virtq_segment *s = &chain.segment[i];

			c->out.write(c->out.arg, ram_at(v->ram, s->gpa, s->bytes), s->bytes);
		}
		virtq_push(v, q, &chain, 0);
		any = true;
	}
	if (any)
		virtq_interrupt(v, q);
}

size_t vconsole_input(struct vconsole *c, const uint8_t *data, size_t len)
{
	struct virtio *v = &c->virtio;
	struct virtq_chain chain;
	size_t done = 0;

	while (done < len && virtq_pop(v, QUEUE_RX, &chain)) {
		size_t n = chain_write(v, &chain, 0, data + done, len - done);

		virtq_push(v, QUEUE_RX, &chain, n);
		done += n;
	}
	if (done)
		virtq_interrupt(v, QUEUE_RX);
	return done;
}

void vconsole_resize(struct vconsole *c, uint16_t cols, uint16_t rows)
{
	if (c->state.cols == cols && c->state.rows == rows)
		return;
	c->state.cols = cols;
	c->state.rows = rows;
	virtio_config_changed(&c->virtio);
}

static struct span vconsole_config(struct virtio *v)
{
	struct vconsole *c = (struct vconsole *)v;

	c->config[0] = (uint8_t)c->state.cols;
	c->config[1] = (uint8_t)(c->state.cols >> 8);
	c->config[2] = (uint8_t)c->state.rows;
	c->config[3] = (uint8_t)(c->state.rows >> 8);
	c->config[4] = 1; /* ports */
	return SPAN(c->config, sizeof(c->config));
}

static const struct virtio_class vconsole_class = {
	.id = 3,
	.n_queues = QUEUES,
	.features = F_SIZE,
	.notify = vconsole_notify,
	.config = vconsole_config,
};

void vconsole_init(struct vconsole *c, const char *name, const struct dev_ram *ram,
                   struct irq_line irq, struct byte_sink out)
{
	*c = (struct vconsole){.out = out, .state = {.cols = 80, .rows = 24}};
	virtio_init(&c->virtio, name, &vconsole_class, &vconsole_state_type, &c->state,
	            &c->state.virtio, ram, irq);
}
