/* SPDX-License-Identifier: MIT */
/*
 * Kernels, initramfs, compressed data, machine records and machine streams on any bytes. The first
 * byte chooses the parser.
 */
#include "kernel/kernel.h"
#include "vm/vm-int.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM_BYTES (2u << 20)
#define UNPACK_MAX (1u << 20)

static void fuzz_kernel(struct span in)
{
	struct dev_ram ram = {.bytes = RAM_BYTES, .low_bytes = RAM_BYTES};
	uint64_t entry, end;
	struct err e = {0};
	struct kernel k;
	int r;

	ram.host = xalloc(RAM_BYTES);
	r = kernel_open(&k, in, UNPACK_MAX, &e);
	if (!r)
		r = kernel_load(&k, &ram, &entry, &end, &e);
	assert(r <= 0 && (!r || *e.text));
	if (!r)
		assert(entry < end && end <= RAM_BYTES);
	kernel_finish(&k);
	free(ram.host);
}

static void fuzz_unpack(struct span in)
{
	AUTO(buf) struct buf out = {0};

	size_t used;

	if (!kernel_unpack(in, UNPACK_MAX, &out, &used, NULL))
		assert(out.len <= UNPACK_MAX && used && used <= in.len);
}

static void fuzz_initrd(struct span in)
{
	struct err e = {0};

	if (initrd_check(in, UNPACK_MAX, &e))
		assert(text_starts(e.text, "initrd: "));
}

static void fuzz_record(struct span in)
{
	AUTO(arena) struct arena a = {0};
	struct vm_needs needs;

	if (!vm_peek(in, &a, &needs, NULL))
		assert(needs.ram_bytes >= VM_RAM_MIN && needs.ram_bytes <= VM_RAM_MAX);
}

static int check_page(void *arg, uint64_t page, const uint8_t *data, uint64_t count, struct err *e)
{
	uint64_t *next = arg;

	assert(count && page >= *next && page + count <= VM_RAM_MAX / PAGE_BYTES);
	*next = page + count;
	return 0;
}

static void fuzz_stream(struct span in)
{
	AUTO(buf) struct buf state = {0};
	uint64_t next = 0;
	const struct vm_page_writer w = {check_page, &next};
	int fd = memfd_create("stream", MFD_CLOEXEC);
	struct err e = {0};

	if (fd < 0 || write(fd, in.data, in.len) != (ssize_t)in.len || lseek(fd, 0, SEEK_SET))
		abort();
	if (vm_stream_read(fd, &w, &state, &e))
		assert(*e.text);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parsers[])(struct span) = {fuzz_kernel, fuzz_unpack, fuzz_record,
	                                               fuzz_stream, fuzz_initrd};

	if (!size)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(parsers); i++) {
		if (data[0] == "kursi"[i])
			parsers[i](SPAN(data + 1, size - 1));
	}
	return 0;
}
