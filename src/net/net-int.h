/* SPDX-License-Identifier: MIT */
/* What the files of this room share. */
#ifndef WSLX_NET_INT_H
#define WSLX_NET_INT_H

#include "net/net.h"

/* ---- packet.c ----------------------------------------------------------------------------- */

enum { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_ICMP6 = 58 };
enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_ACK = 16 };

/* What an Ethernet frame carries, as far as it is IP. */
struct packet {
	unsigned address_bytes; /* 4 or 16 */
	const uint8_t *from, *to;
	uint8_t protocol;
	bool is_fragment;
	struct span
		body; /* from the header of that protocol on; of a fragment perhaps its middle */
};

/* Return: false for what is not IP, or is cut short. */
bool packet_parse(struct span frame, struct packet *out);
/* Of TCP and UDP; 0 if they are not there. */
uint16_t packet_port_from(const struct packet *p);
uint16_t packet_port_to(const struct packet *p);
/* Of a whole TCP segment; 0 for anything else. */
unsigned packet_tcp_flags(const struct packet *p);

#define PACKET_SYN_MAX (NET_ETHERNET_BYTES + 40 + 20)

/* The ends of a TCP connection. */
struct flow {
	uint8_t guest[16], peer[16]; /* the first address_bytes of them */
	uint16_t guest_port, peer_port;
	uint8_t address_bytes;
	uint8_t ended; /* FLOW_*: who has sent a FIN */
};

/**
 * packet_make_syn() - a frame from a connection's peer to the guest that asks to connect
 * @frame: PACKET_SYN_MAX bytes
 */
size_t packet_make_syn(uint8_t *frame, const struct flow *flow, const uint8_t mac[NET_MAC_BYTES]);

/* ---- flows.c ------------------------------------------------------------------------------ */

#define FLOWS_MAX 4096

enum { FLOW_GUEST_ENDED = 1, FLOW_PEER_ENDED = 2 };

struct flows;

struct flows *flows_create(void);
void flows_destroy(struct flows *f);
/* A frame passes; @from_guest or to it. */
void flows_note(struct flows *f, struct span frame, bool from_guest);
/* All of them, in a fixed order, as struct flow. */
void flows_list(const struct flows *f, struct list *out, struct arena *a);
void flows_clear(struct flows *f);
void flows_add(struct flows *f, const struct flow *flow);

/* ---- wire.c ------------------------------------------------------------------------------- */

/* The machine's end alone. @fd: the socket, owned from now on */
struct net *wire_create(int fd);

/* ---- filter.c ----------------------------------------------------------------------------- */

/* Whether a guest's frame may go to libslirp. */
bool filter_passes(const struct net_options *options, struct span frame);

/* ---- slirp.c ------------------------------------------------------------------------------ */

/* One network. Its sockets are waited for with whatever poll(2) needs for itself. */
struct slirp;
struct pollfd;

struct slirp_host {
	void (*send)(void *arg, struct span frame); /* to the guest */
	void *arg;
};

/**
 * slirp_create() - load the library, make a network, publish its ports
 * Return: NULL with a reason.
 */
struct slirp *slirp_create(const struct net_options *options, const struct slirp_host *host,
                           struct err *e);
void slirp_receive(struct slirp *s, struct span frame); /* from the guest */
/**
 * slirp_wait() - wait for the network's sockets and timers, and for one descriptor more
 * @own:    that one
 * @paused: leave the sockets alone: the guest takes nothing at the moment
 */
void slirp_wait(struct slirp *s, struct pollfd *own, bool paused);

/* ---- confine.c ---------------------------------------------------------------------------- */

/**
 * confine_helper() - give up what a network does not need, once it has been made
 *
 * No capabilities, nobody instead of root, no files but those that name the host's resolver, no
 * listening, and only the system calls that sockets need. Irrevocable.
 */
MUST_CHECK int confine_helper(struct err *e);

/* ---- helper.c ----------------------------------------------------------------------------- */

#define NET_READY "ready"

/**
 * helper_run() - the helper's life, in a process of its own
 * @wire:    where the machine's frames come from
 * @verdict: where NET_READY is said when all ports are published, or else what failed
 */
_Noreturn void helper_run(const struct net_options *options, int wire, int verdict, pid_t machine);

#endif
