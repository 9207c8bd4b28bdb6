/* SPDX-License-Identifier: MIT */
/* Putting a machine together: who is wired to whom. */
#include "vm/vm-int.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* ---- the CPU's surroundings ------------------------------------------------------------- */

static uint64_t cpu_mmio_read(void *ctx, uint64_t gpa, unsigned bytes)
{
	return bus_read(&((struct vm *)ctx)->bus, BUS_MMIO, gpa, bytes);
}

static void cpu_mmio_write(void *ctx, uint64_t gpa, unsigned bytes, uint64_t value)
{
	struct vm *vm = ctx;

	bus_write(&vm->bus, BUS_MMIO, gpa, bytes, value);
	run_deadlines_changed(vm);
}

static uint32_t cpu_port_in(void *ctx, uint16_t port, unsigned bytes)
{
	return (uint32_t)bus_read(&((struct vm *)ctx)->bus, BUS_PORT, port, bytes);
}

static void cpu_port_out(void *ctx, uint16_t port, unsigned bytes, uint32_t value)
{
	struct vm *vm = ctx;

	bus_write(&vm->bus, BUS_PORT, port, bytes, value);
	run_deadlines_changed(vm);
}

static bool cpu_msr_read(void *ctx, uint32_t msr, uint64_t *value)
{
	return lapic_msr_read(&((struct vm *)ctx)->lapic, msr, value);
}

static bool cpu_msr_write(void *ctx, uint32_t msr, uint64_t value)
{
	struct vm *vm = ctx;
	bool ok = lapic_msr_write(&vm->lapic, msr, value);

	run_deadlines_changed(vm);
	return ok;
}

static int cpu_ack_interrupt(void *ctx)
{
	return lapic_ack(&((struct vm *)ctx)->lapic);
}

static uint8_t cpu_get_tpr(void *ctx)
{
	return lapic_cr8(&((struct vm *)ctx)->lapic);
}

static void cpu_set_tpr(void *ctx, uint8_t cr8)
{
	lapic_set_cr8(&((struct vm *)ctx)->lapic, cr8);
}

static uint64_t cpu_tsc(void *ctx)
{
	return vm_clock_now(&((struct vm *)ctx)->clock);
}

static void host_random(void *out, size_t len)
{
	/* Up to 256 bytes come in one piece; more may be cut by a signal. */
	for (size_t done = 0; done < len;) {
		ssize_t n = getrandom((uint8_t *)out + done, len - done, 0);

		if (n > 0)
			done += (size_t)n;
		else
			assert(errno == EINTR);
	}
}

static void cpu_random(void *ctx, void *out, size_t bytes)
{
	host_random(out, bytes);
}

static void lapic_intr(void *arg, bool high)
{
	struct vm *vm = arg;

	if (vm->cpu)
		x86_set_interrupt(vm->cpu, high);
}

static void lapic_nmi(void *arg)
{
	struct vm *vm = arg;

	if (vm->cpu)
		x86_nmi(vm->cpu);
}

static void cpu_needs(void *ctx, uint64_t offset)
{
	ram_need(ctx, offset & ~(uint64_t)(PAGE_BYTES - 1), PAGE_BYTES);
}

int create_cpu(struct vm *vm, struct err *e)
{
	struct x86_config config = {.level = X86_LEVEL_V2, .tsc_hz = VM_TSC_HZ};
	struct x86_platform platform = {
		.ctx = vm,
		.ram = vm->ram.host,
		.ram_bytes = vm->ram.bytes,
		.ranges = {{0, vm->ram.low_bytes, 0}},
		.n_ranges = 1,
		.need = vm->config.ram_need.need ? cpu_needs : NULL,
		.mmio_read = cpu_mmio_read,
		.mmio_write = cpu_mmio_write,
		.port_in = cpu_port_in,
		.port_out = cpu_port_out,
		.msr_read = cpu_msr_read,
		.msr_write = cpu_msr_write,
		.ack_interrupt = cpu_ack_interrupt,
		.get_tpr = cpu_get_tpr,
		.set_tpr = cpu_set_tpr,
		.tsc = cpu_tsc,
		.random = cpu_random,
	};

	if (vm->ram.bytes > vm->ram.low_bytes)
		platform.ranges[platform.n_ranges++] = (struct x86_ram_range){
			RAM_HIGH_GPA, vm->ram.bytes - vm->ram.low_bytes, vm->ram.low_bytes};
	config.memory = vm->cpu_memory;
	config.code = vm->code_memory;
	config.image = vm->config.code;
	config.log = vm->config.code_log;
	vm->cpu = x86_create(&config, &platform, e);
	if (!vm->cpu)
		return e->code;
	/* RAM is still what the image was made from. The rest is taken in time, or when it is run. */
	x86_preload(vm->cpu, false);
	return 0;
}

