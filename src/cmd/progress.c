/* SPDX-License-Identifier: MIT */
#include "cmd/progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "os/os.h"

#define BAR_CELLS 30u
#define DELAY_NS UINT64_C(300000000) /* what is done by then needs no bar */
#define REDRAW_NS UINT64_C(100000000)

static void draw(struct progress *p, uint64_t now)
{
	uint64_t total = MAX(p->oci.total, p->done), rate;
	unsigned cells = total ? (unsigned)((double)p->done / (double)total * BAR_CELLS) : 0;
	char bar[BAR_CELLS + 1], done[16], all[16], speed[16];

	memset(bar, '#', cells);
	memset(bar + cells, '.', BAR_CELLS - cells);
	bar[BAR_CELLS] = 0;
	rate = (uint64_t)((double)p->done * 1e9 / (double)MAX(now - p->began_ns, 1));
	fprintf(stderr, "\r%s [%s] %s of %s, %s/s\033[K", p->what, bar,
	        text_of_bytes(done, p->done), text_of_bytes(all, total),
	        text_of_bytes(speed, rate));
	p->drawn_ns = now;
	p->shown = true;
}

static void moved(struct oci_progress *oci, uint64_t bytes)
{
	struct progress *p = (struct progress *)oci;
	uint64_t now = os_clock_ns(CLOCK_MONOTONIC);

	p->done += bytes;
	if (!p->quiet && now - p->began_ns > DELAY_NS && now - p->drawn_ns > REDRAW_NS)
		draw(p, now);
}

static void waits(struct oci_progress *oci, const char *why, uint64_t wait_ms)
{
	struct progress *p = (struct progress *)oci;
	AUTO(buf) struct buf name = {0};

	/* A short wait is not worth a line. */
	if (p->quiet || wait_ms < 1000)
		return;
	text_add_printable(&name, why, strlen(why));
	fprintf(stderr, "\r%s: %s is busy or broke off; again in %llu s\033[K", p->what,
	        buf_text(&name), (unsigned long long)(wait_ms + 999) / 1000);
	p->shown = true;
}

void progress_begin(struct progress *p, const char *what, bool quiet)
{
	*p = (struct progress){
		.oci = {.moved = moved, .waits = waits},
		.what = what,
		.quiet = quiet || !isatty(STDERR_FILENO),
		.began_ns = os_clock_ns(CLOCK_MONOTONIC),
	};
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fprintf(stderr, "\r\033[K");
	p->shown = false;
}

void say_offline(const struct pull_result *r)
{
	AUTO(buf) struct buf line = {0};
	AUTO(buf) struct buf text = {0};

	buf_printf(&line, "%s; %s is here as it was pulled before, %s", r->why_offline, r->name,
	           r->digest);
	text_add_printable(&text, (const char *)line.data, line.len);
	fprintf(stderr, "wslx: %s\n", buf_text(&text));
}
