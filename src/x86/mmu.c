/* SPDX-License-Identifier: MIT */
/*
 * Four-level paging, the software TLB's fill and flush, and every memory access that the TLB's
 * hit path cannot do: page-crossing, devices, pages with decoded code, faults.
 *
 * TLB tags carry a context number besides the page. Every address space (PCID) owns four
 * consecutive ones (mmu.h) for user code; flushing a space is giving it new numbers. When the
 * numbers run out both TLBs are wiped.
 *
 * Supervisor code has numbers of its own that are the same in all address spaces, for nearly
 * all it touches are global pages. The few others ("private": what it reads and writes for
 * user code) are remembered and dropped when CR3 changes. The same goes for decoded code: the
 * kernel's code_tag does not change with CR3, unless it ran from a page that is not global.
 * INVLPG removes a page's entry whatever its context.
 *
 * INVLPG removes data by its slot; code is in jump cache and stubs, which nobody can search. A
 * filter remembers which pages were fetched from, and only if it knows the page a generation ends,
 * which forgets all code of its kind. For each page that a fork has made two of there is one INVLPG.
 *
 * A large page is entered as the 4 KiB pieces that are touched. INVLPG of an address in one must
 * remove all pieces: a small filter remembers where large pages were seen, and a hit there
 * flushes everything.
 */
#include "x86/mmu.h"
#include "x86/cache.h"
#include "x86/mem.h"

#define PTE_P 0x1u
#define PTE_W 0x2u
#define PTE_U 0x4u
#define PTE_A 0x20u
#define PTE_D 0x40u
#define PTE_PS 0x80u
#define PTE_G 0x100u
#define PTE_NX (1ull << 63)
#define PTE_ADDRESS 0x000ffffffffff000ull
#define PTE_RESERVED (PTE_ADDRESS & ~((1ull << X86_PHYS_BITS) - 1))

#define CTX_FIRST CTX_COUNT
#define CTX_LAST (PAGE_BYTES - CTX_COUNT)
#define LARGE_FILTER_BITS 512 /* of each half of the address space: large pages are the kernel's */
#define FETCHED_BITS 8192
#define PRIVATE_MAX 128u

struct space {
	uint64_t epoch; /* valid while this is mmu.epoch */
	uint64_t generation;
	uint16_t ctx;
};

/*
 * Linear pages that were fetched from in one generation; it may know more. What was fetched in
 * older ones is not known any more, and in newer ones there was nothing yet.
 */
struct fetched {
	uint64_t generation;
	uint64_t pages[FETCHED_BITS / 64];
};

struct mmu {
	uint64_t epoch;
	uint64_t last_generation;
	uint16_t next_ctx;
	struct fetched fetched[2]; /* by users; by the kernel */
	uint64_t large[2][LARGE_FILTER_BITS / 64];
	bool huge_seen;                /* 1 GiB pages are too few to tell apart */
	bool private_code;             /* the kernel ran code from a page that is not global */
	unsigned n_private;            /* over PRIVATE_MAX: not all are known */
	uint16_t private[PRIVATE_MAX]; /* TLB slots with the kernel's pages that are not global */
	struct space kernel;
	struct space spaces[4096];
};

struct mmu *x86_mmu_create(struct x86_cpu *cpu)
{
	struct mmu *mmu = x86_take_memory(cpu, sizeof(*mmu));

	mmu->epoch = 1;
	mmu->next_ctx = CTX_FIRST;
	return mmu;
}

uint64_t x86_ram_offset(const struct x86_cpu *cpu, uint64_t gpa)
{
	for (size_t i = 0; i < cpu->platform.n_ranges; i++) {
		const struct x86_ram_range *r = &cpu->platform.ranges[i];

		if (gpa - r->gpa < r->bytes) {
			uint64_t offset = r->offset + (gpa - r->gpa);

			if (UNLIKELY(cpu->platform.need != NULL))
				cpu->platform.need(cpu->platform.ctx, offset);
			return offset;
		}
	}
	return UINT64_MAX;
}

