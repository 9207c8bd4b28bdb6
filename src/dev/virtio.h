/* SPDX-License-Identifier: MIT */
/*
 * virtio 1.x over MMIO (OASIS virtio-v1.2, 4.2) with split virtqueues (2.7).
 *
 * Both Debian kernels (linux-image-amd64 and linux-image-cloud-amd64 6.1) carry virtio_mmio,
 * virtio_blk, virtio_console, virtio-rng and virtio_balloon as modules, and virtio_mmio binds
 * to the ACPI name LNRO0005: no PCI host bridge is needed, and none is offered.
 */
#ifndef WSLX_DEV_VIRTIO_H
#define WSLX_DEV_VIRTIO_H

#include "dev/dev.h"

#define VIRTIO_BYTES 0x200u /* the window of one device */
#define VIRTIO_QUEUES_MAX 4
#define VIRTQ_SIZE_MAX 256

#define VIRTIO_F_INDIRECT (1ull << 28)
#define VIRTIO_F_EVENT_IDX (1ull << 29)
#define VIRTIO_F_VERSION_1 (1ull << 32)

enum virtio_status {
	VIRTIO_ACKNOWLEDGE = 1,
	VIRTIO_DRIVER = 2,
	VIRTIO_DRIVER_OK = 4,
	VIRTIO_FEATURES_OK = 8,
	VIRTIO_NEEDS_RESET = 64,
	VIRTIO_FAILED = 128,
};

struct virtq_state {
	uint64_t desc, avail, used; /* guest-physical addresses of the three parts */
	uint16_t size;
	uint16_t next_avail; /* what we look at next */
	uint16_t next_used;
	bool ready;
};

struct virtio_state {
	uint64_t driver_features;
	uint32_t status;
	uint32_t device_features_sel, driver_features_sel, queue_sel;
	uint32_t interrupt; /* bit 0: used buffers, bit 1: configuration */
	uint32_t generation;
	struct virtq_state q0, q1, q2, q3;
};

extern const struct rec_type virtio_state_type;

struct virtio;

struct virtio_class {
	uint32_t id;
	unsigned n_queues;
	uint64_t features; /* beyond VERSION_1, EVENT_IDX and INDIRECT */
	/* The driver says that queue @q has something, or DRIVER_OK was set. */
	void (*notify)(struct virtio *v, unsigned q);
	/* Device configuration; reading past its end gives zero. */
	struct span (*config)(struct virtio *v);
	void (*config_write)(struct virtio *v, uint64_t offset, unsigned width, uint64_t value);
	void (*reset)(struct virtio *v);
	/* The state is about to be saved: bring it up to date. NULL: it always is. */
	void (*saving)(struct virtio *v);
	int (*loaded)(struct virtio *v, struct err *e);
};

struct virtio {
	struct dev dev;
	const struct virtio_class *vclass;
	struct virtio_state *state;
	const struct dev_ram *ram;
	struct irq_line irq;
	uint64_t extra_features; /* of this one device, e.g. read-only */
	/* How far a queue's driver was told; not known at first, and after a restore. */
	struct {
		uint16_t used;
		bool known;
	} told[VIRTIO_QUEUES_MAX];
};

/* For devices of ours: @state is the record whose first part is @common. */
void virtio_init(struct virtio *v, const char *name, const struct virtio_class *vclass,
                 const struct rec_type *state_type, void *state, struct virtio_state *common,
                 const struct dev_ram *ram, struct irq_line irq);
static inline bool virtio_is_ready(const struct virtio *v)
{
	return (v->state->status & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET)) == VIRTIO_DRIVER_OK;
}
/* The configuration has changed: tell the driver. */
void virtio_config_changed(struct virtio *v);
/* The guest has broken the rules: the device stops until it is reset. */
void virtio_break(struct virtio *v);

/* ---- queues ----------------------------------------------------------------------------- */

struct virtq_segment {
	uint64_t gpa; /* RAM, which ram_at() finds when it is to be looked at, and not before */
	uint32_t bytes;
};

