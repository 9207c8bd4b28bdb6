/* SPDX-License-Identifier: MIT */
/* Ethernet, IP and TCP headers: RFC 894, 791, 8200, 9293. */
#include <string.h>

#include "net/net-int.h"

enum { ETHERNET_TYPE = 12, TYPE_IP = 0x0800, TYPE_IP6 = 0x86dd };
enum { IP_BYTES = 20, IP6_BYTES = 40, TCP_BYTES = 20, TCP_FLAGS = 13 };

/* Of the gateway, as libslirp makes it: 52:55 and its IPv4 address. */
static const uint8_t gateway_mac[NET_MAC_BYTES] = {0x52, 0x55, 10, 0, 2, 2};

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static void put16(uint8_t *p, unsigned value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static bool parse_ip(struct span ip, struct packet *out)
{
	unsigned header, total;

	if (ip.len < IP_BYTES || ip.data[0] >> 4 != 4)
		return false;
	header = 4 * (ip.data[0] & 15u);
	total = get16(ip.data + 2);
	if (header < IP_BYTES || total < header || total > ip.len)
		return false;
	*out = (struct packet){
		.address_bytes = 4,
		.from = ip.data + 12,
		.to = ip.data + 16,
		.protocol = ip.data[9],
		.is_fragment = get16(ip.data + 6) & 0x3fff, /* more of them, or an offset */
		.body = SPAN(ip.data + header, total - header),
	};
	return true;
}

static bool parse_ip6(struct span ip, struct packet *out)
{
	unsigned len;

	if (ip.len < IP6_BYTES || ip.data[0] >> 4 != 6)
		return false;
	len = get16(ip.data + 4);
	if (len > ip.len - IP6_BYTES)
		return false;
	/* libslirp knows no extension headers, so what follows one is nothing to it. */
	*out = (struct packet){
		.address_bytes = 16,
		.from = ip.data + 8,
		.to = ip.data + 24,
		.protocol = ip.data[6],
		.body = SPAN(ip.data + IP6_BYTES, len),
	};
	return true;
}

bool packet_parse(struct span frame, struct packet *out)
{
	struct span ip;

	if (frame.len < NET_ETHERNET_BYTES)
		return false;
	ip = SPAN(frame.data + NET_ETHERNET_BYTES, frame.len - NET_ETHERNET_BYTES);
	switch (get16(frame.data + ETHERNET_TYPE)) {
	case TYPE_IP:
		return parse_ip(ip, out);
	case TYPE_IP6:
		return parse_ip6(ip, out);
	default:
		return false;
	}
}

uint16_t packet_port_from(const struct packet *p)
{
	return p->body.len >= 4 ? (uint16_t)get16(p->body.data) : 0;
}

uint16_t packet_port_to(const struct packet *p)
{
	return p->body.len >= 4 ? (uint16_t)get16(p->body.data + 2) : 0;
}

unsigned packet_tcp_flags(const struct packet *p)
{
	if (p->protocol != PROTOCOL_TCP || p->is_fragment || p->body.len < TCP_BYTES)
		return 0;
	return p->body.data[TCP_FLAGS];
}

/* ---- making one --------------------------------------------------------------------------- */

static uint32_t sum16(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += get16(p + i);
	return sum;
}

static unsigned fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

size_t packet_make_syn(uint8_t *frame, const struct flow *flow, const uint8_t mac[NET_MAC_BYTES])
{
	unsigned n = flow->address_bytes, header = n == 4 ? IP_BYTES : IP6_BYTES;
	uint8_t *ip = frame + NET_ETHERNET_BYTES, *tcp = ip + header;

	memset(frame, 0, PACKET_SYN_MAX);
	memcpy(frame, mac, NET_MAC_BYTES);
	memcpy(frame + NET_MAC_BYTES, gateway_mac, NET_MAC_BYTES);
	put16(frame + ETHERNET_TYPE, n == 4 ? TYPE_IP : TYPE_IP6);
	memcpy(ip + header - 2 * n, flow->peer, n);
	memcpy(ip + header - n, flow->guest, n);
	if (n == 4) {
		ip[0] = 0x45;
		put16(ip + 2, IP_BYTES + TCP_BYTES);
		ip[8] = 64;
		ip[9] = PROTOCOL_TCP;
		put16(ip + 10, fold(sum16(0, ip, IP_BYTES)));
	} else {
		ip[0] = 0x60;
		put16(ip + 4, TCP_BYTES);
		ip[6] = PROTOCOL_TCP;
		ip[7] = 64;
	}
	put16(tcp, flow->peer_port);
	put16(tcp + 2, flow->guest_port);
	tcp[12] = TCP_BYTES / 4 << 4;
	tcp[TCP_FLAGS] = TCP_SYN;
	put16(tcp + 14, 1024); /* window */
	/* The pseudo-header is the addresses, the protocol and the length. */
	put16(tcp + 16, fold(sum16(PROTOCOL_TCP + TCP_BYTES, ip + header - 2 * n,
	                           2 * (size_t)n + TCP_BYTES)));
	return NET_ETHERNET_BYTES + header + TCP_BYTES;
}