/* ---- what is used first ---------------------------------------------------------------- */

/* What a restored machine does until it answers is in the first of these. */
#define NOTED_INSTRUCTIONS 4000000u

static uint64_t *noted_word(const struct x86_cpu *cpu, uint64_t ram_page)
{
	return &cpu->noted[ram_page / 32];
}

static uint64_t noted_bits(uint64_t ram_page, bool write)
{
	return (write ? 3ull : 1ull) << ram_page % 32 * 2;
}

void x86_notes_begin(struct x86_cpu *cpu)
{
	const uint32_t *known = NULL;
	size_t n = x86_code_image_pages(&cpu->config.image, &known);

	if (!cpu->config.log)
		return;
	cpu->noted = xalloc(((cpu->platform.ram_bytes >> PAGE_SHIFT) / 32 + 1) * sizeof(uint64_t));
	for (size_t i = 0; i < n; i++)
		if (x86_page_number(known[i]) < cpu->platform.ram_bytes >> PAGE_SHIFT)
			*noted_word(cpu, x86_page_number(known[i])) |=
				noted_bits(x86_page_number(known[i]), known[i] & X86_PAGE_WRITTEN);
}

void x86_notes_end(struct x86_cpu *cpu)
{
	free(cpu->noted);
	cpu->noted = NULL;
}

void x86_note_use(struct x86_cpu *cpu, uint64_t ram_page, bool write)
{
	struct x86_code_log *log = cpu->config.log;
	uint64_t *word = noted_word(cpu, ram_page), uses = noted_bits(ram_page, write);
	uint32_t n;

	if ((*word & uses) == uses)
		return;
	*word |= uses;
	n = atomic_load_explicit(&log->n_pages, memory_order_relaxed);
	if (n >= X86_PAGE_LOG_MAX || cpu->icount > NOTED_INSTRUCTIONS) {
		x86_notes_end(cpu);
		return;
	}
	log->page[n] = (uint32_t)ram_page << 1 | (write ? X86_PAGE_WRITTEN : 0) |
	               (cpu->has_halted ? X86_PAGE_LATER : 0);
	atomic_store_explicit(&log->n_pages, n + 1, memory_order_release);
}

static uint64_t page_of(const struct x86_cpu *cpu, const void *host)
{
	return (uint64_t)((const uint8_t *)host - cpu->platform.ram) >> PAGE_SHIFT;
}

/* ---- flushing -------------------------------------------------------------------------- */

static struct space *user_space(struct x86_cpu *cpu)
{
	return &cpu->mmu->spaces[cpu->s.cr4 & CR4_PCIDE ? cpu->s.cr3 & 0xfff : 0];
}

static void renew(struct x86_cpu *cpu, struct space *s)
{
	struct mmu *mmu = cpu->mmu;

	if (s->epoch == mmu->epoch)
		return;
	if (mmu->next_ctx > CTX_LAST) {
		memset(cpu->tlb_read, 0, sizeof(cpu->tlb_read));
		memset(cpu->tlb_write, 0, sizeof(cpu->tlb_write));
		mmu->next_ctx = CTX_FIRST;
		mmu->epoch++;
	}
	s->epoch = mmu->epoch;
	s->generation = ++mmu->last_generation;
	s->ctx = mmu->next_ctx;
	mmu->next_ctx = (uint16_t)(mmu->next_ctx + CTX_COUNT);
}

void x86_space_select(struct x86_cpu *cpu, uint64_t *generation, uint64_t *ctx)
{
	struct space *kernel = &cpu->mmu->kernel, *user = user_space(cpu), *s;

	/* Renewing the second may use up the numbers and so invalidate the first. */
	do {
		renew(cpu, kernel);
		renew(cpu, user);
	} while (kernel->epoch != cpu->mmu->epoch);
	cpu->kernel_ctx = kernel->ctx | CTX_SUPERVISOR;
	s = cpu->cpl == 3 ? user : kernel;
	*generation = s->generation;
	*ctx = s->ctx;
}

