/* SPDX-License-Identifier: MIT */
/*
 * The guest's TCP connections, as far as they can be seen from their frames.
 *
 * Only segments that begin or end a connection are looked at: a SYN makes it known, a RST or a FIN
 * from both sides makes it forgotten. A connection that the guest gave up without a word is kept;
 * that costs one segment after a restore, which the guest answers with a RST.
 *
 * The table has a fixed size and a few places for each hash. When those are taken the one that is
 * longest there gives way; its connection is then reset only when the guest says something on it.
 */
#include <string.h>

#include "net/net-int.h"

#define WAYS 4
#define SETS (FLOWS_MAX / WAYS)

struct flows {
	struct flow set[SETS][WAYS]; /* youngest first; one without address_bytes is free */
};

struct flows *flows_create(void)
{
	return xalloc(sizeof(struct flows));
}

void flows_destroy(struct flows *f)
{
	free(f);
}

void flows_clear(struct flows *f)
{
	memset(f, 0, sizeof(*f));
}

/* FNV-1a: a guest that makes its own connections collide loses nothing but a reset. */
static struct flow *set_of(struct flows *f, const struct flow *flow)
{
	const uint8_t *bytes = (const uint8_t *)flow;
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < offsetof(struct flow, address_bytes); i++)
		hash = (hash ^ bytes[i]) * 16777619u;
	return f->set[(hash ^ hash >> 16) % SETS];
}

static bool is_same(const struct flow *a, const struct flow *b)
{
	return !memcmp(a, b, offsetof(struct flow, ended));
}

static struct flow *find(struct flow *set, const struct flow *flow)
{
	for (unsigned i = 0; i < WAYS; i++)
		if (is_same(&set[i], flow))
			return &set[i];
	return NULL;
}

static void forget(struct flow *set, struct flow *found)
{
	size_t after = (size_t)(set + WAYS - 1 - found);

	memmove(found, found + 1, after * sizeof(*found));
	memset(&set[WAYS - 1], 0, sizeof(*found));
}

void flows_add(struct flows *f, const struct flow *flow)
{
	struct flow *set = set_of(f, flow), *found = find(set, flow);

	if (found)
		forget(set, found);
	memmove(set + 1, set, (WAYS - 1) * sizeof(*set));
	set[0] = *flow;
}

void flows_note(struct flows *f, struct span frame, bool from_guest)
{
	struct flow flow = {0}, *set, *found;
	struct packet p;
	unsigned flags;

	if (!packet_parse(frame, &p))
		return;
	flags = packet_tcp_flags(&p);
	if (!(flags & (TCP_SYN | TCP_RST | TCP_FIN)))
		return;
	memcpy(flow.guest, from_guest ? p.from : p.to, p.address_bytes);
	memcpy(flow.peer, from_guest ? p.to : p.from, p.address_bytes);
	flow.guest_port = from_guest ? packet_port_from(&p) : packet_port_to(&p);
	flow.peer_port = from_guest ? packet_port_to(&p) : packet_port_from(&p);
	flow.address_bytes = (uint8_t)p.address_bytes;
	set = set_of(f, &flow);
	found = find(set, &flow);
	if (flags & TCP_RST) {
		if (found)
			forget(set, found);
	} else if (flags & TCP_SYN) {
		if (from_guest)
			flows_add(f, &flow);
	} else if (found) {
		found->ended |= from_guest ? FLOW_GUEST_ENDED : FLOW_PEER_ENDED;
		if (found->ended == (FLOW_GUEST_ENDED | FLOW_PEER_ENDED))
			forget(set, found);
	}
}

void flows_list(const struct flows *f, struct list *out, struct arena *a)
{
	for (unsigned i = 0; i < SETS; i++)
		/* Oldest first: adding them in this order makes the same table. */
		for (unsigned k = WAYS; k-- > 0;)
			if (f->set[i][k].address_bytes)
				*LIST_ADD(out, a, struct flow) = f->set[i][k];
}
