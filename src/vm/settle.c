/* SPDX-License-Identifier: MIT */
#include "vm/settle.h"

/* A halt that the host interrupted for a look at its descriptors is still the same halt. */
#define GAP_NS 100000u

const struct settle_rule settle_rule_default = {
	.window_ns = 1000000000, .long_ns = 20000000, .permille = 900};

void settle_init(struct settle *s, const struct settle_rule *rule)
{
	*s = (struct settle){.rule = *rule};
}

void settle_barrier(struct settle *s, uint64_t now)
{
	if (!s->barrier_ns)
		s->barrier_ns = MAX(now, 1);
}

void settle_halted(struct settle *s, uint64_t from, uint64_t to)
{
	struct settle_halt *last = &s->halt[(s->next + SETTLE_HALTS - 1) % SETTLE_HALTS];

	if (last->to && from >= last->to && from - last->to <= GAP_NS) {
		last->to = to;
		return;
	}
	/* A short one gives its place away: only long ones are looked at. */
	if (last->to - last->from < s->rule.long_ns && last->to)
		*last = (struct settle_halt){from, to};
	else
		s->halt[s->next++ % SETTLE_HALTS] = (struct settle_halt){from, to};
}

unsigned settle_share(const struct settle *s, uint64_t now)
{
	uint64_t start = now > s->rule.window_ns ? now - s->rule.window_ns : 0, sum = 0;

	for (unsigned i = 0; i < SETTLE_HALTS; i++) {
		const struct settle_halt *h = &s->halt[i];
		uint64_t from = MAX(h->from, start), to = MIN(h->to, now);

		if (h->to - h->from >= s->rule.long_ns && to > from)
			sum += to - from;
	}
	return (unsigned)(sum * 1000 / s->rule.window_ns);
}

bool settle_is_settled(const struct settle *s, uint64_t now, bool pending)
{
	if (pending || !s->barrier_ns || now < s->barrier_ns + s->rule.window_ns)
		return false;
	return settle_share(s, now) >= s->rule.permille;
}