void x86_space_changed(struct x86_cpu *cpu)
{
	struct mmu *mmu = cpu->mmu;

	if (mmu->private_code) {
		mmu->kernel.generation = ++mmu->last_generation;
		mmu->private_code = false;
	}
	if (mmu->n_private > PRIVATE_MAX) {
		mmu->kernel.epoch = 0;
	} else {
		for (unsigned i = 0; i < mmu->n_private; i++) {
			cpu->tlb_read[mmu->private[i]].tag = 0;
			cpu->tlb_write[mmu->private[i]].tag = 0;
		}
	}
	mmu->n_private = 0;
}

void x86_flush_space(struct x86_cpu *cpu, unsigned pcid)
{
	cpu->mmu->spaces[pcid].epoch = 0;
	x86_space_changed(cpu);
	x86_update_mode(cpu);
}

void x86_flush_all(struct x86_cpu *cpu)
{
	cpu->mmu->epoch++;
	cpu->mmu->n_private = 0;
	memset(cpu->mmu->large, 0, sizeof(cpu->mmu->large));
	cpu->mmu->huge_seen = false;
	x86_update_mode(cpu);
}

static uint64_t *large_word(struct mmu *mmu, uint64_t linear, uint64_t *bit)
{
	uint64_t i = (linear >> 21) % LARGE_FILTER_BITS;

	*bit = 1ull << (i % 64);
	return &mmu->large[linear >> 63][i / 64];
}

static uint64_t *fetched_word(struct fetched *f, uint64_t page, uint64_t *bit)
{
	uint64_t i = (page ^ page >> 13) % FETCHED_BITS;

	*bit = 1ull << (i % 64);
	return &f->pages[i / 64];
}

static void note_fetch(struct fetched *f, uint64_t generation, uint64_t page)
{
	uint64_t bit, *word = fetched_word(f, page, &bit);

	if (generation > f->generation) {
		memset(f->pages, 0, sizeof(f->pages));
		f->generation = generation;
	}
	if (generation == f->generation)
		*word |= bit;
}

static bool may_be_fetched(struct fetched *f, uint64_t generation, uint64_t page)
{
	uint64_t bit, *word = fetched_word(f, page, &bit);

	return generation < f->generation || (generation == f->generation && (*word & bit));
}

/* A page is mapped elsewhere now: forget code if some of it was there. Return: whether it was. */
static bool forget_code(struct mmu *mmu, struct fetched *f, struct space *s, uint64_t page)
{
	if (!may_be_fetched(f, s->generation, page))
		return false;
	s->generation = ++mmu->last_generation;
	return true;
}

void x86_flush_page(struct x86_cpu *cpu, uint64_t linear)
{
	struct mmu *mmu = cpu->mmu;
	uint64_t bit, page = linear >> PAGE_SHIFT;
	bool by_user, by_kernel;

	if (mmu->huge_seen || (*large_word(mmu, linear, &bit) & bit)) {
		x86_flush_all(cpu);
		return;
	}
	tlb_slot(cpu->tlb_read, linear)->tag = 0;
	tlb_slot(cpu->tlb_write, linear)->tag = 0;
	by_user = forget_code(mmu, &mmu->fetched[0], user_space(cpu), page);
	by_kernel = forget_code(mmu, &mmu->fetched[1], &mmu->kernel, page);
	if (by_user || by_kernel)
		x86_update_mode(cpu);
}

/* ---- translation ----------------------------------------------------------------------- */

/* What a walk found. */
struct walk {
	uint64_t gpa;   /* of the page */
	bool may_write; /* and the dirty bit is set */
	bool global;
	uint32_t problem; /* error code of the #PF, if it is one */
	bool faults;
};

static void *ram_at(const struct x86_cpu *cpu, uint64_t gpa)
{
	uint64_t off = x86_ram_offset(cpu, gpa);

	return off == UINT64_MAX ? NULL : cpu->platform.ram + off;
}

