/* SPDX-License-Identifier: MIT */
/*
 * Where a guest may send to. libslirp connects wherever a packet says, and so a packet to 127.0.0.1
 * would reach what listens there on the host; and the name server's address stands for whatever the
 * host's resolver is, often a loopback address too, on every port. Unless the host's loopback was
 * opened, nothing is let through that leads there. What libslirp itself refuses, the gateway's
 * address, it does: with an answer to the guest.
 */
#include <string.h>

#include "net/net-int.h"

#define DNS_PORT 53

static const uint8_t name_server[4] = {10, 0, 2, 3};
static const uint8_t name_server6[16] = {0xfe, 0xc0, [15] = 3};
static const uint8_t zeros[16];

static bool is_dns(const struct packet *p)
{
	bool has_ports = p->protocol == PROTOCOL_TCP || p->protocol == PROTOCOL_UDP;

	return !has_ports || (!p->is_fragment && packet_port_to(p) == DNS_PORT);
}

static bool passes(const struct packet *p)
{
	/* "This host" (RFC 1122) and loopback. */
	if (p->to[0] == 0 || p->to[0] == 127)
		return false;
	return memcmp(p->to, name_server, sizeof(name_server)) != 0 || is_dns(p);
}

static bool passes6(const struct packet *p)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	/* ::, ::1 and IPv4 in its deprecated form; ::ffff:127.0.0.1 is the host's 127.0.0.1. */
	if (!memcmp(p->to, zeros, 12) || !memcmp(p->to, mapped, sizeof(mapped)))
		return false;
	return memcmp(p->to, name_server6, sizeof(name_server6)) != 0 || is_dns(p);
}

bool filter_passes(const struct net_options *options, struct span frame)
{
	struct packet p;

	/* Of what is not IP libslirp knows ARP only. What is cut short, it drops. */
	if (options->host_loopback || !packet_parse(frame, &p))
		return true;
	return p.address_bytes == 4 ? passes(&p) : passes6(&p);
}
