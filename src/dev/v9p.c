/* SPDX-License-Identifier: MIT */
/*
 * virtio 9P transport (virtio-v1.2, 5.9 names it; the layout is that of Linux's
 * net/9p/trans_virtio.c): a chain is one request and the room for its answer. Requests are
 * answered in order and at once, so that none is ever in flight when a snapshot is taken.
 */
#include <string.h>

#include "dev/virtio.h"

#define F_MOUNT_TAG (1ull << 0)

enum { QUEUE_REQUESTS, QUEUES };

static const struct field v9p_fields[] = {
	FIELD_REC(struct v9p_state, virtio, 1, &virtio_state_type, "transport"),
	FIELD(struct v9p_state, share, 2, 32 << 20, "the share's own record"),
};
const struct rec_type v9p_state_type =
	REC_TYPE(v9p_state, v9p_fields, .doc = "virtio 9P transport");

static void v9p_notify(struct virtio *v, unsigned q)
{
	struct v9p *p = (struct v9p *)v;
	struct virtq_chain chain;
	bool any = false;

	while (virtq_pop(v, q, &chain)) {
		size_t n = 0;

		if (chain.out_bytes <= SHARE_MESSAGE_MAX) {
			size_t len = chain_read(&chain, 0, p->request, (size_t)chain.out_bytes);
			size_t room = (size_t)MIN(chain.in_bytes, SHARE_MESSAGE_MAX);

			n = p->share->answer(p->share, SPAN(p->request, len), p->reply, room);
		}
		if (!n) {
			virtio_break(v);
			return;
		}
		chain_write(v, &chain, 0, p->reply, n);
		virtq_push(v, q, &chain, n);
		any = true;
	}
	if (any)
		virtq_interrupt(v, q);
}

static struct span v9p_config(struct virtio *v)
{
	struct v9p *p = (struct v9p *)v;
	size_t len = strlen(p->share->tag);

	p->config[0] = (uint8_t)len;
	memcpy(p->config + 2, p->share->tag, len);
	return SPAN(p->config, 2 + len);
}

static void v9p_reset(struct virtio *v)
{
	struct v9p *p = (struct v9p *)v;

	p->share->reset(p->share);
}

static void v9p_saving(struct virtio *v)
{
	struct v9p *p = (struct v9p *)v;

	p->saved.len = 0;
	p->share->save(p->share, &p->saved);
	p->state.share = buf_span(&p->saved);
}

static int v9p_loaded(struct virtio *v, struct err *e)
{
	struct v9p *p = (struct v9p *)v;
	int r = p->share->load(p->share, p->state.share, e);

	p->state.share = (struct span){0};
	return r;
}

static const struct virtio_class v9p_class = {
	.id = 9,
	.n_queues = QUEUES,
	.features = F_MOUNT_TAG,
	.notify = v9p_notify,
	.config = v9p_config,
	.reset = v9p_reset,
	.saving = v9p_saving,
	.loaded = v9p_loaded,
};

void v9p_init(struct v9p *p, const char *name, const struct dev_ram *ram, struct irq_line irq,
              struct share *share)
{
	assert(strlen(share->tag) <= SHARE_TAG_MAX);
	*p = (struct v9p){.share = share,
	                  .request = xalloc(SHARE_MESSAGE_MAX),
	                  .reply = xalloc(SHARE_MESSAGE_MAX)};
	virtio_init(&p->virtio, name, &v9p_class, &v9p_state_type, &p->state, &p->state.virtio, ram,
	            irq);
}

void v9p_finish(struct v9p *p)
{
	free(p->request);
	free(p->reply);
	buf_finish(&p->saved);
}