/*
 * Walk for an access with error code bits @access (PF_WRITE, PF_FETCH) by @who (CTX_*). Sets
 * accessed and dirty bits unless @quiet.
 */
static struct walk walk(struct x86_cpu *cpu, uint64_t linear, uint32_t access, unsigned who,
                        bool quiet)
{
	bool user = who == CTX_USER || who == CTX_ALIGNED_USER;
	uint64_t reserved = PTE_RESERVED | (cpu->s.efer & EFER_NXE ? 0 : PTE_NX);
	uint64_t table = cpu->s.cr3 & PTE_ADDRESS, rights = PTE_U | PTE_W, nx = 0;
	uint64_t *ptes[4], values[4];
	uint32_t code = access & PF_WRITE;
	int level, n = 0;
	struct walk w = {0};

	if (user)
		code |= PF_USER;
	if ((access & PF_FETCH) && ((cpu->s.efer & EFER_NXE) || (cpu->s.cr4 & CR4_SMEP)))
		code |= PF_FETCH;
	for (level = 3;; level--) {
		uint64_t *pte = ram_at(cpu, table + (linear >> (12 + 9 * level) & 511) * 8);
		uint64_t v;

		if (!pte)
			goto fault;
		v = *pte;
		x86_note(cpu, page_of(cpu, pte), false);
		if (!(v & PTE_P))
			goto fault;
		code |= PF_PRESENT;
		ptes[n] = pte;
		values[n++] = v;
		if (v & (reserved | (level == 3 ? PTE_PS : 0))) {
			code |= PF_RESERVED;
			goto fault;
		}
		rights &= v;
		nx |= v & PTE_NX;
		if (level == 0 || (v & PTE_PS)) {
			uint64_t offset = (1ull << (12 + 9 * level)) - 1;

			if (level && (v & PTE_ADDRESS & offset & ~(uint64_t)0x1000)) {
				code |= PF_RESERVED;
				goto fault;
			}
			w.gpa = (v & PTE_ADDRESS & ~offset) | (linear & offset & ~0xfffull);
			break;
		}
		code &= ~PF_PRESENT;
		table = v & PTE_ADDRESS;
	}
	if (user && !(rights & PTE_U))
		goto fault;
	if (access & PF_FETCH) {
		if (nx || (!user && (rights & PTE_U) && (cpu->s.cr4 & CR4_SMEP)))
			goto fault;
	} else if (who == CTX_SUPERVISOR && (rights & PTE_U) && (cpu->s.cr4 & CR4_SMAP)) {
		goto fault;
	}
	w.may_write = (rights & PTE_W) || (!user && !(cpu->s.cr0 & CR0_WP));
	if ((access & PF_WRITE) && !w.may_write)
		goto fault;
	if (!quiet) {
		for (int i = 0; i < n; i++) {
			uint64_t set = PTE_A | (i == n - 1 && (access & PF_WRITE) ? PTE_D : 0);

			if ((values[i] & set) != set) {
				x86_note(cpu, page_of(cpu, ptes[i]), true);
				*ptes[i] |= set;
				values[i] |= set;
			}
		}
		if (level) {
			uint64_t bit, *word = large_word(cpu->mmu, linear, &bit);

			*word |= bit;
			cpu->mmu->huge_seen |= level == 2;
		}
	}
	w.may_write = w.may_write && (values[n - 1] & PTE_D);
	w.global = (values[n - 1] & PTE_G) && (cpu->s.cr4 & CR4_PGE);
	return w;
fault:
	w.problem = code;
	w.faults = true;
	return w;
}

static _Noreturn void page_fault(struct x86_cpu *cpu, uint64_t linear, uint32_t code)
{
	cpu->s.cr2 = linear;
	x86_raise(cpu, VEC_PF, code);
}

