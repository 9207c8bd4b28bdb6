/* SPDX-License-Identifier: MIT */
/*
 * Saving and loading a machine. The record holds the CPU's architectural state, the clock, one
 * record for each device under its name, and where the pages of RAM went. Pages that are zero,
 * which includes those the guest has reported as free, are not in the snapshot.
 *
 * Loading never needs what is not in the record: lines, deadlines and caches are derived.
 */
#include "vm/vm-int.h"

#include <string.h>
#include <sys/random.h>

#define FORMAT_VERSION 1

struct vm_device_rec {
	const char *name;
	struct span state; /* the device's own record */
};

struct vm_rec {
	uint32_t version;
	uint64_t ram_bytes;
	uint64_t machine_ns;
	uint64_t wall_ns;
	uint64_t n_pages;
	struct x86_state cpu;
	struct list devices; /* struct vm_device_rec */
	struct list runs;    /* struct vm_run */
};

#define F(m, n, lim, ...) FIELD(struct vm_run, m, n, lim, __VA_ARGS__)
static const struct field run_fields[] = {
	F(page, 1, VM_RAM_MAX / PAGE_BYTES, "first page of RAM, without the hole below 4 GiB"),
	F(count, 2, VM_RAM_MAX / PAGE_BYTES, "pages"),
	F(first, 3, VM_RAM_MAX / PAGE_BYTES, "number of the first one in the snapshot"),
};
#undef F
static const struct rec_type run_type = REC_TYPE(vm_run, run_fields, .doc = "pages of RAM");

/* Devices have the names that create_devices() gives them; those of several end in a number. */
static const struct {
	const char *name;
	const struct rec_type *type;
} device_records[] = {
	{"lapic", &lapic_state_type},      {"ioapic", &ioapic_state_type},
	{"serial", &serial_state_type},    {"rtc", &rtc_state_type},
	{"power", &power_state_type},      {"console", &vconsole_state_type},
	{"agent", &vconsole_state_type},   {"rng", &vrng_state_type},
	{"balloon", &vballoon_state_type}, {"disk", &vblock_state_type},
	{"share", &v9p_state_type},        {"net", &vnet_state_type},
};

static const struct rec_type *type_of_device(const void *rec)
{
	const struct vm_device_rec *d = rec;

	for (size_t i = 0; d && d->name && i < ARRAY_LEN(device_records); i++)
		if (text_starts(d->name, device_records[i].name))
			return device_records[i].type;
	return NULL;
}

static const struct field device_fields[] = {
	FIELD(struct vm_device_rec, name, 1, 64, "device"),
	FIELD(struct vm_device_rec, state, 2, 48 << 20, "its record", .inner = type_of_device),
};
static const struct rec_type device_type =
	REC_TYPE(vm_device_rec, device_fields, .doc = "device", .key = 1);

#define F(m, n, lim, ...) FIELD(struct vm_rec, m, n, lim, __VA_ARGS__)
static const struct field vm_fields[] = {
	F(version, 1, UINT32_MAX, "version of this format"),
	F(ram_bytes, 2, VM_RAM_MAX, "RAM, bytes"),
	F(machine_ns, 3, UINT64_MAX, "the machine's clock, nanoseconds"),
	F(wall_ns, 4, UINT64_MAX, "the host's wall clock at the snapshot, nanoseconds"),
	F(n_pages, 5, VM_RAM_MAX / PAGE_BYTES, "pages in the snapshot"),
	FIELD_REC(struct vm_rec, cpu, 6, &x86_state_type, "CPU 0"),
	FIELD_LIST(struct vm_rec, devices, 7, &device_type, 64, "devices"),
	FIELD_LIST(struct vm_rec, runs, 8, &run_type, VM_RAM_MAX / PAGE_BYTES / 2 + 1,
                   "where the pages of RAM are; what is in none is zero"),
};
#undef F

static int check_vm(const void *rec, struct err *e)
{
	const struct vm_rec *v = rec;
	uint64_t page = 0;

	if (v->version != FORMAT_VERSION)
		return err_say(e, -EBADMSG,
		               "a machine snapshot of version %u; this program knows "
		               "version %u",
		               v->version, FORMAT_VERSION);
	if (v->ram_bytes < VM_RAM_MIN || v->ram_bytes % (1u << 20))
		return err_say(e, -EBADMSG, "a machine with RAM of an impossible size");
	LIST_EACH(&v->runs, const struct vm_run, r) {
		if (!r->count || r->page < page || r->page + r->count > v->ram_bytes / PAGE_BYTES)
			return err_say(e, -EBADMSG,
			               "pages of RAM that are not in RAM or not in "
			               "order");
		if (r->first + r->count > v->n_pages)
			return err_say(e, -EBADMSG, "pages of RAM that the snapshot does not have");
		page = r->page + r->count;
	}
	return 0;
}

