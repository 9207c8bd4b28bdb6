/* SPDX-License-Identifier: MIT */
/*
 * virtio balloon (virtio-v1.2, 5.5): pages that the guest gives up on request, and free page
 * reporting, by which it tells us of pages it does not use. Both read as zero afterwards and so
 * are not in a snapshot. The guest takes a reported page back by touching it.
 */
#include "dev/virtio.h"

#define F_REPORTING (1ull << 5)

/*
 * Queues are numbered without gaps over the features that are offered: no statistics and no
 * hinting, so reporting comes third.
 */
enum { QUEUE_INFLATE, QUEUE_DEFLATE, QUEUE_REPORTING, QUEUES };

static const struct field vballoon_fields[] = {
	FIELD_REC(struct vballoon_state, virtio, 1, &virtio_state_type, "transport"),
	FIELD(struct vballoon_state, target_pages, 2, UINT32_MAX, "pages asked of the guest"),
	FIELD(struct vballoon_state, actual_pages, 3, UINT32_MAX, "pages given up"),
};
const struct rec_type vballoon_state_type =
	REC_TYPE(vballoon_state, vballoon_fields, .doc = "virtio balloon");

static void discard(struct virtio *v, uint64_t gpa, uint64_t bytes)
{
	uint64_t end = (gpa + bytes) & ~(uint64_t)(PAGE_BYTES - 1);

	gpa = (gpa + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
	if (gpa >= end || ram_offset(v->ram, gpa, end - gpa) == UINT64_MAX || !v->ram->discard)
		return;
	v->ram->discard(v->ram->arg, gpa, end - gpa);
	ram_wrote(v->ram, gpa, end - gpa);
	((struct vballoon *)v)->reported_bytes += end - gpa;
}

/* The driver's bytes are page frame numbers, four bytes each. */
static void inflate(struct virtio *v, const struct virtq_chain *c)
{
	uint8_t pfn[4];

	/* A driver sends at most a page of them; what is beyond is not looked at. */
	for (uint64_t at = 0; at < MIN(c->out_bytes, PAGE_BYTES); at += sizeof(pfn)) {
		if (chain_read(c, at, pfn, sizeof(pfn)) != sizeof(pfn))
			break;
		discard(v,
		        (uint64_t)(pfn[0] | (uint32_t)pfn[1] << 8 | (uint32_t)pfn[2] << 16 |
		                   (uint32_t)pfn[3] << 24)
		                << PAGE_SHIFT,
		        PAGE_BYTES);
	}
}

static void vballoon_notify(struct virtio *v, unsigned q)
{
	struct virtq_chain chain;
	bool any = false;

	while (virtq_pop(v, q, &chain)) {
		if (q == QUEUE_INFLATE)
			inflate(v, &chain);
		else if (q == QUEUE_REPORTING)
			for (unsigned i = chain.n_out; i < chain.n_out + chain.n_in; i++)
				discard(v, chain.segment[i].gpa, chain.segment[i].bytes);
		virtq_push(v, q, &chain, 0);
		any = true;
	}
	if (any)
		virtq_interrupt(v, q);
}

static struct span vballoon_config(struct virtio *v)
{
	struct vballoon *b = (struct vballoon *)v;

	for (unsigned i = 0; i < 4; i++) {
		b->config[i] = (uint8_t)(b->state.target_pages >> (8 * i));
		b->config[4 + i] = (uint8_t)(b->state.actual_pages >> (8 * i));
	}
	return SPAN(b->config, sizeof(b->config));
}

static void vballoon_config_write(struct virtio *v, uint64_t offset, unsigned width, uint64_t value)
{
	if (offset == 4 && width == 4)
		((struct vballoon *)v)->state.actual_pages = (uint32_t)value;
}

static void vballoon_reset(struct virtio *v)
{
	((struct vballoon *)v)->state.actual_pages = 0;
}

static const struct virtio_class vballoon_class = {
	.id = 5,
	.n_queues = QUEUES,
	.features = F_REPORTING,
	.notify = vballoon_notify,
	.config = vballoon_config,
	.config_write = vballoon_config_write,
	.reset = vballoon_reset,
};

void vballoon_init(struct vballoon *b, const char *name, const struct dev_ram *ram,
                   struct irq_line irq)
{
	*b = (struct vballoon){0};
	virtio_init(&b->virtio, name, &vballoon_class, &vballoon_state_type, &b->state,
	            &b->state.virtio, ram, irq);
}

void vballoon_set_target(struct vballoon *b, uint32_t pages)
{
	b->state.target_pages = pages;
	virtio_config_changed(&b->virtio);
}