/* Code pages of the guest kernel lie where no RAM is only by mistake. */
static _Noreturn void no_code_there(struct x86_cpu *cpu, uint64_t linear, uint64_t gpa)
{
	x86_stop(cpu, X86_EXIT_ERROR, "the guest jumped to %#llx, where %#llx is not RAM",
	         (unsigned long long)linear, (unsigned long long)gpa);
}

uint32_t x86_fetch_page(struct x86_cpu *cpu, uint64_t linear)
{
	uint64_t page = linear >> PAGE_SHIFT, off;
	struct fetch_entry *f = &cpu->fetch_tlb[page % FETCH_TLB_ENTRIES];
	struct walk w;

	if (f->page == page && f->tag == cpu->code_tag)
		return f->ram_page;
	if (!is_canonical(linear))
		x86_raise(cpu, VEC_GP, 0);
	w = walk(cpu, linear, PF_FETCH, cpu->cpl == 3 ? CTX_USER : CTX_SUPERVISOR, false);
	if (w.faults)
		page_fault(cpu, linear, w.problem);
	off = x86_ram_offset(cpu, w.gpa);
	if (off == UINT64_MAX)
		no_code_there(cpu, linear, w.gpa);
	x86_note(cpu, off >> PAGE_SHIFT, false);
	if (cpu->cpl != 3 && !w.global)
		cpu->mmu->private_code = true;
	note_fetch(&cpu->mmu->fetched[cpu->cpl != 3], cpu->code_tag >> 8, page);
	*f = (struct fetch_entry){page, cpu->code_tag, (uint32_t)(off >> PAGE_SHIFT)};
	return f->ram_page;
}

/* #SS for what lies in the stack segment, else #GP. */
static _Noreturn void not_canonical(struct x86_cpu *cpu)
{
	x86_raise(cpu, cpu->op && cpu->op->ea >> 4 == X86_SS ? VEC_SS : VEC_GP, 0);
}

/*
 * Host address of one byte, with all that is to be checked and entered into the TLBs. NULL for
 * a device, whose address is then in *@gpa. A page with code is returned but not entered
 * for writing.
 */
static uint8_t *resolve(struct x86_cpu *cpu, uint64_t linear, bool write, uint64_t *gpa)
{
	unsigned who = cpu->ctx & 3;
	uint64_t page = linear & ~(uint64_t)(PAGE_BYTES - 1), off;
	struct tlb_entry *r = tlb_slot(cpu->tlb_read, linear);
	struct tlb_entry *wr = tlb_slot(cpu->tlb_write, linear);
	struct tlb_entry *hit = write ? wr : r;
	struct walk w;
	uint8_t *host;

	/* What a supervisor may do without AC it may do with it. */
	if (hit->tag == (page | cpu->ctx) ||
	    (who == CTX_SUPERVISOR_AC && hit->tag == (page | cpu->kernel_ctx)))
		return (uint8_t *)(linear + hit->addend);
	if (!is_canonical(linear))
		not_canonical(cpu);
	w = walk(cpu, linear, write ? PF_WRITE : 0, who, false);
	if (w.faults)
		page_fault(cpu, linear, w.problem);
	off = x86_ram_offset(cpu, w.gpa);
	if (off == UINT64_MAX) {
		*gpa = w.gpa + (linear & (PAGE_BYTES - 1));
		return NULL;
	}
	host = cpu->platform.ram + off;
	x86_note(cpu, off >> PAGE_SHIFT, write);
	if (who == CTX_ALIGNED_USER)
		return host + (linear & (PAGE_BYTES - 1));
	/*
	 * The other kind of access is likely to follow, but what it would displace may be in
	 * use: two buffers copied one to the other must not fight for a slot.
	 */
	if (!write || (r->tag ^ cpu->ctx) & (PAGE_BYTES - 1))
		*r = (struct tlb_entry){page | cpu->ctx, (uintptr_t)host - page};
	if (w.may_write && (write || (!cpu->noted && (wr->tag ^ cpu->ctx) & (PAGE_BYTES - 1))) &&
	    x86_page_may_be_written(cpu, off >> PAGE_SHIFT))
		*wr = (struct tlb_entry){page | cpu->ctx, (uintptr_t)host - page};
	if (who != CTX_USER && !w.global) {
		struct mmu *mmu = cpu->mmu;

		if (mmu->n_private < PRIVATE_MAX)
			mmu->private[mmu->n_private] = (uint16_t)(r - cpu->tlb_read);
		mmu->n_private += mmu->n_private <= PRIVATE_MAX;
	}
	return host + (linear & (PAGE_BYTES - 1));
}

