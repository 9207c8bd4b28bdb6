/* SPDX-License-Identifier: MIT */
/* What the files of this room share. */
#ifndef WSLX_VM_INT_H
#define WSLX_VM_INT_H

#include <poll.h>
#include <pthread.h>
#include <time.h>

#include "vm/vm.h"
#include "x86/x86.h"

/*
 * The guest-physical address space.
 *
 * | from        | what                                                          |
 * |-------------|---------------------------------------------------------------|
 * | 0           | RAM; the first MiB holds what the boot protocol needs         |
 * | 0xd000_0000 | virtio devices, a page each                                   |
 * | 0xfec0_0000 | I/O APIC                                                      |
 * | 0xfee0_0000 | local APIC                                                    |
 * | 4 GiB       | the rest of RAM, when it is more than 3 GiB                   |
 */
#define RAM_LOW_MAX (3ull << 30)
#define VIRTIO_GPA 0xd0000000ull
#define VIRTIO_STRIDE 0x1000ull

#define BOOT_GDT_GPA 0x1000ull
#define BOOT_PARAMS_GPA 0x2000ull
#define BOOT_TABLES_GPA 0x3000ull /* PML4, PDPT, four page directories */
#define BOOT_COMMAND_GPA 0x10000ull
#define BOOT_COMMAND_MAX 2048u
#define BOOT_LOW_END 0x9fc00ull
#define ACPI_GPA 0xe0000ull
#define ACPI_END 0x100000ull
#define GENERATION_GPA (ACPI_END - PAGE_BYTES) /* 16 bytes, on a page of their own */

#define HUGE_PAGE_BYTES ((size_t)2 << 20) /* of the host */

/* Ports and pins. */
#define PORT_RTC 0x70
#define PORT_SERIAL 0x3f8
#define PORT_POWER 0x600
#define PIN_SERIAL 4
#define PIN_RTC 8
#define PIN_POWER 9
#define PIN_GENERATION 10 /* its number is in the name of a method: acpi.c */
#define PIN_VIRTIO 16

/* Places of the virtio devices; after the last disk come shares, then the network. */
enum { VIRTIO_CONSOLE, VIRTIO_AGENT, VIRTIO_RNG, VIRTIO_BALLOON, VIRTIO_DISK };
#define VIRTIO_MAX (VIRTIO_DISK + VM_DISKS_MAX + VM_SHARES_MAX + 1)
#define DEVICES_MAX (5 + VIRTIO_MAX)
_Static_assert(PIN_VIRTIO + VIRTIO_MAX <= IOAPIC_PINS, "each device has a pin");
#define INPUT_MAX 65536u
#define AGENT_INPUT_MAX (2u << 20) /* windows of all sessions that there can be */
#define AGENT_LINE_MAX 2304u       /* also of the guest: AGENT_LINE_BYTES in guest.h */

struct vm_watch {
	int fd;
	short events;
	bool is_input; /* waits while the console's input is full */
	bool is_wire;  /* waits for what the network device has room for, or has to send */
	void (*ready)(void *arg, int fd, short revents);
	void *arg;
};

/* The machine's clock: CLOCK_MONOTONIC plus an offset while it runs, frozen while it does not. */
struct vm_clock {
	bool running;
	bool was_stopped; /* without our doing; somebody has to tell the guest the time of day */
	uint64_t offset, frozen;
	uint64_t seen;          /* when somebody looked last, in the host's time */
	const uint64_t *waited; /* vm_config.waited_ns */
	uint64_t waited_seen;
	uint64_t waited_last; /* when the last wait was seen, in the host's time; 0: told of */
};

struct vm {
	struct vm_config config;
	struct dev_ram ram;
	struct x86_cpu *cpu;
	void *cpu_memory;
	struct x86_code_memory code_memory;
	pthread_t ahead; /* if there is one; RAM and CPU are its own until ahead_wait() */
	bool is_ahead;
	_Atomic bool is_awaited;
	_Atomic size_t pages_used; /* of the known ones, or being so, by either thread */
	struct bus bus;
	struct apic_fabric fabric;
	struct vm_clock clock;
	struct dev_clock dev_clock;

	struct lapic lapic;
	struct ioapic ioapic;
	struct serial serial;
	struct rtc rtc;
	struct power power;
	struct vconsole console, agent;
	struct vrng rng;
	struct vballoon balloon;
	struct vblock disk[VM_DISKS_MAX];
	char disk_name[VM_DISKS_MAX][16];
	struct v9p share[VM_SHARES_MAX];
	char share_name[VM_SHARES_MAX][16];
	struct vnet net;

	struct dev *device[DEVICES_MAX]; /* all of them, in the order in which they are saved */
	unsigned n_devices;
	struct dev *timed[DEVICES_MAX]; /* those that have deadlines */
	unsigned n_timed;

	struct vm_watch watch[VM_WATCHES_MAX];
	unsigned n_watches;
	struct buf input;                                  /* typed, not yet taken by the guest */
	struct buf agent_input;                            /* said to the agent, not yet taken */
	bool agent_waits;                                  /* until the guest is idle */
	void (*session_line)(void *arg, const char *line); /* those of sessions; or NULL */
	void *session_arg;
	char agent_line[AGENT_LINE_MAX];
	size_t agent_line_len;

	timer_t timer;
	bool has_timer;
	uint64_t armed; /* machine time for which the timer is set, or DEV_NEVER */
	bool is_running;

	struct settle settle;
	void (*settled)(void *arg); /* NULL: nobody waits for that */
	void *settled_arg;

	bool stop;
	bool panicked; /* the guest has said so */
	enum power_request request;
	uint64_t idle_ns;
};

/* clock.c */
uint64_t vm_clock_now(struct vm_clock *c);
/* Nobody has looked at the clock because the machine slept, which was to end at @until. */
void vm_clock_slept(struct vm_clock *c, uint64_t until);
/* Whether somebody has to tell the guest the time of day, which has gone on without it. */
bool vm_clock_is_behind(struct vm_clock *c);
void vm_clock_start(struct vm_clock *c);
void vm_clock_stop(struct vm_clock *c);
int64_t host_wall_ns(void);
uint64_t host_monotonic_ns(void);

/* ram.c */
/*
 * RAM, the CPU's memory and that for generated code. What cannot be had of the latter the CPU does
 * without.
 */
int memory_create(struct vm *vm, struct err *e);
void memory_destroy(struct vm *vm);
/* At first a fork()ed child has none of it. */
void memory_share_with_forks(struct vm *vm, bool yes);
/* Before bytes of RAM are used, by their place in host memory. */
void ram_need(struct vm *vm, uint64_t at, uint64_t bytes);
bool page_is_zero(const uint8_t *page);

/* ahead.c */
void ahead_wait(struct vm *vm);

/* run.c */
int run_create(struct vm *vm, struct err *e);
void run_destroy(struct vm *vm);
/* A deadline may have come nearer. */
void run_deadlines_changed(struct vm *vm);
void run_kick(struct vm *vm);

/* machine.c */
int create_cpu(struct vm *vm, struct err *e);
unsigned virtio_count(const struct vm_config *config);

/* snapshot.c */
int save_machine(struct vm *vm, struct buf *state, const struct vm_page_writer *w, struct err *e);

/* acpi.c */
/**
 * acpi_build() - write the tables for a machine with these devices to ACPI_GPA
 * Return: the guest-physical address of the RSDP.
 */
uint64_t acpi_build(const struct dev_ram *ram, unsigned n_virtio);

#endif
