/* SPDX-License-Identifier: MIT */
/*
 * isa [--seed N] [--form NAME] [--group NAME] [--vectors N] [--seconds N] [--exhaustive] [--list]
 *     [--interpreter]
 *
 * By default every form gets a few hundred vectors; one TAP line a group. --seconds and
 * --exhaustive go on with more. --form with --seed runs the one vector that this seed makes, and
 * shows it.
 */
#include "isa.h"

#include "base/base.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define FORMS_MAX 2048
#define REPORTS_PER_FORM 3
#define QUICK_VECTORS 256
#define EXHAUSTIVE_VECTORS 65536

struct run {
	const struct form *forms[FORMS_MAX];
	size_t n_forms;
	struct batch *batch;
	struct ours *ours;

	const char *form, *group;
	uint64_t seed;
	bool one; /* just the vector of this seed */
	uint32_t vectors;
	uint64_t total;
};

static void add_form(const struct form *form, void *ctx)
{
	struct run *run = ctx;

	assert(run->n_forms < FORMS_MAX);
	run->forms[run->n_forms++] = form;
}

void forms_each(void (*visit)(const struct form *form, void *ctx), void *ctx)
{
	forms_integer_each(visit, ctx);
	forms_fp_each(visit, ctx);
	forms_block_each(visit, ctx);
}

/* ---- comparing ------------------------------------------------------------------------- */

struct comparison {
	const struct vector *v;
	bool show;
	bool differs;
};

static void differ(struct comparison *c, const char *what, unsigned i, uint64_t host, uint64_t ours)
{
	c->differs = true;
	if (c->show)
		printf("#   %s%.0u: host %#llx, ours %#llx\n", what, i, (unsigned long long)host,
		       (unsigned long long)ours);
}

static void compare_at(struct comparison *c, const char *what, unsigned i, uint64_t mask,
                       uint64_t host, uint64_t ours)
{
	if ((host ^ ours) & mask)
		differ(c, what, i, host & mask, ours & mask);
}

static void compare_fx(struct comparison *c, const struct fx_image *host,
                       const struct fx_image *ours)
{
	compare_at(c, "fcw", 0, 0xffff, host->cw, ours->cw);
	compare_at(c, "fsw", 0, 0xffff & ~(uint64_t)c->v->undefined_sw, host->sw, ours->sw);
	compare_at(c, "ftw", 0, 0xff, host->tag, ours->tag);
	compare_at(c, "fop", 0, 0x7ff, host->op, ours->op);
	compare_at(c, "fip", 0, UINT64_MAX, host->ip, ours->ip);
	compare_at(c, "fdp", 0, UINT64_MAX, host->dp, ours->dp);
	compare_at(c, "mxcsr", 0, 0xffff, host->mxcsr, ours->mxcsr);
	for (unsigned i = 0; i < 8; i++) {
		compare_at(c, "mantissa of st", i, UINT64_MAX, host->st[i].mantissa,
		           ours->st[i].mantissa);
		compare_at(c, "exponent of st", i, 0xffff, host->st[i].sign_exponent,
		           ours->st[i].sign_exponent);
	}
	for (unsigned i = 0; i < 16; i++) {
		compare_at(c, "low half of xmm", i, UINT64_MAX, host->xmm[i][0], ours->xmm[i][0]);
		compare_at(c, "high half of xmm", i, UINT64_MAX, host->xmm[i][1], ours->xmm[i][1]);
	}
}

static bool compare(const struct vector *v, const struct result *host, const struct result *ours,
                    bool show)
{
	static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
	                                      "rsi", "rdi", "r8 ", "r9 ", "r10", "r11",
	                                      "r12", "r13", "r14", "r15"};
	struct comparison c = {.v = v, .show = show};
	uint64_t flags = FLAGS_COMPARED & ~(uint64_t)v->undefined_flags;

	/* INT3 and #BP have vector 3; all others end before or at an instruction of ours. */
	compare_at(&c, "exception", 0, UINT64_MAX, host->vector, ours->vector);
	if (host->vector == ours->vector) {
		/* Elsewhere the host has pages of its own, which differ in more than their place.
		 */
		const bool known = host->cr2 < CODE_END + PAGE_BYTES;

		compare_at(&c, "error code", 0, known ? UINT32_MAX : UINT32_MAX & ~1u, host->error,
		           ours->error);
		compare_at(&c, "cr2", 0, v->undefined_cr2_offset ? ~(uint64_t)4095 : UINT64_MAX,
		           host->cr2, ours->cr2);
	}
	compare_at(&c, "rip", 0, UINT64_MAX, host->out.rip, ours->out.rip);
	if (host->vector != 3 && v->undefined_if_fault)
		return !c.differs;
	if (host->vector != 3 && v->undefined_fault_flags)
		flags &= ~(uint64_t)FLAGS_ARITH;
	compare_at(&c, "rflags", 0, flags, host->out.rflags, ours->out.rflags);
	for (unsigned i = 0; i < (v->code32 ? 8u : 16u); i++) {
		uint64_t mask = v->code32 || v->undefined_high >> i & 1 ? UINT32_MAX : UINT64_MAX;

		if (v->undefined_gpr >> i & 1)
			mask = 0;
		compare_at(&c, names[i], 0, mask, host->out.gpr[i], ours->out.gpr[i]);
	}
	compare_fx(&c, &host->out.fx, &ours->out.fx);
	if (host->memory != ours->memory && !(v->undefined_gpr && host->vector == 3))
		differ(&c, "hash of memory", 0, host->memory, ours->memory);
	return !c.differs;
}

