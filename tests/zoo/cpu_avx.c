/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* xmm and ymm registers, both halves. */
#include "cpu.h"

static void *hold(void *arg)
{
	uint8_t in[16 * 32], out[16 * 32];
	long mode = (long)arg;

	cpu_tids[mode] = zoo_tid();
	zoo_fill(in, sizeof(in), (uint32_t)mode);
	__asm__ volatile(".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
	                 "vmovdqu 32*\\n(%[in]), %%ymm\\n\n\t"
	                 ".endr\n\t" CPU_STAY ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
	                 "vmovdqu %%ymm\\n, 32*\\n(%[out])\n\t"
	                 ".endr\n\t"
	                 "vzeroupper\n\t"
	                 :
	                 : CPU_OPERANDS(mode), [in] "r"(in), [out] "r"(out)
	                 : CPU_CLOBBERS, "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
	                   "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
	                   "xmm15");
	zoo_spoil(out[17] ^= 1);
	check_eq(zoo_first_wrong(out, sizeof(out), (uint32_t)mode), -1);
	return NULL;
}

int main(int argc, char **argv)
{
	zoo_init(argc, argv);
	if ((cpu_xcr0() & 6) != 6)
		zoo_skip("no AVX");
	cpu_hold_across(hold);
}
