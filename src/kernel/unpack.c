/* SPDX-License-Identifier: MIT */
/*
 * Decompression of kernels, their modules and initramfs. The input is untrusted: a damaged stream,
 * one that ends early and one that never ends are refused with a sentence. What follows a complete
 * stream is not looked at: behind a bzImage's payload is its unpacked size, and an initramfs may
 * go on.
 */
#include "kernel/kernel.h"

#include <lz4.h>
#include <lzma.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define STEP (1u << 20)
#define LZ4_BLOCK (8u << 20) /* the legacy frame's fixed block size */

static int damaged(struct err *e, const char *kind)
{
	return err_say(e, -EBADMSG, "its %s data is damaged or cut short", kind);
}

static int too_large(struct err *e, size_t limit)
{
	return err_say(e, -EFBIG, "it unpacks to more than %zu MiB", limit >> 20);
}

static int unpack_gzip(struct span in, size_t limit, struct buf *out, size_t *used, struct err *e)
{
	z_stream z = {.next_in = (uint8_t *)(uintptr_t)in.data, .avail_in = (uInt)in.len};
	int r;

	if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
		return err_set(e, -ENOMEM, "zlib");
	do {
		size_t before = out->len;

		z.next_out = buf_extend(out, STEP);
		z.avail_out = STEP;
		r = inflate(&z, Z_NO_FLUSH);
		out->len = before + STEP - z.avail_out;
	} while (r == Z_OK && out->len <= limit);
	*used = z.total_in;
	inflateEnd(&z);
	if (out->len > limit)
		return too_large(e, limit);
	return r == Z_STREAM_END ? 0 : damaged(e, "gzip");
}

static int unpack_xz(struct span in, size_t limit, struct buf *out, size_t *used, struct err *e)
{
	lzma_stream z = LZMA_STREAM_INIT;
	lzma_ret r;

	if (lzma_stream_decoder(&z, 256u << 20, 0) != LZMA_OK)
		return err_set(e, -ENOMEM, "liblzma");
	z.next_in = in.data;
	z.avail_in = in.len;
	do {
		size_t before = out->len;

		z.next_out = buf_extend(out, STEP);
		z.avail_out = STEP;
		r = lzma_code(&z, LZMA_RUN);
		out->len = before + STEP - z.avail_out;
	} while (r == LZMA_OK && out->len <= limit && (z.avail_in || !z.avail_out));
	*used = in.len - z.avail_in;
	lzma_end(&z);
	if (out->len > limit)
		return too_large(e, limit);
	return r == LZMA_STREAM_END ? 0 : damaged(e, "xz");
}

static int unpack_zstd(struct span in, size_t limit, struct buf *out, size_t *used, struct err *e)
{
	ZSTD_DStream *z = ZSTD_createDStream();
	ZSTD_inBuffer from = {in.data, in.len, 0};
	size_t left;

	if (!z)
		return err_set(e, -ENOMEM, "libzstd");
	/* Kernels are packed with a window of 128 MiB. */
	ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, 27);
	do {
		ZSTD_outBuffer to = {buf_extend(out, STEP), STEP, 0};

		left = ZSTD_decompressStream(z, &to, &from);
		out->len -= STEP - to.pos;
		/* A truncated frame: all input is used, nothing came, and more is wanted. */
		if (!ZSTD_isError(left) && left && from.pos == from.size && to.pos < STEP)
			break;
	} while (!ZSTD_isError(left) && left && out->len <= limit);
	*used = from.pos;
	ZSTD_freeDStream(z);
	if (out->len > limit)
		return too_large(e, limit);
	return left ? damaged(e, "zstd") : 0;
}

/* The legacy frame: a magic, then blocks with their packed size before them. */
static int unpack_lz4(struct span in, size_t limit, struct buf *out, size_t *used, struct err *e)
{
	size_t at = 4;

	while (in.len - at >= 4) {
		uint32_t packed = in.data[at] | (uint32_t)in.data[at + 1] << 8 |
		                  (uint32_t)in.data[at + 2] << 16 | (uint32_t)in.data[at + 3] << 24;
		size_t before = out->len;
		int n;

		at += 4;
		/* The unpacked size behind the last block looks like a block's; padding is zero. */
		if (!packed || (in.len == at && before))
			break;
		if (packed > in.len - at || packed > LZ4_COMPRESSBOUND(LZ4_BLOCK))
			return damaged(e, "lz4");
		n = LZ4_decompress_safe((const char *)in.data + at,
		                        (char *)buf_extend(out, LZ4_BLOCK), (int)packed, LZ4_BLOCK);
		if (n <= 0)
			return damaged(e, "lz4");
		out->len = before + (size_t)n;
		if (out->len > limit)
			return too_large(e, limit);
		at += packed;
	}
	*used = at;
	return out->len ? 0 : damaged(e, "lz4");
}

int kernel_unpack(struct span in, size_t limit, struct buf *out, size_t *used, struct err *e)
{
	static const struct {
		const char *magic;
		size_t len;
		int (*fn)(struct span, size_t, struct buf *, size_t *, struct err *);
	} kinds[] = {
		{"\x1f\x8b", 2, unpack_gzip},
		{"\xfd\x37zXZ\0", 6, unpack_xz},
		{"\x02\x21\x4c\x18", 4, unpack_lz4},
		{"\x28\xb5\x2f\xfd", 4, unpack_zstd},
	};
	size_t ignored;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (in.len >= kinds[i].len && !memcmp(in.data, kinds[i].magic, kinds[i].len))
			return kinds[i].fn(in, limit, out, used ? used : &ignored, e);
	return err_say(e, -ENOTSUP, "its compression is not one of gzip, xz, lz4 and zstd");
}
