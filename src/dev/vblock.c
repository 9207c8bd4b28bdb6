/* SPDX-License-Identifier: MIT */
/*
 * virtio block device (virtio-v1.2, 5.2). Requests are finished before the notification
 * returns: at any moment between two instructions of the guest none is in flight, so a snapshot
 * needs to know of none.
 */
#include "dev/virtio.h"

#include <string.h>

#define SECTOR 512u
#define HEADER_BYTES 16u
#define ID_BYTES 20u
#define SEGMENTS_MAX (VIRTQ_SIZE_MAX - 2u)

#define F_SEG_MAX (1ull << 2)
#define F_READ_ONLY (1ull << 5)
#define F_BLOCK_SIZE (1ull << 6)
#define F_FLUSH (1ull << 9)

enum { REQUEST_READ = 0, REQUEST_WRITE = 1, REQUEST_FLUSH = 4, REQUEST_ID = 8 };
enum { STATUS_OK, STATUS_IO_ERROR, STATUS_UNSUPPORTED };

static const struct field vblock_fields[] = {
	FIELD_REC(struct vblock_state, virtio, 1, &virtio_state_type, "transport"),
	FIELD(struct vblock_state, bytes, 2, UINT64_MAX, "capacity"),
};
const struct rec_type vblock_state_type =
	REC_TYPE(vblock_state, vblock_fields, .doc = "virtio block device");

static uint64_t get_le(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

/*
 * Moves the data part of a request, which may be cut into segments anywhere. @skip bytes of
 * the first segments are the header. Only whole sectors go to the disk: a segment that is not
 * a multiple of them goes through a sector of our own.
 */
static bool transfer(struct vblock *b, const struct virtq_chain *c, bool write, uint64_t sector,
                     uint64_t bytes)
{
	struct virtio *v = &b->virtio;
	unsigned first = write ? 0 : c->n_out, n = write ? c->n_out : c->n_in;
	uint64_t skip = write ? HEADER_BYTES : 0, at = sector * SECTOR, done = 0;

	if (bytes % SECTOR || sector > b->disk->bytes / SECTOR ||
	    bytes > b->disk->bytes - sector * SECTOR)
		return false;
	for (unsigned i = first; i < first + n && done < bytes;) {
		const struct virtq_segment *s = &c->segment[i];
		uint64_t left, whole;
		uint8_t bounce[SECTOR], *host;
		int r;

		if (skip >= s->bytes) {
			skip -= s->bytes;
			i++;
			continue;
		}
		left = MIN(s->bytes - skip, bytes - done);
		whole = left - left % SECTOR;
		if (whole) {
			host = ram_at(v->ram, s->gpa + skip, whole);
			r = write ? b->disk->write(b->disk, at + done, host, whole)
			          : b->disk->read(b->disk, at + done, host, whole);
			if (!write)
				ram_wrote(v->ram, s->gpa + skip, whole);
			if (r)
				return false;
			done += whole;
			skip += whole;
			continue;
		}
		if (write) {
			chain_read(c, HEADER_BYTES + done, bounce, SECTOR);
			r = b->disk->write(b->disk, at + done, bounce, SECTOR);
		} else {
			r = b->disk->read(b->disk, at + done, bounce, SECTOR);
			if (!r)
				chain_write(v, c, done, bounce, SECTOR);
		}
		if (r)
			return false;
		done += SECTOR;
		skip += SECTOR;
	}
	return done == bytes;
}

static uint8_t serve(struct vblock *b, const struct virtq_chain *c, uint64_t *written)
{
	uint8_t header[HEADER_BYTES];
	uint64_t room = c->in_bytes - 1, sector;

	if (chain_read(c, 0, header, sizeof(header)) != sizeof(header))
		return STATUS_IO_ERROR;
	sector = get_le(header + 8, 8);
	switch (get_le(header, 4)) {
	case REQUEST_READ:
		if (!transfer(b, c, false, sector, room))
			return STATUS_IO_ERROR;
		*written = room;
		return STATUS_OK;
	case REQUEST_WRITE:
		if (b->disk->read_only ||
		    !transfer(b, c, true, sector, c->out_bytes - HEADER_BYTES))
			return STATUS_IO_ERROR;
		return STATUS_OK;
	case REQUEST_FLUSH:
		return b->disk->flush(b->disk) ? STATUS_IO_ERROR : STATUS_OK;
	case REQUEST_ID:
		*written = chain_write(&b->virtio, c, 0, b->serial, MIN(room, ID_BYTES));
		return STATUS_OK;
	default:
		return STATUS_UNSUPPORTED;
	}
}

static void vblock_notify(struct virtio *v, unsigned q)
{
	struct vblock *b = (struct vblock *)v;
	struct virtq_chain chain;
	bool any = false;

	while (virtq_pop(v, q, &chain)) {
		uint64_t written = 0;
		uint8_t status;

		/* Without room for the status there is no way to answer. */
		if (!chain.in_bytes) {
			virtio_break(v);
			return;
		}
		status = serve(b, &chain, &written);
		chain_write(v, &chain, chain.in_bytes - 1, &status, 1);
		virtq_push(v, q, &chain, written + 1);
		any = true;
	}
	if (any)
		virtq_interrupt(v, q);
}

static struct span vblock_config(struct virtio *v)
{
	struct vblock *b = (struct vblock *)v;
	uint64_t sectors = b->disk->bytes / SECTOR;

	memset(b->config, 0, sizeof(b->config));
	for (unsigned i = 0; i < 8; i++)
		b->config[i] = (uint8_t)(sectors >> (8 * i));
	b->config[12] = SEGMENTS_MAX & 0xff; /* seg_max; size_max before it is not offered */
	b->config[20] = SECTOR & 0xff;       /* blk_size */
	b->config[21] = SECTOR >> 8;
	return SPAN(b->config, sizeof(b->config));
}

static int vblock_loaded(struct virtio *v, struct err *e)
{
	struct vblock *b = (struct vblock *)v;

	if (b->state.bytes == b->disk->bytes)
		return 0;
	return err_say(e, -EBADMSG, "its disk had %llu bytes and has %llu now",
	               (unsigned long long)b->state.bytes, (unsigned long long)b->disk->bytes);
}

static const struct virtio_class vblock_class = {
	.id = 2,
	.n_queues = 1,
	.features = F_SEG_MAX | F_BLOCK_SIZE | F_FLUSH,
	.notify = vblock_notify,
	.config = vblock_config,
	.loaded = vblock_loaded,
};

void vblock_init(struct vblock *b, const char *name, const struct dev_ram *ram, struct irq_line irq,
                 struct disk *disk)
{
	*b = (struct vblock){.disk = disk, .state = {.bytes = disk->bytes}};
	virtio_init(&b->virtio, name, &vblock_class, &vblock_state_type, &b->state,
	            &b->state.virtio, ram, irq);
	b->virtio.extra_features = disk->read_only ? F_READ_ONLY : 0;
	strncpy(b->serial, name, sizeof(b->serial) - 1);
}
