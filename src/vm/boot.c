/* SPDX-License-Identifier: MIT */
/*
 * The 64-bit Linux boot protocol: the "zero page" (struct boot_params) with the memory map,
 * the command line, the initramfs and the ACPI root pointer; identity page tables over the
 * first 4 GiB; a GDT with the selectors that the protocol names; RSI pointing to the zero page.
 */
#include "vm/vm-int.h"

#include <string.h>

#include "kernel/kernel.h"

/* Offsets in struct boot_params (Documentation/arch/x86/zero-page.rst). */
enum {
	BP_ACPI_RSDP = 0x070,
	BP_E820_COUNT = 0x1e8,
	BP_HEADER = 0x1f1,
	BP_BOOT_FLAG = 0x1fe,
	BP_MAGIC = 0x202,
	BP_VERSION = 0x206,
	BP_LOADER = 0x210,
	BP_LOADFLAGS = 0x211,
	BP_RAMDISK = 0x218,
	BP_RAMDISK_BYTES = 0x21c,
	BP_COMMAND = 0x228,
	BP_INITRD_MAX = 0x22c,
	BP_ALIGNMENT = 0x230,
	BP_COMMAND_MAX = 0x238,
	BP_E820 = 0x2d0,
};

#define LOADER_UNDEFINED 0xff
#define LOADED_HIGH 0x01
#define E820_RAM 1
#define E820_ACPI 3

#define PTE_PRESENT 1u
#define PTE_WRITE 2u
#define PTE_LARGE 0x80u