/* A chain of descriptors: first the driver's bytes, then the room for ours. */
struct virtq_chain {
	uint16_t head;
	unsigned n_out, n_in;
	uint64_t out_bytes, in_bytes;
	const struct dev_ram *ram;
	struct virtq_segment segment[VIRTQ_SIZE_MAX];
};

/**
 * virtq_pop() - take the next available chain
 *
 * Every descriptor lies in RAM when this succeeds.
 * Return: false if there is none, or if the ring is nonsense: then the device is broken.
 */
bool virtq_pop(struct virtio *v, unsigned q, struct virtq_chain *c);
/* Whether virtq_pop() would find one, without taking it. */
bool virtq_has_chain(struct virtio *v, unsigned q);
/* Have virtq_pop() find the last @n chains again, as if they had not been taken. */
void virtq_rewind(struct virtio *v, unsigned q, unsigned n);
/* Give a chain back by its head; @written bytes of its room were used. */
void virtq_push_head(struct virtio *v, unsigned q, uint16_t head, uint64_t written);
static inline void virtq_push(struct virtio *v, unsigned q, const struct virtq_chain *c,
                              uint64_t written)
{
	virtq_push_head(v, q, c->head, written);
}
/* After a batch of virtq_push(): interrupt the driver if it wants to know. */
void virtq_interrupt(struct virtio *v, unsigned q);

/* Copy from the driver's bytes at @at; Return: bytes copied, less than @len at the end. */
size_t chain_read(const struct virtq_chain *c, uint64_t at, void *out, size_t len);
/* Copy into the room at @at. */
size_t chain_write(struct virtio *v, const struct virtq_chain *c, uint64_t at, const void *data,
                   size_t len);

/* ---- console ---------------------------------------------------------------------------- */

struct vconsole_state {
	struct virtio_state virtio;
	uint16_t cols, rows;
};

struct vconsole {
	struct virtio virtio;
	struct vconsole_state state;
	struct byte_sink out;
	uint8_t config[12];
};

extern const struct rec_type vconsole_state_type;
void vconsole_init(struct vconsole *c, const char *name, const struct dev_ram *ram,
                   struct irq_line irq, struct byte_sink out);
/* Return: how many bytes the driver had room for. */
size_t vconsole_input(struct vconsole *c, const uint8_t *data, size_t len);
void vconsole_resize(struct vconsole *c, uint16_t cols, uint16_t rows);

/* ---- block ------------------------------------------------------------------------------ */

/* The host's end of a disk. Positions and lengths are multiples of 512 and within bytes. */
struct disk {
	uint64_t bytes;
	bool read_only;
	int (*read)(struct disk *d, uint64_t at, uint8_t *out, size_t len);
	int (*write)(struct disk *d, uint64_t at, const uint8_t *data, size_t len);
	int (*flush)(struct disk *d);
};

struct vblock_state {
	struct virtio_state virtio;
	uint64_t bytes; /* so that a snapshot is not resumed on another disk */
};

struct vblock {
	struct virtio virtio;
	struct vblock_state state;
	struct disk *disk;
	char serial[21];
	uint8_t config[24];
};

extern const struct rec_type vblock_state_type;
void vblock_init(struct vblock *b, const char *name, const struct dev_ram *ram, struct irq_line irq,
                 struct disk *disk);

/* ---- 9P ---------------------------------------------------------------------------------- */

#define SHARE_MESSAGE_MAX (512u << 10)
#define SHARE_TAG_MAX 32u

/* The host's end of a share: answers one 9P message at a time. */
struct share {
	const char *tag; /* at most SHARE_TAG_MAX bytes */
	/* Return: bytes of the answer; 0 if there is no room for any. */
	size_t (*answer)(struct share *s, struct span request, uint8_t *reply, size_t room);
	void (*reset)(struct share *s);
	void (*save)(struct share *s, struct buf *out);
	int (*load)(struct share *s, struct span in, struct err *e); /* untrusted */
};

struct v9p_state {
	struct virtio_state virtio;
	struct span share; /* the share's own record */
};