void x86_write_protect(struct x86_cpu *cpu, uint64_t ram_page)
{
	uintptr_t host = (uintptr_t)cpu->platform.ram + (ram_page << PAGE_SHIFT);

	for (size_t i = 0; i < TLB_ENTRIES; i++) {
		struct tlb_entry *e = &cpu->tlb_write[i];

		if ((e->tag & ~(uint64_t)(PAGE_BYTES - 1)) + e->addend == host)
			e->tag = 0;
	}
}

/* Host address of RAM that is about to be written: decoded code from there is forgotten. */
static uint8_t *written(struct x86_cpu *cpu, uint8_t *host, unsigned bytes)
{
	uint64_t off = (uint64_t)(host - cpu->platform.ram);

	if (x86_page_has_code(cpu, off >> PAGE_SHIFT))
		x86_code_written(cpu, off >> PAGE_SHIFT, (unsigned)(off % PAGE_BYTES), bytes);
	return host;
}

static void check_alignment(struct x86_cpu *cpu, uint64_t linear, unsigned bytes)
{
	if ((cpu->ctx & 3) == CTX_ALIGNED_USER && bytes <= 8 && (linear & (bytes - 1)))
		x86_raise(cpu, VEC_AC, 0);
}

/* One run of bytes inside a page: where it is. */
struct piece {
	uint8_t *host; /* NULL: a device */
	uint64_t gpa;
	unsigned bytes;
};

/* Split an access into pages and check all of them. Return: their number, 1 or 2. */
static unsigned split(struct x86_cpu *cpu, uint64_t linear, unsigned bytes, bool write,
                      struct piece p[2])
{
	unsigned first = PAGE_BYTES - (unsigned)(linear & (PAGE_BYTES - 1));

	assert(bytes <= PAGE_BYTES);
	p[0].bytes = MIN(bytes, first);
	p[0].host = resolve(cpu, linear, write, &p[0].gpa);
	if (bytes <= first)
		return 1;
	linear += first;
	if (!(cpu->code_mode & CODE_64))
		linear = (uint32_t)linear;
	p[1].bytes = bytes - first;
	p[1].host = resolve(cpu, linear, write, &p[1].gpa);
	return 2;
}

static void piece_read(struct x86_cpu *cpu, const struct piece *p, uint8_t *out)
{
	if (p->host) {
		memcpy(out, p->host, p->bytes);
		return;
	}
	for (unsigned i = 0, n; i < p->bytes; i += n) {
		uint64_t v;

		n = p->bytes - i >= 8 ? 8 : p->bytes - i >= 4 ? 4 : p->bytes - i >= 2 ? 2 : 1;
		v = cpu->platform.mmio_read(cpu->platform.ctx, p->gpa + i, n);
		memcpy(out + i, &v, n);
	}
}

static void piece_write(struct x86_cpu *cpu, const struct piece *p, const uint8_t *data)
{
	if (p->host) {
		memcpy(written(cpu, p->host, p->bytes), data, p->bytes);
		return;
	}
	for (unsigned i = 0, n; i < p->bytes; i += n) {
		uint64_t v = 0;

		n = p->bytes - i >= 8 ? 8 : p->bytes - i >= 4 ? 4 : p->bytes - i >= 2 ? 2 : 1;
		memcpy(&v, data + i, n);
		cpu->platform.mmio_write(cpu->platform.ctx, p->gpa + i, n, v);
	}
}