/* ---- showing --------------------------------------------------------------------------- */

static void show_vector(const struct vector *v)
{
	printf("#   code%s at %#x:", v->code32 ? " (32-bit)" : "", CODE_BASE + v->offset);
	for (unsigned i = 0; i < v->code_bytes; i++)
		printf(" %02x", v->code[i]);
	printf("\n#   ");
	for (unsigned i = 0; i < 16; i++)
		printf("r%u=%llx ", i, (unsigned long long)v->in.gpr[i]);
	printf("\n#   flags=%llx fcw=%x fsw=%x ftw=%x mxcsr=%x\n", (unsigned long long)v->in.rflags,
	       v->in.fx.cw, v->in.fx.sw, v->in.fx.tag, v->in.fx.mxcsr);
	if (v->patch_bytes) {
		printf("#   [%#x] =", v->patch_at);
		for (unsigned i = 0; i < v->patch_bytes; i++)
			printf(" %02x", v->patch[i]);
		printf("\n");
	}
}

static void show_registers(const struct vector *v)
{
	for (unsigned i = 0; i < 8; i++)
		printf("#   st%u = %04x %016llx\n", i, v->in.fx.st[i].sign_exponent,
		       (unsigned long long)v->in.fx.st[i].mantissa);
	for (unsigned i = 0; i < 16; i++)
		printf("#   xmm%u = %016llx %016llx\n", i, (unsigned long long)v->in.fx.xmm[i][1],
		       (unsigned long long)v->in.fx.xmm[i][0]);
}

static void show_memory(const struct ours *ours)
{
	const uint8_t *host = host_memory(), *mine = ours_memory(ours);

	for (unsigned i = 0; i < DATA_BYTES; i++)
		if (host[i] != mine[i])
			printf("#   [%#x]: host %02x, ours %02x\n", DATA_BASE + i, host[i],
			       mine[i]);
}

/* ---- running --------------------------------------------------------------------------- */

static uint64_t mix(uint64_t seed, const char *name, uint64_t n)
{
	uint64_t h = hash_bytes((const uint8_t *)&seed, 8) ^ n;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 0x9e3779b97f4a7c15u;
	return hash_bytes((const uint8_t *)&h, 8);
}

static void make_vector(const struct form *form, struct vector *v, uint64_t seed)
{
	memset(v, 0, sizeof(*v));
	v->seed = seed;
	form->make(form, v);
}

/* Return: number of vectors that differ. */
static uint32_t compare_batch(struct run *run, const struct form *form)
{
	struct batch *b = run->batch;
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < b->count; i++) {
		const struct vector *v = &b->vectors[i];
		struct result mine = {0};
		struct err e = {0};
		bool equal = false, show;

		if (!ours_run(run->ours, b, v, &mine, &e))
			equal = compare(v, &b->results[i], &mine, false);
		if (equal)
			continue;
		show = wrong++ < REPORTS_PER_FORM;
		if (!show)
			continue;
		printf("# tests/isa/isa --form %s --seed %#llx\n", form->name,
		       (unsigned long long)v->seed);
		show_vector(v);
		if (e.code)
			printf("#   ours: %s\n", e.text);
		else
			compare(v, &b->results[i], &mine, true);
		if (run->one) {
			show_registers(v);
			show_memory(run->ours);
		}
	}
	return wrong;
}

static uint32_t run_form(struct run *run, const struct form *form, uint64_t first, uint32_t count)
{
	struct batch *b = run->batch;
	uint32_t wrong = 0;

	for (uint32_t done = 0; done < count; done += b->count) {
		struct err e = {0};

		b->count = MIN(count - done, (uint32_t)BATCH_MAX);
		for (uint32_t i = 0; i < b->count; i++)
			make_vector(form, &b->vectors[i],
			            run->one ? run->seed
			                     : mix(run->seed, form->name, first + done + i));
		if (host_run(b, &e)) {
			printf("# %s: %s\n# tests/isa/isa --form %s --seed %#llx\n", form->name,
			       e.text, form->name, (unsigned long long)b->vectors[b->done].seed);
			show_vector(&b->vectors[b->done]);
			return wrong + 1;
		}
		wrong += compare_batch(run, form);
		run->total += b->count;
	}
	return wrong;
}

static bool chosen(const struct run *run, const struct form *form)
{
	return (!run->form || !strcmp(run->form, form->name)) &&
	       (!run->group || !strcmp(run->group, form->group));
}

