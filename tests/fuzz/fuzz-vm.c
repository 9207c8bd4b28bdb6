/* SPDX-License-Identifier: MIT */
/*
 * Kernels, compressed data and machine records on any bytes. The first byte chooses the
 * parser.
 */
#include "vm/vm-int.h"

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

	if (!unpack(in, UNPACK_MAX, &out, NULL))
		assert(out.len <= UNPACK_MAX);
}

static void fuzz_record(struct span in)
{
	uint64_t bytes;

	if (!vm_peek(in, &bytes, NULL))
		assert(bytes >= VM_RAM_MIN && bytes <= VM_RAM_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parsers[])(struct span) = {fuzz_kernel, fuzz_unpack, fuzz_record};

	if (!size)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(parsers); i++) {
		if (data[0] == "kur"[i])
			parsers[i](SPAN(data + 1, size - 1));
	}
	return 0;
}
