/* SPDX-License-Identifier: MIT */
/*
 * Vector instructions: the table that the decoder searches, and the portable functions against
 * the host's own instructions.
 */
#include "simd/simd.h"
#include "../random.h"

#include "tap.h"

#include <string.h>

static uint64_t state = 0x9e3779b97f4a7c15u;

static uint64_t random64(void)
{
	return random_next(&state) * 0x2545f4914f6cdd1du;
}

static void rows_are_ordered_for_the_search(void)
{
	for (size_t i = 1; i < simd_row_count; i++) {
		const struct simd_row *a = &simd_rows[i - 1], *b = &simd_rows[i];

		ok(a->map < b->map || (a->map == b->map && a->opcode <= b->opcode), "%s, %s",
		   a->name, b->name);
	}
}

/* Every row is what a lookup of its own encoding gives, for register and memory operands. */
static void every_row_is_found(void)
{
	for (size_t i = 0; i < simd_row_count; i++) {
		const struct simd_row *row = &simd_rows[i], *got;

		for (int memory = 0; memory < 2; memory++) {
			for (int w = 0; w < 2; w++) {
				if (row->mod != SIMD_ANY && (row->mod == SIMD_MEM) != memory)
					continue;
				if (row->w != SIMD_W_ANY && row->w != w)
					continue;
				got = simd_lookup((enum simd_map)row->map,
				                  (enum simd_prefix)row->prefix, row->opcode,
				                  row->sub == SIMD_SUB_ANY ? 3 : row->sub, memory,
				                  w);
				ok(got && !strcmp(got->name, row->name), "%s", row->name);
			}
		}
	}
}

static void what_is_no_row_is_not_found(void)
{
	ok(simd_lookup(SIMD_0F, SIMD_NP, 0x12, 0, false, false), "movhlps");
	ok(!simd_lookup(SIMD_0F, SIMD_66, 0x12, 0, false, false), "movlpd has no register form");
	ok(!simd_lookup(SIMD_0F, SIMD_NP, 0x71, 3, false, false), "no /3 in group 12");
	ok(!simd_lookup(SIMD_0F, SIMD_NP, 0x71, 2, true, false), "no memory form in group 12");
	ok(!simd_lookup(SIMD_0F38, SIMD_F3, 0x00, 0, false, false), "no F3 form of pshufb");
	ok(!simd_lookup(SIMD_0F3A, SIMD_66, 0xff, 0, false, false), "last opcode");
}

static uint32_t random_f32(void)
{
	static const uint32_t corners[] = {0,          0x3f800000, 0x7f800000, 0x7fc00001,
	                                   0x7f800002, 0x00000003, 0x00800000, 0x7f7fffff,
	                                   0x4f000000, 0x4effffff, 0x5f000000, 0x3effffff};
	const uint64_t r = random64();
	const uint32_t sign = (uint32_t)(r >> 63) << 31;

	switch (r & 3) {
	case 0:
		return sign | corners[(r >> 8) % (sizeof(corners) / sizeof(corners[0]))];
	case 1:
		return sign | (uint32_t)(0x38000000 + (r >> 16 & 0x0fffffff));
	case 2:
		return sign | (uint32_t)(r >> 8 & 0x01ffffff); /* around the least normal number */
	default:
		return (uint32_t)(r >> 8);
	}
}

static uint64_t random_f64(void)
{
	static const uint64_t corners[] = {
		0,
		0x3ff0000000000000,
		0x7ff0000000000000,
		0x7ff8000000000001,
		0x7ff0000000000002,
		0x0000000000000003,
		0x0010000000000000,
		0x7fefffffffffffff,
		0x41e0000000000000,
		0x41dfffffffe00000,
		0x43e0000000000000,
		0x3fdfffffffffffff,
		0x36a0000000000000,
		0x380fffffffffffff,
		0x47efffffe0000000,
		0x47effffff0000000,
	};
	const uint64_t r = random64(), sign = r & (uint64_t)1 << 63;

	switch (r & 3) {
	case 0:
		return sign | corners[(r >> 8) % (sizeof(corners) / sizeof(corners[0]))];
	case 1:
		return sign | (0x3f80000000000000 + (random64() & 0x00ffffffffffffff));
	case 2: /* where float ends: its denormals, its overflow */
		return sign | ((r & 4 ? 0x3680000000000000u : 0x47e0000000000000u) +
		               (random64() & 0x01ffffffffffffff));
	default:
		return random64();
	}
}