/* One TAP line: all forms of a group. Return: 0 or 1 failed. */
static int run_group(struct run *run, const char *group, unsigned number)
{
	uint32_t wrong = 0, forms = 0, bad_forms = 0;

	for (size_t i = 0; i < run->n_forms; i++) {
		const struct form *form = run->forms[i];
		uint32_t here;

		if (strcmp(form->group, group) || !chosen(run, form))
			continue;
		/* A block exercises what forms do, and more: give it more. */
		here = run_form(run, form, 0,
		                run->vectors * (strcmp(group, "block") || run->one ? 1 : 32));
		if (here)
			printf("# %s: %u vectors differ\n", form->name, here);
		wrong += here;
		bad_forms += here != 0;
		forms++;
	}
	printf("%sok %u - %s does what the host does: %u forms", wrong ? "not " : "", number, group,
	       forms);
	if (wrong)
		printf(", %u of them wrong", bad_forms);
	printf("\n");
	fflush(stdout);
	return wrong != 0;
}

static int run_groups(struct run *run)
{
	const char *seen[64];
	unsigned n = 0;
	int failed = 0;

	for (size_t i = 0; i < run->n_forms; i++) {
		unsigned k;

		if (!chosen(run, run->forms[i]))
			continue;
		for (k = 0; k < n && strcmp(seen[k], run->forms[i]->group); k++)
			;
		if (k < n)
			continue;
		assert(n < ARRAY_LEN(seen));
		seen[n++] = run->forms[i]->group;
		failed |= run_group(run, seen[k], n);
	}
	printf("1..%u\n# %llu vectors\n", n, (unsigned long long)run->total);
	return n ? failed : 2;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Rounds of all forms with ever new vectors until the time is over. */
static int run_for(struct run *run, double limit)
{
	const double end = seconds() + limit;
	uint32_t wrong = 0;

	for (uint64_t round = 0; seconds() < end; round++) {
		for (size_t i = 0; i < run->n_forms && seconds() < end; i++) {
			if (!chosen(run, run->forms[i]))
				continue;
			wrong += run_form(run, run->forms[i], round * QUICK_VECTORS, QUICK_VECTORS);
		}
	}
	printf("%sok 1 - %llu vectors do what they do on the host\n1..1\n", wrong ? "not " : "",
	       (unsigned long long)run->total);
	return wrong != 0;
}

static void make_memory(struct batch *b)
{
	uint64_t x = 0x243f6a8885a308d3u;

	for (unsigned i = 0; i < DATA_BYTES; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		b->pattern[i] = (uint8_t)(x >> 56);
		if (i >= PAGE_BYTES && x >> 40 & 31) /* long runs for REP SCAS and CMPS */
			b->pattern[i] = 0x41;
	}
	memset(b->readonly, 0x41, sizeof(b->readonly));
}

static _Noreturn void usage(void)
{
	fprintf(stderr, "usage: isa [--seed N] [--form NAME] [--group NAME] [--vectors N] "
	                "[--seconds N] [--exhaustive] [--interpreter] [--list]\n");
	exit(2);
}

static uint64_t number(const char *text)
{
	uint64_t v;

	if (text_to_u64(text, 0, UINT64_MAX, &v))
		usage();
	return v;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", required_argument, NULL, 's'},
		{"form", required_argument, NULL, 'f'},
		{"group", required_argument, NULL, 'g'},
		{"vectors", required_argument, NULL, 'v'},
		{"seconds", required_argument, NULL, 't'},
		{"exhaustive", no_argument, NULL, 'x'},
		{"interpreter", no_argument, NULL, 'i'},
		{"list", no_argument, NULL, 'l'},
		{NULL, 0, NULL, 0},
	};
	struct run run = {.seed = 1, .vectors = QUICK_VECTORS};
	bool list = false, seeded = false, interpreter = false;
	double limit = 0;
	struct err e = {0};
	int c, ret;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			run.seed = number(optarg);
			seeded = true;
			break;
		case 'f':
			run.form = optarg;
			break;
		case 'g':
			run.group = optarg;
			break;
		case 'v':
			run.vectors = (uint32_t)number(optarg);
			break;
		case 'i':
			interpreter = true;
			break;
		case 't':
			limit = (double)number(optarg);
			break;
		case 'x':
			run.vectors = EXHAUSTIVE_VECTORS;
			break;
		case 'l':
			list = true;
			break;
		default:
			usage();
		}
	}
	run.one = run.form && seeded;
	if (run.one)
		run.vectors = 1;
	forms_each(add_form, &run);
	if (list) {
		for (size_t i = 0; i < run.n_forms; i++)
			printf("%s %s\n", run.forms[i]->group, run.forms[i]->name);
		return 0;
	}

	run.batch = mmap(NULL, sizeof(*run.batch), PROT_READ | PROT_WRITE,
	                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run.batch == MAP_FAILED)
		abort();
	make_memory(run.batch);
	host_init(run.batch);
	run.ours = ours_create(interpreter, &e);
	if (!run.ours) {
		printf("Bail out! %s\n", e.text);
		return 1;
	}
	ret = limit > 0 ? run_for(&run, limit) : run_groups(&run);
	ours_destroy(run.ours);
	return ret;
}
