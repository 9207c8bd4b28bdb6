/* SPDX-License-Identifier: MIT */
/* CRC32; the ciphers and digests of simd-portable.h follow below. */
#include "x86/simd-op.h"

static uint32_t crc32c_byte(uint32_t crc, uint8_t byte)
{
	crc ^= byte;
	for (unsigned i = 0; i < 8; i++)
		crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	return crc;
}

static uint32_t crc32c_portable(uint32_t crc, uint64_t data, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		crc = crc32c_byte(crc, (uint8_t)(data >> 8 * i));
	return crc;
}

#if X86_HOST_FP
uint32_t x86_crc32c(uint32_t crc, uint64_t data, unsigned bytes)
{
	uint64_t wide = crc;

	if (!simd_host_has(SIMD_F_SSE42))
		return crc32c_portable(crc, data, bytes);
	switch (bytes) {
	case 1:
		__asm__("crc32b %1, %k0" : "+r"(wide) : "r"((uint8_t)data));
		break;
	case 2:
		__asm__("crc32w %1, %k0" : "+r"(wide) : "r"((uint16_t)data));
		break;
	case 4:
		__asm__("crc32l %1, %k0" : "+r"(wide) : "r"((uint32_t)data));
		break;
	default:
		__asm__("crc32q %1, %0" : "+r"(wide) : "r"(data));
		break;
	}
	return (uint32_t)wide;
}
#else
uint32_t x86_crc32c(uint32_t crc, uint64_t data, unsigned bytes)
{
	return crc32c_portable(crc, data, bytes);
}
#endif