static union x86_vec random_operand(void)
{
	union x86_vec v;

	switch (random64() % 4) {
	case 0:
		for (unsigned i = 0; i < 4; i++)
			v.d[i] = random_f32();
		break;
	case 1:
		v.q[0] = random_f64();
		v.q[1] = random_f64();
		break;
	case 2: /* few different bytes, zeros among them; small counts */
		for (unsigned i = 0; i < 16; i++)
			v.b[i] = (uint8_t)(random64() % 5 * 0x40 - 1);
		if (random64() & 1)
			v.q[0] = random64() % 80;
		break;
	default:
		v.q[0] = random64();
		v.q[1] = random64();
	}
	return v;
}

struct outcome {
	union x86_vec dst, xmm0;
	uint32_t mxcsr, eflags, ecx;
};

static struct outcome run(const struct simd_row *row, union x86_vec dst, union x86_vec src,
                          union x86_vec xmm0, uint8_t imm, uint32_t mxcsr, const int64_t lengths[2])
{
	struct x86_fp_env env = {.xmm0 = &xmm0, .rax = lengths[0], .rdx = lengths[1]};

	simd_set_mxcsr(&env, mxcsr);
	simd_enter(&env);
	row->fn(&dst, &src, imm, &env);
	simd_leave(&env);
	return (struct outcome){dst, xmm0, env.mxcsr, env.eflags, env.ecx};
}

static bool is_approximate(const struct simd_row *row)
{
	return !strncmp(row->name, "rcp", 3) || !strncmp(row->name, "rsqrt", 5);
}

static void compare_row(size_t index, unsigned vectors)
{
	const struct simd_row *host = &simd_rows[index], *portable = &simd_portable_rows[index];
	/* MMX functions leave what they like in the high half. */
	const bool half = host->form == SIMD_PQ || host->form == SIMD_Q || host->form == SIMD_PW ||
	                  host->form == SIMD_QP || host->form == SIMD_PE;

	ok(!strcmp(host->name, portable->name), "%s", host->name);
	if (is_approximate(host))
		return;
	for (unsigned n = 0; n < vectors && !tap_now_failed; n++) {
		const union x86_vec dst = random_operand(), xmm0 = random_operand();
		const union x86_vec src = random64() % 8 ? random_operand() : dst;
		const uint32_t mxcsr = MXCSR_MASKS | (uint32_t)(random64() & 0xe040);
		const uint8_t imm = (uint8_t)random64();
		const int64_t lengths[2] = {(int64_t)(random64() % 40) - 20,
		                            (int64_t)(random64() % 40) - 20};
		struct outcome a = run(host, dst, src, xmm0, imm, mxcsr, lengths);
		struct outcome b = run(portable, dst, src, xmm0, imm, mxcsr, lengths);

		if (half)
			a.dst.q[1] = b.dst.q[1] = 0;
		ok(!memcmp(&a.dst, &b.dst, 16) && !memcmp(&a.xmm0, &b.xmm0, 16) &&
		           a.mxcsr == b.mxcsr && a.eflags == b.eflags && a.ecx == b.ecx,
		   "%s imm %02x mxcsr %04x\n#   %016llx %016llx op %016llx %016llx\n#   host     "
		   "%016llx %016llx mxcsr %04x eflags %03x ecx %x\n#   portable %016llx %016llx "
		   "mxcsr "
		   "%04x eflags %03x ecx %x",
		   host->name, imm, mxcsr, (unsigned long long)dst.q[1],
		   (unsigned long long)dst.q[0], (unsigned long long)src.q[1],
		   (unsigned long long)src.q[0], (unsigned long long)a.dst.q[1],
		   (unsigned long long)a.dst.q[0], a.mxcsr, a.eflags, a.ecx,
		   (unsigned long long)b.dst.q[1], (unsigned long long)b.dst.q[0], b.mxcsr,
		   b.eflags, b.ecx);
	}
}