/* ---- devices ---------------------------------------------------------------------------- */

static uint64_t dev_now(void *arg)
{
	return vm_clock_now(&((struct vm *)arg)->clock);
}

static int64_t dev_wall(void *arg)
{
	return host_wall_ns();
}

static void power_request(void *arg, enum power_request r)
{
	struct vm *vm = arg;

	if (r == POWER_PANICKED) {
		vm->panicked = true;
		return;
	}
	vm->request = r;
	run_kick(vm);
}

static void agent_output(void *arg, const uint8_t *data, size_t len)
{
	struct vm *vm = arg;

	for (size_t i = 0; i < len; i++) {
		if (data[i] == '\n') {
			vm->agent_line[vm->agent_line_len] = '\0';
			vm->agent_line_len = 0;
			if (text_starts(vm->agent_line, "x ")) {
				if (vm->session_line)
					vm->session_line(vm->session_arg, vm->agent_line + 2);
			} else if (vm->config.agent)
				vm->config.agent(vm->config.agent_arg, vm->agent_line);
		} else if (vm->agent_line_len < sizeof(vm->agent_line) - 1) {
			vm->agent_line[vm->agent_line_len++] = (char)data[i];
		}
	}
}

static void add(struct vm *vm, struct dev *d)
{
	assert(vm->n_devices < DEVICES_MAX);
	vm->device[vm->n_devices++] = d;
	if (d->class->deadline)
		vm->timed[vm->n_timed++] = d;
}

static void add_mmio(struct vm *vm, struct dev *d, uint64_t gpa, uint64_t bytes)
{
	add(vm, d);
	bus_add(&vm->bus, BUS_MMIO, gpa, bytes, d, 0);
}

static void add_ports(struct vm *vm, struct dev *d, uint16_t first, uint16_t n)
{
	add(vm, d);
	bus_add(&vm->bus, BUS_PORT, first, n, d, 0);
}

static void add_virtio(struct vm *vm, struct virtio *v, unsigned place)
{
	add_mmio(vm, &v->dev, VIRTIO_GPA + place * VIRTIO_STRIDE, VIRTIO_BYTES);
}

static struct irq_line virtio_line(struct vm *vm, unsigned place)
{
	return ioapic_line(&vm->ioapic, PIN_VIRTIO + place);
}

unsigned virtio_count(const struct vm_config *config)
{
	return VIRTIO_DISK + config->n_disks + config->n_shares + config->has_net;
}

static void on_wire(void *arg, int fd, short revents)
{
	vnet_move(&((struct vm *)arg)->net);
}

static void create_net(struct vm *vm)
{
	unsigned place = virtio_count(&vm->config) - 1;
	struct wire *wire = vm->config.wire;

	vnet_init(&vm->net, "net", &vm->ram, virtio_line(vm, place), wire, vm->config.mac);
	add_virtio(vm, &vm->net.virtio, place);
	if (!wire || wire->fd < 0)
		return;
	vm_watch(vm, wire->fd, 0, on_wire, vm);
	vm->watch[vm->n_watches - 1].is_wire = true;
}

