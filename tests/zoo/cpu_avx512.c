/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* All 32 zmm registers and the eight mask registers. */
#include "cpu.h"

static void *hold(void *arg)
{
	uint8_t in[32 * 64 + 64], out[32 * 64 + 64];
	long mode = (long)arg;

	cpu_tids[mode] = zoo_tid();
	zoo_fill(in, sizeof(in), (uint32_t)mode);
	__asm__ volatile(
		".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,"
		"27,28,29,30,31\n\t"
		"vmovdqu64 64*\\n(%[in]), %%zmm\\n\n\t"
		".endr\n\t"
		".irp n,0,1,2,3,4,5,6,7\n\t"
		"kmovq 2048+8*\\n(%[in]), %%k\\n\n\t"
		".endr\n\t" CPU_STAY
		".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,"
		"27,28,29,30,31\n\t"
		"vmovdqu64 %%zmm\\n, 64*\\n(%[out])\n\t"
		".endr\n\t"
		".irp n,0,1,2,3,4,5,6,7\n\t"
		"kmovq %%k\\n, 2048+8*\\n(%[out])\n\t"
		".endr\n\t"
		"vzeroupper\n\t"
		:
		: CPU_OPERANDS(mode), [in] "r"(in), [out] "r"(out)
		: CPU_CLOBBERS, "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
		  "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
	zoo_spoil(out[2048 - 1] ^= 1);
	zoo_spoil(out[2048 + 63] ^= 1);
	check_eq(zoo_first_wrong(out, sizeof(out), (uint32_t)mode), -1);
	return NULL;
}

int main(int argc, char **argv)
{
	uint32_t a, b, c, d;

	zoo_init(argc, argv);
	if ((cpu_xcr0() & 0xe6) != 0xe6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d) ||
	    !(b & bit_AVX512BW))
		zoo_skip("no AVX-512");
	cpu_hold_across(hold);
}
