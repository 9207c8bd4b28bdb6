/* SPDX-License-Identifier: MIT */
/* The MMIO transport (virtio-v1.2, 4.2): registers, feature negotiation, reset. */
#include "dev/virtio.h"

#include <string.h>

enum {
	REG_MAGIC = 0x000,
	REG_VERSION = 0x004,
	REG_DEVICE_ID = 0x008,
	REG_VENDOR_ID = 0x00c,
	REG_DEVICE_FEATURES = 0x010,
	REG_DEVICE_FEATURES_SEL = 0x014,
	REG_DRIVER_FEATURES = 0x020,
	REG_DRIVER_FEATURES_SEL = 0x024,
	REG_QUEUE_SEL = 0x030,
	REG_QUEUE_SIZE_MAX = 0x034,
	REG_QUEUE_SIZE = 0x038,
	REG_QUEUE_READY = 0x044,
	REG_QUEUE_NOTIFY = 0x050,
	REG_INTERRUPT_STATUS = 0x060,
	REG_INTERRUPT_ACK = 0x064,
	REG_STATUS = 0x070,
	REG_QUEUE_DESC = 0x080,
	REG_QUEUE_DESC_HIGH = 0x084,
	REG_QUEUE_AVAIL = 0x090,
	REG_QUEUE_AVAIL_HIGH = 0x094,
	REG_QUEUE_USED = 0x0a0,
	REG_QUEUE_USED_HIGH = 0x0a4,
	REG_SHM_LEN = 0x0b0,
	REG_SHM_LEN_HIGH = 0x0b4,
	REG_SHM_BASE = 0x0b8,
	REG_SHM_BASE_HIGH = 0x0bc,
	REG_GENERATION = 0x0fc,
	REG_CONFIG = 0x100,
};

#define MAGIC 0x74726976u     /* "virt" */
#define VENDOR_ID 0x584c5357u /* "WSLX" */
#define COMMON_FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_IDX)
#define INTERRUPT_CONFIG 2u

#define F(m, n, lim, ...) FIELD_HEX(struct virtq_state, m, n, lim, __VA_ARGS__)
static const struct field virtq_fields[] = {
	F(desc, 1, UINT64_MAX, "descriptor table"),
	F(avail, 2, UINT64_MAX, "driver area"),
	F(used, 3, UINT64_MAX, "device area"),
	F(size, 4, VIRTQ_SIZE_MAX, "entries, a power of two"),
	F(next_avail, 5, UINT16_MAX, "available index that is looked at next"),
	F(next_used, 6, UINT16_MAX, "used index that is written next"),
	FIELD(struct virtq_state, ready, 7, 1, "in use"),
};
#undef F

static bool is_power_of_two(uint32_t n)
{
	return n && !(n & (n - 1));
}

static int check_queue(const void *rec, struct err *e)
{
	const struct virtq_state *q = rec;

	if (q->size && !is_power_of_two(q->size))
		return err_say(e, -EBADMSG, "a queue of %u entries, which is no power of two",
		               q->size);
	if (q->ready && !q->size)
		return err_say(e, -EBADMSG, "a queue in use without entries");
	return 0;
}

static const struct rec_type virtq_state_type =
	REC_TYPE(virtq_state, virtq_fields, .doc = "virtqueue", .check = check_queue);

#define F(m, n, lim, ...) FIELD_HEX(struct virtio_state, m, n, lim, __VA_ARGS__)
#define Q(m, n) FIELD_REC(struct virtio_state, m, n, &virtq_state_type, "queue")
static const struct field virtio_fields[] = {
	F(driver_features, 1, UINT64_MAX, "features the driver has accepted"),
	F(status, 2, 0xff, "device status"),
	F(device_features_sel, 3, UINT32_MAX, "feature word to read"),
	F(driver_features_sel, 4, UINT32_MAX, "feature word to write"),
	F(queue_sel, 5, UINT32_MAX, "queue that the registers speak of"),
	F(interrupt, 6, 3, "interrupt status"),
	F(generation, 7, UINT32_MAX, "configuration generation"),
	Q(q0, 8),
	Q(q1, 9),
	Q(q2, 10),
	Q(q3, 11),
};
#undef F
#undef Q
const struct rec_type virtio_state_type =
	REC_TYPE(virtio_state, virtio_fields, .doc = "virtio device");