const struct rec_type vm_record_type =
	REC_TYPE(vm_rec, vm_fields, .doc = "machine", .check = check_vm);

/* ---- save ------------------------------------------------------------------------------- */

/* Pages are handed over in runs of at most this many: whoever takes them may compress a run. */
#define RUN_PAGES 256u

static int save_ram(struct vm *vm, struct vm_rec *rec, struct arena *a,
                    const struct vm_page_writer *w, struct err *e)
{
	uint64_t n = vm->ram.bytes / PAGE_BYTES;

	ram_need(vm, 0, vm->ram.bytes);
	for (uint64_t page = 0; page < n;) {
		const uint8_t *at = vm->ram.host + page * PAGE_BYTES;
		struct vm_run *last = NULL;
		uint64_t count = 0;
		int r;

		while (page + count < n && count < RUN_PAGES &&
		       !page_is_zero(at + count * PAGE_BYTES))
			count++;
		if (!count) {
			page++;
			continue;
		}
		r = w->write(w->arg, page, at, count, e);
		if (r)
			return r;
		if (rec->runs.count)
			last = LIST_AT(&rec->runs, struct vm_run, rec->runs.count - 1);
		if (last && last->page + last->count == page)
			last->count += count;
		else
			*LIST_ADD(&rec->runs, a, struct vm_run) =
				(struct vm_run){page, count, rec->n_pages};
		rec->n_pages += count;
		page += count;
	}
	return 0;
}

int save_machine(struct vm *vm, struct buf *state, const struct vm_page_writer *w, struct err *e)
{
	AUTO(arena) struct arena a = {0};
	struct vm_rec rec = {
		.version = FORMAT_VERSION,
		.ram_bytes = vm->ram.bytes,
		.machine_ns = vm_clock_now(&vm->clock),
		.wall_ns = (uint64_t)host_wall_ns(),
	};
	int r;

	x86_get_state(vm->cpu, &rec.cpu);
	for (unsigned i = 0; i < vm->n_devices; i++) {
		struct vm_device_rec *d = LIST_ADD(&rec.devices, &a, struct vm_device_rec);
		AUTO(buf) struct buf b = {0};

		dev_save(vm->device[i], &b);
		d->name = vm->device[i]->name;
		d->state = SPAN(arena_copy(&a, b.data, b.len), b.len);
	}
	r = save_ram(vm, &rec, &a, w, e);
	if (r)
		return err_wrap(e, r, "saving RAM");
	rec_encode(state, &vm_record_type, &rec);
	return 0;
}

static int to_sink(void *arg, uint64_t page, const uint8_t *data, uint64_t count, struct err *e)
{
	struct page_sink *sink = arg;

	return sink->write(sink, data, count, e);
}

int vm_save(struct vm *vm, struct buf *state, struct page_sink *pages, struct err *e)
{
	const struct vm_page_writer w = {to_sink, pages};

	return save_machine(vm, state, &w, e);
}

/* ---- load ------------------------------------------------------------------------------- */

int vm_peek(struct span state, struct arena *a, struct vm_needs *needs, struct err *e)
{
	struct vm_rec *rec = arena_alloc(a, sizeof(*rec));
	int r = rec_decode(state, &vm_record_type, a, rec, e);

	if (r)
		return r;
	*needs = (struct vm_needs){.ram_bytes = rec->ram_bytes, .rec = rec};
	LIST_EACH(&rec->devices, const struct vm_device_rec, d) {
		needs->n_shares += d->name && text_starts(d->name, "share");
		needs->has_net |= d->name && !strcmp(d->name, "net");
	}
	return 0;
}

