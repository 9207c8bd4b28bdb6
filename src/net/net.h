/* SPDX-License-Identifier: MIT */
/*
 * net: what is at the other end of a machine's network device: a user-mode network, by libslirp,
 * which needs neither root nor a device of the host's.
 *
 *	guest - virtqueue - machine process = socket pair = helper process - sockets of the host
 *
 * The helper
 *	The machine process makes no sockets, so another one does: it is forked before the guest
 *	runs, has nothing but its end of the pair, and ends with the machine. Until the guest sends
 *	its first frame it only waits: libslirp is not even loaded, unless a port is published. It
 *	then confines itself (confine.c) before it looks at that frame. A message is a frame.
 *
 * The network is the same for every machine, and no two machines share one:
 *
 *	| address                | who                                                        |
 *	|------------------------|------------------------------------------------------------|
 *	| 10.0.2.15, fec0::15    | the guest; DHCP gives it the same                          |
 *	| 10.0.2.2, fec0::2      | the gateway; with host_loopback also the host's 127.0.0.1  |
 *	| 10.0.2.3, fec0::3      | DNS, forwarded to the host's resolver                      |
 *
 * Restores
 *	Host sockets are in no snapshot. What the guest still believes to be connected is known here
 *	(flows.c): after a restore each of its connections is reset. Nothing else has to be brought
 *	back: address resolution starts anew by itself, leases are asked for by address, and ports
 *	are published by whoever restores. So libslirp's own saved state is not used, and no
 *	snapshot reaches its parser.
 */
#ifndef WSLX_NET_H
#define WSLX_NET_H

#include <netinet/in.h>

#include "base/base.h"
#include "dev/virtio.h"

#define NET_PUBLISH_MAX 64

#define NET_GUEST "10.0.2.15"
#define NET_GUEST6 "fec0::15"

/* A port of the host that leads to one of the guest. */
struct net_publish {
	const char *text; /* as it was asked for; borrowed */
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} host;
	uint16_t guest_port;
	bool is_udp;
};

struct net_options {
	bool host_loopback; /* the guest may reach what listens on the host's loopback only */
	struct net_publish publish[NET_PUBLISH_MAX];
	unsigned n_publish;
};

/**
 * net_parse_publish() - "[ADDRESS:]PORT:GUESTPORT[/tcp|/udp]"
 * @text: borrowed; an IPv6 ADDRESS stands in brackets; 127.0.0.1 if there is none
 *
 * Return: 0; -EINVAL with a sentence.
 */
MUST_CHECK int net_parse_publish(const char *text, struct net_publish *out, struct err *e);

struct net;

/**
 * net_start() - start the helper, and return while it starts
 * Return: NULL with a reason.
 */
struct net *net_start(const struct net_options *options, struct err *e);
/**
 * net_wait() - wait until all ports are published; only if there are any
 * Return: 0; what the helper failed with: one sentence.
 */
MUST_CHECK int net_wait(struct net *n, struct err *e);
void net_destroy(struct net *n); /* NULL is fine; the helper ends */

/* For the machine's device; owned by @n. */
struct wire *net_wire(struct net *n);

/* An address for a new machine: random, of the locally administered ones. */
void net_make_mac(uint8_t mac[NET_MAC_BYTES]);

#endif