void x86_load_bytes(struct x86_cpu *cpu, const struct op *op, uint64_t linear, void *out,
                    unsigned bytes)
{
	struct piece p[2];
	unsigned n;

	cpu->op = op;
	check_alignment(cpu, linear, bytes);
	n = split(cpu, linear, bytes, false, p);
	piece_read(cpu, &p[0], out);
	if (n == 2)
		piece_read(cpu, &p[1], (uint8_t *)out + p[0].bytes);
}

void x86_store_bytes(struct x86_cpu *cpu, const struct op *op, uint64_t linear, const void *data,
                     unsigned bytes)
{
	struct piece p[2];
	unsigned n;

	cpu->op = op;
	check_alignment(cpu, linear, bytes);
	n = split(cpu, linear, bytes, true, p);
	piece_write(cpu, &p[0], data);
	if (n == 2)
		piece_write(cpu, &p[1], (const uint8_t *)data + p[0].bytes);
}

void x86_check_write(struct x86_cpu *cpu, const struct op *op, uint64_t linear, unsigned bytes)
{
	struct piece p[2];

	cpu->op = op;
	check_alignment(cpu, linear, bytes);
	split(cpu, linear, bytes, true, p);
}

uint64_t x86_load_slow(struct x86_cpu *cpu, const struct op *op, uint64_t linear, unsigned bytes)
{
	uint64_t v = 0;

	x86_load_bytes(cpu, op, linear, &v, bytes);
	return v;
}

void x86_store_slow(struct x86_cpu *cpu, const struct op *op, uint64_t linear, unsigned bytes,
                    uint64_t value)
{
	x86_store_bytes(cpu, op, linear, &value, bytes);
}

void *x86_rmw_slow(struct x86_cpu *cpu, const struct op *op, uint64_t linear, unsigned bytes)
{
	struct piece p[2];
	unsigned n;

	assert(bytes <= sizeof(cpu->bounce));
	cpu->op = op;
	check_alignment(cpu, linear, bytes);
	n = split(cpu, linear, bytes, true, p);
	if (n == 1 && p[0].host)
		return written(cpu, p[0].host, bytes);
	piece_read(cpu, &p[0], cpu->bounce);
	if (n == 2)
		piece_read(cpu, &p[1], cpu->bounce + p[0].bytes);
	return cpu->bounce;
}

uint64_t x86_system_load(struct x86_cpu *cpu, uint64_t linear, unsigned bytes)
{
	uint64_t ctx = cpu->ctx, v = 0;

	cpu->ctx = cpu->kernel_ctx;
	x86_load_bytes(cpu, cpu->op, linear, &v, bytes);
	cpu->ctx = ctx;
	return v;
}

void x86_system_store(struct x86_cpu *cpu, uint64_t linear, unsigned bytes, uint64_t value)
{
	uint64_t ctx = cpu->ctx;

	cpu->ctx = cpu->kernel_ctx;
	x86_store_bytes(cpu, cpu->op, linear, &value, bytes);
	cpu->ctx = ctx;
}

void *x86_host_page(struct x86_cpu *cpu, const struct op *op, uint64_t linear, bool write,
                    unsigned *run)
{
	uint64_t gpa;
	uint8_t *host;

	cpu->op = op;
	*run = PAGE_BYTES - (unsigned)(linear & (PAGE_BYTES - 1));
	host = resolve(cpu, linear, write, &gpa);
	if (host && write &&
	    x86_page_has_code(cpu, (uint64_t)(host - cpu->platform.ram) >> PAGE_SHIFT))
		return NULL;
	return host;
}

int x86_translate(struct x86_cpu *cpu, uint64_t linear, uint64_t *gpa)
{
	struct walk w;

	if (!is_canonical(linear))
		return -EFAULT;
	w = walk(cpu, linear, 0, CTX_SUPERVISOR_AC, true);
	if (w.faults)
		return -EFAULT;
	*gpa = w.gpa + (linear & (PAGE_BYTES - 1));
	return 0;
}
