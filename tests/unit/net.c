/* SPDX-License-Identifier: MIT */
/*
 * The host's end of a machine's network: ports, what passes, connections that are known, and the
 * helper process itself, spoken to in frames.
 */
#include "net/net-int.h"
#include "tap.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_MS 10000

/* ---- ports ------------------------------------------------------------------------------ */

static void a_port_is_published_where_it_was_asked_for(void)
{
	static const struct {
		const char *text, *address;
		unsigned port, guest_port;
		bool is_udp;
	} good[] = {
		{"8080:80", "127.0.0.1", 8080, 80, false},
		{"1:65535/tcp", "127.0.0.1", 1, 65535, false},
		{"53:5353/udp", "127.0.0.1", 53, 5353, true},
		{"0.0.0.0:8080:80", "0.0.0.0", 8080, 80, false},
		{"[::1]:8080:80/udp", "::1", 8080, 80, true},
	};
	char address[INET6_ADDRSTRLEN];

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct net_publish p;
		bool six;

		ok(!net_parse_publish(good[i].text, &p, NULL), "%s", good[i].text);
		six = p.host.any.sa_family == AF_INET6;
		inet_ntop(p.host.any.sa_family,
		          six ? (void *)&p.host.v6.sin6_addr : (void *)&p.host.v4.sin_addr, address,
		          sizeof(address));
		ok(!strcmp(address, good[i].address), "%s", address);
		ok(ntohs(p.host.v4.sin_port) == good[i].port && p.guest_port == good[i].guest_port);
		ok(p.is_udp == good[i].is_udp);
	}
}

static void what_is_no_port_is_said_to_be_none(void)
{
	static const char *const bad[] = {
		"",           ":",          "80",         "80:",
		":80",        "0:80",       "80:0",       "65536:80",
		"80:80/sctp", "80:80/",     "::1:80:80",  "[::1]",
		"[::1]:80",   "[::1:80:80", "name:80:80", "1.2.3:80:80",
		"80:80:",     "-1:80",      "1.2.3.4:80", "[127.0.0.1]:80:80",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct net_publish p;
		struct err e = {0};

		ok(net_parse_publish(bad[i], &p, &e) == -EINVAL, "%s", bad[i]);
		ok(strstr(e.text, "--publish"), "%s", e.text);
	}
}

/* ---- frames ----------------------------------------------------------------------------- */

struct frame {
	uint8_t bytes[128];
	size_t len;
};

enum { OF_IP4 = NET_ETHERNET_BYTES, OF_TO4 = OF_IP4 + 16, OF_TO6 = OF_IP4 + 24 };

static const uint8_t mac[NET_MAC_BYTES] = {2, 0, 0, 0, 0, 1};

/* A segment to the guest, or turned round: from it. Checksums do not matter here. */
static struct frame segment(const char *guest, unsigned guest_port, const char *peer,
                            unsigned peer_port, unsigned flags, bool from_guest)
{
	bool six = strchr(guest, ':');
	struct flow flow = {.guest_port = (uint16_t)(from_guest ? peer_port : guest_port),
	                    .peer_port = (uint16_t)(from_guest ? guest_port : peer_port),
	                    .address_bytes = six ? 16 : 4};
	struct frame f;

	inet_pton(six ? AF_INET6 : AF_INET, from_guest ? peer : guest, flow.guest);
	inet_pton(six ? AF_INET6 : AF_INET, from_guest ? guest : peer, flow.peer);
	f.len = packet_make_syn(f.bytes, &flow, mac);
	f.bytes[NET_ETHERNET_BYTES + (six ? 40 : 20) + 13] = (uint8_t)flags;
	return f;
}

static struct span span_of(const struct frame *f)
{
	return SPAN(f->bytes, f->len);
}

static unsigned checksum(const uint8_t *p, size_t len, uint32_t sum)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void a_frame_that_is_made_is_one_that_is_understood(void)
{
	struct frame f = segment("10.0.2.15", 80, "10.0.2.2", 1234, TCP_SYN, false);
	struct packet p;

	ok(packet_parse(span_of(&f), &p) && p.address_bytes == 4 && !p.is_fragment);
	ok(packet_port_from(&p) == 1234 && packet_port_to(&p) == 80 &&
	   packet_tcp_flags(&p) == TCP_SYN);
	ok(checksum(f.bytes + OF_IP4, 20, 0) == 0xffff, "of the header");
	ok(checksum(f.bytes + OF_IP4 + 12, 28, PROTOCOL_TCP + 20) == 0xffff, "of the segment");
	f = segment("fec0::15", 80, "fec0::2", 1234, TCP_SYN, false);
	ok(packet_parse(span_of(&f), &p) && p.address_bytes == 16 && packet_port_to(&p) == 80);
	ok(checksum(f.bytes + OF_IP4 + 8, 52, PROTOCOL_TCP + 20) == 0xffff);
	for (size_t len = 0; len < f.len; len++)
		ok(!packet_parse(SPAN(f.bytes, len), &p) || p.body.len + 54 <= len, "%zu", len);
}