static void create_devices(struct vm *vm)
{
	const struct lapic_cpu cpu = {.intr = lapic_intr, .nmi = lapic_nmi, .arg = vm};
	struct ioapic *io = &vm->ioapic;

	vm->dev_clock = (struct dev_clock){.now = dev_now, .wall = dev_wall, .arg = vm};
	lapic_init(&vm->lapic, "lapic0", 0, &vm->fabric, &vm->dev_clock, cpu);
	add_mmio(vm, &vm->lapic.dev, LAPIC_GPA, LAPIC_BYTES);
	ioapic_init(io, "ioapic", &vm->fabric);
	add_mmio(vm, &io->dev, IOAPIC_GPA, IOAPIC_BYTES);
	serial_init(&vm->serial, "serial", ioapic_line(io, PIN_SERIAL), vm->config.console);
	add_ports(vm, &vm->serial.dev, PORT_SERIAL, 8);
	rtc_init(&vm->rtc, "rtc", &vm->dev_clock, ioapic_line(io, PIN_RTC));
	add_ports(vm, &vm->rtc.dev, PORT_RTC, 2);
	power_init(&vm->power, "power", ioapic_line(io, PIN_POWER), ioapic_line(io, PIN_GENERATION),
	           power_request, vm);
	add_ports(vm, &vm->power.dev, PORT_POWER, POWER_PORTS);

	vconsole_init(&vm->console, "console", &vm->ram, virtio_line(vm, VIRTIO_CONSOLE),
	              vm->config.console);
	add_virtio(vm, &vm->console.virtio, VIRTIO_CONSOLE);
	vconsole_init(&vm->agent, "agent", &vm->ram, virtio_line(vm, VIRTIO_AGENT),
	              (struct byte_sink){agent_output, vm});
	add_virtio(vm, &vm->agent.virtio, VIRTIO_AGENT);
	vrng_init(&vm->rng, "rng", &vm->ram, virtio_line(vm, VIRTIO_RNG), host_random);
	add_virtio(vm, &vm->rng.virtio, VIRTIO_RNG);
	vballoon_init(&vm->balloon, "balloon", &vm->ram, virtio_line(vm, VIRTIO_BALLOON));
	add_virtio(vm, &vm->balloon.virtio, VIRTIO_BALLOON);
	for (unsigned i = 0; i < vm->config.n_disks; i++) {
		snprintf(vm->disk_name[i], sizeof(vm->disk_name[i]), "disk%u", i);
		vblock_init(&vm->disk[i], vm->disk_name[i], &vm->ram,
		            virtio_line(vm, VIRTIO_DISK + i), vm->config.disk[i]);
		add_virtio(vm, &vm->disk[i].virtio, VIRTIO_DISK + i);
	}
	for (unsigned i = 0; i < vm->config.n_shares; i++) {
		unsigned place = VIRTIO_DISK + vm->config.n_disks + i;

		snprintf(vm->share_name[i], sizeof(vm->share_name[i]), "share%u", i);
		v9p_init(&vm->share[i], vm->share_name[i], &vm->ram, virtio_line(vm, place),
		         vm->config.share[i]);
		add_virtio(vm, &vm->share[i].virtio, place);
	}
	if (vm->config.has_net)
		create_net(vm);
}

struct vm *vm_create(const struct vm_config *config, struct err *e)
{
	struct vm *vm = config->begun ? config->begun : xalloc(sizeof(*vm));

	assert(config->n_disks <= VM_DISKS_MAX && config->n_shares <= VM_SHARES_MAX);
	ahead_wait(vm);
	assert(!vm->ram.host || vm->ram.bytes == config->ram_bytes);
	vm->config = *config;
	vm->config.begun = NULL;
	vm->clock.waited = config->waited_ns;
	vm->armed = DEV_NEVER;
	if (!vm->ram.host && memory_create(vm, e))
		goto fail;
	create_devices(vm);
	if ((!vm->cpu && create_cpu(vm, e)) || run_create(vm, e))
		goto fail;
	ram_need(vm, GENERATION_GPA, 16);
	host_random(vm->ram.host + GENERATION_GPA, 16);
	memory_share_with_forks(vm, true);
	return vm;
fail:
	vm_destroy(vm);
	return NULL;
}

void vm_destroy(struct vm *vm)
{
	if (!vm)
		return;
	ahead_wait(vm);
	run_destroy(vm);
	x86_destroy(vm->cpu);
	memory_destroy(vm);
	for (unsigned i = 0; i < VM_SHARES_MAX; i++)
		v9p_finish(&vm->share[i]);
	vnet_finish(&vm->net);
	buf_finish(&vm->input);
	buf_finish(&vm->agent_input);
	free(vm);
}

void vm_get_stats(struct vm *vm, struct vm_stats *out)
{
	*out = (struct vm_stats){
		.instructions = x86_instructions(vm->cpu),
		.machine_ns = vm_clock_now(&vm->clock),
		.idle_ns = vm->idle_ns,
		.reported_bytes = vm->balloon.reported_bytes,
	};
}