static int by_first(const void *a, const void *b)
{
	const struct vm_run *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

int vm_unpack_ram(struct span state, struct page_source *pages, const struct vm_page_writer *w,
                  struct err *e)
{
	AUTO(arena) struct arena a = {0};
	AUTO(buf) struct buf b = {0};
	struct vm_rec rec;
	int r = rec_decode(state, &vm_record_type, &a, &rec, e);

	if (r)
		return err_wrap(e, r, "machine");
	if (rec.n_pages > pages->n_pages)
		return err_say(e, -EBADMSG, "machine: pages of RAM are missing");
	buf_reserve(&b, RUN_PAGES * PAGE_BYTES);
	/* In the order in which they are stored, which need not be that of RAM. */
	if (rec.runs.count)
		qsort(rec.runs.items, rec.runs.count, sizeof(struct vm_run), by_first);
	LIST_EACH(&rec.runs, const struct vm_run, run) {
		for (uint64_t done = 0; done < run->count;) {
			size_t n = (size_t)MIN(run->count - done, RUN_PAGES);

			r = pages->read(pages, run->first + done, n, b.data, e);
			if (!r)
				r = w->write(w->arg, run->page + done, b.data, n, e);
			if (r)
				return err_wrap(e, r, "machine: RAM");
			done += n;
		}
	}
	return 0;
}

int vm_get_runs(struct span state, struct arena *a, struct list *out, struct err *e)
{
	struct vm_rec rec;
	int r = rec_decode(state, &vm_record_type, a, &rec, e);

	if (r)
		return err_wrap(e, r, "machine");
	*out = rec.runs;
	return 0;
}

int vm_set_runs(struct span state, const struct list *runs, uint64_t n_pages, struct buf *out,
                struct err *e)
{
	AUTO(arena) struct arena a = {0};
	struct vm_rec rec;
	int r = rec_decode(state, &vm_record_type, &a, &rec, e);

	if (r)
		return err_wrap(e, r, "machine");
	rec.runs = *runs;
	rec.n_pages = n_pages;
	rec_encode(out, &vm_record_type, &rec);
	return 0;
}

static int load_devices(struct vm *vm, const struct vm_rec *rec, struct err *e)
{
	for (unsigned i = 0; i < vm->n_devices; i++) {
		const struct vm_device_rec *found = NULL;
		int r;

		LIST_EACH(&rec->devices, const struct vm_device_rec, d)
			if (d->name && !strcmp(d->name, vm->device[i]->name))
				found = d;
		if (!found)
			return err_say(e, -EBADMSG,
			               "the snapshot has no device %s, which this "
			               "machine has",
			               vm->device[i]->name);
		r = dev_load(vm->device[i], found->state, e);
		if (r)
			return r;
	}
	if (rec->devices.count > vm->n_devices)
		return err_say(e, -EBADMSG,
		               "the snapshot has %zu devices, and this machine has %u: "
		               "are all of its disks given?",
		               rec->devices.count, vm->n_devices);
	return 0;
}

/*
 * The guest must not be a twin of another restore: a new generation identifier, for kernels
 * that look at it, and time and entropy for the agent, which reseeds and steps the clock.
 */
static void tell_guest(struct vm *vm)
{
	uint8_t *id = vm->ram.host + GENERATION_GPA, seed[32];
	char hex[2 * sizeof(seed) + 1];
	AUTO(buf) struct buf line = {0};
	ssize_t n;

	ram_need(vm, GENERATION_GPA, 16);
	n = getrandom(id, 16, 0);
	assert(n == 16);
	n = getrandom(seed, sizeof(seed), 0);
	assert(n == sizeof(seed));
	power_raise(&vm->power, POWER_EVENT_GENERATION);
	text_hex(hex, seed, sizeof(seed));
	/* A line that was on its way to the agent when the snapshot was taken ends here. */
	buf_printf(&line, "\nwake %lld %s", (long long)host_wall_ns(), hex);
	vm_agent_say(vm, buf_text(&line));
}

int vm_load(struct vm *vm, const struct vm_rec *rec, struct err *e)
{
	int r;

	if (rec->ram_bytes != vm->ram.bytes)
		return err_say(e, -EINVAL, "machine: the snapshot has %llu MiB of RAM",
		               (unsigned long long)(rec->ram_bytes >> 20));
	vm->clock.frozen = rec->machine_ns;
	r = x86_set_state(vm->cpu, &rec->cpu, e);
	if (!r)
		r = load_devices(vm, rec, e);
	if (r)
		return err_wrap(e, r, "machine");
	/* Forced by a test that shows what would happen otherwise. */
	if (!fallback_forced("twins"))
		tell_guest(vm);
	/* Connections that did not come along are ended, and what waited is sent. */
	if (vm->config.has_net)
		vnet_move(&vm->net);
	return 0;
}
