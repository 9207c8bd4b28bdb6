/* SPDX-License-Identifier: MIT */
/*
 * Kernels: a bzImage (Linux x86 boot protocol 2.08 or later, Documentation/arch/x86/boot.rst)
 * is a setup part with a header at 0x1f1 and a protected-mode part, in which the compressed
 * vmlinux lies as "payload". We unpack it on the host, which is many times faster than the
 * guest would, and load the ELF to the physical addresses it names. Its relocation table,
 * which follows the ELF, is not applied: the kernel runs where it was linked (as with nokaslr).
 */
#include "kernel/kernel.h"

#include <elf.h>
#include <string.h>

#define HEADER 0x1f1u
#define HEADER_MIN 0x268u
#define SECTOR 512u
#define PROTOCOL_MIN 0x208u
#define XLF_KERNEL_64 1u

static uint64_t get(struct span s, size_t at, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes && at + i < s.len; i++)
		v |= (uint64_t)s.data[at + i] << (8 * i);
	return v;
}

static bool is_elf(struct span s)
{
	return s.len >= SELFMAG && !memcmp(s.data, ELFMAG, SELFMAG);
}

static bool is_bzimage(struct span s)
{
	return s.len > HEADER_MIN && get(s, 0x1fe, 2) == 0xaa55 &&
	       !memcmp(s.data + 0x202, "HdrS", 4);
}

static int open_bzimage(struct kernel *k, struct span file, uint64_t limit, struct err *e)
{
	uint64_t setup, offset, length;
	int r;

	if (get(file, 0x206, 2) < PROTOCOL_MIN)
		return err_say(e, -ENOEXEC, "kernel: its boot protocol is older than 2.08");
	if (get(file, 0x206, 2) >= 0x20c && !(get(file, 0x236, 2) & XLF_KERNEL_64))
		return err_say(e, -ENOEXEC, "kernel: it is not a 64-bit kernel");
	setup = get(file, HEADER, 1) ? get(file, HEADER, 1) : 4;
	offset = (setup + 1) * SECTOR + get(file, 0x248, 4);
	length = get(file, 0x24c, 4);
	if (offset > file.len || length > file.len - offset || !length)
		return err_say(e, -ENOEXEC,
		               "kernel: the file ends before its payload does; was "
		               "it cut short?");
	r = kernel_unpack(SPAN(file.data + offset, length), limit, &k->unpacked, NULL, e);
	if (r == -EFBIG)
		return err_say(e, r, "kernel: it does not fit into %llu MiB of RAM",
		               (unsigned long long)(limit >> 20));
	if (r)
		return err_wrap(e, r, "kernel");
	k->elf = buf_span(&k->unpacked);
	if (!is_elf(k->elf))
		return err_say(e, -ENOEXEC, "kernel: what is packed in it is not an ELF file");
	/* The byte at 0x201 is the distance from 0x202 to the header's end. */
	k->setup_header =
		SPAN(file.data + HEADER, MIN(0x202u + get(file, 0x201, 1), 0x290u) - HEADER);
	return 0;
}

int kernel_open(struct kernel *k, struct span file, uint64_t limit, struct err *e)
{
	*k = (struct kernel){0};
	if (is_bzimage(file))
		return open_bzimage(k, file, limit, e);
	if (!is_elf(file))
		return err_say(e, -ENOEXEC, "kernel: this is neither a bzImage nor an ELF vmlinux");
	k->elf = file;
	return 0;
}

void kernel_finish(struct kernel *k)
{
	buf_finish(&k->unpacked);
}

static int load_segment(struct span elf, const Elf64_Phdr *p, const struct dev_ram *ram,
                        struct err *e)
{
	uint8_t *at;

	if (p->p_filesz > p->p_memsz || p->p_offset > elf.len ||
	    p->p_filesz > elf.len - p->p_offset)
		return err_say(e, -ENOEXEC, "kernel: one of its segments is not in the file");
	if (p->p_paddr < KERNEL_LOAD_MIN)
		return err_say(e, -ENOEXEC, "kernel: it wants to be loaded below 1 MiB");
	at = ram_at(ram, p->p_paddr, p->p_memsz);
	if (!at)
		return err_say(e, -EFBIG, "kernel: it does not fit into %llu MiB of RAM",
		               (unsigned long long)(ram->bytes >> 20));
	memcpy(at, elf.data + p->p_offset, p->p_filesz);
	memset(at + p->p_filesz, 0, p->p_memsz - p->p_filesz);
	return 0;
}

int kernel_load(const struct kernel *k, const struct dev_ram *ram, uint64_t *entry, uint64_t *end,
                struct err *e)
{
	uint64_t last = 0;
	Elf64_Ehdr h;
	bool entry_loaded = false;

	if (k->elf.len < sizeof(h))
		return err_say(e, -ENOEXEC, "kernel: the ELF file is cut short");
	memcpy(&h, k->elf.data, sizeof(h));
	if (h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB ||
	    h.e_machine != EM_X86_64 || h.e_type != ET_EXEC || h.e_phentsize != sizeof(Elf64_Phdr))
		return err_say(e, -ENOEXEC, "kernel: the ELF file is not an x86-64 kernel");
	if (h.e_phoff > k->elf.len || h.e_phnum * sizeof(Elf64_Phdr) > k->elf.len - h.e_phoff)
		return err_say(e, -ENOEXEC, "kernel: the ELF file is cut short");
	for (unsigned i = 0; i < h.e_phnum; i++) {
		Elf64_Phdr p;
		int r;

		memcpy(&p, k->elf.data + h.e_phoff + i * sizeof(p), sizeof(p));
		if (p.p_type != PT_LOAD || !p.p_memsz)
			continue;
		r = load_segment(k->elf, &p, ram, e);
		if (r)
			return r;
		last = MAX(last, p.p_paddr + p.p_memsz);
		entry_loaded |= h.e_entry - p.p_paddr < p.p_memsz;
	}
	if (!entry_loaded)
		return err_say(e, -ENOEXEC, "kernel: its entry is not in what it loads");
	*entry = h.e_entry;
	*end = last;
	return 0;
}