struct v9p {
	struct virtio virtio;
	struct v9p_state state;
	struct share *share;
	struct buf saved;
	uint8_t *request, *reply; /* SHARE_MESSAGE_MAX each */
	uint8_t config[2 + SHARE_TAG_MAX];
};

void v9p_init(struct v9p *p, const char *name, const struct dev_ram *ram, struct irq_line irq,
              struct share *share);
void v9p_finish(struct v9p *p); /* one that was never made is fine */

/* ---- network ---------------------------------------------------------------------------- */

#define NET_MAC_BYTES 6
#define NET_ETHERNET_BYTES 14
/*
 * As large as pays: fewer frames are less work for the guest. But two full ones have to fit into
 * TCP's window, which without scaling is 64 KiB: receivers acknowledge every second one at once,
 * and a single one only after a while.
 */
#define NET_MTU 32000u
#define NET_FRAME_MAX (NET_ETHERNET_BYTES + NET_MTU)

/* The host's end of a network: whole Ethernet frames, without checksums that are left to do. */
struct wire {
	int fd; /* for whoever waits until frames can be sent or received; -1: there is nothing */
	/* Return: false if there is no room now; the frame has to be offered again. */
	bool (*send)(struct wire *w, struct span frame);
	/* The next frame, NET_FRAME_MAX bytes at most. Return: its bytes; 0 if there is none. */
	size_t (*receive)(struct wire *w, uint8_t *frame);
	bool (*is_cut)(struct wire *w); /* nothing will ever come again */
	void (*save)(struct wire *w, struct buf *out);
	int (*load)(struct wire *w, struct span in, struct err *e); /* untrusted */
};

/* A network in which nobody else is. */
extern struct wire wire_to_nowhere;

struct vnet_state {
	struct virtio_state virtio;
	uint8_t mac[NET_MAC_BYTES];
	bool is_down;     /* what the driver was told */
	struct span wire; /* the wire's own record */
};

struct vnet {
	struct virtio virtio;
	struct vnet_state state;
	struct wire *wire; /* NULL: nothing is plugged in */
	uint8_t mac[NET_MAC_BYTES];
	struct buf saved;
	uint8_t *out, *in; /* NET_FRAME_MAX each; @in with the device's header before it */
	size_t waiting;    /* bytes of the frame in @in that the driver had no room for */
	bool is_blocked;   /* the wire had no room for what the driver sends */
	struct virtq_chain first, rest;
	uint8_t config[12];
};

extern const struct rec_type vnet_state_type;
/* @mac: all zero keeps that of the state that is loaded */
void vnet_init(struct vnet *n, const char *name, const struct dev_ram *ram, struct irq_line irq,
               struct wire *wire, const uint8_t mac[NET_MAC_BYTES]);
void vnet_finish(struct vnet *n); /* one that was never made is fine */
/* Whether vnet_move() would do something once the wire has, or takes, a frame. */
bool vnet_can_receive(struct vnet *n);
bool vnet_wants_to_send(const struct vnet *n);
/* Carry frames between wire and driver, as many as both have room for. */
void vnet_move(struct vnet *n);

/* ---- entropy ---------------------------------------------------------------------------- */

struct vrng_state {
	struct virtio_state virtio;
};

struct vrng {
	struct virtio virtio;
	struct vrng_state state;
	void (*random)(void *out, size_t len); /* of the host; never a saved state */
};

extern const struct rec_type vrng_state_type;
void vrng_init(struct vrng *r, const char *name, const struct dev_ram *ram, struct irq_line irq,
               void (*random)(void *out, size_t len));

/* ---- balloon ---------------------------------------------------------------------------- */

struct vballoon_state {
	struct virtio_state virtio;
	uint32_t target_pages, actual_pages;
};

struct vballoon {
	struct virtio virtio;
	struct vballoon_state state;
	uint8_t config[8];
	uint64_t reported_bytes; /* since the start: for people, not for the guest */
};

extern const struct rec_type vballoon_state_type;
extern const struct rec_type v9p_state_type;
void vballoon_init(struct vballoon *b, const char *name, const struct dev_ram *ram,
                   struct irq_line irq);
void vballoon_set_target(struct vballoon *b, uint32_t pages);

#endif