static bool passes(bool host_loopback, const char *to, unsigned port)
{
	const struct net_options options = {.host_loopback = host_loopback};
	const char *guest = strchr(to, ':') ? "fec0::15" : "10.0.2.15";
	struct frame f = segment(guest, 40000, to, port, TCP_SYN, true);

	return filter_passes(&options, span_of(&f));
}

static void the_hosts_loopback_is_closed_unless_it_was_opened(void)
{
	static const char *const closed[] = {"127.0.0.1", "127.0.0.53",       "127.255.255.255",
	                                     "0.0.0.0",   "0.1.2.3",          "::1",
	                                     "::",        "::ffff:127.0.0.1", "::127.0.0.1"};
	static const char *const open[] = {"10.0.2.2", "1.1.1.1", "fec0::2", "2001:db8::1",
	                                   "255.255.255.255"};

	for (size_t i = 0; i < ARRAY_LEN(closed); i++)
		ok(!passes(false, closed[i], 80) && passes(true, closed[i], 80), "%s", closed[i]);
	for (size_t i = 0; i < ARRAY_LEN(open); i++)
		ok(passes(false, open[i], 80) && passes(true, open[i], 80), "%s", open[i]);
}

static void the_name_server_is_asked_for_names_only(void)
{
	const struct net_options options = {0};
	struct frame f;

	ok(passes(false, "10.0.2.3", 53) && passes(false, "fec0::3", 53));
	ok(!passes(false, "10.0.2.3", 22) && !passes(false, "fec0::3", 22));
	ok(passes(true, "10.0.2.3", 22));
	/* A fragment's port may come later. */
	f = segment("10.0.2.15", 40000, "10.0.2.3", 53, TCP_SYN, true);
	f.bytes[OF_IP4 + 6] = 0x20;
	ok(!filter_passes(&options, span_of(&f)));
	f.bytes[OF_IP4 + 6] = 0;
	f.bytes[OF_IP4 + 7] = 3;
	ok(!filter_passes(&options, span_of(&f)));
}

/* ---- connections ------------------------------------------------------------------------ */

static struct flows *flows;

static void note(const char *guest, unsigned guest_port, const char *peer, unsigned peer_port,
                 unsigned flags, bool from_guest)
{
	struct frame f = segment(guest, guest_port, peer, peer_port, flags, from_guest);

	flows_note(flows, span_of(&f), from_guest);
}

static size_t known(void)
{
	AUTO(arena) struct arena a = {0};
	struct list l = {0};

	flows_list(flows, &l, &a);
	return l.count;
}

static void connections_are_known_from_their_first_segment_to_their_last(void)
{
	const char *g = "10.0.2.15", *p = "10.0.2.2";

	flows = flows_create();
	note(g, 1000, p, 80, TCP_SYN, true);
	note(g, 1000, p, 80, TCP_SYN | TCP_ACK, false);
	note(g, 1000, p, 80, TCP_ACK, true);
	ok(known() == 1);
	note(g, 22, p, 5000, TCP_SYN, false);
	ok(known() == 1, "asked for, not answered");
	note(g, 22, p, 5000, TCP_SYN | TCP_ACK, true);
	ok(known() == 2);
	note("fec0::15", 1000, "fec0::2", 80, TCP_SYN, true);
	ok(known() == 3);
	note(g, 1000, p, 80, TCP_FIN | TCP_ACK, true);
	ok(known() == 3);
	note(g, 1000, p, 80, TCP_FIN | TCP_ACK, false);
	ok(known() == 2);
	note(g, 22, p, 5000, TCP_RST, false);
	ok(known() == 1);
	note("fec0::15", 1000, "fec0::2", 80, TCP_RST | TCP_ACK, true);
	ok(known() == 0);
	flows_destroy(flows);
}

static void too_many_connections_forget_the_oldest(void)
{
	struct flow last = {.guest = {10, 0, 2, 15}, .address_bytes = 4};
	AUTO(arena) struct arena a = {0};
	struct list l = {0};
	bool found = false;

	flows = flows_create();
	for (unsigned port = 1; port <= 60000; port++) {
		last.guest_port = (uint16_t)port;
		flows_add(flows, &last);
	}
	flows_list(flows, &l, &a);
	LIST_EACH(&l, const struct flow, f)
		found |= f->guest_port == last.guest_port;
	ok(l.count == FLOWS_MAX && found, "%zu", l.count);
	flows_destroy(flows);
}

/* ---- the helper ------------------------------------------------------------------------- */

static struct frame who_has(const char *address)
{
	static const uint8_t head[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,  0, 0, 0, 0,
	                               1,    8,    6,    0,    1,    8,    0,  6, 4, 0, 1,
	                               2,    0,    0,    0,    0,    1,    10, 0, 2, 15};
	struct frame f = {.len = 42};

	memcpy(f.bytes, head, sizeof(head));
	inet_pton(AF_INET, address, f.bytes + 38);
	return f;
}