static void portable_functions_do_what_the_host_does(void)
{
	bool failed = false;

	for (size_t i = 0; i < simd_row_count; i++) {
		const struct simd_row *row = &simd_rows[i];

		/* Where the host lacks the instruction there is nothing to compare with. */
		if (simd_lookup((enum simd_map)row->map, (enum simd_prefix)row->prefix, row->opcode,
		                row->sub == SIMD_SUB_ANY ? 0 : row->sub, row->mod == SIMD_MEM,
		                row->w == 1) != row)
			continue;
		compare_row(i, 2000);
		failed |= tap_now_failed;
		tap_now_failed = false;
	}
	tap_now_failed = failed;
}

static void approximations_are_close(void)
{
	for (unsigned n = 0; n < 20000; n++) {
		union x86_vec v = {.d = {0x3f800000 + (uint32_t)(random64() & 0xffffff), 0, 0, 0}};
		union x86_vec r = v;
		float x, y;

		for (size_t i = 0; i < simd_row_count; i++) {
			const struct simd_row *row = &simd_portable_rows[i];

			if (row->opcode != 0x53 || row->map != SIMD_0F || row->prefix != SIMD_F3)
				continue;
			row->fn(&r, &v, 0, &(struct x86_fp_env){0});
			memcpy(&x, &v.d[0], 4);
			memcpy(&y, &r.d[0], 4);
			ok(x * y > 1 - 1.5f / 4096 && x * y < 1 + 1.5f / 4096, "1/%g = %g", x, y);
		}
		if (tap_now_failed)
			return;
	}
}

/* A trap leaves the destination alone and sets the flag; a masked exception does not trap. */
static void an_unmasked_exception_traps(void)
{
	const struct simd_row *div = simd_lookup(SIMD_0F, SIMD_F2, 0x5e, 0, false, false);
	union x86_vec one = {.q = {0x3ff0000000000000, 7}}, zero = {.q = {0, 0}}, xmm0;
	struct x86_fp_env env = {.xmm0 = &xmm0};

	simd_set_mxcsr(&env, MXCSR_DEFAULT & ~(MXCSR_ZE << 7));
	ok(env.unmasked == MXCSR_ZE, "%x", env.unmasked);
	ok(simd_run_checked(div, &one, &zero, 0, &env), "traps");
	ok(one.q[0] == 0x3ff0000000000000 && one.q[1] == 7, "destination");
	ok((simd_get_mxcsr(&env) & MXCSR_FLAGS) == MXCSR_ZE, "%x", simd_get_mxcsr(&env));

	simd_set_mxcsr(&env, MXCSR_DEFAULT & ~(MXCSR_OE << 7));
	ok(!simd_run_checked(div, &one, &zero, 0, &env), "does not trap");
	ok(one.q[0] == 0x7ff0000000000000 && one.q[1] == 7, "infinity");
}

static void crc32c_of_the_check_string(void)
{
	const char *text = "123456789";
	uint32_t crc = UINT32_MAX;
	uint64_t eight;

	for (const char *c = text; *c; c++)
		crc = x86_crc32c(crc, (uint8_t)*c, 1);
	ok(~crc == 0xe3069283, "%08x", ~crc);
	memcpy(&eight, text, 8);
	crc = x86_crc32c(x86_crc32c(UINT32_MAX, eight, 8), '9', 1);
	ok(~crc == 0xe3069283, "%08x", ~crc);
}

int main(void)
{
	RUN(rows_are_ordered_for_the_search);
	RUN(every_row_is_found);
	RUN(what_is_no_row_is_not_found);
	RUN(portable_functions_do_what_the_host_does);
	RUN(approximations_are_close);
	RUN(an_unmasked_exception_traps);
	RUN(crc32c_of_the_check_string);
	return tap_done();
}