/* The queue that the queue registers speak of; NULL if the device has no such queue. */
static struct virtq_state *selected(struct virtio *v)
{
	struct virtio_state *s = v->state;
	struct virtq_state *all[VIRTIO_QUEUES_MAX] = {&s->q0, &s->q1, &s->q2, &s->q3};

	return s->queue_sel < v->vclass->n_queues ? all[s->queue_sel] : NULL;
}

static uint64_t offered(const struct virtio *v)
{
	return COMMON_FEATURES | v->vclass->features | v->extra_features;
}

static void update(struct virtio *v)
{
	irq_set(&v->irq, v->state->interrupt);
}

static void reset(struct virtio *v)
{
	uint32_t generation = v->state->generation;

	memset(v->state, 0, sizeof(*v->state));
	memset(v->told, 0, sizeof(v->told));
	v->state->generation = generation;
	if (v->vclass->reset)
		v->vclass->reset(v);
	update(v);
}

void virtio_config_changed(struct virtio *v)
{
	v->state->generation++;
	if (v->state->status & VIRTIO_DRIVER_OK) {
		v->state->interrupt |= INTERRUPT_CONFIG;
		update(v);
	}
}

void virtio_break(struct virtio *v)
{
	v->state->status |= VIRTIO_NEEDS_RESET;
	virtio_config_changed(v);
}

static uint64_t config_read(struct virtio *v, uint64_t offset, unsigned width)
{
	struct span config = v->vclass->config ? v->vclass->config(v) : (struct span){0};
	uint64_t value = 0;

	for (unsigned i = 0; i < width; i++)
		if (offset + i < config.len)
			value |= (uint64_t)config.data[offset + i] << (8 * i);
	return value;
}

static uint64_t virtio_read(struct dev *d, unsigned window, uint64_t offset, unsigned width)
{
	struct virtio *v = (struct virtio *)d;
	struct virtio_state *s = v->state;
	struct virtq_state *q = selected(v);

	if (offset >= REG_CONFIG)
		return config_read(v, offset - REG_CONFIG, width);
	if (width != 4)
		return 0;
	switch (offset) {
	case REG_MAGIC:
		return MAGIC;
	case REG_VERSION:
		return 2;
	case REG_DEVICE_ID:
		return v->vclass->id;
	case REG_VENDOR_ID:
		return VENDOR_ID;
	case REG_DEVICE_FEATURES:
		return s->device_features_sel > 1
		               ? 0
		               : (uint32_t)(offered(v) >> (32 * s->device_features_sel));
	case REG_QUEUE_SIZE_MAX:
		return q ? VIRTQ_SIZE_MAX : 0;
	case REG_QUEUE_READY:
		return q && q->ready;
	case REG_INTERRUPT_STATUS:
		return s->interrupt;
	case REG_STATUS:
		return s->status;
	case REG_SHM_LEN:
	case REG_SHM_LEN_HIGH:
	case REG_SHM_BASE:
	case REG_SHM_BASE_HIGH:
		return UINT32_MAX; /* no shared memory */
	case REG_GENERATION:
		return s->generation;
	default:
		return 0;
	}
}

static void set_half(uint64_t *whole, bool high, uint32_t value)
{
	*whole = high ? (uint32_t)*whole | (uint64_t)value << 32
	              : (*whole & 0xffffffff00000000) | value;
}

static void set_status(struct virtio *v, uint32_t value)
{
	struct virtio_state *s = v->state;
	uint32_t broken = s->status & VIRTIO_NEEDS_RESET;

	if (!value) {
		reset(v);
		return;
	}
	/* FEATURES_OK stays clear if we cannot work with what was accepted (2.2.2, 3.1.1). */
	if ((value & VIRTIO_FEATURES_OK) && !(s->status & VIRTIO_FEATURES_OK) &&
	    ((s->driver_features & ~offered(v)) || !(s->driver_features & VIRTIO_F_VERSION_1)))
		value &= ~(uint32_t)VIRTIO_FEATURES_OK;
	if (!(value & VIRTIO_FEATURES_OK))
		value &= ~(uint32_t)VIRTIO_DRIVER_OK;
	s->status = (value & 0xff) | broken;
	if (virtio_is_ready(v))
		for (unsigned i = 0; i < v->vclass->n_queues; i++)
			v->vclass->notify(v, i);
}

