/* SPDX-License-Identifier: MIT */
/*
 * CRC32, and AES, carry-less multiplication, SHA-1 and SHA-256 rounds in portable C.
 *
 * AES: FIPS 197; the state's byte i is row i % 4, column i / 4. The tables are made from the
 * field's arithmetic when they are first used. Constant time is not a goal: whoever can
 * time the host runs the guest.
 */
#include "simd/simd-portable.h"

/* ---- CRC32 ----------------------------------------------------------------------------- */

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

/* ---- AES ------------------------------------------------------------------------------- */

static uint8_t sbox[256], inverse_sbox[256];

static uint8_t times2(uint8_t x)
{
	return (uint8_t)(x << 1 ^ (x & 0x80 ? 0x1b : 0));
}

static uint8_t times(uint8_t x, uint8_t by)
{
	uint8_t sum = 0;

	for (; by; by >>= 1, x = times2(x))
		if (by & 1)
			sum ^= x;
	return sum;
}

/* p runs through the powers of the generator 3, q through their inverses (FIPS 197, 5.1.1). */
static void make_sboxes(void)
{
	uint8_t p = 1, q = 1;

	if (sbox[0])
		return;
	do {
		uint8_t affine = 0x63;

		p = (uint8_t)(p ^ times2(p));
		q = (uint8_t)(q ^ q << 1);
		q = (uint8_t)(q ^ q << 2);
		q = (uint8_t)(q ^ q << 4);
		q ^= q & 0x80 ? 0x09 : 0;
		for (unsigned i = 0; i < 5; i++)
			affine = (uint8_t)(affine ^ (q << i | q >> (8 - i)));
		sbox[p] = affine;
		inverse_sbox[affine] = p;
	} while (p != 1);
	sbox[0] = 0x63;
	inverse_sbox[0x63] = 0;
}

/* Each column times the polynomial whose coefficients are given for the first row. */
static void mix_columns(union x86_vec *v, const uint8_t by[4])
{
	const union x86_vec t = *v;

	for (unsigned i = 0; i < 16; i++) {
		uint8_t sum = 0;

		for (unsigned j = 0; j < 4; j++)
			sum ^= times(t.b[(i & ~3u) + j], by[(j + 4 - i % 4) % 4]);
		v->b[i] = sum;
	}
}

static const uint8_t forward[4] = {2, 3, 1, 1}, backward[4] = {14, 11, 13, 9};

void crypto_aesenc(union x86_vec *state, const union x86_vec *key, bool last)
{
	const union x86_vec t = *state, k = *key;

	make_sboxes();
	for (unsigned i = 0; i < 16; i++)
		state->b[i] = sbox[t.b[(i + 4 * (i % 4)) % 16]];
	if (!last)
		mix_columns(state, forward);
	state->v ^= k.v;
}

void crypto_aesdec(union x86_vec *state, const union x86_vec *key, bool last)
{
	const union x86_vec t = *state, k = *key;

	make_sboxes();
	for (unsigned i = 0; i < 16; i++)
		state->b[i] = inverse_sbox[t.b[(i + 16 - 4 * (i % 4)) % 16]];
	if (!last)
		mix_columns(state, backward);
	state->v ^= k.v;
}

void crypto_aesimc(union x86_vec *dst, const union x86_vec *src)
{
	dst->v = src->v;
	mix_columns(dst, backward);
}

static uint32_t substitute_word(uint32_t x)
{
	return (uint32_t)sbox[x & 0xff] | (uint32_t)sbox[x >> 8 & 0xff] << 8 |
	       (uint32_t)sbox[x >> 16 & 0xff] << 16 | (uint32_t)sbox[x >> 24] << 24;
}

void crypto_aeskeygenassist(union x86_vec *dst, const union x86_vec *src, uint8_t constant)
{
	uint32_t x1, x3;

	make_sboxes();
	x1 = substitute_word(src->d[1]);
	x3 = substitute_word(src->d[3]);
	dst->d[0] = x1;
	dst->d[1] = (x1 >> 8 | x1 << 24) ^ constant;
	dst->d[2] = x3;
	dst->d[3] = (x3 >> 8 | x3 << 24) ^ constant;
}

/* ---- carry-less multiplication --------------------------------------------------------- */

void crypto_clmul(union x86_vec *product, uint64_t a, uint64_t b)
{
	uint64_t low = 0, high = 0;

	for (unsigned i = 0; i < 64; i++) {
		if (!(b >> i & 1))
			continue;
		low ^= a << i;
		high ^= i ? a >> (64 - i) : 0;
	}
	product->q[0] = low;
	product->q[1] = high;
}

/* ---- SHA ------------------------------------------------------------------------------- */

static uint32_t rotate_right(uint32_t x, unsigned by)
{
	return x >> by | x << (32 - by);
}

static uint32_t choose(uint32_t x, uint32_t y, uint32_t z)
{
	return (x & y) ^ (~x & z);
}

static uint32_t majority(uint32_t x, uint32_t y, uint32_t z)
{
	return (x & y) ^ (x & z) ^ (y & z);
}

/* Four rounds; lanes 3 to 0 of @state are A to D, E has been added to the first word already. */
void crypto_sha1rnds4(union x86_vec *state, const union x86_vec *words, unsigned function)
{
	static const uint32_t constants[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
	uint32_t a = state->d[3], b = state->d[2], c = state->d[1], d = state->d[0], e = 0;

	for (unsigned i = 0; i < 4; i++) {
		const uint32_t f = function == 0   ? choose(b, c, d)
		                   : function == 2 ? majority(b, c, d)
		                                   : b ^ c ^ d;
		const uint32_t next =
			f + rotate_right(a, 27) + words->d[3 - i] + e + constants[function];

		e = d;
		d = c;
		c = rotate_right(b, 2);
		b = a;
		a = next;
	}
	state->d[3] = a;
	state->d[2] = b;
	state->d[1] = c;
	state->d[0] = d;
}

uint32_t crypto_sha256_sigma(uint32_t x, unsigned a, unsigned b, unsigned shift)
{
	return rotate_right(x, a) ^ rotate_right(x, b) ^ x >> shift;
}

/* Two rounds. @dst holds C D G H from lane 3 down, @src A B E F; A B E F come out in @dst. */
void crypto_sha256rnds2(union x86_vec *dst, const union x86_vec *src, const union x86_vec *words)
{
	uint32_t a = src->d[3], b = src->d[2], c = dst->d[3], d = dst->d[2];
	uint32_t e = src->d[1], f = src->d[0], g = dst->d[1], h = dst->d[0];
	const uint32_t word[2] = {words->d[0], words->d[1]};

	for (unsigned i = 0; i < 2; i++) {
		const uint32_t sum1 =
			rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
		const uint32_t sum0 =
			rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
		const uint32_t t = h + sum1 + choose(e, f, g) + word[i];

		h = g;
		g = f;
		f = e;
		e = d + t;
		d = c;
		c = b;
		b = a;
		a = t + sum0 + majority(b, c, d);
	}
	dst->d[3] = a;
	dst->d[2] = b;
	dst->d[1] = e;
	dst->d[0] = f;
}