/* The next frame of a kind; Return: its bytes, 0 if none comes. */
static size_t await(struct wire *w, uint8_t *frame, unsigned type)
{
	struct pollfd p = {.fd = w->fd, .events = POLLIN};

	while (poll(&p, 1, LIMIT_MS) > 0) {
		size_t n = w->receive(w, frame);

		if (!n && w->is_cut(w))
			return 0;
		if (n > NET_ETHERNET_BYTES && (frame[12] << 8 | frame[13]) == (int)type)
			return n;
	}
	return 0;
}

static void the_helper_answers_and_ends_with_its_wire(void)
{
	static const struct net_options options;
	static uint8_t frame[NET_FRAME_MAX];
	struct err e = {0};
	struct net *n = net_start(&options, &e);
	struct frame ask = who_has("10.0.2.2");
	int status;

	ok(n, "%s", e.text);
	if (!n)
		return;
	ok(net_wire(n)->send(net_wire(n), span_of(&ask)));
	ok(await(net_wire(n), frame, 0x0806) >= 42 && frame[21] == 2, "an answer");
	ok(frame[22] == 0x52 && frame[23] == 0x55, "from the gateway");
	net_destroy(n);
	ok(wait(&status) > 0 && WIFEXITED(status) && !WEXITSTATUS(status), "%x", status);
}

/* Taken by us, so that it is certainly taken. */
static int take_port(int type, unsigned *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&a, len) || (type == SOCK_STREAM && listen(fd, 1)) ||
	    getsockname(fd, (struct sockaddr *)&a, &len))
		return -1;
	*port = ntohs(a.sin_port);
	return fd;
}

static void a_port_that_is_taken_is_named(void)
{
	for (unsigned is_udp = 0; is_udp < 2; is_udp++) {
		struct net_options options = {.n_publish = 1};
		struct err e = {0};
		struct net *n;
		unsigned port = 0;
		int fd = take_port(is_udp ? SOCK_DGRAM : SOCK_STREAM, &port);
		char text[32];

		snprintf(text, sizeof(text), "%u:80%s", port, is_udp ? "/udp" : "");
		ok(fd >= 0 && !net_parse_publish(text, &options.publish[0], NULL));
		n = net_start(&options, &e);
		ok(n && net_wait(n, &e), "%s", text);
		ok(strstr(e.text, text) && strstr(e.text, "uses that port already"), "%s", e.text);
		net_destroy(n);
		wait(NULL);
		close(fd);
		n = net_start(&options, &e);
		ok(n && !net_wait(n, &e), "now it is free: %s", e.text);
		net_destroy(n);
		wait(NULL);
	}
}

static void a_record_brings_connections_back_to_be_reset(void)
{
	static const struct net_options options;
	static uint8_t frame[NET_FRAME_MAX];
	struct frame syn = segment("10.0.2.15", 1000, "10.0.2.2", 80, TCP_SYN, true);
	AUTO(buf) struct buf kept = {0};
	struct err e = {0};
	struct net *n = net_start(&options, &e), *next = net_start(&options, &e);
	struct wire *w = net_wire(next);
	struct packet p;
	size_t len;

	ok(net_wire(n)->send(net_wire(n), span_of(&syn)));
	net_wire(n)->save(net_wire(n), &kept);
	ok(!w->load(w, buf_span(&kept), &e), "%s", e.text);
	len = w->receive(w, frame);
	ok(packet_parse(SPAN(frame, len), &p) && packet_tcp_flags(&p) == TCP_SYN &&
	   packet_port_from(&p) == 80 && packet_port_to(&p) == 1000 && p.to[3] == 15);
	ok(!memcmp(frame, syn.bytes + NET_MAC_BYTES, NET_MAC_BYTES), "to where the guest was");
	ok(!w->receive(w, frame), "once");
	/* It was not reset yet, as far as anybody knows: the next restore does it again. */
	kept.len = 0;
	w->save(w, &kept);
	ok(!w->load(w, buf_span(&kept), &e) && w->receive(w, frame) == len);
	ok(w->load(w, SPAN("\xff", 1), &e) == -EBADMSG);
	net_destroy(n);
	net_destroy(next);
	ok(wait(NULL) > 0 && wait(NULL) > 0);
}

int main(void)
{
	RUN(a_port_is_published_where_it_was_asked_for);
	RUN(what_is_no_port_is_said_to_be_none);
	RUN(a_frame_that_is_made_is_one_that_is_understood);
	RUN(the_hosts_loopback_is_closed_unless_it_was_opened);
	RUN(the_name_server_is_asked_for_names_only);
	RUN(connections_are_known_from_their_first_segment_to_their_last);
	RUN(too_many_connections_forget_the_oldest);
	RUN(the_helper_answers_and_ends_with_its_wire);
	RUN(a_port_that_is_taken_is_named);
	RUN(a_record_brings_connections_back_to_be_reset);
	return tap_done();
}