static void write_queue(struct virtio *v, struct virtq_state *q, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case REG_QUEUE_READY:
		q->ready = (value & 1) && q->size;
		if (!q->ready) {
			q->next_avail = q->next_used = 0;
			v->told[v->state->queue_sel].known = false;
		}
		return;
	default:
		break;
	}
	/* A queue is laid out before it is made ready (4.2.2.2). */
	if (q->ready)
		return;
	switch (offset) {
	case REG_QUEUE_SIZE:
		q->size = value <= VIRTQ_SIZE_MAX && is_power_of_two(value) ? (uint16_t)value : 0;
		break;
	case REG_QUEUE_DESC:
	case REG_QUEUE_DESC_HIGH:
		set_half(&q->desc, offset == REG_QUEUE_DESC_HIGH, value);
		break;
	case REG_QUEUE_AVAIL:
	case REG_QUEUE_AVAIL_HIGH:
		set_half(&q->avail, offset == REG_QUEUE_AVAIL_HIGH, value);
		break;
	case REG_QUEUE_USED:
	case REG_QUEUE_USED_HIGH:
		set_half(&q->used, offset == REG_QUEUE_USED_HIGH, value);
		break;
	default:
		break;
	}
}

static void virtio_write(struct dev *d, unsigned window, uint64_t offset, unsigned width,
                         uint64_t value)
{
	struct virtio *v = (struct virtio *)d;
	struct virtio_state *s = v->state;
	uint32_t word = (uint32_t)value;

	if (offset >= REG_CONFIG) {
		if (v->vclass->config_write)
			v->vclass->config_write(v, offset - REG_CONFIG, width, value);
		return;
	}
	if (width != 4)
		return;
	switch (offset) {
	case REG_DEVICE_FEATURES_SEL:
		s->device_features_sel = word;
		break;
	case REG_DRIVER_FEATURES:
		if (!(s->status & VIRTIO_FEATURES_OK) && s->driver_features_sel <= 1)
			set_half(&s->driver_features, s->driver_features_sel, word);
		break;
	case REG_DRIVER_FEATURES_SEL:
		s->driver_features_sel = word;
		break;
	case REG_QUEUE_SEL:
		s->queue_sel = word;
		break;
	case REG_QUEUE_NOTIFY:
		if (word < v->vclass->n_queues && virtio_is_ready(v))
			v->vclass->notify(v, word);
		break;
	case REG_INTERRUPT_ACK:
		s->interrupt &= ~word;
		update(v);
		break;
	case REG_STATUS:
		set_status(v, word);
		break;
	default:
		if (selected(v))
			write_queue(v, selected(v), offset, word);
	}
}

static void virtio_saving(struct dev *d)
{
	struct virtio *v = (struct virtio *)d;

	if (v->vclass->saving)
		v->vclass->saving(v);
}

static int virtio_loaded(struct dev *d, struct err *e)
{
	struct virtio *v = (struct virtio *)d;

	if ((v->state->status & VIRTIO_FEATURES_OK) && (v->state->driver_features & ~offered(v)))
		return err_say(e, -EBADMSG, "its driver uses features that we do not have");
	memset(v->told, 0, sizeof(v->told));
	update(v);
	return v->vclass->loaded ? v->vclass->loaded(v, e) : 0;
}

static const struct dev_class virtio_dev_class = {
	.name = "virtio",
	.read = virtio_read,
	.write = virtio_write,
	.saving = virtio_saving,
	.loaded = virtio_loaded,
};

void virtio_init(struct virtio *v, const char *name, const struct virtio_class *vclass,
                 const struct rec_type *state_type, void *state, struct virtio_state *common,
                 const struct dev_ram *ram, struct irq_line irq)
{
	assert(vclass->n_queues <= VIRTIO_QUEUES_MAX);
	*v = (struct virtio){
		.dev = {&virtio_dev_class, name, state_type, state},
		.vclass = vclass,
		.state = common,
		.ram = ram,
		.irq = irq,
	};
}