static void put(uint8_t *p, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static void add_e820(uint8_t *bp, uint64_t from, uint64_t to, uint32_t type)
{
	uint8_t *entry = bp + BP_E820 + (size_t)20 * bp[BP_E820_COUNT];

	if (from >= to)
		return;
	put(entry, from, 8);
	put(entry + 8, to - from, 8);
	put(entry + 16, type, 4);
	bp[BP_E820_COUNT]++;
}

static void build_page_tables(uint8_t *ram)
{
	uint8_t *pml4 = ram + BOOT_TABLES_GPA, *pdpt = pml4 + PAGE_BYTES;

	put(pml4, (BOOT_TABLES_GPA + PAGE_BYTES) | PTE_PRESENT | PTE_WRITE, 8);
	for (unsigned g = 0; g < 4; g++) {
		uint64_t pd = BOOT_TABLES_GPA + (2 + g) * PAGE_BYTES;

		put(pdpt + 8 * g, pd | PTE_PRESENT | PTE_WRITE, 8);
		for (unsigned i = 0; i < 512; i++)
			put(ram + pd + 8 * i,
			    ((uint64_t)g << 30 | (uint64_t)i << 21) | PTE_PRESENT | PTE_WRITE |
			            PTE_LARGE,
			    8);
	}
}

static void build_gdt(uint8_t *ram)
{
	put(ram + BOOT_GDT_GPA + 0x10, 0x00af9b000000ffff, 8); /* 64-bit code */
	put(ram + BOOT_GDT_GPA + 0x18, 0x00cf93000000ffff, 8); /* data */
}

/* As high as the protocol allows, so that the kernel's own early memory stays in one piece. */
static int load_initrd(struct vm *vm, struct span initrd, uint64_t kernel_end, uint8_t *bp,
                       struct err *e)
{
	uint64_t top = MIN(vm->ram.low_bytes, get(bp + BP_INITRD_MAX, 4) + 1);
	uint64_t at;

	if (!initrd.len)
		return 0;
	if (initrd.len > top || kernel_end > top - initrd.len)
		return err_say(e, -EFBIG, "initrd: %llu MiB do not fit beside the kernel into RAM",
		               (unsigned long long)(initrd.len >> 20));
	at = (top - initrd.len) & ~(uint64_t)(PAGE_BYTES - 1);
	if (at < kernel_end)
		return err_say(e, -EFBIG, "initrd: it does not fit beside the kernel into RAM");
	memcpy(vm->ram.host + at, initrd.data, initrd.len);
	put(bp + BP_RAMDISK, at, 4);
	put(bp + BP_RAMDISK_BYTES, initrd.len, 4);
	return 0;
}

/* The setup header, of which a plain ELF has none: the kernel's own, and what a loader fills in. */
static void write_header(const struct kernel *k, uint8_t *bp)
{
	memset(bp, 0, PAGE_BYTES);
	if (k->setup_header.len) {
		memcpy(bp + BP_HEADER, k->setup_header.data, k->setup_header.len);
	} else {
		put(bp + BP_INITRD_MAX, 0x7fffffff, 4);
		put(bp + BP_VERSION, 0x20f, 2);
	}
	put(bp + BP_BOOT_FLAG, 0xaa55, 2);
	memcpy(bp + BP_MAGIC, "HdrS", 4);
	bp[BP_LOADER] = LOADER_UNDEFINED;
	/* Without the KASLR bit the kernel keeps its regions where they are, too. */
	bp[BP_LOADFLAGS] = LOADED_HIGH;
	put(bp + BP_ALIGNMENT, 0x200000, 4);
}

static void write_command_line(const char *line, uint8_t *ram, uint8_t *bp)
{
	memcpy(ram + BOOT_COMMAND_GPA, line, strlen(line) + 1);
	put(bp + BP_COMMAND, BOOT_COMMAND_GPA, 4);
	put(bp + BP_COMMAND_MAX, BOOT_COMMAND_MAX - 1, 4);
}

static void write_memory_map(const struct dev_ram *ram, uint8_t *bp)
{
	static_assert(ACPI_END <= KERNEL_LOAD_MIN, "no kernel is loaded over the tables");
	add_e820(bp, 0, BOOT_LOW_END, E820_RAM);
	add_e820(bp, ACPI_GPA, ACPI_END, E820_ACPI);
	add_e820(bp, ACPI_END, ram->low_bytes, E820_RAM);
	add_e820(bp, RAM_HIGH_GPA, RAM_HIGH_GPA + ram->bytes - ram->low_bytes, E820_RAM);
}

/* Where the protocol wants the CPU to be: in long mode, at the kernel's entry. */
static int set_cpu(struct vm *vm, uint64_t entry, struct err *e)
{
	struct x86_state state;

	build_page_tables(vm->ram.host);
	build_gdt(vm->ram.host);
	x86_state_long_mode(&state, entry, BOOT_TABLES_GPA);
	state.gdtr = (struct x86_table){.base = BOOT_GDT_GPA, .limit = 0x1f};
	state.gpr[X86_RSI] = BOOT_PARAMS_GPA;
	return x86_set_state(vm->cpu, &state, e);
}

static int start(struct vm *vm, const struct vm_boot *boot, const struct kernel *k, struct err *e)
{
	uint8_t *ram = vm->ram.host, *bp = ram + BOOT_PARAMS_GPA;
	uint64_t entry, end;
	int r = kernel_load(k, &vm->ram, &entry, &end, e);

	if (r)
		return r;
	write_header(k, bp);
	write_command_line(boot->command_line, ram, bp);
	r = load_initrd(vm, boot->initrd, end, bp, e);
	if (r)
		return r;
	write_memory_map(&vm->ram, bp);
	put(bp + BP_ACPI_RSDP, acpi_build(&vm->ram, virtio_count(&vm->config)), 8);
	return set_cpu(vm, entry, e);
}

int vm_boot(struct vm *vm, const struct vm_boot *boot, struct err *e)
{
	struct kernel k;
	int r;

	if (strlen(boot->command_line) >= BOOT_COMMAND_MAX)
		return err_say(e, -EINVAL, "the command line is longer than %u bytes",
		               BOOT_COMMAND_MAX - 1);
	r = initrd_check(boot->initrd, vm->ram.bytes, e);
	if (r)
		return r;
	r = kernel_open(&k, boot->kernel, vm->ram.bytes, e);
	if (!r)
		r = start(vm, boot, &k, e);
	kernel_finish(&k);
	return r;
}
